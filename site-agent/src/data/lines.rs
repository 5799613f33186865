//! The lines of a CSV file, each parsed alone: nothing in one line changes what another one means.

use csv::{ByteRecord, ReaderBuilder, Terminator};
use std::io::{self, BufRead as _, BufReader, Read};

/// The longest line, bytes.
pub(super) const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// One line.
pub(super) enum Line {
    /// Its cells.
    Cells(ByteRecord),
    /// Longer than [`LINE_BYTES_MAX`]; passed over.
    TooLong,
}

/// Reads a file line by line.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    row: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input: BufReader::new(input), line: Vec::new(), row: 0 }
    }

    /// The next line that is not empty, with its number from 1 on.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Line)>> {
        loop {
            self.line.clear();
            let read = (&mut self.input).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            self.row += 1;
            if read as u64 > LINE_BYTES_MAX {
                if self.line.last() != Some(&b'\n') {
                    self.input.skip_until(b'\n')?;
                }
                return Ok(Some((self.row, Line::TooLong)));
            }
            let cells = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let cells = cells.strip_suffix(b"\r").unwrap_or(cells);
            if !cells.is_empty() {
                return Ok(Some((self.row, Line::Cells(parse(cells)?))));
            }
        }
    }
}

fn parse(line: &[u8]) -> io::Result<ByteRecord> {
    let mut cells = ByteRecord::new();
    ReaderBuilder::new()
        .has_headers(false)
        .terminator(Terminator::Any(b'\n'))
        .buffer_capacity(line.len())
        .from_reader(line)
        .read_byte_record(&mut cells)
        .map_err(|_| io::Error::other("expected a CSV file"))?;
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_row() {
        fn check(text: &[u8], expected: &[(u64, &[&[u8]])]) {
            let mut lines = Lines::new(text);
            let mut found = Vec::new();
            while let Some((row, line)) = lines.next().expect("reads") {
                let Line::Cells(cells) = line else { panic!("row {row} is short") };
                found.push((row, cells.iter().map(<[u8]>::to_vec).collect::<Vec<_>>()));
            }
            let expected: Vec<_> = expected
                .iter()
                .map(|(row, cells)| (*row, cells.iter().map(|c| c.to_vec()).collect()))
                .collect();
            assert_eq!(found, expected);
        }
        check(b"", &[]);
        check(b"\n\r\n", &[]);
        check(b"a,b\n1,2", &[(1, &[b"a", b"b"]), (2, &[b"1", b"2"])]);
        check(b"\xef\xbb\xbfa,b\r\n\r\n1,\r\n", &[(1, &[b"a", b"b"]), (3, &[b"1", b""])]);
        check(b"\"a, \"\"b\"\"\",c\n", &[(1, &[b"a, \"b\"", b"c"])]);
        // A quote that is never closed ends with its line.
        check(
            b"a,\"b,c\nd,e\n\"\nf\n",
            &[(1, &[b"a", b"b,c"]), (2, &[b"d", b"e"]), (3, &[b""]), (4, &[b"f"])],
        );
        check(b"a\rb,c\n", &[(1, &[b"a\rb", b"c"])]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let limit = usize::try_from(LINE_BYTES_MAX).expect("small");
        for (length, too_long) in
            [(limit - 1, false), (limit, true), (limit + 1, true), (limit + 70_000, true)]
        {
            let text = [b"a\n".as_slice(), &vec![b'x'; length], b"\nb\n"].concat();
            let mut lines = Lines::new(text.as_slice());
            let kinds: Vec<(u64, bool)> = std::iter::from_fn(|| lines.next().expect("reads"))
                .map(|(row, line)| (row, matches!(line, Line::TooLong)))
                .collect();
            assert_eq!(kinds, [(1, false), (2, too_long), (3, false)], "{length}");
        }
    }
}
