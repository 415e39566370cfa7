//! The keychain view: the fold's entries, with names and payloads beside them, in sled.
//!
//! One tree, and one batch for all that a commit changes and its sequence, so that the view is
//! always the state at exactly one place in the log. Keys are blinded, values sealed under the
//! view's own key; payloads and names stay sealed under their DEKs (`docs/wire-format.md`, "Views").

mod erasures;
mod folders;
mod history;
pub(crate) mod layout;
mod meta;
mod record;
mod scan;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use billfold_core::{
    Millis,
    id::{CommandId, MountId, RecordId, TokenId},
    state::{Change, Digest, Key, PageUse, Source, Value, Wallet},
};
use billfold_streams::{custody::Custody, entropy::Os, replica::Head};

use crate::store::{self, Sealing};

pub use erasures::Destroyed;
pub(crate) use erasures::Gone;
pub(crate) use folders::Raw;
pub use folders::{Found, Leaf};
pub use history::Then;
pub(crate) use history::Written;
pub use meta::Meta;
pub(crate) use record::Extras;
pub use record::{NamedRecord, StoredRecord};

/// A view on disk. Only one process has it open.
pub struct View {
    tree: sled::Db,
    sealing: Sealing,
    dir: PathBuf,
    meta: RwLock<Meta>,
    /// The few entries that every decision reads.
    globals: RwLock<Globals>,
    /// The time of the oldest command that is remembered, or of none.
    oldest_command: Mutex<Option<Millis>>,
}

#[derive(Default)]
struct Globals {
    wallet: Option<Value>,
    mounts: Option<Value>,
    policies: Option<Value>,
    holds: Option<Value>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "View({}, at {})",
            self.dir.display(),
            self.meta().head.seq
        )
    }
}

/// What is written at once: changed entries of the fold, changed keys beside them, and the place in the
/// log that this leads to.
pub(crate) struct Changes {
    pub(crate) entries: Vec<(Key, Change, Option<Extras>)>,
    pub(crate) raw: Raw,
    pub(crate) meta: Meta,
}

/// Why a view cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has it open.
    #[error("the view in {0} is in use by another process")]
    InUse(PathBuf),
    /// It is damaged, or of another release: it has to be rebuilt from the log.
    #[error("the view is not usable: {0}")]
    Unusable(String),
    /// It belongs to another wallet: a folder was mixed up.
    #[error("the view in {0} belongs to another wallet")]
    OtherWallet(PathBuf),
}

impl From<sled::Error> for Error {
    fn from(error: sled::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl View {
    /// Opens the view in this folder, or makes an empty one.
    ///
    /// # Errors
    /// When it is in use, unusable, or another wallet's.
    pub fn open(dir: &Path, custody: &Custody, cache_bytes: u64) -> Result<Self, Error> {
        let (tree, sealing) = store::open(dir, custody, cache_bytes)?;
        let view = Self {
            tree,
            sealing,
            dir: dir.to_owned(),
            meta: RwLock::new(Meta::default()),
            globals: RwLock::default(),
            oldest_command: Mutex::new(None),
        };
        view.load()?;
        Ok(view)
    }

    pub(crate) const fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// Where in the log it is.
    #[must_use]
    pub fn meta(&self) -> Meta {
        *self.meta.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last applied `decided` commit.
    #[must_use]
    pub fn head(&self) -> Head {
        self.meta().head
    }

    /// The wallet and its KEK versions, once it was created.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn wallet(&self) -> Result<Option<Wallet>, Error> {
        match self.get(&Key::Wallet)? {
            Some(Value::Wallet(wallet)) => Ok(Some(Arc::unwrap_or_clone(wallet))),
            _ => Ok(None),
        }
    }

    /// The digest there.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.meta().digest
    }

    /// A record with the ciphertexts beside it.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn stored_record(&self, id: &RecordId) -> Result<Option<StoredRecord>, Error> {
        let key = layout::entry(&Key::Record(*id));
        match self.tree.get(&key)? {
            Some(bytes) => Ok(Some(StoredRecord::decode(&bytes, |sealed| {
                self.sealing.unseal(&key, sealed)
            })?)),
            None => Ok(None),
        }
    }

    /// A record with its names beside it, without any payload.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn named_record(&self, id: &RecordId) -> Result<Option<NamedRecord>, Error> {
        Ok(self.stored_record(id)?.map(NamedRecord::from))
    }

    /// What stands beside a record.
    pub(crate) fn extras(&self, id: &RecordId) -> Result<Option<Extras>, Error> {
        let stored = self.tree.get(layout::entry(&Key::Record(*id)))?;
        stored.map(|bytes| Extras::decode(&bytes)).transpose()
    }

    /// Whether there is such a record.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn has_record(&self, id: &RecordId) -> Result<bool, Error> {
        Ok(self.tree.contains_key(layout::entry(&Key::Record(*id)))?)
    }

    /// The ciphertext of a version's payload.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn payload(
        &self,
        id: &RecordId,
        stored: &StoredRecord,
        version: u32,
    ) -> Result<Option<bytes::Bytes>, Error> {
        if let Some(payload) = stored.payload(version) {
            return Ok(Some(payload));
        }
        let bytes = self.tree.get(layout::payload(id, version))?;
        Ok(bytes.map(|bytes| bytes::Bytes::copy_from_slice(&bytes)))
    }

    /// The sealed names of a mount.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn mount_names(&self, mount: &MountId) -> Result<Option<bytes::Bytes>, Error> {
        let bytes = self.tree.get(layout::mount_names(mount))?;
        Ok(bytes.map(|bytes| bytes::Bytes::copy_from_slice(&bytes)))
    }

    /// The sealed names of a token.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn token_names(&self, token: &TokenId) -> Result<Option<bytes::Bytes>, Error> {
        let bytes = self.tree.get(layout::token_names(token))?;
        Ok(bytes.map(|bytes| bytes::Bytes::copy_from_slice(&bytes)))
    }

    /// The sealed MAC of a token.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn token_mac(&self, token: &TokenId) -> Result<Option<bytes::Bytes>, Error> {
        let bytes = self.tree.get(layout::token_mac(token))?;
        Ok(bytes.map(|bytes| bytes::Bytes::copy_from_slice(&bytes)))
    }

    /// Something in a token's cubbyhole, sealed.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn cubbyhole_payload(
        &self,
        token: &TokenId,
        entry: &RecordId,
    ) -> Result<Option<bytes::Bytes>, Error> {
        let bytes = self.tree.get(layout::cubbyhole_payload(token, entry))?;
        Ok(bytes.map(|bytes| bytes::Bytes::copy_from_slice(&bytes)))
    }

    /// The path of something in a token's cubbyhole, sealed.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn cubbyhole_names(
        &self,
        token: &TokenId,
        entry: &RecordId,
    ) -> Result<Option<bytes::Bytes>, Error> {
        let bytes = self.tree.get(layout::cubbyhole_names(token, entry))?;
        Ok(bytes.map(|bytes| bytes::Bytes::copy_from_slice(&bytes)))
    }

    /// The keys of all that is in a token's cubbyhole.
    pub(crate) fn cubbyhole_keys(
        &self,
        token: &TokenId,
    ) -> impl Iterator<Item = Result<Vec<u8>, Error>> + use<> {
        let keys = self.tree.scan_prefix(layout::cubbyhole(token)).keys();
        keys.map(|key| Ok(key?.to_vec()))
    }

    /// The sealed MAC of the root token.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn root_token_mac(&self) -> Result<Option<bytes::Bytes>, Error> {
        let bytes = self.tree.get(layout::payload(&RecordId::default(), 0))?;
        Ok(bytes.map(|bytes| bytes::Bytes::copy_from_slice(&bytes)))
    }

    pub(crate) fn payload_keys(
        &self,
        id: &RecordId,
    ) -> impl Iterator<Item = Result<Vec<u8>, Error>> + use<> {
        let keys = self.tree.scan_prefix(layout::payloads(id)).keys();
        keys.map(|key| Ok(key?.to_vec()))
    }

    /// The pages that still have something to be swept: keys given up and not yet confirmed.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn pages_with_dying_keys(&self) -> Result<Vec<billfold_core::id::PageId>, Error> {
        let mut pages = Vec::new();
        for item in self.tree.scan_prefix(layout::PAGES) {
            let (key, sealed) = item?;
            let Some(id) = layout::page_of(&key) else {
                continue;
            };
            let plain = self.sealing.unseal(&key, &sealed)?;
            match Value::decode(&Key::Page(id), &plain) {
                Ok(Value::Page(PageUse { dying, .. })) if dying.is_empty() => {}
                Ok(_) => pages.push(id),
                Err(_) => return Err(damaged("a page entry")),
            }
        }
        Ok(pages)
    }

    /// How many bytes it takes on disk.
    #[must_use]
    pub fn size_on_disk(&self) -> u64 {
        self.tree.size_on_disk().unwrap_or_default()
    }

    /// Writes what is in memory to disk. A view that missed this is behind, and catches up.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn flush(&self) -> Result<(), Error> {
        self.tree.flush()?;
        Ok(())
    }

    /// Leaves a mark that the view must be rebuilt at the next start.
    pub fn condemn(&self) {
        store::condemn(&self.dir);
    }

    /// Writes all of it, or nothing.
    pub(crate) fn write(&self, changes: Changes, entropy: &mut Os) -> Result<(), Error> {
        let Changes { entries, raw, meta } = changes;
        let mut batch = sled::Batch::default();
        let mut commands_changed = false;
        let mut globals = Globals::default();
        for (key, change, extras) in entries {
            let at = layout::entry(&key);
            commands_changed |= matches!(key, Key::Command(_));
            if let Key::Command(id) = key {
                self.order_command(&mut batch, &id, change.now.as_ref().map(|(value, _)| value))?;
            }
            match change.now {
                None => batch.remove(at),
                Some((value, plain)) => {
                    let sealed = self.sealing.seal(&at, &plain, entropy);
                    batch.insert(
                        at,
                        match extras {
                            Some(extras) => StoredRecord::encode(sealed, &extras),
                            None => sealed,
                        },
                    );
                    match key {
                        Key::Wallet => globals.wallet = Some(value),
                        Key::Mounts => globals.mounts = Some(value),
                        Key::Policies => globals.policies = Some(value),
                        Key::Holds => globals.holds = Some(value),
                        Key::Record(_)
                        | Key::Page(_)
                        | Key::Command(_)
                        | Key::Token(_)
                        | Key::Cubbyhole(_)
                        | Key::TokenRoles
                        | Key::Erasure(_)
                        | Key::Epoch(_)
                        | Key::Grants => {}
                    }
                }
            }
        }
        for (key, value) in raw {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch.insert(
            layout::META,
            self.sealing.seal(layout::META, &meta.encode(), entropy),
        );
        self.tree.apply_batch(batch)?;
        self.publish(globals, meta);
        if commands_changed {
            self.find_oldest_command()
        } else {
            Ok(())
        }
    }

    /// Keeps the order of commands by time in step with their entries.
    fn order_command(
        &self,
        batch: &mut sled::Batch,
        id: &CommandId,
        now: Option<&Value>,
    ) -> Result<(), Error> {
        let time = |value: &Value| match value {
            Value::Command(command) => Some(command.time),
            _ => None,
        };
        let before = self.read(&Key::Command(*id))?;
        if let Some(time) = before.as_ref().and_then(time) {
            batch.remove(layout::command_by_time(time, id));
        }
        if let Some(time) = now.and_then(time) {
            batch.insert(layout::command_by_time(time, id), &[]);
        }
        Ok(())
    }

    fn publish(&self, changed: Globals, meta: Meta) {
        let mut globals = self.globals.write().unwrap_or_else(PoisonError::into_inner);
        globals.wallet = changed.wallet.or_else(|| globals.wallet.take());
        globals.mounts = changed.mounts.or_else(|| globals.mounts.take());
        globals.policies = changed.policies.or_else(|| globals.policies.take());
        globals.holds = changed.holds.or_else(|| globals.holds.take());
        drop(globals);
        *self.meta.write().unwrap_or_else(PoisonError::into_inner) = meta;
    }

    fn read(&self, key: &Key) -> Result<Option<Value>, Error> {
        let at = layout::entry(key);
        let Some(bytes) = self.tree.get(&at)? else {
            return Ok(None);
        };
        if matches!(key, Key::Record(_)) {
            let stored = StoredRecord::decode(&bytes, |sealed| self.sealing.unseal(&at, sealed))?;
            return Ok(Some(Value::Record(stored.record)));
        }
        let plain = self.sealing.unseal(&at, &bytes)?;
        Value::decode(key, &plain)
            .map(Some)
            .map_err(|_| damaged("an entry"))
    }

    fn load(&self) -> Result<(), Error> {
        if let Some(sealed) = self.tree.get(layout::META)? {
            let meta = Meta::decode(&self.sealing.unseal(layout::META, &sealed)?)?;
            *self.meta.write().unwrap_or_else(PoisonError::into_inner) = meta;
        }
        let globals = Globals {
            wallet: self.read(&Key::Wallet)?,
            mounts: self.read(&Key::Mounts)?,
            policies: self.read(&Key::Policies)?,
            holds: self.read(&Key::Holds)?,
        };
        *self.globals.write().unwrap_or_else(PoisonError::into_inner) = globals;
        self.find_oldest_command()
    }

    fn find_oldest_command(&self) -> Result<(), Error> {
        let first = self
            .tree
            .scan_prefix(layout::COMMANDS_BY_TIME)
            .next()
            .transpose()?;
        let time = first
            .and_then(|(key, _)| layout::command_by_time_of(&key))
            .map(|(time, _)| time);
        *self
            .oldest_command
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = time;
        Ok(())
    }
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::Unusable(format!("{what} is damaged"))
}

impl Source for View {
    type Error = Error;

    fn get(&self, key: &Key) -> Result<Option<Value>, Error> {
        match key {
            Key::Wallet => Ok(self
                .globals
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .wallet
                .clone()),
            Key::Mounts => Ok(self
                .globals
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .mounts
                .clone()),
            Key::Policies => Ok(self
                .globals
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .policies
                .clone()),
            Key::Holds => Ok(self
                .globals
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .holds
                .clone()),
            Key::Record(_)
            | Key::Page(_)
            | Key::Command(_)
            | Key::Token(_)
            | Key::Cubbyhole(_)
            | Key::TokenRoles
            | Key::Erasure(_)
            | Key::Epoch(_)
            | Key::Grants => self.read(key),
        }
    }

    fn records_of(&self, mount: &MountId, most: usize) -> Result<Vec<RecordId>, Error> {
        self.ids_below(mount.as_bytes(), most)
    }

    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, Error> {
        let oldest = *self
            .oldest_command
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if oldest.is_none_or(|oldest| oldest >= time) {
            return Ok(Vec::new());
        }
        let range = layout::command_by_time(Millis(0), &CommandId::default())
            ..layout::command_by_time(time, &CommandId::default());
        let mut due = Vec::new();
        for item in self.tree.range(range) {
            due.extend(layout::command_by_time_of(&item?.0).map(|(_, id)| id));
        }
        Ok(due)
    }
}

/// A view that is shared, as a source.
#[derive(Debug, Clone)]
pub struct Shared(pub Arc<View>);

impl Source for Shared {
    type Error = Error;

    fn get(&self, key: &Key) -> Result<Option<Value>, Error> {
        self.0.get(key)
    }

    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, Error> {
        self.0.commands_before(time)
    }

    fn records_of(&self, mount: &MountId, most: usize) -> Result<Vec<RecordId>, Error> {
        self.0.records_of(mount, most)
    }
}
