//! Commands and answers that are sent and received.

use super::*;
use crate::{
    SecretBytes,
    access::{Need, Wanted},
    command::{Basis, Change, NewNames, NewSettings, NewToken, TokenWish, What},
    event::{CiphertextHash, v1::PolicyWritten},
    id::{MountId, RecordId, TokenId},
    keys::TokenMac,
    names::{CredentialNames, Names, TokenNames},
    policy::{Operation, Policy},
};

#[test]
fn commands_arrive_as_they_left() {
    let names = NewNames::IfNew(Names {
        path: "a/b".to_owned(),
        custom: [("owner".to_owned(), "x".to_owned())].into(),
        credential: Some(CredentialNames {
            tags: vec!["t".to_owned()],
            ..CredentialNames::default()
        }),
    });
    let put = What::Put {
        cas: Some(3),
        basis: None,
        payload: SecretBytes::copied_from(b"s"),
        names,
    };
    let describe = What::ChangeMetadata {
        basis: Some(Basis::Absent),
        metadata_cas: Some(5),
        settings: NewSettings {
            metadata_cas_required: Some(true),
            ..NewSettings::default()
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
            settings: NewSettings {
                metadata_cas_required: Some(true),
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

#[test]
fn needs_arrive_as_they_left() {
    let record = RecordId::from_bytes([1; 16]);
    let token = TokenId::from_bytes([2; 16]);
    let operations = [
        Operation::Create,
        Operation::Read,
        Operation::Update,
        Operation::Patch,
        Operation::Delete,
        Operation::List,
        Operation::Scan,
    ];
    let needs = operations.map(Wanted::Is).into_iter().chain([
        Wanted::Anything,
        Wanted::Write(record),
        Wanted::Describe(record),
        Wanted::Keep(token, record),
    ]);
    let needs = needs.map(|action| Need {
        action,
        sudo: true,
        wrap_ttl: Some(60_000),
        mount: Some((MountId::from_bytes([3; 16]), CiphertextHash::new([4; 32]))),
        ..Need::to(Operation::Read, "secret/data/a")
    });
    let command = Command {
        id: None,
        actor: Actor::System,
        needs: needs.collect(),
        action: Action::Seal,
    };
    let bytes = encode([&command].into_iter()).unwrap();
    assert!(decode(&bytes).unwrap()[0].needs == command.needs);
}
