//! `split.holdout` and `split.report`.

use super::super::raw::{Ask, Section, Value, ask};
use super::super::{Holdout, Validation};
use super::records;
use jiff::ToSpan;
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
    let on_records = records::are_meant(top);
    let accrual = records::accrual(top);
    let day = accrual.map_or(Some(ANY_DAY), suggested);
    if !split.has(HOLDOUT.key) {
        return split.optional(REPORT, |v| without_holdout(v, day.filter(|_| on_records))).map(|_| None);
    }
    let from = split.required(HOLDOUT, |value| {
        if on_records && !value.is_section() {
            let instead = day.map_or_else(|| ONE_DAY.to_owned(), |day| format!("write {}", example(day)));
            return value.wrong_because(HOLDOUT.expected, &value.shown(), &instead);
        }
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
        let of_day = day.map_or_else(|| FROM.example.to_owned(), |day| format!("from = {day}"));
        let from = holdout.required_as(FROM, &of_day, |v| within_accrual(v, accrual, day));
        let of = holdout.required(OF, of);
        holdout.finish();
        time?;
        of?;
        from.filter(|_| on_records)
    });
    let reported = split.required(REPORT, reported);
    Some(Some(Holdout { from: from?, reported: reported? }))
}

/// Where the file has no accrual to choose one from.
const ANY_DAY: Date = jiff::civil::date(2023, 1, 1);
/// What to do where an accrual has no day for it.
const ONE_DAY: &str =
    "remove holdout and report, or write a longer data.accrual: one day has no earlier and later part";

fn example(day: Date) -> String {
    HOLDOUT.example.replace(&ANY_DAY.to_string(), &day.to_string())
}

/// A day that leaves about a fifth of the accrual to be held out, the first of a month where one is near enough; none where
/// no day leaves something on either side.
fn suggested((first, last): (Date, Date)) -> Option<Date> {
    let days = first.until(last).ok()?.get_days();
    let day = first.checked_add((days - days / 5).days()).ok()?;
    let of_month = day.first_of_month();
    [of_month, day].into_iter().find(|day| is_within(*day, (first, last)))
}

fn is_within(day: Date, (first, last): (Date, Date)) -> bool {
    first < day && day <= last
}

/// A day that leaves some of the accrual on either side.
fn within_accrual(value: &Value<'_>, accrual: Option<(Date, Date)>, day: Option<Date>) -> Option<Date> {
    let Some(from) = value.as_date() else {
        // Quoted, or with a time: the day that was meant, if it may stand.
        let may_stand = |day: &Date| accrual.is_none_or(|accrual| is_within(*day, accrual));
        let instead = match (value.day().filter(may_stand), day) {
            (Some(meant), _) => format!("write it without quotes and without a time: from = {meant}"),
            (None, Some(day)) => format!("write from = {day}, or another day of data.accrual"),
            (None, None) => ONE_DAY.to_owned(),
        };
        return value.wrong_because(FROM.expected, &value.shown(), &instead);
    };
    // What is wrong with the accrual itself is said there.
    let Some((first, last)) = accrual else { return Some(from) };
    if is_within(from, (first, last)) {
        return Some(from);
    }
    let expected = if from > last {
        format!("a day of data.accrual, at the latest {last}: nobody has an index after it")
    } else {
        format!(
            "a day of data.accrual after its first, {first}: from that day on nothing is left to train on"
        )
    };
    let instead = day.map_or_else(
        || ONE_DAY.to_owned(),
        |day| format!("write another day after {first} and not after {last}, as from = {day}"),
    );
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

/// With the day that a holdout could have in this study.
fn without_holdout(value: &Value<'_>, day: Option<Date>) -> Option<()> {
    if reported(value)?.contains(&Validation::Temporal) {
        let expected = "[\"internal\"], as nothing is held out by time";
        let or = day.map_or_else(String::new, |day| format!(", or add {}", example(day)));
        let instead = format!("write report = [\"internal\"]{or}");
        return value.wrong_because(expected, "\"temporal\"", &instead);
    }
    Some(())
}
