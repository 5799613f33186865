//! `[[features.measurement]]`: a number of a stretch of time, in a unit, within public limits.

use super::super::data::{RANGE, range};
use super::super::{label, sections};
use super::features::Found;
use super::sets::Sets;
use super::windows::{self, Windows};
use crate::study::lookup::Mentioned;
use crate::study::raw::{Ask, Section, Value, ask};
use crate::study::records::{Covariate, Criterion, RecordTable, SetIndex, Take};
use crate::study::{Encoding, Feature};

const UNITS_MAX: usize = 16;
const UNIT_BYTES_MAX: usize = 50;
/// Ends the name of the feature that says how far a number lies outside its normal range.
const DISTANCE: &str = "_distance";

pub(super) fn read(
    value: &Value<'_>,
    sets: &Sets,
    windows: &Windows,
    hours: Option<u32>,
) -> Option<Vec<Found>> {
    let both = sections(value, |section| measurement(section, sets, windows, hours))?;
    Some(both.into_iter().flatten().collect())
}

fn measurement(
    section: &Section<'_>,
    sets: &Sets,
    windows: &Windows,
    hours: Option<u32>,
) -> Option<Vec<Found>> {
    const NAME: Ask = ask("name", "one word", r#"name = "heart_rate""#);
    const FROM: Ask = ask("from", "\"measurement\" or \"observation\"", r#"from = "measurement""#);
    const TAKE: Ask = ask(
        "take",
        "\"last\", \"first\", \"min\", \"max\", \"mean\" or \"worst\" (\"count\" is not in this version)",
        r#"take = "last""#,
    );
    const MISSING: Ask = ask(
        "unit_missing",
        "\"drop\", or \"accept\" to take a value without a unit as being in this one",
        r#"unit_missing = "drop""#,
    );
    const NORMAL: Ask =
        ask("normal", "[low, high] within range and smaller: a public normal range", "normal = [60, 100]");
    const PLAUSIBLE: Ask = ask(
        "plausible",
        "[low, high] around range: beyond it a value is a mistake and is left out",
        "plausible = [0, 350]",
    );
    let name = section.required(NAME, label);
    let set = concepts(section, sets);
    let table = section.optional(FROM, |v| {
        Some(match v.word(&["measurement", "observation"])? {
            "observation" => RecordTable::Observation,
            _ => RecordTable::Measurement,
        })
    });
    let window = section.required(windows::USED, |v| windows::used(v, windows, hours));
    let take = section.required(TAKE, |v| v.word(&["last", "first", "min", "max", "mean", "worst"]));
    let units = units(section);
    let unit_missing =
        section.optional(MISSING, |v| v.word(&["drop", "accept"]).map(|word| word == "accept"));
    let limits = section.required(RANGE, range);
    let normal = section.optional(NORMAL, |v| normal(v, limits));
    let plausible = section.optional(PLAUSIBLE, |v| {
        let (low, high) = range(v)?;
        match limits.filter(|limits| low > limits.0 || high < limits.1) {
            None => Some((low, high)),
            Some(limits) => {
                let expected = format!("limits around the range, {} to {}", limits.0, limits.1);
                v.wrong_because(&expected, &format!("{low} to {high}"), "widen plausible, or narrow range")
            }
        }
    });
    if take == Some("worst") && normal == Some(None) {
        let instead = "add normal = [low, high], or write take = \"max\" or \"min\"";
        section.wrong("take", "a normal range beside \"worst\"", "none", instead);
        return None;
    }
    let (normal, units) = (normal?, units?);
    let take = match take? {
        "last" => Take::Last,
        "first" => Take::First,
        "min" => Take::Min,
        "max" => Take::Max,
        "mean" => Take::Mean,
        // Its normal range is that of the distance, which comes right after.
        _ => Take::Worst,
    };
    let events = Criterion { table: table?.unwrap_or(RecordTable::Measurement), set: Some(set?) };
    let (low, high) = limits?;
    let name = name?;
    let covariate = Covariate::Measured {
        events,
        window: window?,
        take,
        units: units.clone(),
        unit_missing: unit_missing?.unwrap_or(false),
        plausible: plausible?,
    };
    let distance =
        normal.map(|normal| (format!("{name}{DISTANCE}"), Encoding::Distance { range: (low, high), normal }));
    let own = (name, Encoding::Number { low, high });
    let found = std::iter::once(own).chain(distance).map(|(name, encoding)| Found {
        feature: Feature { name, unit: Some(units[0].clone()), encoding },
        covariate: covariate.clone(),
        path: format!("{}.name", section.path),
    });
    Some(found.collect())
}

fn concepts(section: &Section<'_>, sets: &Sets) -> Option<SetIndex> {
    const SET: Ask = ask("set", "the name of a concept set", r#"set = "heart_rate""#);
    const WAYS: [&str; 3] = ["set", "id", "code"];
    let there: Vec<&str> = WAYS.into_iter().filter(|way| section.has(way)).collect();
    match there[..] {
        ["set"] => section.required(SET, |v| sets.named(v)),
        ["id"] => sets.id_within(section),
        ["code"] => sets.code_within(section),
        _ => {
            section.ignore(&["set", "id", "code", "concept_name"]);
            let found = if there.is_empty() { "none".to_owned() } else { there.join(" and ") };
            let expected = "one of set, id (with concept_name) and code";
            let instead = r#"write id = 3027018 and concept_name = "Heart rate", say"#;
            section.wrong_here(expected, &found, instead)
        }
    }
}

fn units(section: &Section<'_>) -> Option<Vec<String>> {
    const UNIT: Ask = ask("unit", "a UCUM code, as mm[Hg]", r#"unit = "mm[Hg]""#);
    const UNITS: Ask = ask(
        "units",
        "1 to 16 UCUM codes that differ and mean the same unit",
        r#"units = ["10*3/uL", "10*9/L"]"#,
    );
    let code = |text: &str| {
        (1..=UNIT_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let read = |v: &Value<'_>| {
        let unit = v.text_where(code)?;
        v.mention(Mentioned::Unit(unit.clone()));
        Some(unit)
    };
    let unit = section.optional(UNIT, read);
    let units = section.optional(UNITS, |v| {
        let units = v.list(1..=UNITS_MAX, read)?;
        distinct_units(v, &units)?;
        Some(units)
    });
    match (unit?, units?) {
        (Some(unit), None) => Some(vec![unit]),
        (None, Some(units)) => Some(units),
        (unit, _) => {
            let found = if unit.is_some() { "both" } else { "neither" };
            let instead = "write unit for one UCUM code, units for several that mean the same";
            section.wrong("unit", "either unit or units", found, instead);
            None
        }
    }
}

/// UCUM codes differ in case: `m` is not `M`.
fn distinct_units(value: &Value<'_>, units: &[String]) -> Option<()> {
    match units.iter().enumerate().find(|(i, unit)| units[..*i].contains(unit)) {
        None => Some(()),
        Some((_, unit)) => value.wrong_because("codes that differ", &format!("{unit:?} twice"), "keep one"),
    }
}

fn normal(value: &Value<'_>, limits: Option<(f64, f64)>) -> Option<(f64, f64)> {
    let ends = value.list(2..=2, |item| item.number(|_| true))?;
    let normal = (ends[0], ends[1]);
    if normal.0 > normal.1 {
        return value.wrong();
    }
    let fits = |limits: (f64, f64)| limits.0 <= normal.0 && normal.1 <= limits.1 && limits != normal;
    match limits.filter(|limits| !fits(*limits)) {
        None => Some(normal),
        Some((low, high)) => {
            let expected = format!("a normal range within the range, {low} to {high}, and smaller");
            let found = format!("{} to {}", normal.0, normal.1);
            value.wrong_because(&expected, &found, "widen range, or narrow normal")
        }
    }
}
