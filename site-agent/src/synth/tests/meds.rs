//! MEDS as `synth --meds` writes it: what the hospital's own `data export --meds` would write, and the examples of the tables.

use super::study::{PSYCHOSIS, READMISSION, filled, key};
use super::*;
use crate::data::omop::{Opened, Reading, meds};
use crate::data::{Loaded, load_strict};
use consilium_common::id::Digest;

fn written(home: &Path, name: &str, with: SynthArgs) -> PathBuf {
    let out = home.join(name);
    run(&SynthArgs { out: out.clone(), ..with }).expect("writes");
    out
}

/// The part of a folder's files that is MEDS, or that is not.
fn split(files: BTreeMap<PathBuf, Vec<u8>>) -> (BTreeMap<PathBuf, Vec<u8>>, BTreeMap<PathBuf, Vec<u8>>) {
    files.into_iter().partition(|(path, _)| path.iter().any(|part| part == "meds"))
}

#[test]
fn the_bytes_are_those_of_the_hospital_s_own_export() {
    let home = tempfile::tempdir().expect("a folder");
    let plain = || SynthArgs { form: Form::Both, ..args(home.path(), 4, 800, 5) };
    let out = written(home.path(), "with", SynthArgs { meds: true, ..plain() });
    for site in plan(4, 800).expect("within bounds") {
        let folder = out.join(site.profile.name);
        for tables in ["omop", "omop-parquet"] {
            let exported = home.path().join(format!("{}-{tables}", site.profile.name));
            let opened = Opened::open(&folder.join(tables)).expect("opens");
            let counted = meds::export(&opened, &exported, &Reading::default()).expect("exports");
            assert_eq!((counted.people, counted.left_out), (site.people, 0), "{}", site.profile.name);
            let (ours, theirs) = (files_below(&folder.join("meds")), files_below(&exported));
            assert_eq!(ours.len(), 5, "a shard, codes, what is above them, attributes, what it is");
            assert!(ours == theirs, "{}: {tables}", site.profile.name);
        }
    }
    // The flag adds, and changes nothing; the same arguments give the same bytes.
    let (of_meds, rest) = split(files_below(&out));
    assert!(rest == files_below(&written(home.path(), "without", plain())));
    let again = written(home.path(), "again", SynthArgs { meds: true, ..plain() });
    assert!(of_meds.len() == 4 * 5 && of_meds == split(files_below(&again)).0);
}

#[test]
fn a_study_has_the_examples_of_the_tables() {
    let home = tempfile::tempdir().expect("a folder");
    let with = SynthArgs { form: Form::CsvGz, meds: true, ..args(home.path(), 6, 1800, 9) };
    let out = written(home.path(), "out", with);
    let sites = plan(6, 1800).expect("within bounds");
    for template in [PSYCHOSIS, READMISSION] {
        // What a study says that takes either form.
        let either = template.replacen(r#"["omop-cdm-5.4"]"#, r#"["omop-cdm-5.4", "meds-0.4"]"#, 1);
        assert_ne!(either, template);
        let study = filled(&either, &sites);
        let digests = |folder: &Path| {
            let Loaded { training, evaluation, .. } =
                load_strict(folder, &study, &key()).unwrap_or_else(|error| panic!("{error}"));
            let people = training.people() + evaluation.people();
            (people, [training, evaluation].map(|examples| Digest::of(&examples.to_bytes())))
        };
        let mut people = 0;
        for site in &sites {
            let folder = out.join(site.profile.name);
            let (of_tables, of_meds) = (digests(&folder.join("omop")), digests(&folder.join("meds")));
            assert_eq!(of_tables, of_meds, "{} at {}", study.id, site.profile.name);
            people += of_meds.0;
        }
        assert!(people > 300, "{}: {people} people with examples", study.id);
    }
}

#[test]
fn nothing_is_written_into_a_folder_that_holds_something() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(home.path().join("ashford/meds")).expect("a folder");
    let refused =
        run(&SynthArgs { meds: true, ..args(home.path(), 1, 100, 1) }).expect_err("holds something");
    assert!(matches!(refused, SynthError::NotEmpty { .. }) && refused.is_bad_input());
    assert!(files_below(home.path()).is_empty());
}
