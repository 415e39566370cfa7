//! Requests that wait for their place in the log.
//!
//! A request is registered before it is recorded, and judged when its own record comes back in the
//! order of the log: this is the barrier of invariant 3.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use billfold_core::{
    Millis,
    access::Need,
    id::{RecordId, RequestId, Seq},
    judge::Verdict,
    state::Wallet,
};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::view::{Found, StoredRecord};

/// What a request needs of the view besides its verdict.
#[derive(Debug, Clone, Copy)]
pub enum Ask {
    /// A version's sealed payload, and the record's names.
    Version(RecordId),
    /// The record's names.
    Names(RecordId),
    /// The lines of a folder, by its blinded id and depth.
    Folder([u8; 16], usize),
    /// All records below a folder, by its blinded id.
    Everything([u8; 16]),
    /// The wallet and its KEK versions.
    Wallet,
    /// Nothing.
    Nothing,
}

/// What the view had at that place.
#[derive(Debug)]
pub enum Material {
    /// Nothing was asked for, or permitted.
    Nothing,
    /// A version's sealed payload, if there was one, and its record.
    Version(Box<StoredRecord>, Option<Bytes>),
    /// A record.
    Record(Box<StoredRecord>),
    /// The lines of a folder, or all records.
    Lines(Found),
    /// The wallet.
    Wallet(Box<Wallet>),
}

/// A request that was judged.
#[derive(Debug)]
pub struct Judged {
    /// What it is to be answered.
    pub verdict: Verdict,
    /// With what.
    pub material: Material,
    /// How many names of it may be shown at most.
    pub page: Option<u32>,
    /// The last `decided` sequence at its place.
    pub seq: Seq,
    /// The time of its record.
    pub time: Millis,
}

/// What came of a request that was recorded.
#[derive(Debug)]
pub enum Outcome {
    /// It was judged.
    Judged(Box<Judged>),
    /// Its record came behind the end of its epoch and is void: it has to be recorded again.
    Void,
    /// The mount was moved before its record: nobody asked policies about the path that it has there.
    Moved,
}

impl Outcome {
    /// What it was judged, if it was.
    #[must_use]
    pub fn judged(self) -> Option<Judged> {
        match self {
            Self::Judged(judged) => Some(*judged),
            Self::Void | Self::Moved => None,
        }
    }
}

/// A place to wait at. Once it is dropped, nobody waits there.
#[derive(Debug)]
pub struct Ticket {
    request: RequestId,
    outcome: oneshot::Receiver<Outcome>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Ticket {
    /// Waits for the outcome; none when the node stopped before.
    pub async fn outcome(mut self) -> Option<Outcome> {
        (&mut self.outcome).await.ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.outcome.close();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // The same request may have been registered once more, with another ticket.
        if let Entry::Occupied(question) = waiting.requests.entry(self.request)
            && question.get().waiting.is_closed()
        {
            question.remove();
        }
    }
}

/// The requests of this process that are on their way through the log.
#[derive(Debug, Default)]
pub struct Desk {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    closed: bool,
    requests: HashMap<RequestId, Question>,
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) ask: Ask,
    pub(super) need: Need,
    pub(super) waiting: oneshot::Sender<Outcome>,
}

impl Desk {
    /// Registers a request that is about to be recorded.
    #[must_use]
    pub fn register(&self, request: RequestId, ask: Ask, need: Need) -> Ticket {
        let (sender, outcome) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.closed {
            let question = Question {
                ask,
                need,
                waiting: sender,
            };
            waiting.requests.insert(request, question);
        }
        Ticket {
            request,
            outcome,
            waiting: Arc::clone(&self.waiting),
        }
    }

    /// Takes a request out, to be judged; none when nobody waits for it.
    pub(super) fn take(&self, request: &RequestId) -> Option<Question> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting
            .requests
            .remove(request)
            .filter(|question| !question.waiting.is_closed())
    }

    /// Tells all that wait, and all to come, that nothing will be judged any more.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.closed = true;
        waiting.requests.clear();
    }
}

#[cfg(test)]
mod tests {
    use billfold_core::policy::Operation;

    use super::*;

    fn register(desk: &Desk, request: u8) -> Ticket {
        let need = Need::to(Operation::Read, "");
        desk.register(RequestId::from_bytes([request; 16]), Ask::Nothing, need)
    }

    fn waiting(desk: &Desk) -> usize {
        desk.waiting.lock().unwrap().requests.len()
    }

    #[tokio::test]
    async fn who_gave_up_waiting_is_forgotten() {
        let desk = Desk::default();
        let tickets: Vec<_> = (0..100).map(|request| register(&desk, request)).collect();
        assert_eq!(waiting(&desk), 100);
        drop(tickets);
        assert_eq!(waiting(&desk), 0);
        let patience = std::time::Duration::ZERO;
        let outcome = tokio::time::timeout(patience, register(&desk, 1).outcome());
        assert!(outcome.await.is_err());
        assert_eq!(waiting(&desk), 0);
    }

    #[tokio::test]
    async fn who_asks_again_is_not_forgotten_with_the_first_time() {
        let desk = Desk::default();
        let first = register(&desk, 1);
        let again = register(&desk, 1);
        drop(first);
        let question = desk.take(&RequestId::from_bytes([1; 16]));
        let _ = question.unwrap().waiting.send(Outcome::Void);
        assert!(matches!(again.outcome().await, Some(Outcome::Void)));
    }

    #[tokio::test]
    async fn nobody_waits_at_a_desk_that_is_closed() {
        let desk = Desk::default();
        let before = register(&desk, 1);
        desk.close();
        let after = register(&desk, 2);
        assert!(before.outcome().await.is_none());
        assert!(after.outcome().await.is_none());
        assert_eq!(waiting(&desk), 0);
    }
}
