//! `study import`: cohorts of Atlas and tasks of ACES, into a study file.

use super::output::Output;
use super::template::{Source, Template};
use crate::operator::CommandError;
use clap::{Args, ValueEnum};
use consilium_common::study::import::{self, Imported, NotImported, aces, circe};
use consilium_common::study::records::RecordTable;
use consilium_common::study::{self, Mistakes};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `study import`.
#[derive(Args)]
pub(super) struct ImportArgs {
    /// The file to read: the JSON of Atlas's Export, or a task configuration of ACES.
    file: PathBuf,
    /// Whose it is.
    #[arg(long = "as", value_enum)]
    language: Language,
    /// The study file to write; it must not exist.
    #[arg(long)]
    out: PathBuf,
    /// Put it into this study file on OMOP records; without it, into a new one with gaps to fill in.
    #[arg(long)]
    from: Option<PathBuf>,
    /// What an Atlas cohort is in the study.
    #[arg(long, value_enum, default_value_t = Role::Target)]
    role: Role,
    /// Its name in the study; the name of the file without it.
    #[arg(long, value_parser = label)]
    name: Option<String>,
    /// ACES: which events a predicate's codes are, as psychosis=condition; may be repeated.
    #[arg(long = "event", value_name = "PREDICATE=EVENT", value_parser = event)]
    events: Vec<(String, RecordTable)>,
    /// ACES: take windows of whole days for calendar days. The same where records carry dates alone; where they carry
    /// times, ACES counts from the hour.
    #[arg(long)]
    whole_days: bool,
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// A cohort of OHDSI's Atlas (CIRCE), in JSON.
    Circe,
    /// A task of ACES, in YAML.
    Aces,
}

/// What a cohort is in the study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// The people who are asked about.
    Target,
    /// The events that are predicted.
    Outcome,
}

pub(super) fn run(args: &ImportArgs, out: Output) -> Result<(), CommandError> {
    let mut wrong = Vec::new();
    if args.out.exists() {
        wrong.push(format!("--out {}: it exists already; give a new name", args.out.display()));
    }
    if args.language == Language::Aces && args.role == Role::Outcome {
        wrong.push(
            "--role outcome: a task of ACES brings its outcome with it; leave the option out".to_owned(),
        );
    }
    if args.language == Language::Circe && (!args.events.is_empty() || args.whole_days) {
        wrong.push(
            "--event, --whole-days: they are for --as aces; an Atlas cohort says which events and days"
                .to_owned(),
        );
    }
    let bytes = read(&args.file).map_err(|error| wrong.push(error.to_string())).ok();
    let template = template(args.from.as_deref()).map_err(|error| wrong.push(format!("--from {error}"))).ok();
    let (Some(bytes), Some(template), true) = (bytes, template, wrong.is_empty()) else {
        return Err(CommandError::Input(wrong.join("\n")));
    };
    let imported = imported(args, &bytes).map_err(|error| said(&args.file, &error))?;
    let written = import::write(&template, &imported)
        .map_err(|error| CommandError::input(format!("--from: {error}")))?;
    let cannot = |error| CommandError::input(format!("{}: {error}", args.out.display()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).open(&args.out).map_err(cannot)?;
    std::io::Write::write_all(&mut file, written.text.as_bytes()).map_err(cannot)?;
    let gaps = study::parse(written.text.as_bytes()).err();
    let notes: Vec<&String> = imported.notes.iter().chain(&written.notes).collect();
    let sets: Vec<&str> = imported.sets.iter().map(|set| set.name.as_str()).collect();
    let gap_lines: Vec<String> = gaps.iter().flat_map(Mistakes::list).map(ToString::to_string).collect();
    let name = args.out.display().to_string();
    let json = json!({
        "file": name,
        "cohort": imported.target.as_ref().map(|target| &target.cohort.name),
        "outcome": imported.outcome.as_ref().map(|outcome| &outcome.name),
        "concept_sets": sets,
        "notes": notes,
        "gaps": gap_lines,
    });
    out.print(&json, || {
        let mut text = format!("{name} has {}.\n", parts(&imported));
        for note in notes {
            text += &format!("  {note}\n");
        }
        if !gap_lines.is_empty() {
            text += &format!("still to fill in:\n  {}\n", gap_lines.join("\n  "));
        }
        text + &format!("Edit it, then: coordinator study check {name}")
    })
}

fn imported(args: &ImportArgs, bytes: &[u8]) -> Result<Imported, NotImported> {
    let stem = args.file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().unwrap_or_else(|| import::label(&stem, "imported"));
    match (args.language, args.role) {
        (Language::Circe, Role::Target) => circe::target(bytes, &name),
        (Language::Circe, Role::Outcome) => circe::outcome(bytes, &name),
        (Language::Aces, _) => {
            let events: BTreeMap<String, RecordTable> = args.events.iter().cloned().collect();
            aces::task(bytes, &name, &aces::Reading { events, whole_days: args.whole_days })
        }
    }
}

/// What cannot be said exactly is a no; what is no such file is bad input.
fn said(file: &Path, error: &NotImported) -> CommandError {
    match error {
        NotImported::Invalid(what) => CommandError::input(format!("{}: {what}", file.display())),
        NotImported::NotExact(refusals) => CommandError::Refused(format!(
            "{}: the study language cannot say exactly the same, so nothing was written; {} in all:\n{error}",
            file.display(),
            refusals.len()
        )),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    let invalid = |what: String| CommandError::input(format!("{}: {what}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| invalid(error.to_string()))?;
    let mut bytes = Vec::new();
    // One byte more than it takes, so that a longer file shows.
    let limit = import::FILE_BYTES_MAX as u64 + 1;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, limit), &mut bytes)
        .map_err(|error| invalid(error.to_string()))?;
    Ok(bytes)
}

/// Somebody's own, or the shipped study on records with gaps.
fn template(from: Option<&Path>) -> Result<String, CommandError> {
    match from {
        Some(path) => Ok(Template::read(path, None)?.text().to_owned()),
        None => import::blank(Template::shipped(Source::Omop, None).text()).map_err(CommandError::fault),
    }
}

fn parts(imported: &Imported) -> String {
    let sets = imported.sets.len();
    let mut parts = vec![if sets == 1 { "1 concept set".to_owned() } else { format!("{sets} concept sets") }];
    parts.extend(imported.target.as_ref().map(|target| format!("the cohort {}", target.cohort.name)));
    parts.extend(imported.outcome.as_ref().map(|outcome| format!("the outcome {}", outcome.name)));
    parts.join(", ")
}

fn label(text: &str) -> Result<String, String> {
    let label = import::label(text, "");
    if label == text { Ok(label) } else { Err("expected small letters, digits and _".to_owned()) }
}

fn event(text: &str) -> Result<(String, RecordTable), String> {
    let known = || import::EVENT_WORDS.map(|(word, _)| word).join(", ");
    let (predicate, word) = text.split_once('=').ok_or("expected PREDICATE=EVENT, as psychosis=condition")?;
    let table = import::EVENT_WORDS.iter().find(|(known, _)| *known == word);
    table
        .map(|(_, table)| (predicate.to_owned(), *table))
        .ok_or_else(|| format!("expected one of {}", known()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;

    const PLAIN: Output = Output { format: Format::Json };
    const COHORT: &str = r#"{
        "ConceptSets": [{"id": 0, "name": "Psychosis", "expression": {"items": [{"concept":
            {"CONCEPT_ID": 436073, "CONCEPT_NAME": "Psychotic disorder"}, "includeDescendants": true}]}}],
        "PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0, "First": true}}],
            "ObservationWindow": {"PriorDays": 365, "PostDays": 0}}
    }"#;

    fn args(file: &Path, out: &Path) -> ImportArgs {
        ImportArgs {
            file: file.to_owned(),
            language: Language::Circe,
            out: out.to_owned(),
            from: None,
            role: Role::Target,
            name: None,
            events: vec![],
            whole_days: false,
        }
    }

    #[test]
    fn exit_codes() {
        let dir = tempfile::tempdir().expect("folder");
        let at = |name: &str| dir.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(at(name), text).expect("written");
        write("psychosis.json", COHORT);
        write("age.json", &COHORT.replace("\"First\": true", r#""Age": {"Value": 18, "Op": "gte"}"#));
        write("not.json", "PrimaryCriteria");
        let check = |file: &str, out: &str, code: Option<u8>, expected: &str| {
            let said = run(&args(&at(file), &at(out)), PLAIN).err();
            assert_eq!(said.as_ref().map(CommandError::code), code, "{file}: {said:?}");
            let said = said.map_or_else(String::new, |error| error.to_string());
            assert!(said.contains(expected), "{said}");
        };
        check("age.json", "age.toml", Some(1), "CriteriaList[0].ConditionOccurrence.Age");
        check("not.json", "not.toml", Some(2), "not JSON");
        check("absent.json", "absent.toml", Some(2), "absent.json");
        check("psychosis.json", "psychosis.json", Some(2), "exists already");
        assert!(!at("age.toml").exists(), "nothing is written of what is refused");
        check("psychosis.json", "study.toml", None, "");
        let text = std::fs::read_to_string(at("study.toml")).expect("written");
        assert!(text.contains("[cohort.psychosis]"), "{text}");
        let mut aces = args(&at("psychosis.json"), &at("other.toml"));
        aces.whole_days = true;
        let said = run(&aces, PLAIN).expect_err("of another language").to_string();
        assert!(said.contains("--as aces"), "{said}");
    }

    #[test]
    fn predicates_are_of_a_table() {
        assert_eq!(event("death=death"), Ok(("death".to_owned(), RecordTable::Death)));
        assert!(event("death").expect_err("no event").contains("psychosis=condition"));
        assert!(event("death=era").expect_err("no table").contains("visit-detail"));
        assert!(label("Self harm").is_err());
        assert_eq!(label("self_harm"), Ok("self_harm".to_owned()));
    }
}
