//! One hospital in four forms: CSV, Parquet, PostgreSQL and MEDS give the same examples, byte for byte.

use super::super::*;
use super::folders::{asking_as, hospital, write};
use super::hand::{member, of, of_study, records, study};
use super::real::{death_in_hospital, networks};
use crate::data::omop::meds::tests::foreign;
use crate::data::omop::postgres::tests::cluster::Cluster;
use crate::data::omop::postgres::tests::{model, script, source};
use crate::data::omop::tests::hospital::Text;
use crate::data::omop::{Reading, Table, meds};
use crate::data::{Loaded, SplitKey};
use crate::synth::{self, SynthArgs};
use clap::Parser as _;
use consilium_common::key::SecretKey;
use consilium_common::study::records::{AtRisk, ConceptRef, Covariate, Member, RecordTable, Records};
use consilium_common::study::{self, Data, Encoding, RosterSite, Study, fill_shipped};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The examples of what lies at a path: of training and of evaluation people.
fn examples(path: &Path, study: &Study) -> [Vec<u8>; 2] {
    let key = SplitKey::from_bytes([3; 32]);
    let reading = Reading { threads: 2, ..Reading::default() };
    let opened = open(path).unwrap_or_else(|error| panic!("{error}"));
    let Loaded { training, evaluation, .. } = match extract(&opened, study, of_study(study), &key, &reading) {
        Ok(extracted) => extracted.loaded,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    [training.to_bytes(), evaluation.to_bytes()]
}

/// Also as MEDS.
pub(super) fn in_any_form(mut study: Study) -> Study {
    let Data::Records(records) = &mut study.data else { panic!("on records") };
    records.formats.push("meds-0.4".to_owned());
    study
}

fn as_meds(folder: &Path, out: &Path) {
    let opened = open(folder).expect("opens");
    meds::export(&opened, out, &Reading::default()).unwrap_or_else(|error| panic!("{error}"));
}

/// Tables in CSV, in every form.
pub(super) struct Forms {
    dir: tempfile::TempDir,
    cluster: Option<Cluster>,
}

impl Forms {
    pub(super) fn of(csv: &Path, tables: &[Text]) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let parquet = dir.path().join("parquet");
        std::fs::create_dir(&parquet).expect("folder");
        for table in tables {
            match table.name {
                "concept" | "concept_ancestor" | "vocabulary" => {
                    table.write_gz(&parquet.join(format!("{}.csv.gz", table.name)));
                }
                name => table.write_parquet(&parquet.join(format!("{name}.parquet")), 777),
            }
        }
        as_meds(csv, &dir.path().join("meds"));
        let cluster = Cluster::start(&[]);
        if let Some(cluster) = &cluster {
            cluster.sql(&script("cdm", tables, &|column| model(column).to_owned()));
            std::fs::write(dir.path().join("source.toml"), source(cluster, "")).expect("written");
            let of_database = dir.path().join("meds-of-database");
            as_meds(&dir.path().join("source.toml"), &of_database);
        }
        Self { dir, cluster }
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let of_cluster: &[&str] =
            if self.cluster.is_some() { &["source.toml", "meds-of-database"] } else { &[] };
        ["parquet", "meds"].iter().chain(of_cluster).map(|name| self.dir.path().join(name)).collect()
    }
}

#[track_caller]
pub(super) fn same(csv: &Path, forms: &[PathBuf], study: &Study, bytes_min: usize) {
    let expected = examples(csv, study);
    assert!(expected.iter().all(|bytes| bytes.len() >= bytes_min), "{:?}", expected.each_ref().map(Vec::len));
    for path in forms {
        // No assert_eq: a failure must not print a hospital.
        assert!(examples(path, study) == expected, "{} gives other examples", path.display());
    }
}

#[test]
fn a_small_hospital_in_every_form() {
    let tables = hospital(90);
    let csv = write(&tables);
    let forms = Forms::of(csv.path(), &tables);
    let parsed = study::parse(include_bytes!("../../testdata/study.toml")).expect("parses");
    same(csv.path(), &forms.paths(), &in_any_form(asking_as(parsed)), 500);
}

/// The shipped study with its concept sets as the invented vocabulary has them.
fn self_harm(concepts: &Text) -> Study {
    const TEMPLATE: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/studies/omop-selfharm.toml"));
    let document: toml::Table = TEMPLATE.parse().expect("TOML");
    let site = |(i, site): (usize, &toml::Value)| RosterSite {
        name: site["name"].as_str().expect("a name").parse().expect("a site's name"),
        key: SecretKey::from_seed(&[u8::try_from(i).expect("few") + 1; 32]).public(),
        people_public: 5000,
        weight: 65_536,
    };
    let roster: Vec<RosterSite> =
        document["site"].as_array().expect("sites").iter().enumerate().map(site).collect();
    let filled = fill_shipped(TEMPLATE, &roster, None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let mut study = study::parse(filled.text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let Data::Records(records) = &mut study.data else { panic!("on records") };
    invent(records, concepts);
    in_any_form(study)
}

fn invent(records: &mut Records, concepts: &Text) {
    let of_set = BTreeMap::from([
        ("psychosis", 120),
        ("depression", 110),
        ("mental_disorder", 100),
        ("self_harm", 200),
        ("suicide_attempt", 200),
        ("antidepressants", 310),
        ("antipsychotics", 320),
        ("inpatient", 410),
        ("emergency", 430),
        ("outpatient", 420),
    ]);
    let place = |column: &str| concepts.header.iter().position(|name| name == column).expect("a column");
    let (id_at, name_at) = (place("concept_id"), place("concept_name"));
    for set in &mut records.sets {
        let Some(number) = of_set.get(set.name.as_str()) else { continue };
        let id = 2_000_000_000 + number;
        let row = concepts.rows.iter().find(|row| row[id_at] == id.to_string()).expect("invented");
        set.exclude.clear();
        set.include =
            vec![Member { concept: ConceptRef::Id { id, name: row[name_at].clone() }, descendants: true }];
    }
}

#[derive(clap::Parser)]
struct Invented {
    #[command(flatten)]
    args: SynthArgs,
}

#[test]
fn an_invented_hospital_in_every_form() {
    let home = tempfile::tempdir().expect("folder");
    let out = home.path().join("out");
    let out_text = out.to_str().expect("UTF-8");
    let line = ["synth", "--out", out_text, "--sites", "4", "--people", "3000", "--seed", "7"];
    let summary = synth::run(&Invented::parse_from(line).args).expect("invents");
    let csv = out.join(&summary.sites[0].name).join("omop");
    let tables: Vec<Text> = Table::ALL.into_iter().filter_map(|table| read(table, &csv)).collect();
    let concepts = tables.iter().find(|table| table.name == "concept").expect("a vocabulary");
    let study = self_harm(concepts);
    let forms = Forms::of(&csv, &tables);
    same(&csv, &forms.paths(), &study, 10_000);
}

/// A table as text, by the `csv` crate and not by the reader under test; of it the columns that an agent may read.
fn read(table: Table, folder: &Path) -> Option<Text> {
    let mut reader =
        csv::Reader::from_path(folder.join(format!("{}.csv", table.name().to_uppercase()))).ok()?;
    let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_lowercase).collect();
    let known = crate::data::omop::column_names(table);
    let kept: Vec<usize> = (0..header.len()).filter(|at| known.contains(&header[*at].as_str())).collect();
    let rows = reader.records().map(|row| {
        let row = row.expect("a row");
        kept.iter().map(|at| row[*at].to_owned()).collect()
    });
    let rows = rows.collect();
    Some(Text { name: table.name(), header: kept.iter().map(|at| header[*at].clone()).collect(), rows })
}

/// Asks about people with a depression, by its code and what is below it, in 1970; the outcome is a death.
fn of_codes(change: impl FnOnce(&mut Records)) -> Study {
    let mut records = records();
    let code = ConceptRef::Code { vocabulary: "ICD10CM".to_owned(), code: "F32".to_owned() };
    records.formats = vec!["meds-0.4".to_owned()];
    records.sets.truncate(1);
    records.sets[0].include = vec![Member { concept: code, descendants: true }];
    records.accrual = (jiff::civil::date(1970, 1, 1), jiff::civil::date(1970, 12, 31));
    records.followup_to = jiff::civil::date(1970, 12, 31);
    records.outcome.any_of = vec![of(RecordTable::Death, None)];
    records.outcome.at_risk = AtRisk::Days { from: 1, to: 20 };
    records.covariates = vec![Covariate::Age];
    change(&mut records);
    let encodings = vec![Encoding::Number { low: 0.0, high: 20.0 }; records.covariates.len()];
    study(records, &encodings)
}

#[test]
fn meds_of_somebody_else() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Records), at: impl FnOnce(&Path), expected: &str) {
        let dir = foreign();
        at(dir.path());
        let study = of_codes(change);
        let opened = open(dir.path()).expect("opens");
        let found = self::check(&opened, &study, of_study(&study));
        let message = found.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(expected) && message.is_empty() == expected.is_empty(), "{message}");
    }
    let as_is = |_: &Path| {};
    check(|_| {}, as_is, "");
    check(
        |records| records.formats = vec!["omop-cdm-5.4".to_owned()],
        as_is,
        "this is MEDS, and data.format of the study is omop-cdm-5.4",
    );
    check(
        |records| records.sets[0].include.push(member(440_383, "Depressive disorder")),
        as_is,
        "concept set entry names Depressive disorder (440383) by OMOP's number, and metadata/codes.parquet gives no",
    );
    check(
        |records| records.covariates = vec![Covariate::Sex { levels: vec![vec![8507], vec![8532]] }],
        as_is,
        "no metadata/attributes.parquet, and the study reads gender of every person",
    );
    let without = |codes: &'static [&'static str]| {
        move |root: &Path| {
            meds::tests::keep_codes(root, |code| !codes.contains(&code));
        }
    };
    check(
        |_| {},
        without(&["OBS_END"]),
        "no events OBS_START and OBS_END (metadata/codes.parquet lists none)",
    );
    check(
        |_| {},
        without(&["MEDS_DEATH"]),
        "no events MEDS_DEATH (metadata/codes.parquet lists none), which",
    );
    let visits = |records: &mut Records| records.cohort.entry = vec![of(RecordTable::Visit, None)];
    check(visits, as_is, "");
    check(
        visits,
        meds::tests::take_tables,
        "no column domain, or table, that says which events are of table visit_occurrence",
    );

    let dir = foreign();
    let study = of_codes(|records| records.outcome.at_risk = AtRisk::Days { from: 1, to: 9 });
    let key = SplitKey::from_bytes([3; 32]);
    let opened = open(dir.path()).expect("opens");
    let Ok(found) = extract(&opened, &study, of_study(&study), &key, &Reading::default()) else {
        panic!("reads")
    };
    let steps: Vec<u64> = found.report.attrition.0.iter().map(|(_, people)| *people).collect();
    // Person 1 fits, and dies unseen, after the end of observation; person 2's diagnosis is of no table; person 3's is another.
    assert_eq!(steps, [3, 1, 1, 1, 1, 0]);
    assert!(found.report.notes.is_empty());
}

#[test]
fn real_intensive_care_as_meds() {
    let study = in_any_form(death_in_hospital());
    let mut compared = 0;
    for network in networks().into_iter().step_by(5) {
        let dir = tempfile::tempdir().expect("folder");
        let out = dir.path().join("meds");
        as_meds(&network, &out);
        same(&network, &[out], &study, 0);
        compared += examples(&network, &study)[0].len();
    }
    assert!(compared == 0 || compared > 10_000);
}
