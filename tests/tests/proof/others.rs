//! Notes, checkpoints and proofs, checked with other people's code.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use signed_note::{Note, StandardVerifier, VerifierList, key_id};
use tlog_tiles::{Checkpoint, Hash, check_record, check_tree};

fn hash(text: &str) -> Hash {
    Hash(BASE64_STANDARD.decode(text).unwrap().try_into().unwrap())
}

fn proof(told: &Value) -> Vec<Hash> {
    let hashes = told["proof"].as_array().unwrap().iter();
    hashes.map(|text| hash(text.as_str().unwrap())).collect()
}

fn verifier(key: &str) -> VerifierList {
    VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())])
}

fn is_signed(note: &[u8], key: &str) -> bool {
    let read = Note::from_bytes(note).ok();
    read.is_some_and(|note| note.verify(&verifier(key)).is_ok())
}

/// A key of nobody here, as C2SP writes it.
pub(crate) fn vkey(name: &str, seed: [u8; 32]) -> String {
    let seed = billfold_core::keys::CheckpointSeed::danger_from_bytes(&seed);
    let name = billfold_core::proof::KeyName::new(name).unwrap();
    let key = billfold_core::proof::Signer::of_checkpoints(name, &seed);
    key.verifier().to_string()
}

/// The note is signed by the key and says this; changed, it is not.
pub(crate) fn assert_checkpoint(note: &str, key: &str, size: u64, root: &str) {
    assert!(is_signed(note.as_bytes(), key));
    let read = Note::from_bytes(note.as_bytes()).unwrap();
    let checkpoint = Checkpoint::from_bytes(read.text()).unwrap();
    assert_eq!(checkpoint.size(), size);
    assert_eq!(*checkpoint.hash(), hash(root));
    assert_eq!(checkpoint.origin(), key.split('+').next().unwrap());
    assert_eq!(checkpoint.extension(), "");
    for at in 0..note.len() {
        let mut changed = note.as_bytes().to_vec();
        changed[at] ^= 1;
        assert!(!is_signed(&changed, key), "byte {at}");
    }
    assert!(!is_signed(
        note.as_bytes(),
        &vkey(checkpoint.origin(), [9; 32])
    ));
}

pub(crate) fn assert_inclusion(told: &Value) {
    let number = |name: &str| told[name].as_u64().unwrap();
    let text = |name: &str| hash(told[name].as_str().unwrap());
    let (size, index) = (number("size"), number("sequence") - 1);
    let (root, leaf, proof) = (text("root"), text("leaf"), proof(told));
    check_record(&proof, size, root, index, leaf).unwrap();
    assert!(check_record(&proof, size, leaf, index, leaf).is_err());
    assert!(check_record(&proof, size, root, index, root).is_err());
    for at in 0..proof.len() {
        let mut changed = proof.clone();
        changed[at].0[31] ^= 1;
        assert!(check_record(&changed, size, root, index, leaf).is_err());
        changed.remove(at);
        assert!(check_record(&changed, size, root, index, leaf).is_err());
    }
}

pub(crate) fn assert_consistency(told: &Value) {
    let number = |name: &str| told[name].as_u64().unwrap();
    let text = |name: &str| hash(told[name].as_str().unwrap());
    let (from, to, before, after) = (
        number("from"),
        number("to"),
        text("from_root"),
        text("to_root"),
    );
    let proof = proof(told);
    check_tree(&proof, to, after, from, before).unwrap();
    assert!(check_tree(&proof, to, before, from, before).is_err());
    assert!(check_tree(&proof, to, after, from, after).is_err());
    for at in 0..proof.len() {
        let mut changed = proof.clone();
        changed[at].0[0] ^= 1;
        assert!(check_tree(&changed, to, after, from, before).is_err());
    }
}

/// The log signed it, and the witness did as `c2sp.org/tlog-cosignature` says; what size it is of.
pub(crate) fn assert_cosigned(note: &str, key: &str, witness: &str) -> u64 {
    assert!(is_signed(note.as_bytes(), key));
    let read = Note::from_bytes(note.as_bytes()).unwrap();
    let mut parts = witness.splitn(3, '+');
    let (name, id) = (parts.next().unwrap(), parts.next().unwrap());
    let public = BASE64_STANDARD.decode(parts.next().unwrap()).unwrap();
    // The algorithm byte of timestamped Ed25519 cosignatures.
    assert_eq!(public[0], 4);
    assert_eq!(id, format!("{:08x}", key_id(name, &public)));
    let line = note
        .lines()
        .find(|line| line.starts_with(&format!("— {name} ")));
    let bytes = BASE64_STANDARD
        .decode(line.unwrap().rsplit(' ').next().unwrap())
        .unwrap();
    let (time, signature) = bytes[4..].split_at(8);
    let time = u64::from_be_bytes(time.try_into().unwrap());
    let mut signed = format!("cosignature/v1\ntime {time}\n").into_bytes();
    signed.extend_from_slice(read.text());
    let public: [u8; 32] = public[1..].try_into().unwrap();
    // As a note's own key it verifies the same bytes: that is other people's Ed25519.
    let plain = [&[1][..], &public].concat();
    let plain = format!(
        "w+{:08x}+{}",
        key_id("w", &plain),
        BASE64_STANDARD.encode(&plain)
    );
    let verifier = StandardVerifier::new(&plain).unwrap();
    assert!(signed_note::Verifier::verify(&verifier, &signed, signature));
    assert!(!signed_note::Verifier::verify(
        &verifier,
        read.text(),
        signature
    ));
    Checkpoint::from_bytes(read.text()).unwrap().size()
}
