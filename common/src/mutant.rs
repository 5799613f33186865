//! Broken variants of the mechanism, for the tests that must catch each of them: the evidence that an
//! audit which finds nothing would have found something.
//!
//! Compiled with the feature `mutants` only. A program built so says `+mutants` in its build id, and
//! no coordinator talks to it. Which variant runs is read from the environment, here and nowhere else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// The environment variable that names the variant; without it the mechanism is the right one.
pub const VARIABLE: &str = "CONSILIUM_MUTANT";

/// One way to break a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// No noise at all.
    NoNoise,
    /// σ is a fifth too small.
    NoiseFourFifths,
    /// Half of σ: also what one noise share of four would be.
    NoiseHalf,
    /// Every round adds the first round's noise.
    NoiseReused,
    /// Every step of a round adds the round's first noise.
    NoiseRepeated,
    /// Half of σ in a histogram.
    HistogramNoiseHalf,
    /// Who an attribute is recorded of counts twice where that is all that is counted.
    CountedTwice,
    /// People join a step with twice the rate.
    DoubleRate,
    /// Every step draws the same number of people, without replacement.
    ShuffledBatches,
    /// Nobody is clipped.
    NoClip,
    /// Each record of a sampled person is clipped and added by itself.
    ClipPerRecord,
    /// Each record is sampled, clipped and added by itself.
    SamplePerRecord,
    /// Each tensor (weight, bias, layer by layer) is clipped by itself.
    ClipPerLayer,
    /// The sum over people is rounded to `f32` at every addition.
    SumInF32,
    /// The sum is divided by the number of people who joined.
    PrivateDenominator,
    /// Training people's examples that the study holds out by time are trained on.
    TrainHeldOut,
    /// A ledger entry holds the number of people.
    CountInLedger,
    /// The commitment to the examples has no nonce.
    PlainCommitment,
    /// A row with a fault makes the site refuse.
    RefuseFaults,
    /// Replies leave when they are ready, not on a tick.
    ReplyAtOnce,
    /// A site's own box among the shares that it deals, which is empty, holds the number of people.
    CountInBox,
    /// A site adds no share of the noise to its vector in a secure sum.
    NoNoiseShare,
    /// Every attempt is masked with the keys of the first.
    MaskReuse,
    /// A site reveals its shares of both secrets of every other.
    BothShares,
    /// A site reveals shares on any certificate of survivors.
    SurvivorsUnchecked,
}

impl Mutant {
    /// Those that break the mechanism's numbers.
    pub const OF_MECHANISM: [Self; 14] = [
        Self::NoNoise,
        Self::NoiseFourFifths,
        Self::NoiseHalf,
        Self::NoiseReused,
        Self::NoiseRepeated,
        Self::HistogramNoiseHalf,
        Self::DoubleRate,
        Self::ShuffledBatches,
        Self::NoClip,
        Self::ClipPerRecord,
        Self::SamplePerRecord,
        Self::ClipPerLayer,
        Self::SumInF32,
        Self::PrivateDenominator,
    ];
    /// Those that use records that the study leaves out.
    pub const OF_RECORDS: [Self; 1] = [Self::TrainHeldOut];
    /// Those that say something outside an event.
    pub const OF_SILENCE: [Self; 5] = [
        Self::CountInLedger,
        Self::PlainCommitment,
        Self::RefuseFaults,
        Self::ReplyAtOnce,
        Self::CountedTwice,
    ];
    /// Those that say something outside an event in a secure sum.
    pub const OF_SILENCE_IN_SUMS: [Self; 1] = [Self::CountInBox];
    /// Those that break secure sums.
    pub const OF_SECURE_SUMS: [Self; 4] =
        [Self::NoNoiseShare, Self::MaskReuse, Self::BothShares, Self::SurvivorsUnchecked];

    /// As the environment variable names it: `no_noise`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoNoise => "no_noise",
            Self::NoiseFourFifths => "noise_four_fifths",
            Self::NoiseHalf => "noise_half",
            Self::NoiseReused => "noise_reused",
            Self::NoiseRepeated => "noise_repeated",
            Self::HistogramNoiseHalf => "histogram_noise_half",
            Self::CountedTwice => "counted_twice",
            Self::DoubleRate => "double_rate",
            Self::ShuffledBatches => "shuffled_batches",
            Self::NoClip => "no_clip",
            Self::ClipPerRecord => "clip_per_record",
            Self::SamplePerRecord => "sample_per_record",
            Self::ClipPerLayer => "clip_per_layer",
            Self::SumInF32 => "sum_in_f32",
            Self::PrivateDenominator => "private_denominator",
            Self::TrainHeldOut => "train_held_out",
            Self::CountInLedger => "count_in_ledger",
            Self::PlainCommitment => "plain_commitment",
            Self::RefuseFaults => "refuse_faults",
            Self::ReplyAtOnce => "reply_at_once",
            Self::CountInBox => "count_in_box",
            Self::NoNoiseShare => "no_noise_share",
            Self::MaskReuse => "mask_reuse",
            Self::BothShares => "both_shares",
            Self::SurvivorsUnchecked => "survivors_unchecked",
        }
    }
}

/// Whether this process runs `mutant`.
///
/// # Panics
/// The environment names a variant that does not exist: a test would otherwise find nothing and
/// believe it.
#[must_use]
pub fn is(mutant: Mutant) -> bool {
    static CHOSEN: OnceLock<Option<Mutant>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var(VARIABLE).ok()?;
        let mut all = Mutant::OF_MECHANISM
            .into_iter()
            .chain(Mutant::OF_RECORDS)
            .chain(Mutant::OF_SILENCE)
            .chain(Mutant::OF_SILENCE_IN_SUMS)
            .chain(Mutant::OF_SECURE_SUMS);
        let found = all.find(|mutant| mutant.name() == name);
        Some(found.unwrap_or_else(|| panic!("{VARIABLE}={name}: there is no such variant")))
    });
    *chosen == Some(mutant)
}

/// A round's noise, one vector for each step.
#[must_use]
pub fn noise(steps: Vec<Vec<i64>>) -> Vec<Vec<i64>> {
    // By shape: a process may run rounds of several studies.
    static FIRST: Mutex<Vec<Vec<Vec<i64>>>> = Mutex::new(Vec::new());
    let scaled = |numerator: i64, denominator: i64| {
        steps.iter().map(|step| step.iter().map(|n| n * numerator / denominator).collect()).collect()
    };
    if is(Mutant::NoNoise) {
        scaled(0, 1)
    } else if is(Mutant::NoiseFourFifths) {
        scaled(4, 5)
    } else if is(Mutant::NoiseHalf) {
        scaled(1, 2)
    } else if is(Mutant::NoiseReused) {
        let mut first = FIRST.lock().expect("nobody panics with it");
        let alike = |kept: &&Vec<Vec<i64>>| kept.len() == steps.len() && kept[0].len() == steps[0].len();
        if let Some(kept) = first.iter().find(alike) {
            return kept.clone();
        }
        first.push(steps.clone());
        steps
    } else if is(Mutant::NoiseRepeated) {
        vec![steps[0].clone(); steps.len()]
    } else {
        steps
    }
}

/// What one person adds to a count of people.
#[must_use]
pub fn person_units(units: i64) -> i64 {
    if is(Mutant::CountedTwice) { 2 * units } else { units }
}

static PEOPLE: AtomicU64 = AtomicU64::new(0);

/// How many people's examples an agent of this process has read last: what a variant lets out elsewhere.
pub fn set_people(count: u64) {
    PEOPLE.store(count, Ordering::Relaxed);
}

/// As [`set_people`] was told; 0 before.
#[must_use]
pub fn people() -> u64 {
    PEOPLE.load(Ordering::Relaxed)
}

/// The noise of a histogram's cells.
#[must_use]
pub fn histogram_noise(cells: &[i64]) -> Vec<i64> {
    let divisor = if is(Mutant::HistogramNoiseHalf) { 2 } else { 1 };
    cells.iter().map(|noise| noise / divisor).collect()
}
