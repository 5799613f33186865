//! An open session: the channels to all other sites, over many steps.

use super::Sharing;
use crate::id::Digest;
use crate::key::SecretKey;
use crate::secagg::agreement::{Agreement, SiteIndex};
use crate::secagg::binding::{ShareBinding, Slot};
use crate::secagg::dealing::{
    Channel, PAIR_BYTES, SEALED_BYTES, own_mask_commitment, pair_commitments, tree,
};
use crate::secagg::exchange::ExchangeKey;
use crate::secagg::message::{SealedShare, Shares};
use crate::secagg::refusal::Refusal;
use crate::secagg::shamir::split;
use rand_core::CryptoRng;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// A session that is open at this site. It cannot be copied or written down: the nonces of its
/// channels are slots, each used once.
pub struct Session {
    pub(super) agreement: Agreement,
    pub(super) own: SiteIndex,
    pub(super) digest: Digest,
    pub(in crate::secagg) channels: BTreeMap<SiteIndex, Channel>,
    last_slot: Option<Slot>,
    last_use: Option<u64>,
}

impl Session {
    pub(super) fn new(
        agreement: Agreement,
        own: SiteIndex,
        digest: Digest,
        channels: BTreeMap<SiteIndex, Channel>,
    ) -> Self {
        Self { agreement, own, digest, channels, last_slot: None, last_use: None }
    }

    /// What was agreed on.
    #[must_use]
    pub const fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// This site's place on the roster.
    #[must_use]
    pub const fn own(&self) -> SiteIndex {
        self.own
    }

    /// The session's name: the same at all sites that were shown the same keys.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Draws fresh secrets for one attempt and deals them to all sites of the session. It needs no
    /// model: a step's shares can travel while the step before is being unmasked.
    ///
    /// # Privacy
    /// The own-mask seed and the mask key are used for this attempt only. If they served several steps,
    /// revealing the key of a site that dropped out would unmask all of them.
    ///
    /// # Errors
    /// This attempt, or a later one, was already started in this session.
    pub fn share<R: CryptoRng + ?Sized>(
        &mut self,
        identity: &SecretKey,
        slot: Slot,
        rng: &mut R,
    ) -> Result<(Sharing, Shares), Refusal> {
        if self.last_slot.is_some_and(|last| slot <= last) {
            return Err(Refusal::SlotUsed { slot });
        }
        self.last_slot = Some(slot);
        let binding = ShareBinding { study: self.agreement.study(), session: self.digest, slot };
        let mask_key = ExchangeKey::generate(rng);
        let mut own_seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(own_seed.as_mut_slice());
        let mut pair = Zeroizing::new([0; PAIR_BYTES]);
        pair[..32].copy_from_slice(own_seed.as_slice());
        pair[32..].copy_from_slice(mask_key.to_bytes().as_slice());

        #[cfg(not(feature = "mutants"))]
        let own_box = [0; SEALED_BYTES];
        #[cfg(feature = "mutants")]
        let own_box: [u8; SEALED_BYTES] = crate::secagg::mutated::own_box();
        let members = self.members();
        let pairs = split(&pair, self.agreement.terms().parameters().threshold(), &members, rng);
        let shares: BTreeMap<SiteIndex, SealedShare> = members
            .iter()
            .zip(&pairs)
            .map(|(&to, pair)| {
                let sealed = match self.channels.get(&to) {
                    Some(channel) => channel.seal(&binding, pair, self.own, to),
                    None => own_box,
                };
                let commitments = pair_commitments(&binding, self.own, to, pair);
                (to, SealedShare { sealed, commitments })
            })
            .collect();

        let (mask_public, root) = (mask_key.public(), tree(&shares).root());
        let own_mask = own_mask_commitment(&binding, self.own, &own_seed);
        let signed = Shares::signing_input(&binding, self.own, &mask_public, &own_mask, &root);
        let signature = identity.sign(&signed);
        let at = members.iter().position(|site| *site == self.own).expect("a member of its own session");
        let own_pair = pairs[at].clone();
        let state = Sharing { binding, mask_key, own_seed, own_pair, root };
        Ok((state, Shares { binding, site: self.own, mask_public, own_mask, shares, signature }))
    }

    /// The sites of the session, in order.
    pub(super) fn members(&self) -> Vec<SiteIndex> {
        let mut members: Vec<_> = self.channels.keys().copied().chain([self.own]).collect();
        members.sort_unstable();
        members
    }

    /// Uses a burnt use of the earmark, once.
    pub(in crate::secagg) fn use_reserve(&mut self, found: u64) -> Result<(), Refusal> {
        match self.last_use {
            Some(last) if found <= last => Err(Refusal::ReserveUsed { last, found }),
            _ => {
                self.last_use = Some(found);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} of {}, site {})", self.channels.len() + 1, self.digest.short(), self.own)
    }
}
