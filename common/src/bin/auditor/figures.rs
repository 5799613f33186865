//! Figures as a person reads them.

/// ε with four decimals, rounded up: a loss is never understated.
pub(crate) fn epsilon(value: f64) -> String {
    format!("{:.4}", (value * 1e4).ceil() / 1e4)
}

/// ε with two decimals, rounded up; a value such as 2.9900000000000002 is 2.99.
pub(crate) fn epsilon_short(value: f64) -> String {
    format!("{:.2}", ((value - 1e-9) * 100.0).ceil() / 100.0 + 0.0)
}

/// What is left, with two decimals, rounded down: it is never overstated.
pub(crate) fn left(value: f64) -> String {
    format!("{:.2}", ((value + 1e-9) * 100.0).floor().max(0.0) / 100.0)
}

/// `73%`, with decimals near the ends: `2.7%`, `99.3%`, `99.97%`; as in the coordinator's report.
pub(crate) fn percent(share: f64) -> String {
    let hundred = share * 100.0;
    match hundred {
        p if p < 10.0 => format!("{p:.1}%"),
        p if p <= 99.0 || p >= 99.995 => format!("{p:.0}%"),
        p if p < 99.9 => format!("{p:.1}%"),
        p => format!("{p:.2}%"),
    }
}

/// `1 in 100,000`.
pub(crate) fn one_in(probability: f64) -> String {
    // 1e-5 is 1 in 100,000 although its inverse is a hair less.
    format!("1 in {}", grouped((1.0 / probability * (1.0 + 1e-9)).floor()))
}

/// `16,000`.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `212 KB`; below a thousand, bytes.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} bytes"),
        1_000..1_000_000 => format!("{} KB", count.div_ceil(1_000)),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// Somebody else's words on one line of ours: whoever wrote them cannot write a verdict below, nor steer a
/// terminal.
pub(crate) fn plain(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `1 hospital`, `3 hospitals`.
pub(crate) fn counted(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let check = |found: String, expected: &str| assert_eq!(found, expected);
        check(epsilon(2.00001), "2.0001");
        check(epsilon_short(2.99_f64.next_up()), "2.99");
        check(epsilon_short(2.991), "3.00");
        check(left(1.566), "1.56");
        check(left(-0.1), "0.00");
        check(percent(0.731), "73%");
        check(percent(0.0269), "2.7%");
        check(percent(0.993_3), "99.3%");
        check(percent(0.999_66), "99.97%");
        check(percent(1.0), "100%");
        check(one_in(1e-5), "1 in 100,000");
        check(grouped(1_234.0), "1,234");
        check(plain("a\nverdict: \u{1b}[31mb "), "a verdict:  [31mb");
        check(bytes(999), "999 bytes");
        check(bytes(212_001), "213 KB");
        check(bytes(4_540_000), "4.5 MB");
    }
}
