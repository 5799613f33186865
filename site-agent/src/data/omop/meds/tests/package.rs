//! What we write, by MEDS's own Python package and the rules of its page: `tests/vectors/meds_check.py`.

use super::*;
use crate::synth::{self, Form, SynthArgs};
use crate::testing::shared;
use std::path::PathBuf;
use std::process::Command;

/// Exit code, and what it said.
fn asked(python: &Path, folders: &[PathBuf]) -> (Option<i32>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/meds_check.py");
    let output = Command::new(python).arg(script).args(folders).output().expect("runs");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    )
}

#[test]
fn the_package_takes_what_we_write() {
    let Some(python) = shared::python("meds, pyarrow", "tests/vectors/meds-requirements.txt") else { return };
    let home = tempfile::tempdir().expect("folder");
    let path = |name: &str| home.path().join(name);
    let export = |tables: &[Text], name: &str, shard_rows| {
        let (_csv, folder) = csv(tables);
        export_by(Source::from(&folder), &path(name), &Reading::default(), shard_rows)
            .expect("exports")
            .shards
    };
    assert!(export(&with_vocabulary(), "shards", 50) > 3);
    let mut nobody = hospital(1, 1);
    nobody.iter_mut().for_each(|table| table.rows.clear());
    assert_eq!(export(&nobody, "nobody", 50), 1);
    let out = path("invented");
    let args =
        SynthArgs { out, sites: 2, people: 300, seed: 3, form: Form::Parquet, meds: true, no_notes: true };
    let sites = synth::run(&args).expect("writes").sites;
    let mut good = vec![path("shards"), path("nobody")];
    good.extend(sites.iter().map(|site| args.out.join(&site.name).join("meds")));
    let (code, said) = asked(&python, &good);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains(": MEDS ")).count(), good.len(), "{said}");

    // What is not MEDS is found.
    let check = |name: &str, expected: &str, spoil: &dyn Fn(&Path)| {
        export(&with_vocabulary(), name, u64::MAX);
        spoil(&path(name));
        let (code, said) = asked(&python, &[path(name)]);
        assert!(code == Some(1) && said.contains(expected), "{name}: expected {expected}, {code:?}: {said}");
    };
    check("unlisted", "a code that is not listed", &|root| keep_codes(root, |code| code != "MEDS_BIRTH"));
    check("twice", "a subject in two pieces", &|root| {
        fs::copy(root.join("data/0.parquet"), root.join("data/1.parquet")).expect("copied");
    });
    check("timeless", "Missing required columns: time", &|root| {
        let shard = root.join("data/0.parquet");
        let mut batch = batches(&shard).remove(0);
        batch.remove_column(batch.schema().index_of("time").expect("a column"));
        put(&shard, &batch);
    });
    check("version", "meds_version", &|root| {
        let json = root.join("metadata/dataset.json");
        let text = fs::read_to_string(&json).expect("there");
        fs::write(&json, text.replacen("\"0.4.1\"", "4", 1)).expect("written");
    });
}
