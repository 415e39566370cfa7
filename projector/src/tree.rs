//! The tree over all messages of a generation: a view of its own, with its own position, that gives
//! roots and proofs. It is fed with every message, and holds each checkpoint of the log to itself.

mod held;
mod tiles;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use billfold_core::{
    cbor,
    commit::{CommitHash, Sealed},
    id::{ProcessId, Seq, WalletId},
    proof::{
        Checkpoint, Frontier, Hash, History, KeyName, Note, Statement, VerifierKey,
        history::{self, Attested},
        leaf::Leaves,
        path,
    },
    subject::Generation,
};
use billfold_streams::{
    EventLog,
    custody::Custody,
    entropy::Os,
    log::{self, Filter, Message},
    replica::Head,
};
use futures::StreamExt as _;
use serde_bytes::ByteArray;
use tokio::sync::watch;

use self::tiles::{Edge, Reader};
use crate::{
    aside::aside,
    chain::{Broken, Fault},
    store::{self, Sealing},
    view::{self, damaged},
};

pub use held::{Held, Kept, replace};

/// Where it is, and what the statements of the log come to there.
const META: &[u8] = b"m";
/// Before the place of a change of the key that signs checkpoints.
const CHANGES: &[u8] = b"c";
/// How many messages are taken at once while it comes to where another projector is.
const CHUNK: usize = 1024;

/// The tree. Only one process has it open.
pub struct Tree {
    db: sled::Db,
    sealing: Sealing,
    origin: KeyName,
    leaves: Leaves,
    growing: Mutex<Growing>,
    status: watch::Sender<Status>,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tree(of size {})", self.status.borrow().size())
    }
}

/// How far the tree is.
#[derive(Debug, Clone, Default)]
pub struct Status {
    frontier: Frontier,
    history: History,
    head: Head,
    last_other: Seq,
}

impl Status {
    /// How many messages it holds.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over them.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// What the statements of the log come to.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// The last commit on the subject `checkpoint`.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Whether something other than a checkpoint stands behind what the newest one attests.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.last_other.0 > self.history.size()
    }
}

/// What is added to.
struct Growing {
    status: Status,
    edge: Edge,
    /// Changes of the key that are not written yet, by their keys.
    changes: Vec<(Vec<u8>, String)>,
}

/// Why a tree cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log's fault: what is in it.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The log's fault: it cannot be reached.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The tree's own fault.
    #[error(transparent)]
    View(#[from] view::Error),
    /// The tree was made from another log than this one: evidence, so it is kept.
    #[error(
        "the tree was made from another log than this one: {0}. The log was rolled back or altered"
    )]
    Evidence(String),
    /// The file system's fault.
    #[error("the tree's folder cannot be written: {0}")]
    Folder(#[from] std::io::Error),
}

type WireHead = (Seq, ByteArray<32>, billfold_core::Millis, ProcessId);
type WireMeta = (
    u64,
    Vec<Hash>,
    WireHead,
    Seq,
    Option<String>,
    Option<(Seq, String)>,
);

/// Opens the tree in this folder; one that does not open is made anew.
///
/// # Errors
/// When the folder is in use or cannot be written.
pub async fn open(
    dir: &Path,
    custody: &Arc<Custody>,
    generation: Generation,
    cache_bytes: u64,
) -> Result<Arc<Tree>, Error> {
    let open = store::open_or_rebuild("the tree", dir, custody, move |dir, custody| {
        Tree::open(dir, custody, generation, cache_bytes)
    });
    open.await.map(Arc::new)
}

impl Tree {
    fn open(
        dir: &Path,
        custody: &Custody,
        generation: Generation,
        cache: u64,
    ) -> Result<Self, view::Error> {
        let (db, sealing) = store::open(dir, custody, cache)?;
        let wallet: WalletId = custody.wallet();
        let status = match db.get(META)? {
            None => Status::default(),
            Some(sealed) => decode_meta(&sealing.unseal(META, &sealed)?)?,
        };
        let edge = Edge::load(&Reader::new(&db, &sealing), status.size())?;
        Ok(Self {
            origin: KeyName::origin(wallet, generation),
            leaves: Leaves::of(wallet, generation),
            growing: Mutex::new(Growing {
                status: status.clone(),
                edge,
                changes: Vec::new(),
            }),
            status: watch::Sender::new(status),
            db,
            sealing,
        })
    }

    /// The origin of its checkpoints.
    #[must_use]
    pub const fn origin(&self) -> &KeyName {
        &self.origin
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Tells each time how far it is.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Waits until it has taken the message of this sequence.
    pub async fn read_up_to(&self, seq: Seq) {
        let mut status = self.status.subscribe();
        let _ = status.wait_for(|status| status.size() >= seq.0).await;
    }

    /// Takes messages, which follow one another. What it has already it compares.
    ///
    /// # Errors
    /// At the first message that it cannot vouch for. What stands before that is taken.
    pub fn add(&self, messages: &[Message]) -> Result<(), Error> {
        let mut growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entropy = Os::new();
        // What is compared stands in tiles that are full: they never change.
        let reader = self.reader();
        let taken = messages
            .iter()
            .try_for_each(|message| self.take(&mut growing, message, &reader, &mut entropy));
        self.write(&mut growing, &mut entropy)?;
        taken
    }

    fn take(
        &self,
        growing: &mut Growing,
        message: &Message,
        reader: &Reader<'_>,
        entropy: &mut Os,
    ) -> Result<(), Error> {
        let leaf = self
            .leaves
            .hash(message.seq, &message.subject, &message.bytes);
        let size = growing.status.size();
        if message.seq.0 <= size {
            return compare(growing, reader, message.seq, leaf);
        }
        let broken = |fault| Broken {
            seq: message.seq,
            subject: message.subject,
            fault,
        };
        if message.seq.0 != size + 1 {
            return Err(broken(Fault::Gap(Seq(size))).into());
        }
        if message.subject.is_checkpoint() {
            // A checkpoint may be about what stands right before it.
            self.write(growing, entropy)?;
            let states_more = self.follow(growing, message, &broken)?;
            if states_more {
                growing.status.last_other = message.seq;
            }
        } else {
            growing.status.last_other = message.seq;
        }
        let Growing { status, edge, .. } = growing;
        status
            .frontier
            .append(leaf, |level, hash| edge.add(level, hash));
        Ok(())
    }

    /// Takes what a commit on `checkpoint` states; says whether it states more than checkpoints.
    fn follow(
        &self,
        growing: &mut Growing,
        message: &Message,
        broken: &dyn Fn(Fault) -> Broken,
    ) -> Result<bool, Error> {
        let sealed = Sealed::parse(&message.bytes).map_err(|error| broken(Fault::Commit(error)))?;
        let head = growing.status.head;
        if sealed.header.previous != head.hash {
            return Err(broken(Fault::Chain {
                stated: sealed.header.previous,
                found: head.hash,
            })
            .into());
        }
        let (mut history, mut states_more) = (growing.status.history.clone(), false);
        let mut changes = Vec::new();
        for (place, statement) in (0_u32..).zip(sealed.statements()) {
            let key = history.key().cloned();
            let followed =
                history.follow(&self.origin, message.seq, statement, |size| self.root(size));
            followed.map_err(|error| match error {
                Refused::Statement(fault) => Error::from(broken(Fault::Statement(fault))),
                Refused::View(error) => Error::from(error),
            })?;
            // The first key attests nothing by itself.
            states_more |= key.is_some() && history.key() != key.as_ref();
            if let Statement::KeyChange(note) = statement {
                let (seq, place) = (message.seq.0.to_be_bytes(), place.to_be_bytes());
                changes.push(([CHANGES, &seq, &place].concat(), note.clone()));
            }
        }
        growing.status.history = history;
        growing.changes.append(&mut changes);
        growing.status.head = Head {
            seq: message.seq,
            hash: CommitHash::of(&message.bytes),
            time: sealed.header.time,
            writer: sealed.header.writer,
        };
        Ok(states_more)
    }

    fn write(&self, growing: &mut Growing, entropy: &mut Os) -> Result<(), view::Error> {
        let size = growing.status.size();
        if size == self.status.borrow().size() {
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        growing.edge.each_unwritten(size, |key, plain| {
            let sealed = self.sealing.seal(&key, plain, entropy);
            batch.insert(key, sealed);
        });
        for (key, note) in &growing.changes {
            let sealed = self.sealing.seal(key, note.as_bytes(), entropy);
            batch.insert(key.as_slice(), sealed);
        }
        let meta = encode_meta(&growing.status);
        batch.insert(META, self.sealing.seal(META, &meta, entropy));
        self.db.apply_batch(batch)?;
        growing.edge.written();
        growing.changes.clear();
        self.status.send_replace(growing.status.clone());
        Ok(())
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(&self.db, &self.sealing)
    }

    /// The root of the first `size` messages.
    ///
    /// # Errors
    /// When there are not as many, or the tree is damaged.
    pub fn root<E: From<view::Error>>(&self, size: u64) -> Result<Hash, E> {
        Ok(path::root(&self.reader(), size)?)
    }

    /// The notes that change the key which signs checkpoints, in their order; the first names the
    /// first key.
    ///
    /// # Errors
    /// When the tree is damaged.
    pub fn key_changes(&self) -> Result<Vec<String>, view::Error> {
        let stored = self.db.scan_prefix(CHANGES).map(|entry| {
            let (key, sealed) = entry?;
            let note = self.sealing.unseal(&key, &sealed)?;
            String::from_utf8(note).map_err(|_| damaged("a change of the checkpoint key"))
        });
        stored.collect()
    }

    /// What proves that the message at `seq` is among the first `size`, with its leaf.
    ///
    /// # Errors
    /// When there are not as many, or the tree is damaged.
    pub fn inclusion(&self, seq: Seq, size: u64) -> Result<(Hash, Vec<Hash>), view::Error> {
        let (reader, index) = (self.reader(), seq.0.saturating_sub(1));
        let leaf = path::Hashes::subtree(&reader, 0, index)?;
        Ok((leaf, path::inclusion(&reader, index, size)?))
    }

    /// What proves that the first `to` messages begin with the first `from`.
    ///
    /// # Errors
    /// When there are not as many, or the tree is damaged.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, view::Error> {
        path::consistency(&self.reader(), from, to)
    }

    /// Comes to where another projector is, which checked the chains up to there, and makes sure
    /// that the log goes on where the tree ends.
    ///
    /// # Errors
    /// When the log is shorter or another, or cannot be reached.
    pub async fn catch_up(
        self: &Arc<Self>,
        log: &dyn EventLog,
        generation: Generation,
        to: Seq,
    ) -> Result<(), Error> {
        let all = Filter::All(generation);
        let size = self.status.borrow().size();
        let end = log.head(all).await?;
        if end.0 < size {
            return Err(Error::Evidence(format!(
                "it has {size} messages, the log ends at sequence {end}"
            )));
        }
        if size == 0 && to == Seq::ZERO {
            return Ok(());
        }
        // The last message that it has is read once more, and compared.
        let mut tail = log
            .read(all, Seq(size.saturating_sub(1)))
            .await?
            .ready_chunks(CHUNK);
        loop {
            let messages = tail.next().await.unwrap_or_default();
            let messages = messages.into_iter().collect::<Result<Vec<_>, _>>()?;
            if messages.is_empty() {
                return Err(log::Error::Unavailable("its tail ended".to_owned()).into());
            }
            self.add_apart(messages).await?;
            if self.status.borrow().size() >= to.0 {
                return Ok(());
            }
        }
    }

    /// Holds the whole log, as far as the tree had read it when this began, to the tree.
    ///
    /// # Errors
    /// When the log is another one, or cannot be read.
    pub async fn compare_all(
        self: &Arc<Self>,
        log: &dyn EventLog,
        generation: Generation,
    ) -> Result<(), Error> {
        let size = self.status.borrow().size();
        let mut compared = 0;
        if size == 0 {
            return Ok(());
        }
        let tail = log.read(Filter::All(generation), Seq::ZERO).await?;
        let mut tail = tail.ready_chunks(CHUNK);
        while compared < size {
            let messages = tail.next().await.unwrap_or_default();
            let messages = messages.into_iter().collect::<Result<Vec<_>, _>>()?;
            let known = messages
                .into_iter()
                .take_while(|message| message.seq.0 <= size);
            let known: Vec<_> = known.collect();
            let Some(last) = known.last() else {
                return Err(log::Error::Unavailable("its tail ended".to_owned()).into());
            };
            if last.seq.0 != compared + known.len() as u64 {
                let at = Seq(compared + 1);
                return Err(Error::Evidence(format!(
                    "the log has a gap behind sequence {at}"
                )));
            }
            compared = last.seq.0;
            self.add_apart(known).await?;
        }
        Ok(())
    }

    /// Takes messages on a thread of its own.
    ///
    /// # Errors
    /// As [`Tree::add`].
    pub async fn add_apart(self: &Arc<Self>, messages: Vec<Message>) -> Result<(), Error> {
        let tree = Arc::clone(self);
        aside(move || tree.add(&messages)).await
    }

    /// Writes what is in memory to disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn flush(&self) -> Result<(), view::Error> {
        self.db.flush()?;
        Ok(())
    }
}

/// A message that was taken before must be the one that was.
fn compare(growing: &Growing, reader: &Reader<'_>, seq: Seq, leaf: Hash) -> Result<(), Error> {
    let index = seq.0.saturating_sub(1);
    let had = match growing.edge.leaf(growing.status.size(), index) {
        Some(had) => had,
        None => path::Hashes::subtree(reader, 0, index)?,
    };
    match had == leaf {
        true => Ok(()),
        false => Err(Error::Evidence(format!(
            "at sequence {seq} it has leaf {had}, the log has {leaf}"
        ))),
    }
}

/// Why a statement was not taken.
enum Refused {
    Statement(history::Fault),
    View(view::Error),
}

impl From<history::Fault> for Refused {
    fn from(fault: history::Fault) -> Self {
        Self::Statement(fault)
    }
}

impl From<view::Error> for Refused {
    fn from(error: view::Error) -> Self {
        Self::View(error)
    }
}

fn encode_meta(status: &Status) -> Vec<u8> {
    let Head {
        seq,
        hash,
        time,
        writer,
    } = status.head;
    let history = &status.history;
    let newest = history.newest();
    let meta: WireMeta = (
        status.size(),
        status.frontier.peaks().to_vec(),
        (seq, ByteArray::new(*hash.as_bytes()), time, writer),
        status.last_other,
        history.key().map(ToString::to_string),
        newest.map(|newest| (newest.seq, newest.note.to_string())),
    );
    cbor::encode(&meta)
}

fn decode_meta(bytes: &[u8]) -> Result<Status, view::Error> {
    let wrong = || damaged("where the tree is");
    let meta: WireMeta = cbor::decode(bytes).map_err(|_| wrong())?;
    let (size, peaks, (seq, hash, time, writer), last_other, key, newest) = meta;
    let key: Option<VerifierKey> = key
        .map(|key| key.parse())
        .transpose()
        .map_err(|_| wrong())?;
    let newest = newest.map(|(seq, note)| {
        let note = Note::parse(note.as_bytes()).map_err(|_| wrong())?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| wrong())?;
        Ok::<_, view::Error>(Attested {
            seq,
            checkpoint,
            note,
        })
    });
    Ok(Status {
        frontier: Frontier::from_parts(size, peaks).ok_or_else(wrong)?,
        history: History::from_parts(key, newest.transpose()?),
        head: Head {
            seq,
            hash: CommitHash::from_bytes(hash.into_array()),
            time,
            writer,
        },
        last_other,
    })
}
