//! The same for people with many events, in a folder of OMOP tables.

use super::look::{IN_LOCAL_MODE, Look, moves};
use super::{ASKS, Compared, TICK_MS, but_for_lists, compare, judged, study};
use consilium_common::key::SecretKey;
use consilium_tests::hospital::{PlayOf, StudyOf, TRAINING_SHARE};
use site_agent::data::SplitKey;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// In the place of a table's columns: two examples of each person.
const DATA: &str = r#"[data]
format = ["omop-cdm-5.4"]
accrual = { from = 2015-01-01, to = 2015-12-31 }
followup_to = 2016-12-31
date_only_rule = "end-of-day"
code_system = "standard"

[concept_set.entry]
include = [{ id = 10, name = "entry", descendants = true }]
[concept_set.outcome]
include = [{ id = 20, name = "outcome" }]
[concept_set.ward]
include = [{ id = 50, name = "ward" }]

[cohort.first]
entry = [{ event = "condition", set = "entry" }]
limit = "first-in-accrual"
index = "start"
prior_observation_days = 30
max_episodes_per_person = 1

[[task]]
name = "outcome"
target = "first"
outcome = { any_of = [{ event = "condition", set = "outcome" }] }
horizons_days = [30, 90]
time_at_risk_start_day = 1
prior_outcome = "keep"
insufficient_follow_up = "drop"
death = "competing"

[features]
windows = { long = [-365, 0] }
max_features = 16
vocabulary = "listed"
demographics = ["age", "sex"]
age_range = [18, 90]
conditions = { sets = ["outcome"], windows = ["long"], encode = "binary" }
visits = { sets = ["ward"], windows = ["long"], encode = "log1p-count", cap = 20 }
[[features.measurement]]
name = "pulse"
id = 30
concept_name = "pulse"
window = "long"
take = "last"
unit = "/min"
unit_missing = "accept"
range = [20, 220]

"#;

/// In the place of a table's: the last one is only counted.
const ATTRIBUTES: &str = r#"[[attribute]]
name = "sex"
from = ["person.gender_concept_id"]
levels = [{ concepts = [8532], label = "female" }, { concepts = [8507], label = "male" }]
[[attribute]]
name = "told"
from = ["person.ethnicity_concept_id"]
use = "completeness-only"

"#;

/// Of the vocabulary: 11 is below 10.
const CONCEPTS: [&str; 6] = [
    "10,entry,Condition,S,c10,S",
    "11,an entry,Condition,S,c11,S",
    "20,outcome,Condition,S,c20,S",
    "30,pulse,Measurement,S,c30,S",
    "50,ward,Visit,S,c50,S",
    "8876,beats a minute,Unit,UCUM,/min,S",
];

/// Tables that hold people, with their columns.
const TABLES: [(&str, &str); 6] = [
    ("person", "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id"),
    ("observation_period", "person_id,observation_period_start_date,observation_period_end_date"),
    ("condition_occurrence", "person_id,condition_concept_id,condition_start_date,condition_start_datetime"),
    (
        "measurement",
        "person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id,unit_source_value",
    ),
    ("visit_occurrence", "person_id,visit_concept_id,visit_start_date,visit_end_date"),
    ("death", "person_id,death_date"),
];

/// Rows by table, without the person's id.
type Life = BTreeMap<&'static str, Vec<String>>;

/// Somebody whom the study asks about, with several events.
fn life() -> Life {
    let visits = (0..4).map(|at| format!("50,2014-1{}-01,2014-1{}-05", at % 3, at % 3));
    BTreeMap::from([
        ("person", vec!["8532,1970,8527,38003563".to_owned()]),
        ("observation_period", vec!["2014-01-01,2016-01-01".to_owned()]),
        (
            "condition_occurrence",
            vec!["11,2015-02-03,".to_owned(), "20,2015-02-20,2015-02-20 10:00:00".to_owned()],
        ),
        ("measurement", vec!["30,2015-01-30,110,8876,".to_owned(), "30,2015-01-31,90,,".to_owned()]),
        ("visit_occurrence", visits.collect()),
    ])
}

/// That life, with these rows of a table instead.
fn with(table: &'static str, rows: &[&str]) -> Life {
    let mut life = life();
    life.insert(table, rows.iter().map(|row| (*row).to_owned()).collect());
    life
}

/// Thirty people, then this one.
fn write(folder: &Path, last: Option<(u64, &Life)>) {
    std::fs::create_dir_all(folder).expect("a folder");
    let put =
        |name: &str, text: &str| std::fs::write(folder.join(format!("{name}.csv")), text).expect("written");
    let mut texts = TABLES.map(|(_, header)| format!("{header}\n"));
    for id in 1..=30_u64 {
        let (sex, day, half) = (8507 + 25 * (id % 2), 1 + id % 5, id % 2 == 0);
        let rows = [
            Some(format!("{sex},{},8527,{}", 1930 + id, if id % 7 == 0 { 38_003_563 } else { 0 })),
            Some(format!("2014-01-01,{}", if id % 9 == 8 { "2015-02-05" } else { "2016-01-01" })),
            Some(format!("{},2015-02-0{day},", if id % 3 == 0 { 11 } else { 10 })),
            Some(format!("30,2015-01-3{},{},8876,", id % 2, 60 + id)),
            half.then(|| format!("50,2014-12-0{day},2014-12-2{day}")),
            (id % 11 == 0).then(|| "2015-02-08".to_owned()),
        ];
        for (text, row) in texts.iter_mut().zip(rows) {
            row.into_iter().for_each(|row| writeln!(text, "{id},{row}").expect("a string"));
        }
        if half {
            writeln!(texts[2], "{id},20,2015-02-1{day},").expect("a string");
        }
    }
    for ((name, _), text) in TABLES.iter().zip(&mut texts) {
        for (id, row) in last
            .into_iter()
            .flat_map(|(id, life)| life.get(name).into_iter().flatten().map(move |row| (id, row)))
        {
            writeln!(text, "{id},{row}").expect("a string");
        }
        put(name, text);
    }
    let header = "concept_id,concept_name,domain_id,vocabulary_id,concept_code,standard_concept";
    put("concept", &format!("{header}\n{}\n", CONCEPTS.join("\n")));
    put("concept_ancestor", "ancestor_concept_id,descendant_concept_id\n10,10\n10,11\n");
}

/// The study of the table's test, of records.
fn text(keys: &[SecretKey]) -> String {
    let text = StudyOf { reply_tick_ms: TICK_MS, ..study() }.text(keys);
    let cut = |text: &str, from: &str, to: &str, with: &str| {
        let (start, end) = (text.find(from).expect(from), text.find(to).expect(to));
        format!("{}{with}{}", &text[..start], &text[end..])
    };
    cut(&cut(&text, "[data]", "[missing]", DATA), "[[attribute]]", "[subgroups]", ATTRIBUTES)
}

fn look(last: Option<(u64, &Life)>, seed: u8, opted_out: Option<(&Path, &[&str])>) -> Look {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), last);
    let data = folder.path();
    let played = PlayOf { text: &text, data, asks: &ASKS, seed: [seed; 32], opted_out }.run();
    Look::of(&played, &IN_LOCAL_MODE, TICK_MS)
}

/// An id behind all others whose role under the rig's split key is this one.
fn last_person(trains: bool) -> u64 {
    let key = SplitKey::from_bytes([7; 32]);
    let is_one = |id: &u64| key.pseudonym(&id.to_string()).trains(TRAINING_SHARE) == trains;
    (100..).find(is_one).expect("there are both roles")
}

fn compared(trains: bool) -> Compared {
    let x = last_person(trains);
    let often: Vec<String> =
        (0..500).map(|at| format!("30,2015-01-{:02},{},8876,", 1 + at % 28, at % 200)).collect();
    let often: Vec<&str> = often.iter().map(String::as_str).collect();
    let neighbours = [
        ("one person more", life(), 1.0),
        ("with many events", with("measurement", &often), 1.0),
        (
            "without the outcome, of the other sex",
            {
                let mut life = with("condition_occurrence", &["10,2015-02-03,"]);
                life.insert("person", vec!["8507,1950,0,0".to_owned()]);
                life
            },
            1.0,
        ),
        ("bad cells beside good ones", with("measurement", &["30,2015-01-30,fast,8876,", "x,,,,"]), 1.0),
        ("who died before", with("death", &["2015-01-01"]), 1.0),
        ("without the entry event", with("condition_occurrence", &["20,2015-02-20,"]), 0.0),
        ("not observed for long enough", with("observation_period", &["2015-02-01,2016-01-01"]), 0.0),
        ("events of somebody who is not there", with("person", &[]), 0.0),
        ("twice in table person", with("person", &["8532,1970,8527,0", "8507,1971,8527,0"]), 1.0),
    ];
    compare(trains, &|seed| look(None, seed, None), &neighbours, &|life| look(Some((x, life)), 1, None))
}

#[test]
fn neighbours_with_many_events_look_alike() {
    judged(std::thread::scope(|scope| {
        let roles = [true, false].map(|trains| scope.spawn(move || compared(trains)));
        roles.map(|role| role.join().expect("the plays of one role"))
    }));
}

/// Those that a folder of records could hide where a table shows them.
#[cfg(feature = "mutants")]
#[test]
fn variants_that_say_too_much_of_records_are_caught() {
    use consilium_common::mutant::Mutant;
    let mutants = [Mutant::CountInLedger, Mutant::RefuseFaults, Mutant::CountedTwice];
    let caught = consilium_tests::mutants::run("records::neighbours_with_many_events_look_alike", &mutants);
    assert!(caught.iter().all(|(_, by)| !by.is_empty()), "see the table");
}

/// As of a table: the payloads are those without the person, and nothing else shows it.
#[test]
fn an_opt_out_from_records_shows_in_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("no.csv");
    let life = life();
    for trains in [true, false] {
        let x = last_person(trains);
        let name = x.to_string();
        let never_there = look(None, 1, Some((&list, &[])));
        let nobody = look(Some((x, &life)), 1, Some((&list, &[])));
        let found = look(Some((x, &life)), 1, Some((&list, &[&name])));
        assert_eq!(but_for_lists(&nobody, &found), []);
        let by = |a: &Look| moves(&a.updates, &found.updates).max(moves(&a.histograms, &found.histograms));
        let (by, without) = (by(&nobody), by(&never_there));
        assert!(by > 0.99 && by <= 1.0 + 1e-9 && without == 0.0, "moved by {by}, {without}");
    }
}
