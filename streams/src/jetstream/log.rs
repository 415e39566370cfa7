//! [`EventLog`] on a stream.

use std::fmt::Display;

use async_nats::jetstream::{
    message::StreamMessage,
    stream::{RawMessageError, RawMessageErrorKind, Stream},
};
use async_trait::async_trait;
use billfold_core::{
    Millis,
    id::Seq,
    subject::{Generation, Subject},
};
use bytes::Bytes;
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{link::Link, tail};
use crate::log::{AppendError, Error, EventLog, Filter, Message, Tail};

#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) link: Link,
    pub(super) stream: Stream<()>,
    generation: Generation,
    limit: usize,
}

impl Log {
    pub(super) fn new(
        link: Link,
        stream: Stream<()>,
        generation: Generation,
        limit: usize,
    ) -> Self {
        Self {
            link,
            stream,
            generation,
            limit,
        }
    }

    pub(super) fn name(&self) -> String {
        format!("WALLET_EVENTS_{}", self.generation.0)
    }

    /// The filter's subjects, none for the whole stream.
    pub(super) fn subjects(&self, filter: Filter) -> Result<Vec<Subject>, Error> {
        let (generation, subjects) = match filter {
            Filter::All(generation) => (generation, Vec::new()),
            Filter::Decided(generation) => (generation, vec![Subject::Decided(generation)]),
            Filter::Checkpoints(generation) => (generation, vec![Subject::Checkpoint(generation)]),
            Filter::Serving(generation, process) => (
                generation,
                vec![
                    Subject::Decided(generation),
                    Subject::Observed(generation, process),
                ],
            ),
        };
        if generation != self.generation {
            let (found, asked) = (self.generation.0, generation.0);
            let why = format!("this is generation {found} of the log, not {asked}");
            return Err(Error::Unavailable(why));
        }
        Ok(subjects)
    }
}

/// The first message of a subject at `from` or behind, as the stream's leader has it.
pub(super) async fn first_from(
    stream: &Stream<()>,
    subject: &str,
    from: u64,
) -> Result<Option<StreamMessage>, String> {
    found(
        stream
            .raw_message_builder()
            .sequence(from)
            .next_by_subject(subject)
            .send()
            .await,
    )
}

/// The last message of a subject, as the stream's leader has it.
pub(super) async fn last_of(
    stream: &Stream<()>,
    subject: &str,
) -> Result<Option<StreamMessage>, String> {
    found(stream.get_last_raw_message_by_subject(subject).await)
}

fn found(asked: Result<StreamMessage, RawMessageError>) -> Result<Option<StreamMessage>, String> {
    match asked {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn unavailable(error: impl Display) -> Error {
    Error::Unavailable(error.to_string())
}

fn message(found: StreamMessage) -> Result<Message, Error> {
    let seq = Seq(found.sequence);
    let subject = found.subject.as_str().parse().map_err(|_| Error::Damaged {
        at: seq,
        what: "a message on a subject that no wallet writes".into(),
    })?;
    Ok(Message {
        seq,
        subject,
        bytes: found.payload,
    })
}

#[derive(Deserialize)]
struct Clock {
    ts: Option<String>,
}

#[async_trait]
impl EventLog for Log {
    fn max_message(&self) -> usize {
        self.limit
    }

    async fn append(
        &self,
        subject: &Subject,
        expected: Seq,
        message: Bytes,
    ) -> Result<Seq, AppendError> {
        let (size, limit) = (message.len(), self.limit);
        if size > limit {
            return Err(AppendError::TooLarge { size, limit });
        }
        let name = self.name();
        let seq = self
            .link
            .publish(&name, subject.to_string(), expected.0, message)
            .await?;
        Ok(Seq(seq))
    }

    async fn last(&self, subject: &Subject) -> Result<Option<Message>, Error> {
        let found = last_of(&self.stream, &subject.to_string())
            .await
            .map_err(unavailable)?;
        found.map(message).transpose()
    }

    async fn next_after(&self, subject: &Subject, after: Seq) -> Result<Option<Message>, Error> {
        let found = first_from(&self.stream, &subject.to_string(), after.next().0).await;
        found.map_err(unavailable)?.map(message).transpose()
    }

    async fn head(&self, filter: Filter) -> Result<Seq, Error> {
        let subjects = self.subjects(filter)?;
        if subjects.is_empty() {
            let info = self.stream.get_info().await.map_err(unavailable)?;
            return Ok(Seq(info.state.last_sequence));
        }
        let mut head = Seq::ZERO;
        for subject in subjects {
            let last = last_of(&self.stream, &subject.to_string())
                .await
                .map_err(unavailable)?;
            head = head.max(last.map_or(Seq::ZERO, |message| Seq(message.sequence)));
        }
        Ok(head)
    }

    async fn read(&self, filter: Filter, after: Seq) -> Result<Tail, Error> {
        tail::follow(self.clone(), filter, after).await
    }

    async fn now(&self) -> Result<Millis, Error> {
        let subject = format!("STREAM.INFO.{}", self.name());
        let clock: Clock = self
            .link
            .context
            .request(subject, &())
            .await
            .map_err(unavailable)?;
        let text = clock
            .ts
            .ok_or_else(|| unavailable("the server does not tell its time"))?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(unavailable)?;
        let millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000);
        Ok(Millis(millis.map_err(|_| {
            unavailable("the server's clock is before 1970")
        })?))
    }
}
