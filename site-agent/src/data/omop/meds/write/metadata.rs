//! `metadata/`: who the people are, what the codes mean, and what the folder was made from.

use super::super::super::cells::Cell;
use super::super::super::error::InvalidOmop;
use super::super::super::event::{ConceptId, Domain, Event};
use super::super::super::people::Person;
use super::super::super::schema::Table;
use super::super::super::source::Source;
use super::super::super::vocabulary::{self, Concept};
use super::super::sentinel;
use super::parquet_file::ParquetFile;
use super::{MedsExportError, unwritable};
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::json;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::num::NonZeroI64;
use std::path::Path;
use std::sync::Arc;

/// Of MEDS.
const MEDS_VERSION: &str = "0.4.1";

/// What occurs in the events, and what is above it.
pub(super) struct Names {
    /// Every concept that occurs or is above one, as the vocabulary has it.
    concepts: BTreeMap<ConceptId, Concept>,
    /// The code of every concept that occurs, or is above one: no two alike.
    codes: HashMap<ConceptId, String>,
    /// Ancestor, descendant, levels between; of descendants that occur, and of what is above them.
    above: Vec<(i64, i64, i64)>,
}

impl Names {
    pub(super) fn read(source: Source<'_>, used: HashSet<ConceptId>) -> Result<Self, InvalidOmop> {
        let above = above(source, &used)?;
        let mut wanted = used;
        wanted.extend(above.iter().map(|(ancestor, ..)| ConceptId(*ancestor)));
        let concepts = vocabulary::concepts(source, |concept| wanted.contains(&concept.id))?;
        let mut taken = HashSet::new();
        let mut wanted: Vec<ConceptId> = wanted.into_iter().collect();
        wanted.sort_unstable();
        let codes = wanted
            .into_iter()
            .map(|id| {
                let named = concepts.get(&id).filter(|concept| !concept.vocabulary.is_empty());
                let code = named.map(|concept| format!("{}/{}", concept.vocabulary, concept.code));
                // Of two concepts with one code the second goes by its number, as does one that no table names.
                let code = code.filter(|code| taken.insert(code.clone()));
                (id, code.unwrap_or_else(|| format!("OMOP/{}", id.0)))
            })
            .collect();
        Ok(Self { concepts, codes, above })
    }

    /// What an event is called.
    pub(super) fn code(&self, event: &Event) -> Cow<'_, str> {
        if event.domain == Domain::Death {
            return Cow::Borrowed(sentinel::DEATH);
        }
        match self.codes.get(&event.concept) {
            Some(code) => Cow::Borrowed(code),
            None => Cow::Borrowed(unmapped(event.domain)),
        }
    }

    /// Writes `codes.parquet` and, where the source has a hierarchy, `concept_ancestor.parquet`; how many codes.
    pub(super) fn write(&self, folder: &Path, tables: &[Table]) -> Result<u64, MedsExportError> {
        let mut rows: BTreeMap<&str, (String, Option<&Concept>)> = [
            (sentinel::BIRTH, "Birth"),
            (sentinel::DEATH, "Death; concept_id is its cause"),
            (sentinel::OBSERVED_FROM, "First day of a period of observation"),
            (sentinel::OBSERVED_TO, "Last day of a period of observation"),
        ]
        .into_iter()
        .map(|(code, description)| (code, (description.to_owned(), None)))
        .collect();
        for domain in Domain::ALL.into_iter().filter(|domain| *domain != Domain::Death) {
            let table = Table::Clinical(domain).name();
            rows.insert(unmapped(domain), (format!("A row of {table} without a concept"), None));
        }
        for (id, code) in &self.codes {
            let concept = self.concepts.get(id);
            let name = concept.map_or_else(String::new, |concept| concept.name.clone());
            rows.insert(code, (name, concept));
        }
        let mut parents: HashMap<ConceptId, BTreeSet<&str>> = HashMap::new();
        for (ancestor, descendant, levels) in &self.above {
            if let (1, Some(code)) = (levels, self.codes.get(&ConceptId(*ancestor))) {
                parents.entry(ConceptId(*descendant)).or_default().insert(code);
            }
        }
        let parents: BTreeMap<&str, &BTreeSet<&str>> = parents
            .iter()
            .filter_map(|(child, parents)| Some((self.codes.get(child)?.as_str(), parents)))
            .collect();
        codes(&folder.join("codes.parquet"), &rows, &parents)?;
        if tables.contains(&Table::ConceptAncestor) {
            ancestors(&folder.join("concept_ancestor.parquet"), &self.above)?;
        }
        Ok(rows.len() as u64)
    }
}

/// What an event without a concept is called.
const fn unmapped(domain: Domain) -> &'static str {
    match domain {
        Domain::Visit => "UNMAPPED/visit_occurrence",
        Domain::VisitDetail => "UNMAPPED/visit_detail",
        Domain::Condition => "UNMAPPED/condition_occurrence",
        Domain::Drug => "UNMAPPED/drug_exposure",
        Domain::Procedure => "UNMAPPED/procedure_occurrence",
        Domain::Measurement => "UNMAPPED/measurement",
        Domain::Observation => "UNMAPPED/observation",
        Domain::Death => sentinel::DEATH,
        Domain::Note => panic!("notes are not exported"),
    }
}

/// Everything above the concepts that occur, with the levels between where the source says them. Of MEDS by somebody else
/// the parents alone are known.
fn above(source: Source<'_>, used: &HashSet<ConceptId>) -> Result<Vec<(i64, i64, i64)>, InvalidOmop> {
    let mut above = Vec::new();
    // Twice: the parents of what is above are wanted too, or `parent_codes` would end after one step.
    let mut wanted = used.clone();
    for _ in 0..2 {
        above.clear();
        source.read(Table::ConceptAncestor, &mut |batch| {
            for row in 0..batch.rows {
                let (Cell::Is(ancestor), Cell::Is(descendant)) = (batch.id(0, row), batch.id(1, row)) else {
                    continue;
                };
                if wanted.contains(&ConceptId(descendant)) {
                    let levels = if let Cell::Is(levels) = batch.id(2, row) { levels } else { -1 };
                    above.push((ancestor, descendant, levels));
                }
            }
            Ok(())
        })?;
        wanted.extend(above.iter().map(|(ancestor, ..)| ConceptId(*ancestor)));
    }
    above.sort_unstable();
    above.dedup();
    Ok(above)
}

fn codes(
    path: &Path,
    rows: &BTreeMap<&str, (String, Option<&Concept>)>,
    parents: &BTreeMap<&str, &BTreeSet<&str>>,
) -> Result<(), MedsExportError> {
    let text = |of: &dyn Fn(&Concept) -> &str| -> ArrayRef {
        let cells = rows.values().map(|(_, concept)| concept.map(of).filter(|text| !text.is_empty()));
        Arc::new(StringArray::from_iter(cells))
    };
    let mut lists = ListBuilder::new(StringBuilder::new());
    for code in rows.keys() {
        match parents.get(code) {
            None => lists.append_null(),
            Some(parents) => {
                parents.iter().for_each(|parent| lists.values().append_value(parent));
                lists.append(true);
            }
        }
    }
    let described = rows.values().map(|(text, _)| Some(text.as_str()).filter(|text| !text.is_empty()));
    let ids = rows.values().map(|(_, concept)| concept.map(|concept| concept.id.0));
    let columns: [(&str, ArrayRef, bool); 8] = [
        ("code", Arc::new(StringArray::from_iter_values(rows.keys())), false),
        ("description", Arc::new(StringArray::from_iter(described)), true),
        ("parent_codes", Arc::new(lists.finish()), true),
        ("concept_id", Arc::new(Int64Array::from_iter(ids)), true),
        ("vocabulary_id", text(&|concept| &concept.vocabulary), true),
        ("concept_code", text(&|concept| &concept.code), true),
        ("domain_id", text(&|concept| &concept.domain), true),
        ("standard_concept", text(&|concept| if concept.is_standard { "S" } else { "" }), true),
    ];
    whole_file(path, columns)
}

fn ancestors(path: &Path, above: &[(i64, i64, i64)]) -> Result<(), MedsExportError> {
    let column = |of: fn(&(i64, i64, i64)) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(above.iter().map(of)))
    };
    let levels: ArrayRef =
        Arc::new(Int64Array::from_iter(above.iter().map(|(.., levels)| Some(*levels).filter(|n| *n >= 0))));
    let columns = [
        ("ancestor_concept_id", column(|row| row.0), false),
        ("descendant_concept_id", column(|row| row.1), false),
        ("min_levels_of_separation", levels, true),
    ];
    whole_file(path, columns)
}

/// `attributes.parquet`: what is known of a person beside events, so that it is no feature by accident.
pub(super) fn attributes(path: &Path, persons: &[Person]) -> Result<(), MedsExportError> {
    let id = |of: fn(&Person) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(persons.iter().map(of)))
    };
    let known = |of: fn(&Person) -> Option<i64>| -> ArrayRef {
        Arc::new(Int64Array::from_iter(persons.iter().map(of)))
    };
    let columns = [
        ("subject_id", id(|person| person.id.0), false),
        ("gender_concept_id", id(|person| person.gender.0), true),
        ("race_concept_id", id(|person| person.race.0), true),
        ("ethnicity_concept_id", id(|person| person.ethnicity.0), true),
        ("year_of_birth", known(|person| person.birth_year.map(i64::from)), true),
        ("month_of_birth", known(|person| person.birth_month.map(i64::from)), true),
        ("day_of_birth", known(|person| person.birth_day.map(i64::from)), true),
        ("location_id", known(|person| person.location.map(NonZeroI64::get)), true),
        ("care_site_id", known(|person| person.care_site.map(NonZeroI64::get)), true),
    ];
    whole_file(path, columns)
}

fn whole_file<const N: usize>(
    path: &Path,
    columns: [(&str, ArrayRef, bool); N],
) -> Result<(), MedsExportError> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    let mut file = ParquetFile::create(path, &batch.schema())?;
    file.write(batch)?;
    file.finish()
}

/// `dataset.json`; holds no time of day, so that the same source gives the same bytes.
pub(super) fn dataset(path: &Path, tables: &[Table]) -> Result<(), MedsExportError> {
    let json = json!({
        "etl_name": "consilium site-agent",
        "etl_version": env!("CARGO_PKG_VERSION"),
        "meds_version": MEDS_VERSION,
        "raw_source_id_columns": ["visit_id"],
        "code_modifier_columns": ["unit"],
        "site_id_columns": ["care_site_id"],
        "other_extension_columns": [
            "domain", "concept_id", "time_precision", "end_time", "end_time_precision", "exact_value", "value_concept_id",
            "unit_concept_id", "type_concept_id", "status_concept_id",
        ],
        "consilium": { "profile": 1, "tables": tables.iter().map(|table| table.name()).collect::<Vec<_>>() },
    });
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = serde_json::to_string_pretty(&json).expect("plain JSON") + "\n";
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(unwritable(path))
}
