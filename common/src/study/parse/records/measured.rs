//! `[[features.measurement]]`: a number of a stretch of time, in a unit, within public limits; or how many records there
//! are.

use super::super::data::{RANGE, range};
use super::super::{label, sections};
use super::features::{CAP, CAP_MAX, Found};
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
        "\"last\", \"first\", \"min\", \"max\", \"mean\", \"worst\" or \"count\"",
        r#"take = "last""#,
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
    let take = section.required(TAKE, |v| v.word(&["last", "first", "min", "max", "mean", "worst", "count"]));
    let made = match take {
        None => {
            section.ignore(&VALUE_KEYS);
            section.ignore(&[CAP.key]);
            return None;
        }
        Some("count") => counted(section).map(|encoding| Made::Counted { encoding }),
        Some(take) => taken(section, take),
    }?;
    let events = Criterion { table: table?.unwrap_or(RecordTable::Measurement), set: Some(set?) };
    let (name, window) = (name?, window?);
    let found = |name, unit, encoding, covariate| Found {
        feature: Feature { name, unit, encoding },
        covariate,
        path: format!("{}.name", section.path),
    };
    Some(match made {
        Made::Counted { encoding } => vec![found(name, None, encoding, Covariate::Count { events, window })],
        Made::Taken { take, units, unit_missing, plausible, limits: (low, high), normal } => {
            let unit = Some(units[0].clone());
            let covariate = Covariate::Measured { events, window, take, units, unit_missing, plausible };
            let distance = normal.map(|normal| {
                let encoding = Encoding::Distance { range: (low, high), normal };
                found(format!("{name}{DISTANCE}"), unit.clone(), encoding, covariate.clone())
            });
            let own = found(name.clone(), unit.clone(), Encoding::Number { low, high }, covariate.clone());
            std::iter::once(own).chain(distance).collect()
        }
    })
}

/// What becomes of the records in a window.
enum Made {
    /// Only how many there are.
    Counted { encoding: Encoding },
    /// One number of their values.
    Taken {
        take: Take,
        units: Vec<String>,
        unit_missing: bool,
        plausible: Option<(f64, f64)>,
        limits: (f64, f64),
        normal: Option<(f64, f64)>,
    },
}

/// Keys that say what a value is, which a count does not look at.
const VALUE_KEYS: [&str; 6] = ["unit", "units", "unit_missing", "range", "normal", "plausible"];

fn counted(section: &Section<'_>) -> Option<Encoding> {
    let mut clean = true;
    for key in VALUE_KEYS {
        let nothing = ask(key, "nothing with take = \"count\", which looks at no value", r#"take = "last""#);
        clean &= section.optional(nothing, |v| v.wrong::<()>()).is_some();
    }
    let cap = section.required(CAP, |v| v.small(1..=CAP_MAX));
    cap.filter(|_| clean).map(|cap| Encoding::Count { cap })
}

fn taken(section: &Section<'_>, take: &str) -> Option<Made> {
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
    const NO_CAP: Ask = ask("cap", "nothing, but with take = \"count\"", r#"take = "count", or remove cap"#);
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
    let no_cap = section.optional(NO_CAP, |v| v.wrong::<()>());
    if take == "worst" && normal == Some(None) {
        let instead = "add normal = [low, high], or write take = \"max\" or \"min\"";
        section.wrong("take", "a normal range beside \"worst\"", "none", instead);
        return None;
    }
    no_cap?;
    let take = match take {
        "last" => Take::Last,
        "first" => Take::First,
        "min" => Take::Min,
        "max" => Take::Max,
        "mean" => Take::Mean,
        // Its normal range is that of the distance, which comes right after.
        _ => Take::Worst,
    };
    Some(Made::Taken {
        take,
        units: units?,
        unit_missing: unit_missing?.unwrap_or(false),
        plausible: plausible?,
        limits: limits?,
        normal: normal?,
    })
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
