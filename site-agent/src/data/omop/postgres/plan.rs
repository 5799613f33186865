//! What will be asked of a database, before it is asked: every query, about how many rows, and about how long.

use super::super::schema::Table;
use super::super::wanted::Wanted;
use super::config::{Host, Transport};
use super::database::Database;
use super::query::Query;
use super::session::statements;

/// Rows a second of one connection to an idle server on SSD, sorting included: somewhat below the 459,000 that were measured
/// on two cores (`tests/benches/postgres.rs`), since a network and a disk lie between.
const ROWS_PER_S: u64 = 400_000;
/// On spinning disks, or beside a server's other work, so many times as long.
pub const BUSY_TIMES: u64 = 10;

/// What will be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub place: String,
    /// As which role.
    pub user: String,
    /// As 150004.
    pub server_version: i32,
    /// How the connection is protected, in words.
    pub transport: &'static str,
    /// How many connections read together.
    pub connections: usize,
    /// On which clock times with a zone are read.
    pub time_zone: String,
    /// What begins the transaction, on each connection.
    pub begin: Vec<String>,
    /// One query a table.
    pub tables: Vec<Planned>,
    /// Tables that are not there.
    pub missing: Vec<Table>,
    /// What this role may not read yet; nothing will be read until it may.
    pub withheld: Vec<String>,
}

/// One query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Of which table.
    pub table: Table,
    /// Rows by the server's own statistics; none where it has none (a view, or never analysed).
    pub rows: Option<u64>,
    /// Word for word.
    pub query: String,
}

/// What reading some columns will ask of a database.
#[must_use]
pub fn plan(database: &Database, wanted: &Wanted) -> Plan {
    let config = database.config();
    let tables = wanted.tables();
    let there = || tables.iter().filter_map(|table| Some((*table, database.tables().get(table)?)));
    let planned = there().map(|(table, found)| Planned {
        table,
        rows: found.estimate,
        query: Query::new(table, found, wanted.columns(table)).copy(),
    });
    let mut withheld: Vec<String> =
        there().filter_map(|(table, found)| found.withheld(table, wanted.columns(table))).collect();
    withheld.dedup();
    Plan {
        place: config.place(),
        user: config.user.clone(),
        server_version: database.server().version,
        transport: match (&config.transport, &config.host) {
            (Transport::VerifyFull { identity: Some(_), .. }, _) => {
                "TLS 1.3, the server's certificate and name checked, with a certificate of our own"
            }
            (Transport::VerifyFull { .. }, _) => "TLS 1.3, the server's certificate and name checked",
            (Transport::Plain, Host::Socket(_)) => "a Unix socket",
            (Transport::Plain, Host::Network(_)) => "this machine's own network, not encrypted",
        },
        connections: config.connections,
        time_zone: database.server().time_zone.clone(),
        begin: statements(config, None),
        tables: planned.collect(),
        missing: tables.iter().copied().filter(|table| !database.has(*table)).collect(),
        withheld,
    }
}

impl Plan {
    /// Rows of all tables whose number the server knows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().filter_map(|planned| planned.rows).sum()
    }

    /// Seconds, about, on an idle server with SSD: by the largest table or by all together, whichever is longer. Not fewer
    /// than one.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        let largest = self.tables.iter().filter_map(|planned| planned.rows).max().unwrap_or(0);
        let shared = self.rows() / u64::try_from(self.connections).expect("a few");
        largest.max(shared).div_ceil(ROWS_PER_S).max(1)
    }
}
