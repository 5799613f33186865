//! What a source was really asked of its tables: noted where a piece of a table is read, so that nothing is missing from it and
//! nothing in it was not asked. What a database is asked about its session and its catalogue is not among it.

use super::cells::Column;
#[cfg(any(test, feature = "warehouse"))]
use super::event::ConceptId;
use super::schema::Table;
use consilium_common::id::Digest;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest line that is kept whole, bytes.
const LINE_BYTES_MAX: usize = 512 * 1024;
/// What is kept of a longer one, characters.
const BEGIN_CHARACTERS: usize = 1000;

/// What was asked of a source, each thing once: of a database every query that reads a table of the hospital's, word for word;
/// of files tables and columns.
///
/// # Privacy
/// Names of tables and columns, and numbers of concepts that the study's words mean in the source's vocabulary. No id and no
/// value of a person; it does not depend on any row of a patient.
#[derive(Debug, Default)]
pub struct QueryLog(Mutex<BTreeSet<(Option<Table>, Arc<str>)>>);

impl QueryLog {
    /// Notes that something was asked, of one table or, where rows of several lie together, of the source. Of a text that is longer
    /// than any query of ours the beginning is kept, and which text it was.
    pub(super) fn note(&self, table: Option<Table>, asked: &Arc<str>) {
        let asked = if asked.len() > LINE_BYTES_MAX {
            let begin: String = asked.chars().take(BEGIN_CHARACTERS).collect();
            format!("{begin}… ({} bytes, {})", asked.len(), Digest::of(asked.as_bytes())).into()
        } else {
            Arc::clone(asked)
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((table, asked));
    }

    /// One line each, by table: which thread asked first does not show, so that the same questions give the same lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(_, asked)| asked.to_string()).collect()
    }
}

/// What is asked of files: `omop: death (person_id, death_date)`. Of a column with two names either is read.
pub(super) fn of_files(format: &str, what: &str, columns: &[Column]) -> Arc<str> {
    let names = columns.iter().filter(|column| !column.names.is_empty());
    let names: Vec<String> = names.map(|column| column.names.join(" or ")).collect();
    format!("{format}: {what} ({})", names.join(", ")).into()
}

/// What an engine is asked for of some files, said as SQL would: its plan is made from the same parts.
#[cfg(any(test, feature = "warehouse"))]
pub(super) struct Rows<'a> {
    /// By their names in the files.
    pub(super) columns: Vec<&'a str>,
    /// Of which files.
    pub(super) from: String,
    /// Only rows that have one of these in this column.
    pub(super) concepts: Option<(&'a str, &'a BTreeSet<ConceptId>)>,
    /// Only rows whose person, in this column, is among what all of these give.
    pub(super) people: Option<(&'a str, Vec<Rows<'a>>)>,
}

/// Longest list of concepts that is written out.
#[cfg(any(test, feature = "warehouse"))]
const CONCEPTS_MAX: usize = 10_000;

#[cfg(any(test, feature = "warehouse"))]
impl std::fmt::Display for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { columns, from, concepts, people } = self;
        write!(f, "SELECT {} FROM {from}", columns.join(", "))?;
        if let Some((column, concepts)) = concepts {
            let ids: Vec<String> = concepts.iter().map(|concept| concept.0.to_string()).collect();
            write!(f, " WHERE {column} IN (")?;
            if ids.len() <= CONCEPTS_MAX {
                write!(f, "{})", ids.join(", "))?;
            } else {
                let digest = Digest::of(ids.join(", ").as_bytes());
                write!(
                    f,
                    "{} concepts, which in order with a comma and a space between have {digest})",
                    ids.len()
                )?;
            }
        }
        if let Some((column, entered)) = people {
            let entered: Vec<String> = entered.iter().map(ToString::to_string).collect();
            let begin = if concepts.is_some() { "AND" } else { "WHERE" };
            write!(f, " {begin} {column} IN ({})", entered.join(" UNION ALL "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Domain;
    use super::super::schema::{self, at};
    use super::*;

    #[test]
    fn the_order_of_asking_does_not_show() {
        let asked = [
            (Some(Table::Concept), "concept"),
            (Some(Table::Person), "person"),
            (Some(Table::Clinical(Domain::Drug)), "drugs"),
            (None, "of the source"),
            (Some(Table::Person), "person"),
        ];
        let expected = ["of the source", "person", "drugs", "concept"];
        for turn in 0..asked.len() {
            let log = QueryLog::default();
            asked
                .iter()
                .cycle()
                .skip(turn)
                .take(5)
                .for_each(|(table, text)| log.note(*table, &(*text).into()));
            assert_eq!(log.lines(), expected);
        }
    }

    #[test]
    fn of_a_text_beyond_the_limit_its_beginning_and_its_digest() {
        let noted = |text: String| {
            let log = QueryLog::default();
            log.note(None, &text.into());
            log.lines().remove(0)
        };
        let most = "é".repeat(LINE_BYTES_MAX / 2);
        assert_eq!(noted(most.clone()), most);
        let cut = noted(format!("{most}1"));
        assert!(
            cut.starts_with("ééé") && cut.contains("… (524289 bytes, sha256:") && cut.len() < 3000,
            "{cut}"
        );
        assert_ne!(cut, noted(format!("{most}2")));
    }

    #[test]
    fn rows_of_files_in_words() {
        let these = |ids: std::ops::Range<i64>| ids.map(ConceptId).collect::<BTreeSet<_>>();
        let others = these(1..10_002);
        let (some, few, none, many) = (these(1..3), these(7..8), these(0..0), these(0..10_001));
        let rows = |concepts, people| Rows {
            columns: vec!["person_id", "c"],
            from: "t (2 files)".into(),
            concepts,
            people,
        };
        let entered = |concepts| Rows { columns: vec!["person_id"], ..rows(Some(("c", concepts)), None) };
        #[track_caller]
        fn check(rows: &Rows<'_>, expected: &str) {
            assert_eq!(rows.to_string(), expected);
        }
        check(&rows(None, None), "SELECT person_id, c FROM t (2 files)");
        check(
            &rows(Some(("c", &some)), Some(("person_id", vec![entered(&few), entered(&some)]))),
            "SELECT person_id, c FROM t (2 files) WHERE c IN (1, 2) AND person_id IN (SELECT person_id FROM t (2 files) \
             WHERE c IN (7) UNION ALL SELECT person_id FROM t (2 files) WHERE c IN (1, 2))",
        );
        check(
            &rows(None, Some(("person_id", vec![entered(&none)]))),
            "SELECT person_id, c FROM t (2 files) WHERE person_id IN (SELECT person_id FROM t (2 files) WHERE c IN ())",
        );
        let long = rows(Some(("c", &many)), None).to_string();
        assert!(long.contains("IN (10001 concepts, which in order") && long.contains("sha256:"), "{long}");
        assert_ne!(rows(Some(("c", &others)), None).to_string(), long);
    }

    #[test]
    fn files_by_their_columns() {
        let visit = Table::Clinical(Domain::Visit);
        let mut columns: Vec<Column> = schema::columns(visit).iter().map(Column::left_out).collect();
        for place in [at::PERSON, at::VALUE_CONCEPT] {
            columns[place] = schema::columns(visit)[place];
        }
        let expected =
            "omop: visit_occurrence (person_id, discharged_to_concept_id or discharge_to_concept_id)";
        assert_eq!(&*of_files("omop", visit.name(), &columns), expected);
    }
}
