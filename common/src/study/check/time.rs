//! What a split by time leaves on either side of its day, by the calendar alone: index days are taken to be spread evenly
//! over the accrual.

use crate::study::describe::known_though_lost;
use crate::study::records::Records;
use crate::study::{Data, Study, Validation};
use jiff::civil::Date;

/// Below this share of the accrual's days there is nearly nobody on a side.
const SHARE_MIN: f64 = 0.05;

/// The day of a holdout among the days of the accrual.
pub(super) struct Held {
    from: Date,
    accrual: (Date, Date),
}

impl Held {
    /// See [`super::Prediction::held_out_share`].
    pub(super) fn share(&self) -> f64 {
        f64::from(self.days_after()) / f64::from(self.days())
    }

    fn days(&self) -> i32 {
        days_between(self.accrual.0, self.accrual.1) + 1
    }

    /// The holdout's own day included.
    fn days_after(&self) -> i32 {
        days_between(self.from, self.accrual.1) + 1
    }

    /// Of a day that leaves next to nothing on one side.
    fn warning(&self) -> Option<String> {
        let (after, days, from) = (self.days_after(), self.days(), self.from);
        let before = days - after;
        if 1.0 - self.share() < SHARE_MIN {
            return Some(format!(
                "only {before} of the {days} days of accrual lie before split.holdout.from = {from}: next to nothing is \
                 left to train on; write a later day"
            ));
        }
        (self.share() < SHARE_MIN).then(|| {
            format!(
                "only {after} of the {days} days of accrual lie on or after split.holdout.from = {from}: next to nobody is \
                 held out; write an earlier day"
            )
        })
    }
}

fn days_between(first: Date, last: Date) -> i32 {
    first.until(last).expect("two dates of the calendar").get_days()
}

/// None where nothing is held out.
pub(super) fn held(study: &Study) -> Option<Held> {
    let (Some(holdout), Data::Records(records)) = (&study.split.holdout, &study.data) else { return None };
    Some(Held { from: holdout.from, accrual: records.accrual })
}

/// The shares of evaluation people's examples that are evaluated at all, and that the smallest of what is reported has.
pub(super) fn evaluated_shares(study: &Study) -> (f64, f64) {
    let later = held(study).map_or(0.0, |held| held.share());
    let share = |of: &Validation| match of {
        Validation::Internal => 1.0 - later,
        Validation::Temporal => later,
    };
    let shares = study.split.validations().iter().map(share);
    (shares.clone().sum(), shares.fold(1.0, f64::min))
}

/// Where too little is before the day or after it, or where nobody after it can be followed for long enough.
pub(super) fn warnings(study: &Study) -> Vec<String> {
    let Some(held) = held(study) else { return Vec::new() };
    let mut warnings: Vec<String> = held.warning().into_iter().collect();
    if let Data::Records(records) = &study.data
        && study.split.validations().contains(&Validation::Temporal)
    {
        warnings.extend(followed_too_briefly(study, records, held.from));
    }
    warnings
}

/// Predictions whose time at risk outlasts the study for everybody who is held out.
fn followed_too_briefly(study: &Study, records: &Records, from: Date) -> Vec<String> {
    let warning = |predicted: crate::study::Predicted| {
        let task = &records.tasks[predicted.task];
        let horizon = predicted.horizon_days?;
        let last = records.last_followed(task, horizon)?;
        let left = match known_though_lost(&task.outcome) {
            None => "nobody is left to judge it on",
            Some("those with the outcome") => "only people with the outcome are left to judge it on",
            Some(_) => "only people with the outcome, or who died, are left to judge it on",
        };
        (last < from).then(|| {
            format!(
                "{}: nobody with an index from split.holdout.from = {from} on can be followed for its {horizon} days by \
                 data.followup_to = {}, the last who can has the index on {last}; of those held out {left}. Write a later \
                 followup_to, an earlier day, or report = [\"internal\"]",
                predicted.name, records.followup_to
            )
        })
    };
    study.predicted().into_iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use crate::study::check::{predict, predict_as_published};
    use crate::study::parse::records::tests::OF_RECORDS;
    use crate::study::parse::tests::parsed;

    /// The example on records (accrual 2015-01-01 to 2024-12-31, 365 days at risk a day after the index) with this holdout.
    fn held_out(from: &str, report: &str, edits: &[(&str, &str)]) -> String {
        let keys = format!(
            "holdout = {{ type = \"time\", from = {from}, of = \"evaluation-people\" }}\nreport = {report}\ntraining_share = 0.7"
        );
        let text = OF_RECORDS.replacen("training_share = 0.7", &keys, 1);
        edits.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        })
    }

    const BOTH: &str = "[\"internal\", \"temporal\"]";

    #[test]
    fn a_day_that_leaves_nobody_on_one_side_is_warned_of() {
        fn check(from: &str, expected: Option<&str>) {
            let warnings = predict(&parsed(&held_out(from, BOTH, &[])), 0.1).warnings;
            let said: Vec<&String> =
                warnings.iter().filter(|said| said.contains("days of accrual")).collect();
            match expected {
                None => assert_eq!(said, Vec::<&String>::new(), "{from}"),
                Some(expected) => assert!(said.len() == 1 && said[0].contains(expected), "{from}: {said:?}"),
            }
        }
        check(
            "2015-01-02",
            Some("only 1 of the 3653 days of accrual lie before split.holdout.from = 2015-01-02"),
        );
        check("2015-06-01", Some("left to train on; write a later day"));
        check("2015-08-01", None);
        check("2023-01-01", None);
        check("2024-06-01", None);
        check("2024-12-01", Some("only 31 of the 3653 days"));
        check("2024-12-31", Some("only 1 of the 3653 days of accrual lie on or after"));
    }

    /// Whoever is held out is not in a step, and the noise stays.
    #[test]
    fn sizes_are_of_those_who_train() {
        let (all, few) = (parsed(&OF_RECORDS), parsed(&held_out("2015-01-02", BOTH, &[])));
        let (all, few) = (predict(&all, 0.1), predict(&few, 0.1));
        let share = 1.0 / 3653.0;
        for (all, few) in all.sites.iter().zip(&few.sites) {
            assert!((few.training_people / all.training_people - share).abs() < 1e-9);
            assert!((few.step_people / all.step_people - share).abs() < 1e-9);
            assert_eq!(few.evaluation_people, all.evaluation_people);
            let ratio = few.step_noise.expect("local") / all.step_noise.expect("local");
            assert!((ratio * share - 1.0).abs() < 1e-9, "{ratio}");
        }
        assert!((few.step_noise / all.step_noise * share - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_holdout_that_nobody_is_followed_in_is_warned_of() {
        fn check(from: &str, report: &str, edits: &[(&str, &str)], expected: Option<&str>) {
            let warnings = predict_as_published(&parsed(&held_out(from, report, edits))).warnings;
            let said: Vec<&String> =
                warnings.iter().filter(|said| said.contains("can be followed")).collect();
            match expected {
                None => assert_eq!(said, Vec::<&String>::new(), "{from} {edits:?}"),
                Some(expected) => {
                    assert!(said.len() == 1 && said[0].contains(expected), "{from} {edits:?}: {said:?}");
                }
            }
        }
        // 365 days and one of the 24 hours before 2024-12-31 is 2023-12-31 (2024 has 366 days).
        let early = ("followup_to    = 2026-06-30", "followup_to = 2024-12-31");
        let drop = ("= \"keep-if-outcome\"", "= \"drop\"");
        let censoring = ("= \"competing\"", "= \"censoring\"");
        check("2024-01-01", BOTH, &[], None);
        check("2023-12-31", BOTH, &[early], None);
        check(
            "2024-01-01",
            BOTH,
            &[early],
            Some("self_harm: nobody with an index from split.holdout.from = 2024-01-01"),
        );
        check(
            "2024-01-01",
            BOTH,
            &[early],
            Some("has the index on 2023-12-31; of those held out only people with the outcome, or"),
        );
        check("2024-01-01", BOTH, &[early, drop], Some("or who died, are left"));
        check("2024-01-01", BOTH, &[early, censoring], Some("only people with the outcome are left"));
        check("2024-01-01", BOTH, &[early, censoring, drop], Some("nobody is left to judge it on"));
        check("2024-01-01", "[\"temporal\"]", &[early], Some("Write a later followup_to"));
        check("2024-01-01", "[\"internal\"]", &[early], None);
        // Of two horizons only the one that is too long.
        let two =
            ("horizons_days          = [365]", "prevalence_public = [0.02, 0.06]\nhorizons_days = [90, 365]");
        let of_model = ("prevalence_public = 0.06", "");
        check("2024-01-01", BOTH, &[of_model, two, early], Some("self_harm.365d: nobody"));
    }
}
