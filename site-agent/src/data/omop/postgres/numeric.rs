//! PostgreSQL's `numeric` in its binary form: a sign and groups of four decimal digits.
//!
//! `numeric_send` in the server's `numeric.c`: the number of groups, the power of 10,000 of the first, the sign, the scale
//! that is shown, each of 16 bits; then the groups. Groups of zero at either end are not sent.

use super::super::cells::{self, Cell};

const NEGATIVE: u16 = 0x4000;
/// Not a number, or infinite.
const SPECIAL: [u16; 3] = [0xC000, 0xD000, 0xF000];
/// Below it a float holds every whole number.
const EXACT: u64 = 1 << 53;
/// The powers of ten that a float holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// A number as it was sent.
struct Sent<'a> {
    /// Big-endian, each below 10,000.
    groups: &'a [[u8; 2]],
    /// Which power of 10,000 the first group counts.
    weight: i16,
    negative: bool,
}

enum Parsed<'a> {
    Finite(Sent<'a>),
    /// Not a number, or infinite.
    Special,
}

fn parse(bytes: &[u8]) -> Option<Parsed<'_>> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let [c0, c1, w0, w1, s0, s1, ..] = *head;
    let (groups, odd) = rest.as_chunks::<2>();
    if !odd.is_empty() || groups.len() != usize::from(u16::from_be_bytes([c0, c1])) {
        return None;
    }
    if groups.iter().any(|group| u16::from_be_bytes(*group) > 9999) {
        return None;
    }
    let weight = i16::from_be_bytes([w0, w1]);
    match u16::from_be_bytes([s0, s1]) {
        0 => Some(Parsed::Finite(Sent { groups, weight, negative: false })),
        NEGATIVE => Some(Parsed::Finite(Sent { groups, weight, negative: true })),
        sign if SPECIAL.contains(&sign) => Some(Parsed::Special),
        _ => None,
    }
}

/// A whole number, as its text would give; none where the bytes are no `numeric`.
pub(super) fn id(bytes: &[u8]) -> Option<Cell<i64>> {
    let Parsed::Finite(sent) = parse(bytes)? else { return Some(Cell::Bad) };
    let whole = (i32::from(sent.weight) + 1).max(0).unsigned_abs() as usize;
    if sent.groups.iter().skip(whole).any(|group| *group != [0, 0]) {
        return Some(Cell::Bad);
    }
    if sent.groups.is_empty() {
        return Some(Cell::Is(0));
    }
    let mut number = 0_i128;
    for at in 0..whole {
        let group = sent.groups.get(at).map_or(0, |group| u16::from_be_bytes(*group));
        number = number * 10_000 + i128::from(group);
        if number > i128::from(u64::MAX) {
            return Some(Cell::Bad);
        }
    }
    let number = if sent.negative { -number } else { number };
    Some(i64::try_from(number).map_or(Cell::Bad, Cell::Is))
}

/// The float nearest to the number, as its text would give; none where the bytes are no `numeric`.
pub(super) fn number(bytes: &[u8]) -> Option<Cell<f64>> {
    let Parsed::Finite(sent) = parse(bytes)? else { return Some(Cell::Bad) };
    let tens = 4 * (i32::from(sent.weight) + 1 - i32::try_from(sent.groups.len()).ok()?);
    let power = TENS.get(tens.unsigned_abs() as usize);
    let folded = sent.groups.iter().try_fold(0_u64, |digits, group| {
        let digits = digits.checked_mul(10_000)? + u64::from(u16::from_be_bytes(*group));
        (digits <= EXACT).then_some(digits)
    });
    let (Some(digits), Some(power)) = (folded, power) else { return Some(by_text(&sent, tens)) };
    // Two floats without an error, and one operation: what it rounds to is the nearest (Clinger 1990).
    #[expect(clippy::cast_precision_loss, reason = "at most 2^53")]
    let digits = digits as f64;
    let size = if tens < 0 { digits / power } else { digits * power };
    Some(cells::finite(if sent.negative { -size } else { size }))
}

fn by_text(sent: &Sent<'_>, tens: i32) -> Cell<f64> {
    let mut text = String::with_capacity(4 * sent.groups.len() + 8);
    text.push_str(if sent.negative { "-0" } else { "0" });
    for group in sent.groups {
        text.push_str(&format!("{:04}", u16::from_be_bytes(*group)));
    }
    text.push_str(&format!("e{tens}"));
    cells::number(text.as_bytes())
}

/// As the server sends it: for tests.
#[cfg(test)]
pub(super) fn sent(text: &str) -> Vec<u8> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let padded = format!("{part}{}", "0".repeat((4 - part.len() % 4) % 4));
    let all = format!("{whole}{padded}");
    let group = |at: usize| all[at..at + 4].parse::<u16>().expect("digits");
    let mut groups: Vec<u16> = (0..all.len()).step_by(4).map(group).collect();
    let mut weight = i16::try_from(whole.len() / 4).expect("short") - 1;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    let weight = if groups.is_empty() { 0 } else { weight };
    let count = u16::try_from(groups.len()).expect("short");
    let scale = u16::try_from(part.len()).expect("short");
    let sign = if negative && !groups.is_empty() { NEGATIVE } else { 0 };
    [count, weight.cast_unsigned(), sign, scale]
        .into_iter()
        .chain(groups)
        .flat_map(u16::to_be_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn same_as_text(text: &str) {
        let bytes = sent(text);
        assert!(id(&bytes) == Some(cells::id(text.as_bytes())), "id of {text}");
        match (number(&bytes), cells::number(text.as_bytes())) {
            (Some(Cell::Is(found)), Cell::Is(expected)) => {
                assert_eq!(found.to_bits(), expected.to_bits(), "number of {text}");
            }
            (found, expected) => assert!(found == Some(expected), "number of {text}"),
        }
    }

    #[test]
    fn as_text_gives_it() {
        for text in [
            "0",
            "-0",
            "0.0",
            "1",
            "-1",
            "12.0",
            "12.5",
            "36.6",
            "0.001",
            "-0.00005",
            "10000",
            "100000000",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999999999999999999999999",
            "9007199254740993",
            "9007199254740992.5",
            "0.1234567890123456789",
            "123456789012345678901234567890.5",
            "5404319552844595.5",
            "20000.0001",
        ] {
            same_as_text(text);
        }
        let long = format!("1{}", "0".repeat(330));
        assert!(number(&sent(&long)) == Some(Cell::Bad) && id(&sent(&long)) == Some(Cell::Bad));
        let small = format!("0.{}1", "0".repeat(400));
        assert!(number(&sent(&small)) == Some(Cell::Is(0.0)) && id(&sent(&small)) == Some(Cell::Bad));
    }

    #[test]
    fn what_is_no_number() {
        for sign in SPECIAL {
            let bytes: Vec<u8> = [0, 0, sign, 0].into_iter().flat_map(u16::to_be_bytes).collect();
            assert!(id(&bytes) == Some(Cell::Bad) && number(&bytes) == Some(Cell::Bad), "{sign:x}");
        }
        let wrong: [&[u16]; 5] =
            [&[0, 0, 0], &[1, 0, 0, 0], &[0, 0, 0, 0, 1], &[1, 0, 0x1234, 0, 1], &[1, 0, 0, 0, 10_000]];
        for words in wrong {
            let bytes: Vec<u8> = words.iter().copied().flat_map(u16::to_be_bytes).collect();
            assert!(id(&bytes).is_none() && number(&bytes).is_none(), "{words:?}");
            assert!(number(&bytes[..bytes.len() - 1]).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_number(whole in "-?(0|[1-9][0-9]{0,24})", part in "(\\.[0-9]{1,24})?") {
            same_as_text(&format!("{whole}{part}"));
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(id(&bytes).is_none(), number(&bytes).is_none());
        }
    }
}
