//! `study check --vocabulary`: table `concept` of an OMOP vocabulary, row by row, whatever its size.

use crate::operator::CommandError;
use consilium_common::study::lookup::{Concept, Findings};
use consilium_common::study::{Lookup, Mistake, Mistakes};
use csv::{ByteRecord, Reader, ReaderBuilder};
use serde_json::{Value, json};
use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The table's file, in any case.
const FILE: &str = "concept.csv";
/// Longest row, bytes: real ones have some hundreds, and one that goes on for longer has a broken quote.
const ROW_BYTES_MAX: usize = 1 << 20;
/// How much is read from the disk at once.
const BUFFER_BYTES: usize = 1 << 16;

/// The columns that a look-up needs.
const NEEDED: [&str; 5] = ["concept_id", "concept_name", "vocabulary_id", "concept_code", "standard_concept"];
/// Old exports do not have it.
const INVALID_REASON: &str = "invalid_reason";

/// What is known of a study's concepts beside their mistakes.
pub(super) enum Concepts {
    /// The study names none.
    None,
    /// Nobody asked; the study file.
    NotLookedUp(PathBuf),
    /// In this file.
    LookedUp(PathBuf, Findings),
}

impl Concepts {
    /// Looks a study's concepts up in the vocabulary of a folder; also what is wrong with them.
    ///
    /// # Errors
    /// No table `concept` there, or one that cannot be read; with the row, the header being row 1.
    pub(super) fn of(
        study: &Path,
        mut lookup: Lookup,
        folder: Option<&Path>,
    ) -> Result<(Self, Option<Mistakes>), CommandError> {
        let Some(folder) = folder else {
            let none = if lookup.is_empty() { Self::None } else { Self::NotLookedUp(study.to_owned()) };
            return Ok((none, None));
        };
        let path = find(folder)?;
        read(&path, &mut lookup)
            .map_err(|what| CommandError::input(format!("{}: {what}", path.display())))?;
        let mut findings = lookup.findings();
        let mistakes = findings.mistakes.take();
        Ok((Self::LookedUp(path, findings), mistakes))
    }

    /// For programs: null where nothing was looked up.
    pub(super) fn json(&self) -> Value {
        let Self::LookedUp(path, findings) = self else { return Value::Null };
        let warning = |one: &Mistake| {
            json!({"line": one.line, "key": one.key, "expected": one.expected, "found": one.found,
                   "instead": one.instead})
        };
        json!({
            "vocabulary": path,
            "mentions": findings.mentions,
            "vocabulary_concepts": findings.concepts,
            "warnings": findings.warnings.iter().map(warning).collect::<Vec<_>>(),
        })
    }
}

/// Beside mistakes, which may be the vocabulary's own.
pub(super) const PARTIAL: &str =
    "A vocabulary that a hospital exported with the concepts in use alone lacks many that are right.";

impl fmt::Display for Concepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::NotLookedUp(study) => writeln!(
                f,
                "Concepts: not looked up, so that a wrong digit does not show; `coordinator study check {} --vocabulary DIR` \
                 looks them up, DIR being an OMOP vocabulary as Athena ships it, or a folder of OMOP tables in CSV",
                study.display()
            ),
            Self::LookedUp(path, Findings { mentions, concepts, warnings, .. }) => {
                writeln!(
                    f,
                    "Concepts: {mentions} ids, codes and units of the file were looked up among the {concepts} of {}",
                    path.display()
                )?;
                warnings.iter().try_for_each(|warning| writeln!(f, "Warning: {warning}"))
            }
        }
    }
}

fn find(folder: &Path) -> Result<PathBuf, CommandError> {
    let invalid = |what: String| CommandError::input(format!("--vocabulary {}: {what}", folder.display()));
    if folder.is_file() {
        return Err(invalid(format!("a file; give the folder that {FILE} is in")));
    }
    let entries = std::fs::read_dir(folder).map_err(|error| invalid(error.to_string()))?;
    let (mut found, mut packed) = (Vec::new(), false);
    for entry in entries {
        let path = entry.map_err(|error| invalid(error.to_string()))?.path();
        let is_named = |name: &std::ffi::OsStr| name.eq_ignore_ascii_case(FILE);
        if path.is_file() && path.file_name().is_some_and(is_named) {
            found.push(path);
        } else if path.file_name().is_some_and(|name| name.eq_ignore_ascii_case(format!("{FILE}.gz"))) {
            packed = true;
        }
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        [] if packed => Err(invalid(format!("{FILE}.gz: unpack it"))),
        [] => Err(invalid(format!(
            "no {} in it: give a vocabulary as Athena ships it, unpacked, or a folder of OMOP tables in CSV",
            FILE.to_uppercase()
        ))),
        _ => Err(invalid(format!("{} files called {FILE} that differ in case: leave one", found.len()))),
    }
}

/// Says what is wrong with the file, if anything.
fn read(path: &Path, lookup: &mut Lookup) -> Result<(), String> {
    let mut rows = Rows::open(path)?;
    let columns = rows.columns()?;
    let mut row = ByteRecord::new();
    while rows.next(&mut row)? {
        let text = |column: usize, name: &str| {
            let cell = row.get(column).expect("rows have as many cells as the header");
            std::str::from_utf8(cell).map_err(|_| rows.wrong(&format!("{name} is not UTF-8")))
        };
        let [id, name, vocabulary, code, standard] = columns.needed;
        let id = text(id, NEEDED[0])?.trim().parse();
        lookup.take(&Concept {
            id: id.map_err(|_| rows.wrong("concept_id is no whole number"))?,
            name: text(name, NEEDED[1])?,
            vocabulary: text(vocabulary, NEEDED[2])?,
            code: text(code, NEEDED[3])?,
            standard_concept: text(standard, NEEDED[4])?,
            invalid_reason: columns.invalid_reason.map_or(Ok(""), |column| text(column, INVALID_REASON))?,
        });
    }
    if rows.number == 1 { Err("no row after the header".to_owned()) } else { Ok(()) }
}

/// Where the columns stand.
struct Columns {
    needed: [usize; 5],
    invalid_reason: Option<usize>,
}

/// The rows of the file, the header first.
struct Rows {
    reader: Reader<Bounded>,
    /// Of the row that was read last.
    number: u64,
    since: Rc<Cell<usize>>,
    cells: usize,
    is_tabbed: bool,
}

impl Rows {
    fn open(path: &Path) -> Result<Self, String> {
        let said = |error: io::Error| error.to_string();
        let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path).map_err(said)?);
        let mut header = Vec::new();
        let limit = ROW_BYTES_MAX as u64;
        file.by_ref().take(limit).read_until(b'\n', &mut header).map_err(said)?;
        file.rewind().map_err(said)?;
        // Athena quotes nothing: there a quote is part of a name.
        let is_tabbed = header.contains(&b'\t');
        let since = Rc::new(Cell::new(0));
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(if is_tabbed { b'\t' } else { b',' })
            .quoting(!is_tabbed)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(Bounded { file, since: Rc::clone(&since) });
        Ok(Self { reader, number: 0, since, cells: 0, is_tabbed })
    }

    fn columns(&mut self) -> Result<Columns, String> {
        let mut header = ByteRecord::new();
        if !self.next_of_any_length(&mut header)? {
            return Err("the file is empty".to_owned());
        }
        let is = |cell: &[u8], name: &str| {
            let cell = cell.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cell);
            cell.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
        };
        let place = |name: &str| header.iter().position(|cell| is(cell, name));
        let lacking: Vec<&str> = NEEDED.into_iter().filter(|name| place(name).is_none()).collect();
        if !lacking.is_empty() {
            let (of, other) = if self.is_tabbed { ("tabs", "commas") } else { ("commas", "tabs") };
            return Err(format!(
                "row 1: no column {}; expected the header of OMOP's table concept, with {of} between the columns as here, \
                 or {other}",
                lacking.join(", ")
            ));
        }
        self.cells = header.len();
        let needed = NEEDED.map(|name| place(name).expect("was found"));
        Ok(Columns { needed, invalid_reason: place(INVALID_REASON) })
    }

    fn next(&mut self, row: &mut ByteRecord) -> Result<bool, String> {
        if !self.next_of_any_length(row)? {
            return Ok(false);
        }
        if row.len() != self.cells {
            return Err(self.wrong(&format!("{} cells, and the header has {}", row.len(), self.cells)));
        }
        Ok(true)
    }

    fn next_of_any_length(&mut self, row: &mut ByteRecord) -> Result<bool, String> {
        self.since.set(0);
        self.number += 1;
        match self.reader.read_byte_record(row) {
            Ok(true) => Ok(true),
            Ok(false) => {
                self.number -= 1;
                Ok(false)
            }
            Err(error) => Err(self.wrong(&error.to_string())),
        }
    }

    fn wrong(&self, what: &str) -> String {
        format!("row {}: {what}", self.number)
    }
}

/// Bytes of the file, up to [`ROW_BYTES_MAX`] for one row: a quote that never ends would take all of it into memory.
struct Bounded {
    file: BufReader<File>,
    /// Read since the last row began, and up to [`BUFFER_BYTES`] before.
    since: Rc<Cell<usize>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.get() > ROW_BYTES_MAX {
            let what = format!("longer than {ROW_BYTES_MAX} bytes; a quote in it may have no end");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let read = self.file.read(buffer)?;
        self.since.set(self.since.get() + read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
