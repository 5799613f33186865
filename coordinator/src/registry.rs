//! Which sites there are: invited, enrolled, revoked. A plain value folded from events.

use consilium_common::id::{Digest, SiteName};
use consilium_common::key::PublicKey;
use consilium_common::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened to a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SiteEvent {
    /// An invite was made; only the digest of its secret is kept.
    Invited {
        /// For whom.
        site: SiteName,
        /// SHA-256 of the one-time secret.
        secret: Digest,
        /// Not valid after.
        expires: Time,
        /// When.
        time: Time,
        /// For a hospital that has lost its ledger key: the new one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claimed: Option<PublicKey>,
    },
    /// The invite was used.
    Enrolled {
        /// Who.
        site: SiteName,
        /// SHA-256 of the certificate's DER.
        certificate: Digest,
        /// The site's ledger key.
        ledger_key: PublicKey,
        /// When.
        time: Time,
    },
    /// The invite was used by a hospital that has lost its ledger key. The old key stays the site's until its
    /// ledger, with a quorum's word in it, goes on under the new one.
    EnrolledAfterLoss {
        /// Who.
        site: SiteName,
        /// SHA-256 of the certificate's DER.
        certificate: Digest,
        /// The new ledger key, which signs nothing so far.
        claimed: PublicKey,
        /// When.
        time: Time,
    },
    /// The site's ledger goes on under another key; the proof is in its ledger, which is kept here.
    KeyChanged {
        /// Who.
        site: SiteName,
        /// In force until then.
        old: PublicKey,
        /// In force from then on.
        new: PublicKey,
        /// When.
        time: Time,
    },
    /// The site's certificate is no longer accepted.
    Revoked {
        /// Who.
        site: SiteName,
        /// When.
        time: Time,
    },
}

/// One site as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteRecord {
    /// Digest of the open invite's secret, and its expiry.
    pub invite: Option<(Digest, Time)>,
    /// Fingerprint of the certificate in force.
    pub certificate: Option<Digest>,
    /// The ledger key, once enrolled; it stays when the certificate is renewed or revoked.
    pub ledger_key: Option<PublicKey>,
    /// The key that a hospital has made in the place of a lost one, as the consortium was told by telephone.
    pub claimed: Option<PublicKey>,
}

/// Every site as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    sites: BTreeMap<SiteName, SiteRecord>,
    version: u64,
}

/// The registry says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryRefusal {
    /// No open invite with this secret.
    #[error("registry.invite: no open invite for site {0} matches; ask the coordinator for a new one")]
    NoInvite(SiteName),
    /// The invite was for then.
    #[error("registry.invite_expired: the invite for site {site} expired at {expired}; ask for a new one")]
    Expired {
        /// For whom.
        site: SiteName,
        /// When.
        expired: Time,
    },
    /// The site is there already with another ledger key.
    #[error(
        "registry.ledger_key: site {0} is enrolled with another ledger key: a second `init` does not start its dataset \
         again; go on with the first home (`site-agent ledger recover` brings its ledger back), or change its key there \
         (`site-agent ledger rotate-key`), or, where that key is lost, ask for an invite `--lost-key-for` the new one; \
         see docs/OPERATIONS.md"
    )]
    OtherKey(SiteName),
    /// The key in force is not a new one.
    #[error(
        "registry.claimed: this is the ledger key that site {0} is enrolled with; it needs an ordinary invite"
    )]
    NotLost(SiteName),
    /// Not a site, or not any more.
    #[error("registry.unknown_site: no enrolled site {0}")]
    Unknown(SiteName),
    /// The certificate is not the one in force.
    #[error("registry.certificate: the certificate of site {0} is not (or no longer) accepted")]
    Certificate(SiteName),
}

impl Registry {
    /// Replays.
    #[must_use]
    pub fn replay(events: Vec<SiteEvent>) -> Self {
        events.into_iter().fold(Self::default(), Self::apply)
    }

    /// Events so far.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Every site with its record.
    pub fn sites(&self) -> impl Iterator<Item = (&SiteName, &SiteRecord)> {
        self.sites.iter()
    }

    /// One site's record.
    #[must_use]
    pub fn site(&self, name: &SiteName) -> Option<&SiteRecord> {
        self.sites.get(name)
    }

    /// A new invite replaces an open one.
    #[must_use]
    pub fn invite(&self, site: SiteName, secret: &[u8], expires: Time, now: Time) -> SiteEvent {
        SiteEvent::Invited { site, secret: Digest::of(secret), expires, time: now, claimed: None }
    }

    /// As [`Registry::invite`], for a hospital that has lost its ledger key and has made a new one.
    ///
    /// # Errors
    /// It was never enrolled, or this is its key already.
    pub fn invite_after_loss(
        &self,
        site: &SiteName,
        new: PublicKey,
        secret: &[u8],
        expires: Time,
        now: Time,
    ) -> Result<SiteEvent, RegistryRefusal> {
        let known = self.sites.get(site).and_then(|record| record.ledger_key);
        match known.ok_or_else(|| RegistryRefusal::Unknown(site.clone()))? {
            known if known == new => Err(RegistryRefusal::NotLost(site.clone())),
            _ => {
                let (site, secret, claimed) = (site.clone(), Digest::of(secret), Some(new));
                Ok(SiteEvent::Invited { site, secret, expires, time: now, claimed })
            }
        }
    }

    /// Whether this secret opens an invite now: asked before any work is done for the caller.
    ///
    /// # Errors
    /// No such invite, an expired one, or another ledger key.
    pub fn check_invite(
        &self,
        site: &SiteName,
        secret: &[u8],
        ledger_key: PublicKey,
        now: Time,
    ) -> Result<(), RegistryRefusal> {
        // The certificate is the only thing that is not known yet.
        self.enroll(site, secret, Digest::of(b""), ledger_key, now).map(drop)
    }

    /// Trades an invite for an enrolment. An invited site that was enrolled before keeps its ledger
    /// key: this is how a certificate is renewed. One that has lost the key gets a certificate to take its
    /// ledger back with, and keeps it too, until the ledger goes on.
    ///
    /// # Errors
    /// No such invite, an expired one, or another ledger key.
    pub fn enroll(
        &self,
        site: &SiteName,
        secret: &[u8],
        certificate: Digest,
        ledger_key: PublicKey,
        now: Time,
    ) -> Result<SiteEvent, RegistryRefusal> {
        let record = self.sites.get(site).ok_or_else(|| RegistryRefusal::NoInvite(site.clone()))?;
        // Digests are compared, so the comparison's time tells nothing of the secret.
        let (_, expires) = record
            .invite
            .filter(|(expected, _)| *expected == Digest::of(secret))
            .ok_or_else(|| RegistryRefusal::NoInvite(site.clone()))?;
        if now > expires {
            return Err(RegistryRefusal::Expired { site: site.clone(), expired: expires });
        }
        let site = site.clone();
        match record.ledger_key {
            Some(known) if known != ledger_key && record.claimed == Some(ledger_key) => {
                Ok(SiteEvent::EnrolledAfterLoss { site, certificate, claimed: ledger_key, time: now })
            }
            Some(known) if known != ledger_key => Err(RegistryRefusal::OtherKey(site)),
            _ => Ok(SiteEvent::Enrolled { site, certificate, ledger_key, time: now }),
        }
    }

    /// Another ledger key from now on; the caller has followed the ledger's entries from the one to the other.
    ///
    /// # Errors
    /// The site is not enrolled with the old one.
    pub fn change_key(
        &self,
        site: &SiteName,
        (old, new): (PublicKey, PublicKey),
        now: Time,
    ) -> Result<SiteEvent, RegistryRefusal> {
        let known = self.sites.get(site).and_then(|record| record.ledger_key);
        match known.ok_or_else(|| RegistryRefusal::Unknown(site.clone()))? {
            known if known == old => Ok(SiteEvent::KeyChanged { site: site.clone(), old, new, time: now }),
            _ => Err(RegistryRefusal::OtherKey(site.clone())),
        }
    }

    /// Revokes the certificate in force.
    ///
    /// # Errors
    /// No such site.
    pub fn revoke(&self, site: &SiteName, now: Time) -> Result<SiteEvent, RegistryRefusal> {
        match self.sites.get(site) {
            Some(record) if record.certificate.is_some() || record.invite.is_some() => {
                Ok(SiteEvent::Revoked { site: site.clone(), time: now })
            }
            _ => Err(RegistryRefusal::Unknown(site.clone())),
        }
    }

    /// Whether this certificate may speak for this site now; asked on every call.
    ///
    /// # Errors
    /// Unknown, revoked or replaced.
    pub fn admit(&self, site: &SiteName, certificate: &Digest) -> Result<&SiteRecord, RegistryRefusal> {
        let record = self.sites.get(site).ok_or_else(|| RegistryRefusal::Unknown(site.clone()))?;
        if record.certificate == Some(*certificate) {
            Ok(record)
        } else {
            Err(RegistryRefusal::Certificate(site.clone()))
        }
    }

    /// The next value.
    #[must_use]
    pub fn apply(mut self, event: SiteEvent) -> Self {
        self.version += 1;
        match event {
            SiteEvent::Invited { site, secret, expires, claimed, .. } => {
                let record = self.sites.entry(site).or_default();
                (record.invite, record.claimed) = (Some((secret, expires)), claimed);
            }
            SiteEvent::Enrolled { site, certificate, ledger_key, .. } => {
                let (certificate, ledger_key) = (Some(certificate), Some(ledger_key));
                let record = SiteRecord { certificate, ledger_key, ..SiteRecord::default() };
                self.sites.insert(site, record);
            }
            SiteEvent::EnrolledAfterLoss { site, certificate, claimed, .. } => {
                let record = self.sites.entry(site).or_default();
                (record.invite, record.certificate) = (None, Some(certificate));
                record.claimed = Some(claimed);
            }
            SiteEvent::KeyChanged { site, new, .. } => {
                let record = self.sites.entry(site).or_default();
                (record.ledger_key, record.claimed) = (Some(new), None);
            }
            SiteEvent::Revoked { site, .. } => {
                let record = self.sites.entry(site).or_default();
                record.certificate = None;
                record.invite = None;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::key::SecretKey;

    fn time(ms: i64) -> Time {
        Time::from_unix_ms(ms).expect("valid")
    }

    #[test]
    fn an_invite_works_once_and_until_it_expires() {
        let site: SiteName = "a".parse().expect("valid");
        let (key, other) = (SecretKey::from_seed(&[1; 32]).public(), SecretKey::from_seed(&[2; 32]).public());
        let (cert, cert_2) = (Digest::of(b"cert"), Digest::of(b"cert 2"));
        let registry = Registry::default();
        let registry = {
            let event = registry.invite(site.clone(), b"secret", time(10), time(0));
            registry.apply(event)
        };
        assert!(matches!(
            registry.enroll(&site, b"wrong", cert, key, time(1)),
            Err(RegistryRefusal::NoInvite(_))
        ));
        assert!(matches!(
            registry.enroll(&site, b"secret", cert, key, time(11)),
            Err(RegistryRefusal::Expired { .. })
        ));
        let event = registry.enroll(&site, b"secret", cert, key, time(10)).expect("in time");
        let registry = registry.apply(event);
        assert!(registry.enroll(&site, b"secret", cert, key, time(10)).is_err(), "used up");
        assert!(registry.admit(&site, &cert).is_ok());
        assert!(registry.admit(&site, &cert_2).is_err());

        // Renewal keeps the ledger key; another key is refused.
        let event = registry.invite(site.clone(), b"again", time(99), time(20));
        let registry = registry.apply(event);
        assert!(matches!(
            registry.enroll(&site, b"again", cert_2, other, time(21)),
            Err(RegistryRefusal::OtherKey(_))
        ));
        let event = registry.enroll(&site, b"again", cert_2, key, time(21)).expect("renewal");
        let registry = registry.apply(event);
        assert!(registry.admit(&site, &cert).is_err(), "the old certificate is out");
        let event = registry.revoke(&site, time(30)).expect("known");
        let registry = registry.apply(event);
        assert!(matches!(registry.admit(&site, &cert_2), Err(RegistryRefusal::Certificate(_))));
        assert!(matches!(registry.revoke(&site, time(31)), Err(RegistryRefusal::Unknown(_))));
    }

    /// A certificate comes back at once, the right to sign only with the ledger.
    #[test]
    fn a_hospital_that_lost_its_key_is_let_in_and_no_more() {
        let site: SiteName = "a".parse().expect("valid");
        let [old, new, other] = [1, 2, 3].map(|seed| SecretKey::from_seed(&[seed; 32]).public());
        let (cert, again) = (Digest::of(b"cert"), Digest::of(b"cert 2"));
        let invite =
            |registry: &Registry, key| registry.invite_after_loss(&site, key, b"lost", time(99), time(1));
        assert!(matches!(invite(&Registry::default(), new), Err(RegistryRefusal::Unknown(_))));
        let enrolled =
            SiteEvent::Enrolled { site: site.clone(), certificate: cert, ledger_key: old, time: time(0) };
        let registry = Registry::default().apply(enrolled);
        assert!(matches!(invite(&registry, old), Err(RegistryRefusal::NotLost(_))));
        let event = invite(&registry, new).expect("another key");
        let text = serde_json::to_string(&event).expect("plain data");
        assert_eq!(serde_json::from_str::<SiteEvent>(&text).expect("round trip"), event);
        let registry = registry.apply(event);
        let enroll = |registry: &Registry, key| registry.enroll(&site, b"lost", again, key, time(2));
        assert!(
            matches!(enroll(&registry, other), Err(RegistryRefusal::OtherKey(_))),
            "not the key of the call"
        );
        let event = enroll(&registry, new).expect("the key of the call");
        assert!(matches!(event, SiteEvent::EnrolledAfterLoss { .. }));
        let text = serde_json::to_string(&event).expect("plain data");
        assert_eq!(serde_json::from_str::<SiteEvent>(&text).expect("round trip"), event);
        let registry = registry.apply(event);
        let record = registry.site(&site).expect("known");
        assert_eq!(
            (record.ledger_key, record.claimed, record.certificate),
            (Some(old), Some(new), Some(again))
        );
        assert!(enroll(&registry, new).is_err(), "used up");
        // The ledger goes on.
        let event = registry.change_key(&site, (old, new), time(3)).expect("from the known one");
        let registry = registry.apply(event);
        let record = registry.site(&site).expect("known");
        assert_eq!((record.ledger_key, record.claimed, record.certificate), (Some(new), None, Some(again)));
        // An ordinary invite takes a claim back, and so does finding the key again.
        let claimed = |registry: &Registry| registry.site(&site).and_then(|record| record.claimed);
        let event = invite(&registry, other).expect("lost again");
        let lost = registry.apply(event);
        assert_eq!(claimed(&lost), Some(other));
        let event = lost.invite(site.clone(), b"found", time(99), time(4));
        let found = lost.apply(event);
        assert_eq!(claimed(&found), None);
        assert!(found.enroll(&site, b"found", cert, new, time(5)).is_ok());
    }

    /// Logs from before a loss was known of are read as they were.
    #[test]
    fn an_ordinary_invite_is_written_as_ever() {
        let event = Registry::default().invite("a".parse().expect("valid"), b"secret", time(9), time(1));
        let text = serde_json::to_string(&event).expect("plain data");
        assert!(!text.contains("claimed"), "{text}");
        assert_eq!(serde_json::from_str::<SiteEvent>(&text).expect("round trip"), event);
    }

    #[test]
    fn a_key_changes_from_the_one_that_is_known() {
        let site: SiteName = "a".parse().expect("valid");
        let [one, two, three] = [1, 2, 3].map(|seed| SecretKey::from_seed(&[seed; 32]).public());
        let unknown = Registry::default().change_key(&site, (one, two), time(0));
        assert!(matches!(unknown, Err(RegistryRefusal::Unknown(_))));
        let (cert, again) = (Digest::of(b"cert"), Digest::of(b"cert 2"));
        let enrolled =
            SiteEvent::Enrolled { site: site.clone(), certificate: cert, ledger_key: one, time: time(0) };
        let registry = Registry::default().apply(enrolled);
        assert!(matches!(
            registry.change_key(&site, (two, three), time(1)),
            Err(RegistryRefusal::OtherKey(_))
        ));
        let event = registry.change_key(&site, (one, two), time(1)).expect("from the known one");
        let text = serde_json::to_string(&event).expect("plain data");
        assert!(text.starts_with(r#"{"event":"key_changed","site":"a","old":"ed25519:"#), "{text}");
        assert_eq!(serde_json::from_str::<SiteEvent>(&text).expect("round trip"), event);
        let registry = registry.apply(event);
        assert_eq!(registry.site(&site).and_then(|record| record.ledger_key), Some(two));
        assert!(registry.admit(&site, &cert).is_ok(), "the certificate stays");
        // A certificate is renewed under the new key, and under the old one no more.
        let event = registry.invite(site.clone(), b"again", time(99), time(2));
        let registry = registry.apply(event);
        let renewed = |key| registry.enroll(&site, b"again", again, key, time(3));
        let said = renewed(one).expect_err("given up").to_string();
        assert!(said.contains("registry.ledger_key") && said.contains("ledger recover"), "{said}");
        assert!(renewed(two).is_ok());
    }
}
