//! The one thread that writes the log: it takes all appends that wait, and syncs once for them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use billfold_core::{id::Seq, subject::Subject};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    fault::Fault,
    store::{Change, Store},
    tables::{Snapshot, Writing},
};
use crate::log::{AppendError, Message};

/// What one transaction takes at most, so that a flood does not make one caller wait for all.
const BATCH_BYTES: usize = 8 << 20;

/// An append that waits for the thread.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) subject: Subject,
    pub(super) expected: Seq,
    pub(super) bytes: Bytes,
    pub(super) answer: oneshot::Sender<Result<Seq, AppendError>>,
}

/// What the thread last committed, for the tails that have come to its beginning.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) messages: Vec<Message>,
    /// The log's last sequence.
    pub(super) end: Seq,
}

/// The thread, and the way to it. Dropped, it waits for what the thread is writing.
#[derive(Debug)]
pub(super) struct Writer {
    appends: Mutex<Option<mpsc::UnboundedSender<Append>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        store: Arc<Store>,
        news: watch::Sender<Arc<News>>,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let thread = thread::Builder::new()
            .name("billfold-log".into())
            .spawn(move || run(&store, &news, receiver))?;
        Ok(Self {
            appends: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands an append to the thread, or gives it back when the thread is gone.
    pub(super) fn submit(&self, append: Append) -> Result<(), Append> {
        match &*self.appends.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(appends) => appends.send(append).map_err(|unsent| unsent.0),
            None => Err(append),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.appends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            // It holds the file's lock; a panic in it was already reported by its own hook.
            let _ = thread.join();
        }
    }
}

fn run(
    store: &Store,
    news: &watch::Sender<Arc<News>>,
    mut appends: mpsc::UnboundedReceiver<Append>,
) {
    while let Some(first) = appends.blocking_recv() {
        let mut size = first.bytes.len();
        let mut batch = vec![first];
        while size < BATCH_BYTES
            && let Ok(more) = appends.try_recv()
        {
            size += more.bytes.len();
            batch.push(more);
        }
        // Nobody waits for these any more.
        batch.retain(|append| !append.answer.is_closed());
        if batch.is_empty() {
            continue;
        }
        let verdicts = write(store, &batch);
        announce(store, news, &batch, &verdicts);
        for (append, verdict) in batch.into_iter().zip(verdicts) {
            // Whoever went away meanwhile learns it from the log.
            let _ = append.answer.send(verdict);
        }
    }
}

/// Tells the tails, before the callers.
fn announce(
    store: &Store,
    news: &watch::Sender<Arc<News>>,
    batch: &[Append],
    verdicts: &[Result<Seq, AppendError>],
) {
    let written = batch.iter().zip(verdicts).filter_map(|(append, verdict)| {
        let (subject, bytes) = (append.subject, append.bytes.clone());
        verdict.as_ref().ok().map(|seq| Message {
            seq: *seq,
            subject,
            bytes,
        })
    });
    let messages: Vec<_> = written.collect();
    if let Some(last) = messages.last() {
        let end = last.seq;
        news.send_replace(Arc::new(News { messages, end }));
    } else if let Ok(end) = store.read(|txn| Snapshot::of(txn)?.checked_end()) {
        // What an append of unknown outcome left shows itself here, if at all.
        let moved = news.borrow().end < end;
        if moved {
            news.send_replace(Arc::new(News { messages, end }));
        }
    }
}

/// What becomes of each append, in order.
fn write(store: &Store, batch: &[Append]) -> Vec<Result<Seq, AppendError>> {
    let refused = |fault: &Fault| AppendError::Refused(fault.to_string());
    if let Err(fault) = store.recover() {
        return batch.iter().map(|_| Err(refused(&fault))).collect();
    }
    // Where each would stand. Filled before the commit, so that it is known after a failed one.
    let mut places = Vec::with_capacity(batch.len());
    let committed = store.write(|txn| {
        let mut writing = Writing::of(txn)?;
        for append in batch {
            let free = writing.last(&append.subject)? == append.expected;
            let place = free
                .then(|| writing.push(&append.subject, &append.bytes))
                .transpose()?;
            places.push(place);
        }
        let change = if places.iter().any(Option::is_some) {
            Change::Some
        } else {
            Change::None
        };
        Ok(((), change))
    });
    let Err(fault) = committed else {
        return places
            .into_iter()
            .map(|place| place.ok_or(AppendError::Conflict))
            .collect();
    };
    tracing::error!(%fault, "a commit to the embedded log failed");
    // A failed commit may still have come whole to the disk: look.
    places.resize(batch.len(), None);
    let found = store.recover().and_then(|()| {
        store.read(|txn| {
            let snapshot = Snapshot::of(txn)?;
            let landed = batch.iter().zip(&places).map(|(append, place)| {
                let Some(seq) = *place else { return Ok(None) };
                let there = snapshot.message(seq)?;
                Ok(there.is_some_and(|m| m.subject == append.subject && m.bytes == append.bytes))
                    .map(|same| same.then_some(seq))
            });
            landed.collect::<Result<Vec<_>, Fault>>()
        })
    });
    match found {
        Ok(landed) => landed
            .into_iter()
            .map(|seq| seq.ok_or_else(|| refused(&fault)))
            .collect(),
        Err(unclear) => {
            let unknown = || AppendError::Unknown(format!("{fault}; then {unclear}"));
            batch.iter().map(|_| Err(unknown())).collect()
        }
    }
}
