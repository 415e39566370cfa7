//! Messages for a stream that is not the wallet's: the server's, or anybody's.

use async_nats::{
    Client, HeaderMap, ServerAddr,
    jetstream::{self, context::ContextBuilder, context::PublishErrorKind},
};
use bytes::Bytes;

use super::{Config, ConnectError};

/// Header by which a stream knows a message that it has already.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// A connection to a server that takes messages. It comes back by itself.
#[derive(Debug, Clone)]
pub struct Outlet {
    client: Client,
    context: jetstream::Context,
}

/// A message that no stream acknowledged; it may be there all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untaken {
    /// The message's fault: it is larger than the server takes, in bytes.
    #[error("a message of {0} bytes is more than the NATS server takes")]
    TooLarge(usize),
    /// The configuration's fault, perhaps for a while only.
    #[error("no stream takes this subject")]
    NoStream,
    /// The server's fault.
    #[error("{0}")]
    Unavailable(String),
}

impl Outlet {
    /// Connects.
    ///
    /// # Errors
    /// When the configuration makes no sense, or the server cannot be reached.
    pub async fn connect(config: &Config) -> Result<Self, ConnectError> {
        let servers: Result<Vec<ServerAddr>, _> = config
            .url
            .split(',')
            .map(|url| url.trim().parse())
            .collect();
        let servers = servers.map_err(|error| ConnectError::Config(error.to_string()))?;
        let client = config.options().await?.connect(servers).await;
        let client = client.map_err(|error| ConnectError::Unavailable(error.to_string()))?;
        let context = ContextBuilder::new()
            .timeout(config.ack_timeout)
            .build(client.clone());
        Ok(Self { client, context })
    }

    /// Hands a message to the stream of this subject, and waits until that has it. A stream that has
    /// a message of this id already may leave it out.
    ///
    /// # Errors
    /// When it is not acknowledged.
    pub async fn put(&self, subject: &str, id: &str, bytes: Bytes) -> Result<(), Untaken> {
        let size = bytes.len();
        // Headers count, too: their few bytes are left to the server to refuse.
        if size > self.client.server_info().max_payload {
            return Err(Untaken::TooLarge(size));
        }
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, id);
        let sent = self
            .context
            .publish_with_headers(subject.to_owned(), headers, bytes)
            .await;
        let untaken = |error: jetstream::context::PublishError| match error.kind() {
            PublishErrorKind::StreamNotFound => Untaken::NoStream,
            PublishErrorKind::MaxPayloadExceeded => Untaken::TooLarge(size),
            _ => Untaken::Unavailable(error.to_string()),
        };
        sent.map_err(untaken)?.await.map_err(untaken)?;
        Ok(())
    }
}
