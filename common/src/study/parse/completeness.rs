//! `use = "completeness-only"` of an `[[attribute]]`: how it is written for tables and for records, and what it rules out.

use super::super::cell;
use super::super::limits::{CONCEPTS_LISTED_MAX, GROUPING_NAME_BYTES_MAX};
use super::super::lookup::Mentioned;
use super::super::raw::{Ask, Section, Value, ask};
use super::super::records::{Covariate, PersonField};
use super::super::{Data, NotRecorded, Study};

/// As study files write it.
pub(super) const ONLY: &str = "completeness-only";

const USE: Ask = ask(
    "use",
    "\"completeness-only\": how often it is recorded, and nothing else; or no such key",
    r#"use = "completeness-only""#,
);
/// What stands in a record and is no value: keys of such attributes only, and of records the last two also of others.
const UNKNOWN: &str = "unknown";
const REFUSED: &str = "refused";
const NOT_ASKED: &str = "not_asked";

/// Whether the attribute is one. Where that cannot be told, it is reported, and no key that hangs on it is judged.
pub(super) fn is_meant(section: &Section<'_>) -> Option<bool> {
    let word = section.optional(USE, |v| v.word(&[ONLY]));
    if word.is_none() {
        section.ignore(&["edges", "levels", UNKNOWN, REFUSED, NOT_ASKED, "keep_unknown"]);
    }
    word.map(|word| word.is_some())
}

/// Keys that say what was recorded: nobody asks for that.
fn without_values(section: &Section<'_>) -> Option<()> {
    const NO_LEVELS: Ask =
        ask("levels", "nothing: what is recorded is not asked, only whether it is", "no key levels");
    const NO_EDGES: Ask =
        ask("edges", "nothing: what is recorded is not asked, only whether it is", "no key edges");
    let levels = section.optional(NO_LEVELS, |v| v.wrong::<()>());
    let edges = section.optional(NO_EDGES, |v| v.wrong::<()>());
    levels.and(edges).map(|_| ())
}

/// Of a table's column: cells that are no value.
pub(super) fn cells(section: &Section<'_>) -> Option<NotRecorded<String>> {
    const UNKNOWN_CELLS: Ask =
        ask(UNKNOWN, "a list of cell texts that mean as much as an empty one", r#"unknown = ["not known"]"#);
    const REFUSED_CELLS: Ask =
        ask(REFUSED, "a list of cell texts that mean \"refused to say\"", r#"refused = ["declined"]"#);
    const NOT_ASKED_CELLS: Ask =
        ask(NOT_ASKED, "a list of cell texts that mean \"not asked\"", r#"not_asked = ["not asked"]"#);
    let values = without_values(section);
    read(
        section,
        [UNKNOWN_CELLS, REFUSED_CELLS, NOT_ASKED_CELLS],
        |item| {
            let text = item.cell()?;
            if text.is_empty() { item.wrong() } else { Some(text) }
        },
        |a, b| cell::same(a, b),
    )
    .filter(|_| values.is_some())
}

/// Of records: concepts that are no value.
pub(super) fn concepts(section: &Section<'_>) -> Option<NotRecorded<i64>> {
    const UNKNOWN_IDS: Ask =
        ask(UNKNOWN, "a list of concept ids that mean as much as nothing", "unknown = [8552]");
    const REFUSED_IDS: Ask =
        ask(REFUSED, "a list of concept ids that mean \"refused to say\"", "refused = [1]");
    const NOT_ASKED_IDS: Ask =
        ask(NOT_ASKED, "a list of concept ids that mean \"not asked\"", "not_asked = [2]");
    let values = without_values(section);
    read(
        section,
        [UNKNOWN_IDS, REFUSED_IDS, NOT_ASKED_IDS],
        |item| {
            let id = i64::try_from(item.integer(1..=i64::MAX as u64)?).expect("within the bounds");
            item.mention(Mentioned::Value(id));
            Some(id)
        },
        |a, b| a == b,
    )
    .filter(|_| values.is_some())
}

/// Of records whose values the sites' answers to bindings tell, and nothing else does: concepts would be looked for nowhere.
pub(super) fn told_by_sites(section: &Section<'_>) -> Option<NotRecorded<i64>> {
    let values = without_values(section);
    let mut is_told = values.is_some();
    for key in [UNKNOWN, REFUSED, NOT_ASKED] {
        const EXPECTED: &str = "nothing: the site's answer to the binding says what it means";
        let told = ask(key, EXPECTED, "no such key");
        let instead = format!(
            "remove {key}: in the answer a level has the label \"recorded\", \"refused\" or \"not asked\", and everything else is unknown"
        );
        let found = section.optional(told, |v| v.wrong_because::<()>(EXPECTED, &v.shown(), &instead));
        is_told &= found.is_some();
    }
    is_told.then(NotRecorded::default)
}

/// The three lists, each left out or of 1 or more; nothing stands in two.
fn read<T: Clone + std::fmt::Display>(
    section: &Section<'_>,
    asks: [Ask; 3],
    item: impl Fn(&Value<'_>) -> Option<T>,
    same: impl Fn(&T, &T) -> bool,
) -> Option<NotRecorded<T>> {
    let mut known: Vec<T> = Vec::new();
    let [unknown, refused, not_asked] = asks.map(|ask| {
        let list = section.optional(ask, |v| {
            v.list(1..=CONCEPTS_LISTED_MAX, |one| {
                let read = item(one)?;
                if known.iter().any(|before| same(before, &read)) {
                    return one.wrong_because(
                        "values that differ",
                        &format!("{read} twice"),
                        "keep one of them",
                    );
                }
                known.push(read.clone());
                Some(read)
            })
        });
        list.map(Option::unwrap_or_default)
    });
    Some(NotRecorded { unknown: unknown?, refused: refused?, not_asked: not_asked? })
}

/// What only shows once all parts are there. Such an attribute is counted and nothing else: where it stands no input of the
/// model stands, and no other attribute, by which its values would be told after all.
pub(super) fn check(top: &Section<'_>, study: &Study) {
    const EXPECTED: &str = "a place that nothing else reads: the attribute is completeness-only";
    for at in study.completeness() {
        let name = &study.attributes[at].name;
        let path = |key: &str| format!("attribute[{}].{key}", at + 1);
        if name.len() > GROUPING_NAME_BYTES_MAX {
            let expected = format!("at most {GROUPING_NAME_BYTES_MAX} bytes: it names a release");
            top.wrong(&path("name"), &expected, &name.len().to_string(), "shorten it");
        }
        let (key, also) = match &study.data {
            Data::Table(table) => {
                let column = &table.attributes[at];
                let feature = table.features.iter().position(|feature| feature.column == *column);
                let other = (0..table.attributes.len()).find(|i| *i != at && table.attributes[*i] == *column);
                let feature = feature.map(|i| (format!("the feature {}", study.features[i].name), "feature"));
                ("column", feature.or_else(|| Some((attribute(study, other?), "other attribute"))))
            }
            Data::Records(records) => {
                let fields = &records.attributes[at];
                let of_sex = fields.contains(&PersonField::Gender)
                    && records.covariates.iter().any(|one| matches!(one, Covariate::Sex { .. }));
                let shares =
                    |i: &usize| *i != at && records.attributes[*i].iter().any(|field| fields.contains(field));
                let other = (0..records.attributes.len()).find(shares);
                let feature = of_sex.then(|| ("the feature sex".to_owned(), "feature"));
                ("from", feature.or_else(|| Some((attribute(study, other?), "other attribute"))))
            }
        };
        if let Some((also, which)) = also {
            let instead = format!("remove the {which}, or remove use = {ONLY:?}");
            top.wrong(&path(key), EXPECTED, &format!("one of {also}"), &instead);
        }
    }
}

fn attribute(study: &Study, at: usize) -> String {
    format!("the attribute {}", study.attributes[at].name)
}
