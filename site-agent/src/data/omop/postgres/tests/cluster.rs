//! A PostgreSQL of a test's own, in a temporary folder, gone when the test ends.
//!
//! Where no PostgreSQL is installed a test says that it is skipped; with `CONSILIUM_REQUIRE_POSTGRES=1`, as in `.ci/run`, it
//! fails instead. PostgreSQL does not run as root: then its programs run as `postgres`, or as `nobody`. This file uses the
//! standard library and `tempfile` alone, since a bench includes it as well.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How often a port that somebody else took in between is given up for another.
const TRIES: usize = 5;

/// A running server; superuser `postgres`, whom the socket lets in without a password, as everybody.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    /// Whose processes they are, where we are root.
    user: Option<(u32, u32)>,
    port: u16,
}

impl Cluster {
    /// Starts one that listens on a Unix socket in its folder and on 127.0.0.1, with these further settings; none where no
    /// PostgreSQL is installed.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            let required = std::env::var_os("CONSILIUM_REQUIRE_POSTGRES").is_some_and(|value| value == "1");
            assert!(
                !required,
                "CONSILIUM_REQUIRE_POSTGRES=1, and no initdb below /usr/lib/postgresql or on PATH"
            );
            // Not by a macro: what those print is shown of tests that fail only.
            let thread = std::thread::current();
            let why = "no PostgreSQL (initdb) below /usr/lib/postgresql or on PATH";
            let said = writeln!(std::io::stderr(), "skipped: {}: {why}", thread.name().unwrap_or("a test"));
            said.expect("standard error is open");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let is_root = fs::metadata(folder.path()).expect("made").uid() == 0;
        let user = is_root.then(unprivileged);
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).expect("given away");
        }
        let mut cluster = Self { folder, programs, user, port: 0 };
        cluster.run(
            "initdb",
            &[
                "--pgdata=data",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
        );
        let own = ["fsync = off", "listen_addresses = '127.0.0.1'", "timezone = 'Europe/London'"];
        let settings: Vec<String> = own.iter().chain(settings).map(|line| format!("{line}\n")).collect();
        cluster.append("postgresql.conf", &settings.concat());
        for _ in 0..TRIES {
            cluster.port = TcpListener::bind("127.0.0.1:0")
                .and_then(|socket| socket.local_addr())
                .expect("a port")
                .port();
            let options = format!("-p {} -k {}", cluster.port, cluster.folder().display());
            let mut start = cluster.command("pg_ctl");
            start.args(["--pgdata=data", "--wait", "--log=log", "--options", &options, "start"]);
            // Its output would keep a pipe open for as long as the server lives.
            if start.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("runs").success() {
                return Some(cluster);
            }
        }
        let log = fs::read_to_string(cluster.folder().join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start: {log}");
    }

    /// Where the socket is, and the log.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// On which port it listens, and after which the socket is named.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Adds to a file of the cluster's settings.
    pub(crate) fn append(&self, name: &str, text: &str) {
        let path = self.folder().join("data").join(name);
        let mut file = fs::OpenOptions::new().append(true).open(path).expect("there");
        file.write_all(text.as_bytes()).expect("written");
    }

    /// Puts a file of the cluster's own in place, as private as a key has to be.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder().join("data").join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("private");
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).expect("given away");
        }
    }

    /// Has the settings read again.
    pub(crate) fn restart(&self) {
        let options = format!("-p {} -k {}", self.port, self.folder().display());
        let mut restart = self.command("pg_ctl");
        restart.args([
            "--pgdata=data",
            "--wait",
            "--mode=fast",
            "--log=log",
            "--options",
            &options,
            "restart",
        ]);
        let status = restart.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("runs");
        let log = || fs::read_to_string(self.folder().join("log")).unwrap_or_default();
        assert!(status.success(), "{}", log());
    }

    /// Runs a script of psql's as superuser; what it printed, without headers.
    pub(crate) fn sql(&self, script: &str) -> String {
        let mut psql = self.psql(&["--file=-"]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = psql.spawn().expect("psql");
        let mut input = running.stdin.take().expect("piped");
        let script = script.to_owned();
        let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
        let output = running.wait_with_output().expect("ends");
        drop(writer.join().expect("no panic"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// psql as superuser, with these further arguments.
    pub(crate) fn psql(&self, arguments: &[&str]) -> Command {
        let mut psql = self.command("psql");
        psql.arg(format!("--host={}", self.folder().display())).arg(format!("--port={}", self.port));
        psql.args([
            "--username=postgres",
            "--dbname=postgres",
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
        ]);
        psql.arg("--set=ON_ERROR_STOP=1").args(arguments);
        psql
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir(self.folder());
        command.stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().expect("runs");
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        stop.args(["--pgdata=data", "--wait", "--mode=immediate", "stop"]);
        drop(stop.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}

/// The folder of the newest PostgreSQL's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|bin| bin.join("initdb").exists())
    };
    found.pop().map(|(_, bin)| bin).or_else(on_path)
}

/// User and group of somebody who is not root.
fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("users");
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody")).expect("postgres or nobody in /etc/passwd")
}
