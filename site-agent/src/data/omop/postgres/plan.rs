//! What will be asked of a database, before it is asked: every query, about how many rows, and about how long.

use super::super::narrowing::Narrowing;
use super::super::schema::Table;
use super::super::wanted::Wanted;
use super::config::{Host, Transport};
use super::database::Database;
use super::query::Query;
use super::session::statements;

/// Rows a second of one connection to an idle server on SSD, sorting included: somewhat below the 459,000 that were measured
/// on two cores (`tests/benches/postgres.rs`), since a network and a disk lie between.
const ROWS_PER_S: u64 = 400_000;
/// So many rows that the server looks at and leaves out take as long as one that it sends; see the bench.
const PASSED_OVER_AS_SENT: u64 = 10;
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
    /// What is asked as well where `concept_ancestor` has none of the study's concepts: whether it has a row at all. None where
    /// all of it is asked for, or nothing.
    pub of_empty_hierarchy: Option<String>,
}

/// One query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Of which table.
    pub table: Table,
    /// Rows of the table by the server's own statistics; none where it has none (a view, or never analysed).
    pub rows: Option<u64>,
    /// Whether rows that cannot matter are left out.
    pub is_narrowed: bool,
    /// What the server expects of a query that leaves rows out; none where it may not be asked yet, or would guess.
    pub sent: Option<Sent>,
    /// The tables that the server looks into, too, for whoever comes into the study.
    pub looks_into: Vec<Table>,
    /// Word for word.
    pub query: String,
}

/// What a server expects of a query that leaves rows out (`EXPLAIN`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Rows that it will send, about.
    pub rows: u64,
    /// Whether indexes lead to them; else the server looks at every row of a table for it, this one or one that it looks into.
    pub by_index: bool,
}

/// What reading some columns of every row will ask of a database.
#[must_use]
pub fn plan(database: &Database, wanted: &Wanted) -> Plan {
    planned(database, wanted, None)
}

/// What reading some columns will ask of a database, without the rows that cannot matter.
#[must_use]
pub fn plan_narrowed(database: &Database, wanted: &Wanted, narrowing: &Narrowing) -> Plan {
    planned(database, wanted, Some(narrowing))
}

fn planned(database: &Database, wanted: &Wanted, narrowing: Option<&Narrowing>) -> Plan {
    let config = database.config();
    let tables = wanted.tables();
    let there = || tables.iter().filter_map(|table| Some((*table, database.tables().get(table)?)));
    let mut withheld: Vec<String> =
        there().filter_map(|(table, found)| found.withheld(table, wanted.columns(table))).collect();
    withheld.dedup();
    let planned = there().map(|(table, found)| {
        let query = database.query(table, wanted.columns(table), narrowing).expect("the table is there");
        // Of a table that was never analysed a server would guess.
        let may_ask = query.is_narrowed && withheld.is_empty() && found.estimate.is_some();
        Planned {
            table,
            rows: found.estimate,
            is_narrowed: query.is_narrowed,
            sent: may_ask.then(|| expected(database, &query)).flatten(),
            query: query.copy(),
            looks_into: query.looks_into,
        }
    });
    let planned: Vec<Planned> = planned.collect();
    let hierarchy = planned.iter().find(|one| one.table == Table::ConceptAncestor && one.is_narrowed);
    let any_row = |of: &Planned| database.any_row(of.table, wanted.columns(of.table));
    let of_empty_hierarchy = hierarchy.and_then(any_row).map(|query| query.copy());
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
        tables: planned,
        missing: tables.iter().copied().filter(|table| !database.has(*table)).collect(),
        withheld,
        of_empty_hierarchy,
    }
}

/// What the server says to a query, without doing it; none where it says nothing.
fn expected(database: &Database, query: &Query) -> Option<Sent> {
    let rows = database.lease().session().query_or_none(&query.explain()).ok()??;
    let lines: Vec<String> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
    sent(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Steps that look at every row of what they read, by how their lines begin.
const READS_ALL: [&str; 6] =
    ["Seq Scan ", "Parallel Seq Scan ", "Foreign Scan ", "Custom Scan ", "Function Scan ", "CTE Scan "];

/// The first line of an explanation has the rows that come out of it all; each step further down says how it finds its own.
fn sent(lines: &[&str]) -> Option<Sent> {
    let (_, after) = lines.first()?.split_once(" rows=")?;
    let rows = after.split(' ').next()?.parse().ok()?;
    let step = |line: &&str| line.trim_start().trim_start_matches("->").trim_start().to_owned();
    let reads_all = |step: String| READS_ALL.iter().any(|begin| step.starts_with(begin));
    Some(Sent { rows, by_index: !lines.iter().map(step).any(reads_all) })
}

impl Plan {
    /// How long a query takes, in rows that are sent. Where no index leads to them the server looks at every row of the table and
    /// of each that it looks into, again for every query.
    fn work(&self, planned: &Planned) -> u64 {
        let rows_of = |table: &Table| self.tables.iter().find(|one| one.table == *table)?.rows;
        let own = planned.rows.unwrap_or(0);
        let others: u64 = planned.looks_into.iter().filter_map(rows_of).sum();
        match planned.sent {
            None => own + others / PASSED_OVER_AS_SENT,
            Some(Sent { rows, by_index: true }) => rows,
            Some(Sent { rows, by_index: false }) => rows + (own + others) / PASSED_OVER_AS_SENT,
        }
    }

    /// Rows that are sent, as far as the server knows.
    #[must_use]
    pub fn rows_sent(&self) -> u64 {
        let sent = |planned: &Planned| planned.sent.map(|sent| sent.rows).or(planned.rows);
        self.tables.iter().filter_map(sent).sum()
    }

    /// Rows of all tables whose number the server knows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().filter_map(|planned| planned.rows).sum()
    }

    /// Seconds, about, on an idle server with SSD: by the largest table or by all together, whichever is longer. Not fewer
    /// than one.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        let work = || self.tables.iter().map(|planned| self.work(planned));
        let (largest, all) = (work().max().unwrap_or(0), work().sum::<u64>());
        let shared = all / u64::try_from(self.connections).expect("a few");
        largest.max(shared).div_ceil(ROWS_PER_S).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_expects() {
        #[track_caller]
        fn check(lines: &[&str], expected: Option<(u64, bool)>) {
            let found = sent(lines).map(|sent| (sent.rows, sent.by_index));
            assert_eq!(found, expected, "{lines:?}");
        }
        check(
            &[
                "Hash Join  (cost=8.30..23.01 rows=120 width=20)",
                "  Hash Cond: (measurement.person_id = condition_occurrence.person_id)",
                "  ->  Seq Scan on measurement  (cost=0.00..12.50 rows=650 width=20)",
            ],
            Some((120, false)),
        );
        check(
            &[
                "Gather  (cost=1000.00..9000.00 rows=7 width=20)",
                "  ->  Parallel Seq Scan on measurement  (cost=0.00..12.50 rows=3 width=20)",
            ],
            Some((7, false)),
        );
        check(
            &[
                "Bitmap Heap Scan on measurement  (cost=4.30..23.01 rows=31 width=20)",
                "  Recheck Cond: (measurement_concept_id = ANY ('{1,2}'::integer[]))",
                "  ->  Bitmap Index Scan on \"Seq Scan \"  (cost=0.00..4.29 rows=31 width=0)",
            ],
            Some((31, true)),
        );
        check(&["Result  (cost=0.00..0.00 rows=0 width=20)", "  One-Time Filter: false"], Some((0, true)));
        check(&["something else"], None);
        check(&[], None);
    }
}
