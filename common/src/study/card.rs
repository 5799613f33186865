//! What another tool needs to score a person with the model: its inputs in order.

use super::describe::covariate;
use super::{Data, Encoding, Feature, FeatureColumn, Study};
use serde_json::{Map, Value, json};

/// Each of the model's inputs, in its order, with how a cell or a person's records become it.
///
/// # Panics
/// When names and rules disagree in number, which is a bug of the study's shape.
#[must_use]
pub fn inputs(study: &Study) -> Vec<(String, Value)> {
    let from: Vec<Map<String, Value>> = match &study.data {
        Data::Table(table) => table.features.iter().map(of_column).collect(),
        Data::Records(records) => {
            records.covariates.iter().map(|one| object(json!({"from": covariate(records, one)}))).collect()
        }
    };
    let rules: Vec<Value> = study
        .features
        .iter()
        .zip(&from)
        .flat_map(|(feature, from)| rules(feature, from, study.missing.indicator))
        .collect();
    let names = study.input_names();
    assert_eq!(names.len(), rules.len(), "each input has one rule");
    names.into_iter().zip(rules).collect()
}

fn of_column(FeatureColumn { column, missing_values }: &FeatureColumn) -> Map<String, Value> {
    object(json!({"column": column, "missing_values": missing_values}))
}

fn rules(feature: &Feature, from: &Map<String, Value>, indicator: bool) -> Vec<Value> {
    let with = |rule: Value| Value::Object(from.clone().into_iter().chain(object(rule)).collect());
    let mut rules = match &feature.encoding {
        Encoding::Number { low, high } => vec![with(json!({
            "unit": feature.unit, "clip": [low, high], "subtract": (low + high) / 2.0,
            "divide_by": (high - low) / 2.0, "when_missing": 0,
        }))],
        Encoding::Category { levels } => levels
            .iter()
            .skip(1)
            .map(|level| with(json!({"one_when": level, "otherwise": 0, "reference": levels[0]})))
            .collect(),
        Encoding::Flag => vec![with(json!({"one_when": "present", "otherwise": 0}))],
        Encoding::Count { cap } => vec![with(json!({
            "clip": [0, cap], "log1p": true, "divide_by": f64::from(*cap).ln_1p(),
        }))],
        Encoding::Distance { range: (low, high), normal } => vec![with(json!({
            "unit": feature.unit, "clip": [low, high], "distance_from": [normal.0, normal.1],
            "divide_by": (normal.0 - low).max(high - normal.1), "when_missing": 0,
        }))],
    };
    if indicator && feature.encoding.can_be_missing() {
        rules.push(with(json!({"one_when_missing": true})));
    }
    rules
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { unreachable!("written as an object") };
    object
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
            let text = fill(file, &roster, None).expect("valid");
            let study = parse(text.as_bytes()).expect("valid");
            assert_eq!(inputs(&study).len(), study.architecture().inputs);
        }
        check(include_str!("../../../docs/studies/synthetic-selfharm.toml"));
        check(include_str!("../../../docs/studies/heart-disease.toml"));
    }
}
