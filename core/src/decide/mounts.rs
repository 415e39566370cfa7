//! Deciding about mounts.

use crate::{
    cbor,
    command::{NewMount, NewSettings},
    decide::{Decided, Deciding, Error, Refusal, Sealer},
    event::{Event, v1},
    id::{MountId, RecordId},
    names::{MountNames, mount_names_place},
    state::{Mount, Source},
};

impl<S: Source> Deciding<'_, S> {
    pub(super) fn enable_mount(
        &mut self,
        new: &NewMount,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        let mounts = self.state.mounts().map_err(Error::Source)?;
        if mounts.contains_key(&new.mount) || mounts.values().any(|m| m.overlaps(&new.path)) {
            return Err(Refusal::MountTaken.into());
        }
        let place = mount_names_place(sealer.wallet(), new.mount);
        let (names, bytes) = sealer.names(self.state, &place, &cbor::encode(&new.names))?;
        let event = v1::MountEnabled {
            mount: new.mount,
            kind: new.kind,
            path: new.path.clone(),
            settings: new.settings,
            names,
        };
        self.happen(Event::MountEnabled(event), Some(bytes), None)
    }

    pub(super) fn tune_mount(&mut self, mount: MountId, change: NewSettings) -> Decided<S::Error> {
        let settings = change.over(self.require_mount(&mount)?.settings);
        let event = v1::MountTuned { mount, settings };
        self.happen(Event::MountTuned(event), None, None)
    }

    pub(super) fn rename_mount(
        &mut self,
        id: MountId,
        path: &[RecordId],
        names: &MountNames,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        let before = self.require_mount(&id)?;
        let mounts = self.state.mounts().map_err(Error::Source)?;
        let others = mounts.iter().filter(|(other, _)| **other != id);
        if others.into_iter().any(|(_, mount)| mount.overlaps(path)) {
            return Err(Refusal::MountTaken.into());
        }
        let place = mount_names_place(sealer.wallet(), id);
        let (names, bytes) = sealer.names(self.state, &place, &cbor::encode(names))?;
        let event = v1::MountRenamed {
            mount: id,
            path: path.to_vec(),
            names,
            retired_names: before.names.key,
        };
        self.happen(Event::MountRenamed(event), Some(bytes), None)
    }

    pub(super) fn disable_mount(&mut self, mount: MountId) -> Decided<S::Error> {
        self.require_mount(&mount)?;
        self.refuse_if_any_held(mount)?;
        // What would be left behind could never be reached again, and its keys would live on.
        if self.state.has_records(&mount).map_err(Error::Source)? {
            return Err(Refusal::NotEmpty.into());
        }
        let event = v1::MountDisabled { mount };
        self.happen(Event::MountDisabled(event), None, None)
    }

    pub(super) fn require_mount(&self, mount: &MountId) -> Result<Mount, Error<S::Error>> {
        let mount = self.state.mount(mount).map_err(Error::Source)?;
        mount.ok_or_else(|| Refusal::NoMount.into())
    }
}
