//! What is wrong with a study file: every mistake at once, each with its place and its remedy.

use std::fmt;

/// One mistake in a study file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line of the file, counted from 1.
    pub line: usize,
    /// Where in the file, as `privacy.training.rounds` or `site[2].key` (counted from 1).
    pub key: String,
    /// What the language asks for there.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// What to write instead.
    pub instead: String,
    pub(super) kind: Kind,
}

/// Why it is a mistake; decides what is shown beside a syntax error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Syntax,
    Absent,
    Unknown,
    Wrong,
}

/// All mistakes of one file, by line; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    list: Vec<Mistake>,
    more: usize,
}

impl Mistakes {
    pub(super) fn new(mut list: Vec<Mistake>) -> Self {
        assert!(!list.is_empty(), "made only when something is wrong");
        list.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        list.dedup();
        let more = list.len().saturating_sub(super::limits::MISTAKES_MAX);
        list.truncate(super::limits::MISTAKES_MAX);
        Self { list, more }
    }

    pub(super) fn one(line: usize, key: &str, expected: &str, found: String, instead: &str) -> Self {
        let (expected, instead) = (expected.to_owned(), instead.to_owned());
        Self::new(vec![Mistake { line, key: key.to_owned(), expected, found, instead, kind: Kind::Wrong }])
    }

    /// These and others of the same file.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.list.extend(others.list);
        let mut all = Self::new(self.list);
        all.more += self.more + others.more;
        all
    }

    /// The mistakes, by line.
    #[must_use]
    pub fn list(&self) -> &[Mistake] {
        &self.list
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, expected, found, instead, .. } = self;
        write!(f, "line {line}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        write!(f, "expected {expected}, came {found}; {instead}")
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.list.iter().enumerate() {
            let end = if i + 1 < self.list.len() || self.more > 0 { "\n" } else { "" };
            write!(f, "{mistake}{end}")?;
        }
        if self.more > 0 {
            write!(f, "and {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
