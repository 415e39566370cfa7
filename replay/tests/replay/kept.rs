//! What stands beside a log: keys without a log, a log without keys, and a checkpoint that a node kept.

use std::fs;

use async_trait::async_trait;
use billfold_core::{
    entropy::Entropy,
    id::{ProcessId, WalletId},
    keys::{
        GenerationKey,
        manager::{Error, GenerationId, KeyManager},
    },
    proof::{Checkpoint, Hash, KeyName, Signer},
    subject::Generation,
};
use billfold_streams::{custody::Custody, embedded::Embedded, entropy::Os};
use billfold_upstreams::DevFile;

use crate::{
    command::{code, run, stderr, stdout},
    fixture::Wallet,
};

#[tokio::test(flavor = "multi_thread")]
async fn keys_whose_log_is_empty_are_not_sound() {
    let wallet = Wallet::new().await.stopped().await;
    let dir = wallet.dir.path();
    let id = wallet.source().await.wallet();
    let empty = tempfile::tempdir().unwrap();
    drop(Embedded::open(empty.path()).unwrap());
    fs::copy(empty.path().join("log.redb"), dir.join("log.redb")).unwrap();
    fs::remove_dir_all(wallet.view_dir()).unwrap();
    let told = format!("the key store has wallet {id}, the log has nothing of it");
    for args in [&["verify"][..], &["digest"], &["log"], &["keys"]] {
        let ended = run(&[args, &["--data-dir", dir.to_str().unwrap()]].concat());
        let all = stdout(&ended) + &stderr(&ended);
        assert_eq!(code(&ended), 3, "{args:?}: {all}");
        assert!(all.contains(&told), "{args:?}: {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_shorter_than_the_checkpoint_beside_it_is_broken() {
    let wallet = Wallet::new().await.lived_in().await;
    let custody = wallet.node().custody.clone();
    let signer = custody.checkpoint_signer(Generation::FIRST, None).unwrap();
    let keys = custody.keys();
    drop(custody);
    let wallet = wallet.stopped().await;
    let dir = wallet.dir.path().to_str().unwrap();
    let verify = || run(&["verify", "--data-dir", dir]);
    assert_eq!(code(&verify()), 0);

    let beside = wallet.dir.path().join("checkpoint");
    let attested = |signer: &Signer, size| Checkpoint {
        origin: signer.verifier().name().clone(),
        size,
        root: Hash::default(),
    };
    let note = attested(&signer, 1000).sign(&signer).unwrap();
    fs::write(&beside, note.to_string()).unwrap();
    let told = verify();
    assert_eq!(code(&told), 3, "{}", stderr(&told));
    let what = "but the checkpoint that was held attests 1000";
    assert!(stdout(&told).contains(what), "{}", stdout(&told));

    let note = attested(&signer, 3).sign(&signer).unwrap();
    fs::write(&beside, note.to_string()).unwrap();
    let told = verify();
    assert_eq!(code(&told), 3, "{}", stdout(&told));
    let what = "this is another log than the one that was attested";
    assert!(stdout(&told).contains(what), "{}", stdout(&told));

    fs::write(&beside, "no checkpoint").unwrap();
    let told = verify();
    assert_eq!(code(&told), 3, "{}", stdout(&told));
    assert!(stdout(&told).contains("as a checkpoint is none"));

    // The folder of another wallet says nothing of this one.
    let other = KeyName::origin(WalletId::from_bytes([7; 16]), Generation::FIRST);
    let other = Signer::of_checkpoints(other, &keys.checkpoint);
    let note = attested(&other, 1000).sign(&other).unwrap();
    fs::write(&beside, note.to_string()).unwrap();
    assert_eq!(code(&verify()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_keys_is_told_as_one() {
    let wallet = Wallet::new().await.stopped().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (bundle, copy, bare) = (path("bundle"), path("copy"), path("bare"));
    let dir = wallet.dir.path().to_str().unwrap();
    let made = run(&["bundle", &bundle, "--data-dir", dir]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    assert_eq!(code(&run(&["import", &bundle, &copy])), 0);
    fs::create_dir(&bare).unwrap();
    fs::copy(
        wallet.dir.path().join("log.redb"),
        bare.clone() + "/log.redb",
    )
    .unwrap();
    for dir in [&copy, &bare] {
        for args in [&["log"][..], &["verify"], &["at", "1"], &["digest"]] {
            let told = run(&[args, &["--data-dir", dir]].concat());
            assert_eq!(code(&told), 2, "{}", stderr(&told));
            let why = "this is a copy of a log, and no key of its wallet is beside it";
            assert!(stderr(&told).contains(why), "{}", stderr(&told));
            assert!(stderr(&told).contains("--auditor-key"));
        }
    }
}

/// A key manager that keeps its key elsewhere.
struct Elsewhere(&'static str, DevFile);

#[async_trait]
impl KeyManager for Elsewhere {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn create(
        &self,
        generation: GenerationId,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<(GenerationKey, Vec<u8>), Error> {
        self.1.create(generation, entropy).await
    }

    async fn open(&self, id: GenerationId, wrapped: &[u8]) -> Result<GenerationKey, Error> {
        self.1.open(id, wrapped).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_file_of_the_key_is_told_what_works() {
    for name in ["shamir", "vault-transit", "key-file", "dev-file"] {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let file = elsewhere.path().join("key");
        let file = DevFile::open(&file, false, &mut Os::new()).unwrap();
        let embedded = Embedded::open(dir.path()).unwrap();
        let manager = Elsewhere(name, file);
        let process = ProcessId::default();
        let made = Custody::found(embedded.keys(), &manager, process).await;
        drop((made.unwrap(), embedded));
        let dir = dir.path().to_str().unwrap();
        for args in [&["verify"][..], &["log"], &["at", "1"], &["digest"]] {
            let told = run(&[args, &["--data-dir", dir]].concat());
            assert_eq!(code(&told), 2, "{}", stderr(&told));
            let told = stderr(&told);
            assert!(told.contains(&format!("key manager is {name}: ")), "{told}");
            let what = match name {
                "key-file" => "give its key file (--key-file)",
                "dev-file" => "there is no ",
                _ => "no file opens its keys",
            };
            assert!(told.contains(what), "{told}");
            assert!(told.contains("verify --checkpoint-key") && told.contains("--auditor-key"));
        }
    }
}
