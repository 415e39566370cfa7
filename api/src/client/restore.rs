//! Restoring secrets to what they said at a moment of the past.

use serde::{Deserialize, Serialize};

use super::{Answer, Client, Error, Method, Request, answer::read};

const RESTORE: [&str; 4] = ["api", "internal", "wallet", "restore"];

/// What is to be restored.
#[derive(Debug, Clone, Serialize)]
pub struct Restore {
    /// A sequence, a time of RFC 3339, or a time in milliseconds since 1970.
    pub at: String,
    /// Paths of secrets, with their mounts, and of folders, with a slash at the end.
    pub paths: Vec<String>,
    /// Whether it is only to be told what would be done.
    pub dry_run: bool,
}

/// What a restoration did, or would do.
#[derive(Debug, Clone, Deserialize)]
pub struct Restored {
    /// The secrets with new versions.
    pub restored: Vec<NewVersion>,
    /// Those whose current version says the same.
    pub unchanged: Vec<Unchanged>,
    /// Those in a folder that had no value then.
    pub left: Vec<Left>,
}

/// A secret with a new version.
#[derive(Debug, Clone, Deserialize)]
pub struct NewVersion {
    /// Its path, with the mount.
    pub path: String,
    /// The version of the past that it says again.
    pub from: u32,
    /// The new version, if it was written.
    pub version: Option<u32>,
}

/// A secret that says what it said.
#[derive(Debug, Clone, Deserialize)]
pub struct Unchanged {
    /// Its path, with the mount.
    pub path: String,
    /// Its current version.
    pub version: u32,
}

/// A secret that is left as it is.
#[derive(Debug, Clone, Deserialize)]
pub struct Left {
    /// Its path, with the mount.
    pub path: String,
    /// Why.
    pub why: String,
}

impl Client {
    /// Writes what secrets said at a moment as new versions, all or none; the answer's body is JSON.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn restore(&self, wanted: &Restore) -> Result<(Restored, Answer), Error> {
        let request = Request::new(Method::Post, RESTORE).json(wanted);
        let answer = self.send(request).await?;
        Ok((read(answer.text()?)?, answer))
    }
}
