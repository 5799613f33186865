//! Sites and a conductor, their messages in one queue, and what the coordinator keeps in a plain value:
//! it can be started again from there.

use super::site::Site;
use super::{SITES, started, study};
use crate::secure::{Act, Ask, Conductor, Down, Finished, Model};
use crate::study::{ClosedSum, Phase, StudyEvent, StudyRefusal, StudyState};
use consilium_common::id::{Digest, SiteName};
use consilium_common::secagg::{SiteIndex, SumRecord};
use consilium_common::study::RosterSite;
use consilium_common::study::secure::{Summed, agreement};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What happens to a message of a site on its way.
pub enum Fate {
    Arrives,
    /// Its stream breaks before.
    Breaks,
    /// It is never sent; the stream stays.
    Silence,
    /// Other bytes come.
    Instead(Vec<u8>),
    /// The site refuses instead.
    Refuses(&'static str),
}

pub struct World {
    pub state: StudyState,
    pub events: Vec<StudyEvent>,
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    pub sites: Vec<Site>,
    conductor: Option<Conductor>,
    /// Who is on a stream.
    pub there: BTreeSet<usize>,
    queue: VecDeque<(usize, Vec<u8>)>,
    pub now_ms: u64,
    /// Messages so far that were on their way to the coordinator.
    pub sent: u64,
}

impl World {
    pub fn new(spare_rounds: u32, spare_evaluations: u32) -> Self {
        let (state, model) = started(study(spare_rounds, spare_evaluations));
        let file = Arc::new(state.study.clone());
        let sites = SITES.map(|site| Site::new(site, Arc::clone(&file), &state.participants));
        let mut world = Self {
            state,
            events: Vec::new(),
            blobs: BTreeMap::from([(Digest::of(&model), model)]),
            sites: sites.into(),
            conductor: None,
            there: BTreeSet::new(),
            queue: VecDeque::new(),
            now_ms: 0,
            sent: 0,
        };
        world.start();
        world
    }

    /// A coordinator that knows what was kept, and nothing else. All streams are gone.
    pub fn start(&mut self) {
        self.queue.clear();
        self.there.clear();
        self.sites.iter_mut().for_each(Site::forget);
        if self.state.summing().is_none() {
            self.conductor = None;
            return;
        }
        self.keep(StudyState::decide_interrupted).expect("sums are open");
        let Some(open) = self.state.summing().cloned() else { return };
        let model = Model::parse(self.blobs[self.state.models.last().expect("started")].clone());
        let file = Arc::new(self.state.study.clone());
        let conductor =
            Conductor::new(file, &self.state.participants, open, model.expect("a model"), self.now_ms);
        self.conductor = Some(conductor.expect("terms"));
    }

    /// Every participant that is not on a stream, and is asked to be, comes.
    pub fn all_join(&mut self) {
        for site in 0..SITES.len() {
            self.join(site);
        }
    }

    pub fn join(&mut self, site: usize) {
        let name = self.sites[site].name.clone();
        if self.state.check_joins(&name).is_ok() && self.there.insert(site) {
            self.sites[site].forget();
            let acts = self.conductor().joined(index(site), 0);
            self.perform(acts);
        }
    }

    /// Delivers the next message; without one, time goes on to the deadline. False when the sums are over.
    pub fn step(&mut self, fate: &mut impl FnMut(usize, &[u8], &StudyState) -> Fate) -> bool {
        if self.state.summing().is_none() {
            return false;
        }
        let Some((site, bytes)) = self.queue.pop_front() else {
            let deadline = self.conductor().deadline().expect("something is awaited, until when is known");
            self.now_ms = self.now_ms.max(deadline);
            let now = self.now_ms;
            let acts = self.conductor().late(now);
            self.perform(acts);
            return true;
        };
        if !self.there.contains(&site) {
            return true;
        }
        self.sent += 1;
        let now = self.now_ms;
        let acts = match fate(site, &bytes, &self.state) {
            Fate::Arrives => self.conductor().message(index(site), &bytes, now),
            Fate::Instead(bytes) => self.conductor().message(index(site), &bytes, now),
            Fate::Refuses(rule) => {
                self.leave(site);
                self.conductor().refused(index(site), rule.to_owned(), now)
            }
            Fate::Silence => vec![],
            Fate::Breaks => {
                self.leave(site);
                self.conductor().left(index(site), now)
            }
        };
        self.perform(acts);
        true
    }

    fn leave(&mut self, site: usize) {
        self.there.remove(&site);
        self.sites[site].forget();
        self.queue.retain(|(from, _)| *from != site);
    }

    fn conductor(&mut self) -> &mut Conductor {
        self.conductor.as_mut().expect("running")
    }

    fn perform(&mut self, acts: Vec<Act>) {
        let mut acts = VecDeque::from(acts);
        while let Some(act) = acts.pop_front() {
            match act {
                Act::Send(to, Down::Refused { .. }) => self.leave(at(to)),
                Act::Send(to, down) => {
                    assert!(self.there.contains(&at(to)), "sent to a site that is gone");
                    let answer = self.sites[at(to)].receive(&down);
                    self.queue.extend(answer.map(|bytes| (at(to), bytes)));
                }
                Act::Cut(site) => self.leave(at(site)),
                Act::Ask(ask) => {
                    if self.state.summing().is_some() {
                        acts.extend(self.answer(ask));
                    }
                }
            }
        }
    }

    fn answer(&mut self, ask: Ask) -> Vec<Act> {
        let now = self.now_ms;
        let decided = match ask {
            Ask::Session => {
                self.keep(StudyState::decide_session).expect("open");
                let number = self.state.sessions;
                return self.conductor().opened(number, now);
            }
            Ask::Requested => {
                self.keep(StudyState::decide_requested).expect("open");
                return vec![];
            }
            Ask::Failed { failure, requested } => {
                self.keep(|state, time| state.decide_failed(failure, requested, time)).expect("open");
                self.state.summing().cloned().map(|open| self.conductor().failed(open, now))
            }
            Ask::Dropped { site, rule } => {
                self.keep(|state, time| state.decide_dropped(&site, &rule, time)).expect("open");
                self.state.summing().cloned().map(|open| self.conductor().noted(open, now))
            }
            Ask::Left { site } => {
                self.keep(|state, time| state.decide_left(&site, time)).expect("takes part");
                self.state.summing().cloned().map(|open| self.conductor().noted(open, now))
            }
            Ask::Declined { site, rule } => {
                self.keep(|state, time| state.decide_decline(&site, &rule, time)).expect("open");
                self.state.summing().cloned().map(|open| self.conductor().noted(open, now))
            }
            Ask::Sum(finished) => {
                let Finished { attempt, survivors, record, model } = *finished;
                let closed = ClosedSum { attempt, survivors, sum: Digest::of(&record) };
                self.blobs.insert(closed.sum, record);
                let digest = model.as_ref().map(|model| model.digest);
                self.blobs.extend(model.iter().map(|model| (model.digest, model.bytes.to_vec())));
                self.keep(|state, time| state.decide_sum(closed, digest, time)).expect("open");
                let open = self.state.summing().cloned();
                Some(self.conductor().kept(open, model, now))
            }
            Ask::Stop(why) => panic!("nothing is wrong with the study: {why}"),
        };
        decided.unwrap_or_default()
    }

    fn keep(
        &mut self,
        decide: impl FnOnce(&StudyState, consilium_common::time::Time) -> Result<Vec<StudyEvent>, StudyRefusal>,
    ) -> Result<(), StudyRefusal> {
        for event in decide(&self.state, super::now())? {
            self.events.push(event.clone());
            self.state = self.state.clone().apply(event);
        }
        Ok(())
    }

    /// Every sum is that of the survivors' noised integers, bit for bit; every model follows from it; and what
    /// the survivors heard is what an auditor recomputes.
    pub fn check_sums(&self) {
        let sites = crate::secure::by_name(&self.state.study, &self.state.participants);
        let training = (0_u32..).zip(&self.state.sums).map(|(step, closed)| (Summed::Training, step, closed));
        let groupings = self.state.grouping_sums.iter();
        let groupings = groupings.map(|(earmark, closed)| (Summed::Grouping(*earmark), *earmark, closed));
        for (summed, step, closed) in training.chain(groupings) {
            let (record, sum) = SumRecord::decode(&self.blobs[&closed.sum]).expect("a record");
            let at = (summed.earmark(), step, closed.attempt);
            assert_eq!((record.step, record.attempt), (step, closed.attempt));
            let agreement = agreement(&self.state.study, &sites, summed).expect("agrees");
            let transcript = record.transcript(&agreement, &sum).expect("enough signatures");
            assert!(closed.survivors.len() >= 4, "{at:?}");
            let mut expected = vec![0; sum.len()];
            for survivor in &closed.survivors {
                let site = self.sites.iter().find(|site| site.name == *survivor).expect("a site");
                expected.iter_mut().zip(&site.masked[&at]).for_each(|(sum, value)| *sum += value);
                let heard = site.ended.iter().find(|ended| ended.binding == transcript.binding);
                assert!(heard.is_none_or(|heard| *heard == transcript), "{at:?} at {survivor}");
            }
            assert!(sum == expected, "{at:?} is another sum");
            let model = match summed {
                Summed::Training => self.state.models[step as usize],
                Summed::Grouping(_) => *self.state.models.last().expect("started"),
            };
            assert_eq!(record.model, model);
            if summed == Summed::Training {
                let of = |name: &SiteName| *sites.iter().find(|s| s.name == *name).expect("a site");
                let survivors: Vec<&RosterSite> = closed.survivors.iter().map(of).collect();
                let model = Model::parse(self.blobs[&model].clone()).expect("a model");
                let next = model.next(&self.state.study, &survivors, &sum).expect("a step");
                assert_eq!(self.state.models[step as usize + 1], next.digest);
            }
        }
    }

    /// The reason why it ended, or `finished`.
    pub fn reason(&self) -> &str {
        match &self.state.phase {
            Phase::Closing { reason, .. } => reason,
            other => panic!("not over: {other:?}"),
        }
    }

    /// How often each event of a kind was kept.
    pub fn count(&self, is: impl Fn(&StudyEvent) -> bool) -> usize {
        self.events.iter().filter(|event| is(event)).count()
    }
}

fn at(site: SiteIndex) -> usize {
    usize::from(site.get()) - 1
}

fn index(site: usize) -> SiteIndex {
    SiteIndex::new(u8::try_from(site).expect("few") + 1).expect("from 1")
}
