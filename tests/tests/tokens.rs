//! Tokens and policies: who may do what, on every node, through every door, and as the record tells it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::time::{Duration, Instant};

use billfold_tests::{
    billfold::{Billfold, Body, Reply},
    on_both_backends,
    wallet::{Backend, Wallet},
};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

on_both_backends! {
    inv10_a_token_does_what_its_policies_permit,
    inv10_every_door_asks_the_same_policies,
    inv03_the_record_tells_who_was_permitted_and_why,
    inv03_a_policy_ends_for_every_node_and_for_the_record,
    what_was_made_with_a_token_ends_with_it,
    the_last_use_is_spent_once,
    a_token_ends_and_is_renewed,
    nobody_gives_what_they_do_not_have,
    inv10_a_policy_looks_at_what_is_sent,
    inv10_no_trick_gets_past_a_policy,
}

const TEAM: &str = r#"
path "secret/data/team/*" { capabilities = ["create", "read", "update", "patch", "delete"] }
path "secret/metadata/team/*" { capabilities = ["list", "read"] }
path "secret/data/team/closed" { capabilities = ["deny"] }
"#;

async fn call(
    node: &Billfold,
    token: &str,
    verb: &str,
    path: &str,
    body: impl Into<Body>,
) -> Reply {
    let client = match verb {
        "PATCH" => node
            .client()
            .header("Content-Type", "application/merge-patch+json"),
        _ => node.client(),
    };
    client
        .call(verb, path, Some(token), body.into())
        .await
        .unwrap()
}

async fn prepare(backend: Backend) -> Wallet {
    let wallet = Wallet::serve(backend).await;
    policy(&wallet.node, "team", TEAM).await;
    for path in ["team/a", "team/closed", "other"] {
        let body = json!({ "data": { "x": 1 } });
        let path = format!("/v1/secret/data/{path}");
        assert_eq!(wallet.node.root("POST", &path, body).await.status, 200);
    }
    wallet
}

async fn policy(node: &Billfold, name: &str, text: &str) {
    let path = format!("/v1/sys/policies/acl/{name}");
    let written = node.root("PUT", &path, json!({ "policy": text })).await;
    assert_eq!(written.status, 204, "{}", written.text());
}

async fn make(node: &Billfold, maker: &str, wish: Value) -> (String, String) {
    let made = call(node, maker, "POST", "/v1/auth/token/create", wish).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let auth = &made.json()["auth"];
    let text = |name: &str| auth[name].as_str().unwrap().to_owned();
    (text("client_token"), text("accessor"))
}

async fn status(node: &Billfold, token: &str, verb: &str, path: &str) -> u16 {
    let body: Body = match verb {
        "POST" | "PATCH" => json!({ "data": { "y": 2 }, "versions": [1] }).into(),
        _ => Body::Nothing,
    };
    call(node, token, verb, path, body).await.status
}

async fn inv10_a_token_does_what_its_policies_permit(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let (token, _) = make(node, node.token(), json!({ "policies": ["team"] })).await;
    for (verb, path, expected) in [
        ("GET", "/v1/secret/data/team/a", 200),
        ("POST", "/v1/secret/data/team/new", 200),
        ("POST", "/v1/secret/data/team/a", 200),
        ("PATCH", "/v1/secret/data/team/a", 200),
        ("LIST", "/v1/secret/metadata/team/", 200),
        ("GET", "/v1/secret/metadata/team/a", 200),
        ("GET", "/v1/auth/token/lookup-self", 200),
        ("GET", "/v1/sys/internal/ui/mounts/secret/team/a", 200),
        ("DELETE", "/v1/secret/data/team/a", 204),
        ("GET", "/v1/secret/data/team/closed", 403),
        ("POST", "/v1/secret/data/team/closed", 403),
        ("PATCH", "/v1/secret/data/team/closed", 403),
        ("GET", "/v1/secret/subkeys/team/a", 403),
        ("POST", "/v1/secret/undelete/team/a", 403),
        ("POST", "/v1/secret/destroy/team/a", 403),
        ("DELETE", "/v1/secret/metadata/team/a", 403),
        ("GET", "/v1/secret/data/other", 403),
        ("GET", "/v1/secret/data/absent", 403),
        ("GET", "/v1/secret/data/team", 403),
        ("LIST", "/v1/secret/metadata/", 403),
        ("SCAN", "/v1/secret/metadata/team/", 403),
        ("GET", "/v1/secret/config", 403),
        ("POST", "/v1/secret/config", 403),
        ("GET", "/v1/sys/mounts", 403),
        ("POST", "/v1/sys/mounts/mine", 403),
        ("DELETE", "/v1/sys/mounts/secret", 403),
        ("POST", "/v1/sys/remount", 403),
        ("GET", "/v1/sys/policies/acl/team", 403),
        ("DELETE", "/v1/sys/policies/acl/team", 403),
        ("LIST", "/v1/sys/policies/acl", 403),
        ("POST", "/v1/auth/token/create", 403),
        ("LIST", "/v1/auth/token/accessors", 403),
        ("GET", "/api/internal/secret-audit", 403),
        // What is not there, or not well said, is no different to who may do nothing there.
        ("GET", "/v1/nope/data/x", 403),
        ("POST", "/v1/nope/data/x", 403),
        ("GET", "/v1/sys/nope", 403),
        ("PATCH", "/v1/sys/mounts/secret", 403),
        ("GET", "/v1/secret/nope/x", 403),
        ("POST", "/v1/secret/metadata/other", 403),
    ] {
        assert_eq!(
            status(node, &token, verb, path).await,
            expected,
            "{verb} {path}"
        );
    }
    // A policy that is changed counts from then on.
    policy(
        node,
        "team",
        "path \"secret/data/other\" { capabilities = [\"read\"] }",
    )
    .await;
    assert_eq!(
        status(node, &token, "GET", "/v1/secret/data/other").await,
        200
    );
    assert_eq!(
        status(node, &token, "GET", "/v1/secret/data/team/new").await,
        403
    );
    let listed = wallet
        .replay(&["log", "--json"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let refused = listed.stdout.matches("\"operation\":\"refused\"").count();
    assert_eq!(refused, 16, "each change that was refused is on record");
    wallet.assert_sound().await;
}

async fn inv10_every_door_asks_the_same_policies(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let (token, _) = make(node, node.token(), json!({ "policies": ["team"] })).await;
    let listed = node.root("GET", "/api/credentials", ()).await.json();
    let id = |name: &str| {
        let items = listed["items"].as_array().unwrap().iter();
        let mut found = items.filter(|item| item["name"] == name);
        found.next().unwrap()["id"].as_str().unwrap().to_owned()
    };
    let read = |path: String| {
        let token = token.clone();
        async move { status(node, &token, "GET", &path).await }
    };
    let with_data = "include_data=true";
    assert_eq!(
        read(format!("/api/credentials/team/a?{with_data}")).await,
        200
    );
    assert_eq!(
        read(format!("/api/credentials/{}?{with_data}", id("team/a"))).await,
        200
    );
    // An id is no way around the name behind it.
    for name in ["other", "team/closed"] {
        assert_eq!(
            read(format!("/api/credentials/{name}?{with_data}")).await,
            403
        );
        let path = format!("/api/credentials/{}?{with_data}", id(name));
        assert_eq!(read(path.clone()).await, 403, "{name}");
        assert_eq!(status(node, &token, "DELETE", &path).await, 403, "{name}");
    }
    assert_eq!(read("/api/credentials".to_owned()).await, 403);
    let change = |path: &str| json!({ "op": "put", "path": path, "data": {} });
    let both = json!({ "changes": [change("secret/team/a"), change("secret/other")] });
    let sent = call(node, &token, "POST", "/api/transactions", both).await;
    assert_eq!(sent.status, 403);
    let denied = (403, sent.json());
    let one = json!({ "changes": [change("secret/team/a"), change("secret/team/b")] });
    assert_eq!(
        call(node, &token, "POST", "/api/transactions", one)
            .await
            .status,
        200
    );
    // Whether there is a mount is not told to who may do nothing there.
    for path in ["secret/other", "nowhere/other", "other"] {
        let one = json!({ "changes": [change(path)] });
        let sent = call(node, &token, "POST", "/api/transactions", one).await;
        assert_eq!((sent.status, sent.json()), denied, "{path}");
    }
    wallet.assert_sound().await;
}

/// What the record says of requests is what their callers were told.
async fn inv03_the_record_tells_who_was_permitted_and_why(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let (token, accessor) = make(node, node.token(), json!({ "policies": ["team"] })).await;
    let mut told = Vec::new();
    for (verb, path) in [
        ("GET", "/v1/secret/data/team/a"),
        ("GET", "/v1/secret/data/other"),
        ("GET", "/v1/secret/data/team/closed"),
        ("GET", "/v1/secret/data/team/absent"),
        ("GET", "/v1/secret/data/absent"),
        ("LIST", "/v1/secret/metadata/team/"),
        ("LIST", "/v1/secret/metadata/"),
        ("GET", "/v1/secret/metadata/team/a"),
        ("GET", "/v1/secret/subkeys/team/a"),
        ("GET", "/v1/secret/config"),
        ("GET", "/v1/sys/mounts"),
        ("GET", "/v1/auth/token/lookup-self"),
        ("POST", "/v1/auth/token/lookup"),
        ("LIST", "/v1/auth/token/accessors"),
        ("LIST", "/v1/sys/policies/acl"),
        ("PATCH", "/v1/secret/data/team/a"),
        ("GET", "/api/credentials"),
    ] {
        told.push(status(node, &token, verb, path).await);
    }
    // Names that were replaced are erased; the record still tells what it told.
    let custom = json!({ "custom_metadata": { "a": "b" } });
    let changed = node
        .root("POST", "/v1/secret/metadata/team/a", custom)
        .await;
    assert_eq!(changed.status, 204, "{}", changed.text());
    let asked = record_of(&wallet, &accessor, &told).await;
    assert_eq!(asked[0]["policies"], json!(["team"]), "{}", asked[0]);
    assert_eq!(told[..5], [200, 403, 403, 404, 403]);
    wallet.assert_sound().await;
}

/// What the record has of a token's questions. Its verdicts must be what was told.
async fn record_of(wallet: &Wallet, accessor: &str, told: &[u16]) -> Vec<Value> {
    let listed = wallet
        .replay(&["log", "--json"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let lines = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let asked: Vec<Value> = lines
        .filter(|line| line["kind"] == 40 && line["token"] == accessor)
        .collect();
    assert_eq!(asked.len(), told.len());
    for (line, status) in asked.iter().zip(told) {
        let verdict = line["verdict"].as_str().unwrap();
        match status {
            200 => assert_eq!(verdict, "permitted", "{line}"),
            404 => assert_eq!(verdict, "absent", "{line}"),
            403 => assert_eq!(verdict, "denied", "{line}"),
            other => panic!("{other}: {line}"),
        }
    }
    asked
}

async fn inv03_a_policy_ends_for_every_node_and_for_the_record(backend: Backend) {
    let wallet = prepare(backend).await;
    let other = second(&wallet, backend).await;
    let doors = [&wallet.node, other.as_ref().unwrap_or(&wallet.node)];
    let root = wallet.node.token();
    let wish = json!({ "policies": ["team", "passing"] });
    let (token, accessor) = make(&wallet.node, root, wish).await;
    let text = "path \"secret/data/other\" { capabilities = [\"read\"] }";
    let path = "/v1/sys/policies/acl/passing";
    let body = json!({ "policy": text, "ttl": "2s" });
    assert_eq!(wallet.node.root("PUT", path, body).await.status, 204);
    let (mut told, began) = (Vec::new(), Instant::now());
    while told.last() != Some(&403) {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not end");
        let door = doors[told.len() % 2];
        told.push(status(door, &token, "GET", "/v1/secret/data/other").await);
        sleep(Duration::from_millis(50)).await;
    }
    for door in doors {
        told.push(status(door, &token, "GET", "/v1/secret/data/other").await);
        assert_eq!(told.last(), Some(&403));
        told.push(status(door, &token, "GET", "/v1/secret/data/team/a").await);
        assert_eq!(told.last(), Some(&200));
        assert_eq!(door.root("GET", path, ()).await.status, 404);
        let listed = door.root("LIST", "/v1/sys/policies/acl", ()).await;
        assert_eq!(
            listed.json()["data"]["keys"],
            json!(["default", "team", "root"])
        );
    }
    // It begins anew, and what the record tells of before stays as it is.
    let body = json!({ "policy": text, "cas": -1 });
    assert_eq!(wallet.node.root("PUT", path, body).await.status, 204);
    told.push(status(doors[1], &token, "GET", "/v1/secret/data/other").await);
    assert_eq!(told.last(), Some(&200));
    record_of(&wallet, &accessor, &told).await;
    wallet.assert_sound().await;
}

async fn what_was_made_with_a_token_ends_with_it(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let makers = "path \"auth/token/create\" { capabilities = [\"update\", \"sudo\"] }";
    policy(node, "maker", makers).await;
    let wish = || json!({ "policies": ["maker", "team"] });
    let (parent, _) = make(node, node.token(), wish()).await;
    let (child, accessor) = make(node, &parent, wish()).await;
    let (grandchild, _) = make(node, &child, json!({ "policies": ["team"] })).await;
    let orphan = json!({ "policies": ["team"], "no_parent": true });
    let (orphan, _) = make(node, &parent, orphan).await;
    let path = "/v1/secret/data/team/a";
    for token in [&parent, &child, &grandchild, &orphan] {
        assert_eq!(status(node, token, "GET", path).await, 200);
    }
    // The child goes without the grandchild, and then the parent with all that is left.
    let revoked = json!({ "token": child });
    let revoked = node
        .root("POST", "/v1/auth/token/revoke-orphan", revoked)
        .await;
    assert_eq!(revoked.status, 204, "{}", revoked.text());
    assert_eq!(status(node, &child, "GET", path).await, 403);
    assert_eq!(status(node, &grandchild, "GET", path).await, 200);
    let (other, _) = make(node, &parent, wish()).await;
    assert_eq!(
        status(node, &parent, "POST", "/v1/auth/token/revoke-self").await,
        204
    );
    for token in [&parent, &other] {
        assert_eq!(status(node, token, "GET", path).await, 403);
    }
    for token in [&grandchild, &orphan] {
        assert_eq!(status(node, token, "GET", path).await, 200);
    }
    let gone = node
        .root(
            "POST",
            "/v1/auth/token/lookup-accessor",
            json!({ "accessor": accessor }),
        )
        .await;
    assert_eq!(gone.status, 400);
    wallet.assert_sound().await;
}

/// A node of the same wallet, if its log can have two.
async fn second(wallet: &Wallet, backend: Backend) -> Option<Billfold> {
    match backend {
        Backend::Embedded => None,
        Backend::JetStream => Some(wallet.node.builder().another_node().spawn().await.unwrap()),
    }
}

async fn the_last_use_is_spent_once(backend: Backend) {
    let wallet = prepare(backend).await;
    let other = second(&wallet, backend).await;
    let node = &wallet.node;
    for _ in 0..5 {
        let wish = json!({ "policies": ["team"], "num_uses": 3 });
        let (token, _) = make(node, node.token(), wish).await;
        let doors = [node, other.as_ref().unwrap_or(node)];
        let reads =
            (0..12).map(|turn| status(doors[turn % 2], &token, "GET", "/v1/secret/data/team/a"));
        let mut told = join_all(reads).await;
        told.sort_unstable();
        assert_eq!(told[..3], [200; 3]);
        assert_eq!(told[3..], [403; 9]);
    }
    wallet.assert_sound().await;
}

async fn a_token_ends_and_is_renewed(backend: Backend) {
    let wallet = prepare(backend).await;
    let other = second(&wallet, backend).await;
    let node = &wallet.node;
    let (token, _) = make(
        node,
        node.token(),
        json!({ "policies": ["team"], "ttl": "2s" }),
    )
    .await;
    // What one node made, another knows at once.
    let path = "/v1/secret/data/team/a";
    let door = other.as_ref().unwrap_or(node);
    assert_eq!(status(door, &token, "GET", path).await, 200);
    let renewed = json!({ "increment": "1h" });
    let renewed = call(node, &token, "POST", "/v1/auth/token/renew-self", renewed).await;
    assert_eq!(
        renewed.json()["auth"]["lease_duration"],
        3600,
        "{}",
        renewed.text()
    );
    let short = json!({ "policies": ["team"], "ttl": "1s", "explicit_max_ttl": "1s" });
    let (short, accessor) = make(node, node.token(), short).await;
    let began = Instant::now();
    while status(node, &short, "GET", path).await != 403 {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not end");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status(node, &token, "GET", path).await, 200);
    let renewed = json!({ "accessor": accessor });
    let renewed = node
        .root("POST", "/v1/auth/token/renew-accessor", renewed)
        .await;
    assert_eq!(renewed.status, 400, "{}", renewed.text());
    assert_eq!(
        node.root("POST", "/v1/auth/token/renew-self", ())
            .await
            .status,
        400
    );
    let elsewhere = json!({ "policies": ["team"], "bound_cidrs": ["10.1.0.0/16"] });
    let (elsewhere, _) = make(node, node.token(), elsewhere).await;
    assert_eq!(status(node, &elsewhere, "GET", path).await, 403);
    let here = json!({ "policies": ["team"], "bound_cidrs": ["127.0.0.1/32", "::1"] });
    let (here, _) = make(node, node.token(), here).await;
    assert_eq!(status(node, &here, "GET", path).await, 200);
    wallet.assert_sound().await;
}

async fn nobody_gives_what_they_do_not_have(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let makers = "path \"auth/token/create\" { capabilities = [\"update\"] }";
    policy(node, "maker", makers).await;
    let (maker, _) = make(node, node.token(), json!({ "policies": ["maker"] })).await;
    for wish in [
        json!({ "policies": ["team"] }),
        json!({ "policies": ["root"] }),
        json!({ "no_parent": true }),
        json!({ "period": "1h" }),
    ] {
        let refused = call(node, &maker, "POST", "/v1/auth/token/create", wish.clone()).await;
        assert!(
            matches!(refused.status, 400 | 403),
            "{wish}: {}",
            refused.text()
        );
    }
    let (plain, _) = make(node, &maker, json!({ "no_default_policy": true })).await;
    let looked = call(
        node,
        node.token(),
        "POST",
        "/v1/auth/token/lookup",
        json!({ "token": plain }),
    )
    .await;
    assert_eq!(looked.json()["data"]["policies"], json!(["maker"]));
    let counted = json!({ "policies": ["maker"], "num_uses": 5 });
    let (counted, _) = make(node, node.token(), counted).await;
    let refused = call(node, &counted, "POST", "/v1/auth/token/create", json!({})).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    for name in ["root", "default"] {
        let path = format!("/v1/sys/policies/acl/{name}");
        assert_eq!(node.root("DELETE", &path, ()).await.status, 400, "{name}");
    }
    let own = node.root("POST", "/v1/auth/token/revoke-self", ()).await;
    assert_eq!(own.status, 400, "the wallet keeps the token it began with");
    wallet.assert_sound().await;
}

async fn inv10_a_policy_looks_at_what_is_sent(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let text = r#"
        path "secret/data/limited" {
            capabilities = ["create", "update"]
            denied_parameters = { "options" = [] }
        }
        path "secret/data/named" {
            capabilities = ["create", "update"]
            required_parameters = ["ticket"]
        }
    "#;
    policy(node, "team", text).await;
    let (token, _) = make(node, node.token(), json!({ "policies": ["team"] })).await;
    let write = |path: &'static str, body: Value| {
        let token = token.clone();
        async move { call(node, &token, "POST", path, body).await.status }
    };
    let plain = json!({ "data": { "x": 1 } });
    let with_cas = json!({ "data": { "x": 1 }, "options": { "cas": 1 } });
    let with_ticket = json!({ "data": { "x": 1 }, "ticket": "7" });
    assert_eq!(write("/v1/secret/data/limited", plain.clone()).await, 200);
    assert_eq!(write("/v1/secret/data/limited", with_cas).await, 403);
    assert_eq!(write("/v1/secret/data/named", plain).await, 403);
    assert_eq!(write("/v1/secret/data/named", with_ticket).await, 200);
    // The same through another door.
    let change =
        |cas: Value| json!({ "op": "put", "path": "secret/limited", "data": {}, "cas": cas });
    let one = |cas| json!({ "changes": [change(cas)] });
    assert_eq!(write("/api/transactions", one(json!(1))).await, 403);
    assert_eq!(write("/api/transactions", one(Value::Null)).await, 200);
    wallet.assert_sound().await;
}

async fn inv10_no_trick_gets_past_a_policy(backend: Backend) {
    let wallet = prepare(backend).await;
    let other = second(&wallet, backend).await;
    let node = &wallet.node;
    let text = r#"
        path "sys/policies/acl/*" { capabilities = ["read", "update", "delete"] }
        path "sys/policies/acl/closed" { capabilities = ["deny"] }
        path "auth/token/create" { capabilities = ["update"] }
        path "secret/data/App" { capabilities = ["read"] }
        path "one/*" { capabilities = ["create", "update"] }
        path "secret/data/fresh" { capabilities = ["create"] }
    "#;
    policy(node, "writer", text).await;
    policy(node, "closed", "path \"a\" { capabilities = [\"read\"] }").await;
    let enable = json!({ "type": "kv", "options": { "version": "1" } });
    assert_eq!(
        node.root("POST", "/v1/sys/mounts/one", enable).await.status,
        204
    );
    let wish = json!({ "policies": ["writer"], "no_default_policy": true, "bound_cidrs": ["127.0.0.0/8"] });
    let (token, _) = make(node, node.token(), wish).await;
    // Names of policies have no capital letters; what denies them speaks of that name.
    for name in ["closed", "Closed", "CLOSED", "clo%73ed"] {
        let path = format!("/v1/sys/policies/acl/{name}");
        for verb in ["GET", "DELETE"] {
            assert_eq!(
                status(node, &token, verb, &path).await,
                403,
                "{verb} {name}"
            );
        }
        let body = json!({ "policy": "path \"b\" { capabilities = [\"read\"] }" });
        assert_eq!(
            call(node, &token, "PUT", &path, body).await.status,
            403,
            "{name}"
        );
    }
    // Paths have, and are told as they are.
    let asked = json!({ "paths": ["secret/data/App", "secret/data/app"], "token": token });
    let told = node
        .root("POST", "/v1/sys/capabilities", asked)
        .await
        .json();
    assert_eq!(told["secret/data/App"], json!(["read"]));
    assert_eq!(told["secret/data/app"], json!(["deny"]));
    let many: Vec<_> = (0..300).map(|number| format!("p{number}")).collect();
    let many = node
        .root(
            "POST",
            "/v1/sys/capabilities-self",
            json!({ "paths": many }),
        )
        .await;
    assert_eq!(many.status, 400);
    // A child has no more than its maker: neither policies nor networks.
    let (child, _) = make(node, &token, json!({})).await;
    let looked = node
        .root("POST", "/v1/auth/token/lookup", json!({ "token": child }))
        .await
        .json();
    assert_eq!(looked["data"]["policies"], json!(["writer"]));
    assert_eq!(looked["data"]["bound_cidrs"], json!(["127.0.0.0/8"]));
    for wish in [
        json!({ "policies": ["default"] }),
        json!({ "bound_cidrs": ["10.0.0.0/8"] }),
    ] {
        let refused = call(node, &token, "POST", "/v1/auth/token/create", wish).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    let long = json!({ "policies": ["team"], "explicit_max_ttl": "876000h", "ttl": "1h" });
    let (long, _) = make(node, node.token(), long).await;
    let renewed = json!({ "token": long, "increment": "876000h" });
    let renewed = node
        .root("POST", "/v1/auth/token/renew", renewed)
        .await
        .json();
    assert!(renewed["auth"]["lease_duration"].as_u64().unwrap() <= 32 * 86_400);
    // Whoever may not revoke is not told that it was done, and what one node made another revokes.
    for sent in [json!({ "token": "hvs.nonsense" }), json!({ "token": long })] {
        assert_eq!(
            call(node, &token, "POST", "/v1/auth/token/revoke", sent)
                .await
                .status,
            403
        );
    }
    let door = other.as_ref().unwrap_or(node);
    for _ in 0..20 {
        let (short, _) = make(node, node.token(), json!({ "policies": ["team"] })).await;
        let revoked = json!({ "token": short });
        assert_eq!(
            door.root("POST", "/v1/auth/token/revoke", revoked)
                .await
                .status,
            204
        );
        assert_eq!(
            status(node, &short, "GET", "/v1/secret/data/team/a").await,
            403
        );
    }
    // Versions are no way to remove what has none; a second write is no first one.
    let change =
        |op: &str, path: &str| json!({ "op": op, "path": path, "data": {}, "versions": [1] });
    let sent = |changes: Value| {
        call(
            node,
            &token,
            "POST",
            "/api/transactions",
            json!({ "changes": changes }),
        )
    };
    let twice = json!([change("put", "secret/fresh"), change("put", "secret/fresh")]);
    assert_ne!(sent(twice).await.status, 200);
    assert_eq!(status(node, &token, "POST", "/v1/one/a").await, 204);
    assert_ne!(sent(json!([change("destroy", "one/a")])).await.status, 200);
    assert_eq!(node.root("GET", "/v1/one/a", ()).await.status, 200);
    for path in ["/metrics", "/v1/sys/metrics", "/api/internal/state"] {
        assert_eq!(status(node, &token, "GET", path).await, 403, "{path}");
    }
    let mount = json!({ "type": "kv" });
    assert_eq!(
        node.root("POST", "/v1/sys/mounts/api", mount).await.status,
        400
    );
    for to in ["a//b", "x/../y", "a\u{7}"] {
        let moved = json!({ "from": "one", "to": to });
        assert_eq!(
            node.root("POST", "/v1/sys/remount", moved).await.status,
            400,
            "{to:?}"
        );
    }
    wallet.assert_sound().await;
}
