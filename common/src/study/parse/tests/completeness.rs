//! Attributes of which it is only counted how often they are recorded.

use super::*;
use crate::evaluation::histogram::{Counted, groupings};
use crate::ledger::entry::Account;
use crate::privacy::accountant::epsilon_by;
use crate::privacy::mechanism::Event;
use crate::study::parse::records::tests::{OF_BINDINGS, OF_RECORDS};
use crate::study::{AttributeValues, NotRecorded, bindings, describe, earmarks, predict};

/// What `docs/STUDY-FILE.md` prints for tables, and for records.
const OF_TABLE: &str = include_str!("../../testdata/completeness.toml");
const WITH_BINDING: &str = include_str!("../../testdata/completeness_records.toml");
/// A few words of a person's own table.
const OF_PERSON: &str = "[[attribute]]\nname = \"race\"\nfrom = [\"person.race_concept_id\"]\nuse = \"completeness-only\"\n\
                         unknown = [8552]\nrefused = [44814660]\nnot_asked = [2000000001]\nkeep_unknown = true\n";

/// A study with this attribute, which has a share of its own.
fn with(study: &str, attribute: &str, name: &str) -> String {
    let text = replaced(study, "[subgroups]", &format!("{attribute}\n[subgroups]"));
    replaced(&text, "overall        = 1.0\n", &format!("overall        = 1.0\n{name} = 0.1\n"))
}

fn tables() -> String {
    with(EXAMPLE, OF_TABLE, "sexual_orientation")
}

fn bound() -> String {
    with(&OF_BINDINGS, WITH_BINDING, "sexual_orientation")
}

#[test]
fn the_guide_prints_the_examples() {
    let guide = include_str!("../../../../../docs/STUDY-FILE.md");
    for example in [OF_TABLE, WITH_BINDING] {
        assert!(guide.contains(&format!("```toml\n{example}```")), "{example}");
    }
}

#[test]
fn a_table_s_column_is_counted_by_state() {
    let study = parsed(&tables());
    let list = |text: &str| vec![text.to_owned()];
    let states =
        NotRecorded { unknown: list("not known"), refused: list("declined"), not_asked: list("not asked") };
    assert_eq!(study.attributes[2].values, AttributeValues::RecordedCells(states));
    assert_eq!(study.completeness(), [2]);
    assert_eq!(study.groupings(), ["overall", "sex", "sex*age_band", "sexual_orientation"]);
    assert_eq!(study.privacy.evaluation_shares.len(), 3);
    assert_eq!(study.privacy.completeness_shares, [("sexual_orientation".to_owned(), 0.1)]);
    let all = groupings(&study);
    let names: Vec<&str> = all.iter().map(|grouping| grouping.name.as_str()).collect();
    assert_eq!(names, study.groupings());
    let counted = &all[3];
    assert_eq!((counted.counted, counted.cells(10)), (Counted::People, 4), "no scores and no outcomes");
    assert_eq!(counted.labels.concat(), ["recorded", "refused", "not asked", "unknown"]);
}

#[test]
fn records_are_counted_by_state() {
    // The example's own attribute of the same field stands in its way.
    let ethnicity = "\"person.race_concept_id\", \"person.ethnicity_concept_id\"";
    let text = replaced(&with(&OF_RECORDS, OF_PERSON, "race"), ethnicity, "\"person.ethnicity_concept_id\"");
    let study = parsed(&text);
    let states =
        NotRecorded { unknown: vec![8552], refused: vec![44_814_660], not_asked: vec![2_000_000_001] };
    assert_eq!(study.attributes[3].values, AttributeValues::RecordedConcepts(states));
    assert_eq!(groupings(&study)[3].cells(10), 5);
    let said = describe(&study).split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "race from person.race_concept_id: recorded, refused (44814660), not asked (2000000001), conflicting, \
                    unknown (8552)";
    assert!(said.contains(expected), "{said}");
}

/// Priced by its own share, once whatever is predicted, with all else of the evaluation.
#[test]
fn it_is_paid_for_with_the_rest() {
    fn check(text: &str, at: usize, share: f64) {
        let study = parsed(text);
        let list = earmarks(&study);
        let names: Vec<&str> = list[1..].iter().map(|earmark| earmark.name.as_str()).collect();
        assert_eq!(names, study.groupings());
        assert_eq!(
            (names.len(), list[at].name.as_str(), list[at].account),
            (at, "sexual_orientation", Account::Evaluation)
        );
        let sigma = |at: usize| match list[at].event {
            Event::Gaussian { noise_multiplier, count: 2 } => noise_multiplier,
            other => panic!("{other:?}"),
        };
        assert!((sigma(at) / sigma(1) - 1.0 / share.sqrt()).abs() < 1e-2, "{} and {}", sigma(at), sigma(1));
        let events: Vec<Event> = list[1..].iter().map(|earmark| earmark.event).collect();
        let spent = epsilon_by(study.privacy.accountant, &events, study.privacy.delta).expect("priced");
        assert!((0.995..=1.0).contains(&(spent / study.privacy.epsilon_evaluation)), "{spent}");
        let predicted = predict(&study, 0.1);
        let [counted] = &predicted.completeness[..] else { panic!("{:?}", predicted.completeness) };
        assert_eq!((counted.name.as_str(), counted.noise_multiplier), ("sexual_orientation", sigma(at)));
        assert!((counted.error_people / sigma(at) - 3.0_f64.sqrt()).abs() < 1e-9, "three sites");
        assert_eq!(predicted.groupings.len(), at - 1, "it is no grouping");
        assert!(predicted.to_string().contains("Only counted, as recorded or not: sexual_orientation, "));
    }
    check(&tables(), 4, 0.1);
    check(&bound(), 4, 0.1);
    // Three horizons are three predictions, and one count.
    let three = replaced(&bound(), "horizons_days          = [30]", "horizons_days = [30, 90, 365]");
    check(&replaced(&three, "prevalence_public = 0.06", ""), 10, 0.1);
}

#[test]
fn in_plain_words() {
    fn check(text: &str, parts: &[&str]) {
        let said = describe(&parsed(text)).split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(said.contains(part), "{part}\nin {said}");
        }
    }
    check(
        &tables(),
        &[
            "Only counted, as recorded or not: sexual_orientation from column sexual_orientation: recorded, refused, not asked, \
             unknown",
            "noised counts of people by whether sexual_orientation is recorded, once and 1 more times after a crash;",
        ],
    );
    check(
        &bound(),
        &[
            "Only counted, as recorded or not: sexual_orientation from binding local_sexual_orientation: recorded, refused, \
           not asked, conflicting, unknown",
        ],
    );
}

/// A hospital's answer says what means that it is recorded, and can say nothing else of it.
#[test]
fn an_answer_tells_states() {
    let study = parsed(&bound());
    let at = study.bindings().iter().position(|binding| binding.name == "local_sexual_orientation");
    let labels = study.binding_labels(bindings::BindingIndex(at.expect("asked for")));
    assert_eq!(labels, ["recorded", "refused", "not asked"]);
    let answer = include_str!("../../testdata/answer.toml");
    let with = |label: &str| {
        let of_it = "\n[binding.local_sexual_orientation]\ncolumn = \"observation.value_as_concept_id\"\nof = [4283657]\n";
        format!("{answer}{of_it}levels = [{{ concepts = [4069091, 4080313], label = \"{label}\" }}]\n")
    };
    assert!(bindings::fill_in(&study, &with("recorded")).is_ok());
    let mistakes = bindings::fill_in(&study, &with("bisexual")).expect_err("a level").to_string();
    assert!(
        mistakes.contains("a label of the study's attribute: recorded, refused, not asked"),
        "{mistakes}"
    );
}

/// One slip, one mistake: where, and what it says.
#[test]
fn what_it_rules_out() {
    fn check(study: &str, edits: &[(&str, &str)], key: &str, expected: &str) {
        let text = edits.iter().fold(study.to_owned(), |text, (from, to)| replaced(&text, from, to));
        let mistakes = parse(text.as_bytes()).expect_err(key);
        let [mistake] = mistakes.list() else { panic!("not one mistake for {edits:?}: {mistakes}") };
        assert!(mistake.key == key && mistake.to_string().contains(expected), "{edits:?}: {mistake}");
        assert!(!mistake.instead.is_empty());
    }
    let (tables, bound) = (tables(), bound());
    let groups = ("groups             = [[\"sex\"], ", "groups = [[\"sexual_orientation\"], ");
    check(&tables, &[groups], "subgroups.groups[1][1]", "which is completeness-only");
    check(
        &tables,
        &[("[\"sex\", \"age_band\"]]", "[\"sex\", \"sexual_orientation\"]]")],
        "subgroups.groups[2][2]",
        "remove the group",
    );
    check(
        &tables,
        &[(
            "[missing]",
            "[[features.column]]\nname = \"o\"\ncolumn = \"sexual_orientation\"\nrange = [0, 1]\n[missing]",
        )],
        "attribute[3].column",
        "one of the feature o",
    );
    check(
        &tables,
        &[("column    = \"sexual_orientation\"", "column = \"age\"")],
        "attribute[3].column",
        "one of the feature age",
    );
    check(
        &tables,
        &[("column = \"age\"\nedges", "column = \"sexual_orientation\"\nedges")],
        "attribute[3].column",
        "one of the attribute age_band",
    );
    check(&tables, &[("\"completeness-only\" ", "\"subgroups\" ")], "attribute[3].use", "or no such key");
    check(
        &tables,
        &[("refused   = ", "edges = [1, 2]\nrefused = ")],
        "attribute[3].edges",
        "not asked, only whether",
    );
    check(
        &tables,
        &[("refused   = ", "levels = [\"a\"]\nrefused = ")],
        "attribute[3].levels",
        "not asked, only whether",
    );
    check(&tables, &[("[\"declined\"]", "[\"not known\"]")], "attribute[3].refused[1]", "twice");
    check(&tables, &[("[\"declined\"]", "[\"\"]")], "attribute[3].refused[1]", "a list of cell texts");
    check(&tables, &[("[\"declined\"]", "[]")], "attribute[3].refused", "a list of cell texts");
    check(
        &tables,
        &[("sexual_orientation = 0.1\n", "")],
        "privacy.evaluation_shares.sexual_orientation",
        "add sexual_orientation = 1.0",
    );
    check(
        &tables,
        &[("sexual_orientation = 0.1\n", "sexual_orientatoin = 0.1\n")],
        "privacy.evaluation_shares.sexual_orientatoin",
        "did you mean sexual_orientation?",
    );
    check(
        &tables,
        &[("sexual_orientation = 0.1\n", "sexual_orientation = 0\n")],
        "privacy.evaluation_shares.sexual_orientation",
        "write sexual_orientation = 1.0",
    );
    check(
        &bound,
        &[("use  = \"completeness-only\"", "use = \"completeness-only\"\nlevels = [{ label = \"a\" }]")],
        "attribute[5].levels",
        "not asked, only whether",
    );
    check(
        &bound,
        &[(
            "from = [\"binding:local_sexual_orientation\"]",
            "from = [\"binding:local_sexual_orientation\", \"person.year_of_birth\"]",
        )],
        "attribute[5].from",
        "person.year_of_birth alone",
    );
    // Where sites tell the values, the study's concepts would be looked for nowhere.
    for key in ["unknown", "refused", "not_asked"] {
        let used = "use  = \"completeness-only\"";
        let also = format!("{used}\n{key} = [4283657]");
        let path = format!("attribute[5].{key}");
        check(&bound, &[(used, &also)], &path, "the site's answer to the binding says");
        check(&bound, &[(used, &also)], &path, "in the answer a level has the label \"recorded\"");
    }
    let both =
        "from = [\"person.race_concept_id\", \"binding:local_sexual_orientation\"]\nrefused = [4283657]";
    check(
        &bound,
        &[("from = [\"binding:local_sexual_orientation\"]", both)],
        "attribute[5].from",
        "one of the attribute ethnicity",
    );
    let and = |from: &str| format!("from = [\"{from}\", \"binding:local_sexual_orientation\"]");
    for (from, expected) in [
        ("person.gender_concept_id", "one of the feature sex"),
        ("person.race_concept_id", "one of the attribute ethnicity"),
        ("binding:local_ethnicity", "one of the attribute ethnicity"),
    ] {
        check(
            &bound,
            &[("from = [\"binding:local_sexual_orientation\"]", &and(from))],
            "attribute[5].from",
            expected,
        );
    }
    let alone = with(
        &OF_RECORDS,
        "[[attribute]]\nname = \"born\"\nfrom = [\"person.year_of_birth\"]\nuse = \"completeness-only\"\n",
        "born",
    );
    check(&alone, &[], "attribute[4].from", "came person.year_of_birth; write edges in place of use");
    check(
        &alone,
        &[("from = [\"person.year", "form = [\"person.year")],
        "attribute[4].form",
        "did you mean from?",
    );
    let of_records = with(&OF_RECORDS, OF_PERSON, "race");
    check(&of_records, &[], "attribute[4].from", "one of the attribute ethnicity");
}
