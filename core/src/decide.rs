//! Deciding: what a command leads to, given the state. Pure: keys and salts are arguments.

mod change;
mod cubbyhole;
mod erasure;
mod grant;
mod keys;
mod policies;
mod refusal;
mod roles;
mod sealer;
mod tokens;

use crate::{
    Millis, access, cbor,
    command::{Action, Change, Command, Done, NewMount, NewWallet, What},
    commit::Entry,
    event::{Actor, CommandRef, Event, Fact, v1},
    id::RecordId,
    keys::CommandKey,
    names::{MountNames, mount_names_place, payload_place},
    policy::{Capabilities, DEFAULT, Engine as _, Policy, WRAPPING, WRAPPING_TEXT},
    state::{At, COMMAND_AHEAD, COMMANDS_KEPT, Source, State},
};

pub use cubbyhole::CUBBYHOLE_ENTRIES;
pub use erasure::{ERASED_AT_ONCE, HOLDS};
pub use grant::GRANTS;
pub use policies::DEFAULT_POLICY;
pub use refusal::{Error, Refusal};
pub use sealer::{Drawn, Sealer, Supply};
pub use tokens::LONGEST;

/// What a command leads to.
#[derive(Debug)]
pub enum Decision {
    /// These events, perhaps none; the state has them already.
    Events {
        /// The events, to be committed together.
        entries: Vec<Entry>,
        /// The version that each change writes, 0 for those that write none.
        versions: Vec<u32>,
    },
    /// It was done before, under the same id.
    Already(Done),
}

/// Decides a command at a time, and keeps what it leads to. A command that is refused leaves the
/// state as it was.
///
/// # Errors
/// When the command is refused, keys have run out, or the state cannot be read.
pub fn decide<S: Source>(
    state: &mut State<S>,
    at: At,
    command: &Command,
    command_key: &CommandKey,
    sealer: &mut Sealer<'_>,
) -> Result<Decision, Error<S::Error>> {
    let decision = weigh(state, at, command, command_key, sealer)?;
    state.keep();
    Ok(decision)
}

/// Decides a command at a time; the state shows what it leads to until [`State::keep`] or
/// [`State::undo`], one of which must follow. A command that is refused leaves the state as it was.
///
/// # Errors
/// When the command is refused, keys have run out, or the state cannot be read.
pub fn weigh<S: Source>(
    state: &mut State<S>,
    at: At,
    command: &Command,
    command_key: &CommandKey,
    sealer: &mut Sealer<'_>,
) -> Result<Decision, Error<S::Error>> {
    let decided = Deciding {
        state,
        at,
        command: None,
        actor: command.actor,
        sudo: false,
        entries: Vec::new(),
    }
    .run(command, command_key, sealer);
    if decided.is_err() {
        state.undo();
    }
    decided
}

struct Deciding<'a, S> {
    state: &'a mut State<S>,
    at: At,
    command: Option<CommandRef>,
    actor: Actor,
    /// Whether the actor's policies grant `sudo` at each path that the command needs.
    sudo: bool,
    entries: Vec<Entry>,
}

type Decided<E> = Result<(), Error<E>>;

impl<S: Source> Deciding<'_, S> {
    fn run(
        mut self,
        command: &Command,
        command_key: &CommandKey,
        sealer: &mut Sealer<'_>,
    ) -> Result<Decision, Error<S::Error>> {
        // Who did it before is told so, whatever their token may do now.
        if let Some(done) = self.identify(command, command_key)? {
            return Ok(Decision::Already(done));
        }
        self.authorise(command)?;
        let mut versions = Vec::new();
        match &command.action {
            Action::CreateWallet(new) => self.create_wallet(new, sealer)?,
            Action::EnableMount(new) => self.enable_mount(new, sealer)?,
            Action::TuneMount {
                mount,
                basis,
                settings,
            } => {
                let before = self.require_mount(mount)?.settings;
                if basis.is_some_and(|basis| basis != before) {
                    return Err(Refusal::Changed.into());
                }
                let event = v1::MountTuned {
                    mount: *mount,
                    settings: *settings,
                };
                self.happen(Event::MountTuned(event), None, None)?;
            }
            Action::RenameMount { mount, path, names } => {
                self.rename_mount(*mount, path, names, sealer)?;
            }
            Action::DisableMount(mount) => {
                self.require_mount(mount)?;
                self.refuse_if_any_held(*mount)?;
                self.happen(
                    Event::MountDisabled(v1::MountDisabled { mount: *mount }),
                    None,
                    None,
                )?;
            }
            Action::Change(changes) if changes.is_empty() => return Err(Refusal::Empty.into()),
            Action::Change(changes) => {
                for change in changes {
                    let before = self.entries.len();
                    versions.push(self.change(change, sealer)?);
                    debug_assert!(self.entries.len() <= before + 1);
                }
            }
            Action::Erase(new) => self.erase(new, sealer)?,
            Action::PlaceHold(new) => self.place_hold(new, sealer)?,
            Action::LiftHold(hold) => self.lift_hold(*hold)?,
            Action::GrantAuditor(new) => self.grant_auditor(new)?,
            Action::GrantEpochs {
                grant,
                part,
                epochs,
                sealed,
            } => self.grant_epochs((*grant, *part), epochs, sealed)?,
            Action::GrantNames {
                grant,
                part,
                up_to,
                sealed,
            } => self.grant_names((*grant, *part), *up_to, sealed)?,
            Action::EndGrant(grant) => self.end_grant(*grant)?,
            Action::CreateToken(new) => self.create_token(new, sealer)?,
            Action::CreateRootToken(new) => self.create_root_token(new, sealer)?,
            Action::RenewToken(token, increment) => self.renew_token(*token, *increment)?,
            Action::UseToken(token) => self.use_token(*token)?,
            Action::EndTokens {
                tokens,
                leaves_orphans,
            } => self.end_tokens(tokens, *leaves_orphans, None)?,
            Action::ClearTokens(tokens) => self.clear_tokens(tokens)?,
            Action::WritePolicy { cas, ttl, written } => self.write_policy(*cas, *ttl, written)?,
            Action::DeletePolicy(name) => self.delete_policy(name)?,
            Action::WriteCubbyhole {
                entry,
                path,
                payload,
            } => self.write_cubbyhole(*entry, path, payload, sealer)?,
            Action::DeleteCubbyhole(entry) => self.delete_cubbyhole(*entry)?,
            Action::Wrap(new) => self.wrap(new, sealer)?,
            Action::Unwrap(token, request) => self.unwrap(*token, *request)?,
            Action::WriteTokenRole { basis, written } => {
                self.write_token_role(basis.as_deref(), written)?;
            }
            Action::DeleteTokenRole(name) => self.delete_token_role(name)?,
            Action::ClosePages(pages) => self.close_pages(pages)?,
            Action::ConfirmDestroyed(keys) => self.confirm_destroyed(keys)?,
            Action::Seal => self.seal()?,
            Action::RotateKek(new) => self.rotate_kek(new)?,
            Action::Reseal(reseals) => {
                for reseal in reseals {
                    self.reseal(reseal, sealer)?;
                }
            }
            Action::SetRotationPolicy(policy) => self.set_rotation_policy(*policy)?,
            Action::BeginEpoch { after, fact_key } => self.begin_epoch(*after, *fact_key)?,
            Action::ConfirmRewrapped { version, pages } => {
                self.confirm_rewrapped(*version, pages)?;
            }
            Action::RetireKeks(version) => self.retire_keks(*version)?,
            Action::ConfirmKeksDestroyed(version) => self.confirm_keks_destroyed(*version)?,
            Action::ReplaceGeneration {
                generation,
                manager,
                back_to,
            } => self.replace_generation(*generation, manager, *back_to)?,
        }
        Ok(Decision::Events {
            entries: self.entries,
            versions,
        })
    }

    /// Deny by default (invariant 10): a principal does what its policies permit, and only the wallet
    /// itself begins and ends its keys.
    fn authorise(&mut self, command: &Command) -> Decided<S::Error> {
        let wallet = self.state.wallet().map_err(Error::Source)?;
        if wallet.is_none() && !matches!(command.action, Action::CreateWallet(_)) {
            return Err(Refusal::NoWallet.into());
        }
        let internal = matches!(
            command.action,
            Action::CreateWallet(_)
                | Action::ClosePages(_)
                | Action::ConfirmDestroyed(_)
                | Action::ConfirmRewrapped { .. }
                | Action::ConfirmKeksDestroyed(_)
                | Action::Reseal(_)
                | Action::BeginEpoch { .. }
                | Action::GrantEpochs { .. }
                | Action::GrantNames { .. }
                | Action::ClearTokens(_)
        );
        let (principal, token) = match command.actor {
            Actor::System => return Ok(()),
            Actor::Principal(principal, token) if !internal => (principal, token),
            Actor::Principal(..) | Actor::Anonymous => return Err(Refusal::Denied.into()),
        };
        if wallet.is_some_and(|wallet| (wallet.root, wallet.root_token) == (principal, token)) {
            return Ok(());
        }
        // A use is spent before anything else is asked.
        if matches!(command.action, Action::UseToken(used) if used == token) {
            return Ok(());
        }
        let acl = access::acl_of(self.state, &self.actor, self.at.time).map_err(Error::Source)?;
        let Some(acl) = acl.filter(|_| !command.needs.is_empty()) else {
            return Err(Refusal::Denied.into());
        };
        let unread = command.needs.iter().any(|need| need.parameters.is_none());
        if unread
            && access::looks_at_parameters(self.state, &self.actor, self.at.time)
                .map_err(Error::Source)?
        {
            return Err(Refusal::PolicyChanged.into());
        }
        self.sudo = true;
        for need in &command.needs {
            if !access::leads_there(self.state, need).map_err(Error::Source)? {
                return Err(Refusal::Moved.into());
            }
            let permission = access::permitted_by(&acl, self.state, need).map_err(Error::Source)?;
            if !permission.permitted {
                return Err(Refusal::Denied.into());
            }
            self.sudo &= acl.capabilities(&need.path).holds(Capabilities::SUDO)
                || acl.capabilities(&need.path).holds(Capabilities::ROOT);
        }
        Ok(())
    }

    /// Finds out whether the command was done before.
    fn identify(
        &mut self,
        command: &Command,
        key: &CommandKey,
    ) -> Result<Option<Done>, Error<S::Error>> {
        let Some(id) = command.id else {
            return Ok(None);
        };
        let fingerprint = serde_bytes::ByteArray::new(key.fingerprint(&describe(command)));
        if let Some(known) = self.state.command(&id).map_err(Error::Source)? {
            if known.fingerprint != fingerprint {
                return Err(Refusal::CommandReused.into());
            }
            return Ok(Some(Done {
                time: known.time,
                versions: versions_of(&command.action, known.versions),
            }));
        }
        let made = id.made_at().ok_or(Refusal::CommandTime)?;
        let oldest = self.at.time.minus(COMMANDS_KEPT);
        if made < oldest || made > self.at.time.plus(COMMAND_AHEAD) {
            return Err(Refusal::CommandTime.into());
        }
        self.command = Some(CommandRef { id, fingerprint });
        Ok(None)
    }

    fn create_wallet(&mut self, new: &NewWallet, sealer: &mut Sealer<'_>) -> Decided<S::Error> {
        if self.state.wallet().map_err(Error::Source)?.is_some() {
            return Err(Refusal::WalletExists.into());
        }
        let place = payload_place(new.wallet, RecordId::default(), 0);
        let (sealed, bytes) = sealer.payload(self.state, &place, new.root_token_mac.as_bytes())?;
        let event = v1::WalletCreated {
            wallet: new.wallet,
            root: new.root,
            root_token: new.root_token,
            root_token_mac: sealed,
        };
        self.happen(Event::WalletCreated(event), None, Some(bytes))?;
        let event = v1::KekCreated {
            version: new.kek.version,
            generation: new.kek.generation,
            manager: new.kek.manager.clone(),
            fact_key: new.kek.fact_key,
            compromised: false,
        };
        self.happen(Event::KekCreated(event), None, None)?;
        new.mounts
            .iter()
            .try_for_each(|mount| self.enable_mount(mount, sealer))?;
        // The texts are this release's own; from here on they are the wallet's.
        self.write_own_policy(DEFAULT_POLICY, DEFAULT)?;
        self.write_own_policy(WRAPPING, WRAPPING_TEXT)
    }

    fn write_own_policy(&mut self, name: &str, text: &str) -> Decided<S::Error> {
        let policy = Policy::parse(text).map_err(|_| Refusal::DefaultPolicy)?;
        let event = v1::PolicyWritten {
            name: name.to_owned(),
            text: text.to_owned(),
            policy,
            expires: None,
            cas_required: false,
        };
        self.happen(Event::PolicyWritten(event), None, None)
    }

    fn enable_mount(&mut self, new: &NewMount, sealer: &mut Sealer<'_>) -> Decided<S::Error> {
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

    fn rename_mount(
        &mut self,
        id: crate::id::MountId,
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

    fn require_mount(
        &self,
        mount: &crate::id::MountId,
    ) -> Result<crate::state::Mount, Error<S::Error>> {
        let mount = self.state.mount(mount).map_err(Error::Source)?;
        mount.ok_or_else(|| Refusal::NoMount.into())
    }

    fn happen(
        &mut self,
        event: Event,
        names: Option<bytes::Bytes>,
        payload: Option<bytes::Bytes>,
    ) -> Decided<S::Error> {
        let fact = Fact {
            actor: self.actor,
            command: self.command,
            event,
        };
        self.state.apply(self.at, &fact)?;
        self.entries.push(Entry {
            fact,
            names,
            payload,
        });
        Ok(())
    }

    const fn now(&self) -> Millis {
        self.at.time
    }
}

/// The version that each change wrote, given those that the command's writes made: only a write
/// makes one, and each does.
fn versions_of(action: &Action, written: Vec<u32>) -> Vec<u32> {
    let Action::Change(changes) = action else {
        return Vec::new();
    };
    let mut written = written.into_iter();
    let version = |change: &Change| match change.what {
        What::Put { .. } | What::Restore { .. } => written.next().unwrap_or(0),
        _ => 0,
    };
    changes.iter().map(version).collect()
}

/// What a command is and whose, without any secret or name: two commands under one id must agree
/// in it. The token is left out, so that a repetition may come with a newer one.
fn describe(command: &Command) -> Vec<u8> {
    let principal = match command.actor {
        Actor::Principal(principal, _) => Some(principal),
        Actor::System | Actor::Anonymous => None,
    };
    let (code, action): (u8, _) = match &command.action {
        Action::Change(changes) => (1, describe_changes(changes)),
        Action::EnableMount(new) => {
            let path = new.path.last();
            (2, cbor::encode(&(new.mount, new.kind, path, new.settings)))
        }
        Action::TuneMount {
            mount, settings, ..
        } => (3, cbor::encode(&(mount, settings))),
        Action::DisableMount(mount) => (4, cbor::encode(mount)),
        Action::CreateToken(new) => (9, cbor::encode(&new.token)),
        Action::RenewToken(token, increment) => (10, cbor::encode(&(token, increment))),
        Action::UseToken(token) => (11, cbor::encode(token)),
        Action::EndTokens {
            tokens,
            leaves_orphans,
        } => (12, cbor::encode(&(tokens, leaves_orphans))),
        Action::ClearTokens(tokens) => (13, cbor::encode(tokens)),
        Action::WritePolicy { ttl, written, .. } => {
            let ends = (ttl, written.expires, written.cas_required);
            (14, cbor::encode(&(&written.name, &written.text, ends)))
        }
        Action::DeletePolicy(name) => (15, cbor::encode(name)),
        Action::WriteCubbyhole { entry, .. } => (16, cbor::encode(entry)),
        Action::DeleteCubbyhole(entry) => (17, cbor::encode(entry)),
        Action::Wrap(new) => (18, cbor::encode(&(new.token, new.replaces))),
        Action::Unwrap(token, _) => (19, cbor::encode(token)),
        Action::WriteTokenRole { written, .. } => {
            (20, cbor::encode(&(&written.name, &written.role)))
        }
        Action::DeleteTokenRole(name) => (21, cbor::encode(name)),
        Action::RenameMount { mount, path, .. } => (8, cbor::encode(&(mount, path.last()))),
        Action::CreateWallet(new) => (5, cbor::encode(&new.wallet)),
        Action::ClosePages(pages) => (6, cbor::encode(pages)),
        Action::ConfirmDestroyed(keys) => (7, cbor::encode(keys)),
        Action::RotateKek(new) => (22, cbor::encode(&new.version)),
        Action::Reseal(reseals) => {
            let keys: Vec<_> = reseals.iter().map(|reseal| reseal.key).collect();
            (30, cbor::encode(&keys))
        }
        Action::SetRotationPolicy(policy) => (23, cbor::encode(policy)),
        Action::BeginEpoch { fact_key, .. } => (31, cbor::encode(fact_key)),
        Action::ConfirmRewrapped { version, pages } => (24, cbor::encode(&(version, pages))),
        Action::RetireKeks(version) => (25, cbor::encode(version)),
        Action::ConfirmKeksDestroyed(version) => (26, cbor::encode(version)),
        Action::ReplaceGeneration { generation, .. } => (27, cbor::encode(generation)),
        Action::Seal => (28, Vec::new()),
        Action::CreateRootToken(new) => (29, cbor::encode(&new.token)),
        // What is found at a place is not the client's word.
        Action::Erase(new) => (60, cbor::encode(&(new.mount, new.place, &new.versions))),
        Action::PlaceHold(new) => (61, cbor::encode(&(new.mount, new.place, new.is_folder))),
        Action::LiftHold(hold) => (62, cbor::encode(hold)),
        Action::GrantAuditor(new) => (70, cbor::encode(&new.grant)),
        Action::GrantEpochs { grant, part, .. } => (71, cbor::encode(&(grant, part))),
        Action::GrantNames { grant, part, .. } => (72, cbor::encode(&(grant, part))),
        Action::EndGrant(grant) => (73, cbor::encode(grant)),
    };
    cbor::encode(&(principal, code, serde_bytes::ByteBuf::from(action)))
}

fn describe_changes(changes: &[Change]) -> Vec<u8> {
    let described: Vec<_> = changes
        .iter()
        .map(|change| {
            let none = (None, None);
            let (code, (cas, settings), versions): (u8, _, &[u32]) = match &change.what {
                What::Put { cas, .. } => (1, (*cas, None), &[]),
                What::DeleteCurrent => (2, none, &[]),
                What::Delete(versions) => (3, none, versions),
                What::Undelete(versions) => (4, none, versions),
                What::Destroy(versions) => (5, none, versions),
                What::ChangeMetadata {
                    metadata_cas,
                    settings,
                    ..
                } => (6, (*metadata_cas, Some(*settings)), &[]),
                What::DeleteMetadata => (7, none, &[]),
                What::Restore { version, cas, .. } => {
                    (8, (*cas, None), std::slice::from_ref(version))
                }
            };
            (change.mount, change.record, code, cas, settings, versions)
        })
        .collect();
    cbor::encode(&described)
}

#[cfg(test)]
mod tests;
