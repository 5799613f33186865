//! The consortium's own certificate authority: made at `init`, it signs the coordinator's
//! certificate and, at enrolment, each site's. A site's key is made at the site; only its
//! certificate request comes here, and of that only the public key is used.

use consilium_common::id::SiteName;
use consilium_common::time::Time;
use consilium_common::tls::SITE_URI_PREFIX;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};

/// The authority's own certificate is valid for so many days.
const AUTHORITY_DAYS: i64 = 3650;
/// The coordinator's certificate.
const SERVER_DAYS: i64 = 825;
/// A site's certificate; renewed by a new invite, which keeps the ledger key.
const SITE_DAYS: i64 = 398;
/// The largest certificate request, bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The request is not one, or not signed by its own key.
    #[error("enroll.certificate_request: expected a PKCS #10 request signed by its own key")]
    InvalidRequest,
    /// A name that no certificate can carry.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    InvalidHost(String),
    /// The library refuses.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// A certificate and its key, PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// PKCS #8.
    pub key: String,
}

/// The authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, valid from the day of `now`.
    ///
    /// # Errors
    /// The crypto library fails.
    pub fn create(name: &str, now: Time) -> Result<Identity, CaError> {
        let key = KeyPair::generate()?;
        let mut params = params(now.day(), AUTHORITY_DAYS);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// The authority from its PEM files.
    ///
    /// # Errors
    /// They are damaged or do not belong together.
    pub fn load(certificate: &str, key: &str) -> Result<Self, CaError> {
        let key = KeyPair::from_pem(key)?;
        Ok(Self { issuer: Issuer::from_ca_cert_pem(certificate, key)? })
    }

    /// The coordinator's certificate for the names that agents dial.
    ///
    /// # Errors
    /// A host that is none.
    pub fn server(&self, hosts: &[String], now: Time) -> Result<Identity, CaError> {
        let key = KeyPair::generate()?;
        let mut params = params(now.day(), SERVER_DAYS);
        params.distinguished_name.push(DnType::CommonName, "consilium coordinator");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.subject_alt_names = hosts.iter().map(|host| host_name(host)).collect::<Result<_, _>>()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// A site's certificate over the public key of its request. Every name in the request is
    /// ignored: the identity is what the invite was made for.
    ///
    /// # Errors
    /// Not a request.
    pub fn site(
        &self,
        site: &SiteName,
        request: &[u8],
        now: Time,
    ) -> Result<CertificateDer<'static>, CaError> {
        if request.len() > REQUEST_BYTES_MAX {
            return Err(CaError::InvalidRequest);
        }
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
            .map_err(|_| CaError::InvalidRequest)?;
        let mut params = params(now.day(), SITE_DAYS);
        params.distinguished_name.push(DnType::CommonName, site.as_str());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let uri = format!("{SITE_URI_PREFIX}{site}").try_into().expect("a site's name is ASCII");
        params.subject_alt_names = vec![SanType::URI(uri)];
        let certificate = params.signed_by(&request.public_key, &self.issuer)?;
        Ok(certificate.der().clone())
    }
}

fn params(today: Date, days: i64) -> CertificateParams {
    // A day back, so that a peer whose clock is a little behind accepts it.
    let from = today.yesterday().unwrap_or(today);
    let until = today.checked_add(jiff::Span::new().days(days)).unwrap_or(Date::MAX);
    let date = |d: Date| {
        rcgen::date_time_ymd(
            d.year().into(),
            u8::try_from(d.month()).expect("1 to 12"),
            u8::try_from(d.day()).expect("1 to 31"),
        )
    };
    let mut params = CertificateParams::default();
    params.not_before = date(from);
    params.not_after = date(until);
    params.use_authority_key_identifier_extension = true;
    params
}

fn host_name(host: &str) -> Result<SanType, CaError> {
    if let Ok(ip) = host.parse() {
        return Ok(SanType::IpAddress(ip));
    }
    let is_dns = !host.is_empty()
        && host.len() <= 253
        && host
            .split('.')
            .all(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    match (is_dns, host.try_into()) {
        (true, Ok(name)) => Ok(SanType::DnsName(name)),
        _ => Err(CaError::InvalidHost(host.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gets_the_invited_name_whatever_it_asks_for() {
        let now = "2027-03-01T00:00:00Z".parse().expect("a time");
        let ca = Authority::create("test", now).expect("made");
        let authority = Authority::load(&ca.certificate, &ca.key).expect("loads");
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI("consilium://site/victim".try_into().expect("ASCII"))];
        let request = params.serialize_request(&key).expect("request");
        let site: SiteName = "mallory".parse().expect("name");
        let certificate = authority.site(&site, request.der(), now).expect("signed");
        assert_eq!(consilium_common::tls::site_of(&certificate).expect("a site"), site);
        assert!(matches!(authority.site(&site, b"nonsense", now), Err(CaError::InvalidRequest)));
        let mut bent = request.der().to_vec();
        let last = bent.len() - 1;
        bent[last] ^= 1;
        assert!(matches!(authority.site(&site, &bent, now), Err(CaError::InvalidRequest)));
    }

    #[test]
    fn hosts() {
        fn check(host: &str, good: bool) {
            assert_eq!(host_name(host).is_ok(), good, "{host:?}");
        }
        check("localhost", true);
        check("127.0.0.1", true);
        check("::1", true);
        check("a.example", true);
        check("", false);
        check("a b", false);
        check("é.example", false);
    }
}
