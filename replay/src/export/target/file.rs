//! A file that whole lines are appended to by one export alone, and that may be moved away or cut meanwhile.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

/// How much is read at once to find where the last line ends.
const BLOCK: u64 = 64 << 10;

/// The file, and what it begins with.
#[derive(Debug)]
pub(super) struct Appended {
    path: PathBuf,
    header: Option<String>,
    end: &'static str,
    file: File,
}

impl Appended {
    /// Opens the file, or makes it. A line that a crash left unfinished is cut off: it comes again.
    pub(super) fn open(
        path: PathBuf,
        header: Option<String>,
        end: &'static str,
    ) -> io::Result<Self> {
        let file = open(&path)?;
        Ok(Self {
            path,
            header,
            end,
            file,
        })
    }

    /// Appends lines, and returns once they are on the disk: all of them, or none.
    pub(super) fn append<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> io::Result<()> {
        self.follow_the_name()?;
        let length = self.file.metadata()?.len();
        let mut text = String::new();
        if length == 0 {
            text.push_str(self.header.as_deref().unwrap_or_default());
        }
        for line in lines {
            text.push_str(line);
            text.push_str(self.end);
        }
        let written = self.file.write_all(text.as_bytes());
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // On a disk that is full, a part of it may be there.
            self.file.set_len(length)?;
            return Err(error);
        }
        Ok(())
    }

    /// Whoever rotates files moves them away: then the name belongs to another file, or to none.
    fn follow_the_name(&mut self) -> io::Result<()> {
        let open_one = self.file.metadata()?;
        let is_it = match std::fs::metadata(&self.path) {
            Ok(named) => (named.dev(), named.ino()) == (open_one.dev(), open_one.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_it {
            self.file = open(&self.path)?;
        }
        Ok(())
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.is_file() {
        // What another export is writing is no line that a crash left. The lock goes where the file is moved.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another export writes to it")
            }
            TryLockError::Error(error) => error,
        })?;
        let length = file.metadata()?.len();
        let whole = whole_lines(&mut file, length)?;
        if whole < length {
            file.set_len(whole)?;
        }
        // A file whose name is not on the disk is lost with it.
        if let Some(folder) = path.parent().filter(|folder| folder.is_dir()) {
            File::open(folder)?.sync_all()?;
        }
    }
    Ok(file)
}

/// Up to where a file has whole lines.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        io::Read::by_ref(file)
            .take(end - start)
            .read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_are_whole_whatever_happens_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let read = || fs::read_to_string(&path).unwrap();
        fs::write(&path, "whole\nhal").unwrap();
        let header = Some("head\n".to_owned());
        let mut file = Appended::open(path.clone(), header, "\n").unwrap();
        assert_eq!(read(), "whole\n");
        file.append(["a", "b"].into_iter()).unwrap();
        assert_eq!(read(), "whole\na\nb\n");
        // Moved away: the name gets a new file.
        fs::rename(&path, dir.path().join("out.1")).unwrap();
        file.append(["c"].into_iter()).unwrap();
        assert_eq!(read(), "head\nc\n");
        assert!(
            fs::read_to_string(dir.path().join("out.1"))
                .unwrap()
                .ends_with("b\n")
        );
        // Moved away, and another put there.
        fs::rename(&path, dir.path().join("out.2")).unwrap();
        fs::write(&path, "mine\n").unwrap();
        file.append(["d"].into_iter()).unwrap();
        assert_eq!(read(), "mine\nd\n");
        // Copied, and cut.
        fs::write(&path, "").unwrap();
        file.append(["e"].into_iter()).unwrap();
        assert_eq!(read(), "head\ne\n");
        drop(file);
        let long = "x".repeat(3 * BLOCK as usize);
        fs::write(&path, format!("a\n{long}")).unwrap();
        Appended::open(path.clone(), None, "\n").unwrap();
        assert_eq!(read(), "a\n");
    }

    #[test]
    fn nobody_else_writes_to_the_file_wherever_it_is_moved() {
        let dir = tempfile::tempdir().unwrap();
        let [path, moved] = ["out", "moved"].map(|name| dir.path().join(name));
        let open = |path: &PathBuf| Appended::open(path.clone(), None, "\n");
        let mut file = open(&path).unwrap();
        fs::write(&path, "whole\nhal").unwrap();
        let refused = open(&path).unwrap_err();
        assert_eq!(refused.to_string(), "another export writes to it");
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nhal");
        fs::rename(&path, &moved).unwrap();
        assert!(open(&moved).is_err());
        file.append(["a"].into_iter()).unwrap();
        assert!(open(&path).is_err());
        open(&moved).unwrap();
        drop(file);
        open(&path).unwrap();
    }
}
