//! A log that was taken back to an older copy, and one that was shown in two forms: the node refuses to
//! serve it, and whoever holds a checkpoint can show it.

use std::fs;

use billfold_tests::{
    backup::LogCopy,
    billfold::{Billfold, Ended},
    wallet::{Backend, Wallet, within_reason},
};

use serde_json::json;

use crate::setup::{
    Told, attested, checkpoint_file, forget_views, key_of, public_keys_alone, size_in, start,
    until, verified, write,
};

/// A witness with a memory of its own.
struct Witness {
    dir: tempfile::TempDir,
    key: String,
}

impl Witness {
    async fn new(wallet: &Wallet) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = key_of(wallet).await;
        let own = dir.path().join("key");
        let made = ["witness-key", "w", "--out", own.to_str().unwrap()];
        public_keys_alone(wallet, &made).await.success().unwrap();
        Self { dir, key }
    }

    fn at(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// Shows it the log, or what this server says of it.
    async fn shown(&self, wallet: &Wallet, server: Option<&Billfold>) -> Ended {
        let (own, memory, token) = (self.at("key"), self.at("memory"), self.at("token"));
        let mut args = vec!["witness", "--checkpoint-key", &self.key];
        args.extend(["--witness-key", &own, "--memory", &memory]);
        let url = server.map(Billfold::url);
        if let (Some(url), Some(node)) = (&url, server) {
            fs::write(&token, node.token()).unwrap();
            args.extend(["--server", url, "--token-file", &token]);
        }
        public_keys_alone(wallet, &args).await
    }

    /// What it signed last.
    fn remembers(&self) -> String {
        fs::read_to_string(self.at("memory")).unwrap()
    }
}

/// What `verify` says first of the log, held to a checkpoint.
async fn held_to(wallet: &Wallet, key: &str, held: &Told) -> (u64, String) {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("note");
    fs::write(&note, &held.note).unwrap();
    let by = [
        "--checkpoint-key",
        key,
        "--checkpoint",
        note.to_str().unwrap(),
    ];
    let finding = verified(wallet, &by, 3).await["findings"][0].clone();
    let what = finding["what"].as_str().unwrap().to_owned();
    (finding["sequence"].as_u64().unwrap(), what)
}

/// The node ends at once, says why, and leaves what shows it where it is.
async fn assert_refused(wallet: &Wallet, why: &str) {
    let kept = fs::read(checkpoint_file(&wallet.node)).unwrap();
    let refused = wallet.node.builder().clone().spawn_refused().await.unwrap();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for told in ["rolled back or altered", why] {
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    assert_eq!(fs::read(checkpoint_file(&wallet.node)).unwrap(), kept);
}

pub(crate) async fn inv09_a_log_that_was_taken_back_is_not_served(backend: Backend) {
    let mut wallet = start(backend, |builder| builder).await;
    write(&wallet, 10).await;
    let early = attested(&wallet).await;
    let key = key_of(&wallet).await;
    wallet.node.stop().await.unwrap();
    let old = LogCopy::of(&mut wallet);
    wallet.node.restart().await.unwrap();
    write(&wallet, 20).await;
    let late = attested(&wallet).await;
    let witness = Witness::new(&wallet).await;
    witness.shown(&wallet, None).await.success().unwrap();
    let remembered = witness.remembers();
    wallet.node.stop().await.unwrap();

    // Everything is of yesterday but the checkpoint that is kept beside it.
    old.back(&mut wallet);
    forget_views(&wallet);
    assert_refused(&wallet, "the log ends at sequence").await;
    // The log by itself is sound, and was: only who remembers knows more.
    verified(&wallet, &["--checkpoint-key", &key], 0).await;
    let (seq, what) = held_to(&wallet, &key, &late).await;
    let attests = format!("attests {}", late.size);
    assert!(seq <= late.size && what.contains("it is missing"), "{what}");
    assert!(what.contains(&attests), "{what}");
    let told = witness.shown(&wallet, None).await;
    assert_eq!(told.code, 3);
    assert!(told.stdout.contains("rolled back"), "{}", told.stdout);
    assert!(told.stdout.contains(&remembered), "both notes are told");

    // Grown again, it is as long, and another one.
    let kept = fs::read(checkpoint_file(&wallet.node)).unwrap();
    fs::remove_file(checkpoint_file(&wallet.node)).unwrap();
    wallet.node.restart().await.unwrap();
    write(&wallet, 40).await;
    let other = attested(&wallet).await;
    assert!(other.size > late.size && early.size < late.size);
    let (seq, what) = held_to(&wallet, &key, &late).await;
    assert_eq!(seq, late.size);
    let another = "another log than the one that was attested";
    assert!(what.contains(another), "{what}");
    assert_eq!(witness.shown(&wallet, None).await.code, 3);
    let told = witness.shown(&wallet, Some(&wallet.node)).await;
    assert_eq!(told.code, 3, "{}", told.stdout);
    assert!(told.stdout.contains("forked") && told.stdout.contains(&remembered));
    assert_eq!(witness.remembers(), remembered);

    // The node that is given back what it kept refuses this one, too.
    wallet.node.stop().await.unwrap();
    fs::write(checkpoint_file(&wallet.node), kept).unwrap();
    assert_refused(&wallet, "checkpoint").await;
}

/// An operator who shows each auditor a log of his own, with checkpoints that are signed as they should
/// be: each is sound by itself, and no two auditors who compare what they hold are deceived.
pub(crate) async fn inv09_two_auditors_are_not_shown_two_logs(backend: Backend) {
    let mut wallet = start(backend, |builder| builder).await;
    write(&wallet, 10).await;
    attested(&wallet).await;
    let key = key_of(&wallet).await;
    let (by_key, witness) = (["--checkpoint-key", &key], Witness::new(&wallet).await);
    wallet.node.stop().await.unwrap();
    let both = LogCopy::of(&mut wallet);

    wallet.node.restart().await.unwrap();
    write(&wallet, 12).await;
    let first = attested(&wallet).await;
    verified(&wallet, &by_key, 0).await;
    witness.shown(&wallet, None).await.success().unwrap();
    wallet.node.stop().await.unwrap();
    let shown_first = LogCopy::of(&mut wallet);

    both.back(&mut wallet);
    forget_views(&wallet);
    fs::remove_file(checkpoint_file(&wallet.node)).unwrap();
    wallet.node.restart().await.unwrap();
    write(&wallet, 30).await;
    let second = attested(&wallet).await;
    verified(&wallet, &by_key, 0).await;

    // The first auditor's checkpoint is held to what the second is shown, and the other way round.
    let (seq, what) = held_to(&wallet, &key, &first).await;
    assert_eq!(seq, first.size);
    let another = "another log than the one that was attested";
    assert!(what.contains(another), "{what}");
    for server in [None, Some(&wallet.node)] {
        let told = witness.shown(&wallet, server).await;
        assert_eq!(told.code, 3, "{}", told.stdout);
        assert!(
            told.stdout.contains(&witness.remembers()),
            "{}",
            told.stdout
        );
    }
    wallet.node.stop().await.unwrap();
    shown_first.back(&mut wallet);
    let (seq, what) = held_to(&wallet, &key, &second).await;
    let attests = format!("attests {}", second.size);
    assert!(
        seq <= second.size && what.contains("it is missing"),
        "{what}"
    );
    assert!(what.contains(&attests), "{what}");
}

/// The store of a server without replicas is set back to yesterday while two nodes serve from it.
#[tokio::test(flavor = "multi_thread")]
async fn inv09_nodes_stop_when_the_store_under_them_is_rolled_back() {
    within_reason(async {
        let mut wallet = start(Backend::JetStream, |builder| builder).await;
        let mut second = wallet.node.builder().another_node().spawn().await.unwrap();
        write(&wallet, 10).await;
        attested(&wallet).await;
        let yesterday = LogCopy::of(&mut wallet);
        write(&wallet, 20).await;
        let late = attested(&wallet).await;
        until("both have kept it", async || {
            [&wallet.node, &second].iter().all(|node| {
                let kept = fs::read_to_string(checkpoint_file(node)).unwrap_or_default();
                size_in(&kept) >= Some(late.size)
            })
        })
        .await;
        let key = key_of(&wallet).await;
        yesterday.back(&mut wallet);
        // One writes, the other only looks on.
        let body = json!({ "data": { "n": 1 } });
        let (token, client) = (wallet.node.token().to_owned(), wallet.node.client());
        let write = client.call("POST", "/v1/secret/data/app/1", Some(&token), body);
        assert!(write.await.is_ok_and(|reply| reply.status != 200));
        for node in [&wallet.node, &second] {
            until("the node has stopped", async || {
                let health = node.client().call("GET", "/v1/sys/health", None, ()).await;
                health.is_ok_and(|health| health.status == 503) && node.log().contains("it ends at")
            })
            .await;
            let read = node.root("GET", "/v1/secret/data/app/1", ()).await;
            assert_eq!(read.status, 503, "{}", read.text());
        }
        // What shows it is still there, and is enough for an auditor.
        wallet.node.stop().await.unwrap();
        second.stop().await.unwrap();
        assert_refused(&wallet, "kept as evidence").await;
        assert!(second.data_dir().join("view").exists());
        let (_, what) = held_to(&wallet, &key, &late).await;
        assert!(what.contains("it is missing"), "{what}");
    })
    .await;
}
