//! One release per grouping: for each group of a partition of people, how many examples without and
//! with the outcome fall into each score bin.

use crate::examples::Examples;
use crate::id::{Digest, SiteName};
use crate::study::{Attribute, OVERALL, Study};
use serde::{Deserialize, Serialize};

/// One person is this many units of a cell.
pub const PERSON_UNITS: i64 = 1 << 16;

/// A partition of people by the values of some attributes; with none, everybody is one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// `overall`, or attribute names joined with `*`: `sex*age_band`. Where the study has several predictions,
    /// after the prediction's own name: `self_harm.365d.sex`.
    pub name: String,
    /// The prediction whose examples are counted.
    pub output: u8,
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
        Self { name: OVERALL.into(), output: 0, attributes: vec![], labels: vec![vec![]], sizes: vec![] }
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

    /// How many cells a histogram with `bins` bins has.
    #[must_use]
    pub fn cells(&self, bins: usize) -> usize {
        self.len() * 2 * bins
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

/// Every grouping that a study releases, as [`Study::groupings`] lists them: for each prediction `overall`, then the
/// subgroups in file order, which count earlier and later examples together.
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
    (0_u8..)
        .zip(&predicted)
        .flat_map(|(output, predicted)| {
            let named = |grouping: &Grouping| {
                let name = study.grouping_name(predicted, &grouping.name);
                Grouping { name, output, ..grouping.clone() }
            };
            own.iter().map(named).collect::<Vec<_>>()
        })
        .collect()
}

/// Counts the examples of the grouping's prediction into cells, in the order and unit of [`Histogram::cells`],
/// without noise. The score bin of a probability p is the number of `edges` ≤ p. An example whose probability
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
#[must_use]
pub fn count(grouping: &Grouping, edges: &[f64], probabilities: &[f64], examples: &Examples) -> Vec<i64> {
    assert_eq!(probabilities.len(), examples.len(), "one probability per example");
    let bins = edges.len() + 1;
    let mut cells = vec![0; grouping.cells(bins)];
    for person in 0..examples.people() {
        let rows = || examples.rows_of(person).filter(|row| examples.output(*row) == grouping.output);
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
    /// `overall`, `sex`, `sex*age_band`.
    pub grouping: String,
    /// Standard deviation of the noise in each cell, lattice units.
    pub sigma_units: u64,
    /// Cells in the order `[group][outcome: 0 without, 1 with][bin]`, lattice units, noise included.
    pub cells: Vec<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::Example;
    use crate::study::AttributeValues;

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
