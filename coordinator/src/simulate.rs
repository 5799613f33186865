//! References in this process and without a socket: what the same model reaches without privacy when
//! everybody's examples are pooled, what each site reaches alone, and (`--compare`) what the noise of a
//! trusted curator, of a secure sum and of each site for itself cost at the same ε. They read example files
//! that `site-agent data export --examples` wrote from tables that are the user's to read, and
//! nothing of them is released.

mod chance;
mod compare;
mod prices;
mod server;
mod spread;
mod table;
mod trainers;
mod tune;

pub use compare::CompareArgs;

use crate::cli::Output;
use crate::metrics::Of;
use crate::operator::CommandError;
use clap::Args;
use consilium_common::evaluation::exact::{self, Exact, Scored};
use consilium_common::examples::{ExampleFile, Examples};
use consilium_common::id::SiteName;
use consilium_common::model::Architecture;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::privacy::clip::Lattice;
use consilium_common::study::{self, RosterSite, Study};
use consilium_common::train::{self, local, reference};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// `simulate`.
#[derive(Args)]
#[command(after_help = "\
Example:
  site-agent data export --examples --study study.toml --data st-elsewhere/table.csv \\
      --home st-elsewhere/agent --out examples/st-elsewhere.examples
  coordinator simulate --study study.toml --examples examples
  coordinator simulate --study study.toml --examples examples --compare --epsilon 0.5,1,3,8 --seeds 5")]
pub struct SimulateArgs {
    /// The study file.
    #[arg(long)]
    study: PathBuf,
    /// A folder of example files, one per site: SITE.examples.
    #[arg(long)]
    examples: PathBuf,
    /// A bundle whose final model is judged as well, on the exact scores of these people.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Trainers under noise.
    #[command(flatten)]
    compare: CompareArgs,
}

/// One site's examples.
pub struct SiteExamples {
    /// Whose.
    pub site: SiteName,
    /// Training and evaluation people.
    pub examples: ExampleFile,
}

/// One model judged without noise on everybody's evaluation people. Not released.
#[derive(Debug, Clone)]
pub struct Reference {
    /// `federated`, `federated_without_noise`, `local:SITE`, `pooled_reference`.
    pub name: String,
    /// Which of the study's predictions it is judged on.
    pub of: Option<Of>,
    /// On all sites' evaluation people together; `None` without people of both outcomes.
    pub exact: Option<Exact>,
    /// Its ROC curve on them, for drawing; empty without people of both outcomes.
    pub roc: Vec<(f64, f64)>,
}

/// Runs the command.
///
/// # Errors
/// Files that are no study or no examples.
pub fn run(args: &SimulateArgs, out: Output) -> Result<(), CommandError> {
    let bytes = crate::cli::read_study(&args.study)?;
    let study =
        study::parse(&bytes).map_err(|m| CommandError::input(format!("{}:\n{m}", args.study.display())))?;
    let sites = load(&study, &args.examples)?;
    if args.compare.compare {
        return compare::run(&args.compare, &study, &sites, out);
    }
    let mut references = references(&study, &sites, args.bundle.as_deref())?;
    references.extend(without_noise(&study, &sites));
    let json: Vec<Value> = references.iter().map(to_json).collect();
    out.print(&json!({"study": study.id, "released": false, "models": json}), || {
        let name = |r: &Reference| match &r.of {
            None => r.name.clone(),
            Some(of) => format!("{}, {}", r.name, of.words()),
        };
        let rows = references.iter().map(|r| match &r.exact {
            None => vec![name(r), "-".into(), String::new(), String::new(), String::new()],
            Some(e) => vec![
                name(r),
                format!("{:.3} ({:.3} to {:.3})", e.auroc, e.auroc_interval.0, e.auroc_interval.1),
                format!("{:.3}", e.auprc),
                format!("{:.3}", e.brier),
                format!("{:.3}", e.accuracy),
            ],
        });
        let table = crate::cli::table(&["model", "AUROC", "AUPRC", "Brier", "accuracy"], rows);
        format!("Without privacy, computed here; not released.\n{table}")
    })
}

fn to_json(reference: &Reference) -> Value {
    let exact = reference.exact.as_ref();
    let mut json = json!({
        "name": reference.name,
        "auroc": exact.map(|e| e.auroc),
        "auroc_interval": exact.map(|e| [e.auroc_interval.0, e.auroc_interval.1]),
        "auprc": exact.map(|e| e.auprc),
        "brier": exact.map(|e| e.brier),
        "accuracy": exact.map(|e| e.accuracy),
        "calibration_slope": exact.and_then(|e| e.calibration_slope),
        "calibration_in_the_large": exact.map(|e| e.calibration_in_the_large),
        "released_under_dp": false,
    });
    if let Some(of) = &reference.of {
        json["task"] = json!(of.task);
        json["horizon_days"] = json!(of.horizon_days);
        if let Some(validation) = of.validation {
            json["validation"] = json!(validation);
        }
    }
    json
}

/// Reads every `SITE.examples` of a folder.
///
/// # Errors
/// None there, or one that is no examples of this study.
pub fn load(study: &Study, folder: &Path) -> Result<Vec<SiteExamples>, CommandError> {
    let unreadable = |error| CommandError::input(format!("{}: {error}", folder.display()));
    let width = study.architecture().inputs;
    let mut sites = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_none_or(|e| e != "examples") {
            continue;
        }
        let wrong = |what: String| CommandError::input(format!("{}: {what}", path.display()));
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let site: SiteName = name.parse().map_err(|e| wrong(format!("{e}")))?;
        let bytes = std::fs::read(&path).map_err(|e| wrong(e.to_string()))?;
        let examples = ExampleFile::from_bytes(&bytes).map_err(|e| wrong(e.to_string()))?;
        if examples.study != study.digest {
            return Err(wrong(format!("examples of study {}, expected {}", examples.study, study.digest)));
        }
        if examples.training.width() != width {
            return Err(wrong(format!(
                "{} inputs per example, this study has {width}",
                examples.training.width()
            )));
        }
        sites.push(SiteExamples { site, examples });
    }
    sites.sort_by(|a, b| a.site.cmp(&b.site));
    if sites.is_empty() {
        return Err(CommandError::input(format!("{}: no file SITE.examples", folder.display())));
    }
    Ok(sites)
}

/// Trains the pooled reference and each site alone, and judges them — and the bundle's final
/// model, if given — on all evaluation people.
///
/// # Errors
/// A bundle without a readable final model.
pub fn references(
    study: &Study,
    sites: &[SiteExamples],
    bundle: Option<&Path>,
) -> Result<Vec<Reference>, CommandError> {
    let architecture = study.architecture();
    let everybody = pool(sites, &architecture, |examples| &examples.evaluation);
    let judge = |name: &str, parameters: &[f32]| judge(study, name, parameters, &everybody);
    let mut references = Vec::new();
    if let Some(bundle) = bundle {
        let path = bundle.join("final").join("model");
        let bytes =
            std::fs::read(&path).map_err(|e| CommandError::input(format!("{}: {e}", path.display())))?;
        let (header, values) = blob::decode::<ModelHeader>(&bytes)
            .map_err(|e| CommandError::input(format!("{}: {e}", path.display())))?;
        if header.architecture != architecture {
            return Err(CommandError::input(format!("{}: a model of another shape", path.display())));
        }
        references.extend(judge("federated", &train::parameters(&values)));
    }
    let start = train::parameters(&study.initial_parameters());
    let options = reference::Fit::default();
    let pooled = pool(sites, &architecture, |examples| &examples.training);
    references.extend(judge("pooled_reference", &reference::fit(&architecture, &pooled, &start, &options)));
    for site in sites {
        let fitted = reference::fit(&architecture, &site.examples.training, &start, &options);
        references.extend(judge(&format!("local:{}", site.site), &fitted));
    }
    Ok(references)
}

/// The very rounds of the study with the same sampling, clipping and averaging, but no noise: what
/// the noise costs is the difference to `federated`.
fn without_noise(study: &Study, sites: &[SiteExamples]) -> Vec<Reference> {
    use consilium_common::model::aggregate::WeightedSum;
    use consilium_common::privacy::noise::secret_rng;
    let architecture = study.architecture();
    let training = &study.privacy.training;
    let mut model = study.initial_parameters();
    let silence = vec![vec![0; architecture.parameters()]; training.local_steps as usize];
    for round in 0..training.rounds {
        let mut sum = WeightedSum::new(model.len());
        for (number, site) in sites.iter().enumerate() {
            let Some(roster) = study.site(&site.site) else { continue };
            // No secret here: the sampling only has to differ from step to step.
            let mut seed = [0_u8; 32];
            seed[..4].copy_from_slice(&round.to_le_bytes());
            seed[8..16].copy_from_slice(&(number as u64).to_le_bytes());
            let update = local::round(
                &architecture,
                &model,
                &site.examples.training,
                &silence,
                &mut secret_rng(seed),
                &local_round(study, roster),
            );
            sum.add(&update, roster.weight).expect("one architecture");
        }
        model = sum.apply(&model).expect("some site has weight");
    }
    let everybody = pool(sites, &architecture, |examples| &examples.evaluation);
    judge(study, "federated_without_noise", &train::parameters(&model), &everybody)
}

fn local_round(study: &Study, site: &RosterSite) -> local::LocalRound {
    let training = &study.privacy.training;
    local::LocalRound {
        sampling_rate: training.sampling_rate,
        steps: training.local_steps,
        clip_norm: training.clip_norm,
        learning_rate: training.learning_rate,
        proximal: training.proximal,
        denominator: study.denominator(site),
        lattice: Lattice::for_dimension(study.architecture().parameters()),
        padded_people: 0,
    }
}

fn pool(
    sites: &[SiteExamples],
    architecture: &Architecture,
    role: impl Fn(&ExampleFile) -> &Examples,
) -> Examples {
    let mut all = Examples::new(architecture.inputs);
    for site in sites {
        all.append(role(&site.examples));
    }
    all
}

/// A model on the people of each of the study's predictions; where later examples are held out, on each of what the
/// study reports of them.
fn judge(study: &Study, name: &str, parameters: &[f32], people: &Examples) -> Vec<Reference> {
    let probabilities = probabilities(&study.architecture(), parameters, people);
    let of_one = |output: u8, group: usize, of: Option<Of>| {
        let in_group = |row: &usize| study.place_of(people.groups_of(*row)) == group;
        let own = scored(people, people.rows_for(output).filter(in_group), &probabilities);
        Reference {
            name: name.to_owned(),
            of,
            exact: exact::exact(&own, study.evaluation.level),
            roc: exact::roc(&own),
        }
    };
    let mut references = Vec::new();
    for (output, predicted) in (0_u8..).zip(&study.predicted()) {
        let everybody = Of::everybody(study, predicted).into_iter().enumerate();
        references.extend(everybody.map(|(group, of)| of_one(output, group, of)));
    }
    references
}

/// Some rows of people.
fn scored(people: &Examples, rows: impl Iterator<Item = usize>, probabilities: &[f64]) -> Vec<Scored> {
    let one = |row: usize| Scored {
        probability: probabilities[row],
        outcome: people.label(row) > 0.5,
        weight: f64::from(people.weight(row)),
    };
    rows.map(one).collect()
}

/// Of every example, for its own prediction.
fn probabilities(architecture: &Architecture, parameters: &[f32], people: &Examples) -> Vec<f64> {
    let logits = train::logits(architecture, parameters, people);
    logits.iter().map(|&z| 1.0 / (1.0 + (-f64::from(z)).exp())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::study::{Holdout, Validation};

    /// A model that is right about earlier people and wrong about later ones.
    #[test]
    fn earlier_and_later_people_are_judged_apart() {
        let mut study = crate::report::sample::report().study;
        let architecture = study.architecture();
        let mut parameters = vec![0.0; architecture.parameters()];
        parameters[0] = 1.0;
        let with = |study: &Study| {
            let mut people = Examples::new(architecture.inputs);
            for person in 0..40_u8 {
                let later = person >= 20;
                let score = f32::from(person % 2);
                let mut inputs = vec![0.0; architecture.inputs];
                inputs[0] = score;
                let validation = Validation::ALL[usize::from(later)];
                let mut groups = vec![0; study.attributes.len()];
                groups.extend(study.split.mark(validation));
                people.push_person(&[(inputs, if later { 1.0 - score } else { score })], groups);
            }
            judge(study, "federated", &parameters, &people)
        };
        let aurocs = |references: &[Reference]| {
            let one = |r: &Reference| {
                let validation = r.of.as_ref().and_then(|of| of.validation);
                (validation, r.exact.as_ref().expect("both outcomes").auroc)
            };
            references.iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(aurocs(&with(&study)), [(None, 0.5)]);
        let from = jiff::civil::date(2023, 10, 1);
        study.split.holdout = Some(Holdout { from, reported: Validation::ALL.to_vec() });
        let [internal, temporal] = Validation::ALL;
        assert_eq!(aurocs(&with(&study)), [(Some(internal), 1.0), (Some(temporal), 0.0)]);
        assert_eq!(to_json(&with(&study)[1])["validation"], "temporal");
    }
}
