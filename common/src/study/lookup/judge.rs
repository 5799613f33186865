//! One place of a study file against the vocabulary: what is wrong there, and what to write instead.

use super::super::mistake::{Kind, Mistake};
use super::super::raw::nearest;
use super::{Known, LOCAL, Lookup, Mention, Mentioned, Standing, UCUM, Validity};

/// What came of one place.
pub(super) enum Found {
    Mistake(Mistake),
    Warning(Mistake),
}

const LOOK_UP: &str = "look the concept up by its name";

impl Lookup {
    /// What is to be said of a place, if anything.
    pub(super) fn judge(&self, mention: &Mention) -> Option<Found> {
        match &mention.what {
            Mentioned::Id { id, name, descendants } => self.id(mention, *id, name.trim(), *descendants),
            Mentioned::Value(id) => self.value(mention, *id),
            Mentioned::Code { vocabulary, code, descendants } => {
                self.code(mention, vocabulary, code, *descendants)
            }
            Mentioned::Unit(code) => self.unit(mention, code),
        }
    }

    fn id(&self, mention: &Mention, id: i64, name: &str, descendants: bool) -> Option<Found> {
        let named = self.named.get(name).and_then(super::Offered::words);
        let Some(known) = self.known(id) else {
            if let Some(found) = self.unknown_local(mention, id) {
                return Some(found);
            }
            let instead = match named {
                Some(ids) => format!("write id = {ids}"),
                None => format!("{LOOK_UP}: no standard concept is called so"),
            };
            let found = format!("{id}, which the vocabulary does not have");
            return Some(mistake(mention, &format!("the number of {name:?}"), &found, &instead));
        };
        if known.name != name {
            let other = format!("name = {:?}", known.name);
            let instead = match named {
                Some(ids) => format!("write id = {ids}, or {other} if {id} is meant"),
                None => format!("write {other}, or {LOOK_UP}: no standard concept is called {name:?}"),
            };
            let found = format!("{id}, which the vocabulary calls {:?}", known.name);
            return Some(mistake(mention, &format!("the number of {name:?}"), &found, &instead));
        }
        // Of the same name there may be one that is in use.
        let of_that_name = named.map(|ids| format!("write id = {ids}, the standard concept of that name"));
        standing(mention, &id.to_string(), &[known], descendants, of_that_name)
    }

    /// The study asserts no name of it, and a person's own columns hold concepts of any standing.
    fn value(&self, mention: &Mention, id: i64) -> Option<Found> {
        let Some(known) = self.known(id) else {
            let found = format!("{id}, which it does not have");
            return self.unknown_local(mention, id).or_else(|| {
                Some(mistake(mention, "a concept that the vocabulary has", &found, "look the concept up"))
            });
        };
        let found = format!("{id}, {:?}, which is {}", known.name, invalid(known)?);
        Some(warning(
            mention,
            "a valid concept",
            &found,
            "name the one that is in use, too: old records may have either",
        ))
    }

    fn known(&self, id: i64) -> Option<&Known> {
        self.ids.get(&id).and_then(Option::as_ref)
    }

    /// A local concept where the vocabulary has none at all.
    fn unknown_local(&self, mention: &Mention, id: i64) -> Option<Found> {
        let cannot_say = id >= LOCAL && !self.has_local;
        cannot_say.then(|| {
            let found = format!("{id}, a local one, of which this vocabulary has none");
            let instead = "check it at a hospital that has it, by `site-agent data check --study`";
            warning(mention, "a concept that can be looked up", &found, instead)
        })
    }

    fn code(&self, mention: &Mention, vocabulary: &str, code: &str, descendants: bool) -> Option<Found> {
        let all = self.codes.get(vocabulary).and_then(|codes| codes.get(code));
        let known: Vec<&Known> = all.into_iter().flatten().collect();
        let shown = format!("\"{vocabulary}:{code}\"");
        if !known.is_empty() {
            return standing(mention, &shown, &known, descendants, None);
        }
        if self.vocabularies.contains(vocabulary) {
            let expected = format!("a code that the vocabulary has in {vocabulary}");
            let found = format!("{shown}, which it does not have");
            let instead = "look the code up; it is compared letter by letter, dots included";
            return Some(mistake(mention, &expected, &found, instead));
        }
        let instead = match nearest(vocabulary, self.vocabularies.iter().map(String::as_str)) {
            Some(close) => format!("did you mean \"{close}:{code}\"?"),
            None => format!("name the concept by id and name, or look it up in one that has {vocabulary}"),
        };
        let found = format!("{shown}, of which it has nothing");
        Some(mistake(mention, "a code of a vocabulary that is there", &found, &instead))
    }

    fn unit(&self, mention: &Mention, code: &str) -> Option<Found> {
        if self.units.get(code) == Some(&true) {
            return None;
        }
        if !self.vocabularies.contains(UCUM) {
            // Said once, at the first of them.
            let of_unit = |other: &&Mention| matches!(other.what, Mentioned::Unit(_));
            let is_first = self.mentions.iter().find(of_unit) == Some(mention);
            let found = "none, so that no unit was looked up";
            let instead = "look the study up in a vocabulary that has UCUM, too";
            return is_first.then(|| warning(mention, "a vocabulary with UCUM", found, instead));
        }
        let instead = match self.nearly.get(&code.to_lowercase()) {
            Some(close) => format!("did you mean {close:?}?"),
            None => "correct it, or leave it for hospitals that write the unit so in text alone".to_owned(),
        };
        let found = format!("{code:?}: no value whose unit is a concept is in it");
        Some(warning(mention, "a UCUM code that the vocabulary has", &found, &instead))
    }
}

/// What is odd about concepts that are there, all of one code.
fn standing(
    mention: &Mention,
    shown: &str,
    known: &[&Known],
    descendants: bool,
    better: Option<String>,
) -> Option<Found> {
    if let Some(why) = known.iter().map(|known| invalid(known)).collect::<Option<Vec<_>>>() {
        let found = format!("{shown}, which is {}", why[0]);
        let instead = better.unwrap_or_else(|| "look up which concept took its place".to_owned());
        return Some(warning(mention, "a valid concept", &found, &instead));
    }
    let is_any = |standing: Standing| known.iter().any(|known| known.standing == standing);
    let (what, way_out) = if is_any(Standing::Standard) || descendants && is_any(Standing::Class) {
        return None;
    } else if is_any(Standing::Class) {
        ("a class: no event", "write descendants = true: events are recorded with what is below it")
    } else {
        // Only standard concepts and classes stand in concept_ancestor.
        let below = if descendants { ", and nothing is below it: no event" } else { ": no event" };
        (&*format!("no standard concept{below}"), "look up which standard concept it maps to")
    };
    let found = format!("{shown}, {what} is recorded with it");
    let instead = better.unwrap_or_else(|| way_out.to_owned());
    Some(warning(mention, "a standard concept", &found, &instead))
}

fn invalid(known: &Known) -> Option<&'static str> {
    match known.validity {
        Validity::Valid => None,
        Validity::Withdrawn => Some("withdrawn (invalid_reason D)"),
        Validity::Replaced => Some("replaced by another (invalid_reason U)"),
    }
}

fn mistake(mention: &Mention, expected: &str, found: &str, instead: &str) -> Found {
    Found::Mistake(said(mention, expected, found, instead))
}

fn warning(mention: &Mention, expected: &str, found: &str, instead: &str) -> Found {
    Found::Warning(said(mention, expected, found, instead))
}

fn said(mention: &Mention, expected: &str, found: &str, instead: &str) -> Mistake {
    Mistake {
        line: mention.line,
        key: mention.key.clone(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        instead: instead.to_owned(),
        kind: Kind::Wrong,
    }
}
