//! The mounts by their names.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use billfold_core::{
    Millis,
    access::Need,
    command::{self, Action, Change, Command, What},
    decide::Refusal,
    event::{
        Actor, CiphertextHash,
        v1::{MountKind, Operation as Asked, Settings},
    },
    id::{CommandId, MountId, RecordId},
    names::MountNames,
    policy::Operation,
    state::{self, Key, Source as _, Value},
};
use billfold_projector::{Keychain, fold::open_mount_names};

use super::{At, Caller, Error, Wallet, Written};

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
    /// When it was enabled.
    pub created: Millis,
    /// The hash of its names as they were looked up.
    pub names: CiphertextHash,
}

/// A mount to be added.
#[derive(Debug)]
pub struct NewMount {
    /// Its path, with a slash at its end.
    pub path: String,
    /// What it is to speak.
    pub kind: MountKind,
    /// Free text.
    pub description: String,
}

impl Mount {
    /// A need that is about this mount, as it was looked up: if another one stands there by now, it
    /// is not what was meant.
    pub(super) fn meant(&self, need: Need) -> Need {
        Need {
            mount: Some((self.id, self.names)),
            ..need
        }
    }
}

/// What it takes to change a mount.
fn mount_need(operation: Operation, path: &str, behind: &str) -> Need {
    let path = path.trim_end_matches('/');
    Need::to(operation, format!("sys/mounts/{path}{behind}"))
}

type Stored = Arc<BTreeMap<MountId, state::Mount>>;

/// The mounts as they were when they were last looked at.
#[derive(Debug, Default)]
pub struct Mounts {
    known: ArcSwap<Known>,
}

/// What there was to be known of them.
#[derive(Debug, Default)]
pub(super) struct Known {
    from: Stored,
    by_path: BTreeMap<String, Mount>,
}

impl Mounts {
    /// The mounts as the view has them, with their names open.
    ///
    /// # Errors
    /// When the view cannot be read, or names do not open.
    pub(super) async fn now(&self, keychain: &Keychain) -> Result<Arc<Known>, Error> {
        /// How often they are looked up anew because one of them has other names by then.
        const TURNS: u32 = 64;
        let mut turns = 0;
        loop {
            let known = self.known.load_full();
            let Some(stored) = changed(keychain, &known.from)? else {
                return Ok(known);
            };
            if let Some(by_path) = opened(keychain, &stored).await? {
                let known = Arc::new(Known {
                    from: stored,
                    by_path,
                });
                self.known.store(Arc::clone(&known));
                return Ok(known);
            }
            turns += 1;
            if turns > TURNS || changed(keychain, &stored)?.is_none() {
                return Err(Error::Erased);
            }
        }
    }
}

impl Known {
    fn find(&self, path: &str) -> Option<(Mount, String)> {
        // No two mounts overlap, so at most one folder of the path is a mount.
        let ends = path.match_indices('/').map(|(at, _)| at + 1);
        ends.filter_map(|end| path.split_at_checked(end))
            .find_map(|(folder, rest)| {
                self.by_path
                    .get(folder)
                    .map(|mount| (mount.clone(), rest.to_owned()))
            })
    }
}

/// The mounts with their names open; none when the names of one are gone.
async fn opened(
    keychain: &Keychain,
    stored: &BTreeMap<MountId, state::Mount>,
) -> Result<Option<BTreeMap<String, Mount>>, Error> {
    let mut by_path = BTreeMap::new();
    for (id, mount) in stored {
        let dek = keychain.custody().dek(mount.names.key).await?;
        let sealed = keychain.view().mount_names(id)?;
        let names = dek
            .zip(sealed)
            .and_then(|(dek, sealed)| open_mount_names(keychain.custody(), *id, &dek, &sealed));
        let Some(names) = names else {
            return Ok(None);
        };
        let mount = Mount {
            id: *id,
            kind: mount.kind,
            path: names.path.clone(),
            description: names.description,
            created: mount.created,
            names: mount.names.hash,
        };
        by_path.insert(names.path, mount);
    }
    Ok(Some(by_path))
}

fn changed(keychain: &Keychain, known: &Stored) -> Result<Option<Stored>, Error> {
    match keychain.view().get(&Key::Mounts)? {
        Some(Value::Mounts(stored)) if !Arc::ptr_eq(&stored, known) => Ok(Some(stored)),
        _ => Ok(None),
    }
}

impl Wallet {
    /// The mount that a path leads into, and the rest of the path. That there is none is said by what
    /// the log holds by now: another node may have enabled it a moment ago.
    ///
    /// # Errors
    /// When the mounts cannot be read, or the log cannot say where it ends.
    pub async fn mount_of(&self, path: &str) -> Result<Option<(Mount, String)>, Error> {
        if let Some(found) = self.known_mounts().await?.find(path) {
            return Ok(Some(found));
        }
        self.come_to_the_end().await?;
        Ok(self.known_mounts().await?.find(path))
    }

    /// Adds a mount.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn enable(&self, caller: &Caller, new: NewMount) -> Result<Written, Error> {
        let path = self.blinded(&new.path);
        let path_of_it = new.path.clone();
        let names = MountNames {
            path: new.path,
            description: new.description,
        };
        let mount = command::NewMount {
            mount: MountId::from_bytes(uuid::Uuid::new_v4().into_bytes()),
            kind: new.kind,
            path,
            settings: Settings::default(),
            names,
        };
        let need = mount_need(Operation::Update, &path_of_it, "");
        self.order(caller, need, Action::EnableMount(mount)).await
    }

    /// Gives a mount another path or description. Its secrets go with it.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn rename(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: String,
        description: String,
    ) -> Result<Written, Error> {
        let need = match path == mount.path {
            true => mount_need(Operation::Update, &path, "/tune"),
            false => Need {
                sudo: true,
                ..Need::to(Operation::Update, "sys/remount")
            },
        };
        let need = mount.meant(need);
        let action = Action::RenameMount {
            mount: mount.id,
            path: self.blinded(&path),
            names: MountNames { path, description },
        };
        self.order(caller, need, action).await
    }

    /// Removes a mount with all its secrets: first those, some at a time, then the mount.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn disable(&self, caller: &Caller, mount: &Mount) -> Result<Written, Error> {
        /// How many secrets are removed in one commit.
        const AT_ONCE: usize = 256;
        /// How often it is looked again for what was written meanwhile.
        const LOOKS: usize = 64;
        let need = mount.meant(mount_need(Operation::Delete, &mount.path, ""));
        let need = caller.asks(need);
        let mut looks = 0;
        loop {
            let view = self.keychain.view();
            let some = view.some_below(mount.id.as_bytes(), AT_ONCE)?;
            if some.is_empty() {
                let action = Action::DisableMount(mount.id);
                match self.order(caller, need.clone(), action).await {
                    // Someone else wrote a secret that this node does not see yet.
                    Err(Error::Refused(Refusal::NotEmpty)) if looks < LOOKS => {
                        looks += 1;
                        self.come_to_the_end().await?;
                        continue;
                    }
                    outcome => return outcome,
                }
            }
            let changes = some.iter().map(|line| Change {
                mount: mount.id,
                record: line.record,
                // All of the mount goes: any hold in it counts.
                folders: Vec::new(),
                what: What::DeleteMetadata,
            });
            let needs = vec![need.clone()];
            let removed = self.submit(caller, needs, changes.collect(), None).await?;
            self.come_to(&removed).await?;
        }
    }

    /// What facts call a mount's path, the folders above it first.
    pub(super) fn blinded(&self, path: &str) -> Vec<RecordId> {
        let ends = path.match_indices('/').map(|(at, _)| at + 1);
        let folders = ends.filter_map(|end| path.get(..end));
        let keys = self.keychain.custody().keys();
        let id = &keys.id;
        folders.map(|folder| id.mount_path(folder)).collect()
    }

    pub(super) async fn order(
        &self,
        caller: &Caller,
        need: Need,
        action: Action,
    ) -> Result<Written, Error> {
        self.carry_out(None, caller.actor, vec![caller.asks(need)], action)
            .await
    }

    /// Does something on the wallet's own account.
    pub(super) async fn order_itself(&self, action: Action) -> Result<Written, Error> {
        self.carry_out(None, Actor::System, Vec::new(), action)
            .await
    }

    pub(super) async fn carry_out(
        &self,
        id: Option<CommandId>,
        actor: Actor,
        needs: Vec<Need>,
        action: Action,
    ) -> Result<Written, Error> {
        let command = Command {
            id,
            actor,
            needs,
            action,
        };
        let committed = self.committer.submit(command).await?;
        let written = Written {
            done: committed.done,
            seq: committed.seq,
        };
        // What follows on this node should find it.
        self.come_to(&written).await?;
        Ok(written)
    }

    /// All mounts, after the request for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn mounts(&self, caller: &Caller) -> Result<At<Vec<Mount>>, Error> {
        let asked = self.look_at(caller, Asked::ReadMounts, None).await?;
        Ok(At {
            seq: asked.seq,
            value: self.all_mounts().await?,
        })
    }

    /// All mounts, after the request for one of them is recorded, by its path of the API.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn mounts_for(&self, caller: &Caller, path: &str) -> Result<At<Vec<Mount>>, Error> {
        let asked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        Ok(At {
            seq: asked.seq,
            value: self.all_mounts().await?,
        })
    }

    async fn known_mounts(&self) -> Result<Arc<Known>, Error> {
        match self.mounts.now(&self.keychain).await {
            // Names whose key is gone have others by now, which this node may not have seen yet.
            Err(Error::Erased) => {
                self.come_to_the_end().await?;
                self.mounts.now(&self.keychain).await
            }
            known => known,
        }
    }

    pub(super) async fn all_mounts(&self) -> Result<Vec<Mount>, Error> {
        let known = self.known_mounts().await?;
        Ok(known.by_path.values().cloned().collect())
    }
}
