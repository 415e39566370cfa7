//! What a witness signed last: a file that is replaced as a whole, locked while a witness works.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use billfold_core::proof::{Checkpoint, Note};
use billfold_projector::tree;

use crate::Error;

/// The memory of a witness. Only one witness has it.
#[derive(Debug)]
pub struct Memory {
    file: PathBuf,
    last: Option<Note>,
    _lock: File,
}

impl Memory {
    /// Opens it, empty if it is not there.
    ///
    /// # Errors
    /// When another witness has it, it cannot be read, or it holds no checkpoint.
    pub fn open(file: &Path) -> Result<Self, Error> {
        let failed = |why: &dyn std::fmt::Display| {
            Error::Machine(format!("the witness's memory {}: {why}", file.display()))
        };
        let mut beside = file.as_os_str().to_owned();
        beside.push(".lock");
        let lock = File::create(&beside).map_err(|error| failed(&error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => failed(&"another witness works with it"),
            TryLockError::Error(error) => failed(&error),
        })?;
        let last = match fs::read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&error)),
            Ok(bytes) => {
                let note = Note::parse(&bytes).ok();
                let note = note.filter(|note| Checkpoint::parse(note.text()).is_ok());
                Some(note.ok_or_else(|| failed(&"it holds no checkpoint"))?)
            }
        };
        Ok(Self {
            file: file.to_owned(),
            last,
            _lock: lock,
        })
    }

    /// The last checkpoint.
    #[must_use]
    pub const fn last(&self) -> Option<&Note> {
        self.last.as_ref()
    }

    /// Remembers a checkpoint; it is on stable storage when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&mut self, note: &Note) -> Result<(), Error> {
        if self.last.as_ref() == Some(note) {
            return Ok(());
        }
        tree::replace(&self.file, note.to_string().as_bytes()).map_err(|error| {
            let file = self.file.display();
            Error::Machine(format!(
                "the witness's memory {file} cannot be written: {error}"
            ))
        })?;
        self.last = Some(note.clone());
        Ok(())
    }
}
