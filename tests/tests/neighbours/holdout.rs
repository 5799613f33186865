//! Examples that a study holds out by time move nothing that is trained: what a site trains on is what it would if its
//! records had ended before that day.

use consilium_common::examples::Examples;
use consilium_common::key::SecretKey;
use consilium_common::study::{self, Data, RosterSite, Study, Validation};
use consilium_tests::audit::Finding;
use site_agent::data::{Loaded, SplitKey, load_strict};
use site_agent::synth::{self, Form, SynthArgs};
use std::path::Path;

/// Two tasks, each with an index day of its own.
const STUDY: &str = include_str!("../../../docs/studies/synthetic-mental-health.toml");
const SHARE: &str = "training_share = 0.7";
const HOLDOUT: &str = r#"training_share = 0.7
holdout = { type = "time", from = 2023-10-01, of = "evaluation-people" }
report  = ["internal", "temporal"]"#;

/// The shipped study with other words.
fn asking(edits: &[(&str, &str)]) -> Study {
    let text = edits.iter().fold(STUDY.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is in the study");
        text.replacen(from, to, 1)
    });
    let site = |(name, byte): (&str, u8)| RosterSite {
        name: name.parse().expect("a name"),
        key: SecretKey::from_seed(&[byte; 32]).public(),
        people_public: 3000,
        weight: 65_536,
    };
    let roster: Vec<RosterSite> = [("ashford", 1), ("brackley", 2), ("corby", 3)].map(site).into();
    let filled = study::fill_shipped(&text, &roster, None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    study::parse(filled.text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn read(folder: &Path, study: &Study) -> Loaded {
    load_strict(folder, study, &SplitKey::from_bytes([5; 32])).unwrap_or_else(|error| panic!("{error}"))
}

/// A row without its mark: prediction, outcome, inputs, groups.
type Row<'a> = (u8, f32, &'a [f32], &'a [u16]);

/// Person by person.
fn people<'a>(examples: &'a Examples, study: &Study) -> Vec<Vec<Row<'a>>> {
    let attributes = study.attributes.len();
    let row = |row| {
        let groups = &examples.groups_of(row)[..attributes];
        (examples.output(row), examples.label(row), examples.row(row), groups)
    };
    (0..examples.people()).map(|person| examples.rows_of(person).map(row).collect()).collect()
}

#[test]
fn nobody_trains_on_what_is_held_out() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("hospitals");
    let args = SynthArgs {
        out: out.clone(),
        sites: 1,
        people: 1500,
        seed: 4,
        form: Form::Csv,
        meds: false,
        no_notes: true,
    };
    synth::run(&args).unwrap_or_else(|error| panic!("{error}"));
    let omop = out.join("ashford/omop");
    let held = asking(&[(SHARE, HOLDOUT)]);
    let whole = asking(&[]);
    let ended = asking(&[("to = 2023-12-31 }", "to = 2023-09-30 }")]);
    let Data::Records(records) = &ended.data else { panic!("a study on records") };
    assert_eq!(records.accrual.1.to_string(), "2023-09-30", "the day before the holdout");
    let [of_held, of_whole, of_ended] = [&held, &whole, &ended].map(|study| read(&omop, study));

    let (trained, expected) = (people(&of_held.training, &held), people(&of_ended.training, &ended));
    let others = trained.iter().filter(|person| !expected.contains(person)).count()
        + expected.iter().filter(|person| !trained.contains(person)).count();
    let name = "people who train on other examples than before the holdout";
    let findings = [Finding::at_most(name, others as f64, 0.0)];
    #[cfg(feature = "mutants")]
    consilium_tests::mutants::keep(&findings);
    assert!(findings.iter().all(|finding| !finding.alarms()), "{findings:#?}");
    assert_eq!(trained, expected, "in the same order");
    // Or nothing was held out.
    let later = of_whole.training.len() - of_held.training.len();
    assert!(later > 200 && of_whole.training.people() > of_held.training.people() + 50, "{later} examples");

    // Of evaluation people nothing is lost: the earlier are those of the ended study, the later are marked.
    assert_eq!(people(&of_held.evaluation, &held), people(&of_whole.evaluation, &whole));
    let of = |validation: Validation| {
        let mark = held.split.mark(validation).expect("both are reported");
        let rows = 0..of_held.evaluation.len();
        rows.filter(|row| held.place_of(of_held.evaluation.groups_of(*row)) == usize::from(mark)).count()
    };
    assert_eq!(of(Validation::Internal), of_ended.evaluation.len());
    assert!(of(Validation::Temporal) > 80, "{} examples", of(Validation::Temporal));
}

#[cfg(feature = "mutants")]
#[test]
fn training_on_what_is_held_out_is_caught() {
    use consilium_common::mutant::Mutant;
    let test = "holdout::nobody_trains_on_what_is_held_out";
    let caught = consilium_tests::mutants::run(test, &Mutant::OF_RECORDS);
    consilium_tests::mutants::document(&caught);
    assert!(caught.iter().all(|(_, by)| !by.is_empty()), "see the table");
}
