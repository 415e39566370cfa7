//! Where an export ended, and files that one export has for itself.

use std::{fs, path::Path};

use billfold_tests::{
    running::{Running, until},
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};

use super::{all, assert_exported, places, put, read};

pub async fn two_exports_share_no_file(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let to = |name: &str| format!("file:{}", file(name));
    let (out, position) = (to("out"), file("position"));
    let args = ["export", "--format", "jsonl", "--to", &out];
    let kept = ["--position", &position];
    let mut first =
        Running::start(wallet.replay_command(&[&args[..], &kept, &["--follow"]].concat()));
    put(&wallet, "first").await;
    until("a position", || !read(Path::new(&position)).is_empty()).await;
    let refused = async |args: &[&str], why: &str| {
        let refused = wallet.replay(args).await.unwrap();
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    };
    let other = to("other");
    let beside = ["export", "--format", "jsonl", "--to", &other];
    let keeps = "another export keeps its position in this file";
    refused(&[&beside[..], &kept].concat(), keeps).await;
    assert_eq!(read(Path::new(&file("other"))), "");
    refused(&args, "another export writes to it").await;
    // The lock follows what is moved, and is on what comes in its place.
    fs::rename(file("out"), file("out.1")).unwrap();
    put(&wallet, "second").await;
    until("the second", || !read(Path::new(&file("out"))).is_empty()).await;
    refused(&args, "another export writes to it").await;
    let expected = all(&wallet).await;
    let last = *expected.last().unwrap();
    until("all", || {
        read(Path::new(&file("out")))
            .contains(&format!("\"sequence\":{},\"index\":{},", last.0, last.1))
    })
    .await;
    // A process that was killed holds nothing.
    first.kill();
    let found = places(&(read(Path::new(&file("out.1"))) + &read(Path::new(&file("out")))));
    assert_exported(&found, &expected);
    let again = wallet.replay(&[&args[..], &kept].concat()).await;
    again.unwrap().success().unwrap();
}

pub async fn a_position_moves_though_nothing_passes(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let dir = tempfile::tempdir().unwrap();
    let position = dir.path().join("position");
    let export = async |more: &[&str]| {
        let args = ["export", "--format", "jsonl", "--to", "stdout"];
        let kept = ["--position", position.to_str().unwrap()];
        let ended = wallet.replay(&[&args[..], &kept, more].concat()).await;
        ended.unwrap().success().unwrap().stdout
    };
    let at =
        || serde_json::from_str::<Value>(&read(&position)).map(|kept| kept["sequence"].clone());
    let rare = ["--kind", "HoldPlaced"];
    let mut last = json!(0);
    for name in ["first", "second"] {
        put(&wallet, name).await;
        // The node may add something of its own meanwhile.
        let head = all(&wallet).await.last().unwrap().0;
        assert_eq!(export(&rare).await, "");
        let now = at().expect("a position");
        assert!(now.as_u64() >= Some(head), "{now}, not {head}");
        last = now;
    }
    // It moves back for nobody.
    assert_eq!(export(&["--until", "2"]).await, "");
    assert_eq!(at().unwrap(), last);

    // What stands behind a time may pass with a later one.
    let listed = wallet.replay(&["log", "--json"]).await.unwrap();
    let listed = listed.success().unwrap().stdout;
    let first: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    fs::remove_file(&position).unwrap();
    let until = ["--until", first["time"].as_str().unwrap()];
    let before = places(&export(&until).await);
    let expected = all(&wallet).await;
    assert!(!before.is_empty() && before.len() < expected.len());
    let after = places(&export(&[]).await);
    assert_exported(&[before, after].concat(), &expected);
}
