//! A prediction for people.

use super::{CompletenessPrediction, GroupingPrediction, OutcomeShare, Prediction, SecurePrediction};
use crate::study::is_overall;
use std::fmt;

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delta, accountant, inputs, parameters, step_noise, .. } = self;
        writeln!(f, "What it costs a person (delta {delta:e}, by {accountant})")?;
        writeln!(f, "  training people    epsilon {:.3}", self.epsilon_training_account)?;
        writeln!(f, "  evaluation people  epsilon {:.3}", self.epsilon_evaluation_account)?;
        writeln!(
            f,
            "  known to two of the hospitals, at the worst mix of roles, epsilon {:.3}; to three, {:.3}",
            self.epsilon_two_hospitals, self.epsilon_three_hospitals
        )?;
        writeln!(
            f,
            "  a hospital's cap over studies counts by rdp: at least epsilon {:.3} must be left there",
            self.epsilon_rdp
        )?;
        writeln!(f, "Model: {inputs} inputs, {parameters} parameters")?;
        writeln!(f, "Noise of one averaged step: {step_noise:.2} of the largest possible signal")?;
        if let Some(SecurePrediction { sites, threshold, colluding, variance_ratio }) = &self.secure {
            writeln!(
                f,
                "Secure sums: {threshold} of {sites} sites must answer to the end of a step, {colluding} may side \
                 with the coordinator; the noise has {variance_ratio:.2} times the variance of one trusted place's"
            )?;
        }
        for site in &self.sites {
            let alone =
                site.step_noise.map_or_else(String::new, |noise| format!(", its noise alone {noise:.2}"));
            writeln!(
                f,
                "  {}: {} people published, about {:.0} train and {:.0} evaluate; {:.0} in a step{alone}",
                site.name, site.people_public, site.training_people, site.evaluation_people, site.step_people,
            )?;
        }
        if let Some(share) = self.held_out_share {
            writeln!(
                f,
                "Held out by time: if index days are spread evenly, {} in 100 examples; those of training people are \
                 not used, so that fewer train (as said above), and denominators stay as published",
                in_100(share)
            )?;
        }
        writeln!(f, "Groupings, if {} and groups are of equal size", outcomes(&self.outcome_shares))?;
        for grouping in &self.groupings {
            let GroupingPrediction { name, groups, noise_multiplier, .. } = grouping;
            let verdict = match (is_overall(name), grouping.too_few_people_to_say) {
                (true, _) if grouping.interval_says_nothing => {
                    "will not be shown: its interval would be all of 0 to 1"
                }
                (_, false) => "will be shown",
                (true, true) => "will be shown with a wide interval",
                (_, true) => "will read \"too few people to say\"",
            };
            writeln!(
                f,
                "  {name}: {groups} groups, noise {noise_multiplier} people a cell; standard error of AUROC about \
                 {:.3} from noise and {:.3} from people: {verdict}",
                grouping.error_of_noise, grouping.error_of_sampling
            )?;
        }
        for CompletenessPrediction { name, states, noise_multiplier, error_people } in &self.completeness {
            writeln!(
                f,
                "Only counted, as recorded or not: {name}, {states} counts, noise {noise_multiplier} people a count; standard \
                 error of a count over all sites about {error_people:.0} people"
            )?;
        }
        for warning in &self.warnings {
            writeln!(f, "Warning: {warning}")?;
        }
        Ok(())
    }
}

/// As `6`, `0.25` or `99.97`: nothing is rounded to none or to all.
fn in_100(share: f64) -> String {
    let text = format!("{:.2}", 100.0 * share);
    match text.trim_end_matches('0').trim_end_matches('.') {
        "0" => "less than 0.01".to_owned(),
        "100" => "more than 99.99".to_owned(),
        number => number.to_owned(),
    }
}

/// As `the outcome happens to 6 in 100, as the file says`; of several predictions each where they differ.
fn outcomes(shares: &[OutcomeShare]) -> String {
    let whence = |of: &OutcomeShare| if of.is_published { ", as the file says," } else { "" };
    let alike = |one: &OutcomeShare, other: &OutcomeShare| {
        one.share == other.share && one.is_published == other.is_published
    };
    match shares {
        [] => "nothing is predicted".to_owned(),
        [first, others @ ..] if others.iter().all(|other| alike(first, other)) => {
            let noun = if others.is_empty() { "the outcome happens" } else { "each outcome happens" };
            format!("{noun} to {} in 100{}", in_100(first.share), whence(first))
        }
        several => {
            let each = |of: &OutcomeShare| {
                let whence = if of.is_published { "" } else { ", a guess" };
                format!("{} ({}{whence})", in_100(of.share), of.prediction)
            };
            let published = several.iter().any(|of| of.is_published);
            format!(
                "outcomes happen to so many in 100{}: {},",
                if published { ", as the file says" } else { "" },
                several.iter().map(each).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::check::{predict, predict_as_published};
    use crate::study::parse::records::tests::OF_RECORDS;
    use crate::study::parse::tests::{EXAMPLE, parsed};

    #[test]
    fn shares_that_are_nearly_none_or_all() {
        fn check(share: f64, expected: &str) {
            assert_eq!(in_100(share), expected, "{share}");
        }
        check(0.06, "6");
        check(731.0 / 3653.0, "20.01");
        check(0.0025, "0.25");
        check(1e-6, "less than 0.01");
        check(3652.0 / 3653.0, "99.97");
        check(1.0 - 1e-6, "more than 99.99");
    }

    /// Each prediction by its own share, the file's where nobody asked for another.
    #[test]
    fn outcomes_are_as_often_as_the_file_says() {
        fn check(shares: &str, expected: &str) {
            let text = OF_RECORDS.replacen("prevalence_public = 0.06", "", 1);
            let horizons = format!("{shares}\nhorizons_days = [30, 365]");
            let text = text.replacen("horizons_days          = [365]", &horizons, 1);
            let said = predict_as_published(&parsed(&text)).to_string();
            assert!(said.contains(expected), "{expected:?} in\n{said}");
        }
        check(
            "prevalence_public = [0.02, 0.06]",
            "if outcomes happen to so many in 100, as the file says: 2 (self_harm.30d), 6 (self_harm.365d), and groups",
        );
        check(
            "prevalence_public = [0.06, 0.06]",
            "if each outcome happens to 6 in 100, as the file says, and groups",
        );
        check("", "if each outcome happens to 10 in 100 and groups");
        let study = parsed(EXAMPLE);
        let (own, asked) = (predict_as_published(&study), predict(&study, 0.2));
        assert!(
            own.to_string().contains("if the outcome happens to 6 in 100, as the file says, and groups are")
        );
        assert!(asked.to_string().contains("if the outcome happens to 20 in 100 and groups are"));
        assert!(own.groupings[0].error_of_noise > asked.groupings[0].error_of_noise);
    }

    /// What the report drops is not promised.
    #[test]
    fn a_figure_that_says_nothing_is_not_promised() {
        let study = parsed(EXAMPLE);
        for (share, expected) in
            [(0.2, "will be shown"), (0.0005, "will not be shown: its interval would be all of 0 to 1")]
        {
            let prediction = predict(&study, share);
            let said = prediction.to_string();
            let line = said.lines().find(|line| line.contains("overall: ")).expect("is there");
            assert!(line.ends_with(expected), "{line}");
            assert_eq!(prediction.groupings[0].interval_says_nothing, share < 0.01);
        }
    }
}
