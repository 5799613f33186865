//! What follows from a study and is asked for in several places: the model's inputs, its groupings,
//! the people that a site is expected to train and evaluate on.

use super::{Attribute, AttributeValues, Encoding, Feature, ModelFamily, RosterSite, Study, Training, cell};
use crate::id::SiteName;
use crate::model::Architecture;

/// The grouping of everybody.
pub const OVERALL: &str = "overall";
/// The value of an attribute that fits no listed one; a group of its own, always last.
pub const UNKNOWN: &str = "unknown";

impl Study {
    /// The site's entry on the roster.
    #[must_use]
    pub fn site(&self, name: &SiteName) -> Option<&RosterSite> {
        self.sites.iter().find(|site| site.name == *name)
    }

    /// An attribute by name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The model's inputs in order, one name each: a number `age`; a category `cp=2` for each level
    /// after the first; and, with `missing.indicator`, `age:missing` after each feature's own.
    #[must_use]
    pub fn input_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for Feature { name, encoding, .. } in &self.features {
            match encoding {
                Encoding::Number { .. } => names.push(name.clone()),
                Encoding::Category { levels } => {
                    names.extend(levels.iter().skip(1).map(|level| format!("{name}={level}")));
                }
            }
            if self.missing.indicator {
                names.push(format!("{name}:missing"));
            }
        }
        names
    }

    /// Shape of the model that the study trains.
    #[must_use]
    pub fn architecture(&self) -> Architecture {
        let hidden = match &self.model {
            ModelFamily::Logistic => Vec::new(),
            ModelFamily::Mlp { hidden } => hidden.clone(),
        };
        Architecture { inputs: self.input_names().len(), hidden }
    }

    /// Training people that a site is expected to have: published people × public share. A public
    /// constant; never a count of data.
    #[must_use]
    pub fn training_people(&self, site: &RosterSite) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most 10^9")]
        let people = site.people_public as f64;
        people * self.split.training_share
    }

    /// The denominator of a private step at a site: q × training people; a public constant, at
    /// least 1.
    #[must_use]
    pub fn denominator(&self, site: &RosterSite) -> f64 {
        (self.privacy.training.sampling_rate * self.training_people(site)).max(1.0)
    }

    /// Groupings by name: `overall`, then the study's own in file order.
    #[must_use]
    pub fn groupings(&self) -> Vec<String> {
        grouping_names(&self.subgroups.groups)
    }
}

/// `overall`, then each group as its attributes joined by `*`.
pub(super) fn grouping_names(groups: &[Vec<String>]) -> Vec<String> {
    std::iter::once(OVERALL.to_owned()).chain(groups.iter().map(|group| group.join("*"))).collect()
}

impl Training {
    /// Private steps that the study is charged for at one site, spare ones included.
    #[must_use]
    pub fn steps_charged(&self) -> u64 {
        (u64::from(self.rounds) + u64::from(self.spare_rounds)) * u64::from(self.local_steps)
    }
}

impl AttributeValues {
    /// How many groups, `unknown` included.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Levels(levels) => levels.len() + 1,
            Self::Bands(edges) => edges.len(),
        }
    }

    /// The groups' labels, `unknown` last.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        let mut labels = match self {
            Self::Levels(levels) => levels.iter().map(|(_, label)| label.clone()).collect(),
            Self::Bands(edges) => edges.windows(2).map(|edge| band(edge[0], edge[1])).collect::<Vec<_>>(),
        };
        labels.push(UNKNOWN.to_owned());
        labels
    }

    /// The group that a cell falls into; the last, `unknown`, when it fits none.
    #[must_use]
    pub fn index_of(&self, text: &str) -> u16 {
        let found = match self {
            Self::Levels(levels) => levels.iter().position(|(value, _)| cell::same(value, text)),
            Self::Bands(edges) => cell::number(text).and_then(|number| {
                let above = edges.partition_point(|&edge| edge <= number);
                above.checked_sub(1).filter(|&band| band + 1 < edges.len())
            }),
        };
        u16::try_from(found.unwrap_or(self.count() - 1)).expect("at most 257 values")
    }
}

/// `[18, 26)` is `18-25` in whole numbers, else `18.5 to 26`.
fn band(low: f64, high: f64) -> String {
    if low.fract() == 0.0 && high.fract() == 0.0 {
        if high - low == 1.0 { format!("{low}") } else { format!("{low}-{}", high - 1.0) }
    } else {
        format!("{low} to {high}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands() {
        let bands = AttributeValues::Bands(vec![18.0, 26.0, 27.0, 40.5]);
        assert_eq!(bands.labels(), ["18-25", "26", "27 to 40.5", "unknown"]);
        fn check(bands: &AttributeValues, cell: &str, expected: &str) {
            assert_eq!(bands.labels()[usize::from(bands.index_of(cell))], expected, "{cell:?}");
        }
        check(&bands, "18", "18-25");
        check(&bands, "25.9", "18-25");
        check(&bands, "26", "26");
        check(&bands, "40.4", "27 to 40.5");
        check(&bands, "40.5", "unknown");
        check(&bands, "17.99", "unknown");
        check(&bands, "", "unknown");
        check(&bands, "old", "unknown");
        check(&bands, "inf", "unknown");
    }

    #[test]
    fn levels() {
        let sexes = [("1", "male"), ("0", "female")].map(|(v, l)| (v.to_owned(), l.to_owned()));
        let sex = AttributeValues::Levels(sexes.to_vec());
        fn check(values: &AttributeValues, cell: &str, expected: u16) {
            assert_eq!(values.index_of(cell), expected, "{cell:?}");
        }
        check(&sex, "1", 0);
        check(&sex, "1.0", 0);
        check(&sex, " 0 ", 1);
        check(&sex, "2", 2);
        check(&sex, "", 2);
    }
}
