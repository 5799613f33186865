//! Figures as a person reads them.

/// ε with two decimals, rounded up; a value such as 2.9900000000000002 is 2.99.
#[must_use]
pub fn epsilon_short(value: f64) -> String {
    format!("{:.2}", ((value - 1e-9) * 100.0).ceil() / 100.0 + 0.0)
}

/// `1 in 100,000`; `none` where there is no probability.
#[must_use]
pub fn one_in(probability: f64) -> String {
    // Rounded down, but 1e-5 is 1 in 100,000 although its inverse is a hair less.
    let inverse = (1.0 / probability * (1.0 + 1e-9)).floor();
    if probability > 0.0 { format!("1 in {}", grouped(inverse)) } else { "none".into() }
}

/// `73%`, with decimals near the ends: `2.7%`, `99.3%`, `99.97%`.
#[must_use]
pub fn percent(share: f64) -> String {
    let hundred = share * 100.0;
    match hundred {
        p if p < 10.0 => format!("{p:.1}%"),
        p if p <= 99.0 || p >= 99.995 => format!("{p:.0}%"),
        p if p < 99.9 => format!("{p:.1}%"),
        p => format!("{p:.2}%"),
    }
}

/// `16,000`.
#[must_use]
pub fn grouped(value: f64) -> String {
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

/// `1 hospital`, `3 hospitals`.
#[must_use]
pub fn counted(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// At most four decimals, and none that is zero at the end: `0.01`, `2`.
#[must_use]
pub fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `a, b and c`.
#[must_use]
pub fn listed(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_printed() {
        let check = |found: String, expected: &str| assert_eq!(found, expected);
        check(epsilon_short(2.99_f64.next_up()), "2.99");
        check(epsilon_short(2.991), "3.00");
        check(epsilon_short(0.0), "0.00");
        check(percent(0.731), "73%");
        check(percent(0.0269), "2.7%");
        check(percent(0.993_3), "99.3%");
        check(percent(0.999_66), "99.97%");
        check(percent(1.0), "100%");
        check(one_in(1e-6), "1 in 1,000,000");
        check(one_in(1e-5), "1 in 100,000");
        check(one_in(0.0), "none");
        check(grouped(0.0), "0");
        check(grouped(999.0), "999");
        check(grouped(1_000.0), "1,000");
        check(grouped(1_234_567.0), "1,234,567");
        check(counted(1, "hospital", "hospitals"), "1 hospital");
        check(counted(3, "hospital", "hospitals"), "3 hospitals");
        check(trimmed(2.0), "2");
        check(trimmed(0.0125), "0.0125");
        let names = ["a", "b", "c"].map(String::from);
        check(listed(&names), "a, b and c");
        check(listed(&names[..1]), "a");
        check(listed(&[]), "none");
    }
}
