//! A database's person table has one agent: whoever serves it holds an advisory lock in the database itself, which an agent on
//! another machine, or with another `source.toml`, finds taken.

use super::config::Config;
use super::error::InvalidDatabase;
use super::password::password;
use super::session::Session;
use super::tls::Tls;
use sha2::{Digest as _, Sha256};

/// The lock, for as long as this lives and its connection does. One connection more, on which nothing moves.
pub struct Claim(Session);

impl Claim {
    /// Takes the lock on the schema of the clinical tables; none where another session has it.
    ///
    /// # Errors
    /// The database cannot be reached or asked.
    pub fn take(config: &Config) -> Result<Option<Self>, InvalidDatabase> {
        let tls = Tls::new(&config.transport)?;
        let password = password(config)?;
        let session = Session::connect(config, &tls, password.as_deref().map(String::as_str))?;
        // A server before 14 has no such setting, and so no such end.
        let _ = session.block_on(session.client().batch_execute("SET idle_session_timeout = 0"));
        let rows = session.query(
            "asking for the lock of the agent that serves it",
            "SELECT pg_catalog.pg_try_advisory_lock($1)",
            &[&key(&config.schema)],
        )?;
        let is_free = rows.first().is_some_and(|row| row.get(0));
        Ok(is_free.then_some(Self(session)))
    }

    /// Whether the connection still lives, and with it the lock.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.query("asking whether it is there", "SELECT 1", &[]).is_ok()
    }
}

/// Advisory locks are a database's own and have numbers for names.
fn key(schema: &str) -> i64 {
    let digest = Sha256::new().chain_update("consilium agent\0").chain_update(schema).finalize();
    i64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::tests::cluster::Cluster;
    use super::super::tests::{config, script};
    use super::*;

    #[test]
    fn a_schema_has_one_agent() {
        let Some(cluster) = Cluster::start(&["idle_session_timeout = 200"]) else { return };
        cluster.sql(&script("cdm", &[], &|_| "text".to_owned()));
        let take =
            |more: &str| Claim::take(&config(&cluster, more)).unwrap_or_else(|error| panic!("{error}"));
        let first = take("").expect("free");
        assert!(take("connections = 2").is_none(), "the same schema by another file");
        let other = Config { schema: "other".to_owned(), ..config(&cluster, "") };
        assert!(Claim::take(&other).expect("reached").is_some());
        // Longer than the server leaves other sessions alone.
        std::thread::sleep(std::time::Duration::from_millis(600));
        assert!(first.is_held() && take("").is_none());
        cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
        assert!(!first.is_held());
        let second = take("").expect("free again");
        drop(first);
        assert!(second.is_held() && take("").is_none());
    }
}
