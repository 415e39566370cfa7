//! The recorder: what was asked goes into the log before it is answered (invariant 3).
//!
//! Each process writes a subject of its own, so requests conflict with nothing. As with commands,
//! one commit is in flight, and what arrives meanwhile forms the next.

mod tally;

use std::{sync::Arc, time::Duration};

use billfold_core::{
    Millis,
    commit::{self, CommitHash, Entry, Header},
    event::{
        Actor, Event, Fact,
        v1::{RequestsRefused, ResolutionRequested},
    },
    id::Seq,
    keys::wallet::Epoch,
    names::{RequestNames, request_names_place},
    subject::{Generation, Subject},
};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::{
    EventLog,
    clock::{Clock, Guard},
    custody::Custody,
    entropy::Os,
    replica::Head,
    settle::append_settled,
};

use tally::{Counted, Tally};

/// How many requests may wait before callers are held back.
const QUEUE: usize = 8192;
/// How many requests one commit holds at most.
const EVENTS: usize = 2048;
/// What the one event of all refusals takes at most, in bytes.
const REFUSALS: usize = 512;

/// Why a request was not recorded in time. It must not be answered.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the request could not be recorded: {0}")]
pub struct Unrecorded(pub String);

/// A request, as it goes into the log.
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub actor: Actor,
    /// What for; its hash of names is filled in here.
    pub asked: ResolutionRequested,
    /// What it named.
    pub names: RequestNames,
}

#[derive(Debug)]
enum Observation {
    Request(Box<Request>),
    /// A request without a valid token, and when it came.
    Refusal(Millis),
}

type Reply = oneshot::Sender<Result<Seq, Unrecorded>>;
type Waiting = (Observation, Reply);

/// Where requests go in.
#[derive(Debug, Clone)]
pub struct Handle {
    queue: mpsc::Sender<Waiting>,
    clock: Arc<dyn Clock>,
    over_bound: Arc<Tally>,
    patience: Duration,
}

impl Handle {
    /// Records a request, and returns where.
    ///
    /// # Errors
    /// When the log did not take it in a bounded time.
    pub async fn request(&self, request: Request) -> Result<Seq, Unrecorded> {
        self.observe(Observation::Request(Box::new(request))).await
    }

    /// Records that a request without a valid token was refused, together with all others that
    /// wait.
    ///
    /// # Errors
    /// When the log did not take it in a bounded time.
    pub async fn refusal(&self) -> Result<Seq, Unrecorded> {
        self.observe(Observation::Refusal(self.clock.now())).await
    }

    /// Counts a request that was over the bound of its source. Nobody waits for its record, and
    /// however many come, and however slowly, they make one event a second.
    pub fn over_bound(&self) {
        self.over_bound.count(self.clock.now());
    }

    /// Counts refusals again whose record is void. Whoever was refused has had the answer.
    pub fn again(&self, refused: &RequestsRefused) {
        self.over_bound.add(Counted {
            count: refused.count,
            over_bound: refused.over_bound,
            since: refused.since,
        });
    }

    async fn observe(&self, observation: Observation) -> Result<Seq, Unrecorded> {
        let stopped = || Unrecorded("this node is shutting down".to_owned());
        let (reply, answer) = oneshot::channel();
        let observed = async {
            self.queue
                .send((observation, reply))
                .await
                .map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        };
        let late = || Unrecorded("the log did not answer in time".to_owned());
        tokio::time::timeout(self.patience, observed)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}

/// What a recorder works with.
#[derive(Debug)]
pub struct Parts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The generation of the log.
    pub generation: Generation,
    /// The wallet's keys.
    pub custody: Arc<Custody>,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// How long a caller waits.
    pub patience: Duration,
}

struct Recorder {
    log: Arc<dyn EventLog>,
    subject: Subject,
    custody: Arc<Custody>,
    guard: Guard,
    queue: mpsc::Receiver<Waiting>,
    over_bound: Arc<Tally>,
    head: Head,
    entropy: Os,
}

/// Starts a recorder. It ends when every handle is gone and all requests are recorded.
pub fn start(parts: Parts) -> (Handle, tokio::task::JoinHandle<()>) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let over_bound = Arc::new(Tally::default());
    let handle = Handle {
        queue: sender,
        clock: Arc::clone(&parts.clock),
        over_bound: Arc::clone(&over_bound),
        patience: parts.patience,
    };
    let recorder = Recorder {
        subject: Subject::Observed(parts.generation, parts.custody.process()),
        log: parts.log,
        custody: parts.custody,
        guard: Guard::new(parts.clock),
        queue,
        over_bound,
        head: Head::default(),
        entropy: Os::new(),
    };
    (handle, tokio::spawn(recorder.run()))
}

impl Recorder {
    async fn run(mut self) {
        let mut left = None;
        loop {
            let first = match left.take() {
                Some(waiting) => Some(waiting),
                None => tokio::select! {
                    waiting = self.queue.recv() => match waiting {
                        Some(waiting) => Some(waiting),
                        None => break,
                    },
                    () = self.over_bound.due() => None,
                },
            };
            let over_bound = self.over_bound.take_due();
            left = self.record(first, over_bound).await;
        }
        if let Some(last) = self.over_bound.take() {
            self.record(None, Some(last)).await;
        }
    }

    /// Records what waits as one commit; returns an observation that did not fit any more.
    async fn record(
        &mut self,
        first: Option<Waiting>,
        over_bound: Option<Counted>,
    ) -> Option<Waiting> {
        let (outcome, waiting, left) = match self.guard.time(&*self.log, self.head.time).await {
            Ok(time) => {
                // One epoch for all of it, also when the next one begins meanwhile.
                let epoch = self.custody.epoch();
                let (entries, waiting, left) = self.gather(&epoch, first, time, over_bound);
                (self.append(&epoch, time, entries).await, waiting, left)
            }
            Err(off) => {
                let waiting = first.into_iter().map(|(_, reply)| reply).collect();
                (Err(Unrecorded(off.to_string())), waiting, None)
            }
        };
        if let (Err(_), Some(counted)) = (&outcome, over_bound) {
            self.over_bound.add(counted);
        }
        answer(waiting, &outcome);
        left
    }

    fn gather(
        &mut self,
        epoch: &Epoch,
        first: Option<Waiting>,
        time: Millis,
        over_bound: Option<Counted>,
    ) -> (Vec<Entry>, Vec<Reply>, Option<Waiting>) {
        let room = self
            .log
            .max_message()
            .saturating_sub(commit::FRAME + REFUSALS);
        let (mut entries, mut waiting, mut left) = (Vec::new(), Vec::new(), None);
        let over_bound = over_bound.unwrap_or(Counted {
            count: 0,
            over_bound: 0,
            since: time,
        });
        let mut refused = RequestsRefused {
            count: over_bound.count,
            over_bound: over_bound.over_bound,
            since: over_bound.since.min(time),
        };
        let (mut size, mut next) = (0, first.or_else(|| self.queue.try_recv().ok()));
        while let Some((observation, reply)) = next {
            // Nobody waits for it: then nothing is told, and there is nothing to record. Refusals
            // are recorded all the same.
            match observation {
                Observation::Request(_) if reply.is_closed() => {}
                Observation::Request(request) => {
                    let entry = self.seal(epoch, &request);
                    let more = commit::size_of(&entry);
                    if size + more > room && !entries.is_empty() {
                        left = Some((Observation::Request(request), reply));
                        break;
                    }
                    size += more;
                    entries.push(entry);
                    waiting.push(reply);
                }
                Observation::Refusal(since) => {
                    refused.count = refused.count.saturating_add(1);
                    refused.since = refused.since.min(since);
                    waiting.push(reply);
                }
            }
            next = if entries.len() < EVENTS {
                self.queue.try_recv().ok()
            } else {
                None
            };
        }
        if refused.count > 0 {
            let event = Event::RequestsRefused(refused);
            let fact = Fact {
                actor: Actor::Anonymous,
                command: None,
                event,
            };
            entries.push(Entry {
                fact,
                names: None,
                payload: None,
            });
        }
        (entries, waiting, left)
    }

    fn seal(&mut self, epoch: &Epoch, request: &Request) -> Entry {
        let names = billfold_core::cbor::encode(&request.names);
        let place = request_names_place(self.custody.wallet(), epoch.id, request.asked.request);
        let sealed = Bytes::from(epoch.request_names.seal(&place, &names, &mut self.entropy));
        let mut asked = request.asked.clone();
        asked.names = commit::ciphertext_hash(&sealed);
        let event = Event::ResolutionRequested(asked);
        let fact = Fact {
            actor: request.actor,
            command: None,
            event,
        };
        Entry {
            fact,
            names: Some(sealed),
            payload: None,
        }
    }

    async fn append(
        &mut self,
        epoch: &Epoch,
        time: Millis,
        entries: Vec<Entry>,
    ) -> Result<Seq, Unrecorded> {
        if entries.is_empty() {
            return Ok(self.head.seq);
        }
        let failed = |error: &dyn std::fmt::Display| Unrecorded(error.to_string());
        let header = Header {
            wallet: self.custody.wallet(),
            subject: self.subject,
            previous: self.head.hash,
            writer: self.custody.process(),
            time,
            fact_keys: vec![epoch.id],
        };
        let bytes = commit::encode(&header, &entries, epoch, &mut self.entropy);
        let hash = CommitHash::of(&bytes);
        let sent = append_settled(&*self.log, &self.subject, self.head.seq, bytes, |why| {
            tracing::warn!(
                why,
                "the outcome of a record is not known yet; sending it again"
            );
        });
        let seq = sent.await.map_err(|error| failed(&error))?;
        self.head = Head {
            seq,
            hash,
            time,
            writer: self.custody.process(),
        };
        Ok(seq)
    }
}

fn answer(
    waiting: Vec<oneshot::Sender<Result<Seq, Unrecorded>>>,
    outcome: &Result<Seq, Unrecorded>,
) {
    for reply in waiting {
        let _ = reply.send(outcome.clone());
    }
}
