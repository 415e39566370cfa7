//! What leaves a wallet while it lives: `billfold-replay log --follow` and `export`, and what kills, dead
//! targets and rotated files do to them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(missing_docs, unreachable_pub)]

#[path = "docs/markdown.rs"]
#[allow(dead_code, reason = "the tests of the documentation use more of it")]
mod markdown;
#[path = "exporter/ocsf.rs"]
mod ocsf;
#[path = "exporter/positions.rs"]
mod positions;
#[path = "exporter/syslog.rs"]
mod syslog;
#[path = "exporter/targets.rs"]
mod targets;

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use billfold_tests::{
    billfold::ended,
    on_both_backends,
    running::{Running, until},
    tools,
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};

use self::positions::{a_position_moves_though_nothing_passes, two_exports_share_no_file};

/// A row, by where it stands in the log.
type Place = (u64, u64);

async fn put(wallet: &Wallet, path: &str) {
    let url = format!("/v1/secret/data/{path}");
    let reply = wallet
        .node
        .root("POST", &url, json!({ "data": { "of": path } }))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

async fn get(wallet: &Wallet, path: &str, token: Option<&str>) -> u16 {
    let url = format!("/v1/secret/data/{path}");
    match token {
        None => wallet.node.root("GET", &url, ()).await.status,
        some => {
            wallet
                .node
                .client()
                .call("GET", &url, some, ())
                .await
                .unwrap()
                .status
        }
    }
}

/// Writes, reads, and what is refused.
async fn live(wallet: &Wallet, rounds: std::ops::Range<usize>) {
    for round in rounds {
        put(wallet, &format!("app/{round}")).await;
        assert_eq!(get(wallet, &format!("app/{round}"), None).await, 200);
        assert_eq!(get(wallet, "none", None).await, 404);
    }
    assert_eq!(get(wallet, "app/1", Some("no-such-token")).await, 403);
}

fn place(row: &Value) -> Place {
    (
        row["sequence"].as_u64().unwrap(),
        row["index"].as_u64().unwrap(),
    )
}

fn places(text: &str) -> Vec<Place> {
    let rows = text.lines().map(serde_json::from_str::<Value>);
    rows.map(|row| place(&row.expect("a line is whole JSON")))
        .collect()
}

/// All that stands in the log now.
async fn all(wallet: &Wallet) -> Vec<Place> {
    let listed = wallet.replay(&["log", "--json"]).await.unwrap();
    places(&listed.success().unwrap().stdout)
}

/// Every row that there is now is there at least once, and for the first time in the order of the log.
fn assert_exported(found: &[Place], expected: &[Place]) {
    let mut seen = BTreeSet::new();
    let first: Vec<_> = found
        .iter()
        .filter(|place| seen.insert(**place))
        .copied()
        .collect();
    assert!(first.is_sorted(), "the order is lost");
    let missing: Vec<_> = expected
        .iter()
        .filter(|place| !seen.contains(place))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {}", expected.len());
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

async fn the_log_is_followed_and_ends_when_asked(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    put(&wallet, "first").await;
    for signal in ["INT", "TERM"] {
        let mut following =
            Running::start(wallet.replay_command(&["log", "--follow", "--json", "--names"]));
        until("the first secret", || {
            following.out().contains("\"path\":\"first\"")
        })
        .await;
        let name = format!("second-{signal}");
        put(&wallet, &name).await;
        until("the second", || following.out().contains(&name)).await;
        // New keys come with a rotation.
        let rotated = wallet
            .node
            .root("POST", "/api/internal/wallet/rotate-kek", json!({}))
            .await;
        assert_eq!(rotated.status, 200);
        let name = format!("third-{signal}");
        put(&wallet, &name).await;
        until("the third", || following.out().contains(&name)).await;
        assert_eq!(following.end(signal).await, 0, "{}", following.errors());
    }
    // The server goes without a word, and comes back.
    let mut following =
        Running::start(wallet.replay_command(&["log", "--follow", "--json", "--names"]));
    until("the first secret", || {
        following.out().contains("\"path\":\"first\"")
    })
    .await;
    wallet.node.kill9();
    wallet.node.restart().await.unwrap();
    put(&wallet, "again").await;
    until("what came after", || {
        following.out().contains("\"path\":\"again\"")
    })
    .await;
    assert_eq!(following.end("INT").await, 0, "{}", following.errors());
    let (followed, known) = (places(&following.out()), all(&wallet).await);
    assert_eq!(followed, known[..followed.len()]);
    // With a filter and an end it ends by itself.
    let head = all(&wallet).await.last().unwrap().0;
    let to = (head + 2).to_string();
    let mut following =
        Running::start(wallet.replay_command(&["log", "--follow", "--json", "--to", &to]));
    put(&wallet, "a").await;
    put(&wallet, "b").await;
    assert_eq!(following.ended().await, 0, "{}", following.errors());
    let last = places(&following.out()).last().unwrap().0;
    assert_eq!(last, head + 2);

    // Whoever read it went away.
    let mut command = wallet.replay_command(&["log", "--follow"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    put(&wallet, "c").await;
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap())
        .await
        .unwrap();
    assert!(ended.success(), "{ended}");
}

async fn every_row_is_exported_though_the_exporter_is_killed(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let dir = tempfile::tempdir().unwrap();
    let (out, position) = (dir.path().join("out"), dir.path().join("position"));
    let to = format!("file:{}", out.display());
    let follow = ["export", "--format", "jsonl", "--to", &to, "--follow"];
    let follow = [&follow[..], &["--position", position.to_str().unwrap()]].concat();
    let mut positions = BTreeSet::new();
    for round in 0..8 {
        let before = fs::metadata(&out).map_or(0, |file| file.len());
        let was_at = read(&position);
        let mut exporter = Running::start(wallet.replay_command(&follow));
        live(&wallet, round * 5..round * 5 + 5).await;
        // In the middle: it has written something, and may not have written where it is.
        until("rows", || {
            fs::metadata(&out).is_ok_and(|file| file.len() > before)
        })
        .await;
        // At times it did write where it is.
        if round % 2 == 0 {
            until("a position", || read(&position) != was_at).await;
        }
        exporter.kill();
        positions.insert(read(&position));
    }
    assert!(positions.len() > 3, "it never got further");
    // What a kill in the middle of a write leaves: that row comes again.
    fs::write(&out, read(&out) + "{\"wallet\":\"0").unwrap();
    let once = [&follow[..5], &follow[6..]].concat();
    let expected = all(&wallet).await;
    wallet.replay(&once).await.unwrap().success().unwrap();
    assert_exported(&places(&read(&out)), &expected);

    // From where it ended, exactly: nothing comes twice, and nothing is left out.
    let before = read(&out);
    let earlier = read(&position);
    live(&wallet, 50..52).await;
    let expected = all(&wallet).await;
    wallet.replay(&once).await.unwrap().success().unwrap();
    let added = places(&read(&out)[before.len()..]);
    let last = places(&before).into_iter().max().unwrap();
    let new: Vec<_> = expected
        .iter()
        .filter(|place| **place > last)
        .copied()
        .collect();
    assert!(new.len() > 6);
    assert_eq!(added, new);
    // As if it had been killed before the position was on the disk.
    fs::write(&position, earlier).unwrap();
    wallet.replay(&once).await.unwrap().success().unwrap();
    assert_eq!(
        places(&read(&out)[before.len()..]),
        [new.clone(), new].concat()
    );
    assert_exported(&places(&read(&out)), &expected);

    // A position of another log is told, and nothing goes out.
    let text = read(&out);
    let mut other: Value = serde_json::from_str(&read(&position)).unwrap();
    for (field, value, code, why) in [
        ("commit", json!("00".repeat(32)), 3, "it is another commit"),
        (
            "sequence",
            json!(99_999_999),
            3,
            "it was cut or rolled back",
        ),
        ("wallet", json!("00".repeat(16)), 1, "another wallet"),
    ] {
        other[field] = value;
        fs::write(&position, other.to_string()).unwrap();
        put(&wallet, "one-more").await;
        let refused = wallet.replay(&once).await.unwrap();
        assert_eq!(refused.code, code, "{}", refused.stderr);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
        assert_eq!(read(&out), text, "{field}");
    }
}

async fn a_file_may_be_rotated_meanwhile(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let to = format!("file:{}", file("out").display());
    let args = [
        "export", "--format", "csv", "--to", &to, "--follow", "--names",
    ];
    let mut exporter = Running::start(wallet.replay_command(&args));
    put(&wallet, "first").await;
    until("the first", || read(&file("out")).contains("secret/first,")).await;
    fs::rename(file("out"), file("out.1")).unwrap();
    put(&wallet, "second").await;
    until("the second", || {
        read(&file("out")).contains("secret/second,")
    })
    .await;
    assert_eq!(exporter.end("TERM").await, 0);
    let (old, new) = (read(&file("out.1")), read(&file("out")));
    for text in [&old, &new] {
        assert!(text.starts_with("wallet,sequence,index,time,"), "{text}");
        assert_eq!(text.matches("wallet,sequence").count(), 1);
    }
    let columns = |text: &str| {
        let rows = text.lines().skip(1).map(|line| {
            let mut cells = line.split(',').skip(1);
            let mut next = || cells.next().unwrap().parse::<u64>().unwrap();
            (next(), next())
        });
        rows.collect::<Vec<_>>()
    };
    let found = [columns(&old), columns(&new)].concat();
    assert_eq!(found, all(&wallet).await[..found.len()]);
}

/// The first checkpoint that attests this sequence, as the server tells it.
async fn attested(wallet: &Wallet, sequence: u64) -> Value {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let told = wallet.node.root("GET", "/api/audit/checkpoint", ()).await;
        let told = told.json();
        if told["size"].as_u64() >= Some(sequence) {
            return told;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "no checkpoint attests {sequence}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Each command of the audit page, with moments, files and a server that there are here.
async fn every_command_of_the_audit_page_runs(backend: Backend) {
    let wallet = Wallet::serve_with(backend, |builder| {
        builder
            .env("BILLFOLD_CHECKPOINT_COMMITS", "1")
            .env("BILLFOLD_CHECKPOINT_SECONDS", "1")
    })
    .await;
    live(&wallet, 0..4).await;
    let listed = wallet
        .replay(&["log", "--json"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let line = |line: Option<&str>| serde_json::from_str::<Value>(line.unwrap()).unwrap();
    let [first, last] = [listed.stdout.lines().next(), listed.stdout.lines().last()].map(line);
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let port = tools::free_port();
    let server = syslog::Syslog::start(port, usize::MAX);
    let known = [
        (
            "2027-03-01T00:00:00Z",
            first["time"].as_str().unwrap().to_owned(),
        ),
        (
            "2027-04-01T00:00:00Z",
            last["time"].as_str().unwrap().to_owned(),
        ),
        ("48120", last["sequence"].to_string()),
        ("/var/log/billfold/audit.jsonl", at("audit.jsonl")),
        ("/var/lib/billfold/audit.position", at("audit.position")),
        ("syslog.position", at("syslog.position")),
        ("tls://logs.internal:6514", format!("127.0.0.1:{port}")),
        (" --follow", String::new()),
        ("read-of-march.tlog-proof", at("read-of-march.tlog-proof")),
        ("wallet.bundle", at("wallet.bundle")),
        (" copy", format!(" {}", at("copy"))),
        (" cosigned-checkpoint", format!(" {}", at("note"))),
        ("billfold.vkey", at("vkey")),
        (
            "127.0.0.1:8300",
            format!("127.0.0.1:{}", tools::free_port()),
        ),
        ("https://wallet.internal:8200", wallet.node.url()),
        ("audit.token", at("token")),
        ("witness.key", at("witness.key")),
        ("witness.vkey", at("witness.vkey")),
        (" seen", format!(" {}", at("seen"))),
        ("published-checkpoint", at("published-checkpoint")),
    ];
    let attested = attested(&wallet, last["sequence"].as_u64().unwrap()).await;
    let text = |field: &str| attested[field].as_str().unwrap().to_owned();
    fs::write(at("note"), text("note")).unwrap();
    fs::write(at("vkey"), text("key")).unwrap();
    fs::write(at("token"), wallet.node.token()).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit.md");
    let blocks = markdown::blocks(&read(&page));
    let commands = blocks.iter().flat_map(|block| block.lines());
    let (mut ran, mut serving) = (0, Vec::new());
    for command in commands.filter_map(|line| line.strip_prefix("billfold-replay ")) {
        let here = known.iter().fold(command.to_owned(), |text, (told, here)| {
            text.replace(told, here)
        });
        let (here, into) = match here.split_once(" > ") {
            Some((here, into)) => (here, Some(into)),
            None => (here.as_str(), None),
        };
        let args: Vec<_> = here.split(' ').collect();
        ran += 1;
        if here.contains("--listen") {
            let served = Running::start(wallet.replay_command(&args));
            until("a witness", || served.errors().contains("listens on")).await;
            serving.push(served);
            continue;
        }
        let says_where = here.contains("--data-dir") || here.contains("--bundle");
        let ended = match says_where {
            // It says itself where the log is.
            true => {
                let mut command = Command::new(tools::replay_bin());
                command.args(&args);
                ended(command).await
            }
            false => wallet.replay(&args).await,
        };
        let ended = ended.unwrap();
        assert_eq!(ended.code, 0, "{command}: {}", ended.stderr);
        if let Some(file) = into {
            fs::write(file, ended.stdout).unwrap();
        }
    }
    assert!(ran > 15 && serving.len() == 1, "{ran}");
    let published = read(&dir.path().join("published-checkpoint"));
    assert!(published.contains("— witness.example/1 "), "{published}");
    assert!(!read(&dir.path().join("audit.jsonl")).is_empty());
    assert!(!server.messages().is_empty());
}

on_both_backends! {
    every_command_of_the_audit_page_runs,
    the_log_is_followed_and_ends_when_asked,
    every_row_is_exported_though_the_exporter_is_killed,
    a_file_may_be_rotated_meanwhile,
    a_position_moves_though_nothing_passes,
    two_exports_share_no_file,
}
