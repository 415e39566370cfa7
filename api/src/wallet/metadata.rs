//! Changing what is known about a secret, and what a mount goes by.

use std::collections::BTreeMap;

use billfold_core::{
    access::{Need, Wanted},
    command::{Action, Basis, Change, NewNames, NewSettings, What},
    decide::Refusal,
    event::v1::{Operation, Settings},
    id::{CommandId, RecordId, Seq},
    names::Names,
    policy,
    state::{Key, Source as _, Value},
};
use billfold_projector::keychain::Ask;
use billfold_streams::replica::Replica as _;

use super::{
    At, Caller, Error, Mount, Wallet, Written,
    read::{Question, asked},
};

/// How often a change is worked out anew when another came between.
const ATTEMPTS: u32 = 16;

/// What to change of a secret's custom metadata.
#[derive(Debug)]
pub enum NewCustom {
    /// Nothing.
    Keep,
    /// All of it.
    Replace(BTreeMap<String, String>),
    /// These keys; those without a value are removed.
    Merge(BTreeMap<String, Option<String>>),
}

impl NewCustom {
    fn over(&self, mut before: BTreeMap<String, String>) -> BTreeMap<String, String> {
        match self {
            Self::Keep => before,
            Self::Replace(after) => after.clone(),
            Self::Merge(changes) => {
                for (key, value) in changes {
                    match value {
                        Some(value) => before.insert(key.clone(), value.clone()),
                        None => before.remove(key),
                    };
                }
                before
            }
        }
    }
}

/// A change of a secret's metadata.
#[derive(Debug)]
pub struct NewMetadata {
    /// Of its settings.
    pub settings: NewSettings,
    /// Of its custom metadata.
    pub custom: NewCustom,
    /// How often the metadata must have been changed; 0 is "never".
    pub cas: Option<u32>,
}

impl NewMetadata {
    /// Whether it changes nothing, whatever there is.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.settings == NewSettings::default() && matches!(self.custom, NewCustom::Keep)
    }
}

impl Wallet {
    /// Reads whether there is metadata to be patched, as whoever may patch it.
    ///
    /// # Errors
    /// When the request is denied, cannot be recorded, or finds nothing.
    pub async fn look_for_metadata(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
    ) -> Result<(), Error> {
        self.read_metadata_for(caller, mount, path, Operation::PatchMetadata)
            .await?;
        Ok(())
    }

    /// Changes a secret's metadata; a secret that is not there gets some, and no version.
    ///
    /// # Errors
    /// When it is refused, what comes of it is more than a secret may have, or its outcome is not
    /// known.
    pub async fn change_metadata(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        change: &NewMetadata,
        is_patch: bool,
        command: Option<CommandId>,
    ) -> Result<Written, Error> {
        let id = self.record(mount.id, path);
        let need = self.need_to_describe(caller, mount, path, is_patch);
        for _ in 0..ATTEMPTS {
            let seen = self.keychain.view().head().seq;
            let what = self.worked_out(id, path, change).await?;
            let change = Change {
                mount: mount.id,
                record: id,
                folders: self.folders(mount.id, path),
                what,
            };
            let needs = vec![need.clone()];
            match self.submit(caller, needs, vec![change], command).await {
                Err(Error::Refused(Refusal::Changed)) => self.come_past(seen).await?,
                outcome => return outcome,
            }
        }
        Err(Error::Unavailable("the secret changes all the time".into()))
    }

    /// Whether the caller may change a secret's metadata.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn may_change_metadata(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
    ) -> Result<bool, Error> {
        self.may(caller, &self.need_to_describe(caller, mount, path, false))
            .await
    }

    fn need_to_describe(&self, caller: &Caller, mount: &Mount, path: &str, is_patch: bool) -> Need {
        Need {
            action: match is_patch {
                true => Wanted::Is(policy::Operation::Patch),
                false => Wanted::Describe(self.record(mount.id, path)),
            },
            wrap_ttl: caller.wrap_ttl,
            parameters: caller.parameters.clone(),
            ..asked(Operation::ReadMetadata, mount, path)
        }
    }

    async fn worked_out(
        &self,
        id: RecordId,
        path: &str,
        change: &NewMetadata,
    ) -> Result<What, Error> {
        let stored = self.keychain.view().stored_record(&id)?;
        let names = match &stored {
            Some(stored) => self.names_of(id, stored).await?,
            None => None,
        };
        let record = stored.as_ref().map(|stored| &stored.record);
        let before = names.unwrap_or_else(|| Names {
            path: path.to_owned(),
            ..Names::default()
        });
        let after = Names {
            custom: change.custom.over(before.custom.clone()),
            ..before.clone()
        };
        check_custom(&after.custom)?;
        Ok(What::ChangeMetadata {
            basis: Some(Basis::of(record)),
            metadata_cas: change.cas,
            settings: change.settings,
            // Names that stay keep their key: nothing of them has to be erased.
            names: match after == before {
                true => NewNames::IfNew(after),
                false => NewNames::Replace(after),
            },
        })
    }

    /// Changes what a mount's secrets go by.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn tune(
        &self,
        caller: &Caller,
        mount: &Mount,
        change: NewSettings,
        command: Option<CommandId>,
    ) -> Result<Written, Error> {
        let need = Need {
            action: Wanted::Is(policy::Operation::Update),
            wrap_ttl: caller.wrap_ttl,
            parameters: caller.parameters.clone(),
            ..asked(Operation::ReadSettings, mount, "")
        };
        let action = Action::TuneMount {
            mount: mount.id,
            settings: change,
        };
        self.carry_out(command, caller.actor, vec![need], action)
            .await
    }

    /// What a mount's secrets go by, after the request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there is no such mount any more.
    pub async fn read_settings(
        &self,
        caller: &Caller,
        mount: &Mount,
    ) -> Result<At<Settings>, Error> {
        let question = Question {
            operation: Operation::ReadSettings,
            mount: Some(mount.id),
            record: None,
            version: None,
            path: None,
            ask: Ask::Nothing,
            need: asked(Operation::ReadSettings, mount, ""),
        };
        let looked = self.look(caller, question).await?;
        Ok(At {
            seq: looked.seq,
            value: self.settings_of(mount)?,
        })
    }

    /// What a mount's secrets go by once a write has come to this node.
    ///
    /// # Errors
    /// When this node cannot come to the write, or there is no such mount any more.
    pub async fn settings_at(&self, mount: &Mount, written: &Written) -> Result<Settings, Error> {
        self.come_to(written).await?;
        self.settings_of(mount)
    }

    /// What a mount's secrets go by now.
    pub(super) fn settings_of(&self, mount: &Mount) -> Result<Settings, Error> {
        match self.keychain.view().get(&Key::Mounts)? {
            Some(Value::Mounts(mounts)) => mounts.get(&mount.id).map(|mount| mount.settings),
            _ => None,
        }
        .ok_or(Error::Absent)
    }

    /// Waits until the view has left this place: what was worked out there was not current.
    async fn come_past(&self, seen: Seq) -> Result<(), Error> {
        let left = self.keychain.caught_up(seen.next());
        match tokio::time::timeout(self.patience, left).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(stopped)) => Err(Error::Unavailable(stopped.to_string())),
            Err(_) => Err(Error::Unavailable("this node is behind the log".to_owned())),
        }
    }
}

/// The bounds of custom metadata are those of the KV engine.
fn check_custom(custom: &BTreeMap<String, String>) -> Result<(), Error> {
    const KEYS: usize = 64;
    const KEY: usize = 128;
    const VALUE: usize = 512;
    let wrong = |told: &str| {
        Err(Error::Invalid(format!(
            "custom_metadata validation failed: {told}"
        )))
    };
    let hidden = |text: &str| text.chars().any(char::is_control);
    if custom.len() > KEYS {
        return wrong("payload must contain at most 64 keys");
    }
    for (key, value) in custom {
        if key.is_empty() || key.len() > KEY {
            return wrong("a key must have 1 to 128 bytes");
        }
        if value.is_empty() || value.len() > VALUE {
            return wrong("a value must have 1 to 512 bytes");
        }
        if hidden(key) || hidden(value) {
            return wrong("keys and values must not contain unprintable characters");
        }
    }
    Ok(())
}
