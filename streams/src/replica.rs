//! What the writers need to know of a node's view.

use async_trait::async_trait;
use billfold_core::{
    Millis,
    commit::CommitHash,
    id::{ProcessId, Seq},
    state::Source,
};

/// The last commit of a subject that a reader has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// Its sequence; [`Seq::ZERO`] before the first.
    pub seq: Seq,
    /// Its hash, which the next one has to name.
    pub hash: CommitHash,
    /// Its time.
    pub time: Millis,
    /// The process that wrote it.
    pub writer: ProcessId,
}

/// The view has stopped for good: it met something in the log that it cannot vouch for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("this node stopped: {0}")]
pub struct Stopped(pub String);

/// A node's view of the decided commits.
#[async_trait]
pub trait Replica: Send + Sync + 'static {
    /// What it is read through.
    type Source: Source<Error: std::fmt::Display> + Send + Sync;

    /// The state as far as it is applied.
    fn source(&self) -> Self::Source;

    /// The last `decided` commit that is applied.
    fn head(&self) -> Head;

    /// Waits until the `decided` commits up to this sequence are applied.
    ///
    /// # Errors
    /// When the view has stopped.
    async fn caught_up(&self, seq: Seq) -> Result<(), Stopped>;
}
