//! Asks a server for its newest checkpoint, and for what leads to it from the last one.

use std::{fs, path::Path, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use billfold_core::proof::{Hash, Note};
use reqwest::{Certificate, Client, StatusCode};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Shown, size_of};
use crate::Error;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 1 << 20;
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
struct Consistency {
    proof: Vec<String>,
}

impl Server {
    /// A server at this URL, with the token in this file.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn new(url: &str, token_file: &Path, ca_file: Option<&Path>) -> Result<Self, Error> {
        let unread = |file: &Path, error: &dyn std::fmt::Display| {
            Error::Usage(format!("{}: {error}", file.display()))
        };
        let text = Zeroizing::new(
            fs::read_to_string(token_file).map_err(|error| unread(token_file, &error))?,
        );
        let mut builder = Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(file) = ca_file {
            let pem = fs::read(file).map_err(|error| unread(file, &error))?;
            let trusted =
                Certificate::from_pem_bundle(&pem).map_err(|error| unread(file, &error))?;
            builder = builder.tls_certs_only(trusted);
        }
        Ok(Self {
            http: builder.build().map_err(|error| unreachable(&error))?,
            url: url.trim_end_matches('/').to_owned(),
            token: Zeroizing::new(text.trim_end().to_owned()),
        })
    }

    /// The newest checkpoint, and what leads to it.
    ///
    /// # Errors
    /// When the server does not answer, or with something else.
    pub async fn show(&self, last: Option<&Note>) -> Result<Shown, Error> {
        let other = || Error::Unreachable("the server answers something else".to_owned());
        let note = self.ask("checkpoint?format=note").await?;
        let note = Note::parse(&note).map_err(|_| other())?;
        let (from, to) = (last.map_or(0, size_of), size_of(&note));
        let mut proof = Vec::new();
        if 0 < from && from < to {
            let answer = self
                .ask(&format!("consistency?from={from}&to={to}"))
                .await?;
            let told: Consistency = serde_json::from_slice(&answer).map_err(|_| other())?;
            if told.proof.len() > LONGEST {
                return Err(other());
            }
            for hash in told.proof {
                let bytes = BASE64_STANDARD.decode(hash).map_err(|_| other())?;
                proof.push(Hash::from_bytes(bytes.try_into().map_err(|_| other())?));
            }
        }
        Ok(Shown {
            note,
            proof: Some(proof),
        })
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

/// Without the URL, which may hold a password.
fn unreachable(error: &reqwest::Error) -> Error {
    let why = match error {
        error if error.is_timeout() => "it does not answer in time",
        error if error.is_connect() => "no connection can be made",
        _ => "the connection failed",
    };
    Error::Unreachable(format!("the server cannot be asked: {why}"))
}
