//! Asks a server for its newest checkpoint, and for what leads to it from the last one.

use std::{fs, path::Path, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use billfold_core::proof::{Hash, Note, VerifierKey, statement::KeyChange};
use reqwest::{Certificate, Client, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::{Shown, size_of};
use crate::Error;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to come to where another one was.
const BEHIND: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 16 << 20;
/// How many hashes a proof has at most.
const LONGEST: usize = 130;

/// A server of the wallet.
pub struct Server {
    http: Client,
    url: String,
    token: Zeroizing<String>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

#[derive(Deserialize)]
struct Newest {
    note: Option<String>,
    #[serde(default)]
    key_changes: Vec<String>,
}

#[derive(Deserialize)]
struct Consistency {
    proof: Vec<String>,
}

fn other() -> Error {
    Error::Unreachable("the server answers something else".to_owned())
}

impl Server {
    /// A server at this URL, with the token in this file.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn new(url: &str, token_file: &Path, ca_file: Option<&Path>) -> Result<Self, Error> {
        if !is_guarded(url) {
            let why = "the server's URL is https://…, or http://… on this machine";
            return Err(Error::Usage(why.to_owned()));
        }
        let text = fs::read_to_string(token_file);
        let text = text.map_err(|error| Error::unread("--token-file", token_file, &error))?;
        let text = Zeroizing::new(text);
        let mut builder = Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(file) = ca_file {
            let option = "--ca-file";
            let pem = fs::read(file).map_err(|error| Error::unread(option, file, &error))?;
            let trusted = Certificate::from_pem_bundle(&pem);
            let trusted = trusted.map_err(|error| Error::unfit(option, file, &error))?;
            builder = builder.tls_certs_only(trusted);
        }
        Ok(Self {
            http: builder.build().map_err(|error| unreachable(&error))?,
            url: url.trim_end_matches('/').to_owned(),
            token: Zeroizing::new(text.trim_end().to_owned()),
        })
    }

    /// The newest checkpoint, and the keys that sign: the one that is known, and those that it gave way
    /// to. A server that tells a smaller one than `at_least` is given a while: it may be behind another.
    ///
    /// # Errors
    /// When the server does not answer, or with something else.
    pub async fn newest(
        &self,
        key: &VerifierKey,
        at_least: u64,
    ) -> Result<(Note, Vec<VerifierKey>), Error> {
        let until = Instant::now() + BEHIND;
        loop {
            let newest = self.ask("checkpoint").await?;
            let newest: Newest = serde_json::from_slice(&newest).map_err(|_| other())?;
            let none = || Error::Unreachable("there is no checkpoint yet".to_owned());
            let note = newest.note.ok_or_else(none)?;
            let note = Note::parse(note.as_bytes()).map_err(|_| other())?;
            if size_of(&note) >= at_least || Instant::now() >= until {
                let changes = newest.key_changes.iter();
                let changes = changes.filter_map(|note| Note::parse(note.as_bytes()).ok());
                let keys = followed(key, changes);
                return Ok((note.only(&keys), keys));
            }
            sleep(PAUSE).await;
        }
    }

    /// The newest checkpoint with what leads to it from the last one, and the keys that sign.
    ///
    /// # Errors
    /// When the server does not answer, or with something else.
    pub async fn show(
        &self,
        last: Option<&Note>,
        key: &VerifierKey,
    ) -> Result<(Shown, Vec<VerifierKey>), Error> {
        let from = last.map_or(0, size_of);
        let (note, keys) = self.newest(key, from).await?;
        let to = size_of(&note);
        let proof = match 0 < from && from < to {
            true => self.consistency(from, to).await?,
            false => Vec::new(),
        };
        let shown = Shown {
            note,
            proof: Some(proof),
        };
        Ok((shown, keys))
    }

    /// What leads from the first `from` messages to the first `to`.
    ///
    /// # Errors
    /// When the server does not answer, or with something else.
    pub async fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, Error> {
        let answer = self
            .ask(&format!("consistency?from={from}&to={to}"))
            .await?;
        let told: Consistency = serde_json::from_slice(&answer).map_err(|_| other())?;
        if told.proof.len() > LONGEST {
            return Err(other());
        }
        let hashes = told.proof.iter().map(|hash| {
            let bytes = BASE64_STANDARD.decode(hash).ok()?;
            Some(Hash::from_bytes(bytes.try_into().ok()?))
        });
        hashes.collect::<Option<_>>().ok_or_else(other)
    }

    async fn ask(&self, what: &str) -> Result<Vec<u8>, Error> {
        let request = self
            .http
            .get(format!("{}/api/audit/{what}", self.url))
            .header("X-Vault-Token", self.token.as_str());
        let mut answer = request.send().await.map_err(|error| unreachable(&error))?;
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            return Err(Error::Unreachable(format!("the server answers {status}")));
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            body.extend_from_slice(&part);
            if body.len() > LARGEST {
                return Err(Error::Unreachable("the server answers too much".to_owned()));
            }
        }
        Ok(body)
    }
}

/// The keys that sign, from this one on: each change that is counted is signed by the key before it,
/// and by the one after it.
fn followed(key: &VerifierKey, changes: impl Iterator<Item = Note>) -> Vec<VerifierKey> {
    let mut keys = vec![key.clone()];
    for note in changes {
        let Ok(change) = KeyChange::verified(&note, key.name()) else {
            continue;
        };
        if keys.last() == Some(&change.old) && change.old != change.new {
            keys.push(change.new);
        }
    }
    keys
}

/// A token goes over plain HTTP to this machine alone.
fn is_guarded(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let is_here = match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.parse()
                .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        None => false,
    };
    url.scheme() == "https" || is_here
}

/// Without the URL, which may hold a password.
pub(super) fn unreachable(error: &reqwest::Error) -> Error {
    let why = match error {
        error if error.is_timeout() => "it does not answer in time",
        error if error.is_connect() => "no connection can be made",
        _ => "the connection failed",
    };
    Error::Unreachable(format!("the server cannot be asked: {why}"))
}
