//! `predicates`: codes of MEDS, alone or joined with `or`.

use super::Reading;
use crate::study::import::node::{Fields, Node, unknown};
use crate::study::import::words::label;
use crate::study::records::{ConceptRef, ConceptSet, Criterion, Member, RecordTable, SetIndex};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The code of a death in MEDS.
const DEATH: &str = "MEDS_DEATH";
/// Most predicates of a file: each may name others in turn.
const PREDICATES_MAX: usize = 256;

/// The predicates of a file, and the concept sets made of them so far.
pub(super) struct Predicates<'a> {
    fields: Fields<'a>,
    reading: &'a Reading,
    sets: RefCell<Vec<ConceptSet>>,
    known: RefCell<BTreeMap<String, State>>,
}

/// Any of these, and what ACES counts of them.
type Events = (Vec<Criterion>, Count);

/// A predicate that something names.
enum State {
    /// Being read.
    Open,
    /// None where it cannot be said.
    Read(Option<Events>),
}

/// What ACES counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Rows of a plain predicate.
    Rows,
    /// Moments at which a derived one holds.
    Moments,
}

impl<'a> Predicates<'a> {
    pub(super) fn new(fields: Fields<'a>, reading: &'a Reading) -> Option<Self> {
        let names = fields.entries();
        if names.len() > PREDICATES_MAX {
            return fields.node().refuse(&format!("at most {PREDICATES_MAX} predicates are read"));
        }
        for name in reading.events.keys().filter(|name| names.iter().all(|(known, _)| known != name)) {
            let found = format!("--event {name}");
            let _: Option<()> = fields.node().refuse_as(&found, "there is no predicate of this name");
        }
        Some(Self { fields, reading, sets: RefCell::default(), known: RefCell::default() })
    }

    /// The events of a predicate that a value names.
    pub(super) fn events(&self, node: &Node<'_>) -> Option<Vec<Criterion>> {
        self.named(node.text()?, node).map(|(events, _)| events)
    }

    /// The events of a predicate, and what counts of it count; `by` names it.
    pub(super) fn named(&self, name: &str, by: &Node<'_>) -> Option<Events> {
        if matches!(name, "_ANY_EVENT" | "_RECORD_START" | "_RECORD_END" | "*") {
            return by.refuse_as(name, "events of any kind are not looked for here: name what is meant");
        }
        match self.known.borrow().get(name) {
            Some(State::Open) => return by.refuse_as(name, "predicates that name each other in a circle"),
            Some(State::Read(events)) => return events.clone(),
            None => {}
        }
        let Some((_, node)) = self.fields.entries().into_iter().find(|(known, _)| *known == name) else {
            return by.refuse_as(name, "there is no predicate of this name");
        };
        self.known.borrow_mut().insert(name.to_owned(), State::Open);
        let events = self.read(name, &node);
        self.known.borrow_mut().insert(name.to_owned(), State::Read(events.clone()));
        events
    }

    fn read(&self, name: &str, node: &Node<'_>) -> Option<Events> {
        let fields = node.fields()?;
        let Some(expression) = fields.get("expr") else {
            return self.plain(name, node, &fields).map(|event| (vec![event], Count::Rows));
        };
        fields.finish(unknown);
        let text = expression.text()?;
        let Some(parts) = text.strip_prefix("or(").and_then(|text| text.strip_suffix(')')) else {
            return expression
                .refuse("predicates can be joined by or; events that coincide are not looked for here");
        };
        let parts: Vec<_> = parts.split(',').map(|part| self.named(part.trim(), &expression)).collect();
        let mut events: Vec<Criterion> = Vec::new();
        for (part, _) in parts.into_iter().collect::<Option<Vec<_>>>()? {
            for event in part {
                if !events.contains(&event) {
                    events.push(event);
                }
            }
        }
        Some((events, Count::Moments))
    }

    fn plain(&self, name: &str, node: &Node<'_>, fields: &Fields<'_>) -> Option<Criterion> {
        let code = fields.required("code")?;
        fields.finish(|key| match key {
            "value_min" | "value_max" | "value_min_inclusive" | "value_max_inclusive" => {
                "a cohort here has no rule on values; they can be features"
            }
            "static" => "a cohort here has no rule on what has no time",
            _ => "other columns of MEDS are not looked at",
        });
        let node_of_code = code.clone();
        let codes = if let Some(code) = code.as_text() {
            vec![(code, node_of_code)]
        } else {
            let kinds = code.fields()?;
            let any = kinds.get("any");
            kinds.finish(|key| match key {
                "regex" => "codes are named one by one, so that people can read which are meant",
                _ => unknown(key),
            });
            let Some(any) = any else { return code.refuse("expected a code, or any of a list of codes") };
            let items = any.items()?;
            if items.is_empty() {
                return code.refuse("a list of no codes");
            }
            items.into_iter().map(|item| Some((item.text()?, item))).collect::<Option<Vec<_>>>()?
        };
        if codes.iter().all(|(code, _)| *code == DEATH) {
            return Some(Criterion { table: RecordTable::Death, set: None });
        }
        let members: Vec<_> = codes.iter().map(|(code, item)| member(code, item)).collect();
        let Some(table) = self.reading.events.get(name) else {
            let why = format!(
                "MEDS has no tables: say which events these are with --event {name}=condition (or another)"
            );
            return node.refuse_as("a predicate of unknown events", &why);
        };
        if *table == RecordTable::Death {
            return node.refuse_as("codes of a death", "causes of death are not read");
        }
        let mut include: Vec<Member> = members.into_iter().collect::<Option<_>>()?;
        let mut seen = Vec::new();
        include.retain(|member| {
            !seen.contains(&member.concept) && {
                seen.push(member.concept.clone());
                true
            }
        });
        Some(Criterion { table: *table, set: Some(self.set(name, include)) })
    }

    fn set(&self, name: &str, include: Vec<Member>) -> SetIndex {
        let mut sets = self.sets.borrow_mut();
        let source = Some(format!("ACES predicate {name:?}"));
        let known = sets.iter().position(|set| set.source == source);
        SetIndex(known.unwrap_or_else(|| {
            let plain = label(name, "predicate");
            let taken = |name: &str| sets.iter().any(|set| set.name == name);
            let names = std::iter::once(plain.clone()).chain((2..).map(|number| format!("{plain}_{number}")));
            let name = names.into_iter().find(|name| !taken(name)).expect("there are more numbers than sets");
            sets.push(ConceptSet { name, include, exclude: Vec::new(), source });
            sets.len() - 1
        }))
    }

    pub(super) fn unused_note(&self) -> Option<String> {
        let used = self.known.borrow();
        let names = self.fields.entries().into_iter().map(|(name, _)| name);
        let unused: Vec<&str> = names.filter(|name| !used.contains_key(*name)).collect();
        let words =
            || format!("predicates that nothing in the file names are left out: {}", unused.join(", "));
        (!unused.is_empty()).then(words)
    }

    pub(super) fn finish(self) -> Vec<ConceptSet> {
        self.sets.into_inner()
    }
}

/// `SNOMED/191736004`, or with two slashes.
fn member(code: &str, node: &Node<'_>) -> Option<Member> {
    let parts = code.split_once("//").or_else(|| code.split_once('/'));
    let plain = |part: &str| {
        !part.is_empty()
            && part == part.trim()
            && !part.contains("//")
            && !part.contains(':')
            && !part.chars().any(char::is_control)
    };
    match parts.filter(|(vocabulary, code)| plain(vocabulary) && plain(code)) {
        Some((vocabulary, code)) => Some(Member {
            concept: ConceptRef::Code { vocabulary: vocabulary.to_owned(), code: code.to_owned() },
            descendants: false,
        }),
        None if code == DEATH => node.refuse("a death beside other codes: join two predicates with or"),
        None => node.refuse("expected one code of one vocabulary, as SNOMED/191736004"),
    }
}

/// `"(1, None)"`: at least and at most.
pub(super) fn range(node: &Node<'_>) -> Option<(Option<u32>, Option<u32>)> {
    const COUNT_MAX: u32 = 9_999;
    let text = node.text()?;
    let ends: Vec<&str> = text.trim_matches(['(', ')']).split(',').map(str::trim).collect();
    let end = |text: &str| match text {
        "None" | "" => Some(None),
        number => number.parse::<u32>().ok().filter(|number| *number <= COUNT_MAX).map(Some),
    };
    let range = match ends.as_slice() {
        [least, most] => end(least).zip(end(most)),
        _ => None,
    };
    let sound = |range: &(Option<u32>, Option<u32>)| match *range {
        (None, None) | (Some(0), None) => false,
        (Some(least), Some(most)) => least <= most,
        _ => true,
    };
    range
        .filter(sound)
        .or_else(|| node.refuse("expected two counts up to 9999, as \"(1, None)\" or \"(None, 0)\""))
}
