//! A small disk that a test can fill.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A mounted tmpfs. It is unmounted when this is dropped.
#[derive(Debug)]
pub struct Tmpfs {
    dir: TempDir,
}

impl Tmpfs {
    /// Mounts one of some size, or says why it cannot.
    ///
    /// # Errors
    /// When this user may not mount. A test that cannot run for this alone says so and passes;
    /// root must be able to.
    pub fn mount(kibibytes: usize) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let output = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={kibibytes}k,mode=0700"),
                "tmpfs",
            ])
            .arg(dir.path())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Self { dir })
    }

    /// Mounts one, or tells loudly that the test does not run.
    ///
    /// # Panics
    /// When root cannot mount.
    pub fn mount_or_skip(kibibytes: usize) -> Option<Self> {
        let root = fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        match Self::mount(kibibytes) {
            Ok(disk) => Some(disk),
            Err(why) if root => panic!("root cannot mount a tmpfs: {why}"),
            Err(why) => {
                eprintln!("NOT TESTED: a full disk. This user cannot mount a tmpfs: {why}");
                None
            }
        }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all the space that is left.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.ballast()).expect("a file on the small disk");
        for size in [64 << 10, 4 << 10, 512, 1] {
            let block = vec![0xff; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Gives the space back.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("the small disk was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.dir.path().join("ballast")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a server that was just killed may still hold a file.
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.dir.path())
            .status();
    }
}
