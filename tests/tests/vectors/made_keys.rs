//! The vectors of the key store: pages, wallet keys, the keyring.

use billfold_core::{
    Millis,
    entropy::Entropy,
    id::{FactKeyId, PageId, ProcessId, WalletId},
    keys::{
        CheckpointSeed, CommandKey, FactKey, FileKey, IdKey, Kek, RequestNameKey, TokenMacKey,
        ViewWrapKey,
        keyring::{Earlier, Generation, Keks, Keyring, Reach},
        manager::GenerationId,
        page::Page,
        wallet::{Epoch, WalletKeys},
    },
    test_entropy::Counter,
};

use crate::{
    file::Vector,
    made::{Made, NO_OPEN, NO_PARSE, OPENS, WALLET},
};

/// A key that is all of one byte, and its bytes.
fn key(byte: u8) -> [u8; 32] {
    [byte; 32]
}

pub(crate) fn pages() -> Made {
    let id = PageId::from_bytes([0x66; 16]);
    let owner = ProcessId::from_bytes([0xcc; 16]);
    let kek = Kek::danger_from_bytes(&key(0xe1));
    let whole = Page::generate(
        id,
        owner,
        Millis(1_800_000_000_000),
        3,
        &mut Counter::new(40),
    );
    let mut drawn = Counter::new(40);
    let keys: Vec<[u8; 32]> = (0..256).map(|_| drawn.bytes()).collect();
    let vector = |comment: &str, page: &Page, listed: &[usize], absent: &[u8], seed| {
        let body = page.wrap(WALLET, &kek, &mut Counter::new(seed));
        let mut vector = Vector::new(comment, OPENS, body)
            .with("kek", format!("3 {}", hex::encode(key(0xe1))))
            .with("wallet", WALLET)
            .with("page", id)
            .with("owner", owner)
            .with("made", page.made.0)
            .with("keys", page.slots().len());
        for slot in listed {
            vector = vector.with("key", format!("{slot} {}", hex::encode(keys[*slot])));
        }
        for slot in absent {
            vector = vector.with("no-key", slot);
        }
        vector
    };
    let full = vector(
        "a page as it is made, with 256 keys",
        &whole,
        &[0, 1, 127, 255],
        &[],
        41,
    );
    let left = whole.keeping(|slot| [0, 9, 255].contains(&slot));
    let left = vector(
        "a page of which three keys are left",
        &left,
        &[0, 9, 255],
        &[1, 254],
        42,
    );
    let none = vector(
        "a page of which no key is left",
        &whole.keeping(|_| false),
        &[],
        &[0],
        43,
    );
    let end = left.body.len() - 1;
    // Behind the array of two and the length of the header stands the header: an array of six.
    let format = 4;
    assert_eq!(left.body[..5], [0x82, 0x58, left.body[2], 0x86, 0x01]);
    let other_page = PageId::from_bytes([0x67; 16]);
    let other_wallet = WalletId::from_bytes([0x56; 16]);
    let corrupt = vec![
        (
            "changed-tag",
            left.but("the last byte is changed", NO_OPEN, |b| b[end] ^= 1),
        ),
        (
            "changed-owner",
            left.but("the owner in the header is changed", NO_OPEN, |b| {
                let at = b.windows(16).position(|w| w == [0xcc; 16]).unwrap();
                b[at] ^= 1;
            }),
        ),
        (
            "other-page",
            left.but(
                "the bytes of one page in the slot of another",
                NO_PARSE,
                |_| (),
            )
            .replacing("page", other_page),
        ),
        (
            "other-wallet",
            left.but("the bytes of another wallet", NO_PARSE, |_| ())
                .replacing("wallet", other_wallet),
        ),
        (
            "other-kek",
            left.but("another key of the same version", NO_OPEN, |_| ())
                .replacing("kek", format!("3 {}", hex::encode(key(0xe2)))),
        ),
        (
            "unknown-kek",
            left.but("the KEK version is not in the keyring", NO_OPEN, |_| ())
                .replacing("kek", format!("4 {}", hex::encode(key(0xe1)))),
        ),
        (
            "unknown-format",
            left.but("the header has format 2", NO_PARSE, |b| b[format] = 2),
        ),
        (
            "cut",
            left.but("the last byte is missing", NO_PARSE, |b| b.truncate(end)),
        ),
        (
            "trailing",
            left.but("a byte stands behind the end", NO_PARSE, |b| b.push(0)),
        ),
        (
            "unfilled-array",
            left.but("the array says that it has three elements", NO_PARSE, |b| {
                b[0] = 0x83
            }),
        ),
        ("empty", left.but("nothing", NO_PARSE, Vec::clear)),
    ];
    let healthy = vec![("full", full), ("three-left", left), ("none-left", none)];
    healthy.into_iter().chain(corrupt).collect()
}

pub(crate) fn wallet_keys() -> Made {
    let epoch = |byte: u8, number| Epoch {
        id: FactKeyId::from_bytes([byte; 16]),
        number,
        facts: FactKey::danger_from_bytes(&key(byte + 1)),
        request_names: RequestNameKey::danger_from_bytes(&key(byte + 2)),
    };
    let epoch_line = |byte: u8, number: u32| {
        let [facts, names] = [byte + 1, byte + 2].map(|byte| hex::encode(key(byte)));
        format!("{} {number} {facts} {names}", hex::encode([byte; 16]))
    };
    let keys = |epochs| WalletKeys {
        id: IdKey::danger_from_bytes(&key(0xa1)),
        view: ViewWrapKey::danger_from_bytes(&key(0xa2)),
        token_mac: TokenMacKey::danger_from_bytes(&key(0xa3)),
        command: CommandKey::danger_from_bytes(&key(0xa4)),
        checkpoint: CheckpointSeed::danger_from_bytes(&key(0xa5)),
        next_checkpoint: CheckpointSeed::danger_from_bytes(&key(0xa6)),
        epochs,
    };
    let kek = Kek::danger_from_bytes(&key(0xe1));
    let vector = |comment: &str, epochs, seed| {
        let body = keys(epochs).wrap(WALLET, 3, &kek, &mut Counter::new(seed));
        Vector::new(comment, OPENS, body)
            .with("kek", format!("3 {}", hex::encode(key(0xe1))))
            .with("wallet", WALLET)
            .with_hex("id-key", key(0xa1))
            .with_hex("view-key", key(0xa2))
            .with_hex("token-mac-key", key(0xa3))
            .with_hex("command-key", key(0xa4))
            .with_hex("checkpoint-seed", key(0xa5))
            .with_hex("next-checkpoint-seed", key(0xa6))
            .with("epoch", epoch_line(0x10, 1))
    };
    let one = vector("one epoch", vec![epoch(0x10, 1)], 50);
    let two = vector("two epochs", vec![epoch(0x10, 1), epoch(0x20, 2)], 51);
    let two = two.with("epoch", epoch_line(0x20, 2));
    let none = vector("no epoch", Vec::new(), 52).but("no epoch", NO_PARSE, |_| ());
    let end = one.body.len() - 1;
    assert_eq!(one.body[..3], [0x83, 0x01, 0x03]);
    let other_wallet = WalletId::from_bytes([0x56; 16]);
    vec![
        (
            "changed-tag",
            one.but("the last byte is changed", NO_OPEN, |b| b[end] ^= 1),
        ),
        (
            "changed-version",
            one.but("the KEK version is changed", NO_OPEN, |b| b[2] = 4)
                .with("kek", format!("4 {}", hex::encode(key(0xe1)))),
        ),
        (
            "unknown-kek",
            one.but("the KEK version is not in the keyring", NO_OPEN, |b| {
                b[2] = 4
            }),
        ),
        (
            "other-wallet",
            one.but("the bytes of another wallet", NO_OPEN, |_| ())
                .replacing("wallet", other_wallet),
        ),
        (
            "unknown-format",
            one.but("format 2", NO_PARSE, |b| b[1] = 2),
        ),
        (
            "cut",
            one.but("the last byte is missing", NO_PARSE, |b| b.truncate(end)),
        ),
        (
            "trailing",
            one.but("a byte stands behind the end", NO_PARSE, |b| b.push(0)),
        ),
        ("no-epoch", none),
        ("one-epoch", one),
        ("two-epochs", two),
    ]
}

/// Keyrings.
pub(crate) fn keyrings() -> Made {
    let id = GenerationId {
        wallet: WALLET,
        number: 2,
    };
    let file = FileKey::danger_from_bytes(&key(0xf1));
    let generation_bytes: [u8; 32] = Counter::new(60).bytes();
    let kek_bytes: [u8; 32] = Counter::new(61).bytes();
    let next_bytes: [u8; 32] = Counter::new(63).bytes();
    let (generation, wrapped) = file.create_generation(id, &mut Counter::new(60));
    let keks = Keks::generate(1, &mut Counter::new(61));
    let under = || Generation {
        id,
        manager: "key-file",
        wrapped: wrapped.clone(),
        key: &generation,
        reach: Reach {
            oldest: 1,
            back_to: 1,
            earlier: vec![Earlier {
                number: 1,
                wrapped: vec![0x77; 4].into(),
                oldest: 1,
            }],
        },
    };
    let keyring = Keyring::wrap(under(), &keks, 1, &mut Counter::new(62)).unwrap();
    let two = keyring.with_next(2, &generation, &mut Counter::new(63));
    let keks = two.open(&generation).unwrap();
    let of_second = Keyring::wrap(under(), &keks, 2, &mut Counter::new(64)).unwrap();
    let vector = |comment: &str, keyring: &Keyring, keks: &[(u32, [u8; 32])]| {
        let mut vector = Vector::new(comment, OPENS, keyring.encode())
            .with_hex("file-key", key(0xf1))
            .with_hex("generation-key", generation_bytes)
            .with("wallet", WALLET)
            .with("generation", 2)
            .with("manager", "key-file")
            .with("oldest", 1)
            .with("back-to", 1)
            .with("earlier", "1 77777777 1");
        for (version, bytes) in keks {
            vector = vector.with("kek", format!("{version} {}", hex::encode(bytes)));
        }
        vector
    };
    let one = [(1, kek_bytes)];
    let both = [(1, kek_bytes), (2, next_bytes)];
    let healthy = vector("one KEK version under a key file", &keyring, &one);
    let two_versions = vector("two KEK versions", &two, &both);
    let retired = vector(
        "the second KEK version, when the first was destroyed",
        &of_second.without(1),
        &both[1..],
    );
    let end = healthy.body.len() - 1;
    // [ format, wallet: bstr .16, generation, … ]
    assert_eq!(healthy.body[..3], [0x88, 0x03, 0x50]);
    assert_eq!(healthy.body[19], 2);
    let handed_on = healthy.body.len() - keyring_tail(&healthy.body);
    // [ …, [ oldest, back to, [ [ number, wrapped: bstr .4, oldest ] ] ] ]
    let reach = healthy.body.len() - 12;
    assert_eq!(healthy.body[reach..reach + 6], [0x83, 1, 1, 0x81, 0x83, 1]);
    vec![
        (
            "changed-kek",
            healthy.but(
                "the last byte of the wrapped KEK is changed",
                NO_OPEN,
                |b| b[reach - 1] ^= 1,
            ),
        ),
        (
            "changed-oldest",
            healthy.but("it says that its oldest KEK version is 2", NO_OPEN, |b| {
                b[reach + 1] = 2
            }),
        ),
        (
            "changed-back-to",
            healthy.but("it says that it reaches back to 2", NO_OPEN, |b| {
                b[reach + 2] = 2
            }),
        ),
        (
            "changed-earlier",
            healthy.but("an earlier generation is changed", NO_OPEN, |b| {
                b[end - 1] ^= 1
            }),
        ),
        (
            "no-earlier",
            healthy.but("an earlier generation is left out", NO_OPEN, |b| {
                b.truncate(reach + 3);
                b.push(0x80);
            }),
        ),
        (
            "changed-handed-on",
            healthy.but(
                "the last byte of the generation key that is handed on is changed",
                NO_OPEN,
                |b| b[handed_on - 1] ^= 1,
            ),
        ),
        (
            "changed-wallet",
            healthy.but("the wallet is changed", NO_OPEN, |b| b[3] ^= 1),
        ),
        (
            "changed-generation",
            healthy.but("the unseal generation is changed", NO_OPEN, |b| b[19] = 3),
        ),
        (
            "other-file-key",
            healthy
                .but("another key file", NO_OPEN, |_| ())
                .replacing("file-key", hex::encode(key(0xf2))),
        ),
        (
            "unknown-format",
            healthy.but("format 4", NO_PARSE, |b| b[1] = 4),
        ),
        (
            "cut",
            healthy.but("the last byte is missing", NO_PARSE, |b| b.truncate(end)),
        ),
        (
            "trailing",
            healthy.but("a byte stands behind the end", NO_PARSE, |b| b.push(0)),
        ),
        (
            "unfilled-array",
            healthy.but("the array says that it has nine elements", NO_PARSE, |b| {
                b[0] = 0x89
            }),
        ),
        ("key-file", healthy),
        ("two-versions", two_versions),
        ("first-destroyed", retired),
    ]
}

/// How many bytes the KEK versions and the reach take at the end of a keyring with one of them: they
/// begin with an array of one array of two, a small number, and a byte string whose length takes one
/// byte.
fn keyring_tail(bytes: &[u8]) -> usize {
    let header = bytes
        .windows(4)
        .rposition(|w| w == [0x81, 0x82, 0x01, 0x58]);
    bytes.len() - header.unwrap()
}
