//! Erasing secrets by order: all of a path or folder, or some versions, with a reason.

use std::collections::BTreeMap;

use billfold_core::{
    access::Need,
    command::{Action, NewErasure, Target},
    decide::{ERASED_AT_ONCE, Refusal},
    event::v1::MountKind,
    id::{CommandId, ErasureId, RecordId},
    names::ErasureNames,
    policy::Operation,
};

use super::{At, Caller, Error, Mount, Receipt, Step, Wallet, Written};

/// The path of the API that erases, as policies speak of it.
const API: &str = "api/internal/wallet/erase";

/// How often a folder is looked through again for what was written there meanwhile.
const ROUNDS: usize = 3;

/// The longest reason, in bytes.
const LONGEST_REASON: usize = 1024;

/// What an order erased.
#[derive(Debug)]
pub struct Erased {
    /// A receipt for each commit that it took.
    pub receipts: Vec<Receipt>,
    /// The paths of the records in them, with the mount: nobody is told them again.
    pub paths: BTreeMap<RecordId, String>,
    /// How many secrets are there that were written meanwhile.
    pub left: usize,
}

/// Something to be erased.
#[derive(Debug, Clone, Copy)]
struct Wish<'a> {
    mount: &'a Mount,
    /// Below the mount; that of a folder is empty, or ends with a slash.
    path: &'a str,
    versions: Option<&'a [u32]>,
    reason: &'a str,
}

impl Wallet {
    /// Erases a secret, some of its versions, or all below a folder, whose path is empty for the
    /// mount or ends with a slash. Each commit erases all that it names, or nothing.
    ///
    /// # Errors
    /// When it is refused, there is nothing to erase, or the outcome is not known.
    pub async fn erase(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        versions: Option<&[u32]>,
        reason: &str,
        command: Option<CommandId>,
    ) -> Result<At<Erased>, Error> {
        let wish = Wish {
            mount,
            path,
            versions,
            reason,
        };
        self.check(caller, wish).await?;
        // What another node was told is written must be found here.
        self.come_to_the_end().await?;
        let found = match self.is_done(command).await? {
            // What was written since is not what was meant.
            true => Vec::new(),
            false => self.found(wish).await?,
        };
        let again = match is_folder(path) && !found.is_empty() {
            true => ROUNDS,
            false => 0,
        };
        let (first, mut written) = self.erase_these(caller, wish, &found, command).await?;
        let mut receipts = vec![self.receipt(first).await?.ok_or(Error::Absent)?];
        let mut paths: BTreeMap<_, _> = found.into_iter().collect();
        if !is_folder(path) {
            paths.insert(self.record(mount.id, path), path.to_owned());
        }
        let mut left = 0;
        for round in 1..=again {
            let more = self.found(wish).await?;
            left = more.len();
            if left == 0 || round == again {
                break;
            }
            // What was done is done: that no more could be is told by what is left.
            let Ok((id, at)) = self.erase_these(caller, wish, &more, None).await else {
                left = self.found(wish).await?.len();
                break;
            };
            receipts.extend(self.receipt(id).await?);
            paths.extend(more);
            written = at;
        }
        Ok(At {
            seq: written.seq,
            value: Erased {
                receipts,
                paths: paths
                    .into_iter()
                    .map(|(id, path)| (id, format!("{}{path}", mount.path)))
                    .collect(),
                left,
            },
        })
    }

    async fn check(&self, caller: &Caller, wish: Wish<'_>) -> Result<(), Error> {
        let wrong = if wish.versions.is_some() && is_folder(wish.path) {
            "versions are those of one secret, not of a folder"
        } else if wish.versions.is_some() && wish.mount.kind == MountKind::KvV1 {
            "a mount of version 1 has no versions"
        } else if !is_reason(wish.reason) {
            "a reason has 1 to 1024 bytes of printable text"
        } else {
            return Ok(());
        };
        // A mistake tells nothing to whoever may do nothing here.
        match self.may(caller, &order()).await? {
            true => Err(Error::Invalid(wrong.to_owned())),
            false => Err(Error::Denied),
        }
    }

    /// The records that a wish is about, and their paths below the mount.
    async fn found(&self, wish: Wish<'_>) -> Result<Vec<(RecordId, String)>, Error> {
        let Wish { mount, path, .. } = wish;
        if !is_folder(path) {
            let id = self.record(mount.id, path);
            let there = self.keychain.view().has_record(&id)?;
            return Ok(there.then(|| (id, path.to_owned())).into_iter().collect());
        }
        let folder = self.keychain.view().folder(mount.id, path);
        let lines = self
            .keychain
            .view()
            .some_below(&folder, ERASED_AT_ONCE + 1)?;
        if lines.len() > ERASED_AT_ONCE {
            return Err(Error::Refused(Refusal::TooMany {
                limit: ERASED_AT_ONCE as u64,
            }));
        }
        let mut found = Vec::with_capacity(lines.len());
        for line in lines {
            // A record whose names are erased is gone by now.
            if let Some(names) = self.names_in(&line).await? {
                found.push((line.record, names.path));
            }
        }
        Ok(found)
    }

    async fn erase_these(
        &self,
        caller: &Caller,
        wish: Wish<'_>,
        found: &[(RecordId, String)],
        command: Option<CommandId>,
    ) -> Result<(ErasureId, Written), Error> {
        let Wish {
            mount,
            path,
            versions,
            reason,
        } = wish;
        let step = || match versions {
            Some(versions) => Step::Destroy(versions.to_vec()),
            None => Step::Remove,
        };
        let ids = &self.keychain.custody().keys().id;
        let mut needs = vec![caller.asks(order())];
        // Where nothing is, only who might erase it there is told so.
        if found.is_empty() {
            needs.push(self.need_for(caller, mount, path, &step()));
        }
        let mut records = Vec::with_capacity(found.len());
        for (record, path) in found {
            needs.push(self.need_for(caller, mount, path, &step()));
            records.push(Target {
                record: *record,
                folders: ids.folders(mount.id, path),
            });
        }
        // A repeated command finds the receipt that it left.
        let erasure = command.map_or_else(
            || ErasureId::from_bytes(uuid::Uuid::new_v4().into_bytes()),
            |command| ErasureId::from_bytes(*command.as_bytes()),
        );
        let new = NewErasure {
            erasure,
            mount: mount.id,
            place: match is_folder(path) {
                true => ids.folder(mount.id, path),
                false => ids.record(mount.id, path),
            },
            versions: versions.map(<[u32]>::to_vec),
            records,
            names: ErasureNames {
                reason: reason.to_owned(),
            },
        };
        let action = Action::Erase(Box::new(new));
        let written = self.carry_out(command, caller.actor, needs, action).await?;
        Ok((erasure, written))
    }
}

/// What it takes to order an erasure, besides the right to destroy each secret at its own path.
fn order() -> Need {
    Need {
        sudo: true,
        ..Need::to(Operation::Update, API)
    }
}

pub(super) fn is_folder(path: &str) -> bool {
    path.is_empty() || path.ends_with('/')
}

/// Whether a text can be the reason of an erasure or a hold.
pub(super) fn is_reason(text: &str) -> bool {
    (1..=LONGEST_REASON).contains(&text.len())
        && !text.trim().is_empty()
        && !text.contains(char::is_control)
}
