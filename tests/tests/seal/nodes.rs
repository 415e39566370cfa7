//! Sealing: who may, that every node does it, and that each has to be opened again.

use billfold_tests::{bao::Bao, billfold::Billfold, nats::NatsServer};
use serde_json::json;

use super::{Begun, Closed, PATIENCE, error};

const PATH: &str = "/v1/secret/data/a";

async fn open(nats: &NatsServer) -> (Closed, Closed, Begun) {
    let one = Billfold::serve()
        .nats(nats.url())
        .key_manager("shamir", &[]);
    let two = one.another_node();
    let one = Closed::of(one.spawn_closed().await.unwrap());
    let two = Closed::of(two.spawn_closed().await.unwrap());
    let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let begun = one.init(wanted).await;
    one.unseal(&begun.list("keys")[..2]).await;
    two.unseal(&begun.list("keys")[1..]).await;
    (one, two, begun)
}

#[tokio::test]
async fn a_seal_on_one_node_seals_all_and_each_is_opened_again() {
    let nats = NatsServer::start();
    let (one, two, begun) = open(&nats).await;
    let (token, keys) = (begun.token(), begun.list("keys"));
    let body = json!({ "data": { "k": "v" } });
    one.as_whom(Some(&token), "POST", PATH, body).await;
    let sealed = one.as_whom(Some(&token), "PUT", "/v1/sys/seal", ()).await;
    assert_eq!(sealed.status, 204, "{}", sealed.text());
    for closed in [&one, &two] {
        closed.until_sealed(true).await;
        let refused = closed.as_whom(Some(&token), "GET", PATH, ()).await;
        assert_eq!(
            (refused.status, error(&refused)),
            (503, "Vault is sealed".to_owned())
        );
        let status = closed.status().await;
        assert_eq!(
            json!([
                status["initialized"],
                status["t"],
                status["n"],
                status["progress"]
            ]),
            json!([true, 2, 3, 0])
        );
    }
    // It is sealed already, which is fine with it.
    assert_eq!(two.call("PUT", "/v1/sys/seal", ()).await.status, 204);
    // The event lies in the log; who comes after it is not sealed by it.
    one.unseal(&keys[..2]).await;
    two.unseal(&keys[..2]).await;
    for closed in [one, two] {
        let read = closed.as_whom(Some(&token), "GET", PATH, ()).await;
        assert_eq!(read.json()["data"]["data"]["k"], "v");
        let Closed { mut node, .. } = closed;
        node.stop().await.unwrap();
        node.start_closed().await.unwrap();
        let closed = Closed::of(node);
        closed.unseal(&keys[1..]).await;
        let read = closed.as_whom(Some(&token), "GET", PATH, ()).await;
        assert_eq!(read.status, 200);
    }
}

#[tokio::test]
async fn inv10_only_who_has_sudo_on_the_path_seals() {
    let closed = Closed::of(
        Billfold::serve()
            .key_manager("shamir", &[])
            .spawn_closed()
            .await
            .unwrap(),
    );
    let begun = closed
        .init(json!({ "secret_shares": 1, "secret_threshold": 1 }))
        .await;
    let (token, keys) = (begun.token(), begun.list("keys"));
    closed.unseal(&keys).await;
    let mut tokens = Vec::new();
    for capabilities in [r#""update""#, r#""sudo""#, r#""update", "sudo""#] {
        let name = format!("seal-{}", tokens.len());
        let text = format!("path \"sys/seal\" {{ capabilities = [{capabilities}] }}");
        let path = format!("/v1/sys/policies/acl/{name}");
        let body = json!({ "policy": text });
        let written = closed.as_whom(Some(&token), "PUT", &path, body).await;
        assert!(written.status < 300, "{}", written.text());
        let wish = json!({ "policies": [name] });
        let path = "/v1/auth/token/create";
        let made = closed
            .as_whom(Some(&token), "POST", path, wish)
            .await
            .json();
        tokens.push(made["auth"]["client_token"].as_str().unwrap().to_owned());
    }
    for refused in [None, Some("bad"), Some(&*tokens[0]), Some(&*tokens[1])] {
        let reply = closed.as_whom(refused, "PUT", "/v1/sys/seal", ()).await;
        assert_eq!(reply.status, 403);
    }
    let body = closed
        .as_whom(Some(&tokens[2]), "PUT", "/v1/sys/seal", "{")
        .await;
    assert_eq!(body.status, 400);
    assert_eq!(closed.status().await["sealed"], false);
    let reply = closed
        .as_whom(Some(&tokens[2]), "POST", "/v1/sys/seal", ())
        .await;
    assert_eq!(reply.status, 204);
    closed.until_sealed(true).await;
    // By the command line, too; and who did it is on record.
    closed.unseal(&keys).await;
    let bao = Bao::new(closed.node.address()).token(&token);
    assert!(
        bao.ok(&["operator", "seal"])
            .await
            .contains("Vault is sealed")
    );
    closed.until_sealed(true).await;
    assert!(bao.fails(2, &["status"]).await.contains("Sealed"));
    closed.unseal(&keys).await;
    let path = "/api/internal/secret-audit?limit=1000";
    let audit = closed.as_whom(Some(&token), "GET", path, ()).await.text();
    assert_eq!(audit.matches("WalletSealed").count(), 2, "{audit}");
}

#[tokio::test]
async fn what_a_key_manager_opens_stays_sealed_until_people_or_a_new_start_open_it() {
    let builder = Billfold::serve();
    let closed = Closed::of(builder.spawn_closed().await.unwrap());
    let wanted = json!({ "recovery_shares": 3, "recovery_threshold": 2 });
    let begun = closed.init(wanted).await;
    let (token, keys) = (begun.token(), begun.list("recovery_keys_base64"));
    assert_eq!(closed.status().await["type"], "key-file");
    closed
        .as_whom(Some(&token), "PUT", "/v1/sys/seal", ())
        .await;
    closed.until_sealed(true).await;
    let first = closed.hand_in(&keys[0]).await.json();
    assert_eq!(
        json!([first["sealed"], first["progress"]]),
        json!([true, 1])
    );
    // The shares of another wallet, and one that somebody made up.
    let other = Closed::of(Billfold::serve().spawn_closed().await.unwrap());
    let others = other
        .init(json!({ "recovery_shares": 3, "recovery_threshold": 2 }))
        .await;
    let reply = closed.hand_in(&others.list("recovery_keys")[0]).await;
    assert!(error(&reply).contains("of another wallet"));
    let reply = closed
        .hand_in(&forged(&begun.list("recovery_keys")[1]))
        .await;
    assert!(
        error(&reply).contains("at least one of them is wrong"),
        "{}",
        reply.text()
    );
    assert_eq!(closed.status().await["progress"], 0);
    closed.unseal(&keys[1..]).await;
    closed
        .as_whom(Some(&token), "PUT", "/v1/sys/seal", ())
        .await;
    closed.until_sealed(true).await;
    let Closed { mut node, .. } = closed;
    node.stop().await.unwrap();
    node.start_closed().await.unwrap();
    Closed::of(node).until_sealed(false).await;
    // Without recovery shares there is nothing to hand in.
    let none = Closed::of(Billfold::serve().spawn_closed().await.unwrap());
    let token = none.init(json!({})).await.token();
    none.as_whom(Some(&token), "PUT", "/v1/sys/seal", ()).await;
    none.until_sealed(true).await;
    let reply = none.hand_in(&keys[0]).await;
    assert!(
        error(&reply).contains("has no recovery shares"),
        "{}",
        reply.text()
    );
}

/// Another share of the same number, with a sound check.
pub fn forged(key: &str) -> String {
    use billfold_core::keys::share::{Purpose, Set, Share};
    let bytes = hex::decode(key).unwrap();
    let share = Share::decode(&bytes).unwrap();
    // Of the wallet id only the first bytes count.
    let mut wallet = [0; 16];
    wallet[..5].copy_from_slice(&bytes[2..7]);
    let wallet = billfold_core::id::WalletId::from_bytes(wallet);
    let purpose = match bytes[1] {
        1 => Purpose::Unseal,
        _ => Purpose::Recovery,
    };
    let number = u32::from_be_bytes(bytes[7..11].try_into().unwrap());
    let set = Set::of(purpose, wallet, number);
    hex::encode(Share::new(set, share.at(), &[9; 32]).encode())
}

#[tokio::test]
async fn a_forged_share_is_found_with_the_others_and_all_are_forgotten() {
    let nats = NatsServer::start();
    let (one, _two, begun) = open(&nats).await;
    let keys = begun.list("keys");
    one.as_whom(Some(&begun.token()), "PUT", "/v1/sys/seal", ())
        .await;
    one.until_sealed(true).await;
    one.hand_in(&keys[0]).await;
    let reply = one.hand_in(&forged(&keys[0])).await;
    assert!(
        error(&reply).contains("two shares of one number"),
        "{}",
        reply.text()
    );
    one.hand_in(&keys[0]).await;
    let reply = one.hand_in(&forged(&keys[1])).await;
    assert!(
        error(&reply).contains("at least one of them is wrong"),
        "{}",
        reply.text()
    );
    let deadline = std::time::Instant::now() + PATIENCE;
    while one.status().await["progress"] != 0 {
        assert!(std::time::Instant::now() < deadline);
    }
    one.unseal(&keys[..2]).await;
}

/// New shares on one node, made without showing any.
async fn new_shares(closed: &Closed, token: &str, old: &[String]) -> Option<serde_json::Value> {
    let path = |end: &str| format!("/v1/sys/rotate/root/{end}");
    let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let init = path("init");
    let begun = closed.as_whom(Some(token), "PUT", &init, wanted).await;
    let nonce = begun.json()["data"]["nonce"].clone();
    let (mut last, update) = (None, path("update"));
    for share in &old[..2] {
        let body = json!({ "key": share, "nonce": nonce });
        let client = closed.node.client();
        // The process may be gone before it answers.
        let reply = client.call("PUT", &update, Some(token), body).await;
        last = reply.ok().map(|reply| reply.json());
    }
    last
}

async fn rotate(closed: &Closed, token: &str) {
    let path = "/api/internal/wallet/rotate-kek";
    let rotated = closed.as_whom(Some(token), "POST", path, ()).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
}

#[tokio::test]
async fn nodes_follow_new_shares_also_when_the_next_rotation_tells_them() {
    let nats = NatsServer::start();
    let (one, two, begun) = open(&nats).await;
    let token = begun.token();
    let made = new_shares(&one, &token, &begun.list("keys")).await.unwrap();
    assert_eq!(made["data"]["complete"], true, "{made}");
    rotate(&one, &token).await;
    let body = json!({ "data": { "k": "v" } });
    let written = two.as_whom(Some(&token), "POST", PATH, body).await;
    assert_eq!(written.status, 200, "{}", written.text());
    rotate(&two, &token).await;
    for closed in [&one, &two] {
        let read = closed.as_whom(Some(&token), "GET", PATH, ()).await;
        assert_eq!(read.json()["data"]["data"]["k"], "v");
    }
}

#[tokio::test]
async fn what_a_dead_node_did_not_tell_of_new_shares_holds_no_other_up() {
    let nats = NatsServer::start();
    let trap = tempfile::NamedTempFile::new().unwrap();
    let (one, two, begun) = {
        let one = Billfold::serve()
            .nats(nats.url())
            .key_manager("shamir", &[]);
        let two = one.another_node();
        let one = one.env("BILLFOLD_FAULT", format!("@{}", trap.path().display()));
        let one = Closed::of(one.spawn_closed().await.unwrap());
        let two = Closed::of(two.spawn_closed().await.unwrap());
        let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
        let begun = one.init(wanted).await;
        one.unseal(&begun.list("keys")[..2]).await;
        two.unseal(&begun.list("keys")[..2]).await;
        (one, two, begun)
    };
    let token = begun.token();
    std::fs::write(trap.path(), "generation stored").unwrap();
    assert!(
        new_shares(&one, &token, &begun.list("keys"))
            .await
            .is_none()
    );
    rotate(&two, &token).await;
    let audit = "/api/internal/secret-audit?limit=1000";
    let audit = two.as_whom(Some(&token), "GET", audit, ()).await.text();
    assert_eq!(audit.matches("GenerationReplaced").count(), 1, "{audit}");
}
