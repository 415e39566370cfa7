//! The fold's entries in a view, as the state looks them up.

use std::sync::{Arc, PoisonError};

use billfold_core::{
    Millis,
    id::{CommandId, MountId, RecordId},
    state::{Key, Source, Value},
};

use super::{Error, StoredRecord, View, damaged, layout};

#[derive(Default)]
pub(super) struct Globals {
    pub(super) wallet: Option<Value>,
    pub(super) mounts: Option<Value>,
    pub(super) policies: Option<Value>,
    pub(super) holds: Option<Value>,
}

impl View {
    pub(super) fn read(&self, key: &Key) -> Result<Option<Value>, Error> {
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

    pub(super) fn find_oldest_command(&self) -> Result<(), Error> {
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

    fn records_of(&self, mount: &MountId, most: usize) -> Result<Vec<RecordId>, Error> {
        self.0.records_of(mount, most)
    }

    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, Error> {
        self.0.commands_before(time)
    }
}
