//! Legal holds: while one is there, nothing under its path is lost.

use billfold_core::{
    Millis,
    access::Need,
    cbor,
    command::{Action, NewHold},
    event::{Actor, v1::Operation as Asked},
    id::{CommandId, HoldId},
    keys::Content,
    names::{HoldNames, hold_names_place},
    policy::Operation,
    state::Hold,
};

use super::{
    At, Caller, Error, Mount, Wallet, Written,
    erasure::{is_folder, is_reason},
};

/// The path of the API, as policies speak of it.
const API: &str = "api/internal/wallet/holds";

/// A legal hold with its names open.
#[derive(Debug)]
pub struct HoldFacts {
    /// Its id.
    pub id: HoldId,
    /// The path with the mount; that of a folder ends with a slash.
    pub path: String,
    /// Why it is there.
    pub reason: String,
    /// When it was placed.
    pub placed: Millis,
    /// By whom.
    pub actor: Actor,
}

impl Wallet {
    /// Places a hold on a secret or on all below a folder, whose path is empty for the mount or ends
    /// with a slash. There need not be anything yet.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn place_hold(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        reason: &str,
        command: Option<CommandId>,
    ) -> Result<At<HoldFacts>, Error> {
        let need = needed(Operation::Update, API);
        if !is_reason(reason) {
            return Err(match self.may(caller, &need).await? {
                true => Error::Invalid("a reason has 1 to 1024 bytes of printable text".into()),
                false => Error::Denied,
            });
        }
        let ids = &self.keychain.custody().keys().id;
        let is_folder = is_folder(path);
        // A repeated command finds the hold that it placed.
        let hold = command.map_or_else(
            || HoldId::from_bytes(uuid::Uuid::new_v4().into_bytes()),
            |command| HoldId::from_bytes(*command.as_bytes()),
        );
        let new = NewHold {
            hold,
            mount: mount.id,
            place: match is_folder {
                true => ids.folder(mount.id, path),
                false => ids.record(mount.id, path),
            },
            is_folder,
            names: HoldNames {
                path: path.to_owned(),
                reason: reason.to_owned(),
            },
        };
        let action = Action::PlaceHold(Box::new(new));
        let needs = vec![caller.asks(mount.meant(need))];
        let written = self.carry_out(command, caller.actor, needs, action).await?;
        let placed = self.known_hold(hold).await?.unwrap_or_else(|| HoldFacts {
            // It was lifted before this was asked.
            id: hold,
            path: format!("{}{path}", mount.path),
            reason: reason.to_owned(),
            placed: written.done.time,
            actor: caller.actor,
        });
        Ok(At {
            seq: written.seq,
            value: placed,
        })
    }

    /// Lifts a hold.
    ///
    /// # Errors
    /// When it is refused, there is no such hold, or the outcome is not known.
    pub async fn lift_hold(
        &self,
        caller: &Caller,
        path: &str,
        id: HoldId,
        command: Option<CommandId>,
    ) -> Result<Written, Error> {
        let needs = vec![caller.asks(needed(Operation::Delete, path))];
        self.carry_out(command, caller.actor, needs, Action::LiftHold(id))
            .await
    }

    /// All holds, the oldest first, after the request for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn holds(&self, caller: &Caller, path: &str) -> Result<At<Vec<HoldFacts>>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let mut holds = Vec::new();
        for (id, hold) in self.state().holds()?.iter() {
            holds.extend(self.open_hold(*id, hold).await?);
        }
        holds.sort_unstable_by_key(|hold| (hold.placed, hold.id));
        Ok(looked.map(|_| holds))
    }

    /// A hold, after the request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there is no such hold.
    pub async fn hold(
        &self,
        caller: &Caller,
        path: &str,
        id: HoldId,
    ) -> Result<At<HoldFacts>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let hold = self.known_hold(id).await?.ok_or(Error::Absent)?;
        Ok(looked.map(|_| hold))
    }

    async fn known_hold(&self, id: HoldId) -> Result<Option<HoldFacts>, Error> {
        match self.state().holds()?.get(&id) {
            Some(hold) => self.open_hold(id, hold).await,
            None => Ok(None),
        }
    }

    /// None for a hold that was lifted meanwhile: its names are erased.
    async fn open_hold(&self, id: HoldId, hold: &Hold) -> Result<Option<HoldFacts>, Error> {
        let custody = self.keychain.custody();
        let sealed = self.keychain.view().hold_names(&id)?;
        let Some((dek, sealed)) = custody.dek(hold.names.key).await?.zip(sealed) else {
            return Ok(None);
        };
        let place = hold_names_place(custody.wallet(), id);
        let plain = dek
            .open(Content::Names, &place, &sealed)
            .map_err(|_| Error::Erased)?;
        let names: HoldNames = cbor::decode(plain.expose()).map_err(|_| Error::Erased)?;
        let mounts = self.all_mounts().await?;
        // A mount stays as long as anything in it is held.
        let mount = mounts.into_iter().find(|mount| mount.id == hold.mount);
        Ok(mount.map(|mount| HoldFacts {
            id,
            path: format!("{}{}", mount.path, names.path),
            reason: names.reason,
            placed: hold.placed,
            actor: hold.actor,
        }))
    }
}

fn needed(operation: Operation, path: &str) -> Need {
    Need {
        sudo: true,
        ..Need::to(operation, path)
    }
}
