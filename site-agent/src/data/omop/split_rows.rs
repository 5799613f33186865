//! Takes a CSV file apart into rows and cells, in bounded memory and strictly: after RFC 4180, what a reader that
//! forgives would swallow (a quote that is never closed, text after a closing quote) is an error with its row.
//!
//! The `csv` crate forgives both, and has no limit on a row; that is why this is our own. Separators are comma, tab,
//! semicolon or bar, by the header. In a file that tabs separate, a quote is a character like any other, as in the
//! vocabularies that Athena hands out, except around a whole cell.

use super::error::BadRow;
use memchr::{memchr, memchr_iter, memchr2};
use std::io::{self, Read};
use zeroize::Zeroizing;

/// Why reading stopped.
pub(super) enum Stop {
    /// The operating system, or the unpacking.
    Io(io::Error),
    /// This row.
    Row(u64, BadRow),
}

/// A file as rows.
pub(super) struct Rows<R> {
    input: R,
    /// `buffer[start..end]` is read and not yet given out.
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    ended: bool,
    separator: u8,
    /// The line on which the next row begins.
    line: u64,
    /// Of the row in hand: where each cell lies in the buffer.
    cells: Vec<Cell>,
}

#[derive(Clone, Copy)]
struct Cell {
    from: usize,
    to: usize,
    /// Has doubled quotes inside.
    doubled: bool,
}

/// The outcome of a look at the buffer.
enum Found {
    /// A row ends before this place; so many line ends lie within it.
    Row { next: usize, lines: u64 },
    /// The row goes on beyond the buffer.
    More { in_quotes: bool },
}

impl<R: Read> Rows<R> {
    /// Reads the header and finds out what separates cells. A row of more bytes is an error.
    pub(super) fn new(input: R, row_bytes_max: usize) -> Result<Self, Stop> {
        let mut rows = Self {
            input,
            buffer: Zeroizing::new(vec![0; row_bytes_max]),
            start: 0,
            end: 0,
            ended: false,
            separator: b',',
            line: 1,
            cells: Vec::new(),
        };
        rows.fill()?;
        if rows.buffer[..rows.end].starts_with(b"\xef\xbb\xbf") {
            rows.start = 3;
        }
        let header = &rows.buffer[rows.start..rows.end];
        let header = &header[..memchr(b'\n', header).unwrap_or(header.len())];
        let count = |separator: u8| memchr_iter(separator, header).count();
        rows.separator = b",\t;|".iter().copied().rev().max_by_key(|at| count(*at)).expect("four of them");
        Ok(rows)
    }

    /// Goes to the next row that is not empty; its line. None at the end.
    pub(super) fn next(&mut self) -> Result<Option<u64>, Stop> {
        loop {
            if self.start == self.end && !self.fill()? {
                return Ok(None);
            }
            let line = self.line;
            match self.look(line)? {
                Found::Row { next, lines } => {
                    let from = self.start;
                    self.start = next;
                    self.line += lines;
                    if self.cells.len() == 1 && self.cells[0].from == self.cells[0].to {
                        continue;
                    }
                    let row = &self.buffer[from..next];
                    if memchr(0, row).is_some() {
                        return Err(Stop::Row(line, BadRow::Nul));
                    }
                    if std::str::from_utf8(row).is_err() {
                        return Err(Stop::Row(line, BadRow::NotUtf8));
                    }
                    return Ok(Some(line));
                }
                Found::More { in_quotes } => {
                    if self.end - self.start == self.buffer.len() {
                        return Err(Stop::Row(line, BadRow::TooLong { bytes_max: self.buffer.len() }));
                    }
                    if !self.fill()? && in_quotes {
                        return Err(Stop::Row(line, BadRow::OpenQuote));
                    }
                }
            }
        }
    }

    /// How many cells the row in hand has.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// A cell of the row in hand, as it was written: quotes around it taken off, those within still doubled.
    pub(super) fn raw(&self, at: usize) -> &[u8] {
        let cell = self.cells[at];
        &self.buffer[cell.from..cell.to]
    }

    /// A cell of the row in hand.
    pub(super) fn text(&self, at: usize, scratch: &mut Vec<u8>) -> std::ops::Range<usize> {
        scratch.clear();
        let raw = self.raw(at);
        if self.cells[at].doubled {
            let mut rest = raw;
            while let Some(quote) = memchr(b'"', rest) {
                scratch.extend_from_slice(&rest[..=quote]);
                rest = rest.get(quote + 2..).unwrap_or_default();
            }
            scratch.extend_from_slice(rest);
        } else {
            scratch.extend_from_slice(raw);
        }
        0..scratch.len()
    }

    /// Reads on; whether there was more.
    fn fill(&mut self) -> Result<bool, Stop> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let before = self.end;
        while !self.ended && self.end < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Io(error)),
            }
        }
        Ok(self.end > before)
    }

    /// Looks for the end of the row that begins at `start`.
    fn look(&mut self, line: u64) -> Result<Found, Stop> {
        self.cells.clear();
        let text = &self.buffer[..self.end];
        let quotes_count = self.separator != b'\t';
        let mut lines = 1;
        let mut at = self.start;
        loop {
            if quotes_count && text.get(at) == Some(&b'"') {
                let from = at + 1;
                let mut doubled = false;
                let mut look_from = from;
                let close = loop {
                    let Some(quote) = memchr(b'"', &text[look_from..]).map(|found| look_from + found) else {
                        return Ok(Found::More { in_quotes: true });
                    };
                    match text.get(quote + 1) {
                        Some(b'"') => {
                            doubled = true;
                            look_from = quote + 2;
                        }
                        // The next byte decides, and it may be yet to come.
                        None if !self.ended => return Ok(Found::More { in_quotes: false }),
                        _ => break quote,
                    }
                };
                lines += memchr_iter(b'\n', &text[from..close]).count() as u64;
                self.cells.push(Cell { from, to: close, doubled });
                match &text[close + 1..] {
                    [] => return Ok(Found::Row { next: self.end, lines }),
                    [b'\n', ..] => return Ok(Found::Row { next: close + 2, lines }),
                    [b'\r', b'\n', ..] => return Ok(Found::Row { next: close + 3, lines }),
                    [b'\r'] if !self.ended => return Ok(Found::More { in_quotes: false }),
                    [b'\r'] => return Ok(Found::Row { next: self.end, lines }),
                    [separator, ..] if *separator == self.separator => at = close + 2,
                    _ => return Err(Stop::Row(line, BadRow::AfterQuote)),
                }
                continue;
            }
            let Some(stop) = memchr2(self.separator, b'\n', &text[at..]).map(|found| at + found) else {
                if !self.ended {
                    return Ok(Found::More { in_quotes: false });
                }
                self.cells.push(plain(text, at, self.end, self.separator));
                return Ok(Found::Row { next: self.end, lines });
            };
            let ends_row = text[stop] == b'\n';
            self.cells.push(plain(text, at, stop, self.separator));
            if ends_row {
                return Ok(Found::Row { next: stop + 1, lines });
            }
            at = stop + 1;
            if at == self.end && !self.ended {
                return Ok(Found::More { in_quotes: false });
            }
        }
    }
}

/// A cell without quotes that count; the line's carriage return is not of it.
fn plain(text: &[u8], from: usize, stop: usize, separator: u8) -> Cell {
    let ends_line = text.get(stop).is_none_or(|byte| *byte == b'\n');
    let to = if ends_line && text[from..stop].last() == Some(&b'\r') { stop - 1 } else { stop };
    match &text[from..to] {
        [b'"', within @ .., b'"'] if separator == b'\t' => {
            Cell { from: from + 1, to: to - 1, doubled: memchr(b'"', within).is_some() }
        }
        _ => Cell { from, to, doubled: false },
    }
}

#[cfg(test)]
mod tests {
    use super::super::cells::ROW_BYTES_MAX;
    use super::*;

    /// Gives out a few bytes at a time, so that rows lie across reads.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let some = self.0.len().min(self.1).min(into.len());
            into[..some].copy_from_slice(&self.0[..some]);
            self.0 = &self.0[some..];
            Ok(some)
        }
    }

    type Taken = Result<Vec<(u64, Vec<String>)>, (u64, BadRow)>;
    type Expected<'a> = Result<&'a [(u64, &'a [&'a str])], (u64, BadRow)>;

    fn read(text: &[u8], step: usize) -> Taken {
        let at_row = |stop| match stop {
            Stop::Row(row, what) => (row, what),
            Stop::Io(_) => panic!("no IO here"),
        };
        let mut rows = Rows::new(Slowly(text, step), ROW_BYTES_MAX).map_err(at_row)?;
        let mut all = Vec::new();
        let mut scratch = Vec::new();
        while let Some(line) = rows.next().map_err(at_row)? {
            let cells = (0..rows.len())
                .map(|at| {
                    let range = rows.text(at, &mut scratch);
                    String::from_utf8(scratch[range].to_vec()).expect("checked")
                })
                .collect();
            all.push((line, cells));
        }
        Ok(all)
    }

    #[test]
    fn rows_and_cells() {
        #[track_caller]
        fn check(text: &[u8], expected: Expected<'_>) {
            let expected: Taken = expected.map(|rows| {
                rows.iter()
                    .map(|(line, cells)| (*line, cells.iter().map(|c| (*c).to_owned()).collect()))
                    .collect()
            });
            for step in [1, 2, 3, 1000] {
                assert_eq!(read(text, step), expected, "{:?} by {step}", String::from_utf8_lossy(text));
            }
        }
        use BadRow::{AfterQuote, NotUtf8, Nul, OpenQuote};
        check(b"", Ok(&[]));
        check(b"\n\r\n", Ok(&[]));
        check(b"a,b\n1,2", Ok(&[(1, &["a", "b"]), (2, &["1", "2"])]));
        check(b"\xef\xbb\xbfa,b\r\n\r\n1,\r\n", Ok(&[(1, &["a", "b"]), (3, &["1", ""])]));
        check(b"a,b\r\n1,\"2\"\r\n", Ok(&[(1, &["a", "b"]), (2, &["1", "2"])]));
        check(b"a,b\r\n1,\"2\"\r", Ok(&[(1, &["a", "b"]), (2, &["1", "2"])]));
        check(b"a,b\r\n1,2\r", Ok(&[(1, &["a", "b"]), (2, &["1", "2"])]));
        check(b"a,b\n\"x, \"\"y\"\"\",\"\"\n", Ok(&[(1, &["a", "b"]), (2, &["x, \"y\"", ""])]));
        check(
            b"a,b\n\"one\ntwo\",3\n4,5\n",
            Ok(&[(1, &["a", "b"]), (2, &["one\ntwo", "3"]), (4, &["4", "5"])]),
        );
        // A quote inside a cell that does not begin with one is a character.
        check(b"a,b\n3\" tube,5'\n", Ok(&[(1, &["a", "b"]), (2, &["3\" tube", "5'"])]));
        check(b"a;b\n1;2,5\n", Ok(&[(1, &["a", "b"]), (2, &["1", "2,5"])]));
        check(b"a|b\n1|2\n", Ok(&[(1, &["a", "b"]), (2, &["1", "2"])]));
        check(b"a\n1\n", Ok(&[(1, &["a"]), (2, &["1"])]));
        check(
            b"a\tb\n\"Bag\" valve\t2\n\"c\"\t\"\n",
            Ok(&[(1, &["a", "b"]), (2, &["\"Bag\" valve", "2"]), (3, &["c", "\""])]),
        );
        check(b"a,b\n1,\"2\n3,4\n", Err((2, OpenQuote)));
        check(b"a,b\n1,2\n3,\"4\n5,\"6\"\n", Err((3, AfterQuote)));
        check(b"a,b\n1,\"2\" \n", Err((2, AfterQuote)));
        check(b"a,b\n1,\0\n", Err((2, Nul)));
        check(b"a,b\n1,\xff\n", Err((2, NotUtf8)));
        check(b"\xff\xfea\0,\0b\0\n\0", Err((1, Nul)));
    }

    #[test]
    fn a_row_has_a_limit() {
        for (length, too_long) in
            [(ROW_BYTES_MAX - 1, false), (ROW_BYTES_MAX, true), (ROW_BYTES_MAX * 3, true)]
        {
            for quote in ["", "\""] {
                let body = "x".repeat(length - quote.len() * 2);
                let text = format!("a\n{quote}{body}{quote}\nb\n");
                let found = read(text.as_bytes(), usize::MAX);
                if too_long {
                    assert_eq!(
                        found.err(),
                        Some((2, BadRow::TooLong { bytes_max: ROW_BYTES_MAX })),
                        "{length}"
                    );
                } else {
                    assert_eq!(found.map(|rows| rows.len()), Ok(3), "{length}");
                }
            }
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_far_down_is_found_where_it_is() {
        let row = b"123456789,\"some text\",42\n";
        let rows = 200_000;
        let mut text = b"a,b,c\n".to_vec();
        text.extend(row.repeat(rows));
        text.extend(b"1,\"open,2\n");
        let line = rows as u64 + 2;
        assert_eq!(read(&text, usize::MAX).err(), Some((line, BadRow::OpenQuote)));
        let more = [text.as_slice(), &row.repeat(rows)].concat();
        assert_eq!(read(&more, usize::MAX).err(), Some((line, BadRow::AfterQuote)));
        let plain = [text.as_slice(), &b"1,2,3\n".repeat(rows)].concat();
        assert_eq!(
            read(&plain, usize::MAX).err(),
            Some((line, BadRow::TooLong { bytes_max: ROW_BYTES_MAX }))
        );
    }
}
