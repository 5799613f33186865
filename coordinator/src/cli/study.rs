//! Studies: make, check, publish, start, watch, report.

use super::output::{Output, line};
use super::study_text;
use super::template::{Mode, Source, Template};
use super::vocabulary::{Concepts, PARTIAL};
use super::{Format, HomeArgs};
use crate::home::Home;
use crate::operator::{CommandError, dial};
use crate::study::StudyEvent;
use clap::Subcommand;
use consilium_common::report::audit::{self, Audit};
use consilium_common::study;
use consilium_proto::v1 as wire;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The longest wait of one watch call, ms.
const WAIT_MS: u32 = 20_000;

/// `study`.
#[derive(Subcommand)]
pub(super) enum StudyCommand {
    /// Write a commented study file to start from; with a running coordinator its roster lists the
    /// enrolled sites.
    #[command(after_help = "Example: coordinator study new --home consortium --out study.toml --epsilon 3 \\
  --people ashford=3960 --people brackley=840")]
    New {
        /// The file to write; it must not exist.
        #[arg(long)]
        out: PathBuf,
        /// What the hospitals hold.
        #[arg(long, value_enum, default_value = "table")]
        source: Source,
        /// Start from this file instead of a built-in one; a quorum that may stay stays.
        #[arg(long, conflicts_with = "source")]
        from: Option<PathBuf>,
        /// Who is trusted with what; without it what --from says, else `local` for tables and `distributed` for
        /// OMOP records. A file of the other mode is changed to the asked one, and what changes is said.
        #[arg(long, value_enum)]
        privacy: Option<Mode>,
        /// Calibrate the noise so that no person pays more than this.
        #[arg(long, allow_negative_numbers = true, value_parser = super::study_new::epsilon)]
        epsilon: Option<f64>,
        /// The people whom each site publishes, as NAME=COUNT; may be repeated.
        #[arg(long = "people", value_name = "SITE=COUNT")]
        people: Vec<String>,
        #[command(flatten)]
        home: HomeArgs,
    },
    /// Check a study file: every mistake with its line, what will be read, and what privacy costs.
    #[command(after_help = "Examples:
  coordinator study check study.toml
  coordinator study check study.toml --vocabulary omop-vocabulary")]
    Check {
        /// The study file.
        file: PathBuf,
        /// The share of people that are expected to have each outcome, in (0, 1); without it what the file says of each
        /// (prevalence_public), and 0.1 where it says nothing.
        #[arg(long, value_parser = share)]
        outcome_share: Option<f64>,
        /// Look its concepts and units up: a folder with OMOP's table concept (CONCEPT.csv), as Athena ships it, unpacked,
        /// or as a folder of OMOP tables has it.
        #[arg(long, value_name = "DIR")]
        vocabulary: Option<PathBuf>,
    },
    /// Take a cohort of Atlas or a task of ACES into a study file, if the study language can say exactly the same.
    #[command(after_help = "Example: coordinator study import psychosis.json --as circe --out study.toml")]
    Import(super::import::ImportArgs),
    /// Open a study for the sites to approve or decline.
    #[command(after_help = "Example: coordinator study publish study.toml --home consortium")]
    Publish {
        /// The study file; its exact bytes are what sites approve.
        file: PathBuf,
        #[command(flatten)]
        home: HomeArgs,
    },
    /// Who approved, who declined and why, and how far it is.
    #[command(after_help = "Example: coordinator study status mh-selfharm --home consortium")]
    Status {
        /// An id or a digest; all studies without it.
        study: Option<String>,
        #[command(flatten)]
        home: HomeArgs,
    },
    /// Freeze the sites that approved, and train.
    #[command(after_help = "Example: coordinator study start mh-selfharm --home consortium")]
    Start {
        /// An id or a digest.
        study: String,
        #[command(flatten)]
        home: HomeArgs,
    },
    /// Follow a study until it ends.
    #[command(after_help = "Example: coordinator study watch mh-selfharm --home consortium")]
    Watch {
        /// An id or a digest.
        study: String,
        #[command(flatten)]
        home: HomeArgs,
    },
    /// Stop a study early; what was spent stays spent.
    #[command(after_help = "Example: coordinator study stop mh-selfharm --home consortium")]
    Stop {
        /// An id or a digest.
        study: String,
        #[command(flatten)]
        home: HomeArgs,
    },
    /// Write the report, the metrics, the model and the audit bundle of a study that has ended.
    #[command(after_help = "Example: coordinator study report mh-selfharm --home consortium --out results")]
    Report {
        /// An id or a digest.
        study: String,
        /// A new or empty folder.
        #[arg(long)]
        out: PathBuf,
        /// The document of an audit of the mechanism (`audit.json`), to show beside the claimed ε.
        #[arg(long)]
        audit: Option<PathBuf>,
        #[command(flatten)]
        home: HomeArgs,
    },
}

pub(super) async fn run(command: StudyCommand, out: Output) -> Result<(), CommandError> {
    match command {
        StudyCommand::New { out: path, from, source, privacy, epsilon, people, home } => {
            let template = match from {
                None => Ok(Template::shipped(source, privacy)),
                Some(from) => Template::read(&from, privacy)
                    .and_then(|template| template.check(None).map(|()| template))
                    .map_err(|error| CommandError::input(format!("--from {error}"))),
            };
            super::study_new::new(&path, template, epsilon, &people, &home, out).await
        }
        StudyCommand::Check { file, outcome_share, vocabulary } => {
            check(&file, outcome_share, vocabulary.as_deref(), out)
        }
        StudyCommand::Import(args) => super::import::run(&args, out),
        StudyCommand::Publish { file, home } => {
            let bytes = read_study(&file)?;
            let digest = publish(&Home::open(&home.home)?, bytes, &file).await?;
            out.print(&json!({"digest": digest}), || {
                format!("Published as {digest}.\nAt each site: site-agent study show {digest}")
            })
        }
        StudyCommand::Status { study, home } => {
            let studies = status(&Home::open(&home.home)?, study.unwrap_or_default()).await?;
            out.print(&studies, || home.in_commands(&study_text::status(&studies)))
        }
        StudyCommand::Start { study, home } => {
            let participants = start(&Home::open(&home.home)?, &study).await?;
            out.print(&json!({"study": study, "participants": participants}), || {
                let participants = participants.join(", ");
                format!(
                    "Started with {participants}.\nNext: coordinator study watch {study}{}",
                    home.option()
                )
            })
        }
        StudyCommand::Watch { study, home } => {
            let mut last = None;
            watch(&Home::open(&home.home)?, &study, |event| {
                if let StudyEvent::Ended { reason, .. } = event {
                    last = Some(reason.clone());
                }
                match out.format {
                    Format::Json => line(&serde_json::to_string(event).expect("plain data")),
                    Format::Text => line(&study_text::event(event)),
                }
            })
            .await?;
            match last {
                Some(reason) if !reason.starts_with("finished") => Err(CommandError::Refused(reason)),
                _ => Ok(()),
            }
        }
        StudyCommand::Stop { study, home } => {
            let mut operator = dial(&Home::open(&home.home)?).await?;
            operator.stop_study(wire::StopStudyRequest { study: study.clone() }).await?;
            out.print(&json!({"study": study, "state": "stopping"}), || format!("{study} is stopping."))
        }
        StudyCommand::Report { study, out: folder, audit, home } => {
            let audit = audit.as_deref().map(read_audit).transpose()?;
            let bundle = match bundle_of(&Home::open(&home.home)?, &study).await {
                Err(CommandError::Refused(why)) => return Err(CommandError::Refused(home.in_commands(&why))),
                found => found?,
            };
            let written = crate::results::write(&bundle, &folder, None, audit)?;
            out.print(&written.json, || written.text.clone())
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("expected a number between 0 and 1, both excluded".into()),
    }
}

fn read_audit(path: &Path) -> Result<Audit, CommandError> {
    let invalid = |what: String| CommandError::input(format!("{}: {what}", path.display()));
    let file = std::fs::File::open(path).map_err(|e| invalid(e.to_string()))?;
    let mut bytes = Vec::new();
    // One byte more than it takes, so that a longer file shows.
    let limit = audit::BYTES_MAX as u64 + 1;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, limit), &mut bytes)
        .map_err(|e| invalid(e.to_string()))?;
    Audit::parse(&bytes).map_err(|e| invalid(e.to_string()))
}

/// A study file's bytes.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read_study(path: &Path) -> Result<Vec<u8>, CommandError> {
    std::fs::read(path).map_err(|error| CommandError::input(format!("{}: {error}", path.display())))
}

fn check(
    path: &Path,
    outcome_share: Option<f64>,
    vocabulary: Option<&Path>,
    out: Output,
) -> Result<(), CommandError> {
    let bytes = read_study(path)?;
    let (parsed, lookup) = study::parse_for_lookup(&bytes);
    let (concepts, wrong) = Concepts::of(path, lookup, vocabulary)?;
    let input = |what: String| CommandError::input(format!("{}:\n{what}", path.display()));
    let parsed = match (parsed, wrong) {
        (Ok(parsed), None) => parsed,
        (Err(mistakes), None) => return Err(input(mistakes.to_string())),
        (parsed, Some(wrong)) => {
            let all = match parsed {
                Ok(_) => wrong,
                Err(mistakes) => mistakes.and(wrong),
            };
            return Err(input(format!("{all}\n{concepts}{PARTIAL}")));
        }
    };
    let mut prediction = match outcome_share {
        Some(share) => study::predict(&parsed, share),
        None => study::predict_as_published(&parsed),
    };
    prediction.warnings.extend(over(&parsed, crate::clock::now().day()));
    let json = json!({
        "study": parsed.id,
        "digest": parsed.digest,
        "prediction": prediction_json(&prediction),
        "concepts": concepts.json(),
    });
    out.print(&json, || format!("{}\n{prediction}{concepts}", study::describe(&parsed)))
}

/// Of a study whose last day is past.
fn over(study: &study::Study, today: jiff::civil::Date) -> Option<String> {
    let last = study.governance.valid_until;
    (last < today).then(|| {
        format!("governance.valid_until, {last}, is past: it can be neither published nor approved; write a later day")
    })
}

fn prediction_json(prediction: &study::check::Prediction) -> Value {
    let sites: Vec<_> = prediction
        .sites
        .iter()
        .map(|s| {
            json!({"name": s.name, "people_public": s.people_public, "training_people": s.training_people,
                   "evaluation_people": s.evaluation_people, "step_people": s.step_people})
        })
        .collect();
    let groupings: Vec<_> = prediction
        .groupings
        .iter()
        .map(|g| {
            json!({"name": g.name, "groups": g.groups, "noise_multiplier": g.noise_multiplier,
                   "error_of_noise": g.error_of_noise, "error_of_sampling": g.error_of_sampling,
                   "too_few_people_to_say": g.too_few_people_to_say, "interval_says_nothing": g.interval_says_nothing})
        })
        .collect();
    let completeness: Vec<_> = prediction
        .completeness
        .iter()
        .map(|c| {
            json!({"name": c.name, "states": c.states, "noise_multiplier": c.noise_multiplier,
                   "error_people": c.error_people})
        })
        .collect();
    let outcome_shares: Vec<_> = prediction
        .outcome_shares
        .iter()
        .map(|of| json!({"prediction": of.prediction, "share": of.share, "published": of.is_published}))
        .collect();
    json!({
        "epsilon_training": prediction.epsilon_training_account,
        "epsilon_evaluation": prediction.epsilon_evaluation_account,
        "epsilon_two_hospitals": prediction.epsilon_two_hospitals,
        "epsilon_three_hospitals": prediction.epsilon_three_hospitals,
        "epsilon_rdp": prediction.epsilon_rdp,
        "accountant": prediction.accountant.name(),
        "delta": prediction.delta,
        "parameters": prediction.parameters,
        "step_noise": prediction.step_noise,
        "variance_ratio": prediction.secure.map(|secure| secure.variance_ratio),
        "sites": sites,
        "groupings": groupings,
        "completeness": completeness,
        "held_out_share": prediction.held_out_share,
        "outcome_shares": outcome_shares,
        "warnings": prediction.warnings,
    })
}

/// Publishes a study's exact bytes.
///
/// # Errors
/// Not a study, a roster that does not fit, or no coordinator.
pub(crate) async fn publish(home: &Home, bytes: Vec<u8>, path: &Path) -> Result<String, CommandError> {
    study::parse(&bytes)
        .map_err(|mistakes| CommandError::input(format!("{}:\n{mistakes}", path.display())))?;
    let mut operator = dial(home).await?;
    let response = operator.publish_study(wire::PublishStudyRequest { file: bytes.into() }).await?;
    Ok(format!("sha256:{}", hex::encode(response.into_inner().digest)))
}

/// Studies as JSON.
///
/// # Errors
/// No such study, or no coordinator.
pub(crate) async fn status(home: &Home, study: String) -> Result<Value, CommandError> {
    let response = dial(home).await?.study_status(wire::StudyStatusRequest { study }).await?;
    serde_json::from_str(&response.into_inner().json).map_err(CommandError::fault)
}

/// Starts a study; says who takes part.
///
/// # Errors
/// Too few approvals, not valid today, or no coordinator.
pub(crate) async fn start(home: &Home, study: &str) -> Result<Vec<String>, CommandError> {
    let request = wire::StartStudyRequest { study: study.to_owned() };
    Ok(dial(home).await?.start_study(request).await?.into_inner().participants)
}

/// Calls `see` with each event until the study has ended.
///
/// # Errors
/// No coordinator, no such study, or what `see` says.
pub(crate) async fn watch(
    home: &Home,
    study: &str,
    mut see: impl FnMut(&StudyEvent) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut operator = dial(home).await?;
    let mut after = 0;
    loop {
        let request = wire::WatchStudyRequest { study: study.to_owned(), after, wait_ms: WAIT_MS };
        let news = match operator.watch_study(request).await {
            Ok(news) => news.into_inner(),
            Err(status) if matches!(status.code(), tonic::Code::Unavailable | tonic::Code::Unknown) => {
                // The coordinator was restarted; it goes on where it was.
                operator = redial(home).await?;
                continue;
            }
            Err(status) => return Err(status.into()),
        };
        for event in &news.events {
            see(&serde_json::from_str(event).map_err(CommandError::fault)?)?;
        }
        after = news.last;
        if news.ended {
            return Ok(());
        }
    }
}

async fn redial(
    home: &Home,
) -> Result<wire::operator_client::OperatorClient<tonic::transport::Channel>, CommandError> {
    const TRIES: u32 = 60;
    let mut tries = 0;
    loop {
        match dial(home).await {
            Err(_) if tries < TRIES => tries += 1,
            result => return result,
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}

/// Where the bundle of an ended study is.
///
/// # Errors
/// The study has not ended, or its bundle is not there.
pub(crate) async fn bundle_of(home: &Home, study: &str) -> Result<PathBuf, CommandError> {
    let studies = status(home, study.to_owned()).await?;
    let state = &studies[0];
    let digest = state["digest"].as_str().and_then(|d| d.strip_prefix("sha256:")).unwrap_or_default();
    if state["phase"] != "ended" {
        return Err(CommandError::Refused(format!(
            "{study} has not ended (it is {}): `coordinator study watch {study}` follows it",
            state["phase"].as_str().unwrap_or("in an unknown phase")
        )));
    }
    let folder = home.path("bundles").join(digest);
    // The bundle is written within moments of the end.
    for _ in 0..100 {
        if folder.exists() {
            return Ok(folder);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err(CommandError::Refused(format!("{study} ended before it started: there is nothing to report")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../report/sample.toml");

    #[test]
    fn a_study_that_is_over_is_warned_of() {
        fn check(today: &str, is_warned: bool) {
            let study = study::parse(EXAMPLE.as_bytes()).expect("a study");
            let said = over(&study, today.parse().expect("a day"));
            assert_eq!(
                said.is_some_and(|said| said.contains("valid_until, 2027-12-31, is past")),
                is_warned,
                "{today}"
            );
        }
        check("2026-01-01", false);
        check("2027-12-31", false);
        check("2028-01-01", true);
    }

    /// What the text says, programs can read.
    #[test]
    fn a_prediction_says_the_same_to_programs() {
        let prediction = study::predict_as_published(&study::parse(EXAMPLE.as_bytes()).expect("a study"));
        let json = prediction_json(&prediction);
        assert_eq!(json["epsilon_three_hospitals"], prediction.epsilon_three_hospitals);
        let names = |list: &Value| -> Vec<String> {
            list.as_array().expect("a list").iter().map(|one| one["name"].to_string()).collect()
        };
        assert_eq!(names(&json["completeness"]), ["\"sexual_orientation\""]);
        assert_eq!(json["completeness"][0]["error_people"], prediction.completeness[0].error_people);
        assert_eq!(json["outcome_shares"].as_array().map(Vec::len), Some(1));
        assert_eq!(json["groupings"][0]["interval_says_nothing"], false);
    }
}
