//! Natural numbers of any length, for the few comparisons that 64 bits leave open.
//!
//! Only what a series needs: times and through one word, plus, minus, order.

use std::cmp::Ordering;

use zeroize::Zeroize;

/// A natural number; least word first, the last word not zero. Wiped when dropped, for it may tell
/// a noise value.
#[derive(PartialEq, Eq)]
pub(super) struct Wide {
    words: Vec<u64>,
}

/// Which way a quotient is rounded.
#[derive(Clone, Copy)]
pub(super) enum Rounding {
    Down,
    Up,
}

impl Wide {
    /// The number of these words, least first.
    pub(super) fn new(words: &[u64]) -> Self {
        // Room for the growth of an ordinary series, so that no copy stays behind.
        let mut own = Vec::with_capacity(words.len() + 8);
        own.extend_from_slice(words);
        let mut number = Self { words: own };
        number.trim();
        number
    }

    /// `factor` · 2^(64 · `words`).
    pub(super) fn shifted(factor: u64, words: usize) -> Self {
        let mut all = vec![0; words];
        all.push(factor);
        Self::new(&all)
    }

    /// Word number `place`, counted from the least; zero beyond the last.
    pub(super) fn word(&self, place: usize) -> u64 {
        self.words.get(place).copied().unwrap_or(0)
    }

    /// Times one word, exactly.
    pub(super) fn multiply(&mut self, factor: u64) {
        let mut carry = 0;
        for word in &mut self.words {
            let product = u128::from(*word) * u128::from(factor) + u128::from(carry);
            (*word, carry) = (product as u64, (product >> 64) as u64);
        }
        self.words.push(carry);
        self.trim();
    }

    /// Through one word, which is not zero, rounded to a natural number.
    pub(super) fn divide(&mut self, divisor: u64, rounding: Rounding) {
        let mut rest = 0;
        for word in self.words.iter_mut().rev() {
            let value = u128::from(rest) << 64 | u128::from(*word);
            // The rest is below the divisor, so the quotient fits.
            (*word, rest) = ((value / u128::from(divisor)) as u64, (value % u128::from(divisor)) as u64);
        }
        self.trim();
        if rest > 0 && matches!(rounding, Rounding::Up) {
            self.add(&Self::new(&[1]));
        }
    }

    /// Plus another.
    pub(super) fn add(&mut self, other: &Self) {
        let length = self.words.len().max(other.words.len());
        self.words.resize(length, 0);
        let mut carry = false;
        for (place, word) in self.words.iter_mut().enumerate() {
            (*word, carry) = word.carrying_add(other.word(place), carry);
        }
        self.words.push(u64::from(carry));
        self.trim();
    }

    /// Minus another, or zero where that is the greater.
    pub(super) fn subtract_or_zero(&mut self, other: &Self) {
        let mut borrow = false;
        let length = self.words.len().max(other.words.len());
        self.words.resize(length, 0);
        for (place, word) in self.words.iter_mut().enumerate() {
            (*word, borrow) = word.borrowing_sub(other.word(place), borrow);
        }
        if borrow {
            self.words.zeroize();
        }
        self.trim();
    }

    /// How many bits it takes.
    #[cfg(test)]
    pub(super) fn bits(&self) -> u32 {
        self.words.last().map_or(0, |last| 64 * self.words.len() as u32 - last.leading_zeros())
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }
}

impl Clone for Wide {
    fn clone(&self) -> Self {
        Self::new(&self.words)
    }
}

impl Drop for Wide {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.words.len().cmp(&other.words.len());
        order.then_with(|| self.words.iter().rev().cmp(other.words.iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &Wide, expected: &[u64]) {
        assert_eq!(found.words, expected);
    }

    #[test]
    fn arithmetic() {
        let with = |words: &[u64], change: &dyn Fn(&mut Wide)| {
            let mut number = Wide::new(words);
            change(&mut number);
            number
        };
        let max = u64::MAX;
        check(&Wide::new(&[5, 0, 0]), &[5]);
        check(&Wide::shifted(3, 2), &[0, 0, 3]);
        check(&with(&[max, max], &|n| n.multiply(max)), &[1, max, max - 1]);
        check(&with(&[7], &|n| n.multiply(0)), &[]);
        check(&with(&[0, 1], &|n| n.divide(3, Rounding::Down)), &[max / 3]);
        check(&with(&[0, 1], &|n| n.divide(3, Rounding::Up)), &[max / 3 + 1]);
        check(&with(&[max, max], &|n| n.divide(max, Rounding::Up)), &[1, 1]);
        check(&with(&[2, 0, 6], &|n| n.divide(2, Rounding::Up)), &[1, 0, 3]);
        check(&with(&[1], &|n| n.divide(2, Rounding::Down)), &[]);
        check(&with(&[1], &|n| n.divide(2, Rounding::Up)), &[1]);
        check(&with(&[max, max], &|n| n.add(&Wide::new(&[1]))), &[0, 0, 1]);
        check(&with(&[1], &|n| n.add(&Wide::new(&[max, 7]))), &[0, 8]);
        check(&with(&[0, 0, 1], &|n| n.subtract_or_zero(&Wide::new(&[1]))), &[max, max]);
        check(&with(&[4], &|n| n.subtract_or_zero(&Wide::new(&[4]))), &[]);
        check(&with(&[4], &|n| n.subtract_or_zero(&Wide::new(&[5]))), &[]);
        check(&with(&[4], &|n| n.subtract_or_zero(&Wide::new(&[0, 1]))), &[]);
    }

    #[test]
    fn order() {
        let rising = [&[][..], &[1], &[max()], &[0, 1], &[max(), 1], &[0, 2], &[0, 0, 1]];
        for pair in rising.windows(2) {
            assert!(Wide::new(pair[0]) < Wide::new(pair[1]), "{pair:x?}");
        }
        assert_eq!(Wide::new(&[3, 0]).cmp(&Wide::new(&[3])), Ordering::Equal);

        fn max() -> u64 {
            u64::MAX
        }
    }
}
