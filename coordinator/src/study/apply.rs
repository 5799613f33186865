//! What each event makes of a study.

use super::round::Collecting;
use super::{Phase, StudyEvent, StudyState};

impl StudyState {
    /// The next value.
    ///
    /// # Panics
    /// On an event that does not fit the phase: the log holds only what was decided here.
    #[must_use]
    pub fn apply(mut self, event: StudyEvent) -> Self {
        self.version += 1;
        match event {
            StudyEvent::Published { .. } => {}
            StudyEvent::Decided { site, approval, .. } => {
                self.decisions.insert(site, approval);
            }
            StudyEvent::Started { start, participants, model, time } => {
                self.participants = participants.into_iter().collect();
                self.start = Some(start);
                self.models.push(model);
                let deadline = self.deadline(time);
                self.phase = Phase::Training { round: 0, collecting: Collecting::until(deadline) };
            }
            StudyEvent::RoundOpened { round, deadline, .. } => {
                self.phase = Phase::Training { round, collecting: Collecting::until(deadline) };
            }
            StudyEvent::RoundReopened { deadline, .. } => {
                if let Phase::Training { collecting, .. } = &mut self.phase {
                    collecting.reopen(deadline);
                }
            }
            StudyEvent::UpdateAccepted { site, digest, .. } => {
                if let Phase::Training { collecting, .. } = &mut self.phase {
                    collecting.declined.remove(&site);
                    collecting.answers.insert(site, digest);
                }
            }
            StudyEvent::TaskDeclined { site, .. } => match &mut self.phase {
                Phase::Training { collecting, .. } => {
                    collecting.declined.insert(site);
                }
                Phase::Evaluating { collecting } => {
                    collecting.declined.insert(site);
                }
                _ => {}
            },
            StudyEvent::RoundClosed { model, .. } => {
                let Phase::Training { collecting, .. } = &self.phase else {
                    panic!("a round closes while it is open")
                };
                self.updates.push(collecting.answers.clone());
                self.models.push(model);
            }
            StudyEvent::EvaluationOpened { deadline, .. } => {
                self.phase = Phase::Evaluating { collecting: Collecting::until(deadline) };
            }
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
}
