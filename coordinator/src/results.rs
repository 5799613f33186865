//! Results of a study that has ended, computed from its bundle, and times from the log beside it: metrics,
//! report, model. Whoever has the bundle can compute them again.

pub mod refusals;
mod text;

use self::refusals::Refusals;
use self::text::text;
use crate::metrics::{self, Memory, Metrics, Model, Of, Privacy, SitePrivacy, Subgroup, Sums, Timing};
use crate::operator::CommandError;
use crate::simulate::Reference;
use crate::study::StudyEvent;
use consilium_common::evaluation::bins::Bins;
use consilium_common::evaluation::completeness::{Completeness, completeness};
use consilium_common::evaluation::histogram::{Counted, Grouping, Histogram, groupings};
use consilium_common::evaluation::performance::{Performance, Settings, performances};
use consilium_common::evaluation::sum::{self, Cells};
use consilium_common::id::{Digest, SiteName};
use consilium_common::ledger::budget::Budget;
use consilium_common::ledger::bundle::{Files, Report, Trust, verify};
use consilium_common::ledger::rules::{Slot, State};
use consilium_common::secagg::SumRecord;
use consilium_common::study::secure::{self, Summed};
use consilium_common::study::{Mode, RosterSite, Study, is_overall};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Intervals are the same each time they are computed from the same bundle.
const INTERVAL_SEED: u64 = 0x636f_6e73_696c_6975;

/// What only the demo knows.
pub struct Extras {
    /// References without privacy, computed in this process.
    pub references: Vec<Reference>,
    /// From the start of the demo to its end, seconds.
    pub wall_s: f64,
    /// Of the coordinator's process.
    pub coordinator_peak_mib: Option<f64>,
    /// Of the hungriest agent's process.
    pub agent_peak_mib: Option<f64>,
}

/// What was written, for printing.
pub struct Written {
    /// The metrics document.
    pub json: Value,
    /// A table for people.
    pub text: String,
}

/// Everything that the bundle says, read once.
pub struct Results {
    /// The study.
    pub study: Study,
    /// What verification found out.
    pub audit: Report,
    /// What was spent.
    pub budget: Budget,
    /// The coordinator's log.
    pub events: Vec<StudyEvent>,
    /// Requests that sites refused, by what their ledgers in the bundle say.
    pub refusals: Vec<Refusals>,
    /// Each grouping with the performance of each of its groups.
    pub performances: Vec<(Grouping, Vec<Performance>)>,
    /// Attributes that are only counted, each with of how many people it is recorded.
    pub completeness: Vec<(String, Completeness)>,
}

impl Results {
    /// Of everybody, for each prediction that was released, by its output; where later examples are held out, in the
    /// order of what the study reports of them.
    pub fn overall(&self) -> impl Iterator<Item = (u8, &[Performance])> {
        let overall = self.performances.iter().filter(|(grouping, _)| is_overall(&grouping.name));
        overall.filter_map(|(grouping, performances)| match grouping.counted {
            Counted::Scores { output } => Some((output, performances.as_slice())),
            Counted::People => None,
        })
    }
}

/// Writes `bundle/`, `metrics.json`, `report.html` and the model into `out`. The report shows `audit`, an
/// audit of the mechanism.
///
/// # Errors
/// `out` has a bundle in it already, a bundle that does not verify, or the disk.
pub fn write(
    bundle: &Path,
    out: &Path,
    extras: Option<Extras>,
    audit: Option<consilium_common::report::audit::Audit>,
) -> Result<Written, CommandError> {
    let target = out.join("bundle");
    if target.exists() {
        return Err(CommandError::input(format!("{} exists: give a new folder", target.display())));
    }
    // Read where it is: nothing is written for a study that has nothing to report.
    let log = crate::bundle::log_of(bundle);
    let results = read(bundle, &log)?;
    fs::create_dir_all(out).map_err(|e| CommandError::input(format!("{}: {e}", out.display())))?;
    crate::bundle::copy_folder(bundle, &target).map_err(CommandError::fault)?;
    crate::bundle::copy_file(&log, &out.join("events.jsonl")).map_err(CommandError::fault)?;
    let metrics = metrics(&results, extras.as_ref());
    let json = serde_json::to_value(&metrics).expect("metrics are plain data");
    let pretty = serde_json::to_vec_pretty(&metrics).expect("metrics are plain data");
    let put = |path: PathBuf, bytes: &[u8]| {
        fs::write(&path, bytes).map_err(|e| CommandError::fault(format!("{}: {e}", path.display())))
    };
    put(out.join("metrics.json"), &pretty)?;
    for name in ["model.safetensors", "model.json"] {
        crate::bundle::copy_file(&target.join(name), &out.join(name)).map_err(CommandError::fault)?;
    }
    let references = extras.as_ref().map(|e| e.references.as_slice()).unwrap_or_default();
    let mut report = crate::report_data::of(&results, &metrics, references)
        .ok_or_else(|| CommandError::Refused("the study's log has no end or no model".into()))?;
    report.audit = audit;
    put(out.join("report.html"), crate::report::html(&report).as_bytes())?;

    let stopped = report.stopped.as_ref();
    Ok(Written { json, text: text(&metrics, results.study.evaluation.level, stopped) })
}

fn audit(folder: &Path) -> Result<Report, CommandError> {
    let paths = list(folder, folder)?;
    let files = Files::new(paths, |path| fs::read(folder.join(path)).map_err(|e| e.to_string()));
    Ok(verify(&files, &Trust::default()))
}

fn list(root: &Path, folder: &Path) -> Result<Vec<String>, CommandError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(CommandError::fault)? {
        let path = entry.map_err(CommandError::fault)?.path();
        if path.is_dir() {
            paths.extend(list(root, &path)?);
        } else {
            let name = path.strip_prefix(root).expect("inside the root").to_string_lossy().into_owned();
            paths.push(name);
        }
    }
    Ok(paths)
}

fn read(folder: &Path, log: &Path) -> Result<Results, CommandError> {
    let audit = audit(folder)?;
    let broken = |what: &str| CommandError::Refused(format!("the bundle in {}: {what}", folder.display()));
    if let Some(first) = audit.findings.first() {
        return Err(broken(&format!(
            "it does not verify ({} findings); the first: {first}",
            audit.findings.len()
        )));
    }
    let study = audit.study.clone().ok_or_else(|| broken("its study does not parse"))?;
    let ledgers: Vec<&State> = audit.sites.iter().filter_map(|site| site.ledger.as_ref()).collect();
    if ledgers.len() != audit.sites.len() || ledgers.is_empty() {
        let missing: Vec<_> =
            audit.sites.iter().filter(|s| s.ledger.is_none()).map(|s| s.name.to_string()).collect();
        return Err(broken(&format!("no valid ledger from {}", missing.join(", "))));
    }
    if ledgers.iter().any(|ledger| ledger.study(&study.digest).is_none()) {
        return Err(broken("the study stopped before every site had opened it: there is nothing to report"));
    }
    let budget = Budget::of(&study.digest, study.privacy.delta, &ledgers).map_err(CommandError::fault)?;
    let text = fs::read_to_string(log).map_err(CommandError::fault)?;
    let events = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .map_err(|e| broken(&format!("events.jsonl: {e}")))?;
    let Evaluated { performances, completeness } = evaluate(&study, &audit, folder)?;
    let refusals = refusals::of_bundle(folder, &study.digest, audit.sites.iter().map(|site| &site.name))?;
    Ok(Results { study, audit, budget, events, refusals, performances, completeness })
}

/// What was released of an evaluation.
#[derive(Default)]
struct Evaluated {
    performances: Vec<(Grouping, Vec<Performance>)>,
    completeness: Vec<(String, Completeness)>,
}

/// Each release of all sites, added up here or by a secure sum, and judged. Without the `overall` histograms
/// of any site nothing is said.
fn evaluate(study: &Study, audit: &Report, folder: &Path) -> Result<Evaluated, CommandError> {
    let final_model = fs::read(folder.join("final/model")).map_err(CommandError::fault)?;
    let model = Digest::of(&final_model);
    let edges = &study.evaluation.bin_edges;
    let settings = Settings::of(study);
    // Of each prediction.
    let mut fitted = BTreeMap::new();
    let mut evaluated = Evaluated::default();
    for (number, grouping) in groupings(study).into_iter().enumerate() {
        let released = folder.join("evaluation").join(grouping.name.replace('*', "+"));
        let cells = match study.privacy.mode {
            Mode::Local => averaged(study, &model, &grouping, &released)?,
            Mode::Distributed { .. } => {
                let earmark = u32::try_from(number + 1).expect("a study has few groupings");
                summed(study, audit, (&grouping, earmark), &released.join("sum"))?
            }
        };
        let Some(cells) = cells else { continue };
        let Counted::Scores { output } = grouping.counted else {
            let labels = grouping.labels.concat();
            let counts = completeness(&cells, &labels, settings.level, &study.disclosure);
            evaluated.completeness.push((grouping.name, counts));
            continue;
        };
        // The first grouping of a prediction is `overall`: everybody, so the steadiest fit.
        let bins = fitted.entry(output).or_insert_with(|| Bins::fitted(edges, &cells.all()));
        let seed = INTERVAL_SEED.wrapping_add((number as u64) << 32);
        let performances = performances(&cells, bins, &settings, seed);
        evaluated.performances.push((grouping, performances));
    }
    Ok(evaluated)
}

/// The sites' own histograms, added up; `None` from too few sites.
fn averaged(
    study: &Study,
    model: &Digest,
    grouping: &Grouping,
    folder: &Path,
) -> Result<Option<Cells>, CommandError> {
    let histograms = histograms(folder)?;
    if histograms.len() < study.disclosure.min_sites as usize {
        return Ok(None);
    }
    sum::sum(grouping, study.evaluation.bin_edges.len() + 1, &study.digest, model, &histograms)
        .map(Some)
        .map_err(|e| CommandError::Refused(e.to_string()))
}

/// The secure sum of a grouping, which the audit compared with the ledgers and the model; `None` where there
/// is none, or one over too few sites.
fn summed(
    study: &Study,
    audit: &Report,
    (grouping, earmark): (&Grouping, u32),
    file: &Path,
) -> Result<Option<Cells>, CommandError> {
    if !file.is_file() {
        return Ok(None);
    }
    let refused = |what: String| CommandError::Refused(format!("{}: {what}", file.display()));
    let bytes = fs::read(file).map_err(CommandError::fault)?;
    let (record, values) = SumRecord::decode(&bytes).map_err(|e| refused(e.to_string()))?;
    let survivors = record.survivors.len();
    if survivors < study.disclosure.min_sites as usize {
        return Ok(None);
    }
    let participants: Vec<&RosterSite> =
        audit.sites.iter().filter_map(|site| study.site(&site.name)).collect();
    let terms =
        secure::terms(study, &participants, Summed::Grouping(earmark)).map_err(|e| refused(e.to_string()))?;
    let share = terms.parameters().sigma_share_units();
    Cells::of_secure_sum(grouping, study.evaluation.bin_edges.len() + 1, values, survivors, share)
        .map(Some)
        .map_err(|e| refused(e.to_string()))
}

fn histograms(folder: &Path) -> Result<Vec<Histogram>, CommandError> {
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    list(folder, folder)?
        .iter()
        .map(|name| {
            let path = folder.join(name);
            let bytes = fs::read(&path).map_err(CommandError::fault)?;
            serde_json::from_slice(&bytes)
                .map_err(|e| CommandError::Refused(format!("{}: {e}", path.display())))
        })
        .collect()
}

fn metrics(results: &Results, extras: Option<&Extras>) -> Metrics {
    let study = &results.study;
    let training = &study.privacy.training;
    let sites: Vec<SiteName> = results.audit.sites.iter().map(|site| site.name.clone()).collect();
    let people: f64 =
        study.sites.iter().filter(|s| sites.contains(&s.name)).map(|s| study.training_people(s)).sum();
    let predicted = study.predicted();
    let released = results.overall().flat_map(|(output, performances)| {
        let of = Of::everybody(study, &predicted[usize::from(output)]);
        of.into_iter().zip(performances).map(|(of, performance)| Model::released(of, performance))
    });
    let mut models: Vec<Model> = released.collect();
    let references = extras.iter().flat_map(|e| &e.references);
    models.extend(references.map(|r| Model::reference(&r.name, r.of.clone(), r.exact.as_ref())));
    let subgroups: Vec<Subgroup> = results
        .performances
        .iter()
        .filter(|(grouping, _)| !is_overall(&grouping.name))
        .flat_map(|(grouping, performances)| metrics::subgroups(study, grouping, performances))
        .collect();
    let spent = results.budget.sites.iter().map(|site| SitePrivacy {
        name: site.name.clone(),
        epsilon_training: site.epsilon_training,
        epsilon_evaluation: site.epsilon_evaluation,
        epsilon_person_max: site.epsilon_person_max,
        epsilon_two_hospitals: site.epsilon_two_hospitals.unwrap_or(site.epsilon_person_max),
        epsilon_three_hospitals: site.epsilon_three_hospitals,
        steps: site.steps,
    });
    Metrics {
        schema: metrics::SCHEMA.into(),
        study: study.id.clone(),
        people_trained_on_public: Some(people.round() as u64),
        privacy: Privacy {
            unit: results.budget.unit.into(),
            mode: study.privacy.mode.name().into(),
            epsilon: results.budget.epsilon_person_max,
            delta: results.budget.delta,
            accountant: results.budget.accountant.into(),
            noise_multiplier: training.noise_multiplier,
            sampling_rate: training.sampling_rate,
            steps: results.budget.sites.iter().map(|site| site.steps).max().unwrap_or(0),
            sums: sums(study, &results.audit),
            sites: spent.collect(),
        },
        sites,
        models,
        subgroups,
        completeness: results.completeness.iter().map(|(name, of)| metrics::completeness(name, of)).collect(),
        timing: timing(&results.events, extras.map(|e| e.wall_s)),
        memory: Memory {
            coordinator_peak_mib: extras.and_then(|e| e.coordinator_peak_mib),
            agent_peak_mib: extras.and_then(|e| e.agent_peak_mib),
        },
    }
}

/// What the coordinator saw in distributed mode: sums, over how many sites each, and what attempts were lost.
fn sums(study: &Study, audit: &Report) -> Option<Sums> {
    let Mode::Distributed { colluding } = study.privacy.mode else { return None };
    let mut attempts = BTreeSet::new();
    let mut uses_lost = 0;
    for ledger in audit.sites.iter().filter_map(|site| site.ledger.as_ref()) {
        let masked = ledger.masked(&study.digest).map(|(_, m)| (m.earmark, m.step, m.attempt));
        attempts.extend(masked);
        // A ledger may have lost its record of one with a disk, and so may all that had it.
        attempts.extend(audit.sums.iter().map(|sum| match sum.slot {
            Slot::Round(round) => (0, round, sum.attempt),
            Slot::Grouping(earmark) => (earmark, earmark, sum.attempt),
        }));
        let burnt: u64 = ledger.blocks(&study.digest).map(|(_, block)| block.count).sum();
        let in_sums = audit.sums.iter().filter(|sum| sum.survivors.contains(ledger.site())).count();
        uses_lost = uses_lost.max(burnt - in_sums as u64);
    }
    let rounds = audit.sums.iter().filter(|sum| matches!(sum.slot, Slot::Round(_)));
    Some(Sums {
        threshold: study.privacy.training.quorum,
        colluding,
        evaluations: audit.sums.iter().filter(|sum| !matches!(sum.slot, Slot::Round(_))).count(),
        sites_of_rounds: rounds.map(|sum| sum.survivors.len()).collect(),
        attempts_failed: (attempts.len() - audit.sums.len()) as u64,
        uses_lost_max: uses_lost,
    })
}

fn timing(events: &[StudyEvent], wall_s: Option<f64>) -> Timing {
    let mut opened = BTreeMap::new();
    let mut rounds_ms: Vec<f64> = Vec::new();
    for event in events {
        match event {
            StudyEvent::Started { time, .. } => {
                opened.insert(0, *time);
            }
            StudyEvent::RoundOpened { round, time, .. } => {
                opened.insert(*round, *time);
            }
            StudyEvent::RoundClosed { round, time, .. } => {
                if let Some(start) = opened.get(round) {
                    rounds_ms.push((time.unix_ms() - start.unix_ms()) as f64);
                }
                // A round of distributed mode begins where the one before it ended.
                opened.entry(round + 1).or_insert(*time);
            }
            _ => {}
        }
    }
    rounds_ms.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = rounds_ms.len().saturating_sub(1);
        rounds_ms.get((share * last as f64).round() as usize).copied().unwrap_or(0.0)
    };
    let first = events.iter().find(|e| matches!(e, StudyEvent::Started { .. })).map(StudyEvent::time);
    let last = events.last().map(StudyEvent::time);
    let ran_s = first.zip(last).map_or(0.0, |(a, b)| (b.unix_ms() - a.unix_ms()) as f64 / 1000.0);
    Timing {
        wall_s: wall_s.unwrap_or(ran_s),
        rounds: u32::try_from(rounds_ms.len()).expect("a round number is 32 bits"),
        round_ms_p50: at(0.5),
        round_ms_p95: at(0.95),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The golden bundle of a distributed study: figures come from the secure sums alone, with their noise.
    #[test]
    fn figures_of_secure_sums() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/ledger/golden-distributed");
        let audit = audit(&folder).expect("a bundle");
        assert_eq!(audit.findings, vec![]);
        let study = audit.study.clone().expect("a study");
        let judged = evaluate(&study, &audit, &folder).expect("sums of the study").performances;
        let names: Vec<&str> = judged.iter().map(|(grouping, _)| grouping.name.as_str()).collect();
        assert_eq!(names, ["overall", "sex*age_band"]);
        assert_eq!((judged[0].1.len(), judged[1].1.len()), (1, 9));
        // Everybody: the cells of the sum, in people.
        let sum = fs::read(folder.join("evaluation/overall/sum")).expect("a sum");
        let (_, cells) = SumRecord::decode(&sum).expect("a sum");
        let people = cells.iter().sum::<i64>() as f64 / 65_536.0;
        assert!((judged[0].1[0].people - people).abs() < 1e-6);

        let sums = sums(&study, &audit).expect("distributed");
        assert_eq!((sums.threshold, sums.colluding, sums.sites_of_rounds), (3, 1, vec![3, 4]));
        // One attempt of round 1 failed; the site that dropped out of round 0 lost that use as well.
        assert_eq!((sums.attempts_failed, sums.uses_lost_max), (1, 3));

        // Another number of cells, and a sum over fewer sites than may be shown.
        let overall = Grouping::overall();
        let file = folder.join("evaluation/sex+age_band/sum");
        assert!(summed(&study, &audit, (&overall, 1), &file).is_err());
        let mut strict = study.clone();
        strict.disclosure.min_sites = 5;
        let file = folder.join("evaluation/overall/sum");
        assert_eq!(summed(&strict, &audit, (&overall, 1), &file).expect("read"), None);
        assert!(summed(&study, &audit, (&overall, 1), &folder.join("absent")).expect("read").is_none());
    }
}
