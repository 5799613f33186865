//! The invite: a small JSON file that the consortium hands to one hospital, once. Whoever holds it
//! before it is used can enrol as that site, so it travels like a password.

use crate::id::{Digest, InvalidName, SiteName};
use crate::time::Time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize as _, Zeroizing};

const SCHEMA: &str = "invite/1";
/// The largest invite, bytes.
pub const INVITE_BYTES_MAX: usize = 4096;

/// What a site needs to enrol. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// Where the coordinator listens.
    pub address: Address,
    /// SHA-256 of the DER bytes of the coordinator's authority.
    pub authority: Digest,
    /// The name that the site will have.
    pub site: SiteName,
    /// Proves that the holder was invited; good once.
    pub secret: Zeroizing<[u8; 32]>,
    /// Not good after this.
    pub expires: Time,
}

/// Where the coordinator listens, written `https://host:port`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// Text that is no invite. What it says never repeats the text, which holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInvite {
    /// Not the JSON of an invite.
    #[error("not an invite: expected JSON of schema invite/1 (line {line}, column {column})")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Far too long.
    #[error("not an invite: expected at most {INVITE_BYTES_MAX} bytes")]
    TooLong,
    /// Another schema.
    #[error("not an invite of this version: expected schema invite/1")]
    Schema,
    /// The secret is not 32 bytes of base64url.
    #[error("invite: expected a secret of 32 bytes in base64url without padding")]
    Secret,
    /// One of the other values is wrong.
    #[error("invite: {key}: {reason}")]
    Value {
        /// Which.
        key: &'static str,
        /// Why.
        reason: InvalidName,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    schema: String,
    address: String,
    ca: String,
    site: String,
    secret: String,
    expires: String,
}

impl Invite {
    /// Reads an invite's text.
    ///
    /// # Errors
    /// Anything but exactly one invite; says what was expected, never what came.
    pub fn parse(text: &str) -> Result<Self, InvalidInvite> {
        if text.len() > INVITE_BYTES_MAX {
            return Err(InvalidInvite::TooLong);
        }
        let raw: Raw = serde_json::from_str(text)
            .map_err(|e| InvalidInvite::Json { line: e.line(), column: e.column() })?;
        if raw.schema != SCHEMA {
            return Err(InvalidInvite::Schema);
        }
        let encoded = Zeroizing::new(raw.secret);
        let mut secret = Zeroizing::new([0_u8; 32]);
        let length = URL_SAFE_NO_PAD
            .decode_slice(encoded.as_bytes(), &mut secret[..])
            .map_err(|_| InvalidInvite::Secret)?;
        if length != secret.len() {
            return Err(InvalidInvite::Secret);
        }
        let value = |key| move |reason| InvalidInvite::Value { key, reason };
        Ok(Self {
            address: raw.address.parse().map_err(value("address"))?,
            authority: raw.ca.parse().map_err(value("ca"))?,
            site: raw.site.parse().map_err(value("site"))?,
            secret,
            expires: raw.expires.parse().map_err(value("expires"))?,
        })
    }

    /// The invite's text, secret included: for the file that goes to the hospital, nothing else.
    ///
    /// # Panics
    /// Never: an invite is plain data.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut raw = Raw {
            schema: SCHEMA.into(),
            address: self.address.to_string(),
            ca: self.authority.to_string(),
            site: self.site.to_string(),
            secret: URL_SAFE_NO_PAD.encode(&self.secret[..]),
            expires: self.expires.to_string(),
        };
        let text = serde_json::to_string_pretty(&raw).expect("an invite is plain data") + "\n";
        raw.secret.zeroize();
        Zeroizing::new(text)
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite(of {} to {}, until {})", self.site, self.address, self.expires)
    }
}

/// What the site's ledger key signs at enrolment, so that it and the TLS key (inside the
/// certificate request, PKCS #10 DER) are known to belong together.
#[must_use]
pub fn enrollment_signing_input(site: &SiteName, certificate_request: &[u8]) -> Vec<u8> {
    [b"consilium/enroll/1\n", site.as_str().as_bytes(), b"\n", certificate_request].concat()
}

impl Address {
    /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "https://{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Address {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let parse = || {
            let (host, port) = text.strip_prefix("https://")?.rsplit_once(':')?;
            let port = port.parse().ok().filter(|&port: &u16| port != 0)?;
            let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(v6) => v6.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
                None => Some(host).filter(|host| is_host(host))?.to_ascii_lowercase(),
            };
            Some(Self { host, port })
        };
        parse().ok_or_else(|| InvalidName::new("an address", "https://host:port", text))
    }
}

fn is_host(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

crate::id::text_form!(Address);

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite {
            address: "https://coordinator.example:8443".parse().expect("address"),
            authority: Digest::of(b"authority"),
            site: "st-elsewhere".parse().expect("name"),
            secret: Zeroizing::new([0xab; 32]),
            expires: "2027-03-01T00:00:00.000Z".parse().expect("time"),
        }
    }

    #[test]
    fn text_round_trips_and_debug_holds_no_secret() {
        let invite = invite();
        let text = invite.to_text();
        assert_eq!(Invite::parse(&text), Ok(invite.clone()));
        let shown = format!("{invite:?}");
        assert!(!shown.contains("q6ur") && !shown.contains("171"), "{shown}");
    }

    #[test]
    fn anything_else_is_refused_without_repeating_it() {
        let good = invite().to_text();
        let check = |from: &str, to: &str, expected: &str| {
            assert!(good.contains(from), "the case changes something");
            let error = Invite::parse(&good.replacen(from, to, 1)).expect_err("invalid").to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("q6ur"), "{error}");
        };
        check("invite/1", "invite/2", "invite/1");
        check("\"site\"", "\"sight\"", "line");
        check("{", "", "line");
        check("https://", "http://", "https://host:port");
        check("\"q6ur", "\"q6u", "32 bytes");
        check("\"q6ur", "\"q6urq6ur", "32 bytes");
        check("\"q6ur", "\"q6u=", "32 bytes");
        check("2027-03-01T", "soon", "expires");
        check("st-elsewhere", "St Elsewhere", "site");
        check("sha256:", "sha1:", "ca");
        assert_eq!(Invite::parse(&" ".repeat(INVITE_BYTES_MAX + 1)), Err(InvalidInvite::TooLong));
    }

    #[test]
    fn addresses() {
        fn check(text: &str, expected: Option<&str>) {
            let found = text.parse::<Address>().ok().map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
        check("https://a.example:443", Some("https://a.example:443"));
        check("https://A.Example:443", Some("https://a.example:443"));
        check("https://127.0.0.1:8443", Some("https://127.0.0.1:8443"));
        check("https://[::1]:8443", Some("https://[::1]:8443"));
        check("https://a.example", None);
        check("https://a.example:0", None);
        check("https://a.example:70000", None);
        check("https://a.example:443/path", None);
        check("https://user@a.example:443", None);
        check("https://:443", None);
        check("https://[nonsense]:443", None);
        check("http://a.example:443", None);
        check("a.example:443", None);
    }
}
