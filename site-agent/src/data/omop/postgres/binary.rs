//! The bytes of a binary COPY as batches of parsed cells.
//!
//! PostgreSQL's manual, COPY, "Binary Format": a header; each row as the number of its columns, each column as its length
//! (−1: nothing there) and its bytes; −1 in the place of a number of columns ends it. A message of the protocol is a row as
//! servers send them today; nothing here relies on that.

use super::super::cells::{self, Batch, Cell, Cells, Column, Kind, Limits};
use super::super::moment::{Day, Moment};
use super::error::BadCopy;
use super::numeric;
use zeroize::Zeroizing;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Days and microseconds are counted from 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// How a column's cells are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Int2,
    Int4,
    Int8,
    Numeric,
    Float4,
    Float8,
    Date,
    Timestamp,
    Text,
}

impl Form {
    /// How values of a type are written that a column of this kind may have; none for other types. A timestamp with a zone
    /// is asked for without it.
    pub(super) fn of(kind: Kind, type_oid: u32) -> Option<Self> {
        // `pg_type.dat`: these numbers are fixed.
        let form = match type_oid {
            21 => Self::Int2,
            23 => Self::Int4,
            20 => Self::Int8,
            1700 => Self::Numeric,
            700 => Self::Float4,
            701 => Self::Float8,
            1082 => Self::Date,
            1114 | TIMESTAMP_WITH_ZONE => Self::Timestamp,
            // text, varchar, char(n), name
            25 | 1043 | 1042 | 19 => Self::Text,
            _ => return None,
        };
        let suits = match form {
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Numeric => matches!(kind, Kind::Id | Kind::Number),
            Self::Float4 | Self::Float8 => kind == Kind::Number,
            Self::Date | Self::Timestamp => matches!(kind, Kind::Date | Kind::DateTime),
            Self::Text => matches!(kind, Kind::Text | Kind::Unit | Kind::Private),
        };
        suits.then_some(form)
    }
}

/// `timestamp with time zone`.
pub(super) const TIMESTAMP_WITH_ZONE: u32 = 1184;

/// Why taking a COPY apart stopped.
pub(super) enum Stop<E> {
    /// The row from 1 on, and what is wrong with it.
    Row(u64, BadCopy),
    /// Whoever takes the batches wants no more.
    Taken(E),
}

/// Takes one COPY apart.
pub(super) struct Decoder<'a> {
    /// Of the columns that were asked for, in that order: the place in a batch, the form, and the name.
    columns: &'a [(usize, Form, &'static str)],
    batch: Batch,
    limits: Limits,
    /// The beginning of a row whose end has not come.
    begun: Zeroizing<Vec<u8>>,
    rows: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Ended,
}

impl<'a> Decoder<'a> {
    /// `of_batch` are the columns of a batch; those not in `columns` are absent.
    pub(super) fn new(of_batch: &[Column], columns: &'a [(usize, Form, &'static str)]) -> Self {
        let cells = of_batch.iter().enumerate().map(|(at, column)| {
            let is_there = columns.iter().any(|(place, ..)| *place == at);
            if is_there { Cells::new(column.kind) } else { Cells::Absent }
        });
        let batch = Batch { rows: 0, columns: cells.collect() };
        let limits = Limits::of(of_batch);
        Self { columns, batch, limits, begun: Zeroizing::default(), rows: 0, state: State::Header }
    }

    /// Takes what came next, and gives each full batch to `take`.
    pub(super) fn push<E>(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(&Batch) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        if self.begun.is_empty() {
            let used = self.rows(bytes, take)?;
            self.begun.extend_from_slice(&bytes[used..]);
        } else {
            let mut begun = std::mem::take(&mut self.begun);
            begun.extend_from_slice(bytes);
            let used = self.rows(&begun, take)?;
            begun.drain(..used);
            self.begun = begun;
        }
        if self.begun.len() > self.limits.row_bytes {
            return Err(self.wrong(BadCopy::TooLong { bytes_max: self.limits.row_bytes }));
        }
        Ok(())
    }

    /// At the end of what came: gives out the last batch.
    pub(super) fn end<E>(mut self, take: &mut dyn FnMut(&Batch) -> Result<(), E>) -> Result<(), Stop<E>> {
        if self.state != State::Ended || !self.begun.is_empty() {
            return Err(self.wrong(BadCopy::CutShort));
        }
        self.give(take)
    }

    /// Takes whole rows; how many bytes they were.
    fn rows<E>(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(&Batch) -> Result<(), E>,
    ) -> Result<usize, Stop<E>> {
        let mut rest = bytes;
        if self.state == State::Header {
            let Some(after) = header(rest).map_err(|what| self.wrong(what))? else { return Ok(0) };
            rest = after;
            self.state = State::Rows;
        }
        while !rest.is_empty() {
            if self.state == State::Ended {
                return Err(self.wrong(BadCopy::AfterEnd));
            }
            match self.row(rest).map_err(|what| self.wrong(what))? {
                Some(after) if self.state == State::Rows => {
                    if rest.len() - after.len() > self.limits.row_bytes {
                        return Err(self.wrong(BadCopy::TooLong { bytes_max: self.limits.row_bytes }));
                    }
                    rest = after;
                    self.rows += 1;
                    self.batch.rows += 1;
                    if self.batch.rows == self.limits.batch_rows {
                        self.give(take)?;
                    }
                }
                Some(after) => rest = after,
                None => {
                    let whole = self.batch.rows;
                    self.batch.columns.iter_mut().for_each(|cells| cells.truncate(whole));
                    break;
                }
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// Takes one row, or the end; what follows it. None where its end has not come: some cells may be there already.
    fn row<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<&'b [u8]>, BadCopy> {
        let Some((count, mut rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        let found = i16::from_be_bytes(*count);
        if found == -1 {
            self.state = State::Ended;
            return Ok(Some(rest));
        }
        if usize::try_from(found) != Ok(self.columns.len()) {
            return Err(BadCopy::Columns { expected: self.columns.len(), found });
        }
        for (place, form, name) in self.columns {
            let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            rest = after;
            let cell = match i32::from_be_bytes(*length) {
                -1 => None,
                length => {
                    let length = usize::try_from(length).map_err(|_| BadCopy::Cell { column: name })?;
                    let Some((cell, after)) = rest.split_at_checked(length) else { return Ok(None) };
                    rest = after;
                    Some(cell)
                }
            };
            push(&mut self.batch.columns[*place], *form, cell, name)?;
        }
        Ok(Some(rest))
    }

    fn give<E>(&mut self, take: &mut dyn FnMut(&Batch) -> Result<(), E>) -> Result<(), Stop<E>> {
        if self.batch.rows > 0 {
            take(&self.batch).map_err(Stop::Taken)?;
            self.batch.rows = 0;
            self.batch.columns.iter_mut().for_each(Cells::clear);
        }
        Ok(())
    }

    fn wrong<E>(&self, what: BadCopy) -> Stop<E> {
        Stop::Row(self.rows + 1, what)
    }
}

/// What follows the header; none where its end has not come.
fn header(bytes: &[u8]) -> Result<Option<&[u8]>, BadCopy> {
    let signature = bytes.len().min(SIGNATURE.len());
    if bytes[..signature] != SIGNATURE[..signature] {
        return Err(BadCopy::Header);
    }
    let Some((flags, rest)) = bytes[signature..].split_first_chunk::<4>() else { return Ok(None) };
    let Some((extension, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    // Flags say that the format is another one; servers since 12 know none. The extension may be passed over.
    if *flags != [0; 4] {
        return Err(BadCopy::Header);
    }
    let extension = usize::try_from(i32::from_be_bytes(*extension)).map_err(|_| BadCopy::Header)?;
    if extension > cells::ROW_BYTES_MAX {
        return Err(BadCopy::Header);
    }
    Ok(rest.get(extension..))
}

fn push(cells: &mut Cells, form: Form, cell: Option<&[u8]>, column: &'static str) -> Result<(), BadCopy> {
    let wrong = BadCopy::Cell { column };
    match cells {
        Cells::Absent => {}
        Cells::Ids(cells) => cells.push(match cell {
            None => Cell::Missing,
            Some(bytes) => id(form, bytes).ok_or(wrong)?,
        }),
        Cells::Numbers(cells) => cells.push(match cell {
            None => Cell::Missing,
            Some(bytes) => number(form, bytes).ok_or(wrong)?,
        }),
        Cells::Moments(cells, days_only) => cells.push(match cell {
            None => Cell::Missing,
            Some(bytes) => moment(form, bytes, *days_only).ok_or(wrong)?,
        }),
        Cells::Units(cells) => cells.push(cell.map_or(Cell::Missing, cells::unit)),
        Cells::Texts(cells) => {
            let text = std::str::from_utf8(cell.unwrap_or_default());
            cells.push(text.map_err(|_| BadCopy::NotUtf8 { column })?.to_owned());
        }
        Cells::Privates(cells) => {
            let bytes = cell.unwrap_or_default();
            std::str::from_utf8(bytes).map_err(|_| BadCopy::NotUtf8 { column })?;
            cells.push(cells::private(bytes));
        }
    }
    Ok(())
}

fn id(form: Form, bytes: &[u8]) -> Option<Cell<i64>> {
    match form {
        Form::Int2 => Some(Cell::Is(i16::from_be_bytes(bytes.try_into().ok()?).into())),
        Form::Int4 => Some(Cell::Is(i32::from_be_bytes(bytes.try_into().ok()?).into())),
        Form::Int8 => Some(Cell::Is(i64::from_be_bytes(bytes.try_into().ok()?))),
        Form::Numeric => numeric::id(bytes),
        _ => None,
    }
}

fn number(form: Form, bytes: &[u8]) -> Option<Cell<f64>> {
    match form {
        Form::Float8 => Some(cells::finite(f64::from_be_bytes(bytes.try_into().ok()?))),
        // The number that was meant is the shortest that rounds to it: 36.6, not 36.599998.
        Form::Float4 => {
            let number = f32::from_be_bytes(bytes.try_into().ok()?);
            Some(number.to_string().parse().map_or(Cell::Bad, cells::finite))
        }
        Form::Numeric => numeric::number(bytes),
        #[expect(clippy::cast_precision_loss, reason = "a value's nearest float, as its text would give")]
        _ => match id(form, bytes)? {
            Cell::Is(number) => Some(Cell::Is(number as f64)),
            _ => None,
        },
    }
}

/// `infinity`, which is the greatest or the least number, and years before Christ are outside the years, as any other
/// date too early or too late.
fn moment(form: Form, bytes: &[u8], days_only: bool) -> Option<Cell<Moment>> {
    match form {
        Form::Date => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?).saturating_add(EPOCH_DAYS);
            Some(Day::from_epoch_days(days).map(Moment::on).into())
        }
        Form::Timestamp => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?).saturating_add(EPOCH_MICROS);
            let moment = Moment::from_epoch_micros(micros);
            Some(moment.map(|moment| if days_only { moment.to_day() } else { moment }).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: [Column; 5] = [
        Column::required(&["id"], Kind::Id),
        Column::optional(&["number"], Kind::Number),
        Column::optional(&["day"], Kind::Date),
        Column::absent(),
        Column::optional(&["text"], Kind::Text),
    ];
    const FORMS: [(usize, Form, &str); 4] = [
        (0, Form::Int4, "id"),
        (1, Form::Float8, "number"),
        (2, Form::Timestamp, "day"),
        (4, Form::Text, "text"),
    ];

    fn cell(bytes: &[u8]) -> Vec<u8> {
        [&i32::try_from(bytes.len()).expect("short").to_be_bytes(), bytes].concat()
    }

    fn copy(rows: &[Vec<u8>]) -> Vec<u8> {
        let head = [SIGNATURE, &[0; 8]].concat();
        [head, rows.concat(), (-1_i16).to_be_bytes().to_vec()].concat()
    }

    fn row(id: i32, text: &str) -> Vec<u8> {
        let nothing = (-1_i32).to_be_bytes();
        let day = 86_400_000_000_i64 + 5;
        [
            4_i16.to_be_bytes().as_slice(),
            &cell(&id.to_be_bytes()),
            &nothing,
            &cell(&day.to_be_bytes()),
            &cell(text.as_bytes()),
        ]
        .concat()
    }

    fn decode(bytes: &[u8], step: usize) -> Result<Vec<(i64, String)>, (u64, BadCopy)> {
        let mut found = Vec::new();
        let mut take = |batch: &Batch| -> Result<(), std::convert::Infallible> {
            for row in 0..batch.rows {
                let Cell::Is(id) = batch.id(0, row) else { panic!("an id") };
                assert!(batch.number(1, row) == Cell::Missing && batch.id(3, row) == Cell::Missing);
                assert!(batch.moment(2, row) == cells::moment(b"2000-01-02", true));
                found.push((id, batch.text(4, row).to_owned()));
            }
            Ok(())
        };
        let mut decoder = Decoder::new(&COLUMNS, &FORMS);
        let mut outcome = Ok(());
        for chunk in bytes.chunks(step) {
            outcome = outcome.and_then(|()| decoder.push(chunk, &mut take));
        }
        match outcome.and_then(|()| decoder.end(&mut take)) {
            Ok(()) => Ok(found),
            Err(Stop::Row(row, what)) => Err((row, what)),
            Err(Stop::Taken(never)) => match never {},
        }
    }

    #[test]
    fn rows_however_they_are_cut() {
        let texts = ["", "Müller", "a\nb"];
        let rows: Vec<Vec<u8>> = (0..9000).map(|id| row(id, texts[id as usize % 3])).collect();
        let expected: Vec<(i64, String)> = (0..9000)
            .map(|id: i64| (id, texts[usize::try_from(id).expect("positive") % 3].to_owned()))
            .collect();
        for step in [1, 7, 64, usize::MAX] {
            assert!(decode(&copy(&rows), step) == Ok(expected.clone()), "by {step}");
        }
        assert_eq!(decode(&copy(&[]), 3), Ok(vec![]));
    }

    #[test]
    fn what_is_no_copy() {
        #[track_caller]
        fn check(bytes: &[u8], expected: (u64, BadCopy)) {
            for step in [1, 5, usize::MAX] {
                assert_eq!(decode(bytes, step), Err(expected), "by {step}");
            }
        }
        let whole = copy(&[row(1, "a"), row(2, "b")]);
        check(b"PGCOPY\n\xff\n\n", (1, BadCopy::Header));
        check(&[SIGNATURE, &[0, 1, 0, 0, 0, 0, 0, 0]].concat(), (1, BadCopy::Header));
        check(&[SIGNATURE, &[0, 0, 0, 0, 0xff, 0, 0, 0]].concat(), (1, BadCopy::Header));
        check(&[], (1, BadCopy::CutShort));
        check(&whole[..whole.len() - 1], (3, BadCopy::CutShort));
        check(&whole[..whole.len() - 2], (3, BadCopy::CutShort));
        check(&whole[..whole.len() - 3], (2, BadCopy::CutShort));
        check(&[whole.as_slice(), &[0]].concat(), (3, BadCopy::AfterEnd));
        let columns = BadCopy::Columns { expected: 4, found: 3 };
        check(&copy(&[row(1, ""), 3_i16.to_be_bytes().to_vec()]), (2, columns));
        let mut short = row(1, "");
        short[5] = 3;
        check(&copy(&[short]), (1, BadCopy::Cell { column: "id" }));
        let mut negative = row(1, "");
        negative[2..6].copy_from_slice(&(-2_i32).to_be_bytes());
        check(&copy(&[negative]), (1, BadCopy::Cell { column: "id" }));
        let mut latin = row(1, "x");
        *latin.last_mut().expect("not empty") = 0xe9;
        check(&copy(&[latin]), (1, BadCopy::NotUtf8 { column: "text" }));
        let too_long = BadCopy::TooLong { bytes_max: cells::ROW_BYTES_MAX };
        let long = copy(&[row(1, &"x".repeat(cells::ROW_BYTES_MAX))]);
        for step in [4096, usize::MAX] {
            assert_eq!(decode(&long, step), Err((1, too_long)), "by {step}");
        }
    }

    #[test]
    fn cells_as_their_text_would_be() {
        let day = |days: i32| moment(Form::Date, &days.to_be_bytes(), false);
        let time = |micros: i64, days_only| moment(Form::Timestamp, &micros.to_be_bytes(), days_only);
        let text = |text: &str| Some(cells::moment(text.as_bytes(), false));
        assert!(day(0) == text("2000-01-01") && day(-36_524) == text("1900-01-01"));
        for days in [i32::MAX, i32::MIN, -36_525, 36_890, -730_500] {
            assert!(day(days) == Some(Cell::OutOfYears), "{days}");
        }
        assert!(
            time(-1, false) == text("1999-12-31 23:59:59.999999") && time(-1, true) == text("1999-12-31")
        );
        for micros in [i64::MAX, i64::MIN, i64::MAX - EPOCH_MICROS] {
            assert!(time(micros, false) == Some(Cell::OutOfYears), "{micros}");
        }
        let float4 = |number: f32| super::number(Form::Float4, &number.to_be_bytes());
        assert!(float4(36.6) == Some(Cell::Is(36.6)) && float4(f32::NAN) == Some(Cell::Bad));
        assert!(number(Form::Float8, &f64::INFINITY.to_be_bytes()) == Some(Cell::Bad));
        assert!(number(Form::Int2, &(-7_i16).to_be_bytes()) == Some(Cell::Is(-7.0)));
        assert!(number(Form::Numeric, &numeric::sent("36.6")) == Some(Cell::Is(36.6)));
        assert!(id(Form::Int8, &i64::MIN.to_be_bytes()) == Some(Cell::Is(i64::MIN)));
    }

    #[test]
    fn which_types_a_column_may_have() {
        #[track_caller]
        fn check(kind: Kind, good: &[u32]) {
            for oid in
                [16, 18, 19, 20, 21, 23, 25, 700, 701, 790, 1042, 1043, 1082, 1083, 1114, 1184, 1700, 2950]
            {
                assert_eq!(Form::of(kind, oid).is_some(), good.contains(&oid), "{kind:?} {oid}");
            }
        }
        check(Kind::Id, &[20, 21, 23, 1700]);
        check(Kind::Number, &[20, 21, 23, 700, 701, 1700]);
        check(Kind::Date, &[1082, 1114, 1184]);
        check(Kind::DateTime, &[1082, 1114, 1184]);
        check(Kind::Text, &[19, 25, 1042, 1043]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_rows_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1..50_usize) {
            let bytes = [SIGNATURE, &[0; 8], &bytes].concat();
            let mut decoder = Decoder::new(&COLUMNS, &FORMS);
            let mut take = |_: &Batch| Ok::<(), ()>(());
            for chunk in bytes.chunks(step) {
                if decoder.push(chunk, &mut take).is_err() {
                    break;
                }
            }
        }
    }
}
