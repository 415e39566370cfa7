//! Wrapped answers open once, on however many nodes; cubbyholes are their tokens' own, and go with them.

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
    a_wrapped_answer_opens_once,
    a_wrapped_answer_opens_once_on_all_nodes_together,
    a_wrapped_answer_outlives_the_node_and_not_its_time,
    inv03_a_policy_can_want_answers_wrapped,
    inv03_who_opened_what_is_on_record,
    a_wrapping_token_opens_one_answer,
    a_cubbyhole_is_its_tokens_own,
    a_role_bounds_what_its_tokens_are,
}

const SECRET: &str = "/v1/secret/data/a";

async fn call(
    node: &Billfold,
    token: &str,
    verb: &str,
    path: &str,
    body: impl Into<Body>,
) -> Reply {
    let client = node.client();
    client
        .call(verb, path, Some(token), body.into())
        .await
        .unwrap()
}

async fn prepare(backend: Backend) -> Wallet {
    let wallet = Wallet::serve(backend).await;
    let data = json!({ "data": { "k": "v" } });
    assert_eq!(wallet.node.root("POST", SECRET, data).await.status, 200);
    wallet
}

/// A node of the same wallet, if its log can have two.
async fn second(wallet: &Wallet, backend: Backend) -> Option<Billfold> {
    match backend {
        Backend::Embedded => None,
        Backend::JetStream => Some(wallet.node.builder().another_node().spawn().await.unwrap()),
    }
}

async fn ask_wrapped(node: &Billfold, token: &str, path: &str, ttl: &str) -> Reply {
    let client = node.client().header("X-Vault-Wrap-TTL", ttl);
    client
        .call("GET", path, Some(token), Body::Nothing)
        .await
        .unwrap()
}

/// The token that wraps the secret.
async fn wrapped(node: &Billfold, ttl: &str) -> String {
    let reply = ask_wrapped(node, node.token(), SECRET, ttl).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(!reply.text().contains("\"v\""), "the answer itself is told");
    text(&reply.json()["wrap_info"]["token"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn unwrap(node: &Billfold, by: &str, body: impl Into<Body>) -> Reply {
    call(node, by, "POST", "/v1/sys/wrapping/unwrap", body).await
}

fn named(token: &str) -> Value {
    json!({ "token": token })
}

async fn make(node: &Billfold, path: &str, wish: Value) -> (String, Value) {
    let made = node.root("POST", path, wish).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let auth = made.json()["auth"].clone();
    (text(&auth["client_token"]), auth)
}

async fn policy(node: &Billfold, name: &str, text: &str) {
    let path = format!("/v1/sys/policies/acl/{name}");
    let written = node.root("PUT", &path, json!({ "policy": text })).await;
    assert_eq!(written.status, 204, "{}", written.text());
}

async fn a_wrapped_answer_opens_once(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    for by_itself in [true, false] {
        let token = wrapped(node, "60s").await;
        let looked = call(
            node,
            node.token(),
            "POST",
            "/v1/sys/wrapping/lookup",
            named(&token),
        )
        .await;
        assert_eq!(looked.json()["data"]["creation_path"], "secret/data/a");
        assert_eq!(looked.json()["data"]["creation_ttl"], 60);
        // It does nothing else, and what it is refused leaves it as it is.
        let other = call(node, &token, "GET", "/v1/sys/wrapping/lookup", ()).await;
        assert_eq!(other.status, 200, "{}", other.text());
        let open = |by: String, body: Body| async move { unwrap(node, &by, body).await };
        let (by, body) = match by_itself {
            true => (token.clone(), Body::Nothing),
            false => (node.token().to_owned(), named(&token).into()),
        };
        let first = open(by.clone(), body.clone()).await;
        assert_eq!(first.json()["data"]["data"]["k"], "v", "{}", first.text());
        let again = open(by, body).await;
        assert_eq!(again.status, 400, "{}", again.text());
        assert_eq!(
            again.json()["errors"][0],
            "wrapping token is not valid or does not exist"
        );
    }
    let token = wrapped(node, "60s").await;
    for path in [SECRET, "/v1/sys/mounts", "/v1/auth/token/create"] {
        let fresh = wrapped(node, "60s").await;
        let verb = if path.ends_with("create") {
            "POST"
        } else {
            "GET"
        };
        assert_eq!(call(node, &fresh, verb, path, ()).await.status, 403);
    }
    // Wrapped anew, only the new token opens it.
    let rewrapped = node
        .root("POST", "/v1/sys/wrapping/rewrap", named(&token))
        .await;
    let newer = text(&rewrapped.json()["wrap_info"]["token"]);
    assert_eq!(unwrap(node, node.token(), named(&token)).await.status, 400);
    let opened = unwrap(node, &newer, ()).await;
    assert_eq!(opened.json()["data"]["data"]["k"], "v", "{}", opened.text());
    wallet.assert_sound().await;
}

async fn a_wrapped_answer_opens_once_on_all_nodes_together(backend: Backend) {
    let wallet = prepare(backend).await;
    let other = second(&wallet, backend).await;
    let node = &wallet.node;
    let doors = [node, other.as_ref().unwrap_or(node)];
    for turn in 0..6 {
        let token = wrapped(node, "60s").await;
        let by_itself = turn % 2 == 0;
        let opened = (0..8).map(|at| {
            let (door, token) = (doors[at % 2], token.clone());
            async move {
                match by_itself {
                    true => unwrap(door, &token, ()).await,
                    false => unwrap(door, door.token(), named(&token)).await,
                }
            }
        });
        let opened = join_all(opened).await;
        let told = opened.iter().filter(|reply| reply.status == 200);
        assert_eq!(told.count(), 1, "turn {turn}");
        for refused in opened.iter().filter(|reply| reply.status != 200) {
            assert_eq!(refused.status, 400, "{}", refused.text());
            assert!(!refused.text().contains("\"v\""));
        }
    }
    wallet.assert_sound().await;
}

async fn a_wrapped_answer_outlives_the_node_and_not_its_time(backend: Backend) {
    let mut wallet = prepare(backend).await;
    let token = wrapped(&wallet.node, "1h").await;
    let short = wrapped(&wallet.node, "1s").await;
    wallet.node.kill9();
    wallet.delete_view();
    wallet.node.restart().await.unwrap();
    let node = &wallet.node;
    let opened = unwrap(node, &token, ()).await;
    assert_eq!(opened.json()["data"]["data"]["k"], "v", "{}", opened.text());
    let began = Instant::now();
    loop {
        let looked = call(
            node,
            node.token(),
            "POST",
            "/v1/sys/wrapping/lookup",
            named(&short),
        )
        .await;
        if looked.status == 400 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it does not end");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(unwrap(node, node.token(), named(&short)).await.status, 400);
    wallet.assert_sound().await;
}

async fn inv03_a_policy_can_want_answers_wrapped(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let text = r#"
path "secret/data/*" {
  capabilities = ["read"]
  min_wrapping_ttl = "1m"
  max_wrapping_ttl = "10m"
}"#;
    policy(node, "wrapped", text).await;
    let (token, _) = make(
        node,
        "/v1/auth/token/create",
        json!({ "policies": ["wrapped"] }),
    )
    .await;
    assert_eq!(call(node, &token, "GET", SECRET, ()).await.status, 403);
    for (ttl, expected) in [("30s", 403), ("1m", 200), ("10m", 200), ("11m", 403)] {
        let reply = ask_wrapped(node, &token, SECRET, ttl).await;
        assert_eq!(reply.status, expected, "{ttl}: {}", reply.text());
    }
    // What is told of a version that is gone is wrapped, too.
    let gone = "/v1/secret/data/gone";
    let data = json!({ "data": { "k": "v" } });
    assert_eq!(node.root("POST", gone, data).await.status, 200);
    assert_eq!(node.root("DELETE", gone, ()).await.status, 204);
    let reply = ask_wrapped(node, &token, gone, "1m").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.json()["data"].is_null(), "{}", reply.text());
    // Where nothing is wrapped, nobody is told what was to be wrapped.
    let api = node.client().header("X-Vault-Wrap-TTL", "1m");
    let refused = api
        .call("GET", "/api/credentials/a", Some(&token), Body::Nothing)
        .await
        .unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
    wallet.settled().await;
    let lines = log(&wallet).await;
    let read = lines.iter().filter(|line| line["operation"] == "read-data");
    let read: Vec<_> = read
        .map(|line| (line["wrap_ttl"].as_u64(), text_of(&line["verdict"])))
        .collect();
    let told = |ttl, verdict: &str| (ttl, verdict.to_owned());
    assert_eq!(
        read,
        [
            told(None, "denied"),
            told(Some(30_000), "denied"),
            told(Some(60_000), "permitted"),
            told(Some(600_000), "permitted"),
            told(Some(660_000), "denied"),
            told(Some(60_000), "deleted"),
        ]
    );
    wallet.assert_sound().await;
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What the log tells, line by line.
async fn log(wallet: &Wallet) -> Vec<Value> {
    let listed = wallet.replay(&["log", "--json"]).await.unwrap();
    let listed = listed.success().unwrap().stdout;
    let lines = listed.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

async fn inv03_who_opened_what_is_on_record(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let read = ask_wrapped(node, node.token(), SECRET, "60s").await;
    let info = &read.json()["wrap_info"];
    let (token, accessor) = (text(&info["token"]), text(&info["accessor"]));
    let opened = unwrap(node, node.token(), named(&token)).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    let again = unwrap(node, node.token(), named(&token)).await;
    assert_eq!(again.status, 400, "{}", again.text());
    let id = |reply: &Reply| reply.header("x-request-id").unwrap().to_owned();
    wallet.settled().await;
    let lines = log(&wallet).await;
    let about = |kind: u64, name: &str, value: &str| {
        let mut lines = lines.iter();
        lines.any(|line| line["kind"] == kind && line[name] == value)
    };
    // The request that was answered, the token that wraps the answer, and the request that opened it.
    assert!(about(40, "request", &id(&read)));
    let mut made = lines.iter().filter(|line| line["kind"] == 30);
    assert!(
        made.any(
            |line| line["wraps"] == id(&read).as_str() && line["tokens"][0] == accessor.as_str()
        )
    );
    assert!(about(40, "request", &id(&opened)));
    let mut ended = lines.iter().filter(|line| line["kind"] == 33);
    assert!(
        ended.any(|line| line["request"] == id(&opened).as_str()
            && line["tokens"][0] == accessor.as_str())
    );
    // Whoever came too late is on record as well, and opened nothing.
    assert!(about(40, "request", &id(&again)));
    assert!(!about(33, "request", &id(&again)));
    wallet.assert_sound().await;
}

async fn a_wrapping_token_opens_one_answer(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let post = |token: String, path: &'static str, ttl: &'static str, body: Value| async move {
        let client = node.client().header("X-Vault-Wrap-TTL", ttl);
        let sent = client.call("POST", path, Some(&token), Body::Json(body));
        sent.await.unwrap()
    };
    // Wrapped on its way out of a wrapping, it is not lost.
    let token = wrapped(node, "60s").await;
    let again = post(token, "/v1/sys/wrapping/unwrap", "2m", json!({})).await;
    assert_eq!(again.json()["wrap_info"]["ttl"], 120, "{}", again.text());
    let token = text(&again.json()["wrap_info"]["token"]);
    // A question about it makes no other token.
    let refused = post(token.clone(), "/v1/sys/wrapping/lookup", "1h", json!({})).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    // Opening another is its one use.
    let other = wrapped(node, "60s").await;
    let opened = unwrap(node, &token, named(&other)).await;
    assert_eq!(opened.json()["data"]["data"]["k"], "v", "{}", opened.text());
    let third = wrapped(node, "60s").await;
    for body in [json!({}), named(&third)] {
        let refused = unwrap(node, &token, body).await;
        assert!([400, 403].contains(&refused.status), "{}", refused.text());
    }
    assert_eq!(unwrap(node, &third, ()).await.status, 200);
    // A token that is none does not make a good one look stolen.
    let fourth = wrapped(node, "60s").await;
    let refused = unwrap(node, "hvs.nonsense", named(&fourth)).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(unwrap(node, &fourth, ()).await.status, 200);
    // Nothing is wrapped for longer than a token lasts.
    let long = ask_wrapped(node, node.token(), SECRET, "100000h").await;
    assert_eq!(long.json()["wrap_info"]["ttl"], 2_764_800);
    let shortest = ask_wrapped(node, node.token(), SECRET, "0.5ms").await;
    assert!(!shortest.text().contains("\"v\""), "{}", shortest.text());
    wallet.assert_sound().await;
}

async fn a_cubbyhole_is_its_tokens_own(backend: Backend) {
    /// How many entries a cubbyhole holds.
    const ENTRIES: usize = 256;
    let wallet = prepare(backend).await;
    let other_node = second(&wallet, backend).await;
    let node = &wallet.node;
    let door = other_node.as_ref().unwrap_or(node);
    let wish = || json!({ "policies": ["default"] });
    let (one, _) = make(node, "/v1/auth/token/create", wish()).await;
    let (two, _) = make(node, "/v1/auth/token/create", wish()).await;
    for (token, value) in [(&one, "1"), (&two, "2")] {
        let body = json!({ "value": value });
        let path = "/v1/cubbyhole/f/x";
        assert_eq!(call(node, token, "PUT", path, body).await.status, 204);
    }
    for (token, value) in [(&one, "1"), (&two, "2")] {
        // What one node was told, another knows at once.
        let read = call(door, token, "GET", "/v1/cubbyhole/f/x", ()).await;
        assert_eq!(read.json()["data"]["value"], value, "{}", read.text());
        let listed = call(door, token, "LIST", "/v1/cubbyhole", ()).await;
        assert_eq!(listed.json()["data"]["keys"], json!(["f/"]));
    }
    let root = node.root("GET", "/v1/cubbyhole/f/x", ()).await;
    assert_eq!(root.status, 404, "root has a cubbyhole of its own");
    let all = (1..ENTRIES).map(|at| {
        let path = format!("/v1/cubbyhole/many/{at}");
        let one = one.clone();
        async move {
            call(node, &one, "PUT", &path, json!({ "n": 1 }))
                .await
                .status
        }
    });
    assert!(join_all(all).await.iter().all(|status| *status == 204));
    let full = call(node, &one, "PUT", "/v1/cubbyhole/more", json!({ "n": 1 })).await;
    assert_eq!(full.status, 400, "{}", full.text());
    let again = call(node, &one, "PUT", "/v1/cubbyhole/f/x", json!({ "n": 2 })).await;
    assert_eq!(again.status, 204, "{}", again.text());
    let gone = call(node, &one, "DELETE", "/v1/cubbyhole/f/x", ()).await;
    assert_eq!(gone.status, 204);
    let missing = call(door, &one, "GET", "/v1/cubbyhole/f/x", ()).await;
    assert_eq!(missing.status, 404);
    let revoked = node
        .root("POST", "/v1/auth/token/revoke", named(&one))
        .await;
    assert_eq!(revoked.status, 204);
    let denied = call(door, &one, "GET", "/v1/cubbyhole/many/1", ()).await;
    assert_eq!(denied.status, 403);
    let left = call(door, &two, "GET", "/v1/cubbyhole/f/x", ()).await;
    assert_eq!(left.json()["data"]["value"], "2");
    wallet.assert_sound().await;
}

async fn a_role_bounds_what_its_tokens_are(backend: Backend) {
    let wallet = prepare(backend).await;
    let node = &wallet.node;
    let role = json!({
        "allowed_policies": ["app"],
        "disallowed_policies": ["ops"],
        "token_period": "1h",
        "path_suffix": "ci",
    });
    let written = node.root("POST", "/v1/auth/token/roles/team", role).await;
    assert_eq!(written.status, 204, "{}", written.text());
    // Whoever may use the role needs none of its policies.
    let maker = "path \"auth/token/create/team\" { capabilities = [\"update\"] }";
    policy(node, "maker", maker).await;
    let wish = json!({ "policies": ["maker"] });
    let (maker, _) = make(node, "/v1/auth/token/create", wish).await;
    let by = |path: &'static str, wish: Value| {
        let maker = maker.clone();
        async move { call(node, &maker, "POST", path, wish).await }
    };
    let made = by("/v1/auth/token/create/team", json!({})).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let auth = &made.json()["auth"];
    assert_eq!(auth["policies"], json!(["app", "default"]));
    assert_eq!(auth["lease_duration"], 3600);
    let token = text(&auth["client_token"]);
    let looked = call(node, &token, "GET", "/v1/auth/token/lookup-self", ()).await;
    assert_eq!(looked.json()["data"]["role"], "team");
    assert_eq!(looked.json()["data"]["path"], "auth/token/create/team/ci");
    for wish in [
        json!({ "policies": ["ops"] }),
        json!({ "policies": ["root"] }),
    ] {
        let refused = by("/v1/auth/token/create/team", wish).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    let refused = by("/v1/auth/token/create", json!({ "policies": ["app"] })).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let renew = || call(node, &token, "POST", "/v1/auth/token/renew-self", ());
    assert_eq!(renew().await.status, 200);
    let deleted = node.root("DELETE", "/v1/auth/token/roles/team", ()).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(renew().await.status, 400, "its role is gone");
    wallet.assert_sound().await;
}
