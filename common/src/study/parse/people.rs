//! `[[site]]`, `[intended_use]`, `[governance]`.

use super::super::limits::{OPT_OUT_LISTS_MAX, PEOPLE_PUBLIC_MAX, SITES_MAX, SITES_MIN, WEIGHT_SUM_END};
use super::super::raw::{Ask, Section, Value, ask};
use super::super::{Governance, GovernanceApproval, IntendedUse, RosterSite};
use super::{name, section, sections};

const UNITS_PER_WEIGHT: f64 = 65_536.0;

pub(super) fn sites(top: &Section<'_>) -> Option<Vec<RosterSite>> {
    const SITES: Ask = ask("site", "2 to 200 tables [[site]]", "a [[site]] for each hospital");
    top.required(SITES, |value| {
        let mut names = Vec::new();
        let mut keys = Vec::new();
        let sites = sections(value, |section| {
            let site = site(section)?;
            distinct(section, "name", &mut names, site.name.to_string());
            distinct(section, "key", &mut keys, site.key.to_string());
            Some(site)
        })?;
        if !(SITES_MIN..=SITES_MAX).contains(&sites.len()) {
            return value.wrong_because(SITES.expected, &sites.len().to_string(), SITES.example);
        }
        let sum: u64 = sites.iter().map(|site| u64::from(site.weight)).sum();
        #[expect(clippy::cast_precision_loss, reason = "below 2^42")]
        let sum = sum as f64 / UNITS_PER_WEIGHT;
        if sum >= WEIGHT_SUM_END {
            let expected = "weights that sum to less than 65536";
            return value.wrong_because(expected, &sum.to_string(), "divide all weights by the same number");
        }
        Some(sites)
    })
}

fn site(section: &Section<'_>) -> Option<RosterSite> {
    const NAME: Ask = ask("name", "1 to 63 of a-z, 0-9 and -", r#"name = "st-elsewhere""#);
    const KEY: Ask = ask(
        "key",
        "the site's own key, ed25519: and 64 hex digits",
        r#"key = "ed25519:…", as `site-agent init` printed it at that hospital"#,
    );
    const PEOPLE: Ask = ask("people_public", "a whole number from 1 to 1000000000", "people_public = 5000");
    const WEIGHT: Ask = ask("weight", "a number from 0.0001 to below 65536", "weight = 1.0");
    let name = section.required(NAME, Value::parsed);
    let key = section.required(KEY, Value::parsed);
    let people_public = section.required(PEOPLE, |v| v.integer(1..=PEOPLE_PUBLIC_MAX));
    let weight = section.required(WEIGHT, |v| v.number(|w| (0.0001..WEIGHT_SUM_END).contains(&w)));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to below 2^32")]
    let units = |weight: f64| (weight * UNITS_PER_WEIGHT).round().min(f64::from(u32::MAX)) as u32;
    Some(RosterSite { name: name?, key: key?, people_public: people_public?, weight: units(weight?) })
}

/// Reports a text that an earlier table of the same kind has too.
pub(super) fn distinct(section: &Section<'_>, key: &str, seen: &mut Vec<String>, text: String) {
    if seen.contains(&text) {
        let found = format!("{text:?} a second time");
        section.wrong(key, "something that no other has", &found, "give each its own");
    } else {
        seen.push(text);
    }
}

pub(super) fn intended_use(top: &Section<'_>) -> Option<IntendedUse> {
    const SECTION: Ask = ask("intended_use", "a table", "[intended_use]");
    const STATEMENT: Ask =
        ask("statement", "what the model is for", r#"statement = "Plan capacity per service""#);
    const USERS: Ask = ask("users", "a list of who uses it", r#"users = ["service planners"]"#);
    const OUTPUT: Ask = ask("output", "\"probability\": never a risk label", r#"output = "probability""#);
    const PROHIBITED: Ask = ask(
        "prohibited",
        "a list of uses that are ruled out, at least one",
        r#"prohibited = ["deciding one person's care"]"#,
    );
    const RATIONALE: Ask = ask("rationale", "why", r#"rationale = "NICE NG225 1.6""#);
    section(top, SECTION, |section| {
        let statement = section.required(STATEMENT, Value::text);
        let users = section.required(USERS, |v| v.list(1..=32, Value::text));
        let output = section.optional(OUTPUT, |v| v.word(&["probability"]));
        let prohibited = section.required(PROHIBITED, |v| v.list(1..=32, Value::text));
        let rationale = section.required(RATIONALE, Value::text);
        output?;
        Some(IntendedUse {
            statement: statement?,
            users: users?,
            prohibited: prohibited?,
            rationale: rationale?,
        })
    })
}

pub(super) fn governance(top: &Section<'_>) -> Option<Governance> {
    const SECTION: Ask = ask("governance", "a table", "[governance]");
    const SPONSOR: Ask = ask("sponsor", "who answers for the study", r#"sponsor = "Example Consortium""#);
    const PURPOSE: Ask = ask("permitted_purpose", "one word", r#"permitted_purpose = "scientific-research""#);
    const FROM: Ask = ask("valid_from", "a day without quotes", "valid_from = 2027-01-01");
    const UNTIL: Ask = ask("valid_until", "a day without quotes", "valid_until = 2027-12-31");
    const LAY: Ask =
        ask("lay_summary", "a paragraph that anybody can read", r#"lay_summary = "Six hospitals …""#);
    const APPROVALS: Ask = ask("approval", "tables [[governance.approval]]", "[[governance.approval]]");
    const OPT_OUT: Ask = ask("opt_out", "a table", "[governance.opt_out]");
    section(top, SECTION, |section| {
        let sponsor = section.required(SPONSOR, Value::text);
        let permitted_purpose = section.required(PURPOSE, super::label);
        let valid_from = section.required(FROM, Value::date);
        let valid_until = section.required(UNTIL, Value::date);
        let lay_summary = section.required(LAY, Value::text);
        let approvals = section.optional(APPROVALS, |v| sections(v, approval));
        let opt_outs = section.optional(OPT_OUT, |v| {
            let section = v.section()?;
            let lists = opt_outs(&section);
            section.finish();
            lists
        });
        let (valid_from, valid_until) = (valid_from?, valid_until?);
        if valid_until < valid_from {
            let expected = format!("a day from {valid_from} on");
            section.wrong("valid_until", &expected, &valid_until.to_string(), UNTIL.example);
        }
        Some(Governance {
            sponsor: sponsor?,
            permitted_purpose: permitted_purpose?,
            valid_from,
            valid_until,
            lay_summary: lay_summary?,
            approvals: approvals?.unwrap_or_default(),
            opt_outs: opt_outs?.unwrap_or_default(),
        })
    })
}

/// The lists that each site must apply. How they are applied is said in the file, so that whoever signs it has read it,
/// and can be said in one way only.
fn opt_outs(section: &Section<'_>) -> Option<Vec<String>> {
    const HONOUR: Ask =
        ask("honour", "1 to 16 names of lists that each site applies", r#"honour = ["site-register"]"#);
    const RECHECK: Ask = ask("recheck", "\"every-round\"", r#"recheck = "every-round""#);
    const MID_STUDY: Ask =
        ask("mid_study", "\"exclude-from-next-round\"", r#"mid_study = "exclude-from-next-round""#);
    let lists = section.required(HONOUR, |value| {
        let lists = value.list(1..=OPT_OUT_LISTS_MAX, super::label)?;
        for (i, list) in lists.iter().enumerate() {
            if lists[..i].contains(list) {
                return value.wrong_because(
                    "names that differ",
                    &format!("{list:?} twice"),
                    "keep one of them",
                );
            }
        }
        Some(lists)
    });
    let recheck = section.optional(RECHECK, |v| v.word(&["every-round"]));
    let mid_study = section.optional(MID_STUDY, |v| v.word(&["exclude-from-next-round"]));
    let (_, _) = (recheck?, mid_study?);
    lists
}

fn approval(section: &Section<'_>) -> Option<GovernanceApproval> {
    const KINDS: [&str; 8] = [
        "ethics",
        "irb",
        "cag",
        "caldicott",
        "dpo",
        "data-access-body",
        "ppi-panel",
        "information-governance",
    ];
    const KIND: Ask = ask(
        "type",
        "ethics, irb, cag, caldicott, dpo, data-access-body, ppi-panel or information-governance",
        r#"type = "ethics""#,
    );
    const REFERENCE: Ask =
        ask("reference", "the approving body's own reference", r#"reference = "REC 26/XX/0000""#);
    const EXPIRES: Ask = ask("expires", "a day without quotes", "expires = 2027-12-31");
    const CHANGED: Ask =
        ask("changed", "what the panel changed", r#"changed = "Panel removed postcode as a predictor""#);
    let kind = section.required(KIND, |v| v.word(&KINDS));
    let reference = section.required(REFERENCE, name);
    let expires = section.optional(EXPIRES, Value::date);
    let changed = section.optional(CHANGED, Value::text);
    Some(GovernanceApproval {
        kind: kind?.to_owned(),
        reference: reference?,
        expires: expires?,
        changed: changed?,
    })
}
