//! Invariant 5 on the commit: what was moved, changed, cut or added does not open.

mod unknown;

use bytes::Bytes;
use proptest::prelude::*;
use serde_bytes::ByteArray;

use super::*;
use crate::{
    event::{
        Actor, Event, SealedRef,
        v1::{CredentialWritten, Operation, ResolutionRequested, VersionsDeleted},
    },
    id::{MountId, PageId, RecordId, RequestId},
    keys::{page::KeyRef, wallet::WalletKeys},
    subject::Generation,
    test_entropy::Counter,
};

fn epochs() -> [Epoch; 2] {
    [1, 2].map(|seed| {
        let mut keys = WalletKeys::generate(&mut Counter::new(seed));
        keys.epochs.remove(0)
    })
}

fn header(fact_keys: &[FactKeyId]) -> Header {
    Header {
        wallet: WalletId::from_bytes([1; 16]),
        subject: Subject::Decided(Generation::FIRST),
        previous: CommitHash::from_bytes([2; 32]),
        writer: ProcessId::from_bytes([3; 16]),
        time: Millis(1_800_000_000_000),
        fact_keys: fact_keys.to_vec(),
    }
}

/// An event with names and payload, one with neither, and one with names only.
fn entries() -> Vec<Entry> {
    let sealed = |slot, bytes: &Bytes| SealedRef {
        key: KeyRef {
            page: PageId::from_bytes([4; 16]),
            slot,
        },
        hash: ciphertext_hash(bytes),
    };
    let (names, payload) = (Bytes::from_static(b"names"), Bytes::from_static(b"payload"));
    let record = RecordId::from_bytes([5; 16]);
    let written = CredentialWritten {
        record,
        mount: MountId::from_bytes([6; 16]),
        version: 1,
        payload: sealed(0, &payload),
        names: Some(sealed(1, &names)),
        retired_names: None,
        deletes_at: None,
        trimmed: Vec::new(),
    };
    let deleted = VersionsDeleted {
        record,
        versions: vec![1],
    };
    let asked_names = Bytes::from_static(b"who and where");
    let asked = ResolutionRequested {
        request: RequestId::from_bytes([7; 16]),
        operation: Operation::ReadData,
        mount: None,
        record: Some(record),
        version: None,
        wrap_ttl: None,
        names: ciphertext_hash(&asked_names),
    };
    let entry = |event, names, payload| Entry {
        fact: Fact {
            actor: Actor::System,
            command: None,
            event,
        },
        names,
        payload,
    };
    vec![
        entry(
            Event::CredentialWritten(written),
            Some(names),
            Some(payload),
        ),
        entry(Event::VersionsDeleted(deleted), None, None),
        entry(Event::ResolutionRequested(asked), Some(asked_names), None),
    ]
}

fn read(bytes: &Bytes) -> Result<(Header, Vec<Entry>), Error> {
    let epochs = epochs();
    let sealed = Sealed::parse(bytes)?;
    let entries = sealed.open(|id| epochs.iter().find(|epoch| epoch.id == *id))?;
    Ok((sealed.header, entries))
}

fn commit() -> Bytes {
    let [epoch, _] = epochs();
    encode(
        &header(&[epoch.id]),
        &entries(),
        &epoch,
        &mut Counter::new(9),
    )
}

/// The frame of a commit, to be put together otherwise.
fn parts(bytes: &Bytes) -> (Bytes, Vec<frame::RawEvent>) {
    let (header, body) = frame::header(bytes).unwrap();
    (header, frame::events(bytes, body).unwrap())
}

fn framed(header: &[u8], events: &[frame::RawEvent]) -> Bytes {
    let mut writer = frame::Writer::new(header, events.len());
    for event in events {
        let (names, payload) = (event.names.as_deref(), event.payload.as_deref());
        writer.event(event.key as u64, &event.fact, names, payload);
    }
    writer.finish()
}

#[test]
fn what_was_written_is_read() {
    let (found, events) = read(&commit()).unwrap();
    assert_eq!(found, header(&[epochs()[0].id]));
    assert_eq!(events, entries());
    let sealed = Sealed::parse(&commit()).unwrap();
    assert_eq!((sealed.len(), sealed.is_empty()), (3, false));
}

#[test]
fn a_commit_is_no_larger_than_was_reckoned() {
    let size: usize = entries().iter().map(size_of).sum();
    assert!(commit().len() <= FRAME + size);
    let [epoch, _] = epochs();
    let one = encode(
        &header(&[epoch.id]),
        &entries()[1..2],
        &epoch,
        &mut Counter::new(1),
    );
    let header = Header {
        subject: Subject::Observed(Generation(u32::MAX), ProcessId::default()),
        time: Millis(u64::MAX),
        ..header(&[epoch.id])
    };
    let long = encode(&header, &entries()[1..2], &epoch, &mut Counter::new(1));
    assert!(long.len() > one.len() && long.len() <= FRAME + size_of(&entries()[1]));
}

#[test]
fn inv05_every_changed_byte_is_found() {
    // Every value of every byte of a small commit, and every bit of a larger one.
    let [epoch, _] = epochs();
    let header = header(&[epoch.id]);
    let small = encode(&header, &entries()[1..2], &epoch, &mut Counter::new(9));
    let bits: Vec<u8> = (0..8).map(|bit| 1 << bit).collect();
    for (whole, changes) in [(small, (1..=255).collect()), (commit(), bits)] {
        for at in 0..whole.len() {
            for change in &changes {
                let mut changed = whole.to_vec();
                changed[at] ^= change;
                let changed = Bytes::from(changed);
                assert!(read(&changed).is_err(), "byte {at} changed by {change}");
            }
        }
    }
}

#[test]
fn inv05_every_cut_and_every_added_byte_is_found() {
    let whole = commit();
    for at in 0..whole.len() {
        assert!(read(&whole.slice(..at)).is_err(), "cut at {at}");
    }
    for byte in 0..=255 {
        let longer = Bytes::from([&whole[..], &[byte]].concat());
        assert_eq!(read(&longer).unwrap_err(), Error::Malformed);
    }
    let twice = Bytes::from([&whole[..], &whole[..]].concat());
    assert_eq!(read(&twice).unwrap_err(), Error::Malformed);
}

#[test]
fn inv05_events_stand_where_they_were_put() {
    let (header, events) = parts(&commit());
    let pick = |order: &[usize]| {
        let picked: Vec<_> = order.iter().map(|at| events[*at].clone()).collect();
        read(&framed(&header, &picked))
    };
    assert!(pick(&[0, 1, 2]).is_ok());
    let others: [&[usize]; 8] = [
        &[0, 1],
        &[0],
        &[1, 2],
        &[2],
        &[1, 0, 2],
        &[0, 2, 1],
        &[0, 1, 1, 2],
        &[0, 1, 2, 2],
    ];
    for order in others {
        let error = pick(order).unwrap_err();
        assert!(matches!(error, Error::Unopened { .. }), "{order:?}");
    }
    assert_eq!(pick(&[]).unwrap_err(), Error::Malformed);
}

#[test]
fn inv05_names_and_payloads_stay_with_their_fact() {
    let (header, events) = parts(&commit());
    let with = |change: &dyn Fn(&mut Vec<frame::RawEvent>)| {
        let mut events = events.clone();
        change(&mut events);
        read(&framed(&header, &events)).unwrap_err()
    };
    let first = Error::Ciphertext { index: 0 };
    assert_eq!(with(&|events| events[0].names = None), first);
    assert_eq!(with(&|events| events[0].payload = None), first);
    assert_eq!(with(&|e| e[0].payload = e[0].names.clone()), first);
    assert_eq!(with(&|e| e[0].names = e[2].names.clone()), first);
    let swapped = with(&|events| {
        let event = &mut events[0];
        std::mem::swap(&mut event.names, &mut event.payload);
    });
    assert_eq!(swapped, first);
    let added = with(&|e| e[1].payload = e[0].payload.clone());
    assert_eq!(added, Error::Ciphertext { index: 1 });
    let empty = with(&|events| events[1].names = Some(Bytes::new()));
    assert_eq!(empty, Error::Ciphertext { index: 1 });
}

#[test]
fn inv05_events_stay_under_their_header() {
    let [epoch, other] = epochs();
    let (_, events) = parts(&commit());
    let base = header(&[epoch.id]);
    let process = ProcessId::from_bytes([0xdd; 16]);
    let others = [
        Header {
            wallet: WalletId::from_bytes([0xdd; 16]),
            ..base.clone()
        },
        Header {
            subject: Subject::Decided(Generation(2)),
            ..base.clone()
        },
        Header {
            subject: Subject::Observed(Generation::FIRST, process),
            ..base.clone()
        },
        Header {
            previous: CommitHash::NONE,
            ..base.clone()
        },
        Header {
            writer: process,
            ..base.clone()
        },
        Header {
            time: base.time.plus(1),
            ..base.clone()
        },
        Header {
            fact_keys: vec![epoch.id, other.id],
            ..base.clone()
        },
        Header {
            fact_keys: vec![epoch.id, epoch.id],
            ..base
        },
    ];
    for header in others {
        let (bytes, _) = parts(&encode(&header, &entries(), &epoch, &mut Counter::new(1)));
        let error = read(&framed(&bytes, &events)).unwrap_err();
        assert_eq!(error, Error::Unopened { index: 0 }, "{header:?}");
    }
}

#[test]
fn inv05_an_event_stays_under_its_key() {
    let [epoch, other] = epochs();
    // The same key twice: it would open under either index, if the index were not bound.
    for second in [epoch.id, other.id] {
        let header = header(&[epoch.id, second]);
        let whole = encode(&header, &entries(), &epoch, &mut Counter::new(1));
        assert!(read(&whole).is_ok());
        let (header, mut events) = parts(&whole);
        events[1].key = 1;
        let error = read(&framed(&header, &events)).unwrap_err();
        assert_eq!(error, Error::Unopened { index: 1 });
        events[1].key = 2;
        let error = read(&framed(&header, &events)).unwrap_err();
        assert_eq!(error, Error::Malformed);
    }
}

#[test]
fn a_frame_has_one_form_only() {
    let whole = commit();
    // The array of two, its length written longer than it needs to be.
    for head in [&[0x98, 2][..], &[0x99, 0, 2], &[0x9a, 0, 0, 0, 2], &[0x9f]] {
        let longer = Bytes::from([head, &whole[1..]].concat());
        assert_eq!(Sealed::parse(&longer).unwrap_err(), Error::Malformed);
    }
    // Counts and lengths beyond any memory.
    for head in [
        &[0x82, 0x40, 0x9b, 255, 255, 255, 255, 255, 255, 255, 255][..],
        &[0x82, 0x5b, 255, 255, 255, 255, 255, 255, 255, 255],
        &[0x82, 0x41, 0x81, 0x9a, 0x7f, 255, 255, 255, 0x84, 0],
    ] {
        let lie = Bytes::copy_from_slice(head);
        assert_eq!(Sealed::parse(&lie).unwrap_err(), Error::Malformed);
    }
}

#[test]
fn statements_stand_on_their_subject_only() {
    let statements = [
        Statement::KeyChange("a note\n".to_owned()),
        Statement::Checkpoint("another — note\n".to_owned()),
    ];
    let header = Header {
        subject: Subject::Checkpoint(Generation::FIRST),
        ..header(&[])
    };
    let whole = encode_statements(&header, &statements);
    let read = Sealed::parse(&whole).unwrap();
    assert_eq!(read.statements(), statements);
    assert_eq!((&read.header, read.len()), (&header, 0));
    assert!(read.open(|_| None).unwrap().is_empty());
    for at in 0..whole.len() {
        let cut = whole.slice(..at);
        assert_eq!(Sealed::parse(&cut).unwrap_err(), Error::Malformed);
    }
    let longer = Bytes::from([&whole[..], &[0]].concat());
    assert_eq!(Sealed::parse(&longer).unwrap_err(), Error::Malformed);
    let number = whole.len() - 2 - "another — note\n".len();
    let mut unknown = whole.to_vec();
    unknown[number] = 3;
    let error = Sealed::parse(&Bytes::from(unknown)).unwrap_err();
    assert_eq!(error, Error::Statement(3));
    // Events do not stand there, nor statements elsewhere.
    let [epoch, _] = epochs();
    let (bytes, _) = frame::header(&whole).unwrap();
    let (decided, events) = parts(&commit());
    assert!(Sealed::parse(&framed(&bytes, &events)).is_err());
    let mut writer = frame::Writer::new(&decided, 1);
    writer.statement(1, "note\n");
    assert!(Sealed::parse(&writer.finish()).is_err());
    // A header that names a key has no place there.
    let with_key = Header {
        fact_keys: vec![epoch.id],
        ..header
    };
    let mut writer = frame::Writer::new(&encode_header(&with_key), 1);
    writer.statement(1, "note\n");
    assert!(Sealed::parse(&writer.finish()).is_err());
}

#[test]
fn hashes_of_commits_and_of_ciphertexts_differ() {
    let hash = ciphertext_hash(b"same");
    assert_ne!(hash, ByteArray::new(*CommitHash::of(b"same").as_bytes()));
    assert_ne!(CommitHash::of(b""), CommitHash::NONE);
}

proptest! {
    #[test]
    fn no_bytes_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let noise = Bytes::from(noise);
        prop_assert!(read(&noise).is_err());
    }

    #[test]
    fn inv05_no_two_changes_make_up_for_each_other(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let whole = commit();
        let mut changed = whole.to_vec();
        for (at, change) in changes {
            let at = at.index(changed.len());
            changed[at] ^= change;
        }
        prop_assume!(changed != whole);
        prop_assert!(read(&Bytes::from(changed)).is_err());
    }
}
