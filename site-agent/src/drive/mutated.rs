//! What broken variants of an agent let out. See [`consilium_common::mutant`].

use super::agent::Agent;
use super::failed::TaskError;
use crate::compute::Seed;
use crate::data::{Faults, Loaded};
use crate::task::Refusal;
use consilium_common::id::Digest;
use consilium_common::ledger::entry::Body;
use consilium_common::mutant::{Mutant, is, set_people};

/// The nonce of a commitment to the examples.
pub(super) fn nonce(nonce: Seed) -> Seed {
    if is(Mutant::PlainCommitment) { Seed::default() } else { nonce }
}

/// A refusal that depends on data.
pub(super) fn refuse(faults: &Faults) -> Result<(), TaskError> {
    if is(Mutant::RefuseFaults) && faults.count > 0 {
        let why = "a row has a fault".to_owned();
        return Err(Refusal { rule: "data.faults", why }.into());
    }
    Ok(())
}

/// An entry that depends on data; and what another variant puts elsewhere.
pub(super) fn count(agent: &mut Agent, study: &Digest, data: &Loaded) -> Result<(), TaskError> {
    let count = (data.training.people() + data.evaluation.people()) as u64;
    set_people(count);
    if is(Mutant::CountInLedger) {
        let body = Body::Refusal { rule: "data.people".to_owned(), study: Some(*study), count };
        agent.append(body)?;
    }
    Ok(())
}
