//! `[features]`: age and sex, events in windows, measurements.

use super::super::{distinct_cells, section};
use super::measured;
use super::sets::Sets;
use super::windows::{self, Windows};
use super::{FEATURES, MAX_FEATURES};
use crate::study::limits::{FEATURES_MAX, NAME_BYTES_MAX};
use crate::study::parse::data::range;
use crate::study::raw::{Ask, Section, ask};
use crate::study::records::{Covariate, Criterion, RecordTable};
use crate::study::{Encoding, Feature};

/// OMOP's standard concepts, with the words for them.
const SEXES: [(&str, i64); 2] = [("female", 8532), ("male", 8507)];
pub(super) const CAP_MAX: u64 = 1_000_000;
pub(super) const CAP: Ask =
    ask("cap", "a whole number from 1 to 1000000: the public bound of a count", "cap = 50");
const WINDOWS_MAX: usize = 64;

/// Keys of events in windows, in the order of the model's inputs.
const EVENTS: [(Ask, RecordTable); 6] = [
    (events("conditions"), RecordTable::Condition),
    (events("drugs"), RecordTable::Drug),
    (events("procedures"), RecordTable::Procedure),
    (events("observations"), RecordTable::Observation),
    (events("visits"), RecordTable::Visit),
    (events("visit_details"), RecordTable::VisitDetail),
];

const fn events(key: &'static str) -> Ask {
    ask(
        key,
        "a table of sets, windows and encode",
        r#"conditions = { sets = ["self_harm"], windows = ["short"], encode = "binary" }"#,
    )
}

/// A feature, where it comes from, and the key that yields it.
pub(super) struct Found {
    pub(super) feature: Feature,
    pub(super) covariate: Covariate,
    pub(super) path: String,
}

pub(super) fn read(
    top: &Section<'_>,
    sets: &Sets,
    windows: &Windows,
    hours: Option<u32>,
    noted: Option<Vec<Found>>,
) -> Option<Vec<(Feature, Covariate)>> {
    const VOCABULARY: Ask = ask(
        "vocabulary",
        "\"listed\": features that data choose would have to be charged",
        r#"vocabulary = "listed""#,
    );
    const MEASUREMENT: Ask =
        ask("measurement", "tables [[features.measurement]]", "[[features.measurement]]");
    section(top, FEATURES, |section| {
        // Read beside this.
        section.ignore(&["windows", "notes"]);
        let most = section.required(MAX_FEATURES, |v| v.integer(1..=FEATURES_MAX as u64));
        let listed = section.required(VOCABULARY, |v| v.word(&["listed"]));
        let mut parts = vec![demographics(section)];
        for (ask, table) in EVENTS {
            let found = section.optional(ask, |v| {
                let section = v.section()?;
                let found = in_windows(&section, table, sets, windows);
                section.finish();
                found
            });
            parts.push(found.map(Option::unwrap_or_default));
        }
        let measured = section.optional(MEASUREMENT, |v| measured::read(v, sets, windows, hours));
        parts.push(measured.map(Option::unwrap_or_default));
        parts.push(noted);
        let sound = parts.iter().all(Option::is_some);
        let found: Vec<Found> = parts.into_iter().flatten().flatten().collect();
        let distinct = check_names(top, &found);
        if sound && found.is_empty() {
            let instead = "add demographics, conditions or [[features.measurement]]";
            section.wrong("max_features", "something that the model looks at", "no feature", instead);
            return None;
        }
        most?;
        listed?;
        distinct?;
        sound.then(|| found.into_iter().map(|found| (found.feature, found.covariate)).collect())
    })
}

/// Names are columns of output: distinct, and of a length.
fn check_names(top: &Section<'_>, found: &[Found]) -> Option<()> {
    let mut sound = Some(());
    for (i, Found { feature: Feature { name, .. }, path, .. }) in found.iter().enumerate() {
        if let Some(before) = found[..i].iter().find(|before| before.feature.name == *name) {
            let found = format!("{name:?}, as under {}", before.path);
            let instead = "give one of them another name; a set or a window may stand under two names";
            top.wrong(path, "names of features that differ", &found, instead);
            sound = None;
        }
        if name.len() > NAME_BYTES_MAX {
            let expected = format!("names of at most {NAME_BYTES_MAX} bytes, set and window joined");
            top.wrong(path, &expected, &format!("{name:?}"), "shorten the names of the set or of the window");
            sound = None;
        }
    }
    sound
}

fn demographics(section: &Section<'_>) -> Option<Vec<Found>> {
    const DEMOGRAPHICS: Ask = ask(
        "demographics",
        "a list of \"age\" and \"sex\" (others are not in this version)",
        r#"demographics = ["age", "sex"]"#,
    );
    const RANGE: Ask =
        ask("age_range", "[low, high] in years, public: an age is clipped to it", "age_range = [18, 90]");
    const NO_RANGE: Ask = ask("age_range", "nothing without age", r#"demographics = ["age"], or remove it"#);
    let words = section.optional(DEMOGRAPHICS, |v| {
        let words = v.list(1..=2, |item| item.word(&["age", "sex"]).map(str::to_owned))?;
        distinct_cells(v, &words)?;
        Some(words)
    });
    let Some(words) = words else {
        section.ignore(&[RANGE.key]);
        return None;
    };
    let words = words.unwrap_or_default();
    let path = format!("{}.demographics", section.path);
    let age = if words.iter().any(|word| word == "age") {
        section.required(RANGE, range).map(Some)
    } else {
        section.optional(NO_RANGE, |v| v.wrong())
    };
    let age = age?;
    let feature = |name: &str, unit: Option<&str>, encoding, covariate| Found {
        feature: Feature { name: name.to_owned(), unit: unit.map(str::to_owned), encoding },
        covariate,
        path: path.clone(),
    };
    let read = |word: &String| match (word.as_str(), age) {
        ("age", Some((low, high))) => {
            feature("age", Some("years"), Encoding::Number { low, high }, Covariate::Age)
        }
        _ => feature(
            "sex",
            None,
            Encoding::Category { levels: SEXES.map(|(word, _)| word.to_owned()).to_vec() },
            Covariate::Sex { levels: SEXES.map(|(_, concept)| vec![concept]).to_vec() },
        ),
    };
    Some(words.iter().map(read).collect())
}

/// `{ sets, windows, encode, cap }`: one feature for each set in each window.
fn in_windows(
    section: &Section<'_>,
    table: RecordTable,
    sets: &Sets,
    windows: &Windows,
) -> Option<Vec<Found>> {
    const SETS: Ask = ask("sets", "a list of concept sets, at least one", r#"sets = ["self_harm"]"#);
    const WINDOWS: Ask = ask("windows", "a list of windows, at least one", r#"windows = ["short"]"#);
    const ENCODE: Ask =
        ask("encode", "\"binary\" for whether, \"log1p-count\" for how often", r#"encode = "binary""#);
    const NO_CAP: Ask =
        ask("cap", "nothing with encode = \"binary\"", r#"encode = "log1p-count", or remove cap"#);
    let sets = section.required(SETS, |v| {
        let named = v.list(1..=FEATURES_MAX, |item| Some((item.text_where(|_| true)?, sets.named(item)?)))?;
        distinct_cells(v, &named.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())?;
        Some(named)
    });
    let windows = section.required(WINDOWS, |v| {
        let named = v.list(1..=WINDOWS_MAX, |item| windows::named(item, windows))?;
        distinct_cells(v, &named.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())?;
        Some(named)
    });
    let encoding = match section.required(ENCODE, |v| v.word(&["binary", "log1p-count"])) {
        None => {
            section.ignore(&[CAP.key]);
            None
        }
        Some("binary") => section.optional(NO_CAP, |v| v.wrong::<()>()).map(|_| Encoding::Flag),
        Some(_) => section.required(CAP, |v| v.small(1..=CAP_MAX)).map(|cap| Encoding::Count { cap }),
    };
    let (sets, windows, encoding) = (sets?, windows?, encoding?);
    let each = sets.iter().flat_map(|set| windows.iter().map(move |window| (set, window)));
    let found = each.map(|((set, index), (window_name, window))| {
        let events = Criterion { table, set: Some(*index) };
        let covariate = match encoding {
            Encoding::Flag => Covariate::Present { events, window: *window },
            _ => Covariate::Count { events, window: *window },
        };
        let name = format!("{set}_{window_name}");
        let feature = Feature { name, unit: None, encoding: encoding.clone() };
        Found { feature, covariate, path: section.path.clone() }
    });
    Some(found.collect())
}
