//! What was imported, written into a study file on OMOP records; comments and layout of the rest stay.

use super::{ALL_DAYS, EVENT_WORDS, Imported, NotImported, OutcomeEvents, Target};
use crate::study::records::{
    Anchor, Cohort, ConceptRef, ConceptSet, Criterion, Limit, Member, RecordTable, Rule, Window,
};
use std::collections::BTreeSet;
use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value, value};

/// A study file with what was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub text: String,
    /// What became of the template, beside the import's own notes; in plain words.
    pub notes: Vec<String>,
}

/// A study file on records without what it asks, of whom, and for what: empty texts and lists mark the gaps, each of which
/// [`crate::study::parse()`] reports. The roster, the privacy, the evaluation and the attributes stay.
///
/// # Errors
/// It is not TOML.
pub fn blank(template: &str) -> Result<String, NotImported> {
    const HEADER: &str = "\
# A study to start from, with what was imported. Approval binds the exact bytes of this file, comments included;
# docs/STUDY-FILE.md explains every key. `coordinator study check` names what is still to fill in.

";
    const GAPS: [&[&str]; 4] =
        [&["id"], &["title"], &["intended_use", "statement"], &["governance", "lay_summary"]];
    let mut document = parsed(template)?;
    for path in GAPS {
        if let Some(item) = at(document.as_item_mut(), path) {
            *item = with_comment("".into(), "fill in");
        }
    }
    if let Some(mut schema) = document.key_mut("schema") {
        schema.leaf_decor_mut().set_prefix(HEADER);
    }
    for key in ["concept_set", "cohort", "report"] {
        document.remove(key);
    }
    if let Some(data) = document.get_mut("data").and_then(Item::as_table_like_mut) {
        data.remove("accrual");
        data.remove("followup_to");
    }
    if let Some(features) = document.get_mut("features").and_then(Item::as_table_like_mut) {
        for key in
            ["conditions", "drugs", "procedures", "observations", "visits", "visit_details", "measurement"]
        {
            features.remove(key);
        }
    }
    if let Some(task) = first_task(&mut document) {
        set(task, "name", with_comment("".into(), "fill in: one word"));
        set(task, "target", with_comment("".into(), "fill in: the name of a cohort"));
        let mut outcome = InlineTable::new();
        outcome.insert("any_of", Array::new().into());
        set(task, "outcome", with_comment(outcome.into(), "fill in: what is predicted"));
    }
    Ok(document.to_string())
}

/// Puts an import into a study file on records: a cohort takes the place of the file's cohort, an outcome that of its task's
/// events. Sets that nothing looks for any more are taken out; a set whose name is taken by another gets a number.
///
/// # Errors
/// The template is not TOML, or no study on OMOP records.
pub fn write(template: &str, imported: &Imported) -> Result<Written, NotImported> {
    let mut document = parsed(template)?;
    let formats = at(document.as_item_mut(), &["data", "format"]).and_then(|item| item.as_array());
    let on_records = |formats: &Array| {
        formats.iter().any(|format| format.as_str().is_some_and(|format| format.starts_with("omop")))
    };
    if !formats.is_some_and(on_records) {
        let what = "the template is no study on OMOP records: its data.format lists none";
        return Err(NotImported::Invalid(what.to_owned()));
    }
    if first_task(&mut document).is_none() {
        return Err(NotImported::Invalid("the template has no [[task]]".to_owned()));
    }
    let mut notes = Vec::new();
    let mut imported = imported.clone();
    if let Some(target) = &imported.target {
        document.remove("cohort");
        if let Some(task) = first_task(&mut document) {
            set(task, "target", value(target.cohort.name.as_str()));
        }
        notes.extend(set_accrual(&mut document, target));
    }
    // Whatever named a set of the old outcome names none of it now.
    if imported.outcome.is_some()
        && let Some(Item::Value(Value::InlineTable(outcome))) =
            first_task(&mut document).and_then(|task| task.get_mut("outcome"))
    {
        outcome.insert("any_of", Array::new().into());
    }
    let used = sets_used(document.as_item());
    notes.extend(keep_sets(&mut document, &used));
    rename_taken(&mut document, &mut imported.sets, &mut notes);
    if let Some(outcome) = &imported.outcome {
        set_outcome(&mut document, outcome, &imported.sets);
    }
    let block = block(&imported);
    let text = document.to_string();
    let (before, after) = text.split_at(place_for(&text));
    let text = format!("{before}{block}{after}");
    parsed(&text)?;
    Ok(Written { text, notes })
}

fn parsed(text: &str) -> Result<DocumentMut, NotImported> {
    text.parse().map_err(|error| NotImported::Invalid(format!("the template is not TOML: {error}")))
}

fn at<'a>(item: &'a mut Item, path: &[&str]) -> Option<&'a mut Item> {
    path.iter().try_fold(item, |item, key| item.as_table_like_mut()?.get_mut(key))
}

fn first_task(document: &mut DocumentMut) -> Option<&mut dyn TableLike> {
    match document.get_mut("task")? {
        Item::ArrayOfTables(tasks) => tasks.get_mut(0).map(|task| task as &mut dyn TableLike),
        _ => None,
    }
}

/// Puts a value under a key, with the spaces and the comment that the key and its old value had, unless it has its own.
fn set(table: &mut dyn TableLike, key: &str, mut new: Item) {
    if let (Some(Item::Value(old)), Item::Value(new)) = (table.get(key), &mut new)
        && new.decor().suffix().is_none()
    {
        *new.decor_mut() = old.decor().clone();
    }
    match table.get_mut(key) {
        Some(item) => *item = new,
        None => drop(table.insert(key, new)),
    }
}

fn with_comment(value: Value, comment: &str) -> Item {
    Item::Value(value.decorated(" ", format!("   # {comment}")))
}

/// The days on which an index may lie: those of the import, or those of the template, if it is not blank.
fn set_accrual(document: &mut DocumentMut, target: &Target) -> Option<String> {
    let from_to = |item: &mut Item| {
        let day = |key| item.get(key).and_then(|day| day.as_datetime()).map(ToString::to_string);
        Some((day("from")?, day("to")?))
    };
    let had = at(document.as_item_mut(), &["data", "accrual"]).and_then(from_to);
    let (from, to) = match (target.accrual, &had) {
        (Some((from, to)), _) => (from, to),
        (None, Some((from, to))) => {
            return Some(format!(
                "data.accrual stays {from} to {to}: the imported cohort has no such days, so it is the same on those alone \
                 (all days: {} to {})",
                ALL_DAYS.0, ALL_DAYS.1
            ));
        }
        (None, None) => ALL_DAYS,
    };
    let day = |day: jiff::civil::Date| -> Value {
        Value::from(day.to_string().parse::<toml_edit::Datetime>().expect("a day as TOML writes it"))
    };
    let mut accrual = InlineTable::new();
    accrual.insert("from", day(from));
    accrual.insert("to", day(to));
    let data = document.get_mut("data").and_then(Item::as_table_like_mut)?;
    set(data, "accrual", with_comment(accrual.into(), "of the imported cohort"));
    let late = data.get("followup_to").and_then(|day| day.as_datetime()).map(ToString::to_string);
    (late? < to.to_string())
        .then(|| "data.followup_to lies before the imported accrual's last day: write a later one".to_owned())
}

/// Every name under a key `set` or `sets`, but for the sets' own tables.
fn sets_used(item: &Item) -> BTreeSet<String> {
    fn look(table: &dyn TableLike, used: &mut BTreeSet<String>) {
        for (key, item) in table.iter().filter(|(key, _)| *key != "concept_set") {
            match (key, item) {
                ("set", Item::Value(Value::String(name))) => drop(used.insert(name.value().clone())),
                ("sets", Item::Value(Value::Array(names))) => {
                    used.extend(names.iter().filter_map(|name| name.as_str()).map(str::to_owned));
                }
                (_, Item::Value(Value::Array(list))) => {
                    list.iter().filter_map(Value::as_inline_table).for_each(|table| look(table, used));
                }
                (_, Item::ArrayOfTables(tables)) => tables.iter().for_each(|table| look(table, used)),
                _ => item.as_table_like().into_iter().for_each(|table| look(table, used)),
            }
        }
    }
    let mut used = BTreeSet::new();
    item.as_table_like().into_iter().for_each(|table| look(table, &mut used));
    used
}

/// Takes out the sets that nothing looks for.
fn keep_sets(document: &mut DocumentMut, used: &BTreeSet<String>) -> Option<String> {
    let sets = document.get_mut("concept_set").and_then(Item::as_table_like_mut)?;
    let gone: Vec<String> =
        sets.iter().map(|(name, _)| name.to_owned()).filter(|name| !used.contains(name)).collect();
    for name in &gone {
        sets.remove(name);
    }
    if sets.is_empty() {
        document.remove("concept_set");
    }
    (!gone.is_empty())
        .then(|| format!("concept sets that nothing looks for any more are out: {}", gone.join(", ")))
}

/// Gives imported sets other names where the template has other sets of those names; the same set is not written twice.
fn rename_taken(document: &mut DocumentMut, sets: &mut [ConceptSet], notes: &mut Vec<String>) {
    let Some(known) = document.get_mut("concept_set").and_then(Item::as_table_like_mut) else { return };
    let bare = |text: &str| text.split_whitespace().collect::<String>().replace(",]", "]").replace(",}", "}");
    let taken: BTreeSet<String> = known.iter().map(|(name, _)| name.to_owned()).collect();
    let mut names: BTreeSet<String> =
        taken.iter().cloned().chain(sets.iter().map(|set| set.name.clone())).collect();
    for set in sets.iter_mut().filter(|set| taken.contains(&set.name)) {
        let same = |key: &str, members: &[Member]| {
            let theirs = known.get(&set.name).and_then(|known| known.get(key)).map(ToString::to_string);
            bare(&theirs.unwrap_or_else(|| "[]".to_owned())) == bare(&listed(members))
        };
        if same("include", &set.include) && same("exclude", &set.exclude) {
            known.remove(&set.name);
            continue;
        }
        let free = (2..).map(|number| format!("{}_{number}", set.name)).find(|name| !names.contains(name));
        let free = free.expect("there are more numbers than sets");
        notes.push(format!("the template has another set {}: the imported one is {free}", set.name));
        names.insert(free.clone());
        set.name = free;
    }
}

fn set_outcome(document: &mut DocumentMut, outcome: &OutcomeEvents, sets: &[ConceptSet]) {
    let Some(task) = first_task(document) else { return };
    set(task, "name", value(outcome.name.as_str()));
    let events: Array = outcome.any_of.iter().map(|event| event_value(event, sets)).collect();
    match task.get_mut("outcome") {
        Some(Item::Value(Value::InlineTable(known))) => {
            known.insert("any_of", events.into());
            known.decor_mut().set_suffix("");
        }
        _ => {
            let mut new = InlineTable::new();
            new.insert("any_of", events.into());
            set(task, "outcome", value(new));
        }
    }
    if let Some((from, to)) = outcome.days_at_risk {
        set(task, "time_at_risk_start_day", value(i64::from(from)));
        set(task, "horizons_days", value(Array::from_iter([i64::from(to)])));
    }
}

fn event_value(event: &Criterion, sets: &[ConceptSet]) -> Value {
    let mut table = InlineTable::new();
    table.insert("event", word(event.table).into());
    if let Some(set) = event.set {
        table.insert("set", sets[set.0].name.as_str().into());
    }
    table.into()
}

/// Before the first task and the comment above it; at the end where there is none.
fn place_for(text: &str) -> usize {
    let Some(task) = text.find("\n[[task]]") else { return text.len() };
    let mut place = task + 1;
    while let Some(line) = text[..place - 1].rfind('\n')
        && text[line + 1..place].starts_with('#')
    {
        place = line + 1;
    }
    place
}

fn block(imported: &Imported) -> String {
    let mut lines = comment(&format!("Imported: {}.", imported.origin));
    for note in &imported.notes {
        lines += &comment(&format!("- {note}."));
    }
    for set in &imported.sets {
        lines += &concept_set(set);
    }
    if let Some(target) = &imported.target {
        lines += &cohort(&target.cohort, &imported.sets);
    }
    lines + "\n"
}

/// Comment lines of a readable width.
fn comment(text: &str) -> String {
    const WIDTH: usize = 110;
    let mut lines = String::new();
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines += &format!("{line}\n");
            line = "#  ".to_owned();
        }
        line += &format!(" {word}");
    }
    lines + &line + "\n"
}

fn concept_set(set: &ConceptSet) -> String {
    let mut text = format!("[concept_set.{}]\ninclude = {}\n", set.name, listed(&set.include));
    if !set.exclude.is_empty() {
        text += &format!("exclude = {}\n", listed(&set.exclude));
    }
    if let Some(source) = &set.source {
        text += &format!("source  = {}\n", quoted(source));
    }
    text
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Members, each on a line of its own where there are several.
fn listed(members: &[Member]) -> String {
    let member = |member: &Member| {
        let concept = match &member.concept {
            ConceptRef::Id { id, name } => format!("id = {id}, name = {}", quoted(name)),
            ConceptRef::Code { vocabulary, code } => {
                format!("code = {}", quoted(&format!("{vocabulary}:{code}")))
            }
        };
        format!("{{ {concept}{} }}", if member.descendants { ", descendants = true" } else { "" })
    };
    rows(members.iter().map(member).collect())
}

fn rows(rows: Vec<String>) -> String {
    match rows.as_slice() {
        [] => "[]".to_owned(),
        [one] => format!("[{one}]"),
        _ => format!("[\n{}]", rows.iter().map(|row| format!("    {row},\n")).collect::<String>()),
    }
}

fn cohort(cohort: &Cohort, sets: &[ConceptSet]) -> String {
    let events = |event: &Criterion| format!("{{ {} }}", event_words(event, sets));
    let entry = rows(cohort.entry.iter().map(events).collect());
    let limit = match cohort.limit {
        Limit::FirstEver => "first-ever",
        Limit::FirstInAccrual => "first-in-accrual",
    };
    let index = match cohort.index {
        Anchor::Start => "start",
        Anchor::End => "end",
    };
    let mut text = format!(
        "[cohort.{}]\nentry   = {entry}\nlimit   = \"{limit}\"\nindex   = \"{index}\"\n",
        cohort.name
    );
    if cohort.predict_after_hours > 0 {
        text += &format!("predict_after_hours    = {}\n", cohort.predict_after_hours);
    }
    text += &format!("prior_observation_days = {}\n", cohort.prior_observation_days);
    for (key, rules) in [("require", &cohort.require), ("exclude", &cohort.exclude)] {
        if !rules.is_empty() {
            text += &format!("{key} = {}\n", rows(rules.iter().map(|one| rule(one, cohort, sets)).collect()));
        }
    }
    text + "max_episodes_per_person = 1\n"
}

fn event_words(event: &Criterion, sets: &[ConceptSet]) -> String {
    let set = event.set.map_or_else(String::new, |set| format!(", set = \"{}\"", sets[set.0].name));
    format!("event = \"{}\"{set}", word(event.table))
}

fn rule(rule: &Rule, cohort: &Cohort, sets: &[ConceptSet]) -> String {
    match rule {
        Rule::Age { min, max } => format!("{{ age = {{ min = {min}, max = {max} }} }}"),
        Rule::DiedBefore if cohort.predict_after_hours > 0 => {
            "{ died_on_or_before = \"prediction\" }".to_owned()
        }
        Rule::DiedBefore => "{ died_on_or_before = \"index\" }".to_owned(),
        Rule::StillThere => "{ still_there = true }".to_owned(),
        Rule::SeenBy(_) | Rule::TransferWithin { .. } => unreachable!("no import has rules on bindings"),
        Rule::Has { events, window, count_min } => {
            let window = match window {
                Window::Days { from, to } => format!("[{from}, {to}]"),
                Window::Hours { from, to } => format!("[\"{from}h\", \"{to}h\"]"),
            };
            let times = if *count_min == 1 { String::new() } else { format!(", at_least = {count_min}") };
            format!("{{ {}, window = {window}{times} }}", event_words(events, sets))
        }
    }
}

/// The study language's word for events of a table.
fn word(table: RecordTable) -> &'static str {
    let known = EVENT_WORDS.iter().find(|(_, known)| *known == table);
    known.expect("every table has a word").0
}

#[cfg(test)]
mod tests;
