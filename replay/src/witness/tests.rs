use billfold_core::{
    id::WalletId,
    keys::{CheckpointSeed, CosignerSeed},
    proof::{Frontier, KeyName, Signer, Submission, path},
    subject::Generation,
};

use super::*;

/// A log in memory.
struct Log {
    leaves: Vec<Hash>,
    signer: Signer,
}

impl path::Hashes for Log {
    type Error = std::convert::Infallible;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, Self::Error> {
        let (from, to) = ((index << level) as usize, ((index + 1) << level) as usize);
        Ok(frontier(&self.leaves[from..to]).root())
    }
}

fn frontier(leaves: &[Hash]) -> Frontier {
    let mut grown = Frontier::default();
    leaves
        .iter()
        .for_each(|leaf| grown.append(*leaf, |_, _| ()));
    grown
}

impl Log {
    fn of(size: u64, seed: u64) -> Self {
        let leaf = |n: u64| Hash::leaf(&[n.to_be_bytes(), seed.to_be_bytes()].concat());
        let origin = KeyName::origin(WalletId::from_bytes([1; 16]), Generation::FIRST);
        let signer = Signer::of_checkpoints(origin, &CheckpointSeed::danger_from_bytes(&[7; 32]));
        Self {
            leaves: (0..size).map(leaf).collect(),
            signer,
        }
    }

    fn note(&self, size: u64) -> Note {
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().clone(),
            size,
            root: frontier(&self.leaves[..size as usize]).root(),
        };
        checkpoint.sign(&self.signer).unwrap()
    }

    fn shown(&self, from: u64, to: u64) -> Shown {
        Shown {
            note: self.note(to),
            proof: Some(path::consistency(self, from, to).unwrap()),
        }
    }

    fn keys(&self) -> [VerifierKey; 1] {
        [self.signer.verifier()]
    }
}

#[test]
fn only_growth_is_signed() {
    let log = Log::of(20, 0);
    let keys = log.keys();
    assert_eq!(follows(None, &log.shown(0, 7), &keys).unwrap().size, 7);
    let last = log.note(7);
    assert_eq!(
        follows(Some(&last), &log.shown(7, 20), &keys).unwrap().size,
        20
    );
    assert_eq!(
        follows(Some(&last), &log.shown(7, 7), &keys).unwrap().size,
        7
    );
    let back = follows(Some(&last), &log.shown(0, 6), &keys).unwrap_err();
    assert!(matches!(back, Refusal::RolledBack { .. }));
    let fork = Log::of(20, 1);
    for shown in [fork.shown(7, 20), fork.shown(7, 7), log.shown(6, 20)] {
        let refused = follows(Some(&last), &shown, &keys).unwrap_err();
        // What does not lead there is no evidence by itself.
        match size_of(&shown.note) {
            7 => assert!(matches!(refused, Refusal::Forked { .. })),
            _ => assert!(matches!(refused, Refusal::Unproven { .. })),
        }
        // Both notes are told: they are the evidence.
        let told = refused.to_string();
        assert!(told.contains(&last.to_string()) && told.contains(&shown.note.to_string()));
    }
    let other = Signer::of_checkpoints(
        keys[0].name().clone(),
        &CheckpointSeed::danger_from_bytes(&[8; 32]),
    );
    let refused = follows(None, &log.shown(0, 7), &[other.verifier()]);
    assert!(matches!(refused, Err(Refusal::Checkpoint(_))));
}

#[test]
fn a_witness_remembers_what_it_signed_and_works_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (file, key_file) = (dir.path().join("last"), dir.path().join("key"));
    let verifier = generate("witness.example/1", &key_file).unwrap();
    let key = WitnessKey::read(&key_file).unwrap();
    assert_eq!(key.verifier(), verifier);
    assert!(
        generate("witness.example/1", &key_file).is_err(),
        "it is kept"
    );
    let mut memory = Memory::open(&file).unwrap();
    assert!(memory.last().is_none());
    assert!(Memory::open(&file).is_err(), "one witness at a time");
    let note = Log::of(5, 0).note(5);
    let cosigned = cosign(&mut memory, &key, note.clone()).unwrap();
    assert!(cosigned.verify(&verifier).unwrap().unwrap() > 1_600_000_000);
    drop(memory);
    assert_eq!(Memory::open(&file).unwrap().last(), Some(&note));
    // What is lost is not begun anew without a word.
    std::fs::remove_file(&file).unwrap();
    let lost = Memory::open(&file).unwrap_err().to_string();
    assert!(lost.contains("it is gone"), "{lost}");
    std::fs::write(&file, "what\n").unwrap();
    assert!(Memory::open(&file).is_err());
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(WitnessKey::read(&key_file).is_err());
    let seed = CosignerSeed::danger_from_bytes(&[1; 32]);
    assert_eq!(format!("{seed:?}"), "CosignerSeed(…)");
}

/// A witness that serves, with its memory in this folder.
fn served(dir: &std::path::Path, keys: Vec<VerifierKey>) -> Result<Served, Error> {
    let key_file = dir.join("key");
    if !key_file.exists() {
        generate("witness.example/1", &key_file).unwrap();
    }
    let memory = Memory::open(&dir.join("last")).unwrap();
    Served::new(keys, WitnessKey::read(&key_file).unwrap(), memory, None)
}

#[test]
fn a_witness_that_serves_signs_with_keys_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let (log, fork) = (Log::of(30, 0), Log::of(30, 1));
    let changed = Log {
        signer: Signer::of_checkpoints(
            log.keys()[0].name().clone(),
            &CheckpointSeed::danger_from_bytes(&[8; 32]),
        ),
        leaves: log.leaves.clone(),
    };
    let keys = vec![log.signer.verifier(), changed.signer.verifier()];
    let witness = served(dir.path(), keys).unwrap();
    let add = |log: &Log, old: u64, to: u64| {
        let shown = log.shown(old, to);
        let submission = Submission {
            old,
            proof: shown.proof.unwrap(),
            checkpoint: shown.note,
        };
        witness.add(submission).unwrap()
    };
    assert!(matches!(add(&log, 0, 10), Answer::Cosigned(_)));
    assert!(matches!(add(&fork, 10, 10), Answer::Forked(10, _)));
    assert!(matches!(add(&fork, 10, 20), Answer::Unproven));
    assert!(matches!(add(&changed, 10, 20), Answer::Cosigned(_)));
    // Whoever has the key that gave way can do nothing with it, not even with what is true.
    assert!(matches!(add(&fork, 20, 25), Answer::Unsigned));
    assert!(matches!(add(&log, 20, 25), Answer::Unsigned));
    assert!(matches!(add(&changed, 20, 30), Answer::Cosigned(_)));
    drop(witness);
    // Its memory is of the newer key: it does not go on without it.
    let only_old = served(dir.path(), vec![log.signer.verifier()]);
    assert!(only_old.is_err());
}

#[test]
fn what_a_witness_answers_is_its_signature_of_that_text() {
    let dir = tempfile::tempdir().unwrap();
    let verifier = generate("witness.example/1", &dir.path().join("key")).unwrap();
    let key = WitnessKey::read(&dir.path().join("key")).unwrap();
    let remote = Remote::new("http://127.0.0.1:1", verifier.clone()).unwrap();
    let note = Log::of(9, 0).note(9);
    let sign = |note: &Note, time| note.cosign(key.signer(), time).to_string();
    let good = sign(&note, 1_700_000_000);
    assert_eq!(remote.cosigned(&note, &good).unwrap().to_string(), good);
    // One of many is enough, and all that is kept.
    let many: String = (0..40).map(|n| sign(&note, 1_700_000_000 + n)).collect();
    assert_eq!(remote.cosigned(&note, &many).unwrap().to_string(), good);
    // A signature of a text that only begins as the checkpoint does.
    let longer = Note::new(format!("{}\nx\n", note.text())).unwrap();
    let hidden = format!("x\n\n{}", sign(&longer, 1_700_000_000));
    assert_eq!(remote.cosigned(&note, &hidden), None);
    let other = Log::of(8, 0).note(8);
    for bad in [
        "",
        "\n",
        "x",
        &sign(&other, 1_700_000_000),
        &note.to_string(),
    ] {
        assert_eq!(remote.cosigned(&note, bad), None, "{bad:?}");
    }
}
