//! What whoever writes and reads can rely on, whatever door they take.

use billfold_tests::{
    billfold::Reply,
    wallet::{Backend, Wallet, command_id},
};
use serde_json::{Value, json};

use crate::index;

async fn data(wallet: &Wallet, path: &str) -> Value {
    let read = wallet
        .node
        .root("GET", &format!("/v1/secret/data/{path}"), ())
        .await;
    read.json()["data"]["data"].clone()
}

async fn versions(wallet: &Wallet, path: &str) -> usize {
    let read = wallet
        .node
        .root("GET", &format!("/v1/secret/metadata/{path}"), ())
        .await;
    read.json()["data"]["versions"]
        .as_object()
        .map_or(0, |versions| versions.len())
}

fn seq(reply: &Reply) -> u64 {
    let seq = reply
        .header("x-billfold-seq")
        .unwrap_or_else(|| panic!("no sequence: {}", reply.text()));
    seq.parse().unwrap()
}

pub async fn every_answer_names_its_sequence(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let body = json!({ "data": { "k": 1 } });
    let credential = json!({ "name": "s/c", "type": "t", "data": {} });
    let changes = json!({ "changes": [{ "op": "put", "path": "secret/s/d", "data": {} }] });
    let mut last = 0;
    for (method, path, body, writes) in [
        ("POST", "/v1/secret/data/s/a", body.clone(), true),
        ("GET", "/v1/secret/data/s/a", Value::Null, false),
        ("GET", "/v1/secret/metadata/s/a", Value::Null, false),
        ("POST", "/v1/secret/data/s/a", body, true),
        ("LIST", "/v1/secret/metadata/s", Value::Null, false),
        (
            "POST",
            "/v1/secret/delete/s/a",
            json!({ "versions": [1] }),
            true,
        ),
        (
            "POST",
            "/v1/secret/undelete/s/a",
            json!({ "versions": [1] }),
            true,
        ),
        (
            "POST",
            "/v1/secret/destroy/s/a",
            json!({ "versions": [1] }),
            true,
        ),
        ("DELETE", "/v1/secret/data/s/a", Value::Null, true),
        ("DELETE", "/v1/secret/metadata/s/a", Value::Null, true),
        ("POST", "/api/credentials", credential, true),
        ("GET", "/api/credentials", Value::Null, false),
        (
            "GET",
            "/api/credentials/s/c?include_data=true",
            Value::Null,
            false,
        ),
        ("POST", "/api/transactions", changes, true),
        ("DELETE", "/api/credentials/s/c", Value::Null, true),
        ("GET", "/v1/sys/mounts", Value::Null, false),
        ("GET", "/v1/sys/internal/ui/mounts", Value::Null, false),
        (
            "GET",
            "/v1/sys/internal/ui/mounts/secret",
            Value::Null,
            false,
        ),
        ("GET", "/api/internal/state", Value::Null, false),
    ] {
        let reply = match body {
            Value::Null => wallet.node.root(method, path, ()).await,
            body => wallet.node.root(method, path, body).await,
        };
        assert!(reply.status < 300, "{method} {path}: {}", reply.text());
        let now = seq(&reply);
        assert_eq!(
            reply.header("x-vault-index").map(index::read),
            path.starts_with("/v1/").then_some(now),
            "{method} {path}"
        );
        // A write makes the state of a later place; a read is of a place that is no earlier than the last write.
        assert!(
            if writes { now > last } else { now >= last },
            "{method} {path}: {now} after {last}"
        );
        last = now;
    }
    assert!(wallet.state().await.sequence >= last);
}

pub async fn a_command_id_is_done_once(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let token = wallet.node.token().to_owned();
    let send = async |wallet: &Wallet, id: &str, path: &str, body: Value| {
        let client = wallet.node.client().header("X-Billfold-Command-Id", id);
        client.call("POST", path, Some(&token), body).await.unwrap()
    };
    let (id, body) = (command_id(), json!({ "data": { "k": "once" } }));
    let first = send(&wallet, &id, "/v1/secret/data/once", body.clone()).await;
    assert_eq!(
        (first.status, &first.json()["data"]["version"]),
        (200, &json!(1))
    );
    wallet
        .node
        .root(
            "POST",
            "/v1/secret/data/once",
            json!({ "data": { "k": "other" } }),
        )
        .await;
    for round in 0..2 {
        let again = send(&wallet, &id, "/v1/secret/data/once", body.clone()).await;
        assert_eq!(again.status, 200, "{}", again.text());
        assert_eq!(again.json()["data"]["version"], 1, "round {round}");
        assert_eq!(
            again.json()["data"]["created_time"],
            first.json()["data"]["created_time"]
        );
        assert_eq!(versions(&wallet, "once").await, 2);
        if round == 0 {
            wallet.node.kill9();
            wallet.node.restart().await.unwrap();
        }
    }

    // Another command is not taken for the first, whatever id it comes with.
    for (path, other) in [
        ("/v1/secret/data/elsewhere", body.clone()),
        (
            "/v1/secret/data/once",
            json!({ "data": { "k": "once" }, "options": { "cas": 2 } }),
        ),
        ("/v1/secret/destroy/once", json!({ "versions": [1] })),
        (
            "/api/transactions",
            json!({ "changes": [{ "op": "remove", "path": "secret/once" }] }),
        ),
    ] {
        let reused = send(&wallet, &id, path, other).await;
        assert_eq!(reused.status, 400, "{path}: {}", reused.text());
        assert!(
            reused
                .text()
                .contains("the command id was used for another command"),
            "{}",
            reused.text()
        );
    }
    assert_eq!(
        (
            versions(&wallet, "once").await,
            versions(&wallet, "elsewhere").await
        ),
        (2, 0)
    );

    // What is asked is compared, and not the secret: nothing that stays in the log may help to guess it.
    let other = send(
        &wallet,
        &id,
        "/v1/secret/data/once",
        json!({ "data": { "k": "never" } }),
    )
    .await;
    assert_eq!(
        (other.status, &other.json()["data"]["version"]),
        (200, &json!(1))
    );
    assert_eq!(versions(&wallet, "once").await, 2);
    assert_eq!(
        data(&wallet, "once?version=1").await,
        json!({ "k": "once" })
    );

    // Many at once are one; one that was refused changed nothing, so it can be tried again.
    let id = command_id();
    let body = json!({ "data": { "k": "together" } });
    let all = (0..16).map(|_| send(&wallet, &id, "/v1/secret/data/together", body.clone()));
    for reply in futures::future::join_all(all).await {
        assert_eq!(
            (reply.status, &reply.json()["data"]["version"]),
            (200, &json!(1)),
            "{}",
            reply.text()
        );
    }
    assert_eq!(versions(&wallet, "together").await, 1);
    let id = command_id();
    let conditional = json!({ "data": {}, "options": { "cas": 1 } });
    assert_eq!(
        send(&wallet, &id, "/v1/secret/data/later", conditional.clone())
            .await
            .status,
        400
    );
    wallet
        .node
        .root("POST", "/v1/secret/data/later", json!({ "data": {} }))
        .await;
    let taken = send(&wallet, &id, "/v1/secret/data/later", conditional).await;
    assert_eq!(
        (taken.status, &taken.json()["data"]["version"]),
        (200, &json!(2))
    );
    let id = command_id();
    let changes = json!({ "changes": [
        { "op": "put", "path": "secret/t/a", "data": { "k": 1 } }, { "op": "put", "path": "secret/t/b", "data": { "k": 2 } },
    ]});
    let done = [(); 2].map(|()| send(&wallet, &id, "/api/transactions", changes.clone()));
    let [first, second] = futures::future::join_all(done).await.try_into().unwrap();
    assert_eq!(
        (first.status, second.status),
        (200, 200),
        "{} {}",
        first.text(),
        second.text()
    );
    assert_eq!(first.json()["versions"], json!([1, 1]));
    assert_eq!(second.json()["versions"], json!([1, 1]));
    assert_eq!(
        (
            versions(&wallet, "t/a").await,
            versions(&wallet, "t/b").await
        ),
        (1, 1)
    );
    wallet.assert_sound().await;
}

pub async fn both_doors_show_the_same_secret(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let credential = json!({
        "name": "pg/main", "type": "postgres", "data": { "user": "u", "password": "p1" }, "description": "the main one",
        "tags": ["db", "prod"], "meta": { "owner": "team" },
    });
    let made = wallet
        .node
        .root("POST", "/api/credentials", credential.clone())
        .await;
    assert_eq!(made.status, 200, "{}", made.text());
    assert!(
        made.json()["data"].is_null(),
        "an answer to a write tells no secret"
    );
    assert_eq!(data(&wallet, "pg/main").await, credential["data"]);
    let listed = wallet.node.root("LIST", "/v1/secret/metadata/pg", ()).await;
    assert_eq!(listed.json()["data"]["keys"], json!(["main"]));

    // What is written through the one is the next version to the other, and keeps what it is called.
    let next = json!({ "data": { "password": "p2" }, "options": { "cas": 1 } });
    let written = wallet
        .node
        .root("PUT", "/v1/secret/data/pg/main", next)
        .await;
    assert_eq!(
        (written.status, &written.json()["data"]["version"]),
        (200, &json!(2))
    );
    let id = made.json()["id"].as_str().unwrap().to_owned();
    for path in [
        "/api/credentials/pg/main".to_owned(),
        format!("/api/credentials/{id}"),
    ] {
        let read = wallet
            .node
            .root("GET", &format!("{path}?include_data=true"), ())
            .await
            .json();
        assert_eq!(read["data"], json!({ "password": "p2" }), "{path}");
        for member in ["name", "type", "description", "tags", "meta"] {
            assert_eq!(read[member], credential[member], "{path}");
        }
        assert_eq!(read["id"], id.as_str());
        let without = wallet.node.root("GET", &path, ()).await.json();
        assert!(without["data"].is_null());
    }
    let stale = {
        let mut stale = credential.clone();
        stale["cas"] = json!(1);
        stale
    };
    assert_eq!(
        wallet
            .node
            .root("POST", "/api/credentials", stale)
            .await
            .status,
        409
    );

    // A plain secret is a credential, too.
    wallet
        .node
        .root(
            "POST",
            "/v1/secret/data/plain",
            json!({ "data": { "k": "v" } }),
        )
        .await;
    let plain = wallet
        .node
        .root("GET", "/api/credentials/plain?include_data=true", ())
        .await
        .json();
    assert_eq!(
        (&plain["name"], &plain["type"], &plain["data"]),
        (&json!("plain"), &json!("kv"), &json!({ "k": "v" }))
    );
    let names = async |query: &str| -> Vec<String> {
        let listed = wallet
            .node
            .root("GET", &format!("/api/credentials{query}"), ())
            .await
            .json();
        listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("").await, ["pg/main", "plain"]);
    assert_eq!(names("?type=postgres").await, ["pg/main"]);
    assert_eq!(names("?q=prod").await, ["pg/main"]);
    assert_eq!(names("?type=kv&q=pg").await, Vec::<String>::new());

    assert_eq!(
        wallet
            .node
            .root("DELETE", &format!("/api/credentials/{id}"), ())
            .await
            .status,
        200
    );
    assert_eq!(
        wallet
            .node
            .root("GET", "/v1/secret/metadata/pg/main", ())
            .await
            .status,
        404
    );
    wallet
        .node
        .root("DELETE", "/v1/secret/metadata/plain", ())
        .await;
    assert_eq!(
        wallet
            .node
            .root("GET", "/api/credentials/plain", ())
            .await
            .status,
        404
    );
    wallet.assert_sound().await;
}

pub async fn a_transaction_is_done_whole_or_not_at_all(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let transact = async |changes: Value| {
        wallet
            .node
            .root("POST", "/api/transactions", json!({ "changes": changes }))
            .await
    };
    let put = |path: &str, value: u64| json!({ "op": "put", "path": format!("secret/tx/{path}"), "data": { "k": value } });
    let with_cas = |path: &str, cas: u32| {
        let mut put = put(path, 9);
        put["cas"] = json!(cas);
        put
    };

    let done = transact(json!([
        put("a", 1),
        put("b", 2),
        with_cas("c", 0),
        put("a", 3)
    ]))
    .await;
    assert_eq!(
        (done.status, &done.json()["versions"]),
        (200, &json!([1, 1, 1, 2])),
        "{}",
        done.text()
    );
    assert_eq!(done.json()["sequence"], seq(&done));
    let before = wallet.settled().await;
    for refused in [
        json!([put("a", 9), put("new", 9), with_cas("b", 2)]),
        json!([with_cas("b", 0), put("a", 9)]),
        // A change sees those before it.
        json!([put("b", 9), with_cas("b", 1)]),
    ] {
        let told = transact(refused).await;
        assert_eq!(told.status, 409, "{}", told.text());
    }
    wallet.assert_unchanged(&before).await;
    assert_eq!(data(&wallet, "tx/a").await, json!({ "k": 3 }));

    let path = |name: &str| format!("secret/tx/{name}");
    let done = transact(json!([
        with_cas("b", 1), { "op": "delete", "path": path("a") }, { "op": "destroy", "path": path("a"), "versions": [1] },
        { "op": "remove", "path": path("c") }, { "op": "undelete", "path": path("b"), "versions": [1] },
    ])).await;
    assert_eq!(
        (done.status, &done.json()["versions"]),
        (200, &json!([2, 0, 0, 0, 0])),
        "{}",
        done.text()
    );
    assert_eq!(
        (data(&wallet, "tx/a").await, data(&wallet, "tx/b").await),
        (Value::Null, json!({ "k": 9 }))
    );
    assert_eq!(
        (
            versions(&wallet, "tx/a").await,
            versions(&wallet, "tx/c").await
        ),
        (2, 0)
    );

    // Two that race never mix: both paths tell of the same one, version by version.
    let all = (0..40_u64).map(|round| transact(json!([put("x", round), put("y", round)])));
    for reply in futures::future::join_all(all).await {
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["versions"][0], reply.json()["versions"][1]);
    }
    for version in 31..=40 {
        let (x, y) = (
            format!("tx/x?version={version}"),
            format!("tx/y?version={version}"),
        );
        let both = (data(&wallet, &x).await, data(&wallet, &y).await);
        assert!(
            both.0.is_object() && both.0 == both.1,
            "{version}: {both:?}"
        );
    }
    wallet.assert_sound().await;
}
