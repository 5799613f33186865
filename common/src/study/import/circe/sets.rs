//! `ConceptSets`: each is read when something names it.

use crate::study::import::node::{Node, unknown};
use crate::study::import::words::label;
use crate::study::records::{ConceptRef, ConceptSet, MEMBERS_MAX, Member, SetIndex};
use std::cell::RefCell;

/// The concept sets of a file.
pub(super) struct Sets<'a> {
    listed: Vec<Listed<'a>>,
    /// In the order in which they were named; none where one cannot be said.
    named: RefCell<Vec<(i64, Option<ConceptSet>)>>,
}

struct Listed<'a> {
    id: i64,
    name: String,
    node: Node<'a>,
}

impl<'a> Sets<'a> {
    pub(super) fn new(items: Vec<Node<'a>>) -> Option<Self> {
        let mut listed: Vec<Listed<'a>> = Vec::new();
        for node in items {
            let fields = node.fields()?;
            let id = fields.required("id")?.integer()?;
            let name = fields.get("name").and_then(|name| name.as_text()).unwrap_or_default().to_owned();
            if listed.iter().any(|other| other.id == id) {
                return node.refuse_as(&format!("concept set {id} a second time"), "two sets of one number");
            }
            listed.push(Listed { id, name, node });
        }
        Some(Self { listed, named: RefCell::default() })
    }

    /// The set that a `CodesetId` names.
    pub(super) fn named(&self, id: &Node<'_>) -> Option<SetIndex> {
        let number = id.integer()?;
        let known = self.named.borrow().iter().position(|(known, _)| *known == number);
        if let Some(at) = known {
            return Some(SetIndex(at));
        }
        let Some(listed) = self.listed.iter().find(|listed| listed.id == number) else {
            return id.refuse("there is no concept set of this number");
        };
        let taken = |name: &str| {
            self.named.borrow().iter().any(|(_, set)| set.as_ref().is_some_and(|set| set.name == name))
        };
        let mut name = label(&listed.name, &format!("set_{number}"));
        if taken(&name) {
            name = format!("{name}_{number}");
        }
        let set = read(&listed.node, name);
        self.named.borrow_mut().push((number, set));
        Some(SetIndex(self.named.borrow().len() - 1))
    }

    pub(super) fn unused_note(&self) -> Option<String> {
        let named = self.named.borrow();
        let unused = self.listed.iter().filter(|listed| named.iter().all(|(id, _)| *id != listed.id));
        let unused: Vec<String> = unused.map(|listed| format!("{:?}", listed.name)).collect();
        let words =
            || format!("concept sets that nothing in the file names are left out: {}", unused.join(", "));
        (!unused.is_empty()).then(words)
    }

    pub(super) fn finish(&self) -> Option<Vec<ConceptSet>> {
        self.named.borrow().iter().map(|(_, set)| set.clone()).collect()
    }
}

fn read(node: &Node<'_>, name: String) -> Option<ConceptSet> {
    let fields = node.fields()?;
    let written = fields.get("name").and_then(|name| name.as_text()).map(str::to_owned);
    fields.get("id");
    let expression = fields.required("expression")?;
    fields.finish(unknown);
    let expression = expression.fields()?;
    let items = expression.required("items")?;
    expression.finish(unknown);
    let (mut include, mut exclude): (Vec<Member>, Vec<Member>) = (Vec::new(), Vec::new());
    let mut sound = true;
    for item in items.items()? {
        let Some((member, excluded)) = member(&item) else {
            sound = false;
            continue;
        };
        let list = if excluded { &mut exclude } else { &mut include };
        let same_id = |known: &&mut Member| match (&known.concept, &member.concept) {
            (ConceptRef::Id { id: one, .. }, ConceptRef::Id { id: other, .. }) => one == other,
            _ => false,
        };
        // Twice is as once with all that either brings.
        match list.iter_mut().find(same_id) {
            Some(known) => known.descendants |= member.descendants,
            None => list.push(member),
        }
    }
    if !sound {
        return None;
    }
    if include.is_empty() {
        return items.refuse("a set that includes nothing: no event is in it");
    }
    if include.len().max(exclude.len()) > MEMBERS_MAX {
        return items.refuse(&format!("a set has at most {MEMBERS_MAX} members here"));
    }
    let undone = exclude.iter().any(|out| {
        include.iter().any(|member| member.concept == out.concept && (out.descendants || !member.descendants))
    });
    if undone {
        return items.refuse_as(
            "a concept that is included and taken out again whole",
            "take it out of one of the two",
        );
    }
    Some(ConceptSet {
        name,
        include,
        exclude,
        source: written.map(|written| format!("Atlas concept set {written:?}")),
    })
}

/// A member, and whether it is taken out.
fn member(item: &Node<'_>) -> Option<(Member, bool)> {
    let fields = item.fields()?;
    let concept = fields.required("concept").and_then(|node| concept(&node));
    let (excluded, descendants) = (fields.truth("isExcluded"), fields.truth("includeDescendants"));
    if fields.truth("includeMapped")? {
        let why = "source concepts that map to these differ from hospital to hospital: a study is on standard concepts";
        return fields.required("includeMapped")?.refuse(why);
    }
    fields.finish(unknown);
    Some((Member { concept: concept?, descendants: descendants? }, excluded?))
}

fn concept(node: &Node<'_>) -> Option<ConceptRef> {
    let fields = node.fields()?;
    let id = fields.required("CONCEPT_ID");
    let name = fields.required("CONCEPT_NAME");
    let (id, name) = (id?, name?);
    let number = id.integer()?;
    if number < 1 {
        return id.refuse("concept 0 is what is mapped to no concept");
    }
    let text = name.text()?.trim();
    if text.is_empty()
        || text.len() > crate::study::limits::NAME_BYTES_MAX
        || text.chars().any(char::is_control)
    {
        return name
            .refuse("each hospital compares the concept's name with its own vocabulary: it needs one");
    }
    // The rest of a concept is what Atlas shows of it.
    Some(ConceptRef::Id { id: number, name: text.to_owned() })
}
