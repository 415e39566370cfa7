//! Policies that one node changes, while another has not seen it yet.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::{Cluster, Door};

const POLICY: &str = "/v1/sys/policies/acl/reader";

async fn sent(door: &Door, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = (!body.is_null()).then_some(body);
    let reply = door.send(method, path, body).await.unwrap();
    (
        reply.status,
        serde_json::from_str(&reply.text()).unwrap_or_default(),
    )
}

async fn done(door: &Door, method: &str, path: &str, body: Value) -> Value {
    let (status, told) = sent(door, method, path, body).await;
    assert!(status < 300, "{method} {path}: {status} {told}");
    told
}

fn policy(more: &str) -> Value {
    let text = format!("path \"secret/data/*\" {{ capabilities = [\"read\"] {more} }}");
    json!({ "policy": text })
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_policy_counts_on_every_node_from_when_it_is_told() {
    let cluster = Cluster::start(&[Duration::ZERO, Duration::from_millis(50)]).await;
    let doors = cluster.doors();
    let (ahead, behind) = (&doors[0], &doors[1]);
    for value in ["1", "2"] {
        ahead.put("c", None, value).await;
    }
    done(ahead, "POST", POLICY, policy("")).await;
    let wish = json!({ "policies": ["reader"] });
    let made = done(ahead, "POST", "/v1/auth/token/create", wish).await;
    let reader = behind.as_token(made["auth"]["client_token"].as_str().unwrap());
    let read = async || {
        sent(&reader, "GET", "/v1/secret/data/c?version=1", Value::Null)
            .await
            .0
    };
    assert_eq!(read().await, 200);
    for _ in 0..4 {
        // It did not look at what requests say, and does from now on.
        let barred = policy("denied_parameters = { \"version\" = [] }");
        done(ahead, "POST", POLICY, barred).await;
        assert_eq!(read().await, 403);
        done(ahead, "POST", POLICY, policy("")).await;
        assert_eq!(read().await, 200);
    }
    // Who is granted something may do it at once.
    let renew = "/v1/auth/token/lookup-accessor";
    let accessor = json!({ "accessor": made["auth"]["accessor"] });
    assert_eq!(sent(&reader, "POST", renew, accessor.clone()).await.0, 403);
    let more = format!("}} path \"{}\" {{ capabilities = [\"update\"]", &renew[4..]);
    done(ahead, "POST", POLICY, policy(&more)).await;
    assert_eq!(sent(&reader, "POST", renew, accessor).await.0, 200);
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_a_patch_of_a_policy_keeps_what_another_node_wrote() {
    let cluster = Cluster::start(&[Duration::ZERO, Duration::from_millis(50)]).await;
    let doors = cluster.doors();
    let (ahead, behind) = (&doors[0], &doors[1]);
    for round in 0..4 {
        let text = format!("path \"secret/data/{round}\" {{ capabilities = [\"deny\"] }}");
        done(ahead, "POST", POLICY, json!({ "policy": text })).await;
        let patch = behind.with("Content-Type", "application/merge-patch+json");
        let terms = json!({ "ttl": format!("{}h", round + 1) });
        done(&patch, "PATCH", POLICY, terms).await;
        let read = done(ahead, "GET", POLICY, Value::Null).await;
        assert_eq!(read["data"]["policy"], text.as_str());
        assert_ne!(read["data"]["expiration"], Value::Null, "{read}");
    }
    cluster.assert_agreement().await;
}
