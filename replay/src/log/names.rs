//! Opening the names of events, as far as their keys are there.

use std::collections::HashMap;

use billfold_core::{
    access::{self, Need, need_of},
    cbor,
    commit::Entry,
    event::{Actor, Event, v1::ResolutionRequested},
    id::{MountId, RecordId},
    judge::Ruling,
    keys::{Content, page::KeyRef},
    names::{
        ErasureNames, HoldNames, RequestNames, erasure_names_place, hold_names_place,
        request_names_place,
    },
    seal::Place,
};
use billfold_projector::{
    chain::Opened,
    fold::{NamesError, open_mount_names, open_names},
};
use bytes::Bytes;

use super::{Line, Name};
use crate::{Error, Walk};

/// The names at one place in the log: those that the events of a commit bring, and before them
/// those of the state before it.
pub(super) struct Names<'a> {
    walk: &'a Walk,
    records: HashMap<RecordId, Sealed>,
    mounts: HashMap<MountId, MountNamed>,
    /// What the commit's own events say of the records that it changes.
    changed: HashMap<RecordId, Changed>,
}

#[derive(Clone)]
struct Sealed {
    key: KeyRef,
    version: u32,
    bytes: Bytes,
}

/// A mount's names, and what facts call its path.
struct MountNamed {
    key: KeyRef,
    blinded: Option<RecordId>,
    bytes: Bytes,
}

#[derive(Clone, Copy)]
struct Changed {
    mount: MountId,
    current: u32,
}

/// What a request in this commit was answered: the state here is that of its place.
///
/// # Errors
/// When the temporary view or the key store fails.
pub(crate) async fn ruling(
    walk: &mut Walk,
    opened: &Opened,
    entry: &Entry,
    asked: &ResolutionRequested,
) -> Result<Ruling, Error> {
    let is_root = match entry.fact.actor {
        Actor::Principal(_, token) => access::is_root(walk.state(), &token)?,
        Actor::System | Actor::Anonymous => true,
    };
    let mut need = None;
    if !is_root {
        // What policies speak of are names: they are looked up in the temporary view.
        walk.write()?;
        need = Names::before(walk).need(opened, entry, asked, None).await?;
        // Names that were replaced since are erased; those that replaced them tell the same path.
        if need.is_none()
            && let Some(record) = asked.record
        {
            let path = walk.later_path(record).await?;
            need = Names::before(walk).need(opened, entry, asked, path).await?;
        }
    }
    walk.judge(opened, &entry.fact, asked, need.as_ref())
}

impl<'a> Names<'a> {
    /// The names before the commit that comes next; the temporary view has to be there.
    pub(super) fn before(walk: &'a Walk) -> Self {
        Self {
            walk,
            records: HashMap::new(),
            mounts: HashMap::new(),
            changed: HashMap::new(),
        }
    }

    /// Adds to a line the names of its event.
    pub(super) async fn add_to(
        &mut self,
        line: &mut Line,
        opened: &Opened,
        entry: &Entry,
    ) -> Result<(), Error> {
        self.learn(entry)?;
        let granted = self.walk.granted();
        line.token_name = granted
            .zip(line.token)
            .and_then(|(granted, token)| granted.token(token).cloned());
        match &entry.fact.event {
            Event::ResolutionRequested(asked) => self.request(line, opened, entry, asked).await?,
            Event::ErasureOrdered(event) => {
                let place = erasure_names_place(self.walk.custody().wallet(), event.erasure);
                let names = self.open(entry, event.names.key, &place).await?;
                line.reason = Some(told(names.map(|names: ErasureNames| names.reason)));
            }
            Event::HoldPlaced(event) => {
                let place = hold_names_place(self.walk.custody().wallet(), event.hold);
                let names: Option<HoldNames> = self.open(entry, event.names.key, &place).await?;
                let (path, reason) = names.map(|names| (names.path, names.reason)).unzip();
                line.path = Some(told(path));
                line.reason = Some(told(reason));
            }
            _ => {
                if let Some(record) = line.record {
                    line.path = Some(self.path(record).await?);
                }
            }
        }
        if let Some(mount) = self.mount_of(line)? {
            line.mount_path = self.mount_path(mount).await?;
        }
        Ok(())
    }

    /// The mount that an event is about or in.
    pub(super) fn mount_of(&self, line: &Line) -> Result<Option<MountId>, Error> {
        Ok(match (line.mount, line.record) {
            (None, Some(record)) => self.record(record)?.map(|record| record.mount),
            (mount, _) => mount,
        })
    }

    /// Remembers the names that an event brings.
    pub(super) fn learn(&mut self, entry: &Entry) -> Result<(), Error> {
        let bytes = entry.names.clone().unwrap_or_default();
        match &entry.fact.event {
            Event::MountEnabled(event) => {
                let named = MountNamed {
                    key: event.names.key,
                    blinded: event.path.last().copied(),
                    bytes,
                };
                self.mounts.insert(event.mount, named);
            }
            Event::MountRenamed(event) => {
                let named = MountNamed {
                    key: event.names.key,
                    blinded: event.path.last().copied(),
                    bytes,
                };
                self.mounts.insert(event.mount, named);
            }
            Event::CredentialWritten(event) => {
                let changed = Changed {
                    mount: event.mount,
                    current: event.version,
                };
                self.changed.insert(event.record, changed);
                if let Some(names) = event.names {
                    let sealed = Sealed {
                        key: names.key,
                        version: event.version,
                        bytes,
                    };
                    self.records.insert(event.record, sealed);
                }
            }
            Event::MetadataChanged(event) => {
                // They are sealed for the version that is the current one here.
                let current = self
                    .record(event.record)?
                    .map_or(0, |record| record.current);
                let changed = Changed {
                    mount: event.mount,
                    current,
                };
                self.changed.insert(event.record, changed);
                if let Some(names) = event.names {
                    let sealed = Sealed {
                        key: names.key,
                        version: current,
                        bytes,
                    };
                    self.records.insert(event.record, sealed);
                }
            }
            Event::NamesResealed(event) => {
                let sealed = Sealed {
                    key: event.names.key,
                    version: event.version,
                    bytes,
                };
                self.records.insert(event.record, sealed);
            }
            _ => {}
        }
        Ok(())
    }

    fn record(&self, id: RecordId) -> Result<Option<Changed>, Error> {
        if let Some(changed) = self.changed.get(&id) {
            return Ok(Some(*changed));
        }
        let record = self.walk.state().record(&id)?;
        Ok(record.map(|record| Changed {
            mount: record.mount,
            current: record.current,
        }))
    }

    async fn request(
        &self,
        line: &mut Line,
        opened: &Opened,
        entry: &Entry,
        asked: &ResolutionRequested,
    ) -> Result<(), Error> {
        let Some(names) = self.open_request(opened, entry, asked) else {
            return Ok(());
        };
        line.client = Some(names.client);
        line.execution = names.execution;
        line.path = match (names.path, asked.record) {
            (Some(path), _) => Some(Name::Open(path)),
            // What the request named existed then: its own names tell it.
            (None, Some(record)) => Some(self.path(record).await?),
            (None, None) => None,
        };
        Ok(())
    }

    /// What a request needed; none when what it named is erased.
    async fn need(
        &self,
        opened: &Opened,
        entry: &Entry,
        asked: &ResolutionRequested,
        later: Option<String>,
    ) -> Result<Option<Need>, Error> {
        let Some(names) = self.open_request(opened, entry, asked) else {
            return Ok(None);
        };
        let path = match (names.path, asked.record) {
            (Some(path), _) => Some(path),
            (None, Some(record)) => match self.path(record).await? {
                Name::Open(path) => Some(path),
                Name::Erased => later,
            },
            (None, None) => None,
        };
        let mount = match asked.mount {
            Some(id) => match (self.walk.state().mount(&id)?, self.mount_path(id).await?) {
                (Some(mount), Some(Name::Open(path))) => Some((mount.kind, path)),
                _ => None,
            },
            None => None,
        };
        let mount = mount.as_ref().map(|(kind, path)| (*kind, path.as_str()));
        let need = need_of(asked.operation, mount, path.as_deref());
        Ok(need.map(|need| Need {
            wrap_ttl: asked.wrap_ttl,
            ..need
        }))
    }

    fn open_request(
        &self,
        opened: &Opened,
        entry: &Entry,
        asked: &ResolutionRequested,
    ) -> Option<RequestNames> {
        let (custody, sealed) = (self.walk.custody(), entry.names.as_ref()?);
        let keys = custody.keys();
        let mut epochs = opened.header.fact_keys.iter();
        epochs.find_map(|id| {
            let place = request_names_place(custody.wallet(), *id, asked.request);
            let epoch = keys.epoch(id)?;
            let plain = epoch.request_names.open(&place, sealed).ok()?;
            cbor::decode(plain.expose()).ok()
        })
    }

    /// The names beside an event that are about neither a record nor a mount; none when they are
    /// erased. Names that do not open are found by `verify`.
    async fn open<T: serde::de::DeserializeOwned>(
        &self,
        entry: &Entry,
        key: KeyRef,
        place: &Place,
    ) -> Result<Option<T>, Error> {
        let Some((dek, sealed)) = self
            .walk
            .custody()
            .dek(key)
            .await?
            .zip(entry.names.as_ref())
        else {
            return Ok(None);
        };
        let plain = dek.open(Content::Names, place, sealed).ok();
        Ok(plain.and_then(|plain| cbor::decode(plain.expose()).ok()))
    }

    async fn path(&self, record: RecordId) -> Result<Name, Error> {
        let sealed = match self.records.get(&record) {
            Some(sealed) => Some(sealed.clone()),
            None => {
                let stored = self.walk.view().stored_record(&record)?;
                stored.map(|stored| Sealed {
                    key: stored.record.names.key,
                    version: stored.record.names_version,
                    bytes: stored.names().clone(),
                })
            }
        };
        let Some(Sealed {
            key,
            version,
            bytes,
        }) = sealed
        else {
            return Ok(self.granted_path(record));
        };
        match open_names(self.walk.custody(), record, key, version, &bytes).await {
            Ok(Some(names)) => Ok(Name::Open(names.path)),
            Ok(None) => Ok(self.granted_path(record)),
            // The walk stops at names that do not open; a listing that gets here shows none.
            Err(NamesError::Damaged) => Ok(Name::Erased),
            Err(NamesError::Custody(error)) => Err(error.into()),
        }
    }

    /// The path as it was granted to an auditor, who has no other.
    fn granted_path(&self, record: RecordId) -> Name {
        told(
            self.walk
                .granted()
                .and_then(|granted| granted.path(record).cloned()),
        )
    }

    async fn mount_path(&self, mount: MountId) -> Result<Option<Name>, Error> {
        let custody = self.walk.custody();
        let named = match self.mounts.get(&mount) {
            Some(named) => Some((named.key, named.blinded, named.bytes.clone())),
            None => {
                let found = self.walk.state().mount(&mount)?;
                found
                    .zip(self.walk.view().mount_names(&mount)?)
                    .map(|(mount, bytes)| (mount.names.key, mount.path.last().copied(), bytes))
            }
        };
        // A mount that is gone took its names with it; one that never was had none.
        let Some((key, blinded, bytes)) = named else {
            return Ok(None);
        };
        let names = match custody.dek(key).await? {
            Some(dek) => open_mount_names(custody, mount, &dek, &bytes),
            None => None,
        };
        let granted = || {
            let granted = self.walk.granted()?;
            granted.mount_path(mount, &blinded?).cloned()
        };
        Ok(Some(told(names.map(|names| names.path).or_else(granted))))
    }
}

fn told(name: Option<String>) -> Name {
    name.map_or(Name::Erased, Name::Open)
}
