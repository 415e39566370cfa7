//! What a command weighs: the bytes that it takes in a hand-over, and while it waits.

use crate::{
    cbor,
    command::{Action, Command, NewMount, Reseal, ResealContent},
    handover::sent,
};

/// How many bytes a command takes on its way to another node, with the id that it gets for it. What
/// has to stay on this node weighs about what it takes here.
#[must_use]
pub fn weight(command: &Command) -> usize {
    let id = command.id.unwrap_or_default();
    let parameters = command.needs.iter().map(|need| &need.parameters);
    let parameters = parameters.flatten().map(cbor::size).sum::<usize>();
    cbor::size(&sent(command, Some(id))) + parameters + kept(&command.action)
}

/// What an action takes that has no form for other nodes.
fn kept(action: &Action) -> usize {
    match action {
        Action::CreateWallet(new) => new.mounts.iter().map(mount).sum(),
        Action::EnableMount(new) => mount(new),
        Action::RenameMount { path, names, .. } => cbor::size(&(path, names)),
        Action::GrantEpochs { epochs, sealed, .. } => cbor::size(epochs) + sealed.len(),
        Action::GrantNames { sealed, .. } => sealed.len(),
        Action::ClearTokens(tokens) => cbor::size(tokens),
        Action::ClosePages(pages) | Action::ConfirmRewrapped { pages, .. } => cbor::size(pages),
        Action::ConfirmDestroyed(keys) => cbor::size(keys),
        Action::Reseal(reseals) => reseals.iter().map(reseal).sum(),
        Action::TuneMount { .. }
        | Action::DisableMount(_)
        | Action::GrantAuditor(_)
        | Action::EndGrant(_)
        | Action::BeginEpoch { .. }
        | Action::ConfirmKeksDestroyed(_) => FIXED,
        Action::Change(_)
        | Action::Erase(_)
        | Action::PlaceHold(_)
        | Action::LiftHold(_)
        | Action::CreateToken(_)
        | Action::CreateRootToken(_)
        | Action::RenewToken(..)
        | Action::UseToken(_)
        | Action::EndTokens { .. }
        | Action::WritePolicy { .. }
        | Action::DeletePolicy(_)
        | Action::WriteCubbyhole { .. }
        | Action::DeleteCubbyhole(_)
        | Action::Wrap(_)
        | Action::Unwrap(..)
        | Action::WriteTokenRole { .. }
        | Action::DeleteTokenRole(_)
        | Action::Seal
        | Action::RotateKek(_)
        | Action::SetRotationPolicy(_)
        | Action::RetireKeks(_)
        | Action::ReplaceGeneration { .. } => 0,
    }
}

/// More than an action takes that is made of a few ids and numbers.
const FIXED: usize = 256;

fn mount(new: &NewMount) -> usize {
    FIXED + cbor::size(&(&new.path, &new.names))
}

fn reseal(reseal: &Reseal) -> usize {
    FIXED
        + match &reseal.content {
            ResealContent::Payload(_, payload) => payload.len(),
            ResealContent::Names(names) => cbor::size(names),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        SecretBytes,
        access::{Need, Wanted},
        command::{Basis, Change, NewErasure, NewNames, NewToken, Target, TokenWish, What},
        event::{
            Actor, CiphertextHash,
            v1::{PolicyWritten, Settings},
        },
        handover::{HEAD, can_go, encode},
        id::{CommandId, ErasureId, MountId, PageId, PrincipalId, RecordId, TokenId},
        keys::{TokenMac, page::KeyRef},
        names::{ErasureNames, Names, TokenNames},
        policy::{Operation, Policy},
    };

    const RECORD: RecordId = RecordId::from_bytes([1; 16]);
    const MOUNT: MountId = MountId::from_bytes([2; 16]);
    const TOKEN: TokenId = TokenId::from_bytes([3; 16]);

    fn command(action: Action) -> Command {
        let need = Need {
            action: Wanted::Keep(TOKEN, RECORD),
            sudo: true,
            wrap_ttl: Some(u64::MAX),
            mount: Some((MOUNT, CiphertextHash::new([7; 32]))),
            ..Need::to(Operation::Scan, "p".repeat(70_000))
        };
        Command {
            id: Some(CommandId::from_bytes([4; 16])),
            actor: Actor::Principal(PrincipalId::from_bytes([5; 16]), TOKEN),
            needs: vec![need, Need::to(Operation::Read, "secret/data/a")],
            action,
        }
    }

    fn long(byte: u8) -> SecretBytes {
        SecretBytes::copied_from(&[byte; 70_000])
    }

    fn names() -> Names {
        Names {
            path: "n".repeat(300),
            ..Names::default()
        }
    }

    fn changes() -> Action {
        let basis = Basis::Present {
            settings: Settings::default(),
            names: CiphertextHash::new([7; 32]),
        };
        let whats = [
            What::Put {
                cas: Some(u32::MAX),
                basis: None,
                payload: long(6),
                names: NewNames::IfNew(names()),
            },
            What::Restore {
                version: u32::MAX,
                basis,
                cas: Some(u32::MAX),
                payload: long(7),
            },
            What::Destroy((u32::MAX - 5_000..u32::MAX).collect()),
            What::ChangeMetadata {
                basis: Some(basis),
                metadata_cas: Some(u32::MAX),
                settings: Settings::default().into(),
                names: NewNames::Replace(names()),
            },
            What::DeleteCurrent,
        ];
        let change = |what| Change {
            mount: MOUNT,
            record: RECORD,
            folders: vec![RECORD; 500],
            what,
        };
        Action::Change(whats.into_iter().map(change).collect())
    }

    fn erasure() -> Action {
        let targets = (0..10_000).map(|_| Target {
            record: RECORD,
            folders: vec![RECORD; 3],
        });
        Action::Erase(Box::new(NewErasure {
            erasure: ErasureId::from_bytes([8; 16]),
            mount: MOUNT,
            place: RECORD,
            versions: None,
            records: targets.collect(),
            names: ErasureNames {
                reason: "r".repeat(300),
            },
        }))
    }

    fn others() -> [Action; 5] {
        let token = NewToken {
            token: TOKEN,
            mac: TokenMac::from_slice(&[9; 32]).unwrap(),
            names: TokenNames::default(),
            wish: TokenWish {
                policies: Some(vec!["a-policy".to_owned(); 500]),
                ..TokenWish::default()
            },
        };
        let written = PolicyWritten {
            name: "p".to_owned(),
            text: "t".repeat(100_000),
            policy: Policy::default(),
            expires: None,
            cas_required: true,
        };
        [
            Action::CreateToken(Box::new(token)),
            Action::EndTokens {
                tokens: vec![TOKEN; 500],
                leaves_orphans: true,
            },
            Action::WritePolicy {
                cas: Some(i64::MAX),
                ttl: Some(u64::MAX),
                written: Box::new(written),
            },
            Action::WriteCubbyhole {
                entry: RECORD,
                path: "c".repeat(300),
                payload: long(10),
            },
            Action::ReplaceGeneration {
                generation: 2,
                manager: "m".repeat(300),
                back_to: 1,
            },
        ]
    }

    #[test]
    fn a_command_weighs_what_it_takes_in_a_hand_over() {
        for action in [changes(), erasure()].into_iter().chain(others()) {
            let mut command = command(action);
            let bytes = encode([&command].into_iter()).unwrap();
            let weight = weight(&command);
            assert!(weight <= bytes.len(), "{:?}", command.action);
            assert!(bytes.len() <= weight + HEAD, "{:?}", command.action);
            assert!(bytes.len() <= bytes.capacity());
            command.id = None;
            assert_eq!(super::weight(&command), weight, "with the id to come");
        }
    }

    #[test]
    fn what_stays_weighs_what_it_holds() {
        let heavy = [
            Action::ClosePages(vec![PageId::from_bytes([1; 16]); 10_000]),
            Action::ConfirmDestroyed(vec![
                KeyRef {
                    page: PageId::from_bytes([1; 16]),
                    slot: 1
                };
                10_000
            ]),
            Action::Reseal(vec![Reseal {
                record: RECORD,
                key: KeyRef {
                    page: PageId::from_bytes([1; 16]),
                    slot: 1,
                },
                content: ResealContent::Payload(1, SecretBytes::copied_from(&[1; 150_000])),
            }]),
        ];
        for action in heavy {
            let command = command(action);
            assert!(!can_go(&command));
            assert!(weight(&command) > 200_000, "{:?}", command.action);
        }
        let mut asking = command(Action::Seal);
        let before = weight(&asking);
        let value = serde_json::Value::from("v".repeat(1_000));
        asking.needs[0].parameters = Some([("key".to_owned(), value)].into_iter().collect());
        assert!(!can_go(&asking));
        assert!(weight(&asking) > before + 1_000);
    }
}
