//! Which groups a person is counted in.

use super::age;
use super::plan::Plan;
use super::timeline::{Asked, Timeline};
use consilium_common::study::AttributeValues;
use consilium_common::study::records::PersonField;

/// The index of the person's value in each attribute.
pub(super) fn groups(plan: &Plan<'_>, timeline: &Timeline<'_>, asked: &Asked<'_>) -> Vec<u16> {
    let attributes = plan.study.attributes.iter().zip(&plan.records.attributes);
    attributes.map(|(attribute, fields)| group(&attribute.values, fields, timeline, asked)).collect()
}

fn group(
    values: &AttributeValues,
    fields: &[PersonField],
    timeline: &Timeline<'_>,
    asked: &Asked<'_>,
) -> u16 {
    let person = timeline.person;
    let concepts: Vec<i64> = fields
        .iter()
        .filter_map(|field| match field {
            PersonField::Gender => Some(person.gender.0),
            PersonField::Race => Some(person.race.0),
            PersonField::Ethnicity => Some(person.ethnicity.0),
            PersonField::YearOfBirth => None,
        })
        .collect();
    match values {
        AttributeValues::Bands(_) => {
            let age = age::on_day(person, asked.index.day()).map(f64::from);
            // No band begins so low: it is the group of unknown ages.
            values.index_of_number(age.unwrap_or(f64::NEG_INFINITY))
        }
        AttributeValues::Levels(_) | AttributeValues::Concepts(_) => values.index_of_concepts(&concepts),
    }
}
