//! The vectors of commits. The corrupt ones are put together without the writer.

use billfold_core::{
    Millis, cbor,
    commit::{self, CommitHash, Entry, Header, ciphertext_hash},
    event::{
        Actor, CommandRef, Event, Fact, SealedRef,
        v1::{CredentialWritten, MountDisabled},
    },
    id::{FactKeyId, PageId, ProcessId},
    keys::{FactKey, RequestNameKey, page::KeyRef, wallet::Epoch},
    proof::Statement,
    seal::Place,
    subject::{Generation, Subject},
    test_entropy::Counter,
};
use bytes::Bytes;

use crate::{
    facts,
    file::Vector,
    made::{MOUNT, Made, NO_OPEN, NO_PARSE, OPENS, RECORD, WALLET},
    notes, read,
};

pub(crate) fn commits() -> Made {
    let Writer { epoch, line } = writer(0x10);
    let vector = |comment: &str, header: &Header, entries: &[Entry], seed| {
        let body = commit::encode(header, entries, &epoch, &mut Counter::new(seed));
        let vector = Vector::new(comment, OPENS, body.to_vec())
            .with("fact-key", &line)
            .with("wallet", header.wallet)
            .with("subject", header.subject)
            .with_hex("previous", header.previous.as_bytes())
            .with("writer", header.writer)
            .with("time", header.time.0)
            .with_hex("hash", CommitHash::of(&body).as_bytes());
        entries.iter().fold(vector, |vector, entry| {
            vector.with("entry", read::describe(entry))
        })
    };
    let decided = header(epoch.id);
    let observed = Header {
        subject: Subject::Observed(Generation::FIRST, ProcessId::from_bytes([0xcc; 16])),
        previous: CommitHash::NONE,
        ..decided.clone()
    };
    let entries = [
        written(1, b"payload one", Some(b"names one")),
        written(2, b"payload two", None),
        entry(
            Event::MountDisabled(MountDisabled { mount: MOUNT }),
            None,
            None,
        ),
    ];
    let refused = facts::all()
        .into_iter()
        .find(|(name, _)| *name == "requests-refused");
    let refused = Entry {
        fact: refused.unwrap().1,
        names: None,
        payload: None,
    };
    let three = vector("three events, decided", &decided, &entries, 10);
    let one = vector(
        "one event, the first that a process observed",
        &observed,
        &[refused],
        11,
    );
    // Put together again without the writer, so that the parts can be moved.
    let sealed = frame_of(&decided, &epoch, &entries, 10);
    assert_eq!(framed(&sealed.0, &sealed.1), three.body);
    let (head_bytes, events) = &sealed;
    let order = |order: &[usize]| {
        let events: Vec<_> = order.iter().map(|at| events[*at].clone()).collect();
        framed(head_bytes, &events)
    };
    let instead = |comment: &str, expect: &str, bytes: Vec<u8>| {
        three.but(comment, expect, |body| *body = bytes)
    };
    let other_header = frame_of(&observed, &epoch, &entries, 12).0;
    let longer = [&[0x98, 2], &three.body[1..]].concat();
    let swapped = {
        let mut moved = events.clone();
        let at = |event: &[u8], text: &[u8]| {
            event
                .windows(text.len())
                .position(|window| window == text)
                .unwrap()
        };
        let (first, second) = (
            at(&events[0], b"payload one"),
            at(&events[1], b"payload two"),
        );
        moved[0][first..][..11].copy_from_slice(b"payload two");
        moved[1][second..][..11].copy_from_slice(b"payload one");
        framed(head_bytes, &moved)
    };
    let checkpoints = Header {
        subject: Subject::Checkpoint(Generation::FIRST),
        previous: CommitHash::NONE,
        fact_keys: Vec::new(),
        ..decided.clone()
    };
    let statements = [
        Statement::KeyChange(notes::key_change(0xc1, 0xc1).to_string()),
        Statement::Checkpoint(notes::checkpoint(42).to_string()),
    ];
    let stated = commit::encode_statements(&checkpoints, &statements);
    let stated = Vector::new("two statements, the first of all", OPENS, stated.to_vec())
        .with("wallet", checkpoints.wallet)
        .with("subject", checkpoints.subject)
        .with_hex("previous", checkpoints.previous.as_bytes())
        .with("writer", checkpoints.writer)
        .with("time", checkpoints.time.0)
        .with_hex("hash", CommitHash::of(&stated).as_bytes());
    let stated = statements.iter().fold(stated, |vector, statement| {
        vector.with("statement", read::describe_statement(statement))
    });
    // An array of two statements, the first of them an array of two, its number.
    let number = stated.body.windows(3).position(|w| w == [0x82, 0x82, 0x02]);
    let number = number.unwrap() + 2;
    let end = three.body.len() - 1;
    // Inside the commit: array of two, length of the header, array of seven, format.
    assert_eq!(three.body[..5], [0x82, 0x58, three.body[2], 0x87, 0x01]);
    let mut made = vec![
        (
            "unknown-statement",
            stated.but("a statement of number 3", NO_PARSE, |b| b[number] = 3),
        ),
        (
            "no-statements",
            stated.but("no statement", NO_PARSE, |b| {
                b.truncate(number - 2);
                b.push(0x80);
            }),
        ),
        (
            "statements-elsewhere",
            instead("statements on decided", NO_PARSE, {
                let head = &three.body[..3 + usize::from(three.body[2])];
                [head, &stated.body[number - 2..]].concat()
            }),
        ),
        ("statements", stated),
        (
            "changed-header",
            three.but("a byte of the previous hash is changed", NO_OPEN, |b| {
                let at = b.windows(32).position(|window| window == [0x12; 32]);
                b[at.unwrap()] ^= 1;
            }),
        ),
        (
            "changed-fact",
            three.but("a byte of the last fact is changed", NO_OPEN, |b| {
                b[end - 2] ^= 1
            }),
        ),
        (
            "dropped-last",
            instead("the last event is missing", NO_OPEN, order(&[0, 1])),
        ),
        (
            "dropped-first",
            instead("the first event is missing", NO_OPEN, order(&[1, 2])),
        ),
        (
            "swapped-events",
            instead("two events have changed places", NO_OPEN, order(&[1, 0, 2])),
        ),
        (
            "repeated-event",
            instead(
                "the last event stands there twice",
                NO_OPEN,
                order(&[0, 1, 2, 2]),
            ),
        ),
        (
            "swapped-payloads",
            instead("two payloads have changed places", NO_OPEN, swapped),
        ),
        (
            "other-header",
            instead(
                "the header of another commit",
                NO_OPEN,
                framed(&other_header, events),
            ),
        ),
        (
            "other-key",
            three
                .but("the fact key is another", NO_OPEN, |_| ())
                .replacing("fact-key", line.replace("1111", "1112")),
        ),
        (
            "no-key",
            three
                .but("the wallet does not have the fact key", NO_OPEN, |_| ())
                .replacing("fact-key", writer(0x20).line),
        ),
        (
            "unknown-format",
            three.but("format 2", NO_PARSE, |b| b[4] = 2),
        ),
        ("no-events", instead("no events", NO_PARSE, order(&[]))),
        (
            "cut",
            three.but("the last byte is missing", NO_PARSE, |b| b.truncate(end)),
        ),
        (
            "trailing",
            three.but("a byte stands behind the end", NO_PARSE, |b| b.push(0xf6)),
        ),
        (
            "longer-length",
            instead("a length is not in its shortest form", NO_PARSE, longer),
        ),
        (
            "unknown-kind",
            instead("an event of kind 999", NO_OPEN, of_unknown_kind(&epoch)),
        ),
    ];
    made.extend([("three-events", three), ("one-event", one)]);
    made
}

struct Writer {
    epoch: Epoch,
    line: String,
}

fn writer(byte: u8) -> Writer {
    let [facts, names] = [[byte + 1; 32], [byte + 2; 32]];
    let id = FactKeyId::from_bytes([byte; 16]);
    Writer {
        line: format!("{id} 1 {} {}", hex::encode(facts), hex::encode(names)),
        epoch: Epoch {
            id,
            number: 1,
            facts: FactKey::danger_from_bytes(&facts),
            request_names: RequestNameKey::danger_from_bytes(&names),
        },
    }
}

fn header(fact_key: FactKeyId) -> Header {
    Header {
        wallet: WALLET,
        subject: Subject::Decided(Generation::FIRST),
        previous: CommitHash::from_bytes([0x12; 32]),
        writer: ProcessId::from_bytes([0xcc; 16]),
        time: Millis(1_800_000_000_000),
        fact_keys: vec![fact_key],
    }
}

pub(crate) fn entry(
    event: Event,
    names: Option<&'static [u8]>,
    payload: Option<&'static [u8]>,
) -> Entry {
    Entry {
        fact: Fact {
            actor: Actor::System,
            command: None,
            event,
        },
        names: names.map(Bytes::from_static),
        payload: payload.map(Bytes::from_static),
    }
}

pub(crate) fn key_ref(slot: u8) -> KeyRef {
    KeyRef {
        page: PageId::from_bytes([0x66; 16]),
        slot,
    }
}

fn sealed_ref(slot: u8, bytes: &[u8]) -> SealedRef {
    SealedRef {
        key: key_ref(slot),
        hash: ciphertext_hash(bytes),
    }
}

pub(crate) fn written(version: u32, payload: &'static [u8], names: Option<&'static [u8]>) -> Entry {
    let slot = u8::try_from(version).unwrap() * 2;
    let event = CredentialWritten {
        record: RECORD,
        mount: MOUNT,
        version,
        payload: sealed_ref(slot, payload),
        names: names.map(|names| sealed_ref(slot + 1, names)),
        retired_names: None,
        deletes_at: None,
        trimmed: Vec::new(),
    };
    entry(Event::CredentialWritten(event), names, Some(payload))
}

/// The head of a CBOR array, byte string or number, by RFC 8949.
fn head(major: u8, value: usize) -> Vec<u8> {
    let major = major << 5;
    match value {
        0..24 => vec![major | u8::try_from(value).unwrap()],
        24..256 => vec![major | 24, u8::try_from(value).unwrap()],
        _ => {
            let [high, low] = u16::try_from(value).unwrap().to_be_bytes();
            vec![major | 25, high, low]
        }
    }
}

fn byte_string(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len()), bytes.to_vec()].concat()
}

/// An event of a commit, as the frame has it.
fn framed_event(key: usize, fact: &[u8], names: Option<&[u8]>, payload: Option<&[u8]>) -> Vec<u8> {
    let optional = |part: Option<&[u8]>| part.map_or(vec![0xf6], byte_string);
    let parts = [optional(names), optional(payload)];
    [head(4, 4), head(0, key), byte_string(fact), parts.concat()].concat()
}

fn framed(header: &[u8], events: &[Vec<u8>]) -> Vec<u8> {
    let events = [head(4, events.len()), events.concat()].concat();
    [head(4, 2), byte_string(header), events].concat()
}

/// Header and framed events, sealed as `commit::encode` does with the same seed.
fn frame_of(
    header: &Header,
    epoch: &Epoch,
    entries: &[Entry],
    seed: u64,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let fields = [
        vec![0x01],
        byte_string(header.wallet.as_bytes()),
        cbor::encode(&header.subject.to_string()),
        byte_string(header.previous.as_bytes()),
        byte_string(header.writer.as_bytes()),
        cbor::encode(&header.time.0),
        head(4, 1),
        byte_string(epoch.id.as_bytes()),
    ];
    let header = [head(4, 7), fields.concat()].concat();
    let mut entropy = Counter::new(seed);
    let seal = |(index, entry): (usize, &Entry)| {
        let place = fact_place(&header, index, entries.len());
        let fact = epoch.facts.seal(&place, &entry.fact.encode(), &mut entropy);
        framed_event(0, &fact, entry.names.as_deref(), entry.payload.as_deref())
    };
    let events = entries.iter().enumerate().map(seal).collect();
    (header, events)
}

fn fact_place(header: &[u8], index: usize, count: usize) -> Place {
    Place::new()
        .and(header)
        .and_number(0)
        .and_number(index as u64)
        .and(&[u8::from(index + 1 == count)])
}

fn of_unknown_kind(epoch: &Epoch) -> Vec<u8> {
    let (header, _) = frame_of(&header(epoch.id), epoch, &[], 13);
    let fact = cbor::encode(&(999_u16, Actor::System, None::<CommandRef>));
    let place = fact_place(&header, 0, 1);
    let fact = epoch.facts.seal(&place, &fact, &mut Counter::new(13));
    framed(&header, &[framed_event(0, &fact, None, None)])
}
