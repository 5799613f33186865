//! What a roster decides in a study file, and why: nothing is changed without a word.

use super::{at, comment, set};
use crate::secagg::{Refusal, SecureParameters, recommended_threshold};
use std::fmt;
use toml_edit::{DocumentMut, Item};

const QUORUM: [&str; 3] = ["privacy", "training", "quorum"];
const COLLUDING: [&str; 2] = ["privacy", "colluding"];

/// A number that was looked at because of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its path in the file, as `privacy.training.quorum`.
    pub key: String,
    /// As the template had it; none where it had none.
    pub before: Option<String>,
    /// As it is now; the same where it was kept.
    pub after: String,
    /// Why, in words.
    pub why: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, before, after, why } = self;
        match before {
            Some(before) if before == after => write!(f, "{key} = {after}, as in the template: {why}"),
            Some(before) => write!(f, "{key} = {after} (the template had {before}): {why}"),
            None => write!(f, "{key} = {after} (the template had none): {why}"),
        }
    }
}

/// Who chose the numbers of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Its author: what may stay stays.
    Authors,
    /// This project, for another number of sites.
    Ours,
}

/// The threshold and `colluding` for so many sites. What no secure sum has so many sites for, and what is
/// wrong in a file of as many sites as the roster, is left for [`parse()`](super::parse()) to report.
pub(super) fn choose_threshold(
    document: &mut DocumentMut,
    sites: usize,
    own_sites: usize,
    whose: Whose,
) -> Vec<Choice> {
    let Ok((quorum, colluding)) = recommended_threshold(sites) else { return Vec::new() };
    let small =
        |path: &[&str]| at(document, path).and_then(Item::as_integer).and_then(|n| u8::try_from(n).ok());
    let given = small(&QUORUM).zip(small(&COLLUDING));
    let refused = given.and_then(|(quorum, colluding)| legal(sites, quorum, colluding).err());
    if let (Some((own_quorum, own_colluding)), None) = (given, &refused)
        && (whose == Whose::Authors || sites == own_sites)
    {
        let mut why = needs(sites, own_quorum, own_colluding);
        if (own_quorum, own_colluding) != (quorum, colluding) {
            why += &format!("; recommended for {sites}: quorum = {quorum} and colluding = {colluding}");
        }
        return vec![choice(&QUORUM, Some(own_quorum.to_string()), own_quorum, why)];
    }
    if sites == own_sites {
        return Vec::new();
    }
    let shown = |path: &[&str]| at(document, path).and_then(Item::as_integer).map(|n| n.to_string());
    let before = (shown(&QUORUM), shown(&COLLUDING));
    let mut why = format!("recommended for {sites} sites: {}", needs(sites, quorum, colluding));
    if let (Whose::Authors, Some(refusal)) = (whose, refused) {
        why += &format!("; the template's is none that {sites} sites may have ({refusal})");
    }
    let mut choices = Vec::new();
    if before.0.as_deref() != Some(&*quorum.to_string()) {
        set(document, &QUORUM, i64::from(quorum).into());
        comment(document, &QUORUM, &format!("{quorum} as recommended for {sites} sites"));
    }
    choices.push(choice(&QUORUM, before.0, quorum, why));
    if before.1.as_deref() != Some(&*colluding.to_string()) {
        set(document, &COLLUDING, i64::from(colluding).into());
        comment(document, &COLLUDING, &format!("{colluding} as recommended for {sites} sites"));
        let why = format!("one in twenty of {sites} sites, at least one");
        choices.push(choice(&COLLUDING, before.1, colluding, why));
    }
    choices
}

fn choice(path: &[&str], before: Option<String>, after: u8, why: String) -> Choice {
    Choice { key: path.join("."), before, after: after.to_string(), why }
}

/// Whether the secure sum is proven for these; the noise is looked at elsewhere.
fn legal(sites: usize, quorum: u8, colluding: u8) -> Result<(), Refusal> {
    SecureParameters::decide(sites, quorum, colluding, 1 << 18, 1, 1 << 18).map(|_| ())
}

fn needs(sites: usize, quorum: u8, colluding: u8) -> String {
    let spare = match sites - usize::from(quorum) {
        0 => "all must stay to the end of each sum".to_owned(),
        1 => "1 may drop out of a sum".to_owned(),
        spare => format!("{spare} may drop out of a sum"),
    };
    format!("{spare}, and {colluding} may side with the coordinator")
}

#[cfg(test)]
mod tests {
    use super::super::{Filled, fill, fill_shipped};
    use crate::key::SecretKey;
    use crate::study::{Mode, RosterSite, parse};

    const SHIPPED: &str = include_str!("../../../../docs/studies/synthetic-selfharm-distributed.toml");

    fn roster(sites: u8) -> Vec<RosterSite> {
        let site = |i: u8| RosterSite {
            name: format!("site-{i}").parse().expect("a name"),
            key: SecretKey::from_seed(&[i; 32]).public(),
            people_public: 1000 + u64::from(i),
            weight: 65_536,
        };
        (1..=sites).map(site).collect()
    }

    fn threshold(text: &str) -> (u32, u8) {
        let privacy = parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}")).privacy;
        let Mode::Distributed { colluding } = privacy.mode else { panic!("distributed") };
        (privacy.training.quorum, colluding)
    }

    #[test]
    fn a_legal_quorum_is_kept_and_all_is_told() {
        fn check(filled: Filled, expected: (u32, u8), told: &[&str], comment: Option<&str>) {
            assert_eq!(threshold(&filled.text), expected);
            let said: Vec<String> = filled.choices.iter().map(ToString::to_string).collect();
            for part in told {
                assert!(said.iter().any(|line| line.contains(part)), "{said:?} has no {part:?}");
            }
            let line = filled.text.lines().find(|line| line.starts_with("quorum ")).expect("a quorum");
            assert!(line.contains("# t: the fewest hospitals"), "the comment stays: {line}");
            assert_eq!(line.split_once("; ").map(|(_, added)| added), comment, "{line}");
        }
        let shipped = |sites| fill_shipped(SHIPPED, &roster(sites), None).expect("a valid template");
        let own = |edits: &[(&str, &str)], sites| {
            let text = edits.iter().fold(SHIPPED.to_owned(), |text, (from, to)| {
                assert!(text.contains(from), "{from}");
                text.replacen(from, to, 1)
            });
            fill(&text, &roster(sites), None).unwrap_or_else(|mistakes| panic!("{mistakes}"))
        };
        const QUORUM: &str = "quorum           = 5";
        // The project's own number is for six hospitals.
        check(
            shipped(8),
            (7, 1),
            &[
                "privacy.training.quorum = 7 (the template had 5): recommended for 8 sites: 1 may drop out of a sum, and 1",
            ],
            Some("7 as recommended for 8 sites"),
        );
        check(shipped(6), (5, 1), &["privacy.training.quorum = 5, as in the template: 1 may drop out"], None);
        check(
            shipped(4),
            (4, 1),
            &["all must stay to the end of each sum"],
            Some("4 as recommended for 4 sites"),
        );
        // An author's is kept wherever it is legal.
        check(
            own(&[], 8),
            (5, 1),
            &["as in the template: 3 may drop out", "recommended for 8: quorum = 7"],
            None,
        );
        check(
            own(&[(QUORUM, "quorum           = 6")], 6),
            (6, 1),
            &["= 6, as in the template: all must stay"],
            None,
        );
        // Where it is not, that is said with the reason.
        check(
            own(&[], 20),
            (18, 1),
            &["= 18 (the template had 5): recommended for 20 sites", "none that 20 sites may have"],
            Some("18 as recommended for 20 sites"),
        );
        check(
            own(&[("colluding         = 1", "colluding         = 4")], 8),
            (7, 1),
            &["quorum = 7 (the template had 5)", "privacy.colluding = 1 (the template had 4)"],
            Some("7 as recommended for 8 sites"),
        );
        // In a file of as many hospitals a quorum that they may not have is its author's mistake.
        let wrong = SHIPPED.replacen(QUORUM, "quorum           = 2", 1);
        let mistakes = fill(&wrong, &roster(6), None).expect_err("two of six").to_string();
        assert!(mistakes.contains("for 6 sites write quorum = 5"), "{mistakes}");
    }
}
