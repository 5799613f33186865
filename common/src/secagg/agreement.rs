//! What all sites have agreed on before a session: the study, who takes part under which key, and the
//! numbers. It comes from the signed study and the hospital's own list of keys, never from a message.

use super::exchange::DOMAIN;
use super::parameters::{SITES_MAX, SITES_MIN};
use super::refusal::Refusal;
use super::terms::Terms;
use crate::id::{Digest, Hasher, SiteName};
use crate::key::{PublicKey, Signature};
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU8;

/// A site's place on the roster, from 1; also the point at which its shares are evaluated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteIndex(NonZeroU8);

impl SiteIndex {
    /// From 1 to 255; none for 0.
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        match NonZeroU8::new(index) {
            Some(index) => Some(Self(index)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for SiteIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SiteIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The sites of a study with the keys that sign for them, ordered by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster(Vec<(SiteName, PublicKey)>);

impl Roster {
    /// From the participants of the study's signed start, in any order.
    ///
    /// # Errors
    /// Fewer than 3 or more than 255, a name twice, or a key twice.
    pub fn new(sites: impl IntoIterator<Item = (SiteName, PublicKey)>) -> Result<Self, Refusal> {
        let mut sites: Vec<_> = sites.into_iter().collect();
        if !(SITES_MIN..=SITES_MAX).contains(&sites.len()) {
            return Err(Refusal::Sites { found: sites.len() });
        }
        sites.sort();
        let names: BTreeSet<_> = sites.iter().map(|(name, _)| name).collect();
        let keys: BTreeSet<_> = sites.iter().map(|(_, key)| key).collect();
        if names.len() < sites.len() || keys.len() < sites.len() {
            return Err(Refusal::Roster { expected: "every name and every key once" });
        }
        Ok(Self(sites))
    }

    /// Its sites in order, with their indices.
    pub fn sites(&self) -> impl Iterator<Item = (SiteIndex, &SiteName, &PublicKey)> {
        self.0
            .iter()
            .zip(1..=u8::MAX)
            .map(|((name, key), index)| (SiteIndex::new(index).expect("counted from 1"), name, key))
    }

    /// The index of the site that signs with `key`.
    #[must_use]
    pub fn index_of(&self, key: &PublicKey) -> Option<SiteIndex> {
        self.sites().find(|(_, _, listed)| *listed == key).map(|(index, _, _)| index)
    }

    /// The name of a site, for people to read.
    #[must_use]
    pub fn name(&self, site: SiteIndex) -> Option<&SiteName> {
        self.0.get(usize::from(site.get()) - 1).map(|(name, _)| name)
    }

    fn key(&self, site: SiteIndex) -> Option<&PublicKey> {
        self.0.get(usize::from(site.get()) - 1).map(|(_, key)| key)
    }
}

/// A study, its roster and its terms.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    study: Digest,
    roster: Roster,
    terms: Terms,
    digest: Digest,
}

impl Agreement {
    /// Of the study with this digest. A site calls [`Agreement::of_known_sites`].
    ///
    /// # Errors
    /// The roster has another number of sites than the terms.
    pub fn new(study: Digest, roster: Roster, terms: Terms) -> Result<Self, Refusal> {
        if roster.0.len() != usize::from(terms.parameters().sites()) {
            return Err(Refusal::Roster { expected: "as many sites as the terms were decided for" });
        }
        let mut hasher = tagged("agreement");
        hasher.update(study.as_bytes());
        for (index, name, key) in roster.sites() {
            // A name has 1 to 63 bytes.
            hasher.update(&[index.get(), name.as_str().len() as u8]);
            hasher.update(name.as_str().as_bytes());
            hasher.update(key.as_bytes());
        }
        for number in terms.request().0 {
            hasher.update(&number.to_le_bytes());
        }
        let digest = hasher.digest();
        Ok(Self { study, roster, terms, digest })
    }

    /// The same, where every site on the roster must be, with that key, among those that this hospital
    /// knows by itself (the policy's `known_sites`, its own included): the coordinator introduces
    /// nobody, so that it cannot outnumber the real sites with its own.
    ///
    /// # Errors
    /// As [`Agreement::new`], or a site that is not known.
    pub fn of_known_sites(
        study: Digest,
        roster: Roster,
        terms: Terms,
        known: &[(SiteName, PublicKey)],
    ) -> Result<Self, Refusal> {
        match roster.0.iter().zip(1..=u8::MAX).find(|(site, _)| !known.contains(site)) {
            Some((_, index)) => {
                Err(Refusal::UnknownSite { site: SiteIndex::new(index).expect("counted from 1") })
            }
            None => Self::new(study, roster, terms),
        }
    }

    /// The study.
    #[must_use]
    pub const fn study(&self) -> Digest {
        self.study
    }

    /// Who takes part.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The numbers.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Of all three.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Checks that enough sites are left.
    pub(super) fn enough(&self, phase: &'static str, found: usize) -> Result<(), Refusal> {
        let threshold = self.terms.parameters().threshold();
        if found < usize::from(threshold) { Err(Refusal::TooFew { phase, found, threshold }) } else { Ok(()) }
    }

    /// Checks the signature of `site` over `signed`, made by [`signing_input`].
    pub(super) fn verify(
        &self,
        site: SiteIndex,
        what: &'static str,
        signed: &[u8],
        signature: &Signature,
    ) -> Result<(), Refusal> {
        let key = self.roster.key(site).ok_or(Refusal::NotAMember { site, what: "session" })?;
        key.verify(signed, signature).map_err(|_| Refusal::Signature { site, what })
    }
}

/// A digest for one purpose of this protocol.
pub(super) fn tagged(purpose: &str) -> Hasher {
    let mut hasher = Hasher::default();
    hasher.update(DOMAIN.as_bytes());
    hasher.update(purpose.as_bytes());
    hasher.update(b"\n");
    hasher
}

/// The bytes that are signed: domain, purpose, then fixed-length parts.
pub(super) fn signing_input(purpose: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = [DOMAIN.as_bytes(), purpose.as_bytes(), b"\n"].concat();
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;
    use crate::secagg::parameters::SecureParameters;

    fn site(name: &str, seed: u8) -> (SiteName, PublicKey) {
        (name.parse().expect("a name"), SecretKey::from_seed(&[seed; 32]).public())
    }

    fn terms(sites: usize) -> Terms {
        let parameters = SecureParameters::decide(sites, sites as u8, 1, 1 << 18, 64, 1 << 19);
        Terms::new(parameters.expect("allowed"), 4, 1.0, 0.1).expect("allowed")
    }

    #[test]
    fn rosters() {
        fn check(sites: &[(&str, u8)], rule: Option<&str>) {
            let roster = Roster::new(sites.iter().map(|(name, seed)| site(name, *seed)));
            assert_eq!(roster.as_ref().err().map(Refusal::rule), rule, "{sites:?}");
        }
        check(&[("a", 1), ("b", 2), ("c", 3)], None);
        check(&[("a", 1), ("b", 2)], Some("secagg.sites"));
        check(&[("a", 1), ("b", 2), ("a", 3)], Some("secagg.roster"));
        check(&[("a", 1), ("b", 2), ("c", 1)], Some("secagg.roster"));
        let roster = Roster::new([site("c", 1), site("a", 2), site("b", 3)]).expect("a roster");
        assert_eq!(roster.index_of(&site("a", 2).1), SiteIndex::new(1));
        assert_eq!(roster.index_of(&site("a", 9).1), None);
        assert_eq!(roster.name(SiteIndex::new(3).expect("3")), Some(&"c".parse().expect("a name")));
        assert_eq!(roster.name(SiteIndex::new(4).expect("4")), None);
    }

    #[test]
    fn the_digest_covers_everything() {
        let roster = |last| Roster::new([site("a", 1), site("b", 2), site("c", last)]).expect("a roster");
        let of = |study: &[u8], last, clip_norm| {
            let terms = Terms::new(*terms(3).parameters(), 4, clip_norm, 0.1).expect("allowed");
            Agreement::new(Digest::of(study), roster(last), terms).expect("agrees").digest()
        };
        let base = of(b"study", 3, 1.0);
        assert_eq!(base, of(b"study", 3, 1.0));
        for other in [of(b"other", 3, 1.0), of(b"study", 4, 1.0), of(b"study", 3, 2.0)] {
            assert_ne!(base, other);
        }
        let refusal = Agreement::new(Digest::of(b"study"), roster(3), terms(4)).expect_err("4 are not 3");
        assert_eq!(refusal.rule(), "secagg.roster");
    }

    /// Attack 9: sites that the coordinator runs itself are on nobody's own list.
    #[test]
    fn sites_that_are_not_known_are_refused() {
        fn check(known: &[(&str, u8)], expected: Option<u8>) {
            let roster = Roster::new([site("a", 1), site("b", 2), site("c", 3)]).expect("a roster");
            let known: Vec<_> = known.iter().map(|(name, seed)| site(name, *seed)).collect();
            let agreed = Agreement::of_known_sites(Digest::of(b"study"), roster, terms(3), &known);
            let refusal =
                expected.map(|index| Refusal::UnknownSite { site: SiteIndex::new(index).expect("1") });
            assert_eq!(agreed.err(), refusal, "{known:?}");
        }
        check(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)], None);
        check(&[("a", 1)], Some(2));
        check(&[("a", 1), ("b", 3), ("c", 2)], Some(2));
        check(&[("a", 1), ("b", 2), ("c", 4)], Some(3));
        check(&[("b", 2), ("c", 3)], Some(1));
    }
}
