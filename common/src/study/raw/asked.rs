//! In tests: every key that the parser asked for in this thread, so that the guide can be held against the parser itself and
//! not against a list that goes stale.

use super::Ask;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

thread_local! {
    static LOG: RefCell<Log> = RefCell::default();
}

/// What was asked for since the last [`take`].
#[derive(Debug, Default)]
pub(in crate::study) struct Log {
    /// Keys by path, as `concept_set.*.include[].id`, and whether any document had them.
    pub(in crate::study) keys: BTreeMap<String, bool>,
    /// Where the asks stand in the parser: file and line.
    pub(in crate::study) asks: BTreeSet<(&'static str, u32)>,
    /// Tables whose keys the author names.
    free: BTreeSet<String>,
}

/// What was asked for, from now on anew.
pub(in crate::study) fn take() -> Log {
    LOG.with(RefCell::take)
}

/// A key was asked for at a path.
pub(super) fn key(path: &str, ask: Ask, is_there: bool) {
    LOG.with_borrow_mut(|log| {
        log.asks.insert((ask.place.file(), ask.place.line()));
        // Asked for only to say that it does not belong there.
        let is_refused = ask.expected.starts_with("nothing") || ask.expected.starts_with("no ");
        if !is_refused {
            let path = log.pattern(path);
            *log.keys.entry(path).or_default() |= is_there;
        }
    });
}

/// A table was asked for all its keys.
pub(super) fn free(path: &str, ask: Ask) {
    LOG.with_borrow_mut(|log| {
        log.asks.insert((ask.place.file(), ask.place.line()));
        let path = log.pattern(path);
        log.free.insert(path);
    });
}

impl Log {
    /// `cohort.discharge.entry[2]` as `cohort.*.entry[]`.
    fn pattern(&self, path: &str) -> String {
        path.split('.').fold(String::new(), |before, part| {
            if self.free.contains(&before) {
                return format!("{before}.*");
            }
            let part = part.split_once('[').map_or_else(|| part.to_owned(), |(key, _)| format!("{key}[]"));
            if before.is_empty() { part } else { format!("{before}.{part}") }
        })
    }
}
