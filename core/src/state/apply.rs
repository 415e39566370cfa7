//! The fold: what each event does to the state. No clock, no randomness, no key (invariant 8).

mod access;
mod erasure;
mod grant;
mod keys;

use std::sync::Arc;

use crate::{
    Millis,
    event::{
        CommandRef, Event, Fact, SealedRef,
        v1::{self, Retired},
    },
    id::RecordId,
    keys::page::KeyRef,
    state::{
        COMMAND_AHEAD, COMMANDS_KEPT, CommandRecord, Key, Mount, Record, Source, State,
        StoredPolicy, Value, Version,
    },
};

/// Where in the log an event stands, as far as the fold sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct At {
    /// The time of its commit.
    pub time: Millis,
}

/// An event that does not follow from the state: the log is not what nodes of this wallet wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event does not follow from the state before it: {0}")]
pub struct Broken(&'static str);

/// Why an event was not applied.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// The log's fault.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The source's fault.
    #[error("the state cannot be read")]
    Source(E),
}

type Applied<E> = Result<(), Error<E>>;

impl<S: Source> State<S> {
    /// Begins a commit of the log: forgets the commands that are too old by its time.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn begin_commit(&mut self, at: At) -> Result<(), S::Error> {
        for id in self.commands_before(at.time.minus(COMMANDS_KEPT + COMMAND_AHEAD))? {
            self.remove(Key::Command(id));
        }
        Ok(())
    }

    /// Applies one decided event.
    ///
    /// # Errors
    /// When it does not follow from the state, or the source cannot be read.
    pub fn apply(&mut self, at: At, fact: &Fact) -> Applied<S::Error> {
        match &fact.event {
            Event::WalletCreated(event) => self.wallet_created(at, event)?,
            Event::KekCreated(event) => self.kek_created(at, event)?,
            Event::KeyPageClosed(event) => self.page_closed(event)?,
            Event::KeysDestroyed(event) => self.keys_destroyed(event)?,
            Event::KeysRewrapped(event) => self.keys_rewrapped(event)?,
            Event::GenerationReplaced(event) => self.generation_replaced(at, event)?,
            Event::KeksRetired(event) => self.keks_retired(at, event)?,
            Event::KeksDestroyed(event) => self.keks_destroyed(at, event)?,
            Event::RotationPolicySet(event) => {
                let mut wallet = self.require_wallet()?;
                Arc::make_mut(&mut wallet).rotation = event.policy;
                self.put(Key::Wallet, Value::Wallet(wallet));
            }
            Event::AuditorGranted(event) => self.auditor_granted(at, fact.actor, event)?,
            Event::EpochsGranted(event) => self.epochs_granted(at, event)?,
            Event::NamesGranted(event) => self.names_granted(event)?,
            Event::GrantEnded(event) => self.grant_ended(event)?,
            Event::EpochBegan(event) => {
                // Before the first KEK version nothing says under which key the facts are.
                if self.require_wallet()?.epoch.is_none() {
                    return Err(Broken("an epoch follows none").into());
                }
                self.begin_epoch(at, event.fact_key)?;
            }
            Event::MountEnabled(event) => self.mount_enabled(at, event)?,
            Event::MountTuned(event) => self.mount_tuned(event)?,
            Event::MountDisabled(event) => self.mount_disabled(event)?,
            Event::MountRenamed(event) => self.mount_renamed(event)?,
            Event::CredentialWritten(event) => self.credential_written(at, event)?,
            Event::VersionsDeleted(event) => {
                self.change(event.record, &event.versions, |version| {
                    version.deletion = Some(at.time);
                })?;
            }
            Event::VersionsUndeleted(event) => {
                self.change(event.record, &event.versions, |version| {
                    version.deletion = None
                })?;
            }
            Event::VersionsDestroyed(event) => self.versions_destroyed(event)?,
            Event::MetadataChanged(event) => self.metadata_changed(at, event)?,
            Event::MetadataDeleted(event) => self.metadata_deleted(event)?,
            Event::PayloadResealed(event) => self.payload_resealed(event)?,
            Event::NamesResealed(event) => self.names_resealed(event)?,
            Event::TokenCreated(event) => self.token_created(at, event)?,
            Event::TokenRenewed(event) => {
                let mut token = self.require_token(&event.token)?;
                token.expires = Some(event.expires);
                token.renewed = Some(at.time);
                self.put(Key::Token(event.token), Value::Token(Box::new(token)));
            }
            Event::TokenUsed(event) => {
                let mut token = self.require_token(&event.token)?;
                let left = token.uses.and_then(|uses| uses.checked_sub(1));
                token.uses = Some(left.ok_or(Broken("a use was spent that was not there"))?);
                self.put(Key::Token(event.token), Value::Token(Box::new(token)));
            }
            Event::TokensEnded(event) => self.tokens_ended(event)?,
            Event::PolicyWritten(event) => self.policy_written(at, event)?,
            Event::PolicyDeleted(event) => {
                let mut policies = self.policies().map_err(Error::Source)?;
                let removed = Arc::make_mut(&mut policies).remove(&event.name);
                removed.ok_or(Broken("there is no such policy"))?;
                self.put(Key::Policies, Value::Policies(policies));
            }
            Event::CubbyholeWritten(event) => self.cubbyhole_written(event)?,
            Event::CubbyholeDeleted(event) => self.cubbyhole_deleted(event)?,
            Event::TokenRoleWritten(event) => {
                let mut roles = self.token_roles().map_err(Error::Source)?;
                Arc::make_mut(&mut roles).insert(event.name.clone(), event.role.clone());
                self.put(Key::TokenRoles, Value::TokenRoles(roles));
            }
            Event::TokenRoleDeleted(event) => {
                let mut roles = self.token_roles().map_err(Error::Source)?;
                let removed = Arc::make_mut(&mut roles).remove(&event.name);
                removed.ok_or(Broken("there is no such role"))?;
                self.put(Key::TokenRoles, Value::TokenRoles(roles));
            }
            Event::ErasureOrdered(event) => self.erasure_ordered(at, fact.actor, event)?,
            Event::HoldPlaced(event) => self.hold_placed(at, fact.actor, event)?,
            Event::HoldLifted(event) => self.hold_lifted(event)?,
            // What was observed changes nothing that is decided on.
            Event::ResolutionRequested(_) | Event::RequestsRefused(_) => {}
            // Nodes do as it says; what is decided on stays as it is.
            Event::WalletSealed(_) => {}
        }
        match fact.command {
            Some(command) => self.remember(at, command, &fact.event),
            None => Ok(()),
        }
    }

    fn mount_enabled(&mut self, at: At, event: &v1::MountEnabled) -> Applied<S::Error> {
        let mut mounts = self.mounts().map_err(Error::Source)?;
        let taken = mounts.contains_key(&event.mount);
        if taken || mounts.values().any(|mount| mount.overlaps(&event.path)) {
            return Err(Broken("a mount stands where another does").into());
        }
        self.use_key(event.names.key)?;
        let mount = Mount {
            kind: event.kind,
            path: event.path.clone(),
            settings: event.settings,
            names: event.names,
            created: at.time,
        };
        Arc::make_mut(&mut mounts).insert(event.mount, mount);
        self.put(Key::Mounts, Value::Mounts(mounts));
        Ok(())
    }

    fn mount_tuned(&mut self, event: &v1::MountTuned) -> Applied<S::Error> {
        let mut mounts = self.mounts().map_err(Error::Source)?;
        let mount = Arc::make_mut(&mut mounts).get_mut(&event.mount);
        mount.ok_or(Broken("there is no such mount"))?.settings = event.settings;
        self.put(Key::Mounts, Value::Mounts(mounts));
        Ok(())
    }

    fn mount_renamed(&mut self, event: &v1::MountRenamed) -> Applied<S::Error> {
        let mut mounts = self.mounts().map_err(Error::Source)?;
        let mut others = mounts.iter().filter(|(id, _)| **id != event.mount);
        if others.any(|(_, mount)| mount.overlaps(&event.path)) {
            return Err(Broken("a mount stands where another does").into());
        }
        let mount = mounts.get(&event.mount);
        let retired = mount.ok_or(Broken("there is no such mount"))?.names.key;
        if retired != event.retired_names {
            return Err(Broken("a renamed mount gives up another key than it has").into());
        }
        self.use_key(event.names.key)?;
        self.give_up(retired)?;
        if let Some(mount) = Arc::make_mut(&mut mounts).get_mut(&event.mount) {
            mount.path = event.path.clone();
            mount.names = event.names;
        }
        self.put(Key::Mounts, Value::Mounts(mounts));
        Ok(())
    }

    fn mount_disabled(&mut self, event: &v1::MountDisabled) -> Applied<S::Error> {
        let mut mounts = self.mounts().map_err(Error::Source)?;
        let mount = Arc::make_mut(&mut mounts).remove(&event.mount);
        let mount = mount.ok_or(Broken("there is no such mount"))?;
        self.give_up(mount.names.key)?;
        self.put(Key::Mounts, Value::Mounts(mounts));
        Ok(())
    }

    fn credential_written(&mut self, at: At, event: &v1::CredentialWritten) -> Applied<S::Error> {
        self.require_mount(event.mount)?;
        let before = self.record(&event.record).map_err(Error::Source)?;
        let names = event.names.map(|names| (names, event.version));
        let mut record = self.named(at, event.mount, before, names, event.retired_names)?;
        if record.current.checked_add(1) != Some(event.version) {
            return Err(Broken("a version is not the next one").into());
        }
        self.use_key(event.payload.key)?;
        record.current = event.version;
        record.updated = at.time;
        record.versions.push(Version {
            number: event.version,
            created: at.time,
            deletion: event.deletes_at,
            destroyed: false,
            key: event.payload.key,
            hash: event.payload.hash,
        });
        self.trim(&mut record, &event.trimmed)?;
        self.put(Key::Record(event.record), Value::Record(record));
        Ok(())
    }

    fn metadata_changed(&mut self, at: At, event: &v1::MetadataChanged) -> Applied<S::Error> {
        self.require_mount(event.mount)?;
        let before = self.record(&event.record).map_err(Error::Source)?;
        let current = before.as_ref().map_or(0, |record| record.current);
        let names = event.names.map(|names| (names, current));
        let mut record = self.named(at, event.mount, before, names, event.retired_names)?;
        record.settings = event.settings;
        record.metadata_version = record
            .metadata_version
            .checked_add(1)
            .ok_or(Broken("a change of metadata cannot be counted"))?;
        record.updated = at.time;
        self.trim(&mut record, &event.trimmed)?;
        self.put(Key::Record(event.record), Value::Record(record));
        Ok(())
    }

    fn versions_destroyed(&mut self, event: &v1::VersionsDestroyed) -> Applied<S::Error> {
        let numbers: Vec<u32> = event
            .versions
            .iter()
            .map(|retired| retired.version)
            .collect();
        let record = self.record(&event.record).map_err(Error::Source)?;
        let record = record.ok_or(Broken("there is no such record"))?;
        for retired in &event.versions {
            let version = record
                .version(retired.version)
                .filter(|version| !version.destroyed);
            if version.is_none_or(|version| version.key != retired.key) {
                return Err(Broken("a destroyed version is not one of the record's").into());
            }
            self.give_up(retired.key)?;
        }
        self.change(event.record, &numbers, |version| version.destroyed = true)
    }

    fn metadata_deleted(&mut self, event: &v1::MetadataDeleted) -> Applied<S::Error> {
        let record = self.record(&event.record).map_err(Error::Source)?;
        let record = record.ok_or(Broken("there is no such record"))?;
        if keys_of(&record) != event.keys {
            return Err(Broken("a deleted record gives up other keys than it has").into());
        }
        for key in &event.keys {
            self.give_up(*key)?;
        }
        self.remove(Key::Record(event.record));
        Ok(())
    }

    fn payload_resealed(&mut self, event: &v1::PayloadResealed) -> Applied<S::Error> {
        let record = self.record(&event.record).map_err(Error::Source)?;
        let mut record = record.ok_or(Broken("there is no such record"))?;
        let mut versions = record.versions.iter_mut();
        let version = versions
            .find(|version| version.number == event.version && !version.destroyed)
            .filter(|version| version.key == event.retired)
            .ok_or(Broken("a resealed version is not one of the record's"))?;
        version.key = event.payload.key;
        version.hash = event.payload.hash;
        self.use_key(event.payload.key)?;
        self.give_up(event.retired)?;
        self.put(Key::Record(event.record), Value::Record(record));
        Ok(())
    }

    fn names_resealed(&mut self, event: &v1::NamesResealed) -> Applied<S::Error> {
        let record = self.record(&event.record).map_err(Error::Source)?;
        let mut record = record.ok_or(Broken("there is no such record"))?;
        let before = (record.names.key, record.names_version);
        if before != (event.retired, event.version) {
            return Err(Broken("resealed names are not the record's").into());
        }
        record.names = event.names;
        self.use_key(event.names.key)?;
        self.give_up(event.retired)?;
        self.put(Key::Record(event.record), Value::Record(record));
        Ok(())
    }

    fn policy_written(&mut self, at: At, event: &v1::PolicyWritten) -> Applied<S::Error> {
        let mut policies = self.policies().map_err(Error::Source)?;
        let all = Arc::make_mut(&mut policies);
        // Nothing else tells that a policy has ended: here they are cleared away.
        all.retain(|_, policy| !policy.has_ended(at.time));
        let before = all.get(&event.name).map_or(0, |policy| policy.version);
        let stored = StoredPolicy {
            text: event.text.clone(),
            policy: event.policy.clone(),
            version: before
                .checked_add(1)
                .ok_or(Broken("a policy's version cannot be counted"))?,
            modified: at.time,
            expires: event.expires,
            cas_required: event.cas_required,
        };
        all.insert(event.name.clone(), stored);
        self.put(Key::Policies, Value::Policies(policies));
        Ok(())
    }

    /// The record before a change, or a new one, with the names that the change brings.
    fn named(
        &mut self,
        at: At,
        mount: crate::id::MountId,
        before: Option<Record>,
        names: Option<(SealedRef, u32)>,
        retired: Option<KeyRef>,
    ) -> Result<Record, Error<S::Error>> {
        if let Some((names, _)) = names {
            self.use_key(names.key)?;
        }
        match (before, names) {
            (None, Some((names, names_version))) if retired.is_none() => Ok(Record {
                mount,
                created: at.time,
                updated: at.time,
                settings: v1::Settings::default(),
                names,
                names_version,
                current: 0,
                versions: Vec::new(),
                metadata_version: 0,
            }),
            (Some(record), None) if retired.is_none() && record.mount == mount => Ok(record),
            (Some(record), Some((names, names_version)))
                if retired == Some(record.names.key) && record.mount == mount =>
            {
                self.give_up(record.names.key)?;
                Ok(Record {
                    names,
                    names_version,
                    ..record
                })
            }
            _ => Err(Broken("the names of a change do not fit the record").into()),
        }
    }

    fn trim(&mut self, record: &mut Record, trimmed: &[Retired]) -> Applied<S::Error> {
        for retired in trimmed {
            let at = record
                .versions
                .iter()
                .position(|v| v.number == retired.version && v.key == retired.key)
                .ok_or(Broken("a trimmed version is not one of the record's"))?;
            let version = record.versions.remove(at);
            // A destroyed version gave its key up before.
            if !version.destroyed {
                self.give_up(retired.key)?;
            }
        }
        Ok(())
    }

    /// Changes versions and leaves the time of the record's last change: no secret was written.
    fn change(
        &mut self,
        id: RecordId,
        numbers: &[u32],
        change: impl Fn(&mut Version),
    ) -> Applied<S::Error> {
        let record = self.record(&id).map_err(Error::Source)?;
        let mut record = record.ok_or(Broken("there is no such record"))?;
        for number in numbers {
            let version = record
                .versions
                .iter_mut()
                .find(|version| version.number == *number);
            change(version.ok_or(Broken("there is no such version"))?);
        }
        self.put(Key::Record(id), Value::Record(record));
        Ok(())
    }

    fn require_mount(&self, id: crate::id::MountId) -> Applied<S::Error> {
        match self.mount(&id).map_err(Error::Source)? {
            Some(_) => Ok(()),
            None => Err(Broken("there is no such mount").into()),
        }
    }

    /// The events of one command stand in one commit; each write adds the version that it wrote.
    fn remember(&mut self, at: At, command: CommandRef, event: &Event) -> Applied<S::Error> {
        let known = self.command(&command.id).map_err(Error::Source)?;
        let begun = self.open.contains_key(&Key::Command(command.id));
        let fits = |known: &CommandRecord| begun && known.fingerprint == command.fingerprint;
        if known.as_ref().is_some_and(|known| !fits(known)) {
            return Err(Broken("a command id was used twice").into());
        }
        let mut record = known.unwrap_or_else(|| CommandRecord {
            time: at.time,
            fingerprint: command.fingerprint,
            versions: Vec::new(),
        });
        if let Event::CredentialWritten(event) = event {
            record.versions.push(event.version);
        }
        self.put(Key::Command(command.id), Value::Command(record));
        Ok(())
    }
}

/// The keys that a record has left: its payloads', oldest first, then that of its names.
pub(crate) fn keys_of(record: &Record) -> Vec<KeyRef> {
    let payloads = record.versions.iter().filter(|version| !version.destroyed);
    payloads
        .map(|version| version.key)
        .chain([record.names.key])
        .collect()
}
