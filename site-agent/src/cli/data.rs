//! `data check`, `data export` and `synth`.

use super::args::ExportArgs;
use super::bindings::filled_in_by;
use super::completeness;
use super::output::Output;
use super::records;
use crate::approval::STUDY_BYTES_MAX;
use crate::data::export::export_examples;
use crate::data::omop::meds::{self, Exported};
use crate::data::omop::{Opened, Reading, Source, database_at, is_of_database, warehouse_folder};
use crate::data::opt_out::{IdForm, Lists, OptOuts};
use crate::data::{self, SplitKey, Whose};
use crate::failure::Failure;
use crate::files;
use crate::home::Home;
use crate::synth::{self, SynthArgs};
use consilium_common::study::{self, Data, Study};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// Reads the data as the study would and says, here and nowhere else, what came of it.
pub(super) fn check(
    home: &Home,
    study: &Path,
    bindings: Option<&Path>,
    data: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    let study = read_study(study, bindings)?;
    let config = home.config()?;
    let path = data.or(config.data.as_deref());
    let path = path.ok_or_else(|| Failure::input("no data: give --data, or `data` in agent.toml"))?;
    let key = SplitKey::from_bytes(*home.split_key()?);
    let mut opt_outs = OptOuts::default();
    opt_outs.refresh(&home.policy()?.opt_outs, IdForm::of(&study), Instant::now())?;
    let lists = opt_outs.lists();
    if let Data::Records(records) = &study.data {
        return records::check(path, &study, records, &key, &lists, output);
    }
    let (loaded, summary) = data::summary(path, &study, &key)?;
    if summary.people == 0 {
        return Err(Failure::refused(format!(
            "data.people: {} has the columns of study {}, and no people: expected one row per person below the \
             header",
            path.display(),
            study.id
        )));
    }
    let mut human = vec![
        format!("{} fits study {}", path.display(), study.id),
        format!("people:              {}", summary.people),
        format!("without an outcome:  {}", summary.without_outcome),
    ];
    for (task, ((people, with), (evaluation, evaluation_with))) in
        study.tasks.iter().zip(summary.training.iter().zip(&summary.evaluation))
    {
        // Where there is one, it is the study.
        let of = if study.tasks.len() > 1 { format!(" {}", task.name) } else { String::new() };
        human.push(format!("training:           {of} {people}, with the outcome {with}"));
        human.push(format!("evaluation:         {of} {evaluation}, with the outcome {evaluation_with}"));
    }
    for (name, cells) in &summary.not_recorded {
        human.push(format!("not recorded:        {name} {cells}"));
    }
    for (name, people) in &summary.unknown {
        human.push(format!("unknown:             {name} {people}"));
    }
    let counted = completeness::counted(&study, &loaded);
    for row in completeness::rows(&counted) {
        human.push(format!(
            "only counted:        {} {}: training {}, evaluation {}",
            row[0], row[1], row[2], row[3]
        ));
    }
    if !counted.is_empty() {
        human.push(format!("                     {}", completeness::OVER));
    }
    let opted_out = opted_out(&lists, &loaded.whose);
    for (name, people, [training, evaluation]) in &opted_out {
        human.push(format!(
            "opted out:           {name} {people} people, of them {training} in training and {evaluation} in evaluation"
        ));
    }
    human.push("These counts stay here: never publish them.".into());
    let named = |counts: &[(String, u64)]| {
        counts.iter().map(|(name, n)| json!({ "name": name, "count": n })).collect::<Vec<_>>()
    };
    let role = |(people, with): &(u64, u64)| json!({ "people": people, "with_outcome": with });
    let predictions: Vec<Value> = (study.tasks.iter().zip(&summary.training).zip(&summary.evaluation))
        .map(|((task, training), evaluation)| {
            json!({ "name": task.name, "training": role(training), "evaluation": role(evaluation) })
        })
        .collect();
    let mut json = json!({
        "study": study.id,
        "people": summary.people,
        "without_outcome": summary.without_outcome,
        "predictions": predictions,
        "not_recorded": named(&summary.not_recorded),
        "unknown": named(&summary.unknown),
        "opted_out": opted_out_json(&opted_out),
        "completeness": completeness::json(&counted),
    });
    // Of the only one also where it always was.
    if let ([training], [evaluation]) = (&summary.training[..], &summary.evaluation[..]) {
        json["training"] = role(training);
        json["evaluation"] = role(evaluation);
    }
    output.result(&human.join("\n"), &json)
}

/// For each list its name, how many people are on it, and how many of those have an example in training and evaluation:
/// they are left out of every round.
pub(super) fn opted_out(lists: &Lists, whose: &Whose) -> Vec<(String, u64, [u64; 2])> {
    let (training, evaluation) = (lists.counts(whose.training.iter()), lists.counts(whose.evaluation.iter()));
    let both = |((name, people, training), (_, _, evaluation))| (name, people, [training, evaluation]);
    training.into_iter().zip(evaluation).map(both).collect()
}

pub(super) fn opted_out_json(opted_out: &[(String, u64, [u64; 2])]) -> Vec<Value> {
    let list = |(name, people, [training, evaluation]): &(String, u64, [u64; 2])| json!({ "list": name, "people": people, "training": training, "evaluation": evaluation });
    opted_out.iter().map(list).collect()
}

/// Writes the encoded examples of a table that is the user's to read. The split key is the home's,
/// so that each person has the role that they have in training.
pub(super) fn export(home: &Home, args: &ExportArgs, output: &Output) -> Result<(), Failure> {
    let (Some(study), Some(data), Some(out)) = (&args.study, &args.data, &args.out) else {
        unreachable!("clap requires them with --examples")
    };
    if is_served(home, data)? {
        return Err(Failure::refused(
            "data.served: these are the data that this agent serves (agent.toml); they leave through the budget only",
        ));
    }
    let study = read_study(study, args.bindings.as_deref())?;
    export_examples(data, &study, &SplitKey::from_bytes(*home.split_key()?), out)?;
    let human = format!("un-noised examples in {}: treat this file like the table itself", out.display());
    output.result(&human, &json!({ "study": study.id, "out": out }))
}

/// Writes a hospital's records as MEDS, for the hospital itself.
pub(super) fn export_meds(source: &Path, out: &Path, output: &Output) -> Result<(), Failure> {
    let opened = Opened::open(source)?;
    Source::from(&opened).granted()?;
    let found = meds::export(&opened, out, &Reading::default())?;
    let Exported { people, rows, shards, codes, left_out } = found;
    let mut human = vec![
        format!(
            "{} as MEDS 0.4 in {}: treat this folder like the tables themselves",
            opened.place(),
            out.display()
        ),
        format!("people:  {people}"),
        format!("rows:    {rows}, in {shards} file{}", if shards == 1 { "" } else { "s" }),
        format!("codes:   {codes}"),
    ];
    if left_out > 0 {
        human.push(format!(
            "left out: {left_out} people whose rows contradict each other, or with more than a million events"
        ));
    }
    human.push("These counts stay here: never send or publish them.".into());
    let json = json!({
        "out": out, "stays_here": true, "people": people, "rows": rows, "shards": shards, "codes": codes,
        "left_out": left_out,
    });
    output.result(&human.join("\n"), &json)
}

/// Whether a path is, or is within, what `agent.toml` names as this site's data; of a database whether both name one.
fn is_served(home: &Home, data: &Path) -> Result<bool, Failure> {
    let Some(served) = home.config()?.data else { return Ok(false) };
    // Tables behind an engine are those of their folder.
    let lies = |path: &Path| Ok::<_, Failure>(warehouse_folder(path)?.unwrap_or_else(|| path.to_owned()));
    let (served, data) = (lies(&served)?, lies(data)?);
    if is_of_database(&served) && is_of_database(&data) {
        let (served, data) = (database_at(&served)?, database_at(&data)?);
        return Ok(served.place() == data.place() && served.schema == data.schema);
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (served, data) = (real(&served), real(&data));
    Ok(data.starts_with(&served) || served.starts_with(&data))
}

/// Invents hospitals.
pub(super) fn synth(args: &SynthArgs, output: &Output) -> Result<(), Failure> {
    let summary = synth::run(args)?;
    let people: Vec<String> =
        summary.sites.iter().map(|site| format!("  {}: {} people", site.name, site.people)).collect();
    let human = format!("{} hospitals in {}\n{}", summary.sites.len(), args.out.display(), people.join("\n"));
    output.result(&human, &json!(summary))
}

/// A study file, as the site's answer fills it in where one is given.
pub(super) fn read_study(path: &Path, bindings: Option<&Path>) -> Result<Study, Failure> {
    let bytes = files::read(path, STUDY_BYTES_MAX).map_err(|e| Failure::input(e.to_string()))?;
    let mistakes = |mistakes| Failure::input(format!("{}:\n{mistakes}", path.display()));
    filled_in_by(study::parse(&bytes).map_err(mistakes)?, bindings)
}
