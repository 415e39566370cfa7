//! What goes wrong inside, before it is told in the terms of a trait.

use billfold_core::id::Seq;

use super::OpenError;
use crate::{keys, log};

/// A failed use of a file.
#[derive(Debug)]
pub(super) enum Fault {
    /// It did not do as asked: an I/O error, or it is closed.
    Storage(redb::Error),
    /// It does not hold what an owner wrote.
    Damaged { at: Seq, what: String },
    /// It is not open, and why.
    Closed(String),
}

impl Fault {
    pub(super) fn damaged(at: Seq, what: impl Into<String>) -> Self {
        Self::Damaged {
            at,
            what: what.into(),
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Corrupted(what) => Self::damaged(Seq::ZERO, what),
            other => Self::Storage(other),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Storage(error) => error.fmt(f),
            Self::Damaged { what, .. } => f.write_str(what),
            Self::Closed(why) => f.write_str(why),
        }
    }
}

impl From<Fault> for log::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged { at, what } => Self::Damaged { at, what },
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<Fault> for keys::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged { what, .. } => Self::Damaged(what),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Storage(redb::Error::DatabaseAlreadyOpen) => Self::InUse,
            Fault::Storage(redb::Error::RepairAborted) => Self::Unclean,
            Fault::Storage(redb::Error::Io(error))
                if error.kind() != std::io::ErrorKind::InvalidData =>
            {
                Self::Io(error)
            }
            other => Self::Damaged(other.to_string()),
        }
    }
}
