//! `study new`: a study file to start from, over the sites that are enrolled.

use super::HomeArgs;
use super::output::Output;
use crate::home::Home;
use crate::operator::CommandError;
use clap::ValueEnum;
use consilium_common::study::limits::{EPSILON_MAX, EPSILON_MIN};
use consilium_common::study::{self, RosterSite};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the hospitals hold.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Source {
    /// A plain table, one row per person.
    Table,
    /// OMOP records.
    Omop,
}

impl Source {
    /// The commented template that `study new` writes.
    const fn template(self) -> &'static str {
        match self {
            Self::Table => include_str!("../../../docs/studies/synthetic-selfharm.toml"),
            Self::Omop => include_str!("../../../docs/studies/omop-selfharm.toml"),
        }
    }
}

/// What a study starts from.
pub(super) enum Template {
    BuiltIn(Source),
    File(PathBuf),
}

pub(super) async fn new(
    path: &Path,
    template: Template,
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
    let template = match template {
        Template::BuiltIn(source) => source.template().to_owned(),
        Template::File(from) => match std::fs::read(&from).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => {
                wrong.push(format!("--from {}: not UTF-8", from.display()));
                String::new()
            }
            Err(error) => {
                wrong.push(format!("--from {}: {error}", from.display()));
                String::new()
            }
        },
    };
    let counts = counted(people, &sites, &mut wrong);
    if !wrong.is_empty() {
        return Err(CommandError::Input(wrong.join("\n")));
    }
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
    let text = fill(&template, &roster, epsilon)?;
    let cannot = |error| CommandError::input(format!("{}: {error}", path.display()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(cannot)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(cannot)?;
    let name = path.display().to_string();
    out.print(&json!({"file": name, "sites": roster.len()}), || {
        format!("{name} lists {} sites. Edit it, then: coordinator study check {name}", roster.len())
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
            "{} sites are enrolled, a study needs at least {}: coordinator site invite NAME",
            sites.len(),
            study::limits::SITES_MIN
        ));
    }
    counts
}

/// [`study::fill`], with an ε that does not fit named as the option that it came from.
///
/// # Errors
/// The filled study is not valid.
pub(crate) fn fill(
    template: &str,
    roster: &[RosterSite],
    epsilon: Option<f64>,
) -> Result<String, CommandError> {
    study::fill(template, roster, epsilon).map_err(|mistakes| match epsilon {
        // The template is sound without it: the option alone is at fault, not the file's line.
        Some(epsilon) if study::fill(template, roster, None).is_ok() => {
            CommandError::input(format!("--epsilon {epsilon}: no valid study has it:\n{mistakes}"))
        }
        _ => CommandError::input(format!("the study would not be valid:\n{mistakes}")),
    })
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
    fn an_epsilon_is_the_options_fault() {
        for text in ["0", "-1", "nan", "inf", "1e9", "three"] {
            assert!(epsilon(text).expect_err(text).contains("0.001 to 100"), "{text}");
        }
        assert_eq!(epsilon("3"), Ok(3.0));
        let site = |name: &str, seed| RosterSite {
            name: name.parse().expect("a name"),
            key: consilium_common::key::SecretKey::from_seed(&[seed; 32]).public(),
            people_public: 500,
            weight: 1 << 16,
        };
        let roster = [site("a", 1), site("b", 2), site("c", 3)];
        fill(Source::Omop.template(), &roster, Some(3.0)).expect("valid");
        fill(Source::Table.template(), &roster, Some(3.0)).expect("valid");
        let said = fill(Source::Table.template(), &roster, Some(1e-3))
            .expect_err("more noise than a study may have");
        assert!(said.to_string().starts_with("--epsilon 0.001: "), "{said}");
        let said = fill("schema = 3", &roster, Some(3.0)).expect_err("no study").to_string();
        assert!(said.starts_with("the study would not be valid"), "{said}");
    }
}
