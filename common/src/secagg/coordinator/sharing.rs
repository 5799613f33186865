//! Sharing: every site's sealed shares come in and are sorted by who can open them.

use super::{Accepted, Dealer, Dealers, Shared, said_before};
use crate::ledger::merkle::Tree;
use crate::secagg::agreement::{Agreement, SiteIndex};
use crate::secagg::binding::ShareBinding;
use crate::secagg::dealing::{roster_digest, tree};
use crate::secagg::exchange::contributes;
use crate::secagg::message::{Dealt, ShareDelivery, Shares};
use crate::secagg::refusal::Refusal;
use crate::secagg::session::check_different;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An attempt whose shares are coming in.
#[derive(Debug)]
pub struct Sharing {
    agreement: Arc<Agreement>,
    binding: ShareBinding,
    members: Vec<SiteIndex>,
    received: BTreeMap<SiteIndex, (Shares, Tree)>,
}

impl Sharing {
    pub(super) fn new(agreement: Arc<Agreement>, binding: ShareBinding, members: Vec<SiteIndex>) -> Self {
        Self { agreement, binding, members, received: BTreeMap::new() }
    }

    /// A site's shares.
    ///
    /// # Errors
    /// Another binding; a site outside the session; not one share for each site of the session; not
    /// signed by the dealer; a mask key of low order or of another site; or a second message.
    pub fn accept(&mut self, shares: Shares) -> Result<Accepted, Refusal> {
        let site = shares.site;
        self.binding.expect(&shares.binding)?;
        if !self.members.contains(&site) {
            return Err(Refusal::NotAMember { site, what: "session" });
        }
        if !shares.shares.keys().eq(&self.members) {
            return Err(Refusal::ShareFalse { dealer: site });
        }
        let tree = tree(&shares.shares);
        let signed =
            Shares::signing_input(&self.binding, site, &shares.mask_public, &shares.own_mask, &tree.root());
        self.agreement.verify(site, "shares", &signed, &shares.signature)?;
        contributes(&shares.mask_public).map_err(|_| Refusal::LowOrderKey { site })?;
        if said_before(self.received.get(&site).map(|(shares, _)| shares), &shares, site, "shares")? {
            return Ok(Accepted::Again);
        }
        let others = self.received.iter().map(|(site, (shares, _))| (*site, &shares.mask_public));
        check_different(others.chain([(site, &shares.mask_public)]))?;
        self.received.insert(site, (shares, tree));
        Ok(Accepted::New)
    }

    /// Whose shares came.
    pub fn sites(&self) -> impl Iterator<Item = SiteIndex> {
        self.received.keys().copied()
    }

    /// Those who shared take part; each gets what all of them dealt to it.
    ///
    /// # Errors
    /// Fewer sites than the threshold.
    pub fn close(self) -> Result<(Shared, BTreeMap<SiteIndex, ShareDelivery>), Refusal> {
        let Self { agreement, binding, members, received } = self;
        agreement.enough("sharing", received.len())?;
        let deliveries = members
            .iter()
            .enumerate()
            .filter(|(_, to)| received.contains_key(to))
            .map(|(at, &to)| {
                let dealt =
                    received.iter().map(|(&dealer, (shares, tree))| (dealer, dealt(shares, tree, to, at)));
                (to, ShareDelivery { binding, dealt: dealt.collect() })
            })
            .collect();
        let dealers: Dealers = received
            .into_iter()
            .map(|(site, (shares, tree))| {
                let commitments = shares.shares.iter().map(|(to, share)| (*to, share.commitments)).collect();
                let Shares { mask_public, own_mask, .. } = shares;
                (site, Dealer { mask_public, own_mask, root: tree.root(), commitments })
            })
            .collect();
        let announced =
            dealers.iter().map(|(site, dealer)| (*site, &dealer.mask_public, &dealer.own_mask, &dealer.root));
        let roster = roster_digest(&binding, announced);
        Ok((Shared { agreement, binding, roster, dealers }, deliveries))
    }
}

/// What `shares` has for the site `to`, which is number `at` of the session.
fn dealt(shares: &Shares, tree: &Tree, to: SiteIndex, at: usize) -> Dealt {
    let share = &shares.shares[&to];
    Dealt {
        mask_public: shares.mask_public,
        own_mask: shares.own_mask,
        root: tree.root(),
        signature: shares.signature,
        sealed: share.sealed,
        commitments: share.commitments,
        path: tree.inclusion_proof(at as u64, tree.size()).expect("a share of every site is in the tree"),
    }
}
