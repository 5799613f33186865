//! One row's cells to numbers, as the study's public ranges and levels say: nothing is scaled or
//! imputed from data, so a row's inputs depend on that row alone.

use consilium_common::study::{Encoding, Feature, FeatureColumn, Missing, OutcomeColumn, cell};

/// A cell that is no number where the study asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANumber;

/// Appends the inputs of one feature, as [`Study::input_names`] lists them. Returns whether the cell
/// counts as "not recorded": empty, one of the feature's missing values, or an unlisted level. A
/// number outside its range is clipped to it.
///
/// [`Study::input_names`]: consilium_common::study::Study::input_names
///
/// # Privacy
/// Inputs lie in [−1, 1], whatever the cell holds, and depend on this cell and the study only.
///
/// # Errors
/// A number is asked for and the cell holds something else.
pub fn encode(
    feature: &Feature,
    column: &FeatureColumn,
    missing: Missing,
    cell: &str,
    inputs: &mut Vec<f32>,
) -> Result<bool, NotANumber> {
    let absent = cell.trim().is_empty() || column.missing_values.iter().any(|value| cell::same(value, cell));
    let found = match &feature.encoding {
        _ if absent => Found::Nothing,
        Encoding::Category { levels } => {
            levels.iter().position(|level| cell::same(level, cell)).map_or(Found::Nothing, Found::Level)
        }
        _ => Found::Number(cell::number(cell).ok_or(NotANumber)?),
    };
    push(&feature.encoding, missing, found, inputs);
    Ok(found == Found::Nothing)
}

/// What there is of a feature.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Found {
    /// Not recorded.
    Nothing,
    /// A finite number; of a flag 0 or more than 0.
    Number(f64),
    /// Index of a category's level.
    Level(usize),
}

/// Appends the inputs of one feature.
///
/// # Privacy
/// As [`encode`].
pub(super) fn push(encoding: &Encoding, missing: Missing, found: Found, inputs: &mut Vec<f32>) {
    let number = match found {
        Found::Number(number) => Some(number),
        Found::Nothing | Found::Level(_) => None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "rounds a number in [-1, 1]")]
    let mut one = |input: f64| inputs.push(input as f32);
    match encoding {
        Encoding::Number { low, high } => {
            // Halves first: the difference of two finite numbers may be infinite.
            let (half, middle) = (high / 2.0 - low / 2.0, high / 2.0 + low / 2.0);
            one(number.map_or(0.0, |number| ((number.clamp(*low, *high) - middle) / half).clamp(-1.0, 1.0)));
        }
        Encoding::Category { levels } => {
            (1..levels.len()).for_each(|i| one(if found == Found::Level(i) { 1.0 } else { 0.0 }));
        }
        Encoding::Flag => one(if number.is_some_and(|number| number > 0.0) { 1.0 } else { 0.0 }),
        Encoding::Count { cap } => {
            let cap = f64::from(*cap);
            one(number.map_or(0.0, |number| number.clamp(0.0, cap).ln_1p() / cap.ln_1p()));
        }
        Encoding::Distance { range: (low, high), normal } => {
            let most = (normal.0 / 2.0 - low / 2.0).max(high / 2.0 - normal.1 / 2.0);
            let outside = |number: f64| {
                let number = number.clamp(*low, *high);
                (normal.0 / 2.0 - number / 2.0).max(number / 2.0 - normal.1 / 2.0).max(0.0)
            };
            one(number.map_or(0.0, |number| (outside(number) / most).clamp(0.0, 1.0)));
        }
    }
    if missing.indicator && encoding.can_be_missing() {
        one(if found == Found::Nothing { 1.0 } else { 0.0 });
    }
}

/// The outcome: 1, 0, or none where the cell is in neither list.
#[must_use]
pub fn outcome(column: &OutcomeColumn, cell: &str) -> Option<f32> {
    let among = |list: &[String]| list.iter().any(|value| cell::same(value, cell));
    if among(&column.positive) {
        Some(1.0)
    } else if among(&column.negative) {
        Some(0.0)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoding: &Encoding, indicator: bool, cell: &str, expected: Result<&[f32], NotANumber>) {
        let feature = Feature { name: "x".to_owned(), unit: None, encoding: encoding.clone() };
        let column =
            FeatureColumn { column: "x".to_owned(), missing_values: vec!["0".to_owned(), "n/k".to_owned()] };
        let mut inputs = Vec::new();
        let result = encode(&feature, &column, Missing { indicator }, cell, &mut inputs);
        assert_eq!(result.map(|_| inputs.as_slice()), expected, "{cell:?}");
    }

    #[test]
    fn numbers() {
        let age = Encoding::Number { low: 20.0, high: 60.0 };
        check(&age, false, "20", Ok(&[-1.0]));
        check(&age, false, "40.0", Ok(&[0.0]));
        check(&age, false, " 50 ", Ok(&[0.5]));
        check(&age, false, "1000", Ok(&[1.0]));
        check(&age, false, "-5e3", Ok(&[-1.0]));
        check(&age, false, "", Ok(&[0.0]));
        check(&age, true, "", Ok(&[0.0, 1.0]));
        check(&age, true, "0.0", Ok(&[0.0, 1.0]));
        check(&age, true, "n/k", Ok(&[0.0, 1.0]));
        check(&age, true, "30", Ok(&[-0.5, 0.0]));
        check(&age, false, "forty", Err(NotANumber));
        check(&age, false, "nan", Err(NotANumber));
        check(&age, false, "inf", Err(NotANumber));
        check(&age, false, "40,5", Err(NotANumber));
        let vast = Encoding::Number { low: f64::MIN, high: f64::MAX };
        check(&vast, false, "1e308", Ok(&[(1e308 / f64::MAX) as f32]));
    }

    #[test]
    fn categories() {
        let pain = Encoding::Category { levels: ["1", "2", "4"].map(str::to_owned).to_vec() };
        check(&pain, false, "1", Ok(&[0.0, 0.0]));
        check(&pain, false, "2.0", Ok(&[1.0, 0.0]));
        check(&pain, true, "4", Ok(&[0.0, 1.0, 0.0]));
        check(&pain, true, "3", Ok(&[0.0, 0.0, 1.0]));
        check(&pain, true, "", Ok(&[0.0, 0.0, 1.0]));
        check(&pain, false, "words", Ok(&[0.0, 0.0]));
    }

    #[test]
    fn flags_counts_and_distances() {
        check(&Encoding::Flag, true, "1", Ok(&[1.0]));
        check(&Encoding::Flag, true, "", Ok(&[0.0]));
        let visits = Encoding::Count { cap: 3 };
        check(&visits, true, "1", Ok(&[0.5]));
        check(&visits, true, "50", Ok(&[1.0]));
        check(&visits, true, "", Ok(&[0.0]));
        let temperature = Encoding::Distance { range: (30.0, 43.0), normal: (36.0, 38.0) };
        check(&temperature, true, "37", Ok(&[0.0]));
        check(&temperature, true, "33", Ok(&[0.5]));
        check(&temperature, true, "20", Ok(&[1.0]));
        check(&temperature, true, "39.5", Ok(&[0.25]));
        check(&temperature, true, "", Ok(&[0.0]));
    }

    #[test]
    fn outcomes() {
        let text = |list: &[&str]| list.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
        let task =
            OutcomeColumn { column: "x".to_owned(), positive: text(&["1", "yes"]), negative: text(&["0"]) };
        for (cell, expected) in [
            ("1", Some(1.0)),
            ("1.0", Some(1.0)),
            ("yes", Some(1.0)),
            ("0", Some(0.0)),
            ("", None),
            ("2", None),
        ] {
            assert_eq!(outcome(&task, cell), expected, "{cell:?}");
        }
    }
}
