//! What another tool needs to score a person with the model: its inputs in order.

use super::describe::{concepts, covariate};
use super::records::{Covariate, Records};
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
        Data::Records(records) => records.covariates.iter().map(|one| of_records(records, one)).collect(),
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

fn of_records(records: &Records, one: &Covariate) -> Map<String, Value> {
    let mut from = object(json!({"from": covariate(records, one)}));
    if let Some(concepts) = concepts(records, one) {
        from.insert("concepts".to_owned(), concepts.into());
    }
    from
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
            .map(|level| {
                let mut rule =
                    object(with(json!({"one_when": level, "otherwise": 0, "reference": levels[0]})));
                // Any other cell is 0, whatever it means.
                rule.remove("missing_values");
                Value::Object(rule)
            })
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
