//! What can be typed.

mod data;

pub(super) use data::{Cdm, DataCommand, ExportArgs, GrantsArgs, PlanArgs, SnapshotCommand, SnapshotDrop};

use crate::synth::SynthArgs;
use clap::{Parser, Subcommand, ValueEnum};
use consilium_common::id::SiteName;
use consilium_common::key::PublicKey;
use consilium_common::protocol::DeclineReason;
use std::path::PathBuf;

/// Consilium's agent at one hospital: trains here, under this hospital's policy; no record leaves.
#[derive(Debug, Parser)]
#[command(
    name = "site-agent",
    version,
    after_help = "Example, a hospital's first day:\n  \
    site-agent init --site st-elsewhere\n  \
    site-agent enroll invite.json\n  \
    site-agent doctor --data /srv/consilium/table.csv\n  \
    site-agent study list\n  \
    site-agent study show self-harm\n  \
    site-agent study approve self-harm --approver 'Dr A. Bird'\n  \
    site-agent serve --data /srv/consilium/table.csv\n\n\
    Exit codes: 0 done, 1 the answer is no, 2 bad usage or input, 3 the coordinator cannot be reached, 4 our own fault."
)]
pub(super) struct Args {
    /// The agent's home folder
    #[arg(long, global = true, value_name = "DIR", default_value = "./site-agent")]
    pub(super) home: PathBuf,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables on a terminal, plain lines otherwise
    Text,
    /// One JSON document
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes the home folder: keys, an empty ledger, a cautious policy
    #[command(after_help = "Example:\n  site-agent init --home /var/lib/consilium --site st-elsewhere")]
    Init {
        /// This site's name on every roster: 1 to 63 of a-z, 0-9 and -
        #[arg(long, value_name = "NAME")]
        site: SiteName,
    },
    /// Trades the consortium's invite for a certificate; the key is made here and never leaves
    #[command(
        after_help = "Examples:\n  site-agent enroll invite.json\n  site-agent enroll - < invite.json\n\n\
        The invite holds a secret: it is read from a file or from standard input, never from the command line."
    )]
    Enroll {
        /// The invite's file, or - for standard input
        #[arg(value_name = "INVITE")]
        invite: String,
    },
    /// Looks at everything that serving needs, one line each; exit 1 if anything is amiss
    #[command(after_help = "Example:\n  site-agent doctor --data /srv/consilium/table.csv")]
    Doctor {
        /// The table, its folder, the folder of the OMOP tables or of MEDS, or the source.toml of a database, instead of agent.toml's
        #[arg(long, value_name = "PATH")]
        data: Option<PathBuf>,
    },
    /// Runs: asks the coordinator for tasks and does what policy and budget allow
    #[command(
        after_help = "Example:\n  site-agent serve --home /var/lib/consilium --data /srv/consilium/table.csv\n\n\
        Logs to standard error. A first signal ends it after the task in hand, a second one at once."
    )]
    Serve(ServeArgs),
    /// Looks at this site's data; nothing leaves
    #[command(after_help = "Example:\n  site-agent data check --study self-harm.toml")]
    #[command(subcommand)]
    Data(DataCommand),
    /// Studies that the consortium published for this site
    #[command(after_help = "Example:\n  site-agent study list")]
    #[command(subcommand)]
    Study(StudyCommand),
    /// What was spent, what is earmarked, and what is left
    #[command(after_help = "Example:\n  site-agent budget --format json")]
    Budget,
    /// This site's ledger
    #[command(after_help = "Example:\n  site-agent ledger export --out ledger-for-audit")]
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Invents hospitals to try Consilium on
    Synth(SynthArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// The table, its folder, the folder of the OMOP tables or of MEDS, or the source.toml of a database, instead of agent.toml's
    #[arg(long, value_name = "PATH")]
    pub(super) data: Option<PathBuf>,
    /// How log lines are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
}

/// Of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Plain lines
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct ApproveArgs {
    /// An id or a digest
    pub(super) study: String,
    /// Who decided, in their own words; it is published with the approval
    #[arg(long, value_name = "NAME", value_parser = approver)]
    pub(super) approver: String,
    /// Signs in the place of an approval by somebody else, or with another answer; the new one names it
    #[arg(long)]
    pub(super) again: bool,
    /// How this site fills in the study's bindings, by `study bindings`; the exact text is signed and published
    #[arg(long, value_name = "FILE")]
    pub(super) bindings: Option<PathBuf>,
    /// What `serve` is given, where it is not agent.toml's: the study's examples are made from it before the approval is sent
    #[arg(long, value_name = "PATH")]
    pub(super) data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum StudyCommand {
    /// Lists them
    #[command(after_help = "Example:\n  site-agent study list")]
    List,
    /// What a study is for, what it asks for, and what this site's policy says to it
    #[command(
        after_help = "Examples:\n  site-agent study show self-harm\n  site-agent study show self-harm --bindings answer.toml\n  \
        site-agent study show self-harm --out study.toml"
    )]
    Show {
        /// An id or a digest
        study: String,
        /// How this site would fill in the study's bindings
        #[arg(long, value_name = "FILE")]
        bindings: Option<PathBuf>,
        /// Also writes the study file to a new file: the exact bytes that an approval signs
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Prints what a study asks each site to fill in, as a file to write on
    #[command(after_help = "Example:\n  site-agent study bindings self-harm > answer.toml")]
    Bindings {
        /// An id or a digest
        study: String,
    },
    /// Signs this site's approval over the study's exact bytes, if the policy allows it
    #[command(
        after_help = "Example:\n  site-agent study approve self-harm --approver 'Dr A. Bird, Caldicott Guardian'"
    )]
    Approve(ApproveArgs),
    /// Says no, by a code that tells nothing of the data
    #[command(after_help = "Example:\n  site-agent study decline self-harm --reason governance")]
    Decline {
        /// An id or a digest
        study: String,
        /// Why
        #[arg(long, value_enum)]
        reason: Reason,
        /// Who decided, in their own words; it is published with the decision
        #[arg(long, value_name = "NAME", default_value = "")]
        approver: String,
    },
}

/// Somebody answers for an approval: it names them.
fn approver(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("expected who decided, as 'Dr A. Bird, Caldicott Guardian'".into());
    }
    Ok(text.to_owned())
}

/// The codes of [`DeclineReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Reason {
    /// The site's policy does not allow it
    Policy,
    /// The site's budget does not cover it
    Budget,
    /// The site's governance bodies said no
    Governance,
    /// The site has no capacity now
    Capacity,
    /// Something else, told by other means
    Other,
}

impl From<Reason> for DeclineReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Policy => Self::Policy,
            Reason::Budget => Self::Budget,
            Reason::Governance => Self::Governance,
            Reason::Capacity => Self::Capacity,
            Reason::Other => Self::Other,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Copies the ledger as files that an auditor takes
    #[command(after_help = "Example:\n  site-agent ledger export --out ledger-for-audit")]
    Export {
        /// A folder that does not exist yet
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Changes the ledger key, signed by the old and the new one; refused while a study is open here
    #[command(after_help = "Example:\n  site-agent ledger rotate-key\n\n\
        Stop `serve` first. The coordinator must be reachable, so that a restored disk shows before it signs anything; \
        before `enroll` there is none to ask. Then back up identity/, and read the new fingerprint to the other hospitals.")]
    RotateKey,
    /// Goes on after the ledger key was lost, by the word of other hospitals
    #[command(
        subcommand,
        after_help = "Example:\n  site-agent ledger lost-key show ashford.key-loss\n\n\
        The hospital that lost it: init (a new home), enroll (an invite with --lost-key-for), then request and, with the \
        others' answers, finish. Every other hospital: show, a telephone call, endorse. See docs/OPERATIONS.md."
    )]
    LostKey(LostKeyCommand),
    /// Takes the ledger back from whoever kept it, after this disk was restored from an old copy
    #[command(
        after_help = "Examples:\n  site-agent ledger recover\n  site-agent ledger recover --from bundle/sites/st-elsewhere/ledger\n\n\
        Without --from the coordinator's copy. It must be signed by this site's own key and continue everything that \
        is still here: nothing is un-spent. The old folder is kept beside the new. An entry `recovered` is written \
        after the copy's last: uses left in open blocks stay burnt, and auditors see what was lost."
    )]
    Recover {
        /// A folder that `ledger export` wrote, or the ledger of this site in an audit bundle
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum LostKeyCommand {
    /// Asks the other hospitals: takes the ledger back and writes the file that they look at
    #[command(
        after_help = "Example:\n  site-agent ledger lost-key request --split-key lost --out ashford.key-loss\n\n\
        In a new home, made by init. --split-key kept: identity/split.key is in this home, from a backup, so that \
        everybody keeps the role, training or evaluation, that they always had. lost: it is gone; from then on what \
        training people and what evaluation people had paid adds up, for everybody. If in doubt: lost."
    )]
    Request {
        /// Whether identity/split.key here is the one of the lost home
        #[arg(long, value_enum)]
        split_key: Split,
        /// The file to write, for the other hospitals
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// A folder that `ledger export` wrote, or the ledger of this site in an audit bundle; without it the
        /// coordinator's copy
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
    /// What a request says, and whether this hospital may vouch for it
    #[command(after_help = "Example:\n  site-agent ledger lost-key show ashford.key-loss")]
    Show {
        /// The other hospital's request
        #[arg(value_name = "FILE")]
        request: PathBuf,
    },
    /// Vouches for another hospital's new key
    #[command(
        after_help = "Example:\n  site-agent ledger lost-key endorse ashford.key-loss --key ed25519:5c0f… --out brackley.endorsement\n\n\
        Call that hospital, by a number that you have from elsewhere, and have somebody whom you know read the new key \
        to you: what you type is compared with the file."
    )]
    Endorse {
        /// The other hospital's request
        #[arg(value_name = "FILE")]
        request: PathBuf,
        /// The new key, as that hospital read it on the telephone
        #[arg(long)]
        key: PublicKey,
        /// The file to write, for that hospital
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Goes on with the ledger under the new key, with enough endorsements
    #[command(
        after_help = "Example:\n  site-agent ledger lost-key finish ashford.key-loss brackley.endorsement corby.endorsement\n\n\
        Studies that were open are charged in whole and closed. Then: site-agent serve, and every other hospital puts \
        the new key into its site-policy.toml."
    )]
    Finish {
        /// This hospital's request
        #[arg(value_name = "FILE")]
        request: PathBuf,
        /// What the other hospitals sent back
        #[arg(value_name = "ENDORSEMENT", required = true)]
        endorsements: Vec<PathBuf>,
    },
}

/// What became of the key that fixes people's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Split {
    /// It is in this home
    Kept,
    /// It is gone
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command, name: &str) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example") && after.contains("site-agent "), "{name} --help: {after:?}");
            for below in command.get_subcommands() {
                check(below, &format!("{name} {}", below.get_name()));
            }
        }
        check(&Args::command(), "site-agent");
    }

    #[test]
    fn usage() {
        fn check(line: &str, good: bool) {
            let parsed = Args::try_parse_from(line.split(' '));
            assert_eq!(parsed.is_ok(), good, "{line}: {parsed:?}");
        }
        check("site-agent init --site st-elsewhere", true);
        check("site-agent init --site Elsewhere", false);
        check("site-agent enroll -", true);
        check("site-agent data check", false);
        check("site-agent data check --study s.toml --data t.csv", true);
        check("site-agent data check --omop d --scratch e", true);
        check("site-agent data check --omop d --study s.toml", false);
        check("site-agent data check --omop d --data t.csv", false);
        check("site-agent data check --study s.toml --scratch e", false);
        check("site-agent data plan --omop s.toml", true);
        check("site-agent data plan --omop s.toml --study t.toml", true);
        check("site-agent data plan", false);
        check("site-agent data grants --omop s.toml --role r --cdm 5.3", true);
        check("site-agent data grants --omop s.toml --cdm 6", false);
        check("site-agent data snapshot list", true);
        check("site-agent data snapshot drop", false);
        check("site-agent data snapshot drop s", true);
        check("site-agent data snapshot drop --all --unusable", false);
        check("site-agent data snapshot drop --unusable", true);
        check("site-agent study approve x", false);
        check("site-agent study approve x --approver=", false);
        check("site-agent study approve x --approver=\t", false);
        check("site-agent study approve x --approver guardian", true);
        check("site-agent study decline x --reason governance", true);
        check("site-agent study decline x --reason because", false);
        check("site-agent data export --study s --data d --out o", false);
        check("site-agent data export --examples --study s --data d --out o", true);
        check("site-agent ledger lost-key request --out r", false);
        check("site-agent ledger lost-key request --split-key lost --out r", true);
        check("site-agent ledger lost-key endorse r --out e", false);
        check("site-agent ledger lost-key endorse r --key 5c0f --out e", false);
        check("site-agent ledger lost-key finish r", false);
        check("site-agent ledger lost-key finish r e f", true);
        check("site-agent data export --examples --study s --data d", false);
        check("site-agent data export --examples --study s --data d --out o --source p", false);
        check("site-agent data export --meds m", true);
        check("site-agent data export --meds m --source s.toml", true);
        check("site-agent data export --meds m --examples --study s --data d --out o", false);
        check("site-agent data export --meds m --study s", false);
        check("site-agent budget --format json --home x", true);
        check("site-agent budget --format xml", false);
    }
}
