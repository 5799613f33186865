//! One slip in each key that says whose records are read, when, and for what outcome.

use super::{OF_RECORDS, check, replaced};
use crate::study::parse;

#[test]
fn every_key_of_the_source_has_its_rule() {
    check(&[
        ("\"omop-cdm-5.3\"]", "\"meds-0.3\"]", "data.format[2]", "\"meds-0.4\": what a site may hold"),
        ("\"omop-cdm-5.3\"]", "\"omop-cdm-5.4\"]", "data.format", "twice"),
        ("[\"omop-cdm-5.4\", \"omop-cdm-5.3\"]", "[\"omop\"]", "data.format[1]", "came \"omop\""),
        ("[\"omop-cdm-5.4\", \"omop-cdm-5.3\"]", "\"omop-cdm-5.4\"", "data.format", "a list"),
        ("from = 2015-01-01,", "from = 2025-01-01,", "data.accrual.to", "a day from 2025-01-01 on"),
        ("from = 2015-01-01,", "from = \"2015-01-01\",", "data.accrual.from", "without quotes"),
        ("from = 2015-01-01, ", "", "data.accrual.from", "add from ="),
        (
            "followup_to    = 2026-06-30",
            "followup_to = 2024-12-30",
            "data.followup_to",
            "write followup_to = 2024-12-31, or later",
        ),
        ("\"end-of-day\" ", "\"noon\" ", "data.date_only_rule", "start-of-day"),
        (
            "code_system    = \"standard\"",
            "code_system = \"icd10\"",
            "data.code_system",
            "differ from hospital to hospital",
        ),
        (
            "code_system ",
            "min_vocabulary = \"v5\"\ncode_system ",
            "data.min_vocabulary",
            "the oldest release",
        ),
        (
            "type = \"site-hash\" }  ",
            "type = \"column\", column = \"x\", train = \"1\", evaluate = \"2\" }  ",
            "split.internal.type",
            "no column that says who trains",
        ),
        (
            "[governance]",
            "[governance.withdrawal]\n[governance]",
            "governance.withdrawal",
            "not in this version",
        ),
    ]);
}

#[test]
fn every_key_of_a_concept_set_has_its_rule() {
    check(&[
        (
            "[concept_set.antipsychotics]",
            "[concept_set.\"anti psychotics\"]\ninclude = [{ code = \"ATC:N05\" }]\n[concept_set.antipsychotics]",
            "concept_set.anti psychotics",
            "letters, digits, _ and -",
        ),
        (
            "[concept_set.antipsychotics]",
            "[concept_set.other]\ninclude = [{ code = \"ATC:N05\" }]\n[concept_set.antipsychotics]",
            "concept_set.other",
            "one that nothing names; remove it",
        ),
        (
            "include = [{ id = 436073, name = \"Psychotic disorder\", descendants = true }]",
            "include = []",
            "concept_set.psychosis.include",
            "at least one",
        ),
        (
            "include = [{ id = 436073, name = \"Psychotic disorder\", descendants = true }]",
            "",
            "concept_set.psychosis.include",
            "add include =",
        ),
        ("id = 436073", "id = 0", "concept_set.psychosis.include[1].id", "above 0"),
        (
            "id = 436073, name = \"Psychotic disorder\"",
            "id = 436073",
            "concept_set.psychosis.include[1].name",
            "whose vocabulary has another refuses",
        ),
        ("id = 436073", "code = \"SNOMED:1\", id = 436073", "concept_set.psychosis.include[1]", "came both"),
        (
            "id = 436073, name = \"Psychotic disorder\", ",
            "",
            "concept_set.psychosis.include[1]",
            "came neither",
        ),
        (
            "id = 444362, name = \"Suicidal",
            "id = 439235, name = \"Suicidal",
            "concept_set.self_harm.include[2].name",
            "\"Self inflicted injury\", as 439235 is called elsewhere",
        ),
        (
            "include = [\n    { id = 439235,",
            "include = [\n    { id = 444362, name = \"Suicidal deliberate poisoning\" }, { id = 439235,",
            "concept_set.self_harm.include",
            "Suicidal deliberate poisoning (444362) twice",
        ),
        (
            "id = 4182210, name = \"Dementia\"",
            "id = 436073, name = \"Psychotic disorder\"",
            "concept_set.psychosis.exclude",
            "which is included",
        ),
        ("\"ATC:N05A\"", "\"N05A\"", "concept_set.antipsychotics.include[1].code", "with a colon between"),
        (
            "\"ATC:N05A\"",
            "\"ATC: N05A\"",
            "concept_set.antipsychotics.include[1].code",
            "with a colon between",
        ),
        (
            "\"ATC:N05A\", descendants = true",
            "\"ATC:N05A\", descendants = 1",
            "concept_set.antipsychotics.include[1].descendants",
            "true or false",
        ),
        (
            "\"ATC:N05A\", descendants",
            "\"ATC:N05A\", descendant",
            "concept_set.antipsychotics.include[1].descendant",
            "did you mean descendants?",
        ),
        ("source  = \"OHDSI", "source  = 5 #", "concept_set.self_harm.source", "where the set comes from"),
    ]);
}

#[test]
fn every_key_of_a_cohort_has_its_rule() {
    check(&[
        (
            "set = \"psychosis\" }, {",
            "set = \"psychosi\" }, {",
            "cohort.first_episode.entry[1].set",
            "did you mean psychosis?",
        ),
        (
            "set = \"psychosis\" }, {",
            "set = \"fractures\" }, {",
            "cohort.first_episode.entry[1].set",
            "add [concept_set.fractures]",
        ),
        (
            "[{ event = \"condition\", set = \"psychosis\" }, {",
            "[{ event = \"binding\", name = \"stay\" }, {",
            "cohort.first_episode.entry[1].name",
            "the name of a binding: there is none",
        ),
        (
            "[{ event = \"condition\", set = \"psychosis\" }, {",
            "[{ event = \"death\", set = \"psychosis\" }, {",
            "cohort.first_episode.entry[1].set",
            "a death has no concept",
        ),
        (
            "[{ event = \"condition\", set = \"psychosis\" }, { event = \"condition\", set = \"depression\" }]",
            "[]",
            "cohort.first_episode.entry",
            "at least one",
        ),
        ("\"first-ever\" ", "\"last\" ", "cohort.first_episode.limit", "first-in-accrual"),
        ("\"start\"  ", "\"middle\"  ", "cohort.first_episode.index", "\"start\" or \"end\""),
        (
            "predict_after_hours    = 24 ",
            "predict_after_hours = 8761 ",
            "cohort.first_episode.predict_after_hours",
            "0 to 8760",
        ),
        (
            "prior_observation_days = 365",
            "prior_observation_days = -1",
            "cohort.first_episode.prior_observation_days",
            "0 to 36500",
        ),
        (
            "max_episodes_per_person = 1 ",
            "max_episodes_per_person = 2 ",
            "cohort.first_episode.max_episodes_per_person",
            "one example a person is what makes the privacy",
        ),
        (
            "{ min = 18, max = 65 }",
            "{ min = 65, max = 18 }",
            "cohort.first_episode.require[1].age.max",
            "write min = 18 and max = 65",
        ),
        (
            "{ min = 18, max = 65 }",
            "{ min = 18, max = 200 }",
            "cohort.first_episode.require[1].age.max",
            "0 to 150",
        ),
        ("{ min = 18, max = 65 }", "{ min = 18 }", "cohort.first_episode.require[1].age.max", "add max = 65"),
        ("at_least = 1 }", "at_least = 0 }", "cohort.first_episode.require[2].at_least", "1 to 10000"),
        (
            "window = \"long\", at_least",
            "window = \"lonk\", at_least",
            "cohort.first_episode.require[2].window",
            "did you mean long?",
        ),
        (
            "window = \"long\", at_least",
            "window = [\"0h\", \"48h\"], at_least",
            "cohort.first_episode.require[2].window",
            "write [\"0h\", \"24h\"], or predict_after_hours = 48",
        ),
        ("window = \"long\", at_least", "at_least", "cohort.first_episode.require[2].window", "came nothing"),
        (
            "require = [",
            "require = [{ seen_by = \"psychiatric_service\" },",
            "cohort.first_episode.require[1].seen_by",
            "add [binding.psychiatric_service]",
        ),
        ("require = [", "require = [{},", "cohort.first_episode.require[1]", "an empty table"),
        (
            "require = [",
            "require = [{ still_there = false },",
            "cohort.first_episode.require[1].still_there",
            "lasts beyond",
        ),
        (
            "require = [",
            "require = [{ died_on_or_before = \"index\" },",
            "cohort.first_episode.require[1]",
            "write died_on_or_before in exclude",
        ),
        (
            "exclude = [{ died",
            "exclude = [{ still_there = true }, { died",
            "cohort.first_episode.exclude[1]",
            "in require",
        ),
        (
            "\"prediction\" }]",
            "\"index\" }]",
            "cohort.first_episode.exclude[1].died_on_or_before",
            "24 hours before it; write died_on_or_before = \"prediction\"",
        ),
        (
            "\"prediction\" }]",
            "\"outcome\" }]",
            "cohort.first_episode.exclude[1].died_on_or_before",
            "came \"outcome\"",
        ),
        (
            "exclude = [{ died",
            "exclude = [{ transfer_within_days = 1 }, { died",
            "cohort.first_episode.exclude[1].transfer_within_days",
            "with index = \"end\"",
        ),
        (
            "[[task]]",
            "[cohort.other]\nentry = [{ event = \"death\" }]\nlimit = \"first-ever\"\nindex = \"end\"\nprior_observation_days = 0\nmax_episodes_per_person = 1\n[[task]]",
            "cohort.other",
            "a cohort that a task names: first_episode, came one that none names",
        ),
        (
            "[cohort.first_episode]",
            "[cohort.\"first episode\"]",
            "cohort.first episode",
            "letters, digits, _ and -",
        ),
    ]);
}

#[test]
fn every_key_of_the_task_has_its_rule() {
    check(&[
        ("\"first_episode\"  ", "\"first_episodes\"  ", "task[1].target", "did you mean first_episode?"),
        ("name    = \"self_harm\"", "name    = \"self harm\"", "task[1].name", "one word"),
        (
            "any_of = [{ event = \"condition\", set = \"self_harm\" }, { event = \"observation\", set = \"suicide_attempt\" }]",
            "any_of = []",
            "task[1].outcome.any_of",
            "at least one",
        ),
        (
            "\"suicide_attempt\" }] }",
            "\"suicide_attempt\" }], until = \"discharge\" }",
            "task[1].outcome.until",
            "\"stay-end\"",
        ),
        (
            "\"suicide_attempt\" }] }",
            "\"suicide_attempt\" }], gap_days_min = 1 }",
            "task[1].outcome.gap_days_min",
            "an unknown key",
        ),
        ("horizons_days          = [365]", "horizons_days = []", "task[1].horizons_days", "at least one"),
        ("horizons_days          = [365]", "horizons_days = [0]", "task[1].horizons_days[1]", "1 to 36500"),
        ("horizons_days          = [365]", "", "task[1].horizons_days", "add horizons_days = [30, 365]"),
        (
            "time_at_risk_start_day = 1 ",
            "time_at_risk_start_day = 0 ",
            "task[1].time_at_risk_start_day",
            "is a predictor",
        ),
        (
            "time_at_risk_start_day = 1 ",
            "time_at_risk_start_day = 366 ",
            "task[1].time_at_risk_start_day",
            "a day up to the first horizon, 365",
        ),
        ("= \"keep\"  ", "= \"drop\"  ", "task[1].prior_outcome", "highest risk"),
        ("= \"keep-if-outcome\"", "= \"weights\"", "task[1].insufficient_follow_up", "published"),
        ("= \"keep-if-outcome\"", "= \"ipcw\"", "task[1].followed_public", "add followed_public"),
        (
            "= \"keep-if-outcome\"",
            "= \"ipcw\"\nfollowed_public = [{ day = 364, share = 0.9 }]",
            "task[1].followed_public",
            "a curve to the last horizon, day 365",
        ),
        (
            "= \"keep-if-outcome\"",
            "= \"ipcw\"\nfollowed_public = [{ day = 30, share = 0.8 }, { day = 365, share = 0.9 }]",
            "task[1].followed_public[2]",
            "a share of at most 0.8, that of day 30: whoever is lost is not observed later, came share 0.9 on day 365",
        ),
        (
            "= \"keep-if-outcome\"",
            "= \"ipcw\"\nfollowed_public = [{ day = 365, share = 0.9 }, { day = 30, share = 0.8 }]",
            "task[1].followed_public[2]",
            "a day after 365, that of the point before, came day 30; write the points in the order",
        ),
        (
            "= \"keep-if-outcome\"",
            "= \"ipcw\"\nfollowed_public = [{ day = 365, share = 0.9 }, { day = 365, share = 0.8 }]",
            "task[1].followed_public[2]",
            "came day 365 a second time; keep one of the two",
        ),
        (
            "= \"keep-if-outcome\"",
            "= \"ipcw\"\nfollowed_public = []",
            "task[1].followed_public",
            "came an empty list",
        ),
        (
            "= \"keep-if-outcome\"",
            "= \"ipcw\"\nfollowed_public = 0.9",
            "task[1].followed_public",
            "[{ day, share }]",
        ),
        (
            "= \"keep-if-outcome\"",
            "= \"ipcw\"\nfollowed_public = [{ day = 365, share = 0.04 }]",
            "task[1].followed_public[1].share",
            "0.05 to 1",
        ),
        (
            "= \"keep-if-outcome\"",
            "= \"drop\"\nfollowed_public = [{ day = 365, share = 0.9 }]",
            "task[1].followed_public",
            "nobody is weighed, came a list of 1; remove it, or write insufficient_follow_up = \"ipcw\"",
        ),
        ("= \"competing\"", "= \"outcome\"", "task[1].death", "\"censoring\""),
    ]);
    // Days beside the end of the stay: each is one mistake.
    let text =
        replaced(&OF_RECORDS, "\"suicide_attempt\" }] }", "\"suicide_attempt\" }], until = \"stay-end\" }");
    let mistakes = parse(text.as_bytes()).expect_err("days beside the stay");
    let keys: Vec<&str> = mistakes.list().iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(keys, ["task[1].horizons_days", "task[1].time_at_risk_start_day"], "{mistakes}");
}
