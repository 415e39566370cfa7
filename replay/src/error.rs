//! Why a replay did not come to its end, and what is wrong with what it read.

use std::{fmt, io, path::Path};

use billfold_core::id::Seq;
use billfold_projector::{chain, fold, view};
use billfold_streams::{custody, embedded, jetstream, keys, log};
use serde::Serialize;

/// Which check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Check {
    /// Sequences run from 1 without a gap, and every position can be read.
    Sequence,
    /// Each commit opens, holds what its facts say, follows the one before it on its subject, and
    /// stands under the subject where its events belong.
    Commit,
    /// Each checkpoint is signed by the key that the log says, and has the root of the messages
    /// before it.
    Checkpoint,
    /// A receipt shows what it says, in the log that its checkpoint attests.
    Receipt,
    /// Each event follows from the state before it.
    State,
    /// The keys that the fold holds live are in the key store and open what they sealed.
    Key,
    /// The keys that the log destroyed are gone.
    Erasure,
    /// The view is what the fold makes of the same log.
    View,
}

/// Something that no healthy wallet holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it.
    pub check: Check,
    /// Where in the log, if it is about a place there.
    pub sequence: Option<Seq>,
    /// What is wrong, without any name or secret.
    pub what: String,
}

impl Finding {
    pub(crate) fn new(check: Check, at: impl Into<Option<Seq>>, what: impl Into<String>) -> Self {
        Self {
            check,
            sequence: at.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            Some(seq) => write!(f, "sequence {seq}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Finding {}

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's mistake.
    #[error("{0}")]
    Usage(String),
    /// The log, the key store or the keys cannot be had.
    #[error("{0}")]
    Unreachable(String),
    /// They can, and hold what no healthy wallet does.
    #[error(transparent)]
    Broken(#[from] Finding),
    /// This machine's fault: no room for the temporary view, say.
    #[error("{0}")]
    Machine(String),
    /// Whoever reads the output went away, or it cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

impl From<chain::Broken> for Error {
    fn from(broken: chain::Broken) -> Self {
        let check = match broken.fault {
            chain::Fault::State(_) => Check::State,
            chain::Fault::Order | chain::Fault::Gap(_) => Check::Sequence,
            chain::Fault::Names => Check::Key,
            chain::Fault::Statement(_) => Check::Checkpoint,
            _ => Check::Commit,
        };
        let what = format!("on {}: {}", broken.subject, broken.fault);
        Self::Broken(Finding::new(check, broken.seq, what))
    }
}

impl From<log::Error> for Error {
    fn from(error: log::Error) -> Self {
        match error {
            log::Error::Damaged { at, what } => {
                // A backend that cannot tell where says zero.
                let at = (at != Seq::ZERO).then_some(at);
                let what = format!("the log is damaged: {what}");
                Self::Broken(Finding::new(Check::Sequence, at, what))
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<custody::Error> for Error {
    fn from(error: custody::Error) -> Self {
        match error {
            custody::Error::Keys(error) => {
                Self::Broken(Finding::new(Check::Key, None, error.to_string()))
            }
            custody::Error::Store(error) => error.into(),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<keys::Error> for Error {
    fn from(error: keys::Error) -> Self {
        match error {
            keys::Error::Damaged(_) => {
                Self::Broken(Finding::new(Check::Key, None, error.to_string()))
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// Every view that is read here is a temporary one of our own.
impl From<view::Error> for Error {
    fn from(error: view::Error) -> Self {
        Self::Machine(format!("the temporary view failed: {error}"))
    }
}

impl From<fold::Error> for Error {
    fn from(error: fold::Error) -> Self {
        match error {
            fold::Error::Broken(broken) => broken.into(),
            fold::Error::View(error) => error.into(),
            fold::Error::Custody(error) => error.into(),
            other => Self::Machine(other.to_string()),
        }
    }
}

impl From<fold::NamesError> for Error {
    fn from(error: fold::NamesError) -> Self {
        match error {
            fold::NamesError::Damaged => {
                let what = "a record's names do not open, though their key is there";
                Self::Broken(Finding::new(Check::Key, None, what))
            }
            fold::NamesError::Custody(error) => error.into(),
        }
    }
}

impl From<embedded::OpenError> for Error {
    fn from(error: embedded::OpenError) -> Self {
        match error {
            embedded::OpenError::Damaged(_) => {
                Self::Broken(Finding::new(Check::Sequence, None, error.to_string()))
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<jetstream::ConnectError> for Error {
    fn from(error: jetstream::ConnectError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl Error {
    /// A file that an option names and that cannot be read.
    #[must_use]
    pub fn unread(option: &str, file: &Path, why: &io::Error) -> Self {
        let file = file.display();
        Self::Unreachable(format!("{option}: {file} cannot be read: {why}"))
    }

    /// A file that an option names, can be read, and is not what it should be.
    #[must_use]
    pub fn unfit(option: &str, file: &Path, why: &dyn fmt::Display) -> Self {
        Self::Usage(format!("{option}: {}: {why}", file.display()))
    }

    /// A new file that an option names and that cannot be made: one that is there is left alone.
    #[must_use]
    pub fn unmade(option: &str, file: &Path, why: &io::Error) -> Self {
        let file = file.display();
        match why.kind() {
            io::ErrorKind::AlreadyExists => {
                Self::Usage(format!("{option}: {file} is there already"))
            }
            _ => Self::Machine(format!("{option}: {file} cannot be written: {why}")),
        }
    }

    /// The same, with the place in the log where it was met.
    pub(crate) fn at(self, seq: Seq) -> Self {
        match self {
            Self::Broken(finding) => Self::Broken(Finding {
                sequence: finding.sequence.or(Some(seq)),
                ..finding
            }),
            other => other,
        }
    }
}
