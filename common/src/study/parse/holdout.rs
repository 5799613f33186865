//! `split.holdout` and `split.report`.

use super::super::raw::{Ask, Section, Value, ask};
use super::super::{Holdout, Validation};
use super::records;
use jiff::civil::Date;

const HOLDOUT: Ask = ask(
    "holdout",
    "a table of type, from and of",
    r#"holdout = { type = "time", from = 2023-01-01, of = "evaluation-people" }"#,
);
const TYPE: Ask = ask("type", "\"time\"", r#"type = "time""#);
const FROM: Ask = ask(
    "from",
    "a day without quotes: examples with an index on it or later are never trained on",
    "from = 2023-01-01",
);
const OF: Ask = ask("of", "\"evaluation-people\"", r#"of = "evaluation-people""#);
const REPORT: Ask = ask(
    "report",
    "a list of \"internal\" (examples before holdout.from) and \"temporal\" (from that day on)",
    r#"report = ["internal", "temporal"]"#,
);

/// Both keys of `[split]`, `None` in it where nothing is held out.
pub(super) fn read(top: &Section<'_>, split: &Section<'_>) -> Option<Option<Holdout>> {
    if !split.has(HOLDOUT.key) {
        return split.optional(REPORT, without_holdout).map(|_| None);
    }
    let from = split.required(HOLDOUT, |value| {
        let on_records = records::are_meant(top);
        if !on_records {
            let expected = "nothing in a study on plain tables: their rows have no day of an index";
            value.wrong_because::<()>(
                expected,
                "a table",
                "remove it and report, or write a study on OMOP records",
            );
        }
        let holdout = value.section()?;
        let time = holdout.required(TYPE, |v| v.word(&["time"]));
        let from = holdout.required(FROM, |v| within_accrual(v, records::accrual(top)));
        let of = holdout.required(OF, of);
        holdout.finish();
        time?;
        of?;
        from.filter(|_| on_records)
    });
    let reported = split.required(REPORT, reported);
    Some(Some(Holdout { from: from?, reported: reported? }))
}

/// A day that leaves some of the accrual on either side.
fn within_accrual(value: &Value<'_>, accrual: Option<(Date, Date)>) -> Option<Date> {
    let from = value.date()?;
    // What is wrong with the accrual itself is said there.
    let Some((first, last)) = accrual else { return Some(from) };
    if first < from && from <= last {
        return Some(from);
    }
    let (expected, instead) = if from > last {
        (
            format!("a day of data.accrual, at the latest {last}: nobody has an index after it"),
            format!("write from = {last}, or earlier"),
        )
    } else {
        (
            format!(
                "a day of data.accrual after its first, {first}: from that day on nothing is left to train on"
            ),
            format!("write a day after {first}"),
        )
    };
    value.wrong_because(&expected, &from.to_string(), &instead)
}

fn of(value: &Value<'_>) -> Option<()> {
    if value.shown() == "\"everyone\"" {
        let expected = "\"evaluation-people\": everybody's later examples, those of training people too, would be \
                        evaluation of everybody, charged to both accounts of each person";
        return value.wrong_because(expected, "\"everyone\"", "write of = \"evaluation-people\"");
    }
    value.word(&["evaluation-people"]).map(|_| ())
}

/// In the order of [`Validation::ALL`], whatever that of the file.
fn reported(value: &Value<'_>) -> Option<Vec<Validation>> {
    let words = value.list(1..=8, |item| {
        if item.shown() == "\"leave-one-site-out\"" {
            let expected = "\"internal\" or \"temporal\": leave-one-site-out is one more training for each site, with \
                            events of its own, and is not in this version of the language";
            return item.wrong_because(expected, "\"leave-one-site-out\"", "remove it");
        }
        item.word(&Validation::ALL.map(Validation::name)).map(str::to_owned)
    })?;
    super::distinct_cells(value, &words)?;
    let is_listed = |of: &Validation| words.iter().any(|word| word == of.name());
    Some(Validation::ALL.into_iter().filter(is_listed).collect())
}

fn without_holdout(value: &Value<'_>) -> Option<()> {
    if reported(value)?.contains(&Validation::Temporal) {
        let expected = "[\"internal\"], as nothing is held out by time";
        let instead = format!("write report = [\"internal\"], or add {}", HOLDOUT.example);
        return value.wrong_because(expected, "\"temporal\"", &instead);
    }
    Some(())
}
