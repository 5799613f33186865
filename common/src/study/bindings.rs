//! Bindings: what no vocabulary can supply and each hospital fills in and signs, such as which of its stays are under a
//! mental-health specialty. The study says what is asked for, which columns an answer may name and what holds without one;
//! the hospital answers in a closed language ([`fill_in`]), and its exact text is part of what it signs
//! ([`crate::protocol::Approval::bindings`]).

mod answer;
mod template;
mod words;

pub use answer::{ANSWER_BYTES_MAX, fill_in};
pub use template::template;
pub use words::{SideBySide, asked, in_force, side_by_side};

use super::records::{PersonField, Records, SetIndex};
use super::{Data, Study};

/// Most bindings of a study.
pub const BINDINGS_MAX: usize = 32;
/// Most marks of a rule, and most levels.
pub const MARKS_MAX: usize = 64;
/// Most concepts of a list.
pub const CONCEPTS_MAX: usize = 512;

/// Index into [`Records::bindings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BindingIndex(pub usize);

/// `[binding.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// As `psychiatric_stay`.
    pub name: String,
    /// What the hospital is asked for.
    pub describe: String,
    /// The columns that an answer may name, at least one, of one [`Purpose`].
    pub may_use: Vec<BoundColumn>,
    /// Whether a hospital may leave it out, and say so in public.
    pub optional: bool,
    /// What holds at a hospital that has nothing better; only of stays.
    pub default: Option<StayRule>,
    /// What holds here; in a study file that no hospital has answered, the default where there is one.
    pub in_force: InForce,
}

/// What holds of a binding.
#[derive(Debug, Clone, PartialEq)]
pub enum InForce {
    /// These stays.
    Stays(StayRule),
    /// These values.
    Values(ValueRule),
    /// Left out by the hospital: nobody has such a stay or value.
    Absent,
    /// The hospital has not said yet, and there is no default: no record can be read under the study.
    Unanswered,
}

/// What a binding is used for; the study's own use of its name decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Some of the visits: entry events, outcomes, `seen_by`.
    Stays,
    /// A person's value of an attribute.
    Values,
}

/// Columns that an answer can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BoundColumn {
    /// Of the visit itself.
    VisitConcept,
    /// Of any detail of the visit (by its `visit_occurrence_id`).
    VisitDetailConcept,
    /// Of the care site of the visit (`visit_occurrence.care_site_id`).
    PlaceOfService,
    /// Of the provider of the visit (`visit_occurrence.provider_id`).
    Specialty,
    /// Which observation it is: the concept itself is the value.
    ObservationConcept,
    /// The coded result of an observation.
    ObservationValueConcept,
    /// The number of an observation.
    ObservationValueNumber,
}

/// Some of the rows of `visit_occurrence`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StayRule {
    /// Which visits can be one.
    pub visits: Visits,
    /// The visit has any of these marks; every such visit counts where there is none.
    pub any_of: Vec<Mark>,
}

/// Visits by `visit_concept_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visits {
    /// All.
    Any,
    /// Those of a concept set of the study.
    Set(SetIndex),
    /// Those of the concepts that the hospital lists, as they stand.
    Listed(Vec<i64>),
}

/// What tells a stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A condition of the set was recorded with the visit's `visit_occurrence_id`. A visit without that number has none.
    Condition(SetIndex),
    /// One of these concepts stands in the column.
    Column {
        /// One for [`Purpose::Stays`].
        column: BoundColumn,
        /// Above 0, at least one.
        concepts: Vec<i64>,
    },
}

/// Where a person's value of an attribute stands. It is that of the last observation up to the prediction time that has
/// one (of several at one moment the last in the stream's order): an observation of no level says nothing, and takes no
/// earlier one back.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueRule {
    /// One for [`Purpose::Values`].
    pub column: BoundColumn,
    /// Which observations, by `observation_concept_id`; empty for [`BoundColumn::ObservationConcept`], whose levels say it.
    pub of: Vec<i64>,
    /// What means which of the attribute's labels; no concept and no number is in two.
    pub levels: Vec<(ValueIs, String)>,
}

/// Values of one level.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueIs {
    /// One of these concepts. An observation that also has a number has no coded result where the study reads numbers of
    /// observations.
    Concepts(Vec<i64>),
    /// A number from the first to below the second.
    Numbers(f64, f64),
}

impl BoundColumn {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::VisitConcept,
        Self::VisitDetailConcept,
        Self::PlaceOfService,
        Self::Specialty,
        Self::ObservationConcept,
        Self::ObservationValueConcept,
        Self::ObservationValueNumber,
    ];

    /// As studies and answers write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VisitConcept => "visit_occurrence.visit_concept_id",
            Self::VisitDetailConcept => "visit_detail.visit_detail_concept_id",
            Self::PlaceOfService => "care_site.place_of_service_concept_id",
            Self::Specialty => "provider.specialty_concept_id",
            Self::ObservationConcept => "observation.observation_concept_id",
            Self::ObservationValueConcept => "observation.value_as_concept_id",
            Self::ObservationValueNumber => "observation.value_as_number",
        }
    }

    /// What it can tell.
    #[must_use]
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::VisitConcept | Self::VisitDetailConcept | Self::PlaceOfService | Self::Specialty => {
                Purpose::Stays
            }
            Self::ObservationConcept | Self::ObservationValueConcept | Self::ObservationValueNumber => {
                Purpose::Values
            }
        }
    }
}

impl Binding {
    /// What it is used for: all its columns are for that.
    ///
    /// # Panics
    /// Not for a binding of a study that parsed, which has a column.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.may_use.first().expect("at least one column").purpose()
    }

    /// Whether the default holds here, and not an answer of the hospital's own.
    #[must_use]
    pub fn is_default(&self) -> bool {
        matches!((&self.default, &self.in_force), (Some(default), InForce::Stays(rule)) if default == rule)
    }
}

impl Study {
    /// What each hospital is asked to fill in; nothing in a study on plain tables.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        match &self.data {
            Data::Records(records) => &records.bindings,
            Data::Table(_) => &[],
        }
    }

    /// The labels that an answer to a binding of values may give: those of every attribute that reads it.
    #[must_use]
    pub fn binding_labels(&self, index: BindingIndex) -> Vec<String> {
        let Data::Records(records) = &self.data else { return Vec::new() };
        let reads = |fields: &Vec<PersonField>| fields.contains(&PersonField::Binding(index));
        let attributes = self.attributes.iter().zip(&records.attributes).filter(|(_, fields)| reads(fields));
        let mut common: Option<Vec<String>> = None;
        for (attribute, _) in attributes {
            let own = attribute.values.levels();
            common = Some(match common {
                None => own,
                Some(before) => before.into_iter().filter(|label| own.contains(label)).collect(),
            });
        }
        common.unwrap_or_default()
    }
}

impl Records {
    /// A binding by its index.
    #[must_use]
    pub fn binding(&self, index: BindingIndex) -> &Binding {
        &self.bindings[index.0]
    }

    /// Names of the bindings that wait for the hospital's answer.
    #[must_use]
    pub fn unanswered(&self) -> Vec<&str> {
        let open = self.bindings.iter().filter(|binding| binding.in_force == InForce::Unanswered);
        open.map(|binding| binding.name.as_str()).collect()
    }
}
