//! Fills a study template: who takes part, and how much privacy it may cost. Comments and layout stay.

mod choice;
mod mode;

pub use choice::Choice;
pub use mode::{ModeName, in_mode};

use super::limits::{DELTA_MAX, DELTA_PEOPLE_EXPONENT, SITES_MIN};
use super::{Mistakes, RosterSite, parse};
use crate::privacy::accountant::Accountant;
use crate::privacy::calibrate;
use choice::{Whose, choose_threshold};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, Value, value};

/// Where both accounts pay for everything and the template does not say otherwise, training alone gets
/// this part of ε; evaluation gets what the joint calibration leaves, which is more than the rest,
/// since losses add up more slowly than ε.
const TRAINING_PART_OF_BOTH: f64 = 0.8;

/// A filled template.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// A study file that [`parse()`] reads.
    pub text: String,
    /// What the roster decided where the template may have said otherwise, for people to read.
    pub choices: Vec<Choice>,
}

/// A study that somebody wrote, with `roster` as its `[[site]]` tables, in `distributed` mode with equal weights. A
/// `quorum` (with its `colluding`) that a secure sum of so many sites may have is kept; where the file has another number of sites
/// and a `quorum` that they may not have, the recommended one takes its place. In `local` mode `quorum` is lowered to the number of
/// sites if it is above; so is `min_sites`, and `delta` to people^-1.1 of the largest site, rounded down to
/// one digit, if it is above that. With `epsilon`, a person's total cap becomes that ε, and
/// `noise_multiplier` the smallest that keeps it by the template's `accountant`: with the site-hash split each account may spend
/// all of it; with a split by column, where everybody pays for everything, training keeps the
/// template's own proportion of `epsilon.training_people` to `person_total_max` (0.8 where that is
/// not below 1), and evaluation gets what is then left.
///
/// # Errors
/// The mistakes of the filled study.
pub fn fill(template: &str, roster: &[RosterSite], epsilon: Option<f64>) -> Result<Filled, Mistakes> {
    fill_by(template, roster, epsilon, Whose::Authors)
}

/// As [`fill`], of a template that ships with the project: nobody chose its `quorum`, so that a roster of another size gets
/// the recommended one.
///
/// # Errors
/// As [`fill`].
pub fn fill_shipped(template: &str, roster: &[RosterSite], epsilon: Option<f64>) -> Result<Filled, Mistakes> {
    fill_by(template, roster, epsilon, Whose::Ours)
}

fn fill_by(
    template: &str,
    roster: &[RosterSite],
    epsilon: Option<f64>,
    whose: Whose,
) -> Result<Filled, Mistakes> {
    let mut document: DocumentMut = match template.parse() {
        Ok(document) => document,
        Err(error) => {
            // The tolerant parser tells it better, and tells more.
            parse(template.as_bytes())?;
            let found = error.to_string();
            return Err(Mistakes::one(1, "", "TOML", found, "correct the syntax"));
        }
    };
    let own_sites = document.get("site").and_then(Item::as_array_of_tables).map_or(0, ArrayOfTables::len);
    let distributed = at(&document, &["privacy", "mode"]).and_then(Item::as_str) == Some("distributed");
    let mut choices = Vec::new();
    if distributed {
        let alike: Vec<_> =
            roster.iter().map(|site| RosterSite { weight: 1 << 16, ..site.clone() }).collect();
        set_sites(&mut document, &alike);
        choices.extend(choose_threshold(&mut document, roster.len(), own_sites, whose));
    } else {
        set_sites(&mut document, roster);
        choices.extend(lower(&mut document, &["privacy", "training", "quorum"], roster.len()));
    }
    choices.extend(lower(&mut document, &["disclosure", "min_sites"], roster.len()));
    choices.extend(lower_delta(&mut document, roster));
    if let Some(epsilon) = epsilon {
        set_epsilon(&mut document, epsilon);
    }
    let text = document.to_string();
    parse(text.as_bytes())?;
    Ok(Filled { text, choices })
}

fn set_sites(document: &mut DocumentMut, roster: &[RosterSite]) {
    let first = document.get("site").and_then(Item::as_array_of_tables).and_then(|sites| sites.get(0));
    let (decor, position) = first.map_or((None, None), |site| (Some(site.decor().clone()), site.position()));
    let mut sites = ArrayOfTables::new();
    for (i, site) in roster.iter().enumerate() {
        let mut table = Table::new();
        table.insert("name", value(site.name.as_str()));
        table.insert("key", value(site.key.to_string()));
        table.insert("people_public", value(i64::try_from(site.people_public).unwrap_or(i64::MAX)));
        table.insert("weight", value(f64::from(site.weight) / 65_536.0));
        table.set_position(position);
        match (&decor, i) {
            // What the author wrote above the roster stays above it.
            (Some(decor), 0) => *table.decor_mut() = decor.clone(),
            _ => table.decor_mut().set_prefix(""),
        }
        sites.push(table);
    }
    document.insert("site", Item::ArrayOfTables(sites));
}

fn lower(document: &mut DocumentMut, path: &[&str], sites: usize) -> Option<Choice> {
    let most = i64::try_from(sites.max(SITES_MIN)).unwrap_or(i64::MAX);
    let asked = at(document, path).and_then(Item::as_integer).filter(|asked| *asked > most)?;
    set(document, path, most.into());
    comment(document, path, &format!("lowered to {most}: there are {sites} sites"));
    Some(Choice {
        key: path.join("."),
        before: Some(asked.to_string()),
        after: most.to_string(),
        why: format!("the roster has {sites} sites"),
    })
}

/// What no site's size explains (above [`DELTA_MAX`]) is left for [`parse()`] to report.
fn lower_delta(document: &mut DocumentMut, roster: &[RosterSite]) -> Option<Choice> {
    const DELTA: [&str; 2] = ["privacy", "delta"];
    let largest = roster.iter().max_by_key(|site| site.people_public)?;
    let people = largest.people_public;
    #[expect(clippy::cast_precision_loss, reason = "parse refuses what is above its limits")]
    let most = (people as f64).powf(-DELTA_PEOPLE_EXPONENT);
    let before = number(document, &DELTA).filter(|delta| *delta > most && *delta <= DELTA_MAX)?;
    let after = one_digit_down(most);
    set(document, &DELTA, after.into());
    Some(Choice {
        key: DELTA.join("."),
        before: Some(format!("{before:e}")),
        after: format!("{after:e}"),
        why: format!("at most people^-1.1 of the largest site, {} with {people} people", largest.name),
    })
}

/// A positive number's first digit, the rest dropped.
fn one_digit_down(number: f64) -> f64 {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').expect("the form of a number");
    format!("{}e{exponent}", &digits[..1]).parse().expect("the form of a number")
}

/// What is absent or of another type is left for [`parse()`] to report.
fn set_epsilon(document: &mut DocumentMut, epsilon: f64) {
    let by_hash = at(document, &["split", "internal", "type"]).and_then(Item::as_str) == Some("site-hash");
    let training = if by_hash { epsilon } else { (training_part(document) * epsilon * 1e6).round() / 1e6 };
    set(document, &["privacy", "person_total_max"], epsilon.into());
    set(document, &["privacy", "epsilon", "training_people"], training.into());
    set(document, &["privacy", "epsilon", "evaluation_people"], epsilon.into());
    if let Some(noise) = noise_multiplier(document, training) {
        set(document, &["privacy", "training", "noise_multiplier"], noise.into());
    }
}

/// The smallest noise multiplier with four decimals that training may have; none when the template
/// does not say what training is, or no noise is enough.
fn noise_multiplier(document: &DocumentMut, epsilon: f64) -> Option<f64> {
    let whole =
        |key| at(document, &["privacy", "training", key])?.as_integer().and_then(|n| u64::try_from(n).ok());
    let delta = number(document, &["privacy", "delta"])?;
    let sampling_rate = number(document, &["privacy", "training", "sampling_rate"])?;
    let rounds = whole("rounds")?.checked_add(whole("spare_rounds")?)?;
    let count = rounds.checked_mul(whole("local_steps")?)?;
    let accountant = at(document, &["privacy", "accountant"]).and_then(Item::as_str);
    let accountant = accountant.and_then(|name| name.parse().ok()).unwrap_or(Accountant::CHARGED);
    calibrate::noise_multiplier_by(accountant, epsilon, delta, sampling_rate, count).ok()
}

/// Training's part of ε in the template, in thousandths.
fn training_part(document: &DocumentMut) -> f64 {
    let training = number(document, &["privacy", "epsilon", "training_people"]);
    let total = number(document, &["privacy", "person_total_max"]);
    let part = training.zip(total).map(|(training, total)| (training / total * 1000.0).round() / 1000.0);
    part.filter(|part| *part > 0.0 && *part < 1.0).unwrap_or(TRAINING_PART_OF_BOTH)
}

fn number(document: &DocumentMut, path: &[&str]) -> Option<f64> {
    let item = at(document, path)?;
    #[expect(clippy::cast_precision_loss, reason = "parse refuses what is above its limits")]
    item.as_float().or_else(|| item.as_integer().map(|number| number as f64))
}

fn at<'a>(document: &'a DocumentMut, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(document.as_item(), |item, key| item.get(key))
}

/// Replaces a value, its comment stays; does nothing where the table it belongs to is missing.
fn set(document: &mut DocumentMut, path: &[&str], mut new: Value) {
    let (key, tables) = path.split_last().expect("a path has a key");
    let mut table: Option<&mut dyn TableLike> = Some(document.as_table_mut());
    for name in tables {
        table = table.and_then(|table| table.get_mut(name)).and_then(Item::as_table_like_mut);
    }
    let Some(table) = table else { return };
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        None => {
            table.insert(key, Item::Value(new));
        }
    }
}

/// Adds to the comment behind a value, or writes one.
fn comment(document: &mut DocumentMut, path: &[&str], text: &str) {
    let mut item = Some(document.as_item_mut());
    for key in path {
        item = item.and_then(|item| item.get_mut(key));
    }
    let Some(value) = item.and_then(Item::as_value_mut) else { return };
    let before = value.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default().trim_end();
    let after = if before.is_empty() { format!("  # {text}") } else { format!("{before}; {text}") };
    value.decor_mut().set_suffix(after);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;
    use crate::privacy::accountant;
    use crate::study::parse::tests::{COLUMN_SPLIT, EXAMPLE, parsed};

    fn roster(sites: u8) -> Vec<RosterSite> {
        (1..=sites)
            .map(|i| RosterSite {
                name: format!("site-{i}").parse().expect("a name"),
                key: SecretKey::from_seed(&[i; 32]).public(),
                people_public: 100 * u64::from(i),
                weight: 65_536 / u32::from(i),
            })
            .collect()
    }

    #[test]
    fn sites_are_replaced_and_comments_stay() {
        let text = fill(EXAMPLE, &roster(5), None).expect("a valid template").text;
        assert_eq!(parsed(&text).sites, roster(5));
        let comments = |text: &str| {
            text.lines()
                .filter(|line| !line.starts_with("people_public") && !line.starts_with("weight"))
                .filter_map(|line| line.split_once('#').map(|(_, comment)| comment.to_owned()))
                .collect::<Vec<_>>()
        };
        assert_eq!(comments(&text), comments(EXAMPLE));
        // Everything but the roster is as it was.
        let rest = |study: super::super::Study| super::super::Study {
            sites: Vec::new(),
            digest: crate::id::Digest::of(b""),
            ..study
        };
        assert_eq!(rest(parsed(&text)), rest(parsed(EXAMPLE)));
    }

    #[test]
    fn a_template_needs_no_site() {
        let start = EXAMPLE.find("[[site]]").expect("has sites");
        let end = EXAMPLE.find("[intended_use]").expect("has an intended use");
        let bare = format!("{}{}", &EXAMPLE[..start], &EXAMPLE[end..]);
        let text = fill(&bare, &roster(3), None).expect("a valid template").text;
        assert_eq!(parsed(&text).sites, roster(3));
    }

    #[test]
    fn fewer_sites_lower_the_quorum() {
        let template = EXAMPLE.replace("quorum           = 2 ", "quorum           = 3 ");
        let filled = fill(&template, &roster(2), None).expect("a valid template");
        let study = parsed(&filled.text);
        assert_eq!((study.privacy.training.quorum, study.disclosure.min_sites), (2, 2));
        assert!(
            filled
                .text
                .contains("# fewest sites whose updates make a round; lowered to 2: there are 2 sites\n"),
            "{}",
            filled.text
        );
        let said: Vec<String> = filled.choices.iter().map(ToString::to_string).collect();
        assert_eq!(said[0], "privacy.training.quorum = 2 (the template had 3): the roster has 2 sites");
        assert_eq!(said.len(), 1, "{said:?}");
        // What stays is not talked about.
        assert_eq!(fill(EXAMPLE, &roster(3), None).expect("a valid template").choices, []);
    }

    #[test]
    fn epsilon_is_spent_and_not_passed() {
        fn check(template: &str, epsilon: f64, training: f64) {
            let study = parsed(&fill(template, &roster(3), Some(epsilon)).expect("a valid template").text);
            let privacy = &study.privacy;
            assert_eq!(privacy.person_total_max, epsilon);
            let event = crate::study::earmarks::training_event(&privacy.training);
            let spent = accountant::epsilon_by(privacy.accountant, &[event], privacy.delta).expect("valid");
            assert!(spent <= training && spent > 0.999 * training, "{spent} for {training}");
            let steps = privacy.training.noise_multiplier * 1e4;
            assert!((steps - steps.round()).abs() < 1e-6, "four decimals");
        }
        for epsilon in [0.5, 1.0, 3.0, 8.0] {
            check(EXAMPLE, epsilon, epsilon);
            check(&EXAMPLE.replace("= \"pld\"", "= \"rdp\""), epsilon, epsilon);
            check(&COLUMN_SPLIT, epsilon, 0.8 * epsilon);
            // Without a proportion of its own, and with another one.
            check(
                &COLUMN_SPLIT.replace("training_people = 2.4", "training_people = 3.0"),
                epsilon,
                0.8 * epsilon,
            );
            check(
                &COLUMN_SPLIT.replace("training_people = 2.4", "training_people = 1.5"),
                epsilon,
                0.5 * epsilon,
            );
        }
    }

    #[test]
    fn delta_fits_the_largest_site() {
        fn check(people: u64, expected: f64) {
            let mut roster = roster(3);
            roster[1].people_public = people;
            let Filled { text, choices } = fill(EXAMPLE, &roster, Some(3.0)).expect("a valid template");
            let told = choices.iter().any(|choice| choice.key == "privacy.delta");
            assert_eq!(told, expected != 1e-5, "{choices:?}");
            let study = parsed(&text);
            assert_eq!(study.privacy.delta, expected, "{people}");
            assert!(text.contains("# at most people^-1.1 at every site"), "the comment stays");
            // The noise is calibrated to that delta.
            let event = crate::study::earmarks::training_event(&study.privacy.training);
            let spent = accountant::epsilon(&[event], expected).expect("valid");
            assert!(spent <= 3.0 && spent > 2.99, "{spent}");
        }
        check(1000, 1e-5);
        check(35_000, 1e-5);
        check(40_000, 8e-6);
        check(120_000, 2e-6);
        assert_eq!(one_digit_down(9.999_999e-6), 9e-6);
        assert_eq!(one_digit_down(1e-6), 1e-6);
        let wrong = EXAMPLE.replace("= 1e-5", "= 1e-4");
        let mistakes = fill(&wrong, &roster(3), None).expect_err("too large for anybody").to_string();
        assert!(mistakes.contains("privacy.delta: expected a number above 0"), "{mistakes}");
    }

    #[test]
    fn what_cannot_be_filled_is_a_mistake() {
        fn check(template: &str, sites: u8, epsilon: Option<f64>, expected: &str) {
            let mistakes = fill(template, &roster(sites), epsilon).expect_err("a mistake").to_string();
            assert!(mistakes.contains(expected), "{mistakes}");
        }
        check(EXAMPLE, 1, None, "site: expected 2 to 200");
        check(EXAMPLE, 3, Some(-1.0), "privacy.person_total_max: expected a number");
        check(EXAMPLE, 3, Some(f64::NAN), "privacy.person_total_max: expected a number");
        check(
            &EXAMPLE.replace("sampling_rate", "q"),
            3,
            Some(1.0),
            "privacy.training.sampling_rate: expected",
        );
        check("a = = 1", 3, None, "line 1: expected TOML");
        check("", 3, Some(1.0), "privacy: expected a table");
    }
}
