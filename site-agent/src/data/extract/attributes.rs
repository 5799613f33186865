//! Which groups a person is counted in.

use super::plan::Plan;
use super::timeline::{Asked, Timeline};
use super::{age, bound};
use consilium_common::study::records::PersonField;
use consilium_common::study::{Attribute, AttributeValues};

/// The index of the person's value in each attribute.
pub(super) fn groups(plan: &Plan<'_>, timeline: &Timeline<'_>, asked: &Asked<'_>) -> Vec<u16> {
    let attributes = plan.study.attributes.iter().zip(&plan.records.attributes);
    let group = |(at, (attribute, fields)): (usize, (&Attribute, &Vec<PersonField>))| match &attribute.values
    {
        AttributeValues::Bands(_) => {
            let age = age::on_day(timeline.person, asked.index.day()).map(f64::from);
            // No band begins so low: it is the group of unknown ages.
            attribute.values.index_of_number(age.unwrap_or(f64::NEG_INFINITY))
        }
        values => {
            let level = |field: &PersonField| match field {
                PersonField::Gender => values.level_of_concept(timeline.person.gender.0),
                PersonField::Race => values.level_of_concept(timeline.person.race.0),
                PersonField::Ethnicity => values.level_of_concept(timeline.person.ethnicity.0),
                PersonField::Binding(binding) => bound::level(plan, *binding, at, timeline, asked),
                PersonField::YearOfBirth => None,
            };
            values.index_of_levels(fields.iter().filter_map(level))
        }
    };
    attributes.enumerate().map(group).collect()
}
