//! From the bytes of a study file to a [`Study`], or to every mistake in it at once.

mod completeness;
mod data;
mod evaluation;
mod holdout;
mod people;
mod privacy;
pub(in crate::study) mod records;
mod task;

use super::limits::{FILE_BYTES_MAX, NAME_BYTES_MAX};
use super::lookup::{Lookup, Mention};
use super::mistake::{Kind, Mistake, Mistakes};
use super::raw::{Ask, Section, Source, Value, ask};
use super::{Attribute, Data, Feature, Study, Task, cell};
use crate::id::Digest;
use toml::de::DeTable;

/// The version of the language that this program speaks.
pub const SCHEMA: &str = "study/1";

/// Reads a study file.
///
/// # Errors
/// Everything that is wrong with it, each with line, key, what was expected and what to write
/// instead. A file that is not TOML reports its syntax errors and whatever else is certain beside
/// them; the rest shows once it is TOML.
pub fn parse(bytes: &[u8]) -> Result<Study, Mistakes> {
    read(bytes, &mut Vec::new())
}

/// The same, and the concepts that the file names, to be looked up in a vocabulary; also where it has mistakes, as long as
/// it is TOML.
pub fn parse_for_lookup(bytes: &[u8]) -> (Result<Study, Mistakes>, Lookup) {
    let mut mentions = Vec::new();
    let study = read(bytes, &mut mentions);
    (study, Lookup::new(mentions))
}

fn read(bytes: &[u8], mentions: &mut Vec<Mention>) -> Result<Study, Mistakes> {
    if bytes.len() > FILE_BYTES_MAX {
        let found = format!("{} bytes", bytes.len());
        let expected = format!("at most {FILE_BYTES_MAX} bytes");
        return Err(Mistakes::one(1, "", &expected, found, "shorten its texts or lists"));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            let found = "bytes that are not".to_owned();
            return Err(Mistakes::one(line, "", "UTF-8 text", found, "save the file as UTF-8"));
        }
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    let source = Source::new(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        let found = error.message().lines().collect::<Vec<_>>().join(", ");
        source.report(Kind::Syntax, at, "", "TOML", &found, "correct the syntax of this line");
    }
    let study = study(&Section::root(&source, document.get_ref()), Digest::of(bytes));
    if errors.is_empty() {
        *mentions = source.mentions();
    }
    let mut mistakes = source.into_mistakes();
    if !errors.is_empty() {
        mistakes = beside_syntax_errors(mistakes);
    }
    match study {
        Some(study) if mistakes.is_empty() => Ok(study),
        _ => Err(Mistakes::new(mistakes)),
    }
}

/// Where the syntax is broken, keys get lost or land in another table: only a wrong value on a line
/// of its own is certain.
fn beside_syntax_errors(mistakes: Vec<Mistake>) -> Vec<Mistake> {
    let broken: Vec<usize> =
        mistakes.iter().filter(|mistake| mistake.kind == Kind::Syntax).map(|mistake| mistake.line).collect();
    let certain = |mistake: &Mistake| match mistake.kind {
        Kind::Syntax => true,
        Kind::Wrong => !broken.contains(&mistake.line),
        Kind::Absent | Kind::Unknown => false,
    };
    mistakes.into_iter().filter(certain).collect()
}

/// What is written otherwise for tables and for records; each is none where it has a mistake.
struct Parts {
    data: Option<Data>,
    tasks: Option<Vec<Task>>,
    features: Option<Vec<Feature>>,
    attributes: Option<Vec<Attribute>>,
}

fn study(top: &Section<'_>, digest: Digest) -> Option<Study> {
    const ID: Ask = ask("id", "1 to 63 of a-z, 0-9 and -", r#"id = "heart-disease""#);
    const TITLE: Ask = ask("title", "one line for people", r#"title = "Heart disease at four hospitals""#);
    top.required(ask("schema", "\"study/1\"", r#"schema = "study/1""#), |v| v.word(&[SCHEMA]));
    let id = top.required(ID, Value::parsed);
    let version = top.required(ask("version", "text", r#"version = "1.0.0""#), name);
    let title = top.required(TITLE, name);
    let kind = top.required(ask("kind", "\"prognostic\" or \"diagnostic\"", r#"kind = "prognostic""#), |v| {
        v.word(&["prognostic", "diagnostic"])
    });
    let sites = people::sites(top);
    let intended_use = people::intended_use(top);
    let governance = people::governance(top);
    let Parts { data, tasks, features, attributes } =
        if records::are_meant(top) { records::parts(top) } else { data::parts(top) };
    let missing = data::missing(top);
    let split = data::split(top);
    let (model, prevalence) = data::model(top).unzip();
    let tasks = tasks.and_then(|tasks| task::with_prevalence(top, tasks, prevalence.flatten()));
    let predictions = tasks.as_ref().map_or(1, |tasks| task::predictions(tasks));
    let subgroups = evaluation::subgroups(top, attributes.as_deref());
    let evaluation = evaluation::evaluation(top);
    let disclosure = evaluation::disclosure(top, sites.as_deref());
    let report = evaluation::report(top);
    let privacy = privacy::privacy(
        top,
        sites.as_deref(),
        subgroups.as_ref(),
        attributes.as_deref(),
        split.as_ref(),
        predictions,
    );
    top.finish();
    let study = Study {
        digest,
        id: id?,
        version: version?,
        title: title?,
        kind: kind?.to_owned(),
        sites: sites?,
        intended_use: intended_use?,
        governance: governance?,
        data: data?,
        tasks: tasks?,
        features: features?,
        missing: missing?,
        split: split?,
        model: model?,
        privacy: privacy?,
        evaluation: evaluation?,
        attributes: attributes?,
        subgroups: subgroups?,
        disclosure: disclosure?,
        report: report?,
    };
    data::check_columns(top, &study);
    records::check_inputs(top, &study);
    evaluation::check_sizes(top, &study);
    completeness::check(top, &study);
    privacy::check_bounds(top, &study);
    Some(study)
}

/// Reads the one table `[key]`.
fn section<'a, T>(top: &Section<'a>, ask: Ask, read: impl FnOnce(&Section<'a>) -> Option<T>) -> Option<T> {
    top.required(ask, |value| {
        let section = value.section()?;
        let read = read(&section);
        section.finish();
        read
    })
}

/// Reads each of the tables `[[key]]`.
fn sections<'a, T>(value: &Value<'a>, mut read: impl FnMut(&Section<'a>) -> Option<T>) -> Option<Vec<T>> {
    value.list(0..=usize::MAX, |item| {
        let section = item.section()?;
        let read = read(&section);
        section.finish();
        read
    })
}

/// Text of one line.
pub(super) fn name(value: &Value<'_>) -> Option<String> {
    let fits = |text: &str| {
        !text.trim().is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
    };
    value.text_where(fits).map(|text| text.trim().to_owned())
}

/// A name that also names groups, files and columns of output.
fn label(value: &Value<'_>) -> Option<String> {
    value.text_where(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Reports cells that mean the same, against all cells before.
fn distinct_cells(value: &Value<'_>, cells: &[String]) -> Option<()> {
    for (i, this) in cells.iter().enumerate() {
        if cells[..i].iter().any(|before| cell::same(before, this)) {
            let found = format!("{this:?} twice");
            return value.wrong_because("values that differ", &found, "keep one of them");
        }
    }
    Some(())
}

#[cfg(test)]
pub(in crate::study) mod tests;
