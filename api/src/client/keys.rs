//! The wallet's own keys: status, rotation, retirement.

use serde::{Deserialize, Serialize};

use super::{Answer, Client, Error, Method, Request, answer::read};

const KEY_STATUS: [&str; 4] = ["api", "internal", "wallet", "key-status"];
const ROTATE: [&str; 4] = ["api", "internal", "wallet", "rotate-kek"];
const EXPOSED: [&str; 4] = ["api", "internal", "wallet", "exposed"];
const RETIRE: [&str; 4] = ["api", "internal", "wallet", "retire-kek"];

/// The wallet's keys, as far as the commands show them.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyStatus {
    /// The KEK version under which new keys are wrapped.
    pub current: u32,
    /// The KEK versions, oldest first.
    pub versions: Vec<KekStatus>,
    /// What is left to be rewrapped.
    pub rewrap: RewrapStatus,
    /// How far keys are gone that were given up.
    pub erasures: ErasureStatus,
}

/// A KEK version.
#[derive(Debug, Clone, Deserialize)]
pub struct KekStatus {
    /// Its number.
    pub version: u32,
    /// What can be done with it: `current`, `decrypt-only`, `retired`, `destroyed`.
    pub state: String,
    /// The key manager above it.
    pub provider: String,
    /// The unseal generation above it.
    pub generation: u32,
    /// How many keys under it are in use.
    pub live: u64,
    /// How many keys under it are to be destroyed.
    pub dying: u64,
    /// How many keys are made ahead under it.
    pub pooled: u64,
    /// When it was made.
    pub created: String,
}

/// What is left to be rewrapped.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct RewrapStatus {
    /// So many keys.
    pub keys: u64,
    /// So many seconds are needed at least, if that is known.
    pub estimate_seconds: Option<u64>,
}

/// How far keys are gone that were given up.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ErasureStatus {
    /// Still in the key store.
    pub destroying: u64,
    /// Gone from the key store, but perhaps not from a backup of it.
    pub pending: u64,
    /// Gone from every copy.
    pub complete: u64,
}

#[derive(Deserialize)]
struct Rotated {
    version: u32,
}

/// A secret that is to be changed at its source.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct ExposedSecret {
    /// The path of its mount.
    pub mount: String,
    /// Its path there; none if that is erased.
    pub path: Option<String>,
    /// The version that may be known to others.
    pub version: u32,
}

#[derive(Deserialize)]
struct ExposedPage {
    secrets: Vec<ExposedSecret>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Rotation {
    compromised: bool,
}

#[derive(Serialize)]
struct Version {
    version: u32,
}

impl Client {
    /// The status of the wallet's keys; the answer's body is JSON.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn key_status(&self) -> Result<(KeyStatus, Answer), Error> {
        let answer = self.send(Request::get(KEY_STATUS)).await?;
        Ok((read(answer.text()?)?, answer))
    }

    /// Makes a new KEK version the current one; its number. With `compromised`, what is under those
    /// before is sealed anew.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn rotate_kek(&self, compromised: bool) -> Result<u32, Error> {
        let request = Request::new(Method::Post, ROTATE).json(&Rotation { compromised });
        let answer = self.send(request).await?;
        Ok(read::<Rotated>(answer.text()?)?.version)
    }

    /// The secrets that are to be changed at their source after a compromise: a page of them behind
    /// `after`, and where the next one begins.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn exposed(
        &self,
        after: Option<&str>,
    ) -> Result<(Vec<ExposedSecret>, Option<String>), Error> {
        let request = Request::get(EXPOSED);
        let answer = match after {
            None => self.send(request).await?,
            Some(after) => self.send(request.query("after", after)).await?,
        };
        let page: ExposedPage = read(answer.text()?)?;
        Ok((page.secrets, page.next))
    }

    /// Lets a KEK version and all before it be destroyed.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn retire_keks(&self, version: u32) -> Result<(), Error> {
        let request = Request::new(Method::Post, RETIRE).json(&Version { version });
        self.send(request).await?;
        Ok(())
    }
}
