//! A folder of MEDS: its files, and which OMOP tables it can stand for.

use super::super::cells::{Column, Kind};
use super::super::error::InvalidOmop;
use super::super::event::{ConceptId, Domain};
use super::super::folder::{Form, parts};
use super::super::parquet_rows;
use super::super::schema::Table;
use super::super::vocabulary::Concept;
use super::codes::Codes;
use super::error::InvalidMeds;
use super::rows::{self, place};
use crate::files;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Longest `metadata/dataset.json`, bytes.
const DATASET_BYTES_MAX: u64 = 1 << 20;

/// A folder of MEDS, opened: the codes are in memory, and no event.
pub struct Meds {
    root: PathBuf,
    pub(in super::super) shards: Vec<PathBuf>,
    pub(in super::super) attributes: Option<PathBuf>,
    pub(in super::super) ancestors: Option<PathBuf>,
    pub(super) codes: Codes,
    /// Whether events say which table they are of.
    has_domains: bool,
    /// Whether events say their concept by OMOP's number.
    has_concepts: bool,
    /// As the writer of the profile says; none where somebody else wrote the folder.
    tables: Option<BTreeSet<Table>>,
}

#[derive(Deserialize)]
struct Dataset {
    consilium: Option<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    tables: Vec<String>,
}

impl Meds {
    /// Whether a path is a folder of MEDS, by what is in it.
    #[must_use]
    pub fn is_at(root: &Path) -> bool {
        let has = |name: &str| root.join("metadata").join(name).is_file();
        root.join("data").is_dir() && (has("dataset.json") || has("codes.parquet"))
    }

    /// Opens a folder: reads its metadata and no event.
    ///
    /// # Errors
    /// It lacks a file, or a file cannot be read or is not what MEDS says.
    pub fn open(root: &Path) -> Result<Self, InvalidOmop> {
        let data = root.join("data");
        let files = parts(&data)?;
        if let Some(other) = files.iter().find(|file| file.form != Form::Parquet) {
            return Err(InvalidOmop::UnknownForm { path: other.path.clone() });
        }
        let shards: Vec<PathBuf> = files.into_iter().map(|file| file.path).collect();
        let Some(first) = shards.first() else {
            return Err(InvalidMeds::Missing { path: data, what: "the events, as Parquet" }.into());
        };
        let in_metadata = |name: &str| Some(root.join("metadata").join(name)).filter(|path| path.is_file());
        let Some(codes) = in_metadata("codes.parquet") else {
            let path = root.join("metadata/codes.parquet");
            return Err(InvalidMeds::Missing { path, what: "what the codes mean" }.into());
        };
        let tables = in_metadata("dataset.json").map(|path| profile(&path)).transpose()?.flatten();
        let header = header(first)?;
        let mut meds = Self {
            root: root.to_owned(),
            attributes: in_metadata("attributes.parquet"),
            ancestors: in_metadata("concept_ancestor.parquet"),
            codes: Codes::read(&codes)?,
            has_domains: header.has(place::DOMAIN),
            has_concepts: header.has(rows::CONCEPT),
            tables,
            shards: Vec::new(),
        };
        for path in &shards {
            meds.check_shard(path)?;
        }
        meds.shards = shards;
        Ok(meds)
    }

    fn check_shard(&self, path: &Path) -> Result<(), InvalidOmop> {
        let header = header(path)?;
        let text = |column| InvalidMeds::Column { path: path.to_owned(), column, expected: "text" };
        if !header.has(place::CODE) {
            return Err(text("code").into());
        }
        for (column, at, expected) in
            [("domain", place::DOMAIN, self.has_domains), ("concept_id", rows::CONCEPT, self.has_concepts)]
        {
            if header.has(at) != expected {
                return Err(InvalidMeds::Uneven { path: path.to_owned(), column }.into());
            }
        }
        Ok(())
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that stands for the folder.
    #[must_use]
    pub fn main_file(root: &Path) -> PathBuf {
        root.join("metadata/codes.parquet")
    }

    /// Whether it can stand for a table.
    #[must_use]
    pub fn has(&self, table: Table) -> bool {
        match table {
            Table::Person | Table::Concept => true,
            Table::ConceptAncestor => self.ancestors.is_some() || self.codes.has_parents(),
            Table::CareSite | Table::Provider | Table::Location | Table::Vocabulary => false,
            Table::ObservationPeriod | Table::Clinical(_) => match &self.tables {
                Some(tables) => tables.contains(&table),
                None => match table {
                    Table::ObservationPeriod => self.codes.observation,
                    Table::Clinical(Domain::Death) => self.codes.death,
                    _ => self.has_domains,
                },
            },
        }
    }

    /// Why it cannot stand for a table.
    #[must_use]
    pub fn lacking(&self, table: Table) -> String {
        match table {
            Table::CareSite | Table::Provider | Table::Location | Table::Vocabulary => {
                format!("MEDS has no table {table}")
            }
            _ if self.tables.is_some() => format!("table {table} was not in what this MEDS was written from"),
            Table::ObservationPeriod => {
                "no events OBS_START and OBS_END (metadata/codes.parquet lists none)".to_owned()
            }
            Table::Clinical(Domain::Death) => {
                "no events MEDS_DEATH (metadata/codes.parquet lists none)".to_owned()
            }
            _ => format!("no column domain, or table, that says which events are of table {table}"),
        }
    }

    /// Whether it says a person's gender, race and ethnicity.
    #[must_use]
    pub const fn has_attributes(&self) -> bool {
        self.attributes.is_some()
    }

    /// Whether its codes have OMOP's numbers.
    #[must_use]
    pub const fn has_concept_ids(&self) -> bool {
        self.codes.has_ids
    }

    /// Every code that is a concept's.
    pub(in super::super) fn concepts(&self) -> &[Concept] {
        &self.codes.concepts
    }

    /// What each of some concepts has below it by `parent_codes`, itself included; none where there is no hierarchy.
    pub(in super::super) fn below(
        &self,
        of: &BTreeSet<ConceptId>,
    ) -> Option<BTreeMap<ConceptId, BTreeSet<ConceptId>>> {
        self.codes.below(of)
    }

    /// By code, where events do not say their concept themselves.
    pub(super) fn concept_of_code(&self) -> Option<&Codes> {
        (!self.has_concepts).then_some(&self.codes)
    }
}

fn header(path: &Path) -> Result<parquet_rows::Opened, InvalidOmop> {
    parquet_rows::open(path, &rows::COLUMNS)
}

/// The tables that the writer of the profile names.
fn profile(path: &Path) -> Result<Option<BTreeSet<Table>>, InvalidOmop> {
    let invalid = || InvalidMeds::Dataset { path: path.to_owned() };
    let text = files::read_text(path, DATASET_BYTES_MAX).map_err(|_| invalid())?;
    let dataset: Dataset = serde_json::from_str(&text).map_err(|_| invalid())?;
    let Some(profile) = dataset.consilium else { return Ok(None) };
    let named = |name: &String| Table::ALL.into_iter().find(|table| table.name() == name);
    let tables: Option<BTreeSet<Table>> = profile.tables.iter().map(named).collect();
    Ok(Some(tables.ok_or_else(invalid)?))
}

/// The columns of `metadata/attributes.parquet` for those of table `person`.
pub(in super::super) fn of_attributes(columns: &[Column]) -> Vec<Column> {
    let mut columns = columns.to_vec();
    columns[0] = Column::required(&["subject_id"], Kind::Id);
    columns
}
