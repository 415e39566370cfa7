//! The two streams: how they are made, and what in them would be unsafe.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    context::GetStreamErrorKind,
    stream::{
        self, Config as StreamConfig, DiscardPolicy, Info, InfoError, PersistenceMode,
        RetentionPolicy, StorageType,
    },
};
use billfold_core::{id::Seq, subject::Subject};

use super::{Config, ConnectError, link::Link};
use crate::HEADROOM;

/// The subjects of the key store.
pub(super) const KEYS: &str = "wallet.keys";

/// How the streams are to be.
pub(super) struct Layout {
    pub(super) events: StreamConfig,
    pub(super) keys: StreamConfig,
}

/// A stream that is there.
pub(super) struct Opened {
    pub(super) stream: stream::Stream<()>,
    pub(super) info: Info,
}

/// What is said of a sequence that a stream had and has no more.
pub(super) const REMOVED: &str = "it is missing: messages were removed from the stream";

/// The first sequence that was removed from a stream, if any was.
pub(super) async fn first_removed(
    stream: &stream::Stream<()>,
    info: &Info,
) -> Result<Option<Seq>, InfoError> {
    let beginning = beginning(info);
    let state = &info.state;
    if state.last_sequence >= beginning && state.first_sequence > beginning {
        return Ok(Some(Seq(beginning)));
    }
    if state.deleted_count.unwrap_or(0) == 0 {
        return Ok(None);
    }
    let told = stream.info_builder().with_deleted(true).fetch().await?;
    let first = told.info.state.deleted.into_iter().flatten().min();
    Ok(Some(Seq(first.unwrap_or(beginning))))
}

/// Where a stream begins: a later generation goes on with the sequences of the one before.
pub(super) fn beginning(info: &Info) -> u64 {
    info.config.first_sequence.unwrap_or(1).max(1)
}

impl Layout {
    pub(super) fn of(config: &Config) -> Self {
        let base = |name: String, subject: String, about: &str| StreamConfig {
            name,
            subjects: vec![subject],
            description: Some(about.into()),
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_bytes: -1,
            max_consumers: -1,
            max_message_size: -1,
            storage: StorageType::File,
            num_replicas: config.replicas,
            // The least that the server takes; no message carries an id.
            duplicate_window: Duration::from_millis(100),
            deny_purge: true,
            ..StreamConfig::default()
        };
        let generation = config.generation;
        let events = StreamConfig {
            deny_delete: true,
            ..base(
                format!("WALLET_EVENTS_{}", generation.0),
                format!("{}.>", Subject::prefix(generation)),
                "The wallet's log: for ever.",
            )
        };
        let keys = base(
            "WALLET_KEYS".into(),
            format!("{KEYS}.>"),
            "The wallet's wrapped keys.",
        );
        Self { events, keys }
    }

    pub(super) async fn open_events(
        &self,
        link: &Link,
        create: bool,
    ) -> Result<Opened, ConnectError> {
        open(link, &self.events, create).await
    }

    pub(super) async fn open_keys(
        &self,
        link: &Link,
        create: bool,
    ) -> Result<Opened, ConnectError> {
        open(link, &self.keys, create).await
    }
}

async fn open(link: &Link, wanted: &StreamConfig, create: bool) -> Result<Opened, ConnectError> {
    let unavailable = |error: &dyn std::fmt::Display| {
        ConnectError::Unavailable(format!("{}: {error}", wanted.name))
    };
    match link.context.get_stream(&wanted.name).await {
        Ok(_) => {}
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(why)
                if why.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                if !create {
                    return Err(ConnectError::Missing(wanted.name.clone()));
                }
                let made = link.context.create_stream(wanted.clone()).await;
                made.map_err(|error| unavailable(&error))?;
            }
            _ => return Err(unavailable(&error)),
        },
    }
    let stream = link
        .context
        .get_stream_no_info(&wanted.name)
        .await
        .map_err(|error| unavailable(&error))?;
    // Read back, whoever made it.
    let info = stream
        .get_info()
        .await
        .map_err(|error| unavailable(&error))?;
    Ok(Opened { stream, info })
}

/// What could lose or change a commit of the log.
pub(super) fn unsafe_events(found: &StreamConfig, wanted: &StreamConfig) -> Vec<String> {
    let mut faults = unsafe_anyway(found, wanted);
    let name = &wanted.name;
    if !found.deny_delete {
        faults.push(format!(
            "{name} allows to delete messages (deny_delete is off)"
        ));
    }
    if !found.deny_purge {
        faults.push(format!("{name} allows to purge (deny_purge is off)"));
    }
    faults
}

/// What could lose a key page, or keep it from being erased.
pub(super) fn unsafe_keys(found: &StreamConfig, wanted: &StreamConfig) -> Vec<String> {
    let mut faults = unsafe_anyway(found, wanted);
    if found.deny_delete {
        faults.push(format!(
            "{} keeps keys from being erased (deny_delete is on)",
            wanted.name
        ));
    }
    faults
}

fn unsafe_anyway(found: &StreamConfig, wanted: &StreamConfig) -> Vec<String> {
    let limits = [
        found.max_messages,
        found.max_messages_per_subject,
        found.max_bytes,
    ];
    let checks = [
        (found.storage != StorageType::File, "is not stored in files"),
        (
            found.retention != RetentionPolicy::Limits,
            "drops messages that were read",
        ),
        (
            found.discard != DiscardPolicy::New,
            "discards old messages rather than new ones",
        ),
        (
            limits.iter().any(|limit| *limit > 0),
            "has a limit on messages or bytes",
        ),
        (!found.max_age.is_zero(), "has a limit on age"),
        (
            found.num_replicas < wanted.num_replicas,
            "has fewer replicas than configured",
        ),
        (found.no_ack, "does not acknowledge"),
        (found.sealed, "is sealed"),
        (found.allow_rollup, "allows rollups, which purge"),
        (found.allow_message_ttl, "allows messages to expire"),
        (
            found.allow_message_counter,
            "counts messages instead of storing them",
        ),
        (found.subjects != wanted.subjects, "holds other subjects"),
        (found.subject_transform.is_some(), "renames subjects"),
        (found.republish.is_some(), "republishes what it holds"),
        (
            found.mirror.is_some() || found.sources.is_some(),
            "takes messages from other streams",
        ),
        (
            found
                .persist_mode
                .as_ref()
                .is_some_and(|mode| *mode != PersistenceMode::Default),
            "acknowledges before it writes (persist_mode)",
        ),
    ];
    let found = checks.into_iter().filter(|(wrong, _)| *wrong);
    found
        .map(|(_, what)| format!("{} {what}", wanted.name))
        .collect()
}

/// The largest commit that the server and the stream take.
pub(super) fn largest_message(link: &Link, found: &StreamConfig) -> usize {
    let stream = usize::try_from(found.max_message_size)
        .ok()
        .filter(|size| *size > 0);
    let payload = link.client.server_info().max_payload;
    payload
        .min(stream.unwrap_or(usize::MAX))
        .saturating_sub(HEADROOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_settings_are_told() {
        let layout = Layout::of(&Config {
            replicas: 3,
            ..Config::dev("nats://localhost")
        });
        assert!(unsafe_events(&layout.events, &layout.events).is_empty());
        assert!(unsafe_keys(&layout.keys, &layout.keys).is_empty());
        let spoil: [fn(&mut StreamConfig); 12] = [
            |c| c.storage = StorageType::Memory,
            |c| c.retention = RetentionPolicy::WorkQueue,
            |c| c.discard = DiscardPolicy::Old,
            |c| c.max_messages_per_subject = 5,
            |c| c.max_age = Duration::from_secs(1),
            |c| c.num_replicas = 1,
            |c| c.no_ack = true,
            |c| c.allow_rollup = true,
            |c| c.allow_message_ttl = true,
            |c| c.subjects.push("other.>".into()),
            |c| c.persist_mode = Some(PersistenceMode::Async),
            |c| c.deny_delete = !c.deny_delete,
        ];
        for (i, spoil) in spoil.into_iter().enumerate() {
            let (mut events, mut keys) = (layout.events.clone(), layout.keys.clone());
            spoil(&mut events);
            spoil(&mut keys);
            assert_eq!(unsafe_events(&events, &layout.events).len(), 1, "{i}");
            assert_eq!(unsafe_keys(&keys, &layout.keys).len(), 1, "{i}");
        }
    }
}
