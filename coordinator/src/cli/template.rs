//! Study files to start from: those that ship with the program, or somebody's own.

use crate::operator::CommandError;
use clap::ValueEnum;
use consilium_common::study::{self, Filled, RosterSite};
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
    Own(String),
}

impl Template {
    /// The shipped one of a source and mode; without a mode the one that there is, or `local`.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn shipped(source: Source, mode: Option<Mode>) -> Result<Self, CommandError> {
        match (source, mode) {
            (Source::Table, None | Some(Mode::Local)) => Ok(Self::Shipped(LOCAL)),
            (Source::Table, Some(Mode::Distributed)) => Ok(Self::Shipped(DISTRIBUTED)),
            (Source::Omop, None | Some(Mode::Distributed)) => Ok(Self::Shipped(OMOP)),
            (Source::Omop, Some(Mode::Local)) => Err(CommandError::input(
                "--privacy local: the built-in study on OMOP records is for distributed mode; leave the option out, \
                 and change [privacy] in the file",
            )),
        }
    }

    /// From a file.
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub(crate) fn read(path: &Path) -> Result<Self, CommandError> {
        let bytes = super::read_study(path)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| CommandError::input(format!("{}: not UTF-8", path.display())))?;
        Ok(Self::Own(text))
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
            _ => CommandError::input(format!("the study would not be valid:\n{mistakes}")),
        })
    }

    fn filled(&self, roster: &[RosterSite], epsilon: Option<f64>) -> Result<Filled, study::Mistakes> {
        match self {
            Self::Shipped(text) => study::fill_shipped(text, roster, epsilon),
            Self::Own(text) => study::fill(text, roster, epsilon),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epsilon_is_the_options_fault() {
        let site = |name: &str, seed| RosterSite {
            name: name.parse().expect("a name"),
            key: consilium_common::key::SecretKey::from_seed(&[seed; 32]).public(),
            people_public: 500,
            weight: 1 << 16,
        };
        let roster = [site("a", 1), site("b", 2), site("c", 3)];
        let shipped = [(Source::Table, None), (Source::Table, Some(Mode::Distributed)), (Source::Omop, None)];
        for (source, mode) in shipped {
            let template = Template::shipped(source, mode).expect("there is one");
            template.fill(&roster, Some(3.0)).expect("valid");
            let said = template.fill(&roster, Some(1e-3)).expect_err("more noise than a study may have");
            assert!(said.to_string().starts_with("--epsilon 0.001: "), "{said}");
        }
        let said = Template::shipped(Source::Omop, Some(Mode::Local)).expect_err("there is none").to_string();
        assert!(said.starts_with("--privacy local: "), "{said}");
        let said =
            Template::Own("schema = 3".into()).fill(&roster, Some(3.0)).expect_err("no study").to_string();
        assert!(said.starts_with("the study would not be valid"), "{said}");
    }
}
