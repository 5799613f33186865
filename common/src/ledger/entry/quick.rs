//! Reads the entries that a round leaves, which long ledgers consist of, as they are written: every byte
//! is compared or read once, where serde collects all fields of a flattened kind, reads them, and the
//! result is written anew to see that nothing else was there. Any other spelling, and any other kind, is
//! left to that longer way: [`read`] says nothing of what it does not know.
//!
//! Invariant: what it reads is what serde would have read, and these are the bytes that
//! [`Entry::to_bytes`] makes of it.

use super::{Body, Entry};
use crate::id::Digest;
use crate::time::Time;

/// The entry, if it is a `dataset_version`, `cohort_version`, `reserve`, `release` or `commit` in exactly our own spelling.
pub(super) fn read(bytes: &[u8]) -> Option<Entry> {
    let mut text = Text(bytes);
    text.literal(r#"{"time":""#)?;
    let time = text.time()?;
    text.literal(r#"","previous":"#)?;
    let previous = text.digest()?;
    text.literal(r#","kind":""#)?;
    let kind = text.until_quote()?;
    let body = match kind {
        b"dataset_version" => {
            let study = text.study()?;
            text.literal(r#","commitment":"#)?;
            Body::DatasetVersion { study, commitment: text.digest()? }
        }
        b"cohort_version" => {
            let study = text.study()?;
            text.literal(r#","cohort":"#)?;
            let cohort = text.digest()?;
            text.literal(r#","opt_outs":"#)?;
            let opt_outs = text.digest()?;
            text.literal(r#","source":"#)?;
            let source = text.digest()?;
            text.literal(r#","queries":"#)?;
            Body::CohortVersion { study, cohort, opt_outs, source, queries: text.digest()? }
        }
        b"reserve" => {
            let (study, earmark, first, count) = text.burn()?;
            text.literal(r#","round":"#)?;
            let round = u32::try_from(text.number()?).ok()?;
            text.literal(r#","model":"#)?;
            Body::Reserve { study, earmark, first, count, round, model: text.digest()? }
        }
        b"release" => {
            let (study, earmark, first, count) = text.burn()?;
            text.literal(r#","model":"#)?;
            Body::Release { study, earmark, first, count, model: text.digest()? }
        }
        b"commit" => {
            text.literal(r#","reserve":"#)?;
            let reserve = text.number()?;
            text.literal(r#","output":"#)?;
            Body::Commit { reserve, output: text.digest()? }
        }
        _ => return None,
    };
    text.literal("}")?;
    text.0.is_empty().then_some(Entry { time, previous, body })
}

/// What is left to be read.
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn literal(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text.as_bytes())?;
        Some(())
    }

    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    /// Up to the next quotation mark, which is taken, too.
    fn until_quote(&mut self) -> Option<&'a [u8]> {
        let at = self.0.iter().position(|byte| *byte == b'"')?;
        let taken = &self.0[..at];
        self.0 = &self.0[at + 1..];
        Some(taken)
    }

    fn study(&mut self) -> Option<Digest> {
        self.literal(r#","study":"#)?;
        self.digest()
    }

    /// Study, earmark, first use and count.
    fn burn(&mut self) -> Option<(Digest, u32, u64, u64)> {
        let study = self.study()?;
        self.literal(r#","earmark":"#)?;
        let earmark = u32::try_from(self.number()?).ok()?;
        self.literal(r#","first":"#)?;
        let first = self.number()?;
        self.literal(r#","count":"#)?;
        Some((study, earmark, first, self.number()?))
    }

    /// `"sha256:` and 64 digits, none of them a capital.
    fn digest(&mut self) -> Option<Digest> {
        self.literal(r#""sha256:"#)?;
        let digits: &[u8; 64] = self.take()?;
        self.literal(r#"""#)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Digest::from_bytes(bytes))
    }

    /// A whole number without leading zeros.
    fn number(&mut self) -> Option<u64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(length);
        if digits.is_empty() || (digits[0] == b'0' && length > 1) {
            return None;
        }
        self.0 = rest;
        let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        digits.iter().try_fold(0, add)
    }

    /// `2027-03-01T09:30:00.000Z`, of years that need no further thought.
    fn time(&mut self) -> Option<Time> {
        let year = self.fixed::<4>("-")?;
        let month = self.fixed::<2>("-")?;
        let day = self.fixed::<2>("T")?;
        let hour = self.fixed::<2>(":")?;
        let minute = self.fixed::<2>(":")?;
        let second = self.fixed::<2>(".")?;
        let ms = self.fixed::<3>("Z")?;
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + i64::from(is_leap),
            _ => return None,
        };
        let is_one = (1970..=9998).contains(&year)
            && (1..=length).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !is_one {
            return None;
        }
        // Years from March on: the leap day is the last. Day 719468 is 1970-01-01, counted from 0000-03-01.
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
        Time::from_unix_ms((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms).ok()
    }

    /// N digits, and what follows them.
    fn fixed<const N: usize>(&mut self, then: &str) -> Option<i64> {
        let digits: &[u8; N] = self.take()?;
        self.literal(then)?;
        let add = |sum: i64, digit: &u8| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'));
        digits.iter().try_fold(0, add)
    }
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> Time {
        text.parse().expect("a time")
    }

    fn entry(body: Body) -> Entry {
        Entry { time: time("2027-03-01T09:30:00.250Z"), previous: Digest::of(b"before"), body }
    }

    /// One of each kind that is read here.
    fn bodies(small: u32, large: u64) -> [Body; 5] {
        let [study, digest] = [Digest::of(&large.to_le_bytes()), Digest::of(&small.to_le_bytes())];
        let (earmark, first, count, round) = (small, large, large / 3, small ^ 1);
        [
            Body::DatasetVersion { study, commitment: digest },
            Body::CohortVersion { study, cohort: digest, opt_outs: study, source: digest, queries: study },
            Body::Reserve { study, earmark, first, count, round, model: digest },
            Body::Release { study, earmark, first, count, model: digest },
            Body::Commit { reserve: large, output: digest },
        ]
    }

    /// Whether it is read here; if so, as the longer way reads it.
    fn check(bytes: &[u8]) -> bool {
        let Some(found) = read(bytes) else { return false };
        assert_eq!(Entry::from_json(bytes), Ok(found.clone()), "{}", String::from_utf8_lossy(bytes));
        assert_eq!(found.to_bytes().expect("short"), bytes);
        true
    }

    #[test]
    fn what_a_round_leaves_is_read_here() {
        for (small, large) in [(0, 0), (7, 10), (u32::MAX, u64::MAX)] {
            for body in bodies(small, large) {
                assert!(check(&entry(body).to_bytes().expect("short")));
            }
        }
        let other = entry(Body::Abort { reserve: 3, reason: "interrupted".into() });
        assert!(!check(&other.to_bytes().expect("short")));
    }

    /// Any other byte anywhere, a byte less or one more: not read here, or read as the longer way does.
    #[test]
    fn no_other_spelling_is_read_here() {
        let mut read_here = 0;
        for body in bodies(12, 345) {
            let good = entry(body).to_bytes().expect("short");
            for at in 0..good.len() {
                let mut bytes = good.clone();
                for other in b"0159afAFZ-\"{}[],:. \\\n\0e+".iter().copied() {
                    bytes[at] = other;
                    read_here += usize::from(check(&bytes));
                }
                bytes.remove(at);
                read_here += usize::from(check(&bytes));
                let mut longer = good.clone();
                longer.insert(at, b'0');
                read_here += usize::from(check(&longer));
            }
            assert!(!check(&[&good[..], b" "].concat()) && !check(&good[..good.len() - 1]));
        }
        assert!(read_here > 1000, "other digits are other entries");
    }

    #[test]
    fn times_that_there_are() {
        let of = |text: &str| {
            let good = entry(bodies(1, 2)[0].clone()).to_bytes().expect("short");
            let good = String::from_utf8(good).expect("text");
            check(good.replacen("2027-03-01T09:30:00.250Z", text, 1).as_bytes())
        };
        for text in [
            "1970-01-01T00:00:00.000Z",
            "2000-02-29T23:59:59.999Z",
            "2028-02-29T00:00:00.000Z",
            "2100-02-28T12:00:00.000Z",
            "9998-12-31T23:59:59.999Z",
        ] {
            assert!(of(text), "{text}");
        }
        for text in [
            "1969-12-31T23:59:59.999Z",
            "2027-02-29T00:00:00.000Z",
            "2100-02-29T00:00:00.000Z",
            "2027-13-01T00:00:00.000Z",
            "2027-00-01T00:00:00.000Z",
            "2027-04-31T00:00:00.000Z",
            "2027-04-00T00:00:00.000Z",
            "2027-04-01T24:00:00.000Z",
            "2027-04-01T00:60:00.000Z",
            "2027-06-30T23:59:60.000Z",
            "9999-12-31T23:59:59.999Z",
            "2027-04-01T00:00:00Z",
            "2027-04-01t00:00:00.000z",
        ] {
            assert!(!of(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_numbers_and_times(small: u32, large: u64, ms in 0..253_300_000_000_000_i64) {
            let time = Time::from_unix_ms(ms).expect("a time");
            for body in bodies(small, large) {
                let entry = Entry { time, ..entry(body) };
                prop_assert!(check(&entry.to_bytes().expect("short")));
            }
        }
    }
}
