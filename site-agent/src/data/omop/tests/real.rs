//! Real files of other people, read where they lie and never copied: 22 networks of hospitals from the eICU demo, and
//! OHDSI's Synthea27Nj. The figures are those of a second program, `tests/vectors/omop_counts.py` (Python's own csv and
//! datetime), run over the same folders.

use super::super::*;
use crate::testing::shared;
use std::path::PathBuf;

/// Rows, unmapped, no unit, negative length, dates disagree, at midnight, outside observation, after death, unknown person.
type Figures = [u64; 9];

#[track_caller]
fn compare(folders: &[PathBuf], expected: &[(Domain, Figures, f64)], people: u64) {
    let mut found: Vec<(Figures, f64)> = vec![([0; 9], 0.0); Domain::ALL.len()];
    let mut persons = 0;
    for root in folders {
        let folder = Folder::open(root).expect("opens");
        let of_people = People::read(&folder).expect("reads");
        // Small runs, so that real data are spilled too.
        let reading = Reading { memory_bytes: 1 << 20, threads: 2, ..Reading::default() };
        let (stream, counts) = stream::read(&folder, &Domain::ALL, &reading, |_| true).expect("reads");
        let stream = stream.inspect(|event| {
            if let Ok(Event { value: Value::Number(number), domain, .. }) = event {
                found[*domain as usize].1 += number;
            }
        });
        let beside = history::each(&of_people, stream, |_| persons += 1).expect("reads");
        for (domain, counts) in counts {
            let mut faults = counts.faults.clone();
            faults.merge(beside.get(&domain).unwrap_or(&FaultCounts::default()));
            assert_eq!(counts.rows, counts.events, "no row of {domain:?} is left out");
            let of = |fault| faults.of(fault);
            let figures = [
                counts.rows,
                of(Fault::Unmapped),
                of(Fault::NoUnit),
                of(Fault::NegativeLength),
                of(Fault::DatesDisagree),
                counts.at_midnight,
                of(Fault::OutsideObservation),
                of(Fault::AfterDeath),
                of(Fault::UnknownPerson),
            ];
            let sums = &mut found[domain as usize].0;
            sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        }
    }
    assert_eq!(persons, people);
    for (domain, figures, sum) in expected {
        let (found, found_sum) = found[*domain as usize];
        assert_eq!(found, *figures, "{domain:?}");
        assert!((found_sum - sum).abs() < 1e-2, "{domain:?}: sum of numbers {found_sum}");
    }
}

#[test]
fn eicu_networks() {
    let Some(root) = shared::data_set("eicu-omop") else { return };
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .expect("reads")
        .map(|entry| entry.expect("reads").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert_eq!(folders.len(), 22);
    compare(
        &folders,
        &[
            (Domain::Visit, [1667, 0, 0, 0, 0, 6, 0, 0, 0], 0.0),
            (Domain::VisitDetail, [1968, 0, 0, 0, 0, 2, 3, 4, 0], 0.0),
            (Domain::Condition, [9263, 6418, 0, 0, 0, 9, 24, 22, 0], 0.0),
            (Domain::Drug, [3242, 3242, 0, 0, 0, 28, 46, 21, 0], 0.0),
            (Domain::Procedure, [0; 9], 0.0),
            (Domain::Measurement, [273_204, 5910, 0, 0, 0, 286, 1652, 1154, 0], 20_901_457.930),
            (Domain::Observation, [0; 9], 0.0),
            (Domain::Death, [132, 0, 0, 0, 0, 0, 0, 0, 0], 0.0),
        ],
        1414,
    );
}

#[test]
fn synthea() {
    let Some(root) = shared::data_set("synthea27nj-omop") else { return };
    compare(
        std::slice::from_ref(&root),
        &[
            (Domain::Visit, [1791, 0, 0, 0, 0, 1791, 0, 0, 0], 0.0),
            (Domain::VisitDetail, [1791, 0, 0, 0, 0, 1791, 0, 0, 0], 0.0),
            (Domain::Condition, [470, 0, 0, 0, 0, 470, 1, 0, 0], 0.0),
            (Domain::Drug, [883, 0, 0, 0, 0, 883, 0, 0, 0], 0.0),
            (Domain::Procedure, [1649, 0, 0, 0, 0, 1649, 1, 0, 0], 0.0),
            (Domain::Measurement, [10_040, 0, 0, 0, 0, 10_040, 4, 0, 0], 623_864.800),
            (Domain::Observation, [8099, 0, 0, 0, 0, 8099, 6, 0, 0], 0.0),
            (Domain::Death, [3, 0, 0, 0, 0, 3, 0, 0, 0], 0.0),
        ],
        28,
    );
    let folder = Folder::open(&root).expect("opens");
    let concepts = vocabulary::concepts(&folder, |_| true).expect("reads");
    assert_eq!(concepts.len(), 2294);
    let prediabetes = &concepts[&ConceptId(40_316_773)];
    assert_eq!((prediabetes.name.as_str(), prediabetes.code.as_str()), ("Prediabetes", "15777000"));
    assert!(
        !prediabetes.is_standard && prediabetes.vocabulary == "SNOMED" && prediabetes.domain == "Condition"
    );
    let of = std::collections::BTreeSet::from([ConceptId(1)]);
    assert_eq!(vocabulary::descendants(&folder, &of).expect("reads"), None, "an empty table");

    // The most frequent numbers and their units, by Python's Counter over MEASUREMENT.csv.
    let check = check::check(&folder, &Reading::default()).expect("checks");
    let top: Vec<(i64, i64, u64)> = check
        .measurements
        .iter()
        .take(4)
        .map(|mix| (mix.measurement.0, mix.units[0].0.0, mix.units[0].1))
        .collect();
    assert_eq!(
        top,
        [(3_004_249, 8876, 726), (3_012_888, 8876, 726), (3_025_315, 9529, 511), (3_036_277, 8582, 496)]
    );
}
