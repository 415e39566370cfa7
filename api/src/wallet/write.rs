//! Writing: commands, all or nothing.

use std::collections::{BTreeMap, HashSet};

use billfold_core::{
    SecretBytes,
    access::{Need, Wanted},
    command::{Action, Change, Command, NewNames, What},
    decide::Refusal,
    event::v1::{MountKind, Operation as Asked},
    id::{CommandId, RecordId},
    names::{CredentialNames, Names},
    policy::Operation,
};
use billfold_streams::replica::Replica as _;
use zeroize::Zeroizing;

use super::{At, Caller, Credential, Error, Mount, Secret, Wallet, Written};
use crate::http::json::merged;

/// A secret to be written.
#[derive(Debug)]
pub struct Put {
    /// The version that must be the current one; 0 is "none yet".
    pub cas: Option<u32>,
    /// The secret, a JSON value.
    pub data: SecretBytes,
    /// What the credentials door says about it; it replaces what was said before.
    pub credential: Option<CredentialNames>,
}

/// A merge patch for a secret.
#[derive(Debug)]
pub struct Patch<'a> {
    /// The version that must be the current one.
    pub cas: Option<u32>,
    /// The patch, a JSON value.
    pub data: &'a str,
}

/// What came of a patch.
#[derive(Debug)]
pub enum Patched {
    /// A new version was written.
    Written(Written),
    /// The current version is deleted or destroyed: there is nothing to be patched.
    Nothing(At<Secret>),
}

/// How often a patch is worked out anew when someone else writes in between.
const ATTEMPTS: u32 = 16;

/// One step of a transaction.
#[derive(Debug)]
pub enum Step {
    /// Write the next version.
    Put(Put),
    /// Write the next version, worked out by a patch from this one.
    Merged(Put, Option<u32>),
    /// Delete the current version.
    DeleteCurrent,
    /// Delete these versions.
    Delete(Vec<u32>),
    /// Bring these versions back.
    Undelete(Vec<u32>),
    /// Make these versions unreadable.
    Destroy(Vec<u32>),
    /// Remove the secret with all its versions.
    Remove,
}

impl Wallet {
    /// Does one thing to one secret.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn change(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        step: Step,
        command: Option<CommandId>,
    ) -> Result<Written, Error> {
        self.transact(
            caller,
            vec![(mount.clone(), path.to_owned(), step)],
            command,
        )
        .await
    }

    /// Does several things to several secrets: all of them, or none.
    ///
    /// # Errors
    /// When one is refused, or the outcome is not known.
    pub async fn transact(
        &self,
        caller: &Caller,
        steps: Vec<(Mount, String, Step)>,
        command: Option<CommandId>,
    ) -> Result<Written, Error> {
        let mut written = HashSet::new();
        let mut needs = Vec::with_capacity(steps.len());
        for (mount, path, step) in &steps {
            let mut need = self.need_for(caller, mount, path, step);
            let versions = matches!(step, Step::Delete(_) | Step::Undelete(_) | Step::Destroy(_));
            if versions && mount.kind == MountKind::KvV1 {
                return Err(match self.may(caller, &need).await? {
                    true => Error::Invalid("a mount of version 1 has no versions".into()),
                    false => Error::Denied,
                });
            }
            // The second write of a transaction changes what the first one made.
            if matches!(step, Step::Put(_)) && !written.insert((mount.id, path)) {
                need.action = Wanted::Is(Operation::Update);
            }
            needs.push(need);
        }
        let changes = steps
            .into_iter()
            .map(|(mount, path, step)| {
                let record = self.record(mount.id, &path);
                Change {
                    mount: mount.id,
                    record,
                    folders: self.folders(mount.id, &path),
                    what: what(step, path),
                }
            })
            .collect();
        self.submit(caller, needs, changes, command).await
    }

    /// What a step needs, in the paths of `/v1`: whatever door it came through, the same policies
    /// speak of it.
    pub(super) fn need_for(&self, caller: &Caller, mount: &Mount, path: &str, step: &Step) -> Need {
        let (action, place) = match step {
            Step::Put(_) => (Wanted::Write(self.record(mount.id, path)), "data/"),
            Step::Merged(..) => (Wanted::Is(Operation::Patch), "data/"),
            Step::DeleteCurrent => (Wanted::Is(Operation::Delete), "data/"),
            Step::Delete(_) => (Wanted::Is(Operation::Update), "delete/"),
            Step::Undelete(_) => (Wanted::Is(Operation::Update), "undelete/"),
            Step::Destroy(_) => (Wanted::Is(Operation::Update), "destroy/"),
            Step::Remove => (Wanted::Is(Operation::Delete), "metadata/"),
        };
        let place = match mount.kind {
            MountKind::KvV2 => place,
            MountKind::KvV1 => "",
        };
        Need {
            action,
            wrap_ttl: caller.wrap_ttl,
            parameters: caller.parameters.clone().map(|mut sent| {
                for (name, value) in parameters_of(mount.kind, step) {
                    sent.entry(name).or_insert(value);
                }
                sent
            }),
            mount: Some((mount.id, mount.names)),
            ..Need::to(Operation::Update, format!("{}{place}{path}", mount.path))
        }
    }

    /// Removes a record with all its versions.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn remove(
        &self,
        caller: &Caller,
        mount: &Mount,
        record: RecordId,
        path: &str,
        command: Option<CommandId>,
    ) -> Result<Written, Error> {
        let needs = vec![self.need_for(caller, mount, path, &Step::Remove)];
        let change = Change {
            mount: mount.id,
            record,
            folders: self.folders(mount.id, path),
            what: What::DeleteMetadata,
        };
        self.submit(caller, needs, vec![change], command).await
    }

    pub(super) async fn submit(
        &self,
        caller: &Caller,
        needs: Vec<Need>,
        changes: Vec<Change>,
        command: Option<CommandId>,
    ) -> Result<Written, Error> {
        let command = Command {
            id: command,
            actor: caller.actor,
            needs,
            action: Action::Change(changes),
        };
        let committed = self.committer.submit(command).await?;
        Ok(Written {
            done: committed.done,
            seq: committed.seq,
        })
    }

    /// Applies a merge patch (RFC 7396) to the current version of a secret, as a new version.
    ///
    /// # Errors
    /// When it is refused, there is nothing to be patched, or the outcome is not known.
    pub async fn patch(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        patch: &Patch<'_>,
        command: Option<CommandId>,
    ) -> Result<Patched, Error> {
        if self.is_done(command).await? {
            let put = Put {
                cas: patch.cas,
                data: SecretBytes::new(Zeroizing::new(patch.data.as_bytes().to_vec())),
                credential: None,
            };
            let again = self.change(caller, mount, path, Step::Merged(put, None), command);
            return again.await.map(Patched::Written);
        }
        for _ in 0..ATTEMPTS {
            // Whoever may patch is told nothing of what was there.
            let read = self
                .read_for(caller, mount, path, None, Asked::PatchData)
                .await?;
            let Some(data) = &read.value.data else {
                return Ok(Patched::Nothing(read));
            };
            let current = read.value.version.number;
            if patch.cas.is_some_and(|cas| cas != current) {
                return Err(Error::Refused(Refusal::CasMismatch));
            }
            let before = std::str::from_utf8(data.expose()).map_err(|_| Error::Erased)?;
            let put = Put {
                cas: patch.cas,
                data: merged(before, patch.data).map_err(|told| Error::Invalid(told.to_owned()))?,
                credential: None,
            };
            let step = Step::Merged(put, Some(current));
            match self.change(caller, mount, path, step, command).await {
                // Someone else wrote in between, and this is worked out anew.
                Err(Error::Refused(Refusal::Changed)) => {}
                outcome => return outcome.map(Patched::Written),
            }
        }
        Err(Error::Unavailable("the secret changes all the time".into()))
    }

    /// What a client is told of the version that it has just written.
    ///
    /// # Errors
    /// When this node cannot come to the write.
    pub async fn written(
        &self,
        mount: &Mount,
        path: &str,
        written: &Written,
    ) -> Result<At<Secret>, Error> {
        let number = written.done.versions.first().copied().unwrap_or(0);
        let fresh = Secret {
            version: super::VersionFacts {
                number,
                created: written.done.time,
                deletion: None,
                destroyed: false,
            },
            data: None,
            custom: BTreeMap::new(),
        };
        let id = self.record(mount.id, path);
        self.come_to(written).await?;
        // Someone else may have changed or removed it since; what was written is true all the same.
        let Some(stored) = self.keychain.view().stored_record(&id)? else {
            return Ok(At {
                seq: written.seq,
                value: fresh,
            });
        };
        let custom = match stored.record.names_version {
            // Names that came with a first version hold no custom metadata.
            1 => BTreeMap::new(),
            _ => self
                .names_of(id, &stored)
                .await?
                .map(|names| names.custom)
                .unwrap_or_default(),
        };
        let version = stored
            .record
            .version(number)
            .map_or(fresh.version, |version| super::VersionFacts {
                deletion: version.deletion,
                ..fresh.version
            });
        Ok(At {
            seq: written.seq,
            value: Secret {
                version,
                custom,
                data: None,
            },
        })
    }

    /// What a client is told of the credential that it has just written.
    ///
    /// # Errors
    /// When this node cannot come to the write.
    pub async fn written_credential(
        &self,
        mount: &Mount,
        name: &str,
        names: CredentialNames,
        written: &Written,
    ) -> Result<At<Credential>, Error> {
        let id = self.record(mount.id, name);
        self.come_to(written).await?;
        let stored = self.keychain.view().stored_record(&id)?;
        let created = stored.map_or(written.done.time, |stored| stored.record.created);
        let credential = Credential {
            id,
            name: name.to_owned(),
            names,
            created,
            updated: written.done.time,
            data: None,
        };
        Ok(At {
            seq: written.seq,
            value: credential,
        })
    }

    /// Whether a command with this id was done before, on whatever node. What it was worked out from
    /// may have changed since, and is not to be asked again.
    ///
    /// # Errors
    /// When this node cannot come to where the log ends.
    pub async fn is_done(&self, command: Option<CommandId>) -> Result<bool, Error> {
        let Some(id) = command else {
            return Ok(false);
        };
        if self.state().command(&id)?.is_some() {
            return Ok(true);
        }
        self.come_to_the_end().await?;
        Ok(self.state().command(&id)?.is_some())
    }

    /// Waits until this node's view has come to a write.
    pub(super) async fn come_to(&self, written: &Written) -> Result<(), Error> {
        let reached = self.keychain.caught_up(written.seq).await;
        reached.map_err(|stopped| Error::Unavailable(stopped.to_string()))
    }
}

/// What a step says in the words of `/v1`, for policies that look at it: where it came through
/// another door, the request itself does not say it so.
fn parameters_of(kind: MountKind, step: &Step) -> serde_json::Map<String, serde_json::Value> {
    let mut parameters = serde_json::Map::new();
    match step {
        Step::Put(put) | Step::Merged(put, _) => {
            let data = serde_json::from_slice(put.data.expose()).unwrap_or_default();
            match (kind, data) {
                // A secret's own members are all that there is to say.
                (MountKind::KvV1, serde_json::Value::Object(members)) => return members,
                (_, data) => drop(parameters.insert("data".to_owned(), data)),
            }
            if let (Step::Put(_), Some(cas)) = (step, put.cas) {
                let options = serde_json::json!({ "cas": cas });
                parameters.insert("options".to_owned(), options);
            }
        }
        Step::Delete(versions) | Step::Undelete(versions) | Step::Destroy(versions) => {
            parameters.insert("versions".to_owned(), serde_json::json!(versions));
        }
        Step::DeleteCurrent | Step::Remove => {}
    }
    parameters
}

fn what(step: Step, path: String) -> What {
    match step {
        Step::Put(put) => what_of(put, None, path),
        Step::Merged(put, basis) => what_of(put, basis, path),
        Step::DeleteCurrent => What::DeleteCurrent,
        Step::Delete(versions) => What::Delete(versions),
        Step::Undelete(versions) => What::Undelete(versions),
        Step::Destroy(versions) => What::Destroy(versions),
        Step::Remove => What::DeleteMetadata,
    }
}

fn what_of(put: Put, basis: Option<u32>, path: String) -> What {
    let Put {
        cas,
        data,
        credential,
    } = put;
    let replace = credential.is_some();
    let names = Names {
        path,
        custom: BTreeMap::new(),
        credential,
    };
    What::Put {
        cas,
        basis,
        payload: data,
        names: match replace {
            true => NewNames::Replace(names),
            false => NewNames::IfNew(names),
        },
    }
}
