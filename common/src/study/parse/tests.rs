use super::*;
use crate::study::{Encoding, ModelFamily, OutcomeColumn, SplitBy};
use proptest::prelude::*;
use std::sync::LazyLock;

mod completeness;
mod distributed;
mod guide;

/// Every key of the language once; `docs/STUDY-FILE.md` prints it.
pub(in crate::study) const EXAMPLE: &str = include_str!("../testdata/example.toml");

/// The example with roles from a column, and room for both under the cap.
pub(in crate::study) static COLUMN_SPLIT: LazyLock<String> = LazyLock::new(|| {
    let split = r#"{ type = "column", column = "split", train = "train", evaluate = "test" }"#;
    let text = replaced(EXAMPLE, r#"{ type = "site-hash" }"#, split);
    let text = replaced(&text, "training_people = 3.0", "training_people = 2.4");
    replaced(&text, "noise_multiplier = 1.6", "noise_multiplier = 2.2")
});

pub(in crate::study) fn parsed(text: &str) -> Study {
    parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is in the text");
    text.replacen(from, to, 1)
}

fn line_of(text: &str, part: &str) -> usize {
    1 + text[..text.find(part).expect("is in the text")].matches('\n').count()
}

#[test]
fn the_example_says_what_it_says() {
    let study = parsed(EXAMPLE);
    assert_eq!(study.digest, Digest::of(EXAMPLE.as_bytes()));
    assert_eq!(study.id.as_str(), "readmission-example");
    assert_eq!(study.sites.len(), 3);
    assert_eq!((study.sites[1].people_public, study.sites[1].weight), (8000, 98_304));
    assert_eq!(study.sites[2].weight, 52_429, "0.8 in units of 2^-16, rounded");
    assert_eq!(study.governance.valid_until.to_string(), "2027-12-31");
    assert_eq!(study.governance.approvals.len(), 2);
    assert_eq!(study.governance.approvals[1].expires, None);
    let Data::Table(table) = &study.data else { panic!("a study on tables") };
    assert_eq!(table.outcomes[0].positive, ["1"]);
    assert_eq!(table.features[1].missing_values, ["0"]);
    assert_eq!(study.features[1].unit.as_deref(), Some("kg/m2"));
    assert_eq!(study.features[0].encoding, Encoding::Number { low: 18.0, high: 90.0 });
    let names = study.input_names();
    let expected = ["age", "age:missing", "bmi", "bmi:missing", "sex=male", "sex:missing", "admissions"];
    assert_eq!(names[..7], expected);
    assert_eq!(study.architecture().inputs, 8);
    assert_eq!(study.split.by, SplitBy::SiteHash);
    assert_eq!(study.model, ModelFamily::Logistic);
    assert_eq!(study.privacy.training.steps_charged(), 44);
    assert_eq!(study.groupings(), ["overall", "sex", "sex*age_band"]);
    let shares: Vec<&str> = study.privacy.evaluation_shares.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(shares, study.groupings());
    assert_eq!(study.evaluation.bin_edges, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
    assert_eq!(study.attributes[0].values.labels(), ["female", "men", "unknown"]);
    assert_eq!(study.attributes[1].values.labels(), ["18-39", "40-59", "60-90", "unknown"]);
    assert_eq!(study.report.len(), 1);
    assert!((study.denominator(&study.sites[0]) - 350.0).abs() < 1e-9);
}

#[test]
fn opt_out_lists() {
    assert_eq!(parsed(EXAMPLE).governance.opt_outs, Vec::<String>::new());
    let with = |table: &str| {
        EXAMPLE.replacen("[[governance.approval]]", &format!("{table}\n[[governance.approval]]"), 1)
    };
    let whole = "[governance.opt_out]\nhonour = [\"site-register\", \"uk-ndoo\"]\nrecheck = \"every-round\"\n\
                 mid_study = \"exclude-from-next-round\"";
    assert_eq!(parsed(&with(whole)).governance.opt_outs, ["site-register", "uk-ndoo"]);
    let guide = include_str!("../../../../docs/STUDY-FILE.md");
    assert!(guide.contains(&format!("```toml\n{whole}\n```")), "the guide prints it");
    assert_eq!(parsed(&with("[governance.opt_out]\nhonour = [\"a\"]")).governance.opt_outs, ["a"]);
    for (table, key, expected) in [
        ("[governance.opt_out]", "governance.opt_out.honour", "1 to 16 names"),
        ("[governance.opt_out]\nhonour = []", "governance.opt_out.honour", "1 to 16 names"),
        ("[governance.opt_out]\nhonour = [\"a b\"]", "governance.opt_out.honour[1]", "1 to 16 names"),
        ("[governance.opt_out]\nhonour = [\"a\", \"a\"]", "governance.opt_out.honour", "twice"),
        (
            "[governance.opt_out]\nhonour = [\"a\"]\nrecheck = \"never\"",
            "governance.opt_out.recheck",
            "every-round",
        ),
        (
            "[governance.opt_out]\nhonour = [\"a\"]\nmid_study = \"keep\"",
            "governance.opt_out.mid_study",
            "next-round",
        ),
        ("[governance.opt_out]\nhonour = [\"a\"]\nlist = 3", "governance.opt_out.list", "unknown key"),
    ] {
        let mistakes = parse(with(table).as_bytes()).expect_err(table);
        let [mistake] = mistakes.list() else { panic!("not one mistake for {table:?}: {mistakes}") };
        assert!(mistake.key == key && mistake.to_string().contains(expected), "{table:?}: {mistake}");
    }
}

#[test]
fn an_mlp_and_other_spellings() {
    let mlp = replaced(EXAMPLE, r#""logistic"       #"#, "\"mlp\"\nhidden = [16, 8] #");
    assert_eq!(parsed(&mlp).architecture().parameters(), 8 * 16 + 16 + 16 * 8 + 8 + 8 + 1);
    let edges = replaced(EXAMPLE, "bins     = 10 ", "bin_edges = [0.05, 0.5] ");
    assert_eq!(parsed(&edges).evaluation.bin_edges, [0.05, 0.5]);
    let numbers =
        replaced(EXAMPLE, r#"positive = ["1"], negative = ["0"]"#, "positive = [1], negative = [0.0]");
    let Data::Table(table) = parsed(&numbers).data else { panic!("a study on tables") };
    let cells = |cell: &str| vec![cell.to_owned()];
    let OutcomeColumn { positive, negative, .. } = &table.outcomes[0];
    assert_eq!((positive, negative), (&cells("1"), &cells("0")));
    let windows = EXAMPLE.replace('\n', "\r\n");
    assert_eq!(parsed(&windows).sites, parsed(EXAMPLE).sites);
    assert_ne!(parsed(&windows).digest, parsed(EXAMPLE).digest, "exact bytes count");
}

/// One slip in the example must give one mistake, at the line of `from`, with that key and message;
/// what is wrong with that, if anything.
fn fault((from, to, key, expected): (&str, &str, &str, &str)) -> Option<String> {
    let text = replaced(EXAMPLE, from, to);
    let Err(mistakes) = parse(text.as_bytes()) else { return Some(format!("{to:?} was let through")) };
    let [mistake] = mistakes.list() else { return Some(format!("not one mistake for {to:?}: {mistakes}")) };
    let placed = mistake.found == "nothing" || mistake.line == line_of(EXAMPLE, from);
    let told = mistake.key == key && mistake.to_string().contains(expected) && !mistake.instead.is_empty();
    (!placed || !told).then(|| format!("for {to:?}: {mistake}"))
}

#[track_caller]
fn check(table: &[(&str, &str, &str, &str)]) {
    let faults: Vec<String> = table.iter().copied().filter_map(fault).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_key_has_its_rule() {
    check(&[
        ("study/1", "study/2", "schema", "\"study/1\""),
        ("\"readmission-example\"", "\"Readmission\"", "id", "a-z, 0-9 and -"),
        ("\"prognostic\" ", "\"causal\" ", "kind", "diagnostic"),
        ("version = \"1.0.0\"", "version = 1.0", "version", "expected text, came 1.0"),
        ("title   = \"Psy", "title   = \"\\u001b[2JPsy", "title", "one line"),
        ("people_public = 8000", "people_public = 0", "site[2].people_public", "1 to 1000000000"),
        ("people_public = 8000", "people_public = -3", "site[2].people_public", "came -3"),
        ("weight = 1.5", "weight = 0", "site[2].weight", "a number"),
        ("weight = 1.5", "weight = nan", "site[2].weight", "came nan"),
        ("county-general", "st-elsewhere", "site[2].name", "a second time"),
        ("key = \"ed25519:69eb6e2d", "key = \"ed25519:zzzz6e2d", "site[2].key", "64 hex digits"),
        ("\"probability\" ", "\"risk band\" ", "intended_use.output", "never a risk label"),
        (
            "[\"deciding who is offered or refused care\", \"discharge decisions\"]",
            "[]",
            "intended_use.prohibited",
            "at least one",
        ),
        (
            "= 2027-12-31              #",
            "= 2026-12-31              #",
            "governance.valid_until",
            "from 2027-01-01 on",
        ),
        ("= 2027-01-01  ", "= \"2027-01-01\"  ", "governance.valid_from", "without quotes"),
        ("= 2027-01-01  ", "= 2027-01-01T00:00:00Z  ", "governance.valid_from", "a day"),
        ("\"scientific-research\"", "\"any thing\"", "governance.permitted_purpose", "one word"),
        ("\"ppi-panel\"  ", "\"ppi\"  ", "governance.approval[2].type", "ppi-panel"),
        ("[\"table\"] ", "[\"fhir\"] ", "data.format[1]", "plain tables"),
        ("negative = [\"0\"] }", "negative = [\"1.0\"] }", "task[1].outcome.negative", "differ"),
        ("column  = \"bmi\"", "column  = \"readmitted_30d\"", "features.column[2].column", "its own outcome"),
        (
            "column = \"age\"\nedges",
            "column = \"readmitted_30d\"\nedges",
            "attribute[2].column",
            "describes people",
        ),
        ("range  = [18, 90] ", "range  = [90, 18] ", "features.column[1].range", "low below high"),
        ("range  = [18, 90] ", "range  = [18, inf] ", "features.column[1].range[2]", "came inf"),
        ("range  = [18, 90] ", "levels = [\"1\", \"01\"] ", "features.column[1].levels", "twice"),
        (
            "range  = [18, 90] ",
            "range = [0, 1] \nlevels = [\"1\", \"2\"] ",
            "features.column[1].range",
            "both",
        ),
        ("name    = \"bmi\"", "name    = \"age\"", "features.column[2].name", "a second time"),
        ("indicator = true ", "indicator = 1 ", "missing.indicator", "true or false"),
        ("\"constant-midrange\"", "\"mean\"", "missing.impute", "from data"),
        ("type = \"site-hash\" }  ", "type = \"time\" }  ", "split.internal.type", "site-hash"),
        ("training_share = 0.7", "training_share = 1.0", "split.training_share", "0.05 to 0.95"),
        (
            "training_share = 0.7",
            "training_share = 0.66",
            "split.training_share",
            "the same role in every study",
        ),
        ("prevalence_public = 0.06", "prevalence_public = 1", "model.prevalence_public", "a published share"),
        ("class_weights = \"none\"", "class_weights = \"balanced\"", "model.class_weights", "couple persons"),
        ("\"logistic\"       #", "\"mlp\"       #", "model.hidden", "widths"),
        ("\"logistic\"       #", "\"gru\"       #", "model.family", "\"logistic\" or \"mlp\""),
        ("\"local\"  ", "\"central\"  ", "privacy.mode", "\"local\" or \"distributed\""),
        (
            "delta             =",
            "colluding = 1\ndelta             =",
            "privacy.colluding",
            "nothing in local mode",
        ),
        (
            "accountant        = \"pld\"",
            "accountant        = \"prv\"",
            "privacy.accountant",
            "\"pld\", or \"rdp\"",
        ),
        ("delta             = 1e-5", "delta             = 1e-4", "privacy.delta", "0.00001"),
        (
            "evaluation_people = 3.0 }",
            "evaluation_people = 3.1 }",
            "privacy.epsilon.evaluation_people",
            "at most person_total_max",
        ),
        ("sampling_rate    = 0.1", "sampling_rate    = 1.1", "privacy.training.sampling_rate", "at most 1"),
        ("noise_multiplier = 1.6", "noise_multiplier = 0.29", "privacy.training.noise_multiplier", "0.3"),
        (
            "noise_multiplier = 1.6",
            "noise_multiplier = 0.4",
            "privacy.training.noise_multiplier",
            "cost at most 3",
        ),
        (
            "noise_multiplier = 1.6",
            "noise_multiplier = 5000",
            "privacy.training.noise_multiplier",
            "that the lattice carries",
        ),
        ("reply_tick_ms    = 250", "reply_tick_ms    = 9", "privacy.training.reply_tick_ms", "from 10 to"),
        ("quorum           = 2", "quorum           = 4", "privacy.training.quorum", "number of sites"),
        (
            "\"sex*age_band\" = 0.25",
            "\"age_band*sex\" = 0.25\n\"sex*age_band\" = 0.25",
            "privacy.evaluation_shares.age_band*sex",
            "a grouping of this study",
        ),
        ("overall        = 1.0", "overall        = 0", "privacy.evaluation_shares.overall", "0.001"),
        ("bins     = 10", "bins     = 1", "evaluation.bins", "2 to 256"),
        ("bins     = 10", "bin_edges = [0.2, 0.1]", "evaluation.bin_edges", "rising"),
        ("\"auprc\", ", "\"accuracy\", ", "evaluation.metrics[2]", "auprc"),
        ("label = \"men\"", "label = \"unknown\"", "attribute[1].levels", "twice"),
        ("edges  = [18, 40, 60, 91]", "edges  = [18]", "attribute[2].edges", "rising"),
        (
            "[[\"sex\"], [\"sex\", \"age_band\"]]",
            "[[\"sex\"], [\"sex\", \"age\"]]",
            "subgroups.groups[2][2]",
            "age_band",
        ),
        ("max_standard_error = 0.05", "max_standard_error = 0", "subgroups.max_standard_error", "0.001"),
        ("min_sites = 2 ", "min_sites = 5 ", "disclosure.min_sites", "number of sites"),
        ("data_source = \"Routine", "data_source = 5 #", "report.data_source", "text"),
    ]);
}

#[test]
fn unknown_keys_name_the_nearest() {
    check(&[
        (
            "spare_rounds     = 2",
            "spare_round = 2\nspare_rounds     = 2",
            "privacy.training.spare_round",
            "did you mean spare_rounds?",
        ),
        ("[missing]", "[privacy.trainin]\n[missing]", "privacy.trainin", "did you mean training?"),
        ("sponsor  ", "colour = \"red\"\nsponsor  ", "governance.colour", "no such key"),
        ("[missing]", "[cohort.first_episode]\n[missing]", "cohort", "no such key"),
    ]);
}

#[test]
fn missing_keys_show_an_example() {
    check(&[
        ("delta             = 1e-5", "#", "privacy.delta", "add delta = 1e-5"),
        ("weight = 1.5", "#", "site[2].weight", "add weight = 1.0"),
        ("overall        = 1.0", "#", "privacy.evaluation_shares.overall", "add overall = 1.0"),
        ("[disclosure] ", "[disclosures] #", "disclosures", "did you mean disclosure?"),
        ("family        =", "famly =", "model.famly", "did you mean family?"),
    ]);
}

#[test]
fn sums_are_judged_where_they_stand() {
    let heavy = replaced(EXAMPLE, "weight = 1.5", "weight = 65535.5");
    let mistakes = parse(heavy.as_bytes()).expect_err("too heavy").to_string();
    assert!(mistakes.starts_with("line 9: site: expected weights that sum to less than 65536"), "{mistakes}");
    let long = replaced(EXAMPLE, "local_steps      = 2 ", "local_steps      = 9999 ");
    let long = replaced(&long, "rounds           = 20", "rounds           = 9999");
    let mistakes = parse(long.as_bytes()).expect_err("too long").to_string();
    assert!(mistakes.contains("privacy.training.rounds: expected (rounds + spare_rounds)"), "{mistakes}");
}

#[test]
fn delta_is_judged_at_every_site() {
    let text = replaced(EXAMPLE, "people_public = 8000", "people_public = 900000");
    let mistakes = parse(text.as_bytes()).expect_err("delta is too large for the site").to_string();
    assert!(mistakes.contains("county-general") && mistakes.contains("900000"), "{mistakes}");
}

/// Slips that lead to more than one mistake: this one is among them, at the line of `at`.
#[test]
fn bounds_of_the_mechanism() {
    fn check(edits: &[(&str, &str)], at: &str, expected: &str) {
        let text = edits.iter().fold(EXAMPLE.to_owned(), |text, (from, to)| replaced(&text, from, to));
        let mistakes = parse(text.as_bytes()).expect_err("a mistake").to_string();
        let line = format!("line {}: {expected}", line_of(&text, at));
        assert!(mistakes.lines().any(|mistake| mistake.starts_with(&line)), "{line}\n{mistakes}");
    }
    const LARGE: (&str, &str) = ("\"logistic\"       #", "\"mlp\"\nhidden = [4096, 4096] #");
    let delta = ("delta             = 1e-5", "delta             = 1e-6");
    let at = "people_public = 187246";
    let people = "site[2].people_public: expected at most 131072 people who train";
    check(&[("people_public = 8000", at), delta], at, people);
    let at = "people_public = 93624";
    let people = "site[2].people_public: expected at most 65536 people who train";
    check(&[("people_public = 8000", at), delta, LARGE], at, people);
    check(
        &[LARGE, ("local_steps      = 2 ", "local_steps      = 8 ")],
        "local_steps ",
        "privacy.training.local_steps: expected local_steps x 16822273 parameters x 8 bytes",
    );
    for name in ["training", "overall"] {
        let (from, to) = ("name   = \"age_band\"", format!("name   = \"{name}\""));
        check(&[(from, &to)], &to, "attribute[2].name: expected another word than training and overall");
    }
    let (a, b) = ("a".repeat(100), "b".repeat(100));
    let text = EXAMPLE.replace(
        "\"sex\"\ncolumn = \"sex\"\nlevels = [\"female\", {",
        &format!("\"{a}\"\ncolumn = \"sex\"\nlevels = [\"female\", {{"),
    );
    let text = text
        .replace("\"age_band\"", &format!("\"{b}\""))
        .replace("[[\"sex\"], [\"sex\",", &format!("[[\"{a}\"], [\"{a}\","));
    let text = text
        .replace("sex            = 0.25", &format!("{a} = 0.25"))
        .replace("sex*age_band", &format!("{a}*{b}"));
    let mistakes = parse(text.as_bytes()).expect_err("too long a name");
    let [mistake] = mistakes.list() else { panic!("{mistakes}") };
    assert_eq!((mistake.key.as_str(), mistake.found.as_str()), ("subgroups.groups[2]", "201"));
    check(
        &[
            ("evaluation_people = 3.0", "evaluation_people = 0.001"),
            ("sex            = 0.25", "sex            = 0.001"),
        ],
        "sex            = 0.001",
        "privacy.evaluation_shares.sex: expected noise that the lattice of histograms carries",
    );
    // At the bounds.
    let most = replaced(EXAMPLE, "people_public = 8000", "people_public = 187245");
    let most = replaced(&most, delta.0, delta.1);
    parsed(&replaced(&most, "noise_multiplier = 1.6", "noise_multiplier = 4095.0"));
    // A column says who trains: any share is the author's.
    parsed(&replaced(&COLUMN_SPLIT, "training_share = 0.7", "training_share = 0.5"));
}

#[test]
fn all_mistakes_at_once() {
    let mut text = EXAMPLE.to_owned();
    let mut lines = Vec::new();
    for (from, to) in [
        ("\"prognostic\" ", "\"causal\" "),
        ("people_public = 8000", "people_public = 0"),
        ("[\"table\"] ", "[\"parquet\"] "),
        ("range  = [18, 90] ", "range  = [90, 18] "),
        ("family        =", "famili        ="),
        ("\"local\"  ", "\"central\"  "),
        ("quorum           = 2", "quorum           = 1"),
        ("min_count = 11", "min_count = eleven"),
    ] {
        text = replaced(&text, from, to);
    }
    // A word without quotes is no TOML: only what is certain is told beside it.
    let mistakes = parse(text.as_bytes()).expect_err("mistakes");
    let keys: Vec<&str> = mistakes.list().iter().map(|mistake| mistake.key.as_str()).collect();
    assert!(keys.contains(&"") && keys.contains(&"kind") && !keys.contains(&"model.famili"), "{mistakes}");
    text = replaced(&text, "eleven", "-11");
    let mistakes = parse(text.as_bytes()).expect_err("mistakes");
    for mistake in mistakes.list() {
        lines.push(mistake.line);
    }
    let keys: Vec<&str> = mistakes.list().iter().map(|mistake| mistake.key.as_str()).collect();
    let expected = [
        "kind",
        "site[2].people_public",
        "data.format[1]",
        "features.column[1].range",
        "model.famili",
        "privacy.mode",
        "privacy.training.quorum",
        "disclosure.min_count",
    ];
    for key in expected {
        assert!(keys.contains(&key), "{key} in {mistakes}");
    }
    assert_eq!(keys.len(), expected.len(), "{mistakes}");
    assert!(lines.is_sorted(), "by line: {mistakes}");
}

#[test]
fn what_is_no_text_or_too_long() {
    let too_long = vec![b'#'; FILE_BYTES_MAX + 1];
    assert!(parse(&too_long).expect_err("too long").to_string().contains("262144 bytes"));
    let mut bytes = EXAMPLE.as_bytes().to_vec();
    let at = EXAMPLE.find("[disclosure]").expect("is there");
    bytes[at] = 0xff;
    let mistakes = parse(&bytes).expect_err("not UTF-8");
    assert_eq!(mistakes.list()[0].line, line_of(EXAMPLE, "[disclosure]"));
    assert!(parse(b"").is_err());
    // Deeply nested input is refused, not recursed into for ever.
    assert!(
        parse("x = ".bytes().chain(std::iter::repeat_n(b'[', 100_000)).collect::<Vec<_>>().as_slice())
            .is_err()
    );
}

#[test]
fn many_mistakes_are_counted() {
    let noise: String = (0..500).map(|i| format!("zz{i} = 1\n")).collect();
    let mistakes = parse(format!("{noise}{EXAMPLE}").as_bytes()).expect_err("mistakes").to_string();
    assert!(mistakes.ends_with("and 400 more"), "{mistakes}");
    assert!(!mistakes.contains("did you mean id?"));
}

#[test]
fn the_guide_prints_the_example() {
    let guide = include_str!("../../../../docs/STUDY-FILE.md");
    let start =
        guide.find("```toml\n# A study of three hospitals.").expect("the full example") + "```toml\n".len();
    let length = guide[start..].find("```").expect("its end");
    assert_eq!(&guide[start..start + length], EXAMPLE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Bytes replaced, dropped and doubled anywhere: a study or mistakes, never a panic, and every
    /// mistake within the file.
    #[test]
    fn mutants_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6)) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for (index, byte, edit) in edits {
            let at = index.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, b"\"'[]{}=.,#\n-_0e"[usize::from(byte) % 15]),
                _ => {
                    let end = (at + usize::from(byte)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        if let Err(mistakes) = parse(&bytes) {
            let lines = 1 + bytes.iter().filter(|&&byte| byte == b'\n').count();
            for mistake in mistakes.list() {
                prop_assert!((1..=lines).contains(&mistake.line), "{}", mistake);
            }
        }
    }

    /// Every value of the example replaced by any other kind of value.
    #[test]
    fn values_of_other_kinds_never_panic(line in any::<prop::sample::Index>(), value in prop::sample::select(vec![
        "1", "-1", "0", "1e308", "-0.0", "nan", "inf", "\"\"", "\"x\"", "true", "[]", "[[]]", "{}", "{ a = 1 }",
        "2027-02-28", "07:32:00", "9223372036854775807", "0xffffffffffffffff", "99999999999999999999999", "[1, \"a\", {}]",
    ])) {
        let lines: Vec<&str> = EXAMPLE.lines().collect();
        let valued: Vec<usize> = (0..lines.len()).filter(|&i| lines[i].contains(" = ") || lines[i].contains("  = ")).collect();
        let at = valued[line.index(valued.len())];
        let key = lines[at].split('=').next().unwrap();
        let text: String = lines.iter().enumerate().map(|(i, line)| {
            if i == at { format!("{key}= {value}\n") } else { format!("{line}\n") }
        }).collect();
        let _ = parse(text.as_bytes());
    }
}
