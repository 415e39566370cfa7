//! Asks a witness over `c2sp.org/tlog-witness` to cosign a checkpoint.

use std::time::Duration;

use billfold_core::proof::{
    Checkpoint, Hash, Note, Submission, VerifierKey,
    note::{LARGEST, Signature},
};
use reqwest::{Client, Response, StatusCode};

use super::server::{Server, unreachable};
use crate::Error;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a witness is asked that is asked by others meanwhile.
const TRIES: u32 = 5;

/// A witness that serves `add-checkpoint`.
#[derive(Debug)]
pub struct Remote {
    http: Client,
    url: String,
    key: VerifierKey,
}

/// What a witness answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// It signed.
    Cosigned(Signature),
    /// It says that it saw a checkpoint of this size, above that of the one that it is shown.
    SawMore(u64),
    /// It says that what it is shown did not grow out of what it saw.
    Forked,
}

enum Told {
    Final(Reply),
    /// The last that it saw is of this size.
    Size(u64),
}

impl Remote {
    /// A witness at this URL, whose signatures are checked with this key.
    ///
    /// # Errors
    /// When this machine has no way to ask.
    pub fn new(url: &str, key: VerifierKey) -> Result<Self, Error> {
        let builder = Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        Ok(Self {
            http: builder.build().map_err(|error| unreachable(&error))?,
            url: url.trim_end_matches('/').to_owned(),
            key,
        })
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Has it cosign a checkpoint of this server.
    ///
    /// # Errors
    /// When it, or the server, does not answer, or with something else.
    pub async fn cosign(&self, server: &Server, note: &Note) -> Result<Reply, Error> {
        let size = Checkpoint::parse(note.text()).map_or(0, |checkpoint| checkpoint.size);
        let mut old = 0;
        for _ in 0..TRIES {
            let proof = match 0 < old && old < size {
                true => server.consistency(old, size).await?,
                false => Vec::new(),
            };
            match self.submit(old, proof, note).await? {
                Told::Size(seen) if seen > size => return Ok(Reply::SawMore(seen)),
                // What is of the size that it saw has another root.
                Told::Size(seen) if seen == old && seen == size => return Ok(Reply::Forked),
                Told::Size(seen) => old = seen,
                Told::Final(reply) => return Ok(reply),
            }
        }
        Err(Error::Unreachable(
            "the witness is shown other checkpoints all the time".to_owned(),
        ))
    }

    async fn submit(&self, old: u64, proof: Vec<Hash>, note: &Note) -> Result<Told, Error> {
        let submission = Submission {
            old,
            proof,
            checkpoint: note.clone(),
        };
        let request = self.http.post(format!("{}/add-checkpoint", self.url));
        let answer = request.body(submission.to_string()).send().await;
        let answer = answer.map_err(|error| unreachable(&error))?;
        let other = || Error::Unreachable("the witness answers something else".to_owned());
        match answer.status() {
            StatusCode::OK => {
                let lines = body(answer).await?;
                let cosigned = self.cosigned(note, &lines).ok_or_else(other)?;
                Ok(Told::Final(Reply::Cosigned(cosigned)))
            }
            StatusCode::CONFLICT => {
                let size = body(answer).await?;
                let size = size.strip_suffix('\n').and_then(|size| size.parse().ok());
                Ok(Told::Size(size.ok_or_else(other)?))
            }
            StatusCode::UNPROCESSABLE_ENTITY => Ok(Told::Final(Reply::Forked)),
            StatusCode::NOT_FOUND => Err(Error::Unreachable(
                "the witness does not know this log".to_owned(),
            )),
            StatusCode::FORBIDDEN => Err(Error::Unreachable(
                "the witness does not trust the key that signed".to_owned(),
            )),
            status => Err(Error::Unreachable(format!("the witness answers {status}"))),
        }
    }

    /// This witness's signature, if it is good.
    pub(super) fn cosigned(&self, note: &Note, lines: &str) -> Option<Signature> {
        let answered = Note::parse(format!("{}\n{lines}", note.text()).as_bytes()).ok()?;
        // What is not a row of signatures would be another text.
        let answered = Some(answered).filter(|answered| answered.text() == note.text())?;
        let own = answered.only(std::slice::from_ref(&self.key));
        own.signatures().first().cloned()
    }
}

async fn body(mut answer: Response) -> Result<String, Error> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| unreachable(&error))? {
        body.extend_from_slice(&part);
        if body.len() > LARGEST {
            return Err(Error::Unreachable("the answer is too large".to_owned()));
        }
    }
    String::from_utf8(body).map_err(|_| Error::Unreachable("the answer is no text".to_owned()))
}
