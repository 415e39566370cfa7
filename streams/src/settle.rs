//! Appending until the outcome is known.

use billfold_core::{id::Seq, subject::Subject};
use bytes::Bytes;

use crate::{
    EventLog,
    backoff::Backoff,
    log::{AppendError, Error},
};

/// Appends `bytes` after `expected`, and resends the very same bytes with the same expectation
/// until the position after it is seen to hold them or another's. Only that settles a lost answer:
/// a message that is absent now may still land.
///
/// `on_unknown` is told, each time that an answer is lost, why; the caller can tell its clients that the
/// outcome is not known yet. The bytes must differ from all that anyone else appends (the commit
/// header's writer, position and salts see to that).
///
/// It runs until it knows. Dropped before, the outcome stays open.
///
/// # Errors
/// See [`SettleError`]: each is definite.
pub async fn append_settled(
    log: &dyn EventLog,
    subject: &Subject,
    expected: Seq,
    bytes: Bytes,
    mut on_unknown: impl FnMut(&str) + Send,
) -> Result<Seq, SettleError> {
    let mut backoff = Backoff::new();
    // Whether an earlier attempt may be in the log, or still land there.
    let mut open = false;
    loop {
        match log.append(subject, expected, bytes.clone()).await {
            Ok(seq) => return Ok(seq),
            Err(AppendError::Conflict) => match look(log, subject, expected, &bytes).await {
                Ok(Some(verdict)) => return verdict,
                Ok(None) => {}
                Err(why) => {
                    open = true;
                    on_unknown(&why);
                }
            },
            Err(AppendError::TooLarge { size, limit }) if !open => {
                return Err(SettleError::TooLarge { size, limit });
            }
            Err(AppendError::Refused(why)) if !open => return Err(SettleError::Refused(why)),
            Err(error) => {
                open = true;
                on_unknown(&error.to_string());
            }
        }
        backoff.wait().await;
    }
}

/// Who holds the position after `expected`: `None` when that cannot be told from what is there, an
/// error when nothing can be read.
async fn look(
    log: &dyn EventLog,
    subject: &Subject,
    expected: Seq,
    bytes: &Bytes,
) -> Result<Option<Result<Seq, SettleError>>, String> {
    let damaged = |at, what| Ok(Some(Err(SettleError::Damaged { at, what })));
    match log.next_after(subject, expected).await {
        Ok(Some(message)) if message.bytes == *bytes => return Ok(Some(Ok(message.seq))),
        Ok(Some(_)) => return Ok(Some(Err(SettleError::Conflict))),
        Err(Error::Damaged { at, what }) => return damaged(at, what),
        Err(error @ Error::Unavailable(_)) => return Err(error.to_string()),
        Ok(None) => {}
    }
    // A conflict, and yet nothing after `expected`: does the subject end before it?
    match log.last(subject).await {
        Ok(last) => {
            let end = last.map_or(Seq::ZERO, |message| message.seq);
            if end < expected {
                return damaged(expected, format!("{subject} ends at {end}"));
            }
            Ok(None)
        }
        Err(Error::Damaged { at, what }) => damaged(at, what),
        Err(error @ Error::Unavailable(_)) => Err(error.to_string()),
    }
}

/// Why a commit is not in the log and never will be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// Another's message stands after the expected sequence.
    #[error("the subject has moved on")]
    Conflict,
    /// The message is larger than the log takes.
    #[error("a commit of {size} bytes is over the log's limit of {limit} bytes")]
    TooLarge {
        /// The message's size in bytes.
        size: usize,
        /// What the log takes, in bytes.
        limit: usize,
    },
    /// The log refused it.
    #[error("the log refused the commit: {0}")]
    Refused(String),
    /// The log lacks what was seen in it before. Whether the commit is in it says nothing then.
    #[error("the log is damaged at sequence {at}: {what}")]
    Damaged {
        /// Where.
        at: Seq,
        /// What is wrong there.
        what: String,
    },
}

#[cfg(test)]
mod tests;
