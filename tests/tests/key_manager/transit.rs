//! To a transit key of a real OpenBao, and to a new version of it.

use std::fs;

use billfold_tests::{billfold::Builder, openbao::OpenBao, wallet::Backend};
use serde_json::{Value, json};

use super::{
    PATH,
    open::{KeyFiles, Open, none_next},
};

const POLICY: &str = r#"
    path "transit/encrypt/billfold" { capabilities = ["update"] }
    path "transit/decrypt/billfold" { capabilities = ["update"] }
"#;

struct Transit(OpenBao);

impl Transit {
    async fn start() -> Self {
        let transit = Self(OpenBao::raft().await);
        let engine = json!({ "type": "transit" });
        transit.call("/v1/sys/mounts/transit", engine).await;
        transit.call("/v1/transit/keys/billfold", json!({})).await;
        let policy = json!({ "policy": POLICY });
        transit.call("/v1/sys/policies/acl/billfold", policy).await;
        transit
    }

    async fn call(&self, path: &str, body: Value) -> Value {
        let client = self.0.client();
        let reply = client.call("POST", path, Some(self.0.token()), body).await;
        let reply = reply.unwrap();
        assert!(reply.status < 300, "{path}: {}", reply.text());
        match reply.text().is_empty() {
            true => Value::Null,
            false => reply.json(),
        }
    }

    async fn rotate(&self) {
        self.call("/v1/transit/keys/billfold/rotate", json!({}))
            .await;
    }

    async fn disable_before(&self, version: u32) {
        let config = json!({ "min_decryption_version": version });
        self.call("/v1/transit/keys/billfold/config", config).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_a_new_version_of_the_transit_key_severs_once_the_old_one_is_disabled() {
    let transit = Transit::start().await;
    let files = KeyFiles::new();
    let token = files.write("token", b"");
    let wish = json!({ "policies": ["billfold"], "no_parent": true });
    let made = transit.call("/v1/auth/token/create", wish).await;
    fs::write(&token, made["auth"]["client_token"].as_str().unwrap()).unwrap();
    let address = format!("http://{}", transit.0.address());
    let at = |builder: Builder, prefix: &str| {
        builder
            .env(format!("BILLFOLD_{prefix}KEY_MANAGER"), "vault-transit")
            .env(format!("BILLFOLD_{prefix}VAULT_TRANSIT_ADDRESS"), &address)
            .env(format!("BILLFOLD_{prefix}VAULT_TRANSIT_KEY"), "billfold")
            .env(
                format!("BILLFOLD_{prefix}VAULT_TRANSIT_TOKEN_FILE"),
                token.to_str().unwrap(),
            )
    };
    let begun = Open::begin(Backend::Embedded, json!({}), |builder| at(builder, "NEXT_"));
    let (mut wallet, _) = begun.await;
    wallet.until_sealed(false).await;
    wallet.put("stays").await;
    wallet.put("goes").await;
    wallet.remove_and_retire("goes").await;
    let done = wallet.change(json!({})).await;
    assert_eq!(done["key_manager"], "vault-transit");
    assert!(wallet.is_complete().await, "the key file is another key");
    wallet.again(|builder| at(none_next(builder), "")).await;
    wallet.until_sealed(false).await;

    // The key of today opens what is erased from now on, until its version is disabled.
    wallet.put("more").await;
    wallet.remove_and_retire("more").await;
    assert!(!wallet.is_complete().await);
    let same = wallet.call("POST", PATH, json!({})).await;
    assert_eq!(same.status, 400);
    assert!(
        same.text().contains("nothing would be severed"),
        "{}",
        same.text()
    );
    transit.rotate().await;
    let done = wallet.change(json!({})).await;
    assert_eq!(done["generation"], 3);
    assert!(
        !wallet.is_complete().await,
        "version 1 of the key is there still"
    );
    let same = wallet.call("POST", PATH, json!({})).await;
    assert_eq!(same.status, 400, "{}", same.text());
    transit.disable_before(2).await;
    let done = wallet.change(json!({})).await;
    assert_eq!(done["generation"], 4);
    assert!(wallet.is_complete().await);
    // A version that is enabled again would open what is gone: it is not taken any more.
    transit.disable_before(1).await;
    let back = wallet.call("POST", PATH, json!({})).await;
    assert_eq!(back.status, 400);
    assert!(
        back.text().contains("an unseal generation of the past"),
        "{}",
        back.text()
    );
    transit.disable_before(2).await;
    wallet.again(|builder| builder).await;
    wallet.until_sealed(false).await;
    assert_eq!(wallet.read("stays").await, Some("stays-value".to_owned()));
    assert_eq!(wallet.says("GenerationReplaced").await, 3);
}
