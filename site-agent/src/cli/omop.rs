//! `data check --omop`: what is in a hospital's OMOP tables, for this hospital's eyes.

use super::output::{Output, table};
use crate::data::omop::check::{Check, GROUPS_SHOWN, PeopleCheck, UnitMix, check as read};
use crate::data::omop::{ConceptId, Fault, Opened, Reading, Source, Table, TableCounts, units as unit_texts};
use crate::failure::Failure;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Reads every table once and says, here and nowhere else, what it found.
pub(super) fn check(path: &Path, scratch: Option<&Path>, output: &Output) -> Result<(), Failure> {
    let opened = Opened::open(path)?;
    Source::from(&opened).granted()?;
    let found = read(&opened, &Reading { scratch, ..Reading::default() })?;
    let place = opened.place();
    if found.people.people == 0 {
        return Err(Failure::refused(format!(
            "data.people: {place} has OMOP tables, and nobody in table person who can be used"
        )));
    }
    output.result(&human(&place, &found), &json(path, &found))
}

fn human(place: &str, found: &Check) -> String {
    let mut parts = vec![format!("OMOP tables in {place}"), tables(found)];
    if !found.missing.is_empty() {
        let missing: Vec<&str> = found.missing.iter().map(|table| table.name()).collect();
        parts.push(format!("missing: {}", missing.join(", ")));
    }
    parts.push(people(found));
    if !found.measurements.is_empty() {
        parts.push(format!("Most frequent measurements, and their units\n{}", units(found)));
    }
    parts.push(faults(found));
    parts.push("These counts stay here: never send or publish them.".to_owned());
    parts.join("\n\n")
}

fn tables(found: &Check) -> String {
    let rows: Vec<Vec<String>> = found
        .tables
        .iter()
        .map(|(table, counts)| {
            let share =
                |part: u64| if is_dated(*table) { percent(part, counts.events) } else { String::new() };
            let years = counts.days.map(|(from, to)| format!("{} to {}", from.year(), to.year()));
            let unmapped = is_mapped(*table).then(|| percent(counts.faults.of(Fault::Unmapped), counts.rows));
            vec![
                table.name().to_owned(),
                counts.rows.to_string(),
                used(*table, counts).to_string(),
                years.unwrap_or_default(),
                share(counts.days_only),
                share(counts.at_midnight),
                unmapped.unwrap_or_default(),
            ]
        })
        .collect();
    table(&["table", "rows", "used", "years", "day only", "at 00:00", "concept 0"], &rows)
}

fn people(found: &Check) -> String {
    let PeopleCheck { people, without_events, died, without_birth_year, birth_years, .. } = &found.people;
    let mut rows = vec![
        vec!["people".to_owned(), people.to_string()],
        vec!["without any event".to_owned(), counted(*without_events, *people)],
        vec!["with a record of death".to_owned(), counted(*died, *people)],
    ];
    for (name, groups) in &found.people.attributes {
        let rest: u64 = groups.iter().skip(GROUPS_SHOWN).map(|(_, count)| count).sum();
        let mut shown: Vec<String> = groups
            .iter()
            .take(GROUPS_SHOWN)
            .map(|(concept, count)| format!("{} {}", named(found, *concept), counted(*count, *people)))
            .collect();
        if rest > 0 {
            shown.push(format!("others {}", counted(rest, *people)));
        }
        rows.push(vec![(*name).to_owned(), shown.join("; ")]);
    }
    let born = birth_years.map_or(String::new(), |(from, to)| format!("{from} to {to}; "));
    rows.push(vec![
        "year of birth".to_owned(),
        format!("{born}not recorded {}", counted(*without_birth_year, *people)),
    ]);
    let PeopleCheck { without_period, with_overlaps, observed_days, .. } = &found.people;
    let observation = if found.missing.contains(&Table::ObservationPeriod) {
        "no table observation_period: nobody can be said to be observed".to_owned()
    } else {
        format!(
            "{} years in all; without a period {}; with periods that overlap or touch {}",
            observed_days / 365,
            counted(*without_period, *people),
            counted(*with_overlaps, *people)
        )
    };
    rows.push(vec!["observation".to_owned(), observation]);
    table(&["people", ""], &rows)
}

fn units(found: &Check) -> String {
    let rows: Vec<Vec<String>> = found
        .measurements
        .iter()
        .map(|UnitMix { measurement, count, units }| {
            let mix: Vec<String> = units
                .iter()
                .take(4)
                .map(|(unit, of_unit)| {
                    let name = match (found.names.get(unit), unit_texts::code(*unit)) {
                        (None, Some(code)) => code.to_owned(),
                        _ => named(found, *unit),
                    };
                    format!("{name} {}", percent(*of_unit, *count))
                })
                .collect();
            let name =
                if measurement.is_some() { named(found, *measurement) } else { "not mapped".to_owned() };
            vec![measurement.0.to_string(), name, count.to_string(), mix.join("; ")]
        })
        .collect();
    table(&["concept", "measurement", "numbers", "units"], &rows)
}

fn faults(found: &Check) -> String {
    let all = found.faults();
    let rows: Vec<Vec<String>> = Fault::ALL
        .into_iter()
        .filter(|fault| all.of(*fault) > 0)
        .map(|fault| {
            let tables: Vec<String> = found
                .tables
                .iter()
                .filter(|(_, counts)| counts.faults.of(fault) > 0)
                .map(|(table, counts)| format!("{table} {}", counts.faults.of(fault)))
                .collect();
            vec![
                fault.words().to_owned(),
                all.of(fault).to_string(),
                fault.rule().to_owned(),
                tables.join(", "),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "Every row is as expected.".to_owned();
    }
    table(&["found in rows", "rows", "rule", "tables"], &rows)
}

fn json(root: &Path, found: &Check) -> Value {
    let concept = |(concept, count): &(ConceptId, u64)| json!({ "concept_id": concept.0, "name": found.names.get(concept), "count": count });
    let tables: Vec<Value> = found
        .tables
        .iter()
        .map(|(table, counts)| {
            let faults: Map<String, Value> = Fault::ALL
                .into_iter()
                .filter(|fault| counts.faults.of(*fault) > 0)
                .map(|fault| (fault.key().to_owned(), counts.faults.of(fault).into()))
                .collect();
            let dated = |count: u64| is_dated(*table).then_some(count);
            json!({
                "table": table.name(),
                "rows": counts.rows,
                "used": used(*table, counts),
                "years": counts.days.map(|(from, to)| [from.year(), to.year()]),
                "days_only": dated(counts.days_only),
                "at_midnight": dated(counts.at_midnight),
                "unmapped": is_mapped(*table).then(|| counts.faults.of(Fault::Unmapped)),
                "faults": faults,
            })
        })
        .collect();
    let people = &found.people;
    let attributes: Map<String, Value> = people
        .attributes
        .iter()
        .map(|(name, groups)| ((*name).to_owned(), groups.iter().map(concept).collect()))
        .collect();
    let rules: Map<String, Value> =
        Fault::ALL.into_iter().map(|fault| (fault.key().to_owned(), fault.rule().into())).collect();
    json!({
        "omop": root,
        "stays_here": true,
        "tables": tables,
        "missing": found.missing.iter().map(|table| table.name()).collect::<Vec<_>>(),
        "people": {
            "people": people.people,
            "without_events": people.without_events,
            "died": people.died,
            "attributes": attributes,
            "birth_years": people.birth_years.map(|(from, to)| [from, to]),
            "without_birth_year": people.without_birth_year,
            "without_period": people.without_period,
            "with_overlapping_periods": people.with_overlaps,
            "observed_days": people.observed_days,
        },
        "measurements": found.measurements.iter().map(|mix| json!({
            "concept_id": mix.measurement.0,
            "name": found.names.get(&mix.measurement),
            "numbers": mix.count,
            "units": mix.units.iter().map(concept).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "rules": rules,
    })
}

/// Rows that a study would see: events that are not left out beside other tables.
fn used(table: Table, counts: &TableCounts) -> u64 {
    let left_out = [Fault::UnknownPerson, Fault::ContradictoryPerson, Fault::TooManyEvents];
    match table {
        Table::Clinical(_) => {
            counts.events - left_out.map(|fault| counts.faults.of(fault)).iter().sum::<u64>()
        }
        _ => counts.events,
    }
}

fn is_dated(table: Table) -> bool {
    matches!(table, Table::Clinical(_))
}

/// Whether a concept of 0 says that something was not mapped; of a death it says that the cause is not known.
fn is_mapped(table: Table) -> bool {
    matches!(table, Table::Clinical(domain) if domain != crate::data::omop::Domain::Death)
}

fn named(found: &Check, concept: ConceptId) -> String {
    match found.names.get(&concept) {
        Some(name) => name.clone(),
        None if unit_texts::is_text(concept) => "another text".to_owned(),
        None if concept.is_some() => format!("concept {}", concept.0),
        None => "not recorded".to_owned(),
    }
}

fn counted(part: u64, of: u64) -> String {
    format!("{part} ({})", percent(part, of))
}

/// To a tenth; what is not nothing does not read as nothing.
fn percent(part: u64, of: u64) -> String {
    let per_mille = part.saturating_mul(1000).checked_div(of).unwrap_or(0);
    match per_mille {
        0 if part > 0 => "< 0.1 %".to_owned(),
        _ => format!("{}.{} %", per_mille / 10, per_mille % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Format;
    use crate::data::omop::Folder;
    use std::fs;

    const PERSON: &str = "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id\n";

    #[test]
    fn percents() {
        fn check(part: u64, of: u64, expected: &str) {
            assert_eq!(percent(part, of), expected);
        }
        check(0, 0, "0.0 %");
        check(0, 5, "0.0 %");
        check(1, 3, "33.3 %");
        check(1, 100_000, "< 0.1 %");
        check(5, 5, "100.0 %");
    }

    #[test]
    fn both_forms_say_the_same() {
        let dir = tempfile::tempdir().expect("folder");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        write("person.csv", &format!("{PERSON}1,8507,1980,8527,0\n2,8532,1999,0,0\n2,8532,1999,0,0\n"));
        write(
            "concept.csv",
            "concept_id,concept_name,vocabulary_id,concept_code\n3,Body temperature,X,1\n8507,MALE,Gender,M\n",
        );
        let header = "person_id,measurement_concept_id,measurement_date,measurement_datetime,value_as_number,unit_concept_id\n";
        write(
            "Measurement.csv",
            &format!(
                "{header}1,3,2020-01-01,2020-01-01 00:00,36.6,\n1,0,2021-01-01,,1,9\n7,3,2020-01-01,,1,9\n"
            ),
        );
        let found = read(&Folder::open(dir.path()).expect("opens"), &Reading::default()).expect("reads");
        let json = json(dir.path(), &found);
        assert_eq!(json["people"]["people"], 2);
        assert_eq!(json["people"]["attributes"]["gender"][0]["name"], "MALE");
        assert_eq!(json["tables"][0]["faults"], json!({ "repeated_person": 1 }));
        let measurement = &json["tables"][1];
        assert_eq!((&measurement["rows"], &measurement["used"]), (&json!(3), &json!(2)));
        assert_eq!((&measurement["at_midnight"], &measurement["days_only"]), (&json!(1), &json!(2)));
        assert_eq!(measurement["years"], json!([2020, 2021]));
        assert_eq!(measurement["faults"], json!({ "unknown_person": 1, "unmapped": 1, "no_unit": 1 }));
        assert_eq!(json["measurements"][0]["name"], "Body temperature");
        assert_eq!(json["measurements"][0]["numbers"], 2);
        let text = human("the folder", &found);
        for part in [
            "measurement\t3\t2\t2020 to 2021\t66.6 %\t33.3 %\t33.3 %",
            "3\tBody temperature\t2\tnot recorded 50.0 %; concept 9 50.0 %",
            "gender\tMALE 1 (50.0 %); concept 8532 1 (50.0 %)",
            "person twice, rows alike\t1\tone row kept\tperson 1",
            "no table observation_period",
            "These counts stay here",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn nobody_is_a_refusal() {
        let dir = tempfile::tempdir().expect("folder");
        fs::write(dir.path().join("person.csv"), PERSON).expect("written");
        let output = Output::new(Format::Text);
        let failure = check(dir.path(), None, &output).expect_err("nobody");
        assert!(failure.kind.exit_code() == 1 && failure.message.starts_with("data.people:"), "{failure}");
        let failure = check(Path::new("no such folder"), None, &output).expect_err("no folder");
        assert_eq!(failure.kind.exit_code(), 2, "{failure}");
    }
}
