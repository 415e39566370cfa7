//! Commands on their way to another node of the wallet, and what came of them.
//!
//! What is encoded here holds secrets: it leaves the process only under the wallet's command key
//! ([`crate::keys::CommandKey`]).

mod access;
mod change;
mod erasure;
mod need;
mod weight;

use zeroize::Zeroizing;

pub use weight::weight;

use crate::{
    Millis, cbor,
    command::{Action, Command, Done},
    decide::Refusal,
    event::Actor,
    id::{CommandId, ProcessId, Seq, WalletId},
    seal::Place,
};

const FORMAT: u16 = 8;

/// How many bytes stand before the commands at most.
const HEAD: usize = 16;

/// Where a hand-over is sealed.
#[must_use]
pub fn place(wallet: WalletId, from: ProcessId, to: ProcessId) -> Place {
    Place::new()
        .and(wallet.as_bytes())
        .and(from.as_bytes())
        .and(to.as_bytes())
}

/// What came of a command that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Answer {
    /// It is committed, at this `decided` sequence or before.
    Done {
        /// Its time.
        time: Millis,
        /// The versions that it wrote.
        versions: Vec<u32>,
        /// The sequence.
        seq: Seq,
    },
    /// It truly fails.
    Refused(Refusal),
    /// The other node could not say: ask again, under the same id.
    Open,
}

impl Answer {
    /// The answer to a command that is done.
    #[must_use]
    pub fn done(done: Done, seq: Seq) -> Self {
        Self::Done {
            time: done.time,
            versions: done.versions,
            seq,
        }
    }
}

/// A command as it is sent; without its action if no other node can do that.
type WireCommand<'a> = (
    Option<CommandId>,
    Actor,
    Vec<need::Form>,
    Option<WireAction<'a>>,
);

type OwnedCommand = (Option<CommandId>, Actor, Vec<need::Form>, OwnedAction);

/// Changes of secrets, or something else.
#[derive(serde::Serialize)]
enum WireAction<'a> {
    Change(Vec<change::Sent<'a>>),
    Access(access::Sent<'a>),
    Erasure(erasure::Sent<'a>),
}

#[derive(serde::Deserialize)]
enum OwnedAction {
    Change(Vec<change::Received>),
    Access(Box<access::Received>),
    Erasure(erasure::Received),
}

impl OwnedAction {
    fn into_action(self) -> Result<Action, cbor::Malformed> {
        match self {
            Self::Change(changes) => {
                let changes = changes.into_iter().map(change::received);
                Ok(Action::Change(changes.collect()))
            }
            Self::Access(action) => access::received(*action),
            Self::Erasure(action) => Ok(erasure::received(action)),
        }
    }
}

/// Whether another node can do a command.
#[must_use]
pub fn can_go(command: &Command) -> bool {
    let has_form = matches!(command.action, Action::Change(_))
        || access::sent(&command.action).is_some()
        || erasure::sent(&command.action).is_some();
    // Parameters may be secrets that were not wiped: they stay where they are.
    has_form && command.needs.iter().all(|need| need.parameters.is_none())
}

/// The plaintext of a hand-over. `None` when a command is of a kind that no other node can do.
#[must_use]
pub fn encode<'a>(
    commands: impl Iterator<Item = &'a Command> + Clone,
) -> Option<Zeroizing<Vec<u8>>> {
    if !commands.clone().all(can_go) {
        return None;
    }
    let room = HEAD + commands.clone().map(weight).sum::<usize>();
    let wire: Vec<_> = commands.map(|command| sent(command, command.id)).collect();
    // Grown in place it would leave pieces of secrets behind: take room for all of it at once.
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    ciborium::into_writer(&(FORMAT, wire), &mut *bytes).ok()?;
    Some(bytes)
}

/// The commands of a hand-over.
///
/// # Errors
/// When the bytes are no hand-over of a known format.
pub fn decode(bytes: &[u8]) -> Result<Vec<Command>, cbor::Malformed> {
    let (format, commands): (u16, Vec<OwnedCommand>) = cbor::decode(bytes)?;
    if format != FORMAT {
        return Err(cbor::Malformed);
    }
    commands
        .into_iter()
        .map(|(id, actor, needs, action)| {
            Ok(Command {
                id,
                actor,
                needs: needs.into_iter().map(need::received).collect(),
                action: action.into_action()?,
            })
        })
        .collect()
}

/// The plaintext of the answers to a hand-over.
#[must_use]
pub fn encode_answers(answers: &[Answer]) -> Vec<u8> {
    cbor::encode(&(FORMAT, answers))
}

/// The answers to a hand-over.
///
/// # Errors
/// When the bytes are no answers of a known format.
pub fn decode_answers(bytes: &[u8]) -> Result<Vec<Answer>, cbor::Malformed> {
    match cbor::decode(bytes)? {
        (FORMAT, answers) => Ok(answers),
        _ => Err(cbor::Malformed),
    }
}

fn sent(command: &Command, id: Option<CommandId>) -> WireCommand<'_> {
    let action = match &command.action {
        Action::Change(changes) => Some(WireAction::Change(
            changes.iter().map(change::sent).collect(),
        )),
        other => access::sent(other)
            .map(WireAction::Access)
            .or_else(|| erasure::sent(other).map(WireAction::Erasure)),
    };
    let needs = command.needs.iter().map(need::sent).collect();
    (id, command.actor, needs, action)
}

#[cfg(test)]
mod tests;
