//! The vectors of what is handed over: receipts.

use billfold_core::{
    Millis,
    commit::{self, CommitHash, Entry, Header, Sealed, ciphertext_hash},
    event::{
        Actor, Event, Fact,
        v1::{Operation, ResolutionRequested},
    },
    id::{PrincipalId, ProcessId, RequestId, Seq, TokenId},
    keys::wallet::{Epoch, WalletKeys},
    names::{RequestNames, request_names_place},
    proof::{
        Checkpoint, Hash, Receipt, VerifierKey,
        leaf::Leaves,
        receipt::{Disclosed, Error, ShownNames},
        tlog_proof,
    },
    subject::{Generation, Subject},
    test_entropy::Counter,
};
use bytes::Bytes;

use crate::{
    file::Vector,
    made::{Made, NO_OPEN, NO_PARSE, OPENS, RECORD, WALLET},
    notes::{origin, signer},
    read::{Outcome, Read},
};

const SEQ: Seq = Seq(2);
pub(crate) const WRITER: ProcessId = ProcessId::from_bytes([0x33; 16]);

pub(crate) fn message(epoch: &Epoch) -> Bytes {
    let mut entropy = Counter::new(72);
    let request = RequestId::from_bytes([0x77; 16]);
    let names = RequestNames {
        path: None,
        client: "192.0.2.1".to_owned(),
        execution: Some("run 7".to_owned()),
    };
    let place = request_names_place(WALLET, epoch.id, request);
    let names = billfold_core::cbor::encode(&names);
    let names = epoch.request_names.seal(&place, &names, &mut entropy);
    let asked = ResolutionRequested {
        request,
        operation: Operation::ReadData,
        mount: None,
        record: Some(RECORD),
        version: None,
        wrap_ttl: None,
        names: ciphertext_hash(&names),
    };
    let actor = Actor::Principal(
        PrincipalId::from_bytes([0x44; 16]),
        TokenId::from_bytes([0x45; 16]),
    );
    let entry = Entry {
        fact: Fact {
            actor,
            command: None,
            event: Event::ResolutionRequested(asked),
        },
        names: Some(names.into()),
        payload: None,
    };
    let header = Header {
        wallet: WALLET,
        subject: Subject::Observed(Generation::FIRST, WRITER),
        previous: CommitHash::NONE,
        writer: WRITER,
        time: Millis(1_800_000_000_000),
        fact_keys: vec![epoch.id],
    };
    commit::encode(&header, &[entry], epoch, &mut entropy)
}

pub(crate) fn receipt(shows_names: bool) -> Receipt {
    let mut keys = WalletKeys::generate(&mut Counter::new(71));
    let epoch = keys.epochs.remove(0);
    let message = message(&epoch);
    let subject = Subject::Observed(Generation::FIRST, WRITER);
    let leaf = Leaves::of(WALLET, Generation::FIRST).hash(SEQ, &subject, &message);
    let [first, third] = [b"first", b"third"].map(|leaf| Hash::leaf(leaf));
    let checkpoint = Checkpoint {
        origin: origin(),
        size: 3,
        root: Hash::node(&Hash::node(&first, &leaf), &third),
    };
    let sealed = Sealed::parse(&message).unwrap();
    let fact = sealed.disclose(0, &epoch).unwrap();
    let (entry, _) = sealed.open_disclosed(0, &fact).unwrap();
    let names = entry.names.filter(|_| shows_names);
    let names = names.map(|names| epoch.request_names.disclose(&names).unwrap());
    Receipt {
        seq: SEQ,
        subject,
        message,
        disclosed: vec![Disclosed {
            event: 0,
            fact,
            names,
        }],
        path: vec![first, third],
        checkpoint: checkpoint.sign(&signer(0xc1)).unwrap(),
    }
}

pub(crate) fn receipts() -> Made {
    let vector = |comment: &str, receipt: &Receipt| {
        Vector::new(comment, OPENS, receipt.to_proof().to_string().into_bytes())
            .with("key", signer(0xc1).verifier())
            .with("seq", SEQ)
            .with("size", 3)
            .with("event", "ResolutionRequested")
    };
    let plain = vector("a request, without what it named", &receipt(false));
    let named = vector("a request and what it named", &receipt(true)).with("execution", "run 7");
    let text = |vector: &Vector| String::from_utf8(vector.body.clone()).unwrap();
    let index_at = text(&plain).find("index 1").unwrap() + "index ".len();
    let extra_at = text(&plain).find("extra ").unwrap() + "extra ".len();
    vec![
        (
            "changed-index",
            plain.but(
                "the index is another than its sequence says",
                NO_PARSE,
                |b| {
                    b[index_at] = b'0';
                },
            ),
        ),
        (
            "changed-format",
            plain.but("it has a format that is not known", NO_OPEN, |b| {
                // The format is the first byte of what stands there: 1 becomes 5.
                assert_eq!(&b[extra_at..extra_at + 2], b"AY");
                b[extra_at..extra_at + 2].copy_from_slice(b"BY");
            }),
        ),
        (
            "changed-message",
            plain.but("a byte of the commit is changed", NO_OPEN, |b| {
                let at = extra_at + 120;
                b[at] = if b[at] == b'A' { b'B' } else { b'A' };
            }),
        ),
        (
            "other-key",
            plain
                .but("the key of the checkpoint is another one", NO_OPEN, |_| ())
                .replacing("key", signer(0xc3).verifier()),
        ),
        (
            "no-extra",
            plain.but("it is a proof without a receipt", NO_PARSE, |b| {
                let end = extra_at + b[extra_at..].iter().position(|c| *c == b'\n').unwrap() + 1;
                b.drain(extra_at - "extra ".len()..end);
            }),
        ),
        ("plain", plain),
        ("named", named),
    ]
}

pub(crate) fn read(vector: &Vector) -> Read {
    let receipt = Receipt::parse(&vector.body).map_err(|error| match error {
        Error::Format(_) => Outcome::OpenFailure,
        _ => Outcome::ParseFailure,
    })?;
    assert_eq!(receipt.to_proof().to_string().as_bytes(), vector.body);
    let key: VerifierKey = vector.one("key").parse().unwrap();
    let shown = receipt.verified(&key).map_err(|error| match error {
        Error::Proof(tlog_proof::Error::Malformed) => Outcome::ParseFailure,
        _ => Outcome::OpenFailure,
    })?;
    assert_eq!(receipt.seq.to_string(), vector.one("seq"));
    assert_eq!(shown.checkpoint.size.to_string(), vector.one("size"));
    let [event] = &shown.entries[..] else {
        panic!("one event is shown");
    };
    assert_eq!(event.entry.fact.event.name(), vector.one("event"));
    if let Some(ShownNames::Request(names)) = &event.names {
        assert_eq!(names.execution.as_deref(), Some(vector.one("execution")));
    }
    Ok(())
}
