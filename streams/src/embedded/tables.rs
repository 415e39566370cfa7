//! The log's tables, and what is asked of them.

use billfold_core::{
    id::{ProcessId, Seq},
    subject::{Generation, Subject},
};
use bytes::Bytes;
use redb::{
    ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};

use super::fault::Fault;
use crate::log::{Filter, Message};

/// Sequence → subject, then the commit's bytes.
pub(super) const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");
/// Subject and sequence, so that one subject can be read without the others.
pub(super) const POSITIONS: TableDefinition<'_, &[u8; 29], ()> = TableDefinition::new("positions");

const DECIDED: u8 = 1;
const OBSERVED: u8 = 2;
const CHECKPOINT: u8 = 3;

const MISSING: &str = "it is missing";

/// A subject in 21 bytes: kind, generation, process (zeros where none has one of its own).
fn encoded(subject: &Subject) -> [u8; 21] {
    let (kind, process) = match subject {
        Subject::Decided(_) => (DECIDED, [0; 16]),
        Subject::Observed(_, process) => (OBSERVED, *process.as_bytes()),
        Subject::Checkpoint(_) => (CHECKPOINT, [0; 16]),
    };
    let mut code = [0; 21];
    let (head, tail) = code.split_at_mut(5);
    let [first, generation @ ..] = head else {
        return code;
    };
    *first = kind;
    generation.copy_from_slice(&subject.generation().0.to_be_bytes());
    tail.copy_from_slice(&process);
    code
}

/// What stands before a message's bytes: its subject, without a process if it has none.
fn split(value: &[u8]) -> Option<(Subject, &[u8])> {
    let ([kind, a, b, c, d], rest) = value.split_first_chunk::<5>()?;
    let generation = Generation(u32::from_be_bytes([*a, *b, *c, *d]));
    match *kind {
        DECIDED => Some((Subject::Decided(generation), rest)),
        CHECKPOINT => Some((Subject::Checkpoint(generation), rest)),
        OBSERVED => {
            let (process, bytes) = rest.split_first_chunk::<16>()?;
            Some((
                Subject::Observed(generation, ProcessId::from_bytes(*process)),
                bytes,
            ))
        }
        _ => None,
    }
}

fn position(subject: &Subject, seq: Seq) -> [u8; 29] {
    let mut key = [0; 29];
    let (head, tail) = key.split_at_mut(21);
    head.copy_from_slice(&encoded(subject));
    tail.copy_from_slice(&seq.0.to_be_bytes());
    key
}

fn seq_of(position: &[u8; 29]) -> Seq {
    let [.., a, b, c, d, e, f, g, h] = *position;
    Seq(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

fn decoded(seq: Seq, value: &[u8]) -> Result<Message, Fault> {
    let (subject, bytes) =
        split(value).ok_or_else(|| Fault::damaged(seq, "a message without a subject"))?;
    Ok(Message {
        seq,
        subject,
        bytes: Bytes::copy_from_slice(bytes),
    })
}

/// Both tables in a snapshot.
pub(super) struct Snapshot {
    messages: redb::ReadOnlyTable<u64, &'static [u8]>,
    positions: redb::ReadOnlyTable<&'static [u8; 29], ()>,
}

impl Snapshot {
    pub(super) fn of(txn: &ReadTransaction) -> Result<Self, Fault> {
        Ok(Self {
            messages: txn.open_table(MESSAGES)?,
            positions: txn.open_table(POSITIONS)?,
        })
    }

    /// The last sequence over all subjects.
    pub(super) fn end(&self) -> Result<Seq, Fault> {
        end(&self.messages)
    }

    /// The same, compared with what can be compared at no cost.
    pub(super) fn checked_end(&self) -> Result<Seq, Fault> {
        let end = self.end()?;
        if self.messages.len()? != end.0 {
            return Err(self.missing()?);
        }
        if self.positions.len()? != end.0 {
            return Err(self.unplaced(end)?);
        }
        Ok(end)
    }

    /// Where the first sequence is missing.
    fn missing(&self) -> Result<Fault, Fault> {
        let mut expected = Seq(1);
        for entry in self.messages.iter()? {
            let seq = Seq(entry?.0.value());
            if seq != expected {
                break;
            }
            expected = seq.next();
        }
        Ok(Fault::damaged(expected, MISSING))
    }

    /// Where the first message is that its subject does not know.
    fn unplaced(&self, end: Seq) -> Result<Fault, Fault> {
        for entry in self.messages.iter()? {
            let (seq, value) = entry?;
            let message = decoded(Seq(seq.value()), value.value())?;
            if let Err(fault) = self.check_position(&message) {
                return Ok(fault);
            }
        }
        Ok(Fault::damaged(end, "a subject has what is no message"))
    }

    /// Whether the message is where its subject is looked for: nobody who reads that subject alone may
    /// miss it.
    fn check_position(&self, message: &Message) -> Result<(), Fault> {
        let position = position(&message.subject, message.seq);
        match self.positions.get(&position)? {
            Some(_) => Ok(()),
            None => Err(Fault::damaged(
                message.seq,
                format!("it is not listed on {}", message.subject),
            )),
        }
    }

    pub(super) fn message(&self, seq: Seq) -> Result<Option<Message>, Fault> {
        self.messages
            .get(seq.0)?
            .map(|value| decoded(seq, value.value()))
            .transpose()
    }

    pub(super) fn last(&self, subject: &Subject) -> Result<Seq, Fault> {
        last(&self.positions, subject)
    }

    /// The first sequence of the subject behind `after`.
    pub(super) fn next(&self, subject: &Subject, after: Seq) -> Result<Option<Seq>, Fault> {
        self.subject_from(subject, after)?.next().transpose()
    }

    fn subject_from(
        &self,
        subject: &Subject,
        after: Seq,
    ) -> Result<impl Iterator<Item = Result<Seq, Fault>> + use<>, Fault> {
        let (from, to) = (
            position(subject, after.next()),
            position(subject, Seq(u64::MAX)),
        );
        let range = self.positions.range::<&[u8; 29]>(&from..=&to)?;
        Ok(range.map(|entry| Ok(seq_of(entry?.0.value()))))
    }

    pub(super) fn head(&self, filter: Filter) -> Result<Seq, Fault> {
        match filter {
            Filter::All(_) => {
                for entry in self.messages.iter()?.rev() {
                    let (seq, value) = entry?;
                    let message = decoded(Seq(seq.value()), value.value())?;
                    if filter.admits(&message.subject) {
                        return Ok(message.seq);
                    }
                }
                Ok(Seq::ZERO)
            }
            Filter::Decided(generation) => self.last(&Subject::Decided(generation)),
            Filter::Checkpoints(generation) => self.last(&Subject::Checkpoint(generation)),
            Filter::Serving(generation, process) => Ok(self
                .last(&Subject::Decided(generation))?
                .max(self.last(&Subject::Observed(generation, process))?)),
        }
    }

    /// Some messages behind `after` that pass the filter; none means that there are none yet.
    pub(super) fn batch(&self, filter: Filter, after: Seq, size: usize) -> Result<Batch, Fault> {
        match filter {
            Filter::All(_) => self.scan(filter, after, size),
            Filter::Decided(generation) => {
                let decided = self.subject_from(&Subject::Decided(generation), after)?;
                self.pick(filter, decided, after, size)
            }
            Filter::Checkpoints(generation) => {
                let checkpoints = self.subject_from(&Subject::Checkpoint(generation), after)?;
                self.pick(filter, checkpoints, after, size)
            }
            Filter::Serving(generation, process) => {
                let mut decided = self
                    .subject_from(&Subject::Decided(generation), after)?
                    .peekable();
                let mut observed = self
                    .subject_from(&Subject::Observed(generation, process), after)?
                    .peekable();
                let merged = std::iter::from_fn(|| match (decided.peek(), observed.peek()) {
                    (Some(Ok(a)), Some(Ok(b))) if a > b => observed.next(),
                    (None, _) => observed.next(),
                    _ => decided.next(),
                });
                self.pick(filter, merged, after, size)
            }
        }
    }

    fn scan(&self, filter: Filter, after: Seq, size: usize) -> Result<Batch, Fault> {
        let mut batch = Batch {
            messages: Vec::new(),
            upto: after,
        };
        let mut left = size;
        for entry in self.messages.range(after.next().0..)? {
            let (seq, value) = entry?;
            let message = decoded(Seq(seq.value()), value.value())?;
            if message.seq != batch.upto.next() {
                return Err(Fault::damaged(batch.upto.next(), MISSING));
            }
            self.check_position(&message)?;
            batch.upto = message.seq;
            if !filter.admits(&message.subject) {
                continue;
            }
            left = left.saturating_sub(message.bytes.len().max(64));
            batch.messages.push(message);
            if left == 0 {
                break;
            }
        }
        Ok(batch)
    }

    fn pick(
        &self,
        filter: Filter,
        seqs: impl Iterator<Item = Result<Seq, Fault>>,
        after: Seq,
        size: usize,
    ) -> Result<Batch, Fault> {
        let mut batch = Batch {
            messages: Vec::new(),
            upto: after,
        };
        let mut left = size;
        for seq in seqs {
            let seq = seq?;
            let message = self
                .message(seq)?
                .ok_or_else(|| Fault::damaged(seq, MISSING))?;
            if !filter.admits(&message.subject) {
                return Err(Fault::damaged(seq, "it is listed on another subject"));
            }
            left = left.saturating_sub(message.bytes.len().max(64));
            batch.upto = seq;
            batch.messages.push(message);
            if left == 0 {
                break;
            }
        }
        Ok(batch)
    }
}

/// A piece of a read.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: Vec<Message>,
    /// Up to here nothing else passes the filter.
    pub(super) upto: Seq,
}

/// Both tables while they are written.
pub(super) struct Writing<'txn> {
    messages: Table<'txn, u64, &'static [u8]>,
    positions: Table<'txn, &'static [u8; 29], ()>,
    end: Seq,
}

impl<'txn> Writing<'txn> {
    pub(super) fn of(txn: &'txn WriteTransaction) -> Result<Self, Fault> {
        let messages = txn.open_table(MESSAGES)?;
        let end = end(&messages)?;
        Ok(Self {
            messages,
            positions: txn.open_table(POSITIONS)?,
            end,
        })
    }

    pub(super) fn last(&self, subject: &Subject) -> Result<Seq, Fault> {
        last(&self.positions, subject)
    }

    /// Puts a message at the end.
    pub(super) fn push(&mut self, subject: &Subject, bytes: &[u8]) -> Result<Seq, Fault> {
        let seq = self.end.next();
        let code = encoded(subject);
        let (head, process) = code.split_at(5);
        let process = match subject {
            Subject::Observed(..) => process,
            Subject::Decided(_) | Subject::Checkpoint(_) => &[],
        };
        let len = head.len() + process.len() + bytes.len();
        let mut slot = self.messages.insert_reserve(seq.0, len)?;
        let (to, rest) = slot.as_mut().split_at_mut(head.len());
        to.copy_from_slice(head);
        let (to, rest) = rest.split_at_mut(process.len());
        to.copy_from_slice(process);
        rest.copy_from_slice(bytes);
        drop(slot);
        self.positions.insert(&position(subject, seq), ())?;
        self.end = seq;
        Ok(seq)
    }
}

fn end(messages: &impl ReadableTable<u64, &'static [u8]>) -> Result<Seq, Fault> {
    Ok(messages
        .last()?
        .map_or(Seq::ZERO, |(seq, _)| Seq(seq.value())))
}

fn last(
    positions: &impl ReadableTable<&'static [u8; 29], ()>,
    subject: &Subject,
) -> Result<Seq, Fault> {
    let (from, to) = (
        position(subject, Seq::ZERO),
        position(subject, Seq(u64::MAX)),
    );
    let found = positions.range::<&[u8; 29]>(&from..=&to)?.next_back();
    Ok(found
        .transpose()?
        .map_or(Seq::ZERO, |(key, _)| seq_of(key.value())))
}
