//! What somebody should look at before publishing a study.

use super::{Prediction, time};
use crate::study::Study;

/// Above this, "differential privacy" promises little.
const EPSILON_WEAK: f64 = 10.0;

pub(super) fn warnings(study: &Study, prediction: &Prediction) -> Vec<String> {
    let mut warnings = Vec::new();
    let worst = prediction.epsilon_training_account.max(prediction.epsilon_evaluation_account);
    if worst > EPSILON_WEAK {
        warnings.push(format!("epsilon {worst:.2} is above {EPSILON_WEAK}: the promise to a person is weak"));
    }
    for site in &prediction.sites {
        #[expect(clippy::cast_precision_loss, reason = "at most 10^9")]
        let tenth = 0.1 / site.people_public as f64;
        if study.privacy.delta > tenth {
            warnings.push(format!("delta is above 1/(10 x people) at {}", site.name));
        }
        if let Some(noise) = site.step_noise.filter(|noise| *noise > 10.0) {
            warnings.push(format!(
                "{}: the noise of a step is {noise:.0} times the largest signal; too few people a step, or too \
                 many steps",
                site.name
            ));
        }
    }
    if prediction.step_noise > 3.0 {
        warnings.push(format!(
            "all sites together: the noise of a step is {:.1} times the largest signal; little will be learnt",
            prediction.step_noise
        ));
    }
    warnings.extend(time::warnings(study));
    warnings.extend(falling_prevalence(study));
    for approval in &study.governance.approvals {
        if let Some(expires) = approval.expires
            && expires < study.governance.valid_until
        {
            let (kind, reference) = (&approval.kind, &approval.reference);
            warnings.push(format!("{kind} approval {reference} ends on {expires}, before the study does"));
        }
    }
    if !study.governance.approvals.iter().any(|approval| approval.kind == "ppi-panel") {
        warnings.push("no patients' and public panel (ppi-panel) among the approvals".to_owned());
    }
    warnings
}

/// Whoever has the outcome by one horizon has it by every later one.
fn falling_prevalence(study: &Study) -> Vec<String> {
    let predicted = study.predicted();
    let falls = predicted.windows(2).filter_map(|two| {
        let [earlier, later] = two else { return None };
        let (share, less) = earlier.prevalence_public.zip(later.prevalence_public)?;
        (earlier.task == later.task && less < share).then(|| {
            format!(
                "prevalence_public falls from {share} ({}) to {less} ({}), and whoever has the outcome by one horizon has it \
                 by the next: are the shares in the order of horizons_days?",
                earlier.name, later.name
            )
        })
    });
    falls.collect()
}

#[cfg(test)]
mod tests {
    use crate::study::check::predict_as_published;
    use crate::study::parse::records::tests::OF_RECORDS;
    use crate::study::parse::tests::parsed;

    #[test]
    fn a_prevalence_that_falls_with_its_horizon() {
        fn check(shares: &str, expected: Option<&str>) {
            let text = OF_RECORDS.replacen("prevalence_public = 0.06", "", 1);
            let horizons = format!("prevalence_public = {shares}\nhorizons_days = [30, 90, 365]");
            let text = text.replacen("horizons_days          = [365]", &horizons, 1);
            let warnings = predict_as_published(&parsed(&text)).warnings;
            let said: Vec<&String> =
                warnings.iter().filter(|said| said.contains("prevalence_public")).collect();
            match expected {
                None => assert_eq!(said, Vec::<&String>::new(), "{shares}"),
                Some(expected) => {
                    assert!(said.len() == 1 && said[0].contains(expected), "{shares}: {said:?}")
                }
            }
        }
        check("[0.01, 0.04, 0.06]", None);
        check("[0.04, 0.04, 0.04]", None);
        check("[0.01, 0.06, 0.04]", Some("falls from 0.06 (self_harm.90d) to 0.04 (self_harm.365d)"));
    }
}
