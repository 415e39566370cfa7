//! Checkpoints, proofs and witnesses end to end. What the wallet states is checked with other
//! people's implementations of the same formats.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "proof/altered.rs"]
mod altered;
#[path = "proof/handed_over.rs"]
mod handed_over;
#[path = "proof/others.rs"]
mod others;
#[path = "proof/rolled_back.rs"]
mod rolled_back;
#[path = "proof/setup.rs"]
mod setup;
#[path = "proof/store.rs"]
mod store;
#[path = "proof/witnesses.rs"]
mod witnesses;

use std::fs;

use billfold_streams::fault_point::CHANGING;
use billfold_tests::{
    on_both_backends,
    wallet::{Backend, Wallet, within_reason},
};
use serde_json::json;

use self::{
    altered::{
        inv09_a_key_that_gave_way_speaks_for_nothing_more,
        inv09_raw_damage_is_found_and_not_served, inv09_what_was_altered_is_found_and_not_served,
        inv09_what_was_altered_long_ago_is_found_at_the_next_start,
    },
    handed_over::{
        a_bundle_is_the_log_in_one_file, a_receipt_shows_one_commit_to_whoever_has_the_public_key,
    },
    rolled_back::{
        inv09_a_log_that_was_taken_back_is_not_served, inv09_two_auditors_are_not_shown_two_logs,
    },
    setup::{
        attested, checkpoint, checkpoint_file, key_of, newest, public_keys_alone, start, verified,
        write,
    },
    witnesses::{a_witness_answers_as_specified, witnesses_that_are_asked_cosign_what_grew},
};

on_both_backends! {
    inv09_checkpoints_and_proofs_hold_by_other_implementations,
    inv09_a_log_is_verified_by_public_keys_alone,
    inv09_what_was_altered_is_found_and_not_served,
    inv09_what_was_altered_long_ago_is_found_at_the_next_start,
    inv09_a_key_that_gave_way_speaks_for_nothing_more,
    inv09_raw_damage_is_found_and_not_served,
    inv09_a_log_that_was_taken_back_is_not_served,
    inv09_two_auditors_are_not_shown_two_logs,
    inv01_a_tree_that_was_deleted_is_the_same,
    a_changed_key_signs_from_then_on,
    a_key_is_changed_before_the_first_checkpoint,
    inv11_a_change_of_the_key_goes_on_after_a_crash,
    a_witness_signs_what_grew,
    witnesses_that_are_asked_cosign_what_grew,
    a_witness_answers_as_specified,
    checkpoints_are_kept_where_the_operator_says,
    a_receipt_shows_one_commit_to_whoever_has_the_public_key,
    a_bundle_is_the_log_in_one_file,
}

/// Every proof that the wallet gives is good in the eyes of others, and no changed one is.
async fn inv09_checkpoints_and_proofs_hold_by_other_implementations(backend: Backend) {
    let wallet = start(backend, |builder| builder).await;
    write(&wallet, 12).await;
    let first = attested(&wallet).await;
    write(&wallet, 9).await;
    let second = attested(&wallet).await;
    assert!(second.size > first.size);
    let key = key_of(&wallet).await;
    for told in [&first, &second] {
        others::assert_checkpoint(&told.note, &key, told.size, &told.root);
    }
    for seq in [1, 2, first.size, second.size] {
        let url = format!("/api/audit/inclusion?seq={seq}&size={}", second.size);
        let told = wallet.node.root("GET", &url, ()).await.json();
        assert_eq!(told["root"], second.root.as_str());
        others::assert_inclusion(&told);
    }
    let url = format!(
        "/api/audit/consistency?from={}&to={}",
        first.size, second.size
    );
    let told = wallet.node.root("GET", &url, ()).await.json();
    assert_eq!(told["from_root"], first.root.as_str());
    assert_eq!(told["to_root"], second.root.as_str());
    others::assert_consistency(&told);
    // What is no place in the tree is refused, and told why.
    for (query, why) in [
        ("inclusion", "seq is missing"),
        ("inclusion?seq=x", "seq is not a number"),
        (
            "inclusion?seq=0",
            "seq is not among the messages of that size",
        ),
        (
            "inclusion?seq=9&size=8",
            "seq is not among the messages of that size",
        ),
        ("inclusion?seq=1&size=999999", "size is above the "),
        ("inclusion?seq=1&size=0", "size is at least 1"),
        ("consistency", "from is missing"),
        ("consistency?from=5&to=4", "from is above to"),
        ("consistency?from=5&to=999999", "to is above the "),
        ("checkpoint?format=xml", "format is json or note"),
    ] {
        let url = format!("/api/audit/{query}");
        let reply = wallet.node.root("GET", &url, ()).await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.text().contains(why), "{query}: {}", reply.text());
    }
    let client = wallet.node.client();
    for path in ["checkpoint", "inclusion?seq=1", "consistency?from=1"] {
        let url = format!("/api/audit/{path}");
        let reply = client.call("GET", &url, None, ()).await.unwrap();
        assert_eq!(reply.status, 403, "inv10: {path}");
    }
    // A policy that allows one of them allows no other.
    let policy = json!({ "policy": "path \"api/audit/checkpoint\" { capabilities = [\"read\"] }" });
    let made = wallet
        .node
        .root("PUT", "/v1/sys/policies/acl/watch", policy)
        .await;
    assert_eq!(made.status, 204);
    let made = json!({ "policies": ["watch"], "no_default_policy": true });
    let made = wallet
        .node
        .root("POST", "/v1/auth/token/create", made)
        .await;
    let token = made.json()["auth"]["client_token"]
        .as_str()
        .unwrap()
        .to_owned();
    for (path, status) in [("checkpoint", 200), ("inclusion?seq=1", 403)] {
        let url = format!("/api/audit/{path}");
        let reply = client.call("GET", &url, Some(&token), ()).await.unwrap();
        assert_eq!(reply.status, status, "{path}");
    }
    wallet.assert_sound().await;
}

/// With no key of the wallet: it is sound, and whoever gives another key or checkpoint is told.
async fn inv09_a_log_is_verified_by_public_keys_alone(backend: Backend) {
    let wallet = start(backend, |builder| builder).await;
    write(&wallet, 30).await;
    let held = attested(&wallet).await;
    write(&wallet, 5).await;
    let later = attested(&wallet).await;
    let dir = tempfile::tempdir().unwrap();
    let (key_file, note_file) = (dir.path().join("key"), dir.path().join("note"));
    let key = key_of(&wallet).await;
    fs::write(&key_file, format!("{key}\n")).unwrap();
    fs::write(&note_file, &held.note).unwrap();
    let [key_path, note_path] = [&key_file, &note_file].map(|path| path.to_str().unwrap());
    let by_file = ["--checkpoint-key", key_path, "--checkpoint", note_path];
    let told = verified(&wallet, &by_file, 0).await;
    assert_eq!(told["sound"], true);
    assert_eq!(told["complete"], true);
    assert_eq!(told["held"], held.size);
    assert_eq!(told["keys"], json!([key]));
    assert!(told["attested"].as_u64().unwrap() >= later.size);
    verified(&wallet, &["--checkpoint-key", &key], 0).await;
    // A checkpoint of a log that never was, signed by nobody who may.
    let other = held
        .note
        .replacen(&format!("\n{}\n", held.size), "\n3\n", 1);
    fs::write(&note_file, other).unwrap();
    let told = verified(&wallet, &by_file, 3).await;
    assert!(
        told["findings"][0]["what"]
            .as_str()
            .unwrap()
            .contains("not signed")
    );
    let stranger = others::vkey(&held.origin, [7; 32]);
    let told = verified(&wallet, &["--checkpoint-key", &stranger], 3).await;
    let what = "its checkpoints are not signed by the key that was given";
    assert_eq!(told["findings"][0]["what"], what);
    for (key, code, why) in [("a+b", 1, "NAME+ID+KEY"), ("/nowhere", 2, "No such file")] {
        let ended = public_keys_alone(&wallet, &["verify", "--checkpoint-key", key]).await;
        assert_eq!(ended.code, code);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
}

async fn inv01_a_tree_that_was_deleted_is_the_same(backend: Backend) {
    let mut wallet = start(backend, |builder| builder).await;
    write(&wallet, 300).await;
    let before = attested(&wallet).await;
    wallet.node.stop().await.unwrap();
    fs::remove_dir_all(wallet.node.data_dir().join("tree")).unwrap();
    wallet.node.restart().await.unwrap();
    write(&wallet, 3).await;
    let after = attested(&wallet).await;
    let url = format!(
        "/api/audit/consistency?from={}&to={}",
        before.size, after.size
    );
    let told = wallet.node.root("GET", &url, ()).await.json();
    assert_eq!(told["from_root"], before.root.as_str());
    others::assert_consistency(&told);
    // Without the index it is the tree that compares what it has with the log.
    wallet.node.stop().await.unwrap();
    fs::remove_dir_all(wallet.node.data_dir().join("audit")).unwrap();
    wallet.node.restart().await.unwrap();
    write(&wallet, 3).await;
    attested(&wallet).await;
    verified(&wallet, &["--checkpoint-key", &key_of(&wallet).await], 0).await;
}

/// A node that has just begun has read nothing yet: it does not attest that.
async fn a_key_is_changed_before_the_first_checkpoint(backend: Backend) {
    let mut wallet = Wallet::serve_with(backend, |builder| {
        builder.env("BILLFOLD_CHECKPOINT_SECONDS", "3600")
    })
    .await;
    write(&wallet, 10).await;
    for _ in 0..3 {
        wallet.node.stop().await.unwrap();
        fs::remove_dir_all(wallet.node.data_dir().join("tree")).unwrap();
        wallet.node.restart().await.unwrap();
        let path = "/api/internal/wallet/rotate-checkpoint-key";
        let reply = wallet.node.root("POST", path, json!({})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let key = reply.json()["key"].as_str().unwrap().to_owned();
        let told = verified(&wallet, &["--checkpoint-key", &key], 0).await;
        assert!(told["attested"].as_u64().unwrap() >= 10, "{told}");
    }
    wallet.node.restart().await.unwrap();
    write(&wallet, 1).await;
    wallet.assert_sound().await;
}

async fn a_changed_key_signs_from_then_on(backend: Backend) {
    let mut wallet = start(backend, |builder| builder).await;
    write(&wallet, 6).await;
    let before = attested(&wallet).await;
    let first = key_of(&wallet).await;
    let path = "/api/internal/wallet/rotate-checkpoint-key";
    let mut keys = vec![first.clone()];
    for _ in 0..2 {
        let reply = wallet.node.root("POST", path, json!({})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let told = reply.json()["key"].as_str().unwrap().to_owned();
        assert_eq!(key_of(&wallet).await, told);
        assert!(!keys.contains(&told));
        keys.push(told);
        write(&wallet, 6).await;
        attested(&wallet).await;
    }
    wallet.node.restart().await.unwrap();
    write(&wallet, 1).await;
    let after = attested(&wallet).await;
    assert_eq!(key_of(&wallet).await, keys[2]);
    others::assert_checkpoint(&after.note, &keys[2], after.size, &after.root);
    // Whoever knows one of the keys knows all: each change is signed by both.
    for key in &keys {
        let told = verified(&wallet, &["--checkpoint-key", key], 0).await;
        assert_eq!(told["keys"], json!(keys));
    }
    others::assert_checkpoint(&before.note, &first, before.size, &before.root);
    let reply = wallet.node.root("POST", path, json!({ "x": 1 })).await;
    assert_eq!(reply.status, 422);
    wallet.assert_sound().await;
}

/// A node that dies anywhere in a change of the key leaves a wallet that signs.
async fn inv11_a_change_of_the_key_goes_on_after_a_crash(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let fault = dir.path().join("fault");
    fs::write(&fault, "").unwrap();
    let at = format!("@{}", fault.display());
    let mut wallet = start(backend, |builder| builder.env("BILLFOLD_FAULT", at)).await;
    write(&wallet, 6).await;
    attested(&wallet).await;
    let path = "/api/internal/wallet/rotate-checkpoint-key";
    let mut keys = vec![key_of(&wallet).await];
    for place in CHANGING {
        fs::write(&fault, place).unwrap();
        let token = wallet.node.token().to_owned();
        let client = wallet.node.client();
        let gone = client.call("POST", path, Some(&token), json!({})).await;
        assert!(gone.is_err(), "{place}: it died");
        fs::write(&fault, "").unwrap();
        wallet.node.kill9();
        wallet.node.restart().await.unwrap();
        write(&wallet, 6).await;
        attested(&wallet).await;
        // What was stated before it died counts.
        keys.push(key_of(&wallet).await);
        let reply = wallet.node.root("POST", path, json!({})).await;
        assert_eq!(reply.status, 200, "{place}: {}", reply.text());
        keys.push(reply.json()["key"].as_str().unwrap().to_owned());
        write(&wallet, 6).await;
        attested(&wallet).await;
    }
    let told = verified(&wallet, &["--checkpoint-key", &keys[0]], 0).await;
    assert_eq!(told["keys"], json!(keys));
}

async fn a_witness_signs_what_grew(backend: Backend) {
    let wallet = start(backend, |builder| builder).await;
    write(&wallet, 6).await;
    let first = attested(&wallet).await;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("token"), wallet.node.token()).unwrap();
    let made = ["witness-key", "witness.example/1", "--out", &at("key")];
    let made = public_keys_alone(&wallet, &made).await;
    let witness_key = made.success().unwrap().stdout.trim().to_owned();
    let (key, url) = (key_of(&wallet).await, wallet.node.url());
    let (memory, own, token) = (at("memory"), at("key"), at("token"));
    let from_log = [
        "witness",
        "--checkpoint-key",
        &key,
        "--witness-key",
        &own,
        "--memory",
        &memory,
    ];
    let server = ["--server", &url, "--token-file", &token];
    let from_server = [&from_log[..], &server].concat();
    let mut last = first.size;
    for turn in [&from_log[..], &from_server, &from_server, &from_log] {
        let signed = public_keys_alone(&wallet, turn).await;
        let note = signed.success().unwrap().stdout;
        let size = others::assert_cosigned(&note, &key, &witness_key);
        assert!(size >= last, "{size} after {last}");
        last = size;
        write(&wallet, 4).await;
        attested(&wallet).await;
    }
    // Another wallet's checkpoints are none of its business.
    let other = start(backend, |builder| builder).await;
    write(&other, 6).await;
    attested(&other).await;
    let refused = public_keys_alone(&other, &from_log).await;
    assert_eq!(refused.code, 3, "{}{}", refused.stdout, refused.stderr);
}

async fn checkpoints_are_kept_where_the_operator_says(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let (file, folder) = (dir.path().join("newest"), dir.path().join("all"));
    fs::create_dir(&folder).unwrap();
    for (place, latest) in [(&file, file.clone()), (&folder, folder.join("latest"))] {
        let wallet = start(backend, |builder| {
            builder.env("BILLFOLD_CHECKPOINT_FILE", place.to_str().unwrap())
        });
        let wallet = wallet.await;
        write(&wallet, 6).await;
        let told = attested(&wallet).await;
        setup::until("the file has it", async || {
            let kept = fs::read_to_string(&latest).unwrap_or_default();
            setup::size_in(&kept) >= Some(told.size)
        })
        .await;
        let beside = fs::read_to_string(checkpoint_file(&wallet.node)).unwrap();
        assert!(setup::size_in(&beside) >= Some(told.size));
    }
    let kept = fs::read_dir(&folder).unwrap().count();
    assert!(kept >= 2, "each of them, and the latest");
}

/// Two nodes, both of them eager: one checkpoint of each size, and nobody stops.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_make_one_checkpoint_of_each_size() {
    within_reason(async {
        let wallet = start(Backend::JetStream, |builder| {
            builder.env("BILLFOLD_CHECKPOINT_COMMITS", "1")
        });
        let wallet = wallet.await;
        let second = wallet.node.builder().another_node().spawn().await.unwrap();
        for round in 0..20 {
            let body = json!({ "data": { "n": round } });
            let (a, b) = tokio::join!(
                wallet.node.root("POST", "/v1/secret/data/a", body.clone()),
                second.root("POST", "/v1/secret/data/b", body),
            );
            assert_eq!((a.status, b.status), (200, 200));
        }
        let told = attested(&wallet).await;
        setup::until("the other node has it, too", async || {
            newest(&second)
                .await
                .is_some_and(|newest| newest.size >= told.size)
        })
        .await;
        let key = key_of(&wallet).await;
        // Two of one size would be a finding.
        let told = verified(&wallet, &["--checkpoint-key", &key], 0).await;
        assert!(told["checkpoints"].as_u64().unwrap() >= 5, "{told}");
        for node in [&wallet.node, &second] {
            assert_eq!(node.root("GET", "/v1/secret/data/a", ()).await.status, 200);
        }
        wallet.assert_sound().await;
    })
    .await;
}

/// Before there is a checkpoint, that is said, and nothing is made up.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_checkpoint_nothing_is_attested() {
    within_reason(async {
        let wallet = Wallet::serve(Backend::Embedded).await;
        let key = key_of(&wallet).await;
        assert!(checkpoint(&wallet.node).await["note"].is_null());
        let reply = wallet
            .node
            .root("GET", "/api/audit/checkpoint?format=note", ());
        assert_eq!(reply.await.status, 404);
        let reply = wallet
            .node
            .root("GET", "/api/audit/inclusion?seq=1", ())
            .await;
        assert_eq!(reply.status, 404);
        let told = verified(&wallet, &["--checkpoint-key", &key], 3).await;
        let what = "there is no checkpoint: nothing outside the log speaks for it";
        assert_eq!(told["findings"][0]["what"], what);
    })
    .await;
}
