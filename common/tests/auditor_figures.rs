//! The auditor's `epsilon` and `calibrate` as programs: output, exit codes, refusals.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// `epsilon_indep` of row B038 in `tests/vectors/privacy/epsilons.csv`, which is `TRAINING`.
const B038: f64 = 3.784698365;
/// `epsilon_rdp_integer` of that row.
const B038_RDP: f64 = 4.170317739759731;

const TRAINING: &str = r#"{"neighbours":"add_remove_one","events":[
    {"mechanism":"poisson_gaussian","sampling_rate":0.05,"noise_multiplier":1.5,"count":500}]}"#;

fn auditor(arguments: &str, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_auditor"))
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Where the arguments are refused, the pipe may be closed before it is written.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("the program ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn epsilon_in_json() {
    let output = auditor("epsilon --events - --delta 1e-5", TRAINING);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    let keys: Vec<&str> = answer.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["epsilon", "delta", "accountant", "epsilon_rdp"]);
    let number = |key: &str| answer[key].as_f64().expect("a number");
    assert!((number("epsilon") / B038 - 1.0).abs() < 3e-5, "{answer}");
    assert!((number("epsilon_rdp") / B038_RDP - 1.0).abs() < 1e-9, "{answer}");
    assert_eq!(answer["delta"], 1e-5);
    assert_eq!(answer["accountant"], "pld");
    assert_eq!(auditor("epsilon --events - --delta 1e-5 --accountant pld --format json", TRAINING), output);
    let output = auditor("epsilon --events - --delta 1e-5 --accountant rdp", TRAINING);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    assert_eq!((&answer["epsilon"], &answer["accountant"]), (&answer["epsilon_rdp"], &"rdp".into()));
}

#[test]
fn delta_at_an_epsilon() {
    let output = auditor("epsilon --events - --epsilon 3.8", TRAINING);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    let number = |key: &str| answer[key].as_f64().expect("a number");
    assert_eq!((number("epsilon"), &answer["accountant"]), (3.8, &"pld".into()));
    assert!((0.9e-5..1e-5).contains(&number("delta")), "{answer}");
    assert!(number("delta_rdp") > number("delta") && number("epsilon_rdp") > 3.8, "{answer}");
}

#[test]
fn epsilon_of_a_file() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("events.json");
    #[expect(clippy::disallowed_methods, reason = "the program reads a file")]
    std::fs::write(&file, TRAINING).expect("the folder is ours");
    let path = file.to_str().expect("UTF-8");
    assert!(!path.contains(char::is_whitespace), "arguments are split at spaces");
    let output = auditor(&format!("epsilon --events {path} --delta 1e-5"), "");
    assert_eq!(output, auditor("epsilon --events - --delta 1e-5", TRAINING));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn epsilon_in_words() {
    let output = auditor("epsilon --events - --delta 1e-5 --format text", TRAINING);
    assert_eq!(output.status.code(), Some(0));
    let expected = " at delta 1e-5 (by pld; one person added or removed)\n";
    let found = text(&output.stdout);
    assert!(found.starts_with("epsilon 3.7847") && found.ends_with(expected), "{found}");
}

#[test]
fn calibrate_meets_its_target() {
    let output = auditor("calibrate --epsilon 4 --delta 1e-5 --sampling-rate 0.05 --steps 200", "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    let number = |key: &str| answer[key].as_f64().expect("a number");
    assert_eq!((number("epsilon_target"), number("delta")), (4.0, 1e-5));
    assert_eq!(answer["accountant"], "pld");
    assert!(number("epsilon") <= 4.0 && number("epsilon") > 3.99, "{answer}");
    let events = format!(
        r#"{{"neighbours":"add_remove_one","events":[{{"mechanism":"poisson_gaussian","sampling_rate":0.05,
            "noise_multiplier":{},"count":200}}]}}"#,
        answer["noise_multiplier"]
    );
    let output = auditor("epsilon --events - --delta 1e-5", &events);
    let back: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    assert_eq!(back["epsilon"], answer["epsilon"]);
}

/// Each of the three is found from the two others.
#[test]
fn calibrate_the_third() {
    fn check(given: &str, key: &str, expected: f64, tolerance: f64) {
        let output = auditor(&format!("calibrate --epsilon 3.7852 --delta 1e-5 {given}"), "");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
        let found = answer[key].as_f64().expect("a number");
        assert!((found / expected - 1.0).abs() <= tolerance, "{answer}");
        assert!(answer["epsilon"].as_f64().is_some_and(|epsilon| epsilon <= 3.7852), "{answer}");
    }
    check("--sampling-rate 0.05 --steps 500", "noise_multiplier", 1.5, 2e-4);
    check("--noise-multiplier 1.5 --steps 500", "sampling_rate", 0.05, 2e-4);
    check("--noise-multiplier 1.5 --sampling-rate 0.05", "steps", 500.0, 2e-3);
}

#[test]
fn refusals_exit_with_2_and_say_why() {
    fn check(arguments: &str, input: &str, expected: &str) {
        let output = auditor(arguments, input);
        let why = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {why}");
        assert!(why.contains(expected), "{arguments}: {why}");
        assert_eq!(text(&output.stdout), "", "{arguments}");
    }
    let events = |event: &str| format!(r#"{{"neighbours":"add_remove_one","events":[{event}]}}"#);
    check("", "", "Usage:");
    check("epsilon --delta 1e-5", "", "--events <FILE>");
    check("epsilon --events - --delta x", TRAINING, "--delta");
    check("epsilon --events - --delta 0", TRAINING, "delta: expected a number above 0 and below 1, came 0");
    check(
        "epsilon --events - --delta 1e-5 --accountant prv",
        TRAINING,
        "there is no accountant \"prv\": expected pld or rdp",
    );
    check("epsilon --events /no/such/file --delta 1e-5", "", "/no/such/file: ");
    check("epsilon --events - --delta 1e-5", "{", "standard input: EOF while parsing an object at line 1");
    check(
        "epsilon --events - --delta 1e-5",
        &events(r#"{"mechanism":"gaussian","noise_multiplier":0,"count":1}"#),
        "standard input: events[0].noise_multiplier: expected a number from 1e-6 to 1e12, came 0",
    );
    check(
        "epsilon --events - --delta 1e-5",
        &events(
            r#"{"mechanism":"mixture_gaussian","sites":0,"sampling_rate":0.1,"noise_multiplier":1,"count":1}"#,
        ),
        "standard input: events[0].sites: expected a number from 1 to 256, came 0",
    );
    check(
        "calibrate --epsilon 0 --delta 1e-5 --sampling-rate 0.1 --steps 10",
        "",
        "epsilon: expected a finite number above 0, came 0",
    );
    check(
        "calibrate --epsilon 1 --delta 1e-5 --sampling-rate 2 --steps 10",
        "",
        "sampling_rate: expected a number above 0, at most 1, came 2",
    );
    check("calibrate --epsilon 1 --delta 1e-5 --sampling-rate 0.1 --steps 0", "", "steps: expected");
    check(
        "calibrate --epsilon 1 --delta 1e-5 --sampling-rate 0.1 --steps 10 --accountant prv",
        "",
        "expected pld or rdp",
    );
    check("calibrate --epsilon 1 --delta 1e-5 --sampling-rate 0.1", "", "give two of --noise-multiplier");
    check(
        "calibrate --epsilon 0.001 --delta 1e-9 --sampling-rate 0.5 --noise-multiplier 1",
        "",
        "epsilon 0.001 cannot be met: it is ",
    );
}

#[test]
fn help_shows_an_example() {
    for command in ["epsilon", "calibrate"] {
        let output = auditor(&format!("{command} --help"), "");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("Example:"), "{command}");
    }
}
