//! Folding commits into a view: the state's entries, and the ciphertexts and folders beside them.
//!
//! Commits gather in memory and go to the view in one batch with the sequence they lead to, so a
//! crash leaves the view at one of these places and nowhere in between.

mod beside;
mod history;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use billfold_core::{
    event::{Event, Fact},
    id::{MountId, PageId, RecordId},
    keys::{Content, Dek, page::KeyRef},
    names::{MountNames, Names, names_place},
    state::{self, At, Change, Key, State, Value},
};
use billfold_streams::{
    custody::{self, Custody},
    entropy::Os,
    replica::Head,
};
use bytes::Bytes;

use crate::{
    aside::aside,
    chain::{Broken, Fault, Opened},
    view::{self, Changes, Extras, Meta, Shared, View},
};

/// A fold at work over a view.
pub struct Fold {
    view: Arc<View>,
    custody: Arc<Custody>,
    state: State<Shared>,
    head: Head,
    changes: BTreeMap<Key, Change>,
    extras: HashMap<RecordId, Extras>,
    /// Keys of the tree that are no entries: payloads, folders, names of mounts.
    raw: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Pages out of which keys were destroyed.
    emptied: BTreeSet<PageId>,
    retired: bool,
    commits: usize,
    /// How many events those commits hold: what they take in memory goes with it.
    events: usize,
    entropy: Os,
}

impl std::fmt::Debug for Fold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Fold(at {}, {} commits to write)",
            self.head.seq, self.commits
        )
    }
}

/// What of a fold concerns the key store.
#[derive(Debug, Default)]
pub struct Touched {
    /// The pages whose use changed: keys were given up, or the page was closed.
    pub pages: Vec<PageId>,
    /// Whether KEK versions were retired.
    pub retired: bool,
}

/// Why a commit was not folded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log's fault.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The view's fault: it has to be rebuilt.
    #[error(transparent)]
    View(#[from] view::Error),
    /// The key store's fault.
    #[error(transparent)]
    Custody(#[from] custody::Error),
}

impl Fold {
    /// A fold that goes on where the view is.
    #[must_use]
    pub fn over(view: Arc<View>, custody: Arc<Custody>) -> Self {
        let Meta { head, digest } = view.meta();
        Self {
            state: State::over(Shared(Arc::clone(&view)), digest),
            view,
            custody,
            head,
            changes: BTreeMap::new(),
            extras: HashMap::new(),
            raw: BTreeMap::new(),
            emptied: BTreeSet::new(),
            retired: false,
            commits: 0,
            events: 0,
            entropy: Os::new(),
        }
    }

    /// The last commit that was folded, written to the view or not.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The state there.
    #[must_use]
    pub const fn state(&self) -> &State<Shared> {
        &self.state
    }

    /// How many commits are folded and not yet written.
    #[must_use]
    pub const fn unwritten(&self) -> usize {
        self.commits
    }

    /// How many events are folded and not yet written.
    #[must_use]
    pub const fn unwritten_events(&self) -> usize {
        self.events
    }

    /// Folds one `decided` commit. It is not in the view before [`Fold::write`].
    ///
    /// # Errors
    /// When it does not follow from the state, or names cannot be looked up.
    pub async fn add(&mut self, opened: &Opened) -> Result<(), Error> {
        // All that may fail for a while comes first, before anything has changed.
        let paths = self.paths(opened).await?;
        let at = At {
            time: opened.header.time,
        };
        self.state.begin_commit(at)?;
        for (entry, path) in opened.entries.iter().zip(paths) {
            self.apply(opened, at, &entry.fact)?;
            self.beside(entry, path, opened.into())?;
            match &entry.fact.event {
                Event::KeysDestroyed(event) => {
                    self.emptied.extend(event.keys.iter().map(|key| key.page));
                }
                Event::KeksRetired(_) => self.retired = true,
                _ => {}
            }
        }
        self.changes.extend(self.state.finish_commit(opened.seq));
        self.head = opened.head();
        self.commits += 1;
        self.events += opened.entries.len();
        Ok(())
    }

    /// The paths that events bring for records that have no line in the folders yet, as far as they
    /// are not erased.
    async fn paths(&self, opened: &Opened) -> Result<Vec<Option<String>>, Error> {
        let mut versions: HashMap<RecordId, u32> = HashMap::new();
        let mut paths = Vec::with_capacity(opened.entries.len());
        for entry in &opened.entries {
            // Names are sealed for the version that the record had once they were written.
            let (record, version, names) = match &entry.fact.event {
                Event::CredentialWritten(event) => {
                    versions.insert(event.record, event.version);
                    (event.record, event.version, event.names)
                }
                Event::MetadataChanged(event) => {
                    let version = match versions.get(&event.record) {
                        Some(version) => *version,
                        None => self
                            .state
                            .record(&event.record)?
                            .map_or(0, |record| record.current),
                    };
                    (event.record, version, event.names)
                }
                Event::NamesResealed(event) => (event.record, event.version, Some(event.names)),
                Event::MetadataDeleted(event) => {
                    versions.insert(event.record, 0);
                    (event.record, 0, None)
                }
                _ => (RecordId::default(), 0, None),
            };
            let path = match (names, &entry.names) {
                (Some(names), Some(sealed)) => {
                    let opened_names =
                        open_names(&self.custody, record, names.key, version, sealed);
                    match opened_names.await {
                        Err(NamesError::Damaged) => return Err(names_damaged(opened)),
                        // A damaged page must not cost more than what is in it: the record is there,
                        // and in no listing.
                        Err(NamesError::Custody(custody::Error::Keys(error))) => {
                            tracing::error!(page = %names.key.page, %error, "names cannot be opened: run `billfold-replay verify`");
                            None
                        }
                        Err(NamesError::Custody(error)) => return Err(error.into()),
                        Ok(names) => names.map(|names| names.path),
                    }
                }
                _ => None,
            };
            paths.push(path);
        }
        Ok(paths)
    }

    fn apply(&mut self, opened: &Opened, at: At, fact: &Fact) -> Result<(), Error> {
        self.state.apply(at, fact).map_err(|error| match error {
            state::Error::Source(error) => Error::View(error),
            state::Error::Broken(broken) => Error::Broken(Broken {
                seq: opened.seq,
                subject: opened.header.subject,
                fault: broken.into(),
            }),
        })
    }

    /// Writes what was folded to the view, and returns what in it concerns the key store.
    ///
    /// # Errors
    /// When the view does not take it.
    pub fn write(&mut self) -> Result<Touched, Error> {
        if self.commits == 0 {
            return Ok(Touched::default());
        }
        let (changes, pages) = self.take_changes()?;
        let meta = changes.meta;
        self.view.write(changes, &mut self.entropy)?;
        Ok(self.finish(meta, pages))
    }

    /// The same, on a thread of its own. A fold that was let go of meanwhile is of no use any more.
    pub(crate) async fn write_aside(&mut self) -> Result<Touched, Error> {
        if self.commits == 0 {
            return Ok(Touched::default());
        }
        let (changes, pages) = self.take_changes()?;
        let meta = changes.meta;
        let (view, mut entropy) = (Arc::clone(&self.view), std::mem::take(&mut self.entropy));
        let written = aside(move || {
            let written = view.write(changes, &mut entropy);
            written.map(|()| entropy)
        });
        self.entropy = written.await?;
        Ok(self.finish(meta, pages))
    }

    /// Takes out what is to be written, and the pages in it whose use changed.
    fn take_changes(&mut self) -> Result<(Changes, Vec<PageId>), Error> {
        let mut touched = Vec::new();
        let mut entries = Vec::with_capacity(self.changes.len());
        for (key, change) in std::mem::take(&mut self.changes) {
            if let (Key::Page(id), Some((Value::Page(page), _))) = (&key, &change.now)
                && (page.closed || !page.dying.is_empty())
            {
                touched.push(*id);
            }
            let extras = match key {
                Key::Record(id) if change.now.is_some() => Some(self.take_extras(&id)?),
                _ => None,
            };
            entries.push((key, change, extras));
        }
        self.extras.clear();
        let raw = std::mem::take(&mut self.raw);
        let meta = Meta {
            head: self.head,
            digest: self.state.digest(),
        };
        let changes = Changes { entries, raw, meta };
        Ok((changes, touched))
    }

    /// What was taken out is in the view.
    fn finish(&mut self, meta: Meta, touched: Vec<PageId>) -> Touched {
        // Open copies of keys that were given up are not to be used again; nor those of pages that
        // were read once more before the keys were destroyed.
        for page in touched.iter().chain(&std::mem::take(&mut self.emptied)) {
            self.custody.forget(page);
        }
        self.state.rebase(meta.digest);
        self.commits = 0;
        self.events = 0;
        Touched {
            pages: touched,
            retired: std::mem::take(&mut self.retired),
        }
    }

    /// The key of a record's names as they are here, the version that they are sealed for, and their
    /// ciphertext.
    pub(crate) fn sealed_names(
        &self,
        id: &RecordId,
    ) -> Result<Option<(KeyRef, u32, Bytes)>, Error> {
        let Some(record) = self.state.record(id)? else {
            return Ok(None);
        };
        let names = self.extras(id)?.names;
        Ok(Some((record.names.key, record.names_version, names)))
    }

    /// The blinded ids of a record's path: its mount, its folders, its own. None if its names were
    /// erased before they were folded.
    pub(crate) fn chain(&self, id: &RecordId) -> Result<Vec<[u8; 16]>, Error> {
        let chain = self.extras(id)?.chain;
        Ok(chain.into_iter().map(|id| id.into_array()).collect())
    }

    /// The sealed names of a mount as they are here.
    pub(crate) fn mount_names(&self, mount: &MountId) -> Result<Option<Bytes>, Error> {
        match self.raw.get(&view::layout::mount_names(mount)) {
            Some(changed) => Ok(changed.as_ref().map(|names| Bytes::copy_from_slice(names))),
            None => Ok(self.view.mount_names(mount)?),
        }
    }

    fn take_extras(&mut self, id: &RecordId) -> Result<Extras, Error> {
        if let Some(extras) = self.extras.remove(id) {
            return Ok(extras);
        }
        Ok(self.view.extras(id)?.unwrap_or_default())
    }
}

/// Why names did not open.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// Their key is there, and they are not what it sealed.
    #[error("a record's names do not open")]
    Damaged,
    /// The key store's fault.
    #[error(transparent)]
    Custody(#[from] custody::Error),
}

fn names_damaged(opened: &Opened) -> Error {
    let (seq, subject) = (opened.seq, opened.header.subject);
    Error::Broken(Broken {
        seq,
        subject,
        fault: Fault::Names,
    })
}

/// Opens a record's names; none when they are erased.
///
/// # Errors
/// When the key store cannot be reached, or the names are not what their key sealed.
pub async fn open_names(
    custody: &Custody,
    record: RecordId,
    key: KeyRef,
    version: u32,
    sealed: &[u8],
) -> Result<Option<Names>, NamesError> {
    let Some(dek) = custody.dek(key).await? else {
        return Ok(None);
    };
    let place = names_place(custody.wallet(), record, version);
    let plain = dek
        .open(Content::Names, &place, sealed)
        .map_err(|_| NamesError::Damaged)?;
    let names = billfold_core::cbor::decode(plain.expose()).map_err(|_| NamesError::Damaged)?;
    Ok(Some(names))
}

/// Opens a mount's names; none when they are erased.
#[must_use]
pub fn open_mount_names(
    custody: &Custody,
    mount: MountId,
    dek: &Dek,
    sealed: &[u8],
) -> Option<MountNames> {
    let place = billfold_core::names::mount_names_place(custody.wallet(), mount);
    let plain = dek.open(Content::Names, &place, sealed).ok()?;
    billfold_core::cbor::decode(plain.expose()).ok()
}
