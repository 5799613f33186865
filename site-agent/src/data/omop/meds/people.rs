//! Who is in a shard, and when each was observed: rows in the form of tables `person` and `observation_period`.

use super::super::cells::{BATCH_ROWS, Batch, Cell, Cells, Column, Kind};
use super::super::error::InvalidOmop;
use super::super::moment::Moment;
use super::super::parquet_rows;
use super::super::units::by_text;
use super::sentinel;
use std::collections::BTreeMap;
use std::path::Path;

/// Whose, when, what.
const COLUMNS: [Column; 3] = [
    Column::required(&["subject_id"], Kind::Id),
    Column::required(&["time"], Kind::DateTime),
    Column::required(&["code"], Kind::Unit),
];

/// How many columns table `person` is read by, and which of them is the day of birth.
const PERSON_COLUMNS: usize = 10;
const BIRTH: usize = 7;

/// Which table a shard's rows are given as.
#[derive(Clone, Copy)]
pub(in super::super) enum AsTable {
    Person,
    ObservationPeriod,
}

impl AsTable {
    /// What it is made from.
    pub(in super::super) const COLUMNS: [Column; 3] = COLUMNS;

    pub(in super::super) fn read(self, shard: &Path, take: Take<'_>) -> Result<(), InvalidOmop> {
        match self {
            Self::Person => people(shard, take),
            Self::ObservationPeriod => periods(shard, take),
        }
    }
}

type Take<'a> = &'a mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>;

/// Everybody in a shard, with the birth that it has.
fn people(path: &Path, take: Take<'_>) -> Result<(), InvalidOmop> {
    let born = by_text(sentinel::BIRTH).0;
    let mut people: BTreeMap<i64, Cell<Moment>> = BTreeMap::new();
    each(path, &mut |subject, time, code| {
        let birth = people.entry(subject).or_insert(Cell::Missing);
        if code == born {
            *birth = time;
        }
    })?;
    let people: Vec<_> = people.into_iter().collect();
    for some in people.chunks(BATCH_ROWS) {
        let ids = some.iter().map(|(subject, _)| Cell::Is(*subject)).collect();
        let births = some.iter().map(|(_, birth)| *birth).collect();
        let mut columns: Vec<Cells> = (0..PERSON_COLUMNS).map(|_| Cells::Absent).collect();
        columns[0] = Cells::Ids(ids);
        columns[BIRTH] = Cells::Moments(births, false);
        take(&Batch { rows: some.len(), columns })?;
    }
    Ok(())
}

/// When the people of a shard were observed. A person's first start goes with the first end, and so on: whichever belong
/// together, their union is the same. Of somebody with more of one than of the other no period is known.
fn periods(path: &Path, take: Take<'_>) -> Result<(), InvalidOmop> {
    let (from, to) = (by_text(sentinel::OBSERVED_FROM).0, by_text(sentinel::OBSERVED_TO).0);
    let mut ends: BTreeMap<i64, [Vec<Moment>; 2]> = BTreeMap::new();
    let mut rows: Vec<[Cell<Moment>; 2]> = Vec::new();
    let mut subjects: Vec<Cell<i64>> = Vec::new();
    each(path, &mut |subject, time, code| {
        let Some(which) = [from, to].iter().position(|end| *end == code) else { return };
        let of_subject = ends.entry(subject).or_default();
        match time {
            Cell::Is(moment) => of_subject[which].push(moment.to_day()),
            // A fault of its own; the other end then has no partner.
            _ => {
                subjects.push(Cell::Is(subject));
                rows.push(if which == 0 { [time, Cell::Missing] } else { [Cell::Missing, time] });
            }
        }
    })?;
    for (subject, [mut starts, mut ends]) in ends {
        starts.sort_unstable();
        ends.sort_unstable();
        let paired = starts.len() == ends.len();
        for at in 0..starts.len().max(ends.len()) {
            subjects.push(Cell::Is(subject));
            rows.push(if paired { [Cell::Is(starts[at]), Cell::Is(ends[at])] } else { [Cell::Missing; 2] });
        }
    }
    for (subjects, rows) in subjects.chunks(BATCH_ROWS).zip(rows.chunks(BATCH_ROWS)) {
        let column = |which: usize| Cells::Moments(rows.iter().map(|row| row[which]).collect(), true);
        let columns = vec![Cells::Ids(subjects.to_vec()), column(0), column(1)];
        take(&Batch { rows: rows.len(), columns })?;
    }
    Ok(())
}

/// Subject, time and the number of the code's text of each row that has a subject.
fn each(path: &Path, take: &mut dyn FnMut(i64, Cell<Moment>, i64)) -> Result<(), InvalidOmop> {
    let opened = parquet_rows::open(path, &COLUMNS)?;
    let groups = opened.row_groups().len();
    opened.read(0..groups, &mut |batch| {
        for row in 0..batch.rows {
            if let (Cell::Is(subject), Cell::Is(code)) = (batch.id(0, row), batch.id(2, row)) {
                take(subject, batch.moment(1, row), code);
            }
        }
        Ok(())
    })
}
