//! The committer: the commands that wait become one commit.
//!
//! One commit is in flight at a time. What arrives meanwhile is decided on top of it and forms the
//! next one, so that a commit grows with the load and no timer is needed. When another node was
//! faster, the commands are decided again on what it wrote; after three lost races in a row they
//! are handed to it.

mod assembly;
mod handover;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use billfold_core::{
    Millis,
    command::{Command, Done},
    commit::CommitHash,
    decide::Refusal,
    id::Seq,
    subject::{Generation, Subject},
};
use tokio::sync::{mpsc, oneshot};

use self::assembly::{Assembly, Batch};
use crate::{
    Courier, EventLog,
    clock::{Clock, Guard, Off},
    custody::Custody,
    pool::Pool,
    replica::{Head, Replica},
    settle::{SettleError, append_settled},
};

/// How many commands may wait before callers are held back.
const QUEUE: usize = 8192;

/// After how many lost races in a row the commands go to the winner.
const RACES: u32 = 3;

/// A command that was done, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// What came of it.
    pub done: Done,
    /// The last `decided` sequence that it is part of or was decided on.
    pub seq: Seq,
}

/// Why a command was not done, or is not known to be.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command's fault: nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log would not take it: nothing has changed.
    #[error("the log did not take the commit: {0}")]
    Unavailable(String),
    /// This node's clock is wrong: nothing has changed.
    #[error(transparent)]
    Clock(#[from] Off),
    /// No answer in time. It may be done yet; a repeat with the same command id is safe.
    #[error("the outcome is not known yet; repeat the command with the same id")]
    Unknown,
    /// This node has stopped.
    #[error("this node stopped: {0}")]
    Stopped(String),
}

/// Where commands go in.
#[derive(Debug, Clone)]
pub struct Handle {
    queue: mpsc::Sender<Waiting>,
    patience: Duration,
}

impl Handle {
    /// Submits a command and waits until its commit is durable.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn submit(&self, command: Command) -> Result<Committed, Error> {
        let (reply, answer) = oneshot::channel();
        let submitted = async {
            let stopped = |_| Error::Stopped("it is shutting down".to_owned());
            self.queue
                .send(Waiting::new(command, reply))
                .await
                .map_err(stopped)?;
            answer.await.unwrap_or(Err(Error::Unknown))
        };
        tokio::time::timeout(self.patience, submitted)
            .await
            .unwrap_or(Err(Error::Unknown))
    }
}

/// A command that waits for its commit.
#[derive(Debug)]
struct Waiting {
    command: Command,
    reply: oneshot::Sender<Result<Committed, Error>>,
    /// Another node was asked to do it and did not say what came of it.
    elsewhere: bool,
}

impl Waiting {
    const fn new(command: Command, reply: oneshot::Sender<Result<Committed, Error>>) -> Self {
        Self {
            command,
            reply,
            elsewhere: false,
        }
    }

    fn answer(self, answer: Result<Committed, Error>) {
        // What another node may have done, or may do yet, is not known to have failed.
        let answer = match answer {
            Err(_) if self.elsewhere => Err(Error::Unknown),
            other => other,
        };
        // Whoever gave up waiting is not told any more.
        let _ = self.reply.send(answer);
    }
}

/// What a committer works with.
#[derive(Debug)]
pub struct Parts<R> {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The generation of the log.
    pub generation: Generation,
    /// The way to other nodes, if there are any.
    pub courier: Option<Arc<dyn Courier>>,
    /// The wallet's keys.
    pub custody: Arc<Custody>,
    /// The DEKs to draw from.
    pub pool: Arc<Pool>,
    /// The node's view.
    pub replica: Arc<R>,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// How long a caller waits for an answer.
    pub patience: Duration,
}

struct Committer<R: Replica> {
    log: Arc<dyn EventLog>,
    subject: Subject,
    courier: Option<Arc<dyn Courier>>,
    custody: Arc<Custody>,
    pool: Arc<Pool>,
    replica: Arc<R>,
    clock: Arc<dyn Clock>,
    guard: Guard,
    patience: Duration,
    queue: mpsc::Receiver<Waiting>,
    /// Taken from the queue before, and not in any commit: to be decided first.
    again: VecDeque<Waiting>,
    races: u32,
}

/// Starts a committer. It ends when every handle is gone and all commands are answered.
pub fn start<R: Replica>(parts: Parts<R>) -> (Handle, tokio::task::JoinHandle<()>) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let handle = Handle {
        queue: sender,
        patience: parts.patience,
    };
    let inbox = parts.courier.as_ref().map(|courier| {
        let inbox = handover::Inbox {
            courier: Arc::clone(courier),
            custody: Arc::clone(&parts.custody),
            queue: handle.queue.downgrade(),
        };
        tokio::spawn(inbox.run())
    });
    let committer = Committer {
        subject: Subject::Decided(parts.generation),
        guard: Guard::new(Arc::clone(&parts.clock)),
        clock: parts.clock,
        patience: parts.patience,
        log: parts.log,
        courier: parts.courier,
        custody: parts.custody,
        pool: parts.pool,
        replica: parts.replica,
        queue,
        again: VecDeque::new(),
        races: 0,
    };
    let committing = async move {
        committer.run().await;
        // It holds keys, and would wait for ever for what other nodes hand over.
        if let Some(inbox) = inbox {
            inbox.abort();
            let _ = inbox.await;
        }
    };
    (handle, tokio::spawn(committing))
}

impl<R: Replica> Committer<R> {
    async fn run(mut self) {
        loop {
            if self.again.is_empty() {
                let Some(waiting) = self.queue.recv().await else {
                    return;
                };
                self.again.push_back(waiting);
            }
            self.commit_while_busy().await;
        }
    }

    /// Commits until nothing waits, or a commit fails.
    async fn commit_while_busy(&mut self) {
        let mut head = self.replica.head();
        let time = match self.guard.time(&*self.log, head.time).await {
            Ok(time) => time,
            Err(off) => return self.refuse_waiting(&Error::Clock(off)),
        };
        let (limit, clock) = (self.log.max_message(), Arc::clone(&self.clock));
        let mut assembly = Assembly::new(self.replica.source(), limit, time, clock);
        self.fill(&mut assembly).await;
        while !assembly.is_empty() {
            let (next, batch) = assembly.launch();
            if batch.is_idle() {
                return self.confirm(head, batch).await;
            }
            let Some((seq, hash, time, next)) = self.send(head, batch, next).await else {
                return;
            };
            head = Head {
                seq,
                hash,
                time,
                writer: self.custody.process(),
            };
            if let Err(stopped) = self.replica.caught_up(seq).await {
                return next.fail(&Error::Stopped(stopped.0));
            }
            // Another node wrote since: what was decided on top is out of date.
            if self.replica.head().seq != seq {
                return self.requeue(next.into_waiting());
            }
            match self.guard.time(&*self.log, head.time).await {
                Err(off) => return next.fail(&Error::Clock(off)),
                // The clock was ahead when this was decided, and is not any more.
                Ok(now) if next.time() > now => return self.requeue(next.into_waiting()),
                Ok(now) => {
                    assembly = next;
                    assembly.begin_at(now);
                }
            }
            self.fill(&mut assembly).await;
        }
    }

    /// Sends a commit, and decides what arrives meanwhile on top of it.
    async fn send(
        &mut self,
        head: Head,
        batch: Batch,
        mut next: Assembly<R::Source>,
    ) -> Option<(Seq, CommitHash, Millis, Assembly<R::Source>)> {
        let commit = batch.encode(&self.custody, self.subject, head);
        let hash = CommitHash::of(&commit);
        let (log, subject) = (Arc::clone(&self.log), self.subject);
        let sent = append_settled(&*log, &subject, head.seq, commit, |why| {
            tracing::warn!(
                why,
                "the outcome of a commit is not known yet; sending it again"
            );
        });
        let mut sent = Box::pin(sent);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut sent => break outcome,
                Some(waiting) = arrival(&mut self.again, &mut self.queue), if next.has_room() => {
                    if let Some(left) = next.add(waiting, &self.custody, &self.pool) {
                        self.again.push_front(left);
                    }
                }
            }
        };
        match outcome {
            Ok(seq) => {
                self.races = 0;
                let time = batch.time();
                batch.succeed(seq);
                return Some((seq, hash, time, next));
            }
            Err(SettleError::Conflict) => {
                self.requeue(next.into_waiting());
                self.requeue(batch.into_waiting());
                self.lost_race(head).await;
            }
            Err(error) => {
                self.requeue(next.into_waiting());
                batch.fail(&failed(&error));
            }
        }
        None
    }

    /// Answers commands that change nothing, once it is sure that the state was current: otherwise
    /// a refusal could be stale.
    async fn confirm(&mut self, head: Head, batch: Batch) {
        match self.log.next_after(&self.subject, head.seq).await {
            Ok(None) => {
                self.races = 0;
                batch.succeed(head.seq);
            }
            Ok(Some(_)) => {
                self.requeue(batch.into_waiting());
                self.lost_race(head).await;
            }
            Err(error) => batch.fail(&Error::Unavailable(error.to_string())),
        }
    }

    /// Takes in what waits: what was left over first, then what is in the queue now.
    async fn fill(&mut self, assembly: &mut Assembly<R::Source>) {
        while assembly.has_room() {
            let waiting = match self.again.pop_front() {
                Some(waiting) => waiting,
                None => match self.queue.try_recv() {
                    Ok(waiting) => waiting,
                    Err(_) => return,
                },
            };
            let Some(left) = assembly.add(waiting, &self.custody, &self.pool) else {
                continue;
            };
            self.again.push_front(left);
            if assembly.is_out_of_keys() && assembly.is_empty() {
                if tokio::time::timeout(self.patience, self.pool.wait())
                    .await
                    .is_err()
                {
                    let error = Error::Unavailable("no key can be stored".to_owned());
                    return self.refuse_waiting(&error);
                }
                assembly.reopen();
            }
        }
    }

    /// Another node wrote first: catch up, and hand over when that keeps happening.
    async fn lost_race(&mut self, lost: Head) {
        self.races += 1;
        tracing::debug!(races = self.races, "another node committed first");
        if let Err(stopped) = self.replica.caught_up(lost.seq.next()).await {
            return self.refuse_waiting(&Error::Stopped(stopped.0));
        }
        let winner = self.replica.head().writer;
        if self.races >= RACES && winner != self.custody.process() {
            self.hand_over(winner).await;
        }
    }

    fn requeue(&mut self, waiting: Vec<Waiting>) {
        for waiting in waiting.into_iter().rev() {
            self.again.push_front(waiting);
        }
    }

    fn refuse_waiting(&mut self, error: &Error) {
        for waiting in self.again.drain(..) {
            waiting.answer(Err(error.clone()));
        }
    }
}

/// What is to be decided next: what was left over before what arrives now, or a large command would
/// wait for as long as small ones come.
async fn arrival(
    again: &mut VecDeque<Waiting>,
    queue: &mut mpsc::Receiver<Waiting>,
) -> Option<Waiting> {
    if again.is_empty() {
        return queue.recv().await;
    }
    // The commit in flight must not stand still meanwhile.
    tokio::task::yield_now().await;
    again.pop_front()
}

fn failed(error: &SettleError) -> Error {
    match error {
        // The log lost what it had: what became of this commit, nobody can tell.
        SettleError::Damaged { .. } => {
            tracing::error!(%error, "a commit was not settled");
            Error::Unknown
        }
        SettleError::TooLarge { size, limit } => Error::Refused(Refusal::TooLarge {
            size: *size as u64,
            limit: *limit as u64,
        }),
        other => Error::Unavailable(other.to_string()),
    }
}
