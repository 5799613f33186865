//! One release per grouping: for each group of a partition of people, how many examples without and
//! with the outcome fall into each score bin. And one per attribute that is only counted: of how many people it is recorded.

use crate::examples::Examples;
use crate::id::{Digest, SiteName};
use crate::study::{Attribute, OVERALL, Study};
use serde::{Deserialize, Serialize};

/// One person is this many units of a cell.
pub const PERSON_UNITS: i64 = 1 << 16;

/// What a release counts in each of its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The examples of a prediction, by outcome and score bin.
    Scores {
        /// The prediction, which is the model's output.
        output: u8,
    },
    /// People, each once, whatever the study predicts of them: no score and no outcome.
    People,
}

/// A partition of people by the values of some attributes; with none, everybody is one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// `overall`, or attribute names joined with `*`: `sex*age_band`. Where the study has several predictions,
    /// after the prediction's own name: `self_harm.365d.sex`.
    pub name: String,
    /// What is counted in each group.
    pub counted: Counted,
    /// Places in the groups of an example: indices into the study's attributes, and where `overall` tells later
    /// examples apart, behind them all, that of the mark.
    pub attributes: Vec<usize>,
    /// Per group, one label per attribute of the grouping; groups count through the values with
    /// the last attribute fastest.
    pub labels: Vec<Vec<String>>,
    sizes: Vec<usize>,
}

impl Grouping {
    /// Everybody as one group.
    #[must_use]
    pub fn overall() -> Self {
        let counted = Counted::Scores { output: 0 };
        Self { name: OVERALL.into(), counted, attributes: vec![], labels: vec![vec![]], sizes: vec![] }
    }

    /// Everybody of a study: one group, or where later examples are held out and both are reported, one for each.
    ///
    /// # Privacy
    /// The groups are of different examples, so both cost what one would: see [`count`].
    #[must_use]
    pub fn overall_of(study: &Study) -> Self {
        let labels = study.labels_of_validations();
        let sizes = if labels.len() > 1 { vec![labels.len()] } else { vec![] };
        let attributes = sizes.iter().map(|_| study.attributes.len()).collect();
        Self { attributes, labels, sizes, ..Self::overall() }
    }

    /// By the values of `attributes` of `all`, `unknown` included.
    ///
    /// # Panics
    /// An index that `all` does not have, which is a bug of the caller.
    #[must_use]
    pub fn by(all: &[Attribute], attributes: &[usize]) -> Self {
        let mut grouping = Self::overall();
        for attribute in attributes {
            let values = all[*attribute].values.labels();
            grouping.sizes.push(values.len());
            grouping.attributes.push(*attribute);
            let extended = |labels: &Vec<String>| -> Vec<Vec<String>> {
                values.iter().map(|value| [labels.as_slice(), std::slice::from_ref(value)].concat()).collect()
            };
            grouping.labels = grouping.labels.iter().flat_map(extended).collect();
        }
        let names: Vec<&str> = attributes.iter().map(|attribute| all[*attribute].name.as_str()).collect();
        if !names.is_empty() {
            grouping.name = names.join("*");
        }
        grouping
    }

    /// People by the values of one attribute of `all`, under its own name.
    ///
    /// # Panics
    /// As [`Grouping::by`].
    #[must_use]
    pub fn of_people(all: &[Attribute], attribute: usize) -> Self {
        Self { counted: Counted::People, ..Self::by(all, &[attribute]) }
    }

    /// How many groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never: everybody is in some group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many cells its release has, where scores have `bins` bins.
    #[must_use]
    pub fn cells(&self, bins: usize) -> usize {
        match self.counted {
            Counted::Scores { .. } => self.len() * 2 * bins,
            Counted::People => self.len(),
        }
    }

    /// The group of an example with these groups ([`crate::examples::Example::groups`]).
    ///
    /// # Panics
    /// A value index that the attribute does not have, which is a bug of the caller.
    #[must_use]
    pub fn group_of(&self, values: &[u16]) -> usize {
        self.attributes.iter().zip(&self.sizes).fold(0, |group, (attribute, size)| {
            let value = usize::from(values[*attribute]);
            assert!(value < *size, "a value index is one of the attribute's values");
            group * size + value
        })
    }
}

/// Everything that a study's evaluation releases, as [`Study::groupings`] lists it: for each prediction `overall`, then the
/// subgroups in file order, which count earlier and later examples together; then each attribute that is only counted.
///
/// # Panics
/// A subgroup of an attribute that the study does not have: parsing rules it out.
#[must_use]
pub fn groupings(study: &Study) -> Vec<Grouping> {
    let index = |name: &String| {
        let place = study.attributes.iter().position(|attribute| attribute.name == *name);
        place.expect("parsing a study checks that subgroups name its attributes")
    };
    let by =
        |names: &Vec<String>| Grouping::by(&study.attributes, &names.iter().map(index).collect::<Vec<_>>());
    let own: Vec<Grouping> =
        std::iter::once(Grouping::overall_of(study)).chain(study.subgroups.groups.iter().map(by)).collect();
    let predicted = study.predicted();
    let of_scores = (0_u8..).zip(&predicted).flat_map(|(output, predicted)| {
        let named = |grouping: &Grouping| {
            let name = study.grouping_name(predicted, &grouping.name);
            Grouping { name, counted: Counted::Scores { output }, ..grouping.clone() }
        };
        own.iter().map(named).collect::<Vec<_>>()
    });
    let of_people = study.completeness().into_iter().map(|at| Grouping::of_people(&study.attributes, at));
    of_scores.chain(of_people).collect()
}

/// Counts into cells, in the order and unit of [`Histogram::cells`], without noise: the examples of the grouping's
/// prediction, or people.
///
/// # Privacy
/// As `count_scores` and [`count_people`]: whatever is counted, a person moves the cells by at most [`PERSON_UNITS`] in L2,
/// over all groups together. The result is private: nothing leaves before noise is added to every cell, those of empty
/// groups included.
///
/// # Panics
/// Another number of probabilities than examples, which is a bug of the caller.
#[must_use]
pub fn count(grouping: &Grouping, edges: &[f64], probabilities: &[f64], examples: &Examples) -> Vec<i64> {
    match grouping.counted {
        Counted::Scores { output } => count_scores(grouping, output, edges, probabilities, examples),
        Counted::People => count_people(grouping, examples),
    }
}

/// Counts each person with an example into one cell. Whose examples say different things of the attribute, since they
/// are of different days, counts in the first of its values that any of them says: `recorded` before all others.
///
/// # Privacy
/// Unit: one person, all their examples. Neighbours: add or remove one person. A person adds 2^16 to one cell, so that the
/// sensitivity of the whole vector is [`PERSON_UNITS`] in L1 and L2. Neither scores nor outcomes are looked at.
///
/// # Panics
/// A grouping by attributes that the examples lack, which is a bug of the caller.
#[must_use]
pub fn count_people(grouping: &Grouping, examples: &Examples) -> Vec<i64> {
    let mut cells = vec![0; grouping.len()];
    #[cfg(not(feature = "mutants"))]
    let units = PERSON_UNITS;
    #[cfg(feature = "mutants")]
    let units = crate::mutant::person_units(PERSON_UNITS);
    for person in 0..examples.people() {
        let groups = examples.rows_of(person).map(|row| grouping.group_of(examples.groups_of(row)));
        if let Some(group) = groups.min() {
            cells[group] += units;
        }
    }
    cells
}

/// Counts the examples of one prediction. The score bin of a probability p is the number of `edges` ≤ p. An example whose probability
/// is not in [0, 1] or whose label is not 0 or 1 counts nowhere.
///
/// # Privacy
/// Unit: one person, all their examples. Neighbours: add or remove one person. Each of a person's
/// m examples of the prediction adds ⌊w·⌊2^16/m⌋⌋ to one cell, where its weight w is at most 1, so a person adds at most
/// m·⌊2^16/m⌋ ≤ 2^16 in L1, hence in L2: the sensitivity of the whole vector is [`PERSON_UNITS`], over all groups together. A
/// person's cells depend on that person, the model and the study alone. The result is private:
/// nothing leaves before noise is added to every cell, those of empty groups included.
///
/// # Panics
/// Another number of probabilities than examples, which is a bug of the caller.
fn count_scores(
    grouping: &Grouping,
    output: u8,
    edges: &[f64],
    probabilities: &[f64],
    examples: &Examples,
) -> Vec<i64> {
    assert_eq!(probabilities.len(), examples.len(), "one probability per example");
    let bins = edges.len() + 1;
    let mut cells = vec![0; grouping.cells(bins)];
    for person in 0..examples.people() {
        let rows = || examples.rows_of(person).filter(|row| examples.output(*row) == output);
        let units = PERSON_UNITS / i64::try_from(rows().count().max(1)).expect("rows fit in memory");
        for row in rows() {
            let group = grouping.group_of(examples.groups_of(row));
            let (p, label) = (probabilities[row], examples.label(row));
            if !(0.0..=1.0).contains(&p) || (label != 0.0 && label != 1.0) {
                continue;
            }
            let bin = edges.partition_point(|edge| *edge <= p);
            cells[(group * 2 + usize::from(label == 1.0)) * bins + bin] +=
                weighted(units, examples.weight(row));
        }
    }
    cells
}

/// `units`, at most 2^16, by a weight in (0, 1], rounded down: exact in `f64`, whose products of 17 and 24 bits are.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "at most 2^16")]
fn weighted(units: i64, weight: f32) -> i64 {
    (units as f64 * f64::from(weight)).floor() as i64
}

/// What a site releases for one grouping; its exact JSON bytes are what the ledger commits to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// `histogram/1`.
    pub schema: String,
    /// The study.
    pub study: Digest,
    /// Digest of the model that was evaluated.
    pub model: Digest,
    /// Who computed it.
    pub site: SiteName,
    /// `overall`, `sex`, `sex*age_band`, or an attribute that is only counted.
    pub grouping: String,
    /// Standard deviation of the noise in each cell, lattice units.
    pub sigma_units: u64,
    /// Cells in the order `[group][outcome: 0 without, 1 with][bin]`, lattice units, noise included; of an attribute that is
    /// only counted, one for each of its values.
    pub cells: Vec<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::Example;
    use crate::study::{AttributeValues, NotRecorded};

    fn attributes() -> Vec<Attribute> {
        let levels = |names: &[&str]| {
            AttributeValues::Levels(names.iter().map(|n| (n.to_lowercase(), (*n).to_owned())).collect())
        };
        vec![
            Attribute { name: "sex".into(), values: levels(&["Female", "Male"]) },
            Attribute {
                name: "age_band".into(),
                values: AttributeValues::Bands(vec![18.0, 26.0, 27.0, 66.5]),
            },
        ]
    }

    #[test]
    fn groups_are_the_cross_product_with_unknown_last() {
        let both = Grouping::by(&attributes(), &[0, 1]);
        assert_eq!(both.name, "sex*age_band");
        assert_eq!(both.len(), 3 * 4);
        assert_eq!(both.labels[0], ["Female", "18-25"]);
        assert_eq!(both.labels[6], ["Male", "27 to 66.5"]);
        assert_eq!(both.labels[11], ["unknown", "unknown"]);
        for (group, labels) in both.labels.iter().enumerate() {
            let sexes = attributes()[0].values.labels();
            let bands = attributes()[1].values.labels();
            let sex = sexes.iter().position(|v| *v == labels[0]).expect("listed");
            let band = bands.iter().position(|v| *v == labels[1]).expect("listed");
            assert_eq!(both.group_of(&[sex as u16, band as u16]), group);
        }
        assert_eq!(Grouping::overall().group_of(&[2, 3]), 0);
        assert_eq!(Grouping::by(&attributes(), &[1]).labels[1], ["26"]);
    }

    #[test]
    fn examples_land_in_their_cells() {
        fn check(p: f64, label: f32, sex: u16, cell: Option<usize>) {
            let mut examples = Examples::new(0);
            examples.push_person(&[(vec![], label)], vec![sex, 0]);
            let cells = count(&Grouping::by(&attributes(), &[0]), &[0.1, 0.5], &[p], &examples);
            let mut expected = vec![0; 3 * 2 * 3];
            if let Some(cell) = cell {
                expected[cell] = PERSON_UNITS;
            }
            assert_eq!(cells, expected, "{p} {label} {sex}");
        }
        check(0.0, 0.0, 0, Some(0));
        check(0.1, 0.0, 0, Some(1));
        check(0.49, 1.0, 0, Some(4));
        check(1.0, 1.0, 1, Some(11));
        check(0.2, 0.0, 2, Some(13));
        check(f64::NAN, 1.0, 0, None);
        check(-0.1, 1.0, 0, None);
        check(1.1, 1.0, 0, None);
        check(0.2, 0.5, 0, None);
        check(0.2, f32::NAN, 0, None);
    }

    const STATES: usize = 5;

    fn recorded() -> Grouping {
        let values = AttributeValues::RecordedConcepts(NotRecorded::default());
        Grouping::of_people(&[Attribute { name: "orientation".into(), values }], 0)
    }

    /// Each person by the states that their examples say, of any prediction and outcome.
    fn people(states: &[&[u16]]) -> Examples {
        let mut examples = Examples::new(0);
        for of_person in states {
            let example = |(at, state): (usize, &u16)| Example {
                inputs: vec![],
                output: (at % 3) as u8,
                label: (at % 2) as f32,
                weight: 1.0,
                groups: vec![*state],
            };
            examples.push_examples(of_person.iter().enumerate().map(example).collect());
        }
        examples
    }

    #[test]
    fn people_are_counted_once_by_what_is_recorded() {
        fn check(states: &[&[u16]], expected: [i64; STATES]) {
            let examples = people(states);
            // Scores that count nowhere, and edges: neither is looked at.
            let cells = count(&recorded(), &[0.1, 0.5], &vec![f64::NAN; examples.len()], &examples);
            assert_eq!(cells, expected.map(|n| n * PERSON_UNITS), "{states:?}");
        }
        assert_eq!(recorded().cells(16), STATES);
        assert_eq!(
            recorded().labels.concat(),
            ["recorded", "refused", "not asked", "conflicting", "unknown"]
        );
        check(&[], [0; STATES]);
        check(&[&[]], [0; STATES]);
        check(&[&[0], &[4], &[4]], [1, 0, 0, 0, 2]);
        // Asked about twice, and by four predictions, somebody is one person.
        check(&[&[0, 0, 0, 0], &[4, 4], &[2]], [1, 0, 1, 0, 1]);
        check(&[&[4, 0], &[4, 1, 2], &[3, 2], &[4, 3]], [1, 1, 1, 1, 0]);
    }

    /// What one person adds is at most one person in L1, and variants that count otherwise are found by the same check.
    #[test]
    fn a_person_adds_one_whatever_is_asked_of_them() {
        type Counter = fn(&Grouping, &Examples) -> Vec<i64>;
        fn most(counter: Counter) -> i64 {
            let others: [&[u16]; 3] = [&[0], &[4, 4], &[1, 2]];
            let lives: [&[u16]; 6] = [&[], &[0], &[4], &[0, 1], &[3, 4, 4], &[0, 1, 2, 3, 4, 4]];
            let without = counter(&recorded(), &people(&others));
            let moved = |life: &&[u16]| {
                let with = counter(&recorded(), &people(&[&others[..], &[life]].concat()));
                assert_eq!(with.len(), without.len());
                with.iter().zip(&without).map(|(a, b)| (a - b).abs()).sum::<i64>()
            };
            lives.iter().map(moved).max().expect("lives")
        }
        let once_an_example: Counter = |grouping, examples| {
            let mut cells = vec![0; grouping.len()];
            (0..examples.len())
                .for_each(|row| cells[grouping.group_of(examples.groups_of(row))] += PERSON_UNITS);
            cells
        };
        let once_a_prediction: Counter = |grouping, examples| {
            let mut cells = vec![0; grouping.len()];
            for person in 0..examples.people() {
                for output in 0..3 {
                    let mut rows = examples.rows_of(person).filter(|row| examples.output(*row) == output);
                    if let Some(row) = rows.next() {
                        cells[grouping.group_of(examples.groups_of(row))] += PERSON_UNITS;
                    }
                }
            }
            cells
        };
        let every_state: Counter = |grouping, examples| {
            let mut cells = vec![0; grouping.len()];
            for person in 0..examples.people() {
                let mut states: Vec<usize> =
                    examples.rows_of(person).map(|row| grouping.group_of(examples.groups_of(row))).collect();
                states.sort_unstable();
                states.dedup();
                states.into_iter().for_each(|state| cells[state] += PERSON_UNITS);
            }
            cells
        };
        assert_eq!(most(count_people), PERSON_UNITS);
        assert_eq!(most(once_an_example), 6 * PERSON_UNITS);
        assert_eq!(most(once_a_prediction), 3 * PERSON_UNITS);
        assert_eq!(most(every_state), 5 * PERSON_UNITS);
    }

    #[test]
    fn an_example_counts_by_its_weight() {
        fn check(rows: usize, weight: f32, expected: i64) {
            let example = Example { inputs: vec![], output: 0, label: 1.0, weight, groups: vec![] };
            let mut examples = Examples::new(0);
            examples.push_examples(vec![example; rows]);
            let cells = count(&Grouping::overall(), &[], &vec![0.5; rows], &examples);
            assert_eq!(cells, [0, expected], "{rows} examples of {weight}");
        }
        check(1, 1.0, PERSON_UNITS);
        check(1, 0.5, PERSON_UNITS / 2);
        check(1, 0.333_333_34, 21_845);
        check(1, f32::MIN_POSITIVE, 0);
        check(3, 1.0, 3 * 21_845);
        check(3, 0.75, 3 * 16_383);
    }

    #[test]
    fn a_person_never_weighs_more_than_one_person() {
        fn check(rows: usize) {
            let mut examples = Examples::new(0);
            examples.push_person(&vec![(vec![], 1.0); rows], vec![0, 0]);
            let scattered: Vec<f64> = (0..rows).map(|row| (row % 7) as f64 / 7.0).collect();
            for probabilities in [vec![0.9; rows], scattered] {
                let cells = count(&Grouping::overall(), &[0.2, 0.4, 0.6], &probabilities, &examples);
                let squares: i128 = cells.iter().map(|c| i128::from(*c) * i128::from(*c)).sum();
                assert!(squares <= i128::from(PERSON_UNITS) * i128::from(PERSON_UNITS), "{rows} examples");
                assert!(rows == 0 || rows > 65_536 || squares > 0, "{rows} examples");
            }
        }
        [0, 1, 2, 3, 7, 1000, 65_535, 65_536, 65_537].into_iter().for_each(check);
    }
}
