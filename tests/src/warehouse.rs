//! A Ballista cluster on this machine, a scheduler and executors as processes of their own, and a hospital to read through it.

use crate::{Process, Said, run, wait_for};
use consilium_common::key::SecretKey;
use consilium_common::study::{RosterSite, fill_shipped};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The study that is asked of the invented hospitals.
const STUDY: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/studies/synthetic-psychosis.toml"));
/// A roster large enough for it; nobody trains here.
const SITES: [&str; 4] = ["ashford", "brackley", "corby", "dunmore"];

/// A port of loopback that nobody listens on. Somebody might take it before it is used again: a test then fails, and says
/// which program could not listen.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// A scheduler and its executors.
pub struct Cluster {
    scheduler: Process,
    executors: Vec<Process>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts them, and waits until all executors are known to the scheduler.
    ///
    /// # Panics
    /// When they do not come up.
    #[must_use]
    pub fn start(executors: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let log = |name: &str| folder.path().join(format!("{name}.log"));
        let arguments = [port.to_string(), executors.to_string()];
        let scheduler = Process::start("warehouse-scheduler", arguments, &log("scheduler"));
        wait_for("the scheduler listens", || get(port, "/healthz").filter(|said| said.contains(" 200 ")));
        let executors = (0..executors).map(|at| {
            let work = folder.path().join(at.to_string());
            fs::create_dir(&work).expect("a folder");
            let work = work.into_os_string().into_string().expect("UTF-8");
            let arguments = [port.to_string(), free_port().to_string(), free_port().to_string(), work];
            Process::start("warehouse-executor", arguments, &log(&format!("executor-{at}")))
        });
        let executors = executors.collect();
        wait_for("all executors are there", || get(port, "/readyz").filter(|said| said.contains(" 200 ")));
        Self { scheduler, executors, port, folder }
    }

    /// As a `source.toml` names it.
    #[must_use]
    pub fn engine(&self) -> String {
        format!("ballista://127.0.0.1:{}", self.port)
    }

    /// Kills an executor, as a machine that loses its power.
    pub fn kill_executor(&mut self, at: usize) {
        self.executors[at].kill();
    }

    /// Kills the scheduler.
    pub fn kill_scheduler(&mut self) {
        self.scheduler.kill();
    }

    /// What an executor has written for others to fetch, bytes: more than nothing once it has work.
    #[must_use]
    pub fn written(&self, at: usize) -> u64 {
        bytes_within(&self.folder.path().join(at.to_string()))
    }

    /// Everything that scheduler and executors said.
    #[must_use]
    pub fn logs(&self) -> String {
        let names = (0..self.executors.len()).map(|at| format!("executor-{at}"));
        let read = |name: String| {
            fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default()
        };
        names.chain(["scheduler".to_owned()]).map(read).collect()
    }
}

fn bytes_within(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_within(&entry.path()),
        Ok(found) => found.len(),
        // It went meanwhile.
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// What a scheduler answers, headers and all; none where nobody does.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    Some(said)
}

/// An invented hospital with its records as CSV and as Parquet, an agent's home, and a study of it.
pub struct Hospital {
    folder: tempfile::TempDir,
}

impl Hospital {
    /// Invents one of about so many people.
    ///
    /// # Panics
    /// When a command fails.
    #[must_use]
    pub fn invented(people: u32) -> Self {
        let made = Self { folder: tempfile::tempdir().expect("a folder") };
        for form in ["csv", "parquet"] {
            let (out, people) = (made.path(form), people.to_string());
            let arguments =
                ["synth", "--out", &out, "--sites", "1", "--people", &people, "--no-notes", "--form", form];
            let _ = run("site-agent", arguments).ok();
        }
        let home = made.path("home");
        let _ = run("site-agent", ["init", "--home", &home, "--site", SITES[0]]).ok();
        let key = |at: usize| SecretKey::from_seed(&[u8::try_from(at).expect("few") + 1; 32]).public();
        let roster = SITES.iter().enumerate().map(|(at, name)| RosterSite {
            name: name.parse().expect("a site's name"),
            key: key(at),
            people_public: 5000,
            weight: 65_536,
        });
        let filled = fill_shipped(STUDY, &roster.collect::<Vec<_>>(), None);
        fs::write(made.path("study.toml"), filled.unwrap_or_else(|mistakes| panic!("{mistakes}")).text)
            .expect("written");
        made
    }

    /// A path in its folder.
    ///
    /// # Panics
    /// Never on systems whose temporary folder is UTF-8.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().expect("UTF-8")
    }

    /// The folder of its records in a form, `csv` or `parquet`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn records(&self, form: &str) -> PathBuf {
        let mut sites =
            fs::read_dir(self.path(form)).expect("invented").map(|entry| entry.expect("there").path());
        sites.find(|site| site.is_dir()).expect("one site").join("omop")
    }

    /// Writes a `source.toml`; its path.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn source(&self, engine: &str, tables: &Path, more: &str) -> String {
        let path = self.path("source.toml");
        let text = format!("[warehouse]\nengine = '{engine}'\ntables = '{}'\n{more}\n", tables.display());
        fs::write(&path, text).expect("written");
        path
    }

    /// Writes the examples of what lies at a path to a file; the file where that went well.
    ///
    /// # Panics
    /// When the file cannot be read back.
    pub fn examples(&self, data: &str) -> Result<Vec<u8>, Said> {
        let (home, study, out) = (self.path("home"), self.path("study.toml"), self.path("examples"));
        let _ = fs::remove_file(&out);
        let arguments = [
            "data",
            "export",
            "--home",
            &home,
            "--examples",
            "--study",
            &study,
            "--data",
            data,
            "--out",
            &out,
        ];
        let said = run("site-agent", arguments);
        if said.code == 0 { Ok(fs::read(&out).expect("written")) } else { Err(said) }
    }

    /// What `data check --study` says of what lies at a path, as JSON.
    #[must_use]
    pub fn check(&self, data: &str) -> serde_json::Value {
        let (home, study) = (self.path("home"), self.path("study.toml"));
        run(
            "site-agent",
            ["data", "check", "--home", &home, "--study", &study, "--data", data, "--format", "json"],
        )
        .json()
    }
}
