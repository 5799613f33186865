//! Which columns of which tables are read: all that we know of, or those that a study's words need and no others.
//!
//! Every source is read by the same columns, so that a study means the same on each: also the order of two events at one
//! moment is that of the columns which are read.

use super::cells::Column;
use super::event::Domain;
use super::schema::{self, Table, at, of_note};
use std::collections::BTreeMap;

/// Columns by table.
#[derive(Debug, Clone, Default)]
pub struct Wanted(BTreeMap<Table, Vec<Column>>);

/// What of a table is needed beside what makes its rows rows: whose they are, when, and of which concept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// When an event ended; of a drug also how many days it was supplied for.
    End,
    /// A number and its unit.
    Number,
    /// A number, whatever its unit.
    BareNumber,
    /// A coded result.
    Coded,
    /// The care site of a visit; of a care site what kind of place it is.
    CareSite,
    /// The provider of a visit; of a provider the specialty.
    Provider,
    /// The visit that it belongs to, or is.
    Visit,
    /// A person's gender.
    Gender,
    /// A person's race.
    Race,
    /// A person's ethnicity.
    Ethnicity,
    /// When a person was born.
    Birth,
    /// The text of a note.
    Text,
    /// A note's number.
    Note,
}

/// Whether a number without a unit can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberUnit {
    /// It cannot.
    Needed,
    /// It can.
    Optional,
}

impl Wanted {
    /// Every column of ours of some tables.
    #[must_use]
    pub fn all(tables: &[Table]) -> Self {
        Self(tables.iter().map(|table| (*table, schema::columns(*table).to_vec())).collect())
    }

    /// Adds a table, or more of one.
    pub fn add(&mut self, table: Table, parts: &[Part]) {
        let all = schema::columns(table);
        let columns = self.0.entry(table).or_insert_with(|| all.iter().map(Column::left_out).collect());
        let places = always(table).iter().chain(parts.iter().flat_map(|part| places(table, *part)));
        for place in places {
            // What was needed before stays needed.
            if columns[*place].names.is_empty() {
                columns[*place] = all[*place];
            }
        }
    }

    /// As [`Wanted::add`], where a source that lacks one of these columns cannot be used: without it rows would be passed
    /// over in silence.
    pub fn need(&mut self, table: Table, parts: &[Part]) {
        self.add(table, parts);
        let columns = self.0.get_mut(&table).expect("added");
        for place in parts.iter().flat_map(|part| places(table, *part)) {
            columns[*place].required = true;
        }
    }

    /// Adds numbers with their units, where a source that lacks the numbers cannot be used; where a number needs a unit, one that
    /// has no unit in either form neither.
    pub fn need_numbers(&mut self, table: Table, unit: NumberUnit) {
        self.need(table, &[Part::BareNumber]);
        self.add(table, &[Part::Number]);
        let columns = self.0.get_mut(&table).expect("added");
        if unit == NumberUnit::Needed {
            (columns[at::UNIT].required, columns[at::UNIT].or) = (true, Some(at::UNIT_TEXT));
        }
    }

    /// The tables, in the order that they are shown.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        Table::WITH_NOTES.into_iter().filter(|table| self.0.contains_key(table)).collect()
    }

    /// By the places of [`schema::columns`]; what is not wanted is absent. None of a table that is not read.
    pub(super) fn columns(&self, table: Table) -> &[Column] {
        self.0.get(&table).map_or(&[], Vec::as_slice)
    }
}

/// What makes rows of a table.
const fn always(table: Table) -> &'static [usize] {
    match table {
        Table::Person | Table::CareSite | Table::Provider | Table::Location => &[0],
        Table::ObservationPeriod => &[0, 1, 2],
        // The cause of a death is nobody's to read: studies ask whether and when.
        Table::Clinical(Domain::Death) => &[at::PERSON, at::DATE, at::DATETIME],
        Table::Clinical(Domain::Note) => &[of_note::PERSON, of_note::DATE, of_note::DATETIME],
        Table::Clinical(_) => &[at::PERSON, at::CONCEPT, at::DATE, at::DATETIME],
        // Number, name, vocabulary, code, whether it is standard.
        Table::Concept => &[0, 1, 3, 4, 5],
        Table::ConceptAncestor | Table::Vocabulary => &[0, 1],
        Table::NoteNlp => &[0, 1, 2, 3, 4],
    }
}

const fn places(table: Table, part: Part) -> &'static [usize] {
    match (table, part) {
        (Table::Clinical(Domain::Note), Part::Text) => &[of_note::TEXT],
        (Table::Clinical(Domain::Note), Part::Note) => &[of_note::NOTE],
        (Table::Clinical(Domain::Note), _) => &[],
        (Table::Clinical(_), Part::End) => &[at::END_DATE, at::END_DATETIME, at::DAYS],
        (Table::Clinical(_), Part::Number) => &[at::NUMBER, at::UNIT, at::UNIT_TEXT],
        (Table::Clinical(_), Part::BareNumber) => &[at::NUMBER],
        (Table::Clinical(_), Part::Coded) => &[at::VALUE_CONCEPT],
        (Table::Clinical(_), Part::Visit) => &[at::VISIT],
        (Table::Clinical(_), Part::CareSite) => &[at::CARE_SITE],
        (Table::Clinical(_), Part::Provider) => &[at::PROVIDER],
        (Table::CareSite, Part::CareSite) | (Table::Provider, Part::Provider) => &[1],
        (Table::Person, Part::Gender) => &[1],
        (Table::Person, Part::Race) => &[2],
        (Table::Person, Part::Ethnicity) => &[3],
        (Table::Person, Part::Birth) => &[4, 5, 6, 7],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_table() {
        #[track_caller]
        fn check(table: Table, parts: &[Part], expected: &[&str]) {
            let mut wanted = Wanted::default();
            wanted.add(table, &[]);
            wanted.add(table, parts);
            let names: Vec<&str> =
                wanted.columns(table).iter().filter_map(|column| column.names.first()).copied().collect();
            assert_eq!(names, expected);
            assert_eq!(wanted.tables(), [table]);
            assert_eq!(wanted.columns(table).len(), schema::columns(table).len());
        }
        use Part::{Birth, End, Gender, Number, Visit};
        let death = ["person_id", "death_date", "death_datetime"];
        check(Table::Clinical(Domain::Death), &[End, Number, Visit], &death);
        let measured = [
            "person_id",
            "measurement_concept_id",
            "measurement_date",
            "measurement_datetime",
            "value_as_number",
            "unit_concept_id",
            "unit_source_value",
        ];
        check(Table::Clinical(Domain::Measurement), &[Number], &measured);
        check(Table::Clinical(Domain::Measurement), &[], &measured[..4]);
        let stay = [
            "person_id",
            "visit_concept_id",
            "visit_start_date",
            "visit_start_datetime",
            "visit_end_date",
            "visit_end_datetime",
            "visit_occurrence_id",
        ];
        check(Table::Clinical(Domain::Visit), &[End, Visit], &stay);
        let born = [
            "person_id",
            "gender_concept_id",
            "year_of_birth",
            "month_of_birth",
            "day_of_birth",
            "birth_datetime",
        ];
        check(Table::Person, &[Birth, Gender], &born);
        check(Table::Person, &[], &["person_id"]);
        let note = ["person_id", "note_id", "note_date", "note_datetime", "note_text"];
        check(Table::Clinical(Domain::Note), &[Part::Text, Part::Note, End, Number], &note);
        check(Table::Clinical(Domain::Note), &[Part::Note], &note[..4]);
        let nlp = ["note_id", "note_nlp_concept_id", "term_exists", "term_temporal", "term_modifiers"];
        check(Table::NoteNlp, &[], &nlp);
        check(Table::ConceptAncestor, &[], &["ancestor_concept_id", "descendant_concept_id"]);
    }

    #[test]
    fn what_is_needed_stays_needed() {
        use NumberUnit::{Needed, Optional};
        let table = Table::Clinical(Domain::Measurement);
        let lacking = |wanted: &Wanted, there: &[usize]| {
            Column::lacking(wanted.columns(table), |place| there.contains(&place))
        };
        for order in [[Needed, Optional], [Optional, Needed]] {
            let mut wanted = Wanted::default();
            order.into_iter().for_each(|unit| wanted.need_numbers(table, unit));
            wanted.add(table, &[Part::Number, Part::Visit]);
            let check = |there: &[usize], expected: Option<&str>| {
                let all = [&[at::PERSON, at::CONCEPT], there].concat();
                assert_eq!(lacking(&wanted, &all).as_deref(), expected, "{there:?}");
            };
            check(&[at::UNIT], Some("value_as_number"));
            check(&[at::NUMBER], Some("unit_concept_id or unit_source_value"));
            check(&[at::NUMBER, at::UNIT], None);
            check(&[at::NUMBER, at::UNIT_TEXT], None);
        }
        let mut wanted = Wanted::default();
        wanted.need_numbers(table, Optional);
        assert_eq!(lacking(&wanted, &[at::PERSON, at::CONCEPT, at::NUMBER]), None);
    }

    #[test]
    fn all_is_all() {
        let wanted = Wanted::all(&Table::ALL);
        assert_eq!(wanted.tables(), Table::ALL);
        assert_eq!(Wanted::all(&Table::WITH_NOTES).tables(), Table::WITH_NOTES);
        assert_eq!(wanted.columns(Table::Person).len(), 10);
        assert!(Wanted::default().columns(Table::Person).is_empty());
    }
}
