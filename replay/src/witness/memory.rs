//! What a witness signed last: a file that is replaced as a whole, locked while a witness works. That
//! it signed anything stands in the file that is locked, too: a memory that is lost is not begun anew
//! without a word.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
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
    lock: File,
    used: bool,
}

/// What the file that is locked holds once something was signed.
const USED: &[u8] = b"billfold witness: it signed\n";

impl Memory {
    /// Opens it, empty if there was none before.
    ///
    /// # Errors
    /// When another witness has it, it cannot be read or is lost, or it holds no checkpoint.
    pub fn open(file: &Path) -> Result<Self, Error> {
        let failed = |why: &dyn std::fmt::Display| {
            Error::Machine(format!("the witness's memory {}: {why}", file.display()))
        };
        // A link leads to where it is to be kept.
        let file = &fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let mut beside = file.as_os_str().to_owned();
        beside.push(".lock");
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(&beside).map_err(|error| failed(&error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => failed(&"another witness works with it"),
            TryLockError::Error(error) => failed(&error),
        })?;
        let mut used = Vec::new();
        lock.read_to_end(&mut used)
            .map_err(|error| failed(&error))?;
        let last = match fs::read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && used.is_empty() => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let beside = Path::new(&beside).display();
                return Err(failed(&format_args!(
                    "it is gone, though checkpoints were signed; to forget them, remove {beside}"
                )));
            }
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
            used: !used.is_empty(),
            lock,
        })
    }

    /// The last checkpoint.
    #[must_use]
    pub const fn last(&self) -> Option<&Note> {
        self.last.as_ref()
    }

    /// Remembers a checkpoint, unless it is the last one; it is on stable storage when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&mut self, note: &Note) -> Result<(), Error> {
        if self
            .last
            .as_ref()
            .is_some_and(|last| last.text() == note.text())
        {
            return Ok(());
        }
        self.write(note).map_err(|error| {
            let file = self.file.display();
            Error::Machine(format!(
                "the witness's memory {file} cannot be written: {error}"
            ))
        })?;
        self.last = Some(note.clone());
        Ok(())
    }

    fn write(&mut self, note: &Note) -> io::Result<()> {
        tree::replace(&self.file, note.to_string().as_bytes())?;
        if !self.used {
            self.lock.write_all(USED)?;
            self.lock.sync_all()?;
            self.used = true;
        }
        Ok(())
    }
}
