//! A study file for the other mode: what the mode decides is changed, and everything else stays.

use super::{Choice, at, comment, noise_multiplier, number, set};
use crate::secagg::recommended_threshold;
use toml_edit::{ArrayOfTables, DocumentMut, Item, TableLike, Value};

const MODE: [&str; 2] = ["privacy", "mode"];
const COLLUDING: [&str; 2] = ["privacy", "colluding"];
const QUORUM: [&str; 3] = ["privacy", "training", "quorum"];
const ROUNDS: [&str; 3] = ["privacy", "training", "rounds"];
const SPARE_ROUNDS: [&str; 3] = ["privacy", "training", "spare_rounds"];
const LOCAL_STEPS: [&str; 3] = ["privacy", "training", "local_steps"];
const PROXIMAL: [&str; 3] = ["privacy", "training", "proximal"];
const NOISE: [&str; 3] = ["privacy", "training", "noise_multiplier"];

/// Whose noise it is, without the numbers that go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeName {
    /// [`Mode::Local`](crate::study::Mode::Local).
    Local,
    /// [`Mode::Distributed`](crate::study::Mode::Distributed).
    Distributed,
}

impl ModeName {
    /// As study files write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Distributed => "distributed",
        }
    }
}

/// A study file in `mode`, and what had to change for it; the same text where it says that mode already, or none, or is no
/// TOML (which [`fill`](super::fill) reports).
///
/// To `distributed`: a round of several local steps becomes as many rounds of one, `proximal` 0, and the noise the smallest
/// with which all of them cost no more than `epsilon.training_people`; `colluding` and `quorum` are those recommended
/// for the sites of the file. To `local`: `colluding` goes; the steps and their noise are priced alike in both modes.
#[must_use]
pub fn in_mode(template: &str, mode: ModeName) -> (String, Vec<Choice>) {
    let Ok(mut document) = template.parse::<DocumentMut>() else { return (template.to_owned(), Vec::new()) };
    let known = [ModeName::Local, ModeName::Distributed].into_iter();
    let before = at(&document, &MODE).and_then(Item::as_str);
    let Some(before) = known.into_iter().find(|known| Some(known.as_str()) == before && *known != mode)
    else {
        return (template.to_owned(), Vec::new());
    };
    let mut changed = Changed { document: &mut document, choices: Vec::new() };
    changed.set(&MODE, mode.as_str().into(), "another mode was asked for".into());
    match mode {
        ModeName::Local => changed.make_local(),
        ModeName::Distributed => changed.make_distributed(),
    }
    let choices = changed.choices;
    comment(&mut document, &MODE, &format!("{} in the file that this was made from", before.as_str()));
    (document.to_string(), choices)
}

struct Changed<'a> {
    document: &'a mut DocumentMut,
    choices: Vec<Choice>,
}

impl Changed<'_> {
    fn set(&mut self, path: &[&str], new: Value, why: String) {
        let shown = |item: &Item| item.as_value().map(|value| value.clone().decorated("", "").to_string());
        let before = at(self.document, path).and_then(shown);
        let after = new.clone().decorated("", "").to_string();
        if before.as_ref() != Some(&after) {
            set(self.document, path, new);
            self.choices.push(Choice { key: path.join("."), before, after, why });
        }
    }

    fn make_local(&mut self) {
        let privacy = self.document.get_mut("privacy").and_then(Item::as_table_like_mut);
        if let Some(colluding) = privacy.and_then(|privacy: &mut dyn TableLike| privacy.remove("colluding")) {
            let before = colluding.as_integer().map(|number| number.to_string());
            let why = "each site's own noise is enough against all others".to_owned();
            self.choices.push(Choice { key: COLLUDING.join("."), before, after: "nothing".into(), why });
        }
    }

    fn make_distributed(&mut self) {
        let whole = |document: &DocumentMut, path| at(document, path).and_then(Item::as_integer);
        let steps = whole(self.document, &LOCAL_STEPS).unwrap_or(1).max(1);
        if steps > 1 {
            for path in [&ROUNDS, &SPARE_ROUNDS] {
                if let Some(rounds) = whole(self.document, path) {
                    let why = format!("a round of {steps} local steps becomes {steps} rounds of one");
                    self.set(path, rounds.saturating_mul(steps).into(), why);
                }
            }
            self.set(&LOCAL_STEPS, 1.into(), "a secure sum is one step".into());
        }
        if number(self.document, &PROXIMAL).is_some_and(|proximal| proximal != 0.0) {
            self.set(
                &PROXIMAL,
                0.0.into(),
                "a secure sum is one step, which goes nowhere to be held back from".into(),
            );
        }
        let sites =
            self.document.get("site").and_then(Item::as_array_of_tables).map_or(0, ArrayOfTables::len);
        let (quorum, colluding) = recommended_threshold(sites).map_or((None, 1), |(q, c)| (Some(q), c));
        self.set(
            &COLLUDING,
            i64::from(colluding).into(),
            "how many sites may side with the coordinator".into(),
        );
        if let Some(quorum) = quorum {
            self.set(&QUORUM, i64::from(quorum).into(), format!("recommended for {sites} sites"));
        }
        let epsilon = number(self.document, &["privacy", "epsilon", "training_people"]);
        if let Some(noise) = epsilon.and_then(|epsilon| noise_multiplier(self.document, epsilon)) {
            self.set(&NOISE, noise.into(), "the smallest for epsilon.training_people".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fill;
    use super::*;
    use crate::key::SecretKey;
    use crate::privacy::accountant::epsilon_by;
    use crate::study::earmarks::training_event;
    use crate::study::parse::tests::{EXAMPLE, parsed};
    use crate::study::{Mode, RosterSite, Study, parse};

    const DISTRIBUTED: &str = include_str!("../../../../docs/studies/eicu-death.toml");

    fn said(choices: &[Choice]) -> Vec<String> {
        choices.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_mode_that_it_has_changes_nothing() {
        for (template, mode) in [
            (EXAMPLE, ModeName::Local),
            (DISTRIBUTED, ModeName::Distributed),
            ("a = = 1", ModeName::Local),
            ("[privacy]\nmode = \"central\"\n", ModeName::Local),
            ("", ModeName::Distributed),
        ] {
            assert_eq!(in_mode(template, mode), (template.to_owned(), Vec::new()));
        }
    }

    /// As the program fills it in, for so many sites.
    fn filled(text: &str, sites: u8) -> Study {
        let site = |i: u8| RosterSite {
            name: format!("site-{i}").parse().expect("a name"),
            key: SecretKey::from_seed(&[i; 32]).public(),
            people_public: 100,
            weight: 1 << 16,
        };
        let roster: Vec<_> = (1..=sites).map(site).collect();
        let filled = fill(text, &roster, None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        parsed(&filled.text)
    }

    #[test]
    fn to_local() {
        let (text, choices) = in_mode(DISTRIBUTED, ModeName::Local);
        let (before, after) = (filled(DISTRIBUTED, 22), filled(&text, 22));
        assert_eq!(after.privacy.mode, Mode::Local);
        assert_eq!(after.privacy.training, before.privacy.training, "steps, noise and quorum stay");
        assert_eq!(
            said(&choices),
            [
                "privacy.mode = \"local\" (the template had \"distributed\"): another mode was asked for",
                "privacy.colluding = nothing (the template had 1): each site's own noise is enough against all others",
            ]
        );
        let line = text.lines().find(|line| line.starts_with("mode ")).expect("a mode");
        assert!(line.ends_with("= \"local\"  # distributed in the file that this was made from"), "{line}");
    }

    #[test]
    fn to_distributed() {
        let template = EXAMPLE.replace("proximal         = 0.0", "proximal         = 0.1");
        let (text, choices) = in_mode(&template, ModeName::Distributed);
        let after = filled(&text, 3);
        assert_eq!(after.privacy.mode, Mode::Distributed { colluding: 1 });
        let training = &after.privacy.training;
        assert_eq!((training.rounds, training.spare_rounds, training.local_steps), (40, 4, 1));
        assert_eq!((training.quorum, training.proximal), (3, 0.0));
        // As many steps as before: twice 22 are 44; and noise for all that a training person may lose.
        assert_eq!(training.steps_charged(), parsed(EXAMPLE).privacy.training.steps_charged());
        let spent = epsilon_by(after.privacy.accountant, &[training_event(training)], after.privacy.delta);
        assert!(spent.as_ref().is_ok_and(|spent| *spent > 2.99 && *spent <= 3.0), "{spent:?}");
        let keys: Vec<&str> = choices.iter().map(|choice| &*choice.key).collect();
        let expected = [
            "privacy.mode",
            "privacy.training.rounds",
            "privacy.training.spare_rounds",
            "privacy.training.local_steps",
            "privacy.training.proximal",
            "privacy.colluding",
            "privacy.training.quorum",
            "privacy.training.noise_multiplier",
        ];
        assert_eq!(keys, expected);
        // What cannot be is a mistake of the file, as ever.
        let wrong = EXAMPLE.replace("rounds           = 20", "rounds           = \"many\"");
        assert!(parse(in_mode(&wrong, ModeName::Distributed).0.as_bytes()).is_err());
    }
}
