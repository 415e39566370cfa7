//! The wallet's own keys: status, rotation, retirement.

use serde::{Deserialize, Serialize};

use super::{Answer, Client, Error, Method, Request, answer::read};

const KEY_STATUS: [&str; 4] = ["api", "internal", "wallet", "key-status"];
const ROTATE: [&str; 4] = ["api", "internal", "wallet", "rotate-kek"];
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

    /// Makes a new KEK version the current one; its number.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn rotate_kek(&self) -> Result<u32, Error> {
        let answer = self.send(Request::new(Method::Post, ROTATE)).await?;
        Ok(read::<Rotated>(answer.text()?)?.version)
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
