//! The index on disk: events by their places, lists of places by terms, and when it was where.

mod add;
mod events;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use billfold_core::{
    Millis, cbor,
    commit::CommitHash,
    id::{FactKeyId, MountId, ProcessId, Seq},
    keys::ViewKey,
    subject::Subject,
};
use billfold_streams::{custody::Custody, replica::Head};
use serde_bytes::ByteArray;
use tokio::sync::{Notify, watch};

use crate::{
    chain::Chains,
    store::{self, Sealing},
    view::{self, View, damaged},
};

pub use add::{Added, Commit, Told};
pub(super) use events::{EVENTS, Events, Kept};

/// Where it is in the log, and how the times of commits went.
const POSITION: &[u8] = b"m";
/// The heads of the subjects.
const HEADS: &[u8] = b"h";
/// The view that folders are blinded by.
const STATE: &[u8] = b"s";
/// The first sequence at which the log had come to a second.
const SECONDS: &[u8] = b"d";
/// Lists of places, by term.
pub(super) const TERMS: &[u8] = b"p";

const SECOND: u64 = 1000;
/// How far the time of a void commit may be from the latest before it, in milliseconds, for the commit
/// to be found by times: whoever has the key of an epoch that ended can give such a commit any time.
const BELIEVED: u64 = 10 * SECOND;

/// The audit index. Only one process has it open.
pub struct Index {
    pub(super) tree: sled::Db,
    sealing: Sealing,
    dir: PathBuf,
    /// The keychain as it was where the index is, or shortly before: requests are judged by it.
    pub(super) state: Arc<View>,
    at: watch::Sender<At>,
    wanted: Notify,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

/// Where the index is in the log.
#[derive(Debug, Clone, Copy, Default)]
struct At {
    /// The last sequence that was read.
    seq: Seq,
    /// The latest time of any commit so far that is not void.
    latest: Millis,
    /// How far the time of one was before the latest so far, at most: commits of several subjects are
    /// not in the order of their times.
    lag: u64,
}

type WireHead = (String, Seq, ByteArray<32>, Millis, ProcessId);
/// With the epoch that is the current one there.
type WireAt = (Seq, Millis, u64, Option<FactKeyId>);

impl Index {
    pub(super) fn open(dir: &Path, custody: &Custody, cache: u64) -> Result<Self, view::Error> {
        let (tree, sealing) = store::open(&dir.join("index"), custody, cache)?;
        let state = Arc::new(View::open(&dir.join("state"), custody, cache)?);
        let index = Self {
            tree,
            sealing,
            dir: dir.to_owned(),
            state,
            at: watch::Sender::new(At::default()),
            wanted: Notify::new(),
        };
        index.at.send_replace(index.stored_position()?.0);
        index.belongs_together()?;
        Ok(index)
    }

    /// The index and the state beside it are made together: folders are blinded by the state's key,
    /// and requests are judged by a state that is not ahead of them.
    fn belongs_together(&self) -> Result<(), view::Error> {
        let id = self.state.sealing().id();
        match self.tree.get(STATE)? {
            None if self.position() == Seq::ZERO && self.state.head().seq == Seq::ZERO => {
                self.tree.insert(STATE, &id)?;
                self.tree.flush()?;
                Ok(())
            }
            Some(known) if known == id && self.state.head().seq <= self.position() => Ok(()),
            _ => Err(damaged("the state beside it")),
        }
    }

    /// The chains as far as they were read.
    pub(super) fn chains(&self) -> Result<Chains, view::Error> {
        let (At { seq: last, .. }, epoch) = self.stored_position()?;
        let mut heads = Vec::new();
        for item in self.tree.scan_prefix(HEADS) {
            let (key, sealed) = item?;
            let wire: WireHead = cbor::decode(&self.sealing.unseal(&key, &sealed)?)
                .map_err(|_| damaged("a head"))?;
            let (subject, seq, hash, time, writer) = wire;
            let subject: Subject = subject.parse().map_err(|_| damaged("a head"))?;
            let hash = CommitHash::from_bytes(hash.into_array());
            heads.push((
                subject,
                Head {
                    seq,
                    hash,
                    time,
                    writer,
                },
            ));
        }
        Ok(Chains::from_heads(heads, last).with_epoch(epoch))
    }

    fn stored_position(&self) -> Result<(At, Option<FactKeyId>), view::Error> {
        let Some(sealed) = self.tree.get(POSITION)? else {
            return Ok((At::default(), None));
        };
        let wire: Result<WireAt, _> = cbor::decode(&self.sealing.unseal(POSITION, &sealed)?);
        let (seq, latest, lag, epoch) = wire.map_err(|_| damaged("its position"))?;
        Ok((At { seq, latest, lag }, epoch))
    }

    /// How far it has read.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.at.borrow().seq
    }

    /// Waits until it has read this position.
    pub async fn read_up_to(&self, seq: Seq) {
        let mut at = self.at.subscribe();
        if at.borrow().seq < seq {
            self.wanted.notify_one();
        }
        // The sender is this index's own: it is there for as long as anybody waits.
        let _ = at.wait_for(|at| at.seq >= seq).await;
    }

    /// Waits until someone waits for it.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The first sequence that may have this time or a later one; none while the log is before it.
    /// Void commits count as far as their times are believed.
    pub(super) fn first_of(&self, time: Millis) -> Result<Option<Seq>, view::Error> {
        self.first_in(time.0.saturating_sub(BELIEVED) / SECOND)
    }

    /// The first sequence from which on every commit has this time or a later one; none while that
    /// may still change.
    pub(super) fn end_of(&self, time: Millis) -> Result<Option<Seq>, view::Error> {
        let lag = self.at.borrow().lag.max(BELIEVED);
        match time.0.checked_add(lag) {
            Some(time) => self.first_in(time.div_ceil(SECOND)),
            None => Ok(None),
        }
    }

    fn first_in(&self, second: u64) -> Result<Option<Seq>, view::Error> {
        let from = [SECONDS, &second.to_be_bytes()].concat();
        let to = [SECONDS, &u64::MAX.to_be_bytes()].concat();
        match self.tree.range(from..=to).next().transpose()? {
            None => Ok(None),
            Some((_, seq)) => match seq.as_ref().try_into().map(u64::from_be_bytes) {
                Ok(seq) => Ok(Some(Seq(seq))),
                Err(_) => Err(damaged("a second")),
            },
        }
    }

    /// The blinded id of a folder: `path` is empty for the mount, or ends with a slash.
    #[must_use]
    pub fn folder(&self, mount: MountId, path: &str) -> [u8; 16] {
        self.state.folder(mount, path)
    }

    pub(super) const fn key(&self) -> &ViewKey {
        self.sealing.key()
    }

    /// How many bytes it takes on disk.
    #[must_use]
    pub fn size_on_disk(&self) -> u64 {
        let index = self.tree.size_on_disk().unwrap_or_default();
        index.saturating_add(self.state.size_on_disk())
    }

    /// Writes what is in memory to disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn flush(&self) -> Result<(), view::Error> {
        self.tree.flush()?;
        Ok(())
    }

    /// Leaves a mark that the index must be rebuilt at the next start.
    pub fn condemn(&self) {
        store::condemn(&self.dir.join("index"));
    }
}
