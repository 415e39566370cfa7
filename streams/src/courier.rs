//! Passing waiting commands to the writer that wins the races.

use std::fmt;

use async_trait::async_trait;
use billfold_core::id::ProcessId;
use bytes::Bytes;
use futures::stream::BoxStream;

/// A request that another process handed over, and the way to answer it.
pub struct Parcel {
    /// The sealed commands.
    pub bytes: Bytes,
    /// Takes the sealed answer. Dropped without one, the sender sees a lost answer.
    pub reply: tokio::sync::oneshot::Sender<Bytes>,
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parcel({} bytes)", self.bytes.len())
    }
}

/// Carries sealed commands to another process. It may lose or repeat any of them: a courtesy that
/// nothing depends on, since the expected sequence alone keeps the log right.
#[async_trait]
pub trait Courier: fmt::Debug + Send + Sync + 'static {
    /// Hands a parcel to `to` and waits, for a bounded time, for its answer.
    ///
    /// # Errors
    /// When nobody answered: see [`Lost`].
    async fn hand_over(&self, to: ProcessId, bytes: Bytes) -> Result<Bytes, Lost>;

    /// What others hand to `me`, from now on.
    ///
    /// # Errors
    /// When the dependency cannot be reached.
    async fn inbox(&self, me: ProcessId) -> Result<BoxStream<'static, Parcel>, Lost>;
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// Nothing has reached anybody, and nothing will.
    #[error("the hand-over was not sent: {0}")]
    Unsent(String),
    /// Whether it arrived is not known.
    #[error("the hand-over was not answered: {0}")]
    Unanswered(String),
}
