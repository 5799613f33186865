//! Numbers as printed.

/// `0.742`; `-` where there is none.
pub(super) fn metric(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| minus(format!("{value:.3}")))
}

/// `0.742 (0.731 to 0.753)`.
pub(super) fn with_interval(value: Option<f64>, interval: Option<[f64; 2]>) -> String {
    match (value, interval) {
        (Some(_), Some([low, high])) => {
            format!("{} ({} to {})", metric(value), metric(Some(low)), metric(Some(high)))
        }
        _ => metric(value),
    }
}

/// ε, rounded up, so that what is printed is never less than what was paid.
pub(super) fn epsilon(value: f64) -> String {
    // A value such as 2.9900000000000002 is 2.99.
    format!("{:.2}", ((value - 1e-9) * 100.0).ceil() / 100.0 + 0.0)
}

/// `1 in 1,000,000`.
pub(super) fn one_in(probability: f64) -> String {
    // Rounded down, but 1e-5 is 1 in 100,000 although its inverse is a hair less.
    let inverse = (1.0 / probability * (1.0 + 1e-9)).floor();
    if probability > 0.0 { format!("1 in {}", grouped(inverse)) } else { "none".into() }
}

/// `73%`, with decimals near the ends: `2.7%`, `99.3%`, `99.97%`.
pub(super) fn percent(share: f64) -> String {
    let hundred = share * 100.0;
    match hundred {
        p if p < 10.0 => format!("{p:.1}%"),
        p if p <= 99.0 || p >= 99.995 => format!("{p:.0}%"),
        p if p < 99.9 => format!("{p:.1}%"),
        p => format!("{p:.2}%"),
    }
}

/// `16,000`.
pub(super) fn grouped(value: f64) -> String {
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

/// `5 hospitals`, `1 hospital`.
pub(super) fn counted(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// `a, b and c`.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A true minus sign.
fn minus(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().any(|c| c.is_ascii_digit() && c != '0') => format!("\u{2212}{rest}"),
        Some(rest) => rest.into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_printed() {
        assert_eq!(metric(Some(-0.0312)), "\u{2212}0.031");
        assert_eq!(metric(Some(-0.0001)), "0.000");
        assert_eq!(metric(None), "–");
        assert_eq!(with_interval(Some(0.7419), Some([0.7, 0.79])), "0.742 (0.700 to 0.790)");
        assert_eq!(with_interval(Some(0.7419), None), "0.742");
        assert_eq!([epsilon(2.991), epsilon(2.99), epsilon(0.0)], ["3.00", "2.99", "0.00"]);
        assert_eq!([one_in(1e-6), one_in(1e-5), one_in(0.0)], ["1 in 1,000,000", "1 in 100,000", "none"]);
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0.0, 999.0, 1e3, 1_234_567.0].map(grouped));
        assert_eq!([counted(1, "hospital"), counted(3, "hospital")], ["1 hospital", "3 hospitals"]);
        let names = ["a", "b", "c"].map(String::from);
        assert_eq!([listed(&names), listed(&names[..1]), listed(&[])], ["a, b and c", "a", "none"]);
    }
}
