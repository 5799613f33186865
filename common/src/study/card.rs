//! What another tool needs to score a person with the model: its inputs in order.

use super::{Encoding, Feature, Study};
use serde_json::{Value, json};

/// Each of the model's inputs, in its order, with how a cell becomes it.
///
/// # Panics
/// When names and rules disagree in number, which is a bug of the study's shape.
#[must_use]
pub fn inputs(study: &Study) -> Vec<(String, Value)> {
    let rules: Vec<Value> =
        study.features.iter().flat_map(|feature| rules(feature, study.missing.indicator)).collect();
    let names = study.input_names();
    assert_eq!(names.len(), rules.len(), "each input has one rule");
    names.into_iter().zip(rules).collect()
}

fn rules(feature: &Feature, indicator: bool) -> Vec<Value> {
    let column = &feature.column;
    let missing = &feature.missing_values;
    let mut rules = match &feature.encoding {
        Encoding::Number { low, high } => vec![json!({
            "column": column, "unit": feature.unit, "missing_values": missing,
            "clip": [low, high], "subtract": (low + high) / 2.0, "divide_by": (high - low) / 2.0,
            "when_missing": 0,
        })],
        Encoding::Category { levels } => levels
            .iter()
            .skip(1)
            .map(|level| json!({"column": column, "one_when": level, "otherwise": 0, "reference": levels[0]}))
            .collect(),
    };
    if indicator {
        rules.push(json!({"column": column, "one_when_missing": true, "missing_values": missing}));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;
    use crate::study::{RosterSite, fill, parse};

    #[test]
    fn every_input_of_the_shipped_studies_has_its_rule() {
        fn check(file: &str) {
            let roster = ["ashford", "brackley", "corby"].map(|name| RosterSite {
                name: name.parse().expect("a name"),
                key: SecretKey::from_seed(&[name.as_bytes()[0]; 32]).public(),
                people_public: 1000,
                weight: 1 << 16,
            });
            let text = fill(file, &roster, None).expect("valid").text;
            let study = parse(text.as_bytes()).expect("valid");
            assert_eq!(inputs(&study).len(), study.architecture().inputs);
        }
        check(include_str!("../../../docs/studies/synthetic-selfharm.toml"));
        check(include_str!("../../../docs/studies/heart-disease.toml"));
    }
}
