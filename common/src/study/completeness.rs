//! `use = "completeness-only"` of an attribute: how often it is recorded is counted, and nothing else is ever asked of it.
//! Its values are states, not what was recorded: no group of people, no subgroup and no input of the model is made of it.

use super::{AttributeValues, CONFLICTING, Study, UNKNOWN, cell};

/// Something is recorded.
pub const RECORDED: &str = "recorded";
/// The person was asked and refused to say.
pub const REFUSED: &str = "refused";
/// The record says that nobody asked.
pub const NOT_ASKED: &str = "not asked";

/// The states that a level of an answer, or something found, can mean; in their order.
const TOLD: [&str; 3] = [RECORDED, REFUSED, NOT_ASKED];

/// What stands in a record and is no value; no one is in two lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotRecorded<T> {
    /// As much as nothing.
    pub unknown: Vec<T>,
    /// [`REFUSED`].
    pub refused: Vec<T>,
    /// [`NOT_ASKED`].
    pub not_asked: Vec<T>,
}

impl<T> NotRecorded<T> {
    /// The place among [`AttributeValues::levels`] of something that is not empty; none where it is as much as nothing.
    fn level(&self, is: impl Fn(&T) -> bool) -> Option<usize> {
        let state = if self.unknown.iter().any(&is) {
            return None;
        } else if self.refused.iter().any(&is) {
            REFUSED
        } else if self.not_asked.iter().any(&is) {
            NOT_ASKED
        } else {
            RECORDED
        };
        TOLD.iter().position(|told| *told == state)
    }
}

impl NotRecorded<String> {
    /// Of a table's cell.
    pub(super) fn level_of_cell(&self, text: &str) -> Option<usize> {
        if text.trim().is_empty() { None } else { self.level(|listed| cell::same(listed, text)) }
    }

    /// A column says one thing of a person.
    pub(super) fn labels() -> Vec<String> {
        TOLD.into_iter().chain([UNKNOWN]).map(str::to_owned).collect()
    }
}

impl NotRecorded<i64> {
    /// Of a person's concept; 0 is OMOP's for nothing.
    pub(super) fn level_of_concept(&self, concept: i64) -> Option<usize> {
        if concept <= 0 { None } else { self.level(|listed| *listed == concept) }
    }

    /// Several places can say different things.
    pub(super) fn labels() -> Vec<String> {
        TOLD.into_iter().chain([CONFLICTING, UNKNOWN]).map(str::to_owned).collect()
    }
}

impl AttributeValues {
    /// Whether it is only counted how often there is one.
    #[must_use]
    pub const fn is_completeness_only(&self) -> bool {
        match self {
            Self::RecordedCells(_) | Self::RecordedConcepts(_) => true,
            Self::Levels(_) | Self::Bands(_) | Self::Concepts(_) => false,
        }
    }
}

impl Study {
    /// Places in [`Study::attributes`] of those that are only counted, in file order.
    #[must_use]
    pub fn completeness(&self) -> Vec<usize> {
        let counted = |at: &usize| self.attributes[*at].values.is_completeness_only();
        (0..self.attributes.len()).filter(counted).collect()
    }

    /// Whether a release of [`Study::groupings`] is the count of an attribute, and no histogram of scores.
    #[must_use]
    pub fn is_completeness(&self, grouping: &str) -> bool {
        self.attribute(grouping).is_some_and(|attribute| attribute.values.is_completeness_only())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let values = AttributeValues::RecordedCells(NotRecorded {
            unknown: list(&["9", "not known"]),
            refused: list(&["R"]),
            not_asked: list(&["Z"]),
        });
        assert_eq!(values.labels(), ["recorded", "refused", "not asked", "unknown"]);
        let check = |cell: &str, expected: &str| {
            assert_eq!(values.labels()[usize::from(values.index_of(cell))], expected, "{cell:?}");
        };
        check("heterosexual", "recorded");
        check("1", "recorded");
        check("0", "recorded");
        check("", "unknown");
        check("  ", "unknown");
        check("9.0", "unknown");
        check(" not known ", "unknown");
        check("R", "refused");
        check("Z", "not asked");
        assert_eq!(values.levels(), ["recorded", "refused", "not asked"]);
    }

    #[test]
    fn concepts() {
        let values = AttributeValues::RecordedConcepts(NotRecorded {
            unknown: vec![8552],
            refused: vec![44_814_660],
            not_asked: vec![2_000_000_001],
        });
        assert_eq!(values.labels(), ["recorded", "refused", "not asked", "conflicting", "unknown"]);
        let check = |concepts: &[i64], expected: &str| {
            let found = usize::from(values.index_of_concepts(concepts));
            assert_eq!(values.labels()[found], expected, "{concepts:?}");
        };
        check(&[], "unknown");
        check(&[0], "unknown");
        check(&[-1], "unknown");
        check(&[8552], "unknown");
        check(&[8527], "recorded");
        check(&[0, 8527, 8552], "recorded");
        // What is recorded does not matter, so that two values are no contradiction.
        check(&[8527, 8515], "recorded");
        check(&[44_814_660], "refused");
        check(&[2_000_000_001, 0], "not asked");
        check(&[8527, 44_814_660], "conflicting");
        check(&[2_000_000_001, 44_814_660], "conflicting");
        assert_eq!(values.levels(), ["recorded", "refused", "not asked"]);
        assert_eq!(values.index_of("8527"), 4, "a cell is no concept");
    }
}
