use bytes::Bytes;

use super::*;
use crate::{
    Millis,
    commit::{CommitHash, ciphertext_hash},
    event::{
        Actor, Fact,
        v1::{Operation, ResolutionRequested, VersionsDeleted},
    },
    id::{PrincipalId, ProcessId, RecordId, RequestId, TokenId},
    keys::{
        CheckpointSeed,
        wallet::{Epoch, WalletKeys},
    },
    proof::{KeyName, Signer},
    subject::Generation,
    test_entropy::Counter,
};

const WALLET: WalletId = WalletId::from_bytes([1; 16]);
const SEQ: Seq = Seq(2);

fn epoch(seed: u64) -> Epoch {
    WalletKeys::generate(&mut Counter::new(seed))
        .epochs
        .remove(0)
}

fn subject() -> Subject {
    Subject::Observed(Generation::FIRST, ProcessId::from_bytes([3; 16]))
}

fn signer(byte: u8) -> Signer {
    let origin = KeyName::origin(WALLET, Generation::FIRST);
    Signer::of_checkpoints(origin, &CheckpointSeed::danger_from_bytes(&[byte; 32]))
}

/// A commit of a request and of an event that stays closed.
fn commit(epoch: &Epoch) -> Bytes {
    let mut entropy = Counter::new(40);
    let request = RequestId::from_bytes([7; 16]);
    let names = RequestNames {
        path: Some("teams/a".to_owned()),
        client: "192.0.2.1".to_owned(),
        execution: Some("run 7".to_owned()),
    };
    let place = request_names_place(WALLET, epoch.id, request);
    let sealed = epoch
        .request_names
        .seal(&place, &cbor::encode(&names), &mut entropy);
    let asked = ResolutionRequested {
        request,
        operation: Operation::ReadData,
        mount: None,
        record: Some(RecordId::from_bytes([5; 16])),
        version: None,
        wrap_ttl: None,
        names: ciphertext_hash(&sealed),
    };
    let fact = |event| Fact {
        actor: Actor::Principal(
            PrincipalId::from_bytes([8; 16]),
            TokenId::from_bytes([9; 16]),
        ),
        command: None,
        event,
    };
    let asked = Entry {
        fact: fact(Event::ResolutionRequested(asked)),
        names: Some(sealed.into()),
        payload: None,
    };
    let other = Entry {
        fact: fact(Event::VersionsDeleted(VersionsDeleted {
            record: RecordId::from_bytes([5; 16]),
            versions: vec![1],
        })),
        names: None,
        payload: None,
    };
    let header = Header {
        wallet: WALLET,
        subject: subject(),
        previous: CommitHash::NONE,
        writer: ProcessId::from_bytes([3; 16]),
        time: Millis(1_800_000_000_000),
        fact_keys: vec![epoch.id],
    };
    crate::commit::encode(&header, &[asked, other], epoch, &mut entropy)
}

/// A receipt of the request, in a log of three messages.
fn receipt(epoch: &Epoch) -> Receipt {
    let message = commit(epoch);
    let leaves = Leaves::of(WALLET, Generation::FIRST);
    let leaf = leaves.hash(SEQ, &subject(), &message);
    let [first, last] = [b"first", b"third"].map(|leaf| Hash::leaf(leaf));
    let checkpoint = Checkpoint {
        origin: KeyName::origin(WALLET, Generation::FIRST),
        size: 3,
        root: Hash::node(&Hash::node(&first, &leaf), &last),
    };
    let sealed = Sealed::parse(&message).unwrap();
    let (entry, _) = {
        let fact = sealed.disclose(0, epoch).unwrap();
        sealed.open_disclosed(0, &fact).unwrap()
    };
    let disclosed = Disclosed {
        event: 0,
        fact: sealed.disclose(0, epoch).unwrap(),
        names: Some(epoch.request_names.disclose(&entry.names.unwrap()).unwrap()),
    };
    Receipt {
        seq: SEQ,
        subject: subject(),
        message,
        disclosed: vec![disclosed],
        path: vec![first, last],
        checkpoint: checkpoint.sign(&signer(4)).unwrap(),
    }
}

fn parsed(text: &str) -> Result<Receipt, Error> {
    Receipt::parse(text.as_bytes())
}

#[test]
fn it_shows_what_is_disclosed_and_nothing_else() {
    let epoch = epoch(1);
    let text = receipt(&epoch).to_proof().to_string();
    let read = parsed(&text).unwrap();
    let shown = read.verified(&signer(4).verifier()).unwrap();
    assert_eq!((shown.checkpoint.size, shown.events), (3, 2));
    let [event] = &shown.entries[..] else {
        panic!("one event is shown");
    };
    assert!(
        matches!(&event.entry.fact.event, Event::ResolutionRequested(asked)
        if asked.operation == Operation::ReadData)
    );
    let Some(ShownNames::Request(names)) = &event.names else {
        panic!("the names are those of a request");
    };
    assert_eq!(names.path.as_deref(), Some("teams/a"));
    // What opens the one event opens no other, and no other's names.
    let sealed = Sealed::parse(&read.message).unwrap();
    let disclosed = &read.disclosed[0];
    assert!(sealed.open_disclosed(1, &disclosed.fact).is_err());
    assert!(
        sealed
            .open_disclosed(1, disclosed.names.as_ref().unwrap())
            .is_err()
    );
    assert!(
        sealed
            .open_disclosed(0, disclosed.names.as_ref().unwrap())
            .is_err()
    );
}

#[test]
fn what_is_not_so_is_refused() {
    let epoch = epoch(1);
    let key = signer(4).verifier();
    let refused = |change: &dyn Fn(&mut Receipt)| {
        let mut changed = receipt(&epoch);
        change(&mut changed);
        let text = changed.to_proof().to_string();
        parsed(&text)
            .and_then(|read| read.verified(&key).map(drop))
            .unwrap_err()
    };
    let unproven = Error::Proof(tlog_proof::Error::Unproven(super::super::path::Unproven));
    assert_eq!(refused(&|receipt| receipt.seq = Seq(1)), unproven);
    assert_eq!(refused(&|receipt| receipt.seq = Seq(0)), Error::Misplaced);
    let decided = Subject::Decided(Generation::FIRST);
    assert_eq!(refused(&|receipt| receipt.subject = decided), unproven);
    let cut = |receipt: &mut Receipt| {
        receipt.message = receipt.message.slice(..receipt.message.len() - 1);
    };
    assert_eq!(refused(&cut), unproven);
    assert_eq!(refused(&|receipt| receipt.path.swap(0, 1)), unproven);
    let closed = |receipt: &mut Receipt| receipt.disclosed[0].event = 1;
    assert_eq!(
        refused(&closed),
        Error::Commit(commit::Error::Unopened { index: 1 })
    );
    let beyond = |receipt: &mut Receipt| receipt.disclosed[0].event = 2;
    assert_eq!(refused(&beyond), Error::Commit(commit::Error::Malformed));
    let swapped = |receipt: &mut Receipt| {
        let disclosed = &mut receipt.disclosed[0];
        let names = disclosed.names.take().unwrap();
        disclosed.names = Some(std::mem::replace(&mut disclosed.fact, names));
    };
    assert_eq!(
        refused(&swapped),
        Error::Commit(commit::Error::Unopened { index: 0 })
    );
    let by_another = |receipt: &mut Receipt| {
        let checkpoint = Checkpoint::parse(receipt.checkpoint.text()).unwrap();
        receipt.checkpoint = checkpoint.sign(&signer(5)).unwrap();
    };
    assert!(matches!(refused(&by_another), Error::Proof(_)));
}

#[test]
fn what_is_no_receipt_is_refused() {
    let epoch = epoch(1);
    let proof = receipt(&epoch).to_proof();
    let with = |extra: Option<Vec<u8>>| {
        let changed = TlogProof {
            extra,
            ..proof.clone()
        };
        parsed(&changed.to_string()).map(drop)
    };
    let extra = proof.extra.clone().unwrap();
    assert_eq!(with(None), Err(Error::Malformed));
    assert_eq!(with(Some(Vec::new())), Err(Error::Malformed));
    let later = [&[2], &extra[1..]].concat();
    assert_eq!(with(Some(later)), Err(Error::Format(2)));
    let more = [&extra[..], &[0]].concat();
    assert_eq!(with(Some(more)), Err(Error::Malformed));
    for end in 0..extra.len() {
        assert!(with(Some(extra[..end].to_vec())).is_err(), "cut at {end}");
    }
}
