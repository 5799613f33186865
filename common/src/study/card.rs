//! What another tool needs to score a person with the model: its inputs in order.

use super::describe::{concepts, covariate, terms};
use super::records::{Covariate, Records};
use super::{Data, Encoding, Feature, FeatureColumn, Study};
use serde_json::{Value, json};

/// Each of the model's inputs, in its order, with how a cell or a person's records become it. The order of keys is part
/// of a bundle's bytes.
///
/// # Panics
/// When names and rules disagree in number, which is a bug of the study's shape.
#[must_use]
pub fn inputs(study: &Study) -> Vec<(String, Value)> {
    let indicator = study.missing.indicator;
    let rules: Vec<Value> = match &study.data {
        Data::Table(table) => {
            let columns = study.features.iter().zip(&table.features);
            columns.flat_map(|(feature, column)| of_column(feature, column, indicator)).collect()
        }
        Data::Records(records) => {
            let covariates = study.features.iter().zip(&records.covariates);
            covariates.flat_map(|(feature, one)| of_records(feature, records, one, indicator)).collect()
        }
    };
    let names = study.input_names();
    assert_eq!(names.len(), rules.len(), "each input has one rule");
    names.into_iter().zip(rules).collect()
}

/// What each of the model's outputs predicts, in its order.
#[must_use]
pub fn outputs(study: &Study) -> Vec<String> {
    study.predicted().into_iter().map(|predicted| predicted.name).collect()
}

fn of_column(feature: &Feature, column: &FeatureColumn, indicator: bool) -> Vec<Value> {
    let FeatureColumn { column, missing_values } = column;
    let mut rules = match &feature.encoding {
        Encoding::Number { low, high } => vec![json!({
            "column": column, "unit": feature.unit, "missing_values": missing_values,
            "clip": [low, high], "subtract": (low + high) / 2.0, "divide_by": (high - low) / 2.0,
            "when_missing": 0,
        })],
        Encoding::Category { levels } => levels
            .iter()
            .skip(1)
            .map(|level| json!({"column": column, "one_when": level, "otherwise": 0, "reference": levels[0]}))
            .collect(),
        Encoding::Flag | Encoding::Count { .. } | Encoding::Distance { .. } => {
            encoded(feature).into_iter().map(|rule| after(json!({"column": column}), rule)).collect()
        }
    };
    if indicator && feature.encoding.can_be_missing() {
        rules.push(json!({"column": column, "one_when_missing": true, "missing_values": missing_values}));
    }
    rules
}

fn of_records(feature: &Feature, records: &Records, one: &Covariate, indicator: bool) -> Vec<Value> {
    let mut from = json!({"from": covariate(records, one)});
    if let Some(concepts) = concepts(records, one) {
        from = after(from, json!({"concepts": concepts}));
    }
    if let Some(terms) = terms(records, one) {
        from = after(from, json!({"terms": terms}));
    }
    let mut rules = encoded(feature);
    if indicator && feature.encoding.can_be_missing() {
        rules.push(json!({"one_when_missing": true}));
    }
    rules.into_iter().map(|rule| after(from.clone(), rule)).collect()
}

/// How what was found becomes each input.
fn encoded(feature: &Feature) -> Vec<Value> {
    match &feature.encoding {
        Encoding::Number { low, high } => vec![json!({
            "unit": feature.unit, "clip": [low, high], "subtract": (low + high) / 2.0,
            "divide_by": (high - low) / 2.0, "when_missing": 0,
        })],
        Encoding::Category { levels } => levels
            .iter()
            .skip(1)
            .map(|level| json!({"one_when": level, "otherwise": 0, "reference": levels[0]}))
            .collect(),
        Encoding::Flag => vec![json!({"one_when": "present", "otherwise": 0})],
        Encoding::Count { cap } => vec![json!({
            "clip": [0, cap], "log1p": true, "divide_by": f64::from(*cap).ln_1p(),
        })],
        Encoding::Distance { range: (low, high), normal } => vec![json!({
            "unit": feature.unit, "clip": [low, high], "distance_from": [normal.0, normal.1],
            "divide_by": (normal.0 - low).max(high - normal.1), "when_missing": 0,
        })],
    }
}

/// The keys of one object, then those of another.
fn after(one: Value, other: Value) -> Value {
    let keys = |value| match value {
        Value::Object(object) => object,
        _ => unreachable!("written as an object"),
    };
    Value::Object(keys(one).into_iter().chain(keys(other)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;
    use crate::study::parse::records::tests::OF_RECORDS;
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
        check(include_str!("../../../docs/studies/eicu-death.toml"));
        check(include_str!("../../../docs/studies/omop-selfharm.toml"));
    }

    #[test]
    fn an_input_of_records_says_what_it_is_made_from() {
        let study = parse(OF_RECORDS.as_bytes()).expect("valid");
        let inputs = inputs(&study);
        let check = |name: &str, expected: &Value| {
            let (_, rule) = inputs.iter().find(|(input, _)| input == name).expect("an input");
            assert_eq!(rule, expected, "{name}");
        };
        check(
            "heart_rate_distance",
            &json!({
                "from": "the farthest from normal of measurement Heart rate (3027018) from the index to 24 hours \
                         after it, in /min, from 0 to 350 only",
                "concepts": "Heart rate (3027018)", "unit": "/min", "clip": [20.0, 220.0],
                "distance_from": [60.0, 100.0], "divide_by": 120.0, "when_missing": 0,
            }),
        );
        check(
            "psychosis_short",
            &json!({
                "from": "any condition psychosis in the 30 days before the index and on its day",
                "concepts": "Psychotic disorder (436073) and all below; without Dementia (4182210) and all below",
                "one_when": "present", "otherwise": 0,
            }),
        );
        check(
            "sex=male",
            &json!({
                "from": "person.gender_concept_id, the levels being 8532 and 8507 in that order",
                "one_when": "male", "otherwise": 0, "reference": "female",
            }),
        );
    }
}
