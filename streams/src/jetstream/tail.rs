//! A read that goes on over lost connections, restarts and elections.
//!
//! An ephemeral consumer without acknowledgements delivers in order and counts what it delivers.
//! Whenever that count has a hole, the heartbeat stops or anything fails, it is thrown away and
//! another begins right behind the last message that was handed out. (async-nats' own ordered
//! consumer begins at the first message of all if it fails before its first one.)

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    self, ErrorCode,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    context::GetStreamErrorKind,
    stream::Info,
};
use billfold_core::{id::Seq, subject::Subject};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::time::Instant;

use super::{
    layout,
    log::{Log, unavailable},
};
use crate::{
    backoff::Backoff,
    log::{Error, Filter, Message, Tail},
};

/// What the server sends ahead at most.
const AHEAD_MESSAGES: usize = 2_000;
const AHEAD_BYTES: usize = 16 << 20;
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a pull lasts before it is renewed.
const PULL: Duration = Duration::from_secs(30);
/// When the server forgets a consumer that nobody pulls from.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// How long damage must be seen again and again to be believed while the tail already runs: a
/// server that has just restarted may not have read all of its files.
const BELIEVED: Duration = Duration::from_secs(10);
/// How many subjects to remember in parsed form.
const SUBJECTS: usize = 4_096;

pub(super) async fn follow(log: Log, filter: Filter, after: Seq) -> Result<Tail, Error> {
    let mut cursor = Cursor {
        subjects: log.subjects(filter)?,
        log,
        at: after,
        delivered: 0,
        source: None,
        loss: futures::future::pending().boxed(),
        known: HashMap::new(),
        backoff: Backoff::new(),
    };
    cursor.open().await?;
    Ok(stream::unfold(Some(cursor), |cursor| async move {
        let mut cursor = cursor?;
        match cursor.next().await {
            Ok(message) => Some((Ok(message), Some(cursor))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed())
}

struct Cursor {
    log: Log,
    /// What to read; empty for all.
    subjects: Vec<Subject>,
    /// The last message handed out.
    at: Seq,
    /// How many messages the present consumer delivered.
    delivered: u64,
    source: Option<pull::Stream>,
    /// The loss of the connection on which the present consumer began.
    loss: BoxFuture<'static, ()>,
    known: HashMap<String, Subject>,
    backoff: Backoff,
}

impl Cursor {
    async fn next(&mut self) -> Result<Message, Error> {
        loop {
            let Some(source) = &mut self.source else {
                self.open_again().await?;
                continue;
            };
            let item = tokio::select! {
                biased;
                item = source.next() => item,
                () = &mut self.loss => None,
            };
            match item {
                Some(Ok(message)) => {
                    if let Some(message) = self.take(message)? {
                        return Ok(message);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, at = self.at.0, "the log's consumer failed");
                    self.source = None;
                }
                None => self.source = None,
            }
        }
    }

    /// The message as it goes out, or `None` when some before it were lost on the way.
    fn take(&mut self, message: jetstream::Message) -> Result<Option<Message>, Error> {
        let Ok((count, seq)) = message
            .info()
            .map(|info| (info.consumer_sequence, Seq(info.stream_sequence)))
        else {
            return Err(self.damaged("a message that no stream delivered"));
        };
        if count != self.delivered.saturating_add(1) {
            self.source = None;
            return Ok(None);
        }
        if self.delivered == 0 {
            self.backoff = Backoff::new();
        }
        self.delivered = count;
        if seq <= self.at {
            return Err(self.damaged("the server delivers what it delivered before"));
        }
        if self.subjects.is_empty() && seq != self.at.next() {
            return Err(Error::Damaged {
                at: self.at.next(),
                what: "it is missing".into(),
            });
        }
        self.at = seq;
        let message = message.message;
        let subject = self.subject(&message.subject)?;
        Ok(Some(Message {
            seq,
            subject,
            bytes: message.payload,
        }))
    }

    fn subject(&mut self, text: &str) -> Result<Subject, Error> {
        if let Some(subject) = self.known.get(text) {
            return Ok(*subject);
        }
        let subject = text
            .parse()
            .map_err(|_| self.damaged("a message on a subject that no wallet writes"))?;
        if self.known.len() >= SUBJECTS {
            self.known.clear();
        }
        self.known.insert(text.to_owned(), subject);
        Ok(subject)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged {
            at: self.at,
            what: what.into(),
        }
    }

    async fn open_again(&mut self) -> Result<(), Error> {
        let mut told = false;
        let mut damaged_since = None;
        if self.delivered == 0 {
            self.backoff.wait().await;
        }
        loop {
            match self.open().await {
                Ok(()) => {
                    if told {
                        tracing::info!(after = self.at.0, "reading the log goes on");
                    }
                    return Ok(());
                }
                Err(error @ Error::Damaged { .. }) => {
                    if damaged_since.get_or_insert_with(Instant::now).elapsed() > BELIEVED {
                        return Err(error);
                    }
                }
                Err(error) => {
                    damaged_since = None;
                    if !told {
                        told = true;
                        tracing::warn!(%error, after = self.at.0, "reading the log is interrupted");
                    }
                }
            }
            self.backoff.wait().await;
        }
    }

    /// Begins a new consumer behind the last message handed out.
    async fn open(&mut self) -> Result<(), Error> {
        let loss = self.log.link.loss().boxed();
        let stream = match self.log.link.context.get_stream(self.log.name()).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(why)
                    if why.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    return Err(self.damaged("its stream is gone"));
                }
                _ => return Err(unavailable(error)),
            },
        };
        self.check(stream.cached_info()).await?;
        let consumer: PullConsumer = stream
            .create_consumer(self.consumer())
            .await
            .map_err(unavailable)?;
        let source = consumer
            .stream()
            .max_messages_per_batch(AHEAD_MESSAGES)
            .max_bytes_per_batch(AHEAD_BYTES)
            .heartbeat(HEARTBEAT)
            .expires(PULL)
            .messages()
            .await
            .map_err(unavailable)?;
        (self.source, self.loss, self.delivered) = (Some(source), loss, 0);
        Ok(())
    }

    fn consumer(&self) -> pull::Config {
        let mut filters: Vec<_> = self.subjects.iter().map(ToString::to_string).collect();
        let one = if filters.len() == 1 {
            filters.pop().unwrap_or_default()
        } else {
            String::new()
        };
        pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.at.next().0,
            },
            ack_policy: AckPolicy::None,
            filter_subject: one,
            filter_subjects: filters,
            inactive_threshold: FORGOTTEN,
            max_deliver: 1,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        }
    }

    /// Whether the stream can hold what was read so far and what is to be read.
    async fn check(&mut self, info: &Info) -> Result<(), Error> {
        let last = info.state.last_sequence;
        let beginning = layout::beginning(info);
        self.at = self.at.max(Seq(beginning - 1));
        if self.at.0 > last && last >= beginning || last < beginning && self.at.0 > beginning - 1 {
            return Err(self.damaged(&format!("it ends at {last}")));
        }
        let removed = layout::first_removed(&self.log.stream, info).await;
        match removed.map_err(unavailable)? {
            Some(at) => Err(Error::Damaged {
                at,
                what: layout::REMOVED.to_owned(),
            }),
            None => Ok(()),
        }
    }
}
