//! Shares: how they are made, handed in one by one, and refused.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use billfold_tests::{bao::Bao, billfold::Billfold, nats::NatsServer};
use serde_json::json;

use super::{Begun, Closed, error};

async fn closed() -> Closed {
    let builder = Billfold::serve().key_manager("shamir", &[]);
    Closed::of(builder.spawn_closed().await.unwrap())
}

async fn begun(shares: u8, threshold: u8) -> (Closed, Begun) {
    let closed = closed().await;
    let wanted = json!({ "secret_shares": shares, "secret_threshold": threshold });
    let begun = closed.init(wanted).await;
    (closed, begun)
}

#[tokio::test]
async fn a_wallet_begins_sealed_and_a_threshold_of_shares_opens_it() {
    let closed = closed().await;
    let status = closed.status().await;
    assert_eq!(
        (&status["initialized"], &status["type"]),
        (&json!(false), &json!("shamir"))
    );
    assert_eq!((&status["t"], &status["n"]), (&json!(0), &json!(0)));
    assert_eq!(closed.call("GET", "/v1/sys/health", ()).await.status, 501);
    let begun = closed
        .init(json!({ "secret_shares": 5, "secret_threshold": 3 }))
        .await;
    let (hex, base64) = (begun.list("keys"), begun.list("keys_base64"));
    assert_eq!((hex.len(), base64.len()), (5, 5));
    for (hex, base64) in hex.iter().zip(&base64) {
        assert_eq!(hex::decode(hex).unwrap(), STANDARD.decode(base64).unwrap());
    }
    let status = closed.status().await;
    assert_eq!(
        json!([
            status["initialized"],
            status["sealed"],
            status["t"],
            status["n"],
            status["progress"],
            status["nonce"]
        ]),
        json!([true, true, 3, 5, 0, ""])
    );
    assert_eq!(closed.call("GET", "/v1/sys/health", ()).await.status, 503);
    // One in hexadecimal digits, one twice, one in base64.
    let first = closed.hand_in(&hex[4]).await.json();
    let nonce = first["nonce"].as_str().unwrap().to_owned();
    assert_eq!((&first["progress"], nonce.len()), (&json!(1), 36));
    let again = closed.hand_in(&base64[4]).await.json();
    assert_eq!(
        (&again["progress"], again["nonce"].as_str().unwrap()),
        (&json!(1), &*nonce)
    );
    let second = closed.hand_in(&base64[0]).await.json();
    assert_eq!(
        (&second["progress"], &second["sealed"]),
        (&json!(2), &json!(true))
    );
    let third = closed.hand_in(&hex[2]).await.json();
    assert_eq!(
        json!([
            third["sealed"],
            third["progress"],
            third["nonce"],
            third["cluster_name"]
        ]),
        json!([false, 0, "", "billfold"])
    );
    let token = begun.token();
    let written = closed
        .as_whom(
            Some(&token),
            "POST",
            "/v1/secret/data/a",
            json!({ "data": { "k": "v" } }),
        )
        .await;
    assert_eq!(written.status, 200, "{}", written.text());
    // It takes shares all over again after a restart.
    let Closed { mut node, .. } = closed;
    node.stop().await.unwrap();
    node.start_closed().await.unwrap();
    let closed = Closed::of(node);
    closed.until_sealed(true).await;
    let refused = closed
        .as_whom(Some(&token), "GET", "/v1/secret/data/a", ())
        .await;
    assert_eq!(
        (refused.status, error(&refused)),
        (503, "Vault is sealed".to_owned())
    );
    closed.unseal(&hex[1..4]).await;
    let read = closed
        .as_whom(Some(&token), "GET", "/v1/secret/data/a", ())
        .await;
    assert_eq!(read.json()["data"]["data"]["k"], "v");
    let nobody = closed
        .call(
            "PUT",
            "/v1/sys/init",
            json!({ "secret_shares": 1, "secret_threshold": 1 }),
        )
        .await;
    assert_eq!(
        (nobody.status, error(&nobody)),
        (400, "Vault is already initialized".to_owned())
    );
}

#[tokio::test]
async fn inv12_what_is_no_share_of_this_wallet_is_refused_and_changes_nothing() {
    let (closed, begun) = begun(3, 2).await;
    let keys = begun.list("keys");
    closed.hand_in(&keys[0]).await;
    let before = closed.status().await;
    let mut mistyped = keys[1].clone();
    let last = if mistyped.ends_with('0') { "1" } else { "0" };
    mistyped.replace_range(mistyped.len() - 1.., last);
    let (_other, others) = self::begun(3, 2).await;
    for (key, told) in [
        (
            "zz".to_owned(),
            "'key' must be a valid hex or base64 string",
        ),
        ("00".repeat(33), "invalid key: a share has 48 bytes"),
        ("00".repeat(2000), "invalid key: a share has 48 bytes"),
        (
            "00".repeat(48),
            "invalid key: it is no share that this release knows",
        ),
        (mistyped, "something in it is mistyped"),
        (
            others.list("keys")[1].clone(),
            "invalid key: the share is of another wallet",
        ),
    ] {
        let reply = closed.hand_in(&key).await;
        assert_eq!(reply.status, 400);
        assert!(error(&reply).contains(told), "{}", reply.text());
        assert_eq!(closed.status().await, before);
    }
    for body in ["", "{}", r#"{"key":""}"#, r#"{"key":null}"#] {
        let reply = closed.call("PUT", "/v1/sys/unseal", body).await;
        assert!(
            error(&reply).starts_with("'key' must be specified"),
            "{}",
            reply.text()
        );
    }
    for body in ["{", "[]", r#"{"key":5}"#, r#"{"reset":"x"}"#] {
        let reply = closed.call("PUT", "/v1/sys/unseal", body).await;
        assert!(
            error(&reply).starts_with("failed to decode JSON input"),
            "{}",
            reply.text()
        );
    }
    assert_eq!(closed.status().await, before);
    let migrate = json!({ "key": keys[1], "migrate": true });
    let reply = closed.call("PUT", "/v1/sys/unseal", migrate).await;
    assert_eq!(reply.status, 500);
    let reset = closed
        .call(
            "PUT",
            "/v1/sys/unseal",
            json!({ "reset": true, "key": keys[1] }),
        )
        .await;
    assert_eq!(
        (&reset.json()["progress"], &reset.json()["nonce"]),
        (&json!(0), &json!(""))
    );
    // None of all that is kept: two good shares open it.
    closed.unseal(&keys[1..]).await;
    let reply = closed
        .call("PUT", "/v1/sys/unseal", json!({ "reset": true }))
        .await;
    assert_eq!(error(&reply), "vault is unsealed");
    assert_eq!(closed.hand_in(&keys[0]).await.json()["sealed"], false);
}

#[tokio::test]
async fn bad_wishes_for_shares_are_refused_before_anything_is_written() {
    let closed = closed().await;
    for (body, told) in [
        (
            json!({}),
            "invalid seal configuration: shares must be at least one",
        ),
        (
            json!({ "secret_shares": 5, "secret_threshold": 1 }),
            "threshold must be greater than one for multiple shares",
        ),
        (
            json!({ "secret_shares": 1, "secret_threshold": 3 }),
            "threshold cannot be larger than shares",
        ),
        (
            json!({ "secret_shares": 300, "secret_threshold": 3 }),
            "shares must be less than 256",
        ),
        (
            json!({ "secret_shares": "5", "secret_threshold": 3 }),
            "failed to decode JSON input",
        ),
        (
            json!({ "secret_shares": 5.5, "secret_threshold": 3 }),
            "failed to decode JSON input",
        ),
        (
            json!({ "secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["x"] }),
            "PGP keys are not supported",
        ),
        (
            json!({ "secret_shares": 1, "secret_threshold": 1, "root_token_pgp_key": "x" }),
            "PGP keys are not supported",
        ),
        (
            json!({ "recovery_shares": 5, "recovery_threshold": 3 }),
            "not applicable to seal type shamir",
        ),
    ] {
        let reply = closed.call("PUT", "/v1/sys/init", body).await;
        assert_eq!(reply.status, 400);
        assert!(error(&reply).contains(told), "{}", reply.text());
    }
    let reply = closed.call("GET", "/v1/sys/init", ()).await;
    assert_eq!(reply.json(), json!({ "initialized": false }));
    let begun = closed
        .init(json!({ "secret_shares": 1, "secret_threshold": 1, "pgp_keys": null }))
        .await;
    closed.unseal(&begun.list("keys_base64")).await;
}

#[tokio::test]
async fn while_it_is_sealed_all_but_the_listed_endpoints_answer_503() {
    let uninitialised = closed().await;
    let (sealed, begun) = begun(1, 1).await;
    let token = begun.token();
    for closed in [&uninitialised, &sealed] {
        for (method, path) in [
            ("GET", "/v1/sys/mounts"),
            ("GET", "/v1/secret/data/x"),
            ("LIST", "/v1/sys/policies/acl"),
            ("GET", "/v1/nosuch"),
            ("GET", "/v1/sys/metrics"),
            ("PUT", "/v1/sys/wrapping/unwrap"),
            ("GET", "/api/credentials"),
        ] {
            for token in [None, Some(token.as_str()), Some("bad")] {
                let reply = closed.as_whom(token, method, path, ()).await;
                assert_eq!(reply.status, 503, "{method} {path}");
                assert!(reply.text().contains("Vault is sealed"), "{}", reply.text());
            }
        }
        for (method, path, status) in [
            ("GET", "/v1/sys/leader", 200),
            ("GET", "/v1/sys/init", 200),
            ("PUT", "/v1/sys/seal", 204),
            ("POST", "/v1/sys/health", 405),
            ("DELETE", "/v1/sys/init", 405),
            ("GET", "/v1/sys/unseal", 405),
        ] {
            let reply = closed.call(method, path, ()).await;
            assert_eq!(reply.status, status, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_operator_s_command_line_initialises_and_unseals() {
    let closed = closed().await;
    let bao = Bao::new(closed.node.address());
    assert!(
        bao.fails(2, &["operator", "init", "-status"])
            .await
            .contains("not initialized")
    );
    let begun = bao
        .json(&["operator", "init", "-key-shares=5", "-key-threshold=3"])
        .await;
    let keys = begun["unseal_keys_b64"].as_array().unwrap();
    assert_eq!((keys.len(), &begun["unseal_threshold"]), (5, &json!(3)));
    bao.ok(&["operator", "init", "-status"]).await;
    let told = bao.fails(2, &["status"]).await;
    assert!(
        told.contains("Unseal Progress") && told.contains("0/3"),
        "{told}"
    );
    for key in &keys[..2] {
        bao.ok(&["operator", "unseal", key.as_str().unwrap()]).await;
    }
    bao.ok(&["operator", "unseal", "-reset"]).await;
    for key in &keys[2..] {
        bao.ok(&["operator", "unseal", key.as_str().unwrap()]).await;
    }
    let status = bao.json(&["status"]).await;
    assert_eq!(
        json!([status["sealed"], status["t"], status["n"]]),
        json!([false, 3, 5])
    );
    let bao = bao.token(begun["root_token"].as_str().unwrap());
    bao.ok(&["kv", "put", "secret/app", "k=v"]).await;
}

#[tokio::test]
async fn a_wallet_that_one_node_begins_is_there_on_the_others_and_each_is_opened_by_itself() {
    let nats = NatsServer::start();
    let one = Billfold::serve()
        .nats(nats.url())
        .key_manager("shamir", &[]);
    let two = one.another_node();
    let one = Closed::of(one.spawn_closed().await.unwrap());
    let two = Closed::of(two.spawn_closed().await.unwrap());
    let begun = one
        .init(json!({ "secret_shares": 3, "secret_threshold": 2 }))
        .await;
    let keys = begun.list("keys");
    one.unseal(&keys[..2]).await;
    let deadline = std::time::Instant::now() + super::PATIENCE;
    while two.status().await["initialized"] != true {
        assert!(std::time::Instant::now() < deadline);
    }
    let status = two.status().await;
    assert_eq!(
        json!([status["sealed"], status["t"], status["progress"]]),
        json!([true, 2, 0])
    );
    two.unseal(&keys[1..]).await;
    let token = begun.token();
    let path = "/v1/secret/data/a";
    one.as_whom(Some(&token), "POST", path, json!({ "data": { "k": "v" } }))
        .await;
    let read = two.as_whom(Some(&token), "GET", path, ()).await;
    assert_eq!(read.json()["data"]["data"]["k"], "v");
}
