//! What a later bundle adds to an earlier one, and whether it only adds: a ledger grows, and nothing that
//! was in it, or that it committed to, changes.

use super::site::ledger;
use super::{Files, Report, SiteReport};
use crate::id::SiteName;
use crate::ledger::budget::{Budget, charged_in_all};
use crate::ledger::entry::{Body, Entry};
use crate::ledger::merkle::verify_consistency;
use crate::ledger::rules::State;
use crate::study::secure::Summed;
use crate::time::Time;
use serde::Serialize;

/// A later bundle against an earlier one. Of two bundles that verify; otherwise it proves nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// `diff/1`.
    pub schema: &'static str,
    /// Whether both are of the same study file.
    pub same_study: bool,
    /// Each ledger that either has.
    pub sites: Vec<SiteDifference>,
    /// Rounds of training, in the old bundle and in the new; only for the same study.
    pub rounds: Option<[u32; 2]>,
    /// The study's ε of a person at one site, in the old bundle and in the new; only for the same study.
    pub epsilon_person_max: Option<[f64; 2]>,
    /// Files that only the new bundle has; only for the same study.
    pub files_added: Vec<String>,
    /// What the new bundle removed or changed. Empty: it only adds.
    pub broken: Vec<String>,
}

/// One site's ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SiteDifference {
    /// Whose.
    pub site: SiteName,
    /// Entries in the old bundle; none if it has no such ledger.
    pub old_entries: Option<u64>,
    /// Entries in the new bundle; none if it has no such ledger.
    pub new_entries: Option<u64>,
    /// What the cap over all studies counts, as ε at the policy's δ: before and after.
    pub epsilon_total_charged: [Option<f64>; 2],
    /// Every entry that was appended.
    pub added: Vec<Added>,
}

/// An entry that was appended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Added {
    /// Its index.
    pub entry: u64,
    /// When.
    pub time: Time,
    /// Its kind, as the entry names it.
    pub kind: String,
    /// In words.
    pub what: String,
}

/// Compares two bundles: each as its files and as [`super::verify`] reports them.
#[must_use]
pub fn difference(old: (&Files<'_>, &Report), new: (&Files<'_>, &Report)) -> Difference {
    let digest = |report: &Report| report.study.as_ref().map(|study| study.digest);
    let same_study = digest(old.1).is_some() && digest(old.1) == digest(new.1);
    let mut broken = Vec::new();
    let mut sites = Vec::new();
    for site in &old.1.sites {
        let later = new.1.sites.iter().find(|later| later.name == site.name);
        if later.is_none() && same_study {
            broken.push(format!("{}: its ledger is not in the new bundle", site.name));
        }
        sites.push(compare((old.0, Some(site)), (new.0, later), &site.name, &mut broken));
    }
    for site in &new.1.sites {
        if !old.1.sites.iter().any(|earlier| earlier.name == site.name) {
            sites.push(compare((old.0, None), (new.0, Some(site)), &site.name, &mut broken));
        }
    }
    let files_added = if same_study { files(old.0, new.0, &mut broken) } else { Vec::new() };
    if !same_study && !sites.iter().any(|site| site.old_entries.is_some() && site.new_entries.is_some()) {
        broken.push("neither the study nor any ledger is the same: nothing can be compared".to_owned());
    }
    let spent = |report: &Report| {
        let ledgers: Vec<_> = report.sites.iter().filter_map(|site| site.ledger.as_ref()).collect();
        let study = report.study.as_ref()?;
        Budget::of(&study.digest, study.privacy.delta, &ledgers).ok().map(|b| b.epsilon_person_max)
    };
    let pair = spent(old.1).zip(spent(new.1)).map(|(a, b)| [a, b]);
    Difference {
        schema: "diff/1",
        same_study,
        sites,
        rounds: same_study.then_some([old.1.rounds, new.1.rounds]),
        epsilon_person_max: pair.filter(|_| same_study),
        files_added,
        broken,
    }
}

/// A site's ledger in one bundle, as files and as it was replayed.
type Side<'a> = (&'a Files<'a>, Option<&'a SiteReport>);

fn compare(old: Side<'_>, new: Side<'_>, name: &SiteName, broken: &mut Vec<String>) -> SiteDifference {
    let charged = |side: &Side<'_>| side.1?.ledger.as_ref().map(charged_in_all);
    let read = |side: &Side<'_>| side.1.and_then(|site| ledger(side.0, &site.name));
    let epsilon_total_charged = [charged(&old), charged(&new)];
    let (before, after) = (read(&old), read(&new));
    let sizes = [&before, &after].map(|side| side.as_ref().map(|(_, tree)| tree.size()));
    let mut added = Vec::new();
    if let Some((entries, _)) = &after {
        let from = sizes[0].unwrap_or(0);
        let state = new.1.and_then(|site| site.ledger.as_ref());
        added.extend(
            (0..).zip(entries).skip_while(|(index, _)| *index < from).map(|(i, e)| line(i, e, state)),
        );
    }
    if let (Some((_, before)), Some((_, after))) = (&before, &after) {
        let (was, is) = (before.size(), after.size());
        // As a stranger would check it who has the two tree heads only.
        let proof = after.consistency_proof(was, is);
        let grew = proof
            .is_some_and(|proof| verify_consistency(was, &before.root(), is, &after.root(), &proof).is_ok());
        if !grew {
            let same = (0..was.min(is)).take_while(|&at| before.leaf(at) == after.leaf(at)).count();
            broken.push(if same as u64 == is {
                format!("{name}: entries {is} to {} were removed from the end", was - 1)
            } else {
                format!("{name}: entry {same} is another one than in the old bundle: two histories")
            });
            added.clear();
        }
    }
    SiteDifference {
        site: name.clone(),
        old_entries: sizes[0],
        new_entries: sizes[1],
        epsilon_total_charged,
        added,
    }
}

/// Files of one study: whatever was committed to stays. The models at the end and the ledgers may grow.
fn files(old: &Files<'_>, new: &Files<'_>, broken: &mut Vec<String>) -> Vec<String> {
    let grows = |path: &str| {
        let first = path.split('/').next().unwrap_or_default();
        matches!(first, "bundle.json" | "sites" | "final" | "model.safetensors" | "model.json")
    };
    for path in old.paths().filter(|path| !grows(path)) {
        if !new.has(path) {
            broken.push(format!("{path}: removed"));
        } else if old.read(path) != new.read(path) {
            broken.push(format!("{path}: changed"));
        }
    }
    new.paths().filter(|path| !grows(path) && !old.has(path)).cloned().collect()
}

fn line(index: u64, bytes: &[u8], state: Option<&State>) -> Added {
    let entry = Entry::from_bytes(bytes).expect("the ledger was replayed");
    let value = serde_json::to_value(&entry.body).expect("an entry is plain data");
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    Added { entry: index, time: entry.time, what: words(&entry.body, state), kind }
}

/// Rounds and attempts are counted from 1: words are for people.
fn words(body: &Body, state: Option<&State>) -> String {
    match body {
        Body::Genesis { dataset, software, .. } => {
            format!("the ledger of dataset {dataset} begins ({software})")
        }
        Body::PolicyChange { caps } => format!(
            "policy changed: ε at most {} a study and {} over all studies at δ = {}",
            caps.epsilon_per_study, caps.epsilon_total, caps.delta
        ),
        Body::KeyChange { key, .. } => {
            format!("the ledger's key changed to {key}, signed by the old and the new one")
        }
        Body::KeyLost { key, endorsements, .. } => format!(
            "the ledger's key was lost; it goes on under {key}, for which {} other hospitals vouch",
            endorsements.len()
        ),
        Body::StudyOpen { study_id, study, .. } => format!("study {study_id} ({}) opened", study.short()),
        Body::DatasetVersion { .. } => "commitment to the examples".to_owned(),
        Body::CohortVersion { .. } => {
            "commitments to the frozen examples, the opt-out lists, the source and the queries".to_owned()
        }
        Body::Reserve { round, count, .. } => {
            format!("round {}: {count} steps paid for", u64::from(*round) + 1)
        }
        Body::Release { earmark, count, .. } => {
            format!("release of earmark {earmark}: {count} uses paid for")
        }
        Body::Commit { reserve, output } => format!("output {} for entry {reserve}", output.short()),
        Body::ReserveBlock { count, .. } => format!("{count} attempts at secure sums paid for"),
        Body::CommitSum { reserve, step, attempt, .. } => {
            let block = state.and_then(|state| state.block(*reserve));
            let summed = block.map_or(Summed::Training, |block| Summed::of_earmark(block.earmark));
            format!("masked vector for {}", summed.attempt_words(*step, *attempt))
        }
        Body::Sum { commit, survivors, .. } => {
            format!("entry {commit} ended in a sum of {} sites", survivors.len())
        }
        Body::Abort { reserve, reason } => format!("entry {reserve} ended without an output: {reason}"),
        Body::Recovered { entries } => {
            format!("recovered from a copy of {entries} entries; what was open in it stays burnt")
        }
        Body::Refusal { rule, count, .. } => format!("{count} requests refused by {rule}"),
        Body::Close { study, reason } => format!("study {} closed: {reason}", study.short()),
    }
}
