//! Paths of secrets that are erased: no record of a request keeps one.

use std::time::{Duration, Instant};

use billfold_tests::{
    billfold::Billfold,
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::story::page;

const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be nowhere any more: a secret's name, which no folder has.
const NAME: &str = "jane-doe";

/// It may see that the secret is there, and do nothing else with it; but it may read what is asked for
/// with a version, and list with a bound.
const CLERK: &str = r#"
    path "secret/metadata/persons/*" { capabilities = ["read"] }
    path "secret/data/persons/*" {
        capabilities = ["read"]
        required_parameters = ["version"]
    }
"#;

async fn root(node: &Billfold, verb: &str, path: &str, body: Value) -> Value {
    let reply = node.root(verb, path, body).await;
    assert!(reply.status < 300, "{verb} {path}: {}", reply.text());
    match reply.text().is_empty() {
        true => Value::Null,
        false => reply.json(),
    }
}

/// Everything that anybody may ask about a secret, permitted or not; none of it changes the secret.
async fn ask_everything(node: &Billfold, clerk: &str) {
    let preflight = format!("/v1/sys/internal/ui/mounts/secret/persons/{NAME}");
    root(node, "GET", &preflight, Value::Null).await;
    let of_first = format!("/v1/sys/internal/ui/mounts/kv1/{NAME}");
    root(node, "GET", &of_first, Value::Null).await;
    let stranger = json!({ "policies": ["none"], "no_default_policy": true });
    let made = root(node, "POST", "/v1/auth/token/create", stranger).await;
    let stranger = made["auth"]["client_token"].as_str().unwrap();
    let data = json!({ "data": { "x": "y" } });
    for (verb, path, status) in [
        ("GET", preflight, 403),
        (
            "GET",
            format!("/v1/sys/internal/ui/mounts/nowhere/{NAME}"),
            403,
        ),
        ("POST", format!("/v1/secret/data/persons/{NAME}"), 403),
        ("DELETE", format!("/v1/secret/metadata/persons/{NAME}"), 403),
        ("DELETE", format!("/v1/secret/subkeys/persons/{NAME}"), 403),
        ("POST", format!("/v1/secret/destroy/persons/{NAME}"), 403),
        (
            "GET",
            format!("/v1/secret/data/persons/{NAME}?version=no"),
            403,
        ),
        ("POST", format!("/v1/secret/persons/{NAME}"), 403),
        ("POST", format!("/v1/kv1/{NAME}"), 403),
        ("DELETE", format!("/v1/kv1/{NAME}"), 403),
        ("DELETE", format!("/api/credentials/persons/{NAME}"), 403),
    ] {
        for token in [stranger, clerk] {
            let client = node.client();
            let reply = client.call(verb, &path, Some(token), data.clone()).await;
            let reply = reply.unwrap();
            let sees = token == clerk && verb == "GET";
            assert!(
                reply.status == status || sees,
                "{verb} {path}: {}",
                reply.text()
            );
        }
    }
}

pub async fn inv07_no_record_of_a_request_keeps_the_path_of_what_is_erased(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let mount = json!({ "type": "kv", "options": { "version": "1" } });
    root(node, "POST", "/v1/sys/mounts/kv1", mount).await;
    let policy = json!({ "policy": CLERK });
    root(node, "PUT", "/v1/sys/policies/acl/clerk", policy).await;
    let wish = json!({ "policies": ["clerk"] });
    let made = root(node, "POST", "/v1/auth/token/create", wish).await;
    let clerk = made["auth"]["client_token"].as_str().unwrap();
    let data = json!({ "data": { "x": "y" } });
    let path = format!("/v1/secret/data/persons/{NAME}");
    root(node, "POST", &path, data.clone()).await;
    root(node, "POST", &format!("/v1/kv1/{NAME}"), data).await;

    ask_everything(node, clerk).await;
    let (rows, _) = page(node, "operation=refused&limit=10000").await;
    let credentials = rows.iter().filter(|row| row["credential"].is_string());
    assert!(
        credentials.count() > 10,
        "a refusal tells of which secret: {rows:#?}"
    );
    assert!(rows.iter().all(|row| row["outcome"] == "denied"));
    let (of_it, _) = page(
        node,
        &format!("path=secret/persons/{NAME}&operation=refused"),
    )
    .await;
    assert!(of_it.len() >= 8, "{of_it:#?}");

    for path in [format!("secret/persons/{NAME}"), format!("kv1/{NAME}")] {
        let order = json!({ "path": path, "reason": "they left us" });
        root(node, "POST", "/api/internal/wallet/erase", order).await;
    }
    let (rows, _) = page(node, "limit=10000").await;
    for row in &rows {
        assert!(!row.to_string().contains(NAME), "{row}");
    }
    let mounts = rows.iter().filter_map(|row| row["path"].as_str());
    let preflights = mounts.filter(|path| *path == "sys/internal/ui/mounts/secret/");
    assert!(preflights.count() >= 3);
    // An auditor with all keys finds it no more, once those of its names are destroyed.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = wallet.replay(&["log", "--json", "--names"]).await.unwrap();
        let told = told.success().unwrap().stdout;
        let keeps: Vec<_> = told.lines().filter(|line| line.contains(NAME)).collect();
        if keeps.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{keeps:#?}");
        sleep(Duration::from_millis(50)).await;
    }
    wallet.assert_sound().await;
}
