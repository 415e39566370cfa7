//! A story that is worth searching, and its record as `billfold-replay` tells it.

use std::collections::HashMap;

use billfold_tests::{
    billfold::{Billfold, Reply},
    wallet::Wallet,
};
use serde_json::{Value, json};

pub const TRAIL: &str = "/api/internal/secret-audit";

/// Who took part.
pub struct Cast {
    pub robot: Person,
    pub intern: Person,
}

pub struct Person {
    pub token: String,
    pub accessor: String,
}

const TEAM: &str = r#"
    path "secret/data/team/*" { capabilities = ["read", "create", "update"] }
    path "secret/metadata/team/*" { capabilities = ["list"] }
    path "apps/data/*" { capabilities = ["read"] }
"#;

async fn root(node: &Billfold, verb: &str, path: &str, body: Value) -> Reply {
    let reply = match body {
        Value::Null => node.root(verb, path, ()).await,
        body => node.root(verb, path, body).await,
    };
    assert!(reply.status < 300, "{verb} {path}: {}", reply.text());
    reply
}

pub async fn write(node: &Billfold, path: &str) {
    let body = json!({ "data": { "value": path } });
    root(node, "POST", &format!("/v1/{path}"), body).await;
}

/// Someone with a token, who may read what the team has.
async fn person(node: &Billfold, name: &str) -> Person {
    let wish = json!({ "policies": ["team"], "display_name": name, "no_parent": true });
    let made = root(node, "POST", "/v1/auth/token/create", wish)
        .await
        .json();
    let text = |field: &str| made["auth"][field].as_str().unwrap().to_owned();
    Person {
        token: text("client_token"),
        accessor: text("accessor"),
    }
}

/// A request of someone, in an execution if one is named; its status.
pub async fn ask(
    node: &Billfold,
    who: &Person,
    execution: Option<&str>,
    verb: &str,
    path: &str,
) -> u16 {
    let mut client = node.client();
    if let Some(execution) = execution {
        client = client.header("X-Billfold-Execution", execution);
    }
    let reply = client.call(verb, path, Some(&who.token), ()).await;
    reply.unwrap().status
}

/// What a wallet begins the story with.
pub async fn prepare(node: &Billfold) -> Cast {
    root(
        node,
        "POST",
        "/v1/sys/mounts/apps",
        json!({ "type": "kv", "options": { "version": "2" } }),
    )
    .await;
    root(
        node,
        "PUT",
        "/v1/sys/policies/acl/team",
        json!({ "policy": TEAM }),
    )
    .await;
    for path in [
        "secret/data/alone",
        "secret/data/team/x",
        "secret/data/team/x",
        "secret/data/team/sub/y",
        "secret/data/team/gone",
        "apps/data/team/x",
    ] {
        write(node, path).await;
    }
    root(node, "DELETE", "/v1/secret/data/team/gone", Value::Null).await;
    Cast {
        robot: person(node, "robot").await,
        intern: person(node, "intern").await,
    }
}

/// A day in the life of it: every outcome, every kind of place, several executions.
pub async fn act(node: &Billfold, cast: &Cast) {
    let data = |path: &str| format!("/v1/secret/data/{path}");
    for (execution, status, path) in [
        (Some("nightly"), 200, data("team/x")),
        (Some("nightly"), 200, data("team/x?version=1")),
        (Some("nightly"), 403, data("alone")),
        (Some("weekly"), 404, data("team/none")),
        (Some("weekly"), 404, data("team/gone")),
        (Some("weekly"), 200, data("team/sub/y")),
        (None, 200, "/v1/apps/data/team/x".to_owned()),
        (None, 404, data("team/x?version=99")),
        (None, 403, "/v1/secret/metadata/team/x".to_owned()),
        (None, 403, "/v1/nowhere/x".to_owned()),
    ] {
        for who in [&cast.robot, &cast.intern] {
            assert_eq!(
                ask(node, who, execution, "GET", &path).await,
                status,
                "{path}"
            );
        }
    }
    let folder = "/v1/secret/metadata/team/";
    assert_eq!(
        ask(node, &cast.robot, Some("weekly"), "LIST", folder).await,
        200
    );
    assert_eq!(
        ask(node, &cast.intern, None, "LIST", "/v1/secret/metadata/").await,
        403
    );
    root(node, "LIST", "/v1/secret/metadata/team/sub", Value::Null).await;
    root(node, "GET", "/v1/secret/metadata/team/x", Value::Null).await;
    root(node, "GET", "/v1/sys/mounts", Value::Null).await;
    root(node, "GET", "/v1/sys/policies/acl/team", Value::Null).await;
    write(node, "secret/data/team/x").await;
    assert_eq!(
        node.client()
            .call("GET", &data("alone"), None, ())
            .await
            .unwrap()
            .status,
        403
    );
}

/// What was permitted is not any more; what was on record before stays what it was.
pub async fn tighten(node: &Billfold, cast: &Cast) {
    let none = json!({ "policy": "path \"secret/data/team/sub/*\" { capabilities = [\"read\"] }" });
    root(node, "PUT", "/v1/sys/policies/acl/team", none).await;
    assert_eq!(
        ask(node, &cast.robot, None, "GET", "/v1/secret/data/team/x").await,
        403
    );
    assert_eq!(
        ask(node, &cast.robot, None, "GET", "/v1/secret/data/team/sub/y").await,
        200
    );
    let body = json!({ "accessor": cast.intern.accessor });
    root(node, "POST", "/v1/auth/token/revoke-accessor", body).await;
    // Names under another key: the path is the same.
    let custom = json!({ "custom_metadata": { "owner": "them" } });
    root(node, "POST", "/v1/secret/metadata/team/x", custom).await;
}

/// The record as an auditor reads it. A path whose names were replaced since is that of the names that
/// replaced them: a record has one path.
pub async fn record(wallet: &Wallet) -> Vec<Value> {
    let listed = wallet.replay(&["log", "--json", "--names"]).await.unwrap();
    let lines = listed.success().unwrap().stdout;
    let mut lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut paths = HashMap::new();
    for line in &lines {
        if let (Some(record), Some(path)) = (line["record"].as_str(), line["path"].as_str()) {
            paths.insert(record.to_owned(), path.to_owned());
        }
    }
    for line in &mut lines {
        let path = line["record"].as_str().and_then(|record| paths.get(record));
        if let Some(path) = path.filter(|_| line["path"].is_null()) {
            line["path"] = path.as_str().into();
        }
    }
    lines
}

/// A page of the trail: rows, and where the next one begins.
pub async fn page(node: &Billfold, query: &str) -> (Vec<Value>, Option<String>) {
    let reply = node.root("GET", &format!("{TRAIL}?{query}"), ()).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    let page = reply.json();
    let next = page["next"].as_str().map(str::to_owned);
    (page["rows"].as_array().unwrap().clone(), next)
}

/// All rows, so many at a time.
pub async fn pages(node: &Billfold, query: &str, limit: usize) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let (more, next) = page(node, &format!("{query}&limit={limit}{after}")).await;
        assert!(more.len() <= limit);
        rows.extend(more);
        match next {
            Some(next) => after = format!("&after={next}"),
            None => return rows,
        }
    }
}

/// Sequence and number of a row, or of a line of the record.
pub fn place(of: &Value) -> (u64, u64) {
    let number = of.get("number").or_else(|| of.get("index"));
    (
        of["sequence"].as_u64().unwrap(),
        number.unwrap().as_u64().unwrap(),
    )
}
