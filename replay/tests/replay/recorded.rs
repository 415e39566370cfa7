//! A log in memory, copied from a real one, that a test may change as nobody should.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use billfold_core::{
    Millis,
    commit::{self, CommitHash, Entry, Header},
    id::{ProcessId, Seq},
    subject::{Generation, Subject},
};
use billfold_streams::{
    EventLog,
    custody::Custody,
    entropy::Os,
    log::{AppendError, Error, Filter, Message, Tail},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};

pub const DECIDED: Subject = Subject::Decided(Generation::FIRST);
const EVERYTHING: Filter = Filter::All(Generation::FIRST);

#[derive(Debug, Default)]
pub struct Recorded {
    pub messages: Vec<Message>,
    /// What it says of its end, once each; then the truth.
    pub heads: Mutex<VecDeque<Seq>>,
}

impl Recorded {
    pub async fn of(log: Arc<dyn EventLog>) -> Self {
        let end = log.head(EVERYTHING).await.unwrap();
        let tail = log.read(EVERYTHING, Seq::ZERO).await.unwrap();
        let messages = tail.take(end.0 as usize).map(Result::unwrap).collect();
        Self {
            messages: messages.await,
            heads: Mutex::default(),
        }
    }

    pub fn copy(&self) -> Self {
        Self {
            messages: self.messages.clone(),
            heads: Mutex::default(),
        }
    }

    pub fn at(&mut self, seq: u64) -> &mut Message {
        &mut self.messages[seq as usize - 1]
    }

    /// Numbers all messages from 1, as if nothing had ever been missing.
    pub fn renumber(&mut self) {
        for (message, seq) in self.messages.iter_mut().zip(1..) {
            message.seq = Seq(seq);
        }
    }

    pub fn last_on(&self, subject: Subject) -> Option<&Message> {
        self.messages.iter().rev().find(|m| m.subject == subject)
    }

    /// The sequences of the commits on `decided`, or of the others.
    pub fn seqs(&self, decided: bool) -> Vec<u64> {
        let fitting = self.messages.iter();
        let fitting = fitting.filter(|m| m.subject.is_decided() == decided);
        fitting.map(|m| m.seq.0).collect()
    }

    /// Appends a commit as somebody would who has all keys.
    pub fn forge(
        &mut self,
        custody: &Custody,
        (subject, writer): (Subject, ProcessId),
        entries: &[Entry],
    ) -> u64 {
        let last = self.last_on(subject);
        let epoch = custody.epoch();
        let header = Header {
            wallet: custody.wallet(),
            subject,
            previous: last.map_or(CommitHash::NONE, |m| CommitHash::of(&m.bytes)),
            writer,
            time: Millis(4_000_000_000_000),
            fact_keys: vec![epoch.id],
        };
        let seq = Seq(self.messages.len() as u64 + 1);
        self.messages.push(Message {
            seq,
            subject,
            bytes: commit::encode(&header, entries, &epoch, &mut Os::new()),
        });
        seq.0
    }
}

#[async_trait]
impl EventLog for Recorded {
    fn max_message(&self) -> usize {
        1 << 20
    }

    async fn append(&self, _: &Subject, _: Seq, _: Bytes) -> Result<Seq, AppendError> {
        Err(AppendError::Refused("nobody writes here".into()))
    }

    async fn last(&self, subject: &Subject) -> Result<Option<Message>, Error> {
        Ok(self.last_on(*subject).cloned())
    }

    async fn next_after(&self, subject: &Subject, after: Seq) -> Result<Option<Message>, Error> {
        let mut messages = self.messages.iter();
        Ok(messages
            .find(|m| m.subject == *subject && m.seq > after)
            .cloned())
    }

    async fn head(&self, _: Filter) -> Result<Seq, Error> {
        let said = self.heads.lock().unwrap().pop_front();
        let end = self.messages.last().map_or(Seq::ZERO, |m| m.seq);
        Ok(said.unwrap_or(end))
    }

    async fn read(&self, filter: Filter, after: Seq) -> Result<Tail, Error> {
        let messages = self.messages.clone().into_iter();
        let passing = messages.filter(move |m| m.seq > after && filter.admits(&m.subject));
        // A tail goes on for ever.
        Ok(stream::iter(passing.map(Ok))
            .chain(stream::pending())
            .boxed())
    }

    async fn now(&self) -> Result<Millis, Error> {
        Ok(Millis(0))
    }
}
