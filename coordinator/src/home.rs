//! The coordinator's folder: what `init` makes and `serve` reads.

use crate::ca::{Authority, CaError, Identity};
use consilium_common::key::SecretKey;
use consilium_common::time::Time;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The folder cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// `init` in a folder that has something in it.
    #[error("{} is not empty: a coordinator is made in a new folder", .0.display())]
    NotEmpty(PathBuf),
    /// `serve` and its like in a folder without a coordinator.
    #[error("{} holds no coordinator: run `coordinator init --home {}` first", .0.display(), .0.display())]
    Missing(PathBuf),
    /// The operating system takes no socket at this path.
    #[error(
        "{}: {} bytes are too long a path for a socket (a little above 100 are allowed): choose a folder with a \
         shorter path for --home", .0.display(), .0.as_os_str().len()
    )]
    SocketPath(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is not what `init` wrote.
    #[error("{path}: {reason}")]
    Invalid {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificates could not be made.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The system gave no entropy.
    #[error("the operating system gave no entropy")]
    Entropy,
}

/// `coordinator.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `coordinator/1`.
    pub schema: String,
    /// Where `serve` listens; port 0 takes a free one.
    pub listen: String,
    /// The host name or address that agents dial; the first of the certificate's names.
    pub host: String,
    /// The port that agents dial, if it is not the one of `listen` (a forwarded port).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_port: Option<u16>,
}

/// The folder, opened.
#[derive(Debug, Clone)]
pub struct Home {
    /// Where it is.
    pub folder: PathBuf,
    /// Its configuration.
    pub config: Config,
}

impl Home {
    /// Makes a coordinator in a new or empty folder: authority, server certificate, signing key,
    /// configuration.
    ///
    /// # Errors
    /// The folder is not empty or cannot be written, or a host is none.
    pub fn create(folder: &Path, config: Config, hosts: &[String], now: Time) -> Result<Self, HomeError> {
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(HomeError::NotEmpty(folder.to_owned()));
        }
        let home = Self { folder: folder.to_owned(), config };
        home.check_socket()?;
        // Whatever a host's name can spoil comes before the disk is touched.
        let ca = Authority::create("consilium consortium", now)?;
        let server = Authority::load(&ca.certificate, &ca.key)?.server(hosts, now)?;
        let was_there = folder.exists();
        home.write_new(&ca, &server).inspect_err(|_| {
            // It was empty: what is in it now is this try's, and would refuse the next one.
            for name in ["identity", "coordinator.toml"] {
                let path = home.path(name);
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
            if !was_there {
                let _ = fs::remove_dir(folder);
            }
        })?;
        Ok(home)
    }

    fn write_new(&self, ca: &Identity, server: &Identity) -> Result<(), HomeError> {
        let home = self;
        make_private_folder(&home.folder)?;
        make_private_folder(&home.path("identity"))?;
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut seed[..]).map_err(|_| HomeError::Entropy)?;
        let signing = Zeroizing::new(hex::encode(&seed[..]) + "\n");
        home.write_secret("identity/ca.key", ca.key.as_bytes())?;
        home.write_secret("identity/server.key", server.key.as_bytes())?;
        home.write_secret("identity/signing.key", signing.as_bytes())?;
        home.write("identity/ca.crt", ca.certificate.as_bytes())?;
        home.write("identity/server.crt", format!("{}{}", server.certificate, ca.certificate).as_bytes())?;
        let text = toml::to_string(&home.config).expect("a configuration is plain data");
        home.write("coordinator.toml", text.as_bytes())
    }

    /// A Unix socket's path is short (107 bytes on Linux): better known at `init` than at `serve`.
    ///
    /// # Errors
    /// It is too long.
    pub fn check_socket(&self) -> Result<(), HomeError> {
        let socket = self.socket();
        match std::os::unix::net::SocketAddr::from_pathname(&socket) {
            Ok(_) => Ok(()),
            Err(_) => Err(HomeError::SocketPath(socket)),
        }
    }

    /// Opens what `create` made.
    ///
    /// # Errors
    /// Nothing is there, or not what `create` writes.
    pub fn open(folder: &Path) -> Result<Self, HomeError> {
        let path = folder.join("coordinator.toml");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(HomeError::Missing(folder.to_owned()));
            }
            Err(error) => return Err(HomeError::Io { path, error }),
        };
        let config: Config = toml::from_str(&text)
            .map_err(|e| HomeError::Invalid { path: path.clone(), reason: e.to_string() })?;
        if config.schema != "coordinator/1" {
            return Err(HomeError::Invalid { path, reason: "expected schema = \"coordinator/1\"".into() });
        }
        Ok(Self { folder: folder.to_owned(), config })
    }

    /// A path within the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The operator commands' socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path("operator.sock")
    }

    /// A file's text.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Zeroizing<String>, HomeError> {
        let path = self.path(name);
        fs::read_to_string(&path).map(Zeroizing::new).map_err(|error| HomeError::Io { path, error })
    }

    /// The authority.
    ///
    /// # Errors
    /// Its files are missing or damaged.
    pub fn authority(&self) -> Result<Authority, HomeError> {
        Ok(Authority::load(&self.read("identity/ca.crt")?, &self.read("identity/ca.key")?)?)
    }

    /// Signs starts, receipts and cosignatures.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn signing_key(&self) -> Result<SecretKey, HomeError> {
        let text = self.read("identity/signing.key")?;
        let mut seed = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.trim(), &mut seed[..]).map_err(|_| HomeError::Invalid {
            path: self.path("identity/signing.key"),
            reason: "expected 64 hex digits".into(),
        })?;
        Ok(SecretKey::from_seed(&seed))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        let path = self.path(name);
        fs::write(&path, bytes).map_err(|error| HomeError::Io { path, error })
    }

    fn write_secret(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        let path = self.path(name);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(&path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|error| HomeError::Io { path, error })
    }
}

/// A folder that only its owner can enter.
pub(crate) fn make_private_folder(path: &Path) -> Result<(), HomeError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| HomeError::Io { path: path.to_owned(), error })?;
    // A folder that was there already may be open to others.
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .map_err(|error| HomeError::Io { path: path.to_owned(), error })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_makes_opens_and_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c");
        let config = Config {
            schema: "coordinator/1".into(),
            listen: "127.0.0.1:0".into(),
            host: "localhost".into(),
            public_port: None,
        };
        let now = "2027-03-01T00:00:00Z".parse().expect("a time");
        assert!(matches!(Home::open(&path), Err(HomeError::Missing(_))));
        // A failed try leaves nothing that refuses the next one.
        let no_host = Home::create(&path, config.clone(), &["no host".into()], now);
        assert!(matches!(no_host, Err(HomeError::Ca(_))) && !path.exists());
        let file = folder.path().join("file");
        fs::write(&file, "").expect("writes");
        assert!(Home::create(&file.join("c"), config.clone(), &["localhost".into()], now).is_err());
        let long = folder.path().join("x".repeat(120));
        let said = Home::create(&long, config.clone(), &["localhost".into()], now).expect_err("too long");
        assert!(matches!(said, HomeError::SocketPath(_)) && !long.exists(), "{said}");
        let home = Home::create(&path, config.clone(), &["localhost".into()], now).expect("made");
        assert_eq!(Home::open(&path).expect("opens").config, config);
        home.signing_key().expect("a key");
        home.authority().expect("an authority");
        assert!(matches!(
            Home::create(&path, config, &["localhost".into()], now),
            Err(HomeError::NotEmpty(_))
        ));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode =
                |name: &str| fs::metadata(home.path(name)).expect("there").permissions().mode() & 0o777;
            assert_eq!(mode("identity/ca.key"), 0o600);
            assert_eq!(mode("identity"), 0o700);
        }
    }
}
