//! A cell of a table, before it takes the form of a file: one value gives the same in CSV and in Parquet.

use jiff::civil::{Date, DateTime};
use std::fmt::{self, Display, Write as _};

/// A column of a table.
#[derive(Debug)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers.
    Whole,
    /// Numbers.
    Number,
    /// Days.
    Day,
    /// Days with a time of day.
    Time,
    /// Text.
    Text,
}

/// What stands in a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    /// Nothing.
    Empty,
    /// A whole number.
    Whole(i64),
    /// A number in tenths: 273 is 27.3.
    Tenths(i64),
    /// A day.
    Day(Date),
    /// A day with a time of day.
    Time(DateTime),
    /// A text, which is not empty.
    Text(&'a str),
}

/// A number kept in tenths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tenths(pub(super) u16);

/// As CSV writes it: text with a comma, a quote or a line's end in quotes, all else as it is.
impl Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => Ok(()),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Tenths(tenths) => write!(f, "{}.{}", tenths / 10, (tenths % 10).abs()),
            Self::Day(day) => write!(f, "{day}"),
            Self::Time(time) => write!(f, "{} {}", time.date(), time.time()),
            Self::Text(text) if text.contains([',', '"', '\n', '\r']) => {
                f.write_char('"')?;
                for (nth, part) in text.split('"').enumerate() {
                    f.write_str(if nth == 0 { "" } else { "\"\"" })?;
                    f.write_str(part)?;
                }
                f.write_char('"')
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

macro_rules! whole {
    ($($number:ty)*) => {$(
        impl From<$number> for Cell<'_> {
            fn from(number: $number) -> Self {
                Self::Whole(i64::from(number))
            }
        }
    )*};
}
whole!(u8 u16 u32 i8 i16);

impl From<u64> for Cell<'_> {
    fn from(id: u64) -> Self {
        Self::Whole(i64::try_from(id).expect("ids and counts stay far below 2^63"))
    }
}

impl From<bool> for Cell<'_> {
    fn from(flag: bool) -> Self {
        Self::Whole(i64::from(flag))
    }
}

impl From<Tenths> for Cell<'_> {
    fn from(Tenths(tenths): Tenths) -> Self {
        Self::Tenths(i64::from(tenths))
    }
}

impl From<Date> for Cell<'_> {
    fn from(day: Date) -> Self {
        Self::Day(day)
    }
}

impl From<DateTime> for Cell<'_> {
    fn from(time: DateTime) -> Self {
        Self::Time(time)
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

/// Gives `take` one cell for each column: the named ones, which come in the order of the columns; every other is empty.
///
/// # Panics
/// A cell of no column, or out of order: a bug of the caller.
pub(super) fn spread<'n>(
    columns: impl IntoIterator<Item = &'n str>,
    cells: &[(&str, Cell<'_>)],
    mut take: impl FnMut(Cell<'_>),
) {
    let mut cells = cells.iter().peekable();
    for column in columns {
        take(cells.next_if(|(name, _)| *name == column).map_or(Cell::Empty, |(_, cell)| *cell));
    }
    assert!(cells.next().is_none(), "cells name columns of the table, in their order");
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn as_csv_writes_them() {
        fn check(cell: impl Into<Cell<'static>>, expected: &str) {
            assert_eq!(cell.into().to_string(), expected);
        }
        check(None::<u8>, "");
        check(Some(7_u8), "7");
        check(true, "1");
        check(20_000_001_u64, "20000001");
        check(Tenths(273), "27.3");
        check(Tenths(5), "0.5");
        check(date(2023, 2, 1), "2023-02-01");
        check(date(2023, 2, 1).at(9, 5, 0, 0), "2023-02-01 09:05:00");
        check("plain text", "plain text");
        check("one, two", "\"one, two\"");
        check("a \"b\"\nc", "\"a \"\"b\"\"\nc\"");
    }

    #[test]
    #[should_panic(expected = "in their order")]
    fn cells_out_of_order_are_a_bug() {
        spread(["a", "b"], &[("b", 1_u8.into()), ("a", 2_u8.into())], |_| ());
    }
}
