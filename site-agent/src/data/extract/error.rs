//! Why a source's records cannot be used for a study. Names tables, concepts and the study's own words; nothing of a
//! patient.

use crate::data::omop::InvalidOmop;
use std::fmt;
use std::path::PathBuf;

/// OMOP tables that a study cannot read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecords {
    /// The tables themselves cannot be read.
    #[error(transparent)]
    Omop(#[from] InvalidOmop),
    /// What is given is a plain table.
    #[error(
        "{path}: this is a plain table, and the study reads OMOP records: give the folder of the OMOP tables, or the \
         source.toml of their database"
    )]
    PlainTable {
        /// Which.
        path: PathBuf,
    },
    /// A table without which the study's words mean nothing here.
    #[error("{place}: {what}, which the study reads for {role}; if it is empty here, {instead}")]
    MissingTable {
        /// Which folder or database.
        place: String,
        /// That, in words.
        what: String,
        /// What the study reads there.
        role: String,
        /// What to do where nobody has a row in it.
        instead: String,
    },
    /// MEDS without what the study asks about a person.
    #[error(
        "{place}: no metadata/attributes.parquet, and the study reads {columns} of every person: nothing else in MEDS says it"
    )]
    NoAttributes {
        /// Which folder.
        place: String,
        /// Which columns of it.
        columns: String,
    },
    /// Records in a form that the study does not name.
    #[error("{place}: this is {found}, and data.format of the study is {expected}")]
    OtherFormat {
        /// Which folder or database.
        place: String,
        /// What it is.
        found: &'static str,
        /// What the study says.
        expected: String,
    },
    /// The vocabulary is not the study's.
    #[error("{place}: the vocabulary does not fit the study:\n{}", Listed(.mismatches))]
    Vocabulary {
        /// Which folder or database.
        place: String,
        /// Each of them; at least one.
        mismatches: Vec<Mismatch>,
    },
    /// The vocabularies are older than the study allows, or do not say how old.
    #[error(
        "{place}: the study asks for vocabularies of {expected} or later (data.min_vocabulary), and {found}: update the \
         vocabulary tables; where table vocabulary is what is missing, {instead}"
    )]
    OldVocabulary {
        /// Which folder or database.
        place: String,
        /// Of the study.
        expected: String,
        /// What the source says.
        found: String,
        /// How to supply table `vocabulary`.
        instead: String,
    },
    /// The site has not filled in what the study asks each site for.
    #[error(
        "the study asks each site to fill in {names}: write the answer by `site-agent study bindings` and give it with \
         --bindings"
    )]
    Unanswered {
        /// Names of the bindings.
        names: String,
    },
    /// More training people than the study's arithmetic is proven for.
    #[error("more than {people_max} training people, for whom this study's model cannot be trained")]
    TooManyTraining {
        /// The lattice's largest batch.
        people_max: usize,
    },
}

/// A concept set that does not mean here what it means in the study.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another name for an id.
    #[error(
        "concept set {set}: the study calls {id} {asserted:?}, and table concept calls it {found:?}; tell the study's author: \
         its text is signed, and nobody here can correct it"
    )]
    OtherName {
        /// Of the study.
        set: String,
        /// The concept.
        id: i64,
        /// Its name in the study.
        asserted: String,
        /// Its name here.
        found: String,
    },
    /// MEDS whose codes have no number of OMOP's.
    #[error(
        "concept set {set} names {concept} by OMOP's number, and metadata/codes.parquet gives no concept_id: it can be found \
         by its code only"
    )]
    NoConceptIds {
        /// Of the study.
        set: String,
        /// The first such concept.
        concept: String,
    },
    /// Nothing is below anything.
    #[error(
        "concept set {set} asks for everything below its concepts, and table concept_ancestor (of MEDS: parent_codes) is \
         missing or empty: {instead}"
    )]
    NoHierarchy {
        /// Of the study.
        set: String,
        /// How to supply it.
        instead: String,
    },
    /// An attribute that is only counted stands where something else reads.
    #[error(
        "attribute {attribute} is completeness-only, and by this hospital's answer it stands in observations of concept \
         {concept}, which {also} reads, too: answer its binding with other records, or as absent, and tell the study's author"
    )]
    Counted {
        /// Of the study.
        attribute: String,
        /// Of the observations.
        concept: i64,
        /// What reads them.
        also: String,
    },
}

struct Listed<'a>(&'a [Mismatch]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mismatch) in self.0.iter().enumerate() {
            write!(f, "{}{mismatch}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}
