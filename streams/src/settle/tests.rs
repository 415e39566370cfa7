use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use billfold_core::{Millis, subject::Generation};

use super::*;
use crate::log::{Filter, Message, Tail};

const SUBJECT: Subject = Subject::Decided(Generation::FIRST);
const OURS: Bytes = Bytes::from_static(b"ours");
const THEIRS: Bytes = Bytes::from_static(b"theirs");
const EXPECTED: Seq = Seq(4);

/// What one attempt does to the log, and what it answers.
enum Step {
    Answers(AppendError),
    LandsAnd(AppendError),
    LandsAndIsAcknowledged,
    /// Another's message lands before it.
    IsOvertaken,
    /// The read that settles fails once.
    IsOvertakenUnseen,
}

/// A log that follows a script, then its own rule.
#[derive(Debug, Default)]
struct Scripted(Mutex<State>);

#[derive(Default)]
struct State {
    script: VecDeque<Step>,
    messages: Vec<(Seq, Bytes)>,
    blind: bool,
    attempts: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

impl Scripted {
    fn new(script: impl IntoIterator<Item = Step>) -> Self {
        let messages = vec![(EXPECTED, Bytes::from_static(b"before"))];
        let script = script.into_iter().collect();
        Self(Mutex::new(State {
            script,
            messages,
            ..State::default()
        }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn settle(&self) -> (Result<Seq, SettleError>, usize) {
        let mut unknown = 0;
        let result = append_settled(self, &SUBJECT, EXPECTED, OURS, |_| unknown += 1).await;
        (result, unknown)
    }
}

impl State {
    fn land(&mut self, bytes: Bytes) -> Seq {
        let seq = self.messages.last().unwrap().0.next();
        self.messages.push((seq, bytes));
        seq
    }

    fn append(&mut self, expected: Seq, bytes: Bytes) -> Result<Seq, AppendError> {
        if self.messages.last().unwrap().0 == expected {
            Ok(self.land(bytes))
        } else {
            Err(AppendError::Conflict)
        }
    }
}

fn message((seq, bytes): &(Seq, Bytes)) -> Message {
    Message {
        seq: *seq,
        subject: SUBJECT,
        bytes: bytes.clone(),
    }
}

#[async_trait]
impl EventLog for Scripted {
    fn max_message(&self) -> usize {
        100
    }

    async fn append(&self, _: &Subject, expected: Seq, bytes: Bytes) -> Result<Seq, AppendError> {
        let mut state = self.state();
        state.attempts += 1;
        match state.script.pop_front() {
            None => state.append(expected, bytes),
            Some(Step::Answers(error)) => Err(error),
            Some(Step::LandsAnd(error)) => {
                state.append(expected, bytes).unwrap();
                Err(error)
            }
            Some(Step::LandsAndIsAcknowledged) => state.append(expected, bytes),
            Some(Step::IsOvertaken) => {
                state.land(THEIRS);
                state.append(expected, bytes)
            }
            Some(Step::IsOvertakenUnseen) => {
                state.blind = true;
                state.land(THEIRS);
                state.append(expected, bytes)
            }
        }
    }

    async fn last(&self, _: &Subject) -> Result<Option<Message>, Error> {
        Ok(self.state().messages.last().map(message))
    }

    async fn next_after(&self, _: &Subject, after: Seq) -> Result<Option<Message>, Error> {
        let mut state = self.state();
        if std::mem::take(&mut state.blind) {
            return Err(Error::Unavailable("away".into()));
        }
        Ok(state
            .messages
            .iter()
            .find(|(seq, _)| *seq > after)
            .map(message))
    }

    async fn head(&self, _: Filter) -> Result<Seq, Error> {
        unreachable!()
    }

    async fn read(&self, _: Filter, _: Seq) -> Result<Tail, Error> {
        unreachable!()
    }

    async fn now(&self) -> Result<Millis, Error> {
        unreachable!()
    }
}

fn lost() -> AppendError {
    AppendError::Unknown("no answer".into())
}

fn full() -> AppendError {
    AppendError::Refused("disk full".into())
}

#[tokio::test]
async fn an_acknowledged_append_is_sent_once() {
    let log = Scripted::new([Step::LandsAndIsAcknowledged]);
    assert_eq!(log.settle().await, (Ok(Seq(5)), 0));
    assert_eq!(log.state().attempts, 1);
}

#[tokio::test]
async fn a_lost_acknowledgement_is_found_in_the_log() {
    let log = Scripted::new([Step::LandsAnd(lost())]);
    assert_eq!(log.settle().await, (Ok(Seq(5)), 1));
    assert_eq!(log.state().messages.len(), 2, "it must not land twice");
}

#[tokio::test]
async fn a_lost_message_is_sent_again() {
    let log = Scripted::new([Step::Answers(lost()), Step::Answers(lost())]);
    assert_eq!(log.settle().await, (Ok(Seq(5)), 2));
}

#[tokio::test]
async fn another_writer_wins() {
    let log = Scripted::new([Step::IsOvertaken]);
    assert_eq!(log.settle().await, (Err(SettleError::Conflict), 0));
    let log = Scripted::new([Step::Answers(lost()), Step::IsOvertaken]);
    assert_eq!(log.settle().await, (Err(SettleError::Conflict), 1));
}

#[tokio::test]
async fn a_conflict_counts_only_once_it_is_seen() {
    let log = Scripted::new([Step::IsOvertakenUnseen]);
    assert_eq!(log.settle().await, (Err(SettleError::Conflict), 1));
    assert_eq!(log.state().attempts, 2);
}

#[tokio::test]
async fn a_refusal_is_definite_only_when_nothing_is_open() {
    let log = Scripted::new([Step::Answers(full())]);
    assert_eq!(
        log.settle().await,
        (Err(SettleError::Refused("disk full".into())), 0)
    );
    // The first attempt landed, its answer was lost, the next was refused: it is in the log.
    let log = Scripted::new([Step::LandsAnd(lost()), Step::Answers(full())]);
    assert_eq!(log.settle().await, (Ok(Seq(5)), 2));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_retried() {
    let log = Scripted::new([Step::Answers(AppendError::TooLarge { size: 9, limit: 5 })]);
    assert_eq!(
        log.settle().await,
        (Err(SettleError::TooLarge { size: 9, limit: 5 }), 0)
    );
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_damaged() {
    let log = Scripted::new([]);
    log.state().messages = vec![(Seq(2), Bytes::from_static(b"older"))];
    let (result, _) = log.settle().await;
    assert!(
        matches!(result, Err(SettleError::Damaged { at: EXPECTED, .. })),
        "{result:?}"
    );
}
