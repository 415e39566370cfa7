//! [`EventLog`] on redb.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use billfold_core::{Millis, id::Seq, subject::Subject};
use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::{
    MAX_MESSAGE, OpenError,
    fault::Fault,
    store::{Change, Store},
    tables::{Snapshot, Writing},
    tail,
    writer::{Append, News, Writer},
};
use crate::log::{AppendError, Error, EventLog, Filter, Message, Tail};

/// How long an append waits for the disk before its outcome counts as unknown.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Log {
    store: Arc<Store>,
    news: watch::Sender<Arc<News>>,
    /// `None` beside an owner.
    writer: Option<Writer>,
}

impl Log {
    pub(super) fn new(store: Store) -> Result<Self, OpenError> {
        if store.owned() {
            // Readers find the tables from the beginning.
            store.write(|txn| Writing::of(txn).map(|_| ((), Change::Some)))?;
        }
        // What is missing is told to whoever reads.
        let end = store.read(|txn| Snapshot::of(txn)?.end())?;
        let store = Arc::new(store);
        let news = watch::Sender::new(Arc::new(News {
            messages: Vec::new(),
            end,
        }));
        let writer = store
            .owned()
            .then(|| Writer::start(store.clone(), news.clone()));
        Ok(Self {
            writer: writer.transpose()?,
            store,
            news,
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        f: impl Fn(&Snapshot) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        let reading = move || store.read(|txn| f(&Snapshot::of(txn)?));
        let joined = tokio::task::spawn_blocking(reading).await;
        Ok(joined.map_err(|error| Error::Unavailable(error.to_string()))??)
    }
}

#[async_trait]
impl EventLog for Log {
    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }

    async fn append(
        &self,
        subject: &Subject,
        expected: Seq,
        message: Bytes,
    ) -> Result<Seq, AppendError> {
        let (size, limit) = (message.len(), MAX_MESSAGE);
        if size > limit {
            return Err(AppendError::TooLarge { size, limit });
        }
        let Some(writer) = &self.writer else {
            return Err(AppendError::Refused(
                "the log was opened to read only".into(),
            ));
        };
        let (answer, answered) = oneshot::channel();
        let append = Append {
            subject: *subject,
            expected,
            bytes: message,
            answer,
        };
        if writer.submit(append).is_err() {
            return Err(AppendError::Refused("the log's writer has stopped".into()));
        }
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Err(AppendError::Unknown("the log's writer has stopped".into())),
            Err(_) => Err(AppendError::Unknown("the disk does not answer".into())),
        }
    }

    async fn last(&self, subject: &Subject) -> Result<Option<Message>, Error> {
        let subject = *subject;
        self.ask(move |snapshot| match snapshot.last(&subject)? {
            Seq::ZERO => Ok(None),
            seq => snapshot.message(seq),
        })
        .await
    }

    async fn next_after(&self, subject: &Subject, after: Seq) -> Result<Option<Message>, Error> {
        let subject = *subject;
        self.ask(move |snapshot| match snapshot.next(&subject, after)? {
            None => Ok(None),
            Some(seq) => snapshot.message(seq),
        })
        .await
    }

    async fn head(&self, filter: Filter) -> Result<Seq, Error> {
        self.ask(move |snapshot| snapshot.head(filter)).await
    }

    async fn read(&self, filter: Filter, after: Seq) -> Result<Tail, Error> {
        let end = self.ask(|snapshot| snapshot.checked_end()).await?;
        if after > end {
            let what = format!("it ends at {end}");
            return Err(Error::Damaged { at: after, what });
        }
        let news = self.writer.is_some().then(|| self.news.subscribe());
        Ok(tail::follow(self.store.clone(), news, filter, after))
    }

    async fn now(&self) -> Result<Millis, Error> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| Error::Unavailable("the machine's clock is before 1970".into()))?;
        Ok(Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }
}
