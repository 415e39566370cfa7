//! [`KeyStore`] on a stream: a slot is a subject, a revision the sequence of its message.

use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use billfold_core::id::PageId;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    layout::KEYS,
    link::Link,
    log::{first_from, last_of},
};
use crate::{
    backoff::Backoff,
    keys::{Error, KeyStore, Revision, Slot, Stored},
    log::AppendError,
};

const STREAM: &str = "WALLET_KEYS";
/// How many times the patience with one answer a write takes to settle.
const SETTLES: u32 = 4;
/// How many messages are deleted at once.
const DELETES: usize = 16;

#[derive(Debug)]
pub(super) struct Keys {
    link: Link,
    stream: Stream<()>,
}

#[derive(Serialize)]
struct Delete {
    seq: u64,
    /// False asks the server to overwrite the bytes.
    no_erase: bool,
}

#[derive(Deserialize)]
struct Deleted {}

/// Whether the server is to overwrite what it deletes: it writes the whole block anew then, 8 MiB.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overwrite {
    Yes,
    No,
}

impl Keys {
    pub(super) const fn new(link: Link, stream: Stream<()>) -> Self {
        Self { link, stream }
    }

    /// Whether the writing after `expected` is ours, another's, or not there.
    async fn look(
        &self,
        subject: &str,
        expected: Revision,
        ours: &Bytes,
    ) -> Result<Option<Revision>, Error> {
        let from = expected.0.saturating_add(1);
        match first_from(&self.stream, subject, from)
            .await
            .map_err(Error::Unavailable)?
        {
            None => Ok(None),
            Some(there) if there.payload == *ours => Ok(Some(Revision(there.sequence))),
            Some(_) => Err(Error::Conflict),
        }
    }

    /// The sequences of all writings that can be read.
    async fn sequences(&self, subject: &str) -> Result<Vec<u64>, Error> {
        let mut sequences = Vec::new();
        let mut from = 1;
        while let Some(there) = first_from(&self.stream, subject, from)
            .await
            .map_err(Error::Unavailable)?
        {
            from = there.sequence.saturating_add(1);
            sequences.push(there.sequence);
        }
        Ok(sequences)
    }

    async fn delete_all(&self, sequences: Vec<u64>) {
        futures::stream::iter(sequences)
            .for_each_concurrent(DELETES, |seq| self.delete(seq, Overwrite::Yes))
            .await;
    }

    /// A failure shows when the slot is read back.
    async fn delete(&self, seq: u64, overwrite: Overwrite) {
        let asked = format!("STREAM.MSG.DELETE.{STREAM}");
        let answer: Result<Deleted, _> = self
            .link
            .context
            .request(
                asked,
                &Delete {
                    seq,
                    no_erase: overwrite == Overwrite::No,
                },
            )
            .await;
        if let Err(error) = answer {
            tracing::debug!(%error, seq, "an older key page was not deleted yet");
        }
    }
}

fn subject(slot: Slot) -> String {
    format!("{KEYS}.{slot}")
}

#[async_trait]
impl KeyStore for Keys {
    async fn read(&self, slot: Slot) -> Result<Option<Stored>, Error> {
        let found = last_of(&self.stream, &subject(slot))
            .await
            .map_err(Error::Unavailable)?;
        Ok(found.map(|m| Stored {
            revision: Revision(m.sequence),
            bytes: m.payload,
        }))
    }

    async fn write(&self, slot: Slot, expected: Revision, bytes: Bytes) -> Result<Revision, Error> {
        let subject = subject(slot);
        let until = Instant::now() + self.link.patience * SETTLES;
        let mut backoff = Backoff::new();
        let mut open = false;
        loop {
            let sent = self
                .link
                .publish(STREAM, subject.clone(), expected.0, bytes.clone())
                .await;
            let why = match sent {
                Ok(seq) => return Ok(Revision(seq)),
                Err(AppendError::Conflict) => match self.look(&subject, expected, &bytes).await {
                    Ok(Some(revision)) => return Ok(revision),
                    // Another writing is on its way, or the slot ends before `expected`.
                    Ok(None) => "the slot does not hold the expected writing".into(),
                    Err(Error::Conflict) => return Err(Error::Conflict),
                    Err(error) => error.to_string(),
                },
                Err(AppendError::Unknown(why)) => {
                    open = true;
                    why
                }
                Err(error) if open => error.to_string(),
                Err(error) => return Err(Error::Unavailable(error.to_string())),
            };
            if Instant::now() >= until {
                return Err(Error::Unavailable(format!(
                    "the outcome is not known: {why}"
                )));
            }
            backoff.wait().await;
        }
    }

    async fn erase_older(&self, slot: Slot) -> Result<usize, Error> {
        let subject = subject(slot);
        let newest = last_of(&self.stream, &subject)
            .await
            .map_err(Error::Unavailable)?;
        let newest = newest.map_or(0, |newest| newest.sequence);
        let mut erased = 0;
        let mut tried = 0;
        // The first one that is left is what is read back of the deletion before.
        while let Some(first) = first_from(&self.stream, &subject, 1)
            .await
            .map_err(Error::Unavailable)?
            .filter(|first| first.sequence < newest)
        {
            if first.sequence == tried {
                let writings = self.sequences(&subject).await?.len();
                return Err(Error::NotErased(writings.saturating_sub(1)));
            }
            tried = first.sequence;
            self.delete(tried, Overwrite::Yes).await;
            erased += 1;
        }
        Ok(erased)
    }

    async fn drop_rewrapped(&self, _slot: Slot, replaced: Revision) {
        self.delete(replaced.0, Overwrite::No).await;
    }

    async fn remove(&self, slot: Slot) -> Result<(), Error> {
        let subject = subject(slot);
        self.delete_all(self.sequences(&subject).await?).await;
        match self.sequences(&subject).await?.len() {
            0 => Ok(()),
            left => Err(Error::NotErased(left)),
        }
    }

    async fn writings(&self, slot: Slot) -> Result<usize, Error> {
        Ok(self.sequences(&subject(slot)).await?.len())
    }

    async fn pages(&self) -> Result<Vec<PageId>, Error> {
        let unavailable = |error: &dyn std::fmt::Display| Error::Unavailable(error.to_string());
        let prefix = format!("{KEYS}.page.");
        let subjects = self.stream.info_with_subjects(format!("{prefix}>")).await;
        let mut subjects = subjects.map_err(|error| unavailable(&error))?;
        let mut pages = Vec::new();
        while let Some((subject, _)) = subjects
            .try_next()
            .await
            .map_err(|error| unavailable(&error))?
        {
            let id = subject.strip_prefix(&prefix).and_then(|id| id.parse().ok());
            let unknown = || Error::Damaged("a slot that no wallet writes".into());
            pages.push(id.ok_or_else(unknown)?);
        }
        Ok(pages)
    }
}
