//! Mistakes in studies that go by secure sums.

use super::{EXAMPLE, replaced};
use crate::study::parse;

const DISTRIBUTED: &[(&str, &str)] = &[
    ("\"local\"  ", "\"distributed\"\ncolluding = 1 #"),
    ("weight = 1.5", "weight = 1.0"),
    ("weight = 0.8", "weight = 1.0"),
    ("local_steps      = 2", "local_steps      = 1"),
    ("proximal         = 0.01", "proximal         = 0.0"),
    ("quorum           = 2", "quorum           = 3"),
];

fn mistakes(edits: &[(&str, &str)]) -> String {
    let sound = DISTRIBUTED.iter().filter(|(from, _)| EXAMPLE.contains(from));
    let text = sound.fold(EXAMPLE.to_owned(), |text, (from, to)| replaced(&text, from, to));
    let text = edits.iter().fold(text, |text, (from, to)| replaced(&text, from, to));
    parse(text.as_bytes()).map_or_else(|mistakes| mistakes.to_string(), |_| String::new())
}

/// In distributed mode each mistake is said once, where it is, with an advice that this mode takes.
#[test]
fn mistakes_of_distributed_mode() {
    fn check(from: &str, to: &str, expected: &[&str]) {
        let said = mistakes(&[(from, to)]);
        assert_eq!(said.lines().count(), expected.len(), "{said}");
        for (line, part) in said.lines().zip(expected) {
            assert!(line.contains(part), "{line:?} has no {part:?}");
        }
    }
    assert_eq!(mistakes(&[]), "");
    // Too little noise is too little noise, and nothing about sums.
    check("noise_multiplier = 1.6", "noise_multiplier = 0.4", &["cost at most 3"]);
    check("colluding = 1", "colluding = 2", &["for 3 sites write quorum = 3 and colluding = 1"]);
    check(
        "quorum           = 3",
        "quorum           = 2",
        &["for 3 sites write quorum = 3 and colluding = 1"],
    );
    check(
        "quorum           = 3",
        "quorum           = 5",
        &["for 3 sites write quorum = 3 and colluding = 1"],
    );
    check("local_steps      = 1", "local_steps      = 2", &["local_steps: expected 1 in distributed mode"]);
    check(
        "weight = 1.0",
        "weight = 1.5",
        &[
            "site[1].weight: expected one weight for all sites in distributed mode: a secure sum counts every person alike, came 1.5; write weight = 1.0 for every site",
        ],
    );
    // A wrong word for the mode: whether `colluding` belongs beside it is not said.
    check("\"distributed\"", "\"secure\"", &["privacy.mode: expected \"local\" or \"distributed\""]);
}

/// A mistake in the mode, or in what belongs to it, hides no other one.
#[test]
fn the_mode_hides_nothing() {
    const ELSEWHERE: &[(&str, &str)] = &[
        ("noise_multiplier = 1.6", "noise_multiplier = 0.4"),
        ("local_steps      = 1", "local_steps      = 2"),
        ("quorum           = 3", "quorum           = 2"),
    ];
    const SAID: [&str; 3] =
        ["local_steps: expected 1 in distributed mode", "write quorum = 3", "cost at most 3"];
    fn check(from: &str, to: &str, key: &str, said_besides: &[&str]) {
        let edits: Vec<_> = std::iter::once((from, to)).chain(ELSEWHERE.iter().copied()).collect();
        let said = mistakes(&edits);
        for part in [key].iter().chain(said_besides) {
            assert!(said.lines().any(|line| line.contains(part)), "{said:?} has no {part:?}");
        }
        assert_eq!(said.lines().count(), 1 + said_besides.len(), "{said}");
    }
    for colluding in ["colluding = 0", "colluding = \"one\"", "colluding = 500"] {
        check("colluding = 1", colluding, "privacy.colluding: expected a whole number", &SAID);
    }
    check(
        "colluding = 1",
        "",
        "privacy.colluding: expected a whole number from 1 to 100, came nothing",
        &SAID,
    );
    // What depends on the mode is not known; what costs too much in either is.
    check("\"distributed\"", "\"secure\"", "privacy.mode: expected", &["cost at most 3"]);
    // A number that one less colluding hospital would allow is no mistake of its own.
    let said = mistakes(&[("colluding = 1", "colluding = 0")]);
    assert_eq!(said.lines().count(), 1, "{said}");
}
