//! `auditor epsilon`: ε at a δ, or δ at an ε, of a list of events from a file that anybody can write.

use crate::{BAD_INPUT, Format, print_figure, refuse};
use consilium_common::privacy::accountant::{Accountant, InvalidEvent, delta_by, epsilon_by};
use consilium_common::privacy::mechanism::Event;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Most bytes of an events file: some hundred thousand events.
const FILE_BYTES_MAX: u64 = 16 << 20;

const EXAMPLE: &str = r#"Example: 200 training steps, then five histograms

  auditor epsilon --delta 1e-5 --events - <<'END'
  {"neighbours": "add_remove_one", "events": [
    {"mechanism": "poisson_gaussian", "sampling_rate": 0.05, "noise_multiplier": 1.5, "count": 200},
    {"mechanism": "gaussian", "noise_multiplier": 20, "count": 5}
  ]}
  END

Mechanisms: gaussian, poisson_gaussian, laplace and poisson_laplace (with "scale"), and
mixture_gaussian (with "sites": a person known to so many sites of one secure sum). Noise is per
unit of sensitivity, that of adding or removing one person. With --epsilon instead of --delta, delta is
computed."#;

/// Compute epsilon, or delta, of a list of events
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// JSON file with the events; - for standard input
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Delta, above 0 and below 1
    #[arg(long, value_name = "D", required_unless_present = "epsilon")]
    delta: Option<f64>,
    /// Epsilon, 0 or above: compute delta at it
    #[arg(long, value_name = "E", conflicts_with = "delta")]
    epsilon: Option<f64>,
    /// How privacy loss is counted: pld or rdp
    #[arg(long, value_name = "NAME", default_value = Accountant::Pld.name())]
    accountant: Accountant,
    /// Default: text on a terminal, json otherwise
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

#[derive(serde::Serialize)]
struct Answer {
    epsilon: f64,
    delta: f64,
    accountant: &'static str,
    /// By RDP, at the same δ; none at δ = 0.
    epsilon_rdp: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta_rdp: Option<f64>,
}

#[derive(Debug, thiserror::Error)]
enum InvalidInput {
    #[error("{file}: {error}")]
    Io { file: String, error: std::io::Error },
    #[error("{file}: expected at most {FILE_BYTES_MAX} bytes")]
    TooLong { file: String },
    #[error("{file}: {why}")]
    Events { file: String, why: String },
    #[error(transparent)]
    Parameter(#[from] InvalidEvent),
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match answer(args) {
        Ok(answer) => print_figure(args.format, &answer, &sentence(&answer)),
        Err(error) => refuse(BAD_INPUT, &error.to_string()),
    }
}

fn answer(args: &Args) -> Result<Answer, InvalidInput> {
    let file = if args.events == Path::new("-") {
        "standard input".to_owned()
    } else {
        args.events.display().to_string()
    };
    let bytes = read(&args.events).map_err(|error| InvalidInput::Io { file: file.clone(), error })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(InvalidInput::TooLong { file });
    }
    let events = parse(&bytes).map_err(|why| InvalidInput::Events { file: file.clone(), why })?;
    let in_file = |error| match error {
        InvalidEvent::Event { .. } => InvalidInput::Events { file: file.clone(), why: error.to_string() },
        InvalidEvent::Parameter { .. } => error.into(),
    };
    let price = |accountant, delta| epsilon_by(accountant, &events, delta).map_err(in_file);
    let accountant = args.accountant.name();
    if let Some(epsilon) = args.epsilon {
        let delta = delta_by(args.accountant, &events, epsilon).map_err(in_file)?;
        let delta_rdp = Some(delta_by(Accountant::Rdp, &events, epsilon).map_err(in_file)?);
        let in_range = delta > 0.0 && delta < 1.0;
        let epsilon_rdp = if in_range { Some(price(Accountant::Rdp, delta)?) } else { None };
        return Ok(Answer { epsilon, delta, accountant, epsilon_rdp, delta_rdp });
    }
    let delta = args.delta.expect("one of the two is required");
    let epsilon = price(args.accountant, delta)?;
    let epsilon_rdp = Some(price(Accountant::Rdp, delta)?);
    Ok(Answer { epsilon, delta, accountant, epsilon_rdp, delta_rdp: None })
}

/// One byte more than allowed, at most: enough to see that it is too long.
#[expect(clippy::disallowed_methods, reason = "the auditor reads the file that it is pointed at")]
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn sentence(answer: &Answer) -> String {
    format!(
        "epsilon {:.6} at delta {:e} (by {}; one person added or removed)",
        answer.epsilon, answer.delta, answer.accountant
    )
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsFile {
    neighbours: String,
    events: Vec<RawEvent>,
}

/// The keys of all mechanisms, so that a mistake can be named with its place in the list.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvent {
    mechanism: String,
    sampling_rate: Option<f64>,
    noise_multiplier: Option<f64>,
    scale: Option<f64>,
    sites: Option<u64>,
    count: u64,
}

/// The events of a file, or what is wrong with it and where.
fn parse(bytes: &[u8]) -> Result<Vec<Event>, String> {
    let EventsFile { neighbours, events } =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if neighbours != "add_remove_one" {
        return Err(format!("neighbours: expected \"add_remove_one\", came {:?}", shortened(&neighbours)));
    }
    events.iter().enumerate().map(|(index, raw)| event(index, raw)).collect()
}

fn event(index: usize, raw: &RawEvent) -> Result<Event, String> {
    let count = raw.count;
    let keys = [
        ("sampling_rate", raw.sampling_rate.is_some()),
        ("noise_multiplier", raw.noise_multiplier.is_some()),
        ("scale", raw.scale.is_some()),
        ("sites", raw.sites.is_some()),
    ];
    let only = |own: &[&str]| match keys.iter().find(|(key, is_there)| *is_there && !own.contains(key)) {
        Some((key, _)) => Err(format!("events[{index}].{key}: mechanism {} has no such key", raw.mechanism)),
        None => Ok(()),
    };
    let needed = |key: &str, value: Option<f64>| {
        value.ok_or_else(|| format!("events[{index}].{key}: mechanism {} needs it", raw.mechanism))
    };
    match raw.mechanism.as_str() {
        "gaussian" => {
            only(&["noise_multiplier"])?;
            let noise_multiplier = needed("noise_multiplier", raw.noise_multiplier)?;
            Ok(Event::Gaussian { noise_multiplier, count })
        }
        "poisson_gaussian" => {
            only(&["sampling_rate", "noise_multiplier"])?;
            let sampling_rate = needed("sampling_rate", raw.sampling_rate)?;
            let noise_multiplier = needed("noise_multiplier", raw.noise_multiplier)?;
            Ok(Event::PoissonGaussian { sampling_rate, noise_multiplier, count })
        }
        "laplace" => {
            only(&["scale"])?;
            Ok(Event::Laplace { scale: needed("scale", raw.scale)?, count })
        }
        "poisson_laplace" => {
            only(&["sampling_rate", "scale"])?;
            let sampling_rate = needed("sampling_rate", raw.sampling_rate)?;
            Ok(Event::PoissonLaplace { sampling_rate, scale: needed("scale", raw.scale)?, count })
        }
        "mixture_gaussian" => {
            only(&["sites", "sampling_rate", "noise_multiplier"])?;
            let sites = raw
                .sites
                .ok_or_else(|| format!("events[{index}].sites: mechanism mixture_gaussian needs it"))?;
            let sampling_rate = needed("sampling_rate", raw.sampling_rate)?;
            let noise_multiplier = needed("noise_multiplier", raw.noise_multiplier)?;
            // What does not fit is above the most that is accounted for, and refused as that.
            let sites = u32::try_from(sites).unwrap_or(u32::MAX);
            Ok(Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, count })
        }
        other => Err(format!(
            "events[{index}].mechanism: expected gaussian, poisson_gaussian, laplace, poisson_laplace or \
             mixture_gaussian, came {:?}",
            shortened(other)
        )),
    }
}

/// Enough to recognise it by.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(event: &str) -> String {
        format!(r#"{{"neighbours":"add_remove_one","events":[{event}]}}"#)
    }

    #[test]
    fn events_of_each_mechanism() {
        fn check(event: &str, expected: Event) {
            assert_eq!(parse(file(event).as_bytes()), Ok(vec![expected]));
        }
        check(
            r#"{"mechanism":"gaussian","noise_multiplier":2,"count":3}"#,
            Event::Gaussian { noise_multiplier: 2.0, count: 3 },
        );
        check(
            r#"{"count":500,"sampling_rate":5e-2,"noise_multiplier":1.5,"mechanism":"poisson_gaussian"}"#,
            Event::PoissonGaussian { sampling_rate: 0.05, noise_multiplier: 1.5, count: 500 },
        );
        check(r#"{"mechanism":"laplace","scale":0.5,"count":1}"#, Event::Laplace { scale: 0.5, count: 1 });
        assert_eq!(parse(file("").as_bytes()), Ok(Vec::new()));
    }

    /// The file has the form in which events are kept elsewhere.
    #[test]
    fn the_same_form_as_in_a_ledger() {
        for event in [
            Event::Gaussian { noise_multiplier: 2.0, count: 3 },
            Event::PoissonGaussian { sampling_rate: 0.05, noise_multiplier: 1.5, count: 500 },
            Event::Laplace { scale: 0.1, count: u64::MAX },
            Event::PoissonLaplace { sampling_rate: 0.1, scale: 2.0, count: 4 },
            Event::MixtureGaussian { sites: 2, sampling_rate: 0.05, noise_multiplier: 1.5, count: 500 },
        ] {
            let text = serde_json::to_string(&event).expect("plain numbers");
            assert_eq!(parse(file(&text).as_bytes()), Ok(vec![event]));
        }
    }

    #[test]
    fn mistakes_name_their_place() {
        fn check(text: &str, expected: &str) {
            let why = parse(text.as_bytes()).expect_err("a mistake");
            assert!(why.contains(expected), "{why:?} does not say {expected:?}");
        }
        check("", "line 1 column 0");
        check("[]", "line 1 column");
        check(r#"{"events":[]}"#, "missing field `neighbours`");
        check(r#"{"neighbours":"add_remove_one"}"#, "missing field `events`");
        check(
            r#"{"neighbours":"replace_one","events":[]}"#,
            "neighbours: expected \"add_remove_one\", came \"replace_one\"",
        );
        check(r#"{"neighbours":"add_remove_one","events":[],"unit":"visit"}"#, "unknown field `unit`");
        check(r#"{"neighbours":"add_remove_one","events":[],"events":[]}"#, "duplicate field `events`");
        check(r#"{"neighbours":"add_remove_one","events":[]} x"#, "trailing characters at line 1 column 45");

        let good = r#"{"mechanism":"laplace","scale":1,"count":1}"#;
        let second = |event: &str| file(&format!("{good},\n{event}"));
        check(&second(r#"{"mechanism":"laplace","scale":1}"#), "missing field `count` at line 2");
        check(
            &second(r#"{"mechanism":"laplace","scale":1,"count":1,"x":1}"#),
            "unknown field `x`, expected one of",
        );
        check(&second(r#"{"mechanism":"laplace","scale":1,"scale":2,"count":1}"#), "duplicate field `scale`");
        check(&second(r#"{"mechanism":"laplace","scale":1,"count":1.5}"#), "expected u64 at line 2");
        check(&second(r#"{"mechanism":"laplace","scale":1,"count":-1}"#), "expected u64 at line 2");
        check(&second(r#"{"mechanism":"laplace","scale":"1","count":1}"#), "expected f64 at line 2");
        check(&second(r#"{"mechanism":"laplace","scale":1e999,"count":1}"#), "number out of range at line 2");
        check(&second(r#"{"mechanism":"laplace","count":1}"#), "events[1].scale: mechanism laplace needs it");
        check(
            &second(r#"{"mechanism":"laplace","scale":1,"noise_multiplier":1,"count":1}"#),
            "events[1].noise_multiplier: mechanism laplace has no such key",
        );
        check(
            &second(r#"{"mechanism":"gaussian","noise_multiplier":1,"sampling_rate":0.1,"count":1}"#),
            "events[1].sampling_rate: mechanism gaussian has no such key",
        );
        check(
            &second(r#"{"mechanism":"poisson_gaussian","noise_multiplier":1,"count":1}"#),
            "events[1].sampling_rate: mechanism poisson_gaussian needs it",
        );
        check(
            &second(r#"{"mechanism":"poisson_laplace","scale":1,"count":1}"#),
            "events[1].sampling_rate: mechanism poisson_laplace needs it",
        );
        check(
            &second(r#"{"mechanism":"mixture_gaussian","sampling_rate":0.1,"noise_multiplier":1,"count":1}"#),
            "events[1].sites: mechanism mixture_gaussian needs it",
        );
        check(
            &second(r#"{"mechanism":"exponential","count":1}"#),
            "laplace, poisson_laplace or mixture_gaussian, came \"exponential\"",
        );
    }
}
