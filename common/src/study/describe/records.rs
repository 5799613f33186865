//! What a study on records reads, in plain words.

use super::super::records::{
    Anchor, AtRisk, ConceptRef, ConceptSet, Covariate, Criterion, DateOnly, Death, Limit, PersonField,
    PriorOutcome, Records, Rule, ShortFollowUp, Take, Window,
};
use super::super::{Encoding, Study};
use super::paragraph;

pub(super) fn write(out: &mut String, study: &Study, records: &Records) {
    for (title, text) in paragraphs(study, records) {
        paragraph(out, &format!("{title}: "), &text);
    }
}

fn paragraphs(study: &Study, records: &Records) -> Vec<(&'static str, String)> {
    let cohort = &records.cohort;
    let mut lines = vec![
        ("Who", entry(records)),
        (
            "When",
            format!(
                "from {} to {}; followed until {} at the latest",
                records.accrual.0, records.accrual.1, records.followup_to
            ),
        ),
    ];
    if cohort.prior_observation_days > 0 {
        lines.push(("Only", format!("people observed for {} days before", cohort.prior_observation_days)));
    }
    lines.extend(cohort.require.iter().map(|rule| ("Only", self::rule(records, rule))));
    lines.extend(cohort.exclude.iter().map(|rule| ("Not", self::rule(records, rule))));
    lines.push(("Outcome", outcome(study, records)));
    for (feature, covariate) in study.features.iter().zip(&records.covariates) {
        let mut line = format!("{}: {}", feature.name, self::covariate(records, covariate));
        line += &encoding(&feature.encoding, feature.unit.as_deref());
        lines.push(("Predictor", line));
    }
    for (attribute, fields) in study.attributes.iter().zip(&records.attributes) {
        let from: Vec<&str> = fields.iter().map(|field| column(*field)).collect();
        let labels = attribute.values.labels().join(", ");
        lines.push(("Subgroups by", format!("{} from {}: {labels}", attribute.name, from.join(" and "))));
    }
    lines.extend(records.sets.iter().map(|set| ("Concepts", concept_set(set))));
    lines.push((
        "Dates without a time",
        match records.date_only {
            DateOnly::Start => "stand for the start of their day".to_owned(),
            DateOnly::End => "stand for the end of their day".to_owned(),
        },
    ));
    lines.push(("Person", "person_id, which never leaves; one example a person".to_owned()));
    lines
}

fn entry(records: &Records) -> String {
    let cohort = &records.cohort;
    let which = match cohort.limit {
        Limit::FirstEver => "the first ever",
        Limit::FirstInAccrual => "the first in the study's time",
    };
    let at = match cohort.index {
        Anchor::Start => "start",
        Anchor::End => "end",
    };
    let after = match cohort.predict_after_hours {
        0 => String::new(),
        hours => format!(", asked about {hours} hours later"),
    };
    format!("{which} of: {}; index at its {at}{after}", any_of(records, &cohort.entry))
}

fn any_of(records: &Records, events: &[Criterion]) -> String {
    events.iter().map(|one| criterion(records, *one)).collect::<Vec<_>>().join(", or ")
}

fn criterion(records: &Records, criterion: Criterion) -> String {
    let table = criterion.table.name();
    criterion
        .set
        .map_or_else(|| format!("any {table}"), |set| format!("{table} of {}", records.set(set).name))
}

fn rule(records: &Records, rule: &Rule) -> String {
    match rule {
        Rule::Age { min, max } => format!("people aged {min} to {max}"),
        Rule::DiedBefore => "people who died before they are asked about".to_owned(),
        Rule::Has { events, window, count_min } => {
            let times = if *count_min == 1 { String::new() } else { format!("at least {count_min} times ") };
            format!("people with {times}{} in {}", criterion(records, *events), words(window))
        }
        Rule::StillThere => "people still there when they are asked about".to_owned(),
    }
}

fn words(window: &Window) -> String {
    format!("{} beside the index", window.words())
}

/// In plain words: what counts as the outcome, when, and for whom.
#[must_use]
pub fn outcome(study: &Study, records: &Records) -> String {
    let outcome = &records.outcome;
    let when = match outcome.at_risk {
        AtRisk::Days { from, to } => format!("{from} to {to} days after"),
        AtRisk::Stay => "until the end of the hospital stay".to_owned(),
    };
    let prior = match outcome.prior {
        PriorOutcome::Keep => "people who had it before are kept",
        PriorOutcome::Remove => "people who had it before are left out",
    };
    let short = match outcome.short_follow_up {
        ShortFollowUp::Drop => "who is not observed for so long is left out",
        ShortFollowUp::KeepIfOutcome => "who is not observed for so long is kept only with the outcome",
    };
    let death = match outcome.death {
        Death::Competing => "a death before it means that it did not happen",
        Death::Censoring => "a death before it ends the observation",
    };
    let any = any_of(records, &outcome.any_of);
    format!("{}: {any}, {when}; {prior}; {short}; {death}", study.task.name)
}

/// In plain words, as `measurement of pulse, the largest in 0 to 24 hours beside the index`.
#[must_use]
pub fn covariate(records: &Records, covariate: &Covariate) -> String {
    match covariate {
        Covariate::Age => "age in whole years".to_owned(),
        Covariate::Sex { .. } => column(PersonField::Gender).to_owned(),
        Covariate::Present { events, window } => {
            format!("any {} in {}", criterion(records, *events), words(window))
        }
        Covariate::Count { events, window } => {
            format!("how many of {} in {}", criterion(records, *events), words(window))
        }
        Covariate::Measured { events, window, take, units, unit_missing, plausible } => {
            let take = match take {
                Take::Last => "the latest",
                Take::First => "the first",
                Take::Min => "the smallest",
                Take::Max => "the largest",
                Take::Mean => "the mean",
                Take::Worst => "the farthest from normal",
            };
            let unit = if *unit_missing { ", also without a unit" } else { "" };
            let plausible =
                plausible.map_or(String::new(), |(low, high)| format!(", from {low} to {high} only"));
            let units = units.join(" or ");
            format!(
                "{}, {take} in {}, in {units}{unit}{plausible}",
                criterion(records, *events),
                words(window)
            )
        }
    }
}

fn encoding(encoding: &Encoding, unit: Option<&str>) -> String {
    let unit = unit.map_or(String::new(), |unit| format!(" {unit}"));
    match encoding {
        Encoding::Number { low, high } => format!("; a number from {low} to {high}{unit}"),
        Encoding::Category { levels } => format!("; one of {}", levels.join(", ")),
        Encoding::Flag => "; yes or no".to_owned(),
        Encoding::Count { cap } => format!("; at most {cap}"),
        Encoding::Distance { normal: (low, high), .. } => {
            format!("; how far it lies outside {low} to {high}{unit}")
        }
    }
}

const fn column(field: PersonField) -> &'static str {
    match field {
        PersonField::Gender => "person.gender_concept_id",
        PersonField::Race => "person.race_concept_id",
        PersonField::Ethnicity => "person.ethnicity_concept_id",
        PersonField::YearOfBirth => "person.year_of_birth",
    }
}

fn concept_set(set: &ConceptSet) -> String {
    let members = |members: &[super::super::records::Member]| {
        let member = |member: &super::super::records::Member| {
            let below = if member.descendants { " and all below" } else { "" };
            match &member.concept {
                ConceptRef::Id { id, name } => format!("{name} ({id}){below}"),
                ConceptRef::Code { vocabulary, code } => format!("{vocabulary}:{code}{below}"),
            }
        };
        members.iter().map(member).collect::<Vec<_>>().join(", ")
    };
    let mut line = format!("{}: {}", set.name, members(&set.include));
    if !set.exclude.is_empty() {
        line += &format!("; without {}", members(&set.exclude));
    }
    if let Some(source) = &set.source {
        line += &format!("; from {source}");
    }
    line
}
