//! What a ledger's entries amount to, and what the agent and the auditor ask of it.

mod caps;
mod keys;
mod loss;

pub use loss::KEY_LOST;

use super::recovered::Recovery;
use super::sums::{Block, Ended, Sums};
use super::{Owner, REPLAY_SLACK};
use crate::id::{Digest, SiteName, StudyId};
use crate::key::PublicKey;
use crate::ledger::entry::{Account, Body, Caps, Earmark, Entry, Participant, Role};
use crate::privacy::filter::Filter;
use crate::privacy::mechanism::Event;
use crate::protocol::Approval;
use crate::signed::Signed;
use crate::time::Time;
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};

/// The state of a ledger after some entries; never without a genesis.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    size: u64,
    head: Digest,
    time: Time,
    owner: Owner,
    /// Keys that were given up or lost, each with the index of its `key_change` or `key_lost`.
    former: Vec<(u64, PublicKey)>,
    caps: Caps,
    /// The cap over all studies: training people's, then evaluation people's.
    filters: [Filter; 2],
    /// The same for the studies opened in one calendar year (UTC).
    years: BTreeMap<i16, [Filter; 2]>,
    studies: BTreeMap<Digest, StudyRecord>,
    burns: BTreeMap<u64, Burn>,
    /// The newest burn for each output.
    slots: BTreeMap<(Digest, Slot), u64>,
    /// What secure sums have burnt and sent.
    pub(super) sums: Sums,
    /// Every `recovered`, by its index.
    pub(super) recoveries: BTreeMap<u64, Recovery>,
    /// The newest `key_lost` by which roles were lost: from there on people of either role have paid for everything before.
    roles_lost: Option<u64>,
    /// The refusals recorded on the last entry's day.
    refusals: BTreeSet<(String, Option<Digest>)>,
}

/// A study in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRecord {
    /// Its stable name.
    pub study_id: StudyId,
    /// The index of its `study_open`.
    pub opened: u64,
    /// When the agent wrote that.
    pub opened_at: Time,
    /// The site's approval, verified.
    pub approval: Signed<Approval>,
    /// Who takes part.
    pub participants: Vec<Participant>,
    /// The hospital's caps at that moment.
    pub opened_under: Caps,
    /// The δ at which the study states its ε.
    pub delta: f64,
    /// Every release that it may make.
    pub earmarks: Vec<Earmark>,
    /// Uses burnt of each earmark.
    pub burnt: Vec<u64>,
    /// The newest commitment to its examples.
    pub dataset_version: Option<Digest>,
    /// The reason of its `close`, or `key_lost`.
    pub closed: Option<String>,
}

/// What an output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The update of a round, counted from 0.
    Round(u32),
    /// The histogram of a grouping, by its earmark's index.
    Grouping(u32),
}

/// A `reserve` or `release`, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burn {
    /// The study.
    pub study: Digest,
    /// Index into its earmarks.
    pub earmark: u32,
    /// First use burnt.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// What for.
    pub slot: Slot,
    /// Digest of the model that it starts from, or that is evaluated.
    pub model: Digest,
    /// When it was burnt.
    pub time: Time,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a burn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet. After a crash it counts as spent all the same.
    Open,
    /// The output is on disk and may be sent.
    Committed {
        /// SHA-256 of the exact output bytes.
        output: Digest,
        /// The index of the `commit`.
        entry: u64,
    },
    /// There will never be an output.
    Aborted,
}

impl State {
    pub(super) fn new(time: Time, head: Digest, owner: Owner, caps: Caps) -> Self {
        Self {
            size: 1,
            head,
            time,
            owner,
            former: Vec::new(),
            filters: fresh(caps.epsilon_total, caps.delta),
            years: BTreeMap::new(),
            caps,
            studies: BTreeMap::new(),
            burns: BTreeMap::new(),
            slots: BTreeMap::new(),
            sums: Sums::default(),
            recoveries: BTreeMap::new(),
            roles_lost: None,
            refusals: BTreeSet::new(),
        }
    }

    /// How many entries; the index of the next.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The leaf hash of the last entry: `previous` of the next.
    #[must_use]
    pub const fn head(&self) -> Digest {
        self.head
    }

    /// When the last entry was written.
    #[must_use]
    pub const fn time(&self) -> Time {
        self.time
    }

    /// Whose ledger it is.
    #[must_use]
    pub const fn site(&self) -> &SiteName {
        &self.owner.0
    }

    /// The dataset's random name.
    #[must_use]
    pub fn dataset(&self) -> &str {
        &self.owner.1
    }

    /// The key that signs its checkpoints now.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.owner.2
    }

    /// Whether its format promises that, with three or more participants, nothing left before
    /// another participant had cosigned.
    #[must_use]
    pub const fn is_witnessed_by_sites(&self) -> bool {
        self.owner.3
    }

    /// The origin line of its checkpoints.
    #[must_use]
    pub fn origin(&self) -> String {
        crate::ledger::checkpoint::origin(self.site(), self.dataset())
    }

    /// The hospital's caps now.
    #[must_use]
    pub const fn caps(&self) -> &Caps {
        &self.caps
    }

    /// A study that was opened here, closed ones included.
    #[must_use]
    pub fn study(&self, study: &Digest) -> Option<&StudyRecord> {
        self.studies.get(study)
    }

    /// Every study that was opened here, by digest.
    pub fn studies(&self) -> impl Iterator<Item = (&Digest, &StudyRecord)> {
        self.studies.iter()
    }

    /// The first use of an earmark that is not burnt; `None` for an unknown study or earmark. It
    /// equals the earmark's count when none is left.
    #[must_use]
    pub fn next_unburnt(&self, study: &Digest, earmark: u32) -> Option<u64> {
        self.study(study)?.earmark(earmark).map(|(_, burnt)| burnt)
    }

    /// The `reserve` or `release` at an index.
    #[must_use]
    pub fn burn(&self, index: u64) -> Option<&Burn> {
        self.burns.get(&index)
    }

    /// Every `reserve` and `release` of a study, with its index, in order.
    pub fn burns(&self, study: &Digest) -> impl Iterator<Item = (u64, &Burn)> {
        self.burns.iter().filter(move |(_, burn)| burn.study == *study).map(|(index, burn)| (*index, burn))
    }

    /// The newest burn for an output, with its index: committed, it may be sent again; open, a crash
    /// came between and an `abort` is due; aborted, a spare use may be burnt.
    #[must_use]
    pub fn slot(&self, study: &Digest, slot: Slot) -> Option<(u64, &Burn)> {
        let index = *self.slots.get(&(*study, slot))?;
        Some((index, self.burns.get(&index)?))
    }

    /// The digest of the committed output for a slot, and the index of its `commit`.
    #[must_use]
    pub fn committed(&self, study: &Digest, slot: Slot) -> Option<(Digest, u64)> {
        match self.slot(study, slot)?.1.outcome {
            Outcome::Committed { output, entry } => Some((output, entry)),
            Outcome::Open | Outcome::Aborted => None,
        }
    }

    /// Burns of open studies without commit or abort, in order: what a crash left behind.
    #[must_use]
    pub fn unfinished(&self) -> Vec<(u64, Burn)> {
        let open = |burn: &Burn| self.studies.get(&burn.study).is_some_and(|record| record.closed.is_none());
        self.burns
            .iter()
            .filter(|(_, burn)| burn.outcome == Outcome::Open && open(burn))
            .map(|(index, burn)| (*index, *burn))
            .collect()
    }

    /// The cap over all studies for people of a role, with what [`State::charged`] lists charged to it:
    /// each study when it was opened, in the ledger's order, less what it had not burnt when it was
    /// closed.
    ///
    /// # Privacy
    /// Unit: one person at this site; neighbours: add or remove one person. As [`Filter`]: a bound
    /// although studies are chosen after seeing the results of others, because the order was fixed
    /// before the first and stays, whatever the caps became later.
    #[must_use]
    pub const fn filter(&self, role: Role) -> &Filter {
        let [training, evaluation] = &self.filters;
        match role {
            Role::Training => training,
            Role::Evaluation => evaluation,
        }
    }

    /// The cap over the studies opened in one calendar year (UTC), as [`State::filter`]; without such a cap, of the
    /// cap over all of them, and compared with nothing.
    #[must_use]
    pub fn year_filter(&self, year: i16, role: Role) -> Filter {
        let filters =
            self.years.get(&year).cloned().unwrap_or_else(|| fresh(year_cap(&self.caps), self.caps.delta));
        let [training, evaluation] = filters;
        match role {
            Role::Training => training,
            Role::Evaluation => evaluation,
        }
    }

    /// Whether a refusal for this rule and study is recorded on `day`, the last entry's or a later.
    #[must_use]
    pub fn has_refused(&self, day: Date, rule: &str, study: Option<Digest>) -> bool {
        day == self.time.day() && self.refusals.contains(&(rule.to_owned(), study))
    }

    /// Records an entry that was checked.
    pub(super) fn record(&mut self, entry: &Entry, leaf: Digest) {
        let index = self.size;
        if !entry.time.is_same_day(self.time) {
            self.refusals.clear();
        }
        match &entry.body {
            Body::Genesis { .. } => unreachable!("checked: only the first entry is a genesis"),
            Body::PolicyChange { caps } => self.change_caps(caps),
            Body::KeyChange { key, .. } => self.change_key(*key),
            Body::KeyLost { key, split, .. } => self.lose_key(*key, *split, entry.time),
            Body::StudyOpen { study, study_id, approval, participants, delta, earmarks } => {
                let record = StudyRecord {
                    study_id: study_id.clone(),
                    opened: index,
                    opened_at: entry.time,
                    approval: approval.clone(),
                    participants: participants.clone(),
                    opened_under: self.caps.clone(),
                    delta: *delta,
                    burnt: vec![0; earmarks.len()],
                    earmarks: earmarks.clone(),
                    dataset_version: None,
                    closed: None,
                };
                let year = self
                    .years
                    .entry(entry.time.day().year())
                    .or_insert_with(|| fresh(year_cap(&self.caps), self.caps.delta));
                // Kept in a year without a cap too: one that comes later counts what was spent before.
                let slack = if self.caps.epsilon_per_year.is_some() { REPLAY_SLACK } else { f64::INFINITY };
                for (filters, slack) in [(&mut self.filters, REPLAY_SLACK), (year, slack)] {
                    for (role, filter) in Role::ALL.into_iter().zip(filters) {
                        let charged = filter.charge_with_slack(&role.events(earmarks), slack);
                        charged.expect("checked: the study fits under the caps");
                    }
                }
                self.studies.insert(*study, record);
            }
            Body::DatasetVersion { study, commitment } => {
                self.opened(study).dataset_version = Some(*commitment);
            }
            Body::CohortVersion { study, cohort, .. } => {
                self.opened(study).dataset_version = Some(*cohort);
            }
            Body::Reserve { study, earmark, first, count, round, model } => {
                self.keep(*study, *earmark, (*first, *count), Slot::Round(*round), *model, entry.time);
            }
            Body::Release { study, earmark, first, count, model } => {
                self.keep(*study, *earmark, (*first, *count), Slot::Grouping(*earmark), *model, entry.time);
            }
            Body::ReserveBlock { study, earmark, first, count } => {
                self.opened(study).burnt[*earmark as usize] += count;
                let (first, count, time) = (*first, *count, entry.time);
                self.sums.reserve(index, Block::new(*study, *earmark, first, count, time));
            }
            Body::CommitSum { reserve, index: used, step, attempt, session, model, output } => {
                let slot = (*step, *attempt);
                let (session, model, output) = (*session, *model, *output);
                self.sums.commit(index, *reserve, *used, slot, session, model, output, entry.time);
            }
            Body::Sum { commit, survivors, sum, transcript } => {
                self.sums.end(
                    *commit,
                    Ended { entry: index, survivors: survivors.clone(), sum: *sum, transcript: *transcript },
                );
            }
            Body::Commit { reserve, output } => {
                self.finish(*reserve, Outcome::Committed { output: *output, entry: index });
            }
            Body::Abort { reserve, .. } => {
                if !self.sums.abort(*reserve) {
                    self.finish(*reserve, Outcome::Aborted);
                }
            }
            Body::Recovered { .. } => self.recover(entry.time),
            Body::Refusal { rule, study, .. } => {
                self.refusals.insert((rule.clone(), *study));
            }
            Body::Close { study, reason } => {
                let record = self.opened(study);
                record.closed = Some(reason.clone());
                let unburnt = Role::ALL.map(|role| record.unburnt_events(role));
                let year = record.opened_at.day().year();
                let of_year = self.years.get_mut(&year).expect("a study was opened in it");
                for filters in [&mut self.filters, of_year] {
                    for (filter, events) in filters.iter_mut().zip(&unburnt) {
                        filter.give_back(events).expect("charged when the study was opened");
                    }
                }
            }
        }
        self.size += 1;
        self.head = leaf;
        self.time = entry.time;
    }

    fn change_caps(&mut self, caps: &Caps) {
        self.caps = caps.clone();
        let changed = |filters: [Filter; 2], cap| {
            filters.map(|filter| filter.with_cap(cap, caps.delta).expect("checked: the caps are numbers"))
        };
        self.filters = changed(self.filters.clone(), caps.epsilon_total);
        for filters in self.years.values_mut() {
            *filters = changed(filters.clone(), year_cap(caps));
        }
    }

    fn keep(
        &mut self,
        study: Digest,
        earmark: u32,
        (first, count): (u64, u64),
        slot: Slot,
        model: Digest,
        time: Time,
    ) {
        self.opened(&study).burnt[earmark as usize] += count;
        let outcome = Outcome::Open;
        self.burns.insert(self.size, Burn { study, earmark, first, count, slot, model, time, outcome });
        self.slots.insert((study, slot), self.size);
    }

    pub(super) fn finish(&mut self, reserve: u64, outcome: Outcome) {
        self.burns.get_mut(&reserve).expect("checked: the burn is there").outcome = outcome;
    }

    fn opened(&mut self, study: &Digest) -> &mut StudyRecord {
        self.studies.get_mut(study).expect("checked: the study is open")
    }
}

/// Filters for both roles that nothing was charged to; the caps were checked.
fn fresh(epsilon_cap: f64, delta: f64) -> [Filter; 2] {
    Role::ALL.map(|_| Filter::new(epsilon_cap, delta).expect("checked: the caps are numbers"))
}

fn year_cap(caps: &Caps) -> f64 {
    caps.epsilon_per_year.unwrap_or(caps.epsilon_total)
}

impl StudyRecord {
    /// An earmark, and how many of its uses are burnt.
    #[must_use]
    pub fn earmark(&self, index: u32) -> Option<(&Earmark, u64)> {
        let index = usize::try_from(index).ok()?;
        Some((self.earmarks.get(index)?, *self.burnt.get(index)?))
    }

    /// An earmark's index by its name.
    #[must_use]
    pub fn earmark_named(&self, name: &str) -> Option<u32> {
        self.earmarks.iter().position(|earmark| earmark.name == name).and_then(|i| u32::try_from(i).ok())
    }

    /// Everything that it may release at the expense of a role.
    #[must_use]
    pub fn earmarked_events(&self, role: Role) -> Vec<Event> {
        role.events(&self.earmarks)
    }

    /// What the caps count of it at the expense of a role: everything while it is open, what it has burnt
    /// once it is closed.
    #[must_use]
    pub fn charged_events(&self, role: Role) -> Vec<Event> {
        match self.closed {
            None => self.earmarked_events(role),
            Some(_) => self.burnt_events(role),
        }
    }

    /// What it may still burn at the expense of a role, or could have when it was closed.
    fn unburnt_events(&self, role: Role) -> Vec<Event> {
        self.earmarks
            .iter()
            .zip(&self.burnt)
            .filter(|(earmark, _)| earmark.account.is_paid_by(role))
            .map(|(earmark, burnt)| earmark.event.with_count(earmark.event.count() - burnt))
            .collect()
    }

    /// What it has burnt at the expense of a role.
    #[must_use]
    pub fn burnt_events(&self, role: Role) -> Vec<Event> {
        self.burnt_on(|account| account.is_paid_by(role))
    }

    /// What it has burnt on these accounts.
    fn burnt_on(&self, accounts: impl Fn(Account) -> bool) -> Vec<Event> {
        self.earmarks
            .iter()
            .zip(&self.burnt)
            .filter(|(earmark, burnt)| accounts(earmark.account) && **burnt > 0)
            .map(|(earmark, burnt)| earmark.event.with_count(*burnt))
            .collect()
    }
}
