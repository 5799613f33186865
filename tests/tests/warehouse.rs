//! The same hospital through a query engine, within the agent and on a cluster of processes: the same bytes, or a clear error.

use consilium_tests::warehouse::{Cluster, Hospital, free_port};
use consilium_tests::{run, wait_for};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

/// Longest wait for the next rows in tests, seconds.
const PATIENCE: &str = "timeout_s = 60";

#[test]
fn the_same_examples_from_an_engine_and_from_a_cluster() {
    let hospital = Hospital::invented(3000);
    let [csv, parquet] = ["csv", "parquet"].map(|form| hospital.records(form));
    let folder = |path: &PathBuf| path.to_str().expect("UTF-8").to_owned();
    let Ok(expected) = hospital.examples(&folder(&csv)) else { panic!("CSV is read") };
    assert!(expected.len() > 20_000, "{} bytes", expected.len());
    let cluster = Cluster::start(2);
    let data = [
        ("a folder of Parquet", folder(&parquet)),
        ("embedded, Parquet", hospital.source("embedded", &parquet, "partitions = 3")),
    ];
    #[track_caller]
    fn check(name: &str, found: Result<Vec<u8>, consilium_tests::Said>, expected: &[u8]) {
        match found {
            // No assert_eq: a failure must not print a hospital.
            Ok(found) => assert!(found == expected, "{name} gives other examples"),
            Err(said) => panic!("{name}: {}", said.err),
        }
    }
    for (name, data) in data {
        check(name, hospital.examples(&data), &expected);
    }
    let source = |engine: &str, tables: &Path| hospital.source(engine, tables, PATIENCE);
    check("embedded, CSV", hospital.examples(&source("embedded", &csv)), &expected);
    let before = cluster.written(0) + cluster.written(1);
    check("a cluster, Parquet", hospital.examples(&source(&cluster.engine(), &parquet)), &expected);
    assert!(before == 0 && cluster.written(0) + cluster.written(1) > 0, "the cluster had work");
    check("a cluster, CSV", hospital.examples(&source(&cluster.engine(), &csv)), &expected);

    // What a hospital sees of everybody is the same too, row for row.
    let mut said = ["embedded", &cluster.engine()].map(|engine| hospital.check(&source(engine, &parquet)));
    let mut of_folder = hospital.check(&folder(&parquet));
    for said in said.iter_mut().chain([&mut of_folder]) {
        said.as_object_mut().expect("an object").remove("data");
    }
    assert!(said.iter().all(|said| *said == of_folder), "the counts are others");
}

#[test]
fn a_cluster_whose_executor_dies_on_the_way() {
    let hospital = Hospital::invented(20_000);
    let parquet = hospital.records("parquet");
    let Ok(expected) = hospital.examples(parquet.to_str().expect("UTF-8")) else { panic!("Parquet is read") };
    let mut cluster = Cluster::start(2);
    let source = hospital.source(&cluster.engine(), &parquet, PATIENCE);
    let found = thread::scope(|scope| {
        let reading = scope.spawn(|| hospital.examples(&source));
        wait_for("an executor has work", || (cluster.written(0) > 0).then_some(()));
        cluster.kill_executor(0);
        reading.join().expect("no panic")
    });
    match found {
        Ok(found) => assert!(found == expected, "other examples"),
        Err(said) => assert!(
            [2, 3].contains(&said.code) && said.err.contains("see the logs of its scheduler and executors"),
            "{}: {}",
            said.code,
            said.err
        ),
    }
    // The next one is right: the other executor does all of it.
    wait_for("the cluster goes on", || match hospital.examples(&source) {
        Ok(found) => {
            assert!(found == expected, "other examples");
            Some(())
        }
        Err(said) => {
            assert!([2, 3].contains(&said.code), "{}: {}", said.code, said.err);
            None
        }
    });
    cluster.kill_scheduler();
    let Err(said) = hospital.examples(&source) else { panic!("nobody is there") };
    said.refused(3, &format!("cannot connect to {}", cluster.engine()));
}

#[test]
fn a_cluster_at_a_wrong_address() {
    let hospital = Hospital::invented(100);
    let parquet = hospital.records("parquet");
    let nobody = format!("ballista://127.0.0.1:{}", free_port());
    let source = hospital.source(&nobody, &parquet, "");
    let Err(said) = hospital.examples(&source) else { panic!("nobody is there") };
    said.refused(3, &format!("cannot connect to {nobody}: "));
    // Somebody who takes connections and says nothing.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let mute = format!("ballista://127.0.0.1:{}", listener.local_addr().expect("bound").port());
    let source = hospital.source(&mute, &parquet, "timeout_s = 2");
    let Err(said) = hospital.examples(&source) else { panic!("nobody answers") };
    said.refused(3, "gave nothing for 2 seconds");
    let home = hospital.path("home");
    let said = run(
        "site-agent",
        ["data", "check", "--home", &home, "--omop", &hospital.source("spark", &parquet, "")],
    );
    said.refused(
        2,
        "line 2: warehouse.engine: expected embedded, or a scheduler as ballista://HOST:PORT, came 'spark'",
    );
}

/// The records of an agent leave through its budget only, whichever way leads to them.
#[test]
fn served_tables_have_no_door_through_a_cluster() {
    let hospital = Hospital::invented(100);
    let parquet = hospital.records("parquet");
    let source = hospital.source("embedded", &parquet, "");
    let config = format!("{}/agent.toml", hospital.path("home"));
    let text = fs::read_to_string(&config).expect("made by init");
    let folder = parquet.to_str().expect("UTF-8").to_owned();
    for (served, asked) in [(&source, &folder), (&folder, &source), (&source, &source)] {
        fs::write(&config, format!("data = '{served}'\n{text}")).expect("written");
        let Err(said) = hospital.examples(asked) else { panic!("refused") };
        said.refused(1, "data.served: these are the data that this agent serves");
    }
}

/// Bytes of a table are changed, one place after another: where the folder is refused, an engine says the same of file and row
/// and not a word of its own; or it had no need of that place.
#[test]
fn a_damaged_table_on_a_cluster() {
    let hospital = Hospital::invented(300);
    let parquet = hospital.records("parquet");
    let folder = parquet.to_str().expect("UTF-8").to_owned();
    let path = fs::read_dir(&parquet)
        .expect("a folder")
        .map(|entry| entry.expect("there").path())
        .find(|path| path.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case("condition_occurrence")))
        .expect("the study's own table");
    let cluster = Cluster::start(1);
    let Ok(sound) = hospital.examples(&folder) else { panic!("Parquet is read") };
    let whole = fs::read(&path).expect("read");
    let mut refused = 0;
    for at in (4..whole.len() - 8).step_by(whole.len() / 40) {
        let mut damaged = whole.clone();
        damaged[at..at + 8].iter_mut().for_each(|byte| *byte ^= 0x55);
        fs::write(&path, &damaged).expect("written");
        let Err(expected) = hospital.examples(&folder) else { continue };
        for engine in ["embedded".to_owned(), cluster.engine()] {
            match hospital.examples(&hospital.source(&engine, &parquet, PATIENCE)) {
                Ok(found) => assert!(found == sound, "{engine}, byte {at}: other examples"),
                Err(said) => {
                    assert_eq!((said.code, &said.err), (expected.code, &expected.err), "{engine}, byte {at}");
                    refused += usize::from(said.err.contains("damaged or cut short"));
                }
            }
        }
        if refused >= 8 {
            return;
        }
    }
    panic!("of {} bytes hardly any are data: {refused} refused", whole.len());
}
