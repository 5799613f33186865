//! Split by time: examples that nobody trains on, by the day of their index, so that the model is judged on people who
//! came later than those it was learnt from.
//!
//! A person's role comes from the site's own keyed hash, whatever the day: this is a split of the examples of each role.
//! An example is where its index is. What became of the person may lie on either side of the day: an outcome is known
//! when the study ends, and a model that was in use on that day would have been learnt from fewer of them.

use super::{Split, Study};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// `split.holdout`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdout {
    /// Examples with an index on this day or later are held out: nobody's are trained on.
    pub from: Date,
    /// `split.report`: what is evaluated, in the order of [`Validation::ALL`]; at least one. Examples of evaluation
    /// people that belong to none of it are not looked at.
    pub reported: Vec<Validation>,
}

/// Which of the evaluation people's examples a figure is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// Those of the time that the model was learnt from: index before [`Holdout::from`].
    Internal,
    /// Those of a later time: index on that day or after it.
    Temporal,
}

impl Validation {
    /// Earlier examples first.
    pub const ALL: [Self; 2] = [Self::Internal, Self::Temporal];

    /// As study files and metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Temporal => "temporal",
        }
    }

    /// Whether examples of it are trained on, those of training people.
    ///
    /// # Privacy
    /// An example's day is its person's own and decides on that example alone: adding or removing a person moves
    /// nobody else's. How many people train at a site is not told apart by it, since all denominators and padded
    /// shapes are made from published figures.
    #[must_use]
    pub fn trains(self) -> bool {
        self == Self::Internal
    }
}

impl Split {
    /// What is evaluated, each for itself: without a holdout the one that there is.
    #[must_use]
    pub fn validations(&self) -> &[Validation] {
        self.holdout.as_ref().map_or(&[Validation::Internal], |holdout| &holdout.reported)
    }

    /// What an example with its index on this day (by the hospital's own clock) belongs to.
    #[must_use]
    pub fn validation_on(&self, day: Date) -> Validation {
        match &self.holdout {
            Some(holdout) if day >= holdout.from => Validation::Temporal,
            _ => Validation::Internal,
        }
    }

    /// Whether an example of a training person, or of an evaluation person, is used.
    ///
    /// # Privacy
    /// As [`Validation::trains`].
    #[must_use]
    pub fn uses(&self, trains: bool, of: Validation) -> bool {
        if trains { of.trains() } else { self.validations().contains(&of) }
    }

    /// What stands behind the values of attributes in the groups of an example: its place in [`Split::validations`]
    /// where there are several, else nothing.
    #[must_use]
    pub fn mark(&self, of: Validation) -> Option<u16> {
        let place = self.validations().iter().position(|known| *known == of)?;
        (self.validations().len() > 1).then(|| u16::try_from(place).expect("two at most"))
    }
}

impl Study {
    /// The place in [`Split::validations`] of an evaluation person's example with these groups.
    ///
    /// # Panics
    /// Groups without the mark that this study puts on its examples, which is a bug of whoever made them.
    #[must_use]
    pub fn place_of(&self, groups: &[u16]) -> usize {
        match self.split.validations() {
            [_] => 0,
            _ => usize::from(groups[self.attributes.len()]),
        }
    }

    /// The groups of `overall`: one label each, none where nothing is told apart.
    #[must_use]
    pub fn labels_of_validations(&self) -> Vec<Vec<String>> {
        let label = |of: &Validation| match (&self.split.holdout, of) {
            (Some(holdout), Validation::Internal) => vec![format!("before {}", holdout.from)],
            (Some(holdout), Validation::Temporal) => vec![format!("from {} on", holdout.from)],
            (None, _) => vec![],
        };
        match self.split.validations() {
            [_] => vec![vec![]],
            several => several.iter().map(label).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::SplitBy;
    use jiff::civil::date;

    fn split(reported: &[Validation]) -> Split {
        let holdout = Holdout { from: date(2023, 10, 1), reported: reported.to_vec() };
        Split {
            by: SplitBy::SiteHash,
            training_share: 0.7,
            holdout: (!reported.is_empty()).then_some(holdout),
        }
    }

    #[test]
    fn the_day_itself_is_held_out() {
        fn check(reported: &[Validation], day: Date, expected: Validation) {
            assert_eq!(split(reported).validation_on(day), expected, "{day} {reported:?}");
        }
        check(&Validation::ALL, date(2023, 9, 30), Validation::Internal);
        check(&Validation::ALL, date(2023, 10, 1), Validation::Temporal);
        check(&Validation::ALL[..1], date(2024, 1, 1), Validation::Temporal);
        check(&[], date(2024, 1, 1), Validation::Internal);
    }

    #[test]
    fn marks_tell_apart_what_is_reported() {
        fn check(reported: &[Validation], expected: [Option<u16>; 2]) {
            assert_eq!(Validation::ALL.map(|of| split(reported).mark(of)), expected, "{reported:?}");
        }
        check(&Validation::ALL, [Some(0), Some(1)]);
        check(&[Validation::Temporal], [None, None]);
        check(&[Validation::Internal], [None, None]);
        check(&[], [None, None]);
    }

    #[test]
    fn nobody_trains_on_what_is_held_out() {
        fn check(reported: &[Validation], evaluated: [bool; 2]) {
            let split = split(reported);
            assert_eq!(Validation::ALL.map(|of| split.uses(true, of)), [true, false], "{reported:?}");
            assert_eq!(Validation::ALL.map(|of| split.uses(false, of)), evaluated, "{reported:?}");
        }
        check(&Validation::ALL, [true, true]);
        check(&Validation::ALL[..1], [true, false]);
        check(&Validation::ALL[1..], [false, true]);
    }
}
