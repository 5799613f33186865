//! The plain table: a CSV file (UTF-8, comma, a header) with one row per person.
//!
//! Invariant: a row is a line, and is parsed alone. A quote that is never closed swallows the rest of
//! its own line and nothing of the next person's, so cells cannot hold line breaks.

mod fault;

pub use fault::{FAULTS_MAX, Fault, Faults, InvalidTable};

use super::encode::{encode, outcome};
use super::lines::{Line, Lines};
use super::split::{Pseudonym, SplitKey};
use super::training_people_max;
use super::whose::{PersonIds, Whose};
use consilium_common::examples::{Example, Examples};
use consilium_common::study::{Data, SplitBy, Study, TableData, cell};
use csv::ByteRecord;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::path::Path;

/// The file's name within a folder.
pub const FILE_NAME: &str = "table.csv";
/// Most rows of a table.
pub const ROWS_MAX: u64 = 100_000_000;

/// A table's examples under a study.
pub struct Loaded {
    /// Training people.
    pub training: Examples,
    /// Evaluation people.
    pub evaluation: Examples,
    /// Whose they are, in the same order; nobody's where frozen examples were read back, which need no ids any more.
    pub whose: Whose,
}

impl Loaded {
    /// Nobody yet; each example will have `width` inputs.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { training: Examples::new(width), evaluation: Examples::new(width), whose: Whose::default() }
    }
}

/// What the hospital may want to know of its table; stays at the site, and has no `Debug`.
pub struct Summary {
    /// Rows, one per person.
    pub people: u64,
    /// People of whom no task's outcome cell is in either of its lists: they contribute no example.
    pub without_outcome: u64,
    /// For each task, training people with an example, and how many of them had the outcome.
    pub training: Vec<(u64, u64)>,
    /// For each task, evaluation people with an example, and how many of them had the outcome.
    pub evaluation: Vec<(u64, u64)>,
    /// For each feature of the study: its name and how many people have it not recorded.
    pub not_recorded: Vec<(String, u64)>,
    /// For each attribute of the study that makes groups (none that is only counted): its name and how many people are in its group
    /// `unknown`.
    pub unknown: Vec<(String, u64)>,
}

/// Reads a table under a study and forgives nothing: for `data check` and `data export`. `path` is the
/// CSV file, or a folder with a `table.csv`.
///
/// # Privacy
/// Each person's examples and role depend on that person's row, the study and the site's key alone.
/// What comes back must not leave the site except through a mechanism; a person without an outcome
/// is left out silently, and counted in [`Summary`] only.
///
/// # Errors
/// The file cannot be read, or does not fit the study: every fault up to [`FAULTS_MAX`], by row and
/// column, never a cell's text.
pub fn load_strict(path: &Path, study: &Study, key: &SplitKey) -> Result<(Loaded, Summary), InvalidTable> {
    with_file(path, |file| strict(file, study, key))
}

/// Reads a table under a study for a round. A row with a fault contributes nothing, nor does any row
/// of a person who is there twice: one person's bad cell neither silences the site nor moves what
/// anybody else contributes.
///
/// # Privacy
/// As [`load_strict`]. Neighbours, tables that differ in one person's rows, give examples that differ
/// in that person only, whatever is in those rows; only the size limits of the whole table are an
/// exception. Rows that name no person (unreadable, too short, too long) belong to nobody else.
///
/// # Errors
/// The file cannot be read, its header does not fit the study, or it is beyond the limits.
pub fn load_tolerant(path: &Path, study: &Study, key: &SplitKey) -> Result<(Loaded, Faults), InvalidTable> {
    with_file(path, |file| tolerant(file, study, key))
}

/// Whether a table can be read and its header has every column that a study reads; reads no further.
///
/// # Errors
/// It cannot be read, or its header does not fit.
pub fn check_columns(path: &Path, study: &Study) -> Result<(), InvalidTable> {
    with_file(path, |file| {
        let header = header(&mut Lines::new(file))?;
        Columns::of(&header, study, of_table(study)?).map(|_| ()).map_err(Stop::Faults)
    })
}

/// As [`check_columns`], for the one column with a person's pseudonym.
///
/// # Errors
/// As [`check_columns`].
pub fn check_person_column(path: &Path, person_id: &str) -> Result<(), InvalidTable> {
    with_file(path, |file| {
        let header = header(&mut Lines::new(file))?;
        let mut finder = Finder::new(&header).map_err(Stop::Faults)?;
        finder.find(person_id, PERSON.to_owned());
        finder.result(()).map_err(Stop::Faults)
    })
}

const PERSON: &str = "the person";

fn of_table(study: &Study) -> Result<&TableData, Stop> {
    match &study.data {
        Data::Table(table) => Ok(table),
        Data::Records(_) => Err(Stop::Faults(vec![Fault::NoRecords])),
    }
}

fn with_file<T>(path: &Path, read: impl FnOnce(std::fs::File) -> Result<T, Stop>) -> Result<T, InvalidTable> {
    let path = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
    let unreadable = |source| InvalidTable::Unreadable { path: path.clone(), source };
    let file = std::fs::File::open(&path).map_err(unreadable)?;
    read(file).map_err(|error| match error {
        Stop::Io(source) => InvalidTable::Unreadable { path, source },
        Stop::Faults(faults) => InvalidTable::Faulty { path, faults },
    })
}

enum Stop {
    Io(io::Error),
    Faults(Vec<Fault>),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn strict(input: impl Read, study: &Study, key: &SplitKey) -> Result<(Loaded, Summary), Stop> {
    let mut lines = Lines::new(input);
    let header = header(&mut lines)?;
    let table = of_table(study)?;
    let columns = Columns::of(&header, study, table).map_err(Stop::Faults)?;
    let mut load = Load::new(study, table, key, columns);
    while load.faults.count < FAULTS_MAX as u64 && load.next(&mut lines, header.len())? {}
    if load.faults.count > 0 {
        return Err(Stop::Faults(load.faults.shown));
    }
    check_training(study, &load.loaded)?;
    let mut summary = load.summary;
    let names_groups = |name: &str| study.attribute(name).is_some_and(|of| !of.values.is_completeness_only());
    summary.unknown.retain(|(name, _)| names_groups(name));
    Ok((load.loaded, summary))
}

fn tolerant(input: impl Read, study: &Study, key: &SplitKey) -> Result<(Loaded, Faults), Stop> {
    let mut lines = Lines::new(input);
    let header = header(&mut lines)?;
    let table = of_table(study)?;
    let columns = Columns::of(&header, study, table).map_err(Stop::Faults)?;
    let mut load = Load::new(study, table, key, columns);
    while load.next(&mut lines, header.len())? {}
    load.leave_out_repeated();
    check_training(study, &load.loaded)?;
    Ok((load.loaded, load.faults))
}

fn header(lines: &mut Lines<impl Read>) -> Result<ByteRecord, Stop> {
    match lines.next()? {
        None => Err(Stop::Faults(vec![Fault::Empty])),
        Some((row, Line::TooLong)) => Err(Stop::Faults(vec![Fault::TooLong { row }])),
        Some((_, Line::Cells(cells))) => Ok(cells),
    }
}

fn check_training(study: &Study, loaded: &Loaded) -> Result<(), Stop> {
    let people_max = training_people_max(study);
    if loaded.training.people() > people_max {
        return Err(Stop::Faults(vec![Fault::TooManyTraining { people_max }]));
    }
    Ok(())
}

/// Where the columns that the study reads stand in a row.
struct Columns {
    person: usize,
    outcomes: Vec<usize>,
    role: Option<usize>,
    features: Vec<usize>,
    attributes: Vec<usize>,
}

impl Columns {
    fn of(header: &ByteRecord, study: &Study, table: &TableData) -> Result<Self, Vec<Fault>> {
        let mut finder = Finder::new(header)?;
        let columns = Self {
            person: finder.find(&table.person_id, PERSON.to_owned()),
            outcomes: study
                .tasks
                .iter()
                .zip(&table.outcomes)
                .map(|(task, at)| finder.find(&at.column, format!("the outcome {}", task.name)))
                .collect(),
            role: match &study.split.by {
                SplitBy::SiteHash => None,
                SplitBy::Column { column, .. } => {
                    Some(finder.find(column, "the role in the split".to_owned()))
                }
            },
            features: study
                .features
                .iter()
                .zip(&table.features)
                .map(|(f, at)| finder.find(&at.column, format!("the feature {}", f.name)))
                .collect(),
            attributes: study
                .attributes
                .iter()
                .zip(&table.attributes)
                .map(|(a, column)| finder.find(column, format!("the attribute {}", a.name)))
                .collect(),
        };
        finder.result(columns)
    }
}

/// Looks columns up in a header, and collects what is wrong.
struct Finder<'h> {
    names: Vec<&'h str>,
    faults: Vec<Fault>,
}

impl<'h> Finder<'h> {
    fn new(header: &'h ByteRecord) -> Result<Self, Vec<Fault>> {
        let names: Vec<&str> =
            header.iter().filter_map(|cell| std::str::from_utf8(cell).ok()).map(str::trim).collect();
        if names.len() == header.len() {
            Ok(Self { names, faults: Vec::new() })
        } else {
            Err(vec![Fault::NotUtf8 { row: 1, column: None }])
        }
    }

    /// Its place; 0 where it is noted as a fault.
    fn find(&mut self, column: &str, role: String) -> usize {
        let mut places = self.names.iter().enumerate().filter(|(_, name)| **name == column).map(|(at, _)| at);
        let (first, second) = (places.next(), places.next());
        let column = column.to_owned();
        let fault = match (first, second) {
            (None, _) => Some(Fault::MissingColumn { column, role }),
            (_, Some(_)) => Some(Fault::RepeatedColumn { column }),
            _ => None,
        };
        self.faults.extend(fault.filter(|fault| !self.faults.contains(fault)));
        first.unwrap_or(0)
    }

    fn result<T>(self, value: T) -> Result<T, Vec<Fault>> {
        match self.separator() {
            _ if self.faults.is_empty() => Ok(value),
            // Then every column is missing, for this one reason.
            Some(found) => Err(vec![Fault::Separator { found }]),
            None => Err(self.faults),
        }
    }

    /// The character that seems to separate the header where it is no comma: more of it than of commas.
    fn separator(&self) -> Option<&'static str> {
        let count = |c: char| self.names.iter().map(|name| name.matches(c).count()).sum::<usize>();
        let others = [(';', "';'"), ('\t', "tabs"), ('|', "'|'")];
        others.into_iter().find(|(c, _)| count(*c) >= self.names.len()).map(|(_, words)| words)
    }
}

struct Load<'a> {
    study: &'a Study,
    table: &'a TableData,
    key: &'a SplitKey,
    columns: Columns,
    /// Each person so far, by a keyed fingerprint: ids are not kept.
    people: HashMap<[u8; 16], Seen>,
    faults: Faults,
    loaded: Loaded,
    summary: Summary,
}

/// Where a person stands.
struct Seen {
    first_row: u64,
    repeated: bool,
    /// Trains, and the index among those people; none without an example.
    example: Option<(bool, usize)>,
}

impl<'a> Load<'a> {
    fn new(study: &'a Study, table: &'a TableData, key: &'a SplitKey, columns: Columns) -> Self {
        let width = study.architecture().inputs;
        let summary = Summary {
            people: 0,
            without_outcome: 0,
            training: vec![(0, 0); study.tasks.len()],
            evaluation: vec![(0, 0); study.tasks.len()],
            not_recorded: study.features.iter().map(|feature| (feature.name.clone(), 0)).collect(),
            unknown: study.attributes.iter().map(|attribute| (attribute.name.clone(), 0)).collect(),
        };
        let loaded = Loaded::new(width);
        let faults = Faults { count: 0, shown: Vec::new() };
        Self { study, table, key, columns, people: HashMap::new(), faults, loaded, summary }
    }

    /// Takes the next row in; `false` after the last.
    fn next(&mut self, lines: &mut Lines<impl Read>, expected: usize) -> Result<bool, Stop> {
        let Some((row, line)) = lines.next()? else { return Ok(false) };
        if row > ROWS_MAX + 1 {
            return Err(Stop::Faults(vec![Fault::TooManyRows]));
        }
        match line {
            Line::TooLong => self.faults.note(Fault::TooLong { row }),
            Line::Cells(cells) if cells.len() == expected => self.row(row, &cells),
            Line::Cells(cells) => {
                let (expected, found) = (expected as u64, cells.len() as u64);
                self.faults.note(Fault::Ragged { row, expected, found });
            }
        }
        Ok(true)
    }

    fn row(&mut self, row: u64, record: &ByteRecord) {
        let faults_before = self.faults.count;
        let Some((fingerprint, pseudonym, id)) = self.person(row, record) else { return };
        let Some(trains) = self.trains(row, record, pseudonym) else { return };
        let mut inputs = Vec::with_capacity(self.loaded.training.width());
        let summary = &mut self.summary;
        let features = self.study.features.iter().zip(&self.table.features).zip(&self.columns.features);
        for (((feature, column), &at), (_, not_recorded)) in features.zip(&mut summary.not_recorded) {
            match text(record, at, row, &column.column, &mut self.faults)
                .map(|cell| encode(feature, column, self.study.missing, cell, &mut inputs))
            {
                Some(Ok(missed)) => *not_recorded += u64::from(missed),
                Some(Err(_)) => self.faults.note(Fault::NotANumber { row, column: column.column.clone() }),
                None => {}
            }
        }
        let mut groups = Vec::with_capacity(self.study.attributes.len());
        let attributes =
            self.study.attributes.iter().zip(&self.table.attributes).zip(&self.columns.attributes);
        for (((attribute, column), &at), (_, unknown)) in attributes.zip(&mut summary.unknown) {
            if let Some(cell) = text(record, at, row, column, &mut self.faults) {
                let group = attribute.values.index_of(cell);
                *unknown += u64::from(usize::from(group) + 1 == attribute.values.count());
                groups.push(group);
            }
        }
        // Of each task: 1, 0, or none where the cell says neither.
        let mut outcomes = Vec::with_capacity(self.columns.outcomes.len());
        for (column, &at) in self.table.outcomes.iter().zip(&self.columns.outcomes) {
            let cell = text(record, at, row, &column.column, &mut self.faults);
            outcomes.extend(cell.map(|cell| outcome(column, cell)));
        }
        if self.faults.count > faults_before {
            return;
        }
        summary.people += 1;
        let labelled = (0_u8..).zip(&outcomes).filter_map(|(output, label)| Some((output, (*label)?)));
        let own: Vec<Example> = labelled
            .map(|(output, label)| Example {
                inputs: inputs.clone(),
                output,
                label,
                weight: 1.0,
                groups: groups.clone(),
            })
            .collect();
        if own.is_empty() {
            summary.without_outcome += 1;
            return;
        }
        let Loaded { training, evaluation, whose } = &mut self.loaded;
        let (examples, ids, count) = if trains {
            (training, &mut whose.training, &mut summary.training)
        } else {
            (evaluation, &mut whose.evaluation, &mut summary.evaluation)
        };
        for example in &own {
            let count = &mut count[usize::from(example.output)];
            count.0 += 1;
            count.1 += u64::from(example.label > 0.5);
        }
        let seen = self.people.get_mut(&fingerprint).expect("noted above");
        seen.example = Some((trains, examples.people()));
        examples.push_examples(own);
        ids.push(id);
    }

    /// Who, noted down before anything else of the row can be at fault: a person who comes twice
    /// contributes nothing, whichever row is the bad one.
    fn person<'r>(&mut self, row: u64, record: &'r ByteRecord) -> Option<([u8; 16], Pseudonym, &'r str)> {
        let column = &self.table.person_id;
        let id = text(record, self.columns.person, row, column, &mut self.faults)?;
        if id.trim().is_empty() {
            self.faults.note(Fault::NoPerson { row, column: column.clone() });
            return None;
        }
        let pseudonym = self.key.pseudonym(id);
        match self.people.entry(pseudonym.fingerprint()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Seen { first_row: row, repeated: false, example: None });
                Some((pseudonym.fingerprint(), pseudonym, id))
            }
            Entry::Occupied(mut seen) => {
                seen.get_mut().repeated = true;
                let (column, first) = (column.clone(), seen.get().first_row);
                self.faults.note(Fault::RepeatedPerson { row, column, first });
                None
            }
        }
    }

    fn trains(&mut self, row: u64, record: &ByteRecord, pseudonym: Pseudonym) -> Option<bool> {
        let (SplitBy::Column { column, train, evaluate }, Some(at)) =
            (&self.study.split.by, self.columns.role)
        else {
            return Some(pseudonym.trains(self.study.split.training_share));
        };
        let role = text(record, at, row, column, &mut self.faults)?;
        if !cell::same(role, train) && !cell::same(role, evaluate) {
            self.faults.note(Fault::NoRole { row, column: column.clone() });
            return None;
        }
        Some(cell::same(role, train))
    }

    /// Takes out what the first rows of people who came twice put in.
    fn leave_out_repeated(&mut self) {
        for trains in [true, false] {
            let out: BTreeSet<usize> = self
                .people
                .values()
                .filter(|seen| seen.repeated)
                .filter_map(|seen| seen.example.filter(|(role, _)| *role == trains).map(|(_, person)| person))
                .collect();
            let Loaded { training, evaluation, whose } = &mut self.loaded;
            let (examples, ids) =
                if trains { (training, &mut whose.training) } else { (evaluation, &mut whose.evaluation) };
            if !out.is_empty() {
                (*examples, *ids) = without(examples, ids, &out);
            }
        }
    }
}

fn without(examples: &Examples, ids: &PersonIds, out: &BTreeSet<usize>) -> (Examples, PersonIds) {
    let (mut kept, mut kept_ids) = (Examples::new(examples.width()), PersonIds::default());
    for (person, id) in ids.iter().enumerate().filter(|(person, _)| !out.contains(person)) {
        kept_ids.push(id);
        kept.push_from(examples, person);
    }
    (kept, kept_ids)
}

fn text<'r>(
    record: &'r ByteRecord,
    at: usize,
    row: u64,
    column: &str,
    faults: &mut Faults,
) -> Option<&'r str> {
    let text = record.get(at).and_then(|cell| std::str::from_utf8(cell).ok());
    if text.is_none() {
        faults.note(Fault::NotUtf8 { row, column: Some(column.to_owned()) });
    }
    text
}

#[cfg(test)]
mod tests;
