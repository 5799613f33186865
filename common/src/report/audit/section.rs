//! The section of either report.

use super::Audit;
use crate::ledger::bundle::SiteReport;
use crate::privacy::mechanism::Event;
use crate::report::figures::{epsilon_short, grouped, listed, trimmed};
use crate::report::html::{Html, fill, text};
use crate::study::{Mode, Study};

/// The program that a site's ledger says it was begun by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Whose ledger.
    pub site: String,
    /// As `site-agent 0.1.0`; none where the ledger does not say.
    pub software: Option<String>,
}

impl Program {
    /// Of a site whose ledger was replayed.
    #[must_use]
    pub fn of(site: &SiteReport) -> Self {
        Self { site: site.name.to_string(), software: site.history.software.clone() }
    }
}

/// Claimed ε beside the measured lower bound; whether that is about this study, and its program.
#[must_use]
pub fn section(audit: &Audit, study: &Study, programs: &[Program]) -> Html {
    let alarms = audit.alarms();
    let verdict = if alarms.is_empty() {
        Html::raw("<p>No statistic says that the mechanism is not what it claims.</p>")
    } else {
        fill(
            "<p class=\"warning\"><strong>It raised an alarm</strong>: {}. Do not rely on ε on this page.</p>",
            &[&listed(&alarms)],
        )
    };
    fill(
        "<section id=\"audit\"><h2>Audit of the mechanism</h2>\
         <p>Apart from this study, a program was run on made-up people, {} of whom were put in or left out by a \
         fair coin. From what it released:</p>\
         <dl class=\"facts\"><dt>Claimed ε</dt><dd>{}</dd><dt>Measured lower bound of ε</dt><dd>{}</dd>\
         <dt>The claim, priced again here</dt><dd>{}</dd><dt>All at δ</dt><dd>{}</dd>\
         <dt>Run with</dt><dd>{}</dd><dt>Program</dt><dd>{}</dd><dt>Would it find a mistake?</dt><dd>{}</dd></dl>{}\
         <p class=\"quiet\">A lower bound far below the claim is what one run of a right mechanism gives; it is \
         no estimate of ε. The file came beside the study’s records and is signed by nobody: of it, only the claim \
         is checked.</p></section>",
        &[
            &grouped(audit.canaries as f64),
            &epsilon_short(audit.epsilon_claimed),
            &format!("{:.2}", audit.epsilon_lower_bound),
            &epsilon_short(audit.epsilon_priced),
            &format!("{:e}", audit.delta),
            &numbers(audit, study),
            &program(audit, programs),
            &mutants(audit),
            &verdict,
        ],
    )
}

fn numbers(audit: &Audit, study: &Study) -> String {
    let run = described(&audit.event);
    let same = if audit.is_of(&study.privacy.training) {
        format!("this study’s own sampling rate, noise and number of steps ({run})")
    } else {
        format!("other numbers than this study’s ({run})")
    };
    match study.privacy.mode {
        Mode::Local => same,
        Mode::Distributed { .. } => format!(
            "{same}; in local mode, where one hospital adds the whole noise: shares of it, as in this study, were \
             not measured"
        ),
    }
}

/// The audit's program against those that began the study's ledgers.
fn program(audit: &Audit, programs: &[Program]) -> Html {
    let others = programs.iter().filter(|program| program.software.as_ref() != Some(&audit.software));
    let others: Vec<String> = others
        .map(|Program { site, software }| match software {
            Some(software) => format!("{site}’s by {software}"),
            None => format!("{site}’s does not say by which"),
        })
        .collect();
    let ledgers = match (programs.is_empty(), others.is_empty()) {
        (true, _) => text("which programs the hospitals ran is not known here"),
        (false, true) => text("the same that every hospital’s ledger says it was begun by"),
        (false, false) => {
            fill("<strong>not the same everywhere</strong>: of the ledgers, {}", &[&listed(&others)])
        }
    };
    fill("{}; {}", &[&audit.software, &ledgers])
}

fn mutants(audit: &Audit) -> String {
    let (all, missed) = (audit.mutants.len(), audit.missed());
    let caught = all - missed.len();
    match (all, missed.is_empty()) {
        (0, _) => "not tried in this run".to_owned(),
        (_, true) => format!("of {all} variants that were broken on purpose, the same tests caught all"),
        (_, false) => format!(
            "of {all} variants that were broken on purpose, the same tests caught {caught}; not {}",
            listed(&missed)
        ),
    }
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
    use super::super::tests::{DOCUMENT, changed};
    use super::*;

    fn study() -> Study {
        let text = include_str!("../../study/testdata/example.toml");
        crate::study::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn shown(document: &str, study: &Study, programs: &[(&str, Option<&str>)]) -> String {
        let audit = Audit::parse(document.as_bytes()).expect("valid");
        let program = |(site, software): &(&str, Option<&str>)| Program {
            site: (*site).to_owned(),
            software: software.map(str::to_owned),
        };
        section(&audit, study, &programs.iter().map(program).collect::<Vec<_>>()).into_string()
    }

    #[test]
    fn claim_and_bound_side_by_side() {
        let study = study();
        let check = |document: &str, programs: &[(&str, Option<&str>)], expected: &[&str]| {
            let page = shown(document, &study, programs);
            expected.iter().for_each(|part| assert!(page.contains(part), "{part} is not in {page}"));
        };
        let same = ("ashford", Some("site-agent 0.1.0"));
        check(
            DOCUMENT,
            &[same],
            &[
                "<dd>2.59</dd>",
                "<dd>0.74</dd>",
                "<dd>2.34</dd>",
                "other numbers than this study’s (q = 0.1, σ = 2, 100 steps)",
                "the same that every hospital’s ledger",
                "of 2 variants that were broken on purpose, the same tests caught 1; not x",
                "<p>No statistic",
            ],
        );
        let others = [same, ("b<c", Some("site-agent 0.2.0")), ("corby", None)];
        check(
            DOCUMENT,
            &others,
            &["not the same everywhere", "b&lt;c’s by site-agent 0.2.0 and corby’s does not say"],
        );
        check(DOCUMENT, &[], &["is not known here"]);
        check(
            &changed(", {\"name\": \"x\", \"caught_by\": []}", ""),
            &[same],
            &["the same tests caught all"],
        );
        check(&changed("\"p\": 0.9", "\"p\": 1e-9"), &[same], &["raised an alarm</strong>: noise variance."]);
    }

    #[test]
    fn with_the_studys_own_numbers_or_its_own_mode() {
        let study = study();
        let training = &study.privacy.training;
        let count = u64::from(training.rounds) * u64::from(training.local_steps);
        let (sampling_rate, noise_multiplier) = (training.sampling_rate, training.noise_multiplier);
        let event = Event::PoissonGaussian { sampling_rate, noise_multiplier, count };
        let claimed = crate::privacy::accountant::epsilon(&[event], 1e-5).expect("priced");
        let numbers = format!(
            "\"sampling_rate\": {sampling_rate:?}, \"noise_multiplier\": {noise_multiplier:?}, \"count\": {count}"
        );
        let own = changed("\"sampling_rate\": 0.1, \"noise_multiplier\": 2.0, \"count\": 100", &numbers)
            .replacen("2.5867", &claimed.to_string(), 1)
            .replacen("0.7359", "0", 1);
        let page = shown(&own, &study, &[]);
        assert!(page.contains("this study’s own sampling rate") && !page.contains("local mode"), "{page}");
        let mut distributed = study.clone();
        distributed.privacy.mode = Mode::Distributed { colluding: 1 };
        let page = shown(&own, &distributed, &[]);
        assert!(page.contains("shares of it, as in this study, were not measured"), "{page}");
        let mut longer = study;
        longer.privacy.training.rounds += 1;
        assert!(shown(&own, &longer, &[]).contains("other numbers than"));
    }
}
