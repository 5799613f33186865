//! How long a site agent takes from a hospital's Parquet tables to examples, as a whole process (`site-agent data export
//! --examples`, what an agent does before its first round), and its peak memory. Goals: 30,000 people of the cohort with 60
//! features out of 60 million events in 10 seconds on two cores; less than 2 GiB, of 80 million events, too.
//!
//! `cargo bench --workspace --bench extraction -- MILLIONS`, of `TMPDIR`'s disk: 60 million events take about 2 GB there, and some
//! minutes to invent. Without an argument, 5 million. The tables are as a warehouse exports them: rows in no order of
//! people or time, two hundred events a person, most of concepts that no study asks about.

use arrow_array::{ArrayRef, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch};
use consilium_common::key::SecretKey;
use consilium_common::study::{RosterSite, fill_shipped};
use consilium_tests::measure::{build_programs, cpu, load, peak_kib};
use consilium_tests::{program, project, replace, run};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const EVENTS_A_PERSON: u64 = 200;
/// One in so many has a first psychosis or depression.
const OF_COHORT: u64 = 10;
const ROUNDS: usize = 3;
const BATCH_ROWS: u64 = 1 << 16;
/// 2016 to 2024, in days since 1970.
const OBSERVED: Range<u32> = 16_801..20_089;
/// 2023, when people come into the study.
const ACCRUAL: Range<u32> = 19_358..19_723;

fn main() {
    // Cargo says --bench.
    let millions = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_u64);
    build_programs();
    let folder = tempfile::tempdir().expect("a folder");
    let tables = folder.path().join("omop");
    let people = millions * 1_000_000 / EVENTS_A_PERSON;
    invent(folder.path(), &tables, people);
    let study = folder.path().join("study.toml");
    fs::write(&study, asking()).expect("written");
    let home = folder.path().join("home");
    let home = home.to_str().expect("UTF-8");
    drop(run("site-agent", ["init", "--home", home, "--site", "ashford"]).ok());
    println!("{millions} million events of {people} people; load {}", load());
    for round in 1..=ROUNDS {
        let out = folder.path().join(format!("examples-{round}"));
        let start = Instant::now();
        let mut agent = Command::new(program("site-agent"))
            .args(["data", "export", "--examples", "--home", home])
            .arg("--study")
            .arg(&study)
            .arg("--data")
            .arg(&tables)
            .arg("--out")
            .arg(&out)
            .env("TMPDIR", folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("the agent starts");
        let (mut peak, mut spent) = (0, Duration::ZERO);
        let status = loop {
            peak = peak_kib(agent.id()).unwrap_or(0).max(peak);
            spent = cpu(agent.id()).unwrap_or(spent).max(spent);
            if let Some(status) = agent.try_wait().expect("a child") {
                break status;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "the agent says no");
        let wall = start.elapsed();
        println!(
            "{:6.2} s, CPU {:6.2} s, {:5} MiB at most; {:.1} million events a second; {} bytes of examples",
            wall.as_secs_f64(),
            spent.as_secs_f64(),
            peak / 1024,
            millions as f64 / wall.as_secs_f64(),
            fs::metadata(&out).expect("written").len(),
        );
    }
}

/// The shipped study's first task, with sixty features.
fn asking() -> String {
    let shipped =
        fs::read_to_string(project().join("docs/studies/synthetic-mental-health.toml")).expect("shipped");
    let text = replace(
        &shipped,
        "windows",
        "{ short = [-30, 0], medium = [-180, 0], long = [-365, 0], ever = [-99999, 0] }",
    );
    let text = replace(&text, "max_features", "100");
    let every = r#"windows = ["short", "medium", "long", "ever"]"#;
    let sets = r#"["psychosis", "depression", "alcohol_misuse", "self_harm", "mental_disorder"]"#;
    let text = replace(&text, "conditions", &format!("{{ sets = {sets}, {every}, encode = \"binary\" }}"));
    let text = replace(
        &text,
        "drugs",
        &format!(r#"{{ sets = ["antidepressants", "antipsychotics"], {every}, encode = "binary" }}"#),
    );
    let visits = format!(
        r#"{{ sets = ["inpatient", "emergency", "outpatient"], {every}, encode = "log1p-count", cap = 20 }}"#
    );
    let text = replace(&text, "visits", &visits);
    let mut measured = String::new();
    for (name, id, concept, unit, range) in [
        ("phq9", 2_000_000_500_u32, "PHQ-9 total (invented)", "{score}", "[0, 27]"),
        ("bmi", 2_000_000_510, "Body mass index (invented)", "kg/m2", "[10, 70]"),
    ] {
        for window in ["short", "medium"] {
            for take in ["last", "min", "max", "mean"] {
                if (window, take) == ("short", "last") {
                    continue;
                }
                measured += &format!(
                    "[[features.measurement]]\nname = \"{name}_{window}_{take}\"\nid = {id}\nconcept_name = \"{concept}\"\n\
                     window = \"{window}\"\ntake = \"{take}\"\nunit = \"{unit}\"\nunit_missing = \"accept\"\nrange = {range}\n",
                );
            }
        }
    }
    let (before, after) = text.split_once("[missing]").expect("the shipped study has it");
    // Nobody trains here; a study has to have its sites.
    let roster = (1..=6).map(|at| RosterSite {
        name: format!("site-{at}").parse().expect("a site's name"),
        key: SecretKey::from_seed(&[at; 32]).public(),
        people_public: 5_000,
        weight: 65_536,
    });
    let text = format!("{before}{measured}[missing]{after}");
    fill_shipped(&text, &roster.collect::<Vec<_>>(), None)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
        .text
}

/// What a column holds.
#[derive(Clone)]
enum Fill {
    /// 1, 2, 3 and so on.
    Id,
    /// Every so manieth person, in turn.
    InTurn(u64),
    /// Anybody.
    Anybody,
    /// One of these in one row of four, else one of a thousand that no study asks about.
    Concept(&'static [i32]),
    Day(Range<u32>),
    Value(Range<u32>),
    Whole(Range<u32>),
}

/// A hospital's tables beside the vocabulary of `site-agent synth`.
fn invent(folder: &Path, tables: &Path, people: u64) {
    let small = folder.join("small");
    let arguments = ["synth", "--sites", "1", "--people", "100", "--out", small.to_str().expect("UTF-8")];
    drop(run("site-agent", arguments).ok());
    fs::create_dir(tables).expect("made");
    for name in ["CONCEPT.csv", "CONCEPT_ANCESTOR.csv"] {
        fs::copy(small.join("ashford/omop").join(name), tables.join(name)).expect("copied");
    }
    let table = |name: &str, rows: u64, columns: &[(&'static str, Fill)]| {
        write(&tables.join(format!("{name}.parquet")), people, rows, columns);
    };
    let day = || Fill::Day(OBSERVED);
    let none = || Fill::Whole(0..1);
    table(
        "person",
        people,
        &[
            ("person_id", Fill::Id),
            ("gender_concept_id", Fill::Whole(8507..8508)),
            ("year_of_birth", Fill::Whole(1940..2000)),
            ("race_concept_id", none()),
            ("ethnicity_concept_id", none()),
        ],
    );
    table(
        "observation_period",
        people,
        &[
            ("observation_period_id", Fill::Id),
            ("person_id", Fill::InTurn(1)),
            ("observation_period_start_date", Fill::Day(OBSERVED.start..OBSERVED.start + 1)),
            ("observation_period_end_date", Fill::Day(OBSERVED.end - 1..OBSERVED.end)),
        ],
    );
    let events = people * EVENTS_A_PERSON;
    table(
        "measurement",
        events * 60 / 100,
        &[
            ("measurement_id", Fill::Id),
            ("person_id", Fill::Anybody),
            ("measurement_concept_id", Fill::Concept(&[2_000_000_500, 2_000_000_510])),
            ("measurement_date", day()),
            ("value_as_number", Fill::Value(10..27)),
            ("unit_concept_id", none()),
            ("visit_occurrence_id", Fill::Whole(1..9_000_000)),
        ],
    );
    table(
        "drug_exposure",
        events * 15 / 100,
        &[
            ("drug_exposure_id", Fill::Id),
            ("person_id", Fill::Anybody),
            ("drug_concept_id", Fill::Concept(&[2_000_000_313, 2_000_000_390])),
            ("drug_exposure_start_date", day()),
            ("visit_occurrence_id", Fill::Whole(1..9_000_000)),
        ],
    );
    table(
        "visit_occurrence",
        events * 10 / 100,
        &[
            ("visit_occurrence_id", Fill::Id),
            ("person_id", Fill::Anybody),
            ("visit_concept_id", Fill::Concept(&[2_000_000_411, 2_000_000_420, 2_000_000_430])),
            ("visit_start_date", day()),
            ("visit_end_date", day()),
        ],
    );
    table(
        "observation",
        events * 5 / 100,
        &[
            ("observation_id", Fill::Id),
            ("person_id", Fill::Anybody),
            ("observation_concept_id", Fill::Concept(&[2_000_000_600])),
            ("observation_date", day()),
            ("value_as_number", Fill::Value(1..5)),
        ],
    );
    table(
        "death",
        people / 50,
        &[("person_id", Fill::InTurn(50)), ("death_date", Fill::Day(OBSERVED.end - 90..OBSERVED.end))],
    );
    // A table in two files: first those who come into the study, each once.
    fs::create_dir(tables.join("condition_occurrence")).expect("made");
    let conditions = |concepts, whose, when| {
        [
            ("condition_occurrence_id", Fill::Id),
            ("person_id", whose),
            ("condition_concept_id", concepts),
            ("condition_start_date", Fill::Day(when)),
            ("visit_occurrence_id", Fill::Whole(1..9_000_000)),
        ]
    };
    let first = conditions(Fill::Whole(2_000_000_110..2_000_000_111), Fill::InTurn(OF_COHORT), ACCRUAL);
    table("condition_occurrence/first", people / OF_COHORT, &first);
    let other = conditions(Fill::Concept(&[2_000_000_150, 2_000_000_200]), Fill::Anybody, OBSERVED);
    table("condition_occurrence/other", events * 10 / 100, &other);
}

/// One table, a batch of rows at a time.
fn write(path: &Path, people: u64, rows: u64, columns: &[(&'static str, Fill)]) {
    let mut chance = Chance(rows);
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut batch = |rows: Range<u64>| {
        let arrays =
            columns.iter().map(|(name, fill)| (*name, fill.array(rows.clone(), people, &mut chance)));
        RecordBatch::try_from_iter(arrays).expect("columns of one length")
    };
    let file = File::create_new(path).expect("made");
    let mut writer = ArrowWriter::try_new(file, batch(0..0).schema(), Some(properties)).expect("a schema");
    for from in (0..rows).step_by(usize::try_from(BATCH_ROWS).expect("small")) {
        writer.write(&batch(from..rows.min(from + BATCH_ROWS))).expect("the disk has room");
    }
    writer.close().expect("the disk has room");
}

impl Fill {
    fn array(&self, rows: Range<u64>, people: u64, chance: &mut Chance) -> ArrayRef {
        let long = |number: u64| i64::try_from(number).expect("below 2^63");
        match self {
            Self::Id => Arc::new(Int64Array::from_iter_values(rows.map(|row| long(row + 1)))),
            Self::InTurn(step) => {
                Arc::new(Int64Array::from_iter_values(rows.map(|row| long((row + 1) * step))))
            }
            Self::Anybody => {
                Arc::new(Int64Array::from_iter_values(rows.map(|_| long(1 + chance.below(people)))))
            }
            Self::Concept(ours) => Arc::new(Int32Array::from_iter_values(rows.map(|_| chance.concept(ours)))),
            Self::Day(range) => Arc::new(Date32Array::from_iter_values(rows.map(|_| chance.within(range)))),
            Self::Whole(range) => Arc::new(Int32Array::from_iter_values(rows.map(|_| chance.within(range)))),
            Self::Value(range) => {
                let tenths = range.start * 10..range.end * 10;
                let value = |_| f64::from(chance.within(&tenths)) / 10.0;
                Arc::new(Float64Array::from_iter_values(rows.map(value)))
            }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same tables each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn within(&mut self, range: &Range<u32>) -> i32 {
        let offset = self.below(u64::from(range.end - range.start));
        i32::try_from(u64::from(range.start) + offset).expect("ids and days are below 2^31")
    }

    fn concept(&mut self, ours: &[i32]) -> i32 {
        if self.below(4) == 0 {
            let at = self.below(ours.len() as u64);
            ours[usize::try_from(at).expect("small")]
        } else {
            self.within(&(3_000_000..3_001_000))
        }
    }
}
