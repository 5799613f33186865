//! Clinical notes of invented hospitals: what is read in them is what they say, from every source alike, and no name that
//! stands in one is in anything that is made of it.

use super::super::*;
use super::forms::{Forms, Invented, read, same};
use super::hand::of_study;
use crate::data::omop::tests::hospital::Text;
use crate::data::omop::{Day, Moment, Reading, Table};
use crate::data::{self, Loaded, SplitKey};
use crate::notes::{Context, Lexicon};
use crate::synth;
use clap::Parser as _;
use consilium_common::examples::ExampleFile;
use consilium_common::key::SecretKey;
use consilium_common::study::notes::{Language, NoteConcept, Term};
use consilium_common::study::{self, Data, RosterSite, Study, fill_shipped};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

const PSYCHOSIS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/studies/synthetic-psychosis.toml"));

/// Invented hospitals, with what is true of their notes.
struct Hospitals {
    home: tempfile::TempDir,
    sites: Vec<String>,
}

type Row = HashMap<String, String>;

fn rows(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).expect("a CSV file");
    reader.deserialize().map(|row| row.expect("a row of the header's width")).collect()
}

impl Hospitals {
    fn new(sites: u32, people: u32, seed: u32) -> Self {
        let home = tempfile::tempdir().expect("folder");
        let out = home.path().join("out");
        let (sites, people, seed) = (sites.to_string(), people.to_string(), seed.to_string());
        let line = ["--sites", &sites, "--people", &people, "--seed", &seed, "--out"];
        let line = ["synth"].into_iter().chain(line).map(str::to_owned).chain([out.display().to_string()]);
        let summary = synth::run(&Invented::parse_from(line).args).expect("invents");
        Self { home, sites: summary.sites.into_iter().map(|site| site.name).collect() }
    }

    fn folder(&self, site: &str) -> PathBuf {
        self.home.path().join("out").join(site)
    }

    fn omop(&self, site: &str) -> PathBuf {
        self.folder(site).join("omop")
    }

    fn truth(&self, site: &str) -> Vec<Row> {
        rows(&self.folder(site).join("notes_truth.csv"))
    }

    /// Every name that stands in a note of a site, and each of its words.
    fn canaries(&self, site: &str) -> BTreeSet<String> {
        let text = fs::read_to_string(self.folder(site).join("canaries.txt")).expect("names");
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// The words of all notes by language and concept: the study's lexicon.
    fn words(&self) -> BTreeMap<(String, String), BTreeSet<String>> {
        let mut words: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for mention in self.sites.iter().flat_map(|site| self.truth(site)) {
            let key = (mention["language"].clone(), format!("c{}", mention["concept_id"]));
            words.entry(key).or_default().insert(mention["words"].clone());
        }
        words
    }

    /// `[features.notes]` with those words.
    fn lexicon(&self) -> String {
        let table = |((language, concept), terms): ((String, String), BTreeSet<String>)| {
            format!(
                "[[features.notes.lexicon]]\nlanguage = \"{language}\"\nconcept = \"{concept}\"\nterms = {terms:?}\n"
            )
            .replace("{\"", "[\"")
            .replace("\"}", "\"]")
        };
        let tables: Vec<String> = self.words().into_iter().map(table).collect();
        format!("{}{}", on("local-lexicon"), tables.concat())
    }

    /// `[features.notes]` of what a program has found, with the concept sets; each set is named as in [`Self::lexicon`].
    fn nlp(&self, site: &str) -> (String, String) {
        let concepts = rows(&self.omop(site).join("CONCEPT.csv"));
        let ids: BTreeSet<String> =
            self.truth(site).into_iter().map(|row| row["concept_id"].clone()).collect();
        let set = |id: &String| {
            let row = concepts.iter().find(|row| row["concept_id"] == *id).expect("in the vocabulary");
            let name = &row["concept_name"];
            format!("[concept_set.c{id}]\ninclude = [{{ id = {id}, name = {name:?} }}]\n")
        };
        let names: Vec<String> = ids.iter().map(|id| format!("c{id}")).collect();
        (ids.iter().map(set).collect(), format!("{}sets = {names:?}\n", on("note_nlp")))
    }
}

fn on(source: &str) -> String {
    format!(
        "[features.notes]\nenabled = true\nsource = \"{source}\"\nwindow = \"before\"\nencode = \"present-absent\"\n"
    )
}

/// The shipped study, which also asks for notes of the year before the day of the index.
fn asking(sets: &str, notes: &str) -> Study {
    let edits = [
        ("long = [-365, 0],", "before = [-365, -1], long = [-365, 0],".to_owned()),
        ("max_features = 32", "max_features = 64".to_owned()),
        ("[cohort.first_episode]", format!("{sets}[cohort.first_episode]")),
        ("\n[missing]", format!("\n{notes}\n[missing]")),
    ];
    let text = edits.iter().fold(PSYCHOSIS.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    let document: toml::Table = text.parse().expect("TOML");
    let site = |(i, site): (usize, &toml::Value)| RosterSite {
        name: site["name"].as_str().expect("a name").parse().expect("a site's name"),
        key: SecretKey::from_seed(&[u8::try_from(i).expect("few") + 1; 32]).public(),
        people_public: 5000,
        weight: 65_536,
    };
    let roster: Vec<RosterSite> =
        document["site"].as_array().expect("sites").iter().enumerate().map(site).collect();
    let filled = fill_shipped(&text, &roster, None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    study::parse(filled.text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn key() -> SplitKey {
    SplitKey::from_bytes([3; 32])
}

pub(super) fn extracted(path: &Path, study: &Study) -> Result<Extracted, InvalidRecords> {
    extract(&open(path)?, study, of_study(study), &key(), &Reading { threads: 2, ..Reading::default() })
}

/// What the reader says of a mention, in the words of truth files.
fn status(context: Context) -> &'static str {
    match context {
        Context { family: true, .. } => "family",
        Context { hypothetical: true, .. } => "hypothetical",
        Context { negated: true, .. } => "negated",
        Context { past: true, .. } => "past",
        Context { possible: true, .. } => "possible",
        _ => "affirmed",
    }
}

/// The issue's own measure: precision and recall of at least .95 in both languages, for everything that can be said of a
/// finding.
#[test]
fn precision_and_recall() {
    let hospitals = Hospitals::new(6, 3000, 21);
    let words = hospitals.words();
    let names: BTreeSet<&String> = words.keys().map(|(_, concept)| concept).collect();
    let names: Vec<&String> = names.into_iter().collect();
    let concept = |name: &&String| NoteConcept {
        name: (*name).clone(),
        terms: words
            .iter()
            .filter(|((_, concept), _)| concept == *name)
            .flat_map(|((language, _), terms)| {
                let language = Language::ALL.into_iter().find(|of| of.code() == language).expect("known");
                terms.iter().map(move |term| (language, Term::new(term).expect("a term")))
            })
            .collect(),
    };
    let lexicon = Lexicon::new(&names.iter().map(concept).collect::<Vec<_>>());
    // By language and status: right, found, true.
    let mut counts: BTreeMap<(String, String), [u32; 3]> = BTreeMap::new();
    // Notes whose language was told rightly, and all.
    let mut told = [0_u32; 2];
    for site in &hospitals.sites {
        let mut truth: HashMap<String, BTreeMap<String, (String, String)>> = HashMap::new();
        for mention in hospitals.truth(site) {
            let said = (mention["status"].clone(), mention["language"].clone());
            truth
                .entry(mention["note_id"].clone())
                .or_default()
                .insert(format!("c{}", mention["concept_id"]), said);
        }
        for note in rows(&hospitals.omop(site).join("NOTE.csv")) {
            let truth = &truth[&note["note_id"]];
            let language = &truth.values().next().expect("every note mentions something").1;
            let mut count = |status: &str, at: usize| {
                counts.entry((language.clone(), status.to_owned())).or_default()[at] += 1;
            };
            truth.values().for_each(|(status, _)| count(status, 2));
            let (_, written) = lexicon.read(&note["note_text"]);
            told[0] += u32::from(written.is_some_and(|written| written.code() == language));
            told[1] += 1;
            for mention in lexicon.mentions(&note["note_text"]) {
                let found = status(mention.context);
                count(found, 1);
                if truth.get(names[mention.finding.0]).is_some_and(|(status, _)| status == found) {
                    count(found, 0);
                }
            }
        }
    }
    assert!(told[1] > 1000 && 100 * told[0] > 95 * told[1], "{told:?}");
    assert_eq!(counts.len(), 10, "five things in two languages: {counts:?}");
    for ((language, status), [right, found, so]) in &counts {
        let share = |of: u32| f64::from(*right) / f64::from(of.max(1));
        let (precision, recall) = (share(*found), share(*so));
        println!("{language} {status:<12} precision {precision:.4} recall {recall:.4} of {so}");
        assert!(
            *so > 100 && precision >= 0.95 && recall >= 0.95,
            "{language} {status}: {right} {found} {so}"
        );
    }
}

/// Inputs are what the notes of a person's year before say, by the truth beside them; by words and by what a program has
/// found.
#[test]
fn inputs_are_what_the_notes_say() {
    let hospitals = Hospitals::new(6, 2400, 22);
    let by_words = asking("", &hospitals.lexicon());
    let mut seen = [0_u32; 3];
    for site in &hospitals.sites {
        let mut studies = vec![&by_words];
        let nlp = hospitals.omop(site).join("NOTE_NLP.csv").exists().then(|| {
            let (sets, notes) = hospitals.nlp(site);
            asking(&sets, &notes)
        });
        studies.extend(&nlp);
        let notes: HashMap<String, Row> = rows(&hospitals.omop(site).join("NOTE.csv"))
            .into_iter()
            .map(|note| (note["note_id"].clone(), note))
            .collect();
        let day = |text: &str| -> Day { Moment::parse(text.as_bytes()).expect("a day").day() };
        // The note of the assessment is of the day of the index.
        let mut index: HashMap<&str, Day> = HashMap::new();
        for note in notes.values().filter(|note| note["note_class_concept_id"] == "2000000761") {
            index.insert(&note["person_id"], day(&note["note_date"]));
        }
        let mut said: BTreeSet<(String, String)> = BTreeSet::new();
        for mention in hospitals.truth(site) {
            let person = mention["person_id"].clone();
            let Some(index) = index.get(person.as_str()) else { continue };
            let days = day(&notes[&mention["note_id"]]["note_date"]).epoch_days() - index.epoch_days();
            let word = match mention["status"].as_str() {
                "affirmed" => "affirmed",
                "negated" => "denied",
                _ => continue,
            };
            if (-365..=-1).contains(&days) {
                said.insert((person, format!("note_c{}_before_{word}", mention["concept_id"])));
            }
        }
        for (study, count) in studies.into_iter().zip([0, 1]) {
            let Ok(Extracted { loaded: Loaded { training, evaluation, whose }, .. }) =
                extracted(&hospitals.omop(site), study)
            else {
                panic!("reads")
            };
            let names = study.input_names();
            for (examples, whose) in [(&training, &whose.training), (&evaluation, &whose.evaluation)] {
                for (person, id) in whose.iter().enumerate() {
                    let row = examples.row(examples.rows_of(person).start);
                    for (name, input) in names.iter().zip(row).filter(|(name, _)| name.starts_with("note_")) {
                        let expected = said.contains(&(id.to_owned(), name.clone()));
                        assert!((*input > 0.5) == expected, "{site}: {name} of somebody is {input}");
                        seen[count] += u32::from(expected);
                        seen[2] += u32::from(!expected);
                    }
                }
            }
        }
    }
    println!("{seen:?}: so by words, so by a program's findings, not so");
    assert!(seen[0] > 500 && seen[1] > 50 && seen[2] > 2000, "{seen:?}");
}

#[test]
fn every_form_says_the_same() {
    let hospitals = Hospitals::new(4, 1600, 7);
    let by_words = asking("", &hospitals.lexicon());
    for site in &hospitals.sites {
        let has_nlp = hospitals.omop(site).join("NOTE_NLP.csv").exists();
        if !has_nlp && *site != hospitals.sites[0] {
            continue;
        }
        let csv = hospitals.omop(site);
        let tables: Vec<Text> = Table::WITH_NOTES.into_iter().filter_map(|table| read(table, &csv)).collect();
        let forms = Forms::of(&csv, &tables);
        let is_omop = |path: &PathBuf| !path.ends_with("meds") && !path.ends_with("meds-of-database");
        let (paths, meds): (Vec<PathBuf>, Vec<PathBuf>) = forms.paths().into_iter().partition(is_omop);
        same(&csv, &paths, &by_words, 1000);
        if has_nlp {
            let (sets, notes) = hospitals.nlp(site);
            same(&csv, &paths, &asking(&sets, &notes), 1000);
        }
        // MEDS has no notes, and says so.
        let mut study = by_words.clone();
        let Data::Records(records) = &mut study.data else { panic!("on records") };
        records.formats.push("meds-0.4".to_owned());
        for path in meds {
            let refused = data::check_columns(&path, &study).expect_err("no notes").to_string();
            assert!(refused.contains("MEDS, which has no standard for clinical notes"), "{refused}");
        }
    }
}

/// Names that stand in notes are in nothing that is made of them: examples, the screen, errors.
#[test]
fn canaries_stay_in_the_notes() {
    let hospitals = Hospitals::new(2, 600, 5);
    let study = asking("", &hospitals.lexicon());
    for site in &hospitals.sites {
        let canaries = hospitals.canaries(site);
        assert!(canaries.len() > 20);
        let path = hospitals.omop(site);
        let Ok(Extracted { loaded, .. }) = extracted(&path, &study) else { panic!("reads") };
        let mut bytes = Vec::new();
        for id in loaded.whose.training.iter().chain(loaded.whose.evaluation.iter()) {
            bytes.extend(id.as_bytes());
        }
        let Loaded { training, evaluation, .. } = loaded;
        ExampleFile { study: study.digest, training, evaluation }.write(&mut bytes).expect("written");
        let origin = data::load_with_origin(&path, &study, &SplitKey::from_bytes([3; 32]));
        let Ok((.., origin)) = origin else { panic!("reads") };
        for line in origin.queries.iter().chain(&origin.source) {
            bytes.extend(line.as_bytes());
        }
        for canary in &canaries {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "a name of a note is in what was made of it");
        }
    }
}
