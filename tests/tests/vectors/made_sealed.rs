//! The vectors of sealed bytes, and of what is computed from keys.

use billfold_core::{
    commit::{CommitHash, ciphertext_hash},
    id::{CommandId, Seq},
    keys::{
        CommandKey, Content, Dek, FactKey, FileKey, GenerationKey, IdKey, RequestNameKey,
        TokenMacKey, ViewKey, ViewWrapKey,
    },
    proof::{Hash, leaf::Leaves},
    seal::Place,
    subject::{Generation, Subject},
    test_entropy::Counter,
};

use crate::{
    file::Vector,
    made::{MOUNT, Made, NO_OPEN, OPENS, RECORD, WALLET},
};

const KEY: [u8; 32] = [0xd1; 32];

pub(crate) fn sealed() -> Made {
    let plain = b"{\"password\":\"hunter2\"}";
    let parts = |parts: &[&[u8]]| {
        let place = parts
            .iter()
            .fold(Place::new(), |place, part| place.and(part));
        let parts = parts.iter().map(hex::encode).collect::<Vec<_>>();
        (place, parts)
    };
    let vector = |comment: &str, label: &str, parts: Vec<String>, plain: &[u8], body: Vec<u8>| {
        let vector = Vector::new(comment, OPENS, body)
            .with_hex("key", KEY)
            .with("label", format!("billfold v1 {label}"))
            .with_hex("plaintext", plain);
        parts
            .iter()
            .fold(vector, |vector, part| vector.with("place", part))
    };
    let dek = Dek::danger_from_bytes(&KEY);
    let number = |number: u64| number.to_be_bytes();
    let (wallet, record, mount) = (WALLET.as_bytes(), RECORD.as_bytes(), MOUNT.as_bytes());

    let (place, list) = parts(&[wallet, record, &number(3), b"payload"]);
    let body = dek.seal(Content::Payload, &place, plain, &mut Counter::new(1));
    let payload = vector(
        "the payload of version 3 of a record",
        "payload",
        list,
        plain,
        body,
    )
    .with("place-of", "payload")
    .with("wallet", WALLET)
    .with("record", RECORD)
    .with("version", 3);

    let (place, list) = parts(&[wallet, record, &number(3), b"names"]);
    let body = dek.seal(Content::Names, &place, plain, &mut Counter::new(2));
    let names = vector(
        "the names of a record, written with version 3",
        "names",
        list,
        plain,
        body,
    )
    .with("place-of", "names")
    .with("wallet", WALLET)
    .with("record", RECORD)
    .with("version", 3);

    let (place, list) = parts(&[wallet, mount, &number(0), b"names"]);
    let body = dek.seal(Content::Names, &place, plain, &mut Counter::new(3));
    let mount_names = vector("the names of a mount", "names", list, plain, body)
        .with("place-of", "mount names")
        .with("wallet", WALLET)
        .with("mount", MOUNT);

    let (place, list) = parts(&[wallet, &[0x77; 16], &[0xbb; 16]]);
    let body = RequestNameKey::danger_from_bytes(&KEY).seal(&place, plain, &mut Counter::new(4));
    let request = vector("what a request named", "request names", list, plain, body)
        .with("place-of", "request names")
        .with("wallet", WALLET)
        .with_hex("fact-key", [0x77; 16])
        .with_hex("request", [0xbb; 16]);

    let (place, list) = parts(&[]);
    let body = dek.seal(Content::Payload, &place, b"", &mut Counter::new(5));
    let empty = vector("nothing, nowhere", "payload", list, b"", body);

    let (place, list) = parts(&[wallet, &[], b"x"]);
    let entropy = &mut Counter::new(6);
    let seal =
        |label: &str, body| vector("a key of another kind", label, list.clone(), plain, body);
    let others = vec![
        (
            "fact",
            seal(
                "fact",
                FactKey::danger_from_bytes(&KEY).seal(&place, plain, entropy),
            ),
        ),
        (
            "generation",
            seal(
                "unseal generation",
                FileKey::danger_from_bytes(&KEY).seal(&place, plain, entropy),
            ),
        ),
        (
            "kek",
            seal(
                "kek",
                GenerationKey::danger_from_bytes(&KEY).seal(&place, plain, entropy),
            ),
        ),
        (
            "view-key",
            seal(
                "view key",
                ViewWrapKey::danger_from_bytes(&KEY).seal(&place, plain, entropy),
            ),
        ),
        (
            "view-value",
            seal(
                "view value",
                ViewKey::danger_from_bytes(&KEY).seal(&place, plain, entropy),
            ),
        ),
    ];
    let corrupt = [
        ("changed-algorithm", 0, "an unknown algorithm"),
        ("changed-salt", 1, "the salt is changed"),
        ("changed-commitment", 33, "the commitment is changed"),
        ("changed-body", 65, "the ciphertext is changed"),
        ("changed-tag", payload.body.len() - 1, "the tag is changed"),
    ];
    let mut made: Made = corrupt
        .into_iter()
        .map(|(case, at, comment)| (case, payload.but(comment, NO_OPEN, |b| b[at] ^= 2)))
        .collect();
    made.extend([
        (
            "other-key",
            payload
                .but("another key", NO_OPEN, |_| ())
                .replacing("key", hex::encode([0xd2; 32])),
        ),
        (
            "other-label",
            payload
                .but("a payload opened as names", NO_OPEN, |_| ())
                .replacing("label", "billfold v1 names"),
        ),
        (
            "other-place",
            payload
                .but("the payload of another record", NO_OPEN, |_| ())
                .replacing("place", hex::encode([0x56; 16])),
        ),
        (
            "trailing",
            payload.but("a byte stands behind the end", NO_OPEN, |b| b.push(0)),
        ),
        (
            "cut",
            empty.but("the last byte is missing", NO_OPEN, |b| b.truncate(80)),
        ),
        ("no-bytes", empty.but("nothing at all", NO_OPEN, Vec::clear)),
        ("payload", payload),
        ("names", names),
        ("mount-names", mount_names),
        ("request-names", request),
        ("empty", empty),
    ]);
    made.extend(others);
    made
}

pub(crate) fn derived() -> Made {
    let vector = |comment: &str, function: &str, inputs: &[&[u8]], keyed: bool, body: &[u8]| {
        let vector = Vector::new(comment, OPENS, body).with("function", function);
        let vector = if keyed {
            vector.with_hex("key", KEY)
        } else {
            vector
        };
        inputs
            .iter()
            .fold(vector, |vector, input| vector.with_hex("input", input))
    };
    let (ids, mount) = (IdKey::danger_from_bytes(&KEY), MOUNT.as_bytes());
    let record = |path: &str| {
        let id = ids.record(MOUNT, path);
        let inputs: [&[u8]; 2] = [mount, path.as_bytes()];
        vector(
            "a path in a mount",
            "record id",
            &inputs,
            true,
            id.as_bytes(),
        )
    };
    let path = |path: &str| {
        let id = ids.mount_path(path);
        vector(
            "a mount or a folder above one",
            "mount path",
            &[path.as_bytes()],
            true,
            id.as_bytes(),
        )
    };
    let folder = |path: &str| {
        let id = ids.folder(MOUNT, path);
        let inputs: [&[u8]; 2] = [mount, path.as_bytes()];
        vector(
            "a folder in a mount",
            "folder id",
            &inputs,
            true,
            id.as_bytes(),
        )
    };
    let mac = TokenMacKey::danger_from_bytes(&KEY).mac(b"hvs.example");
    let print = CommandKey::danger_from_bytes(&KEY).fingerprint(b"what");
    let segment = ViewKey::danger_from_bytes(&KEY).segment(mount, "team");
    let command: CommandId = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".parse().unwrap();
    let made_at = 0x017F_22E2_79B0_u64.to_be_bytes();
    vec![
        ("record-id", record("team/db")),
        ("record-id-utf-8", record("équipe/ключ")),
        ("mount-path", path("secret/")),
        ("folder-id", folder("team/")),
        ("folder-id-mount", folder("")),
        (
            "token-mac",
            vector(
                "a token",
                "token mac",
                &[b"hvs.example"],
                true,
                mac.as_bytes(),
            ),
        ),
        (
            "command-fingerprint",
            vector(
                "a description",
                "command fingerprint",
                &[b"what"],
                true,
                &print,
            ),
        ),
        (
            "view-segment",
            vector(
                "a folder in a view",
                "view segment",
                &[mount, b"team"],
                true,
                &segment,
            ),
        ),
        (
            "command-time",
            vector(
                "the UUID of RFC 9562, appendix A.6: milliseconds",
                "command time",
                &[command.as_bytes()],
                false,
                &made_at,
            ),
        ),
        (
            "ciphertext-hash",
            vector(
                "any bytes",
                "ciphertext hash",
                &[b"x"],
                false,
                &*ciphertext_hash(b"x"),
            ),
        ),
        (
            "leaf-hash",
            vector(
                "a message of any bytes, the seventh of its log",
                "leaf hash",
                &[
                    WALLET.as_bytes(),
                    &1_u64.to_be_bytes(),
                    &7_u64.to_be_bytes(),
                    b"wallet.events.1.decided",
                    b"x",
                ],
                false,
                Leaves::of(WALLET, Generation::FIRST)
                    .hash(Seq(7), &Subject::Decided(Generation::FIRST), b"x")
                    .as_bytes(),
            ),
        ),
        (
            "tree-root",
            vector(
                "the root of a tree of three leaves",
                "tree root",
                &[b"", b"a", b"bc"],
                false,
                Hash::node(
                    &Hash::node(&Hash::leaf(b""), &Hash::leaf(b"a")),
                    &Hash::leaf(b"bc"),
                )
                .as_bytes(),
            ),
        ),
        (
            "commit-hash",
            vector(
                "any bytes",
                "commit hash",
                &[b"x"],
                false,
                CommitHash::of(b"x").as_bytes(),
            ),
        ),
    ]
}
