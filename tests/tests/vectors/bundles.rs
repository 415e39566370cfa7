//! The vectors of bundles.

use std::fs;

use billfold_core::{
    id::Seq,
    keys::wallet::WalletKeys,
    proof::{Checkpoint, leaf::Leaves},
    subject::{Generation, Subject},
    test_entropy::Counter,
};
use billfold_replay::bundle::{self, Bundle};
use billfold_streams::{EventLog as _, embedded::Embedded, log::Filter};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use crate::{
    file::Vector,
    handed_over::{WRITER, message},
    made::{Made, NO_PARSE, OPENS, WALLET},
    notes::{origin, signer},
    read::{Outcome, Read},
};

const SUBJECT: Subject = Subject::Observed(Generation::FIRST, WRITER);
/// Where the first item begins: behind the magic bytes.
const ITEMS: usize = 16;
/// The hash ends the file.
const HASH: usize = 32;

fn now<T>(done: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(done)
}

/// A bundle of one commit, and of a checkpoint that was held outside.
async fn written() -> Vec<u8> {
    let mut keys = WalletKeys::generate(&mut Counter::new(71));
    let message = message(&keys.epochs.remove(0));
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("data")).unwrap().log();
    log.append(&SUBJECT, Seq::ZERO, message.clone())
        .await
        .unwrap();
    let file = folder.path().join("bundle");
    let leaf = Leaves::of(WALLET, Generation::FIRST).hash(Seq(1), &SUBJECT, &message);
    let checkpoint = Checkpoint {
        origin: origin(),
        size: 1,
        root: leaf,
    };
    let notes = [checkpoint.sign(&signer(0xc1)).unwrap()];
    let told = bundle::write(&log, Seq(1), &notes, &file, &mut |_, _| ()).await;
    assert_eq!(told.unwrap().sequence, Seq(1));
    fs::read(file).unwrap()
}

/// Where each item begins, with its length before it.
fn items(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut items) = (ITEMS, Vec::new());
    while at < bytes.len() {
        items.push(at);
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        at += 4 + length as usize;
    }
    items
}

/// Gives changed bytes the hash that they should have.
fn hashed_anew(bytes: &mut [u8]) {
    let end = *items(bytes).last().unwrap();
    let hash = Sha256::digest(&bytes[..end]);
    let at = bytes.len() - HASH;
    bytes[at..].copy_from_slice(&hash);
}

pub(crate) fn bundles() -> Made {
    let plain = Vector::new("one commit, and a checkpoint", OPENS, now(written()))
        .with("wallet", WALLET)
        .with("subject", SUBJECT)
        .with("note", "billfold/55555555555555555555555555555555/1 1");
    let [head, first, end] = items(&plain.body)[..] else {
        panic!("a head, a commit and an end");
    };
    // Each item is an array: its length, its number, and what follows.
    vec![
        (
            "other-magic",
            plain.but("it is another file", NO_PARSE, |b| b[0] = b'B'),
        ),
        (
            "other-format",
            plain.but("it has a format that is not known", NO_PARSE, |b| {
                assert_eq!(b[head + 4..head + 7], [0x84, 0, 1]);
                b[head + 6] = 2;
                hashed_anew(b);
            }),
        ),
        (
            "gap",
            plain.but("its first commit is of sequence 2", NO_PARSE, |b| {
                assert_eq!(b[first + 4..first + 7], [0x84, 1, 1]);
                b[first + 6] = 2;
                hashed_anew(b);
            }),
        ),
        (
            "other-end",
            plain.but("it says that it ends at sequence 2", NO_PARSE, |b| {
                assert_eq!(b[end + 4..end + 7], [0x84, 2, 1]);
                b[end + 6] = 2;
            }),
        ),
        (
            "changed-byte",
            plain.but("a byte of the commit is changed", NO_PARSE, |b| {
                b[end - 1] ^= 1;
            }),
        ),
        (
            "no-end",
            plain.but("its end is cut off", NO_PARSE, |b| b.truncate(end)),
        ),
        (
            "more",
            plain.but("something stands behind its end", NO_PARSE, |b| b.push(0)),
        ),
        ("plain", plain),
    ]
}

pub(crate) fn read(vector: &Vector) -> Read {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle");
    fs::write(&file, &vector.body).unwrap();
    now(async {
        let bundle = Bundle::open(&file).await;
        let bundle = bundle.map_err(|_| Outcome::ParseFailure)?;
        let [note] = bundle.notes() else {
            panic!("one checkpoint");
        };
        let mut lines = note.text().lines();
        let said = [lines.next().unwrap(), lines.next().unwrap()].join(" ");
        assert_eq!(said, vector.one("note"));
        let messages = bundle.read(Filter::All(Generation::FIRST), Seq::ZERO);
        let first = messages.await.unwrap().next().await.unwrap().unwrap();
        assert_eq!(first.subject.to_string(), vector.one("subject"));
        let sealed = billfold_core::commit::Sealed::parse(&first.bytes).unwrap();
        assert_eq!(sealed.header.wallet.to_string(), vector.one("wallet"));
        Ok(())
    })
}
