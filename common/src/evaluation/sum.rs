//! The histograms of one grouping over all sites: added up exactly, or as a secure sum had them.

use super::histogram::{Grouping, Histogram, PERSON_UNITS};
use super::metrics::Counts;
use crate::id::{Digest, SiteName};

/// The form that this version reads.
pub const SCHEMA: &str = "histogram/1";

/// The largest cell of one site, persons: more than live on earth, and far from overflow.
const CELL_PERSONS_MAX: i64 = 1 << 34;

/// The sum of several sites' histograms of one grouping.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    bins: usize,
    cells: Vec<i64>,
    noise_sd_units: f64,
}

/// A histogram that cannot be part of this sum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHistogram {
    /// Of another study, model, grouping or form, or twice from one site.
    #[error("histogram of {site}: expected {what} {expected}, came {found}")]
    Other {
        /// From whom.
        site: SiteName,
        /// Which field.
        what: &'static str,
        /// What the sum is of.
        expected: String,
        /// What came.
        found: String,
    },
    /// A cell beyond what any count or noise makes.
    #[error("histogram of {site}: a cell is out of range")]
    CellOutOfRange {
        /// From whom.
        site: SiteName,
    },
    /// Nothing to add.
    #[error("no histogram to add up")]
    Empty,
}

/// Adds the histograms of different sites. The noise of the sum has variance Σσ².
///
/// # Errors
/// Anything in `histograms` that is not of this study, model and grouping with `bins` bins, two of
/// one site, none at all.
pub fn sum(
    grouping: &Grouping,
    bins: usize,
    study: &Digest,
    model: &Digest,
    histograms: &[Histogram],
) -> Result<Cells, InvalidHistogram> {
    let mut total = Cells { bins, cells: vec![0; grouping.cells(bins)], noise_sd_units: 0.0 };
    let mut variance = 0.0;
    for (index, histogram) in histograms.iter().enumerate() {
        let site = &histogram.site;
        let same = |what, expected: String, found: String| {
            if expected == found {
                Ok(())
            } else {
                Err(InvalidHistogram::Other { site: site.clone(), what, expected, found })
            }
        };
        same("schema", SCHEMA.into(), histogram.schema.chars().take(80).collect())?;
        same("study", study.to_string(), histogram.study.to_string())?;
        same("model", model.to_string(), histogram.model.to_string())?;
        same("grouping", grouping.name.clone(), histogram.grouping.chars().take(80).collect())?;
        same("number of cells", total.cells.len().to_string(), histogram.cells.len().to_string())?;
        let earlier = histograms[..index].iter().filter(|other| other.site == *site).count();
        same("number of histograms", "1".into(), (earlier + 1).to_string())?;
        for (sum, cell) in total.cells.iter_mut().zip(&histogram.cells) {
            let in_range = cell.unsigned_abs() <= (CELL_PERSONS_MAX * PERSON_UNITS).unsigned_abs();
            let next = if in_range { sum.checked_add(*cell) } else { None };
            *sum = next.ok_or_else(|| InvalidHistogram::CellOutOfRange { site: site.clone() })?;
        }
        variance += (histogram.sigma_units as f64).powi(2);
    }
    if histograms.is_empty() {
        return Err(InvalidHistogram::Empty);
    }
    total.noise_sd_units = variance.sqrt();
    Ok(total)
}

/// A secure sum of another length than the grouping has cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} cells, came {found}")]
pub struct InvalidCells {
    /// The grouping's.
    pub expected: usize,
    /// The sum's.
    pub found: usize,
}

impl Cells {
    /// Of a secure sum over `survivors` sites, each of which added noise of `share_units` to every cell: the
    /// noise of the sum has variance survivors · share².
    ///
    /// # Errors
    /// Another length than the grouping's with `bins` bins.
    pub fn of_secure_sum(
        grouping: &Grouping,
        bins: usize,
        cells: Vec<i64>,
        survivors: usize,
        share_units: u64,
    ) -> Result<Self, InvalidCells> {
        let expected = grouping.cells(bins);
        if cells.len() != expected {
            return Err(InvalidCells { expected, found: cells.len() });
        }
        Ok(Self { bins, cells, noise_sd_units: (survivors as f64).sqrt() * share_units as f64 })
    }

    /// How many groups, of a release of scores.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.cells.len() / (2 * self.bins)
    }

    /// Every cell of a release that counts people, in persons, and the standard deviation of the noise in each.
    #[must_use]
    pub fn people(&self) -> (Vec<f64>, f64) {
        let persons = |units: &i64| *units as f64 / PERSON_UNITS as f64;
        (self.cells.iter().map(persons).collect(), self.noise_sd_units / PERSON_UNITS as f64)
    }

    /// The cells of one group of a release of scores, in persons.
    #[must_use]
    pub fn group(&self, group: usize) -> Counts {
        self.counts(&self.cells[group * 2 * self.bins..(group + 1) * 2 * self.bins], 1)
    }

    /// Everybody: all groups together, whose noises add up as variances do.
    #[must_use]
    pub fn all(&self) -> Counts {
        let mut total = vec![0_i64; 2 * self.bins];
        for group in self.cells.chunks_exact(2 * self.bins) {
            total.iter_mut().zip(group).for_each(|(total, cell)| *total = total.saturating_add(*cell));
        }
        self.counts(&total, self.groups())
    }

    /// Cells that are each the sum of `terms`, in persons.
    fn counts(&self, cells: &[i64], terms: usize) -> Counts {
        let persons = |units: &[i64]| units.iter().map(|u| *u as f64 / PERSON_UNITS as f64).collect();
        let (without, with) = cells.split_at(self.bins);
        Counts {
            without: persons(without),
            with: persons(with),
            noise_sd: self.noise_sd_units * (terms as f64).sqrt() / PERSON_UNITS as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(site: &str, cells: Vec<i64>) -> Histogram {
        Histogram {
            schema: SCHEMA.into(),
            study: Digest::of(b"study"),
            model: Digest::of(b"model"),
            site: site.parse().expect("a name"),
            grouping: "overall".into(),
            sigma_units: 3 * 65_536,
            cells,
        }
    }

    fn total(histograms: &[Histogram]) -> Result<Cells, InvalidHistogram> {
        sum(&Grouping::overall(), 2, &Digest::of(b"study"), &Digest::of(b"model"), histograms)
    }

    #[test]
    fn cells_and_variances_add() {
        let mut other = histogram("b", vec![65_536, 0, -65_536, 5]);
        other.sigma_units = 4 * 65_536;
        let cells = total(&[histogram("a", vec![65_536 * 3, 32_768, 0, -5]), other]).expect("both fit");
        assert_eq!(cells.groups(), 1);
        assert_eq!(cells.group(0), Counts { without: vec![4.0, 0.5], with: vec![-1.0, 0.0], noise_sd: 5.0 });
    }

    #[test]
    fn everybody_is_all_groups_with_the_noise_of_each() {
        let groups = vec![vec!["before".to_owned()], vec!["after".to_owned()]];
        let mut grouping = Grouping::overall();
        grouping.labels = groups;
        let cells = [65_536, 0, -65_536, 5, 2 * 65_536, 32_768, 65_536, -5];
        let cells = Cells::of_secure_sum(&grouping, 2, cells.to_vec(), 1, 3 * 65_536).expect("eight cells");
        assert_eq!(cells.group(1).with, [1.0, -5.0 / 65_536.0]);
        let all = cells.all();
        assert_eq!((all.without, all.with), (vec![3.0, 0.5], vec![0.0, 0.0]));
        assert!((all.noise_sd - 18.0_f64.sqrt()).abs() < 1e-12 && cells.group(0).noise_sd == 3.0);
    }

    #[test]
    fn a_secure_sum_has_the_noise_of_its_survivors() {
        let of = |cells| Cells::of_secure_sum(&Grouping::overall(), 2, cells, 4, 3 * 65_536);
        let cells = of(vec![65_536, 0, -65_536, 32_768]).expect("four cells");
        assert_eq!(cells.group(0), Counts { without: vec![1.0, 0.0], with: vec![-1.0, 0.5], noise_sd: 6.0 });
        assert_eq!(of(vec![1; 3]), Err(InvalidCells { expected: 4, found: 3 }));
    }

    #[test]
    fn what_does_not_belong_is_refused() {
        fn check(change: impl Fn(&mut Histogram), expected: &str) {
            let mut bad = histogram("b", vec![0; 4]);
            change(&mut bad);
            let error = total(&[histogram("a", vec![1; 4]), bad]).expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
        }
        check(|h| h.schema = "histogram/2".into(), "expected schema histogram/1, came histogram/2");
        check(|h| h.study = Digest::of(b"x"), "expected study");
        check(|h| h.model = Digest::of(b"x"), "expected model");
        check(|h| h.grouping = "sex".into(), "expected grouping overall, came sex");
        check(|h| h.cells.push(0), "expected number of cells 4, came 5");
        check(|h| h.site = "a".parse().expect("a name"), "expected number of histograms 1, came 2");
        check(|h| h.cells[2] = i64::MAX, "out of range");
        check(|h| h.cells[2] = i64::MIN, "out of range");
        assert_eq!(total(&[]), Err(InvalidHistogram::Empty));
    }
}
