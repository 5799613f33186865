//! What the auditor got elsewhere: keys, and checkpoints that somebody else kept.

use crate::id::SiteName;
use crate::key::PublicKey;
use std::collections::BTreeMap;

/// Keys that the auditor got elsewhere. What is not pinned is believed as the bundle carries it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The coordinator's key.
    pub coordinator: Option<PublicKey>,
    /// Keys of sites.
    pub sites: BTreeMap<SiteName, PublicKey>,
    /// Checkpoints of the same ledgers that somebody else kept (another site, the coordinator, an older
    /// bundle), each with a name to show: a ledger that was forked or rolled back does not fit them.
    pub checkpoints: Vec<(String, Vec<u8>)>,
}

impl std::str::FromStr for Trust {
    type Err = InvalidTrust;

    /// Lines `SITE KEY` and `coordinator KEY`; `#` starts a comment.
    fn from_str(text: &str) -> Result<Self, InvalidTrust> {
        let mut trust = Self::default();
        for (i, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let at = |what: String| InvalidTrust { line: i + 1, what };
            // Whatever file this is, what stands in it is not repeated.
            let form =
                || at("expected a site's name (or coordinator) and ed25519: with 64 hex digits".to_owned());
            let (name, key) = line.split_once(char::is_whitespace).ok_or_else(form)?;
            let key: PublicKey = key.trim().parse().map_err(|_| form())?;
            let before = if name == "coordinator" {
                trust.coordinator.replace(key)
            } else {
                trust.sites.insert(name.parse().map_err(|_| form())?, key)
            };
            if before.is_some() {
                return Err(at(format!("{name} is there twice")));
            }
        }
        Ok(trust)
    }
}

/// A trust file that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct InvalidTrust {
    /// Counted from 1.
    pub line: usize,
    /// What was expected.
    pub what: String,
}
