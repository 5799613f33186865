//! An audit of the mechanism beside what it claims: what the project's `mechanism_audit` measured on
//! made-up people with the same program. A document of its own, which stands beside a bundle.

mod section;

pub use section::{Program, section};

use crate::privacy::accountant;
use crate::privacy::mechanism::Event;
use crate::study::Training;
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
    /// The δ of all three figures.
    pub delta: f64,
    /// By the audit's accountant, for `event`.
    pub epsilon_claimed: f64,
    /// By ours, for `event`: in no document, and an upper bound of ε.
    #[serde(skip)]
    pub epsilon_priced: f64,
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

/// Not such a document, or one that cannot be: what was expected and what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAudit(String);

impl Audit {
    /// Reads an audit's document. The claim is priced again: a document cannot claim what it likes.
    ///
    /// # Errors
    /// Not such a document, or a claim that is not what the event costs.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidAudit> {
        let refuse = |why: String| Err(InvalidAudit(why));
        if bytes.len() > BYTES_MAX {
            return refuse(format!("expected at most {BYTES_MAX} bytes"));
        }
        let mut audit: Self = serde_json::from_slice(bytes).map_err(|e| InvalidAudit(e.to_string()))?;
        if audit.schema != "audit/1" {
            return refuse(format!("expected schema audit/1, came {:?}", audit.schema));
        }
        if !(audit.delta > 0.0 && audit.delta < 1.0) {
            return refuse(format!("delta: expected a number between 0 and 1, came {}", audit.delta));
        }
        let priced = accountant::epsilon(&[audit.event], audit.delta);
        audit.epsilon_priced = priced.map_err(|e| InvalidAudit(format!("event: {e}")))?;
        let (claimed, priced) = (audit.epsilon_claimed, audit.epsilon_priced);
        if !(1.0 / CLAIM_FACTOR..=CLAIM_FACTOR).contains(&(claimed / priced)) {
            let why = format!("epsilon_claimed: the event costs {priced:.4}, the document says {claimed}");
            return refuse(why);
        }
        if !(audit.epsilon_lower_bound >= 0.0 && audit.epsilon_lower_bound.is_finite()) {
            return refuse("epsilon_lower_bound: expected a number from 0".into());
        }
        let odd = |finding: &&AuditFinding| finding.p.is_some_and(|p| !(0.0..=1.0).contains(&p));
        if let Some(AuditFinding { name, p, .. }) = audit.findings.iter().find(odd) {
            let p = p.unwrap_or_default();
            return refuse(format!("findings: the p of {name:?}: expected a number from 0 to 1, came {p}"));
        }
        Ok(audit)
    }

    /// What says that the mechanism is not what it claims: statistics by their name, or a lower bound that
    /// no mechanism of this price can have.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let alarming = |f: &&AuditFinding| f.p.is_none_or(|p| p < ALARM);
        let bound = self.epsilon_lower_bound > self.epsilon_priced.min(self.epsilon_claimed);
        let bound = bound.then(|| "a lower bound above the claimed ε".to_owned());
        self.findings.iter().filter(alarming).map(|f| f.name.clone()).chain(bound).collect()
    }

    /// Whether it was run with this training's own sampling rate, noise and number of steps.
    #[must_use]
    pub fn is_of(&self, training: &Training) -> bool {
        let count = u64::from(training.rounds) * u64::from(training.local_steps);
        let (sampling_rate, noise_multiplier) = (training.sampling_rate, training.noise_multiplier);
        self.event == Event::PoissonGaussian { sampling_rate, noise_multiplier, count }
    }

    /// The broken variants that no statistic caught, by name.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let missed = self.mutants.iter().filter(|mutant| mutant.caught_by.is_empty());
        missed.map(|mutant| mutant.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const DOCUMENT: &str = r#"{"schema": "audit/1", "software": "site-agent 0.1.0",
        "event": {"mechanism": "poisson_gaussian", "sampling_rate": 0.1, "noise_multiplier": 2.0, "count": 100},
        "delta": 1e-5, "epsilon_claimed": 2.5867, "epsilon_lower_bound": 0.7359, "canaries": 1000,
        "findings": [{"name": "noise variance", "measured": 1.0, "claimed": 1.0, "p": 0.9}],
        "mutants": [{"name": "no_noise", "caught_by": ["noise variance"]}, {"name": "x", "caught_by": []}]}"#;

    pub(super) fn changed(from: &str, to: &str) -> String {
        assert!(DOCUMENT.contains(from), "the case changes something: {from}");
        DOCUMENT.replacen(from, to, 1)
    }

    #[test]
    fn a_document_cannot_claim_what_it_likes() {
        let check = |from: &str, to: &str, expected: &str| {
            let refused = Audit::parse(changed(from, to).as_bytes()).expect_err(to);
            assert!(refused.to_string().contains(expected), "{refused}");
        };
        let audit = Audit::parse(DOCUMENT.as_bytes()).expect("valid");
        // As in the reference's table, by loss distributions.
        assert!((audit.epsilon_priced - 2.3374).abs() < 1e-3, "{}", audit.epsilon_priced);
        check("audit/1", "audit/2", "schema");
        check("2.5867", "1.0", "epsilon_claimed");
        check("2.5867", "5.0", "epsilon_claimed");
        check("\"epsilon_claimed\"", "\"epsilon_priced\": 2.3, \"epsilon_claimed\"", "epsilon_priced");
        check("0.7359", "-1", "epsilon_lower_bound");
        check("1e-5", "0", "delta");
        check("1e-5", "1", "delta");
        check("0.1,", "1.5,", "event: ");
        check("\"canaries\"", "\"people\"", "people");
        check("\"p\": 0.9", "\"p\": 1.5", "the p of \"noise variance\"");
        check("{", "", "expected");
        assert!(Audit::parse(&vec![b' '; BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn alarms() {
        let check = |document: &str, expected: &[&str]| {
            assert_eq!(Audit::parse(document.as_bytes()).expect("valid").alarms(), expected);
        };
        check(DOCUMENT, &[]);
        check(&changed("\"p\": 0.9", "\"p\": 1e-9"), &["noise variance"]);
        check(&changed("\"p\": 0.9", "\"p\": null"), &["noise variance"]);
        // Below the document's own claim, above what the event costs.
        check(&changed("0.7359", "2.4"), &["a lower bound above the claimed ε"]);
        check(&changed("0.7359", "2.3"), &[]);
    }

    #[test]
    fn missed() {
        assert_eq!(Audit::parse(DOCUMENT.as_bytes()).expect("valid").missed(), ["x"]);
    }
}
