//! `docs/STUDY-FILE.md`: every block of it says what the language says, and every key of the language is in one.

use super::{EXAMPLE, parsed};
use crate::study::bindings::fill_in;
use crate::study::parse::records::tests::{OF_BINDINGS, OF_RECORDS};
use crate::study::raw::asked;
use std::collections::BTreeSet;
use std::path::Path;
use toml::{Table, Value};

const GUIDE: &str = include_str!("../../../../../docs/STUDY-FILE.md");

/// Which study a block of the guide is read with.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Tables,
    Records,
    Bindings,
    /// A hospital's answer to the bindings.
    Answer,
}

/// A block by its first lines, what it goes into, the header that its text leaves out, and the keys that make room for it.
struct Block {
    starts: &'static str,
    beside: Beside,
    header: &'static str,
    without: &'static [&'static str],
}

const fn block(starts: &'static str, beside: Beside) -> Block {
    Block { starts, beside, header: "", without: &[] }
}

const BLOCKS: &[Block] = &[
    block("# A study of three hospitals", Beside::Tables),
    block("[governance.opt_out]\n", Beside::Tables),
    Block {
        header: "[privacy.evaluation_shares]\nsexual_orientation = 0.1\n",
        ..block("[[attribute]]\nname      = \"sexual_orientation\"\ncolumn", Beside::Tables)
    },
    Block { without: &["evaluation.bins"], ..block("[evaluation]\nbin_edges", Beside::Tables) },
    block("[split]\nby             = \"person\"\ninternal       = { type = \"column\"", Beside::Tables),
    block("[model]\nfamily        = \"mlp\"", Beside::Tables),
    block("[privacy]\nmode      = \"distributed\"", Beside::Tables),
    block("[data]\nformat         = [\"omop-cdm-5.4\", \"omop", Beside::Records),
    Block {
        header: "[[task]]\nname = \"self_harm\"\n",
        ..block("insufficient_follow_up = \"ipcw\"", Beside::Records)
    },
    Block { without: &["model.prevalence_public"], ..block("[cohort.discharge]\n", Beside::Records) },
    Block { without: &["model.prevalence_public"], ..block("[cohort.admission]\n", Beside::Records) },
    block("[split]\nby             = \"person\"\ninternal       = { type = \"site-hash\"", Beside::Records),
    block("[concept_set.ect]", Beside::Records),
    block("[features.notes]\nenabled = true                   # without it", Beside::Records),
    block("[features.notes]\nenabled = true\nsource  = \"note_nlp\"", Beside::Records),
    Block {
        header: "[privacy.evaluation_shares]\nhispanic_origin = 0.1\n",
        ..block("[[attribute]]\nname      = \"hispanic_origin\"\n", Beside::Bindings)
    },
    block("[data]\nformat         = [\"omop-cdm-5.4\"]\n", Beside::Bindings),
    Block {
        header: "[privacy.evaluation_shares]\nsexual_orientation = 0.1\n",
        ..block("[binding.local_sexual_orientation]\n", Beside::Bindings)
    },
    block("[binding.psychiatric_stay]\nvisits", Beside::Answer),
];

/// The guide's own blocks of TOML.
fn blocks() -> Vec<&'static str> {
    let opened = GUIDE.split("```toml\n").skip(1);
    opened.map(|rest| rest.split_once("```").expect("a block has an end").0).collect()
}

/// What the parser asks for while it reads the whole guide.
fn asked_for() -> asked::Log {
    drop(asked::take());
    for text in blocks() {
        let fits = |block: &&Block| text.starts_with(block.starts);
        let known: Vec<&Block> = BLOCKS.iter().filter(fits).collect();
        let [block] = known[..] else { panic!("{} entries of BLOCKS are for\n{text}", known.len()) };
        read(block, text);
    }
    asked::take()
}

fn read(block: &Block, text: &str) {
    let base = match block.beside {
        Beside::Tables => EXAMPLE,
        Beside::Records => &OF_RECORDS,
        Beside::Bindings => &OF_BINDINGS,
        Beside::Answer => {
            let answered = fill_in(&parsed(&OF_BINDINGS), text);
            return drop(answered.unwrap_or_else(|mistakes| panic!("{mistakes}\nin\n{text}")));
        }
    };
    let mut study: Table = base.parse().expect("TOML");
    for path in block.without {
        let (table, key) = path.split_once('.').expect("a table and a key");
        let removed = study.get_mut(table).and_then(Value::as_table_mut).and_then(|table| table.remove(key));
        assert!(removed.is_some(), "{path} is in the example");
    }
    let added: Table = format!("{}{text}", block.header).parse().expect("TOML");
    put(&mut study, added);
    let whole = toml::to_string(&study).expect("TOML");
    if let Err(mistakes) = crate::study::parse(whole.as_bytes()) {
        panic!("{mistakes}\nin\n{text}");
    }
}

/// Puts a part of a study into it: tables key by key, tables of a list by their names.
fn put(into: &mut Table, part: Table) {
    for (key, value) in part {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => put(old, new),
            (Some(Value::Array(old)), Value::Array(new))
                if new.iter().all(|one| one.get("name").is_some()) =>
            {
                for one in new {
                    match old.iter_mut().find(|before| before.get("name") == one.get("name")) {
                        Some(before) => put(
                            before.as_table_mut().expect("has a name"),
                            one.as_table().expect("has a name").clone(),
                        ),
                        None => old.push(one),
                    }
                }
            }
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

#[test]
fn every_key_has_an_example() {
    // One study alone does not do, and it shows.
    drop(asked::take());
    let _ = parsed(EXAMPLE);
    assert_eq!(asked::take().keys.get("governance.opt_out"), Some(&false));
    let asked = asked_for();
    let without: Vec<&String> = asked.keys.iter().filter(|(_, there)| !**there).map(|(key, _)| key).collect();
    assert!(without.is_empty(), "no block of STUDY-FILE.md has {without:#?}");
    for key in
        ["task[].outcome.until", "cohort.*.require[].still_there", "binding.*.default.any_of[].condition"]
    {
        assert!(asked.keys.contains_key(key), "{key} in {:#?}", asked.keys);
    }
}

/// A key that is asked for only beside some other word has no example where nothing in the guide uses that word: every
/// `ask(` of the parser's own text must have been met.
#[test]
fn every_ask_is_met() {
    let met: BTreeSet<(String, u32)> = asked_for()
        .asks
        .into_iter()
        .map(|(file, line)| (file.rsplit_once("src/study/").expect("of the parser").1.to_owned(), line))
        .collect();
    let mut written = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/study");
    for part in ["parse", "parse/records", "bindings"] {
        for entry in root.join(part).read_dir().expect("a folder of the parser") {
            let path = entry.expect("reads").path();
            if path.extension().is_none_or(|end| end != "rs") || path.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("reads");
            let name = path.file_name().expect("a file").to_string_lossy();
            written.extend(asks(&text).map(|line| (format!("{part}/{name}"), line)));
        }
    }
    assert!(written.len() > 100, "{}", written.len());
    let unmet: Vec<_> = written.difference(&met).collect();
    assert!(unmet.is_empty(), "nothing in STUDY-FILE.md makes the parser ask at {unmet:#?}");
}

#[test]
fn asks_are_found() {
    fn check(text: &str, expected: &[u32]) {
        assert_eq!(asks(text).collect::<Vec<_>>(), expected, "{text}");
    }
    check("\n    ask(\"key\", \"a word\", \"key = 1\")", &[2]);
    check(
        "const A: Ask = ask(A, \"a word\", \"\");\nconst B: Ask =\n    ask(\n        B,\n        \"text\"",
        &[1, 3],
    );
    check("ask(\"of\", \"nothing: the levels say it\", \"\") ask(\n    A,\n    \"no key here\"", &[]);
    check("task(a, b) self.ask(a, b) const fn ask(key: &str, b)", &[]);
}

/// The lines of the parser's text that make an [`crate::study::raw::Ask`] of a key that the language has.
fn asks(text: &str) -> impl Iterator<Item = u32> {
    let calls = text.match_indices("ask(").filter(|(at, _)| {
        let before = &text[..*at];
        !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') && !before.ends_with("fn ")
    });
    let meant = calls.filter(|(at, _)| {
        let expected = text[*at..].split_once(',').map_or("", |(_, rest)| rest.trim_start());
        !["\"nothing", "\"no "].iter().any(|refusal| expected.starts_with(refusal))
    });
    meant.map(|(at, _)| u32::try_from(1 + text[..at].matches('\n').count()).expect("few lines"))
}

/// What the guide lists as not in this version is refused, at the place that it names.
#[test]
fn what_is_not_in_this_version() {
    let section = GUIDE.split_once("## Not in this version").expect("the section").1;
    let check = |base: &str, from: &str, to: &str, key: &str, words: &[&str]| {
        assert!(base.contains(from), "{from:?} is in the example");
        let text = base.replacen(from, to, 1);
        let mistakes = crate::study::parse(text.as_bytes()).expect_err(to);
        assert!(mistakes.list().iter().any(|mistake| mistake.key == key), "{key} in\n{mistakes}");
        for word in words {
            assert!(section.contains(&format!("`{word}`")), "{word} is in the guide");
        }
    };
    // New keys of a table that the example has.
    let unknown = |base: &str, header: &str, path: &str, keys: &[&str]| {
        for key in keys {
            let to = format!("{header}\n{key} = \"x\"");
            check(base, header, &to, &format!("{path}.{key}"), &[key]);
        }
    };
    unknown(EXAMPLE, "\n[missing]", "missing", &["unrecorded_feature"]);
    unknown(EXAMPLE, "\n[model]", "model", &["baseline"]);
    unknown(
        EXAMPLE,
        "\n[governance]",
        "governance",
        &["protocol", "funding", "conflicts", "model_destination", "commercial_use"],
    );
    unknown(
        EXAMPLE,
        "\n[[governance.approval]]",
        "governance.approval[1]",
        &["scope", "members_with_lived_experience", "paid"],
    );
    unknown(EXAMPLE, "\n[evaluation]", "evaluation", &["net_benefit_thresholds", "recalibrate"]);
    unknown(EXAMPLE, "\n[subgroups]", "subgroups", &["metrics"]);
    check(
        EXAMPLE,
        "rationale  =",
        "known_inequalities = \"x\"\nrationale =",
        "intended_use.known_inequalities",
        &["known_inequalities"],
    );
    check(
        EXAMPLE,
        "min_count =",
        "site_results = \"x\"\nmin_count =",
        "disclosure.site_results",
        &["site_results"],
    );
    for key in ["steps", "people_public", "batch_max", "survivors_min", "colluding_sites_max"] {
        let to = format!("{key} = 3\nclip_norm        =");
        check(EXAMPLE, "clip_norm        =", &to, &format!("privacy.training.{key}"), &[key]);
    }
    check(
        EXAMPLE,
        "[[governance.approval]]",
        "[governance.withdrawal]\nsite = \"stop-now\"\n[[governance.approval]]",
        "governance.withdrawal",
        &["[governance.withdrawal]"],
    );
    let metrics = "evaluation.metrics[1]";
    for word in ["eavg", "net_benefit"] {
        check(
            EXAMPLE,
            "metrics  = [",
            &format!("metrics  = [\"{word}\", "),
            metrics,
            &[&format!("\"{word}\"")],
        );
    }
    for word in ["constant", "dp-mean"] {
        let to = format!("impute    = \"{word}\"");
        check(EXAMPLE, "impute    = \"constant-midrange\"", &to, "missing.impute", &[]);
    }
    assert!(section.contains("`impute = \"constant\"`, `\"dp-mean\"`"));
    check(EXAMPLE, "\"logistic\" ", "\"gru\" ", "model.family", &["family = \"gru\""]);
    check(
        &OF_RECORDS,
        "[\"age\", \"sex\"]",
        "[\"age\", \"index_month\"]",
        "features.demographics[2]",
        &["\"index_month\""],
    );
    check(
        &OF_RECORDS,
        "\"listed\"",
        "\"dp-selected\"",
        "features.vocabulary",
        &["vocabulary = \"dp-selected\""],
    );
    check(
        &OF_RECORDS,
        "enabled = false ",
        "enabled = true\nsource = \"local-lexicon\"\nwindow = \"long\"\nencode = \"present-absent\"\nlexicon = \"words.tsv\" #",
        "features.notes.lexicon",
        &["lexicon"],
    );
    check(
        &OF_BINDINGS,
        "\"observation.value_as_number\"",
        "\"location.zip\"",
        "binding.local_deprivation.may_use[1]",
        &["location.zip"],
    );
    check(
        &OF_BINDINGS,
        "{ condition = \"mental_disorder\" }",
        "{ condition = \"mental_disorder\", role = \"primary\" }",
        "binding.psychiatric_stay.default.any_of[1].role",
        &["role"],
    );
    let levels =
        "levels = [{ concepts = [8532], label = \"female\" }, { concepts = [8507], label = \"male\" }]";
    check(&OF_RECORDS, levels, "", "attribute[1].levels", &["levels"]);
}
