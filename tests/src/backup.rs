//! Copies of what holds a log, to be put back later.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::wallet::Wallet;

/// The embedded log and its keys.
const FILES: [&str; 2] = ["log.redb", "keys.redb"];

/// A copy of what holds the log and its keys, of a node that does not run.
#[derive(Debug)]
pub struct LogCopy(TempDir);

impl LogCopy {
    /// Makes one. A NATS server is stopped for it, and runs again.
    pub fn of(wallet: &mut Wallet) -> Self {
        let Some(nats) = &mut wallet.nats else {
            return Self::of_folder(wallet.node.data_dir());
        };
        let copy = tempfile::tempdir().expect("a temporary folder");
        nats.stop();
        copy_folder(nats.store(), &copy.path().join("store"));
        nats.run();
        Self(copy)
    }

    /// Makes one of the embedded log in a folder.
    pub fn of_folder(folder: &Path) -> Self {
        let copy = Self(tempfile::tempdir().expect("a temporary folder"));
        for file in FILES {
            fs::copy(folder.join(file), copy.0.path().join(file)).expect("a file of the log");
        }
        copy
    }

    /// Puts it in place of what is there.
    pub fn back(&self, wallet: &mut Wallet) {
        if let Some(nats) = &mut wallet.nats {
            nats.stop();
            fs::remove_dir_all(nats.store()).expect("the store can be removed");
            copy_folder(&self.0.path().join("store"), nats.store());
            nats.run();
        } else {
            self.files_into(wallet.node.data_dir());
        }
    }

    /// Puts the files of an embedded log into a folder.
    pub fn files_into(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("the folder can be made");
        for file in FILES {
            fs::copy(self.0.path().join(file), folder.join(file)).expect("a file of the copy");
        }
    }
}

/// Copies a folder and all below it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file can be copied");
        }
    }
}
