//! How the text of a table's cell is compared with the texts of a study file: as numbers where both
//! are numbers (`1` is `1.0` is `01`), else as trimmed text, case and all.

/// The number that a cell holds: finite, decimal point, no thousands separators.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    // Rust also reads "inf", "nan" and "infinity"; no table means those.
    if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Whether two cells mean the same.
#[must_use]
pub fn same(left: &str, right: &str) -> bool {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left.trim() == right.trim(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cells() {
        fn check(left: &str, right: &str, expected: bool) {
            assert_eq!(super::same(left, right), expected, "{left:?} {right:?}");
        }
        check("1", "1.0", true);
        check(" 1 ", "01", true);
        check("-0", "0", true);
        check("1", "2", false);
        check("male", " male", true);
        check("male", "Male", false);
        check("", "", true);
        check("", "0", false);
        check("nan", "nan", true);
        check("1,5", "1.5", false);
        assert_eq!(super::number("inf"), None);
        assert_eq!(super::number("NaN"), None);
        assert_eq!(super::number("1e400"), None);
        assert_eq!(super::number(""), None);
        assert_eq!(super::number("e"), None);
    }
}
