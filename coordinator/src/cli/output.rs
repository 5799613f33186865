//! Printing: tables and lines for people, JSON for programs.

use super::Format;
use crate::operator::CommandError;
use comfy_table::{Table, presets};
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};

/// How this command prints.
#[derive(Clone, Copy)]
pub struct Output {
    /// Text or JSON.
    pub format: Format,
}

impl Output {
    /// JSON as it is, or the text that the closure makes.
    ///
    /// # Errors
    /// Nobody reads (a closed pipe).
    pub fn print(self, json: &Value, text: impl FnOnce() -> String) -> Result<(), CommandError> {
        match self.format {
            Format::Json => print_json(json),
            Format::Text => line(&text()),
        }
    }

    /// Whether a person watches.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self.format == Format::Text && std::io::stderr().is_terminal()
    }
}

/// One JSON document on one line.
///
/// # Errors
/// Nobody reads (a closed pipe).
pub fn print_json(json: &Value) -> Result<(), CommandError> {
    line(&json.to_string())
}

/// A line on standard output.
///
/// # Errors
/// Nobody reads (a closed pipe).
pub(crate) fn line(text: &str) -> Result<(), CommandError> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        // Whoever reads has read enough (`… | head -1`).
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(CommandError::fault),
    }
}

/// A table with a header, plain enough for a log.
#[must_use]
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}
