//! Rows of MEDS as events.
//!
//! A row says which OMOP table it is of in a column `domain`; without that column only deaths are known. What a study does not
//! want of a table is left out here too, so that the order of events is that of any other source.

use super::super::cells::{Batch, Cell, Column, Kind};
use super::super::event::{Domain, Event};
use super::super::moment::Moment;
use super::super::rows::{Row, TableCounts};
use super::super::schema::{self, Table, at};
use super::super::source::Source;
use super::super::units::by_text;
use super::codes::Codes;
use super::folder::Meds;
use super::sentinel;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// Where the concept stands: as in any clinical table.
pub(super) const CONCEPT: usize = at::CONCEPT;

/// Places beyond those of a clinical table.
pub(super) mod place {
    pub(in super::super) const CODE: usize = 16;
    pub(in super::super) const DOMAIN: usize = 17;
    pub(in super::super) const TIME_PRECISION: usize = 18;
    pub(in super::super) const END_PRECISION: usize = 19;
    pub(in super::super) const EXACT: usize = 20;
}

/// As a clinical table's columns ([`at`]), then [`place`]'s. Texts are kept as numbers (see [`by_text`]).
pub(super) const COLUMNS: [Column; 21] = [
    Column::required(&["subject_id"], Kind::Id),
    Column::optional(&["concept_id"], Kind::Id),
    Column::absent(),
    Column::required(&["time"], Kind::DateTime),
    Column::absent(),
    Column::optional(&["end_time"], Kind::DateTime),
    Column::optional(&["type_concept_id"], Kind::Id),
    Column::optional(&["status_concept_id"], Kind::Id),
    Column::optional(&["numeric_value"], Kind::Number),
    Column::optional(&["value_concept_id"], Kind::Id),
    Column::optional(&["unit_concept_id"], Kind::Id),
    Column::optional(&["visit_id"], Kind::Id),
    Column::optional(&["care_site_id"], Kind::Id),
    Column::absent(),
    Column::optional(&["unit"], Kind::Unit),
    Column::absent(),
    Column::required(&["code"], Kind::Unit),
    Column::optional(&["domain", "table"], Kind::Unit),
    Column::optional(&["time_precision"], Kind::Unit),
    Column::optional(&["end_time_precision"], Kind::Unit),
    Column::optional(&["exact_value"], Kind::Number),
];

/// The numbers of the texts that rows are told apart by.
struct Words {
    death: i64,
    others: [i64; 3],
    date: i64,
    domains: HashMap<i64, Domain>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| Words {
    death: by_text(sentinel::DEATH).0,
    others: [sentinel::BIRTH, sentinel::OBSERVED_FROM, sentinel::OBSERVED_TO].map(|code| by_text(code).0),
    date: by_text("date").0,
    domains: Domain::ALL
        .into_iter()
        .map(|domain| (by_text(Table::Clinical(domain).name()).0, domain))
        .collect(),
});

/// Which rows are wanted, and what of them.
#[derive(Clone)]
pub(in super::super) struct Mixed<'a> {
    codes: Option<&'a Codes>,
    /// By domain: none where its events are not wanted, else which of [`at`]'s columns are.
    wanted: [Option<[bool; PLACES]>; Domain::ALL.len()],
    /// Without which of them a folder cannot be used.
    needed: [bool; PLACES],
}

const PLACES: usize = 16;

impl<'a> Mixed<'a> {
    pub(in super::super) fn new(meds: &'a Meds, source: Source<'a>, domains: &[Domain]) -> Self {
        let mut wanted = [None; Domain::ALL.len()];
        let mut needed = [false; PLACES];
        for domain in domains {
            let columns = source.columns(Table::Clinical(*domain));
            // What makes a row of OMOP's table one, MEDS may lack: a study's own words ask for it.
            let always = schema::columns(Table::Clinical(*domain));
            for place in [at::VISIT, at::NUMBER, at::VALUE_CONCEPT] {
                needed[place] |= columns[place].required && !always[place].required;
            }
            wanted[*domain as usize] = Some(std::array::from_fn(|place| !columns[place].names.is_empty()));
        }
        Self { codes: meds.concept_of_code(), wanted, needed }
    }

    /// The columns that have to be read.
    pub(in super::super) fn columns(&self) -> Vec<Column> {
        let any = |place: usize| self.wanted.iter().flatten().any(|wanted| wanted[place]);
        let is_read = |place: usize| match place {
            at::PERSON | at::DATETIME | place::CODE | place::DOMAIN | place::TIME_PRECISION => true,
            at::END_DATE | at::END_DATETIME | place::END_PRECISION => {
                any(at::END_DATE) || any(at::END_DATETIME)
            }
            place::EXACT => any(at::NUMBER),
            place => any(place),
        };
        let column = |(place, column): (usize, &Column)| {
            let needed = self.needed.get(place).copied().unwrap_or(false);
            match is_read(place) {
                true => Column { required: column.required || needed, ..*column },
                false => Column::absent(),
            }
        };
        COLUMNS.iter().enumerate().map(column).collect()
    }

    /// Gives every wanted event of a batch to `take`, and counts.
    pub(in super::super) fn events<E>(
        &self,
        batch: &Batch,
        counts: &mut BTreeMap<Domain, TableCounts>,
        mut take: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        for row in 0..batch.rows {
            let Some(domain) = domain(batch, row) else { continue };
            let Some(wanted) = &self.wanted[domain as usize] else { continue };
            let counts = counts.entry(domain).or_default();
            self.row(batch, row, wanted).take(domain, counts, &mut take)?;
        }
        Ok(())
    }

    fn row(&self, batch: &Batch, row: usize, wanted: &[bool; PLACES]) -> Row {
        let id = |place: usize| if wanted[place] { batch.id(place, row) } else { Cell::Missing };
        let moment = |place: usize, precision: usize| {
            let cell = batch.moment(place, row);
            match (cell, batch.id(precision, row)) {
                (Cell::Is(moment), Cell::Is(word)) if word == WORDS.date => Cell::Is(moment.to_day()),
                _ => cell,
            }
        };
        let concept = match self.codes {
            Some(codes) if wanted[at::CONCEPT] => match batch.id(place::CODE, row) {
                Cell::Is(word) => Cell::Is(codes.concept(word).0),
                cell => cell,
            },
            _ => id(at::CONCEPT),
        };
        let number = match batch.number(place::EXACT, row) {
            _ if !wanted[at::NUMBER] => Cell::Missing,
            Cell::Is(exact) => Cell::Is(exact),
            _ => batch.number(at::NUMBER, row),
        };
        let no_moment = || Cell::<Moment>::Missing;
        let has_end = wanted[at::END_DATE] || wanted[at::END_DATETIME];
        Row {
            person: batch.id(at::PERSON, row),
            concept,
            date: no_moment(),
            datetime: moment(at::DATETIME, place::TIME_PRECISION),
            end_date: no_moment(),
            end_datetime: if has_end { moment(at::END_DATETIME, place::END_PRECISION) } else { no_moment() },
            provenance: id(at::PROVENANCE),
            status: id(at::STATUS),
            number,
            value_concept: id(at::VALUE_CONCEPT),
            unit: id(at::UNIT),
            unit_text: id(at::UNIT_TEXT),
            visit: id(at::VISIT),
            care_site: id(at::CARE_SITE),
            provider: Cell::Missing,
            days: Cell::Missing,
        }
    }
}

/// Which table a row is of; none of births, ends of observation, and rows of no table.
fn domain(batch: &Batch, row: usize) -> Option<Domain> {
    let Cell::Is(code) = batch.id(place::CODE, row) else { return None };
    if code == WORDS.death {
        return Some(Domain::Death);
    }
    match batch.id(place::DOMAIN, row) {
        Cell::Is(word) if !WORDS.others.contains(&code) => WORDS.domains.get(&word).copied(),
        _ => None,
    }
}
