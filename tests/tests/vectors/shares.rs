//! The vectors of shares: the shares themselves, what they open, and what is kept of a recovery key.

use std::num::NonZeroU8;

use billfold_core::{
    id::WalletId,
    keys::{
        GenerationKey, RecoveryKey, ShareKey, TokenMacKey, keyring,
        manager::{GenerationId, Shared},
        recovery::Recovery,
        share::{Counts, Error, Purpose, Set, Share},
    },
    seal::Place,
    test_entropy::Counter,
};

use crate::{
    file::Vector,
    made::{Made, NO_OPEN, NO_PARSE, OPENS, WALLET},
    read::{Outcome, Read, same},
};

const ID: GenerationId = GenerationId {
    wallet: WALLET,
    number: 3,
};

pub(crate) fn shares() -> Made {
    let share = |purpose, at: u8, value: [u8; 32]| {
        let set = Set::of(purpose, WALLET, ID.number);
        let share = Share::new(set, NonZeroU8::new(at).unwrap(), &value);
        let name = match purpose {
            Purpose::Unseal => "unseal",
            Purpose::Recovery => "recovery",
        };
        let body = share.encode().to_vec();
        Vector::new(&format!("a share: {name}"), OPENS, body)
            .with("purpose", name)
            .with("wallet", WALLET)
            .with("number", ID.number)
            .with("at", at)
            .with("value", hex::encode(value))
    };
    let unseal = share(Purpose::Unseal, 9, [0xa5; 32]);
    let recovery = share(Purpose::Recovery, 255, [0x5a; 32]);
    let corrupt = vec![
        (
            "mistyped",
            unseal.but("one bit is changed", NO_PARSE, |b| b[30] ^= 1),
        ),
        (
            "unknown-format",
            unseal.but("the format is 2", NO_PARSE, |b| b[0] = 2),
        ),
        (
            "cut",
            unseal.but("the last byte is missing", NO_PARSE, |b| b.truncate(47)),
        ),
        (
            "trailing",
            unseal.but("a byte stands behind the end", NO_PARSE, |b| b.push(0)),
        ),
        ("empty", unseal.but("nothing", NO_PARSE, Vec::clear)),
        (
            "other-wallet",
            unseal
                .but("a share of another wallet", NO_OPEN, |_| ())
                .replacing("wallet", WalletId::from_bytes([0x56; 16])),
        ),
        (
            "other-number",
            unseal
                .but("a share of the generation before", NO_OPEN, |_| ())
                .replacing("number", ID.number + 1),
        ),
        (
            "other-purpose",
            unseal
                .but(
                    "an unseal share, where recovery shares belong",
                    NO_OPEN,
                    |_| (),
                )
                .replacing("purpose", "recovery"),
        ),
    ];
    let healthy = vec![("unseal", unseal.clone()), ("recovery", recovery)];
    healthy.into_iter().chain(corrupt).collect()
}

pub(crate) fn read_share(vector: &Vector) -> Read {
    let share = Share::decode(&vector.body).map_err(|_| Outcome::ParseFailure)?;
    let purpose = match vector.one("purpose") {
        "unseal" => Purpose::Unseal,
        "recovery" => Purpose::Recovery,
        other => panic!("no purpose {other}"),
    };
    let wallet = WalletId::from_bytes(vector.fixed("wallet"));
    let set = Set::of(purpose, wallet, vector.one("number").parse().unwrap());
    set.admits(&share).map_err(|error| {
        assert!(!matches!(
            error,
            Error::Length | Error::Format | Error::Mistyped
        ));
        Outcome::OpenFailure
    })?;
    assert_eq!(share.at().to_string(), vector.one("at"));
    assert_eq!(*share.expose(), vector.fixed::<32>("value"));
    assert_eq!(*share.encode(), vector.body);
    Ok(())
}

pub(crate) fn shared_generations() -> Made {
    let bytes = [0xd1; 32];
    let counts = Counts::new(5, 3).unwrap();
    let mut entropy = Counter::new(70);
    let key = GenerationKey::generate(&mut entropy);
    assert!(format!("{key:?}").starts_with("GenerationKey"));
    let share_key = ShareKey::danger_from_bytes(&bytes);
    let (_, body) = share_key.create_generation(ID, counts, &mut Counter::new(70));
    let plain = share_key.open_generation(ID, &body).unwrap().state(ID);
    let whole = Vector::new("a generation key under a key that shares make", OPENS, body)
        .with("share-key", hex::encode(bytes))
        .with("wallet", WALLET)
        .with("generation", ID.number)
        .with("shares", counts.shares())
        .with("threshold", counts.threshold())
        .with("generation-key", hex::encode(&plain[20..]));
    let end = whole.body.len() - 1;
    // An array of three: the format, an array of two counts, and the sealed bytes.
    assert_eq!(whole.body[..5], [0x83, 0x01, 0x82, 0x05, 0x03]);
    vec![
        (
            "changed-threshold",
            whole.but("two shares are to be enough", NO_OPEN, |b| b[4] = 2),
        ),
        (
            "changed-tag",
            whole.but("the last byte is changed", NO_OPEN, |b| b[end] ^= 1),
        ),
        (
            "other-key",
            whole
                .but("another key", NO_OPEN, |_| ())
                .replacing("share-key", hex::encode([0xd2; 32])),
        ),
        (
            "other-generation",
            whole
                .but("the bytes of another generation", NO_OPEN, |_| ())
                .replacing("generation", 4),
        ),
        (
            "impossible-counts",
            whole.but("one of five shares is to be enough", NO_PARSE, |b| b[4] = 1),
        ),
        (
            "unknown-format",
            whole.but("the format is 2", NO_PARSE, |b| b[1] = 2),
        ),
        (
            "cut",
            whole.but("the last byte is missing", NO_PARSE, |b| b.truncate(end)),
        ),
        (
            "trailing",
            whole.but("a byte stands behind the end", NO_PARSE, |b| b.push(0)),
        ),
        ("five-of-three", whole),
    ]
}

pub(crate) fn read_shared_generation(vector: &Vector) -> Read {
    let shared = Shared::decode(&vector.body).map_err(|_| Outcome::ParseFailure)?;
    let id = GenerationId {
        wallet: WalletId::from_bytes(vector.fixed("wallet")),
        number: vector.one("generation").parse().unwrap(),
    };
    let key = ShareKey::danger_from_bytes(&vector.fixed("share-key"));
    let opened = key.open_generation(id, &vector.body);
    let opened = opened.map_err(|_| Outcome::OpenFailure)?;
    assert_eq!(shared.counts().shares().to_string(), vector.one("shares"));
    assert_eq!(
        shared.counts().threshold().to_string(),
        vector.one("threshold")
    );
    let expected = GenerationKey::danger_from_bytes(&vector.fixed("generation-key"));
    same!(opened, expected);
    Ok(())
}

pub(crate) fn recoveries() -> Made {
    let keys = [0x7a; 32];
    let mut entropy = Counter::new(71);
    let macs = TokenMacKey::danger_from_bytes(&keys);
    let counts = Counts::new(3, 2).unwrap();
    let (key, kept) = Recovery::create(WALLET, 1, counts, &macs, &mut entropy);
    let whole = Vector::new("what is kept of a recovery key", OPENS, kept.encode())
        .with("token-mac-key", hex::encode(keys))
        .with("wallet", WALLET)
        .with("number", 1)
        .with("shares", 3)
        .with("threshold", 2)
        .with("recovery-key", hex::encode(key.danger_bytes()));
    let end = whole.body.len() - 1;
    vec![
        (
            "other-key",
            whole
                .but("another recovery key", NO_OPEN, |_| ())
                .replacing("recovery-key", hex::encode([0xd2; 32])),
        ),
        (
            "changed-mac",
            whole.but("the last byte is changed", NO_OPEN, |b| b[end] ^= 1),
        ),
        (
            "other-wallet",
            whole
                .but("the bytes of another wallet", NO_PARSE, |_| ())
                .replacing("wallet", WalletId::from_bytes([0x56; 16])),
        ),
        (
            "unknown-format",
            whole.but("the format is 2", NO_PARSE, |b| b[1] = 2),
        ),
        (
            "cut",
            whole.but("the last byte is missing", NO_PARSE, |b| b.truncate(end)),
        ),
        (
            "trailing",
            whole.but("a byte stands behind the end", NO_PARSE, |b| b.push(0)),
        ),
        ("two-of-three", whole),
    ]
}

pub(crate) fn read_recovery(vector: &Vector) -> Read {
    let wallet = WalletId::from_bytes(vector.fixed("wallet"));
    let kept = Recovery::decode(wallet, &vector.body).map_err(|error| match error {
        keyring::Error::Unopened => Outcome::OpenFailure,
        _ => Outcome::ParseFailure,
    })?;
    let macs = TokenMacKey::danger_from_bytes(&vector.fixed("token-mac-key"));
    let key = RecoveryKey::danger_from_bytes(&vector.fixed("recovery-key"));
    if !kept.is(&key, &macs) {
        return Err(Outcome::OpenFailure);
    }
    assert_eq!(kept.number.to_string(), vector.one("number"));
    assert_eq!(kept.counts().shares().to_string(), vector.one("shares"));
    assert_eq!(
        kept.counts().threshold().to_string(),
        vector.one("threshold")
    );
    Ok(())
}
