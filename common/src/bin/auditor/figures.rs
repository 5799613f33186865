//! Figures as a person reads them, beside those of `common::report`.

/// ε with four decimals, rounded up: a loss is never understated.
pub(crate) fn epsilon(value: f64) -> String {
    format!("{:.4}", (value * 1e4).ceil() / 1e4)
}

/// What is left, with two decimals, rounded down: it is never overstated.
pub(crate) fn left(value: f64) -> String {
    format!("{:.2}", ((value + 1e-9) * 100.0).floor().max(0.0) / 100.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let check = |found: String, expected: &str| assert_eq!(found, expected);
        check(epsilon(2.00001), "2.0001");
        check(left(1.566), "1.56");
        check(left(-0.1), "0.00");
        check(plain("a\nverdict: \u{1b}[31mb "), "a verdict:  [31mb");
        check(bytes(999), "999 bytes");
        check(bytes(212_001), "213 KB");
        check(bytes(4_540_000), "4.5 MB");
    }
}
