//! A study's secure sums: the numbers that every site and the coordinator compute alike, from the study
//! file and the list of who takes part.

use super::{Mode, RosterSite, Study, earmarks};
use crate::evaluation::histogram::{self, PERSON_UNITS};
use crate::ledger::rules::Slot;
use crate::privacy::clip::{Lattice, sigma_units};
use crate::privacy::mechanism::Event;
use crate::secagg::{Agreement, Refusal, Roster, SecureParameters, Terms};

/// Steps of training share a session; every grouping has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Summed {
    /// The clipped gradients of training, a step at a time.
    Training,
    /// The histogram of a grouping, by its earmark's index.
    Grouping(u32),
}

impl Summed {
    /// The earmark that pays, by index.
    #[must_use]
    pub const fn earmark(self) -> u32 {
        match self {
            Self::Training => 0,
            Self::Grouping(earmark) => earmark,
        }
    }

    /// The kind that an earmark pays for.
    #[must_use]
    pub const fn of_earmark(earmark: u32) -> Self {
        match earmark {
            0 => Self::Training,
            grouping => Self::Grouping(grouping),
        }
    }

    /// One of its steps for people, who count from 1: `round 3`, or `grouping 2`.
    #[must_use]
    pub fn words(self, step: u32) -> String {
        match self {
            Self::Training => format!("round {}", u64::from(step) + 1),
            Self::Grouping(earmark) => format!("grouping {earmark}"),
        }
    }

    /// As [`Self::words`], of a step that a file names, which may be none of its own.
    #[must_use]
    pub fn words_of_any(self, step: u32) -> String {
        match self {
            Self::Training => self.words(step),
            Self::Grouping(_) => Self::Grouping(step).words(step),
        }
    }

    /// An attempt at one of its steps for people: `round 3, attempt 1`.
    #[must_use]
    pub fn attempt_words(self, step: u32, attempt: u32) -> String {
        format!("{}, attempt {}", self.words(step), u64::from(attempt) + 1)
    }

    /// What a step of it is for.
    #[must_use]
    pub const fn slot(self, step: u32) -> Slot {
        match self {
            Self::Training => Slot::Round(step),
            Self::Grouping(earmark) => Slot::Grouping(earmark),
        }
    }
}

/// Training, then every grouping, in the order of their use.
#[must_use]
pub fn all_summed(study: &Study) -> Vec<Summed> {
    let groupings = (1_u32..).zip(study.groupings()).map(|(earmark, _)| Summed::Grouping(earmark));
    std::iter::once(Summed::Training).chain(groupings).collect()
}

/// The numbers of one kind of sum among `participants`.
///
/// t is the study's quorum. σ is the event's that the study declares, in lattice units. The batch cap is
/// mean + 10√mean of the people whom the published figures let expect over all participants, so that
/// a sum passes it with negligible probability when they are right; past it a lane may wrap, which costs
/// accuracy and never privacy.
///
/// # Errors
/// The study is not `distributed`; participants too few for its threshold; noise or sums that lanes do
/// not carry.
///
/// # Panics
/// A grouping that the study does not have: a bug of the caller.
pub fn terms(study: &Study, participants: &[&RosterSite], summed: Summed) -> Result<Terms, Refusal> {
    let Mode::Distributed { colluding } = study.privacy.mode else {
        return Err(Refusal::Term { term: "mode", expected: "distributed" });
    };
    let participants = &by_name(participants)[..];
    let training = &study.privacy.training;
    let threshold = u8::try_from(training.quorum).unwrap_or(u8::MAX);
    let noise = |error: crate::privacy::clip::InvalidNoiseMultiplier| {
        let _ = error;
        Refusal::Term { term: "noise multiplier", expected: "noise that the lattice carries" }
    };
    let decide = |units: u64, people: f64, sigma: u64| {
        let cap = batch_cap(people);
        SecureParameters::decide(participants.len(), threshold, colluding, units, cap, sigma)
    };
    match summed {
        Summed::Training => {
            let dimension = study.architecture().parameters();
            let lattice = Lattice::for_dimension(dimension);
            let sigma = lattice.sigma_units(training.noise_multiplier).map_err(noise)?;
            let people = denominator(study, participants);
            let units = lattice.units();
            Terms::new(decide(units, people, sigma)?, dimension, training.clip_norm, training.sampling_rate)
        }
        Summed::Grouping(earmark) => {
            let list = earmarks(study);
            let declared = &list[earmark as usize];
            let Event::Gaussian { noise_multiplier, .. } = declared.event else {
                unreachable!("a grouping is released with Gaussian noise")
            };
            let units = PERSON_UNITS.unsigned_abs();
            let sigma = sigma_units(units, noise_multiplier).map_err(noise)?;
            let people: f64 = participants.iter().map(|site| evaluation_people(study, site)).sum();
            let grouping = histogram::groupings(study);
            let grouping = grouping.iter().find(|grouping| grouping.name == declared.name);
            let cells = grouping.expect("an earmark's grouping").cells(study.evaluation.bin_edges.len() + 1);
            Terms::new(decide(units, people, sigma)?, cells, 1.0, 1.0)
        }
    }
}

/// The numbers of every kind of sum.
///
/// # Errors
/// As [`terms`].
pub fn all_terms(study: &Study, participants: &[&RosterSite]) -> Result<Vec<Terms>, Refusal> {
    all_summed(study).into_iter().map(|summed| terms(study, participants, summed)).collect()
}

/// What all sites agree on for one kind of sum: the coordinator's own, and the auditor's. A site calls
/// [`Agreement::of_known_sites`] with the same parts.
///
/// # Errors
/// As [`terms`].
pub fn agreement(study: &Study, participants: &[&RosterSite], summed: Summed) -> Result<Agreement, Refusal> {
    Agreement::new(study.digest, roster(participants)?, terms(study, participants, summed)?)
}

/// The participants as a roster of the secure sum.
///
/// # Errors
/// Fewer than 3, or more than 255.
pub fn roster(participants: &[&RosterSite]) -> Result<Roster, Refusal> {
    Roster::new(participants.iter().map(|site| (site.name.clone(), site.key)))
}

/// What a sum over these sites is divided by: their [`Study::denominator`]s together, a public constant.
#[must_use]
pub fn denominator(study: &Study, sites: &[&RosterSite]) -> f64 {
    by_name(sites).iter().map(|site| study.denominator(site)).sum()
}

/// In one order wherever the sites are listed: a sum of reals depends on it in its last bit.
fn by_name<'a>(sites: &[&'a RosterSite]) -> Vec<&'a RosterSite> {
    let mut sites = sites.to_vec();
    sites.sort_by(|a, b| a.name.cmp(&b.name));
    sites
}

/// How many uses a site burns at once for its secure sums of an earmark of which `left` are left.
/// The next block is burnt when at most a quarter of one is left, so a crash loses at most a block and a
/// quarter: blocks are small where few attempts are to spare.
#[must_use]
pub fn block(study: &Study, summed: Summed, left: u64) -> u64 {
    const BLOCK_MAX: u64 = 16;
    let spare = match summed {
        Summed::Training => u64::from(study.privacy.training.spare_rounds),
        Summed::Grouping(_) => 0,
    };
    (spare / 4).clamp(1, BLOCK_MAX).min(left)
}

fn evaluation_people(study: &Study, site: &RosterSite) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 10^9")]
    let people = site.people_public as f64;
    (people - study.training_people(site)).max(0.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of people, below 2^53")]
fn batch_cap(mean: f64) -> u64 {
    (mean + 10.0 * mean.sqrt()).ceil() as u64 + 1
}
