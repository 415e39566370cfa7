//! Where an export ended: a small file that is replaced whole, and is on the disk before it counts.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use billfold_core::id::Seq;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::Error;

/// Where an export ended: all events up to here were handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The wallet.
    pub wallet: String,
    /// The last commit whose events were all handed over.
    pub sequence: Seq,
    /// What that commit hashes to.
    pub commit: String,
}

/// A position that no other export keeps meanwhile.
#[derive(Debug)]
pub(super) struct Kept {
    file: PathBuf,
    /// Of a file beside it, for the position itself is replaced.
    _lock: File,
}

impl Kept {
    /// Takes this file for one export.
    ///
    /// # Errors
    /// When another has it, or the file beside it cannot be made.
    pub(super) fn new(file: &Path) -> Result<Self, Error> {
        let mut beside = file.as_os_str().to_owned();
        beside.push(".lock");
        let lock = File::create(&beside).map_err(|error| failed("locked", &error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                Error::Usage("another export keeps its position in this file".to_owned())
            }
            TryLockError::Error(error) => failed("locked", &error),
        })?;
        Ok(Self {
            file: file.to_owned(),
            _lock: lock,
        })
    }

    pub(super) fn load(&self) -> Result<Option<Position>, Error> {
        Position::load(&self.file)
    }

    pub(super) fn save(&self, position: &Position) -> Result<(), Error> {
        position.save(&self.file)
    }
}

impl Position {
    /// The position in this file; none when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or holds no position: it is never taken for the beginning.
    pub fn load(file: &Path) -> Result<Option<Self>, Error> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &error)),
        };
        let position = serde_json::from_slice(&bytes);
        position
            .map(Some)
            .map_err(|_| Error::Usage("the position file holds no position".to_owned()))
    }

    /// Puts the position into this file, in place of what is there.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn save(&self, file: &Path) -> Result<(), Error> {
        self.replace(file)
            .map_err(|error| failed("written", &error))
    }

    fn replace(&self, file: &Path) -> io::Result<()> {
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut new = NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut new, self)?;
        new.write_all(b"\n")?;
        new.as_file().sync_all()?;
        new.persist(file).map_err(|error| error.error)?;
        // The new name is on the disk once the folder is.
        File::open(folder)?.sync_all()
    }
}

fn failed(what: &str, error: &io::Error) -> Error {
    Error::Machine(format!("the position file cannot be {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_export_has_a_position() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("position");
        let kept = Kept::new(&file).unwrap();
        let position = Position {
            wallet: "00".repeat(16),
            sequence: Seq(7),
            commit: "ab".repeat(32),
        };
        kept.save(&position).unwrap();
        let refused = Kept::new(&file).unwrap_err();
        assert!(matches!(refused, Error::Usage(_)), "{refused}");
        drop(kept);
        let again = Kept::new(&file).unwrap();
        assert_eq!(again.load().unwrap(), Some(position));
    }

    #[test]
    fn a_position_is_kept_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("position");
        assert_eq!(Position::load(&file).unwrap(), None);
        let mut position = Position {
            wallet: "00".repeat(16),
            sequence: Seq(7),
            commit: "ab".repeat(32),
        };
        for sequence in [7, 8] {
            position.sequence = Seq(sequence);
            position.save(&file).unwrap();
            assert_eq!(Position::load(&file).unwrap(), Some(position.clone()));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        for bad in ["", "{}", "7", "{\"wallet\":\"\",\"sequence\":1}"] {
            fs::write(&file, bad).unwrap();
            let refused = Position::load(&file).unwrap_err();
            assert!(matches!(refused, Error::Usage(_)), "{bad}: {refused}");
        }
    }
}
