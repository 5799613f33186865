//! Phrases of words, looked for together: at each word the longest.

use std::collections::HashMap;

/// What phrases mean, by their words.
pub(super) struct Phrases<T> {
    /// The first is where every phrase starts.
    steps: Vec<Step<T>>,
}

struct Step<T> {
    next: HashMap<Box<str>, usize>,
    meaning: Option<T>,
}

impl<T> Step<T> {
    fn new() -> Self {
        Self { next: HashMap::new(), meaning: None }
    }
}

/// A phrase that was found: words `start..end` of a sentence.
#[derive(Clone, Copy)]
pub(super) struct Found<'a, T> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) meaning: &'a T,
}

impl<T> Phrases<T> {
    pub(super) fn new() -> Self {
        Self { steps: vec![Step::new()] }
    }

    /// Adds a phrase of one word or more; what the same words meant before, if anything.
    pub(super) fn add(&mut self, words: &[String], meaning: T) -> Option<T> {
        assert!(!words.is_empty(), "a phrase has words");
        let mut at = 0;
        for word in words {
            at = match self.steps[at].next.get(word.as_str()) {
                Some(next) => *next,
                None => {
                    self.steps.push(Step::new());
                    let next = self.steps.len() - 1;
                    self.steps[at].next.insert(word.as_str().into(), next);
                    next
                }
            };
        }
        self.steps[at].meaning.replace(meaning)
    }

    /// From left to right the longest phrase at each word, none inside another.
    pub(super) fn find<'a>(&'a self, words: &[&str], found: &mut Vec<Found<'a, T>>) {
        found.clear();
        let mut start = 0;
        while start < words.len() {
            let longest = self.longest(&words[start..]);
            if let Some((length, meaning)) = longest {
                found.push(Found { start, end: start + length, meaning });
            }
            start += longest.map_or(1, |(length, _)| length);
        }
    }

    fn longest(&self, words: &[&str]) -> Option<(usize, &T)> {
        let (mut at, mut longest) = (0, None);
        for (length, word) in (1..).zip(words) {
            let Some(next) = self.steps[at].next.get(*word) else { break };
            at = *next;
            if let Some(meaning) = &self.steps[at].meaning {
                longest = Some((length, meaning));
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_from_left_to_right() {
        fn check(text: &str, expected: &[(usize, usize, u32)]) {
            let mut phrases = Phrases::new();
            for (words, meaning) in [("a b", 1), ("a b c d", 2), ("b", 3), ("c", 4)] {
                let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
                assert_eq!(phrases.add(&words, meaning), None);
            }
            let words: Vec<&str> = text.split(' ').collect();
            let mut found = Vec::new();
            phrases.find(&words, &mut found);
            let found: Vec<_> = found.iter().map(|f| (f.start, f.end, *f.meaning)).collect();
            assert_eq!(found, expected, "{text}");
        }
        check("x", &[]);
        check("a b", &[(0, 2, 1)]);
        check("a b c d", &[(0, 4, 2)]);
        check("a b c x", &[(0, 2, 1), (2, 3, 4)]);
        check("a a b b", &[(1, 3, 1), (3, 4, 3)]);
    }
}
