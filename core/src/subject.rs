//! The subjects of the log: what a commit was appended under.

use std::{fmt, str::FromStr};

use crate::id::ProcessId;

/// A run of the log that was never purged. A closed generation is archived; the next one goes on
/// with its sequences.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation that every wallet begins with.
    pub const FIRST: Self = Self(1);
}

/// What a commit was appended under. Each subject is a hash chain of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// Events that were decided against the state.
    Decided(Generation),
    /// What one process recorded without deciding anything: resolutions, refusals.
    Observed(Generation, ProcessId),
    /// Checkpoints of the tree over all subjects, so that they race nobody.
    Checkpoint(Generation),
}

impl Subject {
    /// The prefix that all subjects of a generation share, without a trailing dot.
    #[must_use]
    pub fn prefix(generation: Generation) -> String {
        format!("wallet.events.{}", generation.0)
    }

    /// The generation that it belongs to.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        match self {
            Self::Decided(generation)
            | Self::Observed(generation, _)
            | Self::Checkpoint(generation) => *generation,
        }
    }

    /// Whether its commits were decided against the state.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        matches!(self, Self::Decided(_))
    }

    /// Whether its commits hold statements about the log, in the clear.
    #[must_use]
    pub const fn is_checkpoint(&self) -> bool {
        matches!(self, Self::Checkpoint(_))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Self::prefix(self.generation());
        match self {
            Self::Decided(_) => write!(f, "{prefix}.decided"),
            Self::Observed(_, process) => write!(f, "{prefix}.observed.{process}"),
            Self::Checkpoint(_) => write!(f, "{prefix}.checkpoint"),
        }
    }
}

/// A text that is no subject of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a subject of the log")]
pub struct Unknown;

impl FromStr for Subject {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let rest = text.strip_prefix("wallet.events.").ok_or(Unknown)?;
        let (number, kind) = rest.split_once('.').ok_or(Unknown)?;
        let generation = Generation(number.parse().map_err(|_| Unknown)?);
        let subject = match kind.split_once('.') {
            None if kind == "decided" => Self::Decided(generation),
            None if kind == "checkpoint" => Self::Checkpoint(generation),
            Some(("observed", process)) => {
                Self::Observed(generation, process.parse().map_err(|_| Unknown)?)
            }
            _ => return Err(Unknown),
        };
        // One text for one subject: no leading zeros, capitals or hyphens.
        (subject.to_string() == text)
            .then_some(subject)
            .ok_or(Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let process = ProcessId::from_bytes([0xab; 16]);
        for subject in [
            Subject::Decided(Generation(1)),
            Subject::Observed(Generation(7), process),
            Subject::Checkpoint(Generation(2)),
        ] {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        for bad in [
            "",
            "wallet.events.1",
            "wallet.events.01.decided",
            "wallet.events.1.observed.x",
            "wallet.events.1.checkpoint.x",
        ] {
            assert_eq!(bad.parse::<Subject>(), Err(Unknown), "{bad}");
        }
    }
}
