//! `budget` and `ledger export`.

use super::output::{Output, table};
use crate::failure::Failure;
use crate::files::{self, FileError};
use crate::home::Home;
use crate::ledger_view::LedgerView;
use crate::policy::epsilon;
use consilium_common::ledger::entry::Role;
use consilium_common::ledger::rules::{State, StudyRecord};
use consilium_common::privacy::accountant::{Accountant, epsilon_by};
use consilium_common::privacy::mechanism::Event;
use consilium_common::time::Time;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn budget(home: &Home, now: Time, output: &Output) -> Result<(), Failure> {
    let (human, json) = spent_and_left(&LedgerView::read(home)?.state, now);
    output.result(&human, &json)
}

/// For people, and for programs.
fn spent_and_left(state: &State, now: Time) -> (String, Value) {
    let caps = state.caps();
    let mut known: Vec<(Vec<Event>, f64)> = Vec::new();
    // Studies of one kind have the same lists: each is priced once.
    let mut alone = |events: Vec<Event>| match known.iter().find(|(list, _)| *list == events) {
        Some((_, epsilon)) => *epsilon,
        None => {
            let priced = epsilon(&events, caps.delta);
            known.push((events, priced));
            priced
        }
    };
    let mut of_study =
        |record: &StudyRecord, role| (alone(record.burnt_events(role)), alone(record.charged_events(role)));
    let mut rows = Vec::new();
    let mut studies = Vec::new();
    for (digest, record) in state.studies() {
        let [training, evaluation] = Role::ALL.map(|role| of_study(record, role));
        let condition = record.closed.as_deref().unwrap_or("open");
        let figures = [training.0, training.1, evaluation.0, evaluation.1];
        let mut row = vec![record.study_id.to_string(), condition.to_owned()];
        row.extend(figures.map(|figure| format!("{figure:.3}")));
        rows.push(row);
        studies.push(json!({
            "study": digest,
            "id": record.study_id,
            "state": condition,
            "training": { "spent": training.0, "charged": training.1 },
            "evaluation": { "spent": evaluation.0, "charged": evaluation.1 },
        }));
    }
    // Over studies by RDP, since they were chosen one after the other; charged at the order that was fixed before the
    // first: what the cap is compared with.
    let total = |role| {
        let spent = epsilon_by(Accountant::Rdp, &state.burnt(role), caps.delta);
        (spent.unwrap_or(f64::INFINITY), state.filter(role).counted())
    };
    let [training, evaluation] = Role::ALL.map(total);
    let person_max = training.1.max(evaluation.1);
    let left = (caps.epsilon_total - person_max).max(0.0);
    // Most of a small total is the constant that turns Rényi loss into ε: equal studies take equal shares.
    let share_left = Role::ALL.map(|role| state.filter(role).share_left()).into_iter().fold(1.0, f64::min);
    let mut row = vec!["all studies".to_owned(), String::new()];
    row.extend([training.0, training.1, evaluation.0, evaluation.1].map(|figure| format!("{figure:.3}")));
    rows.push(row);
    let headers = [
        "study",
        "state",
        "training: spent",
        "training: charged",
        "evaluation: spent",
        "evaluation: charged",
    ];
    let year = now.day().year();
    let in_year = caps.epsilon_per_year.map(|cap| {
        let counted =
            Role::ALL.map(|role| state.year_filter(year, role).counted()).into_iter().fold(0.0, f64::max);
        (counted, cap)
    });
    let year_line = in_year.map_or_else(String::new, |(counted, cap)| {
        format!("\ncharged to anyone by studies opened in {year}: at most epsilon {counted:.3} of the year's cap of {cap}")
    });
    let totals = totals(person_max, caps.epsilon_total, left, share_left);
    let human = format!("{}\n\n{}\n{totals}{year_line}", table(&headers, &rows), columns(caps.delta));
    let json = json!({
        "delta": caps.delta,
        // Of each study's figures; those over all studies and the year are by the other.
        "accountant": Accountant::CHARGED.name(),
        "accountant_total": Accountant::Rdp.name(),
        "epsilon_total_cap": caps.epsilon_total,
        "epsilon_per_study_cap": caps.epsilon_per_study,
        "epsilon_per_year_cap": caps.epsilon_per_year,
        "year": { "year": year, "charged": in_year.map(|(counted, _)| counted) },
        "training": { "spent": training.0, "charged": training.1 },
        "evaluation": { "spent": evaluation.0, "charged": evaluation.1 },
        "epsilon_person_max": person_max,
        "left": left,
        "share_left": share_left,
        "studies": studies,
    });
    (human, json)
}

/// What the columns hold.
fn columns(delta: f64) -> String {
    format!(
        "spent: the epsilon of what was released or reserved so far; charged: what the caps count, which is all that an open \
         study may still use.\nOf one person at delta {delta:e}, who either trains or evaluates; of each study by PLD, of \
         all studies by RDP, which is some per cent more (at the order that was fixed before the first study)."
    )
}

/// What is left, and of what.
fn totals(person_max: f64, cap: f64, left: f64, share_left: f64) -> String {
    format!(
        "charged to the person who paid most: epsilon {person_max:.3} of the cap of {cap} over all studies \
         (epsilon_total in site-policy.toml)\nleft of that cap:  epsilon {left:.3} for all further studies together\n\
         share of it left:  {:.1} % of the privacy loss that the cap allows. Epsilon does not add up from study to study, this \
         share does: equal studies take equal shares of it, so it says how many more of one kind fit.",
        100.0 * share_left
    )
}

pub(super) fn export_ledger(home: &Home, out: &Path, output: &Output) -> Result<(), Failure> {
    if out.exists() {
        return Err(Failure::input(format!("{}: expected a folder that does not exist yet", out.display())));
    }
    let view = LedgerView::read(home)?;
    let files = view.files();
    for (path, bytes) in &files {
        let path = out.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(FileError::io(folder))?;
        }
        files::write(&path, bytes)?;
    }
    let human = format!("{} entries in {} files under {}", view.state.size(), files.len(), out.display());
    output.result(&human, &json!({ "entries": view.state.size(), "files": files.len(), "out": out }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Ledger, now, policy};

    #[test]
    fn left_says_of_what_and_programs_find_their_keys() {
        let (said, json) = spent_and_left(&Ledger::new(policy(&[]).caps).0, now());
        let cap = json["epsilon_total_cap"].as_f64().expect("a cap");
        assert_eq!((json["left"].as_f64(), json["share_left"].as_f64()), (Some(cap), Some(1.0)));
        for part in [
            "spent: the epsilon of what was released",
            "charged: what the caps count",
            &format!("of the cap of {cap} over all studies (epsilon_total in site-policy.toml)"),
            &format!("left of that cap:  epsilon {cap:.3} for all further studies"),
            "share of it left:  100.0 % of the privacy loss that the cap allows",
        ] {
            assert!(said.contains(part), "{said:?} has no {part:?}");
        }
        let mut keys: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        let expected = [
            "accountant",
            "accountant_total",
            "delta",
            "epsilon_per_study_cap",
            "epsilon_per_year_cap",
            "epsilon_person_max",
            "epsilon_total_cap",
            "evaluation",
            "left",
            "share_left",
            "studies",
            "training",
            "year",
        ];
        assert_eq!(keys, expected);
    }
}
