//! Requests that sites refused, as their ledgers in the bundle say: a site signed each of these entries,
//! while the coordinator's log of declined tasks is nobody's word but its own.

use crate::operator::CommandError;
use consilium_common::id::{Digest, SiteName};
use consilium_common::ledger::checkpoint::Note;
use consilium_common::ledger::entry::{Body, Entry};
use consilium_common::ledger::tiles;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// Requests that a site refused by one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals {
    /// Who.
    pub site: SiteName,
    /// By which rule: `policy.steps_max`.
    pub rule: String,
    /// Whether the request was for this study; otherwise it named no study that the site knew.
    pub of_study: bool,
    /// How many times, as far as entries tell: those after a day's first entry are told the next day.
    pub count: u64,
}

/// What the ledgers of these sites in a bundle say of requests for `study` and for none; refusals of
/// other studies are not this study's business. The bundle must have been verified.
///
/// # Errors
/// A ledger that cannot be read.
pub fn of_bundle<'a>(
    bundle: &Path,
    study: &Digest,
    sites: impl IntoIterator<Item = &'a SiteName>,
) -> Result<Vec<Refusals>, CommandError> {
    let mut all = Vec::new();
    for site in sites {
        let folder = bundle.join("sites").join(site.as_str()).join("ledger");
        let broken = |what: String| CommandError::Refused(format!("{}: {what}", folder.display()));
        let checkpoint = std::fs::read(folder.join("checkpoint")).map_err(|e| broken(e.to_string()))?;
        let size = Note::parse(&checkpoint).map_err(|e| broken(e.to_string()))?.checkpoint.size;
        let read = |path: &str| std::fs::read(folder.join(path)).ok().map(Cow::Owned);
        let (entries, _) = tiles::read(size, read).map_err(|e| broken(e.to_string()))?;
        let entries: Vec<Entry> = entries
            .iter()
            .map(|bytes| Entry::from_bytes(bytes))
            .collect::<Result<_, _>>()
            .map_err(|e| broken(e.to_string()))?;
        all.extend(of_ledger(site, study, &entries));
    }
    Ok(all)
}

fn of_ledger(site: &SiteName, study: &Digest, entries: &[Entry]) -> Vec<Refusals> {
    let mut counts: BTreeMap<(bool, &str), u64> = BTreeMap::new();
    for entry in entries {
        if let Body::Refusal { rule, study: asked, count } = &entry.body
            && asked.is_none_or(|asked| asked == *study)
        {
            *counts.entry((asked.is_none(), rule)).or_default() += count;
        }
    }
    let row = |((unnamed, rule), count): ((bool, &str), u64)| Refusals {
        site: site.clone(),
        rule: rule.into(),
        of_study: !unnamed,
        count,
    };
    counts.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_rule_without_other_studies() {
        let (site, study) = ("a".parse::<SiteName>().expect("a name"), Digest::of(b"study"));
        let entry = |rule: &str, study: Option<Digest>, count| Entry {
            time: "2027-03-01T09:30:00Z".parse().expect("a time"),
            previous: Digest::of(b""),
            body: Body::Refusal { rule: rule.into(), study, count },
        };
        let found = of_ledger(
            &site,
            &study,
            &[
                entry("policy.steps_max", Some(study), 1),
                entry("policy.steps_max", Some(study), 3),
                entry("policy.delta", None, 1),
                entry("policy.delta", Some(Digest::of(b"another study")), 9),
            ],
        );
        let plain: Vec<_> = found.iter().map(|r| (r.rule.as_str(), r.of_study, r.count)).collect();
        assert_eq!(plain, [("policy.steps_max", true, 4), ("policy.delta", false, 1)]);
    }
}
