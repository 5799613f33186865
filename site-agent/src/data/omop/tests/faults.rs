//! Each kind of fault: when it is counted, and what becomes of the row.

use super::super::*;
use super::hospital::Text;

const PEOPLE: [&str; 3] = ["1,8507,1980,8527,0", "2,8532,1990,0,0", "3,8532,2000,0,0"];

/// What a folder of these tables holds: events, and faults of the clinical tables.
fn found(tables: &[Text]) -> (usize, FaultCounts) {
    let dir = tempfile::tempdir().expect("folder");
    tables.iter().for_each(|table| table.write_csv(&dir.path().join(format!("{}.csv", table.name))));
    let folder = Folder::open(dir.path()).expect("opens");
    let people = People::read(&folder).expect("reads");
    let (stream, counts) = stream::read(&folder, &Domain::ALL, &Reading::default(), |_| true).expect("reads");
    let mut events = 0;
    let beside = history::each(&people, stream, |history| events += history.events.len()).expect("reads");
    let mut faults = people.person_counts.faults.clone();
    faults.merge(&people.period_counts.faults);
    counts.values().for_each(|counts| faults.merge(&counts.faults));
    beside.values().for_each(|of_domain| faults.merge(of_domain));
    (events, faults)
}

#[track_caller]
fn expect(tables: &[Text], events: usize, faults: &[(Fault, u64)]) {
    let (found_events, found_faults) = found(tables);
    assert_eq!(found_events, events, "events");
    for fault in Fault::ALL {
        let expected = faults.iter().find(|(of, _)| *of == fault).map_or(0, |(_, count)| *count);
        assert_eq!(found_faults.of(fault), expected, "{fault:?}");
    }
}

fn person(rows: &[&str]) -> Text {
    Text::new(
        "person",
        "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id",
        rows,
    )
}

#[test]
fn of_single_rows() {
    #[track_caller]
    fn check(row: &str, events: usize, faults: &[(Fault, u64)]) {
        let header = "person_id,visit_concept_id,visit_start_date,visit_start_datetime,visit_end_date,visit_end_datetime,visit_occurrence_id";
        expect(&[person(&PEOPLE), Text::new("visit_occurrence", header, &[row])], events, faults);
    }
    check("1,9201,2020-01-01,2020-01-01 10:00,2020-01-02,2020-01-02 11:00,5", 1, &[]);
    check("1,9201,2020-01-01,,,,", 1, &[]);
    check("1,9201,2020-01-01,2020-01-01 10:00,2020-01-01,,5", 1, &[]);
    check(",9201,2020-01-01,,,,5", 0, &[(Fault::NoPerson, 1)]);
    check("one,9201,2020-01-01,,,,5", 0, &[(Fault::PersonNotANumber, 1)]);
    check("9223372036854775808,9201,2020-01-01,,,,5", 0, &[(Fault::PersonNotANumber, 1)]);
    check("-4,9201,2020-01-01,,,,5", 0, &[(Fault::UnknownPerson, 1)]);
    check("1,9201,,,,,5", 0, &[(Fault::NoDate, 1)]);
    check("1,9201,01.01.2020,,,,5", 0, &[(Fault::UnparsableDate, 1)]);
    check("1,9201,2021-02-29,,,,5", 0, &[(Fault::UnparsableDate, 1)]);
    check("1,9201,0001-01-01,,,,5", 0, &[(Fault::YearOutOfRange, 1)]);
    check("1,9201,9999-12-31,,,,5", 0, &[(Fault::YearOutOfRange, 1)]);
    check("1,9201,,9999-12-31 00:00,,,5", 0, &[(Fault::YearOutOfRange, 1)]);
    check("1,9201,2020-01-01,10 o'clock,,,5", 1, &[(Fault::BadTime, 1)]);
    check("1,9201,2020-01-01,2020-01-02 10:00,,,5", 1, &[(Fault::DatesDisagree, 1)]);
    check("1,9201,2020-01-01,,never,,5", 1, &[(Fault::BadEnd, 1)]);
    check("1,9201,2020-01-01,,9999-12-31,,5", 1, &[(Fault::BadEnd, 1)]);
    check("1,9201,2020-01-02,,2020-01-01,,5", 1, &[(Fault::NegativeLength, 1)]);
    check("1,9201,2020-01-01,2020-01-01 10:00,,2020-01-01 09:59,5", 1, &[(Fault::NegativeLength, 1)]);
    check("1,0,2020-01-01,,,,5", 1, &[(Fault::Unmapped, 1)]);
    check("1,,2020-01-01,,,,5", 1, &[(Fault::Unmapped, 1)]);
    check("1,IP,2020-01-01,,,,5", 1, &[(Fault::Unmapped, 1), (Fault::NotAnId, 1)]);
    check("1,9201,2020-01-01,,,,V-5", 1, &[(Fault::NotAnId, 1)]);
}

#[test]
fn of_values_and_units() {
    #[track_caller]
    fn check(row: &str, expected: Value, faults: &[(Fault, u64)]) {
        let header = "person_id,measurement_concept_id,measurement_date,value_as_number,value_as_concept_id,unit_concept_id";
        let tables = [person(&PEOPLE), Text::new("measurement", header, &[row])];
        expect(&tables, 1, faults);
        let dir = tempfile::tempdir().expect("folder");
        tables.iter().for_each(|table| table.write_csv(&dir.path().join(format!("{}.csv", table.name))));
        let folder = Folder::open(dir.path()).expect("opens");
        let (mut stream, _) =
            stream::read(&folder, &[Domain::Measurement], &Reading::default(), |_| true).expect("reads");
        assert!(stream.next().expect("one").expect("reads").value == expected, "{row}");
    }
    check("1,3,2020-01-01,36.6,0,9", Value::Number(36.6), &[]);
    check("1,3,2020-01-01,36.6,45,9", Value::Number(36.6), &[]);
    check("1,3,2020-01-01,,45,", Value::Concept(ConceptId(45)), &[]);
    check("1,3,2020-01-01,,0,", Value::None, &[]);
    check("1,3,2020-01-01,36.6,,", Value::Number(36.6), &[(Fault::NoUnit, 1)]);
    check("1,3,2020-01-01,<5,45,9", Value::None, &[(Fault::ValueNotANumber, 1)]);
    check("1,3,2020-01-01,NaN,,9", Value::None, &[(Fault::ValueNotANumber, 1)]);
    check("1,3,2020-01-01,-inf,,9", Value::None, &[(Fault::ValueNotANumber, 1)]);
}

#[test]
fn of_units_by_their_text() {
    #[track_caller]
    fn check(unit: &str, expected: ConceptId, faults: &[(Fault, u64)]) {
        let header = "person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id,unit_source_value";
        let row = format!("1,3,2020-01-01,36.6,{unit}");
        let tables = [person(&PEOPLE), Text::new("measurement", header, &[&row])];
        expect(&tables, 1, faults);
        let dir = tempfile::tempdir().expect("folder");
        tables.iter().for_each(|table| table.write_csv(&dir.path().join(format!("{}.csv", table.name))));
        let folder = Folder::open(dir.path()).expect("opens");
        let (mut stream, _) =
            stream::read(&folder, &[Domain::Measurement], &Reading::default(), |_| true).expect("reads");
        assert!(stream.next().expect("one").expect("reads").unit == expected, "{unit}");
    }
    check("8876,Cel", ConceptId(8876), &[]);
    check("0,Cel", ConceptId(586_323), &[(Fault::UnitByText, 1)]);
    check(",\"mm[Hg]\"", ConceptId(8876), &[(Fault::UnitByText, 1)]);
    check(",mmHg", units::by_text("mmHg"), &[(Fault::UnitByText, 1)]);
    check(",", ConceptId::NONE, &[(Fault::NoUnit, 1)]);
    check("0,NULL", ConceptId::NONE, &[(Fault::NoUnit, 1)]);
    check("x,%", ConceptId(8554), &[(Fault::NotAnId, 1), (Fault::UnitByText, 1)]);
}

#[test]
fn of_people() {
    let death = Text::new("death", "person_id,death_date", &["1,2020-01-01", "2,2020-01-01"]);
    let with = |rows: &[&str]| [person(rows), death.clone()];
    expect(&with(&PEOPLE), 2, &[]);
    expect(&with(&[&PEOPLE[..], &PEOPLE[..1]].concat()), 2, &[(Fault::RepeatedPerson, 1)]);
    let other = [&PEOPLE[..], &["1,8507,1981,8527,0"]].concat();
    // The person counts once as left out, and their death once.
    expect(&with(&other), 1, &[(Fault::ContradictoryPerson, 2)]);
    expect(&with(&[",8507,1981,8527,0", PEOPLE[0]]), 1, &[(Fault::NoPerson, 1), (Fault::UnknownPerson, 1)]);
    expect(&with(&["1,8507,1,8527,0", "2,8507,x,8527,0"]), 2, &[(Fault::BadBirth, 2)]);
}

#[test]
fn of_time() {
    #[track_caller]
    fn check(date: &str, faults: &[(Fault, u64)]) {
        let periods = [
            "1,2020-01-01,2020-01-31",
            "1,2020-02-10,2020-03-31",
            "1,2020-03-01,2020-04-30",
            "2,2020-06-01,2020-05-01",
        ];
        let row = format!("1,44,{date}");
        let tables = [
            person(&PEOPLE),
            Text::new(
                "observation_period",
                "person_id,observation_period_start_date,observation_period_end_date",
                &periods,
            ),
            Text::new("death", "person_id,death_date", &["1,2020-04-20", "1,2020-04-29"]),
            Text::new("condition_occurrence", "person_id,condition_concept_id,condition_start_date", &[&row]),
        ];
        expect(&tables, 3, &[faults, &[(Fault::NegativeLength, 1)]].concat());
    }
    for date in ["2020-01-01", "2020-01-31", "2020-02-10", "2020-03-15", "2020-04-20"] {
        check(date, &[]);
    }
    for date in ["2019-12-31", "2020-02-01", "2020-02-09"] {
        check(date, &[(Fault::OutsideObservation, 1)]);
    }
    check("2020-04-21", &[(Fault::AfterDeath, 1)]);
    check("2020-05-01", &[(Fault::OutsideObservation, 1), (Fault::AfterDeath, 1)]);
}

#[test]
fn a_person_with_more_events_than_a_life_holds_is_left_out() {
    let event = event::tests::event(1, "2020-01-01", 5);
    let others = [event::tests::event(0, "2020-01-01", 5), event::tests::event(2, "2020-01-01", 5)];
    let dir = tempfile::tempdir().expect("folder");
    person(&["0,1,1980,0,0", "1,1,1980,0,0", "2,1,1980,0,0"]).write_csv(&dir.path().join("person.csv"));
    let people = People::read(&Folder::open(dir.path()).expect("opens")).expect("reads");
    for (count, seen) in [(EVENTS_PER_PERSON_MAX, EVENTS_PER_PERSON_MAX + 2), (EVENTS_PER_PERSON_MAX + 1, 2)]
    {
        let stream =
            [others[0]].into_iter().chain(std::iter::repeat_n(event, count)).chain([others[1]]).map(Ok);
        let mut events = 0;
        let faults = history::each(&people, stream, |history| events += history.events.len()).expect("reads");
        assert_eq!(events, seen);
        let too_many = faults.get(&Domain::Condition).map_or(0, |faults| faults.of(Fault::TooManyEvents));
        assert_eq!(too_many, if seen == 2 { count as u64 } else { 0 });
    }
}

#[test]
fn a_supply_of_days_is_an_end() {
    #[track_caller]
    fn check(row: &str, expected: Option<&str>) {
        let header =
            "person_id,drug_concept_id,drug_exposure_start_datetime,drug_exposure_end_date,days_supply";
        let dir = tempfile::tempdir().expect("folder");
        person(&PEOPLE).write_csv(&dir.path().join("person.csv"));
        Text::new("drug_exposure", header, &[row]).write_csv(&dir.path().join("drug_exposure.csv"));
        let folder = Folder::open(dir.path()).expect("opens");
        let (mut stream, _) =
            stream::read(&folder, &[Domain::Drug], &Reading::default(), |_| true).expect("reads");
        let end = stream.next().expect("one").expect("reads").end;
        assert!(end == expected.map(|text| Moment::parse(text.as_bytes()).expect("a date")), "{row}");
    }
    check("1,7,2020-02-28 10:00,2020-03-05,30", Some("2020-03-05"));
    check("1,7,2020-02-28 10:00,,1", Some("2020-02-28"));
    check("1,7,2020-02-28 10:00,,30", Some("2020-03-28"));
    check("1,7,2020-02-28 10:00,,0", None);
    check("1,7,2020-02-28 10:00,,", None);
    check("1,7,2020-02-28 10:00,,99999999", None);
}
