//! Commands on their way to another node of the wallet, and what came of them.
//!
//! What is encoded here holds secrets: it leaves the process only under the wallet's command key
//! ([`crate::keys::CommandKey`]).

mod access;
mod erasure;
mod weight;

use serde_bytes::{ByteBuf, Bytes};
use zeroize::{Zeroize, Zeroizing};

pub use weight::weight;

use crate::{
    Millis, SecretBytes,
    access::{Need, Wanted},
    cbor::{self, as_array},
    command::{Action, Basis, Change, Command, Done, NewNames, What},
    decide::Refusal,
    event::{Actor, CiphertextHash, v1::Settings},
    id::{CommandId, MountId, ProcessId, RecordId, Seq, TokenId, WalletId},
    names::Names,
    policy::Operation,
    seal::Place,
};

const FORMAT: u16 = 7;

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

type WireChange<'a> = (
    MountId,
    (RecordId, &'a [RecordId]),
    u8,
    Option<u32>,
    Vec<u32>,
    Settings,
    Option<WireNames>,
    Option<WireBasis>,
    &'a Bytes,
);
type OwnedChange = (
    MountId,
    (RecordId, Vec<RecordId>),
    u8,
    Option<u32>,
    Vec<u32>,
    Settings,
    Option<WireNames>,
    Option<WireBasis>,
    ByteBuf,
);

/// A command as it is sent; without its action if no other node can do that.
type WireCommand<'a> = (
    Option<CommandId>,
    Actor,
    Vec<WireNeed>,
    Option<WireAction<'a>>,
);

type OwnedCommand = (Option<CommandId>, Actor, Vec<WireNeed>, OwnedAction);

/// Changes of secrets, or something else.
#[derive(serde::Serialize)]
enum WireAction<'a> {
    Change(Vec<WireChange<'a>>),
    Access(access::Sent<'a>),
    Erasure(erasure::Sent<'a>),
}

#[derive(serde::Deserialize)]
enum OwnedAction {
    Change(Vec<OwnedChange>),
    Access(Box<access::Received>),
    Erasure(erasure::Received),
}

impl OwnedAction {
    fn into_action(self) -> Result<Action, cbor::Malformed> {
        match self {
            Self::Change(changes) => {
                let changes = changes.into_iter().map(unwire);
                Ok(Action::Change(changes.collect::<Result<_, _>>()?))
            }
            Self::Access(action) => access::received(*action),
            Self::Erasure(action) => Ok(erasure::received(action)),
        }
    }
}

/// Operation 0 is to write the record.
struct WireNeed {
    path: String,
    operation: u8,
    record: RecordId,
    token: Option<TokenId>,
    sudo: bool,
    wrap_ttl: Option<u64>,
    mount: Option<(MountId, CiphertextHash)>,
}

as_array!(WireNeed {
    path,
    operation,
    record,
    token,
    sudo,
    wrap_ttl,
    mount
});

/// The number of what any token may.
const ANYTHING: u8 = 255;
/// The number of writing metadata.
const DESCRIBE: u8 = 254;
/// The number of writing into a token's cubbyhole.
const KEEP: u8 = 253;

/// The operations, in the order of their numbers from 1 on.
const OPERATIONS: [Operation; 7] = [
    Operation::Create,
    Operation::Read,
    Operation::Update,
    Operation::Patch,
    Operation::Delete,
    Operation::List,
    Operation::Scan,
];

impl WireNeed {
    fn of(need: &Need) -> Self {
        let mut token = None;
        let (operation, record) = match need.action {
            Wanted::Write(record) => (0, record),
            Wanted::Describe(record) => (DESCRIBE, record),
            Wanted::Anything => (ANYTHING, RecordId::default()),
            Wanted::Keep(keeper, entry) => {
                token = Some(keeper);
                (KEEP, entry)
            }
            Wanted::Is(operation) => {
                let number = (1..).zip(OPERATIONS).find(|(_, known)| *known == operation);
                (number.map_or(0, |(number, _)| number), RecordId::default())
            }
        };
        Self {
            path: need.path.clone(),
            operation,
            record,
            token,
            sudo: need.sudo,
            wrap_ttl: need.wrap_ttl,
            mount: need.mount,
        }
    }

    fn into_need(self) -> Result<Need, cbor::Malformed> {
        let action = match self.operation {
            0 => Wanted::Write(self.record),
            DESCRIBE => Wanted::Describe(self.record),
            ANYTHING => Wanted::Anything,
            KEEP => Wanted::Keep(self.token.ok_or(cbor::Malformed)?, self.record),
            number => {
                let operation = OPERATIONS.get(usize::from(number) - 1);
                Wanted::Is(*operation.ok_or(cbor::Malformed)?)
            }
        };
        Ok(Need {
            path: self.path,
            action,
            parameters: None,
            sudo: self.sudo,
            wrap_ttl: self.wrap_ttl,
            mount: self.mount,
        })
    }
}

/// Settings and names' hash of the record that a change was worked out from; none when there was no
/// record.
struct WireBasis {
    present: Option<(Settings, CiphertextHash)>,
}

as_array!(WireBasis { present });

impl From<Basis> for WireBasis {
    fn from(basis: Basis) -> Self {
        Self {
            present: match basis {
                Basis::Absent => None,
                Basis::Present { settings, names } => Some((settings, names)),
            },
        }
    }
}

impl From<WireBasis> for Basis {
    fn from(wire: WireBasis) -> Self {
        match wire.present {
            None => Self::Absent,
            Some((settings, names)) => Self::Present { settings, names },
        }
    }
}

#[derive(Clone)]
struct WireNames {
    replace: bool,
    names: Names,
}

as_array!(WireNames { replace, names });

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
            let needs = needs.into_iter().map(WireNeed::into_need);
            let needs = needs.collect::<Result<_, _>>()?;
            let action = action.into_action()?;
            Ok(Command {
                id,
                actor,
                needs,
                action,
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
        Action::Change(changes) => Some(WireAction::Change(changes.iter().map(wire).collect())),
        other => access::sent(other)
            .map(WireAction::Access)
            .or_else(|| erasure::sent(other).map(WireAction::Erasure)),
    };
    let needs = command.needs.iter().map(WireNeed::of).collect();
    (id, command.actor, needs, action)
}

fn wire(change: &Change) -> WireChange<'_> {
    let none = Settings::default();
    let mut basis = None;
    let (code, cas, versions, settings, names, payload): (_, _, &[u32], _, _, &[u8]) =
        match &change.what {
            What::Put {
                cas,
                payload,
                names,
            } => (1, *cas, &[], none, Some(names), payload.expose()),
            What::DeleteCurrent => (2, None, &[], none, None, &[]),
            What::Delete(versions) => (3, None, versions, none, None, &[]),
            What::Undelete(versions) => (4, None, versions, none, None, &[]),
            What::Destroy(versions) => (5, None, versions, none, None, &[]),
            What::ChangeMetadata {
                basis: from,
                metadata_cas,
                settings,
                names,
            } => {
                basis = from.map(WireBasis::from);
                (6, *metadata_cas, &[], *settings, Some(names), &[])
            }
            What::DeleteMetadata => (7, None, &[], none, None, &[]),
            What::Restore {
                version,
                basis: from,
                cas,
                payload,
            } => {
                basis = Some(WireBasis::from(*from));
                let versions = std::slice::from_ref(version);
                (8, *cas, versions, none, None, payload.expose())
            }
        };
    let names = names.map(|names| match names {
        NewNames::IfNew(names) => WireNames {
            replace: false,
            names: names.clone(),
        },
        NewNames::Replace(names) => WireNames {
            replace: true,
            names: names.clone(),
        },
    });
    (
        change.mount,
        (change.record, change.folders.as_slice()),
        code,
        cas,
        versions.to_vec(),
        settings,
        names,
        basis,
        Bytes::new(payload),
    )
}

fn unwire(change: OwnedChange) -> Result<Change, cbor::Malformed> {
    let (mount, place, code, cas, versions, settings, names, basis, payload) = change;
    let (record, folders) = place;
    let mut payload = payload.into_vec();
    let names = names.map(|wire| match wire.replace {
        true => NewNames::Replace(wire.names),
        false => NewNames::IfNew(wire.names),
    });
    let what = match code {
        1 => What::Put {
            cas,
            payload: SecretBytes::new(Zeroizing::new(std::mem::take(&mut payload))),
            names: names.ok_or(cbor::Malformed)?,
        },
        2 => What::DeleteCurrent,
        3 => What::Delete(versions),
        4 => What::Undelete(versions),
        5 => What::Destroy(versions),
        6 => What::ChangeMetadata {
            basis: basis.map(Basis::from),
            metadata_cas: cas,
            settings,
            names: names.ok_or(cbor::Malformed)?,
        },
        7 => What::DeleteMetadata,
        8 => What::Restore {
            version: versions.first().copied().ok_or(cbor::Malformed)?,
            basis: basis.map(Basis::from).ok_or(cbor::Malformed)?,
            cas,
            payload: SecretBytes::new(Zeroizing::new(std::mem::take(&mut payload))),
        },
        _ => return Err(cbor::Malformed),
    };
    payload.zeroize();
    Ok(Change {
        mount,
        record,
        folders,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{NewToken, TokenWish},
        event::v1::PolicyWritten,
        keys::TokenMac,
        names::TokenNames,
        policy::Policy,
    };

    #[test]
    fn commands_arrive_as_they_left() {
        let names = NewNames::IfNew(Names {
            path: "a/b".to_owned(),
            ..Names::default()
        });
        let put = What::Put {
            cas: Some(3),
            payload: SecretBytes::copied_from(b"s"),
            names,
        };
        let describe = What::ChangeMetadata {
            basis: Some(Basis::Absent),
            metadata_cas: Some(5),
            settings: Settings {
                metadata_cas_required: true,
                ..Settings::default()
            },
            names: NewNames::Replace(Names::default()),
        };
        let restore = What::Restore {
            version: 2,
            basis: Basis::Absent,
            cas: Some(7),
            payload: SecretBytes::copied_from(b"old"),
        };
        let change = |what| Change {
            mount: MountId::default(),
            record: RecordId::default(),
            folders: vec![RecordId::from_bytes([9; 16])],
            what,
        };
        let command = Command {
            id: None,
            actor: Actor::System,
            needs: vec![Need::to(Operation::Update, "secret/data/a")],
            action: Action::Change(vec![
                change(put),
                change(What::Destroy(vec![1, 2])),
                change(describe),
                change(restore),
            ]),
        };
        let bytes = encode([&command].into_iter()).unwrap();
        let again = decode(&bytes).unwrap();
        assert_eq!(encode(again.iter()).unwrap(), bytes);
        let Action::Change(changes) = &again[0].action else {
            panic!("{:?}", again[0])
        };
        assert!(matches!(
            &changes[2].what,
            What::ChangeMetadata {
                metadata_cas: Some(5),
                settings: Settings {
                    metadata_cas_required: true,
                    ..
                },
                ..
            }
        ));
        let What::Restore {
            version: 2,
            basis: Basis::Absent,
            cas: Some(7),
            payload,
        } = &changes[3].what
        else {
            panic!("{:?}", changes[3])
        };
        assert_eq!(payload.expose(), b"old");
        assert!(decode(&bytes[1..]).is_err());
        let kept = Command {
            needs: vec![Need {
                action: Wanted::Keep(TokenId::from_bytes([1; 16]), RecordId::default()),
                ..Need::to(Operation::Update, "cubbyhole/x")
            }],
            action: Action::WriteCubbyhole {
                entry: RecordId::default(),
                path: "x".to_owned(),
                payload: SecretBytes::copied_from(b"s"),
            },
            id: None,
            actor: Actor::System,
        };
        let token = Command {
            needs: Vec::new(),
            action: Action::CreateToken(Box::new(NewToken {
                token: TokenId::from_bytes([1; 16]),
                mac: TokenMac::from_slice(&[2; 32]).unwrap(),
                names: TokenNames::default(),
                wish: TokenWish {
                    role: Some("r".to_owned()),
                    ..TokenWish::default()
                },
            })),
            id: None,
            actor: Actor::System,
        };
        let policy = Command {
            needs: Vec::new(),
            action: Action::WritePolicy {
                cas: Some(3),
                ttl: Some(7),
                written: Box::new(PolicyWritten {
                    name: "p".to_owned(),
                    text: String::new(),
                    policy: Policy::default(),
                    expires: None,
                    cas_required: true,
                }),
            },
            id: None,
            actor: Actor::System,
        };
        let bytes = encode([&kept, &token, &policy].into_iter()).unwrap();
        let again = decode(&bytes).unwrap();
        assert_eq!(again[0].needs, kept.needs);
        assert!(matches!(
            &again[2].action,
            Action::WritePolicy {
                cas: Some(3),
                ttl: Some(7),
                written,
            } if written.cas_required
        ));
        assert_eq!(encode(again.iter()).unwrap(), bytes);
        let close = Command {
            id: None,
            actor: Actor::System,
            needs: Vec::new(),
            action: Action::ClosePages(vec![]),
        };
        assert!(encode([&close].into_iter()).is_none());
    }

    #[test]
    fn answers_arrive_as_they_left() {
        let answers = [
            Answer::Done {
                time: Millis(4),
                versions: vec![7],
                seq: Seq(9),
            },
            Answer::Refused(Refusal::CasMismatch),
            Answer::Refused(Refusal::TooLarge { size: 2, limit: 1 }),
            Answer::Open,
        ];
        assert_eq!(decode_answers(&encode_answers(&answers)).unwrap(), answers);
    }
}
