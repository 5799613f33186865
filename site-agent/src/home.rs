//! The agent's home folder: configuration, keys, policy, studies, ledger and outbox.
//!
//! ```text
//! agent.toml                      this site's name, the proxy, where the data are
//! site-policy.toml                what studies may do
//! identity/ledger.key split.key snapshot.key   made by `init`; ledger.key.next while the key changes
//! identity/tls.key tls.crt ca.crt coordinator.json   made by `enroll`
//! studies/HEX/study.toml shown decision.json start.json nonces snapshot
//! ledger/  outbox/
//! ```

mod keys;

use crate::disk::Disk;
use crate::files::{self, FileError};
use crate::policy::{DEFAULT, Own, Policy};
use crate::toml_keys::{FILE_BYTES_MAX, Mistakes, read};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::protocol::invite::Address;
use consilium_common::tls::{self, InvalidTls};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The software's name as ledger and coordinator see it.
#[cfg(not(feature = "mutants"))]
pub const SOFTWARE: &str = concat!("site-agent ", env!("CARGO_PKG_VERSION"));
/// A build that can break its promises says so to everybody, and no coordinator talks to it.
#[cfg(feature = "mutants")]
pub const SOFTWARE: &str = concat!("site-agent ", env!("CARGO_PKG_VERSION"), "+mutants");

/// Encrypts frozen examples; whoever loses it has them extracted again.
const SNAPSHOT_KEY: &str = "identity/snapshot.key";
const SMALL: u64 = FILE_BYTES_MAX as u64;

/// An agent's home folder.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
}

/// `agent.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// This site.
    pub site: SiteName,
    /// Overrides the address of the invite, for a coordinator that moved.
    pub address: Option<Address>,
    /// Overrides the environment.
    pub proxy: Option<Proxy>,
    /// The table, the folder that holds it, or a folder of OMOP tables.
    pub data: Option<PathBuf>,
}

/// How to leave the hospital's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// Directly, whatever the environment says.
    None,
    /// Through this HTTP proxy (CONNECT).
    Through(http::Uri),
}

/// What enrolment taught about the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordinator {
    /// `coordinator/1`.
    pub schema: String,
    /// Where it listens.
    pub address: Address,
    /// Signs starts, receipts and cosignatures.
    pub key: PublicKey,
}

/// The TLS identity that enrolment gave.
pub struct TlsIdentity {
    /// Believed alone.
    pub authority: CertificateDer<'static>,
    /// This site's certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// The home folder is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is no home here.
    #[error("{0} is not an agent's home (no agent.toml); run: site-agent init --home {0} --site NAME")]
    NotAHome(PathBuf),
    /// `init` in a home that is one already.
    #[error("{0} already holds files; choose a new folder: an agent's keys are never overwritten")]
    NotEmpty(PathBuf),
    /// Not enrolled yet.
    #[error("this agent is not enrolled; run: site-agent enroll INVITE")]
    NotEnrolled,
    /// A file with mistakes.
    #[error("{path}:\n{mistakes}")]
    Mistakes {
        /// Which.
        path: PathBuf,
        /// All of them.
        mistakes: Mistakes,
    },
    /// Certificates or key cannot be used.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    /// Reading or writing failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// No entropy from the operating system.
    #[error("the operating system gave no random bytes: {0}")]
    Entropy(getrandom::Error),
}

/// Keys and files that `init` made.
#[derive(Debug)]
pub struct Made {
    /// The home.
    pub home: Home,
    /// The ledger key's public half: the fingerprint to give to the consortium.
    pub own: Own,
}

impl Home {
    /// Starts a home: keys from the operating system's entropy, and a default policy. It is a home
    /// once [`Self::finish`] has written its configuration.
    ///
    /// # Errors
    /// The folder holds files, no entropy, or IO.
    pub fn create(dir: &Path, site: SiteName) -> Result<Made, HomeError> {
        if dir.exists() {
            let mut entries = std::fs::read_dir(dir).map_err(FileError::io(dir))?;
            if entries.next().is_some() {
                return Err(HomeError::NotEmpty(dir.to_owned()));
            }
        }
        let home = Self { dir: dir.to_owned() };
        // An empty folder that somebody made before may let others in.
        files::make_private_folder(dir)?;
        for folder in ["identity", "studies", "outbox"] {
            files::create_private_folder(&dir.join(folder))?;
        }
        let ledger_seed = entropy()?;
        let ledger_key = SecretKey::from_seed(&ledger_seed);
        home.write_secret("identity/ledger.key", &ledger_seed)?;
        home.write_secret("identity/split.key", &*entropy()?)?;
        home.write_secret(SNAPSHOT_KEY, &*entropy()?)?;
        files::write(&home.policy_path(), DEFAULT.as_bytes())?;
        Ok(Made { home, own: Own { site, key: ledger_key.public() } })
    }

    /// Writes the configuration: the last step of making a home, so that an interrupted `init`
    /// shows.
    ///
    /// # Errors
    /// IO.
    pub fn finish(&self, site: &SiteName) -> Result<(), HomeError> {
        Ok(files::write(&self.dir.join("agent.toml"), default_config(site).as_bytes())?)
    }

    /// An existing home.
    ///
    /// # Errors
    /// There is none.
    pub fn open(dir: &Path) -> Result<Self, HomeError> {
        if dir.join("agent.toml").is_file() {
            Ok(Self { dir: dir.to_owned() })
        } else {
            Err(HomeError::NotAHome(dir.to_owned()))
        }
    }

    /// `agent.toml`.
    ///
    /// # Errors
    /// IO, or every mistake in the file.
    pub fn config(&self) -> Result<Config, HomeError> {
        let path = self.dir.join("agent.toml");
        let text = files::read_text(&path, SMALL)?;
        parse_config(&text).map_err(|mistakes| HomeError::Mistakes { path, mistakes })
    }

    /// `site-policy.toml`, read anew.
    ///
    /// # Errors
    /// IO, or every mistake in the file.
    pub fn policy(&self) -> Result<Policy, HomeError> {
        let path = self.policy_path();
        let text = files::read_text(&path, SMALL)?;
        Policy::parse(&text).map_err(|mistakes| HomeError::Mistakes { path, mistakes })
    }

    /// The key that decides each person's role, training or evaluation.
    ///
    /// # Errors
    /// As [`Self::ledger_key`].
    pub fn split_key(&self) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        self.secret("identity/split.key")
    }

    /// The key that encrypts frozen examples; made where there is none, as in a home of an older version.
    ///
    /// # Errors
    /// As [`Self::ledger_key`]; no entropy.
    pub fn snapshot_key(&self, disk: &dyn Disk) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        match self.secret(SNAPSHOT_KEY) {
            Err(HomeError::File(error)) if error.is_absent() => {
                let key = entropy()?;
                files::write_on(disk, &self.dir.join(SNAPSHOT_KEY), hex_line(&key).as_bytes())?;
                Ok(key)
            }
            secret => secret,
        }
    }

    /// What enrolment taught about the coordinator, under the configuration's address if it has one.
    ///
    /// # Errors
    /// Not enrolled, or IO.
    pub fn coordinator(&self, config: &Config) -> Result<Coordinator, HomeError> {
        let path = self.dir.join("identity/coordinator.json");
        let text = files::read_text(&path, SMALL).map_err(not_enrolled)?;
        let mut coordinator: Coordinator = serde_json::from_str(&text)
            .map_err(|_| FileError::malformed(&path, "what `enroll` wrote; enroll again"))?;
        if let Some(address) = &config.address {
            coordinator.address = address.clone();
        }
        Ok(coordinator)
    }

    /// The TLS identity.
    ///
    /// # Errors
    /// Not enrolled, IO, or files that are no certificate or key.
    pub fn tls_identity(&self) -> Result<TlsIdentity, HomeError> {
        let read = |name: &str| files::read_text(&self.dir.join("identity").join(name), SMALL);
        let chain = tls::certificates_from_pem(read("tls.crt").map_err(not_enrolled)?.as_bytes())?;
        let authority =
            tls::certificates_from_pem(read("ca.crt").map_err(not_enrolled)?.as_bytes())?.swap_remove(0);
        let key = files::read_private_text(&self.dir.join("identity/tls.key"), SMALL)?;
        Ok(TlsIdentity { authority, chain, key: tls::key_from_pem(key.as_bytes())? })
    }

    /// Keeps what enrolment gave.
    ///
    /// # Errors
    /// IO.
    pub fn keep_identity(
        &self,
        key_pem: &str,
        chain: &[CertificateDer<'static>],
        authority: &CertificateDer<'static>,
        coordinator: &Coordinator,
    ) -> Result<(), HomeError> {
        let put =
            |name: &str, text: &str| files::write(&self.dir.join("identity").join(name), text.as_bytes());
        put("tls.key", key_pem)?;
        put("tls.crt", &chain.iter().map(|certificate| pem(certificate)).collect::<String>())?;
        put("ca.crt", &pem(authority))?;
        // Last: without it the agent is not enrolled.
        put("coordinator.json", &serde_json::to_string_pretty(coordinator).expect("plain data"))?;
        Ok(())
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `site-policy.toml`.
    #[must_use]
    pub fn policy_path(&self) -> PathBuf {
        self.dir.join("site-policy.toml")
    }

    /// `ledger/`.
    #[must_use]
    pub fn ledger_dir(&self) -> PathBuf {
        self.dir.join("ledger")
    }

    /// `outbox/`.
    #[must_use]
    pub fn outbox_dir(&self) -> PathBuf {
        self.dir.join("outbox")
    }

    /// `studies/`.
    #[must_use]
    pub fn studies_dir(&self) -> PathBuf {
        self.dir.join("studies")
    }

    /// `studies/HEX/`.
    #[must_use]
    pub fn study_dir(&self, study: &Digest) -> PathBuf {
        self.studies_dir().join(study.hex())
    }

    /// A study's frozen examples.
    #[must_use]
    pub fn snapshot_path(&self, study: &Digest) -> PathBuf {
        self.study_dir(study).join("snapshot")
    }

    fn write_secret(&self, name: &str, secret: &[u8; 32]) -> Result<(), FileError> {
        files::write(&self.dir.join(name), hex_line(secret).as_bytes())
    }

    fn secret(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        let path = self.dir.join(name);
        let text = files::read_private_text(&path, SMALL)?;
        let mut secret = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.trim_end(), &mut secret[..])
            .map_err(|_| FileError::malformed(&path, "64 hex digits"))?;
        Ok(secret)
    }
}

/// 32 bytes from the operating system, wiped when dropped.
///
/// # Errors
/// The operating system has none.
pub fn entropy() -> Result<Zeroizing<[u8; 32]>, HomeError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut bytes[..]).map_err(HomeError::Entropy)?;
    Ok(bytes)
}

/// A secret as its file holds it.
fn hex_line(secret: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(hex::encode(secret));
    text.push('\n');
    text
}

fn not_enrolled(error: FileError) -> HomeError {
    if error.is_absent() { HomeError::NotEnrolled } else { error.into() }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn default_config(site: &SiteName) -> String {
    format!(
        "# The agent of one hospital.\n\
         site = \"{site}\"\n\
         \n\
         # The table (CSV, one row per person), the folder that holds table.csv, or a folder of OMOP tables.\n\
         # data = \"/srv/consilium/table.csv\"\n\
         \n\
         # The HTTP proxy out of the hospital; \"none\" for a direct connection. Without this line\n\
         # the environment decides (HTTPS_PROXY, NO_PROXY).\n\
         # proxy = \"http://proxy.example:3128\"\n\
         \n\
         # Only for a coordinator that moved since the invite.\n\
         # address = \"https://coordinator.example:8443\"\n"
    )
}

fn parse_config(text: &str) -> Result<Config, Mistakes> {
    read(text, |root| {
        let site = root.text("site", "1 to 63 of a-z, 0-9 and -", |text| text.parse().ok());
        let address = root.optional_text("address", "\"https://host:port\"", |text| text.parse().ok());
        let proxy = root.optional_text("proxy", "\"http://host:port\" or \"none\"", parse_proxy);
        let data = root.optional_text("data", "a path", |text| (!text.is_empty()).then(|| text.into()));
        Some(Config { site: site?, address: address?, proxy: proxy?, data: data? })
    })
}

fn parse_proxy(text: &str) -> Option<Proxy> {
    if text == "none" {
        return Some(Proxy::None);
    }
    let uri: http::Uri = text.parse().ok()?;
    (uri.scheme_str() == Some("http") && uri.host().is_some()).then_some(Proxy::Through(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("agent");
        let site: SiteName = "st-elsewhere".parse().expect("name");
        let made = Home::create(&path, site.clone()).expect("made");
        assert!(matches!(Home::open(&path), Err(HomeError::NotAHome(_))), "not yet");
        made.home.finish(&site).expect("finished");
        let home = Home::open(&path).expect("a home");
        assert_eq!(home.ledger_key().expect("key").public(), made.own.key);
        assert_eq!(home.config().expect("config").site, site);
        assert!(home.policy().is_ok());
        assert_ne!(*home.split_key().expect("key"), [0; 32]);
        assert!(matches!(home.tls_identity(), Err(HomeError::NotEnrolled)));
        assert!(matches!(Home::create(&path, site), Err(HomeError::NotEmpty(_))));
        assert!(matches!(Home::open(dir.path()), Err(HomeError::NotAHome(_))));
    }

    #[cfg(unix)]
    #[test]
    fn an_existing_folder_becomes_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("agent");
        std::fs::create_dir(&path).expect("made");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        drop(Home::create(&path, "a".parse().expect("name")).expect("made"));
        for folder in ["", "identity", "studies", "outbox"] {
            let mode = std::fs::metadata(path.join(folder)).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{folder}");
        }
    }

    #[test]
    fn configurations() {
        fn check(text: &str, expected: Result<&str, &str>) {
            match (parse_config(text), expected) {
                (Ok(config), Ok(expected)) => assert_eq!(format!("{:?}", config.proxy), expected),
                (Err(mistakes), Err(expected)) => {
                    assert!(mistakes.to_string().contains(expected), "{mistakes}");
                }
                (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
            }
        }
        check("site = 'a'", Ok("None"));
        check("site = 'a'\nproxy = 'none'", Ok("Some(None)"));
        check("site = 'a'\nproxy = 'http://p:3128'", Ok("Some(Through(http://p:3128/))"));
        check("site = 'a'\nproxy = 'socks5://p:3128'", Err("line 2: proxy: expected"));
        check("site = 'A'", Err("line 1: site: expected"));
        check("proxy = 'none'", Err("site: missing"));
        check("site = 'a'\ndate = ''", Err("line 2: date: unknown key"));
        check(&default_config(&"a".parse().expect("name")), Ok("None"));
    }
}
