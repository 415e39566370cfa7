//! Bytes from the log: commits, and the facts in them.

use std::{fs, path::Path, sync::OnceLock};

use billfold_core::{
    Millis,
    commit::{CommitHash, Entry, Header, Sealed, ciphertext_hash, encode},
    event::{Actor, Event, Fact, SealedRef, v1},
    id::{MountId, PageId, ProcessId, RecordId, WalletId},
    keys::{
        page::KeyRef,
        wallet::{Epoch, WalletKeys},
    },
    subject::{Generation, Subject},
    test_entropy::Counter,
};
use bytes::Bytes;

/// What is read as a commit is exactly one, in the one form of its frame; and what opens with the
/// wallet's keys is what was sealed with them, to the last bit.
pub fn commit(bytes: &[u8]) -> bool {
    static MADE: OnceLock<(Epoch, Vec<Vec<u8>>)> = OnceLock::new();
    let (epoch, made) = MADE.get_or_init(|| {
        let epoch = WalletKeys::generate(&mut Counter::new(1)).epochs.remove(0);
        let (one, all) = (commit_of(&epoch, 1), commit_of(&epoch, 2));
        (epoch, [vec![one, all], vectors("commit")].concat())
    });
    let input = Bytes::from(super::changed(made, bytes));
    let Ok(sealed) = Sealed::parse(&input) else {
        return false;
    };
    assert_eq!(
        sealed.is_empty(),
        sealed.header.subject.is_checkpoint(),
        "a commit has events, or is on the subject of checkpoints"
    );
    let value: ciborium::Value = ciborium::from_reader(&input[..]).expect("a commit is CBOR");
    let mut again = Vec::new();
    ciborium::into_writer(&value, &mut again).expect("memory takes it");
    assert_eq!(again, input, "another form of its frame");
    let longer = Bytes::from([&input[..], &[0]].concat());
    assert!(Sealed::parse(&longer).is_err(), "something behind it");
    assert!(
        Sealed::parse(&input.slice(..input.len() - 1)).is_err(),
        "cut"
    );
    if sealed.is_empty() {
        // What it states is in the clear, and vouched for by whoever signed it.
        assert!(!sealed.statements().is_empty(), "nothing is stated");
        return true;
    }
    let opened = sealed.open(|id| Some(epoch).filter(|epoch| epoch.id == *id));
    if let Ok(entries) = opened {
        assert!(made.contains(&input.to_vec()), "it was changed, and opens");
        assert_eq!(entries.len(), sealed.len());
    }
    true
}

/// A fact that is read says the same once it is written again, in the one form that writers give it,
/// and has nothing behind it. Readers take other forms: the wire format lets them.
pub fn fact(bytes: &[u8]) -> bool {
    static MADE: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let input = super::changed(MADE.get_or_init(|| vectors("fact")), bytes);
    let Ok(fact) = Fact::decode(&input) else {
        return false;
    };
    let written = fact.encode();
    assert_eq!(
        Fact::decode(&written).as_ref(),
        Ok(&fact),
        "it says something else"
    );
    assert_eq!(
        Fact::decode(&written).map(|fact| fact.encode()),
        Ok(written.clone())
    );
    assert!(
        Fact::decode(&[&input[..], &[0]].concat()).is_err(),
        "something behind it"
    );
    true
}

/// The bytes of all vectors of an area, good and bad.
fn vectors(area: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(area);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the vectors of this area")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    let bytes = |file| {
        let text = fs::read_to_string(file).expect("a vector");
        let (_, hex) = text.split_once("\n\n").expect("bytes behind an empty line");
        hex::decode(hex.split_whitespace().collect::<String>()).expect("hexadecimal digits")
    };
    files.iter().map(bytes).collect()
}

/// A commit of so many events; the first has ciphertexts beside it.
fn commit_of(epoch: &Epoch, events: usize) -> Vec<u8> {
    let header = Header {
        wallet: WalletId::from_bytes([1; 16]),
        subject: Subject::Decided(Generation::FIRST),
        previous: CommitHash::from_bytes([2; 32]),
        writer: ProcessId::from_bytes([3; 16]),
        time: Millis(1_800_000_000_000),
        fact_keys: vec![epoch.id],
    };
    let sealed = |slot, bytes: &Bytes| SealedRef {
        key: KeyRef {
            page: PageId::from_bytes([4; 16]),
            slot,
        },
        hash: ciphertext_hash(bytes),
    };
    let (names, payload) = (Bytes::from_static(b"names"), Bytes::from_static(b"payload"));
    let record = RecordId::from_bytes([5; 16]);
    let written = Event::CredentialWritten(v1::CredentialWritten {
        record,
        mount: MountId::from_bytes([6; 16]),
        version: 1,
        payload: sealed(0, &payload),
        names: Some(sealed(1, &names)),
        retired_names: None,
        deletes_at: None,
        trimmed: Vec::new(),
    });
    let deleted = Event::VersionsDeleted(v1::VersionsDeleted {
        record,
        versions: vec![1],
    });
    let entry = |event, names, payload| Entry {
        fact: Fact {
            actor: Actor::System,
            command: None,
            event,
        },
        names,
        payload,
    };
    let all = [
        entry(written, Some(names), Some(payload)),
        entry(deleted, None, None),
    ];
    encode(&header, &all[..events], epoch, &mut Counter::new(9)).to_vec()
}
