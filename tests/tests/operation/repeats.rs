//! A command that is sent a second time, after the first answer was lost and others did something since.

use std::collections::HashSet;

use billfold::http::endpoints::{Endpoint, ROUTES};
use billfold_core::grant::AuditorSecret;
use billfold_streams::entropy::Os;
use billfold_tests::{
    billfold::Reply,
    wallet::{Backend, Wallet, command_id},
};
use serde_json::{Value, json};

/// One request: method, path, body. In path and body, `{id}` stands for the id that the request before told.
type Request = (&'static str, &'static str, Value);

/// What is done with an endpoint: what comes before, the command, and what others do before it is sent again.
struct Case {
    endpoint: Endpoint,
    before: Vec<Request>,
    command: Request,
    since: Vec<Request>,
}

fn get(path: &'static str) -> Request {
    ("GET", path, Value::Null)
}

fn data(value: &str) -> Value {
    json!({ "data": { "k": value } })
}

/// A secret with two versions.
fn secret(path: &'static str) -> Vec<Request> {
    vec![("POST", path, data("1")), ("POST", path, data("2"))]
}

fn cases(recipient: &str) -> Vec<Case> {
    let case = |endpoint, before, command, since| Case {
        endpoint,
        before,
        command,
        since,
    };
    let none = Value::Null;
    let written = |path| vec![("POST", path, data("since"))];
    let gone = |path| vec![("DELETE", path, Value::Null)];
    let held = json!({ "path": "secret/h/", "reason": "a case" });
    let granted = json!({ "recipient": recipient });
    let transaction = json!({ "changes": [
        { "op": "put", "path": "secret/t", "data": {}, "cas": 2 }, { "op": "remove", "path": "secret/tt" },
    ] });
    let erased = json!({ "path": "secret/e", "reason": "asked for" });
    let credential = json!({ "name": "c", "type": "postgres", "data": {} });
    let settings = json!({ "max_versions": 7 });
    let merged = json!({ "data": { "new": 1 }, "options": { "cas": 2 } });
    vec![
        case(
            Endpoint::KvWrite,
            secret("/v1/secret/data/a"),
            ("POST", "/v1/secret/data/a", data("3")),
            written("/v1/secret/data/a"),
        ),
        case(
            Endpoint::KvWrite,
            vec![],
            (
                "PUT",
                "/v1/secret/data/b",
                json!({ "data": {}, "options": { "cas": 0 } }),
            ),
            gone("/v1/secret/metadata/b"),
        ),
        case(
            Endpoint::KvPatch,
            secret("/v1/secret/data/p"),
            ("PATCH", "/v1/secret/data/p", data("3")),
            written("/v1/secret/data/p"),
        ),
        case(
            Endpoint::KvPatch,
            secret("/v1/secret/data/pc"),
            ("PATCH", "/v1/secret/data/pc", merged),
            written("/v1/secret/data/pc"),
        ),
        case(
            Endpoint::KvPatch,
            secret("/v1/secret/data/pd"),
            ("PATCH", "/v1/secret/data/pd", data("3")),
            gone("/v1/secret/data/pd"),
        ),
        case(
            Endpoint::KvPatch,
            secret("/v1/secret/data/pr"),
            ("PATCH", "/v1/secret/data/pr", data("3")),
            gone("/v1/secret/metadata/pr"),
        ),
        case(
            Endpoint::KvDelete,
            secret("/v1/secret/data/d"),
            ("DELETE", "/v1/secret/data/d", none.clone()),
            written("/v1/secret/data/d"),
        ),
        case(
            Endpoint::KvDeleteVersions,
            secret("/v1/secret/data/dv"),
            ("POST", "/v1/secret/delete/dv", json!({ "versions": [1] })),
            gone("/v1/secret/metadata/dv"),
        ),
        case(
            Endpoint::KvUndelete,
            secret("/v1/secret/data/u"),
            ("POST", "/v1/secret/undelete/u", json!({ "versions": [1] })),
            gone("/v1/secret/metadata/u"),
        ),
        case(
            Endpoint::KvDestroy,
            secret("/v1/secret/data/x"),
            ("POST", "/v1/secret/destroy/x", json!({ "versions": [1] })),
            gone("/v1/secret/metadata/x"),
        ),
        case(
            Endpoint::KvWriteMetadata,
            secret("/v1/secret/data/m"),
            (
                "POST",
                "/v1/secret/metadata/m",
                json!({ "max_versions": 5 }),
            ),
            vec![(
                "POST",
                "/v1/secret/metadata/m",
                json!({ "cas_required": true }),
            )],
        ),
        case(
            Endpoint::KvWriteMetadata,
            secret("/v1/secret/data/mr"),
            (
                "POST",
                "/v1/secret/metadata/mr",
                json!({ "custom_metadata": { "k": "v" } }),
            ),
            gone("/v1/secret/metadata/mr"),
        ),
        case(
            Endpoint::KvPatchMetadata,
            secret("/v1/secret/data/n"),
            (
                "PATCH",
                "/v1/secret/metadata/n",
                json!({ "max_versions": 5 }),
            ),
            vec![(
                "POST",
                "/v1/secret/metadata/n",
                json!({ "cas_required": true }),
            )],
        ),
        case(
            Endpoint::KvPatchMetadata,
            secret("/v1/secret/data/nr"),
            (
                "PATCH",
                "/v1/secret/metadata/nr",
                json!({ "custom_metadata": { "k": "v" } }),
            ),
            gone("/v1/secret/metadata/nr"),
        ),
        case(
            Endpoint::KvRemove,
            secret("/v1/secret/data/r"),
            ("DELETE", "/v1/secret/metadata/r", none.clone()),
            written("/v1/secret/data/r"),
        ),
        case(
            Endpoint::KvWriteConfig,
            vec![],
            ("POST", "/v1/secret/config", settings),
            vec![(
                "POST",
                "/v1/secret/config",
                json!({ "delete_version_after": "1h" }),
            )],
        ),
        case(
            Endpoint::Kv1Write,
            vec![("POST", "/v1/sys/mounts/one", json!({ "type": "kv" }))],
            ("POST", "/v1/one/a", json!({ "k": 1 })),
            gone("/v1/one/a"),
        ),
        case(
            Endpoint::Kv1Delete,
            vec![("POST", "/v1/one/b", json!({ "k": 1 }))],
            ("DELETE", "/v1/one/b", none.clone()),
            vec![("POST", "/v1/one/b", json!({ "k": 1 }))],
        ),
        case(
            Endpoint::CredentialWrite,
            vec![],
            ("POST", "/api/credentials", credential.clone()),
            vec![("POST", "/api/credentials", credential.clone())],
        ),
        case(
            Endpoint::CredentialRemove,
            vec![("POST", "/api/credentials", credential.clone())],
            ("DELETE", "/api/credentials/c", none.clone()),
            vec![],
        ),
        case(
            Endpoint::CredentialRemove,
            vec![("POST", "/api/credentials", credential.clone())],
            ("DELETE", "/api/credentials/{id}", none.clone()),
            vec![],
        ),
        case(
            Endpoint::CredentialRemove,
            vec![("POST", "/api/credentials", credential.clone())],
            ("DELETE", "/api/credentials/c", none.clone()),
            vec![("POST", "/api/credentials", credential)],
        ),
        case(
            Endpoint::Transaction,
            [secret("/v1/secret/data/t"), secret("/v1/secret/data/tt")].concat(),
            ("POST", "/api/transactions", transaction),
            written("/v1/secret/data/tt"),
        ),
        case(
            Endpoint::Erase,
            secret("/v1/secret/data/e"),
            ("POST", "/api/internal/wallet/erase", erased),
            written("/v1/secret/data/e"),
        ),
        case(
            Endpoint::PlaceHold,
            vec![],
            ("POST", "/api/internal/wallet/holds", held.clone()),
            vec![],
        ),
        case(
            Endpoint::LiftHold,
            vec![("POST", "/api/internal/wallet/holds", held)],
            ("DELETE", "/api/internal/wallet/holds/{id}", none.clone()),
            vec![],
        ),
        case(
            Endpoint::GrantAuditor,
            vec![],
            (
                "POST",
                "/api/internal/wallet/auditor-grants",
                granted.clone(),
            ),
            vec![(
                "POST",
                "/api/internal/wallet/auditor-grants",
                granted.clone(),
            )],
        ),
        case(
            Endpoint::RevokeAuditor,
            vec![("POST", "/api/internal/wallet/auditor-grants", granted)],
            ("DELETE", "/api/internal/wallet/auditor-grants/{id}", none),
            vec![get("/api/internal/wallet/auditor-grants")],
        ),
    ]
}

/// The id that an answer tells of what it made.
fn id_of(reply: &Reply) -> Option<String> {
    let told: Value = serde_json::from_str(&reply.text()).ok()?;
    Some(told["id"].as_str()?.to_owned())
}

/// What an answer says of what was done, without what it says of the request or of what goes on.
fn said(endpoint: Endpoint, reply: &Reply) -> (u16, Value) {
    let mut told: Value = serde_json::from_str(&reply.text()).unwrap_or_default();
    if let Some(told) = told.as_object_mut() {
        told.remove("request_id");
        // Where it is looked at, which is later.
        told.remove("sequence");
    }
    // What became of it since.
    if let Some(version) = told["data"].as_object_mut() {
        version.remove("deletion_time");
    }
    for receipt in told["receipts"].as_array_mut().into_iter().flatten() {
        let receipt = receipt.as_object_mut().unwrap();
        receipt.retain(|member, _| !["state", "outcome_sequence"].contains(&member.as_str()));
    }
    let told = match endpoint {
        Endpoint::GrantAuditor => told["id"].clone(),
        _ => told,
    };
    (reply.status, told)
}

/// Whoever lost an answer sends the command again, and is told what they would have been told, whatever was done since.
pub async fn a_command_that_is_sent_again_is_answered_as_before(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let recipient = AuditorSecret::generate(&mut Os::default())
        .public()
        .unwrap()
        .to_string();
    let mut faults = Vec::new();
    let mut met = HashSet::new();
    for (number, case) in cases(&recipient).iter().enumerate() {
        met.insert(case.endpoint);
        let mut id = None;
        for (method, path, body) in &case.before {
            let done = wallet.node.root(method, path, body.clone()).await;
            assert!(done.status < 300, "{path}: {}", done.text());
            id = id_of(&done);
        }
        let (method, path, body) = &case.command;
        let path = path.replace("{id}", id.as_deref().unwrap_or_default());
        let command = command_id();
        let client = wallet.node.client();
        let client = client.header("X-Billfold-Command-Id", &command);
        let client = match *method {
            "PATCH" => client.header("Content-Type", "application/merge-patch+json"),
            _ => client,
        };
        let send = async || {
            let token = Some(wallet.node.token());
            let sent = match body {
                Value::Null => client.call(method, &path, token, ()).await,
                body => client.call(method, &path, token, body.clone()).await,
            };
            said(case.endpoint, &sent.unwrap())
        };
        let first = send().await;
        assert!(first.0 < 300, "{method} {path}: {first:?}");
        for (method, path, body) in &case.since {
            let done = match body {
                Value::Null => wallet.node.root(method, path, ()).await,
                body => wallet.node.root(method, path, body.clone()).await,
            };
            assert!(done.status < 300, "{method} {path}: {}", done.text());
        }
        // What is asked on record is answered where the log ends.
        let asked = wallet.node.root("GET", "/v1/sys/mounts", ()).await;
        assert_eq!(asked.status, 200, "{}", asked.text());
        let before = wallet.state().await;
        let again = send().await;
        wallet.assert_unchanged(&before).await;
        if first != again {
            faults.push(format!(
                "{number}: {method} {path}\n  {first:?}\n  {again:?}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for route in ROUTES
        .iter()
        .filter(|route| route.endpoint.takes_commands())
    {
        let endpoint = route.endpoint;
        assert!(
            met.contains(&endpoint),
            "{endpoint:?} is not sent again here"
        );
    }
    wallet.assert_sound().await;
}
