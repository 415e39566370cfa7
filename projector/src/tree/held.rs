//! Checkpoints that are kept outside the log: what was attested once must be there for ever.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use billfold_core::proof::{Checkpoint, KeyName, Note};

use super::{Error, Tree};

/// A checkpoint that is kept.
#[derive(Debug, Clone)]
pub struct Held {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note that says it.
    pub note: Note,
}

impl Held {
    /// Reads a note that is a checkpoint of this log. Its signatures are not looked at.
    #[must_use]
    pub fn parse(bytes: &[u8], origin: &KeyName) -> Option<Self> {
        let note = Note::parse(bytes).ok()?;
        let checkpoint = Checkpoint::parse(note.text()).ok()?;
        (checkpoint.origin == *origin).then_some(Self { checkpoint, note })
    }
}

/// Where checkpoints are kept: one file that always has the newest, or a folder with a file for each
/// and one named `latest`.
#[derive(Debug, Clone)]
pub struct Kept {
    path: PathBuf,
}

/// The file with the newest checkpoint in a folder of checkpoints.
const LATEST: &str = "latest";

impl Kept {
    /// In this file, or in this folder if it is one.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    fn newest(&self) -> PathBuf {
        match self.path.is_dir() {
            true => self.path.join(LATEST),
            false => self.path.clone(),
        }
    }

    /// The newest one that is kept, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no checkpoint of this log.
    pub fn read(&self, origin: &KeyName) -> io::Result<Option<Held>> {
        match fs::read(self.newest()) {
            Ok(bytes) => match Held::parse(&bytes, origin) {
                Some(held) => Ok(Some(held)),
                None => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it holds no checkpoint of this log",
                )),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps a checkpoint, unless a larger one is kept there: another node may be ahead.
    ///
    /// # Errors
    /// When it cannot be written, or what is there is no checkpoint of this log.
    pub fn write(&self, held: &Held) -> io::Result<()> {
        let size = held.checkpoint.size;
        if self
            .read(&held.checkpoint.origin)?
            .is_some_and(|kept| kept.checkpoint.size >= size)
        {
            return Ok(());
        }
        let text = held.note.to_string();
        if self.path.is_dir() {
            // Fixed width, so that names sort as sizes do.
            replace(&self.path.join(format!("{size:020}")), text.as_bytes())?;
        }
        replace(&self.newest(), text.as_bytes())
    }

    /// The path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Puts a file in the place of another, whole or not at all, and durably.
///
/// # Errors
/// When it cannot be written.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write as _;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = file
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    let mut prefix = name.to_owned();
    prefix.push(".");
    // Several nodes may write to one folder: each has a half of its own. Who may read it is said by the
    // umask, as of any file.
    let mut half = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".half")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    half.write_all(bytes)?;
    half.as_file().sync_all()?;
    half.persist(file).map_err(|error| error.error)?;
    // The new name is on the disk once the folder is.
    fs::File::open(folder)?.sync_all()
}

impl Tree {
    /// Holds the log to a checkpoint that is kept. Says whether the tree is large enough to tell.
    ///
    /// # Errors
    /// When the log is another one, or the tree is damaged.
    pub fn holds(&self, held: &Held) -> Result<bool, Error> {
        let Checkpoint { size, root, .. } = held.checkpoint;
        if size > self.status().size() {
            return Ok(false);
        }
        let found = self.root::<Error>(size)?;
        match found == root {
            true => Ok(true),
            false => Err(Error::Evidence(format!(
                "the checkpoint that is kept says that its first {size} messages have root {root}, \
                 but they have {found}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn several_that_replace_one_file_leave_it_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("latest");
        thread::scope(|scope| {
            for writer in b'a'..=b'd' {
                let file = &file;
                scope.spawn(move || {
                    for length in 1..=25 {
                        replace(file, &vec![writer; length * 1000]).unwrap();
                        let there = fs::read(file).unwrap();
                        assert!(there.iter().all(|byte| *byte == there[0]));
                        assert_eq!(there.len() % 1000, 0);
                    }
                });
            }
        });
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no halves are left");
    }

    #[test]
    fn a_file_that_was_replaced_may_be_read_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("latest"), dir.path().join("other"));
        replace(&file, b"x").unwrap();
        fs::File::create(&other).unwrap();
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&other));
    }
}
