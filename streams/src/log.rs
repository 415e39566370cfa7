//! The log: one message is one commit, ordered over all subjects, durable before it is answered.

use std::fmt;

use async_trait::async_trait;
use billfold_core::{
    Millis,
    id::{ProcessId, Seq},
    subject::{Generation, Subject},
};
use bytes::Bytes;
use futures::stream::BoxStream;

/// A commit as the log holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its position over all subjects.
    pub seq: Seq,
    /// What it was appended under.
    pub subject: Subject,
    /// The commit's bytes.
    pub bytes: Bytes,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Message({} on {}, {} bytes)",
            self.seq,
            self.subject,
            self.bytes.len()
        )
    }
}

/// Which subjects a reader wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filter {
    /// All of a generation: an auditing node, a replay.
    All(Generation),
    /// `decided` alone.
    Decided(Generation),
    /// `checkpoint` alone.
    Checkpoints(Generation),
    /// `decided` and what one process observed: a serving node.
    Serving(Generation, ProcessId),
}

impl Filter {
    /// The generation that it is of.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        match self {
            Self::All(generation)
            | Self::Decided(generation)
            | Self::Checkpoints(generation)
            | Self::Serving(generation, _) => *generation,
        }
    }

    /// Whether a commit on this subject passes.
    #[must_use]
    pub fn admits(&self, subject: &Subject) -> bool {
        match self {
            Self::All(generation) => subject.generation() == *generation,
            Self::Decided(generation) => *subject == Subject::Decided(*generation),
            Self::Checkpoints(generation) => *subject == Subject::Checkpoint(*generation),
            Self::Serving(generation, process) => {
                *subject == Subject::Decided(*generation)
                    || *subject == Subject::Observed(*generation, *process)
            }
        }
    }
}

/// The messages of a read, in the order of the log. It ends only with an error.
pub type Tail = BoxStream<'static, Result<Message, Error>>;

/// An append-only log of commits with one order over all subjects.
///
/// A backend adds nothing to these rules, and `tests/tests/conformance.rs` holds each one to them:
///
/// * A message that was acknowledged is on stable storage, and is never lost, changed or reordered.
/// * An append names the last sequence of its subject. When that is no longer the last one,
///   nothing is written.
/// * Sequences grow by one over all subjects, and begin at 1.
#[async_trait]
pub trait EventLog: fmt::Debug + Send + Sync + 'static {
    /// The largest message that it takes, in bytes.
    fn max_message(&self) -> usize;

    /// Appends one message after `expected`, the subject's last sequence ([`Seq::ZERO`] if it has
    /// none), and returns its own sequence once it is durable. One attempt, in a bounded time.
    ///
    /// # Errors
    /// See [`AppendError`]; only its `Unknown` leaves open whether the message was written.
    async fn append(
        &self,
        subject: &Subject,
        expected: Seq,
        message: Bytes,
    ) -> Result<Seq, AppendError>;

    /// The subject's last message, from where it is surely current.
    ///
    /// # Errors
    /// When the log cannot be reached.
    async fn last(&self, subject: &Subject) -> Result<Option<Message>, Error>;

    /// The subject's first message behind `after`, from where it is surely current.
    ///
    /// # Errors
    /// When the log cannot be reached.
    async fn next_after(&self, subject: &Subject, after: Seq) -> Result<Option<Message>, Error>;

    /// The last sequence that passes the filter, or [`Seq::ZERO`].
    ///
    /// # Errors
    /// When the log cannot be reached.
    async fn head(&self, filter: Filter) -> Result<Seq, Error>;

    /// All messages behind `after` that pass the filter, then those to come, each once and in
    /// order. A reader that outlives a lost connection goes on where it stood.
    ///
    /// # Errors
    /// When the log cannot be reached.
    async fn read(&self, filter: Filter, after: Seq) -> Result<Tail, Error>;

    /// What the log's own clock says now.
    ///
    /// # Errors
    /// When the log cannot be reached.
    async fn now(&self) -> Result<Millis, Error>;
}

/// Why a read or a question failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The dependency's fault: it does not answer, or answers that it cannot.
    #[error("the log cannot be reached: {0}")]
    Unavailable(String),
    /// The log holds what no wallet wrote, or lacks what it must hold.
    #[error("the log is damaged at sequence {at}: {what}")]
    Damaged {
        /// Where.
        at: Seq,
        /// What is wrong there.
        what: String,
    },
}

/// Why an append was not acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The subject has moved past the expected sequence: nothing was written by this attempt.
    #[error("the subject has moved on")]
    Conflict,
    /// The message is larger than the log takes: nothing was written.
    #[error("a commit of {size} bytes is over the log's limit of {limit} bytes")]
    TooLarge {
        /// The message's size in bytes.
        size: usize,
        /// What the log takes, in bytes.
        limit: usize,
    },
    /// The log took note of the message and refused it (a full disk, say): nothing was written.
    #[error("the log refused the commit: {0}")]
    Refused(String),
    /// Whether it was written is not known: the answer is lost or late.
    #[error("the outcome of the commit is not known yet: {0}")]
    Unknown(String),
}
