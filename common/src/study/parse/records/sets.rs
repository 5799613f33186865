//! `[concept_set.NAME]`, and the concepts that stand within other tables.

use super::super::{is_label, name};
use crate::study::limits::NAME_BYTES_MAX;
use crate::study::lookup::Mentioned;
use crate::study::raw::{Ask, Section, Value, ask, nearest};
use crate::study::records::{ConceptRef, ConceptSet, MEMBERS_MAX, Member, SETS_MAX, SetIndex};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

const ID: Ask =
    ask("id", "a concept's number in OMOP, above 0", r#"id = 436073, with name = "Psychotic disorder""#);
const CODE: Ask = ask(
    "code",
    "a vocabulary and a code in it, with a colon between",
    r#"code = "ATC:N05A", or an id with its name"#,
);
const CONCEPT_NAME: Ask = ask(
    "name",
    "the concept's name: a site whose vocabulary has another refuses",
    r#"name = "Psychotic disorder""#,
);

/// All sets of the file, and which of them something looks for.
pub(super) struct Sets {
    /// Of each `[concept_set.NAME]` in file order, whether it is sound or not.
    names: Vec<String>,
    /// None where one of them has a mistake.
    named: Option<Vec<ConceptSet>>,
    /// Of `named`.
    used: RefCell<BTreeSet<usize>>,
    /// Each of one concept that stands within another table.
    within: RefCell<Vec<ConceptSet>>,
    /// The one name of each id.
    asserted: RefCell<BTreeMap<i64, String>>,
}

pub(super) fn read(top: &Section<'_>) -> Sets {
    const SETS: Ask = ask("concept_set", "tables [concept_set.NAME]", "[concept_set.psychosis]");
    let mut sets = Sets {
        names: Vec::new(),
        named: None,
        used: RefCell::default(),
        within: RefCell::default(),
        asserted: RefCell::default(),
    };
    let read = top.optional(SETS, |value| {
        let section = value.section()?;
        let entries = section.entries(SETS);
        sets.names = entries.iter().map(|(name, _)| name.clone()).collect();
        let read: Vec<_> = entries.into_iter().map(|(name, value)| sets.read_set(name, &value)).collect();
        read.into_iter().collect::<Option<Vec<_>>>()
    });
    sets.named = read.map(Option::unwrap_or_default);
    sets
}

impl Sets {
    fn read_set(&self, name: String, value: &Value<'_>) -> Option<ConceptSet> {
        const INCLUDE: Ask = ask(
            "include",
            "a list of { id, name, descendants } and { code, descendants }, at least one",
            r#"include = [{ id = 436073, name = "Psychotic disorder", descendants = true }]"#,
        );
        const EXCLUDE: Ask = ask(
            "exclude",
            "a list of { id, name, descendants } and { code, descendants }",
            r#"exclude = [{ id = 4182210, name = "Dementia", descendants = true }]"#,
        );
        const SOURCE: Ask =
            ask("source", "where the set comes from", r#"source = "OHDSI PhenotypeLibrary cohort 123""#);
        let section = value.section()?;
        let include = section.required(INCLUDE, |v| self.members(v, 1));
        let exclude = section.optional(EXCLUDE, |v| {
            let exclude = self.members(v, 0)?;
            let undone = include.iter().flatten().find(|member| {
                let takes_out = |out: &&Member| out.concept == member.concept;
                exclude.iter().find(takes_out).is_some_and(|out| out.descendants || !member.descendants)
            });
            if let Some(member) = undone {
                let found = format!("{}, which is included", member.concept.words());
                return v.wrong_because(
                    "concepts below those that are included",
                    &found,
                    "remove it from one",
                );
            }
            Some(exclude)
        });
        let source = section.optional(SOURCE, Value::text);
        section.finish();
        if !is_label(&name) {
            let instead = "write a name such as [concept_set.self_harm]";
            return value.wrong_because("a name of letters, digits, _ and -", &format!("{name:?}"), instead);
        }
        Some(ConceptSet { name, include: include?, exclude: exclude?.unwrap_or_default(), source: source? })
    }

    fn members(&self, value: &Value<'_>, least: usize) -> Option<Vec<Member>> {
        let members = value.list(least..=MEMBERS_MAX, |item| self.member(item))?;
        let mut seen = BTreeSet::new();
        let twice =
            members.iter().map(|member| member.concept.words()).find(|words| !seen.insert(words.clone()));
        match twice {
            None => Some(members),
            Some(words) => value.wrong_because("concepts that differ", &format!("{words} twice"), "keep one"),
        }
    }

    fn member(&self, item: &Value<'_>) -> Option<Member> {
        const BELOW: Ask =
            ask("descendants", "true or false: whether all below it are meant too", "descendants = true");
        let section = item.section()?;
        let concept = match (section.has("id"), section.has("code")) {
            (true, false) => self.by_id(&section, CONCEPT_NAME),
            (false, true) => section.required(CODE, code),
            (id, _) => {
                section.ignore(&["id", "name", "code"]);
                let found = if id { "both" } else { "neither" };
                item.wrong_because("either an id with its name, or a code", found, "write one of them")
            }
        };
        let descendants = section.optional(BELOW, Value::boolean);
        section.finish();
        let member = Member { concept: concept?, descendants: descendants?.unwrap_or(false) };
        mention(&section, &member);
        Some(member)
    }

    fn by_id(&self, section: &Section<'_>, asserted: Ask) -> Option<ConceptRef> {
        let id = section.required(ID, |v| {
            v.integer(1..=i64::MAX as u64).map(|id| i64::try_from(id).expect("within the bounds"))
        });
        let name = section.required(asserted, |v| {
            let name = name(v)?;
            let Some(id) = id else { return Some(name) };
            let mut known = self.asserted.borrow_mut();
            match known.get(&id).filter(|known| **known != name) {
                None => {
                    known.insert(id, name.clone());
                    Some(name)
                }
                Some(other) => {
                    // Which of the two is wrong, a vocabulary knows.
                    section.mention(ID.key, Mentioned::Id { id, name: name.clone(), descendants: true });
                    let expected = format!("{other:?}, as {id} is called elsewhere in the file");
                    v.wrong_because(&expected, &format!("{name:?}"), "look the concept up: it has one name")
                }
            }
        });
        Some(ConceptRef::Id { id: id?, name: name? })
    }

    /// A set that is named somewhere; it counts as used from then on.
    pub(super) fn named(&self, value: &Value<'_>) -> Option<SetIndex> {
        let name = value.text_where(|_| true)?;
        if let Some(found) = self.names.iter().position(|known| *known == name) {
            self.used.borrow_mut().insert(found);
            return Some(SetIndex(found));
        }
        let known = self.names.iter().map(String::as_str);
        let instead = match nearest(&name, known.clone()) {
            Some(close) => format!("did you mean {close}?"),
            None => format!("add [concept_set.{name}], or name one of those"),
        };
        let expected = format!("the name of a concept set: {}", listed(known));
        value.wrong_because(&expected, &format!("{name:?}"), &instead)
    }

    /// The one concept that a table names by `id` and `concept_name`.
    pub(super) fn id_within(&self, section: &Section<'_>) -> Option<SetIndex> {
        const NAME: Ask = ask(
            "concept_name",
            "the concept's name: a site whose vocabulary has another refuses",
            r#"concept_name = "Heart rate""#,
        );
        self.by_id(section, NAME).map(|concept| self.within(section, concept))
    }

    /// The one concept that a table names by its code.
    pub(super) fn code_within(&self, section: &Section<'_>) -> Option<SetIndex> {
        section.required(CODE, code).map(|concept| self.within(section, concept))
    }

    fn within(&self, section: &Section<'_>, concept: ConceptRef) -> SetIndex {
        // A space, bracket or colon: never the name of a [concept_set.NAME].
        let name = concept.words();
        let member = Member { concept, descendants: false };
        mention(section, &member);
        let mut within = self.within.borrow_mut();
        let found = within.iter().position(|set| set.name == name).unwrap_or(within.len());
        if found == within.len() {
            within.push(ConceptSet { name, include: vec![member], exclude: Vec::new(), source: None });
        }
        SetIndex(self.names.len() + found)
    }

    /// All of them, in the order of their indices.
    pub(super) fn finish(self, top: &Section<'_>) -> Option<Vec<ConceptSet>> {
        // A mistake elsewhere may be why nothing names a set.
        if !top.source.has_mistakes_in(&["concept_set", "binding", "cohort", "task", "features"]) {
            let used = self.used.into_inner();
            for (_, name) in self.names.iter().enumerate().filter(|(i, _)| !used.contains(i)) {
                let path = format!("concept_set.{name}");
                top.wrong(&path, "a set that something looks for", "one that nothing names", "remove it");
            }
        }
        let mut sets = self.named?;
        sets.extend(self.within.into_inner());
        if sets.len() > SETS_MAX {
            let expected = format!("at most {SETS_MAX} sets, concepts in other tables included");
            top.wrong("concept_set", &expected, &sets.len().to_string(), "look for less");
            return None;
        }
        Some(sets)
    }
}

/// Keeps where a concept is named, for [`crate::study::Lookup`].
fn mention(section: &Section<'_>, member: &Member) {
    let descendants = member.descendants;
    match member.concept.clone() {
        ConceptRef::Id { id, name } => section.mention(ID.key, Mentioned::Id { id, name, descendants }),
        ConceptRef::Code { vocabulary, code } => {
            section.mention(CODE.key, Mentioned::Code { vocabulary, code, descendants });
        }
    }
}

fn code(value: &Value<'_>) -> Option<ConceptRef> {
    let fits = |text: &str| {
        let parts = text.split_once(':');
        let plain =
            |part: &str| !part.is_empty() && part == part.trim() && !part.chars().any(char::is_control);
        text.len() <= NAME_BYTES_MAX
            && parts.is_some_and(|(vocabulary, code)| plain(vocabulary) && plain(code))
    };
    let text = value.text_where(fits)?;
    let (vocabulary, code) = text.split_once(':').expect("it fits");
    Some(ConceptRef::Code { vocabulary: vocabulary.to_owned(), code: code.to_owned() })
}

/// Names for a message: the first of many.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "there is none".to_owned(),
        1..=SHOWN => names.join(", "),
        more => format!("{} and {} more", names[..SHOWN].join(", "), more - SHOWN),
    }
}
