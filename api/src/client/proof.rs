//! Checkpoints of the log, and the key that signs them.

use serde::Deserialize;

use super::{Answer, Client, Error, Method, Request, answer::read};

const CHECKPOINT: [&str; 3] = ["api", "audit", "checkpoint"];
const ROTATE: [&str; 4] = ["api", "internal", "wallet", "rotate-checkpoint-key"];

/// The newest checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct NewestCheckpoint {
    /// The key that signs checkpoints, as C2SP writes verifier keys.
    pub key: String,
    /// The newest checkpoint as a signed note; none before the first.
    pub note: Option<String>,
}

#[derive(Deserialize)]
struct Changed {
    key: String,
}

impl Client {
    /// The newest checkpoint of the log; the answer's body is JSON.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn checkpoint(&self) -> Result<(NewestCheckpoint, Answer), Error> {
        let answer = self.send(Request::get(CHECKPOINT)).await?;
        Ok((read(answer.text()?)?, answer))
    }

    /// Lets another key sign checkpoints: that key.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn rotate_checkpoint_key(&self) -> Result<String, Error> {
        let request = Request::new(Method::Post, ROTATE).json(&serde_json::json!({}));
        let answer = self.send(request).await?;
        Ok(read::<Changed>(answer.text()?)?.key)
    }
}
