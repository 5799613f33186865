//! Holds a study against a policy. Pure: the same study, policy, ledger and time give the same
//! answer, at approval and again before each task.

use super::Policy;
use consilium_common::id::SiteName;
use consilium_common::key::PublicKey;
use consilium_common::ledger::entry::{Earmark, Participant, Role};
use consilium_common::ledger::rules::State;
use consilium_common::privacy::accountant::{self, Accountant, InvalidEvent};
use consilium_common::privacy::mechanism::Event;
use consilium_common::study::notes::Notes;
use consilium_common::study::{Data, ModelFamily, Study};
use consilium_common::time::Time;

/// One thing that a study asks for and the site does not give.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// As `policy.steps_max`. Public: the coordinator and the ledger see it.
    pub rule: &'static str,
    /// What the study asks for.
    pub asked: String,
    /// What the site gives.
    pub allowed: String,
    /// How a person may change it.
    pub change: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rule, asked, allowed, change } = self;
        write!(f, "{rule}: asked {asked}, allowed {allowed} ({change})")
    }
}

/// This site, as the roster should name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The name it enrolled under.
    pub site: SiteName,
    /// Its ledger key.
    pub key: PublicKey,
}

/// ε at `delta` of a list of releases that was declared in advance, as one study's, by the accountant
/// that prices declared lists; infinite, so above every cap, when an event is invalid.
///
/// # Privacy
/// Unit: one person; neighbours: add or remove one. No bound over studies that were chosen after seeing
/// others' results: that is [`State::filter`].
#[must_use]
pub fn epsilon(events: &[Event], delta: f64) -> f64 {
    accountant::epsilon(events, delta).unwrap_or(f64::INFINITY)
}

/// Why a study that is within its own ε may be above a cap over studies.
const BY_RDP: &str =
    "counted by RDP at one fixed order, some per cent above the epsilon that a study states for itself";

/// Everything in `study` that `policy` does not allow at `now`; empty means yes. `ledger` says what other
/// studies on the same people may still cost or have cost. `valid_from` is not a matter of approval, only of rounds:
/// see [`crate::task`].
///
/// # Privacy
/// Looks at the request, the policy and the ledger's event list, never at data. Unit: one person, whose
/// role is fixed, so that the caps hold for the larger account, not the sum. One study by PLD
/// ([`State::would_exceed_alone`]), all studies by the ledger's own filter ([`State::would_exceed`]), so that the
/// ledger's rules and an auditor say the same.
#[must_use]
pub fn decide(
    study: &Study,
    earmarks: &[Earmark],
    policy: &Policy,
    own: &Own,
    ledger: &State,
    now: Time,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut refuse = |rule, asked: String, allowed: String, change: String| {
        found.push(Violation { rule, asked, allowed, change });
    };
    let edit =
        |key: &str| format!("change {key} in site-policy.toml, or ask the consortium for another study");
    let caps = &policy.caps;

    let listed = study.sites.iter().find(|site| site.name == own.site);
    match listed {
        None => refuse(
            "study.roster",
            "another roster".into(),
            format!("a roster with {}", own.site),
            "ask the consortium to list this site".into(),
        ),
        Some(listed) if listed.key != own.key => refuse(
            "study.roster_key",
            format!("{} for this site", listed.key),
            own.key.to_string(),
            "give the consortium the fingerprint that `site-agent doctor` shows".into(),
        ),
        Some(listed) if listed.people_public < policy.people_min => refuse(
            "policy.people_min",
            format!("{} people at this site", listed.people_public),
            format!("at least {}", policy.people_min),
            edit("require.people_min"),
        ),
        Some(_) => {}
    }
    for site in &study.sites {
        if let Some(known) = policy.known_sites.get(&site.name).filter(|known| **known != site.key) {
            refuse(
                "policy.known_sites",
                format!("{} for {}", site.key, site.name),
                known.to_string(),
                format!("compare the key with {} itself, by telephone", site.name),
            );
        }
    }
    if study.sites.len() < policy.sites_min {
        refuse(
            "policy.sites_min",
            format!("{} sites", study.sites.len()),
            format!("at least {}", policy.sites_min),
            edit("require.sites_min"),
        );
    }
    if study.person_id() != policy.person_id {
        refuse(
            "policy.person_id",
            format!("persons by column {}", study.person_id()),
            policy.person_id.clone(),
            "ask the consortium for another study; a changed data.person_id in site-policy.toml changes who is a person"
                .into(),
        );
    }
    let purpose = &study.governance.permitted_purpose;
    if !policy.purposes.contains(purpose) {
        refuse("policy.purposes", purpose.clone(), policy.purposes.join(", "), edit("allow.purposes"));
    }
    let family = match study.model {
        ModelFamily::Logistic => "logistic",
        ModelFamily::Mlp { .. } => "mlp",
    };
    if !policy.model_families.iter().any(|allowed| allowed == family) {
        let allowed = policy.model_families.join(", ");
        refuse("policy.model_families", family.into(), allowed, edit("allow.model_families"));
    }
    if let Some(allowed) = &policy.features {
        let asked: Vec<&String> = match &study.data {
            Data::Table(table) => table.features.iter().map(|feature| &feature.column).collect(),
            Data::Records(_) => study.features.iter().map(|feature| &feature.name).collect(),
        };
        for asked in asked.into_iter().filter(|asked| !allowed.contains(asked)) {
            refuse("policy.features", asked.clone(), allowed.join(", "), edit("allow.features"));
        }
    }
    if let (Some(notes), false) = (study.notes(), policy.notes) {
        let asked = match notes {
            Notes::Lexicon(_) => "that the text of clinical notes is read here",
            Notes::Nlp(_) => "that what a program found in clinical notes is read",
        };
        refuse("policy.notes", asked.into(), "no notes".into(), edit("allow.notes"));
    }
    if let Some(allowed) = &policy.attributes {
        for attribute in study.attributes.iter().filter(|attribute| !allowed.contains(&attribute.name)) {
            let asked = attribute.name.clone();
            refuse("policy.attributes", asked, allowed.join(", "), edit("allow.attributes"));
        }
    }
    for list in study.governance.opt_outs.iter().filter(|list| !policy.has_opt_out(list)) {
        let known: Vec<&str> = policy.opt_outs.iter().map(|list| list.name.as_str()).collect();
        refuse(
            "policy.opt_out",
            format!("that people on the list {list} are left out"),
            format!("the lists {known:?}"),
            format!(
                "write [[opt_out]] in site-policy.toml with list = \"{list}\" and its path, or none = true"
            ),
        );
    }
    let today = now.day();
    if let Some(last) = policy.valid_until.filter(|last| today > *last) {
        let change = "have the hospital renew it: change valid_until in site-policy.toml".into();
        refuse("policy.valid_until", format!("a study on {today}"), format!("until {last}"), change);
    }
    if today > study.governance.valid_until {
        refuse(
            "study.valid_until",
            format!("a study on {today}"),
            format!("until {}", study.governance.valid_until),
            "ask the consortium for a new version".into(),
        );
    }
    for approval in &study.governance.approvals {
        if let Some(expires) = approval.expires.filter(|expires| today > *expires) {
            refuse(
                "study.governance_expired",
                format!("{} {}", approval.kind, approval.reference),
                format!("until {expires}"),
                "ask the consortium to renew it".into(),
            );
        }
    }

    if study.privacy.delta > caps.delta {
        refuse(
            "policy.delta",
            format!("{:e}", study.privacy.delta),
            format!("at most {:e}", caps.delta),
            edit("caps.delta"),
        );
    }
    let mut steps = 0_u64;
    for earmark in earmarks {
        let Event::PoissonGaussian { sampling_rate, noise_multiplier, count } = earmark.event else {
            continue;
        };
        steps = steps.saturating_add(count);
        if noise_multiplier < caps.noise_multiplier_min {
            refuse(
                "policy.noise_multiplier_min",
                format!("noise multiplier {noise_multiplier}"),
                format!("at least {}", caps.noise_multiplier_min),
                edit("caps.noise_multiplier_min"),
            );
        }
        if sampling_rate > caps.sampling_rate_max {
            refuse(
                "policy.sampling_rate_max",
                format!("sampling rate {sampling_rate}"),
                format!("at most {}", caps.sampling_rate_max),
                edit("caps.sampling_rate_max"),
            );
        }
    }
    if steps > caps.steps_max {
        refuse(
            "policy.steps_max",
            format!("{steps} steps, spare ones included"),
            format!("at most {}", caps.steps_max),
            edit("caps.steps_max"),
        );
    }
    // An event that cannot be priced is above every cap.
    let most = |exceeded: &dyn Fn(Role) -> Result<Option<f64>, InvalidEvent>| {
        let reached = Role::ALL.into_iter().filter_map(|role| exceeded(role).unwrap_or(Some(f64::INFINITY)));
        reached.reduce(f64::max)
    };
    if let Some(alone) = most(&|role| ledger.would_exceed_alone(role, caps, earmarks)) {
        refuse(
            "policy.epsilon_per_study",
            format!("epsilon {alone:.3} by {} at delta {:e}", Accountant::CHARGED, caps.delta),
            format!("at most {}", caps.epsilon_per_study),
            edit("caps.epsilon_per_study"),
        );
    }
    if let Some(total) = most(&|role| ledger.would_exceed(role, caps, &study.digest, earmarks)) {
        refuse(
            "policy.epsilon_total",
            format!("epsilon {total:.3} over all studies at delta {:e}, {BY_RDP}", caps.delta),
            format!("at most {}", caps.epsilon_total),
            edit("caps.epsilon_total"),
        );
    }
    if let Some(year) = most(&|role| ledger.would_exceed_year(role, caps, &study.digest, earmarks, now)) {
        refuse(
            "policy.epsilon_per_year",
            format!("epsilon {year:.3} over the year's studies at delta {:e}, {BY_RDP}", caps.delta),
            format!("at most {}", caps.epsilon_per_year.unwrap_or(f64::INFINITY)),
            edit("caps.epsilon_per_year"),
        );
    }
    found
}

/// Everything wrong with who takes part: too few, a stranger, a hospital under another key than
/// this site compared. Without this a coordinator could invent hospitals.
#[must_use]
pub fn check_participants(participants: &[Participant], policy: &Policy, own: &Own) -> Vec<Violation> {
    let mut found = Vec::new();
    if participants.len() < policy.sites_min {
        found.push(Violation {
            rule: "policy.sites_min",
            asked: format!("{} sites", participants.len()),
            allowed: format!("at least {}", policy.sites_min),
            change: "change require.sites_min in site-policy.toml, or wait for more sites".into(),
        });
    }
    if !participants.iter().any(|participant| participant.site == own.site) {
        found.push(Violation {
            rule: "study.participants",
            asked: "a start without this site".into(),
            allowed: "a start that lists it".into(),
            change: "approve the study before it starts".into(),
        });
    }
    for Participant { site, key } in participants {
        let expected = if *site == own.site { Some(&own.key) } else { policy.known_sites.get(site) };
        if expected != Some(key) {
            found.push(Violation {
                rule: "policy.known_sites",
                asked: format!("{site} with {key}"),
                allowed: expected.map_or_else(|| "no such site".into(), ToString::to_string),
                change: format!(
                    "compare the key with {site} itself, then put it under [known_sites] in site-policy.toml"
                ),
            });
        }
    }
    found
}
