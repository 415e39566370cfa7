//! Checkpoints: how large the tree is, and its root (`c2sp.org/tlog-checkpoint`).

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    key::{KeyName, Signer, VerifierKey},
    note::{self, Note},
    tree::Hash,
};

/// What a checkpoint says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The log that it is of.
    pub origin: KeyName,
    /// How many leaves there are.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why something is no checkpoint of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The note's fault.
    #[error(transparent)]
    Note(#[from] note::Error),
    /// The text is not that of a checkpoint.
    #[error("it is no checkpoint")]
    Malformed,
    /// It is of another log.
    #[error("it is a checkpoint of another log")]
    Origin,
}

impl Checkpoint {
    /// Its text, which is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let root = BASE64_STANDARD.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Reads the text of a checkpoint. Lines behind the third are for extensions, which say nothing
    /// here.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut lines = text.strip_suffix('\n').ok_or(Error::Malformed)?.split('\n');
        let mut line = || lines.next().ok_or(Error::Malformed);
        let (origin, size, root) = (line()?, line()?, line()?);
        if lines.any(str::is_empty) {
            return Err(Error::Malformed);
        }
        let number: u64 = size.parse().map_err(|_| Error::Malformed)?;
        // One text for one size: no sign and no zeros before it.
        if number.to_string() != size {
            return Err(Error::Malformed);
        }
        let root = BASE64_STANDARD.decode(root).map_err(|_| Error::Malformed)?;
        let root = root.try_into().map_err(|_| Error::Malformed)?;
        Ok(Self {
            origin: KeyName::new(origin).map_err(|_| Error::Malformed)?,
            size: number,
            root: Hash::from_bytes(root),
        })
    }

    /// It as a note, signed.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> Option<Note> {
        Some(Note::new(self.text()).ok()?.sign(signer))
    }

    /// What a note says that this key signed.
    ///
    /// # Errors
    /// When it did not, or it is no checkpoint of the log that the key is named after.
    pub fn verified(note: &Note, key: &VerifierKey) -> Result<Self, Error> {
        note.verify(key)?;
        let read = Self::parse(note.text())?;
        match read.origin == *key.name() {
            true => Ok(read),
            false => Err(Error::Origin),
        }
    }
}
