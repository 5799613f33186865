//! Words for the parts of a study on records.

use super::super::super::notes::{Language, NoteConcept, Notes, Said};
use super::super::super::records::{
    AtRisk, ConceptSet, Covariate, Criterion, Death, Followed, Member, Outcome, PersonField, PriorOutcome,
    RecordTable, RecordTask, Records, ShortFollowUp, Take, WINDOW_DAYS_MAX, Window,
};

/// As `condition psychosis or condition depression`.
pub(super) fn any_of(records: &Records, events: &[Criterion]) -> String {
    events.iter().map(|one| criterion(records, *one)).collect::<Vec<_>>().join(" or ")
}

/// As `condition psychosis`.
pub(super) fn criterion(records: &Records, criterion: Criterion) -> String {
    if let RecordTable::Stay(binding) = criterion.table {
        return format!("stay of binding {}", records.binding(binding).name);
    }
    let noun = noun(criterion.table);
    criterion.set.map_or_else(|| noun.to_owned(), |set| format!("{noun} {}", records.set(set).name))
}

pub(super) const fn noun(table: RecordTable) -> &'static str {
    match table {
        RecordTable::Visit => "visit",
        RecordTable::VisitDetail => "visit detail",
        RecordTable::Condition => "condition",
        RecordTable::Drug => "drug",
        RecordTable::Procedure => "procedure",
        RecordTable::Measurement => "measurement",
        RecordTable::Observation => "observation",
        RecordTable::Death => "death",
        RecordTable::Stay(_) => "stay",
    }
}

/// As `in the 30 days before the index and on its day`.
pub(super) fn window(window: &Window) -> String {
    match *window {
        Window::Days { from, to: 0 } if from <= -WINDOW_DAYS_MAX => {
            "ever before the index and on its day".to_owned()
        }
        Window::Days { from, to } if from <= -WINDOW_DAYS_MAX => {
            format!("ever until {} before the index", days(-to))
        }
        Window::Days { from: 0, to: 0 } => "on the day of the index".to_owned(),
        Window::Days { from, to: 0 } => format!("in the {} before the index and on its day", days(-from)),
        Window::Days { from, to } if from == to => format!("on the day {} before the index", days(-from)),
        Window::Days { from, to } => format!("from {} to {} before the index", -from, days(-to)),
        Window::Hours { from: 0, to: 0 } => "at the index".to_owned(),
        Window::Hours { from, to } if from == to && to > 0 => format!("{} after the index", hours(to)),
        Window::Hours { from, to } if from == to => format!("{} before the index", hours(-from)),
        Window::Hours { from, to: 0 } => format!("in the {} before the index", hours(-from)),
        Window::Hours { from: 0, to } if to > 0 => format!("from the index to {} after it", hours(to)),
        Window::Hours { from, to } if to < 0 => format!("from {} to {} before the index", -from, hours(-to)),
        Window::Hours { from, to } if from > 0 => format!("from {from} to {} after the index", hours(to)),
        Window::Hours { from, to } => {
            format!("from {} before to {} after the index", hours(-from), hours(to))
        }
    }
}

pub(super) fn days(number: i32) -> String {
    if number == 1 { "1 day".to_owned() } else { format!("{number} days") }
}

fn hours(number: i32) -> String {
    if number == 1 { "1 hour".to_owned() } else { format!("{number} hours") }
}

/// In plain words: what counts as the outcome of a task, when, and for whom.
#[must_use]
pub fn outcome(name: &str, records: &Records, task: &RecordTask) -> String {
    let outcome = &task.outcome;
    let when = match &outcome.at_risk {
        AtRisk::Days { from, to } => {
            let spans: Vec<String> = to.iter().map(|to| format!("from {from} to {to}")).collect();
            let each = if spans.len() > 1 { "each predicted for itself; " } else { "" };
            format!(
                "{} days after the day of the prediction ({each}what happens on that day is a predictor)",
                spans.join(" and ")
            )
        }
        AtRisk::Stay => "after the prediction, until the end of that hospital stay".to_owned(),
    };
    let prior = match outcome.prior {
        PriorOutcome::Keep => "people who had it before are asked about too",
        PriorOutcome::Remove => "people who had it before are left out",
    };
    let short = short_follow_up(outcome);
    let mut any = any_of(records, &outcome.any_of);
    if outcome.gap_days_min > 0 {
        any += &format!(
            " that starts at least {} after the day of the index,",
            days(outcome.gap_days_min.cast_signed())
        );
    }
    format!("{name}: any {any} {when}; {prior}; {short}")
}

/// What becomes of people who die or are lost.
fn short_follow_up(outcome: &Outcome) -> String {
    let who = match (outcome.is_death(), outcome.death) {
        // A death that is itself the outcome comes before none.
        (true, _) => "who is observed neither to the end of that time nor to a death in it is left out",
        (false, Death::Competing) => {
            "a death before it means that it did not happen; who is observed neither to the end of that time nor to their \
             death is left out"
        }
        (false, Death::Censoring) => {
            "a death before the end of that time ends the observation; who is not observed to the end of it is left out"
        }
    };
    match &outcome.short_follow_up {
        ShortFollowUp::Drop => format!("{who}, even if it happened before"),
        ShortFollowUp::KeepIfOutcome => format!("{who}, unless it happened before"),
        ShortFollowUp::Weighted(Followed { points }) => {
            let shares: Vec<String> = points
                .iter()
                .map(|(day, share)| format!("{} % on day {day}", (1000.0 * share).round() / 10.0))
                .collect();
            format!(
                "{who}, unless it happened before, and others count for them: as published, {} are still observed",
                shares.join(" and ")
            )
        }
    }
}

/// Of whom all is known though the end of the time at risk is not observed; none where nobody is such.
pub(in crate::study) fn known_though_lost(outcome: &Outcome) -> Option<&'static str> {
    let is_dropped = outcome.short_follow_up == ShortFollowUp::Drop;
    match (outcome.is_death(), outcome.death, is_dropped) {
        (true, _, true) => Some("those who died in it"),
        (false, Death::Competing, true) => Some("those who died"),
        (false, Death::Competing, false) => Some("those with the outcome or who died"),
        (false, Death::Censoring, true) => None,
        (true, _, false) | (false, Death::Censoring, false) => Some("those with the outcome"),
    }
}

/// In plain words, as `the largest of measurement pulse from the index to 24 hours after it, in /min`.
#[must_use]
pub fn covariate(records: &Records, covariate: &Covariate) -> String {
    match covariate {
        Covariate::Age => "age in whole years on the day of the index".to_owned(),
        Covariate::Sex { levels } => {
            let ids = |ids: &Vec<i64>| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(" or ");
            let levels: Vec<String> = levels.iter().map(ids).collect();
            format!(
                "{}, the levels being {} in that order",
                column(PersonField::Gender),
                levels.join(" and ")
            )
        }
        Covariate::Present { events, window } => {
            format!("any {} {}", criterion(records, *events), self::window(window))
        }
        Covariate::Count { events, window } => {
            format!("how many records of {} {}", criterion(records, *events), self::window(window))
        }
        Covariate::Measured { events, window, take, units, unit_missing, plausible } => {
            let unit = if *unit_missing { " or without a unit" } else { "" };
            let plausible =
                plausible.map_or(String::new(), |(low, high)| format!(", from {low} to {high} only"));
            format!(
                "{} of {} {}, in {}{unit}{plausible}",
                self::take(*take),
                criterion(records, *events),
                self::window(window),
                units.join(" or ")
            )
        }
        Covariate::Noted { concept, said, window } => {
            let said = match said {
                Said::Affirmed => "says that it is so now",
                Said::Denied => "denies it",
            };
            format!("{}: any note that {said} {}", records.noted(*concept), self::window(window))
        }
    }
}

/// The concepts that an input is made from; none of those about the person.
#[must_use]
pub fn concepts(records: &Records, covariate: &Covariate) -> Option<String> {
    match covariate {
        Covariate::Age | Covariate::Sex { .. } => None,
        Covariate::Present { events, .. }
        | Covariate::Count { events, .. }
        | Covariate::Measured { events, .. } => events.set.map(|set| concept_set(records.set(set))),
        Covariate::Noted { concept, .. } => match records.notes.as_ref()? {
            Notes::Nlp(sets) => Some(concept_set(records.set(sets[concept.0]))),
            Notes::Lexicon(_) => None,
        },
    }
}

/// The words that an input is made from, by language; none of those that no note is read for.
#[must_use]
pub fn terms(records: &Records, covariate: &Covariate) -> Option<String> {
    match (covariate, records.notes.as_ref()?) {
        (Covariate::Noted { concept, .. }, Notes::Lexicon(concepts)) => {
            Some(note_terms(&concepts[concept.0]))
        }
        _ => None,
    }
}

/// As `suicidal thoughts, suicidal ideation (en); Suizidgedanken (de)`.
pub(super) fn note_terms(concept: &NoteConcept) -> String {
    let of_language = |language: Language| {
        let words = concept.terms.iter().filter(|(of, _)| *of == language).map(|(_, term)| term.written());
        let words: Vec<&str> = words.collect();
        (!words.is_empty()).then(|| format!("{} ({})", words.join(", "), language.code()))
    };
    Language::ALL.into_iter().filter_map(of_language).collect::<Vec<_>>().join("; ")
}

pub(super) const fn take(take: Take) -> &'static str {
    match take {
        Take::Last => "the latest",
        Take::First => "the first",
        Take::Min => "the smallest",
        Take::Max => "the largest",
        Take::Mean => "the mean",
        Take::Worst => "the farthest from normal",
    }
}

/// As study files write it.
pub(super) fn field(records: &Records, field: PersonField) -> String {
    match field {
        PersonField::Binding(binding) => format!("binding {}", records.binding(binding).name),
        _ => column(field).to_owned(),
    }
}

pub(super) const fn column(field: PersonField) -> &'static str {
    match field {
        PersonField::Gender => "person.gender_concept_id",
        PersonField::Race => "person.race_concept_id",
        PersonField::Ethnicity => "person.ethnicity_concept_id",
        PersonField::YearOfBirth => "person.year_of_birth",
        PersonField::Binding(_) => "the site's answer to a binding",
    }
}

/// Whether a set is one concept under its own name: one that another table of the file holds.
pub(super) fn is_one_concept(set: &ConceptSet) -> bool {
    matches!(&set.include[..], [one] if one.concept.words() == set.name)
}

pub(super) fn concept_set(set: &ConceptSet) -> String {
    let members = |members: &[Member]| {
        let member = |member: &Member| {
            let below = if member.descendants { " and all below" } else { "" };
            format!("{}{below}", member.concept.words())
        };
        members.iter().map(member).collect::<Vec<_>>().join(", ")
    };
    let mut line = members(&set.include);
    if !set.exclude.is_empty() {
        line += &format!("; without {}", members(&set.exclude));
    }
    if let Some(source) = &set.source {
        line += &format!("; from {source}");
    }
    line
}
