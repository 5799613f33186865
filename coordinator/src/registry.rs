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
         (`site-agent ledger rotate-key`); see docs/OPERATIONS.md"
    )]
    OtherKey(SiteName),
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
        SiteEvent::Invited { site, secret: Digest::of(secret), expires, time: now }
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
    /// key: this is how a certificate is renewed.
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
        if record.ledger_key.is_some_and(|known| known != ledger_key) {
            return Err(RegistryRefusal::OtherKey(site.clone()));
        }
        Ok(SiteEvent::Enrolled { site: site.clone(), certificate, ledger_key, time: now })
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
            SiteEvent::Invited { site, secret, expires, .. } => {
                self.sites.entry(site).or_default().invite = Some((secret, expires));
            }
            SiteEvent::Enrolled { site, certificate, ledger_key, .. } => {
                let record = self.sites.entry(site).or_default();
                *record =
                    SiteRecord { invite: None, certificate: Some(certificate), ledger_key: Some(ledger_key) };
            }
            SiteEvent::KeyChanged { site, new, .. } => {
                self.sites.entry(site).or_default().ledger_key = Some(new);
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
