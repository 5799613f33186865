//! What the tests over real processes share: they run the very programs that users run, through
//! their command lines, in a temporary folder, on loopback.

pub mod audit;
pub mod hospital;
pub mod measure;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod scripted;
pub mod secure;
#[cfg(feature = "warehouse")]
pub mod warehouse;

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Nothing in a test waits longer than this.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The program of this name, as `cargo test --workspace` has built it.
///
/// # Panics
/// When it is not there: only parts of the workspace were built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a running test has a path");
    let folder = own.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo test --workspace`", path.display());
    path
}

/// The project's own folder.
#[must_use]
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; −1 when it was killed.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output of a command that must have succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "exit code\n{}\n{}", self.out, self.err);
        self.out
    }

    /// Standard output as one JSON document.
    ///
    /// # Panics
    /// When the command failed or printed something else.
    #[must_use]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Checks a refusal: its exit code, and what its message holds.
    ///
    /// # Panics
    /// When either differs.
    pub fn refused(&self, code: i32, holds: &str) {
        assert_eq!(self.code, code, "exit code\n{}\n{}", self.out, self.err);
        assert!(self.err.contains(holds), "expected {holds:?} in: {}", self.err);
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it cannot be run at all.
pub fn run<A: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = A>) -> Said {
    let output =
        Command::new(program(name)).args(args).stdin(Stdio::null()).output().expect("the program runs");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("programs print UTF-8"),
        err: String::from_utf8(output.stderr).expect("programs print UTF-8"),
    }
}

/// Waits until `done` gives something.
///
/// # Panics
/// After [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process that ends with the test.
pub struct Process {
    child: Child,
}

impl Process {
    fn start<A: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = A>, log: &Path) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        let child = Command::new(program(name))
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("the program runs");
        Self { child }
    }

    /// The system's number for it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM: what is under way is brought to its end.
    ///
    /// # Panics
    /// When there is no such signal here, or the process cannot be waited for.
    pub fn stop(&mut self) {
        let asked = Command::new("kill").arg(self.id().to_string()).status().expect("a system with signals");
        assert!(asked.success(), "the process was there");
        self.child.wait().expect("a child can be waited for");
    }

    /// SIGKILL: nothing is written any more.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A consortium on this machine: a coordinator and enrolled sites with synthetic tables.
pub struct Federation {
    folder: tempfile::TempDir,
    /// The sites' names.
    pub sites: Vec<String>,
    coordinator: Option<Process>,
    agents: Vec<Option<Process>>,
}

impl Federation {
    /// Makes a coordinator that runs and `sites` enrolled sites that do not yet.
    ///
    /// # Panics
    /// When any command fails.
    #[must_use]
    pub fn enrolled(sites: u32, people: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut made = Self { folder, sites: Vec::new(), coordinator: None, agents: Vec::new() };
        let data = made.path("data");
        let (count, people) = (sites.to_string(), people.to_string());
        let _ = run("site-agent", ["synth", "--out", &data, "--sites", &count, "--people", &people]).ok();
        let mut names: Vec<String> = std::fs::read_dir(&data)
            .expect("made")
            .map(|e| e.expect("readable"))
            .filter(|e| e.path().is_dir())
            .map(|e| e.file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        let home = made.coordinator_home();
        let _ = made.coordinator(["init", "--listen", "127.0.0.1:0", "--host", "127.0.0.1"]).ok();
        made.start_coordinator();
        for site in &names {
            let _ = run("site-agent", ["init", "--home", &made.home(site), "--site", site]).ok();
            made.enroll(site);
        }
        made.agents = names.iter().map(|_| None).collect();
        made.sites = names;
        made.introduce();
        assert!(Path::new(&home).exists());
        made
    }

    /// A path in the temporary folder.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The coordinator's folder.
    #[must_use]
    pub fn coordinator_home(&self) -> String {
        self.path("coordinator")
    }

    /// A site's folder.
    #[must_use]
    pub fn home(&self, site: &str) -> String {
        self.path(&format!("agent-{site}"))
    }

    /// A site's table.
    #[must_use]
    pub fn table(&self, site: &str) -> String {
        self.path(&format!("data/{site}/table.csv"))
    }

    /// A coordinator command with its `--home`.
    pub fn coordinator<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Said {
        let home = self.coordinator_home();
        run("coordinator", args.into_iter().map(str::to_owned).chain(["--home".into(), home]))
    }

    /// A site agent's command with its `--home`.
    pub fn agent<'a>(&self, site: &str, args: impl IntoIterator<Item = &'a str>) -> Said {
        let home = self.home(site);
        run("site-agent", args.into_iter().map(str::to_owned).chain(["--home".into(), home]))
    }

    /// Invites and enrols a site.
    ///
    /// # Panics
    /// When either fails.
    pub fn enroll(&self, site: &str) {
        let invite = self.path(&format!("{site}.invite"));
        let _ = self.coordinator(["site", "invite", site, "--out", &invite]).ok();
        let _ = self.agent(site, ["enroll", &invite]).ok();
        std::fs::remove_file(invite).expect("it was there");
    }

    /// Starts (or starts again) the coordinator and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start_coordinator(&mut self) {
        let home = self.coordinator_home();
        let log = PathBuf::from(self.path("coordinator.log"));
        let mut arguments = vec!["serve".to_owned(), "--home".into(), home];
        // The same port again, so that agents find it where it was.
        if let Ok(text) = std::fs::read_to_string(self.path("port")) {
            arguments.extend(["--listen".into(), format!("127.0.0.1:{text}")]);
        }
        self.coordinator = Some(Process::start("coordinator", arguments, &log));
        let address = wait_for("the coordinator answers", || {
            (self.coordinator(["site", "list"]).code == 0)
                .then(|| std::fs::read_to_string(self.path("coordinator/address")).ok())
                .flatten()
        });
        let port = address.rsplit_once(':').expect("an address with a port").1.to_owned();
        std::fs::write(self.path("port"), port).expect("writes");
    }

    /// The running coordinator's process.
    #[must_use]
    pub const fn coordinator_process(&self) -> Option<&Process> {
        self.coordinator.as_ref()
    }

    /// A site's running agent.
    ///
    /// # Panics
    /// When the site is unknown.
    #[must_use]
    pub fn agent_process(&self, site: &str) -> Option<&Process> {
        let at = self.sites.iter().position(|s| s == site).expect("a site of this federation");
        self.agents[at].as_ref()
    }

    /// Kills the coordinator where it stands.
    pub fn kill_coordinator(&mut self) {
        if let Some(mut process) = self.coordinator.take() {
            process.kill();
        }
        let _ = std::fs::remove_file(self.path("coordinator/address"));
    }

    /// Each site learns the others' keys, as by telephone.
    fn introduce(&self) {
        let listed = self.coordinator(["site", "list", "--format", "json"]).json();
        let mut lines = String::from("\n");
        for site in listed.as_array().expect("a list") {
            lines += &format!("{} = {}\n", site["name"].as_str().expect("a name"), site["key"]);
        }
        for site in &self.sites {
            let path = format!("{}/site-policy.toml", self.home(site));
            let policy = std::fs::read_to_string(&path).expect("made by init");
            let (before, after) = policy.split_once("[known_sites]").expect("init writes the section");
            std::fs::write(&path, format!("{before}[known_sites]{lines}{after}")).expect("writes");
        }
    }

    /// A study over all sites from the shipped synthetic one, with some of its lines replaced:
    /// `(key, value)` replaces the first `key = …` line.
    ///
    /// # Panics
    /// When a key is not there, or the study is not valid.
    pub fn study(&self, epsilon: &str, changes: &[(&str, &str)]) -> String {
        self.study_of("synthetic-selfharm", epsilon, changes)
    }

    /// As [`Self::study`], from any study of `docs/studies`.
    ///
    /// # Panics
    /// As there.
    pub fn study_of(&self, shipped: &str, epsilon: &str, changes: &[(&str, &str)]) -> String {
        let template = project().join(format!("docs/studies/{shipped}.toml"));
        let mut text = std::fs::read_to_string(template).expect("shipped");
        for (key, value) in changes {
            text = replace(&text, key, value);
        }
        let (from, out) = (self.path("template.toml"), self.path("study.toml"));
        let _ = std::fs::remove_file(&out);
        std::fs::write(&from, text).expect("writes");
        let mut args = vec!["study", "new", "--from", &from, "--out", &out, "--epsilon", epsilon];
        let people: Vec<String> = self
            .sites
            .iter()
            .map(|s| {
                let rows = std::fs::read_to_string(self.table(s)).expect("made").lines().count() - 1;
                format!("--people={s}={rows}")
            })
            .collect();
        args.extend(people.iter().map(String::as_str));
        let _ = self.coordinator(args).ok();
        out
    }

    /// Publishes a study; its digest.
    pub fn publish(&self, file: &str) -> String {
        let said = self.coordinator(["study", "publish", file, "--format", "json"]).json();
        said["digest"].as_str().expect("a digest").to_owned()
    }

    /// Every site approves.
    pub fn approve(&self, digest: &str) {
        for site in &self.sites {
            let _ = self.agent(site, ["study", "approve", digest, "--approver", "guardian"]).ok();
        }
    }

    /// Starts one site's agent.
    ///
    /// # Panics
    /// When the site is unknown.
    pub fn start_agent(&mut self, site: &str) {
        let data = self.table(site);
        self.start_agent_on(site, &data);
    }

    /// Starts one site's agent on other data than its table.
    ///
    /// # Panics
    /// When the site is unknown.
    pub fn start_agent_on(&mut self, site: &str, data: &str) {
        let at = self.sites.iter().position(|s| s == site).expect("a site of this federation");
        let home = self.home(site);
        let log = PathBuf::from(self.path(&format!("{site}.log")));
        let arguments = ["serve", "--home", &home, "--data", data];
        self.agents[at] = Some(Process::start("site-agent", arguments, &log));
    }

    /// Starts every site's agent.
    pub fn start_agents(&mut self) {
        for site in self.sites.clone() {
            self.start_agent(&site);
        }
    }

    /// Asks a site's agent to stop, and waits until it has.
    ///
    /// # Panics
    /// When the site is unknown.
    pub fn stop_agent(&mut self, site: &str) {
        let at = self.sites.iter().position(|s| s == site).expect("a site of this federation");
        if let Some(mut process) = self.agents[at].take() {
            process.stop();
        }
    }

    /// Kills a site's agent where it stands.
    ///
    /// # Panics
    /// When the site is unknown.
    pub fn kill_agent(&mut self, site: &str) {
        let at = self.sites.iter().position(|s| s == site).expect("a site of this federation");
        if let Some(mut process) = self.agents[at].take() {
            process.kill();
        }
    }

    /// The study's state as `study status` gives it.
    #[must_use]
    pub fn status(&self, digest: &str) -> Value {
        self.coordinator(["study", "status", digest, "--format", "json"]).json()[0].clone()
    }

    /// Waits until the study has ended; why.
    #[must_use]
    pub fn ended(&self, digest: &str) -> String {
        wait_for("the study ends", || {
            let status = self.status(digest);
            (status["phase"] == "ended")
                .then(|| status["detail"]["reason"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// Writes the results of an ended study; the folder.
    #[must_use]
    pub fn report(&self, digest: &str) -> PathBuf {
        let out = self.path("results");
        let _ = self.coordinator(["study", "report", digest, "--out", &out]).ok();
        PathBuf::from(out)
    }

    /// What a program has logged so far.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }
}

/// The text with its first `key = …` line changed.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn replace(text: &str, key: &str, value: &str) -> String {
    let mut found = false;
    let lines = text.lines().map(|line| {
        let is_it = line.split_once('=').is_some_and(|(k, _)| k.trim() == key);
        if is_it && !found {
            found = true;
            return format!("{key} = {value}");
        }
        line.to_owned()
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    assert!(found, "no key {key} in the study");
    text
}
