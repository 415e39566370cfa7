//! The tree over all messages of a generation: a view of its own, with its own position, that gives
//! roots and proofs. It is fed with every message, and holds each checkpoint of the log to itself.

mod catch_up;
mod held;
mod prove;
mod status;
mod tiles;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use billfold_core::{
    commit::{CommitHash, Sealed},
    id::{Seq, WalletId},
    proof::{Hash, KeyName, Statement, history, leaf::Leaves, path},
    subject::Generation,
};
use billfold_streams::{
    custody::Custody,
    entropy::Os,
    log::{self, Message},
    replica::Head,
};
use tokio::sync::watch;

use self::tiles::{Edge, Reader};
use crate::{
    chain::{Broken, Fault},
    store::{self, Sealing},
    view,
};

pub use held::{Held, Kept, replace};
pub use status::Status;

/// Where it is, and what the statements of the log come to there.
const META: &[u8] = b"m";
/// Before the place of a change of the key that signs checkpoints.
const CHANGES: &[u8] = b"c";

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
            Some(sealed) => Status::decode(&sealing.unseal(META, &sealed)?)?,
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
        let meta = growing.status.encode();
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
