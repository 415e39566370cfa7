//! `kill -9` between any two steps of a rotation, a rewrap and a retirement: the next start goes on
//! where the work was left, and says each thing once.

use std::{fs, path::Path, time::Duration};

use billfold_streams::fault_point::{RETIRING, REWRAPPING, ROTATING};
use billfold_tests::{
    billfold::Billfold,
    wallet::{Backend, Wallet},
};
use serde_json::json;
use tokio::time::sleep;

use super::{PATIENCE, RETIRE, ROTATE, rotate, secrets::Secrets, until_destroyed, until_rewrapped};

/// What the node is told to do when it is to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Rotate,
    Retire,
}

pub async fn inv06_the_work_goes_on_after_a_crash_at_each_step(backend: Backend) {
    let rounds = if billfold_tests::tools::full() { 20 } else { 1 };
    for _ in 0..rounds {
        for at in ROTATING.iter().chain(&REWRAPPING) {
            crash(backend, at, Work::Rotate).await;
        }
        for at in RETIRING {
            crash(backend, at, Work::Retire).await;
        }
    }
}

async fn crash(backend: Backend, at: &str, work: Work) {
    let folder = tempfile::TempDir::new().unwrap();
    let trap = folder.path().join("fault");
    let wallet = Wallet::serve_with(backend, |builder| {
        builder.env("BILLFOLD_FAULT", format!("@{}", trap.display()))
    });
    let mut wallet = wallet.await;
    let mut secrets = Secrets::new(&wallet.node, "crash");
    for _ in 0..5 {
        secrets.put_new().await;
    }
    if work == Work::Retire {
        rotate(&wallet.node).await;
        until_rewrapped(&wallet.node).await;
    }
    fs::write(&trap, at).unwrap();
    order(&wallet.node, work).await;
    until_dead(&mut wallet.node, &trap, at).await;
    wallet.node.restart().await.unwrap();
    secrets.check_all().await;
    secrets.put_new().await;
    // The work may have been lost before it was in the log: then it is ordered again.
    let newest = match work {
        Work::Rotate => {
            let current = super::status(&wallet.node).await["current"]
                .as_u64()
                .unwrap();
            match current {
                1 => rotate(&wallet.node).await,
                other => other,
            }
        }
        Work::Retire => 2,
    };
    assert_eq!(
        newest, 2,
        "after a crash at {at}: what was stored before is used"
    );
    until_rewrapped(&wallet.node).await;
    let retired = wallet
        .node
        .root("POST", RETIRE, json!({ "version": 1 }))
        .await;
    assert_eq!(retired.status, 200, "{at}: {}", retired.text());
    until_destroyed(&wallet.node, 1).await;
    secrets.check_all().await;
    wallet.assert_sound().await;
    let listed = wallet
        .replay(&["log"])
        .await
        .unwrap()
        .success()
        .unwrap()
        .stdout;
    for once in ["KeksRetired", "KeksDestroyed"] {
        assert_eq!(
            listed.matches(once).count(),
            1,
            "after a crash at {at}:\n{listed}"
        );
    }
    assert_eq!(
        listed.matches("KekCreated").count(),
        2,
        "after a crash at {at}:\n{listed}"
    );
}

/// A version that was stored before a compromise was told of may be known with the others: a fresh one
/// comes after it.
pub async fn inv06_what_was_stored_before_a_compromise_is_not_trusted(backend: Backend) {
    let folder = tempfile::TempDir::new().unwrap();
    let trap = folder.path().join("fault");
    let wallet = Wallet::serve_with(backend, |builder| {
        builder.env("BILLFOLD_FAULT", format!("@{}", trap.display()))
    });
    let mut wallet = wallet.await;
    let mut secrets = Secrets::new(&wallet.node, "known");
    secrets.put_new().await;
    fs::write(&trap, "KEK stored").unwrap();
    order(&wallet.node, Work::Rotate).await;
    until_dead(&mut wallet.node, &trap, "KEK stored").await;
    wallet.node.restart().await.unwrap();
    let compromised = json!({ "compromised": true });
    let rotated = wallet.node.root("POST", ROTATE, compromised).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    assert_eq!(rotated.json()["version"], 3);
    super::until(&wallet.node, "not sealed anew", |status| {
        super::version(status, 3)["used"].as_u64().unwrap() >= 2
    })
    .await;
    secrets.check_all().await;
    wallet.assert_sound().await;
}

/// The process may be gone before it answers.
async fn order(node: &Billfold, work: Work) {
    let (path, body) = match work {
        Work::Rotate => (ROTATE, json!({})),
        Work::Retire => (RETIRE, json!({ "version": 1 })),
    };
    let _ = node
        .client()
        .call("POST", path, Some(node.token()), body)
        .await;
}

async fn until_dead(node: &mut Billfold, trap: &Path, at: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while node
        .client()
        .call("GET", "/v1/sys/health", None, ())
        .await
        .is_ok()
    {
        assert!(
            std::time::Instant::now() < deadline,
            "it does not come to {at}"
        );
        sleep(Duration::from_millis(20)).await;
    }
    fs::remove_file(trap).unwrap();
    // It answers no more before all that it held is free.
    node.kill9();
}
