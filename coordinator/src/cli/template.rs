//! Study files to start from: those that ship with the program, or somebody's own.

use crate::operator::CommandError;
use clap::ValueEnum;
use consilium_common::key::SecretKey;
use consilium_common::secagg;
use consilium_common::study::{self, Choice, Filled, ModeName, RosterSite};
use std::path::Path;

/// The shipped study of the synthetic hospitals.
const LOCAL: &str = include_str!("../../../docs/studies/synthetic-selfharm.toml");
/// The same by secure sums.
const DISTRIBUTED: &str = include_str!("../../../docs/studies/synthetic-selfharm-distributed.toml");

/// On OMOP records, by secure sums.
const OMOP: &str = include_str!("../../../docs/studies/omop-selfharm.toml");

/// What the hospitals hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// A plain table, one row per person.
    Table,
    /// OMOP records.
    Omop,
}

/// Who is trusted with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Each site's own noise makes its update private against everyone.
    Local,
    /// The noise is shared out: the coordinator sees the sum of all hospitals at each step, and nothing of one.
    Distributed,
}

/// A study file whose roster is to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Template {
    /// Ships with the program, for another roster.
    Shipped(&'static str),
    /// Somebody's own: what may stay stays.
    Own {
        /// In the mode that was asked for.
        text: String,
        /// What had to change for it.
        choices: Vec<Choice>,
        /// The file that it was read from; none where it ships.
        given: Option<Given>,
    },
}

/// A file as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    name: String,
    text: String,
}

impl Given {
    /// What is wrong with it by its own lines, but for the roster, in whose place another stands.
    fn mistakes(&self) -> Option<String> {
        let mistakes = study::parse(self.text.as_bytes()).err()?;
        let is_of_roster = |key: &str| key == "site" || key.starts_with("site[");
        let own = mistakes.list().iter().filter(|mistake| !is_of_roster(&mistake.key));
        let lines: Vec<String> = own.map(ToString::to_string).collect();
        (!lines.is_empty()).then(|| format!("{}:\n{}", self.name, lines.join("\n")))
    }
}

impl From<Mode> for ModeName {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Local => Self::Local,
            Mode::Distributed => Self::Distributed,
        }
    }
}

impl Template {
    /// The shipped one of a source and mode; without a mode the one that there is, or `local`.
    pub(crate) fn shipped(source: Source, mode: Option<Mode>) -> Self {
        match (source, mode) {
            (Source::Table, None | Some(Mode::Local)) => Self::Shipped(LOCAL),
            (Source::Table, Some(Mode::Distributed)) => Self::Shipped(DISTRIBUTED),
            (Source::Omop, None | Some(Mode::Distributed)) => Self::Shipped(OMOP),
            (Source::Omop, Some(Mode::Local)) => Self::own(OMOP.to_owned(), mode),
        }
    }

    /// From a file; where a mode is asked for, in that mode.
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub(crate) fn read(path: &Path, mode: Option<Mode>) -> Result<Self, CommandError> {
        let bytes = super::read_study(path)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| CommandError::input(format!("{}: not UTF-8", path.display())))?;
        let given = Given { name: path.display().to_string(), text: text.clone() };
        match Self::own(text, mode) {
            Self::Own { text, choices, .. } => Ok(Self::Own { text, choices, given: Some(given) }),
            shipped @ Self::Shipped(_) => Ok(shipped),
        }
    }

    /// Whether it could be filled with a roster of so many sites (as many as it lists itself without a number), before
    /// anything is set up for it. What only the true roster shows is told when that is there.
    ///
    /// # Errors
    /// The file's own mistakes, under its name and by its lines.
    pub(crate) fn check(&self, sites: Option<usize>) -> Result<(), CommandError> {
        let Self::Own { given: Some(given), .. } = self else { return Ok(()) };
        let listed = || given.text.lines().filter(|line| line.trim_start().starts_with("[[site]]")).count();
        let sites = sites.unwrap_or_else(listed).clamp(secagg::SITES_MIN, study::limits::SITES_MAX);
        match self.filled(&nobody(sites), None) {
            Ok(_) => Ok(()),
            Err(_) => given.mistakes().map_or(Ok(()), |mistakes| Err(CommandError::input(mistakes))),
        }
    }

    fn own(text: String, mode: Option<Mode>) -> Self {
        let (text, choices) = match mode {
            Some(mode) => study::in_mode(&text, mode.into()),
            None => (text, Vec::new()),
        };
        Self::Own { text, choices, given: None }
    }

    /// The study file, its roster still to be filled in.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Shipped(text) => text,
            Self::Own { text, .. } => text,
        }
    }

    /// Filled with a roster; an ε that does not fit is named as the option that it came from.
    ///
    /// # Errors
    /// The filled study is not valid.
    pub(crate) fn fill(&self, roster: &[RosterSite], epsilon: Option<f64>) -> Result<Filled, CommandError> {
        self.filled(roster, epsilon).map_err(|mistakes| match epsilon {
            // The template is sound without it: the option alone is at fault, not the file's line.
            Some(epsilon) if self.filled(roster, None).is_ok() => {
                CommandError::input(format!("--epsilon {epsilon}: no valid study has it:\n{mistakes}"))
            }
            _ => CommandError::input(self.without_epsilon(&mistakes)),
        })
    }

    /// What is wrong with what was filled in, and whose lines are named.
    fn without_epsilon(&self, mistakes: &study::Mistakes) -> String {
        match self {
            Self::Own { given: Some(given), .. } => given.mistakes().unwrap_or_else(|| {
                let name = &given.name;
                format!("{name}: with this roster the study would not be valid (lines of the filled file):\n{mistakes}")
            }),
            _ => format!("the study would not be valid:\n{mistakes}"),
        }
    }

    fn filled(&self, roster: &[RosterSite], epsilon: Option<f64>) -> Result<Filled, study::Mistakes> {
        match self {
            Self::Shipped(text) => study::fill_shipped(text, roster, epsilon),
            Self::Own { text, choices, .. } => {
                let mut filled = study::fill(text, roster, epsilon)?;
                filled.choices.splice(0..0, choices.iter().cloned());
                Ok(filled)
            }
        }
    }
}

/// A roster that stands for one that is not there yet.
fn nobody(sites: usize) -> Vec<RosterSite> {
    const PEOPLE: u64 = 1_000;
    let site = |i: usize| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(i as u64).to_le_bytes());
        RosterSite {
            name: format!("site-{i}").parse().expect("a name"),
            // Nobody signs with it: the filled text is thrown away.
            key: SecretKey::from_seed(&seed).public(),
            people_public: PEOPLE,
            weight: 1 << 16,
        }
    };
    (1..=sites).map(site).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A given file's mistakes have its name and its lines, before there is a roster; its own roster is nobody's concern.
    #[test]
    fn a_given_file_is_checked_under_its_own_name() {
        fn check(from: &str, to: &str, expected: Option<&str>) {
            assert!(LOCAL.contains(from), "{from}");
            let text = LOCAL.replacen(from, to, 1);
            let line = 1 + text[..text.find(to).expect("is there")].matches('\n').count();
            let folder = std::env::temp_dir().join(format!("consilium-template-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a folder");
            let path = folder.join("mine.toml");
            std::fs::write(&path, &text).expect("a file");
            let template = Template::read(&path, Some(Mode::Distributed)).expect("text");
            let said = template.check(None).map_err(|error| error.to_string());
            let filled = template.fill(&nobody(4), None).map(drop).map_err(|error| error.to_string());
            std::fs::remove_dir_all(&folder).expect("is there");
            assert_eq!(filled, said, "the same when the roster is there");
            match expected {
                None => assert_eq!(said, Ok(())),
                Some(expected) => {
                    let said = said.expect_err(expected);
                    let place = format!("mine.toml:\nline {line}: {expected}");
                    assert!(said.contains(&place), "{place:?} in {said}");
                    assert!(!said.contains("site[") && said.lines().count() == 2, "{said}");
                }
            }
        }
        check("level     = 0.95", "level     = 95", Some("evaluation.level"));
        check("\n[[site]] ", "\n[[site]]\nbeds = 12\n", None);
        check("[evaluation]", "[evaluation]\n#", None);
    }

    #[test]
    fn an_epsilon_is_the_options_fault() {
        let site = |name: &str, seed| RosterSite {
            name: name.parse().expect("a name"),
            key: SecretKey::from_seed(&[seed; 32]).public(),
            people_public: 500,
            weight: 1 << 16,
        };
        let roster = [site("a", 1), site("b", 2), site("c", 3)];
        let modes = [None, Some(Mode::Local), Some(Mode::Distributed)];
        for (source, mode) in modes.iter().flat_map(|mode| [(Source::Table, *mode), (Source::Omop, *mode)]) {
            let template = Template::shipped(source, mode);
            template.fill(&roster, Some(3.0)).expect("valid");
            let said = template.fill(&roster, Some(1e-3)).expect_err("more noise than a study may have");
            assert!(said.to_string().starts_with("--epsilon 0.001: "), "{said}");
        }
        let none = Template::own("schema = 3".into(), Some(Mode::Local));
        let said = none.fill(&roster, Some(3.0)).expect_err("no study").to_string();
        assert!(said.starts_with("the study would not be valid"), "{said}");
    }

    #[test]
    fn the_mode_that_was_asked_for() {
        let site = |i: u8| RosterSite {
            name: format!("site-{i}").parse().expect("a name"),
            key: SecretKey::from_seed(&[i; 32]).public(),
            people_public: 500,
            weight: 1 << 16,
        };
        let roster = [site(1), site(2), site(3), site(4)];
        for (asked, expected) in [(Mode::Local, "local"), (Mode::Distributed, "distributed")] {
            for template in [LOCAL, DISTRIBUTED, OMOP] {
                let filled =
                    Template::own(template.to_owned(), Some(asked)).fill(&roster, None).expect("valid");
                let study = study::parse(filled.text.as_bytes()).expect("valid");
                assert_eq!(study.privacy.mode.name(), expected);
                // Whoever reads the choices sees it.
                let told = filled.choices.iter().any(|choice| choice.key == "privacy.mode");
                let had = template.contains("mode              = \"local\"");
                assert_eq!(told, had != (asked == Mode::Local), "{:?}", filled.choices);
            }
        }
    }
}
