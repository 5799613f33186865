//! What follows from a study and is asked for in several places: the model's inputs, its groupings,
//! the people that a site is expected to train and evaluate on.

use super::notes::Notes;
use super::{
    Attribute, AttributeValues, Data, Encoding, Feature, ModelFamily, NotRecorded, Predicted, RosterSite,
    Study, Training, cell,
};
use crate::id::SiteName;
use crate::model::initial::initial_parameters;
use crate::model::{Architecture, UNIT_BITS};

/// The grouping of everybody.
pub const OVERALL: &str = "overall";
/// The value of an attribute that fits no listed one; a group of its own, always last.
pub const UNKNOWN: &str = "unknown";
/// The group of people of whom different fields say different things; only of attributes from records.
pub const CONFLICTING: &str = "conflicting";

impl Study {
    /// What it asks of clinical notes; none where they are not read.
    #[must_use]
    pub fn notes(&self) -> Option<&Notes> {
        match &self.data {
            Data::Records(records) => records.notes.as_ref(),
            Data::Table(_) => None,
        }
    }

    /// The site's entry on the roster.
    #[must_use]
    pub fn site(&self, name: &SiteName) -> Option<&RosterSite> {
        self.sites.iter().find(|site| site.name == *name)
    }

    /// The column that tells persons apart.
    #[must_use]
    pub fn person_id(&self) -> &str {
        match &self.data {
            Data::Table(table) => &table.person_id,
            Data::Records(_) => "person_id",
        }
    }

    /// An attribute by name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The model's inputs in order, one name each: a number, flag, count or distance `age`; a category `cp=2` for
    /// each level after the first; and, with `missing.indicator`, `age:missing` after the own ones of each feature
    /// that can be missing.
    #[must_use]
    pub fn input_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for Feature { name, encoding, .. } in &self.features {
            match encoding {
                Encoding::Number { .. } => names.push(name.clone()),
                Encoding::Category { levels } => {
                    names.extend(levels.iter().skip(1).map(|level| format!("{name}={level}")));
                }
                Encoding::Flag | Encoding::Count { .. } | Encoding::Distance { .. } => {
                    names.push(name.clone())
                }
            }
            if self.missing.indicator && encoding.can_be_missing() {
                names.push(format!("{name}:missing"));
            }
        }
        names
    }

    /// What the model's outputs predict, in their order: the tasks in file order, each at its horizons.
    #[must_use]
    pub fn predicted(&self) -> Vec<Predicted> {
        let mut predicted = Vec::new();
        for (at, task) in self.tasks.iter().enumerate() {
            let horizons = match &self.data {
                Data::Table(_) => vec![None],
                Data::Records(records) => records.tasks[at].outcome.at_risk.horizons(),
            };
            for (horizon_days, prevalence_public) in horizons.iter().zip(&task.prevalence_public) {
                let name = match horizon_days {
                    Some(days) if horizons.len() > 1 => format!("{}.{days}d", task.name),
                    _ => task.name.clone(),
                };
                predicted.push(Predicted {
                    name,
                    task: at,
                    horizon_days: *horizon_days,
                    prevalence_public: *prevalence_public,
                });
            }
        }
        predicted
    }

    /// Shape of the model that the study trains.
    #[must_use]
    pub fn architecture(&self) -> Architecture {
        let hidden = match &self.model {
            ModelFamily::Logistic => Vec::new(),
            ModelFamily::Mlp { hidden } => hidden.clone(),
        };
        Architecture { inputs: self.input_names().len(), hidden, outputs: self.predicted().len() }
    }

    /// The public parameters of round 0, in units of 2^-24: [`initial_parameters`], and where a prediction has a
    /// published prevalence p, the last bias of its output is ln(p / (1 − p)) rounded to a unit, so that the model
    /// starts by telling everybody the average risk. The logarithm is libm's: the same bits on every machine.
    #[must_use]
    pub fn initial_parameters(&self) -> Vec<i32> {
        let architecture = self.architecture();
        let mut parameters = initial_parameters(&architecture, &self.digest);
        let predicted = self.predicted();
        let biases = parameters.len() - architecture.outputs..;
        for (bias, predicted) in parameters[biases].iter_mut().zip(&predicted) {
            if let Some(share) = predicted.prevalence_public {
                let units = f64::from(1 << UNIT_BITS);
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "parse keeps p where |ln(p / (1 - p))| < 10"
                )]
                let logit = libm::round(libm::log(share / (1.0 - share)) * units) as i32;
                *bias = logit;
            }
        }
        parameters
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

    /// Releases of evaluation by name: for each prediction `overall`, then the study's own groupings in file order; after
    /// them the attributes that are only counted ([`Study::completeness`]), once each and by their own names, which no
    /// grouping has.
    #[must_use]
    pub fn groupings(&self) -> Vec<String> {
        let own = grouping_names(&self.subgroups.groups);
        let predicted = self.predicted();
        let of = |predicted: &Predicted| {
            own.iter().map(|grouping| self.grouping_name(predicted, grouping)).collect::<Vec<_>>()
        };
        let counted = self.completeness().into_iter().map(|at| self.attributes[at].name.clone());
        predicted.iter().flat_map(of).chain(counted).collect()
    }

    /// A grouping of one prediction: its own name (`sex`) where the study has one, else after the prediction's,
    /// as `self_harm.365d.sex`.
    #[must_use]
    pub fn grouping_name(&self, predicted: &Predicted, grouping: &str) -> String {
        if self.predicted().len() == 1 {
            grouping.to_owned()
        } else {
            format!("{}.{grouping}", predicted.name)
        }
    }
}

/// Whether a grouping of [`Study::groupings`] is one of everybody.
#[must_use]
pub fn is_overall(grouping: &str) -> bool {
    grouping.rsplit('.').next() == Some(OVERALL)
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
            Self::Concepts(levels) => levels.len() + 2,
            Self::RecordedCells(_) | Self::RecordedConcepts(_) => self.labels().len(),
        }
    }

    /// The groups' labels, `unknown` last.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        let mut labels = match self {
            Self::RecordedCells(_) => return NotRecorded::<String>::labels(),
            Self::RecordedConcepts(_) => return NotRecorded::<i64>::labels(),
            Self::Levels(levels) => levels.iter().map(|(_, label)| label.clone()).collect(),
            Self::Bands(edges) => edges.windows(2).map(|edge| band(edge[0], edge[1])).collect::<Vec<_>>(),
            Self::Concepts(levels) => levels
                .iter()
                .map(|(_, label)| label.as_str())
                .chain([CONFLICTING])
                .map(str::to_owned)
                .collect(),
        };
        labels.push(UNKNOWN.to_owned());
        labels
    }

    /// The group that a cell falls into; the last, `unknown`, when it fits none.
    #[must_use]
    pub fn index_of(&self, text: &str) -> u16 {
        match self {
            Self::Levels(levels) => self.index(levels.iter().position(|(value, _)| cell::same(value, text))),
            Self::Bands(_) => {
                cell::number(text).map_or(self.index(None), |number| self.index_of_number(number))
            }
            Self::RecordedCells(states) => self.index(states.level_of_cell(text)),
            Self::Concepts(_) | Self::RecordedConcepts(_) => self.index(None),
        }
    }

    /// The band that a number falls into; `unknown` when it fits none, and where there are no bands.
    #[must_use]
    pub fn index_of_number(&self, number: f64) -> u16 {
        let Self::Bands(edges) = self else { return self.index(None) };
        let above = edges.partition_point(|&edge| edge <= number);
        self.index(above.checked_sub(1).filter(|&band| band + 1 < edges.len()))
    }

    /// Labels that something found can mean: without `conflicting` and `unknown`.
    #[must_use]
    pub fn levels(&self) -> Vec<String> {
        let mut labels = self.labels();
        let has_conflicting = matches!(self, Self::Concepts(_) | Self::RecordedConcepts(_));
        labels.truncate(self.count() - if has_conflicting { 2 } else { 1 });
        labels
    }

    /// Place among [`AttributeValues::levels`] of the group that lists a concept.
    #[must_use]
    pub fn level_of_concept(&self, concept: i64) -> Option<usize> {
        match self {
            Self::Concepts(levels) => levels.iter().position(|(members, _)| members.contains(&concept)),
            Self::RecordedConcepts(states) => states.level_of_concept(concept),
            Self::Levels(_) | Self::Bands(_) | Self::RecordedCells(_) => None,
        }
    }

    /// The group of all levels that were found: `unknown` where there is none, `conflicting` where they differ.
    #[must_use]
    pub fn index_of_levels(&self, found: impl IntoIterator<Item = usize>) -> u16 {
        if !matches!(self, Self::Concepts(_) | Self::RecordedConcepts(_)) {
            return self.index(None);
        }
        let mut found = found.into_iter();
        let Some(first) = found.next() else { return self.index(None) };
        let conflicting = self.count() - 2;
        self.index(Some(if found.all(|other| other == first) { first } else { conflicting }))
    }

    /// The group of all concepts that were found: `unknown` where none is listed, `conflicting` where they are of
    /// several groups.
    #[must_use]
    pub fn index_of_concepts(&self, concepts: &[i64]) -> u16 {
        self.index_of_levels(concepts.iter().filter_map(|concept| self.level_of_concept(*concept)))
    }

    fn index(&self, found: Option<usize>) -> u16 {
        u16::try_from(found.unwrap_or(self.count() - 1)).expect("at most 258 values")
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

    #[test]
    fn concepts() {
        let level = |concepts: &[i64], label: &str| (concepts.to_vec(), label.to_owned());
        let values =
            AttributeValues::Concepts(vec![level(&[8515, 38_003_574], "Asian"), level(&[8527], "White")]);
        assert_eq!(values.labels(), ["Asian", "White", "conflicting", "unknown"]);
        fn check(values: &AttributeValues, concepts: &[i64], expected: &str) {
            let found = usize::from(values.index_of_concepts(concepts));
            assert_eq!(values.labels()[found], expected, "{concepts:?}");
        }
        check(&values, &[], "unknown");
        check(&values, &[0, 7], "unknown");
        check(&values, &[0, 8527], "White");
        check(&values, &[38_003_574, 8515], "Asian");
        check(&values, &[8515, 8527], "conflicting");
        assert_eq!(values.index_of("8527"), 3, "a cell is no concept");
    }

    /// What a model says at first: one half, or what is published; in a network too, whose last bias it is.
    #[test]
    fn the_first_model_tells_the_published_share() {
        use crate::study::parse::tests::{EXAMPLE, parsed};
        fn check(edits: &[(&str, &str)], expected: i32) {
            let text = edits.iter().fold(EXAMPLE.to_owned(), |text, (from, to)| text.replacen(from, to, 1));
            let study = parsed(&text);
            let plain = initial_parameters(&study.architecture(), &study.digest);
            let (bias, others) = plain.split_last().expect("a bias");
            let found = study.initial_parameters();
            assert_eq!((*bias, &found[..others.len()]), (0, others));
            assert_eq!(found.last(), Some(&expected), "{edits:?}");
        }
        const SHARE: &str = "prevalence_public = 0.06";
        check(&[(SHARE, "")], 0);
        check(&[(SHARE, "prevalence_public = 0.5")], 0);
        // ln(0.08 / 0.92) = -2.442347035369…, times 2^24, by Python's decimal with 50 digits.
        check(&[(SHARE, "prevalence_public = 0.08")], EIGHT_PERCENT);
        check(&[(SHARE, "prevalence_public = 0.92")], -EIGHT_PERCENT);
        let network = ("\"logistic\"       #", "\"mlp\"\nhidden = [4] #");
        check(&[network, (SHARE, "prevalence_public = 0.08")], EIGHT_PERCENT);
    }

    const EIGHT_PERCENT: i32 = -40_975_784;
}
