//! What each event makes of a study.

use super::round::Collecting;
use super::summing::{ClosedSum, Summing};
use super::{Phase, StudyEvent, StudyState, absence};
use consilium_common::study::secure::Summed;

impl StudyState {
    /// The next value.
    ///
    /// # Panics
    /// On an event that does not fit the phase: the log holds only what was decided here.
    #[must_use]
    pub fn apply(mut self, event: StudyEvent) -> Self {
        self.version += 1;
        absence::note(&mut self.absent, &event);
        match event {
            StudyEvent::Published { .. } => {}
            StudyEvent::Decided { site, approval, .. } => {
                self.decisions.insert(site, approval);
            }
            StudyEvent::Started { start, participants, model, time } => {
                self.participants = participants.into_iter().collect();
                self.start = Some(start);
                self.models.push(model);
                self.phase = if self.is_distributed() {
                    Phase::Summing(Summing::new(Summed::Training))
                } else {
                    Phase::Training { round: 0, collecting: Collecting::until(self.deadline(time)) }
                };
            }
            StudyEvent::RoundOpened { round, deadline, .. } => match &mut self.phase {
                Phase::Summing(summing) => summing.next_step(round),
                phase => *phase = Phase::Training { round, collecting: Collecting::until(deadline) },
            },
            StudyEvent::RoundReopened { deadline, .. } => {
                if let Phase::Training { collecting, .. } = &mut self.phase {
                    collecting.reopen(deadline);
                }
            }
            StudyEvent::UpdateAccepted { site, digest, .. } => {
                if let Phase::Training { collecting, .. } = &mut self.phase {
                    collecting.declined.remove(&site);
                    collecting.unready.remove(&site);
                    collecting.answers.insert(site, digest);
                }
            }
            StudyEvent::TaskDeclined { site, rule, .. } => match &mut self.phase {
                Phase::Summing(summing) => summing.refused(site, &rule),
                Phase::Training { collecting, .. } => collecting.refused(site, &rule),
                Phase::Evaluating { collecting } => collecting.refused(site, &rule),
                _ => {}
            },
            StudyEvent::RoundClosed { model, .. } => {
                match &self.phase {
                    Phase::Training { collecting, .. } => self.updates.push(collecting.answers.clone()),
                    Phase::Summing(_) => {}
                    _ => panic!("a round closes while it is open"),
                }
                self.models.push(model);
            }
            StudyEvent::SessionOpened { number, .. } => {
                self.sessions = number;
                self.open_mut().session = Some(number);
            }
            StudyEvent::SumRequested { .. } => self.open_mut().requested = true,
            StudyEvent::AttemptFailed { requested, .. } => self.open_mut().fail(requested),
            StudyEvent::SiteDropped { site, .. } => self.open_mut().strike(site),
            StudyEvent::SiteLeft { .. } => {}
            StudyEvent::SumClosed { earmark, attempt, survivors, sum, .. } => {
                self.open_mut().survived(&survivors);
                let closed = ClosedSum { attempt, survivors, sum };
                if earmark == Summed::Training.earmark() {
                    self.sums.push(closed);
                } else {
                    self.grouping_sums.insert(earmark, closed);
                    self.open_after(Summed::Grouping(earmark));
                }
            }
            StudyEvent::GroupingGivenUp { earmark, .. } => self.open_after(Summed::Grouping(earmark)),
            StudyEvent::EvaluationOpened { deadline, .. } => match self.phase {
                Phase::Summing(_) => self.open_after(Summed::Training),
                _ => self.phase = Phase::Evaluating { collecting: Collecting::until(deadline) },
            },
            StudyEvent::HistogramAccepted { site, grouping, digest, .. } => {
                if let Phase::Evaluating { collecting } = &mut self.phase {
                    collecting.answers.entry(site).or_default().insert(grouping, digest);
                }
            }
            StudyEvent::EvaluationClosed { deadline, .. } => {
                if let Phase::Evaluating { collecting } = &self.phase {
                    for (site, histograms) in &collecting.answers {
                        for (grouping, digest) in histograms {
                            let sites = self.histograms.entry(grouping.clone()).or_default();
                            sites.insert(site.clone(), *digest);
                        }
                    }
                }
                self.phase = Phase::Closing { deadline, reason: "finished".into() };
            }
            StudyEvent::Stopping { reason, deadline, .. } => {
                self.phase = Phase::Closing { deadline, reason };
            }
            StudyEvent::LedgerReceived { site, .. } => {
                self.ledgers.insert(site);
            }
            StudyEvent::Ended { reason, .. } => self.phase = Phase::Ended { reason },
        }
        self
    }

    fn open_mut(&mut self) -> &mut Summing {
        match &mut self.phase {
            Phase::Summing(summing) => summing,
            _ => panic!("a secure sum is open"),
        }
    }

    /// The next kind of sum; after the last one the phase is ended by the event that follows.
    fn open_after(&mut self, summed: Summed) {
        if let Some(next) = self.summed_after(summed) {
            self.phase = Phase::Summing(Summing::new(next));
        }
    }
}
