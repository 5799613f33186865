//! How fast OMOP rows come out of PostgreSQL: our binary COPY, taken apart and through every rule, against the same COPY that
//! nobody takes apart (`psql … > /dev/null`), in turn, in one run. Goal: at least 0.7 of its rows a second.
//!
//! `cargo bench --workspace --bench postgres -- ROWS`. With `--profile dev --config profile.dev.package.site-agent.opt-level=2`
//! nothing but the agent is built anew; without optimisation of the agent itself the figure says little (0.26 for 0.78). Both
//! go over a Unix socket, and with a second core server and reader work side by side. Needs PostgreSQL's programs; see
//! `cluster.rs`.

#[path = "../../site-agent/src/data/omop/postgres/tests/cluster.rs"]
#[allow(dead_code, reason = "tests use what a bench does not")]
mod cluster;

use cluster::Cluster;
use site_agent::data::omop::postgres::{Config, Database, plan};
use site_agent::data::omop::{
    ConceptId, Concepts, Domain, Event, Narrowing, Reading, Source, Table, Wanted, stream,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

/// Rows without an argument.
const ROWS: u64 = 3_000_000;
/// How often each way is timed.
const ROUNDS: usize = 5;
/// Of the rows a second of the bare COPY.
const GOAL: f64 = 0.7;

/// How many concepts there are, and the first of them.
const CONCEPTS: u64 = 300;
const CONCEPT: i64 = 3_000_000;

const TABLE: Table = Table::Clinical(Domain::Measurement);

fn main() {
    // Cargo says --bench.
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROWS);
    let settings = ["shared_buffers = '1GB'", "max_wal_size = '8GB'", "autovacuum = off"];
    let Some(cluster) = Cluster::start(&settings) else { return };
    cluster.sql(&tables(rows));
    let text = format!(
        "[postgres]\nhost = '{}'\nport = {}\ndatabase = 'postgres'\nuser = 'postgres'\nschema = 'cdm'\n",
        cluster.folder().display(),
        cluster.port()
    );
    let config = Config::parse(&text, Path::new("/"), None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let database = Database::open(&config).unwrap_or_else(|error| panic!("{error}"));
    let query = plan(&database, &Wanted::all(&[TABLE])).tables.remove(0).query;
    println!("{rows} rows: {query}");

    let bare = || {
        let mut psql = cluster.psql(&["--command", &query]);
        assert!(psql.stdout(Stdio::null()).status().expect("psql").success());
    };
    let inside = || drop(cluster.sql(&query.replace("TO STDOUT", "TO '/dev/null'")));
    let read = |keep: fn(&Event) -> bool| {
        let reading = Reading { threads: 1, ..Reading::default() };
        let (stream, counts) =
            stream::read(&database, &[Domain::Measurement], &reading, keep).expect("reads");
        assert_eq!(counts[&Domain::Measurement].rows, rows);
        assert_eq!(counts[&Domain::Measurement].events, rows);
        let kept = stream.map(|event| event.expect("reads")).filter(|event| event.concept.is_some()).count();
        assert!(kept == 0 || kept as u64 == rows);
    };
    let (decoded, sorted) = (|| read(|_| false), || read(|_| true));
    // As a study asks that wants one concept in so many, without an index.
    let few = Narrowing {
        matter: BTreeMap::from([(
            Domain::Measurement,
            Concepts::These(BTreeSet::from([ConceptId(CONCEPT)])),
        )]),
        ..Narrowing::default()
    };
    let narrowed = || {
        let reading = Reading { threads: 1, ..Reading::default() };
        let source = Source::from(&database).narrowed(&few);
        let (stream, counts) =
            stream::read(source, &[Domain::Measurement], &reading, |_| true).expect("reads");
        assert_eq!(counts[&Domain::Measurement].rows, rows / CONCEPTS);
        assert_eq!(stream.count() as u64, rows / CONCEPTS);
    };
    let ways: [(&str, &dyn Fn()); 5] = [
        ("COPY to /dev/null by psql", &bare),
        ("COPY to /dev/null inside the server", &inside),
        ("events of our COPY, through every rule", &decoded),
        ("the same, sorted and merged", &sorted),
        ("of one concept in 300, rows passed over", &narrowed),
    ];
    let mut seconds = [const { Vec::new() }; 5];
    for _ in 0..ROUNDS {
        for ((_, way), seconds) in ways.iter().zip(&mut seconds) {
            let began = Instant::now();
            way();
            seconds.push(began.elapsed().as_secs_f64());
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let per_second = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        rows as f64 / seconds[ROUNDS / 2]
    });
    println!("median of {ROUNDS}:                             rows a second   of psql's");
    for ((name, _), rate) in ways.iter().zip(per_second) {
        println!("{name:42} {rate:14.0} {:11.2}", rate / per_second[0]);
    }
    let share = per_second[2] / per_second[0];
    println!("goal: {GOAL}, {}", if share >= GOAL { "reached" } else { "missed" });
}

/// Measurements as a hospital has them, by person.
fn tables(rows: u64) -> String {
    format!(
        "CREATE SCHEMA cdm; CREATE TABLE cdm.person (person_id int, gender_concept_id int, year_of_birth int, race_concept_id \
         int, ethnicity_concept_id int);\n\
         CREATE TABLE cdm.measurement (measurement_id bigint, person_id int, measurement_concept_id int, measurement_date date, \
         measurement_datetime timestamp, measurement_type_concept_id int, operator_concept_id int, value_as_number numeric, \
         value_as_concept_id int, unit_concept_id int, range_low numeric, range_high numeric, visit_occurrence_id bigint, \
         measurement_source_value varchar(50));\n\
         INSERT INTO cdm.measurement SELECT n, n / 500, 3000000 + n % 300, d::date, d, 32817, 4172703, round((n % 2000) / 10.0, 1), \
         NULL, 8840, 10, 100, n / 20, 'LAB-' || n % 300 FROM (SELECT n, '2010-01-01'::timestamp + n % 500 * interval '7 hours' AS d \
         FROM generate_series(1, {rows}) n) AS made;\nVACUUM ANALYZE cdm.measurement;"
    )
}
