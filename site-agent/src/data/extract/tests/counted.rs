//! What an answer says of an attribute that is only counted, beside what else the study reads.

use super::super::counted::read_twice;
use super::hand::{of, of_study, records, resolved, study};
use consilium_common::study::bindings::{Binding, BindingIndex, BoundColumn, InForce, ValueIs, ValueRule};
use consilium_common::study::records::{Covariate, PersonField, RecordTable, SetIndex, Take, Window};
use consilium_common::study::{Attribute, AttributeValues, Encoding, NotRecorded};

const WINDOW: Window = Window::Days { from: -30, to: 0 };

fn binding(name: &str, of: &[i64], levels: &[i64]) -> Binding {
    let column =
        if of.is_empty() { BoundColumn::ObservationConcept } else { BoundColumn::ObservationValueConcept };
    let levels = vec![(ValueIs::Concepts(levels.to_vec()), "recorded".to_owned())];
    Binding {
        name: name.to_owned(),
        in_force: InForce::Values(ValueRule { column, of: of.to_vec(), levels }),
        describe: "for a test".to_owned(),
        may_use: BoundColumn::ALL.to_vec(),
        optional: true,
        default: None,
    }
}

/// `orientation` is only counted, `group` is what people are told apart by.
fn clashes(orientation: Binding, group: Binding, covariate: Covariate, counted: bool) -> Vec<String> {
    let mut records = records();
    records.bindings = vec![orientation, group];
    records.attributes =
        vec![vec![PersonField::Binding(BindingIndex(0))], vec![PersonField::Binding(BindingIndex(1))]];
    records.covariates = vec![covariate];
    let sets = resolved(&records).sets;
    let mut study = study(records, &[Encoding::Flag]);
    let only = AttributeValues::RecordedConcepts(NotRecorded::default());
    let groups = AttributeValues::Concepts(vec![(vec![], "recorded".to_owned())]);
    study.attributes = vec![
        Attribute { name: "orientation".to_owned(), values: if counted { only } else { groups.clone() } },
        Attribute { name: "group".to_owned(), values: groups },
    ];
    read_twice(&study, of_study(&study), &sets).iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_counted_is_read_by_nothing_else() {
    let elsewhere = || binding("group", &[71], &[1]);
    let present = |table, set| Covariate::Present { events: of(table, Some(set)), window: WINDOW };
    // Sets 0, 1, 2 are concepts 10, 20, 30.
    let harmless = || present(RecordTable::Condition, SetIndex(2));
    #[track_caller]
    fn check(found: &[String], expected: &[&str]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with("attribute orientation is completeness-only"), "{found}");
            assert!(found.contains(expected), "{found}");
        }
    }
    let own = || binding("orientation", &[30], &[1]);
    check(&clashes(own(), elsewhere(), harmless(), true), &[]);
    let of_set = "observations of concept 30, which concept set pulse reads, too";
    let feature = || present(RecordTable::Observation, SetIndex(2));
    check(&clashes(own(), elsewhere(), feature(), true), &[of_set]);
    check(&clashes(own(), elsewhere(), feature(), false), &[]);
    let measured = Covariate::Measured {
        events: of(RecordTable::Observation, Some(SetIndex(2))),
        window: WINDOW,
        take: Take::Last,
        units: vec!["1".to_owned()],
        unit_missing: true,
        plausible: None,
    };
    check(&clashes(own(), elsewhere(), measured, true), &[of_set]);
    let by_itself = binding("orientation", &[], &[29, 30]);
    check(&clashes(by_itself, elsewhere(), feature(), true), &[of_set]);
    let same = binding("group", &[9, 30], &[2]);
    check(
        &clashes(own(), same, harmless(), true),
        &["observations of concept 30, which attribute group reads"],
    );
    let absent = Binding { in_force: InForce::Absent, ..own() };
    check(&clashes(absent, elsewhere(), feature(), true), &[]);
}
