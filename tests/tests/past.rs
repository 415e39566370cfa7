//! The past, by the log alone: `billfold-replay at` says what the node answered then, and
//! `billfold-replay keys` what became of each key.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(missing_docs, unreachable_pub)]

#[path = "library/folding.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod folding;
#[path = "library/node.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod node;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use billfold_core::{command::Action, event::Actor};
use billfold_tests::{
    billfold::Ended,
    on_both_backends,
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

const STATUS: &str = "/api/internal/wallet/key-status";

async fn call(wallet: &Wallet, method: &str, path: &str, body: Value) -> Value {
    let reply = wallet.node.root(method, path, body).await;
    assert!(
        matches!(reply.status, 200 | 204),
        "{method} {path}: {}",
        reply.text()
    );
    reply.json()
}

async fn put(wallet: &Wallet, path: &str) {
    let url = format!("/v1/secret/data/{path}");
    call(wallet, "POST", &url, json!({ "data": { "of": path } })).await;
}

async fn destroy(wallet: &Wallet, path: &str, version: u32) {
    let url = format!("/v1/secret/destroy/{path}");
    call(wallet, "POST", &url, json!({ "versions": [version] })).await;
}

async fn rotate(wallet: &Wallet) {
    call(wallet, "POST", "/api/internal/wallet/rotate-kek", json!({})).await;
}

async fn retire(wallet: &Wallet, version: u32) {
    let body = json!({ "version": version });
    call(wallet, "POST", "/api/internal/wallet/retire-kek", body).await;
}

/// What the node answers, at each place that it was asked.
#[derive(Default)]
struct Answers(BTreeMap<u64, Value>);

impl Answers {
    async fn ask(&mut self, wallet: &Wallet) -> Value {
        let status = wallet.node.root("GET", STATUS, ()).await.json();
        let told = by_the_log(status.clone());
        let before = self.0.insert(sequence(&told), told.clone());
        assert!(before.is_none_or(|before| before == told));
        status
    }

    async fn until(&mut self, wallet: &Wallet, why: &str, is_so: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.ask(wallet).await;
            if is_so(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "{why}: {status}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_rewrapped(&mut self, wallet: &Wallet) {
        self.until(wallet, "not rewrapped", |status| {
            let versions = status["versions"].as_array().unwrap();
            let older = versions
                .iter()
                .filter(|kek| kek["version"] != status["current"]);
            older
                .into_iter()
                .all(|kek| kek["live"] == 0 && kek["dying"] == 0)
        })
        .await;
    }

    async fn until_destroyed(&mut self, wallet: &Wallet, version: usize) {
        self.until(wallet, "not destroyed", |status| {
            status["versions"][version - 1]["state"] == "destroyed"
        })
        .await;
    }
}

fn sequence(status: &Value) -> u64 {
    status["sequence"].as_u64().unwrap()
}

/// Without what the key store and the node's settings say.
fn by_the_log(mut status: Value) -> Value {
    status["rewrap"]
        .as_object_mut()
        .unwrap()
        .remove("estimate_seconds")
        .unwrap();
    for version in status["versions"].as_array_mut().unwrap() {
        version.as_object_mut().unwrap().remove("pooled").unwrap();
    }
    status
}

async fn replay(wallet: &Wallet, args: &[&str]) -> Ended {
    wallet.replay(args).await.unwrap()
}

async fn told(wallet: &Wallet, args: &[&str]) -> String {
    replay(wallet, args).await.success().unwrap().stdout
}

async fn told_json(wallet: &Wallet, args: &[&str]) -> Value {
    serde_json::from_str(&told(wallet, args).await).unwrap()
}

async fn at(wallet: &Wallet, moment: &str) -> Value {
    told_json(wallet, &["at", moment, "key-status", "--json"]).await
}

async fn inv01_key_status_of_the_past_is_what_was_answered(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let mut answers = Answers::default();
    for round in 1..=3 {
        for secret in 0..4 {
            put(&wallet, &format!("round{round}/{secret}")).await;
            answers.ask(&wallet).await;
        }
        destroy(&wallet, &format!("round{round}/0"), 1).await;
        answers.ask(&wallet).await;
        rotate(&wallet).await;
        answers.until_rewrapped(&wallet).await;
    }
    retire(&wallet, 2).await;
    answers.ask(&wallet).await;
    answers.until_destroyed(&wallet, 2).await;
    let policy = json!({ "enabled": true, "interval": "48h", "max_operations": 2_000_000 });
    call(&wallet, "POST", "/v1/sys/rotate/config", policy).await;
    answers.ask(&wallet).await;
    assert!(answers.0.len() > 15, "{} places", answers.0.len());
    // Beside the running node, and its log goes on.
    for (sequence, told) in &answers.0 {
        assert_eq!(
            at(&wallet, &sequence.to_string()).await,
            *told,
            "{sequence}"
        );
    }

    // By time: what all commits up to it made.
    let lines = told(&wallet, &["log", "--json"]).await;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let decided = lines.iter().filter(|line| line["subject"] == "decided");
    let times: BTreeMap<&str, u64> = decided
        .map(|line| (line["time"].as_str().unwrap(), sequence(line)))
        .collect();
    let mut compared = 0;
    for (time, last) in times {
        if let Some(told) = answers.0.get(&last).filter(|_| compared < 5) {
            assert_eq!(at(&wallet, time).await, *told, "{time}");
            let millis = billfold_core::Millis::parse(time).unwrap().0;
            assert_eq!(at(&wallet, &millis.to_string()).await, *told, "{time}");
            compared += 1;
        }
    }
    assert!(compared > 2);
    let last = sequence(lines.last().unwrap()).to_string();
    let text = told(&wallet, &["at", &last, "key-status"]).await;
    assert!(text.contains("version     1 "), "{text}");

    for (moment, why) in [
        ("99999999", "the log ends at sequence"),
        ("2999-01-01T00:00:00Z", "is still to come"),
        ("2001-01-01T00:00:00Z", "there was no wallet yet"),
        ("soon", "a moment is a sequence, a time"),
        ("0", "a moment is a sequence, a time"),
    ] {
        let refused = replay(&wallet, &["at", moment, "key-status"]).await;
        assert_eq!(refused.code, 1, "{moment}");
        assert!(refused.stderr.contains(why), "{moment}: {}", refused.stderr);
    }
    let refused = replay(&wallet, &["at", "1", "weather"]).await;
    assert_eq!(refused.code, 1);
}

/// The lines of the log about an event.
async fn lines(wallet: &Wallet, event: &str) -> Vec<Value> {
    let listed = told(wallet, &["log", "--json"]).await;
    let lines = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == event).collect()
}

fn place(line: &Value) -> Value {
    json!({ "sequence": line["sequence"], "time": line["time"] })
}

/// What happened to a key, and where, but for the closing of its page.
async fn life(wallet: &Wallet, key: &str) -> Vec<Value> {
    let told = told_json(wallet, &["keys", key, "--json"]).await;
    assert_eq!(told["key"], key);
    let steps = told["steps"].as_array().unwrap().iter();
    let closed = |step: &&Value| step["step"] == "page-closed";
    assert_eq!(steps.clone().filter(closed).count(), 1, "{told}");
    steps.filter(|step| !closed(step)).cloned().collect()
}

fn step(line: &Value, step: &Value) -> Value {
    let mut all = place(line);
    let all = all.as_object_mut().unwrap();
    all.insert("event".to_owned(), line["event"].clone());
    all.extend(step.as_object().unwrap().clone());
    json!(all)
}

async fn the_life_of_every_key_is_told(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let mut answers = Answers::default();
    for secret in ["stays", "goes"] {
        put(&wallet, secret).await;
    }
    destroy(&wallet, "goes", 1).await;
    answers
        .until(&wallet, "not swept", |status| {
            status["erasures"]["pending"] == 1 && status["erasures"]["destroying"] == 0
        })
        .await;
    rotate(&wallet).await;
    answers.until_rewrapped(&wallet).await;
    put(&wallet, "later").await;
    retire(&wallet, 1).await;
    answers.until_destroyed(&wallet, 1).await;
    let status = answers.ask(&wallet).await;

    let keks = told_json(&wallet, &["keys", "--json"]).await;
    let [first, second] = [0, 1].map(|at| keks["versions"][at].clone());
    for (told, known) in [(&first, 0), (&second, 1)] {
        let known = &status["versions"][known];
        for field in [
            "version",
            "state",
            "generation",
            "provider",
            "live",
            "dying",
        ] {
            assert_eq!(told[field], known[field], "{field}");
        }
        for (field, known) in [("used", &known["used"]), ("erased", &known["erased"])] {
            assert_eq!(told[field]["keys"], *known, "{field}");
        }
    }
    let made = lines(&wallet, "KekCreated").await;
    assert_eq!(first["made"], place(&made[0]));
    assert_eq!(second["made"], place(&made[1]));
    assert_eq!(first["used"]["first"], place(&made[0]));
    let rewrapped = lines(&wallet, "KeysRewrapped").await;
    let [begun, ended] = [rewrapped.first(), rewrapped.last()].map(|line| place(line.unwrap()));
    for span in [&first["rewrapped"], &second["taken_over"]] {
        assert_eq!((&span["first"], &span["last"]), (&begun, &ended));
        let used = first["used"]["keys"].as_u64().unwrap();
        assert_eq!(span["keys"], used - 1, "all but the one that was destroyed");
    }
    for (field, event) in [("retired", "KeksRetired"), ("destroyed", "KeksDestroyed")] {
        assert_eq!(first[field], place(&lines(&wallet, event).await[0]));
        assert_eq!(second[field], Value::Null);
    }
    assert_eq!(keks["generations"][0]["made"], place(&made[0]));
    let text = told(&wallet, &["keys"]).await;
    assert!(text.contains("version 1   destroyed "), "{text}");
    assert!(text.contains("  retired\n"), "{text}");

    // Of a new secret its payload's key is the first.
    let written = lines(&wallet, "CredentialWritten").await;
    let key = |at: usize| written[at]["uses"][0].as_str().unwrap();
    let used = |at: usize, kek: u32| {
        let record = written[at]["record"].as_str().unwrap();
        let owner = format!("the payload of record {record} version 1");
        step(
            &written[at],
            &json!({ "step": "used", "owner": owner, "kek": kek }),
        )
    };
    let stays = life(&wallet, key(0)).await;
    let its = |line: &&Value| line["sequence"] == stays[1]["sequence"];
    let mut of_its_page = rewrapped.iter().filter(its);
    let moved = json!({ "step": "rewrapped", "from": 1, "to": 2 });
    let moved = step(of_its_page.next().unwrap(), &moved);
    assert_eq!(stays, [used(0, 1), moved]);
    let [given_up, swept, gone] = [
        &lines(&wallet, "VersionsDestroyed").await[0],
        &lines(&wallet, "KeysDestroyed").await[0],
        &lines(&wallet, "KeksDestroyed").await[0],
    ];
    let mut expected = vec![
        used(1, 1),
        step(given_up, &json!({ "step": "given-up" })),
        step(swept, &json!({ "step": "destroyed", "newest": 1 })),
        step(gone, &json!({ "step": "kek-destroyed" })),
    ];
    assert_eq!(life(&wallet, key(1)).await, expected);
    let text = told(&wallet, &["keys", key(1)]).await;
    assert!(text.contains("destroyed, under KEK version 1"), "{text}");
    for (id, why) in [
        ("00000000000000000000000000000000.3", "takes no key"),
        ("7", "a key is known by its page"),
    ] {
        let refused = replay(&wallet, &["keys", id]).await;
        assert_eq!(refused.code, 1, "{id}");
        assert!(refused.stderr.contains(why), "{id}: {}", refused.stderr);
    }

    // With the unseal generation above it, it is gone from every copy.
    wallet.node.stop().await.unwrap();
    replace_generation(&wallet).await;
    let replaced = &lines(&wallet, "GenerationReplaced").await[0];
    expected.push(step(replaced, &json!({ "step": "complete" })));
    assert_eq!(life(&wallet, key(1)).await, expected);
    let keks = told_json(&wallet, &["keys", "--json"]).await;
    assert_eq!(keks["generations"][1]["made"], place(replaced));
    assert_eq!(keks["versions"][1]["generation"], 2);
}

async fn replace_generation(wallet: &Wallet) {
    let (data, key) = (wallet.node.data_dir(), wallet.node.key_file());
    let setup = match &wallet.nats {
        None => node::Setup::embedded(data, key),
        Some(nats) => node::Setup::jetstream(&nats.url(), key).await,
    };
    let inside = setup.start().await;
    let replaced = Action::ReplaceGeneration {
        generation: 2,
        manager: "key-file".to_owned(),
        back_to: 2,
    };
    inside.order(None, Actor::System, replaced).await.unwrap();
}

on_both_backends! {
    inv01_key_status_of_the_past_is_what_was_answered,
    the_life_of_every_key_is_told,
}
