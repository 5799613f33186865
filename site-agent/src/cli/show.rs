//! `budget` and `ledger export`.

use super::output::{Output, table};
use crate::failure::Failure;
use crate::files::{self, FileError};
use crate::home::Home;
use crate::ledger_view::LedgerView;
use crate::policy::epsilon;
use consilium_common::ledger::entry::Role;
use consilium_common::ledger::rules::StudyRecord;
use consilium_common::privacy::accountant::{Accountant, epsilon_by};
use consilium_common::privacy::mechanism::Event;
use consilium_common::time::Time;
use serde_json::json;
use std::path::Path;

pub(super) fn budget(home: &Home, now: Time, output: &Output) -> Result<(), Failure> {
    let view = LedgerView::read(home)?;
    let state = &view.state;
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
        format!("\ncharged to anyone by studies opened in {year}: at most {counted:.3} of {cap}")
    });
    let human = format!(
        "{}\n\nepsilon of one person at delta {:e}: of each study by PLD, of all studies by RDP, which is some per cent \
         more. A person either trains or evaluates; charged is what the caps count (all that an open study may still \
         use), for all studies at the Rényi order that was fixed before the first.\nmost charged to anyone: {person_max:.3} of {}; left: {left:.3}, which is {share_left:.1} % of what \
         studies may use{year_line}",
        table(&headers, &rows),
        caps.delta,
        caps.epsilon_total,
        share_left = 100.0 * share_left,
    );
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
    output.result(&human, &json)
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
