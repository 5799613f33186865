//! One thing that is wrong: what kind, whose, in which file, at which entry.

use crate::id::SiteName;
use serde::Serialize;
use std::fmt;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The site that it concerns, as far as the file tells.
    pub site: Option<SiteName>,
    /// A stable code: a rule of the ledger (`ledger.commit`, `policy.epsilon_total`), what happened to
    /// an entry (`entry.changed`, `entry.dropped`, `entry.reordered`, `entry.duplicated`,
    /// `entry.inserted`, `entry.truncated`), `tile`, `checkpoint.fork`, `checkpoint.rollback`,
    /// `signature`, `cosignature`, `aggregate`, `commitment`, `transcript` (a secure sum is not the one
    /// in a survivor's ledger), `build` (a program made to break its promises), `missing`, `surplus`, or the part of the
    /// bundle (`manifest`, `study`, `approval`, `ledger`, `training`, `evaluation`, `export`).
    pub kind: &'static str,
    /// The file, within the bundle.
    pub file: String,
    /// The entry's index, where a ledger is at fault.
    pub entry: Option<u64>,
    /// What was expected and what came.
    pub what: String,
}

impl Finding {
    pub(super) fn new(kind: &'static str, file: &str, entry: Option<u64>, what: impl fmt::Display) -> Self {
        Self { site: site_of(file), kind, file: file.to_owned(), entry, what: what.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Some(entry) => write!(f, "{}, entry {entry}: {} [{}]", self.file, self.what, self.kind),
            None => write!(f, "{}: {} [{}]", self.file, self.what, self.kind),
        }
    }
}

/// The part of the bundle that a file belongs to.
pub(super) fn kind_of(file: &str) -> &'static str {
    match file.split('/').next().unwrap_or_default() {
        "study.toml" => "study",
        "start.json" | "decisions" => "approval",
        "sites" => "ledger",
        "rounds" | "sums" | "final" => "training",
        "evaluation" => "evaluation",
        "model.safetensors" | "model.json" => "export",
        _ => "manifest",
    }
}

/// The site that a file of the bundle is of, by its path.
fn site_of(file: &str) -> Option<SiteName> {
    let parts: Vec<&str> = file.split('/').collect();
    let name = match parts[..] {
        ["sites", site, ..] | ["rounds", _, "updates", site] => site,
        ["decisions", file] | ["evaluation", _, file] => file.strip_suffix(".json")?,
        _ => return None,
    };
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_its_site_and_its_kind() {
        let check = |file: &str, site: Option<&str>, kind: &str| {
            let finding = Finding::new(kind_of(file), file, None, "x");
            let found = finding.site.as_ref().map(SiteName::as_str);
            assert_eq!((found, finding.kind), (site, kind), "{file}");
        };
        check("bundle.json", None, "manifest");
        check("study.toml", None, "study");
        check("start.json", None, "approval");
        check("decisions/corby.json", Some("corby"), "approval");
        check("sites/corby/ledger/checkpoint", Some("corby"), "ledger");
        check("sites/corby/ledger", Some("corby"), "ledger");
        check("rounds/3/updates/corby", Some("corby"), "training");
        check("rounds/3/updates", None, "training");
        check("final/model", None, "training");
        check("sums/3", None, "training");
        check("evaluation/overall/sum", None, "evaluation");
        check("evaluation/sex+age_band/corby.json", Some("corby"), "evaluation");
        check("model.json", None, "export");
        check("sites/No Name/ledger", None, "ledger");
    }
}
