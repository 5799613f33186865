//! From a model file back to who approved it: rounds, each site's committed updates, decisions, the study
//! and the policies in force.

use super::{Report, SiteReport};
use crate::id::{Digest, SiteName, StudyId};
use crate::key::PublicKey;
use crate::ledger::entry::Caps;
use crate::ledger::rules::{Masked, Slot};
use crate::protocol::{Decision, Replaced};
use crate::study::Study;
use crate::time::Time;
use serde::Serialize;

/// Where a model comes from. Of a bundle that verifies; otherwise it proves nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// `trace/1`.
    pub schema: &'static str,
    /// SHA-256 of the model file.
    pub model: Digest,
    /// The file of the bundle that has these bytes; of a model that was recomputed from secure sums, words.
    pub file: String,
    /// How many rounds of training are in it.
    pub rounds_in_it: u32,
    /// Whether more rounds came after it.
    pub is_final: bool,
    /// What was approved.
    pub study: StudyLine,
    /// Who signed the start.
    pub coordinator: PublicKey,
    /// When.
    pub started: Option<Time>,
    /// Every site that decided.
    pub decisions: Vec<DecisionLine>,
    /// Every site that took part.
    pub sites: Vec<SiteLine>,
    /// The rounds that are in the model, in order.
    pub rounds: Vec<RoundLine>,
    /// What was released of this model to judge it.
    pub evaluation: Vec<OutputLine>,
    /// The same in distributed mode: secure sums over all sites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evaluation_sums: Vec<SumLine>,
}

/// The study, in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyLine {
    /// Of the file's exact bytes: what every approval binds.
    pub digest: Digest,
    /// Stable name.
    pub id: StudyId,
    /// Version.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// Who answers for it.
    pub sponsor: String,
    /// The permitted purpose.
    pub purpose: String,
    /// First and last day.
    pub valid: [String; 2],
    /// What the model is for.
    pub intended_use: String,
    /// What it must not be used for.
    pub prohibited: Vec<String>,
    /// Approvals by people outside the software: kind and reference.
    pub governance: Vec<[String; 2]>,
}

/// One site's decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionLine {
    /// Whose.
    pub site: SiteName,
    /// Yes, or no and why.
    #[serde(flatten)]
    pub decision: Decision,
    /// Who signed at the hospital, in their own words.
    pub approver: String,
    /// The decision that this one took the place of, if the site had signed one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
    /// When.
    pub time: Time,
    /// Whether the site took part.
    pub took_part: bool,
}

/// One site that took part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SiteLine {
    /// Its name.
    pub site: SiteName,
    /// Its key on the study's roster.
    pub key: PublicKey,
    /// Whether that key was pinned by a trust file.
    pub key_pinned: bool,
    /// The ledger's origin line.
    pub ledger: String,
    /// The entry by which it opened the study, and when.
    pub opened: (u64, Time),
    /// The entry that put the policy in force then.
    pub policy_entry: u64,
    /// That policy's caps, and the digest of its file.
    pub caps: Caps,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoundLine {
    /// Counted from 0.
    pub round: u32,
    /// The model that it started from.
    pub model: Digest,
    /// The updates that made the next model.
    pub updates: Vec<OutputLine>,
    /// The secure sum that made it instead, in distributed mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<SumLine>,
}

/// A secure sum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SumLine {
    /// The file, within the bundle.
    pub file: String,
    /// SHA-256 of its exact bytes.
    pub digest: Digest,
    /// What for.
    #[serde(skip)]
    pub slot: Slot,
    /// Which try it was, counted from 0.
    pub attempt: u32,
    /// The session: the same keys at every site.
    pub session: Digest,
    /// Who is in it.
    pub survivors: Vec<MaskedLine>,
    /// Sites that masked a vector for this attempt which is not in it.
    pub dropped_out: Vec<SiteName>,
    /// Sites that are in it, and whose ledger lost its record of it with a disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<SiteName>,
}

/// A site's part in a secure sum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaskedLine {
    /// Whose.
    pub site: SiteName,
    /// The block that paid for it, before data were read.
    pub reserve: u64,
    /// When that was written.
    pub reserved: Option<Time>,
    /// Which of its uses.
    pub use_index: u64,
    /// The entry that committed to the masked vector.
    pub commit: u64,
    /// When that was written.
    pub committed: Time,
    /// Digest of the masked vector.
    pub masked: Digest,
    /// The entry that says how it ended; none where the site did not learn it.
    pub ended: Option<u64>,
}

/// One output that left a site.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputLine {
    /// From whom.
    pub site: SiteName,
    /// What for.
    #[serde(skip)]
    pub slot: Slot,
    /// The file, within the bundle.
    pub file: String,
    /// SHA-256 of the exact bytes.
    pub digest: Digest,
    /// How many bytes.
    pub bytes: u64,
    /// The site's weight in the average.
    pub weight: f64,
    /// The entry that paid for it, before data were read.
    pub reserve: u64,
    /// When that was written.
    pub reserved: Time,
    /// Uses of the mechanism that it burnt.
    pub uses: u64,
    /// The entry that committed to these bytes.
    pub commit: u64,
    /// When that was written.
    pub committed: Option<Time>,
}

impl Trace {
    /// Follows a model by its digest; `None` if it is no model of this bundle, or if the bundle's ledgers
    /// were not replayed.
    #[must_use]
    pub fn of(report: &Report, model: &Digest) -> Option<Self> {
        let study = report.study.as_ref()?;
        let (coordinator, _) = report.coordinator?;
        let exported = report.exported.as_ref() == Some(model);
        let last = report.models.len().checked_sub(1)?;
        let at =
            if exported { last } else { report.models.iter().position(|(_, digest)| digest == model)? };
        let (file, digest) = &report.models[at];
        let rounds_in_it = u32::try_from(at).ok()?;
        let sites = report.sites.iter().map(|site| site_line(site, study)).collect::<Option<_>>()?;
        let rounds = (0..rounds_in_it)
            .zip(&report.models)
            .map(|(round, (_, model))| RoundLine {
                round,
                model: *model,
                updates: outputs(report, study, |slot, _| slot == Slot::Round(round)),
                sum: sums(report, study, |slot, _| slot == Slot::Round(round)).pop(),
            })
            .collect();
        let is_of_it = |slot, of: Digest| matches!(slot, Slot::Grouping(_)) && of == *digest;
        Some(Self {
            schema: "trace/1",
            model: *model,
            file: if exported { "model.safetensors".to_owned() } else { file.clone() },
            rounds_in_it,
            is_final: at == last,
            study: StudyLine::of(study),
            coordinator,
            started: report.started,
            decisions: report
                .decisions
                .iter()
                .map(|approval| {
                    let took_part = report.sites.iter().any(|site| site.name == approval.site);
                    let (site, approver) = (approval.site.clone(), approval.approver.clone());
                    DecisionLine {
                        site,
                        decision: approval.decision,
                        approver,
                        time: approval.time,
                        replaces: approval.replaces.clone(),
                        took_part,
                    }
                })
                .collect(),
            sites,
            rounds,
            evaluation: outputs(report, study, is_of_it),
            evaluation_sums: sums(report, study, is_of_it),
        })
    }
}

impl StudyLine {
    fn of(study: &Study) -> Self {
        let governance = &study.governance;
        Self {
            digest: study.digest,
            id: study.id.clone(),
            version: study.version.clone(),
            title: study.title.clone(),
            sponsor: governance.sponsor.clone(),
            purpose: governance.permitted_purpose.clone(),
            valid: [governance.valid_from.to_string(), governance.valid_until.to_string()],
            intended_use: study.intended_use.statement.clone(),
            prohibited: study.intended_use.prohibited.clone(),
            governance: governance.approvals.iter().map(|a| [a.kind.clone(), a.reference.clone()]).collect(),
        }
    }
}

fn site_line(site: &SiteReport, study: &Study) -> Option<SiteLine> {
    let ledger = site.ledger.as_ref()?;
    let record = ledger.study(&study.digest)?;
    let policy = site.history.policy_at(record.opened)?;
    Some(SiteLine {
        site: site.name.clone(),
        key: site.key,
        key_pinned: site.pinned,
        ledger: ledger.origin(),
        opened: (record.opened, record.opened_at),
        policy_entry: policy.entry,
        caps: policy.caps.clone(),
    })
}

/// The outputs whose slot and model `is_wanted`, each with the entries that paid for and committed to it.
pub(super) fn outputs(
    report: &Report,
    study: &Study,
    is_wanted: impl Fn(Slot, Digest) -> bool,
) -> Vec<OutputLine> {
    let line = |output: &super::Output| {
        let site = report.sites.iter().find(|site| site.name == output.site)?;
        let ledger = site.ledger.as_ref()?;
        let (reserve, burn) = ledger.slot(&study.digest, output.slot)?;
        let (_, commit) = ledger.committed(&study.digest, output.slot)?;
        is_wanted(output.slot, burn.model).then(|| OutputLine {
            site: output.site.clone(),
            slot: output.slot,
            file: output.file.clone(),
            digest: output.digest,
            bytes: output.bytes,
            weight: study.site(&output.site).map_or(0.0, |roster| f64::from(roster.weight) / 65_536.0),
            reserve,
            reserved: burn.time,
            uses: burn.count,
            commit,
            committed: site.history.committed.get(&commit).copied(),
        })
    };
    report.outputs.iter().filter_map(line).collect()
}

/// The sums whose slot and model `is_wanted`, each with the entries of every site in it.
fn sums(report: &Report, study: &Study, is_wanted: impl Fn(Slot, Digest) -> bool) -> Vec<SumLine> {
    let line = |sum: &super::SumReport| {
        let (mut survivors, mut dropped_out) = (Vec::new(), Vec::new());
        let lost = sum.lost.clone();
        for site in &report.sites {
            let Some(ledger) = &site.ledger else { continue };
            let of_it =
                |masked: &Masked| masked.session == sum.session && masked.is_for(sum.slot, sum.attempt);
            let Some((commit, masked)) = ledger.masked(&study.digest).find(|(_, masked)| of_it(masked))
            else {
                continue;
            };
            if !sum.survivors.contains(&site.name) {
                dropped_out.push(site.name.clone());
                continue;
            }
            survivors.push(MaskedLine {
                site: site.name.clone(),
                reserve: masked.reserve,
                reserved: ledger.block(masked.reserve).map(|block| block.time),
                use_index: masked.index,
                commit,
                committed: masked.time,
                masked: masked.output,
                ended: masked.ended.as_ref().map(|ended| ended.entry),
            });
        }
        SumLine {
            file: sum.file.clone(),
            digest: sum.digest,
            slot: sum.slot,
            attempt: sum.attempt,
            session: sum.session,
            survivors,
            dropped_out,
            lost,
        }
    };
    report.sums.iter().filter(|sum| is_wanted(sum.slot, sum.model)).map(line).collect()
}

impl Report {
    /// Every secure sum of the study, in the order of rounds and groupings; empty in local mode.
    #[must_use]
    pub fn sums_paid(&self) -> Vec<SumLine> {
        self.study.as_ref().map_or_else(Vec::new, |study| sums(self, study, |_, _| true))
    }

    /// Everything that left the sites for the study, in the order of rounds and groupings; empty unless
    /// the bundle's ledgers were replayed.
    #[must_use]
    pub fn outputs_paid(&self) -> Vec<OutputLine> {
        self.study.as_ref().map_or_else(Vec::new, |study| outputs(self, study, |_, _| true))
    }
}
