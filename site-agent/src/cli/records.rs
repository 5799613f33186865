//! `data check --study` where the study reads OMOP records: how many people came through each step, and what was not
//! used, for this hospital's eyes.

use super::completeness;
use super::data::{opted_out, opted_out_json};
use super::output::{Output, table};
use crate::data::SplitKey;
use crate::data::extract::{LeftOut, PredictionReport, Remark, Report, extract, open};
use crate::data::omop::{Domain, Fault, Reading, Table, TableCounts};
use crate::data::opt_out::Lists;
use crate::failure::Failure;
use crate::notes::Languages;
use consilium_common::study::records::Records;
use consilium_common::study::{Study, Validation};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Reads the records as the study would and says, here and nowhere else, what came of it.
pub(super) fn check(
    path: &Path,
    study: &Study,
    records: &Records,
    key: &SplitKey,
    lists: &Lists,
    output: &Output,
) -> Result<(), Failure> {
    let opened = open(path)?;
    let place = opened.place();
    let extracted = extract(&opened, study, records, key, &Reading::default())?;
    let report = &extracted.report;
    if report.predictions[0].attrition.0.first().is_none_or(|(_, people)| *people == 0) {
        return Err(Failure::refused(format!(
            "data.people: {place} has OMOP tables, and nobody in table person who can be used"
        )));
    }
    let opted_out = opted_out(lists, &extracted.loaded.whose);
    let counted = completeness::counted(study, &extracted.loaded);
    let mut parts = verdict(&place, study, report);
    if !opted_out.is_empty() {
        let row = |(name, people, [training, evaluation]): &(String, u64, [u64; 2])| {
            vec![name.clone(), people.to_string(), training.to_string(), evaluation.to_string()]
        };
        let headers = ["opt-out list", "people on it", "of them in training", "in evaluation"];
        let rows: Vec<Vec<String>> = opted_out.iter().map(row).collect();
        parts.push(table(&headers, &rows));
    }
    if !counted.is_empty() {
        let rows = completeness::rows(&counted);
        parts.push(format!("{}\n{}", table(&completeness::HEADS, &rows), completeness::OVER));
    }
    parts.extend(counts(study, report));
    let mut json = json(study, report);
    json["completeness"] = completeness::json(&counted).into();
    json["opted_out"] = opted_out_json(&opted_out).into();
    output.result(&parts.join("\n\n"), &json)
}

/// What is said of a report, for people and for programs.
#[cfg(test)]
pub(crate) fn both_forms(place: &str, study: &Study, report: &Report) -> (String, Value) {
    (human(place, study, report), json(study, report))
}

#[cfg(test)]
fn human(place: &str, study: &Study, report: &Report) -> String {
    [verdict(place, study, report), counts(study, report)].concat().join("\n\n")
}

/// Whether the records fit, and what somebody should look at before believing it.
fn verdict(place: &str, study: &Study, report: &Report) -> Vec<String> {
    let mut parts = vec![format!("{place} fits study {}", study.id)];
    for remark in Remark::ALL {
        let of_it = report.notes.iter().filter(|note| note.what == remark);
        let listed: Vec<String> = of_it.map(|note| format!("\n  {}: {}", note.set, note.concept)).collect();
        if !listed.is_empty() {
            parts.push(format!("Concepts to look at: {}{}", remark.words(), listed.concat()));
        }
    }
    parts
}

fn counts(study: &Study, report: &Report) -> Vec<String> {
    let mut parts = Vec::new();
    for prediction in &report.predictions {
        // Where there is one, it is the study.
        if report.predictions.len() > 1 {
            parts.push(format!("Prediction {}", prediction.name));
        }
        parts.push(attrition(prediction));
        parts.push(roles(study, prediction));
    }
    parts.push(features(report));
    if !report.unknown.is_empty() {
        let rows = report.unknown.iter().map(|(name, people)| vec![name.clone(), people.to_string()]);
        parts.push(table(&["attribute", "people in group unknown"], &rows.collect::<Vec<_>>()));
    }
    parts.extend(notes_read(report));
    parts.extend(faults(report));
    parts.push("These counts stay here: never send or publish them.".to_owned());
    parts
}

/// People with an example by what becomes of it.
fn roles(study: &Study, report: &PredictionReport) -> String {
    let PredictionReport { training, evaluation, training_held_out, evaluation_held_out, .. } = report;
    let rows = match &study.split.holdout {
        None => vec![("training".to_owned(), training), ("evaluation".to_owned(), evaluation)],
        Some(holdout) => {
            let from = holdout.from;
            let reported = |of: Validation| match holdout.reported.contains(&of) {
                true => format!("{} validation", of.name()),
                false => "not used".to_owned(),
            };
            let (internal, temporal) = (reported(Validation::Internal), reported(Validation::Temporal));
            vec![
                (format!("training, index before {from}"), training),
                (format!("training, from {from} on: held out, not used"), training_held_out),
                (format!("evaluation, index before {from}: {internal}"), evaluation),
                (format!("evaluation, from {from} on: {temporal}"), evaluation_held_out),
            ]
        }
    };
    let row =
        |(role, (people, with)): (String, &(u64, u64))| vec![role, people.to_string(), with.to_string()];
    table(&["role", "people", "with the outcome"], &rows.into_iter().map(row).collect::<Vec<_>>())
}

fn attrition(report: &PredictionReport) -> String {
    let mut before = None;
    let rows: Vec<Vec<String>> = report
        .attrition
        .0
        .iter()
        .map(|(step, people)| {
            let lost = before.map_or(0, |before: u64| before - people);
            before = Some(*people);
            let lost = if lost == 0 { String::new() } else { format!("-{lost}") };
            vec![step.clone(), people.to_string(), lost]
        })
        .collect();
    table(&["people", "left", ""], &rows)
}

fn features(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .features
        .iter()
        .map(|(name, not_recorded, left_out)| {
            let kinds: Vec<String> = kinds(left_out)
                .into_iter()
                .filter(|(_, _, values)| *values > 0)
                .map(|(_, words, values)| format!("{words} {values}"))
                .collect();
            vec![name.clone(), not_recorded.to_string(), kinds.join("; ")]
        })
        .collect();
    table(&["feature", "people without", "values left out"], &rows)
}

fn kinds(left_out: &LeftOut) -> [(&'static str, &'static str, u64); 4] {
    [
        ("no_number", "no number", left_out.no_number),
        ("no_unit", "no unit", left_out.no_unit),
        ("other_unit", "another unit", left_out.other_unit),
        ("implausible", "not plausible", left_out.implausible),
    ]
}

/// The counts of table `note`, where a study reads its text.
fn of_notes(report: &Report) -> Option<&TableCounts> {
    let counts = report.tables.iter().find(|(table, _)| *table == Table::Clinical(Domain::Note));
    // What a program has found in notes is read by number, and no text.
    let (_, counts) = counts.filter(|_| report.tables.iter().all(|(table, _)| *table != Table::NoteNlp))?;
    Some(counts)
}

/// Why a note is not read, by what is wrong with its row.
const NOT_READ: [Fault; 7] = [
    Fault::NoText,
    Fault::TextTooLong,
    Fault::NoPerson,
    Fault::PersonNotANumber,
    Fault::NoDate,
    Fault::UnparsableDate,
    Fault::YearOutOfRange,
];

/// In which languages notes were read, and why others were not.
fn notes_read(report: &Report) -> Option<String> {
    let counts = of_notes(report)?;
    let Languages { english, german, other } = counts.languages;
    let read = [
        ("read, in English", english),
        ("read, in German", german),
        ("read, in another language or too short to tell", other),
    ];
    let mut rows: Vec<_> = read.map(|(words, notes)| vec![words.to_owned(), notes.to_string()]).to_vec();
    rows.extend(
        NOT_READ
            .into_iter()
            .filter(|fault| counts.faults.of(*fault) > 0)
            .map(|fault| vec![format!("not read: {}", fault.words()), counts.faults.of(fault).to_string()]),
    );
    Some(table(&["notes", ""], &rows))
}

fn faults(report: &Report) -> Option<String> {
    let rows: Vec<Vec<String>> = report
        .tables
        .iter()
        .flat_map(|(table, counts)| {
            let found = Fault::ALL.into_iter().filter(|fault| counts.faults.of(*fault) > 0);
            found.map(|fault| {
                let count = counts.faults.of(fault).to_string();
                vec![table.name().to_owned(), fault.words().to_owned(), count, fault.rule().to_owned()]
            })
        })
        .collect();
    (!rows.is_empty()).then(|| table(&["table", "found in rows", "rows", "rule"], &rows))
}

fn json(study: &Study, report: &Report) -> Value {
    let role = |(people, with): (u64, u64)| json!({ "people": people, "with_outcome": with });
    let features: Vec<Value> = report
        .features
        .iter()
        .map(|(name, not_recorded, left_out)| {
            let left_out: Map<String, Value> =
                kinds(left_out).into_iter().map(|(key, _, values)| (key.to_owned(), values.into())).collect();
            json!({ "name": name, "not_recorded": not_recorded, "values_left_out": left_out })
        })
        .collect();
    let tables: Vec<Value> = report
        .tables
        .iter()
        .map(|(table, counts)| {
            let faults: Map<String, Value> = Fault::ALL
                .into_iter()
                .filter(|fault| counts.faults.of(*fault) > 0)
                .map(|fault| (fault.key().to_owned(), counts.faults.of(fault).into()))
                .collect();
            json!({ "table": table.name(), "rows": counts.rows, "faults": faults })
        })
        .collect();
    let prediction = |one: &PredictionReport| {
        let step = |(step, people): &(String, u64)| json!({ "step": step, "people": people });
        let mut json = json!({
            "name": one.name,
            "attrition": one.attrition.0.iter().map(step).collect::<Vec<_>>(),
            "training": role(one.training),
            "evaluation": role(one.evaluation),
        });
        if let Some(holdout) = &study.split.holdout {
            json["held_out"] = json!({
                "from": holdout.from.to_string(),
                "training": role(one.training_held_out),
                "evaluation": role(one.evaluation_held_out),
            });
        }
        json
    };
    let mut json = json!({
        "study": study.id,
        "stays_here": true,
        "predictions": report.predictions.iter().map(prediction).collect::<Vec<_>>(),
        "features": features,
        "unknown": report.unknown.iter().map(|(name, count)| json!({ "name": name, "count": count })).collect::<Vec<_>>(),
        "concepts": report.notes.iter().map(|note| json!({
            "set": note.set,
            "concept": note.concept,
            "what": note.what.words(),
        })).collect::<Vec<_>>(),
        "tables": tables,
    });
    if let Some(counts) = of_notes(report) {
        let Languages { english, german, other } = counts.languages;
        let reasons =
            NOT_READ.into_iter().map(|fault| (fault.key().to_owned(), counts.faults.of(fault).into()));
        let not_read: Map<String, Value> = reasons.filter(|(_, notes)| *notes != json!(0)).collect();
        json["notes"] = json!({ "en": english, "de": german, "other": other, "not_read": not_read });
    }
    // Of the only one also where it always was.
    if let [one] = &report.predictions[..] {
        let Value::Object(one) = prediction(one) else { unreachable!("made above") };
        for (key, value) in one.into_iter().filter(|(key, _)| key != "name") {
            json[key] = value;
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Format;
    use crate::data::extract::tests::folders;
    use crate::data::extract::{Extracted, Note};
    use crate::data::opt_out::OptOuts;
    use consilium_common::study::{self, Data, Holdout};

    fn asking() -> Study {
        let parsed = study::parse(include_bytes!("../data/testdata/study.toml")).expect("parses");
        folders::asking_as(parsed)
    }

    fn records(study: &Study) -> &Records {
        let Data::Records(records) = &study.data else { panic!("on records") };
        records
    }

    #[test]
    fn both_forms_say_the_same() {
        let (folder, study) = (folders::write(&folders::hospital(90)), asking());
        let key = SplitKey::from_bytes([3; 32]);
        let opened = open(folder.path()).expect("opens");
        let found = extract(&opened, &study, records(&study), &key, &Reading::default());
        let report = found.unwrap_or_else(|error| panic!("{error}")).report;
        let (text, json) = (human(&opened.place(), &study, &report), json(&study, &report));
        assert_eq!(json["attrition"][0], json!({ "step": "in table person", "people": 90 }));
        assert_eq!(json["attrition"][1]["people"], 78);
        let count = |role: &str, key: &str| json[role][key].as_u64().expect("a count");
        let both = |key: &str| count("training", key) + count("evaluation", key);
        assert_eq!(json["attrition"][4]["people"], both("people"));
        assert_eq!(json["attrition"][5]["people"], both("with_outcome"));
        let left_out = &json["features"][1]["values_left_out"];
        assert!(left_out["other_unit"].as_u64() > Some(0) && left_out["implausible"] == 0, "{left_out}");
        let measurement =
            json["tables"].as_array().expect("tables").iter().find(|t| t["table"] == "measurement");
        assert_eq!(measurement.expect("read")["faults"]["unit_by_text"], 36);
        for part in [
            "in table person\t90\t",
            "with a condition_occurrence of entry\t78\t-12",
            "f1\t",
            "another unit",
            "measurement\tunit by its text\t36\tkept, the text taken as UCUM",
            "These counts stay here",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let lists = OptOuts::default().lists();
        check(folder.path(), &study, records(&study), &key, &lists, &Output::new(Format::Text))
            .expect("prints");
    }

    /// With a holdout in the middle everybody is in one of four lines; without it in one of two.
    #[test]
    fn what_is_held_out_is_counted() {
        let (folder, mut study) = (folders::write(&folders::hospital(90)), asking());
        let key = SplitKey::from_bytes([3; 32]);
        let opened = open(folder.path()).expect("opens");
        let of = |study: &Study| {
            let found = extract(&opened, study, records(study), &key, &Reading::default());
            let Extracted { loaded, report } = found.unwrap_or_else(|error| panic!("{error}"));
            (loaded, human(&opened.place(), study, &report), json(study, &report))
        };
        let (whole, _, plain) = of(&study);
        assert_eq!(plain["held_out"], Value::Null);
        study.split.holdout = Some(Holdout { from: folders::MIDDLE, reported: Validation::ALL.to_vec() });
        let (loaded, text, json) = of(&study);
        let people = |value: &Value, role: &str| value[role]["people"].as_u64().expect("a count");
        for (role, all) in [("training", &whole.training), ("evaluation", &whole.evaluation)] {
            let (before, later) = (people(&json, role), people(&json["held_out"], role));
            assert!(before > 3 && later > 3, "{role}: {before}, {later}");
            assert_eq!((before + later, before + later), (people(&plain, role), all.people() as u64));
        }
        assert_eq!(loaded.training.people() as u64, people(&json, "training"));
        assert_eq!(loaded.evaluation.people(), whole.evaluation.people());
        let held_out = people(&json["held_out"], "training");
        assert!(text.contains(&format!(": held out, not used\t{held_out}\t")), "{text}");
        assert!(
            text.contains(": internal validation\t") && text.contains(": temporal validation\t"),
            "{text}"
        );
    }

    /// What is odd about concepts comes before any count, with what it means.
    #[test]
    fn concepts_to_look_at_come_first() {
        let (folder, study) = (folders::write(&folders::hospital(90)), asking());
        let opened = open(folder.path()).expect("opens");
        let found =
            extract(&opened, &study, records(&study), &SplitKey::from_bytes([3; 32]), &Reading::default());
        let mut report = found.unwrap_or_else(|error| panic!("{error}")).report;
        let text = human("here", &study, &report);
        assert!(!text.contains("Concepts to look at"), "{text}");
        let note = |concept: &str, what| Note { set: "outcome".into(), concept: concept.into(), what };
        report.notes = vec![
            note("asthma (99)", Remark::NotInVocabulary),
            note("S:c7", Remark::NotStandard),
            note("S:c8", Remark::NotInVocabulary),
        ];
        let (text, json) = both_forms("here", &study, &report);
        let expected = format!(
            "here fits study {}\n\nConcepts to look at: {}\n  outcome: asthma (99)\n  outcome: S:c8\n\nConcepts to look \
             at: {}\n  outcome: S:c7\n\n",
            study.id,
            Remark::NotInVocabulary.words(),
            Remark::NotStandard.words()
        );
        assert!(text.starts_with(&expected), "{text}");
        assert!(text.contains("a wrong digit in the study, or a vocabulary that was exported without it"));
        assert!(text.contains("no event here is recorded with it"));
        assert_eq!(json["concepts"][1]["concept"], "S:c7");
        assert_eq!(json["concepts"][1]["what"], Remark::NotStandard.words());
    }

    /// What is only counted stands in its own table, over whom that says, and in no other with another number.
    #[test]
    fn what_is_only_counted_is_no_group() {
        use consilium_common::study::records::PersonField;
        use consilium_common::study::{Attribute, AttributeValues, NotRecorded};
        let (folder, mut study) = (folders::write(&folders::hospital(90)), asking());
        let attribute = |name: &str, values| Attribute { name: name.to_owned(), values };
        study.attributes = vec![
            attribute("race", AttributeValues::RecordedConcepts(NotRecorded::default())),
            attribute("sex", AttributeValues::Concepts(vec![(vec![8507], "male".to_owned())])),
        ];
        let Data::Records(of_study) = &mut study.data else { panic!("on records") };
        of_study.attributes = vec![vec![PersonField::Race], vec![PersonField::Gender]];
        let key = SplitKey::from_bytes([3; 32]);
        let opened = open(folder.path()).expect("opens");
        let found = extract(&opened, &study, records(&study), &key, &Reading::default());
        let Extracted { loaded, report } = found.unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<&str> = report.unknown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["sex"]);
        assert!(report.unknown[0].1 > 0, "women are in no level of it");
        let counted = completeness::json(&completeness::counted(&study, &loaded));
        assert_eq!((counted.len(), &counted[0]["attribute"]), (1, &json!("race")));
        let states = counted[0]["states"].as_array().expect("states");
        let people: i64 = states
            .iter()
            .flat_map(|state| [&state["training"], &state["evaluation"]])
            .filter_map(Value::as_i64)
            .sum();
        assert_eq!(people as usize, loaded.training.people() + loaded.evaluation.people());
    }

    #[test]
    fn nobody_is_a_refusal() {
        let mut tables = folders::hospital(3);
        tables.iter_mut().filter(|table| table.name == "person").for_each(|table| table.rows.clear());
        let (folder, study) = (folders::write(&tables), asking());
        let key = SplitKey::from_bytes([3; 32]);
        let output = Output::new(Format::Text);
        let lists = OptOuts::default().lists();
        let failure =
            check(folder.path(), &study, records(&study), &key, &lists, &output).expect_err("nobody");
        assert!(failure.kind.exit_code() == 1 && failure.message.starts_with("data.people:"), "{failure}");
    }
}
