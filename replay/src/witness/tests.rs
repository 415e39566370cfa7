use billfold_core::{
    id::WalletId,
    keys::{CheckpointSeed, CosignerSeed},
    proof::{Frontier, KeyName, Signer, path},
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
        assert!(matches!(refused, Refusal::Forked { .. }));
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
    std::fs::write(&file, "what\n").unwrap();
    assert!(Memory::open(&file).is_err());
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(WitnessKey::read(&key_file).is_err());
    let seed = CosignerSeed::danger_from_bytes(&[1; 32]);
    assert_eq!(format!("{seed:?}"), "CosignerSeed(…)");
}
