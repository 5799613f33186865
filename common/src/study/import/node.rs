//! A document with the path of each value, and everything in it that is refused.

use super::{NotImported, Refusal};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Everything that was refused so far.
#[derive(Default)]
pub(super) struct Refusals(RefCell<Vec<Refusal>>);

/// A value and its path.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) path: String,
    value: &'a Value,
    refusals: &'a Refusals,
}

/// An object; [`Fields::finish`] refuses the keys that nobody asked for.
pub(super) struct Fields<'a> {
    node: Node<'a>,
    map: &'a Map<String, Value>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl Refusals {
    /// What was read, if nothing was refused.
    pub(super) fn unless_any<T>(self, read: Option<T>) -> Result<T, NotImported> {
        let refusals = self.0.into_inner();
        if refusals.is_empty() {
            return Ok(read.expect("what cannot be read is refused"));
        }
        Err(NotImported::NotExact(refusals))
    }
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value, refusals: &'a Refusals) -> Self {
        Self { path: String::new(), value, refusals }
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { path, value, refusals: self.refusals }
    }

    /// Refuses this value.
    pub(super) fn refuse<T>(&self, why: &str) -> Option<T> {
        self.refuse_as(&self.shown(), why)
    }

    /// Refuses what is told in words.
    pub(super) fn refuse_as<T>(&self, found: &str, why: &str) -> Option<T> {
        let path = if self.path.is_empty() { "the file".to_owned() } else { self.path.clone() };
        let refusal = Refusal { path, found: found.to_owned(), why: why.to_owned() };
        let mut refusals = self.refusals.0.borrow_mut();
        if !refusals.contains(&refusal) {
            refusals.push(refusal);
        }
        None
    }

    pub(super) fn fields(&self) -> Option<Fields<'a>> {
        let Value::Object(map) = self.value else { return self.refuse("expected an object") };
        Some(Fields { node: self.clone(), map, asked: RefCell::default() })
    }

    pub(super) fn items(&self) -> Option<Vec<Self>> {
        let Value::Array(list) = self.value else { return self.refuse("expected a list") };
        let item = |(at, value): (usize, &'a Value)| Self {
            path: format!("{}[{at}]", self.path),
            value,
            refusals: self.refusals,
        };
        Some(list.iter().enumerate().map(item).collect())
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str().or_else(|| self.refuse("expected text"))
    }

    pub(super) fn integer(&self) -> Option<i64> {
        self.value.as_i64().or_else(|| self.refuse("expected a whole number"))
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.refuse("expected true or false"))
    }

    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// What stands here, for a message.
    pub(super) fn shown(&self) -> String {
        match self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(truth) => truth.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
            Value::Array(list) => format!("a list of {}", list.len()),
            Value::Object(map) => {
                let keys: Vec<&str> = map.keys().take(4).map(String::as_str).collect();
                format!("an object of {}{}", keys.join(", "), if map.len() > 4 { " …" } else { "" })
            }
        }
    }
}

impl<'a> Fields<'a> {
    pub(super) fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// The value of a key; none where it is absent or `null`.
    pub(super) fn get(&self, key: &'static str) -> Option<Node<'a>> {
        self.asked.borrow_mut().insert(key);
        self.map.get(key).filter(|value| !value.is_null()).map(|value| self.node.child(key, value))
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &'static str) -> Option<Node<'a>> {
        self.get(key).or_else(|| self.node.child(key, &Value::Null).refuse("it must be there"))
    }

    /// The items of a list; none of them where it is absent.
    pub(super) fn items(&self, key: &'static str) -> Option<Vec<Node<'a>>> {
        self.get(key).map_or(Some(Vec::new()), |node| node.items())
    }

    /// A truth that is `false` where it is absent.
    pub(super) fn truth(&self, key: &'static str) -> Option<bool> {
        self.get(key).map_or(Some(false), |node| node.boolean())
    }

    /// Every key with its value, for an object whose keys the author names.
    pub(super) fn entries(&self) -> Vec<(&'a str, Node<'a>)> {
        self.map.iter().map(|(key, value)| (key.as_str(), self.node.child(key, value))).collect()
    }

    /// Whether no key says anything.
    pub(super) fn say_nothing(&self) -> bool {
        self.map.values().all(says_nothing)
    }

    /// Refuses every key that nobody asked for and that says something, each for the reason that `why` has for it.
    /// `null`, an empty list and `false` say nothing.
    pub(super) fn finish(&self, why: impl Fn(&str) -> &'static str) {
        let asked = self.asked.borrow();
        for (key, value) in self.map.iter().filter(|(key, _)| !asked.contains(key.as_str())) {
            if !says_nothing(value) {
                let _: Option<()> = self.node.child(key, value).refuse(why(key));
            }
        }
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// The reason for a key that an importer does not know.
pub(super) fn unknown(_: &str) -> &'static str {
    "the importer does not know this key, and leaves nothing out"
}
