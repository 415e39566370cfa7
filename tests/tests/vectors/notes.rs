//! The vectors of notes: checkpoints, cosignatures, changes of the checkpoint key.

use billfold_core::{
    keys::{CheckpointSeed, CosignerSeed},
    proof::{
        Checkpoint, Hash, KeyName, Note, Signer, VerifierKey, key::Kind, statement::KeyChange,
    },
    subject::Generation,
};

use crate::{
    file::Vector,
    made::{Made, NO_OPEN, NO_PARSE, OPENS, WALLET},
    read::{Outcome, Read},
};

pub(crate) fn origin() -> KeyName {
    KeyName::origin(WALLET, Generation::FIRST)
}

pub(crate) fn signer(byte: u8) -> Signer {
    Signer::of_checkpoints(origin(), &CheckpointSeed::danger_from_bytes(&[byte; 32]))
}

pub(crate) fn checkpoint(size: u64) -> Note {
    let checkpoint = Checkpoint {
        origin: origin(),
        size,
        root: Hash::leaf(b"not a log"),
    };
    checkpoint.sign(&signer(0xc1)).unwrap()
}

pub(crate) fn key_change(old: u8, new: u8) -> Note {
    KeyChange::sign(&signer(old), &signer(new)).unwrap()
}

pub(crate) fn notes() -> Made {
    let vector = |comment: &str, note: &Note, kind: &str, key: &Signer| {
        Vector::new(comment, OPENS, note.to_string().into_bytes())
            .with("type", kind)
            .with("key", key.verifier())
    };
    let note = checkpoint(42);
    let root = hex::encode(Hash::leaf(b"not a log").as_bytes());
    let of_checkpoint = |vector: Vector| vector.with("size", 42).with("root", &root);
    let first = signer(0xc1);
    let plain = of_checkpoint(vector("a checkpoint", &note, "checkpoint", &first));
    let name = KeyName::new("witness.example/1").unwrap();
    let witness = Signer::of_a_witness(name, &CosignerSeed::danger_from_bytes(&[0xc9; 32]));
    let cosigned = note.clone().with(note.cosign(&witness, 1_700_000_000));
    let by_witness = vector(
        "a checkpoint that a witness signed",
        &cosigned,
        "cosignature",
        &witness,
    );
    let by_witness = of_checkpoint(by_witness).with("time", 1_700_000_000);
    let change = vector(
        "a change of the checkpoint key",
        &key_change(0xc1, 0xc2),
        "key-change",
        &first,
    );
    let change = change
        .with("old", first.verifier())
        .with("new", signer(0xc2).verifier());
    let by_one = Note::new(key_change(0xc1, 0xc2).text().to_owned()).unwrap();
    let by_one = by_one.sign(&first);
    let size_at = note.text().find("42").unwrap();
    let end = plain.body.len() - 2;
    vec![
        (
            "changed-size",
            plain.but("the size is changed", NO_OPEN, |b| b[size_at] = b'3'),
        ),
        (
            "zeros-before-size",
            plain.but("the size has a zero before it", NO_OPEN, |b| {
                b.insert(size_at, b'0')
            }),
        ),
        (
            "changed-signature",
            plain.but("a signature is changed", NO_OPEN, |b| {
                b[end - 6] = if b[end - 6] == b'A' { b'B' } else { b'A' };
            }),
        ),
        (
            "other-key",
            plain
                .but("the key is another one", NO_OPEN, |_| ())
                .replacing("key", signer(0xc3).verifier()),
        ),
        (
            "unsigned",
            plain.but("it has no signature", NO_PARSE, |b| {
                *b = format!("{}\n", note.text()).into_bytes();
            }),
        ),
        (
            "cut",
            plain.but("the last byte is missing", NO_PARSE, |b| {
                b.pop();
            }),
        ),
        (
            "key-change-by-one",
            change.but("one of the keys did not sign", NO_OPEN, |b| {
                *b = by_one.to_string().into_bytes();
            }),
        ),
        ("checkpoint", plain),
        ("cosigned", by_witness),
        ("key-change", change),
    ]
}

pub(crate) fn read(vector: &Vector) -> Read {
    let note = Note::parse(&vector.body).map_err(|_| Outcome::ParseFailure)?;
    assert_eq!(note.to_string().as_bytes(), vector.body);
    let key: VerifierKey = vector.one("key").parse().unwrap();
    assert_eq!(key.to_string(), vector.one("key"));
    let checkpoint = match vector.one("type") {
        "key-change" => {
            let change = KeyChange::verified(&note, &origin());
            let change = change.map_err(|_| Outcome::OpenFailure)?;
            assert_eq!(change.old.to_string(), vector.one("old"));
            assert_eq!(change.new.to_string(), vector.one("new"));
            return Ok(());
        }
        "checkpoint" => Checkpoint::verified(&note, &key).map_err(|_| Outcome::OpenFailure)?,
        "cosignature" => {
            assert_eq!(key.kind(), Kind::Cosignature);
            let time = note.verify(&key).map_err(|_| Outcome::OpenFailure)?;
            assert_eq!(time.unwrap().to_string(), vector.one("time"));
            Checkpoint::parse(note.text()).map_err(|_| Outcome::OpenFailure)?
        }
        other => panic!("no note of type {other}"),
    };
    assert_eq!(checkpoint.size.to_string(), vector.one("size"));
    assert_eq!(*checkpoint.root.as_bytes(), vector.fixed("root"));
    Ok(())
}
