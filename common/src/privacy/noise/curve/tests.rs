//! Bounds and decisions against digits of another program (`tests/vectors/noise/README.md`).

use super::super::script::Script;
use rand_core::Rng;

use super::super::secret_rng;
use super::*;

/// rows · 2^halvings · exp(−m²/2σ²): its whole part and the first words of its fraction.
struct Digits {
    variance: Variance,
    point: Point,
    rows: u64,
    whole: u64,
    fraction: Vec<u64>,
}

fn digits() -> Vec<Digits> {
    let file = include_str!("../../../../../tests/vectors/noise/curve.csv");
    let digits: Vec<Digits> = file
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |place: usize| fields[place].parse().expect("a number");
            Digits {
                variance: Variance { numerator: number(0), denominator: number(1) },
                point: Point { magnitude: number(4), row: number(5), halvings: number(3) as u32 },
                rows: number(2),
                whole: number(5),
                fraction: fields[6]
                    .split(' ')
                    .map(|word| u64::from_str_radix(word, 16).expect("a word"))
                    .collect(),
            }
        })
        .collect();
    assert_eq!(digits.len(), 39);
    digits
}

/// As `Curve` for the staircase: W is a power of two up to σ/16, or one.
fn curve(variance: Variance) -> Curve {
    let narrow =
        |bits: &u32| u128::from(variance.denominator) << (8 + 2 * bits) > u128::from(variance.numerator);
    Curve::new(variance, (1..).find(narrow).expect("σ is finite") - 1)
}

#[test]
fn series_bracket_the_digits_closely() {
    for case in digits() {
        for precision in 2..=7 {
            let Digits { variance, rows, whole, fraction, point } = &case;
            let (low, high) = scaled_exp(*rows, point.halvings, point.magnitude, *variance, precision);
            let words: Vec<u64> = fraction[..precision].iter().rev().copied().chain([*whole]).collect();
            let mut exact = Wide::new(&words);
            assert!(low <= exact, "{} at {precision}: {words:x?}", point.magnitude);
            exact.add(&Wide::new(&[1]));
            assert!(high >= exact, "{} at {precision}: {words:x?}", point.magnitude);
            // The bounds are a small part of rows · f apart, once there is precision beyond the largest term.
            let mut gap = high.clone();
            gap.subtract_or_zero(&low);
            let x = (point.magnitude as f64).powi(2) * variance.denominator as f64
                / (2.0 * variance.numerator as f64);
            let largest = rows.ilog2() as f64 + f64::from(point.halvings) + x / std::f64::consts::LN_2;
            let bits = gap.bits() as f64;
            assert!(bits < largest + 12.0, "{}: {bits} bits apart, {largest}", point.magnitude);
        }
    }
}

/// At each precision, a height whose last word is one off the digits is decided, and rightly.
#[test]
fn heights_beside_the_digits_are_decided() {
    for Digits { variance, rows, whole, fraction, point } in digits() {
        let curve = curve(variance);
        // In the tail the row is zero by the staircase's making.
        if point.halvings > 0 && whole > 0 {
            continue;
        }
        let point = Point { row: whole, ..point };
        let check = |words: &[u64], expected| {
            // Words beyond, which only a wider comparison takes.
            let mut script = Script([words, &[1 << 63; 64]].concat());
            let found = curve.covers(&mut script, rows, &point);
            assert_eq!(found, expected, "m = {}: {words:x?}", point.magnitude);
        };
        for length in 1..=fraction.len() {
            let (front, last) = (&fraction[..length - 1], fraction[length - 1]);
            if last > 0 {
                check(&[front, &[last - 1]].concat(), true);
            }
            if last < u64::MAX {
                check(&[front, &[last + 1]].concat(), false);
            }
        }
        // Rows below and above.
        let mut script = Script(vec![u64::MAX, 0, 0, 0]);
        let above = Point { row: whole + 1, ..point };
        assert!(point.halvings > 0 || !curve.covers(&mut script, rows, &above));
        if whole > 0 {
            let mut script = Script(vec![u64::MAX; 4]);
            assert!(curve.covers(&mut script, rows, &Point { row: whole - 1, ..point }));
        }
    }
}

/// The 63-bit bounds hold what the series says, and are close.
#[test]
fn short_bounds_hold() {
    let mut rng = secret_rng([21; 32]);
    for (numerator, denominator) in [
        (1, 4),
        (1, 16),
        (7, 3),
        (1, 1),
        (256, 1),
        (90_000, 1),
        (1 << 36, 1),
        (40_000_000_000, 1),
        (1 << 60, 1),
    ] {
        let variance = Variance { numerator, denominator };
        let curve = curve(variance);
        let end = (curve.starts.len() as u64) << curve.width_bits;
        assert!(curve.at(end).is_none() && curve.at(end - 1).is_some());
        // f is below 2^-47 there, which is at 8.07σ.
        assert!(
            u128::from(end).pow(2) * u128::from(denominator) > 65 * u128::from(numerator),
            "{numerator}/{denominator} ends at {end}"
        );
        assert!(
            curve.width_bits == 0
                || u128::from(end).pow(2) * u128::from(denominator) < 81 * u128::from(numerator),
            "z < 0.6 needs kW < 9σ"
        );
        assert_eq!(curve.at(0), Some(Bounds::ONE));
        for trial in 1..2000 {
            let m = if trial < 40 { trial.min(end - 1) } else { rng.next_u64() % end };
            if m == 0 {
                continue;
            }
            let found = curve.at(m).expect("in the table");
            let (low, high) = scaled_exp(1, 0, m, variance, 3);
            // Three words of fraction; units of 2^-63 are the upper word and the next, doubled.
            let units = |n: &Wide| (u128::from(n.word(3)) << 63) | u128::from(n.word(2) >> 1);
            assert!(u128::from(found.low) <= units(&low), "{m} of {numerator}/{denominator}: {found:?}");
            assert!(u128::from(found.high) >= units(&high), "{m} of {numerator}/{denominator}: {found:?}");
            let gap = found.high - found.low;
            // z⁴/24 of f.
            assert!(gap < 1 << 56, "{m} of {numerator}/{denominator}: {gap}");
        }
    }
}
