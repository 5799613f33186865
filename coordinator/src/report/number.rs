//! Numbers as printed, beside those of `common::report`.

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
    }
}
