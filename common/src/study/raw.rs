//! Walks a TOML document with its places, so that every mistake is collected and none stops the walk.
//!
//! A key of the language is an [`Ask`]: its name, what is expected and an example. A reader returns
//! `None` after it has reported; whoever builds a value from several keys reads all of them first
//! and gives up only then.

#[cfg(test)]
pub(super) mod asked;
mod later;
mod nearest;

pub(super) use nearest::nearest;

use super::limits::TEXT_BYTES_MAX;
use super::lookup::{Mention, Mentioned};
use super::mistake::{Kind, Mistake};
use jiff::civil::Date;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes of a day as text, as `2023-01-01`.
const DAY_BYTES: usize = 10;

/// A key of the language.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) key: &'static str,
    pub(super) expected: &'static str,
    pub(super) example: &'static str,
    /// Where it stands in the parser.
    #[cfg(test)]
    place: &'static std::panic::Location<'static>,
}

/// Shorthand for an [`Ask`].
#[track_caller]
pub(super) const fn ask(key: &'static str, expected: &'static str, example: &'static str) -> Ask {
    Ask {
        key,
        expected,
        example,
        #[cfg(test)]
        place: std::panic::Location::caller(),
    }
}

/// The file's text, and what was found wrong with it so far.
pub(super) struct Source<'a> {
    line_starts: Vec<usize>,
    mistakes: RefCell<Vec<Mistake>>,
    /// Where each value that was asked for stands, by its path.
    places: RefCell<BTreeMap<String, usize>>,
    /// Where concepts are named.
    mentions: RefCell<Vec<Mention>>,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let line_starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        let (mistakes, places, mentions) = Default::default();
        Self { line_starts, mistakes, places, mentions, text }
    }

    /// Line of a byte offset, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= at.min(self.text.len()))
    }

    pub(super) fn report(
        &self,
        kind: Kind,
        at: usize,
        key: &str,
        expected: &str,
        found: &str,
        instead: &str,
    ) {
        self.mistakes.borrow_mut().push(Mistake {
            line: self.line(at),
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
            instead: instead.to_owned(),
            kind,
        });
    }

    fn withdraw_absent(&self, path: &str) {
        self.mistakes.borrow_mut().retain(|mistake| mistake.kind != Kind::Absent || mistake.key != path);
    }

    /// Whether anything was wrong so far with one of these tables, or under it.
    pub(super) fn has_mistakes_in(&self, tables: &[&str]) -> bool {
        let table =
            |mistake: &Mistake| mistake.key.split(['.', '[']).next().is_some_and(|key| tables.contains(&key));
        self.mistakes.borrow().iter().any(table)
    }

    /// Every place so far that names a concept.
    pub(super) fn mentions(&self) -> Vec<Mention> {
        self.mentions.borrow().clone()
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }
}

/// One table of the document. [`Section::finish`] reports the keys that nobody asked for.
pub(super) struct Section<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) path: String,
    pub(super) at: usize,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
    /// The author names the keys: none is unknown.
    free: Cell<bool>,
}

/// One value of the document, with what was asked for.
pub(super) struct Value<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) path: String,
    pub(super) at: usize,
    ask: Ask,
    value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn root(source: &'a Source<'a>, table: &'a DeTable<'a>) -> Self {
        Self { source, path: String::new(), at: 0, table, asked: RefCell::default(), free: Cell::new(false) }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn find(&self, ask: Ask) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(ask.key);
        #[cfg(test)]
        asked::key(&self.path_of(ask.key), ask, self.has(ask.key));
        let value = self.table.get(ask.key)?;
        Some(Value::new(self.source, self.path_of(ask.key), ask, value))
    }

    /// The value of a key that somebody else asks for.
    pub(super) fn peek(&self, ask: Ask) -> Option<Value<'a>> {
        #[cfg(test)]
        asked::key(&self.path_of(ask.key), ask, self.has(ask.key));
        let value = self.table.get(ask.key)?;
        Some(Value::new(self.source, self.path_of(ask.key), ask, value))
    }

    /// The table of a key that somebody else asks for; none where it is no table.
    pub(super) fn peek_section(&self, ask: Ask) -> Option<Self> {
        self.peek(ask).filter(Value::is_section)?.section()
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether no key is there.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Keys that cannot be judged since the key that decides on them is wrong.
    pub(super) fn ignore(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// A key that must be there.
    pub(super) fn required<T>(&self, ask: Ask, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<T> {
        self.required_as(ask, ask.example, read)
    }

    /// A key that must be there, with an example that fits this very file.
    pub(super) fn required_as<T>(
        &self,
        ask: Ask,
        example: &str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        let Some(value) = self.find(ask) else {
            let instead = format!("add {example}");
            self.source.report(
                Kind::Absent,
                self.at,
                &self.path_of(ask.key),
                ask.expected,
                "nothing",
                &instead,
            );
            return None;
        };
        read(&value)
    }

    /// A key that may be left out: `Some(None)` then.
    pub(super) fn optional<T>(
        &self,
        ask: Ask,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        self.find(ask).map_or(Some(None), |value| read(&value).map(Some))
    }

    /// All keys in file order with their values, for a table whose keys the author names.
    pub(super) fn entries(&self, ask: Ask) -> Vec<(String, Value<'a>)> {
        self.free.set(true);
        #[cfg(test)]
        asked::free(&self.path, ask);
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let key: &std::borrow::Cow<'a, str> = key.get_ref();
            (key.to_string(), Value::new(self.source, self.path_of(key), ask, value))
        };
        entries.into_iter().map(entry).collect()
    }

    /// Reports a mistake about a key, or a path of keys, under this table.
    pub(super) fn wrong(&self, key: &str, expected: &str, found: &str, instead: &str) {
        let path = self.path_of(key);
        let at = self.source.places.borrow().get(&path).copied().unwrap_or(self.at);
        self.source.report(Kind::Wrong, at, &path, expected, found, instead);
    }

    /// Keeps that a key of this table, which was read before, names a concept.
    pub(super) fn mention(&self, key: &str, what: Mentioned) {
        let key = self.path_of(key);
        let at = self.source.places.borrow().get(&key).copied().unwrap_or(self.at);
        self.source.mentions.borrow_mut().push(Mention { line: self.source.line(at), key, what });
    }

    /// Reports a mistake about this table itself.
    pub(super) fn wrong_here<T>(&self, expected: &str, found: &str, instead: &str) -> Option<T> {
        self.source.report(Kind::Wrong, self.at, &self.path, expected, found, instead);
        None
    }

    /// Reports a mistake about a path of keys from the top of the document.
    pub(super) fn wrong_at(&self, path: &str, expected: &str, found: &str, instead: &str) {
        let at = self.source.places.borrow().get(path).copied().unwrap_or(self.at);
        self.source.report(Kind::Wrong, at, path, expected, found, instead);
    }

    /// Reports every key that nobody asked for, with the nearest one of the language.
    pub(super) fn finish(&self) {
        if self.free.get() {
            return;
        }
        let asked = self.asked.borrow();
        for (key, value) in self.table {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            // A key of a `[table]` made by its header has no place of its own.
            let at = if key.span().is_empty() { value.span().start } else { key.span().start };
            let path = self.path_of(name);
            let instead = if later::is_later(&path) {
                "remove it: it is not in this version of the language".to_owned()
            } else if let Some(known) = nearest(name, asked.iter().copied()) {
                // One slip is one mistake: the key that is missing was misspelt.
                self.source.withdraw_absent(&self.path_of(known));
                format!("did you mean {known}?")
            } else {
                "remove it: this version of the language has no such key".to_owned()
            };
            let expected = format!("one of {}", asked.join(", "));
            self.source.report(Kind::Unknown, at, &path, &expected, "an unknown key", &instead);
        }
    }
}

impl<'a> Value<'a> {
    fn new(source: &'a Source<'a>, path: String, ask: Ask, value: &'a Spanned<DeValue<'a>>) -> Self {
        let at = value.span().start;
        source.places.borrow_mut().insert(path.clone(), at);
        Self { source, path, at, ask, value: value.get_ref() }
    }

    /// Reports that this is not what was asked for.
    pub(super) fn wrong<T>(&self) -> Option<T> {
        let instead = format!("write {}", self.ask.example);
        self.source.report(Kind::Wrong, self.at, &self.path, self.ask.expected, &self.shown(), &instead);
        None
    }

    /// Reports a particular mistake.
    pub(super) fn wrong_because<T>(&self, expected: &str, found: &str, instead: &str) -> Option<T> {
        self.source.report(Kind::Wrong, self.at, &self.path, expected, found, instead);
        None
    }

    /// Keeps that this names a concept.
    pub(super) fn mention(&self, what: Mentioned) {
        let mention = Mention { line: self.source.line(self.at), key: self.path.clone(), what };
        self.source.mentions.borrow_mut().push(mention);
    }

    /// Non-empty text.
    pub(super) fn text(&self) -> Option<String> {
        match self.value {
            DeValue::String(text) if !text.trim().is_empty() && text.len() <= TEXT_BYTES_MAX => {
                Some(text.trim().to_owned())
            }
            _ => self.wrong(),
        }
    }

    /// Non-empty text that fits.
    pub(super) fn text_where(&self, fits: impl FnOnce(&str) -> bool) -> Option<String> {
        match self.value {
            DeValue::String(text) if fits(text) => Some(text.to_string()),
            _ => self.wrong(),
        }
    }

    /// Text with a form of its own.
    pub(super) fn parsed<T: std::str::FromStr>(&self) -> Option<T> {
        match self.value {
            DeValue::String(text) => text.parse().ok().or_else(|| self.wrong()),
            _ => self.wrong(),
        }
    }

    /// One of a few words.
    pub(super) fn word(&self, words: &[&'static str]) -> Option<&'static str> {
        let DeValue::String(text) = self.value else { return self.wrong() };
        words.iter().copied().find(|&word| word == text).or_else(|| self.wrong())
    }

    /// The text of a cell: text, or a number as written.
    pub(super) fn cell(&self) -> Option<String> {
        match self.value {
            DeValue::String(text) if text.len() <= TEXT_BYTES_MAX => Some(text.trim().to_owned()),
            DeValue::Integer(_) | DeValue::Float(_) => self.any_number().map(|number| number.to_string()),
            _ => self.wrong(),
        }
    }

    /// A finite number; reports nothing.
    pub(super) fn as_number(&self) -> Option<f64> {
        let number = match self.value {
            DeValue::Float(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
            // Exact up to 2^53; a larger whole number is rounded, as any TOML float is.
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse::<f64>().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }

    fn any_number(&self) -> Option<f64> {
        self.as_number().or_else(|| self.wrong())
    }

    /// A finite number that fits.
    pub(super) fn number(&self, fits: impl FnOnce(f64) -> bool) -> Option<f64> {
        let number = self.any_number()?;
        if fits(number) { Some(number) } else { self.wrong() }
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(integer) = self.value else { return self.wrong() };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if bounds.contains(&number) => Some(number),
            _ => self.wrong(),
        }
    }

    /// A whole number within bounds that are below 2^32.
    pub(super) fn small(&self, bounds: RangeInclusive<u64>) -> Option<u32> {
        self.integer(bounds).map(|number| u32::try_from(number).expect("the bounds are below 2^32"))
    }

    /// A whole number within bounds, which may be negative.
    pub(super) fn signed(&self, bounds: RangeInclusive<i32>) -> Option<i32> {
        let DeValue::Integer(integer) = self.value else { return self.wrong() };
        match i32::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if bounds.contains(&number) => Some(number),
            _ => self.wrong(),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        if let DeValue::Boolean(truth) = self.value { Some(*truth) } else { self.wrong() }
    }

    /// A calendar day without a time.
    pub(super) fn date(&self) -> Option<Date> {
        self.as_date().or_else(|| self.wrong())
    }

    /// A calendar day without a time; reports nothing.
    pub(super) fn as_date(&self) -> Option<Date> {
        match self.value {
            DeValue::Datetime(datetime) if datetime.time.is_none() && datetime.offset.is_none() => self.day(),
            _ => None,
        }
    }

    /// The calendar day that is meant here, even if it is quoted or has a time; for suggestions, reports nothing.
    pub(super) fn day(&self) -> Option<Date> {
        match self.value {
            DeValue::String(text) => text.trim().get(..DAY_BYTES)?.parse().ok(),
            DeValue::Datetime(datetime) => {
                let date = datetime.date?;
                let year = i16::try_from(date.year).ok()?;
                Date::new(year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
            }
            _ => None,
        }
    }

    /// A list, item by item; all items are read before it gives up.
    pub(super) fn list<T>(
        &self,
        lengths: RangeInclusive<usize>,
        mut read: impl FnMut(&Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let DeValue::Array(array) = self.value else { return self.wrong() };
        if !lengths.contains(&array.len()) {
            return self.wrong();
        }
        let path = |i: usize| format!("{}[{}]", self.path, i + 1);
        let items = array.iter().enumerate().map(|(i, item)| Self::new(self.source, path(i), self.ask, item));
        let read: Vec<Option<T>> = items.map(|item| read(&item)).collect();
        read.into_iter().collect()
    }

    /// A table.
    pub(super) fn section(&self) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value else { return self.wrong() };
        let (source, path) = (self.source, self.path.clone());
        Some(Section { source, path, at: self.at, table, asked: RefCell::default(), free: Cell::new(false) })
    }

    /// Whether this is a table.
    pub(super) fn is_section(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// Whether this is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// How many items a list has; none where this is no list.
    pub(super) fn length(&self) -> usize {
        if let DeValue::Array(array) = self.value { array.len() } else { 0 }
    }

    /// The numbers of a list, whatever else is in it.
    pub(super) fn numbers(&self) -> Vec<f64> {
        let DeValue::Array(array) = self.value else { return Vec::new() };
        let number = |item: &'a Spanned<DeValue<'a>>| {
            let (source, path) = (self.source, self.path.clone());
            Self { source, path, at: self.at, ask: self.ask, value: item.get_ref() }.as_number()
        };
        array.iter().filter_map(number).collect()
    }

    /// The texts of a list, whatever else is in it.
    pub(super) fn texts(&self) -> Vec<&'a str> {
        let DeValue::Array(array) = self.value else { return Vec::new() };
        let text = |item: &'a Spanned<DeValue<'a>>| item.get_ref().as_str();
        array.iter().filter_map(text).collect()
    }

    /// What stands here, for a message.
    pub(super) fn shown(&self) -> String {
        match self.value {
            DeValue::String(text) if text.trim().is_empty() => "empty text".to_owned(),
            DeValue::String(text) if text.len() > TEXT_BYTES_MAX => format!("{} bytes of text", text.len()),
            DeValue::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
            DeValue::Integer(integer) => integer.to_string(),
            DeValue::Float(float) => float.to_string(),
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Datetime(datetime) => datetime.to_string(),
            DeValue::Array(array) => format!("a list of {}", array.len()),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }
}
