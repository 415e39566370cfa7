//! The wallet is moved to another key manager, or to another key.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use super::{Client, Error, Method, Request, answer::read};

const PATH: [&str; 4] = ["api", "internal", "wallet", "key-manager"];

/// How far a change of the key manager is, or what came of it.
#[derive(Deserialize)]
pub struct KeyManagerChange {
    /// `none`, `permit` and `confirm` while shares are awaited, `done`.
    pub step: String,
    /// The wallet's key manager.
    pub key_manager: String,
    /// The unseal generation that it opens.
    pub generation: u32,
    /// The key manager that the server's settings name as the next one.
    pub next: Option<String>,
    /// What tells this change from others.
    pub nonce: Option<String>,
    /// How many shares of the step there are.
    pub progress: Option<u8>,
    /// How many it takes.
    pub required: Option<u8>,
    /// The new shares, told once.
    #[serde(default)]
    pub shares: Vec<String>,
}

impl fmt::Debug for KeyManagerChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, shares) = (&self.step, self.shares.len());
        write!(f, "KeyManagerChange({step}, {shares} shares)")
    }
}

impl Drop for KeyManagerChange {
    fn drop(&mut self) {
        self.shares.zeroize();
    }
}

#[derive(Serialize)]
struct Begin {
    shares: Option<u16>,
    threshold: Option<u16>,
}

#[derive(Serialize)]
struct Share<'a> {
    nonce: &'a str,
    key: &'a str,
}

impl Client {
    /// How far the change of the key manager is.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn key_manager(&self) -> Result<KeyManagerChange, Error> {
        let answer = self.send(Request::get(PATH)).await?;
        read(answer.text()?)
    }

    /// Begins a change of the key manager, with so many new shares if there are to be any.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn change_key_manager(
        &self,
        counts: Option<(u16, u16)>,
    ) -> Result<KeyManagerChange, Error> {
        let begin = Begin {
            shares: counts.map(|(shares, _)| shares),
            threshold: counts.map(|(_, threshold)| threshold),
        };
        let request = Request::new(Method::Post, PATH).json(&begin);
        read(self.send(request).await?.text()?)
    }

    /// Hands in a share for a change of the key manager.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn share_for_key_manager(
        &self,
        nonce: &str,
        key: &str,
    ) -> Result<KeyManagerChange, Error> {
        let request = Request::new(Method::Post, PATH).json(&Share { nonce, key });
        read(self.send(request).await?.text()?)
    }

    /// Gives a change of the key manager up.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn cancel_key_manager(&self) -> Result<(), Error> {
        self.send(Request::new(Method::Delete, PATH)).await?;
        Ok(())
    }
}
