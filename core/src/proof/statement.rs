//! What commits on the subject `checkpoint` say, in the clear: checkpoints, and changes of the key
//! that signs them.

use super::{
    key::{KeyName, Signer, VerifierKey},
    note::{self, Note},
};
use crate::labels;

/// One statement. Its number stands before it in the commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
    /// 1: a checkpoint, as a note.
    Checkpoint(String),
    /// 2: another key signs from here on; a note that both keys signed. The first statement of all
    /// names the first key as both.
    KeyChange(String),
}

impl Statement {
    /// Its number and text.
    pub(crate) fn parts(&self) -> (u64, &str) {
        match self {
            Self::Checkpoint(note) => (1, note),
            Self::KeyChange(note) => (2, note),
        }
    }

    pub(crate) fn of(number: u64, note: String) -> Option<Self> {
        match number {
            1 => Some(Self::Checkpoint(note)),
            2 => Some(Self::KeyChange(note)),
            _ => None,
        }
    }
}

/// A change of the key that signs checkpoints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyChange {
    /// The key until here.
    pub old: VerifierKey,
    /// The key from here on.
    pub new: VerifierKey,
}

/// Why something is no change of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The note's fault.
    #[error(transparent)]
    Note(#[from] note::Error),
    /// The text is not that of a change of the key.
    #[error("it is no change of the checkpoint key")]
    Malformed,
}

impl KeyChange {
    /// The note that states it: both sign it.
    #[must_use]
    pub fn sign(old: &Signer, new: &Signer) -> Option<Note> {
        let change = Self {
            old: old.verifier(),
            new: new.verifier(),
        };
        Some(Note::new(change.text()).ok()?.sign(old).sign(new))
    }

    fn text(&self) -> String {
        let label = labels::CHECKPOINT_KEY_CHANGE.as_str();
        format!("{label}\n{}\n{}\n", self.old, self.new)
    }

    /// Reads a note that states one, and checks that both keys signed it and are of this log.
    ///
    /// # Errors
    /// When it does not.
    pub fn verified(note: &Note, origin: &KeyName) -> Result<Self, Error> {
        let mut lines = note.text().lines();
        let mut line = || lines.next().ok_or(Error::Malformed);
        let (_, old, new) = (line()?, line()?, line()?);
        let key = |text: &str| text.parse::<VerifierKey>().map_err(|_| Error::Malformed);
        let read = Self {
            old: key(old)?,
            new: key(new)?,
        };
        let of_this_log = read.old.name() == origin && read.new.name() == origin;
        if !of_this_log || read.text() != note.text() {
            return Err(Error::Malformed);
        }
        note.verify(&read.old)?;
        note.verify(&read.new)?;
        Ok(read)
    }
}
