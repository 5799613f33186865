//! `[[attribute]]` from a person's own concepts, or from the year of birth.

use super::super::evaluation::{EDGES, attribute_name, edges};
use super::super::people::distinct;
use super::super::{completeness, distinct_cells, name, sections};
use super::bindings::Bindings;
use crate::study::limits::LEVELS_MAX;
use crate::study::lookup::Mentioned;
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

pub(super) fn read(top: &Section<'_>, bindings: &Bindings) -> Option<Vec<(Attribute, Vec<PersonField>)>> {
    const ATTRIBUTES: Ask = ask("attribute", "tables [[attribute]]", "[[attribute]]");
    let attributes = top.optional(ATTRIBUTES, |value| {
        let mut names = Vec::new();
        sections(value, |section| {
            let attribute = attribute(section, bindings)?;
            distinct(section, "name", &mut names, attribute.0.name.clone());
            Some(attribute)
        })
    });
    Some(attributes?.unwrap_or_default())
}

/// How `from` names a binding.
const OF_BINDING: &str = "binding:";
/// Most fields of an attribute.
const FIELDS_MAX: usize = 8;

fn attribute(section: &Section<'_>, bindings: &Bindings) -> Option<(Attribute, Vec<PersonField>)> {
    const FROM: Ask = ask(
        "from",
        "a list of person.gender_concept_id, person.race_concept_id, person.ethnicity_concept_id and binding:NAME, or \
         person.year_of_birth alone",
        r#"from = ["person.gender_concept_id"]"#,
    );
    let attribute = attribute_name(section);
    let only_counted = completeness::is_meant(section);
    let fields = section.required(FROM, |v| {
        let (words, fields): (Vec<String>, Vec<PersonField>) =
            v.list(1..=FIELDS_MAX, |item| field(item, bindings))?.into_iter().unzip();
        distinct_cells(v, &words)?;
        if fields.len() > 1 && fields.contains(&PersonField::YearOfBirth) {
            let expected = "person.year_of_birth alone: bands of ages mix with no concepts";
            return v.wrong_because(expected, &format!("{} fields", fields.len()), "write two attributes");
        }
        if only_counted == Some(true) && fields.contains(&PersonField::YearOfBirth) {
            let expected = "anything but person.year_of_birth: whose age is not known shows in bands of ages";
            let instead = "write edges in place of use, or remove the attribute";
            return v.wrong_because(expected, "person.year_of_birth", instead);
        }
        Some(fields)
    });
    let values = match fields.as_deref() {
        _ if only_counted.is_none() => None,
        _ if only_counted == Some(true) => {
            let keep = keep_unknown(section);
            let told_by_sites = fields.as_deref().is_some_and(|fields| ToldBy::of(fields) == ToldBy::Sites);
            let states = match told_by_sites {
                true => completeness::told_by_sites(section),
                false => completeness::concepts(section),
            };
            states.filter(|_| keep.is_some()).map(AttributeValues::RecordedConcepts)
        }
        None => {
            section.ignore(&["edges", "levels", REFUSED, "not_asked", "keep_unknown"]);
            None
        }
        Some([PersonField::YearOfBirth]) => section.required(EDGES, edges).map(AttributeValues::Bands),
        Some(fields) => concepts(section, fields),
    };
    Some((Attribute { name: attribute?, values: values? }, fields?))
}

/// As written, and what it means.
fn field(item: &Value<'_>, bindings: &Bindings) -> Option<(String, PersonField)> {
    let word = item.text_where(|_| true)?;
    if let Some(name) = word.strip_prefix(OF_BINDING) {
        return bindings.field(item, name).map(|field| (word.clone(), field));
    }
    item.word(&FIELDS.map(|(word, _)| word))?;
    FIELDS.iter().find(|(known, _)| *known == word).map(|(_, field)| (word.clone(), *field))
}

fn concepts(section: &Section<'_>, fields: &[PersonField]) -> Option<AttributeValues> {
    const LEVELS: Ask = ask(
        "levels",
        "1 to 254 of { concepts, label }, labels distinct",
        r#"levels = [{ concepts = [8507], label = "male" }, { concepts = [8532], label = "female" }]"#,
    );
    const REFUSED_IDS: Ask =
        ask(REFUSED, "a list of concept ids that mean \"refused to say\"", "refused = [1]");
    const NOT_ASKED_IDS: Ask =
        ask("not_asked", "a list of concept ids that mean \"not asked\"", "not_asked = [2]");
    let told_by = ToldBy::of(fields);
    // Which group has it, of those before.
    let mut seen: Vec<(i64, String)> = Vec::new();
    let levels = section.required(LEVELS, |v| {
        let levels = v.list(1..=LEVELS_MAX - 2, |item| level(item, told_by, &mut seen))?;
        let mut labels: Vec<String> = levels.iter().map(|(_, label)| label.clone()).collect();
        labels.extend([CONFLICTING, UNKNOWN].map(str::to_owned));
        // Where a site tells the values, the study lists no concepts of these two: they are labels like others.
        let own = [(REFUSED, REFUSED), (NOT_ASKED, "not_asked")];
        let is_taken = |(_, key): &&(&str, &str)| told_by == ToldBy::Concepts || section.has(key);
        labels.extend(own.iter().filter(is_taken).map(|(label, _)| (*label).to_owned()));
        distinct_cells(v, &labels)?;
        Some(levels)
    });
    let refused = section.optional(REFUSED_IDS, |v| ids(v, REFUSED, &mut seen));
    let not_asked = section.optional(NOT_ASKED_IDS, |v| ids(v, NOT_ASKED, &mut seen));
    let keep = keep_unknown(section);
    let mut levels = levels?;
    levels.extend(refused?.map(|concepts| (concepts, REFUSED.to_owned())));
    levels.extend(not_asked?.map(|concepts| (concepts, NOT_ASKED.to_owned())));
    keep?;
    Some(AttributeValues::Concepts(levels))
}

/// Written or not, it holds.
fn keep_unknown(section: &Section<'_>) -> Option<()> {
    const KEEP: Ask = ask(
        "keep_unknown",
        "true: who is not recorded is a group, so that it shows whom the records leave out",
        "keep_unknown = true",
    );
    section.optional(KEEP, |v| v.boolean()?.then_some(()).or_else(|| v.wrong())).map(|_| ())
}

/// Who says what means a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ToldBy {
    /// The study, by concepts of table `person`.
    Concepts,
    /// Each site, by its answer to a binding.
    Sites,
    /// Either.
    Both,
}

impl ToldBy {
    fn of(fields: &[PersonField]) -> Self {
        let bound = fields.iter().filter(|field| matches!(field, PersonField::Binding(_))).count();
        match bound {
            0 => Self::Concepts,
            all if all == fields.len() => Self::Sites,
            _ => Self::Both,
        }
    }
}

fn level(item: &Value<'_>, told_by: ToldBy, seen: &mut Vec<(i64, String)>) -> Option<Level> {
    const NO_CONCEPTS: Ask =
        ask("concepts", "nothing: the site's answer to the binding says them", r#"{ label = "White" }"#);
    const LABEL: Ask = ask("label", "what to print", r#"label = "male""#);
    const CONCEPTS: Ask = ask("concepts", "a list of concept ids above 0, at least one", "concepts = [8507]");
    let section = item.section()?;
    let label = section.required(LABEL, name);
    let mut read = |v: &Value<'_>| ids(v, label.as_deref().unwrap_or("another"), seen);
    let concepts = match told_by {
        ToldBy::Concepts => section.required(CONCEPTS, &mut read),
        ToldBy::Both => section.optional(CONCEPTS, &mut read).map(Option::unwrap_or_default),
        ToldBy::Sites => section.optional(NO_CONCEPTS, |v| v.wrong()).map(Option::unwrap_or_default),
    };
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
        item.mention(Mentioned::Value(id));
        Some(id)
    })
}
