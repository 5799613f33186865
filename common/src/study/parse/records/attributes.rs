//! `[[attribute]]` from a person's own concepts, or from the year of birth.

use super::super::evaluation::{EDGES, attribute_name, edges};
use super::super::people::distinct;
use super::super::{distinct_cells, name, sections};
use crate::study::limits::LEVELS_MAX;
use crate::study::raw::{Ask, Section, Value, ask};
use crate::study::records::PersonField;
use crate::study::{Attribute, AttributeValues, CONFLICTING, UNKNOWN};

const FIELDS: [(&str, PersonField); 4] = [
    ("person.gender_concept_id", PersonField::Gender),
    ("person.race_concept_id", PersonField::Race),
    ("person.ethnicity_concept_id", PersonField::Ethnicity),
    ("person.year_of_birth", PersonField::YearOfBirth),
];
/// Groups with lists of their own.
const REFUSED: &str = "refused";
const NOT_ASKED: &str = "not asked";

/// Concepts of a group, and its label.
type Level = (Vec<i64>, String);

pub(super) fn read(top: &Section<'_>) -> Option<Vec<(Attribute, Vec<PersonField>)>> {
    const ATTRIBUTES: Ask = ask("attribute", "tables [[attribute]]", "[[attribute]]");
    let attributes = top.optional(ATTRIBUTES, |value| {
        let mut names = Vec::new();
        sections(value, |section| {
            let attribute = attribute(section)?;
            distinct(section, "name", &mut names, attribute.0.name.clone());
            Some(attribute)
        })
    });
    Some(attributes?.unwrap_or_default())
}

fn attribute(section: &Section<'_>) -> Option<(Attribute, Vec<PersonField>)> {
    const FROM: Ask = ask(
        "from",
        "a list of person.gender_concept_id, person.race_concept_id and person.ethnicity_concept_id, or \
         person.year_of_birth alone (bindings are not in this version)",
        r#"from = ["person.gender_concept_id"]"#,
    );
    let attribute = attribute_name(section);
    let fields = section.required(FROM, |v| {
        let words =
            v.list(1..=FIELDS.len(), |item| item.word(&FIELDS.map(|(word, _)| word)).map(str::to_owned))?;
        distinct_cells(v, &words)?;
        let field = |word: &String| FIELDS.iter().find(|(known, _)| known == word).map(|(_, field)| *field);
        let fields: Vec<PersonField> = words.iter().filter_map(field).collect();
        if fields.len() > 1 && fields.contains(&PersonField::YearOfBirth) {
            let expected = "person.year_of_birth alone: bands of ages mix with no concepts";
            return v.wrong_because(expected, &format!("{} fields", fields.len()), "write two attributes");
        }
        Some(fields)
    });
    let values = match fields.as_deref() {
        None => {
            section.ignore(&["edges", "levels", REFUSED, "not_asked", "keep_unknown"]);
            None
        }
        Some([PersonField::YearOfBirth]) => section.required(EDGES, edges).map(AttributeValues::Bands),
        Some(_) => concepts(section),
    };
    Some((Attribute { name: attribute?, values: values? }, fields?))
}

fn concepts(section: &Section<'_>) -> Option<AttributeValues> {
    const LEVELS: Ask = ask(
        "levels",
        "1 to 254 of { concepts, label }, labels distinct",
        r#"levels = [{ concepts = [8507], label = "male" }, { concepts = [8532], label = "female" }]"#,
    );
    const REFUSED_IDS: Ask =
        ask(REFUSED, "a list of concept ids that mean \"refused to say\"", "refused = [1]");
    const NOT_ASKED_IDS: Ask =
        ask("not_asked", "a list of concept ids that mean \"not asked\"", "not_asked = [2]");
    const KEEP: Ask = ask(
        "keep_unknown",
        "true: who is not recorded is a group, so that it shows whom the records leave out",
        "keep_unknown = true",
    );
    // Which group has it, of those before.
    let mut seen: Vec<(i64, String)> = Vec::new();
    let levels = section.required(LEVELS, |v| {
        let levels = v.list(1..=LEVELS_MAX - 2, |item| level(item, &mut seen))?;
        let mut labels: Vec<String> = levels.iter().map(|(_, label)| label.clone()).collect();
        labels.extend([REFUSED, NOT_ASKED, CONFLICTING, UNKNOWN].map(str::to_owned));
        distinct_cells(v, &labels)?;
        Some(levels)
    });
    let refused = section.optional(REFUSED_IDS, |v| ids(v, REFUSED, &mut seen));
    let not_asked = section.optional(NOT_ASKED_IDS, |v| ids(v, NOT_ASKED, &mut seen));
    let keep = section.optional(KEEP, |v| v.boolean()?.then_some(()).or_else(|| v.wrong()));
    let mut levels = levels?;
    levels.extend(refused?.map(|concepts| (concepts, REFUSED.to_owned())));
    levels.extend(not_asked?.map(|concepts| (concepts, NOT_ASKED.to_owned())));
    keep?;
    Some(AttributeValues::Concepts(levels))
}

fn level(item: &Value<'_>, seen: &mut Vec<(i64, String)>) -> Option<Level> {
    const LABEL: Ask = ask("label", "what to print", r#"label = "male""#);
    const CONCEPTS: Ask = ask("concepts", "a list of concept ids above 0, at least one", "concepts = [8507]");
    let section = item.section()?;
    let label = section.required(LABEL, name);
    let concepts = section.required(CONCEPTS, |v| ids(v, label.as_deref().unwrap_or("another"), seen));
    section.finish();
    Some((concepts?, label?))
}

/// Concepts that no group has yet.
fn ids(value: &Value<'_>, label: &str, seen: &mut Vec<(i64, String)>) -> Option<Vec<i64>> {
    value.list(1..=LEVELS_MAX, |item| {
        let id = item.integer(1..=i64::MAX as u64)?;
        let id = i64::try_from(id).expect("within the bounds");
        if let Some((_, group)) = seen.iter().find(|(known, _)| *known == id) {
            let found = format!("{id}, which is in {group}");
            return item.wrong_because("a concept that is in no other group", &found, "keep it in one");
        }
        seen.push((id, label.to_owned()));
        Some(id)
    })
}
