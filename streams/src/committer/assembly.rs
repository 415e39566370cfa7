//! A commit being put together: commands are decided one by one on the state before them.

use std::sync::Arc;

use billfold_core::{
    Millis,
    command::Done,
    commit::{self, Entry, Header},
    decide::{self, Decision, Refusal, Sealer},
    handover,
    id::Seq,
    state::{At, Digest, Source, State},
    subject::Subject,
};
use bytes::Bytes;

use crate::{
    clock::Clock,
    committer::{Committed, Error, Waiting},
    custody::Custody,
    entropy::Os,
    pool::{Drawing, Pool},
    replica::Head,
};

/// How many events one commit holds at most: larger ones gain nothing, and hold readers up.
const EVENTS: usize = 2048;

/// How many bytes the commands take at most that come to no event: nothing else bounds them while a
/// commit is in flight.
const IDLE_BYTES: usize = 4 << 20;

/// The commit that is being put together.
pub(super) struct Assembly<S: Source> {
    state: State<S>,
    limit: usize,
    time: Millis,
    batch: Batch,
    full: bool,
    out_of_keys: bool,
    begun: bool,
    /// Whether its time is not known yet: it is that of the first command.
    timeless: bool,
    clock: Arc<dyn Clock>,
    entropy: Os,
}

/// What [`Assembly::add`] did with a command: none, or the command back, for later.
pub(super) type Added = Option<Waiting>;

/// A commit that is put together, and whom to tell.
#[derive(Default)]
pub(super) struct Batch {
    time: Millis,
    size: usize,
    idle_bytes: usize,
    entries: Vec<Entry>,
    members: Vec<Member>,
}

/// A command and what it is to be told, if the state that it was decided on proves to be current.
struct Member {
    waiting: Waiting,
    verdict: Result<Done, Error>,
}

impl<S: Source<Error: std::fmt::Display>> Assembly<S> {
    pub(super) fn new(source: S, limit: usize, time: Millis, clock: Arc<dyn Clock>) -> Self {
        Self {
            // Nothing here asks for the digest: it belongs to the fold.
            state: State::over(source, Digest::default()),
            limit,
            time,
            batch: Batch::default(),
            full: false,
            out_of_keys: false,
            begun: false,
            timeless: false,
            clock,
            entropy: Os::new(),
        }
    }

    pub(super) const fn has_room(&self) -> bool {
        !self.full
    }

    /// The time of what is decided now.
    pub(super) const fn time(&self) -> Millis {
        self.time
    }

    /// Gives it this time, if nothing in it has a time yet.
    pub(super) fn begin_at(&mut self, time: Millis) {
        if self.timeless {
            self.time = self.time.max(time);
            self.timeless = false;
        }
    }

    pub(super) const fn is_out_of_keys(&self) -> bool {
        self.out_of_keys
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.members.is_empty()
    }

    /// There may be keys again.
    pub(super) const fn reopen(&mut self) {
        self.full = false;
        self.out_of_keys = false;
    }

    /// Decides a command as part of this commit. It comes back when it has to wait for the next.
    pub(super) fn add(&mut self, waiting: Waiting, custody: &Custody, pool: &Pool) -> Added {
        if self.full {
            return Some(waiting);
        }
        // Whoever does not wait any more was told that it failed: it must not happen now.
        if waiting.reply.is_closed() {
            return None;
        }
        let verdict = match self.decide(&waiting, custody, pool) {
            Ok(Decision::Events { entries, versions }) => {
                return self.admit(waiting, entries, versions);
            }
            Err(decide::Error::OutOfKeys) => {
                self.full = true;
                self.out_of_keys = true;
                return Some(waiting);
            }
            // A refusal counts like a write: only if nobody wrote in between.
            Ok(Decision::Already(done)) => Ok(done),
            Err(decide::Error::Refused(refusal)) => Err(refusal.into()),
            Err(decide::Error::Broken(broken)) => Err(Error::Stopped(broken.to_string())),
            Err(decide::Error::Source(error)) => Err(Error::Stopped(error.to_string())),
        };
        self.batch.idle_bytes += handover::weight(&waiting.command);
        self.join(waiting, verdict)
    }

    fn decide(
        &mut self,
        waiting: &Waiting,
        custody: &Custody,
        pool: &Pool,
    ) -> Result<Decision, decide::Error<S::Error>> {
        self.begin_at(self.clock.now());
        let at = At { time: self.time };
        if !self.begun {
            self.state.begin_commit(at).map_err(decide::Error::Source)?;
            self.state.keep();
            self.begun = true;
        }
        let mut drawing = Drawing(pool);
        let mut sealer = Sealer::new(custody.wallet(), &mut drawing, &mut self.entropy);
        decide::weigh(
            &mut self.state,
            at,
            &waiting.command,
            &custody.keys().command,
            &mut sealer,
        )
    }

    fn admit(&mut self, waiting: Waiting, entries: Vec<Entry>, versions: Vec<u32>) -> Added {
        let size: usize = entries.iter().map(commit::size_of).sum();
        let alone = commit::FRAME + size;
        if alone > self.limit {
            self.state.undo();
            let (size, limit) = (alone as u64, self.limit as u64);
            waiting.answer(Err(Refusal::TooLarge { size, limit }.into()));
            return None;
        }
        if alone + self.batch.size > self.limit {
            self.state.undo();
            self.full = true;
            return Some(waiting);
        }
        self.state.keep();
        let verdict = Ok(Done {
            time: self.time,
            versions,
        });
        self.batch.size += size;
        self.batch.entries.extend(entries);
        self.join(waiting, verdict)
    }

    fn join(&mut self, waiting: Waiting, verdict: Result<Done, Error>) -> Added {
        let batch = &mut self.batch;
        batch.members.push(Member { waiting, verdict });
        self.full = batch.entries.len().max(batch.members.len()) >= EVENTS
            || batch.idle_bytes >= IDLE_BYTES;
        None
    }

    /// Takes the commit out; what is added from now on is decided on top of it.
    pub(super) fn launch(mut self) -> (Self, Batch) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.time = self.time;
        self.state.launch();
        self.full = false;
        self.out_of_keys = false;
        self.begun = false;
        self.timeless = true;
        (self, batch)
    }

    pub(super) fn into_waiting(self) -> Vec<Waiting> {
        self.batch.into_waiting()
    }

    pub(super) fn fail(self, error: &Error) {
        self.batch.fail(error);
    }
}

impl Batch {
    pub(super) const fn time(&self) -> Millis {
        self.time
    }

    /// The commit after `head`.
    pub(super) fn encode(&self, custody: &Custody, subject: Subject, head: Head) -> Bytes {
        let epoch = custody.epoch();
        let header = Header {
            wallet: custody.wallet(),
            subject,
            previous: head.hash,
            writer: custody.process(),
            time: self.time,
            fact_keys: vec![epoch.id],
        };
        commit::encode(&header, &self.entries, &epoch, &mut Os::new())
    }

    /// Whether its commands change nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn succeed(self, seq: Seq) {
        for Member { waiting, verdict } in self.members {
            waiting.answer(verdict.map(|done| Committed { done, seq }));
        }
    }

    pub(super) fn fail(self, error: &Error) {
        for member in self.members {
            member.waiting.answer(Err(error.clone()));
        }
    }

    pub(super) fn into_waiting(self) -> Vec<Waiting> {
        self.members
            .into_iter()
            .map(|member| member.waiting)
            .collect()
    }
}
