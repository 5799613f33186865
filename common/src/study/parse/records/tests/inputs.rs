//! One slip in each key of the features and attributes.

use super::check;

#[test]
fn every_key_of_the_features_has_its_rule() {
    check(&[
        (
            "short = [-30, 0]",
            "short = [-30, 1]",
            "features.windows.short",
            "write [-30, 0]; for the time after the index",
        ),
        ("short = [-30, 0]", "short = [0, -30]", "features.windows.short", "write [-30, 0]"),
        ("short = [-30, 0]", "short = [-100000, 0]", "features.windows.short[1]", "came -100000"),
        ("short = [-30, 0]", "short = [-30]", "features.windows.short", "two days beside the index"),
        ("short = [-30, 0]", "short = [-30, \"0h\"]", "features.windows.short[1]", "came -30"),
        (
            "short = [-30, 0]",
            "\"a b\" = [-30, 0], short = [-30, 0]",
            "features.windows.a b",
            "letters, digits",
        ),
        (
            "[\"0h\", \"24h\"] }",
            "[\"24h\", \"0h\"] }",
            "features.windows.first_day",
            "write [\"0h\", \"24h\"]",
        ),
        (
            "[\"0h\", \"24h\"] }",
            "[\"0h\", \"25h\"] }",
            "features.windows.first_day",
            "24 hours after the index, came an end 25 hours after it",
        ),
        ("[\"0h\", \"24h\"] }", "[\"0\", \"24h\"] }", "features.windows.first_day[1]", "came \"0\""),
        ("max_features = 32", "max_features = 16", "features.max_features", "write max_features = 17"),
        ("max_features = 32", "max_features = 5000", "features.max_features", "1 to 4096"),
        ("\"listed\"", "\"dp-selected\"", "features.vocabulary", "would have to be charged"),
        (
            "[\"age\", \"sex\"]",
            "[\"age\", \"sex\", \"index_month\"]",
            "features.demographics",
            "not in this version",
        ),
        ("[\"age\", \"sex\"]", "[\"age\", \"month\"]", "features.demographics[2]", "not in this version"),
        (
            "[\"age\", \"sex\"]\nage_range",
            "[\"sex\"]\nage_range",
            "features.age_range",
            "nothing without age",
        ),
        ("age_range    = [18, 90]", "", "features.age_range", "add age_range = [18, 90]"),
        ("age_range    = [18, 90]", "age_range = [90, 18]", "features.age_range", "[low, high] in years"),
        (
            "sets = [\"psychosis\", \"self_harm\"]",
            "sets = [\"psychosis\", \"psychosis\", \"self_harm\"]",
            "features.conditions.sets",
            "twice",
        ),
        ("sets = [\"psychosis\", \"self_harm\"]", "sets = []", "features.conditions.sets", "at least one"),
        (
            "windows = [\"short\", \"long\"]",
            "windows = [\"short\", \"lonk\"]",
            "features.conditions.windows[2]",
            "did you mean long?",
        ),
        (
            "windows = [\"short\", \"long\"]",
            "windows = [\"short\", \"short\"]",
            "features.conditions.windows",
            "twice",
        ),
        (
            "\"binary\" }\ndrugs",
            "\"binary\", cap = 5 }\ndrugs",
            "features.conditions.cap",
            "nothing with encode",
        ),
        (
            "\"binary\" }\ndrugs",
            "\"count\" }\ndrugs",
            "features.conditions.encode",
            "\"log1p-count\" for how often",
        ),
        ("cap = 50 ", "cap = 0 ", "features.visits.cap", "1 to 1000000"),
        (", cap = 50 ", " ", "features.visits.cap", "add cap = 50"),
        ("drugs        =", "drug         =", "features.drug", "did you mean drugs?"),
        (
            "drugs        =",
            "procedures = { sets = [\"psychosis\"], windows = [\"long\"], encode = \"binary\" }\ndrugs        =",
            "features.procedures",
            "\"psychosis_long\", as under features.conditions",
        ),
        (
            "enabled = false",
            "enabled = false\nlexicon = \"a.tsv\"",
            "features.notes.lexicon",
            "tables [[features.notes.lexicon]] in this file",
        ),
    ]);
}

#[test]
fn every_key_of_a_measurement_has_its_rule() {
    check(&[
        (
            "name   = \"bmi\"",
            "name   = \"heart_rate\"",
            "features.measurement[2].name",
            "\"heart_rate\", as under features.measurement[1].name",
        ),
        (
            "[[features.measurement]]\nname         =",
            "[[features.measurement]]\ncode = \"LOINC:8867-4\"\nname         =",
            "features.measurement[1]",
            "came id and code",
        ),
        (
            "[[features.measurement]]\nname   = \"bmi\"\ncode   = \"LOINC:39156-5\"",
            "[[features.measurement]]\nname   = \"bmi\"",
            "features.measurement[2]",
            "one of set, id (with concept_name) and code",
        ),
        (
            "code   = \"LOINC:39156-5\"",
            "set = \"bmi\"",
            "features.measurement[2].set",
            "the name of a concept set",
        ),
        (
            "code   = \"LOINC:39156-5\"",
            "code = \"39156-5\"",
            "features.measurement[2].code",
            "a colon between",
        ),
        ("concept_name = \"Heart rate\"", "", "features.measurement[1].concept_name", "add concept_name"),
        (
            "from   = \"observation\"",
            "from   = \"condition\"",
            "features.measurement[2].from",
            "\"measurement\" or",
        ),
        (
            "window       = \"first_day\"",
            "window = \"first_dya\"",
            "features.measurement[1].window",
            "did you mean first_day?",
        ),
        (
            "window = [-180, 0]",
            "window = [\"0h\", \"30h\"]",
            "features.measurement[2].window",
            "predict_after_hours = 30",
        ),
        ("\"worst\" ", "\"sum\" ", "features.measurement[1].take", "\"worst\" or \"count\""),
        (
            "cap    = 20 ",
            "unit = \"kg/m2\"\ncap = 20 ",
            "features.measurement[3].unit",
            "nothing with take = \"count\"",
        ),
        ("cap    = 20 ", "range = [10, 70]\ncap = 20 ", "features.measurement[3].range", "looks at no value"),
        ("cap    = 20 ", "", "features.measurement[3].cap", "add cap = 50"),
        ("cap    = 20 ", "cap    = 0 ", "features.measurement[3].cap", "1 to 1000000"),
        (
            "take   = \"last\"",
            "take   = \"last\"\ncap = 5",
            "features.measurement[2].cap",
            "take = \"count\", or remove",
        ),
        (
            "take   = \"last\"",
            "take   = \"worst\"",
            "features.measurement[2].take",
            "add normal = [low, high]",
        ),
        ("unit         = \"/min\"", "", "features.measurement[1].unit", "neither"),
        (
            "unit         = \"/min\"",
            "unit = \"/min\"\nunits = [\"{beats}/min\"]",
            "features.measurement[1].unit",
            "both",
        ),
        ("unit         = \"/min\"", "unit = \"per minute\"", "features.measurement[1].unit", "a UCUM code"),
        ("[\"kg/m2\", \"kg/m^2\"]", "[\"kg/m2\", \"kg/m2\"]", "features.measurement[2].units", "twice"),
        (
            "unit_missing = \"drop\"",
            "unit_missing = \"guess\"",
            "features.measurement[1].unit_missing",
            "\"accept\"",
        ),
        ("range        = [20, 220]", "range = [220, 20]", "features.measurement[1].range", "low below high"),
        ("range        = [20, 220]", "", "features.measurement[1].range", "add range"),
        (
            "normal       = [60, 100]",
            "normal = [60, 221]",
            "features.measurement[1].normal",
            "within the range, 20 to 220",
        ),
        (
            "normal       = [60, 100]",
            "normal = [100, 60]",
            "features.measurement[1].normal",
            "a public normal range",
        ),
        ("normal       = [60, 100]", "normal = [20, 220]", "features.measurement[1].normal", "and smaller"),
        (
            "plausible    = [0, 350]",
            "plausible = [30, 350]",
            "features.measurement[1].plausible",
            "around the range, 20 to 220",
        ),
    ]);
}

#[test]
fn every_key_of_an_attribute_has_its_rule() {
    check(&[
        (
            "[\"person.gender_concept_id\"]",
            "[\"person.gender\"]",
            "attribute[1].from[1]",
            "person.gender_concept_id",
        ),
        (
            "[\"person.gender_concept_id\"]",
            "[\"person.gender_concept_id\", \"person.year_of_birth\"]",
            "attribute[1].from",
            "alone",
        ),
        (
            "\"person.ethnicity_concept_id\"]",
            "\"binding:local_ethnicity\"]",
            "attribute[2].from[2]",
            "add [binding.local_ethnicity]",
        ),
        ("concepts = [8532]", "concepts = [0]", "attribute[1].levels[1].concepts[1]", "above 0"),
        (
            "concepts = [8532]",
            "concepts = [8507]",
            "attribute[1].levels[2].concepts[1]",
            "8507, which is in female",
        ),
        ("label = \"female\"", "label = \"male\"", "attribute[1].levels", "twice"),
        ("label = \"female\"", "label = \"unknown\"", "attribute[1].levels", "twice"),
        ("label = \"female\"", "label = \"conflicting\"", "attribute[1].levels", "twice"),
        (
            "refused      = [44814660]",
            "refused = [8527]",
            "attribute[2].refused[1]",
            "8527, which is in White",
        ),
        ("not_asked    = [2000000001]", "not_asked = []", "attribute[2].not_asked", "\"not asked\""),
        (
            "keep_unknown = true",
            "keep_unknown = false",
            "attribute[2].keep_unknown",
            "whom the records leave out",
        ),
        ("edges = [18, 40, 60, 91]", "edges = [18]", "attribute[3].edges", "rising"),
        ("edges = [18, 40, 60, 91]", "", "attribute[3].edges", "add edges"),
        ("name  = \"age_band\"", "name  = \"overall\"", "attribute[3].name", "which name releases"),
        (
            "keep_unknown = true",
            "use = \"predictor\"\nkeep_unknown = true",
            "attribute[2].use",
            "completeness-only",
        ),
    ]);
}
