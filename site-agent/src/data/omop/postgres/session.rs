//! One connection: a read-only transaction over one snapshot, from its opening to its end.
//!
//! A session has a runtime of its own and is driven by the thread that reads from it: while nobody reads, nothing moves.

use super::config::{Config, Host, Transport};
use super::error::InvalidDatabase;
use super::tls::Tls;
use crate::connect::chain;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

/// For one address: TCP alone.
const TCP_TIMEOUT: Duration = Duration::from_secs(15);
/// For name lookup, TCP, TLS and the server's question for a password together.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take to hear that a query is not wanted any more.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection on which nothing moves is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// What one step of a query may take of the server's memory, MiB: some millions of people.
const WORK_MEM_MIB: u32 = 128;
/// The oldest server whose catalogue we ask: 12 counts the rows of partitions.
const VERSION_MIN: i32 = 120_000;

/// A connection with its transaction.
pub(super) struct Session {
    /// None once it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    tls: Tls,
    place: String,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// As 150004.
    pub(super) version: i32,
    /// On which clock times with a zone are read.
    pub(super) time_zone: String,
}

impl Session {
    /// Connects. Nothing is asked yet.
    pub(super) fn connect(
        config: &Config,
        tls: &Tls,
        password: Option<&str>,
    ) -> Result<Self, InvalidDatabase> {
        Self::connect_by(config, tls, &options(config, password))
    }

    /// As [`Self::connect`], where the password must be bound to the connection: for tests.
    #[cfg(all(test, unix))]
    pub(super) fn connect_bound(
        config: &Config,
        tls: &Tls,
        password: Option<&str>,
    ) -> Result<Self, InvalidDatabase> {
        let mut options = options(config, password);
        options.channel_binding(tokio_postgres::config::ChannelBinding::Require);
        Self::connect_by(config, tls, &options)
    }

    fn connect_by(
        config: &Config,
        tls: &Tls,
        options: &tokio_postgres::Config,
    ) -> Result<Self, InvalidDatabase> {
        let place = config.place();
        let unreachable = |cause: String| InvalidDatabase::Unreachable { place: place.clone(), cause };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unreachable(error.to_string()))?;
        let connected = runtime
            .block_on(async { tokio::time::timeout(OPEN_TIMEOUT, options.connect(tls.clone())).await });
        let (client, mut connection) = connected
            .map_err(|_| unreachable(format!("no answer within {} s (a firewall?)", OPEN_TIMEOUT.as_secs())))?
            .map_err(|error| unreachable(with_advice(&config.transport, chain(&error))))?;
        // What a server notes by the way may quote a cell: it is taken and let go.
        runtime
            .spawn(async move { while let Some(Ok(_)) = poll_fn(|cx| connection.poll_message(cx)).await {} });
        Ok(Self { runtime: Some(runtime), client, tls: tls.clone(), place })
    }

    /// Begins the transaction, on a snapshot that another session exported where there is one.
    pub(super) fn begin(&self, config: &Config, snapshot: Option<&str>) -> Result<(), InvalidDatabase> {
        let statements = statements(config, snapshot).join(";\n");
        let done = self.block_on(self.client.batch_execute(&statements));
        done.map_err(|error| {
            InvalidDatabase::of_asking("beginning a read-only transaction", &self.place, &error)
        })
    }

    /// What the server is; an error where it cannot be relied on.
    pub(super) fn server(&self) -> Result<Server, InvalidDatabase> {
        let rows = self.query(
            "asking for its settings",
            "SELECT current_setting('server_version_num')::int4, current_setting('TimeZone'), \
             current_setting('transaction_read_only'), current_setting('transaction_isolation'), \
             current_setting('integer_datetimes')",
            &[],
        )?;
        let wrong = |what: String| Err(InvalidDatabase::Server { place: self.place.clone(), what });
        let [row] = rows.as_slice() else { return wrong("expected one row of settings".to_owned()) };
        let text = |at: usize| row.get::<_, String>(at);
        let version: i32 = row.get(0);
        if version < VERSION_MIN {
            return wrong(format!("expected PostgreSQL 12 or newer, came version {version}"));
        }
        // A pooler that hands each statement to another connection shows here.
        if (text(2).as_str(), text(3).as_str()) != ("on", "repeatable read") {
            return wrong(
                "expected one read-only, repeatable-read transaction (a pooler between?)".to_owned(),
            );
        }
        if text(4) != "on" {
            return wrong("expected times as whole microseconds (integer_datetimes)".to_owned());
        }
        Ok(Server { version, time_zone: text(1) })
    }

    /// A name by which other sessions find this one's snapshot.
    pub(super) fn export_snapshot(&self) -> Result<String, InvalidDatabase> {
        let doing = "exporting its snapshot, for more than one connection";
        let rows = self.query(doing, "SELECT pg_export_snapshot()", &[])?;
        let name: Option<String> = rows.first().map(|row| row.get(0));
        let good = |name: &String| name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        name.filter(good).ok_or_else(|| InvalidDatabase::Server {
            place: self.place.clone(),
            what: "expected the name of a snapshot".to_owned(),
        })
    }

    /// Asks the catalogue something.
    pub(super) fn query(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, InvalidDatabase> {
        let rows = self.block_on(self.client.query(sql, parameters));
        rows.map_err(|error| InvalidDatabase::of_asking(doing, &self.place, &error))
    }

    /// Asks what can be done without: none where the server gives it up. The transaction goes on as if nothing had been asked.
    pub(super) fn query_or_none(&self, sql: &str) -> Result<Option<Vec<Row>>, InvalidDatabase> {
        let doing = "asking for what it can do without";
        let run = |sql: &'static str| {
            let done = self.block_on(self.client.batch_execute(sql));
            done.map_err(|error| InvalidDatabase::of_asking(doing, &self.place, &error))
        };
        run("SAVEPOINT optional")?;
        match self.block_on(self.client.query(sql, &[])) {
            Ok(rows) => {
                run("RELEASE SAVEPOINT optional")?;
                Ok(Some(rows))
            }
            // A lost connection shows when the transaction should go back.
            Err(_) => {
                run("ROLLBACK TO SAVEPOINT optional; RELEASE SAVEPOINT optional")?;
                Ok(None)
            }
        }
    }

    /// Drives this connection until `work` is done.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("until it is dropped").block_on(work)
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Tells the server to give up what it is doing for this session, and takes away what it had sent until then: a server
    /// that waits for its reader hears nothing. Whether it heard at all is not known.
    pub(super) fn cancel(&self) {
        let token = self.client.cancel_token();
        let told = self.block_on(async {
            let told = async {
                token.cancel_query(self.tls.clone()).await?;
                self.client.batch_execute("").await
            };
            tokio::time::timeout(CANCEL_TIMEOUT, told).await
        });
        // A server that cannot be told sees the connection close, soon after this.
        drop(told);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Closes the connection, and with it the transaction; also where dropping a runtime must not wait.
            runtime.shutdown_background();
        }
    }
}

/// Why there is no connection, with what to write in `source.toml` where its words do not say so.
fn with_advice(transport: &Transport, cause: String) -> String {
    let names_ca = matches!(transport, Transport::VerifyFull { ca: Some(_), .. });
    let advice = if cause.contains("UnknownIssuer") {
        if names_ca {
            "the file that ca names in source.toml does not hold who signed the server's certificate"
        } else {
            "the operating system does not know who signed the server's certificate: name their certificate's file (PEM) with ca \
             in source.toml"
        }
    } else if cause.contains("server does not support TLS") {
        "switch TLS on at the server (ssl = on in postgresql.conf); sslmode = \"disable\" in source.toml is for this machine's own \
         addresses only"
    } else if cause.contains("not valid for name") {
        "write as host in source.toml a name that is in the server's certificate"
    } else {
        return cause;
    };
    format!("{cause}; {advice}")
}

/// Each statement with which a session begins.
pub(super) fn statements(config: &Config, snapshot: Option<&str>) -> Vec<String> {
    let mut statements = vec!["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned()];
    statements.extend(snapshot.map(|name| format!("SET TRANSACTION SNAPSHOT '{name}'")));
    statements.push(format!("SET LOCAL statement_timeout = '{}s'", config.statement_timeout_s));
    // While events are merged nothing is asked, and the vocabulary is read after that.
    statements.push("SET LOCAL idle_in_transaction_session_timeout = 0".to_owned());
    // Whose rows matter is looked up in a table in memory: what does not fit into it, a server puts down in files of its own.
    statements.push(format!("SET LOCAL work_mem = '{WORK_MEM_MIB}MB'"));
    // Names without a schema are the server's own, whatever the role's settings say.
    statements.push("SET LOCAL search_path = ''".to_owned());
    statements.push("SET LOCAL client_min_messages = error".to_owned());
    statements
}

fn options(config: &Config, password: Option<&str>) -> tokio_postgres::Config {
    let mut options = tokio_postgres::Config::new();
    let is_plain = config.transport == Transport::Plain;
    match &config.host {
        #[cfg(unix)]
        Host::Socket(folder) => {
            options.host_path(folder);
        }
        // `Config` takes none where there are none; without a host nothing is connected to.
        #[cfg(not(unix))]
        Host::Socket(_) => {}
        // Without TLS the name alone is not enough: what it leads to must be this machine. The last one's error is shown.
        Host::Network(name) if is_plain && name == "localhost" => {
            for address in [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)] {
                options.host(name).hostaddr(address);
            }
        }
        Host::Network(name) => {
            options.host(name);
        }
    }
    options
        .port(config.port)
        .user(&config.user)
        .dbname(&config.database)
        .application_name("consilium site-agent")
        .connect_timeout(TCP_TIMEOUT)
        .keepalives_idle(KEEPALIVE)
        .ssl_mode(if is_plain { SslMode::Disable } else { SslMode::Require });
    if let Some(password) = password {
        options.password(password);
    }
    options
}
