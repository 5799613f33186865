use super::*;
use crate::study::bindings::{in_force, side_by_side, template};
use crate::study::parse::records::tests::OF_BINDINGS;
use crate::study::parse::tests::parsed;

/// Answers every binding of the example; `docs/STUDY-FILE.md` prints it.
const ANSWER: &str = include_str!("../../testdata/answer.toml");

fn forces(study: &Study) -> Vec<&InForce> {
    study.bindings().iter().map(|binding| &binding.in_force).collect()
}

fn edited(from: &str, to: &str) -> String {
    assert!(ANSWER.contains(from), "{from:?} is in the answer");
    ANSWER.replacen(from, to, 1)
}

#[test]
fn the_example_says_what_it_says() {
    let asked = parsed(&OF_BINDINGS);
    let study = fill_in(&asked, ANSWER).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let marks = vec![
        Mark::Column { column: BoundColumn::PlaceOfService, concepts: vec![38_004_285] },
        Mark::Column { column: BoundColumn::Specialty, concepts: vec![38_004_469, 38_004_498] },
    ];
    let stays = StayRule { visits: Visits::Listed(vec![9201]), any_of: marks };
    let concepts = |ids: &[i64], label: &str| (ValueIs::Concepts(ids.to_vec()), label.to_owned());
    let ethnicity = ValueRule {
        column: BoundColumn::ObservationValueConcept,
        of: vec![4_013_886],
        levels: vec![
            concepts(&[8515, 38_003_579], "Asian"),
            concepts(&[8527], "White"),
            concepts(&[44_814_660], "refused"),
        ],
    };
    let deprivation = ValueRule {
        column: BoundColumn::ObservationValueNumber,
        of: vec![2_000_000_900],
        levels: vec![
            (ValueIs::Numbers(1.0, 3.0), "1".to_owned()),
            (ValueIs::Numbers(3.0, 5.0), "2".to_owned()),
        ],
    };
    let expected =
        [InForce::Stays(stays), InForce::Absent, InForce::Values(ethnicity), InForce::Values(deprivation)];
    assert_eq!(forces(&study), expected.iter().collect::<Vec<_>>());
    assert_eq!((study.digest, &study.task), (asked.digest, &asked.task), "all else is the study's");
    let Data::Records(records) = &study.data else { panic!("on records") };
    let words: Vec<String> = records.bindings.iter().map(|binding| in_force(records, binding)).collect();
    let expected = [
        "any visit with visit_concept_id 9201 that has care_site.place_of_service_concept_id 38004285, or \
         provider.specialty_concept_id 38004469 or 38004498",
        "left out",
        "the latest observation.value_as_concept_id of observations 4013886: Asian (8515 or 38003579), White (8527), \
         refused (44814660)",
        "the latest observation.value_as_number of observations 2000000900: 1 (1 to below 3), 2 (3 to below 5)",
    ];
    assert_eq!(words, expected);
}

#[test]
fn side_by_side_in_reports() {
    let study = parsed(&OF_BINDINGS);
    let rows = side_by_side(&study, &[("ashford", Some(ANSWER)), ("brook", None)]);
    let names: Vec<&str> = rows.iter().map(|row| row.binding.as_str()).collect();
    assert_eq!(names, ["psychiatric_stay", "psychiatric_service", "local_ethnicity", "local_deprivation"]);
    let none = "what it signed is no answer to the study";
    assert_eq!(rows[1].sites, [("ashford".into(), "left out".into()), ("brook".into(), none.to_owned())]);
    assert!(rows[1].asked.starts_with("Any contact with a mental-health service;"), "{}", rows[1].asked);
    assert!(side_by_side(&parsed(crate::study::parse::tests::EXAMPLE), &[("ashford", None)]).is_empty());
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let study = parsed(&OF_BINDINGS);
    let absent = "[binding.psychiatric_service]\nabsent = true\n[binding.local_ethnicity]\nabsent = true\n\
                  [binding.local_deprivation]\nabsent = true\n";
    let check = |text: &str, visits: &Visits| {
        let filled =
            fill_in(&study, &format!("{absent}{text}")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let InForce::Stays(rule) = forces(&filled)[0] else { panic!("stays") };
        assert_eq!(&rule.visits, visits, "{text}");
        filled.bindings()[0].is_default()
    };
    let inpatient = Visits::Set(crate::study::records::SetIndex(1));
    assert!(check("", &inpatient) && check("[binding.psychiatric_stay]\nnote = \"as it is\"\n", &inpatient));
    // An answer without visits narrows the visits of the default.
    let place = "any_of = [{ column = \"care_site.place_of_service_concept_id\", concepts = [1] }]";
    assert!(!check(&format!("[binding.psychiatric_stay]\n{place}\n"), &inpatient));
    assert!(!check("[binding.psychiatric_stay]\nvisits = [5]\n", &Visits::Listed(vec![5])));
}

#[test]
fn every_key_has_its_rule() {
    let study = parsed(&OF_BINDINGS);
    let check = |text: &str, key: &str, expected: &str| {
        let mistakes = fill_in(&study, text).err().unwrap_or_else(|| panic!("let through: {text}"));
        let [mistake] = mistakes.list() else { panic!("not one mistake for {text}: {mistakes}") };
        assert!(mistake.key == key && mistake.to_string().contains(expected), "{mistake}");
    };
    let slip = |from: &str, to: &str, key: &str, expected: &str| check(&edited(from, to), key, expected);
    slip(
        "psychiatric_stay]",
        "psychiatric_stays]",
        "binding.psychiatric_stays",
        "did you mean psychiatric_stay?",
    );
    slip("visits = [9201]", "visits = [0]", "binding.psychiatric_stay.visits[1]", "above 0");
    slip("visits = [9201]", "visits = [9201, 9201]", "binding.psychiatric_stay.visits[2]", "9201 twice");
    slip("visits = [9201]", "visit = [9201]", "binding.psychiatric_stay.visit", "did you mean visits?");
    slip(
        "care_site.place_of_service_concept_id\"",
        "visit_occurrence.visit_concept_id\"",
        "binding.psychiatric_stay.any_of[1].column",
        "a column that the study allows here: visit_detail.visit_detail_concept_id, care_site",
    );
    slip(
        "care_site.place_of_service_concept_id\"",
        "care_site.place_of_service_source_value\"",
        "binding.psychiatric_stay.any_of[1].column",
        "a column that the study allows here",
    );
    slip(
        "concepts = [38004285]",
        "concepts = []",
        "binding.psychiatric_stay.any_of[1].concepts",
        "at least one",
    );
    slip("note   = \"Wards", "note   = \"\\n", "binding.psychiatric_stay.note", "one line");
    slip("absent = true", "absent = false", "binding.psychiatric_service.absent", "leaves it out");
    slip("absent = true", "absent = true\nvisits = [1]", "binding.psychiatric_service.absent", "remove one");
    slip(
        "absent = true",
        "",
        "binding.psychiatric_service",
        "absent = true where there is nothing of the kind",
    );
    slip("note   = \"Wards", "absent = true # \"", "binding.psychiatric_stay.absent", "decline the study");
    slip("of     = [4013886]\n", "", "binding.local_ethnicity.of", "add of =");
    slip(
        "column = \"observation.value_as_concept_id\"",
        "column = \"observation.observation_concept_id\"",
        "binding.local_ethnicity.of",
        "the levels say which observations",
    );
    slip(
        "label = \"White\"",
        "label = \"white\"",
        "binding.local_ethnicity.levels[2].label",
        "did you mean White?",
    );
    slip(
        "label = \"White\"",
        "label = \"unknown\"",
        "binding.local_ethnicity.levels[2].label",
        "Asian, White, refused",
    );
    slip(
        "concepts = [8527]",
        "concepts = [8515]",
        "binding.local_ethnicity.levels[2].concepts[1]",
        "8515 twice",
    );
    slip(
        "concepts = [8527]",
        "range = [1, 2], concepts = [8527]",
        "binding.local_ethnicity.levels[2].range",
        "no range",
    );
    slip(
        "range = [1, 3]",
        "range = [3, 1]",
        "binding.local_deprivation.levels[1].range",
        "to below the second",
    );
    slip("range = [3, 5]", "range = [2, 5]", "binding.local_deprivation.levels[2].range", "let them meet");
    slip(
        "range = [1, 3]",
        "range = [1, 3], concepts = [1]",
        "binding.local_deprivation.levels[1].concepts",
        "a range",
    );
    slip("label = \"2\"", "label = \"6\"", "binding.local_deprivation.levels[2].label", "1, 2, 3, 4, 5");
    check(&format!("{ANSWER}\n[bindings.other]\n"), "bindings", "did you mean binding?");
    check("binding = 5", "binding", "tables [binding.NAME]");
    check("[binding", "", "correct the syntax");
    check(&"# \n".repeat(ANSWER_BYTES_MAX / 6 + 1), "", "at most 8192 bytes");
    let none = parsed(crate::study::parse::tests::EXAMPLE);
    assert!(fill_in(&none, "").is_ok_and(|same| same == none));
    assert!(fill_in(&none, ANSWER).is_err(), "a study that asks for none takes no answer");
}

#[test]
fn all_mistakes_at_once() {
    let study = parsed(&OF_BINDINGS);
    let mistakes =
        fill_in(&study, "[binding.psychiatric_stay]\nvisits = []\nextra = 1\n").expect_err("mistakes");
    let mut keys: Vec<&str> = mistakes.list().iter().map(|mistake| mistake.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "binding.local_deprivation",
        "binding.local_ethnicity",
        "binding.psychiatric_service",
        "binding.psychiatric_stay.extra",
        "binding.psychiatric_stay.visits",
    ];
    assert_eq!(keys, expected, "{mistakes}");
}

#[test]
fn the_template_is_an_answer_once_it_is_filled_in() {
    let study = parsed(&OF_BINDINGS);
    let text = template(&study).expect("has bindings");
    assert_eq!(template(&parsed(crate::study::parse::tests::EXAMPLE)), None);
    let lines_short = text.lines().all(|line| line.len() <= 120);
    assert!(lines_short && text.contains("# Inpatient stay under a mental-health specialty;"), "{text}");
    // As it is handed out it lacks what has no default; with `absent` taken up it holds.
    assert_eq!(fill_in(&study, &text).expect_err("open").list().len(), 3, "{text}");
    let absent = text.replace("# absent = true", "absent = true");
    assert!(fill_in(&study, &absent).is_ok(), "{absent}");
    for label in study.binding_labels(BindingIndex(2)) {
        assert!(text.contains(&format!("label = {label:?}")), "{label} in\n{text}");
    }
    // Every example line is TOML of the language.
    let filled: String = text
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|line| line.contains(" = ") || line.contains('}')).unwrap_or(line)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(filled.contains("visits = [9201]"), "{filled}");
}

#[test]
fn the_guide_prints_both_examples() {
    let guide = include_str!("../../../../../docs/STUDY-FILE.md");
    for example in [include_str!("../../testdata/bindings.toml"), ANSWER] {
        assert!(guide.contains(&format!("```toml\n{example}```")), "{example}");
    }
}
