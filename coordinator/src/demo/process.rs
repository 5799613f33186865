//! The demo's child processes: the very programs that hospitals and consortium run.

use crate::operator::CommandError;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A program of this build that runs until it is dropped.
pub(super) struct Running {
    /// Who it is, for messages.
    pub name: String,
    child: Child,
    log: PathBuf,
}

/// The program of this name beside the running one.
pub(super) fn program(name: &str) -> Result<PathBuf, CommandError> {
    let own = std::env::current_exe().map_err(CommandError::fault)?;
    let path = own.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if path.exists() {
        Ok(path)
    } else {
        Err(CommandError::input(format!(
            "{} is not there: the demo runs it; build all programs with `cargo build --release`",
            path.display()
        )))
    }
}

/// Runs a command to its end; its standard output, or what it said went wrong.
pub(super) async fn run<A: AsRef<OsStr>>(
    program: &Path,
    args: impl IntoIterator<Item = A>,
) -> Result<String, CommandError> {
    let args: Vec<_> = args.into_iter().map(|a| a.as_ref().to_owned()).collect();
    let output = Command::new(program)
        .args(&args)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| CommandError::fault(format!("{}: {error}", program.display())))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    let verb: Vec<_> = args.iter().take(2).map(|a| a.to_string_lossy()).collect();
    let text = format!("{name} {}: {}", verb.join(" "), said.trim().trim_start_matches("error: "));
    Err(match output.status.code() {
        Some(1) => CommandError::Refused(text),
        Some(2) => CommandError::Input(text),
        Some(3) => CommandError::Unreachable(text),
        _ => CommandError::Fault(text),
    })
}

impl Running {
    /// Starts a program whose messages go to `log`.
    pub(super) fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        log: PathBuf,
    ) -> Result<Self, CommandError> {
        let file = std::fs::File::create(&log).map_err(CommandError::fault)?;
        let copy = file.try_clone().map_err(CommandError::fault)?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| CommandError::fault(format!("{}: {error}", program.display())))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its most memory so far, MiB; `None` where the system does not tell.
    pub(super) fn peak_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024.0)
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), CommandError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(CommandError::fault(format!(
                "{} ended early ({status}); the end of {}:\n{}",
                self.name,
                self.log.display(),
                self.last_words()
            ))),
            Err(error) => Err(CommandError::fault(format!("{}: {error}", self.name))),
        }
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Ends it.
    pub(super) async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}
