//! `site-policy.toml`, schema `policy/1`.

use super::opt_out::{self, OptOutList};
use crate::toml_keys::{Keys, Mistakes, read};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::PublicKey;
use consilium_common::ledger::entry::Caps;
use jiff::civil::Date;
use std::collections::BTreeMap;

/// What `init` writes: cautious, and commented for the person who edits it.
pub const DEFAULT: &str = include_str!("default.toml");

/// `data.person_id` of a policy that does not say.
const PERSON_ID: &str = "person_id";

/// Days for which a study's frozen examples are used, of a policy that does not say.
const SNAPSHOT_DAYS: u16 = 90;
/// Most days that a policy may say: ten years.
const SNAPSHOT_DAYS_MAX: u16 = 3650;

/// A hospital's policy; every value is checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The caps, with the digest of the file's exact bytes.
    pub caps: Caps,
    /// The last day (UTC) on which this policy allows anything; for ever when absent.
    pub valid_until: Option<Date>,
    /// Fewest sites that take part in a study, this one included.
    pub sites_min: usize,
    /// Fewest people of this site's dataset, compared with the roster's `people_public` (a public
    /// figure; the private count is never compared with anything that others see).
    pub people_min: u64,
    /// Purposes (`governance.permitted_purpose`) that are allowed.
    pub purposes: Vec<String>,
    /// Model families that are allowed.
    pub model_families: Vec<String>,
    /// Columns that features may be read from; all when absent.
    pub features: Option<Vec<String>>,
    /// Attributes that subgroups may be made of; all when absent.
    pub attributes: Option<Vec<String>>,
    /// Whether studies may read clinical notes, their text or what a program has found in it; not where it is absent.
    pub notes: bool,
    /// The table's column with a person's pseudonym, whatever a study says.
    pub person_id: String,
    /// Days after which a study's frozen examples are extracted again, from 1 on.
    pub snapshot_days: u16,
    /// Lists of people who opted out, by name in the file's order. Each is applied to every study at this site.
    pub opt_outs: Vec<OptOutList>,
    /// Keys of other hospitals, each compared with that hospital itself.
    pub known_sites: BTreeMap<SiteName, PublicKey>,
}

impl Policy {
    /// Reads the file's exact text.
    ///
    /// # Errors
    /// Every mistake, with line and key.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        let digest = Digest::of(text.as_bytes());
        read(text, |root| {
            let schema = root.text("schema", "\"policy/1\"", |text| (text == "policy/1").then_some(()));
            let day = |text: &str| text.parse().ok();
            let valid_until = root.optional_text("valid_until", "a day, as \"2028-12-31\"", day);
            let caps = root.section("caps", |keys| caps(keys, digest));
            let require = root.section("require", |keys| {
                let sites =
                    keys.whole("sites_min", "a whole number from 2 on", |n| (2..=10_000).contains(&n));
                let people = keys.whole("people_min", "a whole number from 0 on", |_| true);
                Some((usize::try_from(sites?).expect("at most 10,000"), people?))
            });
            let allow = root.section("allow", |keys| {
                let purposes = keys.texts("purposes");
                let families = keys.texts("model_families");
                let features = keys.optional_texts("features");
                let attributes = keys.optional_texts("attributes");
                let notes = keys.optional_truth("notes");
                Some((purposes?, families?, features?, attributes?, notes?.unwrap_or(false)))
            });
            let data = root.optional_section("data", |keys| {
                let column = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
                let person_id = keys.optional_text("person_id", "the name of a column", column);
                let days = keys.optional_whole("snapshot_days", "a whole number from 1 to 3650", |n| {
                    (1..=u64::from(SNAPSHOT_DAYS_MAX)).contains(&n)
                });
                Some((person_id?, days?))
            });
            let opt_outs = opt_out::read(root);
            let known_sites = root.section("known_sites", |keys| {
                keys.all_texts("NAME = \"ed25519:…\" (64 hex digits)", |name, key| {
                    Some((name.parse().ok()?, key.parse().ok()?))
                })
            });
            let ((), caps, (sites_min, people_min)) = (schema?, caps?, require?);
            let (purposes, model_families, features, attributes, notes) = allow?;
            let (person_id, days) = data?.unwrap_or_default();
            let person_id = person_id.unwrap_or_else(|| PERSON_ID.to_owned());
            let snapshot_days = days.map_or(SNAPSHOT_DAYS, |days| u16::try_from(days).expect("at most 3650"));
            let known_sites = known_sites?.into_iter().collect();
            Some(Self {
                caps,
                valid_until: valid_until?,
                sites_min,
                people_min,
                purposes,
                model_families,
                features,
                attributes,
                notes,
                person_id,
                snapshot_days,
                opt_outs: opt_outs?,
                known_sites,
            })
        })
    }
}

fn caps(keys: &Keys<'_, '_>, policy: Digest) -> Option<Caps> {
    let positive = |n: f64| n > 0.0 && n.is_finite();
    let epsilon_total = keys.number("epsilon_total", "a number above 0", positive);
    let epsilon_per_study = keys.number("epsilon_per_study", "a number above 0", positive);
    let epsilon_per_year = keys.optional_number("epsilon_per_year", "a number above 0", positive);
    let delta = keys.number("delta", "a number above 0, at most 1e-5", |n| n > 0.0 && n <= 1e-5);
    let noise_multiplier_min = keys.number("noise_multiplier_min", "a number above 0", positive);
    let sampling_rate_max =
        keys.number("sampling_rate_max", "a number above 0, at most 1", |n| n > 0.0 && n <= 1.0);
    let steps_max = keys.whole("steps_max", "a whole number from 1 on", |n| n >= 1);
    Some(Caps {
        policy,
        epsilon_total: epsilon_total?,
        epsilon_per_study: epsilon_per_study?,
        epsilon_per_year: epsilon_per_year?,
        delta: delta?,
        noise_multiplier_min: noise_multiplier_min?,
        sampling_rate_max: sampling_rate_max?,
        steps_max: steps_max?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        let policy = Policy::parse(DEFAULT).expect("valid");
        assert_eq!(policy.caps.epsilon_total, 10.0);
        assert_eq!(policy.caps.epsilon_per_study, 8.0);
        assert_eq!(policy.caps.delta, 1e-5);
        assert_eq!(policy.caps.noise_multiplier_min, 0.3);
        assert_eq!(policy.caps.steps_max, 10_000);
        assert_eq!(policy.caps.policy, Digest::of(DEFAULT.as_bytes()));
        assert!(policy.known_sites.is_empty() && !policy.notes);
        let older = DEFAULT.replacen("notes = false", "", 1);
        assert!(older != DEFAULT && !Policy::parse(&older).expect("an older file").notes);
    }

    #[test]
    fn the_persons_column() {
        fn check(to: &str, expected: &str) {
            let text = DEFAULT.replacen("[data]", "[data] # was", 1);
            let text = text.replacen("person_id = \"person_id\"", to, 1);
            assert_eq!(Policy::parse(&text).expect(to).person_id, expected, "{to}");
        }
        check("person_id = \"pseudonym\"", "pseudonym");
        check("person_id = \"person_id\"", "person_id");
        check("", "person_id");
        let (before, after) = DEFAULT.split_once("[data]").expect("the default has it");
        let (_, after) = after.split_once("\n[known_sites]").expect("after it");
        let older = format!("{before}\n[known_sites]{after}");
        assert_eq!(Policy::parse(&older).expect("an older file").person_id, "person_id");
    }

    #[test]
    fn mistakes_are_all_reported() {
        fn check(from: &str, to: &str, expected: &str) {
            assert!(DEFAULT.contains(from), "the case changes something: {from}");
            let error = Policy::parse(&DEFAULT.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(error.contains(expected), "{error}");
        }
        check("policy/1", "policy/2", "schema: expected \"policy/1\"");
        check("epsilon_total = 10.0", "epsilon_total = inf", "caps.epsilon_total: expected a number above 0");
        check("epsilon_total = 10.0", "", "caps.epsilon_total: missing");
        check(
            "# epsilon_per_year = 5.0",
            "epsilon_per_year = 0",
            "caps.epsilon_per_year: expected a number above 0",
        );
        check(
            "# valid_until = \"2028-12-31\"",
            "valid_until = \"soon\"",
            "valid_until: expected a day, as \"2028-12-31\"",
        );
        check("# features = ", "features = 3 # ", "allow.features: expected a list of texts");
        check("delta = 1e-5", "delta = 1e-3", "caps.delta: expected a number above 0, at most 1e-5");
        check("sampling_rate_max = 1.0", "sampling_rate_max = 1.5", "caps.sampling_rate_max");
        check("steps_max = 10_000", "steps_max = 1.5", "caps.steps_max: expected a whole number");
        check("sites_min = 2", "sites_min = 1", "require.sites_min");
        check("[known_sites]", "[known_sites]\nx = \"ed25519:00\"", "known_sites.x: expected");
        check("[known_sites]", "[known_sites]\nX_Y = \"ed25519:00\"", "known_sites.X_Y: expected");
        check(
            "person_id = \"person_id\"",
            "person_id = \" \"",
            "data.person_id: expected the name of a column",
        );
        check("person_id = \"person_id\"", "person_id = 3", "data.person_id: expected the name of a column");
        check("person_id = \"person_id\"", "person = \"x\"", "data.person: unknown key");
        check("snapshot_days = 90", "snapshot_days = 0", "data.snapshot_days: expected a whole number");
        check("notes = false", "notes = \"no\"", "allow.notes: expected true or false");
        check("[allow]", "[allow]\nanything = true", "allow.anything: unknown key");
        let two =
            DEFAULT.replace("sites_min = 2", "sites_min = 1").replace("steps_max = 10_000", "steps_max = 0");
        assert_eq!(Policy::parse(&two).expect_err("two").0.len(), 2);
    }
}
