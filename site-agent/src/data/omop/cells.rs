//! Rows of any file form as columns of parsed cells. Text is parsed once, here.

use super::moment::{InvalidMoment, Moment};
use super::units;
use zeroize::Zeroizing;

/// Most rows of a batch.
pub(super) const BATCH_ROWS: usize = 8192;
/// Most rows of a batch with private text: little of it is in memory at once.
const PRIVATE_BATCH_ROWS: usize = 32;
/// Longest private text that is read, bytes. A discharge summary has some ten thousand.
pub(super) const PRIVATE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The longest row, bytes.
pub(super) const ROW_BYTES_MAX: usize = 1024 * 1024;
/// The longest row with private text, bytes: a cell that is too long can still be told from a file that is broken.
const PRIVATE_ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Most rows of a batch.
    pub(super) batch_rows: usize,
    /// The longest row, bytes, where rows have to be found.
    pub(super) row_bytes: usize,
}

impl Limits {
    /// For some columns.
    pub(super) fn of(columns: &[Column]) -> Self {
        Self::of_kinds(columns.iter().map(|column| column.kind))
    }

    /// For columns of some kinds.
    pub(super) fn of_kinds(mut kinds: impl Iterator<Item = Kind>) -> Self {
        if kinds.any(|kind| kind == Kind::Private) {
            Self { batch_rows: PRIVATE_BATCH_ROWS, row_bytes: PRIVATE_ROW_BYTES_MAX }
        } else {
            Self { batch_rows: BATCH_ROWS, row_bytes: ROW_BYTES_MAX }
        }
    }
}

/// A column that a table may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Its names, in lower case, the newest first.
    pub(super) names: &'static [&'static str],
    /// What it holds.
    pub(super) kind: Kind,
    /// Whether a file without it cannot be used.
    pub(super) required: bool,
    /// Where it is required: the place of another column that does as well.
    pub(super) or: Option<usize>,
}

impl Column {
    pub(super) const fn required(names: &'static [&'static str], kind: Kind) -> Self {
        Self { names, kind, required: true, or: None }
    }

    pub(super) const fn optional(names: &'static [&'static str], kind: Kind) -> Self {
        Self { names, kind, required: false, or: None }
    }

    /// The same, not read. Its kind stays: a row is as long whether its text is wanted or not.
    pub(super) const fn left_out(&self) -> Self {
        Self { names: &[], kind: self.kind, required: false, or: None }
    }

    /// One that this table never has.
    pub(super) const fn absent() -> Self {
        Self { names: &[], kind: Kind::Id, required: false, or: None }
    }

    /// The first of some columns that a table must have and lacks, in words; `has` says of a place whether it is there.
    pub(super) fn lacking(columns: &[Self], has: impl Fn(usize) -> bool) -> Option<String> {
        let lacks = |(place, column): &(usize, &Self)| {
            column.required && !has(*place) && column.or.is_none_or(|other| !has(other))
        };
        let (_, column) = columns.iter().enumerate().find(lacks)?;
        let others = column.or.iter().flat_map(|other| columns[*other].names);
        let names: Vec<&str> = column.names.iter().chain(others).copied().collect();
        Some(names.join(" or "))
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers of 64 bits.
    Id,
    /// Finite numbers.
    Number,
    /// A day; a time beside it is passed over.
    Date,
    /// A day, with a time where there is one.
    DateTime,
    /// A unit by its text, kept as a number: see [`super::units`].
    Unit,
    /// Text of the vocabulary.
    Text,
    /// Text about a patient: read at once for what the study asks of it, wiped with its batch, and never an event's.
    Private,
}

impl Kind {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Id => "whole numbers",
            Self::Number => "numbers",
            Self::Date => "dates",
            Self::DateTime => "dates with times",
            Self::Unit | Self::Text | Self::Private => "text",
        }
    }
}

/// A cell. No `Debug`: it is a patient's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell<T> {
    /// Nothing there.
    Missing,
    /// What it says.
    Is(T),
    /// Not what the column holds.
    Bad,
    /// A date outside the years.
    OutOfYears,
}

impl<T> From<Result<T, InvalidMoment>> for Cell<T> {
    fn from(found: Result<T, InvalidMoment>) -> Self {
        match found {
            Ok(moment) => Self::Is(moment),
            Err(InvalidMoment::Unparsable) => Self::Bad,
            Err(InvalidMoment::OutOfYears) => Self::OutOfYears,
        }
    }
}

/// A cell of private text. No `Debug`; wiped when it is dropped.
pub(super) enum Private {
    /// Nothing there.
    Missing,
    /// What it says.
    Is(Zeroizing<String>),
    /// Longer than [`PRIVATE_BYTES_MAX`].
    TooLong,
}

/// The cells of a column.
pub(super) enum Cells {
    /// The file has no such column.
    Absent,
    Ids(Vec<Cell<i64>>),
    Numbers(Vec<Cell<f64>>),
    /// `bool`: days only.
    Moments(Vec<Cell<Moment>>, bool),
    /// Units by their text.
    Units(Vec<Cell<i64>>),
    Texts(Vec<String>),
    Privates(Vec<Private>),
}

impl Cells {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Id => Self::Ids(Vec::with_capacity(BATCH_ROWS)),
            Kind::Number => Self::Numbers(Vec::with_capacity(BATCH_ROWS)),
            Kind::Date => Self::Moments(Vec::with_capacity(BATCH_ROWS), true),
            Kind::DateTime => Self::Moments(Vec::with_capacity(BATCH_ROWS), false),
            Kind::Unit => Self::Units(Vec::with_capacity(BATCH_ROWS)),
            Kind::Text => Self::Texts(Vec::new()),
            Kind::Private => Self::Privates(Vec::new()),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Absent => {}
            Self::Ids(cells) | Self::Units(cells) => cells.clear(),
            Self::Numbers(cells) => cells.clear(),
            Self::Moments(cells, _) => cells.clear(),
            Self::Texts(cells) => cells.clear(),
            Self::Privates(cells) => cells.clear(),
        }
    }

    /// Takes back what was added beyond so many rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Absent => {}
            Self::Ids(cells) | Self::Units(cells) => cells.truncate(rows),
            Self::Numbers(cells) => cells.truncate(rows),
            Self::Moments(cells, _) => cells.truncate(rows),
            Self::Texts(cells) => cells.truncate(rows),
            Self::Privates(cells) => cells.truncate(rows),
        }
    }

    /// Adds a cell by its text.
    pub(super) fn push_text(&mut self, text: &[u8]) {
        match self {
            Self::Absent => {}
            Self::Ids(cells) => cells.push(id(text)),
            Self::Numbers(cells) => cells.push(number(text)),
            Self::Moments(cells, days_only) => cells.push(moment(text, *days_only)),
            Self::Units(cells) => cells.push(unit(text)),
            Self::Texts(cells) => cells.push(String::from_utf8_lossy(text).into_owned()),
            Self::Privates(cells) => cells.push(private(text)),
        }
    }
}

/// Some rows.
pub(super) struct Batch {
    /// How many.
    pub(super) rows: usize,
    /// As the columns that were asked for.
    pub(super) columns: Vec<Cells>,
}

impl Batch {
    pub(super) fn id(&self, column: usize, row: usize) -> Cell<i64> {
        match &self.columns[column] {
            Cells::Ids(cells) | Cells::Units(cells) => cells[row],
            _ => Cell::Missing,
        }
    }

    pub(super) fn number(&self, column: usize, row: usize) -> Cell<f64> {
        match &self.columns[column] {
            Cells::Numbers(cells) => cells[row],
            _ => Cell::Missing,
        }
    }

    pub(super) fn moment(&self, column: usize, row: usize) -> Cell<Moment> {
        match &self.columns[column] {
            Cells::Moments(cells, _) => cells[row],
            _ => Cell::Missing,
        }
    }

    pub(super) fn private(&self, column: usize, row: usize) -> &Private {
        match &self.columns[column] {
            Cells::Privates(cells) => &cells[row],
            _ => &Private::Missing,
        }
    }

    pub(super) fn text(&self, column: usize, row: usize) -> &str {
        match &self.columns[column] {
            Cells::Texts(cells) => &cells[row],
            _ => "",
        }
    }
}

/// What exports write where nothing is known: nothing, R's `NA`, SQL's `NULL`, PostgreSQL's `\N`.
fn is_missing(text: &[u8]) -> bool {
    matches!(text, b"" | b"NA" | b"NULL" | b"null" | b"\\N")
}

/// Private text; of bytes that are no UTF-8 what can be read.
pub(super) fn private(text: &[u8]) -> Private {
    if is_missing(text.trim_ascii()) {
        return Private::Missing;
    }
    if text.len() > PRIVATE_BYTES_MAX {
        return Private::TooLong;
    }
    Private::Is(Zeroizing::new(String::from_utf8_lossy(text).into_owned()))
}

/// A whole number; `12.0`, which pandas writes for a column with gaps, is one.
pub(super) fn id(text: &[u8]) -> Cell<i64> {
    let text = text.trim_ascii();
    if is_missing(text) {
        return Cell::Missing;
    }
    let whole = text.iter().position(|byte| *byte == b'.').map_or(text, |at| {
        let zeros = &text[at + 1..];
        if !zeros.is_empty() && zeros.iter().all(|byte| *byte == b'0') { &text[..at] } else { b"" }
    });
    let (negative, digits) = match whole {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Counted downwards: the least number has no positive counterpart.
    let folded = digits.iter().try_fold(0_i64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_sub(i64::from(byte - b'0')),
        _ => None,
    });
    match folded.and_then(|number| if negative { Some(number) } else { number.checked_neg() }) {
        Some(number) if !digits.is_empty() => Cell::Is(number),
        _ => Cell::Bad,
    }
}

/// A unit's own number; a text that is no UTF-8 is none.
pub(super) fn unit(text: &[u8]) -> Cell<i64> {
    let text = text.trim_ascii();
    if is_missing(text) {
        return Cell::Missing;
    }
    std::str::from_utf8(text).map_or(Cell::Bad, |text| Cell::Is(units::by_text(text).0))
}

/// A finite number; one zero has one form.
pub(super) fn number(text: &[u8]) -> Cell<f64> {
    let text = text.trim_ascii();
    if is_missing(text) {
        return Cell::Missing;
    }
    match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
        Some(number) => finite(number),
        None => Cell::Bad,
    }
}

pub(super) fn finite(number: f64) -> Cell<f64> {
    // Minus zero and zero are one value: the sum takes the sign away.
    if number.is_finite() { Cell::Is(number + 0.0) } else { Cell::Bad }
}

pub(super) fn moment(text: &[u8], days_only: bool) -> Cell<Moment> {
    if is_missing(text.trim_ascii()) {
        return Cell::Missing;
    }
    Moment::parse(text).map(|moment| if days_only { moment.to_day() } else { moment }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        fn check(text: &str, expected: Cell<i64>) {
            assert!(id(text.as_bytes()) == expected, "{text}");
        }
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("007", 7),
            (" 12 ", 12),
            ("12.0", 12),
            ("-12.00", -12),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            check(text, Cell::Is(expected));
        }
        for text in ["", " ", "NA", "NULL", "null", "\\N"] {
            check(text, Cell::Missing);
        }
        for text in [
            "-",
            "+1",
            "1.",
            "1.5",
            ".0",
            "-.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "na",
            "1 2",
        ] {
            check(text, Cell::Bad);
        }
    }

    #[test]
    fn numbers() {
        fn check(text: &str, expected: Cell<f64>) {
            match (number(text.as_bytes()), expected) {
                (Cell::Is(found), Cell::Is(wanted)) => {
                    assert_eq!(found.to_bits(), wanted.to_bits(), "{text}")
                }
                (found, wanted) => assert!(found == wanted, "{text}"),
            }
        }
        check("36.6", Cell::Is(36.6));
        check("-1e-3", Cell::Is(-0.001));
        check("-0", Cell::Is(0.0));
        check("", Cell::Missing);
        check("NA", Cell::Missing);
        for bad in ["NaN", "inf", "-Infinity", "1e999", "<5", "5,3", "positive", "\u{feff}1"] {
            check(bad, Cell::Bad);
        }
    }
}
