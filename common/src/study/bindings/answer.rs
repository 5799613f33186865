//! A hospital's answer to a study's bindings: a TOML file that people there write, in a closed language. It has no SQL, no
//! wildcard and no text but a `note` for people, and names only columns that the study allows.

use super::super::limits::NAME_BYTES_MAX;
use super::super::mistake::{Kind, Mistakes};
use super::super::parse::name;
use super::super::raw::{Ask, Section, Source, Value, ask, nearest};
use super::super::{Data, Study};
use super::{
    Binding, BindingIndex, BoundColumn, CONCEPTS_MAX, InForce, MARKS_MAX, Mark, Purpose, StayRule, ValueIs,
    ValueRule, Visits,
};
use toml::de::DeTable;

/// Longest answer, bytes, in which each quotation mark, backslash, tab and line end counts for four: so many it takes where
/// the signed approval is quoted in an entry of the ledger, which has [`crate::ledger::entry::ENTRY_BYTES_MAX`] at most.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024;

const BINDING: Ask = ask("binding", "tables [binding.NAME]", "[binding.psychiatric_stay]");
const ABSENT: Ask =
    ask("absent", "true: this hospital leaves it out, and says so in public", "absent = true");
const NOTE: Ask = ask("note", "one line for people", r#"note = "wards of the mental-health directorate""#);
const VISITS: Ask =
    ask("visits", "a list of visit_concept_id above 0: which visits can be one", "visits = [9201]");
const ANY_OF: Ask = ask(
    "any_of",
    "a list of { column, concepts }: a visit with any of them counts",
    r#"any_of = [{ column = "care_site.place_of_service_concept_id", concepts = [8971] }]"#,
);
const COLUMN: Ask =
    ask("column", "a column that the study allows", r#"column = "observation.value_as_concept_id""#);
const CONCEPTS: Ask = ask("concepts", "a list of concept ids above 0, at least one", "concepts = [8971]");
const OF: Ask = ask("of", "a list of observation_concept_id above 0: which observations", "of = [4013886]");
const LEVELS: Ask = ask(
    "levels",
    "a list of { concepts, label }, or of { range, label } for numbers",
    r#"levels = [{ concepts = [8527], label = "White" }]"#,
);
const LABEL: Ask = ask("label", "a label of the study's attribute", r#"label = "White""#);
const RANGE: Ask = ask("range", "[low, high]: numbers from the first to below the second", "range = [1, 2]");
const NO_OF: Ask = ask("of", "nothing: the levels say which observations", "no key of");
const NO_CONCEPTS: Ask = ask("concepts", "nothing: numbers have a range", "range = [1, 2]");
const NO_RANGE: Ask = ask("range", "nothing: concepts have no range", "concepts = [8527]");

/// The study as it holds at a hospital that answers this. An empty text is an answer, too: the defaults.
///
/// # Errors
/// Everything that is wrong with the answer, with line and key, and what to write instead.
pub fn fill_in(study: &Study, text: &str) -> Result<Study, Mistakes> {
    let length = text.len() + 3 * text.bytes().filter(|byte| b"\"\\\t\r\n".contains(byte)).count();
    if length > ANSWER_BYTES_MAX {
        let found = format!("{length} bytes");
        let expected =
            format!("at most {ANSWER_BYTES_MAX} bytes, quotation marks and line ends counted four times");
        return Err(Mistakes::one(1, "", &expected, found, "leave comments out, or list fewer concepts"));
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    let source = Source::new(text);
    if !errors.is_empty() {
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            let found = error.message().lines().collect::<Vec<_>>().join(", ");
            source.report(Kind::Syntax, at, "", "TOML", &found, "correct the syntax of this line");
        }
        return Err(Mistakes::new(source.into_mistakes()));
    }
    let in_force = answers(&Section::root(&source, document.get_ref()), study);
    let mistakes = source.into_mistakes();
    if !mistakes.is_empty() {
        return Err(Mistakes::new(mistakes));
    }
    let mut study = study.clone();
    if let Data::Records(records) = &mut study.data {
        for (binding, in_force) in records.bindings.iter_mut().zip(in_force) {
            binding.in_force = in_force.expect("without a mistake each has one");
        }
    }
    Ok(study)
}

/// What holds of each of the study's bindings, in their order.
fn answers(top: &Section<'_>, study: &Study) -> Vec<Option<InForce>> {
    let bindings = study.bindings();
    let mut answered: Vec<Option<Option<InForce>>> = vec![None; bindings.len()];
    let known = || bindings.iter().map(|binding| binding.name.as_str());
    let read = top.optional(BINDING, |value| {
        for (name, value) in value.section()?.entries(BINDING) {
            let Some(at) = known().position(|known| known == name) else {
                let expected = format!("a binding of the study: {}", known().collect::<Vec<_>>().join(", "));
                let instead = match nearest(&name, known()) {
                    Some(close) => format!("did you mean {close}?"),
                    None => "remove it".to_owned(),
                };
                let _: Option<()> = value.wrong_because(&expected, &format!("{name:?}"), &instead);
                continue;
            };
            answered[at] = Some(value.section().and_then(|section| {
                let answer = answer(&section, study, BindingIndex(at), &bindings[at]);
                section.finish();
                answer
            }));
        }
        Some(())
    });
    top.finish();
    if read.is_none() {
        return vec![None; bindings.len()];
    }
    let unanswered = |(answer, binding): (Option<Option<InForce>>, &Binding)| {
        answer.unwrap_or_else(|| by_default(binding).or_else(|| not_answered(top, binding)))
    };
    answered.into_iter().zip(bindings).map(unanswered).collect()
}

fn by_default(binding: &Binding) -> Option<InForce> {
    binding.default.clone().map(InForce::Stays)
}

/// Neither an answer nor a default.
fn not_answered(top: &Section<'_>, binding: &Binding) -> Option<InForce> {
    let path = format!("binding.{}", binding.name);
    let expected = format!("an answer to {:?}: the study has no default for it", binding.describe);
    let keys = match binding.purpose() {
        Purpose::Stays => "visits and any_of",
        Purpose::Values => "column, of and levels",
    };
    let absent =
        if binding.optional { ", or with absent = true where there is nothing of the kind" } else { "" };
    top.wrong_at(&path, &expected, "nothing", &format!("add [{path}] with {keys}{absent}"));
    None
}

fn answer(section: &Section<'_>, study: &Study, index: BindingIndex, binding: &Binding) -> Option<InForce> {
    let rule_keys: &[&'static str] = match binding.purpose() {
        Purpose::Stays => &[VISITS.key, ANY_OF.key],
        Purpose::Values => &[COLUMN.key, OF.key, LEVELS.key],
    };
    let has_rule = rule_keys.iter().any(|key| section.has(key));
    let note = section.optional(NOTE, name);
    if section.has(ABSENT.key) {
        section.ignore(rule_keys);
        section.required(ABSENT, |v| v.boolean()?.then_some(()).or_else(|| v.wrong()))?;
        if !binding.optional {
            let expected = "an answer: without these stays or values the study means nothing here";
            section.wrong(ABSENT.key, expected, "true", "answer it, or decline the study");
            return None;
        }
        if has_rule {
            let found = "both absent and an answer";
            section.wrong(ABSENT.key, "absent = true alone, or an answer without it", found, "remove one");
            return None;
        }
        note?;
        return Some(InForce::Absent);
    }
    if !has_rule {
        // A note alone goes with the default.
        section.ignore(rule_keys);
        let default = by_default(binding).or_else(|| not_answered(section, binding));
        note?;
        return default;
    }
    let in_force = match binding.purpose() {
        Purpose::Stays => stays(section, binding).map(InForce::Stays),
        Purpose::Values => values(section, binding, &study.binding_labels(index)).map(InForce::Values),
    };
    note?;
    in_force
}

fn stays(section: &Section<'_>, binding: &Binding) -> Option<StayRule> {
    let visits = section.optional(VISITS, |v| ids(v, &mut Vec::new()));
    let any_of = section.optional(ANY_OF, |v| {
        v.list(1..=MARKS_MAX, |item| {
            let section = item.section()?;
            let column = section.required(COLUMN, |v| column(v, binding));
            let concepts = section.required(CONCEPTS, |v| ids(v, &mut Vec::new()));
            section.finish();
            Some(Mark::Column { column: column?, concepts: concepts? })
        })
    });
    let of_default = || binding.default.as_ref().map_or(Visits::Any, |default| default.visits.clone());
    let visits = visits?.map_or_else(of_default, Visits::Listed);
    Some(StayRule { visits, any_of: any_of?.unwrap_or_default() })
}

fn column(value: &Value<'_>, binding: &Binding) -> Option<BoundColumn> {
    let name = value.text_where(|text| text.len() <= NAME_BYTES_MAX)?;
    let allowed = || binding.may_use.iter().map(|column| column.name());
    if let Some(column) = binding.may_use.iter().find(|column| column.name() == name) {
        return Some(*column);
    }
    let expected =
        format!("a column that the study allows here: {}", allowed().collect::<Vec<_>>().join(", "));
    let instead = match nearest(&name, allowed()) {
        Some(close) => format!("did you mean {close}?"),
        None => "name one of those".to_owned(),
    };
    value.wrong_because(&expected, &format!("{name:?}"), &instead)
}

fn values(section: &Section<'_>, binding: &Binding, labels: &[String]) -> Option<ValueRule> {
    let column = section.required(COLUMN, |v| column(v, binding));
    let Some(column) = column else {
        section.ignore(&[OF.key, LEVELS.key]);
        return None;
    };
    let of = if column == BoundColumn::ObservationConcept {
        section.optional(NO_OF, |v| v.wrong()).map(Option::unwrap_or_default)
    } else {
        section.required(OF, |v| ids(v, &mut Vec::new()))
    };
    let mut known = Known::default();
    let levels =
        section.required(LEVELS, |v| v.list(1..=MARKS_MAX, |item| level(item, column, labels, &mut known)));
    Some(ValueRule { column, of: of?, levels: levels? })
}

/// What the levels before have.
#[derive(Default)]
struct Known {
    concepts: Vec<i64>,
    ranges: Vec<(f64, f64)>,
}

fn level(
    item: &Value<'_>,
    column: BoundColumn,
    labels: &[String],
    known: &mut Known,
) -> Option<(ValueIs, String)> {
    let section = item.section()?;
    let is = if column == BoundColumn::ObservationValueNumber {
        let none = section.optional(NO_CONCEPTS, |v| v.wrong::<()>());
        let range = section.required(RANGE, |v| range(v, &mut known.ranges));
        none.and(range.map(|(low, high)| ValueIs::Numbers(low, high)))
    } else {
        let none = section.optional(NO_RANGE, |v| v.wrong::<()>());
        none.and(section.required(CONCEPTS, |v| ids(v, &mut known.concepts)).map(ValueIs::Concepts))
    };
    let label = section.required(LABEL, |v| {
        let label = v.text_where(|text| text.len() <= NAME_BYTES_MAX)?;
        if labels.contains(&label) {
            return Some(label);
        }
        let expected = format!("a label of the study's attribute: {}", labels.join(", "));
        let instead = match nearest(&label, labels.iter().map(String::as_str)) {
            Some(close) => format!("did you mean {close}?"),
            None => "write one of those".to_owned(),
        };
        v.wrong_because(&expected, &format!("{label:?}"), &instead)
    });
    section.finish();
    Some((is?, label?))
}

/// Concepts that differ, also from those before.
fn ids(value: &Value<'_>, known: &mut Vec<i64>) -> Option<Vec<i64>> {
    value.list(1..=CONCEPTS_MAX, |item| {
        let id = i64::try_from(item.integer(1..=i64::MAX as u64)?).expect("within the bounds");
        if known.contains(&id) {
            return item.wrong_because("concepts that differ", &format!("{id} twice"), "keep one");
        }
        known.push(id);
        Some(id)
    })
}

/// A stretch of numbers that no other level has.
fn range(value: &Value<'_>, known: &mut Vec<(f64, f64)>) -> Option<(f64, f64)> {
    let range = value.list(2..=2, |item| item.number(|_| true))?;
    let (low, high) = (range[0], range[1]);
    if low >= high {
        return value.wrong();
    }
    if let Some((from, to)) = known.iter().find(|(from, to)| low < *to && *from < high) {
        let expected = "numbers that no other level has";
        return value.wrong_because(
            expected,
            &format!("{low} to {high}, beside {from} to {to}"),
            "let them meet",
        );
    }
    known.push((low, high));
    Some((low, high))
}

#[cfg(test)]
mod tests;
