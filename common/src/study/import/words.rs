//! Names of other people in the letters of ours, and our words for tables.

use crate::study::records::RecordTable;

/// The study language's words for the tables that events are in.
pub const EVENT_WORDS: [(&str, RecordTable); 8] = [
    ("condition", RecordTable::Condition),
    ("observation", RecordTable::Observation),
    ("drug", RecordTable::Drug),
    ("procedure", RecordTable::Procedure),
    ("measurement", RecordTable::Measurement),
    ("visit", RecordTable::Visit),
    ("visit-detail", RecordTable::VisitDetail),
    ("death", RecordTable::Death),
];

/// Longest name that is made of another.
const LABEL_MAX: usize = 60;

/// A name for the study file: small letters, digits and `_`; `other` where nothing of it is left.
#[must_use]
pub fn label(text: &str, other: &str) -> String {
    let mut label = String::new();
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            label.push(letter.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('_') {
            label.push('_');
        }
        if label.len() == LABEL_MAX {
            break;
        }
    }
    let label = label.trim_end_matches('_');
    if label.is_empty() { other.to_owned() } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_our_letters() {
        for (text, expected) in [
            ("Psychotic disorder", "psychotic_disorder"),
            ("[PL] Self-harm, (any) ", "pl_self_harm_any"),
            ("Dépression", "d_pression"),
            ("精神", "set_3"),
            ("", "set_3"),
        ] {
            assert_eq!(label(text, "set_3"), expected);
        }
        assert_eq!(label(&"a".repeat(500), "x").len(), LABEL_MAX);
    }
}
