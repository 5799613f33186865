//! The study's event list: every release that it may ever make from one site's data, spare attempts
//! included. Sites earmark exactly this list, and an auditor recomputes it from the study file.

use super::{Privacy, SplitBy, Study, Training};
use crate::ledger::entry::{Account, Earmark};
use crate::privacy::calibrate;
use crate::privacy::mechanism::Event;

/// Name of the earmark with index 0.
pub const TRAINING: &str = "training";
/// A grouping's σ is rounded up to one part in this, so that it has the same bits wherever it is computed.
const SIGMA_STEPS: f64 = 1e3;

/// All releases of the study at one site: index 0 is training, which is of all predictions at once, then one per
/// prediction and grouping, and one per attribute that is only counted, in the order of [`Study::groupings`]. The same file gives the same list on every machine.
///
/// # Privacy
/// Unit: one person at one site, all their records. Neighbours: add or remove one person. With the
/// site-hash split a person is in one account and pays for that one; with a split by column
/// everything is charged to both. Evaluation noise is calibrated jointly over all groupings and
/// their spare uses: σ of a grouping is k/√share with the smallest k for which the evaluation costs
/// at most `epsilon.evaluation_people` and, where both accounts pay, training and evaluation
/// together at most `person_total_max`, by the study's own `accountant`, so that the list of a study that
/// was written for RDP stays what it was. Disjoint groups of one grouping compose in parallel: a
/// person falls into one cell of each.
#[must_use]
pub fn earmarks(study: &Study) -> Vec<Earmark> {
    let privacy = &study.privacy;
    let (training, evaluation) = match study.split.by {
        SplitBy::SiteHash => (Account::Training, Account::Evaluation),
        SplitBy::Column { .. } => (Account::Both, Account::Both),
    };
    let training =
        Earmark { name: TRAINING.to_owned(), account: training, event: training_event(&privacy.training) };
    let names = study.groupings();
    let groupings = names
        .into_iter()
        .zip(evaluation_events(privacy, study.predicted().len(), privacy.evaluation_scale))
        .map(|(name, event)| Earmark { name, account: evaluation, event });
    std::iter::once(training).chain(groupings).collect()
}

/// Events that one account pays for: all of the study's where both accounts pay.
#[must_use]
pub fn events_of(earmarks: &[Earmark], account: Account) -> Vec<Event> {
    let pays = |earmark: &&Earmark| earmark.account == account || earmark.account == Account::Both;
    earmarks.iter().filter(pays).map(|earmark| earmark.event).collect()
}

/// Every private step of the study at one site, spare ones included.
pub(super) fn training_event(training: &Training) -> Event {
    Event::PoissonGaussian {
        sampling_rate: training.sampling_rate,
        noise_multiplier: training.noise_multiplier,
        count: training.steps_charged(),
    }
}

/// The smallest k (see [`earmarks`]); what `privacy` says of it already is not looked at.
pub(super) fn evaluation_scale(
    privacy: &Privacy,
    predictions: usize,
    split: &SplitBy,
) -> Result<f64, String> {
    let (by, delta) = (privacy.accountant, privacy.delta);
    let alone = calibrate::smallest_scale_by(by, privacy.epsilon_evaluation, delta, |scale| {
        evaluation_events(privacy, predictions, scale)
    })
    .map_err(|error| error.to_string())?;
    if *split == SplitBy::SiteHash {
        return Ok(alone);
    }
    let training = training_event(&privacy.training);
    let joint = calibrate::smallest_scale_by(by, privacy.person_total_max, delta, |scale| {
        let mut events = evaluation_events(privacy, predictions, scale);
        events.push(training);
        events
    })
    .map_err(|error| error.to_string())?;
    Ok(alone.max(joint))
}

/// For each prediction one histogram per grouping and spare attempt, in the order of the shares; then one count of people
/// per attribute that is only counted.
pub(super) fn evaluation_events(privacy: &Privacy, predictions: usize, scale: f64) -> Vec<Event> {
    let count = 1 + u64::from(privacy.spare_evaluations);
    let sigma = |share: f64| (scale / share.sqrt() * SIGMA_STEPS).ceil() / SIGMA_STEPS;
    let events = |shares: &[(String, f64)]| -> Vec<Event> {
        shares.iter().map(|&(_, share)| Event::Gaussian { noise_multiplier: sigma(share), count }).collect()
    };
    let of_one = events(&privacy.evaluation_shares);
    [of_one.repeat(predictions), events(&privacy.completeness_shares)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::accountant::{Accountant, epsilon_by};
    use crate::study::parse::tests::{COLUMN_SPLIT, EXAMPLE, parsed};

    fn check(text: &str, account: Account, cap: f64) {
        let study = parsed(text);
        let list = earmarks(&study);
        assert_eq!(list, earmarks(&study), "deterministic");
        let names: Vec<&str> = list.iter().map(|earmark| earmark.name.as_str()).collect();
        let groupings = study.groupings();
        assert_eq!(names[0], "training");
        assert_eq!(names[1..], groupings.iter().map(String::as_str).collect::<Vec<_>>()[..]);
        let by = study.privacy.accountant;
        let spent = epsilon_by(by, &events_of(&list, account), study.privacy.delta).expect("valid events");
        assert!(spent <= cap, "{spent} above {cap}");
        // Joint calibration leaves less than a thousandth unused.
        assert!(spent > cap * 0.995, "{spent} far below {cap}");
    }

    #[test]
    fn evaluation_spends_its_cap_and_no_more() {
        check(EXAMPLE, Account::Evaluation, 3.0);
    }

    #[test]
    fn where_both_accounts_pay_everything_counts() {
        check(&COLUMN_SPLIT, Account::Both, 3.0);
        let list = earmarks(&parsed(&COLUMN_SPLIT));
        assert!(list.iter().all(|earmark| earmark.account == Account::Both));
        assert_eq!(
            events_of(&list, Account::Training).len(),
            events_of(&list, Account::Evaluation).len(),
            "both pay for the same"
        );
    }

    /// A study that was written before PLD has the list that it always had.
    #[test]
    fn a_study_for_rdp_keeps_its_noise() {
        let old = EXAMPLE.replace("accountant        = \"pld\"", "accountant        = \"rdp\"");
        check(&old, Account::Evaluation, 3.0);
        let sigma = |text: &str| {
            let study = parsed(text);
            let expected = if text == EXAMPLE { Accountant::Pld } else { Accountant::Rdp };
            assert_eq!(study.privacy.accountant, expected);
            earmarks(&study)[1].event
        };
        assert_eq!(sigma(&old), Event::Gaussian { noise_multiplier: 2.593, count: 2 });
        let Event::Gaussian { noise_multiplier, .. } = sigma(EXAMPLE) else { panic!("another noise") };
        assert!(noise_multiplier < 0.95 * 2.593, "{noise_multiplier}");
    }

    #[test]
    fn shares_are_shares_of_the_budget() {
        let list = earmarks(&parsed(EXAMPLE));
        let sigma = |name: &str| {
            let found = list.iter().find(|earmark| earmark.name == name).expect("listed");
            match found.event {
                Event::Gaussian { noise_multiplier, count: 2 } => noise_multiplier,
                other => panic!("{other:?}"),
            }
        };
        // sex has a share of 0.25: double the noise.
        assert!((sigma("sex") / sigma("overall") - 2.0).abs() < 1e-3);
    }
}
