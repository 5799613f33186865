//! The `[warehouse]` of a `source.toml`: which engine reads a folder of OMOP tables, and how much it may take.
//!
//! ```toml
//! [warehouse]
//! engine = "ballista://scheduler.hospital.example:50050"   # or "embedded": within this program
//! tables = "/warehouse/omop"      # the folder; scheduler and executors see it at this very path
//! partitions = 16                 # parts of a table that are read at once; this machine's cores, of a cluster 16
//! memory_mib = 1024               # of "embedded" only: what the engine may take; 1024 where it is not said
//! scratch = "/encrypted/scratch"  # of "embedded" only: where it may spill; the system's temporary folder
//! timeout_s = 3600                # longest wait for the next rows; 3600 where it is not said
//! ```
//! Nothing here is a secret. A cluster is not asked for a password, and asks for none: see docs/OPERATIONS.md.

use super::error::InvalidWarehouse;
use crate::files;
use crate::toml_keys::{FILE_BYTES_MAX, Keys, Mistakes, read};
use std::path::{Path, PathBuf};
use std::thread;

/// Where a scheduler listens if nothing else is said to it.
const PORT: u16 = 50050;
/// Parts of a table on a cluster, where the file does not say: Ballista's own choice.
const CLUSTER_PARTITIONS: u64 = 16;
const PARTITIONS_MAX: u64 = 1024;
/// Memory of the embedded engine where the file does not say, MiB.
const MEMORY_MIB: u64 = 1024;
/// The least and the most that the file may say, MiB; the most is a tebibyte.
const MEMORY_MIB_RANGE: std::ops::RangeInclusive<u64> = 64..=1_048_576;
/// Longest wait where the file does not say, seconds: an hour.
const TIMEOUT_S: u64 = 3600;
/// The longest that the file may say, seconds: a week.
const TIMEOUT_S_MAX: u64 = 604_800;

/// Which engine reads which folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Who reads.
    pub engine: Engine,
    /// The folder of OMOP tables.
    pub tables: PathBuf,
    /// Parts of a table that are read at once.
    pub partitions: usize,
    /// Longest wait for the next rows, seconds.
    pub timeout_s: u64,
}

/// Who reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// This program.
    Embedded {
        /// What it may take, MiB.
        memory_mib: u64,
        /// Where it may spill: patient data, not encrypted; the system's temporary folder where none is named.
        scratch: Option<PathBuf>,
    },
    /// A cluster, by its scheduler.
    Ballista(Scheduler),
}

/// Where a scheduler listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// A name or an address.
    pub host: String,
    /// On which port.
    pub port: u16,
}

impl Config {
    /// Reads a source file, if it is one of a warehouse; none where it is of something else.
    ///
    /// # Errors
    /// It is one, and has mistakes; all of them are named.
    pub fn open(path: &Path) -> Result<Option<Self>, InvalidWarehouse> {
        let text = files::read_text(path, FILE_BYTES_MAX as u64)?;
        if !names_warehouse(&text) {
            return Ok(None);
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let mistakes = |mistakes| InvalidWarehouse::Mistakes { path: path.to_owned(), mistakes };
        Self::parse(&text, folder).map(Some).map_err(mistakes)
    }

    /// As [`Self::open`], from text; paths in it are beside `folder`.
    ///
    /// # Errors
    /// Every mistake, with its line and key.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Mistakes> {
        read(text, |root| root.section("warehouse", |keys| config(keys, folder)))
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let tables = self.tables.display();
        match &self.engine {
            Engine::Embedded { .. } => format!("{tables} (engine: embedded)"),
            Engine::Ballista(scheduler) => format!("{tables} (engine: {scheduler})"),
        }
    }
}

impl std::fmt::Display for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "ballista://[{host}]:{port}")
        } else {
            write!(f, "ballista://{host}:{port}")
        }
    }
}

/// Whether a file is meant as one of a warehouse; mistakes are said when it is read as what it is.
fn names_warehouse(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("warehouse"))
}

/// Every key is asked for before the first missing one ends it, so that all mistakes are named.
fn config(keys: &Keys<'_, '_>, folder: &Path) -> Option<Config> {
    let expected = "embedded, or a scheduler as ballista://HOST:PORT";
    let scheduler = keys.text("engine", expected, |text| match text {
        "embedded" => Some(None),
        _ => scheduler(text).map(Some),
    });
    let is_embedded = scheduler.as_ref().is_none_or(Option::is_none);
    let beside = |text: &str| (!text.is_empty()).then(|| folder.join(text));
    let tables = keys.text("tables", "a folder", beside);
    let partitions = keys.optional_whole("partitions", "1 to 1024", |n| (1..=PARTITIONS_MAX).contains(&n));
    let of_embedded = |expected: &'static str| {
        if is_embedded { expected } else { "nothing, since executors have settings of their own" }
    };
    let memory_mib = keys.optional_whole("memory_mib", of_embedded("64 to 1048576, MiB"), |mib| {
        is_embedded && MEMORY_MIB_RANGE.contains(&mib)
    });
    let scratch =
        keys.optional_text("scratch", of_embedded("a folder"), |text| beside(text).filter(|_| is_embedded));
    let timeout_s =
        keys.optional_whole("timeout_s", "1 to 604800, seconds", |s| (1..=TIMEOUT_S_MAX).contains(&s));
    let engine = match scheduler? {
        Some(scheduler) => Engine::Ballista(scheduler),
        None => Engine::Embedded { memory_mib: memory_mib?.unwrap_or(MEMORY_MIB), scratch: scratch? },
    };
    let cores = || thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let partitions = partitions?.unwrap_or_else(|| if is_embedded { cores() } else { CLUSTER_PARTITIONS });
    Some(Config {
        engine,
        tables: tables?,
        partitions: usize::try_from(partitions.min(PARTITIONS_MAX)).expect("at most 1024"),
        timeout_s: timeout_s?.unwrap_or(TIMEOUT_S),
    })
}

/// `ballista://HOST`, `ballista://HOST:PORT`, with an address of IPv6 in brackets.
fn scheduler(text: &str) -> Option<Scheduler> {
    let text = text.strip_prefix("ballista://")?;
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, rest)) => (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) }),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_address = text.starts_with('[');
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let good = if is_address {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !host.is_empty() && host.bytes().all(of_host)
    };
    let port = port.map_or(Some(PORT), |port| port.parse().ok().filter(|port| *port != 0))?;
    good.then(|| Scheduler { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[warehouse]\nengine = 'embedded'\ntables = '/omop'\n";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/consilium")).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn the_documented_file() {
        let doc = include_str!("config.rs");
        let lines = doc.lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let text: Vec<&str> =
            lines.take_while(|line| *line != "//! ```").map(|line| line.trim_start_matches("//! ")).collect();
        let text = text.join("\n");
        assert!(names_warehouse(&text));
        // What it says of either engine cannot be in one file.
        let embedded = text.replace("ballista://scheduler.hospital.example:50050", "embedded");
        let expected = Config {
            engine: Engine::Embedded { memory_mib: 1024, scratch: Some("/encrypted/scratch".into()) },
            tables: "/warehouse/omop".into(),
            partitions: 16,
            timeout_s: 3600,
        };
        assert_eq!(parse(&embedded), Ok(expected.clone()));
        let is_of_embedded = |line: &&str| line.starts_with("memory_mib") || line.starts_with("scratch");
        let cluster: Vec<&str> = text.lines().filter(|line| !is_of_embedded(line)).collect();
        let scheduler = Scheduler { host: "scheduler.hospital.example".into(), port: 50050 };
        let expected = Config { engine: Engine::Ballista(scheduler), ..expected };
        assert_eq!(parse(&cluster.join("\n")), Ok(expected.clone()));
        assert_eq!(expected.place(), "/warehouse/omop (engine: ballista://scheduler.hospital.example:50050)");
    }

    #[test]
    fn what_is_not_said() {
        let config = parse(LEAST).expect("enough");
        assert_eq!(config.engine, Engine::Embedded { memory_mib: 1024, scratch: None });
        assert!(config.partitions >= 1 && config.timeout_s == 3600);
        let beside = parse(&LEAST.replace("/omop", "omop")).expect("enough");
        assert_eq!(beside.tables, Path::new("/etc/consilium/omop"));
        let cluster = parse(&LEAST.replace("embedded", "ballista://here")).expect("enough");
        assert_eq!((cluster.partitions, cluster.timeout_s), (16, 3600));
    }

    #[test]
    fn schedulers() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, u16)>) {
            let expected = expected.map(|(host, port)| Scheduler { host: host.to_owned(), port });
            assert_eq!(scheduler(text), expected, "{text}");
            if let Some(found) = expected {
                assert_eq!(scheduler(&found.to_string()), Some(found), "said again");
            }
        }
        check("ballista://scheduler", Some(("scheduler", 50050)));
        check("ballista://10.0.0.7:1234", Some(("10.0.0.7", 1234)));
        check("ballista://a.b-c.example:50050/", Some(("a.b-c.example", 50050)));
        check("ballista://[2001:db8::1]:7", Some(("2001:db8::1", 7)));
        check("ballista://[::1]", Some(("::1", 50050)));
        for bad in [
            "",
            "ballista://",
            "ballista://:1",
            "ballista://a:0",
            "ballista://a:65536",
            "ballista://a:b",
            "ballista://a/b",
            "ballista://user@a:1",
            "ballista://[a]:1",
            "ballista://[::1]1",
            "ballista://::1",
            "ballista:a",
            "http://a:1",
            "df://a:1",
            "a:1",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn mistakes() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(parse(text).expect_err("a mistake"), expected, "{text}");
        }
        check("", "line 1: warehouse: missing");
        check(
            "[warehouse]\nengine = 'spark'\nmemory_mib = 1\npartitions = 0\ntimeout_s = 0\npassword = 'x'\nscratch = ''",
            "line 1: warehouse.tables: missing\n\
             line 2: warehouse.engine: expected embedded, or a scheduler as ballista://HOST:PORT, came 'spark'\n\
             line 3: warehouse.memory_mib: expected 64 to 1048576, MiB, came 1\n\
             line 4: warehouse.partitions: expected 1 to 1024, came 0\n\
             line 5: warehouse.timeout_s: expected 1 to 604800, seconds, came 0\n\
             line 6: warehouse.password: unknown key, expected engine, memory_mib, partitions, scratch, tables, timeout_s\n\
             line 7: warehouse.scratch: expected a folder, came ''",
        );
        let cluster = LEAST.replace("embedded", "ballista://here");
        check(
            &format!("{cluster}memory_mib = 512\n"),
            "line 4: warehouse.memory_mib: expected nothing, since executors have settings of their own, came 512",
        );
        check(
            &format!("{cluster}scratch = '/s'\n"),
            "line 4: warehouse.scratch: expected nothing, since executors have settings of their own, came '/s'",
        );
        let both = format!("{LEAST}[postgres]\nhost = 'db'\n");
        check(&both, "line 4: postgres: unknown key, expected warehouse");
        assert!(names_warehouse(&both) && !names_warehouse("[postgres]\nhost = 'db'\n"));
        assert!(!names_warehouse("[warehouse\n") && !names_warehouse("# [warehouse]\n"));
    }

    #[test]
    fn a_file_of_something_else_is_none() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("source.toml");
        let open = |text: &str| {
            std::fs::write(&path, text).expect("written");
            Config::open(&path)
        };
        assert!(matches!(open("[postgres]\n"), Ok(None)));
        assert!(matches!(open(LEAST), Ok(Some(_))));
        let Err(error) = open("[warehouse]\nengine = 'embedded'\n") else { panic!("a mistake") };
        assert!(error.to_string().ends_with("line 1: warehouse.tables: missing"), "{error}");
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(Config::open(&path), Err(InvalidWarehouse::File(_))));
    }
}
