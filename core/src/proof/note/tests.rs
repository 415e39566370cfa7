use super::*;
use crate::{
    id::WalletId,
    keys::{CheckpointSeed, CosignerSeed},
    proof::{
        checkpoint::{self, Checkpoint},
        statement::KeyChange,
        tree::Hash,
    },
    subject::Generation,
};

fn origin() -> KeyName {
    KeyName::origin(WalletId::from_bytes([0xab; 16]), Generation::FIRST)
}

fn signer(byte: u8) -> Signer {
    Signer::of_checkpoints(origin(), &CheckpointSeed::danger_from_bytes(&[byte; 32]))
}

fn witness() -> Signer {
    let name = KeyName::new("witness.example/w1").unwrap();
    Signer::of_a_witness(name, &CosignerSeed::danger_from_bytes(&[9; 32]))
}

fn sample() -> Checkpoint {
    Checkpoint {
        origin: origin(),
        size: 12,
        root: Hash::leaf(b"root"),
    }
}

#[test]
fn a_known_note_is_read_and_verified() {
    // The example of the Go package that the format comes from.
    let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        .parse()
        .unwrap();
    let text = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\
                \n\
                — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.verify(&key), Ok(None));
    assert_eq!(note.to_string(), text);
    let other = text.replacen("answer", "Answer", 1);
    let note = Note::parse(other.as_bytes()).unwrap();
    assert_eq!(note.verify(&key), Err(Error::Forged));
    assert_eq!(note.verify(&signer(1).verifier()), Err(Error::Unsigned));
}

#[test]
fn checkpoints_are_signed_cosigned_and_read() {
    let (signer, witness) = (signer(1), witness());
    let note = sample().sign(&signer).unwrap();
    let cosigned = note.clone().with(note.cosign(&witness, 1_700_000_000));
    let read = Note::parse(cosigned.to_string().as_bytes()).unwrap();
    assert_eq!(read, cosigned);
    assert_eq!(read.verify(&witness.verifier()), Ok(Some(1_700_000_000)));
    let checkpoint = Checkpoint::verified(&read, &signer.verifier());
    assert_eq!(checkpoint, Ok(sample()));
    // A witness's signature is none of the log's, and that of the log none of a witness's.
    assert_eq!(
        Checkpoint::verified(&read, &witness.verifier()),
        Err(checkpoint::Error::Origin)
    );
    assert_eq!(note.verify(&witness.verifier()), Err(Error::Unsigned));
}

#[test]
fn every_changed_byte_of_a_note_is_found() {
    let signer = signer(1);
    let note = sample().sign(&signer).unwrap().to_string().into_bytes();
    for at in 0..note.len() {
        for bit in [1, 2, 32] {
            let mut changed = note.clone();
            changed[at] ^= bit;
            let read = Note::parse(&changed).map_err(checkpoint::Error::from);
            let read = read.and_then(|note| Checkpoint::verified(&note, &signer.verifier()));
            assert!(read.is_err(), "byte {at}");
        }
        let cut = Note::parse(&note[..at]).and_then(|note| note.verify(&signer.verifier()));
        assert!(cut.is_err(), "cut {at}");
    }
}

#[test]
fn what_is_no_note_or_checkpoint_is_refused() {
    let signature = "— a AAAAAAAA\n";
    for bad in [
        "",
        "text\n",
        "text\n\n",
        "text\n— a AAAAAAAA\n",
        "text\n\n— a+b AAAAAAAA\n",
        "text\n\n— a AAAA\n",
        "text\n\n— a AAAAAAAA",
        "te\u{7}xt\n\n— a AAAAAAAA\n",
        "text\n\n- a AAAAAAAA\n",
    ] {
        assert_eq!(
            Note::parse(bad.as_bytes()),
            Err(Error::Malformed),
            "{bad:?}"
        );
    }
    assert!(Note::parse(format!("text\n\n{signature}").as_bytes()).is_ok());
    let many = signature.repeat(SIGNATURES + 1);
    assert!(Note::parse(format!("text\n\n{many}").as_bytes()).is_err());
    let root = BASE64_STANDARD.encode([1; 32]);
    for bad in [
        format!("o\n01\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n1\n{root}"),
        format!("o\n1\n{root}\n\n"),
        format!("o\n1\n{root}\n\nmore\n"),
        format!("o p\n1\n{root}\n"),
        "o\n1\nAAAA\n".to_owned(),
        "o\n1\n".to_owned(),
    ] {
        assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
    }
    assert!(Checkpoint::parse(&format!("o\n1\n{root}\nmore\n")).is_ok());
}

#[test]
fn keys_as_texts() {
    let key = witness().verifier();
    let text = key.to_string();
    assert_eq!(text.parse(), Ok(key.clone()));
    let other_id = text.replacen(&hex::encode(key.id()), "00000000", 1);
    use crate::proof::key::Malformed;
    assert_eq!(other_id.parse::<VerifierKey>(), Err(Malformed::Id));
    for bad in [
        "",
        "a",
        "a+b",
        "a+00000000+",
        "a b+00000000+AAAA",
        "+00000000+AAAA",
    ] {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    assert_eq!(
        format!("{:?}", signer(1)),
        format!("Signer({}, …)", origin())
    );
}

#[test]
fn an_origin_names_its_log() {
    let log = (WalletId::from_bytes([0xab; 16]), Generation::FIRST);
    assert_eq!(origin().log(), Some(log));
    for other in ["billfold/ab/1", "billfold/x/1", "example.com/log"] {
        assert_eq!(KeyName::new(other).unwrap().log(), None);
    }
    let zeros = origin().to_string().replace("/1", "/01");
    assert_eq!(KeyName::new(&zeros).unwrap().log(), None);
}

#[test]
fn a_change_of_the_key_is_signed_by_both() {
    let (old, new) = (signer(1), signer(2));
    let note = KeyChange::sign(&old, &new).unwrap();
    let read = Note::parse(note.to_string().as_bytes()).unwrap();
    let change = KeyChange::verified(&read, &origin()).unwrap();
    assert_eq!((change.old, change.new), (old.verifier(), new.verifier()));
    // It is no checkpoint.
    assert!(Checkpoint::verified(&read, &old.verifier()).is_err());
    let by_one = Note::new(note.text().to_owned()).unwrap();
    for signer in [&old, &new] {
        let signed = by_one.clone().sign(signer);
        assert!(KeyChange::verified(&signed, &origin()).is_err());
    }
    let elsewhere = KeyName::new("billfold/x/1").unwrap();
    assert!(KeyChange::verified(&read, &elsewhere).is_err());
}
