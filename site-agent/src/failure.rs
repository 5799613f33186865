//! The one table from errors to exit codes: 1 the answer is no, 2 bad usage or input, 3 a peer
//! cannot be reached, 4 our own fault.

use crate::approval::KeptError;
use crate::connect::Unreachable;
use crate::data::InvalidData;
use crate::data::export::ExportError;
use crate::data::extract::InvalidRecords;
use crate::data::omop::InvalidOmop;
use crate::data::omop::meds::MedsExportError;
use crate::data::omop::postgres::InvalidDatabase;
use crate::data::opt_out::InvalidList;
use crate::drive::{Stop, TaskError};
use crate::enroll::EnrollError;
use crate::files::FileError;
use crate::home::HomeError;
use crate::key_loss::KeyLossError;
use crate::ledger::LedgerError;
use crate::ledger_view::ViewError;
use crate::link::CallError;
use crate::policy::Violation;
use crate::rotate::RotateError;
use crate::synth::SynthError;
use consilium_common::protocol::invite::InvalidInvite;
use consilium_common::study::Mistakes;
use consilium_common::tls::InvalidTls;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which exit code.
    pub kind: Kind,
    /// For the person at the terminal; names the rule of a refusal.
    pub message: String,
}

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answer is no.
    Refused,
    /// What was given is not usable.
    Input,
    /// The coordinator cannot be reached.
    Unreachable,
    /// Our own fault, or our disk's.
    Fault,
}

impl Kind {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Input => 2,
            Self::Unreachable => 3,
            Self::Fault => 4,
        }
    }
}

impl Failure {
    /// The answer is no.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, message: message.into() }
    }

    /// What was given is not usable.
    pub fn input(message: impl Into<String>) -> Self {
        Self { kind: Kind::Input, message: message.into() }
    }

    /// Our own fault.
    pub fn fault(message: impl Into<String>) -> Self {
        Self { kind: Kind::Fault, message: message.into() }
    }

    /// A study that the policy does not allow, each rule on its line.
    #[must_use]
    pub fn violations(violations: &[Violation]) -> Self {
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        Self::refused(format!("this site's policy does not allow the study:\n{}", lines.join("\n")))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

macro_rules! table {
    ($($error:ty => |$e:ident| $kind:expr;)*) => {
        $(impl From<$error> for Failure {
            fn from($e: $error) -> Self {
                let kind = $kind;
                Self { kind, message: $e.to_string() }
            }
        })*
    };
}

table! {
    InvalidInvite => |_error| Kind::Input;
    Mistakes => |_error| Kind::Input;
    InvalidTls => |_error| Kind::Fault;
    Unreachable => |_error| Kind::Unreachable;
    FileError => |error| of_file(&error);
    HomeError => |error| match &error {
        HomeError::NotAHome(_) | HomeError::NotEmpty(_) | HomeError::Mistakes { .. } => Kind::Input,
        HomeError::NotEnrolled => Kind::Refused,
        HomeError::File(file) => of_file(file),
        HomeError::Tls(_) | HomeError::Entropy(_) => Kind::Fault,
    };
    KeptError => |error| match &error {
        KeptError::File(file) => of_file(file),
        KeptError::Mistakes(_) => Kind::Input,
        KeptError::OtherBytes { .. } | KeptError::Decision(_) | KeptError::Bindings(_) => Kind::Fault,
    };
    InvalidData => |error| of_data(&error);
    InvalidRecords => |error| of_records(&error);
    InvalidList => |_error| Kind::Input;
    InvalidOmop => |error| of_omop(&error);
    InvalidDatabase => |error| of_database(&error);
    MedsExportError => |error| match &error {
        MedsExportError::Source(omop) => of_omop(omop),
        MedsExportError::IsMeds { .. } | MedsExportError::Unwritable { .. } => Kind::Input,
    };
    ExportError => |error| match &error {
        ExportError::Data(data) => of_data(data),
        ExportError::Unwritable { .. } => Kind::Input,
    };
    SynthError => |error| if error.is_bad_input() { Kind::Input } else { Kind::Fault };
    ViewError => |error| match &error {
        ViewError::File(file) => of_file(file),
        _ => Kind::Fault,
    };
    CallError => |error| of_call(&error);
    EnrollError => |error| match &error {
        EnrollError::OtherSite { .. } | EnrollError::Expired(_) => Kind::Refused,
        EnrollError::Call(call) => of_call(call),
        EnrollError::Home(HomeError::Mistakes { .. }) => Kind::Input,
        EnrollError::Home(_) | EnrollError::Request(_) => Kind::Fault,
    };
    LedgerError => |error| of_ledger(&error);
    KeyLossError => |error| match &error {
        KeyLossError::Refused { .. } => Kind::Refused,
        KeyLossError::Input(_) | KeyLossError::Home(HomeError::Mistakes { .. }) => Kind::Input,
        KeyLossError::Home(_) => Kind::Fault,
        KeyLossError::Ledger(ledger) => of_ledger(ledger),
    };
    RotateError => |error| match &error {
        RotateError::Ledger(ledger) => of_ledger(ledger),
        RotateError::Home(_) => Kind::Fault,
    };
    Stop => |error| match &error {
        Stop::NotCosigned(_) | Stop::OtherCoordinator | Stop::Contradicted { .. } => Kind::Refused,
        Stop::Ledger(ledger) => of_ledger(ledger),
    };
    TaskError => |error| match &error {
        TaskError::Refused(_) | TaskError::Told(_) | TaskError::Unwitnessed => Kind::Refused,
        TaskError::Call(call) => of_call(call),
        TaskError::Local(_) => Kind::Fault,
        TaskError::Stop(Stop::Ledger(ledger)) => of_ledger(ledger),
        TaskError::Stop(_) => Kind::Refused,
    };
}

fn of_file(error: &FileError) -> Kind {
    match error {
        FileError::Io { .. } | FileError::Malformed { .. } => Kind::Fault,
        FileError::TooOpen { .. } | FileError::TooLong { .. } => Kind::Input,
    }
}

fn of_data(error: &InvalidData) -> Kind {
    match error {
        InvalidData::Records(records) => of_records(records),
        _ => Kind::Input,
    }
}

fn of_records(error: &InvalidRecords) -> Kind {
    match error {
        InvalidRecords::Omop(omop) => of_omop(omop),
        _ => Kind::Input,
    }
}

fn of_omop(error: &InvalidOmop) -> Kind {
    match error {
        InvalidOmop::Scratch { .. } => Kind::Fault,
        InvalidOmop::Database(database) => of_database(database),
        _ => Kind::Input,
    }
}

fn of_database(error: &InvalidDatabase) -> Kind {
    match error {
        InvalidDatabase::Unreachable { .. } | InvalidDatabase::Lost { .. } => Kind::Unreachable,
        InvalidDatabase::NotGranted { .. } => Kind::Refused,
        // Files that an administrator named.
        _ => Kind::Input,
    }
}

fn of_ledger(error: &LedgerError) -> Kind {
    match error {
        LedgerError::Illegal(_) | LedgerError::Copy(_) => Kind::Refused,
        LedgerError::Locked { .. } | LedgerError::Exists { .. } => Kind::Input,
        _ => Kind::Fault,
    }
}

fn of_call(error: &CallError) -> Kind {
    match error {
        CallError::Unreachable(_) | CallError::Broken { .. } => Kind::Unreachable,
        CallError::Refused { .. } => Kind::Refused,
        CallError::PeerFault { .. } | CallError::Nonsense { .. } => Kind::Fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn exit_codes() {
        fn check(failure: impl Into<Failure>, expected: u8) {
            let failure = failure.into();
            assert_eq!(failure.kind.exit_code(), expected, "{failure}");
        }
        check(HomeError::NotAHome(Path::new("x").into()), 2);
        check(HomeError::NotEnrolled, 1);
        check(InvalidInvite::Schema, 2);
        check(CallError::Broken { call: "Hello", reason: "reset".into() }, 3);
        let code = tonic::Code::PermissionDenied;
        check(CallError::Refused { call: "Hello", code, message: "revoked".into() }, 1);
        check(CallError::Nonsense { call: "Hello", what: "short".into() }, 4);
        check(Stop::OtherCoordinator, 1);
        check(TaskError::from(LedgerError::Locked { dir: "x".into() }), 2);
        check(Stop::Ledger(LedgerError::Restored { cosigned: 9, found: 3 }), 4);
        check(FileError::malformed(Path::new("x"), "y"), 4);
    }
}
