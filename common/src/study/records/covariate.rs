//! What is looked at in a person's records: the model's inputs, and what attributes are read from.

use super::{Criterion, Window};
use crate::study::bindings::BindingIndex;
use crate::study::notes::{NoteIndex, Said};

/// Where an input of the model comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Covariate {
    /// Whole years on the day of the index, as [`super::Rule::Age`]; not recorded without a year of birth, or before it. Its
    /// encoding is a number.
    Age,
    /// `person.gender_concept_id`; its encoding is a category whose levels these concepts are, in order.
    Sex {
        /// The concepts of each level.
        levels: Vec<Vec<i64>>,
    },
    /// Whether such an event is in the window; its encoding is a flag.
    Present {
        /// What.
        events: Criterion,
        /// When.
        window: Window,
    },
    /// How many such events are in the window; its encoding is a count.
    Count {
        /// What.
        events: Criterion,
        /// When.
        window: Window,
    },
    /// Numbers of `measurement` (or of `observation`), in a unit that is one of `units` (by its concept, else by its
    /// text, exactly) or not recorded where `unit_missing` says so; all others are left out, and counted at the site. Values outside `plausible` are left
    /// out too. Its encoding is a number or a distance.
    Measured {
        /// What; its table is `measurement` or `observation`.
        events: Criterion,
        /// When.
        window: Window,
        /// Which of several.
        take: Take,
        /// UCUM codes, at least one, that mean the same unit.
        units: Vec<String>,
        /// Whether a value without a unit is taken to be in it.
        unit_missing: bool,
        /// Public limits beyond which a value is a mistake.
        plausible: Option<(f64, f64)>,
    },
    /// Whether any note in the window says so; its encoding is a flag. A note is of its `note_datetime`, or `note_date`.
    Noted {
        /// Of [`super::Records::notes`].
        concept: NoteIndex,
        /// What is said of it.
        said: Said,
        /// When.
        window: Window,
    },
}

/// Which of several values in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// The latest; of several at one moment the largest.
    Last,
    /// The earliest; of several at one moment the largest.
    First,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Their arithmetic mean, in the stream's order.
    Mean,
    /// The one farthest outside the public normal range, the larger of two as far; of values inside the earliest (of
    /// several at one moment the largest). The range is that of the [`crate::study::Encoding::Distance`] feature with an equal
    /// covariate: the feature itself, else the next in order, else the first.
    Worst,
}

/// What of a person an attribute is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonField {
    /// `person.gender_concept_id`.
    Gender,
    /// `person.race_concept_id`.
    Race,
    /// `person.ethnicity_concept_id`.
    Ethnicity,
    /// Whole years on the day of the index, from `person.year_of_birth`; only for bands.
    YearOfBirth,
    /// The value that the site's answer to a binding tells: the last up to the prediction time; nothing where the site
    /// leaves the binding out.
    Binding(BindingIndex),
}
