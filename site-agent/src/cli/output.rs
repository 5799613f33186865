//! Prints for people or for programs. Results go to standard output, everything else to standard
//! error.

use super::args::Format;
use crate::doctor::Check;
use crate::failure::{Failure, Kind};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};

/// Where and how results are printed.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    /// A result in both forms.
    pub(super) fn result(&self, human: &str, json: &Value) -> Result<(), Failure> {
        match self.format {
            Format::Text => write(human),
            Format::Json => write(&format!("{json:#}")),
        }
    }

    /// A table: framed on a terminal, tab-separated lines otherwise; or the JSON.
    pub(super) fn table(&self, headers: &[&str], rows: &[Vec<String>], json: &Value) -> Result<(), Failure> {
        self.result(&table(headers, rows), json)
    }

    /// Ticks and crosses; exit code 1 if there is any cross.
    pub(super) fn checks(&self, checks: &[Check]) -> Result<(), Failure> {
        let lines: Vec<String> = checks
            .iter()
            .map(|check| format!("{} {}: {}", if check.ok { '✓' } else { '✗' }, check.name, check.found))
            .collect();
        self.result(&lines.join("\n"), &json!({ "ok": checks.iter().all(|c| c.ok), "checks": checks }))?;
        let crosses = checks.iter().filter(|check| !check.ok).count();
        match crosses {
            0 => Ok(()),
            1 => Err(Failure::refused("one thing is amiss")),
            n => Err(Failure::refused(format!("{n} things are amiss"))),
        }
    }

    /// What a person should know beside the result, on standard error.
    pub(super) fn note(&self, text: &str) {
        match self.format {
            Format::Text => eprintln!("note: {text}"),
            Format::Json => eprintln!("{}", json!({ "note": text })),
        }
    }

    /// Why a command did not do what it was asked, on standard error.
    pub(super) fn failure(&self, failure: &Failure) {
        let kind = match failure.kind {
            Kind::Refused => "refused",
            Kind::Input => "input",
            Kind::Unreachable => "unreachable",
            Kind::Fault => "fault",
        };
        match self.format {
            Format::Text => eprintln!("error: {failure}"),
            Format::Json => eprintln!("{}", json!({ "error": { "kind": kind, "message": failure.message } })),
        }
    }
}

/// A table as text for this standard output.
pub(super) fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    if std::io::stdout().is_terminal() {
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY).set_header(headers).add_rows(rows);
        table.to_string()
    } else {
        let lines = std::iter::once(headers.join("\t")).chain(rows.iter().map(|row| row.join("\t")));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn write(text: &str) -> Result<(), Failure> {
    // A reader that left (`| head`) is no failure of ours.
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::fault(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
