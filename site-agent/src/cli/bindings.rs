//! What a site fills in of a study's bindings, for the commands that take `--bindings` and for people.

use super::output::Output;
use crate::failure::Failure;
use crate::files;
use consilium_common::protocol::{Approval, Decision};
use consilium_common::study::bindings::{ANSWER_BYTES_MAX, Binding, fill_in, in_force, template};
use consilium_common::study::{Data, Study};
use serde_json::{Value, json};
use std::path::Path;

/// A study as it holds here, and what has to be signed for that.
pub(super) struct Answer {
    pub(super) study: Study,
    /// None where nothing was answered: the study has no bindings, or keeps its defaults.
    pub(super) text: Option<String>,
}

/// The study as the file fills it in, and the file's exact text.
///
/// # Errors
/// The file cannot be read, or is no answer to the study: every mistake at once.
pub(super) fn filled_in(study: &Study, path: &Path) -> Result<(Study, String), Failure> {
    let text = files::read_text(path, ANSWER_BYTES_MAX as u64).map_err(|e| Failure::input(e.to_string()))?;
    let mistakes = |mistakes| Failure::input(format!("{}:\n{mistakes}", path.display()));
    Ok((fill_in(study, &text).map_err(mistakes)?, text))
}

/// As [`filled_in`] where a file is given.
pub(super) fn filled_in_by(study: Study, path: Option<&Path>) -> Result<Study, Failure> {
    match path {
        Some(path) => Ok(filled_in(&study, path)?.0),
        None => Ok(study),
    }
}

/// What an approval signs: the file's text; without a file what the approval before says; else the defaults.
///
/// # Errors
/// As [`filled_in`], or the study needs an answer and there is none.
pub(super) fn answer(
    study: &Study,
    path: Option<&Path>,
    before: Option<&Approval>,
) -> Result<Answer, Failure> {
    if let Some(path) = path {
        if study.bindings().is_empty() {
            return Err(Failure::input("--bindings: the study asks for nothing to fill in"));
        }
        let (study, text) = filled_in(study, path)?;
        return Ok(Answer { study, text: Some(text) });
    }
    let text = before
        .filter(|before| before.decision == Decision::Approve)
        .and_then(|before| before.bindings.clone());
    let filled = fill_in(study, text.as_deref().unwrap_or_default()).map_err(|mistakes| {
        Failure::input(format!(
            "the study asks this site to fill in its bindings: write the answer by `site-agent study bindings {}` and add \
             --bindings FILE\n{mistakes}",
            study.id
        ))
    })?;
    Ok(Answer { study: filled, text })
}

/// Prints what there is to fill in.
pub(super) fn print_template(study: &Study, output: &Output) -> Result<(), Failure> {
    let text = template(study);
    let human = text.as_deref().unwrap_or("the study asks for nothing to fill in").trim_end();
    output.result(human, &json!({ "id": study.id, "template": text, "bindings": json(study) }))
}

/// For people: how this site fills in each binding; nothing where the study has none.
pub(super) fn lines(study: &Study) -> Option<String> {
    let rows: Vec<String> =
        of(study).map(|(binding, words)| format!("  {}: {words}", binding.name)).collect();
    (!rows.is_empty()).then(|| {
        format!("as this site fills it in (signed with the approval, and public):\n{}", rows.join("\n"))
    })
}

/// The same for programs.
pub(super) fn json(study: &Study) -> Value {
    of(study)
        .map(|(binding, words)| {
            json!({
                "name": binding.name,
                "describe": binding.describe,
                "optional": binding.optional,
                "in_force": words,
            })
        })
        .collect()
}

fn of(study: &Study) -> impl Iterator<Item = (&Binding, String)> {
    let records = match &study.data {
        Data::Records(records) => Some(records),
        Data::Table(_) => None,
    };
    let all = records
        .into_iter()
        .flat_map(|records| records.bindings.iter().map(move |binding| (records, binding)));
    all.map(|(records, binding)| (binding, in_force(records, binding)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ANSWER, key, now, site, study, study_with_bindings};
    use consilium_common::study::parse;

    #[test]
    fn what_an_approval_signs() {
        let dir = tempfile::tempdir().expect("folder");
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let asking = parse(study_with_bindings().as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let good = file("answer.toml", ANSWER);
        let found = answer(&asking, Some(&good), None).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(found.text.as_deref(), Some(ANSWER));
        let said = lines(&found.study).expect("has bindings");
        assert!(
            said.contains("psychiatric_service: left out") && said.contains("local_deprivation: the latest"),
            "{said}"
        );
        assert_eq!(json(&found.study)[1]["in_force"], "left out");
        // Without a file what was signed before holds; without that the study's defaults, where all have one.
        let signed = |text| {
            let by = (Decision::Approve, "A. Bird");
            let signed = crate::approval::sign_over(&asking, &site(0), by, text, now(), &key(0), None);
            (*signed.verify(&key(0).public()).expect("signed")).clone()
        };
        let again =
            answer(&asking, None, Some(&signed(Some(ANSWER)))).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(again.text.as_deref(), Some(ANSWER));
        let fails = |study: &Study, path: Option<&Path>, before: Option<&Approval>, parts: &[&str]| {
            let failure = answer(study, path, before).err().expect("no answer");
            assert_eq!(failure.kind.exit_code(), 2, "{failure}");
            assert!(parts.iter().all(|part| failure.message.contains(part)), "{failure}");
        };
        fails(
            &asking,
            None,
            None,
            &["site-agent study bindings", "--bindings FILE", "binding.local_ethnicity"],
        );
        let bad = file("bad.toml", &ANSWER.replace("absent = true", "absent = 1"));
        fails(&asking, Some(&bad), None, &["bad.toml:", "line 9: binding.psychiatric_service.absent"]);
        fails(&asking, Some(&dir.path().join("none.toml")), None, &["none.toml"]);
        let plain = study(&[]);
        fails(&plain, Some(&good), None, &["asks for nothing to fill in"]);
        let nothing = answer(&plain, None, None).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(nothing.text.is_none() && lines(&nothing.study).is_none() && nothing.study == plain);
    }
}
