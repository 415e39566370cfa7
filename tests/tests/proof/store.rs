//! The messages of a log in the hands of whoever administers its store: everything that is written here
//! has checksums that are right.

use std::{
    fs,
    path::{Path, PathBuf},
};

use async_nats::jetstream::{self, stream};
use billfold_tests::{nats::NatsServer, wallet::Wallet};
use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

pub(crate) const STREAM: &str = "WALLET_EVENTS_1";
const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");
const POSITIONS: TableDefinition<'_, &[u8; 29], ()> = TableDefinition::new("positions");

/// Subjects and bytes, in order.
pub(crate) type Messages = Vec<(String, Bytes)>;

pub(crate) enum Store {
    /// The file of an embedded log whose node does not run.
    File(PathBuf),
    Stream(jetstream::Context),
}

impl Store {
    pub(crate) async fn of(wallet: &Wallet) -> Self {
        match &wallet.nats {
            None => Self::File(wallet.node.data_dir().join("log.redb")),
            Some(nats) => Self::Stream(Self::context(nats).await),
        }
    }

    pub(crate) async fn context(nats: &NatsServer) -> jetstream::Context {
        jetstream::new(async_nats::connect(nats.url()).await.unwrap())
    }

    pub(crate) async fn read(&self) -> Messages {
        match self {
            Self::File(file) => {
                let log = Database::open(file).unwrap();
                let txn = log.begin_read().unwrap();
                let messages = txn.open_table(MESSAGES).unwrap();
                let messages = messages.iter().unwrap().map(|entry| {
                    let value = entry.unwrap().1;
                    let (subject, bytes) = decoded(value.value());
                    (subject, Bytes::copy_from_slice(bytes))
                });
                messages.collect()
            }
            Self::Stream(context) => {
                let stream = context.get_stream(STREAM).await.unwrap();
                let last = stream.cached_info().state.last_sequence;
                let mut messages = Messages::new();
                for seq in 1..=last {
                    let message = stream.get_raw_message(seq).await.unwrap();
                    messages.push((message.subject.to_string(), message.payload));
                }
                messages
            }
        }
    }

    /// Makes the store anew, of these.
    pub(crate) async fn write(&self, messages: &Messages) {
        match self {
            Self::File(file) => {
                fs::remove_file(file).unwrap();
                create(file, messages);
            }
            Self::Stream(context) => {
                make_anew(context, messages, |config| config).await;
            }
        }
    }

    /// Takes out one, and leaves its place empty.
    pub(crate) async fn remove(&self, seq: u64) {
        match self {
            Self::File(file) => {
                let log = Database::open(file).unwrap();
                let txn = log.begin_write().unwrap();
                {
                    let mut messages = txn.open_table(MESSAGES).unwrap();
                    let value = messages.remove(seq).unwrap().unwrap();
                    let position = position(&decoded(value.value()).0, seq);
                    drop(value);
                    let mut positions = txn.open_table(POSITIONS).unwrap();
                    positions.remove(&position).unwrap().unwrap();
                }
                txn.commit().unwrap();
            }
            Self::Stream(context) => {
                // The stream forbids it; that does not bind whoever may make it anew.
                let messages = self.read().await;
                let config = |config| stream::Config {
                    deny_delete: false,
                    ..config
                };
                make_anew(context, &messages, config).await;
                let stream = context.get_stream(STREAM).await.unwrap();
                assert!(stream.delete_message(seq).await.unwrap());
            }
        }
    }
}

async fn make_anew(
    context: &jetstream::Context,
    messages: &Messages,
    change: impl FnOnce(stream::Config) -> stream::Config,
) {
    let stream = context.get_stream(STREAM).await.unwrap();
    let config = stream.cached_info().config.clone();
    context.delete_stream(STREAM).await.unwrap();
    context.create_stream(change(config)).await.unwrap();
    for (subject, bytes) in messages {
        let sent = context.publish(subject.clone(), bytes.clone()).await;
        sent.unwrap().await.unwrap();
    }
}

fn create(file: &Path, messages: &Messages) {
    let log = Database::create(file).unwrap();
    let txn = log.begin_write().unwrap();
    {
        let mut table = txn.open_table(MESSAGES).unwrap();
        let mut positions = txn.open_table(POSITIONS).unwrap();
        for (seq, (subject, bytes)) in (1..).zip(messages) {
            let (kind, process) = code(subject);
            let mut value = vec![kind, 0, 0, 0, 1];
            value.extend_from_slice(process.as_deref().unwrap_or_default());
            value.extend_from_slice(bytes);
            table.insert(seq, value.as_slice()).unwrap();
            positions.insert(&position(subject, seq), ()).unwrap();
        }
    }
    txn.commit().unwrap();
}

/// Kind and process of a subject of generation 1.
fn code(subject: &str) -> (u8, Option<Vec<u8>>) {
    let kind = subject.strip_prefix("wallet.events.1.").unwrap();
    match kind.split_once('.') {
        Some(("observed", process)) => (2, Some(hex::decode(process).unwrap())),
        _ if kind == "decided" => (1, None),
        _ if kind == "checkpoint" => (3, None),
        _ => panic!("{subject}"),
    }
}

fn decoded(value: &[u8]) -> (String, &[u8]) {
    let (subject, from) = match value[0] {
        1 => ("decided".to_owned(), 5),
        2 => (format!("observed.{}", hex::encode(&value[5..21])), 21),
        3 => ("checkpoint".to_owned(), 5),
        other => panic!("{other}"),
    };
    (format!("wallet.events.1.{subject}"), &value[from..])
}

fn position(subject: &str, seq: u64) -> [u8; 29] {
    let (kind, process) = code(subject);
    let mut position = [0; 29];
    position[..5].copy_from_slice(&[kind, 0, 0, 0, 1]);
    position[5..21].copy_from_slice(&process.unwrap_or_else(|| vec![0; 16]));
    position[21..].copy_from_slice(&seq.to_be_bytes());
    position
}
