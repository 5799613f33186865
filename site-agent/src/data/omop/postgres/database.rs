//! A hospital's OMOP database, open on one snapshot.

use super::super::asked::QueryLog;
use super::super::cells::{Batch, Column};
use super::super::error::InvalidOmop;
use super::super::narrowing::Narrowing;
use super::super::schema::Table;
use super::super::wanted::Wanted;
use super::catalog::{self, Found};
use super::config::Config;
use super::copy;
use super::error::InvalidDatabase;
use super::password::password;
use super::query::{Catalogue, Query};
use super::release;
use super::session::{Server, Session, statements};
use super::tls::Tls;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, PoisonError};

/// Open connections, all on one snapshot, and where each table is. Every read of it sees the database as it was when it
/// was opened.
///
/// # Privacy
/// Nothing is written, and nothing of a row is logged. The server's own log may show the queries (`data plan` prints them):
/// they hold names of columns, numbers of concepts from the vocabulary, and nobody's values.
pub struct Database {
    config: Config,
    tables: BTreeMap<Table, Found>,
    server: Server,
    idle: Mutex<Vec<Session>>,
    given_back: Condvar,
}

impl Database {
    /// Connects, begins the transaction, and looks for the tables of ours. Reads no table.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used; no connection; no table of OMOP; a column with a type that we
    /// do not read.
    pub fn open(config: &Config) -> Result<Self, InvalidDatabase> {
        let tls = Tls::new(&config.transport)?;
        let password = password(config)?;
        let connect = || Session::connect(config, &tls, password.as_deref().map(String::as_str));
        let first = connect()?;
        first.begin(config, None)?;
        let server = first.server()?;
        let tables = catalog::look(&first, config)?;
        let mut sessions = Vec::new();
        if config.connections > 1 {
            let snapshot = first.export_snapshot()?;
            for _ in 1..config.connections {
                let session = connect()?;
                session.begin(config, Some(&snapshot))?;
                session.server()?;
                sessions.push(session);
            }
        }
        sessions.push(first);
        Ok(Self {
            config: config.clone(),
            tables,
            server,
            idle: Mutex::new(sessions),
            given_back: Condvar::new(),
        })
    }

    /// Which release it is, in lines for this site's own screen; what was asked for that is noted. Table `cdm_source` is read
    /// where this role may: without it, or without a right to it, there is just less to say.
    ///
    /// # Privacy
    /// Numbers of rows tell of data: the lines stay at the site, but for a commitment in the ledger.
    ///
    /// # Errors
    /// The catalogue cannot be asked.
    pub fn release(&self, log: &QueryLog) -> Result<Vec<String>, InvalidOmop> {
        Ok(release::release(self, log)?)
    }

    /// The statements with which each connection begins.
    #[must_use]
    pub fn begins_with(&self) -> Vec<String> {
        statements(&self.config, None)
    }

    /// How it was reached.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// In which schema a table is looked for.
    pub(in super::super) fn schema_of(&self, table: Table) -> &str {
        catalog::schema_of(table, &self.config)
    }

    /// Whether it has a table.
    #[must_use]
    pub fn has(&self, table: Table) -> bool {
        self.tables.contains_key(&table)
    }

    /// Nothing, if every column that is needed is there, and this role may read every one that is there and that is asked for.
    ///
    /// # Errors
    /// A column is not there, or may not be read: what, over all tables.
    pub fn granted(&self, wanted: &Wanted) -> Result<(), InvalidDatabase> {
        let tables = wanted.tables();
        self.all_granted(tables.iter().map(|table| (*table, wanted.columns(*table))))
    }

    /// As [`Self::granted`], of some columns of one table.
    pub(in super::super) fn granted_of(
        &self,
        table: Table,
        columns: &[Column],
    ) -> Result<(), InvalidDatabase> {
        self.all_granted([(table, columns)].into_iter())
    }

    fn all_granted<'a>(
        &self,
        wanted: impl Iterator<Item = (Table, &'a [Column])>,
    ) -> Result<(), InvalidDatabase> {
        let wanted: Vec<_> = wanted.collect();
        for (table, columns) in &wanted {
            if let Some(expected) = self.tables.get(table).and_then(|found| found.lacking(columns)) {
                return Err(InvalidDatabase::MissingColumn { table: *table, expected });
            }
        }
        let withheld: BTreeSet<String> = wanted
            .into_iter()
            .filter_map(|(table, columns)| self.tables.get(&table)?.withheld(table, columns))
            .collect();
        if withheld.is_empty() {
            return Ok(());
        }
        let what: Vec<String> = withheld.into_iter().collect();
        Err(InvalidDatabase::NotGranted { user: self.config.user.clone(), what: what.join(", ") })
    }

    pub(super) const fn tables(&self) -> &BTreeMap<Table, Found> {
        &self.tables
    }

    pub(super) const fn server(&self) -> &Server {
        &self.server
    }

    /// Rows of a table, about; none where it is missing.
    pub(in super::super) fn size(&self, table: Table) -> Option<u64> {
        self.tables.get(&table).map(|found| found.estimate.unwrap_or(0))
    }

    /// What some columns of a table are asked by, with a narrowing without rows that cannot matter; none where it is missing.
    pub(in super::super) fn query(
        &self,
        table: Table,
        wanted: &[Column],
        narrowing: Option<&Narrowing>,
    ) -> Option<Query> {
        let catalogue = Catalogue { tables: &self.tables, version: self.server.version };
        Query::new(&catalogue, table, wanted, narrowing)
    }

    /// What shows whether a table has any row, by one of them; none where it is missing.
    pub(in super::super) fn any_row(&self, table: Table, wanted: &[Column]) -> Option<Query> {
        self.query(table, wanted, None).map(Query::any_row)
    }

    /// Gives every batch that a query brings to `take`; `wanted` are the columns that it was made for. Waits for a connection
    /// that nobody reads from.
    pub(in super::super) fn read(
        &self,
        query: &Query,
        wanted: &[Column],
        take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
    ) -> Result<(), InvalidOmop> {
        self.granted_of(query.table, wanted)?;
        copy::read(self.lease().session(), query, wanted, take)
    }

    /// A connection, as soon as nobody reads from it.
    pub(super) fn lease(&self) -> Lease<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(session) = idle.pop() {
                return Lease { database: self, session: Some(session) };
            }
            idle = self.given_back.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A connection that is given back when it goes.
pub(super) struct Lease<'a> {
    database: &'a Database,
    session: Option<Session>,
}

impl Lease<'_> {
    pub(super) const fn session(&self) -> &Session {
        self.session.as_ref().expect("until it is dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.database.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
            self.database.given_back.notify_one();
        }
    }
}
