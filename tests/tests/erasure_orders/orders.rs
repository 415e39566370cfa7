//! Orders: what they erase, who may give them, and what is no order.

use billfold_tests::{
    tools,
    wallet::{Backend, Wallet, command_id},
};
use serde_json::{Value, json};

use super::{WALLET, call, erase, get, policy, put, read, swept, token};

/// The lines that `billfold-replay` lists of these events, with names.
async fn listed(wallet: &Wallet, event: &str) -> Vec<Value> {
    let listed = wallet.replay(&["log", "--json", "--names"]).await.unwrap();
    let lines = listed.success().unwrap().stdout;
    let lines = lines.lines().map(|l| serde_json::from_str(l).unwrap());
    lines
        .filter(|line: &Value| line["event"] == event)
        .collect()
}

pub async fn inv07_an_order_erases_all_below_a_folder(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let mut states = Vec::new();
    for path in ["team/a", "team/a", "team/deep/b", "teams", "other"] {
        put(node, path).await;
        states.push(wallet.state().await);
    }
    let erased = erase(node, "secret/team/").await;
    assert_eq!(erased.status, 200, "{}", erased.text());
    assert!(erased.header("x-billfold-seq").is_some());
    let erased = erased.json();
    assert_eq!(erased["left"], 0);
    let order = &erased["receipts"][0];
    let mut told: Vec<_> = order["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gone| {
            (
                gone["path"].as_str().unwrap(),
                &gone["versions"],
                &gone["whole"],
            )
        })
        .collect();
    told.sort_unstable_by_key(|(path, ..)| *path);
    let (one, two, whole) = (json!([1]), json!([1, 2]), json!(true));
    assert_eq!(
        told,
        [
            ("secret/team/a", &two, &whole),
            ("secret/team/deep/b", &one, &whole)
        ]
    );
    assert_eq!(order["keys"], 5);
    for (path, status) in [
        ("team/a", 404),
        ("team/deep/b", 404),
        ("teams", 200),
        ("other", 200),
    ] {
        assert_eq!(read(node, path).await, status, "{path}");
    }
    // Whoever looks at it later is told everything but what is erased.
    let id = order["id"].as_str().unwrap();
    let receipt = swept(node, id).await;
    assert_eq!(receipt["state"], "pending");
    assert_eq!(receipt["reason"], "they left us");
    assert_eq!(receipt["by"]["actor"], "principal");
    assert_eq!(receipt["sequence"], order["sequence"]);
    assert!(receipt["outcome_sequence"].as_u64() > receipt["sequence"].as_u64());
    let all = get(node, "erasures").await;
    assert_eq!(all["erasures"], json!([receipt]));
    assert!(!all.to_string().contains("team"));
    // The record tells that it was, and by whom, and neither what nor where.
    let ordered = listed(&wallet, "ErasureOrdered").await;
    assert_eq!(ordered[0]["erasure"], id);
    assert_eq!(ordered[0]["reason"], "they left us");
    assert_eq!(ordered[0]["records"].as_array().unwrap().len(), 2);
    let gone = listed(&wallet, "MetadataDeleted").await;
    assert_eq!(gone.len(), 2);
    assert!(gone.iter().all(|line| line["path"].is_null()), "{gone:?}");
    wallet.assert_sound().await;
    for state in states {
        let at = state.sequence.to_string();
        let digest = wallet.replay(&["digest", "--at", &at]).await.unwrap();
        let digest = digest.success().unwrap().stdout;
        assert!(
            digest.contains(&state.digest),
            "erasure changed the past at {at}"
        );
    }
}

pub async fn inv07_an_order_for_versions_leaves_the_others(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    for _ in 0..3 {
        put(node, "app").await;
    }
    let order = |versions: Value| {
        let body = json!({ "path": "secret/app", "versions": versions, "reason": "leaked" });
        node.root("POST", "/api/internal/wallet/erase", body)
    };
    let erased = order(json!([1, 3])).await;
    assert_eq!(erased.status, 200, "{}", erased.text());
    let records = erased.json()["receipts"][0]["records"].clone();
    assert_eq!(records[0]["versions"], json!([1, 3]));
    assert_eq!(records[0]["whole"], false);
    let facts = node.root("GET", "/v1/secret/metadata/app", ()).await.json();
    let destroyed = |number: &str| facts["data"]["versions"][number]["destroyed"].clone();
    assert_eq!(
        ["1", "2", "3"].map(destroyed),
        [json!(true), json!(false), json!(true)]
    );
    assert_eq!(order(json!([1])).await.status, 404);
    assert_eq!(order(json!([9])).await.status, 404);
    assert_eq!(order(json!([1, 2])).await.status, 200);
    wallet.assert_sound().await;
}

pub async fn inv10_whoever_erases_needs_two_rights(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let order = r#"path "api/internal/wallet/erase" { capabilities = ["update", "sudo"] }"#;
    let look = r#"path "api/internal/wallet/erasures*" { capabilities = ["read"] }"#;
    let remove = r#"path "secret/metadata/team/*" { capabilities = ["delete"] }"#;
    let destroy = r#"path "secret/destroy/team/*" { capabilities = ["update"] }"#;
    let no_sudo = order.replace(", \"sudo\"", "");
    for (name, text) in [
        ("order", order.to_owned()),
        ("remove", [remove, destroy].concat()),
        ("no-sudo", [&no_sudo, remove, destroy].concat()),
        ("look", look.to_owned()),
        ("both", [order, remove].concat()),
        ("versions", [order, destroy].concat()),
    ] {
        policy(node, name, &text).await;
    }
    for path in ["team/a", "team/b", "other/c"] {
        put(node, path).await;
    }
    let erase = async |name: &str, path: &str, versions: Option<u32>| {
        let token = token(node, name).await;
        let mut body = json!({ "path": path, "reason": "r" });
        if let Some(version) = versions {
            body["versions"] = json!([version]);
        }
        let erased = call(node, &token, "POST", "/api/internal/wallet/erase", body).await;
        erased.status
    };
    for name in ["order", "remove", "no-sudo", "look"] {
        for path in [
            "secret/team/",
            "secret/team/a",
            "secret/team/absent",
            "nowhere/x",
        ] {
            let status = erase(name, path, None).await;
            // Who may order is told that there is no such mount, and nothing else.
            let expected = match (name, path) {
                ("order", "nowhere/x") => 422,
                _ => 403,
            };
            assert_eq!(status, expected, "{name} {path}");
        }
    }
    for (name, path, versions, expected) in [
        // One that may not be erased keeps the others.
        ("both", "secret/", None, 403),
        ("both", "secret/other/", None, 403),
        ("both", "secret/other/absent", None, 403),
        ("both", "secret/team/a", Some(1), 403),
        ("versions", "secret/team/a", None, 403),
        ("versions", "secret/team/a", Some(1), 200),
        ("both", "secret/team/absent", None, 404),
        ("both", "secret/team/", None, 200),
    ] {
        let status = erase(name, path, versions).await;
        assert_eq!(status, expected, "{name} {path}");
    }
    assert_eq!(read(node, "other/c").await, 200);
    for (name, expected) in [("look", 200), ("both", 403)] {
        let token = token(node, name).await;
        for path in ["erasures", "erasures?path=secret/team/a"] {
            let path = format!("{WALLET}/{path}");
            let found = call(node, &token, "GET", &path, ()).await;
            assert_eq!(found.status, expected, "{name} {path}");
        }
    }
    wallet.assert_sound().await;
}

pub async fn inv12_an_order_is_carried_out_once(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    put(node, "team/a").await;
    let id = command_id();
    let client = node.client().header("X-Billfold-Command-Id", &id);
    let order = |path: &str| {
        let body = json!({ "path": path, "reason": "r" });
        client.call(
            "POST",
            "/api/internal/wallet/erase",
            Some(node.token()),
            body,
        )
    };
    let first = order("secret/team/").await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text());
    let first = first.json()["receipts"][0].clone();
    // What is written since is not what was meant.
    put(node, "team/new").await;
    let again = order("secret/team/").await.unwrap();
    assert_eq!(again.status, 200, "{}", again.text());
    let again = again.json();
    assert_eq!(again["receipts"][0]["id"], first["id"]);
    assert_eq!(again["receipts"][0]["sequence"], first["sequence"]);
    assert_eq!(again["receipts"].as_array().unwrap().len(), 1);
    assert_eq!(read(node, "team/new").await, 200);
    assert_eq!(order("secret/team/new").await.unwrap().status, 400);
    assert_eq!(read(node, "team/new").await, 200);
    // Without an id it is another order, which finds what is there now, and then nothing.
    assert_eq!(erase(node, "secret/team/").await.status, 200);
    let nothing = erase(node, "secret/team/").await;
    assert_eq!(nothing.status, 404);
    assert_eq!(nothing.json()["error"], "there is nothing to erase");
    wallet.assert_sound().await;
}

pub async fn inv12_orders_that_are_no_orders_change_nothing(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    put(node, "team/a").await;
    let body = json!({ "type": "kv", "options": { "version": "1" } });
    assert_eq!(
        node.root("POST", "/v1/sys/mounts/one", body).await.status,
        204
    );
    let one = json!({ "x": 1 });
    assert_eq!(node.root("POST", "/v1/one/a", one).await.status, 204);
    let before = wallet.settled().await;
    let word = format!("canary-{}", hex::encode(tools::random::<8>()));
    let good = json!({ "path": "secret/team/a", "reason": "r" });
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let orders = [
        (422, json!({ "path": "secret/team/a" })),
        (422, json!({ "reason": "r" })),
        (422, with(&word, json!(1))),
        (422, with("path", json!(7))),
        (422, with("path", json!(""))),
        (422, with("path", json!("/"))),
        (422, with("path", json!(word))),
        (422, with("path", json!(format!("/secret/{word}")))),
        (422, with("path", json!(format!("secret/{word}//")))),
        (422, with("path", json!(format!("secret/../{word}")))),
        (422, with("path", json!(format!("secret/{word}\n")))),
        (422, with("path", json!(format!("{word}/x")))),
        (404, with("path", json!(format!("secret/{word}")))),
        (404, with("path", json!(format!("secret/{word}/")))),
        (422, with("reason", json!({ &word: 1 }))),
        (400, with("reason", json!(""))),
        (400, with("reason", json!("  "))),
        (400, with("reason", json!(format!("{word}\u{1b}")))),
        (400, with("reason", json!(word.repeat(100)))),
        (422, with("versions", json!([]))),
        (422, with("versions", json!([0]))),
        (422, with("versions", json!([-1]))),
        (422, with("versions", json!([4_294_967_296_u64]))),
        (422, with("versions", json!([word]))),
        (422, with("versions", json!("1"))),
        (
            400,
            json!({ "path": "secret/team/", "reason": "r", "versions": [1] }),
        ),
        (
            400,
            json!({ "path": "one/a", "reason": "r", "versions": [1] }),
        ),
    ];
    for (status, body) in orders {
        let told = node.root("POST", "/api/internal/wallet/erase", body.clone());
        let told = told.await;
        assert_eq!(told.status, status, "{body}: {}", told.text());
        assert!(!told.text().contains(&word), "{}", told.text());
    }
    for (status, path) in [
        (400, format!("erasures/{word}")),
        (404, "erasures/00112233445566778899aabbccddeeff".to_owned()),
        (422, format!("erasures?path={word}")),
        (422, format!("erasures?path=/{word}")),
        (400, format!("erasures?path=secret/{word}/")),
        (400, format!("erasures?limit={word}")),
        (400, format!("erasures?after={word}")),
        (400, format!("holds/{word}")),
        (404, "holds/00112233445566778899aabbccddeeff".to_owned()),
    ] {
        let told = node.root("GET", &format!("{WALLET}/{path}"), ()).await;
        assert_eq!(told.status, status, "{path}: {}", told.text());
        assert!(!told.text().contains(&word), "{}", told.text());
    }
    wallet.assert_unchanged(&before).await;
    assert_eq!(read(node, "team/a").await, 200);
    // A mount of version 1 has secrets all the same.
    assert_eq!(erase(node, "one/a").await.status, 200);
    assert_eq!(node.root("GET", "/v1/one/a", ()).await.status, 404);
}

/// One commit holds a megabyte on a server with the usual settings.
#[tokio::test(flavor = "multi_thread")]
async fn inv12_what_does_not_fit_into_one_commit_is_not_erased() {
    let wallet = Wallet::dev(Backend::JetStream).await;
    let node = &wallet.node;
    let changes = |from: usize| -> Vec<Value> {
        let paths = (from..from + 1000).map(|n| format!("secret/many/{}/{n}", n % 2));
        let put = |path| json!({ "op": "put", "path": path, "data": {} });
        paths.map(put).collect()
    };
    for from in 0..6 {
        let body = json!({ "changes": changes(from * 1000) });
        let done = node.root("POST", "/api/transactions", body).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }
    // A read is answered behind all that was written before it: the node has come to the last one.
    let last = node
        .root("GET", "/v1/secret/metadata/many/1/5999", ())
        .await;
    assert_eq!(last.status, 200, "{}", last.text());
    let before = wallet.settled().await;
    let refused = erase(node, "secret/many/").await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    let told = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(told.contains("the limit is"), "{told}");
    wallet.assert_unchanged(&before).await;
    for half in ["secret/many/0/", "secret/many/1/"] {
        let erased = erase(node, half).await;
        assert_eq!(erased.status, 200, "{}", erased.text());
        let records = erased.json()["receipts"][0]["records"].clone();
        assert_eq!(records.as_array().unwrap().len(), 3000);
    }
    assert_eq!(erase(node, "secret/").await.status, 404);
}
