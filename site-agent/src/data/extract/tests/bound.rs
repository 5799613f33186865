//! Bindings, person by person and over whole folders: what counts, what is refused, which columns are read, and that every
//! form of the tables gives the same examples.

use super::super::*;
use super::folders::{asking_as, hospital, write};
use super::forms::{Forms, in_any_form, same};
use super::hand::{ask, born, event, of, of_study, periods, records, study};
use crate::data::omop::tests::hospital::Text;
use crate::data::omop::{Domain, Reading, Table};
use crate::data::{self, SplitKey};
use consilium_common::study::bindings::{
    Binding, BindingIndex, BoundColumn, InForce, Mark, StayRule, ValueIs, ValueRule, Visits,
};
use consilium_common::study::records::*;
use consilium_common::study::{self, Attribute, AttributeValues, Data, NotRecorded, Study};

const STAY: BindingIndex = BindingIndex(0);
const SERVICE: BindingIndex = BindingIndex(1);
const TOLD: BindingIndex = BindingIndex(2);

fn binding(name: &str, in_force: InForce) -> Binding {
    Binding {
        name: name.to_owned(),
        describe: "for a test".to_owned(),
        may_use: BoundColumn::ALL.to_vec(),
        optional: true,
        default: None,
        in_force,
    }
}

fn column(column: BoundColumn, concepts: &[i64]) -> Mark {
    Mark::Column { column, concepts: concepts.to_vec() }
}

fn stays(any_of: &[Mark]) -> InForce {
    InForce::Stays(StayRule { visits: Visits::Listed(vec![9]), any_of: any_of.to_vec() })
}

fn stay() -> Criterion {
    of(RecordTable::Stay(STAY), None)
}

/// Discharges from stays of concept 9 at care site 500, and whether another begins in 30 days, at least two days later.
fn discharges(change: impl FnOnce(&mut Records)) -> Study {
    let mut records = records();
    records.bindings = vec![
        binding("stay", stays(&[column(BoundColumn::PlaceOfService, &[500])])),
        binding("service", InForce::Absent),
        binding("told", InForce::Absent),
    ];
    records.tasks[0].cohort.entry = vec![stay()];
    records.tasks[0].cohort.index = Anchor::End;
    records.tasks[0].cohort.exclude = vec![Rule::TransferWithin { days: 1 }];
    records.tasks[0].outcome.any_of = vec![stay()];
    records.tasks[0].outcome.gap_days_min = 2;
    change(&mut records);
    study(records, &[])
}

/// The index's day and what came of one person.
fn asked(study: &Study, events: &[&str]) -> (Option<String>, Option<bool>) {
    let events: Vec<_> = events.iter().map(|text| event(text)).collect();
    let answer = ask(study, &born(1980, 1, 1), &periods(&[("2014-01-01", "2016-12-31")]), &events);
    let known = answer.found.and_then(|found| match found {
        outcome::Found::Known(happened) => Some(happened),
        _ => None,
    });
    (answer.index.map(|index| index[..10].to_owned()), known)
}

#[test]
fn stays_enter_transfer_and_come_back() {
    #[track_caller]
    fn check(events: &[&str], index: Option<&str>, known: Option<bool>) {
        let found = asked(&discharges(|_| {}), events);
        assert_eq!(found, (index.map(str::to_owned), known), "{events:?}");
    }
    // Care site 3 is of kind 500, care site 1 of another.
    let first = "visit 9 2015-03-01 to 2015-03-05 at 3";
    check(&[first], Some("2015-03-05"), Some(false));
    check(&["visit 9 2015-03-01 to 2015-03-05 at 1"], None, None);
    check(&["visit 8 2015-03-01 to 2015-03-05 at 3"], None, None);
    check(&["visit 9 2015-03-01 to 2015-03-05"], None, None);
    check(&[first, "visit 9 2015-03-20 to 2015-03-22 at 3"], Some("2015-03-05"), Some(true));
    check(&[first, "visit 9 2015-03-20 to 2015-03-22 at 1"], Some("2015-03-05"), Some(false));
    // The same day and the next are transfers: the chain counts from its end.
    check(&[first, "visit 9 2015-03-05 to 2015-03-08 at 3"], Some("2015-03-08"), Some(false));
    check(&[first, "visit 9 2015-03-06 to 2015-03-08 at 3"], Some("2015-03-08"), Some(false));
    check(&[first, "visit 9 2015-03-06 to 2015-03-08 at 1"], Some("2015-03-05"), Some(false));
    check(&[first, "visit 9 2015-03-07 to 2015-03-08 at 3"], Some("2015-03-05"), Some(true));
    // One that ends on the day of the index, but began before the entry, is none.
    check(&["visit 9 2015-02-28 to 2015-03-04 at 1", first], Some("2015-03-05"), Some(false));
    check(
        &[
            "visit 9 2015-03-05T08:00 to 2015-03-05T09:00 at 3",
            "visit 9 2015-03-05T10:00 to 2015-03-05T12:00 at 3",
        ],
        Some("2015-03-05"),
        Some(false),
    );
    let gap_of_three = discharges(|records| records.tasks[0].outcome.gap_days_min = 3);
    assert_eq!(asked(&gap_of_three, &[first, "visit 9 2015-03-07 at 3"]).1, Some(false));
    assert_eq!(asked(&gap_of_three, &[first, "visit 9 2015-03-08 at 3"]).1, Some(true));
}

#[test]
fn marks_of_a_stay() {
    #[track_caller]
    fn check(mark: Mark, events: &[&str], expected: bool) {
        let study = discharges(|records| records.bindings[STAY.0].in_force = stays(&[mark]));
        assert_eq!(asked(&study, events).0.is_some(), expected, "{events:?}");
    }
    let visit = "visit 9 2015-03-01 to 2015-03-05 in 7 at 3 by 1";
    check(column(BoundColumn::VisitConcept, &[9]), &[visit], true);
    check(column(BoundColumn::VisitConcept, &[8]), &[visit], false);
    check(column(BoundColumn::Specialty, &[601]), &[visit], true);
    check(column(BoundColumn::Specialty, &[600]), &[visit], false);
    let detail = column(BoundColumn::VisitDetailConcept, &[44]);
    check(detail.clone(), &[visit, "detail 44 2015-03-02 in 7"], true);
    check(detail.clone(), &[visit, "detail 44 2015-03-02 in 8"], false);
    check(detail.clone(), &[visit, "detail 45 2015-03-02 in 7"], false);
    check(detail.clone(), &["visit 9 2015-03-01 to 2015-03-05", "detail 44 2015-03-02"], false);
    // Concept 20 is the study's outcome set.
    let condition = Mark::Condition(SetIndex(1));
    check(condition.clone(), &[visit, "condition 20 2015-03-02 in 7"], true);
    check(condition.clone(), &[visit, "condition 20 2015-03-02"], false);
    check(condition, &[visit, "condition 10 2015-03-02 in 7"], false);
}

#[test]
fn seen_before() {
    #[track_caller]
    fn check(service: InForce, events: &[&str], expected: bool) {
        let study = discharges(|records| {
            records.bindings[SERVICE.0].in_force = service;
            records.tasks[0].cohort.require = vec![Rule::SeenBy(SERVICE)];
        });
        assert_eq!(asked(&study, events).0.is_some(), expected, "{events:?}");
    }
    let stay = "visit 9 2015-03-01 to 2015-03-05 at 3";
    let contacts = || {
        InForce::Stays(StayRule {
            visits: Visits::Any,
            any_of: vec![column(BoundColumn::PlaceOfService, &[501])],
        })
    };
    check(InForce::Absent, &[stay], true);
    check(contacts(), &[stay], false);
    check(contacts(), &[stay, "visit 5 2003-01-01 at 1"], true);
    check(contacts(), &[stay, "visit 5 2015-03-05 at 1"], true);
    check(contacts(), &[stay, "visit 5 2015-03-06 at 1"], false);
}

#[test]
fn values_of_an_attribute() {
    let levels = vec![(vec![], "low".to_owned()), (vec![8527], "high".to_owned())];
    let attribute = Attribute { name: "told".to_owned(), values: AttributeValues::Concepts(levels) };
    let check = |rule: ValueRule, race: i64, events: &[&str], expected: &str| {
        let mut study = discharges(|records| {
            records.bindings[TOLD.0].in_force = InForce::Values(rule);
            records.attributes = vec![vec![PersonField::Race, PersonField::Binding(TOLD)]];
        });
        study.attributes = vec![attribute.clone()];
        let mut person = born(1980, 1, 1);
        person.race.0 = race;
        let texts = ["visit 9 2015-03-01 to 2015-03-05 at 3"].iter().chain(events);
        let events: Vec<_> = texts.map(|text| event(text)).collect();
        let answer = ask(&study, &person, &periods(&[("2014-01-01", "2016-12-31")]), &events);
        let labels = attribute.values.labels();
        assert_eq!(
            answer.groups.iter().map(|at| labels[usize::from(*at)].as_str()).collect::<Vec<_>>(),
            [expected]
        );
    };
    let coded = || ValueRule {
        column: BoundColumn::ObservationValueConcept,
        of: vec![70],
        levels: vec![
            (ValueIs::Concepts(vec![1, 2]), "low".to_owned()),
            (ValueIs::Concepts(vec![3]), "high".to_owned()),
        ],
    };
    check(coded(), 0, &[], "unknown");
    check(coded(), 0, &["observation 70 2015-01-01 coded 2"], "low");
    check(coded(), 0, &["observation 71 2015-01-01 coded 2"], "unknown");
    check(coded(), 0, &["observation 70 2015-01-01 coded 2", "observation 70 2015-02-01 coded 3"], "high");
    // What has no level takes nothing back, and what is later is not known yet.
    check(coded(), 0, &["observation 70 2015-01-01 coded 2", "observation 70 2015-02-01 coded 9"], "low");
    check(coded(), 0, &["observation 70 2015-01-01 coded 2", "observation 70 2015-03-06 coded 3"], "low");
    check(coded(), 8527, &["observation 70 2015-01-01 coded 2"], "conflicting");
    check(coded(), 8527, &["observation 70 2015-01-01 coded 3"], "high");
    check(coded(), 8527, &[], "high");
    let numbers = || ValueRule {
        column: BoundColumn::ObservationValueNumber,
        of: vec![70],
        levels: vec![
            (ValueIs::Numbers(1.0, 3.0), "low".to_owned()),
            (ValueIs::Numbers(3.0, 5.0), "high".to_owned()),
        ],
    };
    check(numbers(), 0, &["observation 70 2015-01-01 value 2.9"], "low");
    check(numbers(), 0, &["observation 70 2015-01-01 value 3"], "high");
    check(numbers(), 0, &["observation 70 2015-01-01 value 5"], "unknown");
    check(numbers(), 0, &["observation 70 2015-01-01 coded 3"], "unknown");
    let itself = || ValueRule {
        column: BoundColumn::ObservationConcept,
        of: vec![],
        levels: vec![(ValueIs::Concepts(vec![70]), "low".to_owned())],
    };
    check(itself(), 0, &["observation 70 2015-01-01"], "low");
    check(itself(), 0, &["observation 71 2015-01-01"], "unknown");
}

/// What a site's answer tells of an attribute that is only counted is whether it is recorded.
#[test]
fn an_answer_tells_whether_something_is_recorded() {
    let values =
        AttributeValues::RecordedConcepts(NotRecorded { refused: vec![5], ..NotRecorded::default() });
    let labels = values.labels();
    let level = |concepts: &[i64], label: &str| (ValueIs::Concepts(concepts.to_vec()), label.to_owned());
    let rule = ValueRule {
        column: BoundColumn::ObservationValueConcept,
        of: vec![70],
        levels: vec![level(&[1, 2], "recorded"), level(&[3], "refused"), level(&[4], "not asked")],
    };
    let mut study = discharges(|records| {
        records.bindings[TOLD.0].in_force = InForce::Values(rule);
        records.attributes = vec![vec![PersonField::Race, PersonField::Binding(TOLD)]];
    });
    study.attributes = vec![Attribute { name: "told".to_owned(), values }];
    let check = |race: i64, events: &[&str], expected: &str| {
        let mut person = born(1980, 1, 1);
        person.race.0 = race;
        let texts = ["visit 9 2015-03-01 to 2015-03-05 at 3"].iter().chain(events);
        let events: Vec<_> = texts.map(|text| event(text)).collect();
        let answer = ask(&study, &person, &periods(&[("2014-01-01", "2016-12-31")]), &events);
        let groups: Vec<&str> = answer.groups.iter().map(|at| labels[usize::from(*at)].as_str()).collect();
        assert_eq!(groups, [expected], "{race}");
    };
    check(0, &[], "unknown");
    check(0, &["observation 70 2015-01-01 coded 2"], "recorded");
    check(0, &["observation 70 2015-01-01 coded 9"], "unknown");
    check(0, &["observation 70 2015-01-01 coded 3"], "refused");
    check(0, &["observation 70 2015-01-01 coded 4"], "not asked");
    check(0, &["observation 70 2015-01-01 coded 3", "observation 70 2015-02-01 coded 1"], "recorded");
    check(8527, &["observation 70 2015-01-01 coded 2"], "recorded");
    check(8527, &["observation 70 2015-01-01 coded 3"], "conflicting");
    check(5, &["observation 70 2015-01-01 coded 3"], "refused");
    check(5, &[], "refused");
}

/// The hospital of other tests with stays, wards, staff and observations.
fn with_stays(people: u64) -> Vec<Text> {
    let rows = |row: &dyn Fn(u64) -> String| (0..people).map(row).collect::<Vec<String>>();
    let text = |name, header: &str, rows: Vec<String>| {
        Text::new(name, header, &rows.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut tables = hospital(people);
    let stays = |number: u64, month: &'static str| {
        rows(&|id| {
            let (start, ward, staff) = (1 + id % 9, 1 + (id + number) % 4, 1 + id % 3);
            let visit = 10 * id + number;
            format!("{id},{visit},9,2015-{month}-{start:02},2015-{month}-{:02},{ward},{staff}", start + 3)
        })
    };
    tables.extend([
        text(
            "visit_occurrence",
            "person_id,visit_occurrence_id,visit_concept_id,visit_start_date,visit_end_date,care_site_id,provider_id",
            [stays(1, "02"), stays(2, "03")].concat(),
        ),
        text(
            "visit_detail",
            "person_id,visit_detail_concept_id,visit_detail_start_date,visit_occurrence_id",
            rows(&|id| format!("{id},{},2015-02-02,{}", 44 + id % 2, 10 * id + 1)),
        ),
        text("care_site", "care_site_id,place_of_service_concept_id,care_site_name", vec![
            "1,500,North Ward".to_owned(),
            "2,501,South Ward".to_owned(),
            "3,500,".to_owned(),
            "4,,".to_owned(),
        ]),
        text("provider", "provider_id,specialty_concept_id", vec!["1,600".to_owned(), "2,601".to_owned()]),
        text(
            "observation",
            "person_id,observation_concept_id,observation_date,value_as_concept_id,value_as_number",
            rows(&|id| format!("{id},70,2015-01-02,{},", 1 + id % 4)),
        ),
        text("vocabulary", "vocabulary_id,vocabulary_version", vec![
            "SNOMED,2024-02-01 SNOMED CT".to_owned(),
            "None,v5.0 27-FEB-25".to_owned(),
        ]),
    ]);
    tables
}

/// A study that asks for every column, on those tables.
fn of_every_column(change: impl FnOnce(&mut Records)) -> Study {
    let mut study = asking_as(study::parse(include_bytes!("../../testdata/study.toml")).expect("parses"));
    let Data::Records(records) = &mut study.data else { panic!("on records") };
    let rule = ValueRule {
        column: BoundColumn::ObservationValueConcept,
        of: vec![70],
        levels: vec![(ValueIs::Concepts(vec![1, 2]), "low".to_owned())],
    };
    let marks = [
        column(BoundColumn::PlaceOfService, &[500]),
        column(BoundColumn::Specialty, &[601]),
        column(BoundColumn::VisitDetailConcept, &[45]),
    ];
    records.bindings = vec![
        binding("stay", stays(&marks)),
        binding("service", InForce::Absent),
        binding("told", InForce::Values(rule)),
    ];
    records.tasks[0].cohort.entry = vec![stay()];
    records.tasks[0].cohort.index = Anchor::End;
    records.tasks[0].outcome.any_of = vec![stay()];
    records.attributes = vec![vec![PersonField::Binding(TOLD)]];
    records.min_vocabulary = Some("v5.0 2025-02-27".parse().expect("a release"));
    change(records);
    let levels = vec![(vec![], "low".to_owned())];
    study.attributes = vec![Attribute { name: "told".to_owned(), values: AttributeValues::Concepts(levels) }];
    study
}

#[test]
fn every_form_gives_the_same_examples() {
    let tables = with_stays(90);
    let csv = write(&tables);
    let forms = Forms::of(csv.path(), &tables);
    let of_omop = |path: &&std::path::PathBuf| {
        !path.file_name().is_some_and(|name| name.to_string_lossy().contains("meds"))
    };
    let all = forms.paths();
    let omop: Vec<_> = all.iter().filter(of_omop).cloned().collect();
    same(csv.path(), &omop, &of_every_column(|_| {}), 300);
    // MEDS has visits, their details and observations: what an answer asks of those alone is the same there, too.
    let of_meds = in_any_form(of_every_column(|records| {
        records.bindings[STAY.0].in_force = stays(&[column(BoundColumn::VisitDetailConcept, &[45])]);
        records.min_vocabulary = None;
    }));
    same(csv.path(), &all, &of_meds, 300);
    let refused = |change: fn(&mut Records), expected: &str| {
        let study = in_any_form(of_every_column(change));
        let meds = all.iter().find(|path| path.ends_with("meds")).expect("written");
        let said = data::check_columns(meds, &study).expect_err("refused").to_string();
        assert!(said.contains(expected), "{said}");
    };
    refused(
        |records| records.min_vocabulary = None,
        "MEDS has no table care_site, which the study reads for the binding stay",
    );
    refused(|records| records.bindings[STAY.0].in_force = InForce::Absent, "MEDS has no table vocabulary");
}

#[test]
fn an_answer_s_columns_are_read_and_no_others() {
    let study = of_every_column(|_| {});
    let wanted = wanted(of_study(&study));
    let expected = [
        Table::Person,
        Table::ObservationPeriod,
        Table::Clinical(Domain::Visit),
        Table::Clinical(Domain::VisitDetail),
        Table::Clinical(Domain::Condition),
        Table::Clinical(Domain::Measurement),
        Table::Clinical(Domain::Observation),
        Table::Clinical(Domain::Death),
        Table::CareSite,
        Table::Provider,
        Table::Concept,
        Table::Vocabulary,
    ];
    assert_eq!(wanted.tables(), expected);
    let absent = of_every_column(|records| {
        records.bindings[STAY.0].in_force = stays(&[]);
        records.bindings[TOLD.0].in_force = InForce::Absent;
        records.min_vocabulary = None;
    });
    let tables = super::super::wanted(of_study(&absent)).tables();
    for table in [Table::CareSite, Table::Provider, Table::Clinical(Domain::Observation), Table::Vocabulary] {
        assert!(!tables.contains(&table), "{table}");
    }
}

#[test]
fn what_is_refused() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Records), edit: impl Fn(&mut Vec<Text>), expected: &str) {
        let (study, mut tables) = (of_every_column(change), with_stays(20));
        edit(&mut tables);
        let folder = write(&tables);
        let opened = open(folder.path()).expect("opens");
        let key = SplitKey::from_bytes([3; 32]);
        let read = extract(&opened, &study, of_study(&study), &key, &Reading::default());
        let messages = [self::check(&opened, &study, of_study(&study)).err(), read.err()];
        for message in messages.map(|error| error.map(|error| error.to_string()).unwrap_or_default()) {
            assert!(message.contains(expected) && message.is_empty() == expected.is_empty(), "{message}");
        }
    }
    let without =
        |name: &'static str| move |tables: &mut Vec<Text>| tables.retain(|table| table.name != name);
    let renamed = |name: &'static str, from: &'static str| {
        move |tables: &mut Vec<Text>| {
            let table = tables.iter_mut().find(|table| table.name == name).expect("there");
            let column = table.header.iter_mut().find(|column| *column == from).expect("there");
            *column = "another".to_owned();
        }
    };
    check(|_| {}, |_| {}, "");
    check(
        |_| {},
        without("care_site"),
        "table care_site is missing, which the study reads for the binding stay",
    );
    check(|_| {}, without("provider"), "table provider is missing");
    check(
        |_| {},
        without("observation"),
        "table observation is missing, which the study reads for the binding told",
    );
    check(|_| {}, renamed("visit_occurrence", "care_site_id"), "expected a column care_site_id");
    check(|_| {}, renamed("visit_occurrence", "provider_id"), "expected a column provider_id");
    check(|_| {}, renamed("visit_detail", "visit_occurrence_id"), "expected a column visit_occurrence_id");
    check(
        |_| {},
        renamed("care_site", "place_of_service_concept_id"),
        "expected a column place_of_service_concept_id",
    );
    check(|_| {}, renamed("provider", "specialty_concept_id"), "expected a column specialty_concept_id");
    check(|_| {}, renamed("observation", "value_as_concept_id"), "expected a column value_as_concept_id");
    check(
        |records| records.bindings[STAY.0].in_force = InForce::Unanswered,
        |_| {},
        "the study asks each site to fill in stay: write the answer by `site-agent study bindings`",
    );
    let release = |text: &'static str| {
        move |tables: &mut Vec<Text>| {
            tables.iter_mut().filter(|table| table.name == "vocabulary").for_each(|table| {
                table.rows[1][1] = text.to_owned();
            });
        }
    };
    check(|_| {}, release("v5.0 28-FEB-25"), "");
    check(
        |_| {},
        release("v5.0 26-FEB-25"),
        "vocabularies of v5.0 2025-02-27 or later (data.min_vocabulary), and table vocabulary says v5.0 2025-02-26",
    );
    check(|_| {}, release("latest"), "is no release as v5.0 27-FEB-25");
    check(|_| {}, release(""), "has no vocabulary_version");
    check(|_| {}, without("vocabulary"), "table vocabulary is missing");
    // Nobody's record is needed to say so.
    let folder = write(&with_stays(2));
    std::fs::write(
        folder.path().join("vocabulary.csv"),
        "vocabulary_id,vocabulary_version\nNone,v5.0 01-JAN-20\n",
    )
    .expect("written");
    std::fs::write(folder.path().join("visit_occurrence.csv"), "person_id,\"broken").expect("written");
    let said = data::load_strict(folder.path(), &of_every_column(|_| {}), &SplitKey::from_bytes([3; 32]));
    let said = said.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains("table vocabulary says v5.0 2020-01-01"), "{said}");
}
