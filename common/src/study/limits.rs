//! What a study file may ask for at most. A limit here is a bound on memory, time or nonsense; what a
//! hospital allows is in its own policy, which is usually far stricter.

/// The largest study file, bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// The longest text (a lay summary), bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The longest name of a column, feature, attribute or label, bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Fewest sites: one site alone has nothing to federate.
pub const SITES_MIN: usize = 2;
/// Most sites: with the longest names and the most groupings, a `study_open` that lists them all still
/// fits one entry of a ledger.
pub const SITES_MAX: usize = 200;
/// Most lists of people who opted out that a study names.
pub(crate) const OPT_OUT_LISTS_MAX: usize = 16;
/// Most people of one site.
pub const PEOPLE_PUBLIC_MAX: u64 = 1_000_000_000;
/// All weights together stay below this, so that the sum of an average fits 64 bits.
pub const WEIGHT_SUM_END: f64 = 65_536.0;
/// Most features.
pub const FEATURES_MAX: usize = 4096;
/// Most levels of a category or attribute.
pub const LEVELS_MAX: usize = 256;
/// Most concepts, or cell texts, of a list that says what is no value of an attribute.
pub const CONCEPTS_LISTED_MAX: usize = 256;
/// Most hidden layers.
pub const HIDDEN_LAYERS_MAX: usize = 8;
/// Widest hidden layer.
pub const HIDDEN_WIDTH_MAX: u64 = 4096;
/// Most parameters of a model (400 MB as fixed point).
pub const PARAMETERS_MAX: usize = 100_000_000;
/// δ is never above this, however few the people.
pub const DELTA_MAX: f64 = 1e-5;
/// δ is at most people to the power of minus this, at every site.
pub const DELTA_PEOPLE_EXPONENT: f64 = 1.1;
/// Largest ε that a study may name. A hospital's policy allows far less.
pub const EPSILON_MAX: f64 = 100.0;
/// Smallest ε that a study may name: below it nothing can be learnt.
pub const EPSILON_MIN: f64 = 1e-3;
/// Smallest sampling rate.
pub const SAMPLING_RATE_MIN: f64 = 1e-6;
/// Most rounds, spare ones apart.
pub const ROUNDS_MAX: u64 = 10_000;
/// Most private steps at a site in a round.
pub const LOCAL_STEPS_MAX: u64 = 10_000;
/// Most private steps of a study, spare ones included.
pub const STEPS_MAX: u64 = 1_000_000;
/// Smallest σ per sensitivity: less noise than this is no privacy at any number of steps.
pub const NOISE_MULTIPLIER_MIN: f64 = 0.3;
/// Largest σ per sensitivity: more noise than this teaches nothing.
pub const NOISE_MULTIPLIER_MAX: f64 = 10_000.0;
/// Largest clip norm, step size and proximal pull.
pub const STEP_MAX: f64 = 1_000.0;
/// Smallest clip norm and step size.
pub const STEP_MIN: f64 = 1e-6;
/// Longest deadline of a round, seconds (a week).
pub const DEADLINE_S_MAX: u64 = 7 * 24 * 3600;
/// Bytes of noise of one round, drawn at once and before data are read: 8 for each parameter and
/// private step.
pub const ROUND_NOISE_BYTES_MAX: u64 = 1 << 30;
/// Shortest reply tick, milliseconds: below it the time of a reply tells how long a step took.
pub const REPLY_TICK_MS_MIN: u64 = 10;
/// Longest reply tick, milliseconds.
pub const REPLY_TICK_MS_MAX: u64 = 60_000;
/// Most evaluation releases that may be repeated.
pub const SPARE_EVALUATIONS_MAX: u64 = 100;
/// Share of people who train, in every study that splits by the site's keyed hash.
///
/// # Privacy
/// A person's role is the hash of a stable pseudonym compared with this share. With the same share in
/// every study a person is in one account for ever, and pays the larger of the two; with another in
/// one study, people between the two shares would pay their sum.
pub const TRAINING_SHARE: f64 = 0.7;
/// Share of people who train where a column says who: neither role may be empty.
pub const TRAINING_SHARE_MIN: f64 = 0.05;
/// See [`TRAINING_SHARE_MIN`].
pub const TRAINING_SHARE_MAX: f64 = 0.95;
/// Most score bins.
pub const BINS_MAX: u64 = 256;
/// Most attributes that one subgroup crosses.
pub const CROSSED_MAX: usize = 4;
/// Most groupings beside `overall`.
pub const GROUPINGS_MAX: usize = 64;
/// Longest name of a grouping, bytes: it names an earmark in ledgers and a folder in bundles.
pub const GROUPING_NAME_BYTES_MAX: usize = 200;
/// Most cells (groups × outcomes × bins) of one grouping.
pub const CELLS_MAX: usize = 65_536;
/// Mistakes shown at once.
pub const MISTAKES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::key::SecretKey;
    use crate::ledger::entry::{Account, Body, ENTRY_BYTES_MAX, Earmark, Entry, Participant};
    use crate::privacy::mechanism::Event;
    use crate::protocol::{Approval, Decision, DeclineReason, Replaced};
    use crate::signed::Signed;

    /// The longest `study_open` that a study within the limits can lead to.
    #[test]
    fn the_largest_study_fits_one_entry() {
        let time = "2027-03-01T09:00:00.000Z".parse().expect("a time");
        let study = Digest::of(b"");
        let study_id: crate::id::StudyId = "s".repeat(63).parse().expect("the longest id");
        let name = |i: usize| format!("{}{i:03}", "x".repeat(60)).parse().expect("the longest name");
        let key = SecretKey::from_seed(&[1; 32]);
        let decision = Decision::Decline { reason: DeclineReason::Governance };
        let approval = Approval {
            study,
            study_id: study_id.clone(),
            site: name(0),
            decision: Decision::Approve,
            time,
            // Each quotation mark takes two bytes in the statement, and four where that is quoted.
            approver: "\"".repeat(200),
            replaces: Some(Replaced { decision, time, approver: "\"".repeat(200) }),
            bindings: Some("\"".repeat(crate::study::bindings::ANSWER_BYTES_MAX / 4)),
        };
        let grouping = |i: usize| Earmark {
            name: format!("{}{i:02}", "g".repeat(GROUPING_NAME_BYTES_MAX - 2)),
            account: Account::Evaluation,
            event: Event::Gaussian {
                noise_multiplier: 16_383.999_000_000_002,
                count: SPARE_EVALUATIONS_MAX + 1,
            },
        };
        let body = Body::StudyOpen {
            study,
            study_id,
            approval: Signed::new(&approval, &key),
            participants: (0..SITES_MAX).map(|i| Participant { site: name(i), key: key.public() }).collect(),
            delta: 1.234_567_890_123_456_7e-6,
            earmarks: (0..GROUPINGS_MAX + 2).map(grouping).collect(),
        };
        let bytes = Entry { time, previous: study, body }.to_bytes().expect("fits").len();
        assert!(bytes < ENTRY_BYTES_MAX, "{bytes}");
    }
}
