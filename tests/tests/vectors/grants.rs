//! The vectors of auditor grants: facts about them, parts as they are sealed, and an auditor's key.

use billfold_core::{
    Millis,
    event::{
        Actor, Event, Fact,
        v1::{AuditorGranted, EpochsGranted, GrantEnded, NamesGranted},
    },
    grant::{Address, AuditorKey, AuditorSecret, NameTable, epochs_of, seal_part},
    id::{FactKeyId, GrantId, MountId, RecordId, TokenId, WalletId},
    test_entropy::Counter,
};

use crate::{
    facts::{fact, root},
    file::Vector,
    made::{Made, NO_OPEN, NO_PARSE, OPENS, WALLET},
    read::{Outcome, Read},
};

const GRANT: GrantId = GrantId::from_bytes([0x7e; 16]);

fn pair() -> (AuditorSecret, AuditorKey) {
    let secret = AuditorSecret::generate(&mut Counter::new(70));
    let public = secret.public().unwrap();
    (secret, public)
}

pub(crate) fn facts() -> Vec<(&'static str, Fact)> {
    let granted = AuditorGranted {
        grant: GRANT,
        recipient: (*pair().1.as_bytes()).into(),
        from: Millis(1_800_000_000_000),
        to: Some(Millis(1_800_000_900_000)),
        live: false,
        names: true,
    };
    let standing = AuditorGranted {
        to: None,
        live: true,
        names: false,
        ..granted.clone()
    };
    let epochs = EpochsGranted {
        grant: GRANT,
        part: 1,
        epochs: vec![FactKeyId::from_bytes([0x77; 16])],
        sealed: [0xd0; 32].into(),
    };
    let names = NamesGranted {
        grant: GRANT,
        part: 1,
        up_to: Some(Millis(1_800_000_900_000)),
        sealed: [0xd1; 32].into(),
    };
    let ended = GrantEnded { grant: GRANT };
    vec![
        (
            "auditor-granted",
            fact(root(), Event::AuditorGranted(granted)),
        ),
        (
            "auditor-granted-live",
            fact(root(), Event::AuditorGranted(standing)),
        ),
        (
            "epochs-granted",
            fact(Actor::System, Event::EpochsGranted(epochs)),
        ),
        (
            "names-granted",
            fact(Actor::System, Event::NamesGranted(names)),
        ),
        ("grant-ended", fact(root(), Event::GrantEnded(ended))),
    ]
}

pub(crate) fn grants() -> Made {
    let (secret, public) = pair();
    let row = |number: u8| {
        let keys = [[number + 0x10; 32], [number + 0x20; 32]].concat();
        [&[number; 16][..], &u32::from(number).to_be_bytes(), &keys].concat()
    };
    let table = NameTable {
        mounts: vec![(
            MountId::from_bytes([0x22; 16]),
            RecordId::from_bytes([0x33; 16]),
            "secret/".to_owned(),
        )],
        records: vec![(
            RecordId::from_bytes([0x11; 16]),
            MountId::from_bytes([0x22; 16]),
            "team/app".to_owned(),
        )],
        tokens: vec![(TokenId::from_bytes([0x44; 16]), "token-ci".to_owned())],
    };
    let part = |kind: u16, part: u32, plain: &[u8]| {
        let place = (GRANT, kind, part);
        let entropy = &mut Counter::new(u64::from(kind));
        let body = seal_part(WALLET, &public, place, plain, entropy).unwrap();
        Vector::new("a part of a grant", OPENS, body)
            .with("secret", &*secret.danger_text())
            .with("recipient", public)
            .with("recipient-id", hex::encode(public.id().as_bytes()))
            .with("wallet", WALLET)
            .with("grant", GRANT)
            .with("kind", kind)
            .with("part", part)
            .with("plaintext", hex::encode(plain))
    };
    let epochs = part(Event::EPOCHS_GRANTED, 1, &[row(1), row(2)].concat());
    let names = part(Event::NAMES_GRANTED, 2, &table.encode());
    let corrupt = vec![
        (
            "other-recipient",
            epochs.but("it is for somebody else", NO_PARSE, |b| b[1] ^= 1),
        ),
        (
            "unknown-algorithm",
            epochs.but("the algorithm is 3", NO_PARSE, |b| b[0] = 3),
        ),
        ("empty", epochs.but("nothing", NO_PARSE, Vec::clear)),
        (
            "other-grant",
            epochs.but("the grant is another", NO_OPEN, |b| b[17] ^= 1),
        ),
        (
            "other-kind",
            epochs.but("the kind is another", NO_OPEN, |b| b[34] ^= 1),
        ),
        (
            "other-part",
            epochs.but("the part is another", NO_OPEN, |b| b[38] ^= 1),
        ),
        (
            "low-order",
            epochs.but("the encapsulated key is of low order", NO_OPEN, |b| {
                b[39..71].fill(0);
            }),
        ),
        (
            "changed",
            epochs.but("one bit is changed", NO_OPEN, |b| b[80] ^= 1),
        ),
        (
            "cut",
            epochs.but("the last byte is missing", NO_OPEN, |b| {
                b.pop();
            }),
        ),
        (
            "other-wallet",
            epochs
                .but("a grant of another wallet", NO_OPEN, |_| ())
                .replacing("wallet", WalletId::from_bytes([0x56; 16])),
        ),
    ];
    let mut made = vec![("epochs", epochs), ("names", names)];
    made.extend(corrupt);
    made
}

pub(crate) fn read(vector: &Vector) -> Read {
    let secret = AuditorSecret::parse(vector.one("secret")).unwrap();
    let public = secret.public().unwrap();
    assert_eq!(public.to_string(), vector.one("recipient"));
    assert_eq!(
        hex::encode(public.id().as_bytes()),
        vector.one("recipient-id")
    );
    let wallet = WalletId::from_bytes(vector.fixed("wallet"));
    let opened = Address::open(&secret, &public, wallet, &vector.body);
    let (address, plain) = opened
        .ok_or(Outcome::ParseFailure)?
        .map_err(|_| Outcome::OpenFailure)?;
    assert_eq!(address.grant.to_string(), vector.one("grant"));
    assert_eq!(address.kind.to_string(), vector.one("kind"));
    assert_eq!(address.part.to_string(), vector.one("part"));
    assert_eq!(plain.expose(), vector.hex("plaintext"));
    match address.kind {
        Event::EPOCHS_GRANTED => assert_eq!(epochs_of(plain.expose()).unwrap().len(), 2),
        _ => assert_eq!(NameTable::decode(plain.expose()).unwrap().records.len(), 1),
    }
    Ok(())
}
