//! An audit of the mechanism beside what it claims: what the project's `mechanism_audit` measured on
//! made-up people with the same program.

use super::ReportData;
use super::figures::trimmed;
use super::number::listed;
use consilium_common::privacy::accountant;
use consilium_common::privacy::mechanism::Event;
use consilium_common::report::figures::{epsilon_short, grouped};
use consilium_common::report::html::{Html, fill};
use serde::Deserialize;

/// The largest document, bytes.
pub const BYTES_MAX: usize = 1024 * 1024;
/// Below it a finding is an alarm; as in the audit.
const ALARM: f64 = 1e-4;
/// The claim may come from an accountant that is a little tighter or looser than ours, never from none.
const CLAIM_FACTOR: f64 = 1.25;

/// What an audit wrote, checked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// `audit/1`.
    pub schema: String,
    /// The program that was audited, as `site-agent 0.1.0`.
    pub software: String,
    /// What was run.
    pub event: Event,
    /// The δ of both figures.
    pub delta: f64,
    /// By the accountant, for `event`.
    pub epsilon_claimed: f64,
    /// What the outputs of one run prove that ε is at least.
    pub epsilon_lower_bound: f64,
    /// People put in, or not, by a fair coin.
    pub canaries: u64,
    /// Every statistic.
    pub findings: Vec<AuditFinding>,
    /// Variants that were broken on purpose.
    pub mutants: Vec<AuditMutant>,
}

/// One statistic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditFinding {
    /// What was measured.
    pub name: String,
    /// Measured; none where it has no bound.
    pub measured: Option<f64>,
    /// As claimed.
    pub claimed: f64,
    /// p value; none where it is no number, which is an alarm.
    pub p: Option<f64>,
}

/// One broken variant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditMutant {
    /// As `no_noise`.
    pub name: String,
    /// Statistics that alarmed.
    pub caught_by: Vec<String>,
}

impl Audit {
    /// Reads an audit's document. The claim is priced again: a document cannot claim what it likes.
    ///
    /// # Errors
    /// Not such a document, or a claim that is not what the event costs.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > BYTES_MAX {
            return Err(format!("expected at most {BYTES_MAX} bytes"));
        }
        let audit: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if audit.schema != "audit/1" {
            return Err(format!("expected schema audit/1, came {:?}", audit.schema));
        }
        if !(audit.delta > 0.0 && audit.delta < 1.0) {
            return Err(format!("delta: expected a number between 0 and 1, came {}", audit.delta));
        }
        let priced = accountant::epsilon(&[audit.event], audit.delta).map_err(|e| e.to_string())?;
        let ratio = audit.epsilon_claimed / priced;
        if !(1.0 / CLAIM_FACTOR..=CLAIM_FACTOR).contains(&ratio) {
            let claimed = audit.epsilon_claimed;
            return Err(format!("epsilon_claimed: the event costs {priced:.4}, the document says {claimed}"));
        }
        if !(audit.epsilon_lower_bound >= 0.0 && audit.epsilon_lower_bound.is_finite()) {
            return Err("epsilon_lower_bound: expected a number from 0".into());
        }
        Ok(audit)
    }

    /// Statistics that say that the mechanism is not what it claims.
    fn alarms(&self) -> Vec<String> {
        let alarming = |f: &&AuditFinding| f.p.is_none_or(|p| p < ALARM);
        self.findings.iter().filter(alarming).map(|f| f.name.clone()).collect()
    }
}

/// Nothing where no audit was given.
pub(super) fn section(data: &ReportData) -> Html {
    let Some(audit) = &data.audit else { return Html::none() };
    let training = &data.study.privacy.training;
    let same = audit.event
        == Event::PoissonGaussian {
            sampling_rate: training.sampling_rate,
            noise_multiplier: training.noise_multiplier,
            count: u64::from(training.rounds) * u64::from(training.local_steps),
        };
    let numbers = if same {
        "this study’s own sampling rate, noise and number of steps".to_owned()
    } else {
        format!("other numbers than this study’s ({})", described(&audit.event))
    };
    let alarms = audit.alarms();
    let verdict = if alarms.is_empty() {
        "No statistic says that the mechanism is not what it claims.".to_owned()
    } else {
        format!("It raised an alarm: {}. Do not rely on ε in this report.", listed(&alarms))
    };
    let caught = audit.mutants.iter().filter(|mutant| !mutant.caught_by.is_empty()).count();
    let mutants = if audit.mutants.is_empty() {
        "Whether it would have found a broken mechanism was not tried in this run.".to_owned()
    } else {
        format!(
            "Of {} variants of the program that were broken on purpose, the same tests caught {caught}.",
            audit.mutants.len()
        )
    };
    fill(
        "<section id=\"audit\"><h2>Audit of the mechanism</h2>\
         <p>Apart from this study, {} was run on made-up people, {} of whom were put in or left out by a fair \
         coin, at {}. From what it released:</p>\
         <dl class=\"facts\"><dt>Claimed ε</dt><dd>{}</dd><dt>Measured lower bound of ε</dt><dd>{}</dd>\
         <dt>At δ</dt><dd>{}</dd></dl><p>{} {}</p>\
         <p class=\"quiet\">A lower bound far below the claim is what one run of a right mechanism gives; it is \
         no estimate of ε. The file came with the report, and is not part of what an auditor verifies.</p>\
         </section>",
        &[
            &audit.software,
            &grouped(audit.canaries as f64),
            &numbers,
            &epsilon_short(audit.epsilon_claimed),
            &format!("{:.2}", audit.epsilon_lower_bound),
            &format!("{:e}", audit.delta),
            &verdict,
            &mutants,
        ],
    )
}

fn described(event: &Event) -> String {
    match *event {
        Event::PoissonGaussian { sampling_rate, noise_multiplier, count } => {
            format!("q = {}, σ = {}, {count} steps", trimmed(sampling_rate), trimmed(noise_multiplier))
        }
        Event::Gaussian { noise_multiplier, count } => {
            format!("σ = {}, {count} times", trimmed(noise_multiplier))
        }
        Event::Laplace { scale, count } => format!("b = {}, {count} times", trimmed(scale)),
        Event::PoissonLaplace { sampling_rate, scale, count } => {
            format!("q = {}, b = {}, {count} steps", trimmed(sampling_rate), trimmed(scale))
        }
        Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, count } => format!(
            "{sites} sites, q = {}, σ = {}, {count} steps",
            trimmed(sampling_rate),
            trimmed(noise_multiplier)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{html, sample};

    const DOCUMENT: &str = r#"{"schema": "audit/1", "software": "site-agent 0.1.0",
        "event": {"mechanism": "poisson_gaussian", "sampling_rate": 0.1, "noise_multiplier": 2.0, "count": 100},
        "delta": 1e-5, "epsilon_claimed": 2.5867, "epsilon_lower_bound": 0.7359, "canaries": 1000,
        "findings": [{"name": "noise variance", "measured": 1.0, "claimed": 1.0, "p": 0.9}],
        "mutants": [{"name": "no_noise", "caught_by": ["noise variance"]}, {"name": "x", "caught_by": []}]}"#;

    fn changed(from: &str, to: &str) -> String {
        assert!(DOCUMENT.contains(from), "the case changes something: {from}");
        DOCUMENT.replacen(from, to, 1)
    }

    #[test]
    fn a_document_cannot_claim_what_it_likes() {
        let check = |from: &str, to: &str, expected: &str| {
            let refused = Audit::parse(changed(from, to).as_bytes()).expect_err(to);
            assert!(refused.contains(expected), "{refused}");
        };
        assert!(Audit::parse(DOCUMENT.as_bytes()).is_ok());
        check("audit/1", "audit/2", "schema");
        check("2.5867", "1.0", "epsilon_claimed");
        check("2.5867", "5.0", "epsilon_claimed");
        check("0.7359", "-1", "epsilon_lower_bound");
        check("1e-5", "0", "delta");
        check("1e-5", "1", "delta");
        check("0.1,", "1.5,", "");
        check("\"canaries\"", "\"people\"", "people");
    }

    #[test]
    fn the_report_shows_claim_and_bound_or_nothing() {
        let with = |document: &str| {
            let mut data = sample::report();
            data.audit = Some(Audit::parse(document.as_bytes()).expect("valid"));
            html(&data)
        };
        let shown = with(DOCUMENT);
        for text in
            ["<dd>2.59</dd>", "<dd>0.74</dd>", "q = 0.1, σ = 2, 100 steps", "caught 1.", "No statistic"]
        {
            assert!(shown.contains(text), "{text}");
        }
        let alarmed = with(&changed("\"p\": 0.9", "\"p\": 1e-9"));
        assert!(alarmed.contains("raised an alarm: noise variance"));
        assert!(with(&changed("\"p\": 0.9", "\"p\": null")).contains("raised an alarm"));
        assert!(!html(&sample::report()).contains("Audit of the mechanism"));
        let training = sample::report().study.privacy.training;
        let count = training.rounds * training.local_steps;
        let event = format!(
            "\"sampling_rate\": {}, \"noise_multiplier\": {:?}, \"count\": {count}",
            training.sampling_rate, training.noise_multiplier
        );
        let own = changed("\"sampling_rate\": 0.1, \"noise_multiplier\": 2.0, \"count\": 100", &event);
        let claimed = accountant::epsilon(
            &[Event::PoissonGaussian {
                sampling_rate: training.sampling_rate,
                noise_multiplier: training.noise_multiplier,
                count: count.into(),
            }],
            1e-5,
        );
        let own = own.replacen("2.5867", &claimed.expect("priced").to_string(), 1);
        assert!(with(&own).contains("this study’s own sampling rate"));
    }
}
