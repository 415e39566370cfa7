//! A read that goes on with what is appended later.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use billfold_core::id::Seq;
use futures::{StreamExt, stream};
use tokio::sync::watch;

use super::{
    fault::Fault,
    store::Store,
    tables::{Batch, Snapshot},
    writer::News,
};
use crate::log::{Error, Filter, Message, Tail};

/// What is read from the file at once, in bytes.
const READ_AHEAD: usize = 1 << 20;
/// How often another process's file is looked at for more.
const POLL: Duration = Duration::from_millis(100);
/// How long the file may be away (its owner restarts, its disk is full) before a tail ends.
const PATIENCE: u32 = 300;

/// All that passes the filter behind `after`. Without `news`, the file is polled.
pub(super) fn follow(
    store: Arc<Store>,
    news: Option<watch::Receiver<Arc<News>>>,
    filter: Filter,
    after: Seq,
) -> Tail {
    let cursor = Cursor {
        store,
        news,
        filter,
        upto: after,
        ready: VecDeque::new(),
        failed: false,
        tries: 0,
    };
    stream::unfold(cursor, |mut cursor| async move {
        let item = cursor.next().await?;
        Some((item, cursor))
    })
    .boxed()
}

struct Cursor {
    store: Arc<Store>,
    news: Option<watch::Receiver<Arc<News>>>,
    filter: Filter,
    /// What passes up to here is in `ready`, or was given out.
    upto: Seq,
    ready: VecDeque<Message>,
    failed: bool,
    /// Reads that failed one after another.
    tries: u32,
}

impl Cursor {
    async fn next(&mut self) -> Option<Result<Message, Error>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(Ok(message));
            }
            if self.failed {
                return None;
            }
            if let Err(error) = self.fill().await {
                self.failed = true;
                return Some(Err(error));
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        let news = self
            .news
            .as_mut()
            .map(|news| news.borrow_and_update().clone());
        match &news {
            // What was just committed need not be read back.
            Some(news)
                if news
                    .messages
                    .first()
                    .is_some_and(|m| m.seq <= self.upto.next()) =>
            {
                let (upto, filter) = (self.upto, self.filter);
                let new = news.messages.iter().filter(|m| m.seq > upto);
                self.ready
                    .extend(new.filter(|m| filter.admits(&m.subject)).cloned());
                self.upto = self.upto.max(news.end);
            }
            Some(news) if self.upto >= news.end => {}
            _ => {
                match self.read().await {
                    Ok(batch) => {
                        self.tries = 0;
                        self.upto = batch.upto;
                        self.ready.extend(batch.messages);
                    }
                    Err(Fault::Damaged { at, what }) => return Err(Error::Damaged { at, what }),
                    Err(fault) if self.tries >= PATIENCE => return Err(fault.into()),
                    Err(_) => {
                        self.tries += 1;
                        tokio::time::sleep(POLL).await;
                        return Ok(());
                    }
                }
                if let Some(news) = &news
                    && self.ready.is_empty()
                {
                    // None of what was there then passes the filter.
                    self.upto = self.upto.max(news.end);
                }
            }
        }
        if self.ready.is_empty() {
            self.wait().await
        } else {
            Ok(())
        }
    }

    async fn read(&self) -> Result<Batch, Fault> {
        let (store, filter, after) = (self.store.clone(), self.filter, self.upto);
        let reading = move || store.read(|txn| Snapshot::of(txn)?.batch(filter, after, READ_AHEAD));
        let joined = tokio::task::spawn_blocking(reading).await;
        joined.unwrap_or_else(|error| Err(Fault::Closed(error.to_string())))
    }

    async fn wait(&mut self) -> Result<(), Error> {
        match &mut self.news {
            Some(news) => news
                .changed()
                .await
                .map_err(|_| Error::Unavailable("the log was closed".into())),
            None => {
                tokio::time::sleep(POLL).await;
                Ok(())
            }
        }
    }
}
