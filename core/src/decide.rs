//! Deciding: what a command leads to, given the state. Pure: keys and salts are arguments.

mod change;
mod cubbyhole;
mod erasure;
mod grant;
mod keys;
mod mounts;
mod policies;
mod refusal;
mod repeat;
mod roles;
mod sealer;
mod tokens;
mod wallet;

use crate::{
    Millis, access,
    command::{Action, Command, Done},
    commit::Entry,
    event::{Actor, CommandRef, Event, Fact},
    keys::CommandKey,
    policy::{Capabilities, Engine as _},
    state::{At, Source, State},
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
            Action::TuneMount { mount, settings } => self.tune_mount(*mount, *settings)?,
            Action::RenameMount { mount, path, names } => {
                self.rename_mount(*mount, path, names, sealer)?;
            }
            Action::DisableMount(mount) => self.disable_mount(*mount)?,
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
        // Whoever may do everything did not mean what stands there by now either.
        for need in &command.needs {
            if !access::leads_there(self.state, need).map_err(Error::Source)? {
                return Err(Refusal::Moved.into());
            }
        }
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
            let permission = access::permitted_by(&acl, self.state, need).map_err(Error::Source)?;
            if !permission.permitted {
                return Err(Refusal::Denied.into());
            }
            self.sudo &= acl.capabilities(&need.path).holds(Capabilities::SUDO)
                || acl.capabilities(&need.path).holds(Capabilities::ROOT);
        }
        Ok(())
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

#[cfg(test)]
mod tests;
