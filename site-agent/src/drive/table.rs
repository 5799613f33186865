//! The table before anything is spent on it: can it be opened, and has it the columns that a study reads?
//!
//! A site whose table is wrong would find out when it reads it, which is after a use was burnt for it. So the header is
//! looked at before a study is opened or joined, and before every reserve. What is wrong is one refusal, by one rule,
//! whatever it is; which file and which columns only this site's own log says.

use super::agent::Agent;
use super::examples::is_frozen;
use super::failed::TaskError;
use crate::approval::{KeptStudy, all_kept, kept};
use crate::data::opt_out::IdForm;
use crate::data::{self, InvalidData};
use crate::failure::Failure;
use crate::task::Refusal;
use consilium_common::protocol::Decision;
use consilium_common::study::Study;
use std::path::PathBuf;
use std::sync::Arc;

/// The rule of such a refusal. What a person mends is over with it: the coordinator asks again.
pub(super) const RULE: &str = "data.table";

impl Agent {
    /// Reads the header of the table (of OMOP tables also the vocabulary), no person's row, and holds it
    /// against the policy and every study that this site approved, that has not ended and whose examples are not
    /// frozen yet: what is wrong there would otherwise burn reserves. Then freezes those examples.
    ///
    /// # Errors
    /// The data cannot be read, or a column is missing. No data given is a warning only.
    pub fn check_table(&self) -> Result<(), Failure> {
        let Ok(path) = self.data_path() else {
            tracing::warn!("no data: rounds are refused until `data` is given in agent.toml, or --data");
            return Ok(());
        };
        let policy = self.home.policy()?;
        let (mut due, mut any_is_frozen) = (Vec::new(), false);
        for digest in all_kept(&self.home)? {
            let closed = self.store.state().study(&digest).is_some_and(|record| record.closed.is_some());
            let Some(KeptStudy { study, decision: Some((decision, _)) }) =
                kept(&self.home, &digest, &self.own.key)?
            else {
                continue;
            };
            let ended = closed || self.now().day() > study.governance.valid_until;
            if decision.decision != Decision::Approve || ended {
                continue;
            }
            if is_frozen(&self.home, &*self.disk, &study, self.now(), policy.snapshot_days)? {
                any_is_frozen = true;
            } else {
                due.push(study);
            }
        }
        // A source that no study waits for may be away.
        if !due.is_empty() || !any_is_frozen {
            data::check_person_column(path, &policy.person_id)?;
        }
        due.iter().try_for_each(|study| data::check_columns(path, study))?;
        self.freeze_ahead(path, &due);
        Ok(())
    }

    /// Refuses by [`OPT_OUT_RULE`](super::examples::OPT_OUT_RULE) where an opt-out list cannot be read for such data. Then by [`RULE`]
    /// where the study's table is not there, cannot be opened, or lacks a column that the study reads; where its examples
    /// are in memory or frozen the table is not read again, and not looked at.
    ///
    /// # Privacy
    /// Spends nothing, so that nothing that leaves may depend on a person: the answer is a function of whether the file
    /// opens and of its header (the names of columns, which are no person's data), and is one bit under one rule.
    /// No row below the header is parsed. A file without a header has a person's row in its place: it is refused
    /// whatever is in that row, unless its cells are the very names of the study's columns. The refusal's text
    /// names the file and the study's own columns, never a cell.
    pub(super) async fn check_columns(&mut self, study: &Arc<Study>) -> Result<(), TaskError> {
        self.refresh_opt_outs(IdForm::of(study)).await?;
        if self.needs_no_source(study).await? {
            return Ok(());
        }
        self.claim_database_again().await?;
        let path = self.data_path()?.to_owned();
        let study = Arc::clone(study);
        // A slow or broken network drive holds up no other connection.
        let checked = tokio::task::spawn_blocking(move || data::check_columns(&path, &study)).await;
        let checked = checked.map_err(|_| TaskError::Local("looking at the table failed".into()))?;
        checked.map_err(|invalid| refused(&invalid).into())
    }

    /// Where the table is.
    pub(super) fn data_path(&self) -> Result<&PathBuf, Refusal> {
        self.data_path.as_ref().ok_or_else(|| Refusal {
            rule: RULE,
            why: "no table is given: write `data` in agent.toml, or give --data".into(),
        })
    }
}

fn refused(invalid: &InvalidData) -> Refusal {
    Refusal {
        rule: RULE,
        why: format!("{invalid}\nmend it, or give another with --data; nothing was spent on it"),
    }
}
