//! A log that was taken back to an older copy: the node refuses to serve it, and whoever holds a
//! checkpoint can show it.

use std::{fs, path::Path, process::Command};

use billfold_tests::wallet::{Backend, Wallet, within_reason};

use crate::setup::{attested, key_of, public_keys_alone, start, verified, write};

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// Puts back a copy of the whole data folder, but not what `keeps` names.
fn take_back(wallet: &Wallet, copy_dir: &Path, keeps: &[&str]) {
    let data = wallet.node.data_dir();
    for entry in fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        if keeps.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => fs::remove_dir_all(entry.path()).unwrap(),
            false => fs::remove_file(entry.path()).unwrap(),
        }
    }
    for entry in fs::read_dir(copy_dir).unwrap() {
        let entry = entry.unwrap();
        let to = data.join(entry.file_name());
        if !keeps.iter().any(|kept| entry.file_name() == *kept) {
            copy(&entry.path(), &to);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv09_a_log_that_was_taken_back_is_not_served() {
    within_reason(async {
        let mut wallet = start(Backend::Embedded, |builder| builder).await;
        write(&wallet, 10).await;
        let early = attested(&wallet).await;
        let key = key_of(&wallet).await;
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("old");
        wallet.node.stop().await.unwrap();
        copy(wallet.node.data_dir(), &old);
        wallet.node.restart().await.unwrap();
        write(&wallet, 20).await;
        let late = attested(&wallet).await;
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let made = ["witness-key", "w", "--out", &at("key")];
        public_keys_alone(&wallet, &made).await.success().unwrap();
        let (own, memory, note) = (at("key"), at("memory"), at("note"));
        let witness = [
            "witness",
            "--checkpoint-key",
            &key,
            "--witness-key",
            &own,
            "--memory",
            &memory,
        ];
        public_keys_alone(&wallet, &witness)
            .await
            .success()
            .unwrap();
        fs::write(&note, &late.note).unwrap();
        wallet.node.stop().await.unwrap();

        // Everything is of yesterday but the checkpoint that is kept beside it.
        take_back(&wallet, &old, &["checkpoint"]);
        let refused = wallet.node.builder().clone().spawn_refused().await.unwrap();
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        let told = format!("of {} messages, the log ends at sequence", late.size);
        // A later checkpoint may have been made after the one that was read.
        assert!(
            refused.stderr.contains("rolled back or altered")
                && (refused.stderr.contains(&told)
                    || refused.stderr.contains("the log ends at sequence")),
            "{}",
            refused.stderr
        );
        assert!(
            wallet.node.data_dir().join("checkpoint").exists(),
            "evidence is kept"
        );

        // The log by itself is sound, and was: only who remembers knows more.
        verified(&wallet, &["--checkpoint-key", &key], 0).await;
        let told = verified(
            &wallet,
            &["--checkpoint-key", &key, "--checkpoint", &note],
            3,
        )
        .await;
        let what = told["findings"][0]["what"].as_str().unwrap();
        assert!(
            what.contains("it is missing") && what.contains(&late.size.to_string()),
            "{what}"
        );
        assert!(told["findings"][0]["sequence"].as_u64().unwrap() <= late.size);
        let told = public_keys_alone(&wallet, &witness).await;
        assert_eq!(told.code, 3);
        assert!(told.stdout.contains("rolled back"), "{}", told.stdout);
        let remembered = fs::read_to_string(&memory).unwrap();
        assert!(told.stdout.contains(&remembered), "both notes are told");

        // Grown again, it is as long, and another one.
        take_back(&wallet, &old, &[]);
        wallet.node.restart().await.unwrap();
        write(&wallet, 40).await;
        let other = attested(&wallet).await;
        assert!(other.size > late.size && early.size < late.size);
        let told = verified(
            &wallet,
            &["--checkpoint-key", &key, "--checkpoint", &note],
            3,
        )
        .await;
        let what = told["findings"][0]["what"].as_str().unwrap();
        assert!(
            what.contains("another log than the one that was attested"),
            "{what}"
        );
        let told = public_keys_alone(&wallet, &witness).await;
        assert_eq!(told.code, 3, "{}", told.stdout);
        let (url, token) = (wallet.node.url(), at("token"));
        fs::write(&token, wallet.node.token()).unwrap();
        let server = ["--server", &url, "--token-file", &token];
        let told = public_keys_alone(&wallet, &[&witness[..], &server].concat()).await;
        assert_eq!(told.code, 3, "{}", told.stdout);
        assert!(told.stdout.contains("forked") && told.stdout.contains(&remembered));

        // The node that is given back what it kept refuses this one, too.
        wallet.node.stop().await.unwrap();
        fs::write(wallet.node.data_dir().join("checkpoint"), &late.note).unwrap();
        let refused = wallet.node.builder().clone().spawn_refused().await.unwrap();
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("rolled back or altered"),
            "{}",
            refused.stderr
        );
    })
    .await;
}
