//! Why a site, or the coordinator, does not go on: one variant for each rule, and nothing secret in
//! any of them.

use super::agreement::SiteIndex;
use super::binding::Slot;

/// A message or a request that is not allowed now. At a site it ends the attempt: the state is
/// dropped and wiped, and the site counts as one that dropped out. At the coordinator it refuses one
/// site's message and changes nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Too few or too many sites for a secure sum.
    #[error(
        "{found} sites: expected 3 to 255; with two hospitals each would know the other's update, use local mode"
    )]
    Sites {
        /// How many.
        found: usize,
    },
    /// Nobody may collude: then any site subtracts its own noise share and the rest is too little.
    #[error("no colluding site is provided for: expected 1 or more")]
    Colluding,
    /// The threshold does not rule out two sets of survivors in one attempt.
    #[error(
        "threshold {threshold} of {sites} sites with {colluding} colluding: expected 2t > n + n_C and t <= n"
    )]
    Threshold {
        /// t.
        threshold: u8,
        /// n.
        sites: u8,
        /// n_C.
        colluding: u8,
    },
    /// A single honest site would have to carry all the noise.
    #[error(
        "threshold {threshold} with {colluding} colluding leaves one honest site: use local mode, it costs the same noise"
    )]
    HonestMinimum {
        /// t.
        threshold: u8,
        /// n_C.
        colluding: u8,
    },
    /// The total noise, or a site's share of it, is outside the lattice's range.
    #[error("standard deviation of the {what}: expected {min} to {max} lattice units, came {found}")]
    Sigma {
        /// `total noise` or `noise share`.
        what: &'static str,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
        /// As asked for, or as it comes out.
        found: u64,
    },
    /// The sum could wrap even with 64 bits.
    #[error("a sum of {batch_cap} people of {lattice_units} units each does not fit 64 bits")]
    Overflow {
        /// The most people in one step, over all sites.
        batch_cap: u64,
        /// s.
        lattice_units: u64,
    },
    /// A number of the study that no secure sum can have.
    #[error("{term}: expected {expected}")]
    Term {
        /// Which.
        term: &'static str,
        /// The allowed values, in words.
        expected: &'static str,
    },
    /// One name or one key twice on the roster, or the number of sites is not the terms'.
    #[error("roster: expected {expected}")]
    Roster {
        /// What a roster has.
        expected: &'static str,
    },
    /// A site that the hospital has not compared keys with: it could be the coordinator's own.
    #[error("site {site} is on the roster but not, with that key, among the sites known here")]
    UnknownSite {
        /// Its index.
        site: SiteIndex,
    },
    /// This site's own key is not on the roster.
    #[error("this site's key is not on the roster")]
    NotOnRoster,

    /// A message for another study, session, step, attempt, roster or model.
    #[error("the message is for another {field}")]
    Binding {
        /// Which part differs.
        field: &'static str,
    },
    /// The sites do not agree on the roster or on a number of the study.
    #[error("site {site} agreed to another roster or other terms")]
    Agreement {
        /// Whose message.
        site: SiteIndex,
    },
    /// A signature is not by the key that the study's roster lists.
    #[error("site {site}: the signature of its {what} does not verify under the roster's key")]
    Signature {
        /// Whose.
        site: SiteIndex,
        /// Which message.
        what: &'static str,
    },
    /// What is said to be from this site is not what it sent.
    #[error("the {what} that is passed on as this site's own is not what it sent, or is missing")]
    OwnMessage {
        /// Which message.
        what: &'static str,
    },
    /// Two sites with one public key.
    #[error("site {site} has the public key of another site")]
    DuplicateKey {
        /// The second one.
        site: SiteIndex,
    },
    /// A public key that agrees on the same secret with everybody.
    #[error("site {site} has a public key of low order")]
    LowOrderKey {
        /// Whose.
        site: SiteIndex,
    },
    /// A site that is not part of this session or step.
    #[error("site {site} does not take part in this {what}")]
    NotAMember {
        /// Which.
        site: SiteIndex,
        /// `session` or `step`, or `set of survivors`.
        what: &'static str,
    },
    /// Fewer than the threshold: the attempt is over, stays charged, and may be tried anew.
    #[error("{phase}: {found} sites, expected {threshold} or more")]
    TooFew {
        /// Where in the protocol.
        phase: &'static str,
        /// How many there are.
        found: usize,
        /// t.
        threshold: u8,
    },

    /// A sealed share that was changed on the way: it is not in what its dealer signed.
    #[error("the share of site {dealer} is not in the list that it signed")]
    ShareNotDealt {
        /// Whose secrets.
        dealer: SiteIndex,
    },
    /// A share that its dealer signed, and that cannot be used: the dealer's fault, provably.
    #[error("site {dealer} dealt a share that does not open, or is not the one that it committed to")]
    ShareFalse {
        /// Whose secrets.
        dealer: SiteIndex,
    },
    /// A revealed share that is not the one dealt.
    #[error("site {site} revealed a share of site {dealer} that is not the one it was dealt")]
    ShareCorrupted {
        /// Who revealed it.
        site: SiteIndex,
        /// Whose secret.
        dealer: SiteIndex,
    },
    /// Shares revealed for other sites, or of the other secret, than the survivors ask for.
    #[error("site {site} revealed other shares than the survivors ask for")]
    SharesOther {
        /// Who.
        site: SiteIndex,
    },
    /// All shares are as dealt and signed, and the secret is not the one that the dealer announced.
    #[error("the shares that site {dealer} dealt do not make the secret that it announced")]
    DealerFalse {
        /// Whose secret.
        dealer: SiteIndex,
    },

    /// This attempt, or a later one, was already started in this session.
    #[error("{slot}: was already used, or is before one that was")]
    SlotUsed {
        /// Which.
        slot: Slot,
    },
    /// The reserve is for something else than is asked for.
    #[error("the reserve is for another {field}")]
    Reserve {
        /// What differs.
        field: &'static str,
    },
    /// A new attempt needs a new charge.
    #[error("use {found} of the earmark: expected one after {last}, each attempt burns its own")]
    ReserveUsed {
        /// The last one used.
        last: u64,
        /// The one given.
        found: u64,
    },
    /// The coordinator asks for other numbers than the study that was approved.
    #[error("{term}: the approved study says {expected}, the request {found}")]
    Terms {
        /// Which number.
        term: &'static str,
        /// The study's.
        expected: String,
        /// The request's.
        found: String,
    },
    /// The prepared vector does not fit the terms.
    #[error("{what} of the prepared input: expected {expected}, came {found}")]
    Input {
        /// `length` or `noise share`.
        what: &'static str,
        /// By the terms.
        expected: u64,
        /// Of the vector.
        found: u64,
    },
    /// This site is not among the survivors; it reveals nothing.
    #[error("this site is not among the survivors")]
    NotASurvivor,
    /// The set of survivors is another than this site signed.
    #[error("the certified survivors are not those that this site signed")]
    SurvivorsChanged,
    /// A second message of one kind by one site, unlike the first.
    #[error("site {site} sent two different messages: {what}")]
    Contradiction {
        /// Who.
        site: SiteIndex,
        /// Which message.
        what: &'static str,
    },
}

impl Refusal {
    /// The rule's name, for a ledger's `refusal` entry.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Sites { .. } => "secagg.sites",
            Self::Colluding => "secagg.colluding",
            Self::Threshold { .. } => "secagg.threshold",
            Self::HonestMinimum { .. } => "secagg.honest_minimum",
            Self::Sigma { .. } => "secagg.sigma",
            Self::Overflow { .. } => "secagg.overflow",
            Self::Term { .. } => "secagg.term",
            Self::Roster { .. } => "secagg.roster",
            Self::UnknownSite { .. } => "secagg.unknown_site",
            Self::NotOnRoster => "secagg.not_on_roster",
            Self::Binding { .. } => "secagg.binding",
            Self::Agreement { .. } => "secagg.agreement",
            Self::Signature { .. } => "secagg.signature",
            Self::OwnMessage { .. } => "secagg.own_message",
            Self::DuplicateKey { .. } => "secagg.duplicate_key",
            Self::LowOrderKey { .. } => "secagg.low_order_key",
            Self::NotAMember { .. } => "secagg.not_a_member",
            Self::TooFew { .. } => "secagg.too_few",
            Self::ShareNotDealt { .. } => "secagg.share_not_dealt",
            Self::ShareFalse { .. } => "secagg.share_false",
            Self::ShareCorrupted { .. } => "secagg.share_corrupted",
            Self::SharesOther { .. } => "secagg.shares_other",
            Self::DealerFalse { .. } => "secagg.dealer_false",
            Self::SlotUsed { .. } => "secagg.slot_used",
            Self::Reserve { .. } => "secagg.reserve",
            Self::ReserveUsed { .. } => "secagg.reserve_used",
            Self::Terms { .. } => "secagg.terms",
            Self::Input { .. } => "secagg.input",
            Self::NotASurvivor => "secagg.not_a_survivor",
            Self::SurvivorsChanged => "secagg.survivors_changed",
            Self::Contradiction { .. } => "secagg.contradiction",
        }
    }
}
