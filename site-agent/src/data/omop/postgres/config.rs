//! `source.toml`: where a hospital's OMOP database is, and how it is reached. Holds no secret.
//!
//! ```toml
//! [postgres]
//! host = "omop.hospital.example"        # or the folder of a Unix socket, as "/run/postgresql"
//! port = 5432                           # 5432 where it is not said
//! database = "omop"
//! user = "consilium"
//! schema = "cdm"                        # the clinical tables
//! vocabulary_schema = "vocabulary"      # concept, concept_ancestor; `schema` where it is not said
//! ca = "hospital-ca.pem"                # the operating system's authorities where it is not said
//! client_cert = "consilium.crt"         # where the server asks for one; with client_key
//! client_key = "consilium.key"          # mode 0600
//! password_file = "password"            # mode 0600; without it PGPASSFILE, in libpq's format
//! statement_timeout_s = 3600            # 3600 where it is not said
//! connections = 1                       # 1 to 8, each reading another table of one snapshot; 1 where it is not said
//! ```
//! The server's certificate and its name are always checked (`sslmode = "verify-full"`). `sslmode = "disable"` is taken
//! for a Unix socket, where TLS is never spoken, and for this machine's own addresses. Paths are beside the file.

use super::error::InvalidDatabase;
use crate::files;
use crate::toml_keys::{FILE_BYTES_MAX, Keys, Mistakes, read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// libpq's and everybody's.
const PORT: u16 = 5432;
/// Longest statement where the file does not say, seconds: an hour.
const STATEMENT_TIMEOUT_S: u32 = 3600;
/// The longest that the file may say, seconds: a week.
const STATEMENT_TIMEOUT_S_MAX: u32 = 604_800;
/// Most connections: as many threads as read a folder.
const CONNECTIONS_MAX: usize = 8;
/// PostgreSQL cuts names off after so many bytes.
const NAME_BYTES_MAX: usize = 63;

/// How to reach a hospital's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it listens.
    pub host: Host,
    /// On which port.
    pub port: u16,
    /// Its name.
    pub database: String,
    /// The role that reads.
    pub user: String,
    /// Where the clinical tables are.
    pub schema: String,
    /// Where the vocabulary is.
    pub vocabulary_schema: String,
    /// How the connection is protected.
    pub transport: Transport,
    /// Where the password is.
    pub password: PasswordSource,
    /// Longest statement, seconds.
    pub statement_timeout_s: u32,
    /// How many connections read together.
    pub connections: usize,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or an address.
    Network(String),
    /// The folder of a Unix socket.
    Socket(PathBuf),
}

/// How a connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// TLS 1.3; the server's certificate and its name are checked.
    VerifyFull {
        /// PEM of the authorities that are believed; the operating system's where none is named.
        ca: Option<PathBuf>,
        /// This agent's certificate and key, PEM.
        identity: Option<(PathBuf, PathBuf)>,
    },
    /// None: a Unix socket, or this machine's own address.
    Plain,
}

/// Where a password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// Alone in a file.
    File(PathBuf),
    /// In a file of libpq's format.
    PassFile(PathBuf),
    /// Nowhere: the server knows the role otherwise.
    None,
}

impl Config {
    /// Reads a source file. `pass_file` is what the environment says in `PGPASSFILE`.
    ///
    /// # Errors
    /// The file cannot be read, or has mistakes; all of them are named.
    pub fn open(path: &Path, pass_file: Option<&Path>) -> Result<Self, InvalidDatabase> {
        let text = files::read_text(path, FILE_BYTES_MAX as u64)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder, pass_file)
            .map_err(|mistakes| InvalidDatabase::Mistakes { path: path.to_owned(), mistakes })
    }

    /// As [`Self::open`], from text; paths in it are beside `folder`.
    ///
    /// # Errors
    /// Every mistake, with its line and key.
    pub fn parse(text: &str, folder: &Path, pass_file: Option<&Path>) -> Result<Self, Mistakes> {
        read(text, |root| root.section("postgres", |keys| config(keys, folder, pass_file)))
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let Self { port, database, .. } = self;
        match &self.host {
            Host::Network(host) if host.contains(':') => format!("PostgreSQL [{host}]:{port}/{database}"),
            Host::Network(host) => format!("PostgreSQL {host}:{port}/{database}"),
            Host::Socket(folder) => format!("PostgreSQL {}:{port}/{database}", folder.display()),
        }
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let odd = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || byte == b',';
        match text {
            "" => None,
            text if text.starts_with('/') => cfg!(unix).then(|| Self::Socket(text.into())),
            text if text.parse::<IpAddr>().is_ok() => Some(Self::Network(text.to_owned())),
            // More than one host, a port, a URL: none of these.
            text if text.bytes().any(odd) || text.contains([':', '/', '@']) => None,
            text => Some(Self::Network(text.to_owned())),
        }
    }

    /// Whether what is sent there cannot leave this machine. `localhost` is taken by its addresses, whatever a name
    /// server says: see `session`.
    fn is_this_machine(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Network(host) => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

/// Every key is asked for before the first missing one ends it, so that all mistakes are named.
fn config(keys: &Keys<'_, '_>, folder: &Path, pass_file: Option<&Path>) -> Option<Config> {
    let host =
        keys.text("host", "a host's name or address, or the absolute folder of a Unix socket", Host::parse);
    let port = keys.optional_whole("port", "1 to 65535", |n| (1..=u16::MAX.into()).contains(&n));
    let name = "a name of at most 63 bytes";
    let database = keys.text("database", name, identifier);
    let user = keys.text("user", name, identifier);
    let schema = keys.text("schema", name, identifier);
    let vocabulary_schema = keys.optional_text("vocabulary_schema", name, identifier);
    let transport = transport(keys, host.as_ref(), folder);
    let password_file = keys.optional_text("password_file", "a file", |text| file(folder, text));
    let timeout = keys.optional_whole("statement_timeout_s", "1 to 604800, seconds", |n| {
        (1..=STATEMENT_TIMEOUT_S_MAX.into()).contains(&n)
    });
    let connections =
        keys.optional_whole("connections", "1 to 8", |n| (1..=CONNECTIONS_MAX as u64).contains(&n));
    let schema = schema?;
    Some(Config {
        host: host?,
        port: port?.map_or(PORT, |port| port.try_into().expect("at most 65535")),
        database: database?,
        user: user?,
        vocabulary_schema: vocabulary_schema?.unwrap_or_else(|| schema.clone()),
        schema,
        transport: transport?,
        password: match (password_file?, pass_file) {
            (Some(file), _) => PasswordSource::File(file),
            (None, Some(file)) => PasswordSource::PassFile(file.to_owned()),
            (None, None) => PasswordSource::None,
        },
        statement_timeout_s: timeout?
            .map_or(STATEMENT_TIMEOUT_S, |seconds| seconds.try_into().expect("at most a week")),
        connections: connections?.map_or(1, |connections| connections.try_into().expect("at most 8")),
    })
}

fn transport(keys: &Keys<'_, '_>, host: Option<&Host>, folder: &Path) -> Option<Transport> {
    let may_be_plain = host.is_none_or(Host::is_this_machine);
    let is_socket = matches!(host, Some(Host::Socket(_)));
    let expected = match (may_be_plain, is_socket) {
        (_, true) => "disable: TLS is never spoken over a Unix socket",
        (true, _) => "verify-full or disable",
        (false, _) => "verify-full: nothing less for a server on the network",
    };
    let plain = keys.optional_text("sslmode", expected, |mode| match mode {
        "verify-full" if !is_socket => Some(false),
        "disable" if may_be_plain => Some(true),
        _ => None,
    });
    if plain?.unwrap_or(is_socket) {
        let none = |key| keys.optional_text(key, "nothing, since TLS is not spoken", |_| None::<()>);
        none("ca").and(none("client_cert")).and(none("client_key"))?;
        return Some(Transport::Plain);
    }
    let ca = keys.optional_text("ca", "a file", |text| file(folder, text));
    let certificate = keys.optional_text("client_cert", "a file", |text| file(folder, text));
    let identity = match certificate? {
        Some(certificate) => {
            keys.text("client_key", "a file", |text| file(folder, text)).map(|key| Some((certificate, key)))
        }
        None => keys.optional_text("client_key", "client_cert beside it", |_| None),
    };
    Some(Transport::VerifyFull { ca: ca?, identity: identity? })
}

fn identifier(text: &str) -> Option<String> {
    let good = !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
    good.then(|| text.to_owned())
}

fn file(folder: &Path, text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| folder.join(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        "[postgres]\nhost = 'db.example'\ndatabase = 'omop'\nuser = 'reader'\nschema = 'cdm'\n";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/consilium"), None).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn the_documented_file() {
        let doc = include_str!("config.rs");
        let lines = doc.lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let text: Vec<&str> =
            lines.take_while(|line| *line != "//! ```").map(|line| line.trim_start_matches("//! ")).collect();
        let beside = |name: &str| PathBuf::from("/etc/consilium").join(name);
        let expected = Config {
            host: Host::Network("omop.hospital.example".into()),
            port: 5432,
            database: "omop".into(),
            user: "consilium".into(),
            schema: "cdm".into(),
            vocabulary_schema: "vocabulary".into(),
            transport: Transport::VerifyFull {
                ca: Some(beside("hospital-ca.pem")),
                identity: Some((beside("consilium.crt"), beside("consilium.key"))),
            },
            password: PasswordSource::File(beside("password")),
            statement_timeout_s: 3600,
            connections: 1,
        };
        assert_eq!(parse(&text.join("\n")), Ok(expected));
    }

    #[test]
    fn what_is_not_said() {
        let config = parse(LEAST).expect("enough");
        assert_eq!((config.port, config.vocabulary_schema.as_str()), (5432, "cdm"));
        assert_eq!((config.statement_timeout_s, config.connections), (3600, 1));
        assert_eq!(config.transport, Transport::VerifyFull { ca: None, identity: None });
        assert_eq!(config.password, PasswordSource::None);
        let with = Config::parse(LEAST, Path::new(""), Some(Path::new("/p"))).expect("enough");
        assert_eq!(with.password, PasswordSource::PassFile("/p".into()));
    }

    #[test]
    fn nothing_less_than_verify_full() {
        #[track_caller]
        fn check(host: &str, more: &str, expected: Result<bool, &str>) {
            let text = LEAST.replace("db.example", host) + more;
            match (parse(&text), expected) {
                (Ok(config), Ok(plain)) => assert_eq!(config.transport == Transport::Plain, plain, "{text}"),
                (Err(found), Err(part)) => assert!(found.contains(part), "{text}: {found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        check("db.example", "sslmode = 'verify-full'", Ok(false));
        for mode in ["disable", "allow", "prefer", "require", "verify-ca", "", "Verify-Full"] {
            check(
                "db.example",
                &format!("sslmode = '{mode}'"),
                Err("line 6: postgres.sslmode: expected verify-full"),
            );
        }
        for host in ["10.0.0.1", "localhost.example", "127.0.0.1.example", "2001:db8::1"] {
            check(host, "sslmode = 'disable'", Err("expected verify-full"));
        }
        for host in ["localhost", "127.0.0.1", "127.8.0.1", "::1"] {
            check(host, "", Ok(false));
            check(host, "sslmode = 'disable'", Ok(true));
            check(host, "sslmode = 'prefer'", Err("expected verify-full or disable"));
        }
        check("/run/postgresql", "", Ok(true));
        check("/run/postgresql", "sslmode = 'disable'", Ok(true));
        check("/run/postgresql", "sslmode = 'verify-full'", Err("expected disable"));
        check("/run/postgresql", "ca = 'x'", Err("postgres.ca: expected nothing"));
    }

    #[test]
    fn mistakes() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(parse(text).expect_err("a mistake"), expected, "{text}");
        }
        check("", "line 1: postgres: missing");
        check(
            "[postgres]\nhost = 'postgres://a'\nport = 0\ndatabase = ''\npassword = 'x'\nconnections = 9",
            "line 1: postgres.user: missing\nline 1: postgres.schema: missing\n\
             line 2: postgres.host: expected a host's name or address, or the absolute folder of a Unix socket, came 'postgres://a'\n\
             line 3: postgres.port: expected 1 to 65535, came 0\n\
             line 4: postgres.database: expected a name of at most 63 bytes, came ''\n\
             line 5: postgres.password: unknown key, expected ca, client_cert, client_key, connections, database, host, \
             password_file, port, schema, sslmode, statement_timeout_s, user, vocabulary_schema\n\
             line 6: postgres.connections: expected 1 to 8, came 9",
        );
        check(&format!("{LEAST}client_cert = 'x'"), "line 1: postgres.client_key: missing");
        check(
            &format!("{LEAST}client_key = 'x'"),
            "line 6: postgres.client_key: expected client_cert beside it, came 'x'",
        );
        check(&format!("{LEAST}port = 5432.5"), "line 6: postgres.port: expected 1 to 65535, came 5432.5");
    }
}
