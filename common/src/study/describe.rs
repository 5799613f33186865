//! A study in plain words: what `site-agent study show` prints before anybody approves, and `study
//! check` before anybody publishes. Intended use first.

mod records;

pub(super) use records::known_though_lost;
pub use records::{concepts, covariate, outcome, terms};

use super::earmarks::earmarks;
use super::{
    Data, Encoding, FeatureColumn, Mode, ModelFamily, OutcomeColumn, Predicted, SplitBy, Study, TableData,
    Validation,
};
use crate::privacy::mechanism::Event;
use std::fmt::{self, Write as _};

/// Longest line, characters.
const WIDTH: usize = 100;

/// The study in plain words, every line at most 100 characters where words allow.
///
/// # Panics
/// Only for a `Study` that [`super::parse()`] did not make.
#[must_use]
pub fn describe(study: &Study) -> String {
    let mut text = String::new();
    write(&mut text, study).expect("a String takes all text");
    text
}

fn write(out: &mut String, study: &Study) -> fmt::Result {
    let intended = &study.intended_use;
    heading(out, "Intended use");
    paragraph(out, "", &intended.statement);
    for user in &intended.users {
        paragraph(out, "For: ", user);
    }
    for prohibited in &intended.prohibited {
        paragraph(out, "Never for: ", prohibited);
    }
    paragraph(out, "Why: ", &intended.rationale);

    heading(out, &format!("{} ({} {}, {})", study.title, study.id, study.version, study.kind));
    paragraph(out, "File: ", &study.digest.to_string());
    paragraph(out, "", &study.governance.lay_summary);

    governance(out, study);
    data(out, study)?;
    privacy(out, study);
    Ok(())
}

fn governance(out: &mut String, study: &Study) {
    let governance = &study.governance;
    heading(out, "Who answers for it");
    paragraph(out, "Sponsor: ", &governance.sponsor);
    paragraph(out, "Purpose: ", &governance.permitted_purpose);
    paragraph(out, "Valid: ", &format!("{} to {} (UTC)", governance.valid_from, governance.valid_until));
    for approval in &governance.approvals {
        let until = approval.expires.map_or(String::new(), |day| format!(", until {day}"));
        paragraph(out, "Approval: ", &format!("{}, {}{until}", approval.kind, approval.reference));
        if let Some(changed) = &approval.changed {
            paragraph(out, "What it changed: ", changed);
        }
    }
    if !governance.opt_outs.is_empty() {
        let lists = format!(
            "whoever is on {} is left out from the next round on; what was published before stays",
            named(&governance.opt_outs)
        );
        paragraph(out, "Opt-outs: ", &lists);
    }
    heading(out, "Who takes part");
    for site in &study.sites {
        let weight = f64::from(site.weight) / 65_536.0;
        let line = format!("{}, {} people (published), weight {weight:.4}", site.name, site.people_public);
        paragraph(out, "", &line);
        paragraph(out, "    ", &site.key.to_string());
    }
}

/// `the list a`, or `one of the lists a, b and c`.
fn named(lists: &[String]) -> String {
    match lists {
        [] => "no list".to_owned(),
        [one] => format!("the list {one}"),
        [most @ .., last] => format!("one of the lists {} and {last}", most.join(", ")),
    }
}

fn data(out: &mut String, study: &Study) -> fmt::Result {
    heading(out, "What is read at the hospital");
    match &study.data {
        Data::Table(table) => columns(out, study, table)?,
        Data::Records(records) => records::write(out, study, records),
    }
    let model = match &study.model {
        ModelFamily::Logistic => "logistic regression".to_owned(),
        ModelFamily::Mlp { hidden } => format!("a neural network with hidden layers {hidden:?}"),
    };
    let architecture = study.architecture();
    let (inputs, parameters) = (architecture.inputs, architecture.parameters());
    paragraph(out, "Model: ", &format!("{model}; {inputs} inputs, {parameters} parameters{}", start(study)));
    Ok(())
}

/// Where the model starts, if not from nothing.
pub fn start(study: &Study) -> String {
    let predicted = study.predicted();
    let told = |predicted: &Predicted| {
        let risk = 100.0 * predicted.prevalence_public?;
        let of = if study.predicted().len() > 1 { format!(" of {}", predicted.name) } else { String::new() };
        Some(format!("a risk{of} of {risk:.2} %"))
    };
    let told: Vec<String> = predicted.iter().filter_map(told).collect();
    match &told[..] {
        [] => String::new(),
        [one] => format!("; it starts by telling everybody {one}, a published figure"),
        several => format!("; it starts by telling everybody {}, published figures", several.join(", ")),
    }
}

fn columns(out: &mut String, study: &Study, table: &TableData) -> fmt::Result {
    for (task, OutcomeColumn { column, positive, negative }) in study.tasks.iter().zip(&table.outcomes) {
        let outcome = format!(
            "{} in column {column}: {} means it happened, {} that it did not; other people are left out",
            task.name,
            positive.join(" or "),
            negative.join(" or ")
        );
        paragraph(out, "Outcome: ", &outcome);
    }
    paragraph(out, "Person: ", &format!("column {}, which never leaves", table.person_id));
    for (feature, FeatureColumn { column, missing_values }) in study.features.iter().zip(&table.features) {
        let mut line = format!("{} from column {column}: ", feature.name);
        match &feature.encoding {
            Encoding::Number { low, high } => write!(line, "a number from {low} to {high}")?,
            Encoding::Category { levels } => write!(line, "one of {}", levels.join(", "))?,
            Encoding::Flag | Encoding::Count { .. } | Encoding::Distance { .. } => {}
        }
        if let Some(unit) = &feature.unit {
            write!(line, " {unit}")?;
        }
        if !missing_values.is_empty() {
            write!(line, "; {} means not recorded", missing_values.join(" or "))?;
        }
        paragraph(out, "Predictor: ", &line);
    }
    for (attribute, column) in study.attributes.iter().zip(&table.attributes) {
        let labels = attribute.values.labels().join(", ");
        let label = if attribute.values.is_completeness_only() {
            "Only counted, as recorded or not: "
        } else {
            "Subgroups by: "
        };
        paragraph(out, label, &format!("{} from column {column}: {labels}", attribute.name));
    }
    Ok(())
}

fn privacy(out: &mut String, study: &Study) {
    let (privacy, training) = (&study.privacy, &study.privacy.training);
    heading(out, "What leaves the hospital, at most, and what it costs a person");
    paragraph(out, "Who sees what: ", &seen(study));
    let share = 100.0 * study.split.training_share;
    let roles = match &study.split.by {
        SplitBy::SiteHash => format!(
            "{share:.0} in 100 people train, the others evaluate, by the hospital's own secret key, the same in \
             every study: a person pays for one role"
        ),
        SplitBy::Column { column, .. } => format!(
            "about {share:.0} in 100 people train, the others evaluate, as column {column} says: everybody pays \
             for both"
        ),
    };
    paragraph(out, "Roles: ", &roles);
    if let Some(held_out) = held_out(study) {
        paragraph(out, "Held out by time: ", &held_out);
    }
    for earmark in earmarks(study) {
        let line = match earmark.event {
            Event::PoissonGaussian { sampling_rate, noise_multiplier, count } => {
                let who = if sampling_rate < 1.0 {
                    format!("each person is in a step with probability {sampling_rate}, in secret")
                } else {
                    "every training person is in every step".to_owned()
                };
                let (rounds, spare) = (training.rounds, training.spare_rounds);
                let steps = match study.privacy.mode {
                    Mode::Local => "noised steps",
                    Mode::Distributed { .. } => "secure sums",
                };
                format!(
                    "{count} {steps} (rounds: {rounds}, and {spare} more after a crash); {who}; noise \
                     {noise_multiplier} times one person's largest effect"
                )
            }
            Event::Gaussian { noise_multiplier, count } if study.is_completeness(&earmark.name) => format!(
                "noised counts of people by whether {} is recorded, once and {} more times after a crash; noise \
                 {noise_multiplier} people a count; nothing else is told of it",
                earmark.name,
                count - 1
            ),
            Event::Gaussian { noise_multiplier, count } => format!(
                "noised counts of scores and outcomes, once and {} more times after a crash; noise \
                 {noise_multiplier} people a count",
                count - 1
            ),
            Event::Laplace { scale, count } => format!("{count} times, Laplace noise of scale {scale}"),
            Event::PoissonLaplace { sampling_rate, scale, count } => format!(
                "{count} times, each person with probability {sampling_rate}, Laplace noise of scale {scale}"
            ),
            Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, count } => format!(
                "{count} noised steps at {sites} sites, each person with probability {sampling_rate} at each; \
                 noise {noise_multiplier} times one person's largest effect at one site"
            ),
        };
        paragraph(out, &format!("{}: ", earmark.name), &line);
    }
    let cost = format!(
        "epsilon at most {} in training, {} in evaluation, {} in all, at delta {:e}, by {}; a person is all of one \
         person's records at one hospital",
        privacy.epsilon_training,
        privacy.epsilon_evaluation,
        privacy.person_total_max,
        privacy.delta,
        privacy.accountant
    );
    paragraph(out, "Cost: ", &cost);
    let shown = format!(
        "nothing from fewer than {} hospitals, no group with a standard error above {}, no noised count below {}",
        study.disclosure.min_sites, study.subgroups.max_standard_error, study.disclosure.min_count
    );
    paragraph(out, "Shown: ", &shown);
}

/// What is not trained on, and what is done with it instead; none where nothing is held out by time.
#[must_use]
pub fn held_out(study: &Study) -> Option<String> {
    let from = study.split.holdout.as_ref()?.from;
    let (internal, temporal) = ("internal validation", "temporal validation");
    let evaluated = match study.split.validations() {
        [Validation::Internal] => {
            format!("evaluation people's before that day are evaluated ({internal}), later ones of nobody")
        }
        [Validation::Temporal] => {
            format!("evaluation people's from that day on are evaluated ({temporal}), earlier ones of nobody")
        }
        _ => format!(
            "evaluation people's before that day ({internal}) and from it on ({temporal}) are evaluated apart in \
             overall, and together in every other grouping"
        ),
    };
    Some(format!(
        "nobody's examples with an index on {from} or later are trained on; {evaluated}; what became of people who were \
         asked about before that day may lie after it"
    ))
}

/// What leaves, and who can read it.
fn seen(study: &Study) -> String {
    match study.privacy.mode {
        Mode::Local => {
            "each hospital adds noise of its own that suffices by itself; the coordinator sees each \
                        hospital's noised numbers, and nobody has to be trusted"
                .to_owned()
        }
        Mode::Distributed { colluding } => {
            let (threshold, sites) = (study.privacy.training.quorum, study.sites.len());
            format!(
                "each hospital adds a share of the noise, and masks that cancel only in the sum: the coordinator \
                 sees sums over at least {threshold} of the {sites} hospitals and nothing of one of them; the \
                 figures below hold against everybody as long as at most {colluding} of the hospitals (n_C) help \
                 the coordinator; where fewer than {threshold} (t) answer to the end, a step has no result; a \
                 person known to several hospitals is in one sum several times and pays more than these figures"
            )
        }
    }
}

fn heading(out: &mut String, text: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&printable(text));
    out.push('\n');
}

/// Indented, wrapped at spaces; continued lines stand two further in.
fn paragraph(out: &mut String, label: &str, text: &str) {
    let mut line = format!("  {label}");
    let mut empty = true;
    for word in printable(text).split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            "    ".clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(&line);
    out.push('\n');
}

/// A study's author must not steer the approver's terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Holdout;
    use crate::study::check::secure::tests::DISTRIBUTED;
    use crate::study::parse::tests::{EXAMPLE, parsed};

    #[test]
    fn intended_use_comes_first_and_everything_else_follows() {
        let study = parsed(EXAMPLE);
        let text = describe(&study);
        assert!(text.starts_with("Intended use\n"), "{text}");
        for expected in [
            study.intended_use.statement.as_str(),
            "Never for: ",
            "What it changed: ",
            study.governance.sponsor.as_str(),
            &study.digest.to_string(),
            &study.sites[0].key.to_string(),
            "0 means not recorded",
            "training: ",
            "sex*age_band: ",
            "epsilon at most 3",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn opt_outs_are_said() {
        let mut study = parsed(EXAMPLE);
        assert!(!describe(&study).contains("Opt-outs"));
        for (lists, expected) in [
            (&["a"][..], "whoever is on the list a is"),
            (&["a", "b", "c"], "one of the lists a, b and c is"),
        ] {
            study.governance.opt_outs = lists.iter().map(ToString::to_string).collect();
            let words = describe(&study).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(expected), "{expected:?} in\n{words}");
        }
    }

    #[test]
    fn the_mode_is_said_in_words() {
        for (text, expected) in [
            (EXAMPLE, "the coordinator sees each hospital's noised numbers, and nobody has to be trusted"),
            (
                &DISTRIBUTED,
                "the coordinator sees sums over at least 3 of the 3 hospitals and nothing of one of them",
            ),
            (&DISTRIBUTED, "at most 1 of the hospitals (n_C) help the coordinator"),
            (&DISTRIBUTED, "secure sums (rounds: 20, and 2 more after a crash)"),
        ] {
            let words = describe(&parsed(text)).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(expected), "{expected:?} in\n{words}");
        }
    }

    #[test]
    fn what_is_held_out_is_said() {
        let mut study = parsed(EXAMPLE);
        assert!(!describe(&study).contains("Held out"));
        for (reported, expected) in [
            (&Validation::ALL[..], "are evaluated apart in overall, and together in every other grouping;"),
            (&[Validation::Internal], "later ones of nobody; what became"),
            (&[Validation::Temporal], "earlier ones of nobody; what became"),
        ] {
            let from = jiff::civil::date(2023, 1, 1);
            study.split.holdout = Some(Holdout { from, reported: reported.to_vec() });
            let text = describe(&study);
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("an index on 2023-01-01 or later are trained on;"), "{words}");
            assert!(words.contains(expected), "{expected:?} in\n{words}");
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        }
    }

    #[test]
    fn control_characters_are_not_printed() {
        let mut study = parsed(EXAMPLE);
        study.title = "good\u{1b}[2Jbye".to_owned();
        study.intended_use.statement = "a\u{1b}[31mb\rc".to_owned();
        let text = describe(&study);
        assert!(!text.contains('\u{1b}') && !text.contains('\r'));
    }
}
