//! `[privacy]`: the whole list of events in advance, and whether it stays below its own caps.

use super::super::earmarks::{evaluation_events, evaluation_scale, training_event};
use super::super::limits::{
    DEADLINE_S_MAX, DELTA_MAX, DELTA_PEOPLE_EXPONENT, EPSILON_MAX, EPSILON_MIN, GROUPINGS_MAX,
    LOCAL_STEPS_MAX, NOISE_MULTIPLIER_MAX, NOISE_MULTIPLIER_MIN, PARAMETERS_MAX, REPLY_TICK_MS_MAX,
    REPLY_TICK_MS_MIN, ROUND_NOISE_BYTES_MAX, ROUNDS_MAX, SAMPLING_RATE_MIN, SITES_MAX,
    SPARE_EVALUATIONS_MAX, STEP_MAX, STEP_MIN, STEPS_MAX,
};
use super::super::raw::{Ask, Section, Value, ask, nearest};
use super::super::{Attribute, Mode, Privacy, RosterSite, Split, Study, Subgroups, Training, secure};
use super::section;
use crate::evaluation::histogram::PERSON_UNITS;
use crate::privacy::accountant::{Accountant, above_by};
use crate::privacy::clip::{Lattice, sigma_units};
use crate::privacy::mechanism::Event;
use crate::secagg::{Refusal, SecureParameters, recommended_threshold};
use crate::study::secure::Summed;

pub(super) fn privacy(
    top: &Section<'_>,
    sites: Option<&[RosterSite]>,
    subgroups: Option<&Subgroups>,
    attributes: Option<&[Attribute]>,
    split: Option<&Split>,
    predictions: usize,
) -> Option<Privacy> {
    let read = section(top, ask("privacy", "a table", "[privacy]"), |section| {
        let accountant = words(section);
        let mode = mode(section);
        let delta = section.required(DELTA, |v| {
            let delta = v.number(|delta| delta > 0.0 && delta <= DELTA_MAX)?;
            check_delta(v, delta, sites?);
            Some(delta)
        });
        let epsilon = self::section(section, EPSILON, |caps| {
            let training = caps.required(TRAINING_PEOPLE, epsilon_cap);
            let evaluation = caps.required(EVALUATION_PEOPLE, epsilon_cap);
            Some((training?, evaluation?))
        });
        let person_total_max = section.required(TOTAL, epsilon_cap);
        let spare_evaluations = section.required(SPARE_EVALUATIONS, |v| v.small(0..=SPARE_EVALUATIONS_MAX));
        let training = self::section(section, TRAINING, |table| training(table, sites, mode));
        let evaluation_shares =
            self::section(section, SHARES, |table| evaluation_shares(table, subgroups, attributes));
        let (epsilon_training, epsilon_evaluation) = epsilon?;
        let (evaluation_shares, completeness_shares) = evaluation_shares?;
        Some(Privacy {
            mode,
            accountant: accountant?,
            delta: delta?,
            epsilon_training,
            epsilon_evaluation,
            person_total_max: person_total_max?,
            training: training?,
            evaluation_shares,
            completeness_shares,
            spare_evaluations: spare_evaluations?,
            // Follows from the rest, below.
            evaluation_scale: f64::NAN,
        })
    });
    let privacy = read?;
    // Where there is none a mistake was reported: the file is refused, once the rest of it was looked at.
    let evaluation_scale = calibrated_within_caps(top, &privacy, split?, predictions).unwrap_or(f64::NAN);
    Some(Privacy { evaluation_scale, ..privacy })
}

const DELTA: Ask = ask("delta", "a number above 0, at most 0.00001", "delta = 1e-5");
const EPSILON: Ask = ask(
    "epsilon",
    "a table of training_people and evaluation_people",
    "epsilon = { training_people = 3.0, evaluation_people = 3.0 }",
);
const TRAINING_PEOPLE: Ask = ask("training_people", "a number from 0.001 to 100", "training_people = 3.0");
const EVALUATION_PEOPLE: Ask =
    ask("evaluation_people", "a number from 0.001 to 100", "evaluation_people = 3.0");
const TOTAL: Ask = ask("person_total_max", "a number from 0.001 to 100", "person_total_max = 3.0");
const SPARE_EVALUATIONS: Ask =
    ask("spare_evaluations", "a whole number from 0 to 100", "spare_evaluations = 1");
const TRAINING: Ask = ask("training", "a table", "[privacy.training]");
const SHARES: Ask = ask("evaluation_shares", "a table of grouping = share", "[privacy.evaluation_shares]");

/// The keys that have one value in this version, or nearly: written out, so that who approves reads them.
fn words(section: &Section<'_>) -> Option<Accountant> {
    const UNIT: Ask = ask("unit", "\"person\"", r#"unit = "person""#);
    const NEIGHBOURS: Ask = ask("neighbours", "\"add_remove_one\"", r#"neighbours = "add_remove_one""#);
    const ACCOUNTANT: Ask =
        ask("accountant", "\"pld\", or \"rdp\" as in older studies", r#"accountant = "pld""#);
    const ON_EXHAUSTED: Ask = ask("on_exhausted", "\"stop\"", r#"on_exhausted = "stop""#);
    section.required(UNIT, |v| v.word(&["person"]));
    section.required(NEIGHBOURS, |v| v.word(&["add_remove_one"]));
    section.required(ON_EXHAUSTED, |v| v.word(&["stop"]));
    let name = |accountant: Accountant| accountant.name();
    section.required(ACCOUNTANT, |v| {
        let word = v.word(&[name(Accountant::Pld), name(Accountant::Rdp)])?;
        Some(word.parse().expect("the name of an accountant"))
    })
}

/// `mode`, and what `distributed` needs beside it. Where the file does not say either, that is reported, and what comes
/// back is the mode or the number that rules out least: the file is refused in any case, and its other mistakes are
/// found with this one.
fn mode(section: &Section<'_>) -> Mode {
    const MODE: Ask = ask("mode", "\"local\" or \"distributed\"", r#"mode = "local""#);
    const COLLUDING: Ask = ask("colluding", "a whole number from 1 to 100", "colluding = 1");
    /// Of all numbers the one that takes most thresholds (`SecureParameters::decide`).
    const COLLUDING_LEAST: u8 = 1;
    let colluding = |v: &Value<'_>| v.small(1..=100).map(|n| u8::try_from(n).expect("at most 100"));
    match section.required(MODE, |v| v.word(&["local", "distributed"])) {
        Some("distributed") => {
            let colluding = section.required(COLLUDING, colluding).unwrap_or(COLLUDING_LEAST);
            Mode::Distributed { colluding }
        }
        Some(_) => {
            section.optional(COLLUDING, |v| {
                let instead = "remove it, or write mode = \"distributed\"";
                v.wrong_because::<()>("nothing in local mode", "colluding", instead)
            });
            Mode::Local
        }
        None => {
            // Whether it belongs here is for the mode to say.
            section.ignore(&[COLLUDING.key]);
            Mode::Local
        }
    }
}

fn epsilon_cap(value: &Value<'_>) -> Option<f64> {
    value.number(|epsilon| (EPSILON_MIN..=EPSILON_MAX).contains(&epsilon))
}

/// δ against the people of each site: at 1/people, publishing one person's record whole would pass.
fn check_delta(value: &Value<'_>, delta: f64, sites: &[RosterSite]) {
    for site in sites {
        #[expect(clippy::cast_precision_loss, reason = "at most 10^9")]
        let people = site.people_public as f64;
        let most = people.powf(-DELTA_PEOPLE_EXPONENT);
        if delta > most || delta >= 1.0 / people {
            let (name, people) = (&site.name, site.people_public);
            let expected =
                format!("at most {most:.2e}, which is {people} people at {name} to the power of -1.1");
            value.wrong_because::<()>(&expected, &delta.to_string(), "write a smaller delta");
        }
    }
}

fn training(section: &Section<'_>, sites: Option<&[RosterSite]>, mode: Mode) -> Option<Training> {
    const RATE: Ask = ask("sampling_rate", "a number above 0.000001, at most 1", "sampling_rate = 0.1");
    const ROUNDS: Ask = ask("rounds", "a whole number from 1 to 10000", "rounds = 20");
    const STEPS: Ask = ask("local_steps", "a whole number from 1 to 10000", "local_steps = 1");
    const SPARE: Ask = ask("spare_rounds", "a whole number from 0 to 10000", "spare_rounds = 2");
    const NOISE: Ask = ask("noise_multiplier", "a number from 0.3 to 10000", "noise_multiplier = 4.0");
    const CLIP: Ask = ask("clip_norm", "a number from 0.000001 to 1000", "clip_norm = 1.0");
    const RATE_OF_LEARNING: Ask =
        ask("learning_rate", "a number from 0.000001 to 1000", "learning_rate = 1.0");
    const PROXIMAL: Ask = ask("proximal", "a number from 0 to 1000", "proximal = 0.0");
    const QUORUM: Ask = ask("quorum", "a whole number from 2 to the number of sites", "quorum = 2");
    const DEADLINE: Ask = ask("deadline_s", "a whole number from 1 to 604800", "deadline_s = 600");
    const TICK: Ask = ask("reply_tick_ms", "a whole number from 10 to 60000", "reply_tick_ms = 250");
    let step = |v: &Value<'_>| v.number(|step| (STEP_MIN..=STEP_MAX).contains(&step));
    let quorum_max = sites.map_or(SITES_MAX, <[_]>::len) as u64;

    let sampling_rate = section.required(RATE, |v| v.number(|q| (SAMPLING_RATE_MIN..=1.0).contains(&q)));
    let rounds = section.required(ROUNDS, |v| v.small(1..=ROUNDS_MAX));
    let local_steps = section.required(STEPS, |v| v.small(1..=LOCAL_STEPS_MAX));
    let spare_rounds = section.required(SPARE, |v| v.small(0..=ROUNDS_MAX));
    let sigma = NOISE_MULTIPLIER_MIN..=NOISE_MULTIPLIER_MAX;
    let noise_multiplier = section.required(NOISE, |v| v.number(|noise| sigma.contains(&noise)));
    let clip_norm = section.required(CLIP, step);
    let learning_rate = section.required(RATE_OF_LEARNING, step);
    let proximal = section.required(PROXIMAL, |v| v.number(|pull| (0.0..=STEP_MAX).contains(&pull)));
    let quorum = match mode {
        // The secure sum has a rule of its own, and says by itself which numbers it takes.
        Mode::Distributed { .. } => section.required(QUORUM, |v| v.small(0..=SITES_MAX as u64)),
        Mode::Local => section.required(QUORUM, |v| v.small(2..=quorum_max)),
    };
    let deadline_s = section.required(DEADLINE, |v| v.small(1..=DEADLINE_S_MAX));
    let reply_tick_ms = section.required(TICK, |v| v.small(REPLY_TICK_MS_MIN..=REPLY_TICK_MS_MAX));
    let training = Training {
        sampling_rate: sampling_rate?,
        rounds: rounds?,
        local_steps: local_steps?,
        spare_rounds: spare_rounds?,
        noise_multiplier: noise_multiplier?,
        clip_norm: clip_norm?,
        learning_rate: learning_rate?,
        proximal: proximal?,
        quorum: quorum?,
        deadline_s: deadline_s?,
        reply_tick_ms: reply_tick_ms?,
    };
    if let Mode::Distributed { colluding } = mode {
        check_distributed(section, &training, sites, colluding);
    }
    let steps = training.steps_charged();
    if steps > STEPS_MAX {
        let expected = format!("(rounds + spare_rounds) x local_steps at most {STEPS_MAX}");
        section.wrong("rounds", &expected, &steps.to_string(), "lower rounds, spare_rounds or local_steps");
    }
    Some(training)
}

/// What secure sums rule out: local steps, pulls toward a round's model, weights of sites; thresholds
/// under which the protocol or the noise would not hold.
fn check_distributed(
    section: &Section<'_>,
    training: &Training,
    sites: Option<&[RosterSite]>,
    colluding: u8,
) {
    if training.local_steps != 1 {
        let found = training.local_steps.to_string();
        section.wrong(
            "local_steps",
            "1 in distributed mode: each step is one secure sum",
            &found,
            "write local_steps = 1, and more rounds",
        );
    }
    if training.proximal != 0.0 {
        let found = training.proximal.to_string();
        section.wrong("proximal", "0 in distributed mode: there are no local steps", &found, "write 0.0");
    }
    let Some(sites) = sites else { return };
    if sites.iter().any(|site| site.weight != sites[0].weight) {
        for (i, site) in sites.iter().enumerate().filter(|(_, site)| site.weight != 1 << 16) {
            section.wrong_at(
                &format!("site[{}].weight", i + 1),
                "one weight for all sites in distributed mode: a secure sum counts every person alike",
                &(f64::from(site.weight) / 65_536.0).to_string(),
                "write weight = 1.0 for every site",
            );
        }
    }
    let n = sites.len();
    let threshold = u8::try_from(training.quorum).unwrap_or(u8::MAX);
    // The noise is looked at with the rest of the numbers, once the model's size is known.
    if let Err(refusal) = SecureParameters::decide(n, threshold, colluding, 1 << 18, 1, 1 << 18) {
        let instead = match recommended_threshold(n) {
            Ok((threshold, colluding)) => {
                format!("for {n} sites write quorum = {threshold} and colluding = {colluding}")
            }
            Err(_) => "mode = \"local\" needs two sites, mode = \"distributed\" three".to_owned(),
        };
        section.wrong(
            "quorum",
            "a threshold that the secure sum is proven for",
            &refusal.to_string(),
            &instead,
        );
    }
}

/// Whether a name is one of attributes with groups, joined by `*`.
fn could_be_a_group(name: &str, attributes: &[Attribute]) -> bool {
    let has_groups = |attribute: &Attribute| !attribute.values.is_completeness_only();
    name.split('*').all(|part| attributes.iter().any(|known| known.name == part && has_groups(known)))
}

/// Names, each with its share.
type Shares = Vec<(String, f64)>;

/// A share for `overall`, for each of the study's groupings and for each attribute that is only counted, and for nothing
/// else; those of groupings, then those of attributes, in the order of these, whatever the order in the file.
fn evaluation_shares(
    section: &Section<'_>,
    subgroups: Option<&Subgroups>,
    attributes: Option<&[Attribute]>,
) -> Option<(Shares, Shares)> {
    const SHARE: Ask = ask("share", "a number from 0.001 to 1000", "overall = 1.0");
    let example = |name: &str| {
        let is_bare = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if is_bare { format!("{name} = 1.0") } else { format!("{name:?} = 1.0") }
    };
    let entries = section.entries(SHARE);
    if entries.len() > GROUPINGS_MAX + 1 {
        section.wrong("", "fewer groupings", &entries.len().to_string(), "keep those that matter");
    }
    let read: Vec<Option<(String, f64)>> = entries
        .iter()
        .map(|(name, value)| {
            let Some(share) = value.as_number().filter(|share| (0.001..=1000.0).contains(share)) else {
                let instead = format!("write {}", example(name));
                return value.wrong_because(SHARE.expected, &value.shown(), &instead);
            };
            Some((name.clone(), share))
        })
        .collect();
    let groupings = super::super::grouping_names(&subgroups?.groups);
    let counted = attributes?.iter().filter(|attribute| attribute.values.is_completeness_only());
    let counted: Vec<String> = counted.map(|attribute| attribute.name.clone()).collect();
    let released = [&groupings[..], &counted].concat();
    let mut missing: Vec<&str> = released.iter().map(String::as_str).collect();
    missing.retain(|name| !entries.iter().any(|(entry, _)| entry == name));
    for (name, value) in &entries {
        if !released.contains(name) {
            let expected = format!("a grouping of this study: {}", released.join(", "));
            let instead = match nearest(name, missing.iter().copied()) {
                // One slip is one mistake.
                Some(known) => {
                    missing.retain(|name| *name != known);
                    format!("did you mean {known}?")
                }
                None if could_be_a_group(name, attributes?) => {
                    "remove it, or add the grouping to subgroups.groups".to_owned()
                }
                None => "remove it".to_owned(),
            };
            value.wrong_because::<()>(&expected, name, &instead);
        }
    }
    for name in missing {
        let instead = format!("add {}", example(name));
        section.wrong(name, "a share of the evaluation budget", "nothing", &instead);
    }
    let read = read.into_iter().collect::<Option<Vec<_>>>()?;
    let of = |names: Vec<String>| -> Option<Shares> {
        names.into_iter().map(|name| read.iter().find(|(entry, _)| *entry == name).cloned()).collect()
    };
    Some((of(groupings)?, of(counted)?))
}

/// The event list against the caps, by the study's own accountant; the scale of the evaluation's noise where the list
/// stays below them.
fn calibrated_within_caps(
    top: &Section<'_>,
    privacy: &Privacy,
    split: &Split,
    predictions: usize,
) -> Option<f64> {
    let total = privacy.person_total_max;
    for (key, cap) in [
        ("privacy.epsilon.training_people", privacy.epsilon_training),
        ("privacy.epsilon.evaluation_people", privacy.epsilon_evaluation),
    ] {
        if cap > total {
            let expected = format!("at most person_total_max, {total}");
            top.wrong(key, &expected, &cap.to_string(), "lower it, or raise person_total_max");
        }
    }
    let key = "privacy.training.noise_multiplier";
    let instead = "write a larger noise_multiplier, fewer rounds or local_steps, or a larger epsilon";
    let training = [training_event(&privacy.training)];
    match above_by(privacy.accountant, &training, privacy.delta, privacy.epsilon_training) {
        Ok(None) => {}
        Ok(Some(spent)) => {
            let expected =
                format!("training to cost at most {} (epsilon.training_people)", privacy.epsilon_training);
            top.wrong(key, &expected, &format!("{spent:.4}"), instead);
            return None;
        }
        Err(error) => {
            top.wrong(key, "training events that can be priced", &error.to_string(), instead);
            return None;
        }
    }
    match evaluation_scale(privacy, predictions, &split.by) {
        Ok(scale) => {
            check_histograms(top, privacy, scale);
            Some(scale)
        }
        Err(error) => {
            let expected = format!("enough of person_total_max, {total}, left for evaluation");
            let found = {
                let groupings =
                    privacy.evaluation_shares.len() * predictions + privacy.completeness_shares.len();
                format!("too little for {groupings} groupings ({error})")
            };
            top.wrong("privacy.person_total_max", &expected, &found, instead);
            None
        }
    }
}

/// Each grouping's calibrated noise against what the lattice of histograms carries.
fn check_histograms(top: &Section<'_>, privacy: &Privacy, scale: f64) {
    let shares = privacy.evaluation_shares.iter().chain(&privacy.completeness_shares);
    for ((grouping, _), event) in shares.zip(evaluation_events(privacy, 1, scale)) {
        let Event::Gaussian { noise_multiplier, .. } = event else {
            unreachable!("histograms have Gaussian noise")
        };
        if let Err(error) = sigma_units(PERSON_UNITS.unsigned_abs(), noise_multiplier) {
            let key = format!("privacy.evaluation_shares.{grouping}");
            let instead = "write a larger share or a larger epsilon.evaluation_people";
            top.wrong(&key, "noise that the lattice of histograms carries", &error.to_string(), instead);
        }
    }
}

/// What only shows once all parts are there: bounds within which the mechanism is proven, and memory.
///
/// # Privacy
/// The sensitivity of a step is proven up to [`Lattice::batch_max`] people (`privacy::clip`). A sample
/// never has more people than train, so that the public bound on them keeps every sample below it
/// without looking at one; the noise must be one that the lattice carries exactly.
pub(super) fn check_bounds(top: &Section<'_>, study: &Study) {
    let parameters = study.architecture().parameters();
    if parameters > PARAMETERS_MAX {
        // Reported with the layers.
        return;
    }
    let lattice = Lattice::for_dimension(parameters);
    let batch_max = lattice.batch_max();
    for (i, site) in study.sites.iter().enumerate() {
        let people = study.training_people(site);
        #[expect(clippy::cast_precision_loss, reason = "at most 2^17")]
        if people > batch_max as f64 {
            let expected = format!("at most {batch_max} people who train, people_public x training_share");
            let path = format!("site[{}].people_public", i + 1);
            let instead = "take part in the study with a part of the people";
            top.wrong(&path, &expected, &format!("{people:.0}"), instead);
        }
    }
    let training = &study.privacy.training;
    let bytes = (parameters as u64).saturating_mul(8).saturating_mul(u64::from(training.local_steps));
    if bytes > ROUND_NOISE_BYTES_MAX {
        let expected = format!(
            "local_steps x {parameters} parameters x 8 bytes of noise at most {ROUND_NOISE_BYTES_MAX} bytes a round"
        );
        let key = "privacy.training.local_steps";
        top.wrong(key, &expected, &bytes.to_string(), "write fewer local_steps and more rounds");
    }
    if let Err(error) = lattice.sigma_units(training.noise_multiplier) {
        let key = "privacy.training.noise_multiplier";
        top.wrong(
            key,
            "noise that the lattice carries",
            &error.to_string(),
            "write a smaller noise_multiplier",
        );
    }
    if let (Mode::Distributed { .. }, Ok(_)) =
        (study.privacy.mode, lattice.sigma_units(training.noise_multiplier))
    {
        check_sums(top, study);
    }
}

/// What secure sums carry: noise, its shares, and lanes. Thresholds were looked at with `quorum`, and where there is
/// no scale for the evaluation's noise the reason was said.
fn check_sums(top: &Section<'_>, study: &Study) {
    let everybody: Vec<&RosterSite> = study.sites.iter().collect();
    let calibrated = study.privacy.evaluation_scale.is_finite();
    for summed in secure::all_summed(study) {
        let instead = match summed {
            Summed::Training => "write another noise_multiplier, or mode = \"local\"",
            Summed::Grouping(_) if !calibrated => continue,
            Summed::Grouping(_) => {
                "write other evaluation_shares, another epsilon.evaluation_people, or mode = \"local\""
            }
        };
        // Any other rule was reported where its key is.
        if let Err(refusal @ (Refusal::Sigma { .. } | Refusal::Overflow { .. } | Refusal::Term { .. })) =
            secure::terms(study, &everybody, summed)
        {
            let expected = "sums that the secure sum carries";
            top.wrong("privacy.mode", expected, &refusal.to_string(), instead);
            return;
        }
    }
}
