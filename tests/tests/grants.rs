//! Auditor grants: what an auditor's key opens, and that it opens nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "grants/auditor.rs"]
mod auditor;
#[path = "grants/everything.rs"]
mod everything;
#[path = "docs/markdown.rs"]
#[allow(dead_code, reason = "the tests of the documentation use more of it")]
mod markdown;
#[path = "grants/moved.rs"]
mod moved;
#[path = "grants/quick_start.rs"]
mod quick_start;

use std::time::{Duration, Instant};

use billfold_tests::{
    billfold::Reply,
    cli::Cli,
    on_both_backends,
    wallet::{Backend, Wallet, command_id},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use auditor::{Auditor, lines};
use everything::{every_ciphertext, keys_granted, names_granted};
use moved::a_mount_that_moved_inverts_no_verdict;
use quick_start::the_auditors_quick_start_runs_as_written;

on_both_backends! {
    inv04_an_auditors_key_opens_facts_of_its_epochs_and_nothing_else,
    auditors_read_what_the_wallet_says_and_no_more_than_their_epochs,
    a_standing_grant_has_each_further_epoch_until_it_is_revoked,
    names_are_granted_with_their_epochs_and_no_further,
    a_live_grant_has_the_epoch_that_goes_on,
    who_had_the_epoch_that_goes_on_has_no_more_of_it_once_it_is_revoked,
    inv10_granting_is_for_who_may,
    inv12_grants_that_are_none_change_nothing,
    the_commands_grant_list_and_revoke,
    the_auditors_quick_start_runs_as_written,
    a_mount_that_moved_inverts_no_verdict,
}

pub const GRANTS: &str = "/api/internal/wallet/auditor-grants";
/// How long any node may take for what it does by itself.
const WITHIN: Duration = Duration::from_secs(120);

pub async fn ok(wallet: &Wallet, method: &str, path: &str, body: Value) -> Value {
    let reply = match body {
        Value::Null => wallet.node.root(method, path, ()).await,
        body => wallet.node.root(method, path, body).await,
    };
    assert!((200..300).contains(&reply.status), "{}", reply.text());
    serde_json::from_str(&reply.text()).unwrap_or_default()
}

/// Ends the current epoch, with a rotation.
async fn end_epoch(wallet: &Wallet) {
    let rotate = "/api/internal/wallet/rotate-kek";
    ok(wallet, "POST", rotate, json!({})).await;
}

/// A wallet whose log is attested soon: an auditor takes up what checkpoints attest.
pub async fn serve(backend: Backend) -> Wallet {
    Wallet::serve_with(backend, |builder| {
        builder
            .env("BILLFOLD_CHECKPOINT_COMMITS", "1")
            .env("BILLFOLD_CHECKPOINT_SECONDS", "1")
    })
    .await
}

async fn grant(wallet: &Wallet, auditor: &Auditor, wish: Value) -> Value {
    let mut wish = wish;
    wish["recipient"] = json!(auditor.public);
    ok(wallet, "POST", GRANTS, wish).await
}

async fn granted_epoch(wallet: &Wallet, id: &str) -> Option<u64> {
    let all = ok(wallet, "GET", GRANTS, Value::Null).await;
    let grants = all["grants"].as_array().unwrap();
    let found = grants.iter().find(|grant| grant["id"] == id)?;
    found["granted_epoch"].as_u64()
}

async fn until_granted(wallet: &Wallet, id: &str, epoch: u64) {
    let deadline = Instant::now() + WITHIN;
    while granted_epoch(wallet, id).await != Some(epoch) {
        assert!(Instant::now() < deadline, "epoch {epoch} is never granted");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a grant has its third epoch, and the names that came to be in it.
async fn until_named(wallet: &Wallet, granted: &Value) {
    until_granted(wallet, granted["id"].as_str().unwrap(), 3).await;
    let ended = everything::epochs_by_time(wallet).await[2].1.clone();
    let deadline = Instant::now() + WITHIN;
    loop {
        let all = ok(wallet, "GET", GRANTS, Value::Null).await;
        let grants = all["grants"].as_array().unwrap();
        let found = grants.iter().find(|grant| grant["id"] == granted["id"]);
        // Times of one form are in the order of their texts.
        if found.unwrap()["named_until"].as_str() >= Some(&*ended) {
            return;
        }
        assert!(Instant::now() < deadline, "the names never follow");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Something of everything that puts ciphertexts into the log and the key store.
async fn live(wallet: &Wallet, round: u32) {
    let data = json!({ "data": { "password": format!("hunter-{round}") } });
    let path = format!("/v1/secret/data/team/app-{round}");
    ok(wallet, "POST", &path, data.clone()).await;
    ok(wallet, "POST", &path, data.clone()).await;
    ok(wallet, "GET", &path, Value::Null).await;
    ok(
        wallet,
        "GET",
        "/v1/secret/metadata/team?list=true",
        Value::Null,
    )
    .await;
    let policy = json!({ "policy": "path \"secret/*\" { capabilities = [\"read\"] }" });
    ok(wallet, "POST", "/v1/sys/policies/acl/reader", policy).await;
    let wish = json!({ "policies": ["reader"], "display_name": format!("ci-{round}") });
    let made = ok(wallet, "POST", "/v1/auth/token/create", wish).await;
    let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    let client = wallet.node.client();
    let read: Reply = client.call("GET", &path, Some(&token), ()).await.unwrap();
    assert_eq!(read.status, 200);
    let denied = client.call("POST", &path, Some(&token), data.clone()).await;
    assert_eq!(denied.unwrap().status, 403);
    let absent = "/v1/secret/data/team/nothing";
    assert_eq!(wallet.node.root("GET", absent, ()).await.status, 404);
    let nobody = client.call("GET", &path, None, ()).await.unwrap();
    assert_eq!(nobody.status, 403);
    ok(wallet, "POST", "/v1/cubbyhole/mine", json!({ "x": "y" })).await;
    let wrap = client.header("X-Vault-Wrap-TTL", "60");
    let wrapped = wrap.call("GET", &path, Some(wallet.node.token()), ()).await;
    assert_eq!(wrapped.unwrap().status, 200);
    let hold = json!({ "path": format!("secret/team/held-{round}"), "reason": "a lawsuit" });
    ok(wallet, "POST", "/api/internal/wallet/holds", hold).await;
    let gone = format!("secret/team/gone-{round}");
    let gone_at = format!("/v1/secret/data/team/gone-{round}");
    ok(wallet, "POST", &gone_at, data).await;
    let erase = json!({ "path": gone, "reason": "they left us" });
    ok(wallet, "POST", "/api/internal/wallet/erase", erase).await;
}

async fn inv04_an_auditors_key_opens_facts_of_its_epochs_and_nothing_else(backend: Backend) {
    let mut wallet = serve(backend).await;
    let (first, second, none) = (Auditor::new(), Auditor::new(), Auditor::new());
    live(&wallet, 1).await;
    end_epoch(&wallet).await;
    live(&wallet, 2).await;
    end_epoch(&wallet).await;
    live(&wallet, 3).await;
    // One has the first epoch, the other the second, nobody the third.
    let epochs = everything::epochs_by_time(&wallet).await;
    let ended = |number: usize| epochs[number].1.clone();
    grant(&wallet, &first, json!({ "to": ended(0) })).await;
    let middle = json!({ "from": epochs[1].0, "to": ended(1), "names": false });
    grant(&wallet, &second, middle).await;
    live(&wallet, 4).await;
    wallet.node.stop().await.unwrap();
    let all = every_ciphertext(&wallet).await;
    assert!(all.payloads() > 20 && all.request_names() > 10 && all.stored() > 3);
    let keys = keys_granted(&all, &none);
    assert!(keys.is_empty(), "nothing was granted to this one");
    let ids = all.epochs();
    assert!(ids.len() >= 3);
    for (auditor, allowed) in [(&first, &ids[..1]), (&second, &ids[..2])] {
        let keys = keys_granted(&all, auditor);
        let granted: Vec<_> = keys.iter().map(|key| key.epoch).collect();
        assert!(granted.iter().all(|epoch| allowed.contains(epoch)));
        assert!(!granted.is_empty());
        all.assert_opens(&keys);
    }
    let of_second = keys_granted(&all, &second);
    assert!(of_second.iter().any(|key| key.epoch == ids[1]));
}

async fn auditors_read_what_the_wallet_says_and_no_more_than_their_epochs(backend: Backend) {
    let mut wallet = serve(backend).await;
    let (whole, later, nobody) = (Auditor::new(), Auditor::new(), Auditor::new());
    live(&wallet, 1).await;
    end_epoch(&wallet).await;
    let between = everything::epochs_by_time(&wallet).await[1].0.clone();
    // An epoch is granted to whoever has any moment of it: its first belongs to the one before, too.
    sleep(Duration::from_millis(20)).await;
    live(&wallet, 2).await;
    end_epoch(&wallet).await;
    let first = grant(&wallet, &whole, json!({})).await;
    let from = everything::a_moment_after(&between);
    let second = grant(&wallet, &later, json!({ "from": from })).await;
    live(&wallet, 3).await;
    end_epoch(&wallet).await;
    for granted in [first, second] {
        until_named(&wallet, &granted).await;
    }
    wallet.node.stop().await.unwrap();

    let truth = wallet.replay(&["log", "--json", "--names"]).await.unwrap();
    let truth = lines(&truth.success().unwrap().stdout);
    let seen = whole.replay(&wallet, &["log", "--json", "--names"]).await;
    let told = seen.success().unwrap();
    let first_closed = auditor::first_closed(&told.stderr).expect("the last epoch is closed");
    let mut verdicts = 0;
    let seen_lines = lines(&told.stdout);
    for (seen, truth) in seen_lines.iter().zip(&truth) {
        assert!(seen["sequence"].as_u64().unwrap() < first_closed);
        for field in [
            "sequence", "event", "actor", "token", "verdict", "version", "client",
        ] {
            assert_eq!(seen[field], truth[field], "{field} of {truth}");
        }
        verdicts += usize::from(seen["verdict"].is_string());
        // What is erased for the wallet was not granted either.
        if truth["path"].is_string() && seen["event"] == "CredentialWritten" {
            let path = seen["path"].as_str();
            let absent = path.is_none();
            assert!(absent || path == truth["path"].as_str(), "{seen}");
        }
    }
    assert!(verdicts > 10);
    let granted = |line: &&Value| line["path"] == "team/app-1" && line["verdict"] == "permitted";
    assert!(seen_lines.iter().any(|line| granted(&line)));
    let token_name = |line: &Value| line["token_name"] == "token-ci-1";
    assert!(seen_lines.iter().any(token_name));
    let digest = whole
        .replay(
            &wallet,
            &["digest", "--at", &(first_closed - 1).to_string()],
        )
        .await;
    let same = wallet
        .replay(&["digest", "--at", &(first_closed - 1).to_string()])
        .await
        .unwrap();
    assert_eq!(
        digest.success().unwrap().stdout,
        same.success().unwrap().stdout
    );
    let beyond = whole.replay(&wallet, &["digest"]).await;
    assert_eq!(beyond.code, 1);
    assert!(beyond.stderr.contains("is closed to this auditor's key"));
    let verify = whole.replay(&wallet, &["verify"]).await;
    assert_eq!(verify.code, 1);
    other_commands_reach_as_far(&wallet, &whole, first_closed).await;

    // Without the beginning there are facts, and no outcome.
    let seen = later.replay(&wallet, &["log", "--json", "--names"]).await;
    let told = seen.success().unwrap();
    assert_eq!(auditor::first_closed(&told.stderr), Some(1));
    let seen = lines(&told.stdout);
    let paths: Vec<_> = seen
        .iter()
        .filter_map(|line| line["path"].as_str())
        .collect();
    assert!(paths.contains(&"team/app-2") && !paths.contains(&"team/app-1"));
    assert!(seen.iter().all(|line| line["verdict"].is_null()));
    assert!(told.stderr.contains("neither outcomes nor what is void"));

    let seen = nobody.replay(&wallet, &["log"]).await;
    assert_eq!(seen.code, 2);
    assert!(seen.stderr.contains("nothing in this log is granted"));
}

/// The past, filters and exports: up to the first sequence that is closed, and not a step further.
async fn other_commands_reach_as_far(wallet: &Wallet, auditor: &Auditor, closed: u64) {
    let (open, closed_at) = ((closed - 1).to_string(), closed.to_string());
    for command in [
        &[
            "at",
            &open,
            "policies",
            "roles",
            "holds",
            "key-status",
            "--json",
        ][..],
        &["diff", "2", &open, "policies", "key-status", "--json"],
    ] {
        let told = auditor.replay(wallet, command).await.success().unwrap();
        let truth = wallet.replay(command).await.unwrap().success().unwrap();
        let (mut told, mut truth) = (lines(&told.stdout), lines(&truth.stdout));
        // What a hold is for is in no table.
        for value in told.iter_mut().chain(&mut truth) {
            for hold in value["holds"].as_array_mut().into_iter().flatten() {
                hold["path"] = Value::Null;
                hold["reason"] = Value::Null;
            }
        }
        assert_eq!(told, truth, "{command:?}");
    }
    let told = auditor.replay(wallet, &["at", &open, "keychain"]).await;
    assert!(told.success().unwrap().stdout.contains("secret/team/app-1"));
    let backwards = ["diff", "2", &closed_at];
    for command in [
        &["at", &closed_at][..],
        &["at", "2100-01-01T00:00:00Z"],
        &backwards,
    ] {
        let told = auditor.replay(wallet, command).await;
        assert_eq!(told.code, 1, "{}", told.stderr);
        assert!(told.stderr.contains("is closed to this auditor's key"));
    }
    let written = [
        "log",
        "--path",
        "secret/team/app-1",
        "--kind",
        "CredentialWritten",
        "--json",
    ];
    let told = auditor.replay(wallet, &written).await.success().unwrap();
    assert_eq!(lines(&told.stdout).len(), 2, "{}", told.stdout);
    let export = ["export", "--format", "jsonl", "--to", "stdout"];
    let told = auditor.replay(wallet, &export).await.success().unwrap();
    assert!(
        told.stderr.contains("nothing is exported"),
        "{}",
        told.stderr
    );
    let truth = wallet.replay(&export).await.unwrap().success().unwrap();
    let mut truth = lines(&truth.stdout);
    truth.retain(|row| row["sequence"].as_u64().unwrap() < closed);
    assert_eq!(lines(&told.stdout), truth);
    for command in [
        &["log", "--follow"][..],
        &[&export[..], &["--follow"]].concat(),
    ] {
        let told = auditor.replay(wallet, command).await;
        assert_eq!(told.code, 1, "{}", told.stderr);
        assert!(told.stderr.contains("follows nothing"));
    }
}

async fn a_standing_grant_has_each_further_epoch_until_it_is_revoked(backend: Backend) {
    let mut wallet = serve(backend).await;
    let (standing, revoked) = (Auditor::new(), Auditor::new());
    let stays = grant(&wallet, &standing, json!({})).await;
    let goes = grant(&wallet, &revoked, json!({})).await;
    let (stays, goes) = (stays["id"].as_str().unwrap(), goes["id"].as_str().unwrap());
    assert_eq!(
        granted_epoch(&wallet, stays).await,
        Some(0),
        "none is closed"
    );
    let told = standing.replay(&wallet, &["log"]).await;
    assert_eq!(told.code, 2, "{}", told.stderr);
    let why = "nothing in it before one of its epochs has ended";
    assert!(told.stderr.contains(why), "{}", told.stderr);
    end_epoch(&wallet).await;
    until_granted(&wallet, stays, 1).await;
    until_granted(&wallet, goes, 1).await;
    ok(&wallet, "DELETE", &format!("{GRANTS}/{goes}"), Value::Null).await;
    assert_eq!(granted_epoch(&wallet, goes).await, None);
    end_epoch(&wallet).await;
    until_granted(&wallet, stays, 2).await;
    // What ended while no node ran is granted by the next.
    end_epoch(&wallet).await;
    wallet.node.kill9();
    wallet.node.restart().await.unwrap();
    until_granted(&wallet, stays, 3).await;
    let again = wallet
        .node
        .root("DELETE", &format!("{GRANTS}/{goes}"), ())
        .await;
    assert_eq!(again.status, 404);
    wallet.assert_sound().await;
    wallet.node.stop().await.unwrap();
    let all = every_ciphertext(&wallet).await;
    let epochs = |auditor| keys_granted(&all, auditor).len();
    assert_eq!((epochs(&standing), epochs(&revoked)), (3, 1));
}

/// Something with a name, of each kind that has one.
async fn name_something(wallet: &Wallet, name: &str) {
    let mount = json!({ "type": "kv", "options": { "version": "2" } });
    ok(
        wallet,
        "POST",
        &format!("/v1/sys/mounts/{name}-mount"),
        mount,
    )
    .await;
    let data = json!({ "data": { "x": "y" } });
    ok(wallet, "POST", &format!("/v1/secret/data/{name}"), data).await;
    let wish = json!({ "policies": ["default"], "display_name": name });
    ok(wallet, "POST", "/v1/auth/token/create", wish).await;
    // What has the time of an epoch's end belongs to it.
    sleep(Duration::from_millis(20)).await;
}

async fn names_are_granted_with_their_epochs_and_no_further(backend: Backend) {
    let mut wallet = serve(backend).await;
    let (early, standing, past) = (Auditor::new(), Auditor::new(), Auditor::new());
    name_something(&wallet, "first").await;
    let ended_before = grant(&wallet, &early, json!({})).await;
    assert!(ended_before["named_until"].is_null(), "no epoch is granted");
    let path = format!("{GRANTS}/{}", ended_before["id"].as_str().unwrap());
    ok(&wallet, "DELETE", &path, Value::Null).await;
    end_epoch(&wallet).await;
    sleep(Duration::from_millis(20)).await;
    name_something(&wallet, "second").await;
    end_epoch(&wallet).await;
    sleep(Duration::from_millis(20)).await;
    name_something(&wallet, "third").await;
    let epochs = everything::epochs_by_time(&wallet).await;
    let until = grant(&wallet, &past, json!({ "to": epochs[0].1 })).await;
    assert_eq!(until["named_until"], epochs[0].1.as_str());
    let whole = grant(&wallet, &standing, json!({})).await;
    assert_eq!(whole["named_until"], epochs[1].1.as_str());
    wallet.assert_sound().await;
    wallet.node.stop().await.unwrap();

    let all = every_ciphertext(&wallet).await;
    for (auditor, names) in [
        (&early, &[][..]),
        (&past, &["first"]),
        (&standing, &["first", "second"]),
    ] {
        let table = names_granted(&all, auditor);
        for name in ["first", "second", "third"] {
            let mount = format!("{name}-mount/");
            let told = [
                table.mounts.iter().any(|(_, _, path)| *path == mount),
                table.records.iter().any(|(_, _, path)| path == name),
                table.tokens.iter().any(|(_, path)| path.ends_with(name)),
            ];
            assert_eq!(told, [names.contains(&name); 3], "{name} {names:?}");
        }
    }
}

async fn who_had_the_epoch_that_goes_on_has_no_more_of_it_once_it_is_revoked(backend: Backend) {
    let mut wallet = serve(backend).await;
    live(&wallet, 1).await;
    let (auditor, over) = (Auditor::new(), Auditor::new());
    let granted = grant(&wallet, &auditor, json!({ "live": true })).await;
    assert_eq!(granted["granted_epoch"], 1);
    let path = format!("{GRANTS}/{}", granted["id"].as_str().unwrap());
    ok(&wallet, "DELETE", &path, Value::Null).await;
    assert_eq!(everything::epochs_by_time(&wallet).await.len(), 2);
    // Whose span is over has nothing of the epoch that goes on.
    let to = everything::epochs_by_time(&wallet).await[1].0.clone();
    let granted = grant(&wallet, &over, json!({ "live": true, "to": to })).await;
    let path = format!("{GRANTS}/{}", granted["id"].as_str().unwrap());
    ok(&wallet, "DELETE", &path, Value::Null).await;
    assert_eq!(everything::epochs_by_time(&wallet).await.len(), 2);
    live(&wallet, 2).await;
    wallet.assert_sound().await;
    wallet.node.stop().await.unwrap();
    let all = every_ciphertext(&wallet).await;
    let keys = keys_granted(&all, &auditor);
    let granted: Vec<_> = keys.iter().map(|key| key.epoch).collect();
    assert_eq!(granted, all.epochs()[..1]);
    assert_eq!(all.epochs().len(), 2);
}

async fn a_live_grant_has_the_epoch_that_goes_on(backend: Backend) {
    let wallet = serve(backend).await;
    live(&wallet, 1).await;
    let live_one = Auditor::new();
    let granted = grant(&wallet, &live_one, json!({ "live": true })).await;
    assert_eq!(granted["granted_epoch"], 1);
    end_epoch(&wallet).await;
    until_granted(&wallet, granted["id"].as_str().unwrap(), 2).await;
    let seen = live_one.replay(&wallet, &["log", "--json"]).await;
    let told = seen.success().unwrap();
    assert_eq!(auditor::first_closed(&told.stderr), None, "{}", told.stderr);
    let truth = wallet.replay(&["log", "--json"]).await.unwrap();
    let count = |text: &str| {
        let lines = lines(text).into_iter();
        let permitted = lines.filter(|line| line["verdict"] == "permitted");
        permitted.count()
    };
    let (seen, truth) = (count(&told.stdout), count(&truth.success().unwrap().stdout));
    assert!(seen > 3 && seen <= truth, "{seen} of {truth}");
}

async fn inv10_granting_is_for_who_may(backend: Backend) {
    let wallet = serve(backend).await;
    let auditor = Auditor::new();
    let policy = |paths: &[(&str, &str)]| {
        let rules = paths
            .iter()
            .map(|(path, may)| format!("path \"{path}\" {{ capabilities = [{may}] }}\n"));
        rules.collect::<String>()
    };
    let at = &GRANTS[1..];
    let live = format!("{at}/live");
    let cases = [
        (vec![("sys/none", "\"read\"")], false, 403),
        (vec![(at, "\"update\"")], false, 403),
        (vec![(at, "\"update\", \"sudo\"")], false, 200),
        (vec![(at, "\"update\", \"sudo\"")], true, 403),
        (
            vec![
                (at, "\"update\", \"sudo\""),
                (&live, "\"update\", \"sudo\""),
            ],
            true,
            200,
        ),
    ];
    for (number, (paths, is_live, status)) in cases.into_iter().enumerate() {
        let name = format!("case-{number}");
        let text = policy(&paths);
        let at = format!("/v1/sys/policies/acl/{name}");
        ok(
            &wallet,
            "POST",
            &at,
            json!({ "policy": format!("{text}\n") }),
        )
        .await;
        let wish = json!({ "policies": [name] });
        let made = ok(&wallet, "POST", "/v1/auth/token/create", wish).await;
        let token = made["auth"]["client_token"].as_str();
        let wish = json!({ "recipient": auditor.public, "live": is_live });
        let client = wallet.node.client();
        let told = client.call("POST", GRANTS, token, wish).await.unwrap();
        assert_eq!(told.status, status, "case {number}: {}", told.text());
    }
}

async fn the_commands_grant_list_and_revoke(backend: Backend) {
    let wallet = serve(backend).await;
    let auditor = Auditor::new();
    let cli = Cli::root(&wallet.node);
    let secret = "secret/persons/jane-doe";
    let put = cli.run_with(&["put", secret, "k=-"], "v").await;
    put.success().unwrap();
    cli.ok(&["get", secret]).await;
    end_epoch(&wallet).await;
    let run = async |args: &[&str]| cli.run(&[args, &["--format", "json"]].concat()).await;
    let recipient = ["grant-auditor", "--recipient", &auditor.public];
    let span = [
        "--from",
        "1",
        "--to",
        "2999-01-01T00:00:00Z",
        "--without-names",
    ];
    let granted = run(&[&recipient[..], &span].concat()).await;
    let granted: Value = serde_json::from_str(&granted.success().unwrap().stdout).unwrap();
    assert_eq!(granted["names"], false);
    assert_eq!(granted["granted_epoch"], 1);
    let all = run(&["auditor-grants"]).await.success().unwrap();
    let all: Value = serde_json::from_str(&all.stdout).unwrap();
    assert_eq!(all["grants"][0]["recipient"], auditor.public.as_str());
    let id = granted["id"].as_str().unwrap();
    run(&["revoke-auditor", id]).await.success().unwrap();
    assert_ne!(run(&["revoke-auditor", id]).await.code, 0);
    let table = cli.run(&["auditor-grants"]).await.success().unwrap();
    assert!(!table.stdout.contains(id), "{}", table.stdout);
    let other = Auditor::new();
    let without_end = ["grant-auditor", "--recipient", &other.public];
    let told = cli.run(&without_end).await.success().unwrap();
    assert!(told.stdout.contains("until revoked"), "{}", told.stdout);
    let slip = auditor.public.replace('7', "8");
    let refused = run(&["grant-auditor", "--recipient", &slip[..40]]).await;
    assert_ne!(refused.code, 0);
    assert!(!refused.stderr.contains(&slip[..40]), "{}", refused.stderr);
    // Without names there is no path of a secret and no name of a token, and all facts are there.
    let seen = auditor.replay(&wallet, &["log", "--json", "--names"]).await;
    let seen = lines(&seen.success().unwrap().stdout);
    for event in ["WalletCreated", "CredentialWritten"] {
        assert!(seen.iter().any(|line| line["event"] == event));
    }
    assert!(seen.iter().any(|line| line["operation"] == "read-data"));
    for line in &seen {
        assert!(line["token_name"].is_null(), "{line}");
        let has_path = line["record"].is_string() && line["path"].is_string();
        assert!(
            !has_path && !line.to_string().contains("jane-doe"),
            "{line}"
        );
    }
}

async fn inv12_grants_that_are_none_change_nothing(backend: Backend) {
    let wallet = serve(backend).await;
    let auditor = Auditor::new();
    let before = wallet.settled().await;
    let key = &auditor.public;
    for wrong in [
        json!({}),
        json!({ "recipient": "hvs.canary" }),
        json!({ "recipient": key.to_uppercase() }),
        json!({ "recipient": key, "from": "yesterday" }),
        json!({ "recipient": key, "from": "2001-01-01T00:00:00Z", "to": "2000-01-01T00:00:00Z" }),
        json!({ "recipient": key, "from": "2999-01-01T00:00:00Z" }),
        json!({ "recipient": key, "from": "999999" }),
        json!({ "recipient": key, "to": "7" }),
        json!({ "recipient": key, "live": "yes" }),
        json!({ "recipient": key, "namespace": "x" }),
    ] {
        let told = wallet.node.root("POST", GRANTS, wrong.clone()).await;
        assert!(
            [400, 422].contains(&told.status),
            "{wrong}: {}",
            told.status
        );
        assert!(!told.text().contains("canary"), "{}", told.text());
    }
    wallet.assert_unchanged(&before).await;
    // A command is done once.
    let id = command_id();
    let client = wallet.node.client().header("X-Billfold-Command-Id", &id);
    let mut told = Vec::new();
    for _ in 0..2 {
        let wish = json!({ "recipient": key });
        let reply = client.call("POST", GRANTS, Some(wallet.node.token()), wish);
        told.push(reply.await.unwrap().json()["id"].clone());
    }
    assert_eq!(told[0], told[1]);
    let all = ok(&wallet, "GET", GRANTS, Value::Null).await;
    assert_eq!(all["grants"].as_array().unwrap().len(), 1);
}
