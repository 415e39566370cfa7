//! Who may restore: it takes reading and changing each secret, and the restoration itself.

use billfold_tests::wallet::{Backend, Wallet};
use serde_json::json;

use super::{RESTORE, ok, put, read};

const API: &str = r#"path "api/internal/wallet/restore" { capabilities = ["update"] }"#;
const READ: &str = r#"path "secret/data/app/*" { capabilities = ["read"] }"#;
const UPDATE: &str = r#"path "secret/data/app/*" { capabilities = ["update"] }"#;
const BOTH: &str = r#"path "secret/data/app/*" { capabilities = ["read", "update"] }"#;
const SCAN: &str = r#"path "secret/metadata/app/*" { capabilities = ["scan"] }"#;
const PAGE: &str =
    r#"path "secret/metadata/app/*" { capabilities = ["scan"] pagination_limit = 1 }"#;

pub async fn inv10_each_permission_is_needed(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    put(node, "app/a", "first a").await;
    let at = put(node, "app/b", "first b").await;
    put(node, "app/a", "second a").await;
    put(node, "app/b", "second b").await;
    put(node, "else/c", "c").await;
    let since = wallet.settled().await;
    let named = ["secret/app/a", "secret/app/b"].as_slice();
    let folder = ["secret/app/"].as_slice();
    let cases = [
        (vec![READ], named, 403),
        (vec![API], named, 403),
        (vec![API, READ], named, 403),
        (vec![API, UPDATE], named, 403),
        (vec![BOTH], named, 403),
        (vec![API, BOTH], folder, 403),
        (vec![API, BOTH], &["secret/app/a", "secret/else/c"], 403),
        // Whether there is such a secret is not for everyone, either.
        (vec![API, BOTH], &["secret/else/none"], 403),
        (vec![API, BOTH], &["nowhere/none"], 403),
        (vec![API, BOTH, PAGE], folder, 422),
        (vec![API, BOTH, SCAN], folder, 200),
        (vec![API, BOTH], named, 200),
    ];
    for (number, (rules, paths, expected)) in cases.iter().enumerate() {
        let policy = format!("/v1/sys/policies/acl/p{number}");
        ok(node, "POST", &policy, json!({ "policy": rules.join("\n") })).await;
        let wish = json!({ "policies": [format!("p{number}")] });
        let made = ok(node, "POST", "/v1/auth/token/create", wish).await.json();
        let token = made["auth"]["client_token"].as_str().unwrap();
        for dry_run in [true, false] {
            let body = json!({ "at": at, "paths": paths, "dry_run": dry_run });
            let reply = node.client().call("POST", RESTORE, Some(token), body).await;
            let reply = reply.unwrap();
            assert_eq!(reply.status, *expected, "{rules:?}: {}", reply.text());
            assert!(!reply.text().contains("first"), "{}", reply.text());
            let restored = *expected == 200 && !dry_run;
            let [a, b] = [read(node, "app/a").await, read(node, "app/b").await];
            let [a, b] = [a.unwrap().1, b.unwrap().1];
            match restored {
                true => assert_eq!((a.as_str(), b.as_str()), ("first a", "first b")),
                false => assert_eq!((a.as_str(), b.as_str()), ("second a", "second b")),
            }
            if restored {
                put(node, "app/a", "second a").await;
                put(node, "app/b", "second b").await;
            }
        }
    }
    assert_ne!(wallet.state().await, since);
    let told = wallet.replay(&["log", "--json"]).await.unwrap();
    let told = told.success().unwrap().stdout;
    let denied = told
        .lines()
        .filter(|line| line.contains(r#""verdict":"denied""#));
    assert!(denied.count() >= 18, "each refusal is on record");
    wallet.assert_sound().await;
}
