//! A wallet under a transit key of a real OpenBao.

use std::{fs, path::PathBuf};

use billfold_tests::{
    billfold::{Billfold, Builder},
    openbao::OpenBao,
    proxy::{Flow, Proxy},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Begun, Closed, error};

const POLICY: &str = r#"
    path "transit/encrypt/billfold" { capabilities = ["update"] }
    path "transit/decrypt/billfold" { capabilities = ["update"] }
"#;

/// An OpenBao with a transit key, a token that may use it, and a wallet's settings.
struct Transit {
    bao: OpenBao,
    folder: TempDir,
}

impl Transit {
    async fn start() -> Self {
        let transit = Self {
            bao: OpenBao::raft().await,
            folder: tempfile::tempdir().unwrap(),
        };
        transit
            .call(
                "POST",
                "/v1/sys/mounts/transit",
                json!({ "type": "transit" }),
            )
            .await;
        transit
            .call("POST", "/v1/transit/keys/billfold", json!({}))
            .await;
        let policy = json!({ "policy": POLICY });
        transit
            .call("PUT", "/v1/sys/policies/acl/billfold", policy)
            .await;
        transit.renew().await;
        transit
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let client = self.bao.client();
        let reply = client
            .call(method, path, Some(self.bao.token()), body)
            .await
            .unwrap();
        assert!(reply.status < 300, "{method} {path}: {}", reply.text());
        reply.json()
    }

    async fn config(&self, config: Value) {
        self.call("POST", "/v1/transit/keys/billfold/config", config)
            .await;
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Puts a fresh token into the file, and gives it.
    async fn renew(&self) -> String {
        let wish = json!({ "policies": ["billfold"], "no_parent": true });
        let made = self.call("POST", "/v1/auth/token/create", wish).await;
        let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
        fs::write(self.token_file(), format!("{token}\n")).unwrap();
        token
    }

    fn wallet_at(&self, address: std::net::SocketAddr) -> Builder {
        Billfold::serve().key_manager(
            "vault-transit",
            &[
                (
                    "BILLFOLD_VAULT_TRANSIT_ADDRESS",
                    &format!("http://{address}"),
                ),
                ("BILLFOLD_VAULT_TRANSIT_KEY", "billfold"),
                (
                    "BILLFOLD_VAULT_TRANSIT_TOKEN_FILE",
                    self.token_file().to_str().unwrap(),
                ),
            ],
        )
    }

    async fn begun(&self, address: std::net::SocketAddr, recovery: Value) -> (Closed, Begun) {
        let closed = Closed::of(self.wallet_at(address).spawn_closed().await.unwrap());
        let begun = closed.init(recovery).await;
        (closed, begun)
    }
}

/// Stops the node and starts it again; it answers then, perhaps sealed.
async fn again(closed: Closed) -> Closed {
    let Closed { mut node, .. } = closed;
    node.stop().await.unwrap();
    node.start_closed().await.unwrap();
    Closed::of(node)
}

#[tokio::test]
async fn it_opens_the_wallet_at_once_and_after_each_start() {
    let transit = Transit::start().await;
    let address = transit.bao.address();
    let (closed, begun) = transit
        .begun(
            address,
            json!({ "recovery_shares": 3, "recovery_threshold": 2 }),
        )
        .await;
    assert_eq!(
        (begun.list("keys").len(), begun.list("recovery_keys").len()),
        (0, 3)
    );
    let status = closed.status().await;
    assert_eq!(
        json!([
            status["type"],
            status["sealed"],
            status["recovery_seal"],
            status["recovery_seal_type"],
            status["t"],
            status["n"]
        ]),
        json!(["vault-transit", false, true, "shamir", 2, 3])
    );
    let token = begun.token();
    let path = "/v1/secret/data/a";
    closed
        .as_whom(Some(&token), "POST", path, json!({ "data": { "k": "v" } }))
        .await;
    // A key that has a newer version still opens what an older one wrapped.
    transit
        .call("POST", "/v1/transit/keys/billfold/rotate", json!({}))
        .await;
    let closed = again(closed).await;
    closed.until_sealed(false).await;
    let read = closed.as_whom(Some(&token), "GET", path, ()).await;
    assert_eq!(read.json()["data"]["data"]["k"], "v");
}

#[tokio::test]
async fn a_key_that_is_disabled_keeps_the_wallet_sealed_until_it_is_enabled() {
    let transit = Transit::start().await;
    let (closed, _) = transit.begun(transit.bao.address(), json!({})).await;
    transit
        .call("POST", "/v1/transit/keys/billfold/rotate", json!({}))
        .await;
    transit.config(json!({ "min_decryption_version": 2 })).await;
    let closed = again(closed).await;
    closed.until_log("min_decryption_version is above").await;
    assert_eq!(closed.status().await["sealed"], true);
    assert_eq!(closed.call("GET", "/v1/sys/health", ()).await.status, 503);
    transit.config(json!({ "min_decryption_version": 1 })).await;
    closed.until_sealed(false).await;
}

#[tokio::test]
async fn a_token_that_has_ended_keeps_the_wallet_sealed_until_its_file_has_another() {
    let transit = Transit::start().await;
    let (closed, _) = transit.begun(transit.bao.address(), json!({})).await;
    let old = fs::read_to_string(transit.token_file()).unwrap();
    let revoke = json!({ "token": old.trim() });
    transit.call("POST", "/v1/auth/token/revoke", revoke).await;
    let closed = again(closed).await;
    closed
        .until_log("is not valid, or may not encrypt and decrypt")
        .await;
    assert_eq!(closed.status().await["sealed"], true);
    let new = transit.renew().await;
    closed.until_sealed(false).await;
    let log = closed.node.log();
    assert!(
        !log.contains(old.trim()) && !log.contains(&new),
        "a token is in the log"
    );
}

#[tokio::test]
async fn inv12_why_a_wallet_is_not_begun_is_for_the_log_of_the_node() {
    let transit = Transit::start().await;
    let old = fs::read_to_string(transit.token_file()).unwrap();
    let revoke = json!({ "token": old.trim() });
    transit.call("POST", "/v1/auth/token/revoke", revoke).await;
    let address = transit.bao.address();
    let closed = Closed::of(transit.wallet_at(address).spawn_closed().await.unwrap());
    let reply = closed.call("PUT", "/v1/sys/init", json!({})).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    let file = transit.token_file();
    let told = error(&reply);
    assert!(!told.contains(file.to_str().unwrap()), "{told}");
    closed.until_log(file.to_str().unwrap()).await;
    transit.renew().await;
    closed.init(json!({})).await;
}

#[tokio::test]
async fn a_server_that_is_gone_keeps_the_wallet_sealed_until_it_is_back() {
    let mut transit = Transit::start().await;
    let (closed, _) = transit.begun(transit.bao.address(), json!({})).await;
    transit.bao.kill();
    // What is open stays open.
    assert_eq!(closed.call("GET", "/v1/sys/health", ()).await.status, 200);
    let closed = again(closed).await;
    closed
        .until_log("the key manager vault-transit cannot be reached")
        .await;
    assert_eq!(closed.call("GET", "/v1/sys/health", ()).await.status, 503);
    transit.bao.start_again().await;
    closed.until_sealed(false).await;
    // It stops in time while it waits, too.
    transit.bao.kill();
    let mut closed = again(closed).await;
    closed
        .until_log("the key manager vault-transit cannot be reached")
        .await;
    assert_eq!(closed.node.stop().await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_asked_again() {
    let transit = Transit::start().await;
    let proxy = Proxy::before(transit.bao.address().port()).await;
    let (closed, _) = transit.begun(proxy.address(), json!({})).await;
    proxy.to_client(Flow::Hold);
    let closed = again(closed).await;
    closed.until_log("it did not answer in time").await;
    assert_eq!(closed.status().await["sealed"], true);
    // What hung stays hung; the next attempt goes through.
    drop(proxy.strand());
    closed.until_sealed(false).await;
}

#[tokio::test]
async fn a_wallet_of_another_key_is_not_opened_and_says_so() {
    let transit = Transit::start().await;
    let (closed, _) = transit.begun(transit.bao.address(), json!({})).await;
    transit
        .call("POST", "/v1/transit/keys/other", json!({}))
        .await;
    let policy = json!({ "policy": POLICY.replace("billfold", "+") });
    transit
        .call("PUT", "/v1/sys/policies/acl/billfold", policy)
        .await;
    let Closed { mut node, .. } = closed;
    node.stop().await.unwrap();
    let other = node
        .builder()
        .clone()
        .env("BILLFOLD_VAULT_TRANSIT_KEY", "other");
    let ended = other.spawn_refused().await.unwrap();
    assert_ne!(ended.code, 0);
    let all = ended.stdout + &ended.stderr;
    assert!(
        all.contains("does not open this wallet's unseal generation"),
        "{all}"
    );
    // A key that is not there is one that may come.
    let none = node
        .builder()
        .clone()
        .env("BILLFOLD_VAULT_TRANSIT_KEY", "none");
    let none = Closed::of(none.spawn_closed().await.unwrap());
    none.until_log("there is no such key").await;
    assert_eq!(none.status().await["sealed"], true);
}

#[tokio::test]
async fn shares_of_another_kind_are_refused() {
    let transit = Transit::start().await;
    let closed = Closed::of(
        transit
            .wallet_at(transit.bao.address())
            .spawn_closed()
            .await
            .unwrap(),
    );
    let wanted = json!({ "secret_shares": 5, "secret_threshold": 3 });
    let reply = closed.call("PUT", "/v1/sys/init", wanted).await;
    assert!(error(&reply).contains("not applicable to seal type vault-transit"));
    let wanted = json!({ "recovery_shares": 3, "recovery_threshold": 1 });
    let reply = closed.call("PUT", "/v1/sys/init", wanted).await;
    assert!(error(&reply).starts_with("invalid recovery configuration: "));
    assert_eq!(
        closed.call("GET", "/v1/sys/init", ()).await.json(),
        json!({ "initialized": false })
    );
}
