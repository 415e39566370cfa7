//! Events as the Open Cybersecurity Schema Framework has them: required attributes, values of enumerations,
//! and no attribute that the schema does not know.

use std::collections::{BTreeMap, BTreeSet};

use billfold_tests::wallet::{Backend, Wallet, within_reason};
use serde_json::{Map, Value, json};

use super::{get, live};

/// Attributes of both classes, and of each, as far as they are used here; `true` for those that are
/// required. From the schema, version 1.3.0.
const BASE: [(&str, bool); 12] = [
    ("activity_id", true),
    ("activity_name", false),
    ("category_uid", true),
    ("class_uid", true),
    ("count", false),
    ("metadata", true),
    ("severity_id", true),
    ("status_detail", false),
    ("status_id", false),
    ("time", true),
    ("type_uid", true),
    ("unmapped", false),
];
const API_ACTIVITY: [(&str, bool); 4] = [
    ("actor", true),
    ("api", true),
    ("resources", false),
    ("src_endpoint", true),
];
const AUTHENTICATION: [(&str, bool); 4] = [
    ("actor", false),
    ("service", false),
    ("src_endpoint", false),
    ("user", true),
];
const METADATA: [(&str, bool); 8] = [
    ("correlation_uid", false),
    ("event_code", false),
    ("log_name", false),
    ("original_time", false),
    ("product", true),
    ("sequence", false),
    ("uid", false),
    ("version", true),
];

fn object<'a>(value: &'a Value, attributes: &[(&str, bool)]) -> &'a Map<String, Value> {
    let object = value.as_object().unwrap();
    for (name, required) in attributes {
        assert!(!required || object.contains_key(*name), "{name}: {value}");
    }
    for (name, value) in object {
        assert!(attributes.iter().any(|(known, _)| known == name), "{name}");
        assert!(!value.is_null(), "{name}");
    }
    object
}

fn at_least_one(value: &Value, names: &[&str]) {
    assert!(names.iter().any(|name| value[*name].is_string()), "{value}");
}

/// Whether an event has the shape of its class.
pub fn check(event: &Value) {
    let number = |name: &str| event[name].as_u64().unwrap();
    let class = number("class_uid");
    let own = match class {
        6003 => &API_ACTIVITY,
        3002 => &AUTHENTICATION,
        other => panic!("{other}"),
    };
    object(event, &[&BASE[..], own].concat());
    assert_eq!(number("category_uid"), class / 1000);
    assert_eq!(number("type_uid"), class * 100 + number("activity_id"));
    let activities: &[u64] = match class {
        6003 => &[0, 1, 2, 3, 4, 99],
        _ => &[0, 1, 2, 3, 4, 5, 99],
    };
    assert!(activities.contains(&number("activity_id")));
    assert!([0, 1, 2, 3, 4, 5, 6, 99].contains(&number("severity_id")));
    assert!([0, 1, 2, 99].contains(&number("status_id")));
    assert!(number("time") > 1_600_000_000_000, "milliseconds");
    let metadata = object(&event["metadata"], &METADATA);
    assert_eq!(metadata["version"], "1.3.0");
    at_least_one(&metadata["product"], &["name", "uid"]);
    assert!(metadata["product"]["vendor_name"].is_string());
    assert!(metadata["sequence"].is_u64() && metadata["uid"].is_string());
    if !event["actor"].is_null()
        && event["actor"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_string)
    {
        at_least_one(&event["actor"], &["app_name"]);
    }
    for user in [&event["user"], &event["actor"]["user"]] {
        if !user.is_null() {
            at_least_one(user, &["uid", "name"]);
        }
    }
    at_least_one(&event["src_endpoint"], &["ip", "name"]);
    match class {
        6003 => assert!(event["api"]["operation"].is_string()),
        // One of the two is required.
        _ => assert!(event["service"]["name"].is_string()),
    }
    for resource in event["resources"].as_array().into_iter().flatten() {
        at_least_one(resource, &["uid", "name"]);
    }
}

async fn exported(wallet: &Wallet, format: &str, more: &[&str]) -> Vec<Value> {
    let args = ["export", "--format", format, "--to", "stdout"];
    let ended = wallet.replay(&[&args[..], more].concat()).await.unwrap();
    let text = ended.success().unwrap().stdout;
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_have_the_shape_of_the_schema() {
    within_reason(async {
        let wallet = Wallet::dev(Backend::Embedded).await;
        live(&wallet, 0..3).await;
        let policy =
            json!({ "policy": "path \"secret/data/app/*\" { capabilities = [\"read\"] }" });
        let root = async |method, path: &str, body: Value| {
            let reply = wallet.node.root(method, path, body).await;
            assert!(
                matches!(reply.status, 200 | 204),
                "{path}: {}",
                reply.text()
            );
            reply.json()
        };
        root("PUT", "/v1/sys/policies/acl/reader", policy).await;
        let made = root(
            "POST",
            "/v1/auth/token/create",
            json!({ "policies": ["reader"] }),
        )
        .await;
        let token = made["auth"]["client_token"].as_str();
        assert_eq!(get(&wallet, "other", token).await, 403);
        root(
            "POST",
            "/v1/secret/destroy/app/1",
            json!({ "versions": [1] }),
        )
        .await;
        root("DELETE", "/v1/sys/policies/acl/reader", json!({})).await;
        root("POST", "/v1/sys/mounts/more", json!({ "type": "kv" })).await;

        let rows = exported(&wallet, "jsonl", &["--names"]).await;
        let to = rows.last().unwrap()["sequence"].to_string();
        let events = exported(&wallet, "ocsf", &["--names"]).await;
        assert_eq!(rows.len(), events.len());
        assert_eq!(
            events.last().unwrap()["metadata"]["sequence"].to_string(),
            to
        );
        let (mut classes, mut activities) = (BTreeMap::new(), BTreeSet::new());
        for (row, event) in rows.iter().zip(&events) {
            check(event);
            assert_eq!(event["metadata"]["sequence"], row["sequence"]);
            assert_eq!(event["unmapped"]["index"], row["index"]);
            let status = match row["outcome"].as_str() {
                None if row["refused"].is_u64() => 2,
                None | Some("permitted") => 1,
                Some(_) => 2,
            };
            assert_eq!(event["status_id"], status, "{row}");
            if let Some(path) = row["path"].as_str() {
                assert_eq!(event["resources"][0]["name"], path);
            }
            *classes
                .entry(event["class_uid"].as_u64().unwrap())
                .or_insert(0) += 1;
            activities.insert(event["type_uid"].as_u64().unwrap());
        }
        assert!(classes[&6003] > 15 && classes[&3002] >= 1, "{classes:?}");
        let expected = [300_201, 600_301, 600_302, 600_303, 600_304];
        assert_eq!(activities, BTreeSet::from(expected));
        // Nothing that only names tell, unless it is asked for.
        let silent = exported(&wallet, "ocsf", &[]).await;
        let text = json!(silent).to_string();
        assert!(!text.contains("secret/") && !text.contains("127.0.0.1"));
        assert!(json!(events).to_string().contains("127.0.0.1"));
    })
    .await;
}
