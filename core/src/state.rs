//! The state that the fold keeps: a few kinds of entries by key, changed only by [`State::apply`].
//!
//! A [`State`] is a layer of changes over a [`Source`]: the view of a node, or nothing at all. What
//! is decided on top of a commit in flight is one more layer over the same source, so that a
//! million secrets cost no memory (ADR 0005).

mod apply;
mod command;
mod cubbyhole;
mod entry;
mod epoch;
mod erasure;
mod grant;
pub mod key_status;
mod mount;
mod page;
mod policy;
mod record;
mod token;
mod wallet;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

pub(crate) use apply::keys_of;
pub use apply::{At, Broken, Error};
pub use command::CommandRecord;
pub use cubbyhole::{Cubbyhole, CubbyholeEntry};
pub use entry::{Key, Value};
pub use epoch::Epoch;
pub use erasure::{Erasure, Fate, Hold, Holds, Keys, by_page};
pub use grant::{Grant, Grants};
pub use mount::Mount;
pub use page::PageUse;
pub use policy::StoredPolicy;
pub use record::{Record, Version};
pub use token::Token;
pub use wallet::{Compromise, Wallet, WalletGeneration, WalletKek};

use crate::{
    Millis,
    event::v1::TokenRole,
    id::{CommandId, ErasureId, FactKeyId, MountId, PageId, RecordId, Seq, TokenId},
    keys::page::KeyRef,
    labels,
};

/// How old a command's id may be by the log's time, in milliseconds: 48 hours.
pub const COMMANDS_KEPT: u64 = 48 * 3_600_000;

/// How far ahead of the log a command's own time may be, in milliseconds. An id is remembered for
/// so much longer than [`COMMANDS_KEPT`], or one that was ahead would be taken a second time.
pub const COMMAND_AHEAD: u64 = 5 * 60_000;

/// How many versions a record keeps when neither it nor its mount says.
pub const DEFAULT_MAX_VERSIONS: u32 = 10;

/// Where a state reads what it has not changed itself.
pub trait Source {
    /// Why a read failed.
    type Error;

    /// The entry of this key.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn get(&self, key: &Key) -> Result<Option<Value>, Self::Error>;

    /// The commands that were remembered before this time.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, Self::Error>;

    /// Records of a mount, at most so many.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn records_of(&self, mount: &MountId, most: usize) -> Result<Vec<RecordId>, Self::Error>;
}

/// The digest of all that the fold did up to a sequence. It is equal wherever the same log was
/// folded (invariant 1), and covers ciphertexts by their hashes only (invariant 8).
#[derive(Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Digest(serde_bytes::ByteArray<32>);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(*self.0))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// One changed entry: its new value and that value's bytes, or that it is gone.
#[derive(Clone, Debug)]
pub struct Change {
    /// The value and its encoding; none when the entry was removed.
    pub now: Option<(Value, Vec<u8>)>,
}

/// A layer of changes over a source.
#[derive(Debug)]
pub struct State<S> {
    source: S,
    digest: Digest,
    /// The commit in flight, when the next one is decided on top of it.
    flying: HashMap<Key, Option<Value>>,
    /// Whole commits, or the commands of the commit at work.
    settled: HashMap<Key, Option<Value>>,
    /// The commit or command at work.
    open: BTreeMap<Key, Option<Value>>,
    /// The commands that any layer here has ever held, by time: a commit must not search them all.
    remembered: BTreeSet<(Millis, CommandId)>,
}

impl<S: Source> State<S> {
    /// The state of this source, whose digest is known.
    pub fn over(source: S, digest: Digest) -> Self {
        Self {
            source,
            digest,
            flying: HashMap::new(),
            settled: HashMap::new(),
            open: BTreeMap::new(),
            remembered: BTreeSet::new(),
        }
    }

    /// The digest after the last whole commit.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What it reads from.
    #[must_use]
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// The entry of this key as it is now.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn get(&self, key: &Key) -> Result<Option<Value>, S::Error> {
        let changed = self.open.get(key).or_else(|| self.settled.get(key));
        match changed.or_else(|| self.flying.get(key)) {
            Some(changed) => Ok(changed.clone()),
            None => self.source.get(key),
        }
    }

    /// Ends a commit: its changes become part of the state, and of the digest.
    ///
    /// The digest chains over commits: SHA-256 of label, digest before, sequence, and each changed
    /// entry in the order of keys, with lengths before them.
    pub fn finish_commit(&mut self, seq: Seq) -> BTreeMap<Key, Change> {
        let mut hash = Sha256::new();
        hash.update((labels::STATE_DIGEST.as_bytes().len() as u64).to_be_bytes());
        hash.update(labels::STATE_DIGEST.as_bytes());
        hash.update(*self.digest.0);
        hash.update(seq.0.to_be_bytes());
        let mut changes = BTreeMap::new();
        for (key, mut value) in std::mem::take(&mut self.open) {
            if let Some(Value::Epoch(epoch)) = &mut value {
                epoch.begins_at(seq);
            }
            let encoded = value.as_ref().map(Value::encode);
            for part in [
                key.encode().as_slice(),
                encoded.as_deref().unwrap_or_default(),
            ] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
            self.settled.insert(key, value.clone());
            changes.insert(
                key,
                Change {
                    now: value.zip(encoded),
                },
            );
        }
        self.digest = Digest(serde_bytes::ByteArray::new(hash.finalize().into()));
        changes
    }

    /// Forgets what was changed since the last [`State::keep`] or [`State::finish_commit`].
    pub fn undo(&mut self) {
        for (key, value) in std::mem::take(&mut self.open) {
            if let (Key::Command(id), Some(Value::Command(record))) = (key, value)
                && !self.settled.contains_key(&key)
                && !self.flying.contains_key(&key)
            {
                self.remembered.remove(&(record.time, id));
            }
        }
    }

    /// Keeps what was changed without ending a commit: for deciding several commands of one.
    pub fn keep(&mut self) {
        self.settled.extend(std::mem::take(&mut self.open));
    }

    /// What was kept goes into flight, and the source has what flew before: the next commit is
    /// decided on top.
    pub fn launch(&mut self) {
        self.flying = std::mem::take(&mut self.settled);
    }

    /// Forgets every change, whole commits too, once the source has them.
    pub fn rebase(&mut self, digest: Digest) {
        self.flying.clear();
        self.settled.clear();
        self.open.clear();
        self.remembered.clear();
        self.digest = digest;
    }

    /// How many entries differ from the source.
    #[must_use]
    pub fn changed(&self) -> usize {
        self.settled.len()
    }

    fn put(&mut self, key: Key, value: Value) {
        if let (Key::Command(id), Value::Command(record)) = (&key, &value) {
            self.remembered.insert((record.time, *id));
        }
        self.open.insert(key, Some(value));
    }

    fn remove(&mut self, key: Key) {
        self.open.insert(key, None);
    }

    /// The wallet, once it was created.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn wallet(&self) -> Result<Option<Arc<Wallet>>, S::Error> {
        Ok(self.get(&Key::Wallet)?.and_then(Value::into_wallet))
    }

    /// A mount.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn mount(&self, id: &MountId) -> Result<Option<Mount>, S::Error> {
        Ok(self.mounts()?.get(id).cloned())
    }

    /// All mounts.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn mounts(&self) -> Result<Arc<BTreeMap<MountId, Mount>>, S::Error> {
        Ok(self
            .get(&Key::Mounts)?
            .and_then(Value::into_mounts)
            .unwrap_or_default())
    }

    /// A record.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn record(&self, id: &RecordId) -> Result<Option<Record>, S::Error> {
        Ok(self.get(&Key::Record(*id))?.and_then(Value::into_record))
    }

    /// How a key page is used; a page that nothing refers to yet is open and unused.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn page(&self, id: &PageId) -> Result<PageUse, S::Error> {
        Ok(self
            .get(&Key::Page(*id))?
            .and_then(Value::into_page)
            .unwrap_or_default())
    }

    /// A token, standing or not.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn token(&self, id: &TokenId) -> Result<Option<Token>, S::Error> {
        let token = self.get(&Key::Token(*id))?.and_then(Value::into_token);
        Ok(token.map(|token| *token))
    }

    /// All policies, by name.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn policies(&self) -> Result<Arc<BTreeMap<String, StoredPolicy>>, S::Error> {
        Ok(self
            .get(&Key::Policies)?
            .and_then(Value::into_policies)
            .unwrap_or_default())
    }

    /// What a token keeps for itself.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn cubbyhole(&self, token: &TokenId) -> Result<Cubbyhole, S::Error> {
        Ok(self
            .get(&Key::Cubbyhole(*token))?
            .and_then(Value::into_cubbyhole)
            .unwrap_or_default())
    }

    /// All roles of the token store, by name.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn token_roles(&self) -> Result<Arc<BTreeMap<String, TokenRole>>, S::Error> {
        Ok(self
            .get(&Key::TokenRoles)?
            .and_then(Value::into_token_roles)
            .unwrap_or_default())
    }

    /// An erasure that was ordered.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn erasure(&self, id: &ErasureId) -> Result<Option<Erasure>, S::Error> {
        let erasure = self.get(&Key::Erasure(*id))?;
        Ok(erasure.and_then(Value::into_erasure).map(|order| *order))
    }

    /// All legal holds.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn holds(&self) -> Result<Arc<Holds>, S::Error> {
        Ok(self
            .get(&Key::Holds)?
            .and_then(Value::into_holds)
            .unwrap_or_default())
    }

    /// An epoch of facts, the current one or one before it.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn epoch(&self, id: &FactKeyId) -> Result<Option<Epoch>, S::Error> {
        Ok(self.get(&Key::Epoch(*id))?.and_then(Value::into_epoch))
    }

    /// All auditor grants that stand.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn grants(&self) -> Result<Arc<Grants>, S::Error> {
        Ok(self
            .get(&Key::Grants)?
            .and_then(Value::into_grants)
            .unwrap_or_default())
    }

    /// Whether a mount has any records.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn has_records(&self, mount: &MountId) -> Result<bool, S::Error> {
        let layers = self.flying.keys().chain(self.settled.keys());
        let changed: BTreeSet<&Key> = layers
            .chain(self.open.keys())
            .filter(|key| matches!(key, Key::Record(_)))
            .collect();
        for key in &changed {
            let record = self.get(key)?.and_then(Value::into_record);
            if record.is_some_and(|record| record.mount == *mount) {
                return Ok(true);
            }
        }
        let below = self.source.records_of(mount, changed.len() + 1)?;
        Ok(below.iter().any(|id| !changed.contains(&Key::Record(*id))))
    }

    /// The keys that go with a token: of its MAC, of its names, and of all in its cubbyhole.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub(crate) fn keys_of_token(
        &self,
        id: &TokenId,
        token: &Token,
    ) -> Result<Vec<KeyRef>, S::Error> {
        let cubbyhole = self.cubbyhole(id)?;
        Ok([token.mac.key, token.names.key]
            .into_iter()
            .chain(cubbyhole.keys())
            .collect())
    }

    /// A command that is remembered.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn command(&self, id: &CommandId) -> Result<Option<CommandRecord>, S::Error> {
        Ok(self.get(&Key::Command(*id))?.and_then(Value::into_command))
    }

    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, S::Error> {
        let mut due: Vec<CommandId> = self.source.commands_before(time)?;
        let until = (time, CommandId::default());
        due.extend(self.remembered.range(..until).map(|(_, id)| *id));
        due.sort_unstable();
        due.dedup();
        let mut left = Vec::with_capacity(due.len());
        for id in due {
            // A layer may have removed what the layer below has, or remembered it anew.
            if self.command(&id)?.is_some_and(|record| record.time < time) {
                left.push(id);
            }
        }
        Ok(left)
    }
}

/// A source in memory: for replays of small logs, and for tests.
#[derive(Debug, Default, Clone)]
pub struct Memory(BTreeMap<Key, Value>);

impl Memory {
    /// Takes over a commit's changes.
    pub fn absorb(&mut self, changes: BTreeMap<Key, Change>) {
        for (key, change) in changes {
            match change.now {
                Some((value, _)) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
    }

    /// All entries, in the order of keys.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.0.iter()
    }
}

impl Source for Memory {
    type Error = std::convert::Infallible;

    fn get(&self, key: &Key) -> Result<Option<Value>, Self::Error> {
        Ok(self.0.get(key).cloned())
    }

    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, Self::Error> {
        let commands = self.0.range(Key::Command(CommandId::default())..);
        Ok(commands
            .filter_map(|(key, value)| match (key, value) {
                (Key::Command(id), Value::Command(record)) if record.time < time => Some(*id),
                _ => None,
            })
            .collect())
    }

    fn records_of(&self, mount: &MountId, most: usize) -> Result<Vec<RecordId>, Self::Error> {
        let entries = self.0.iter().filter_map(|(key, value)| match (key, value) {
            (Key::Record(id), Value::Record(record)) if record.mount == *mount => Some(*id),
            _ => None,
        });
        Ok(entries.take(most).collect())
    }
}

impl<S: Source + ?Sized> Source for &S {
    type Error = S::Error;

    fn get(&self, key: &Key) -> Result<Option<Value>, S::Error> {
        (**self).get(key)
    }

    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, S::Error> {
        (**self).commands_before(time)
    }

    fn records_of(&self, mount: &MountId, most: usize) -> Result<Vec<RecordId>, S::Error> {
        (**self).records_of(mount, most)
    }
}
