//! Setup: this site's session key is sent, the others' are awaited.

use super::Session;
use crate::key::SecretKey;
use crate::secagg::agreement::{Agreement, SiteIndex};
use crate::secagg::dealing::Channel;
use crate::secagg::exchange::ExchangeKey;
use crate::secagg::message::{SessionKey, SessionKeys};
use crate::secagg::refusal::Refusal;
use crate::secagg::session::{check_different, check_key, session_digest};
use rand_core::CryptoRng;
use std::collections::BTreeMap;

/// A session that this site wants to join.
#[derive(Debug)]
pub struct Joining {
    agreement: Agreement,
    own: SiteIndex,
    secret: ExchangeKey,
    sent: SessionKey,
}

impl Joining {
    /// Makes a fresh channel key for session `number` and signs it with `identity`, the ledger key that
    /// the study pins.
    ///
    /// # Errors
    /// The roster does not list that key.
    pub fn new<R: CryptoRng + ?Sized>(
        agreement: Agreement,
        identity: &SecretKey,
        number: u64,
        rng: &mut R,
    ) -> Result<(Self, SessionKey), Refusal> {
        let own = agreement.roster().index_of(&identity.public()).ok_or(Refusal::NotOnRoster)?;
        let secret = ExchangeKey::generate(rng);
        let public = secret.public();
        let signed = SessionKey::signing_input(&agreement.digest(), number, own, &public);
        let signature = identity.sign(&signed);
        let sent = SessionKey { agreement: agreement.digest(), number, site: own, public, signature };
        Ok((Self { agreement, own, secret, sent: sent.clone() }, sent))
    }

    /// Verifies every key against the roster and agrees on a channel with each site.
    ///
    /// # Errors
    /// Another session; fewer sites than the threshold; this site's key missing or exchanged; a key by
    /// somebody else than the roster's site, for other terms, twice, or of low order.
    pub fn open(self, keys: &SessionKeys) -> Result<Session, Refusal> {
        let Self { agreement, own, secret, sent } = self;
        if keys.number != sent.number {
            return Err(Refusal::Binding { field: "session" });
        }
        agreement.enough("setup", keys.keys.len())?;
        if keys.keys.get(&own).is_none_or(|(public, _)| *public != sent.public) {
            return Err(Refusal::OwnMessage { what: "session key" });
        }
        check_different(keys.keys.iter().map(|(site, (public, _))| (*site, public)))?;
        let digest = session_digest(&agreement, keys);
        let mut channels = BTreeMap::new();
        for (&site, (public, signature)) in keys.keys.iter().filter(|(site, _)| **site != own) {
            check_key(&agreement, sent.number, site, public, signature)?;
            let agreed = secret.agree(public).map_err(|_| Refusal::LowOrderKey { site })?;
            channels.insert(site, Channel::new(&agreed, &digest, own, site));
        }
        Ok(Session::new(agreement, own, digest, channels))
    }
}
