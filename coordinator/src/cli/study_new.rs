//! `study new`: a study file to start from, over the sites that are enrolled.

use super::HomeArgs;
use super::output::Output;
use super::template::Template;
use crate::home::Home;
use crate::operator::CommandError;
use consilium_common::study::limits::{EPSILON_MAX, EPSILON_MIN};
use consilium_common::study::{self, RosterSite};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) async fn new(
    path: &Path,
    template: Result<Template, CommandError>,
    epsilon: Option<f64>,
    people: &[String],
    home: &HomeArgs,
    out: Output,
) -> Result<(), CommandError> {
    let enrolled = super::admin::sites(&Home::open(&home.home)?).await?;
    let sites: Vec<&str> =
        enrolled.iter().filter(|site| site.state == "enrolled").map(|site| site.name.as_str()).collect();
    // Whoever runs this mends the command line once.
    let mut wrong = Vec::new();
    if path.exists() {
        wrong.push(format!("--out {}: it exists already; give a new name", path.display()));
    }
    let template = template.map_err(|error| wrong.push(error.to_string())).ok();
    let counts = counted(people, &sites, &mut wrong);
    wrong.iter_mut().for_each(|wrong| *wrong = home.in_commands(wrong));
    let Some(template) = template.filter(|_| wrong.is_empty()) else {
        return Err(CommandError::Input(wrong.join("\n")));
    };
    let mut roster = Vec::new();
    for site in enrolled.iter().filter(|site| site.state == "enrolled") {
        roster.push(RosterSite {
            name: site.name.parse().map_err(CommandError::fault)?,
            key: site.ledger_key.parse().map_err(CommandError::fault)?,
            people_public: counts[site.name.as_str()],
            weight: 1 << 16,
        });
    }
    weigh_by_people(&mut roster);
    let filled = template.fill(&roster, epsilon)?;
    let cannot = |error| CommandError::input(format!("{}: {error}", path.display()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(cannot)?;
    std::io::Write::write_all(&mut file, filled.text.as_bytes()).map_err(cannot)?;
    let name = path.display().to_string();
    let choices: Vec<_> = filled
        .choices
        .iter()
        .map(|choice| json!({"key": choice.key, "before": choice.before, "after": choice.after, "why": choice.why}))
        .collect();
    out.print(&json!({"file": name, "sites": roster.len(), "choices": choices}), || {
        let chosen: String = filled.choices.iter().map(|choice| format!("  {choice}\n")).collect();
        let chosen = if chosen.is_empty() { chosen } else { format!("chosen for this roster:\n{chosen}") };
        format!("{name} lists {} sites.\n{chosen}Edit it, then: coordinator study check {name}", roster.len())
    })
}

/// Each enrolled site's published people from `SITE=COUNT`; what is wrong or missing is noted.
fn counted<'a>(people: &[String], sites: &[&'a str], wrong: &mut Vec<String>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    let mut named = Vec::new();
    for text in people {
        let Some((name, count)) = text.split_once('=') else {
            wrong.push(format!("--people {text}: expected SITE=COUNT, as st-elsewhere=8000"));
            continue;
        };
        named.push(name);
        match (sites.iter().find(|site| **site == name), count.parse::<u64>()) {
            (None, _) => wrong.push(format!("--people {text}: no site {name} is enrolled")),
            (Some(_), Err(_) | Ok(0)) => {
                wrong.push(format!("--people {text}: expected a whole number above 0 after ="));
            }
            (Some(site), Ok(count)) => {
                if counts.insert(*site, count).is_some() {
                    wrong.push(format!("--people {text}: {name} is there twice"));
                }
            }
        }
    }
    let missing: Vec<String> = sites
        .iter()
        .filter(|site| !named.contains(site))
        .map(|site| format!("--people {site}=COUNT"))
        .collect();
    if !missing.is_empty() {
        wrong.push(format!(
            "missing: {} (a study lists the number of people that each enrolled site publishes)",
            missing.join(" ")
        ));
    }
    if sites.len() < study::limits::SITES_MIN {
        wrong.push(format!(
            "{} sites are enrolled, a study needs at least {}: `coordinator site invite NAME --out FILE`",
            sites.len(),
            study::limits::SITES_MIN
        ));
    }
    counts
}

/// An ε that a study may have.
pub(crate) fn epsilon(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(epsilon) if (EPSILON_MIN..=EPSILON_MAX).contains(&epsilon) => Ok(epsilon),
        _ => Err(format!("expected a number from {EPSILON_MIN} to {EPSILON_MAX}")),
    }
}

/// Public weights in proportion to the published people, 1.0 for the mean site.
pub(crate) fn weigh_by_people(roster: &mut [RosterSite]) {
    let total: u64 = roster.iter().map(|site| site.people_public).sum();
    let sites = roster.len() as u64;
    for site in roster {
        let weight = (site.people_public.saturating_mul(sites) << 16).checked_div(total).unwrap_or(1 << 16);
        site.weight = u32::try_from(weight.max(1)).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_said_at_once() {
        fn check(people: &[&str], sites: &[&str], expected: &[&str]) {
            let mut wrong = Vec::new();
            let people: Vec<String> = people.iter().map(|text| (*text).to_owned()).collect();
            let counts = counted(&people, sites, &mut wrong);
            assert_eq!(wrong.len(), expected.len(), "{wrong:?}");
            for (said, expected) in wrong.iter().zip(expected) {
                assert!(said.contains(expected), "{said:?} has no {expected:?}");
            }
            assert!(!wrong.is_empty() || counts.len() == sites.len());
        }
        check(&["a=10", "b=20"], &["a", "b"], &[]);
        check(
            &["a=ten", "c=5", "x"],
            &["a", "b"],
            &["--people a=ten", "no site c", "--people x: expected SITE=COUNT", "missing: --people b=COUNT"],
        );
        check(&["a=1", "a=2"], &["a", "b"], &["a is there twice", "missing: --people b=COUNT"]);
        check(&["a=0"], &["a"], &["above 0", "at least 2"]);
    }

    #[test]
    fn an_epsilon_has_bounds() {
        for text in ["0", "-1", "nan", "inf", "1e9", "three"] {
            assert!(epsilon(text).expect_err(text).contains("0.001 to 100"), "{text}");
        }
        assert_eq!(epsilon("3"), Ok(3.0));
    }
}
