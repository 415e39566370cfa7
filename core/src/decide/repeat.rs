//! Whether a command was done before, under the same id.

use crate::{
    cbor,
    command::{Action, Change, Command, Done, What},
    decide::{Deciding, Error, Refusal},
    event::{Actor, CommandRef},
    keys::CommandKey,
    state::{COMMAND_AHEAD, COMMANDS_KEPT, Source},
};

impl<S: Source> Deciding<'_, S> {
    /// Finds out whether the command was done before.
    pub(super) fn identify(
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
        Action::TuneMount { mount, settings } => (3, cbor::encode(&(mount, settings))),
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
