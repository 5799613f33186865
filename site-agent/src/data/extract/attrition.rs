//! How many people came through each step, from everybody to those with the outcome.

use super::outcome::Found;
use super::plan::TaskPlan;
use consilium_common::study::bindings::InForce;
use consilium_common::study::records::{
    AtRisk, Criterion, PriorOutcome, RecordTable, RecordTask, Records, Rule, ShortFollowUp,
};

/// People for each step of the study, in order. Exact counts of patients: they stay at the site, and have no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Attrition(pub Vec<(String, u64)>);

/// Counts people by how far they came.
pub(super) struct Tally {
    /// Steps that came after the cohort's: time at risk, prior outcome, follow-up, outcome.
    of_cohort: usize,
    people: Vec<u64>,
}

const STEPS_OF_OUTCOME: usize = 4;
/// Everybody, entry event, accrual, prior observation.
const STEPS_BEFORE_RULES: usize = 4;

impl Tally {
    pub(super) fn new(task: &TaskPlan<'_>) -> Self {
        let of_cohort = STEPS_BEFORE_RULES - 1 + task.require.len() + task.exclude.len();
        Self { of_cohort, people: vec![0; of_cohort + STEPS_OF_OUTCOME + 1] }
    }

    /// Somebody who was not asked about.
    pub(super) fn note_cohort(&mut self, depth: usize) {
        self.people[depth] += 1;
    }

    /// Somebody who was.
    pub(super) fn note_outcome(&mut self, found: Found) {
        let further = match found {
            Found::NothingAtRisk => 0,
            Found::Before => 1,
            Found::Lost => 2,
            Found::Known(false) => 3,
            Found::Known(true) => 4,
        };
        self.people[self.of_cohort + further] += 1;
    }

    /// In words; steps that the study does not have are left out.
    pub(super) fn attrition(
        &self,
        name: &str,
        records: &Records,
        task: &RecordTask,
        horizon: Option<u32>,
    ) -> Attrition {
        let mut left: u64 = self.people.iter().sum();
        let mut steps = Vec::new();
        for (words, stopped) in words(name, records, task, horizon).into_iter().zip(&self.people) {
            if let Some(words) = words {
                steps.push((words, left));
            }
            left -= stopped;
        }
        Attrition(steps)
    }
}

fn words(name: &str, records: &Records, task: &RecordTask, horizon: Option<u32>) -> Vec<Option<String>> {
    let RecordTask { cohort, outcome } = task;
    let entry: Vec<String> = cohort.entry.iter().map(|one| criterion(records, *one)).collect();
    let observed = match cohort.prior_observation_days {
        0 => "observed on that day".to_owned(),
        days => format!("observed on that day and the {days} days before"),
    };
    let mut words = vec![
        "in table person".to_owned(),
        format!("with {}", entry.join(", or ")),
        format!("index from {} to {}", records.accrual.0, records.accrual.1),
        observed,
    ];
    words.extend(cohort.require.iter().map(|one| rule(records, one)));
    words.extend(cohort.exclude.iter().map(|one| format!("not: {}", rule(records, one))));
    let mut words: Vec<Option<String>> = words.into_iter().map(Some).collect();
    words.push((outcome.at_risk == AtRisk::Stay).then(|| "in a hospital stay that goes on".to_owned()));
    words.push((outcome.prior == PriorOutcome::Remove).then(|| "without the outcome before".to_owned()));
    let end = match horizon {
        // Of several horizons each has its own end.
        Some(days) if outcome.at_risk.horizons().len() > 1 => format!("day {days}"),
        _ => "the end".to_owned(),
    };
    words.push(Some(match outcome.short_follow_up {
        ShortFollowUp::Drop => format!("followed to {end}: an example"),
        ShortFollowUp::KeepIfOutcome | ShortFollowUp::Weighted(_) => {
            format!("followed to {end} or the outcome: an example")
        }
    }));
    words.push(Some(format!("with the outcome {name}")));
    words
}

fn criterion(records: &Records, criterion: Criterion) -> String {
    if let RecordTable::Stay(binding) = criterion.table {
        return format!("a stay of binding {}", records.binding(binding).name);
    }
    let table = criterion.table.name();
    criterion
        .set
        .map_or_else(|| format!("a {table}"), |set| format!("a {table} of {}", records.set(set).name))
}

fn rule(records: &Records, rule: &Rule) -> String {
    match rule {
        Rule::Age { min, max } => format!("aged {min} to {max}"),
        Rule::DiedBefore => "died before being asked about".to_owned(),
        Rule::Has { events, window, count_min } => {
            let times = if *count_min == 1 { String::new() } else { format!("{count_min} times ") };
            format!("{times}{}, {}", criterion(records, *events), window.words())
        }
        Rule::StillThere => "still there when asked about".to_owned(),
        Rule::SeenBy(binding) => {
            let binding = records.binding(*binding);
            let spared = if binding.in_force == InForce::Absent { " (left out here: everybody)" } else { "" };
            format!("seen by binding {} before{spared}", binding.name)
        }
        Rule::TransferWithin { days: 1 } => "a transfer within 1 day".to_owned(),
        Rule::TransferWithin { days } => format!("a transfer within {days} days"),
    }
}
