use super::*;
use crate::study::parse::tests::EXAMPLE;
use crate::study::parse_for_lookup;

/// Tab-separated rows of id, name, vocabulary, code, standard_concept, invalid_reason.
const VOCABULARY: &str = "\
0\tNo matching concept\tNone\tNo matching concept\t\t
436073\tPsychotic disorder\tSNOMED\t69322001\tS\t
436074\tDrug-induced psychosis\tSNOMED\t191483003\tS\t
7\tNamesake\tSNOMED\t7\tS\t
8\tNamesake\tSNOMED\t8\tS\t
9\tNamesake\tRxNorm\t9\tS\t
10\tNamesake\tRxNorm\t10\tS\t
11\tNamesake\tICD10\tF11\t\t
12\tTwin\tSNOMED\t12\tS\t
13\tTwin\tICD10\tF13\t\t
14\tTwin\tSNOMED\t14\t\tU
15\tGone\tSNOMED\t15\t\tD
16\tPlain code\tICD10\tF32.1\t\t
21601386\tNERVOUS SYSTEM\tATC\tN\tC\t
21604490\tANTIPSYCHOTICS\tATC\tN05A\tC\t
8532\tFEMALE\tGender\tF\tS\t
8507\tMALE\tGender\tM\tS\t
44814660\tRefuse to answer\tPCORNet\tRA\t\t
8554\tpercent\tUCUM\t%\tS\t
8876\tmillimeter mercury column\tUCUM\tmm[Hg]\tS\t";

fn looked_up(mentions: Vec<Mentioned>, vocabulary: &str) -> Findings {
    let places = mentions.into_iter().enumerate();
    let mention = |(at, what)| Mention { line: at + 1, key: format!("key{}", at + 1), what };
    let mut lookup = Lookup::new(places.map(mention).collect());
    take_all(&mut lookup, vocabulary);
    lookup.findings()
}

fn take_all(lookup: &mut Lookup, vocabulary: &str) {
    for row in vocabulary.lines() {
        let cells: Vec<&str> = row.split('\t').collect();
        let [id, name, vocabulary, code, standard_concept, invalid_reason] = cells[..] else {
            panic!("six cells in {row:?}")
        };
        let id = id.parse().expect("a number");
        lookup.take(&Concept { id, name, vocabulary, code, standard_concept, invalid_reason });
    }
}

fn id(id: i64, name: &str, descendants: bool) -> Mentioned {
    Mentioned::Id { id, name: name.to_owned(), descendants }
}

fn code(text: &str, descendants: bool) -> Mentioned {
    let (vocabulary, code) = text.split_once(':').expect("a colon");
    Mentioned::Code { vocabulary: vocabulary.to_owned(), code: code.to_owned(), descendants }
}

fn unit(code: &str) -> Mentioned {
    Mentioned::Unit(code.to_owned())
}

/// What is said of one place: nothing, `mistake …` or `warning …`.
#[track_caller]
fn check(mentioned: Mentioned, expected: &str) {
    let findings = looked_up(vec![mentioned.clone()], VOCABULARY);
    let mistakes = findings.mistakes.iter().flat_map(Mistakes::list).map(|one| format!("mistake {one}"));
    let warnings = findings.warnings.iter().map(|one| format!("warning {one}"));
    let said = mistakes.chain(warnings).collect::<Vec<_>>().join("\n");
    let said = said.replacen("line 1: key1: expected ", "", 1);
    assert_eq!(said, expected, "{mentioned:?}");
}

#[test]
fn concepts_by_id() {
    check(id(436_073, "Psychotic disorder", true), "");
    check(id(436_073, " Psychotic disorder ", false), "");
    check(
        id(436_078, "Psychotic disorder", true),
        "mistake the number of \"Psychotic disorder\", came 436078, which the vocabulary does not have; write id = 436073",
    );
    check(
        id(436_074, "Psychotic disorder", true),
        "mistake the number of \"Psychotic disorder\", came 436074, which the vocabulary calls \"Drug-induced \
         psychosis\"; write id = 436073, or name = \"Drug-induced psychosis\" if 436074 is meant",
    );
    check(
        id(436_073, "Psychotic disorders", true),
        "mistake the number of \"Psychotic disorders\", came 436073, which the vocabulary calls \"Psychotic disorder\"; \
         write name = \"Psychotic disorder\", or look the concept up by its name: no standard concept is called \
         \"Psychotic disorders\"",
    );
    check(
        id(5, "Nothing of the kind", true),
        "mistake the number of \"Nothing of the kind\", came 5, which the vocabulary does not have; look the concept up \
         by its name: no standard concept is called so",
    );
    check(
        id(5, "Namesake", true),
        "mistake the number of \"Namesake\", came 5, which the vocabulary does not have; write id = 7, 8 or 9, or another \
         of that name",
    );
    // Not the same letter by letter.
    check(
        id(8532, "female", false),
        "mistake the number of \"female\", came 8532, which the vocabulary calls \"FEMALE\"; write name = \"FEMALE\", or \
         look the concept up by its name: no standard concept is called \"female\"",
    );
}

#[test]
fn concepts_that_no_event_has() {
    check(
        id(21_604_490, "ANTIPSYCHOTICS", false),
        "warning a standard concept, came 21604490, a class: no event is recorded with it; write descendants = true: \
         events are recorded with what is below it",
    );
    check(id(21_604_490, "ANTIPSYCHOTICS", true), "");
    check(
        id(16, "Plain code", false),
        "warning a standard concept, came 16, no standard concept: no event is recorded with it; look up which standard \
         concept it maps to",
    );
    check(
        id(13, "Twin", true),
        "warning a standard concept, came 13, no standard concept, and nothing is below it: no event is recorded with it; \
         write id = 12, the standard concept of that name",
    );
    check(
        id(14, "Twin", true),
        "warning a valid concept, came 14, which is replaced by another (invalid_reason U); write id = 12, the standard \
         concept of that name",
    );
    check(
        id(15, "Gone", false),
        "warning a valid concept, came 15, which is withdrawn (invalid_reason D); look up which concept took its place",
    );
}

#[test]
fn concepts_by_code() {
    check(code("ATC:N05A", true), "");
    check(code("SNOMED:69322001", false), "");
    check(
        code("ATC:N05A", false),
        "warning a standard concept, came \"ATC:N05A\", a class: no event is recorded with it; write descendants = true: \
         events are recorded with what is below it",
    );
    check(
        code("ICD10:F321", false),
        "mistake a code that the vocabulary has in ICD10, came \"ICD10:F321\", which it does not have; look the code up; it \
         is compared letter by letter, dots included",
    );
    check(
        code("SNOMD:69322001", false),
        "mistake a code of a vocabulary that is there, came \"SNOMD:69322001\", of which it has nothing; did you mean \
         \"SNOMED:69322001\"?",
    );
    check(
        code("LOINC:8867-4", false),
        "mistake a code of a vocabulary that is there, came \"LOINC:8867-4\", of which it has nothing; name the concept by \
         id and name, or look it up in one that has LOINC",
    );
    check(
        code("SNOMED:15", false),
        "warning a valid concept, came \"SNOMED:15\", which is withdrawn (invalid_reason D); look up which concept took its \
         place",
    );
}

#[test]
fn values_and_units() {
    check(Mentioned::Value(8507), "");
    // No standard concept; a person may have it all the same.
    check(Mentioned::Value(44_814_660), "");
    check(
        Mentioned::Value(8508),
        "mistake a concept that the vocabulary has, came 8508, which it does not have; look the concept up",
    );
    check(
        Mentioned::Value(14),
        "warning a valid concept, came 14, \"Twin\", which is replaced by another (invalid_reason U); name the one that is \
         in use, too: old records may have either",
    );
    check(unit("mm[Hg]"), "");
    check(
        unit("mm[HG]"),
        "warning a UCUM code that the vocabulary has, came \"mm[HG]\": no value whose unit is a concept is in it; did you \
         mean \"mm[Hg]\"?",
    );
    check(
        unit("mmHg"),
        "warning a UCUM code that the vocabulary has, came \"mmHg\": no value whose unit is a concept is in it; correct it, \
         or leave it for hospitals that write the unit so in text alone",
    );
}

/// A vocabulary says nothing of what it has nothing like.
#[test]
fn what_a_vocabulary_cannot_say() {
    let local = || vec![id(2_000_000_120, "Psychosis of ours", true), Mentioned::Value(2_000_000_001)];
    let findings = looked_up(local(), VOCABULARY);
    assert_eq!((findings.mistakes, findings.warnings.len()), (None, 2));
    assert!(findings.warnings[0].to_string().contains("a local one, of which this vocabulary has none"));
    let with_ours = format!("{VOCABULARY}\n2000000110\tPsychosis of ours\tOurs\t1\tS\t");
    let mistakes = looked_up(local(), &with_ours).mistakes.expect("both are wrong").to_string();
    assert!(mistakes.contains("write id = 2000000110"), "{mistakes}");
    assert_eq!(mistakes.lines().count(), 2);
    let without_units = VOCABULARY.lines().filter(|row| !row.contains("UCUM")).collect::<Vec<_>>().join("\n");
    let findings = looked_up(vec![unit("%"), unit("kg")], &without_units);
    assert_eq!(findings.mistakes, None);
    let warnings: Vec<String> = findings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 1: key1: expected a vocabulary with UCUM, came none, so that no unit was looked up; look the study up in a \
          vocabulary that has UCUM, too"
        ]
    );
}

/// Every place of a study that names a concept, and beside the other mistakes of the file.
#[test]
fn places_of_a_study() {
    // A template: the sites' keys are missing, which takes no concept away.
    let text = include_str!("../../../../docs/studies/synthetic-psychosis.toml");
    let (study, lookup) = parse_for_lookup(text.as_bytes());
    assert!(study.expect_err("no keys").list().iter().all(|mistake| mistake.key.ends_with("].key")));
    let count = |part: &str| text.matches(part).count();
    let named = count("{ id = 20") + count("{ code = \"") + count("\nid           = 20");
    let units = count("\nunit         = ");
    let values = 2 + 5 + 2;
    assert_eq!((named, units), (19, 3), "the file has not changed");
    assert_eq!(lookup.mentions.len(), named + units + values);
    let keys: Vec<&str> = lookup.mentions.iter().map(|one| one.key.as_str()).collect();
    for key in [
        "concept_set.psychosis.exclude[2].id",
        "concept_set.antidepressants.include[1].code",
        "features.measurement[3].id",
        "features.measurement[1].unit",
        "attribute[1].levels[2].concepts[1]",
        "attribute[3].not_asked[1]",
    ] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    for mention in &lookup.mentions {
        let line = text.lines().nth(mention.line - 1).expect("a line of the file");
        let (Mentioned::Id { id, .. } | Mentioned::Value(id)) = mention.what else { continue };
        assert!(line.contains(&id.to_string()), "{}: {line}", mention.key);
    }
    let slip =
        text.replacen("\"first-ever\"", "\"first\"", 1).replacen("id = 2000000120", "id = 2000000129", 1);
    let (study, mut lookup) = parse_for_lookup(slip.as_bytes());
    take_all(&mut lookup, "2000000120\tPsychosis (invented)\tSynth\t1\tS\t");
    let wrong = lookup.findings().mistakes.expect("one wrong digit, and a vocabulary with little else");
    let all = study.expect_err("another mistake").and(wrong).to_string();
    assert!(all.contains("cohort.first_episode.limit"), "{all}");
    let line = 1 + slip[..slip.find("2000000129").expect("is there")].matches('\n').count();
    let expected = format!(
        "line {line}: concept_set.psychosis.include[1].id: expected the number of \"Psychosis (invented)\", came \
         2000000129, which the vocabulary does not have; write id = 2000000120"
    );
    assert!(all.contains(&expected), "{all}");
}

/// The digit makes it the number of another concept of the file.
#[test]
fn a_number_with_two_names_is_looked_up_too() {
    let text = include_str!("../../../../docs/studies/synthetic-psychosis.toml");
    let (study, mut lookup) =
        parse_for_lookup(text.replacen("id = 2000000430", "id = 2000000410", 1).as_bytes());
    let key = "concept_set.emergency.include[1]";
    assert!(study.expect_err("two names").to_string().contains(&format!("{key}.name: ")));
    take_all(
        &mut lookup,
        "2000000410\tInpatient stay (invented)\tSynth\t1\tS\t\n2000000430\tEmergency visit (invented)\tSynth\t2\tS\t",
    );
    let wrong = lookup.findings().mistakes.expect("one wrong digit").to_string();
    assert!(
        wrong.contains(&format!("{key}.id: ")) && wrong.contains("write id = 2000000430, or name"),
        "{wrong}"
    );
}

#[test]
fn plain_tables_name_no_concept() {
    let (study, lookup) = parse_for_lookup(EXAMPLE.as_bytes());
    assert!(study.is_ok() && lookup.is_empty());
    let (study, lookup) = parse_for_lookup(b"schema = = 1");
    assert!(study.is_err() && lookup.is_empty());
}
