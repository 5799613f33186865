//! Keys that other versions of the language have: asked of this one, the advice is not to look for a misspelling.

/// Ends of paths, without the places in lists.
const LATER: &[&str] = &[
    "disclosure.site_results",
    "evaluation.net_benefit_thresholds",
    "evaluation.recalibrate",
    "governance.approval.members_with_lived_experience",
    "governance.approval.paid",
    "governance.approval.scope",
    "governance.commercial_use",
    "governance.conflicts",
    "governance.funding",
    "governance.model_destination",
    "governance.protocol",
    "governance.withdrawal",
    "intended_use.known_inequalities",
    "missing.unrecorded_feature",
    "model.baseline",
    "subgroups.metrics",
];

/// Whether another version has this key.
pub(super) fn is_later(path: &str) -> bool {
    let mut keys = String::new();
    for part in path.split('.') {
        let key = part.split_once('[').map_or(part, |(key, _)| key);
        keys.push('.');
        keys.push_str(key);
    }
    LATER.iter().any(|later| keys.strip_suffix(later).is_some_and(|before| before.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::is_later;

    #[test]
    fn paths() {
        fn check(path: &str, expected: bool) {
            assert_eq!(is_later(path), expected, "{path}");
        }
        check("split.holdout", false);
        check("attribute[3].use", false);
        check("features.notes.lexicon", false);
        check("report", false);
        check("model.baseline", true);
        check("governance.approval[2].paid", true);
        check("governance.approval[2].changed", false);
        check("governance.opt_outs", false);
        check("binding", false);
    }
}
