//! Setup: the sites' session keys.

use super::{Accepted, Sharing, said_before};
use crate::id::Digest;
use crate::secagg::agreement::{Agreement, SiteIndex};
use crate::secagg::binding::{ShareBinding, Slot};
use crate::secagg::exchange::contributes;
use crate::secagg::message::{SessionKey, SessionKeys};
use crate::secagg::refusal::Refusal;
use crate::secagg::session::{check_different, check_key, session_digest};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A session that sites are joining.
#[derive(Debug)]
pub struct Setup {
    agreement: Agreement,
    keys: SessionKeys,
}

/// An open session.
#[derive(Debug)]
pub struct Session {
    agreement: Arc<Agreement>,
    digest: Digest,
    members: Vec<SiteIndex>,
    last_slot: Option<Slot>,
}

impl Setup {
    /// For session `number` of a study.
    #[must_use]
    pub fn new(agreement: Agreement, number: u64) -> Self {
        Self { agreement, keys: SessionKeys { number, keys: BTreeMap::new() } }
    }

    /// A site's key.
    ///
    /// # Errors
    /// For another session or agreement, not signed by the roster's site, of low order, or another
    /// site's key; or a second one.
    pub fn accept(&mut self, key: &SessionKey) -> Result<Accepted, Refusal> {
        let site = key.site;
        if key.number != self.keys.number {
            return Err(Refusal::Binding { field: "session" });
        }
        if key.agreement != self.agreement.digest() {
            return Err(Refusal::Agreement { site });
        }
        check_key(&self.agreement, key.number, site, &key.public, &key.signature)?;
        contributes(&key.public).map_err(|_| Refusal::LowOrderKey { site })?;
        let known = self.keys.keys.get(&site).map(|(public, _)| public);
        if said_before(known, &key.public, site, "session key")? {
            return Ok(Accepted::Again);
        }
        check_different(
            self.keys.keys.iter().map(|(site, (public, _))| (*site, public)).chain([(site, &key.public)]),
        )?;
        self.keys.keys.insert(site, (key.public, key.signature));
        Ok(Accepted::New)
    }

    /// Whose keys came.
    pub fn sites(&self) -> impl Iterator<Item = SiteIndex> {
        self.keys.keys.keys().copied()
    }

    /// Opens the session; the message goes to every site in it.
    ///
    /// # Errors
    /// Fewer sites than the threshold.
    pub fn close(self) -> Result<(Session, SessionKeys), Refusal> {
        let Self { agreement, keys } = self;
        agreement.enough("setup", keys.keys.len())?;
        let digest = session_digest(&agreement, &keys);
        let members = keys.keys.keys().copied().collect();
        Ok((Session { agreement: Arc::new(agreement), digest, members, last_slot: None }, keys))
    }
}

impl Session {
    /// The session's name, as at the sites.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The sites in it, in order.
    #[must_use]
    pub fn members(&self) -> &[SiteIndex] {
        &self.members
    }

    /// Begins one attempt. The attempt before need not be over.
    ///
    /// # Errors
    /// This attempt, or a later one, was already begun in this session.
    pub fn begin(&mut self, slot: Slot) -> Result<Sharing, Refusal> {
        if self.last_slot.is_some_and(|last| slot <= last) {
            return Err(Refusal::SlotUsed { slot });
        }
        self.last_slot = Some(slot);
        let binding = ShareBinding { study: self.agreement.study(), session: self.digest, slot };
        Ok(Sharing::new(Arc::clone(&self.agreement), binding, self.members.clone()))
    }
}
