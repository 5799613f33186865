//! Reads a TOML file key by key and collects every mistake with its line, so that a person mends
//! the file once. What the agent's own two files (`agent.toml`, `site-policy.toml`) are read with.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest file that is read, bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// As `caps.epsilon_total`; empty when the text is no TOML.
    pub key: String,
    /// What was expected and what came.
    pub what: String,
}

/// Every mistake in a file, in the order of its lines; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Mistake { line, key, what }) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            match key.as_str() {
                "" => write!(f, "{separator}line {line}: {what}")?,
                key => write!(f, "{separator}line {line}: {key}: {what}")?,
            }
        }
        Ok(())
    }
}

/// Reads `text` with `read`, which asks for keys and returns `None` where one was wrong.
///
/// # Errors
/// Every mistake: text that is no TOML, missing and unknown keys, wrong values.
pub fn read<T>(text: &str, read: impl FnOnce(&Keys<'_, '_>) -> Option<T>) -> Result<T, Mistakes> {
    let one = |line, what: &str| Mistakes(vec![Mistake { line, key: String::new(), what: what.into() }]);
    if text.len() > FILE_BYTES_MAX {
        return Err(one(1, &format!("expected at most {FILE_BYTES_MAX} bytes")));
    }
    let root = DeTable::parse(text)
        .map_err(|e| one(e.span().map_or(1, |span| line_of(text, span.start)), e.message()))?;
    let mistakes = RefCell::new(Vec::new());
    let root = Keys::new(text, "", 1, Some(root.get_ref()), &mistakes);
    let value = read(&root);
    root.refuse_unknown();
    let mut mistakes = mistakes.take();
    mistakes.sort_by_key(|mistake| mistake.line);
    match value {
        Some(value) if mistakes.is_empty() => Ok(value),
        _ => Err(Mistakes(mistakes)),
    }
}

/// The keys of one table. Each accessor notes its mistake and returns `None`.
pub struct Keys<'d, 't> {
    text: &'d str,
    path: String,
    line: usize,
    table: Option<&'d DeTable<'t>>,
    known: RefCell<BTreeSet<&'static str>>,
    open_ended: Cell<bool>,
    mistakes: &'d RefCell<Vec<Mistake>>,
}

impl<'d, 't> Keys<'d, 't> {
    fn new(
        text: &'d str,
        path: &str,
        line: usize,
        table: Option<&'d DeTable<'t>>,
        mistakes: &'d RefCell<Vec<Mistake>>,
    ) -> Self {
        let (known, open_ended) = (RefCell::default(), Cell::new(false));
        Self { text, path: path.to_owned(), line, table, known, open_ended, mistakes }
    }

    /// A table that must be there, read with `read`; its unknown keys are mistakes.
    pub fn section<T>(&self, key: &'static str, read: impl FnOnce(&Keys<'_, '_>) -> Option<T>) -> Option<T> {
        let value = self.required(key)?;
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(key, value, "a table");
        };
        let line = line_of(self.text, value.span().start);
        let section = Keys::new(self.text, &self.path_of(key), line, Some(table), self.mistakes);
        let value = read(&section);
        section.refuse_unknown();
        value
    }

    /// As [`Self::section`], where the table may be absent; the outer `None` is a mistake.
    pub fn optional_section<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Keys<'_, '_>) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.find(key).is_none() { Some(None) } else { self.section(key, read).map(Some) }
    }

    /// Each of the tables `[[key]]`, read with `read`; none where there is no such key. Their unknown keys are mistakes.
    pub fn sections<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Keys<'_, '_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(value) = self.find(key) else { return Some(Vec::new()) };
        let Some(tables) = value.get_ref().as_array() else {
            return self.wrong(key, value, "tables, each under [[…]]");
        };
        let values: Vec<Option<T>> = tables
            .iter()
            .enumerate()
            .map(|(at, item)| {
                let Some(table) = item.get_ref().as_table() else {
                    return self.wrong(key, item, "a table");
                };
                let (line, path) = (line_of(self.text, item.span().start), self.path_of(key));
                let path = format!("{path}[{}]", at + 1);
                let section = Keys::new(self.text, &path, line, Some(table), self.mistakes);
                let value = read(&section);
                section.refuse_unknown();
                value
            })
            .collect();
        values.into_iter().collect()
    }

    /// Notes a mistake about this table as a whole.
    pub fn wrong_here<T>(&self, what: &str) -> Option<T> {
        let mistake = Mistake { line: self.line, key: self.path.clone(), what: what.to_owned() };
        self.mistakes.borrow_mut().push(mistake);
        None
    }

    /// `key = true`, or no such key; the outer `None` is a mistake.
    pub fn optional_true(&self, key: &'static str) -> Option<bool> {
        match self.find(key) {
            None => Some(false),
            Some(value) if value.get_ref().as_bool() == Some(true) => Some(true),
            Some(value) => self.wrong(key, value, "true, or no such line"),
        }
    }

    /// `true` or `false`, where it may be absent; the outer `None` is a mistake.
    pub fn optional_truth(&self, key: &'static str) -> Option<Option<bool>> {
        match self.find(key) {
            None => Some(None),
            Some(value) => match value.get_ref().as_bool() {
                Some(truth) => Some(Some(truth)),
                None => self.wrong(key, value, "true or false"),
            },
        }
    }

    /// As [`Self::whole`], where it may be absent; the outer `None` is a mistake.
    pub fn optional_whole(
        &self,
        key: &'static str,
        expected: &str,
        good: impl Fn(u64) -> bool,
    ) -> Option<Option<u64>> {
        if self.find(key).is_none() { Some(None) } else { self.whole(key, expected, good).map(Some) }
    }

    /// Every key of this table with its text, each parsed by `parse`.
    pub fn all_texts<T>(&self, expected: &str, parse: impl Fn(&str, &str) -> Option<T>) -> Option<Vec<T>> {
        self.open_ended.set(true);
        let table = self.table.into_iter().flatten();
        let values: Vec<Option<T>> = table
            .map(|(key, value)| {
                let parsed = value.get_ref().as_str().and_then(|text| parse(key.get_ref(), text));
                parsed.or_else(|| self.wrong(key.get_ref(), value, expected))
            })
            .collect();
        values.into_iter().collect()
    }

    /// A text that must be there and that `parse` takes.
    pub fn text<T>(&self, key: &'static str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.required(key)?;
        self.parsed_text(key, value, expected, parse)
    }

    /// A text that may be absent; the outer `None` is a mistake.
    pub fn optional_text<T>(
        &self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.find(key) {
            None => Some(None),
            Some(value) => self.parsed_text(key, value, expected, parse).map(Some),
        }
    }

    /// A list of texts that must be there.
    pub fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        let value = self.required(key)?;
        self.list(key, value)
    }

    /// A list of texts that may be absent; the outer `None` is a mistake.
    pub fn optional_texts(&self, key: &'static str) -> Option<Option<Vec<String>>> {
        match self.find(key) {
            None => Some(None),
            Some(value) => self.list(key, value).map(Some),
        }
    }

    /// A number, whole or not, that must be there and that `good` accepts.
    pub fn number(&self, key: &'static str, expected: &str, good: impl Fn(f64) -> bool) -> Option<f64> {
        let value = self.required(key)?;
        self.parsed_number(key, value, expected, good)
    }

    /// As [`Self::number`], where it may be absent; the outer `None` is a mistake.
    pub fn optional_number(
        &self,
        key: &'static str,
        expected: &str,
        good: impl Fn(f64) -> bool,
    ) -> Option<Option<f64>> {
        match self.find(key) {
            None => Some(None),
            Some(value) => self.parsed_number(key, value, expected, good).map(Some),
        }
    }

    fn parsed_number(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &str,
        good: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        number.filter(|&number| good(number)).or_else(|| self.wrong(key, value, expected))
    }

    /// A whole number from 0 on that must be there and that `good` accepts.
    pub fn whole(&self, key: &'static str, expected: &str, good: impl Fn(u64) -> bool) -> Option<u64> {
        let value = self.required(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            _ => None,
        };
        number.filter(|&number| good(number)).or_else(|| self.wrong(key, value, expected))
    }

    fn parsed_text<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        value.get_ref().as_str().and_then(parse).or_else(|| self.wrong(key, value, expected))
    }

    fn list(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        let texts = value
            .get_ref()
            .as_array()
            .and_then(|array| array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect());
        texts.or_else(|| self.wrong(key, value, "a list of texts"))
    }

    fn find(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.known.borrow_mut().insert(key);
        self.table?.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn required(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        let value = self.find(key);
        if value.is_none() {
            self.note(self.line, key, "missing".into());
        }
        value
    }

    fn wrong<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Option<T> {
        let span = value.span();
        let line = line_of(self.text, span.start);
        let came: String = self.text.get(span).unwrap_or("").chars().take(80).collect();
        self.note(line, key, format!("expected {expected}, came {came}"));
        None
    }

    fn refuse_unknown(&self) {
        if self.open_ended.get() {
            return;
        }
        let known = self.known.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            if !known.contains(key.get_ref().as_ref()) {
                let expected: Vec<&str> = known.iter().copied().collect();
                let line = line_of(self.text, key.span().start);
                self.note(line, key.get_ref(), format!("unknown key, expected {}", expected.join(", ")));
            }
        }
    }

    fn note(&self, line: usize, key: &str, what: String) {
        self.mistakes.borrow_mut().push(Mistake { line, key: self.path_of(key), what });
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_has_its_line_and_key() {
        fn check(text: &str, expected: &str) {
            let found = read(text, |root| {
                let name = root.text("name", "a short name", |s| (s.len() < 5).then(|| s.to_owned()));
                let caps = root.section("caps", |caps| {
                    let most = caps.number("most", "a number above 0", |n| n > 0.0);
                    let count = caps.whole("count", "1 to 9", |n| (1..=9).contains(&n));
                    Some((most?, count?))
                });
                let names = root.optional_texts("names");
                Some((name?, caps?, names?))
            });
            assert_eq!(found.err().map(|e| e.to_string()).unwrap_or_default(), expected, "{text}");
        }
        check("name = 'a'\n[caps]\nmost = 1\ncount = 2", "");
        check(
            "name = 'abcdef'\nnames = [1]\n[caps]\nmost = nan\ncount = 10\nleast = 1\n[more]",
            "line 1: name: expected a short name, came 'abcdef'\n\
             line 2: names: expected a list of texts, came [1]\n\
             line 4: caps.most: expected a number above 0, came nan\n\
             line 5: caps.count: expected 1 to 9, came 10\n\
             line 6: caps.least: unknown key, expected count, most\n\
             line 7: more: unknown key, expected caps, name, names",
        );
        check("caps = 3", "line 1: name: missing\nline 1: caps: expected a table, came 3");
        check(
            "name = 'a'\n[caps]\nmost = 0x10\ncount = -1",
            "line 3: caps.most: expected a number above 0, came 0x10\nline 4: caps.count: expected 1 to 9, came -1",
        );
        assert!(read("name = ", |_| Some(())).is_err());
        assert!(read(&" ".repeat(FILE_BYTES_MAX + 1), |_| Some(())).is_err());
    }
}
