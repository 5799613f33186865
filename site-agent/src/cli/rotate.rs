//! `ledger rotate-key`.

use super::output::Output;
use super::{Clock, connect, in_runtime};
use crate::approval::{all_kept, kept};
use crate::disk::OsDisk;
use crate::drive::Agent;
use crate::failure::Failure;
use crate::home::{Home, HomeError, entropy};
use crate::ledger::LedgerStore;
use crate::ledger_view::LedgerView;
use crate::rotate::{Rotated, rotate};
use consilium_common::protocol::Decision;
use serde_json::json;

pub(super) fn rotate_key(home: &Home, output: &Output, clock: Clock) -> Result<(), Failure> {
    let config = home.config()?;
    let (done, untold) = match home.coordinator(&config) {
        Ok(_) => in_runtime(async {
            // The ledger's lock first: a running agent would sign on with the old key.
            let mut agent = Agent::open(home.clone(), &config, None, clock)?;
            let (mut link, hello) = connect(home, &config).await?;
            agent.greet(&hello)?;
            let (done, told) = agent.rotate_key(&mut link).await?;
            Ok::<_, Failure>((done, told.err().map(|error| error.to_string())))
        })??,
        Err(HomeError::NotEnrolled) => (alone(home, clock)?, None),
        Err(error) => return Err(error.into()),
    };
    let stale = stale(home, &done)?;
    let Rotated { old, new, entry } = &done;
    let coordinator = untold.as_ref().map_or_else(String::new, |why| {
        format!("\nThe coordinator does not know yet ({why}); `site-agent serve` tells it.")
    });
    let again = if stale.is_empty() {
        String::new()
    } else {
        format!(
            "\nApproved here under the old key and not started: {}. Ask the consortium to publish them with the new \
             key, and approve them again.",
            stale.join(", ")
        )
    };
    let human = format!(
        "old key:      {old}\n\
         fingerprint:  {new}\n\
         entry:        {entry}\n\n\
         Back up {} now: a copy from before holds the old key only.\n\
         Read the fingerprint to every other hospital by telephone. In [known_sites] of its site-policy.toml it \
         puts:\n  {} = \"{new}\"\n\
         (So does this one, if it is on its own list.) Until then it cosigns nothing of this ledger, and approves no study with this hospital.{coordinator}{again}\n\
         Next: site-agent serve",
        home.dir().join("identity").display(),
        config.site,
    );
    let json = json!({
        "site": config.site,
        "old_key": old,
        "key": new,
        "entry": entry,
        "coordinator_told": untold.is_none(),
        "approve_again": stale,
    });
    output.result(&human, &json)
}

/// Before `enroll` nobody has seen this ledger.
fn alone(home: &Home, clock: Clock) -> Result<Rotated, Failure> {
    let mut store = LedgerStore::open(&home.ledger_dir(), home.ledger_key()?, None)?;
    home.finish_key_change(&OsDisk, &store.key())?;
    Ok(rotate(&mut store, home, &OsDisk, &*entropy()?, clock())?)
}

/// Studies that this site approved under the old key and never opened.
fn stale(home: &Home, done: &Rotated) -> Result<Vec<String>, Failure> {
    let state = LedgerView::read(home)?.state;
    let mut names = Vec::new();
    for digest in all_kept(home)? {
        let Some(study) = kept(home, &digest, &done.old)? else { continue };
        let approved = study.decision.is_some_and(|(decision, _)| decision.decision == Decision::Approve);
        if approved && state.study(&digest).is_none() {
            names.push(study.study.id.to_string());
        }
    }
    names.sort();
    Ok(names)
}
