//! Comes to where another projector is, and holds the log to what the tree has.

use std::sync::Arc;

use billfold_core::{id::Seq, subject::Generation};
use billfold_streams::{
    EventLog,
    log::{self, Filter, Message},
};
use futures::StreamExt as _;

use super::{Error, Tree};
use crate::aside::aside;

/// How many messages are taken at once.
const CHUNK: usize = 1024;

impl Tree {
    /// Comes to where another projector is, which checked the chains up to there, and makes sure
    /// that the log goes on where the tree ends.
    ///
    /// # Errors
    /// When the log is shorter or another, or cannot be reached.
    pub async fn catch_up(
        self: &Arc<Self>,
        log: &dyn EventLog,
        generation: Generation,
        to: Seq,
    ) -> Result<(), Error> {
        let all = Filter::All(generation);
        let size = self.status.borrow().size();
        let end = log.head(all).await?;
        if end.0 < size {
            return Err(Error::Evidence(format!(
                "it has {size} messages, the log ends at sequence {end}"
            )));
        }
        if size == 0 && to == Seq::ZERO {
            return Ok(());
        }
        // The last message that it has is read once more, and compared.
        let mut tail = log
            .read(all, Seq(size.saturating_sub(1)))
            .await?
            .ready_chunks(CHUNK);
        loop {
            let messages = tail.next().await.unwrap_or_default();
            let messages = messages.into_iter().collect::<Result<Vec<_>, _>>()?;
            if messages.is_empty() {
                return Err(log::Error::Unavailable("its tail ended".to_owned()).into());
            }
            self.add_apart(messages).await?;
            if self.status.borrow().size() >= to.0 {
                return Ok(());
            }
        }
    }

    /// Holds the whole log, as far as the tree had read it when this began, to the tree.
    ///
    /// # Errors
    /// When the log is another one, or cannot be read.
    pub async fn compare_all(
        self: &Arc<Self>,
        log: &dyn EventLog,
        generation: Generation,
    ) -> Result<(), Error> {
        let size = self.status.borrow().size();
        let mut compared = 0;
        if size == 0 {
            return Ok(());
        }
        let tail = log.read(Filter::All(generation), Seq::ZERO).await?;
        let mut tail = tail.ready_chunks(CHUNK);
        while compared < size {
            let messages = tail.next().await.unwrap_or_default();
            let messages = messages.into_iter().collect::<Result<Vec<_>, _>>()?;
            let known = messages
                .into_iter()
                .take_while(|message| message.seq.0 <= size);
            let known: Vec<_> = known.collect();
            let Some(last) = known.last() else {
                return Err(log::Error::Unavailable("its tail ended".to_owned()).into());
            };
            if last.seq.0 != compared + known.len() as u64 {
                let at = Seq(compared + 1);
                return Err(Error::Evidence(format!(
                    "the log has a gap behind sequence {at}"
                )));
            }
            compared = last.seq.0;
            self.add_apart(known).await?;
        }
        Ok(())
    }

    /// Takes messages on a thread of its own.
    ///
    /// # Errors
    /// As [`Tree::add`].
    pub async fn add_apart(self: &Arc<Self>, messages: Vec<Message>) -> Result<(), Error> {
        let tree = Arc::clone(self);
        aside(move || tree.add(&messages)).await
    }
}
