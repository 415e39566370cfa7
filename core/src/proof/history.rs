//! What the statements on the subject `checkpoint` come to, one after another: which key signs, and
//! how far the tree is attested.

use super::{
    checkpoint::{self, Checkpoint},
    key::{KeyName, VerifierKey},
    note::Note,
    statement::{self, KeyChange, Statement},
    tree::Hash,
};
use crate::id::Seq;

/// A checkpoint that stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attested {
    /// Where its commit is.
    pub seq: Seq,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note that says it.
    pub note: Note,
}

/// The statements so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    key: Option<VerifierKey>,
    newest: Option<Attested>,
}

/// Why a statement does not follow from those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A checkpoint's fault.
    #[error("the checkpoint cannot be taken: {0}")]
    Checkpoint(#[from] checkpoint::Error),
    /// A change of the key's fault.
    #[error("the change of the checkpoint key cannot be taken: {0}")]
    KeyChange(#[from] statement::Error),
    /// The first statement does not name the first key.
    #[error("the first statement does not name the key that signs checkpoints")]
    NoKey,
    /// The change is not of the key that signs.
    #[error("the change of the checkpoint key is not one of the key that signs")]
    OtherKey,
    /// It is about more than what is before it.
    #[error("the checkpoint is of size {0}, but it stands at that size or before")]
    Ahead(u64),
    /// There is one of this size or a larger one before it.
    #[error("the checkpoint is of size {size}, but one of size {before} is before it")]
    NoGrowth {
        /// What it says.
        size: u64,
        /// What is before it.
        before: u64,
    },
    /// The root is not that of the messages before it.
    #[error("the checkpoint of size {size} has root {stated}, but the log has {found}")]
    Root {
        /// How many messages it is about.
        size: u64,
        /// What it says.
        stated: Hash,
        /// What is there.
        found: Hash,
    },
}

impl History {
    /// Goes on from what was stored.
    #[must_use]
    pub const fn from_parts(key: Option<VerifierKey>, newest: Option<Attested>) -> Self {
        Self { key, newest }
    }

    /// The key that signs now; none before the first statement.
    #[must_use]
    pub const fn key(&self) -> Option<&VerifierKey> {
        self.key.as_ref()
    }

    /// The newest checkpoint.
    #[must_use]
    pub const fn newest(&self) -> Option<&Attested> {
        self.newest.as_ref()
    }

    /// How large the tree of the newest checkpoint is; 0 before the first one.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.newest
            .as_ref()
            .map_or(0, |newest| newest.checkpoint.size)
    }

    /// Takes the statement of a commit at this place. `root` gives the root of a size that is not
    /// above the messages before it.
    ///
    /// # Errors
    /// When it does not follow, or with what `root` met.
    pub fn follow<E: From<Fault>>(
        &mut self,
        origin: &KeyName,
        seq: Seq,
        statement: &Statement,
        root: impl FnOnce(u64) -> Result<Hash, E>,
    ) -> Result<(), E> {
        let attested = match statement {
            Statement::KeyChange(note) => {
                self.key = Some(self.next_key(origin, note)?);
                return Ok(());
            }
            Statement::Checkpoint(note) => self.attested(seq, note)?,
        };
        let Checkpoint {
            size, root: stated, ..
        } = attested.checkpoint;
        let found = root(size)?;
        if found != stated {
            let fault = Fault::Root {
                size,
                stated,
                found,
            };
            return Err(fault.into());
        }
        self.newest = Some(attested);
        Ok(())
    }

    fn next_key(&self, origin: &KeyName, note: &str) -> Result<VerifierKey, Fault> {
        let note = Note::parse(note.as_bytes()).map_err(statement::Error::from)?;
        let KeyChange { old, new } = KeyChange::verified(&note, origin)?;
        match &self.key {
            None if old == new => Ok(new),
            None => Err(Fault::NoKey),
            Some(key) if *key == old && old != new => Ok(new),
            Some(_) => Err(Fault::OtherKey),
        }
    }

    fn attested(&self, seq: Seq, note: &str) -> Result<Attested, Fault> {
        let key = self.key.as_ref().ok_or(Fault::NoKey)?;
        let note = Note::parse(note.as_bytes()).map_err(checkpoint::Error::from)?;
        let checkpoint = Checkpoint::verified(&note, key)?;
        let (size, before) = (checkpoint.size, self.size());
        if size >= seq.0 {
            return Err(Fault::Ahead(size));
        }
        if size <= before {
            return Err(Fault::NoGrowth { size, before });
        }
        Ok(Attested {
            seq,
            checkpoint,
            note,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::WalletId, keys::CheckpointSeed, proof::key::Signer, subject::Generation};

    fn origin() -> KeyName {
        KeyName::origin(WalletId::from_bytes([3; 16]), Generation::FIRST)
    }

    fn signer(byte: u8) -> Signer {
        Signer::of_checkpoints(origin(), &CheckpointSeed::danger_from_bytes(&[byte; 32]))
    }

    fn root(size: u64) -> Hash {
        Hash::leaf(&size.to_be_bytes())
    }

    fn checkpoint(size: u64, byte: u8) -> Statement {
        let checkpoint = Checkpoint {
            origin: origin(),
            size,
            root: root(size),
        };
        Statement::Checkpoint(checkpoint.sign(&signer(byte)).unwrap().to_string())
    }

    fn change(old: u8, new: u8) -> Statement {
        Statement::KeyChange(
            KeyChange::sign(&signer(old), &signer(new))
                .unwrap()
                .to_string(),
        )
    }

    fn take(history: &mut History, seq: u64, statement: &Statement) -> Result<(), Fault> {
        history.follow(&origin(), Seq(seq), statement, |size| Ok(root(size)))
    }

    #[test]
    fn inv09_a_statement_that_does_not_follow_is_refused() {
        let mut history = History::default();
        assert_eq!(take(&mut history, 5, &checkpoint(4, 1)), Err(Fault::NoKey));
        assert_eq!(take(&mut history, 5, &change(1, 2)), Err(Fault::NoKey));
        take(&mut history, 5, &change(1, 1)).unwrap();
        take(&mut history, 5, &checkpoint(4, 1)).unwrap();
        let no_growth = Fault::NoGrowth { size: 4, before: 4 };
        assert_eq!(take(&mut history, 6, &checkpoint(4, 1)), Err(no_growth));
        assert_eq!(
            take(&mut history, 6, &checkpoint(6, 1)),
            Err(Fault::Ahead(6))
        );
        assert_eq!(take(&mut history, 7, &change(1, 1)), Err(Fault::OtherKey));
        assert_eq!(take(&mut history, 7, &change(2, 3)), Err(Fault::OtherKey));
        take(&mut history, 7, &change(1, 2)).unwrap();
        assert!(take(&mut history, 9, &checkpoint(8, 1)).is_err());
        let before = history.clone();
        let other = |_| Ok(Hash::empty());
        let refused = history.follow(&origin(), Seq(9), &checkpoint(8, 2), other);
        assert!(matches!(refused, Err(Fault::Root { size: 8, .. })));
        // What was refused changed nothing.
        assert_eq!(history, before);
        take(&mut history, 9, &checkpoint(8, 2)).unwrap();
        assert_eq!((history.size(), history.newest().unwrap().seq), (8, Seq(9)));
    }
}
