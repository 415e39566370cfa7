//! Legal holds: what they forbid, whom they name, and who may place and lift them.

use billfold_tests::{
    billfold::Billfold,
    tools,
    wallet::{Backend, Wallet, command_id},
};
use serde_json::{Value, json};

use super::{WALLET, call, erase, get, hold, lift, policy, put, read, token};

/// Everything that would lose something of `team/a`, and what is answered.
async fn losses(node: &Billfold, mount: &str) -> Vec<(u16, String)> {
    let versions = json!({ "versions": [1] });
    let order = |path: &str| json!({ "path": path, "reason": "r" });
    let change = |op: &str| {
        let mut change = json!({ "op": op, "path": format!("{mount}/team/a") });
        if op == "destroy" {
            change["versions"] = json!([1]);
        }
        let other = json!({ "op": "put", "path": format!("{mount}/free"), "data": {} });
        json!({ "changes": [other, change] })
    };
    let (erase, transact) = ("/api/internal/wallet/erase", "/api/transactions");
    let some = json!({ "path": format!("{mount}/team/a"), "versions": [1], "reason": "r" });
    let mut all = Vec::new();
    for (verb, path, body) in [
        ("POST", format!("/v1/{mount}/destroy/team/a"), versions),
        (
            "DELETE",
            format!("/v1/{mount}/metadata/team/a"),
            Value::Null,
        ),
        ("POST", transact.to_owned(), change("destroy")),
        ("POST", transact.to_owned(), change("remove")),
        ("POST", erase.to_owned(), some),
        ("POST", erase.to_owned(), order(&format!("{mount}/team/a"))),
        ("POST", erase.to_owned(), order(&format!("{mount}/"))),
        ("DELETE", format!("/v1/sys/mounts/{mount}"), Value::Null),
    ] {
        let told = match body {
            Value::Null => node.root(verb, &path, ()).await,
            body => node.root(verb, &path, body).await,
        };
        all.push((told.status, told.text()));
    }
    all
}

pub async fn a_hold_forbids_every_loss_until_it_is_lifted(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    for path in ["team/a", "team/a", "free"] {
        put(node, path).await;
    }
    let own = node
        .root("GET", "/v1/auth/token/lookup-self", ())
        .await
        .json();
    let accessor = own["data"]["accessor"].as_str().unwrap().to_owned();
    for place in ["secret/team/a", "secret/team/", "secret/"] {
        let id = hold(node, place).await;
        let shown = get(node, &format!("holds/{id}")).await;
        assert_eq!(shown["path"], place);
        assert_eq!(shown["reason"], "a lawsuit");
        assert_eq!(shown["by"]["token"], accessor);
        let since = shown["placed_at"].as_str().unwrap();
        assert_eq!(get(node, "holds").await["holds"], json!([shown]));
        let before = wallet.settled().await;
        for (status, told) in losses(node, "secret").await {
            assert_eq!(status, 403, "{place}: {told}");
            for said in [&id, since, &accessor] {
                assert!(told.contains(said), "{told}");
            }
            for silent in ["lawsuit", "team", "free"] {
                assert!(!told.contains(silent), "{told}");
            }
        }
        let removed = node.root("DELETE", "/api/credentials/team/a", ()).await;
        assert_eq!(removed.status, 403, "{}", removed.text());
        wallet.assert_unchanged(&before).await;
        assert_eq!(read(node, "team/a").await, 200);
        assert_eq!(read(node, "free").await, 200);
        // It goes where its mount goes.
        let moved = json!({ "from": "secret", "to": "moved" });
        assert_eq!(
            node.root("POST", "/v1/sys/remount", moved).await.status,
            200
        );
        let shown = get(node, &format!("holds/{id}")).await;
        assert_eq!(shown["path"], place.replace("secret/", "moved/"));
        assert!(
            losses(node, "moved")
                .await
                .iter()
                .all(|(status, _)| *status == 403)
        );
        let back = json!({ "from": "moved", "to": "secret" });
        assert_eq!(node.root("POST", "/v1/sys/remount", back).await.status, 200);
        assert_eq!(lift(node, &id).await, 204);
        assert_eq!(lift(node, &id).await, 404);
    }
    // What can be undone is no loss.
    let id = hold(node, "secret/team/").await;
    assert_eq!(
        node.root("DELETE", "/v1/secret/data/team/a", ())
            .await
            .status,
        204
    );
    let back = json!({ "versions": [2] });
    let back = node.root("POST", "/v1/secret/undelete/team/a", back).await;
    assert_eq!(back.status, 204);
    assert_eq!(
        erase(node, "secret/free").await.status,
        200,
        "it is not held"
    );
    assert_eq!(lift(node, &id).await, 204);
    assert_eq!(erase(node, "secret/team/").await.status, 200);
    // Each loss that was forbidden is on record.
    let listed = wallet.replay(&["log", "--json", "--names"]).await.unwrap();
    let listed = listed.success().unwrap().stdout;
    let refused = listed.matches("\"operation\":\"refused\"").count();
    assert_eq!(
        refused,
        3 * (2 * 8 + 1),
        "each change that was refused is on record"
    );
    // The names of holds that are over are erased with them.
    let placed: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["event"] == "HoldPlaced")
        .collect();
    assert_eq!(placed.len(), 4);
    wallet.assert_sound().await;
}

pub async fn a_hold_keeps_what_would_fall_off_the_end(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let node = &wallet.node;
    let one = json!({ "type": "kv", "options": { "version": "1" } });
    assert_eq!(
        node.root("POST", "/v1/sys/mounts/one", one).await.status,
        204
    );
    let settings = json!({ "max_versions": 2 });
    assert_eq!(
        node.root("POST", "/v1/secret/config", settings)
            .await
            .status,
        204
    );
    let (id, first) = (hold(node, "secret/").await, hold(node, "one/a").await);
    let kept = async || -> Vec<String> {
        let facts = node.root("GET", "/v1/secret/metadata/app", ()).await.json();
        let versions = facts["data"]["versions"].as_object().unwrap();
        versions.keys().cloned().collect()
    };
    for _ in 0..4 {
        put(node, "app").await;
        let body = json!({ "x": 1 });
        assert_eq!(node.root("POST", "/v1/one/a", body).await.status, 204);
    }
    assert_eq!(kept().await, ["1", "2", "3", "4"]);
    let read = node.root("GET", "/v1/secret/data/app?version=1", ()).await;
    assert_eq!(read.status, 200, "{}", read.text());
    assert_eq!(node.root("DELETE", "/v1/one/a", ()).await.status, 403);
    assert_eq!(node.root("GET", "/v1/one/a", ()).await.status, 200);
    assert_eq!([lift(node, &id).await, lift(node, &first).await], [204; 2]);
    assert_eq!(kept().await, ["1", "2", "3", "4"]);
    put(node, "app").await;
    assert_eq!(kept().await, ["4", "5"]);
    assert_eq!(node.root("DELETE", "/v1/one/a", ()).await.status, 204);
}

pub async fn inv10_holds_are_for_who_may(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    put(node, "team/a").await;
    let capabilities =
        |list: &str| format!("path \"api/internal/wallet/holds*\" {{ capabilities = [{list}] }}");
    policy(
        node,
        "none",
        "path \"secret/*\" { capabilities = [\"read\", \"delete\", \"sudo\"] }",
    )
    .await;
    policy(node, "look", &capabilities("\"read\"")).await;
    policy(
        node,
        "no-sudo",
        &capabilities("\"read\", \"update\", \"delete\""),
    )
    .await;
    policy(
        node,
        "legal",
        &capabilities("\"update\", \"delete\", \"sudo\""),
    )
    .await;
    let tokens = [
        ("none", token(node, "none").await),
        ("look", token(node, "look").await),
        ("no-sudo", token(node, "no-sudo").await),
        ("legal", token(node, "legal").await),
    ];
    let path = format!("{WALLET}/holds");
    let placed = hold(node, "secret/team/a").await;
    for (name, token) in &tokens {
        let is = |names: &[&str]| names.contains(name);
        let listed = call(node, token, "GET", &path, ()).await.status;
        assert_eq!(listed == 200, is(&["look", "no-sudo"]), "{name} {listed}");
        for to in ["secret/team/a", "secret/absent", "nowhere/x"] {
            let wish = json!({ "path": to, "reason": "r" });
            let made = call(node, token, "POST", &path, wish).await.status;
            let expected = match (is(&["legal"]), to) {
                (true, "nowhere/x") => 422,
                (true, _) => 200,
                (false, _) => 403,
            };
            assert_eq!(made, expected, "{name} {to}");
        }
        let one = format!("{path}/{placed}");
        let lifted = call(node, token, "DELETE", &one, ()).await.status;
        assert_eq!(lifted == 204, is(&["legal"]), "{name} {lifted}");
    }
    let word = format!("canary-{}", hex::encode(tools::random::<8>()));
    for body in [
        json!({ "path": "secret/x" }),
        json!({ "reason": "r" }),
        json!({ "path": "secret/x", "reason": "" }),
        json!({ "path": "secret/x", "reason": word.repeat(100) }),
        json!({ "path": format!("/{word}"), "reason": "r" }),
        json!({ "path": format!("{word}/x"), "reason": "r" }),
        json!({ "path": "secret/x", "reason": "r", &word: 1 }),
    ] {
        let told = node.root("POST", &path, body.clone()).await;
        assert!([400, 422].contains(&told.status), "{body}: {}", told.text());
        assert!(!told.text().contains(&word), "{}", told.text());
    }
    // A repeated command is the same hold.
    let client = node.client().header("X-Billfold-Command-Id", &command_id());
    let mut ids = Vec::new();
    for _ in 0..2 {
        let wish = json!({ "path": "secret/once", "reason": "r" });
        let made = client.call("POST", &path, Some(node.token()), wish);
        ids.push(made.await.unwrap().json()["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    wallet.assert_sound().await;
}
