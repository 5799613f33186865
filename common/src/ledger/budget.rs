//! What a study cost the people of each site, recomputed from the events in the ledgers: nothing
//! that anybody wrote down as an ε is believed.

use super::entry::{Account, Earmark, Role};
use super::hospitals::{worst, worst_in_sums};
use super::rules::State;
use crate::id::{Digest, SiteName};
use crate::privacy::accountant::{Accountant, InvalidEvent, epsilon_by};
use crate::privacy::mechanism::Event;
use serde::Serialize;
use std::collections::BTreeSet;

/// The budget of one study over its sites. Every ε is at [`Budget::delta`] and of the uses that
/// were burnt, unless its name says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    /// The study.
    pub study: Digest,
    /// The δ at which the study states its ε.
    pub delta: f64,
    /// What ε was computed with, but for what is charged and left over all studies: that is by RDP.
    pub accountant: &'static str,
    /// Whom ε protects.
    pub unit: &'static str,
    /// What ε compares.
    pub neighbours: &'static str,
    /// The most that a person at one site paid.
    pub epsilon_person_max: f64,
    /// The most that a person known to two of the sites paid, at the worst mix of roles; none with
    /// one site.
    pub epsilon_two_hospitals: Option<f64>,
    /// The same for three of the sites; none with fewer.
    pub epsilon_three_hospitals: Option<f64>,
    /// Every site.
    pub sites: Vec<SiteBudget>,
}

/// One site's budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SiteBudget {
    /// The site.
    pub name: SiteName,
    /// What its training people paid.
    pub epsilon_training: f64,
    /// What its evaluation people paid.
    pub epsilon_evaluation: f64,
    /// The larger of the two: a person has one role.
    pub epsilon_person_max: f64,
    /// What a person known to this site and to one other paid at most.
    pub epsilon_two_hospitals: Option<f64>,
    /// What a person known to this site and to two others paid at most.
    pub epsilon_three_hospitals: Option<f64>,
    /// Training steps burnt.
    pub steps: u64,
    /// What its training people would pay if every earmark were burnt.
    pub epsilon_training_earmarked: f64,
    /// What its evaluation people would pay if every earmark were burnt.
    pub epsilon_evaluation_earmarked: f64,
    /// The hospital's cap on one study, at `caps_delta`.
    pub epsilon_per_study_cap: f64,
    /// The hospital's cap over all studies, at `caps_delta`.
    pub epsilon_total_cap: f64,
    /// What the cap over all studies is compared with, for the role that pays more, at `caps_delta`: ε of
    /// everything charged at the filter's fixed order, which may be above ε by the best order.
    pub epsilon_total_charged: f64,
    /// The cap less what is charged; never negative.
    pub epsilon_total_left: f64,
    /// The share of the cap that is left, in [0, 1], for the role that pays more: in Rényi loss at the filter's
    /// order, where equal studies take equal shares. ε itself holds a constant that every first study pays.
    pub share_total_left: f64,
    /// The hospital's own δ.
    pub caps_delta: f64,
    /// Each earmark with what was burnt of it.
    pub earmarks: Vec<EarmarkUse>,
}

/// An earmark and its use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EarmarkUse {
    /// `training`, or a grouping.
    pub name: String,
    /// Who pays.
    pub account: Account,
    /// What one use costs, and how many were earmarked.
    #[serde(flatten)]
    pub event: Event,
    /// How many were burnt.
    pub burnt: u64,
}

/// A ledger that a budget cannot be computed from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoBudget {
    /// The site never opened the study.
    #[error("{0} has not opened the study")]
    NotOpened(SiteName),
    /// An event without a privacy loss.
    #[error(transparent)]
    Event(#[from] InvalidEvent),
}

impl Budget {
    /// The budget of `study` over the ledgers of its sites, at `delta`.
    ///
    /// # Privacy
    /// Unit: one person at one site, all their records; neighbours: add or remove one person. A
    /// person's loss is the larger of two accounts, since their role is fixed for the dataset; a
    /// person known to two sites pays the composition of both, in the worst mix of roles, or, where the
    /// sites' outputs were secure sums, for being in the same sums twice. Blocks that were burnt count
    /// wholly, used or not.
    ///
    /// # Errors
    /// A site that never opened the study, or events that have no privacy loss (no replayed ledger
    /// holds one).
    pub fn of(study: &Digest, delta: f64, ledgers: &[&State]) -> Result<Self, NoBudget> {
        let burnt = ledgers
            .iter()
            .map(|ledger| {
                let record = ledger.study(study).ok_or_else(|| NoBudget::NotOpened(ledger.site().clone()))?;
                Ok(Role::ALL.map(|role| record.burnt_events(role)))
            })
            .collect::<Result<Vec<_>, NoBudget>>()?;
        let mut known: Vec<(Vec<Event>, f64)> = Vec::new();
        // Sites that did the same have the same lists: each is priced once.
        let mut epsilon = |events: &[Event]| match known.iter().find(|(list, _)| list == events) {
            Some((_, epsilon)) => Ok(*epsilon),
            None => {
                let epsilon = epsilon_by(Accountant::CHARGED, events, delta)?;
                known.push((events.to_vec(), epsilon));
                Ok(epsilon)
            }
        };
        let summed = ledgers.iter().any(|ledger| ledger.blocks(study).next().is_some());
        let mut several = |more: u32| {
            if summed {
                in_sums(study, ledgers, more, &mut epsilon)
            } else {
                worst(&burnt, more as usize, &mut epsilon)
            }
        };
        let (two, three) = (several(1)?, several(2)?);
        let mut sites = Vec::new();
        for ((ledger, burnt), several) in ledgers.iter().zip(&burnt).zip(two.into_iter().zip(three)) {
            sites.push(site(study, ledger, burnt, several.into(), &mut epsilon)?);
        }
        Ok(Self {
            study: *study,
            delta,
            accountant: Accountant::CHARGED.name(),
            unit: "person",
            neighbours: "add_remove_one",
            epsilon_person_max: sites.iter().map(|s| s.epsilon_person_max).fold(0.0, f64::max),
            epsilon_two_hospitals: sites.iter().filter_map(|s| s.epsilon_two_hospitals).fold(None, larger),
            epsilon_three_hospitals: sites
                .iter()
                .filter_map(|s| s.epsilon_three_hospitals)
                .fold(None, larger),
            sites,
        })
    }
}

/// What all sites together did with an earmark for secure sums.
#[derive(Clone, Default)]
struct Uses {
    /// Session, step and attempt of every masked vector.
    attempts: BTreeSet<(Digest, u32, u32)>,
    /// The most that a site burnt and masked nothing with.
    unused: u64,
    /// What each burnt, the most first.
    burnt: Vec<u64>,
}

/// As [`worst`], of secure sums: the same for each site, since all draw from the same sums.
///
/// # Privacy
/// An upper bound. k sites were together in no more sums than there are (session, step and attempt: no site masks
/// twice for one, and no two sums of one attempt reach the threshold), nor in more than they burnt uses for; what one
/// of them burnt and never masked anything with, or has no record of (a `recovered`), counts as one sum more each.
fn in_sums(
    study: &Digest,
    ledgers: &[&State],
    more: u32,
    mut epsilon: impl FnMut(&[Event]) -> Result<f64, InvalidEvent>,
) -> Result<Vec<Option<f64>>, InvalidEvent> {
    let records: Vec<_> = ledgers.iter().filter_map(|ledger| ledger.study(study)).collect();
    let earmarks = &records[0].earmarks;
    if ledgers.len() <= more as usize {
        return Ok(vec![None; ledgers.len()]);
    }
    let mut known = vec![Uses::default(); earmarks.len()];
    for (ledger, record) in ledgers.iter().zip(&records) {
        for (index, (known, count)) in known.iter_mut().zip(&record.burnt).enumerate() {
            let masked = ledger.masked(study).filter(|(_, masked)| masked.earmark as usize == index);
            let own: BTreeSet<_> = masked.map(|(_, m)| (m.session, m.step, m.attempt)).collect();
            // Each has a use of its own.
            known.unused = known.unused.max(count - own.len() as u64);
            known.attempts.extend(own);
            known.burnt.push(*count);
        }
    }
    known.iter_mut().for_each(|known| known.burnt.sort_unstable_by(|a, b| b.cmp(a)));
    let uses = |index: usize, times: u32| {
        let Uses { attempts, unused, burnt } = &known[index];
        let most: u64 = burnt.iter().take(times as usize).sum();
        most.min(attempts.len() as u64 + unused)
    };
    let epsilon = worst_in_sums(earmarks, more + 1, uses, &mut epsilon)?;
    Ok(vec![Some(epsilon); ledgers.len()])
}

fn site(
    study: &Digest,
    ledger: &State,
    burnt: &[Vec<Event>; 2],
    [epsilon_two_hospitals, epsilon_three_hospitals]: [Option<f64>; 2],
    mut epsilon: impl FnMut(&[Event]) -> Result<f64, InvalidEvent>,
) -> Result<SiteBudget, NoBudget> {
    let record = ledger.study(study).ok_or_else(|| NoBudget::NotOpened(ledger.site().clone()))?;
    let caps = ledger.caps();
    let [training, evaluation] = burnt;
    let (epsilon_training, epsilon_evaluation) = (epsilon(training)?, epsilon(evaluation)?);
    let epsilon_total_charged = charged_in_all(ledger);
    let uses = record.earmarks.iter().zip(&record.burnt);
    Ok(SiteBudget {
        name: ledger.site().clone(),
        epsilon_training,
        epsilon_evaluation,
        epsilon_person_max: epsilon_training.max(epsilon_evaluation),
        epsilon_two_hospitals,
        epsilon_three_hospitals,
        steps: uses.clone().filter(|(earmark, _)| earmark.is_training()).map(|(_, burnt)| *burnt).sum(),
        epsilon_training_earmarked: epsilon(&record.earmarked_events(Role::Training))?,
        epsilon_evaluation_earmarked: epsilon(&record.earmarked_events(Role::Evaluation))?,
        epsilon_per_study_cap: caps.epsilon_per_study,
        epsilon_total_cap: caps.epsilon_total,
        epsilon_total_charged,
        epsilon_total_left: (caps.epsilon_total - epsilon_total_charged).max(0.0),
        share_total_left: Role::ALL
            .into_iter()
            .map(|role| ledger.filter(role).share_left())
            .fold(1.0, f64::min),
        caps_delta: caps.delta,
        earmarks: uses.map(|(earmark, burnt)| EarmarkUse::of(earmark, *burnt)).collect(),
    })
}

impl EarmarkUse {
    fn of(earmark: &Earmark, burnt: u64) -> Self {
        Self { name: earmark.name.clone(), account: earmark.account, event: earmark.event, burnt }
    }
}

/// What the cap over all studies is compared with, for the role that pays more: held by the RDP filter,
/// whatever budgets are reported by.
#[must_use]
pub fn charged_in_all(ledger: &State) -> f64 {
    Role::ALL.into_iter().map(|role| ledger.filter(role).counted()).fold(0.0, f64::max)
}

/// The larger of a maximum so far and one more value.
fn larger(max: Option<f64>, value: f64) -> Option<f64> {
    Some(max.map_or(value, |max| max.max(value)))
}
