//! The mounts by their names.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use billfold_core::{
    Millis,
    event::v1::{MountKind, Operation, Settings},
    id::MountId,
    state::{self, Key, Source as _, Value},
};
use billfold_projector::{Keychain, fold::open_mount_names};

use super::{Caller, Error, Wallet};
use crate::wallet::At;

/// A mount with its names open.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Its id.
    pub id: MountId,
    /// What it speaks.
    pub kind: MountKind,
    /// Its path, with a slash at its end.
    pub path: String,
    /// Free text.
    pub description: String,
    /// What its secrets go by.
    pub settings: Settings,
    /// When it was enabled.
    pub created: Millis,
}

type Stored = Arc<BTreeMap<MountId, state::Mount>>;

/// The mounts as they were when they were last looked at.
#[derive(Debug, Default)]
pub struct Mounts {
    known: ArcSwap<Known>,
}

#[derive(Debug, Default)]
struct Known {
    from: Stored,
    by_path: BTreeMap<String, Mount>,
}

impl Mounts {
    /// Opens the names of the mounts, if there are others than before.
    pub(super) async fn refresh(&self, keychain: &Keychain) -> Result<(), Error> {
        let Some(stored) = changed(keychain, &self.known.load().from)? else {
            return Ok(());
        };
        let mut by_path = BTreeMap::new();
        for (id, mount) in stored.iter() {
            let dek = keychain.custody().dek(mount.names.key).await?;
            let sealed = keychain.view().mount_names(id)?;
            let names = dek
                .zip(sealed)
                .and_then(|(dek, sealed)| open_mount_names(keychain.custody(), *id, &dek, &sealed));
            let names = names.ok_or(Error::Erased)?;
            let mount = Mount {
                id: *id,
                kind: mount.kind,
                path: names.path.clone(),
                description: names.description,
                settings: mount.settings,
                created: mount.created,
            };
            by_path.insert(names.path, mount);
        }
        self.known.store(Arc::new(Known {
            from: stored,
            by_path,
        }));
        Ok(())
    }

    fn find(&self, path: &str) -> Option<(Mount, String)> {
        let known = self.known.load();
        // No two mounts overlap, so at most one folder of the path is a mount.
        let ends = path.match_indices('/').map(|(at, _)| at + 1);
        ends.filter_map(|end| path.split_at_checked(end))
            .find_map(|(folder, rest)| {
                known
                    .by_path
                    .get(folder)
                    .map(|mount| (mount.clone(), rest.to_owned()))
            })
    }

    fn all(&self) -> Vec<Mount> {
        self.known.load().by_path.values().cloned().collect()
    }
}

fn changed(keychain: &Keychain, known: &Stored) -> Result<Option<Stored>, Error> {
    match keychain.view().get(&Key::Mounts)? {
        Some(Value::Mounts(stored)) if !Arc::ptr_eq(&stored, known) => Ok(Some(stored)),
        _ => Ok(None),
    }
}

impl Wallet {
    /// The mount that a path leads into, and the rest of the path.
    ///
    /// # Errors
    /// When the mounts cannot be read.
    pub async fn mount_of(&self, path: &str) -> Result<Option<(Mount, String)>, Error> {
        self.mounts.refresh(&self.keychain).await?;
        Ok(self.mounts.find(path))
    }

    /// All mounts, after the request for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn mounts(&self, caller: &Caller) -> Result<At<Vec<Mount>>, Error> {
        let asked = self.look_at(caller, Operation::ReadMounts, None).await?;
        self.mounts.refresh(&self.keychain).await?;
        Ok(At {
            seq: asked.seq,
            value: self.mounts.all(),
        })
    }
}
