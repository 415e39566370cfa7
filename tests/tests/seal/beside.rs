//! The same life of a wallet, from its beginning to new shares, against a real OpenBao and against
//! Billfold: each call has the same status and an answer of the same shape.

use std::time::Instant;

use billfold_tests::{
    billfold::{Billfold, Body, Client},
    openbao::OpenBao,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::PATIENCE;

/// What one server answered, call by call.
struct Side {
    client: Client,
    token: Option<String>,
    told: Vec<String>,
}

impl Side {
    fn new(client: Client) -> Self {
        Self {
            client,
            token: None,
            told: Vec::new(),
        }
    }

    async fn call(&mut self, method: &str, path: &str, body: impl Into<Body>) -> Value {
        let path = format!("/v1/sys/{path}");
        let token = self.token.as_deref();
        let reply = self.client.call(method, &path, token, body).await.unwrap();
        let text = reply.text();
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let line = format!("{method} {path}: {} {}", reply.status, shape(&value));
        self.told.push(line);
        value
    }

    /// Waits until it is open, without that being compared.
    async fn until_open(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let health = self.client.call("GET", "/v1/sys/health", None, ()).await;
            if health.is_ok_and(|reply| reply.status == 200) {
                return;
            }
            assert!(Instant::now() < deadline, "it does not open");
            sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn live(mut self) -> Vec<String> {
        for path in ["init", "seal-status", "health", "leader", "mounts"] {
            self.call("GET", path, ()).await;
        }
        self.call("PUT", "seal", ()).await;
        for wrong in [
            json!({}),
            json!({ "secret_shares": 5, "secret_threshold": 1 }),
            json!({ "secret_shares": 1, "secret_threshold": 3 }),
            json!({ "secret_shares": 300, "secret_threshold": 3 }),
            json!({ "recovery_shares": 5, "recovery_threshold": 3 }),
        ] {
            let told = self.call("PUT", "init", wrong).await;
            self.told.push(told["errors"][0].to_string());
        }
        let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
        let begun = self.call("PUT", "init", wanted.clone()).await;
        self.call("PUT", "init", wanted).await;
        let keys: Vec<Value> = begun["keys"].as_array().unwrap().clone();
        for path in [
            "init",
            "seal-status",
            "health",
            "leader",
            "mounts",
            "nope",
            "unseal",
        ] {
            self.call("GET", path, ()).await;
        }
        for wrong in [
            json!({}),
            json!({ "key": "" }),
            json!({ "key": "zz" }),
            json!({ "key": 5 }),
        ] {
            self.call("PUT", "unseal", wrong).await;
        }
        self.call("PUT", "unseal", json!({ "key": keys[0], "migrate": true }))
            .await;
        for key in [&keys[2], &keys[2], &begun["keys_base64"][2]] {
            let told = self.call("PUT", "unseal", json!({ "key": key })).await;
            self.told.push(told["progress"].to_string());
        }
        self.call("POST", "unseal", json!({ "reset": true })).await;
        for key in [&keys[0], &begun["keys_base64"][1]] {
            let told = self.call("PUT", "unseal", json!({ "key": key })).await;
            self.told
                .push(json!([told["sealed"], told["t"], told["n"], told["progress"]]).to_string());
        }
        self.until_open().await;
        self.call("PUT", "unseal", json!({ "reset": true })).await;
        self.call("PUT", "unseal", json!({ "key": keys[0] })).await;
        for path in ["seal-status", "health"] {
            self.call("GET", path, ()).await;
        }
        self.call("PUT", "seal", ()).await;
        self.call("GET", "generate-root-token/attempt", ()).await;
        self.call("GET", "rotate/root/init", ()).await;
        self.token = Some(begun["root_token"].as_str().unwrap().to_owned());
        self.make_root(&keys).await;
        let new = self.make_shares(&keys).await;
        self.call("PUT", "seal", ()).await;
        self.token = None;
        let deadline = Instant::now() + PATIENCE;
        while self
            .client
            .call("GET", "/v1/sys/health", None, ())
            .await
            .unwrap()
            .status
            != 503
        {
            assert!(Instant::now() < deadline, "it is not sealed");
        }
        self.call("GET", "seal-status", ()).await;
        for key in &new[..2] {
            self.call("PUT", "unseal", json!({ "key": key })).await;
        }
        self.until_open().await;
        self.call("GET", "seal-status", ()).await;
        self.told
    }

    async fn make_root(&mut self, keys: &[Value]) {
        let attempt = "generate-root-token/attempt";
        let update = "generate-root-token/update";
        self.call("GET", attempt, ()).await;
        self.call("PUT", attempt, json!({ "otp": "x" })).await;
        let begun = self.call("PUT", attempt, json!({})).await;
        self.call("PUT", attempt, json!({})).await;
        let nonce = &begun["data"]["nonce"];
        self.call("GET", attempt, ()).await;
        for wrong in [
            json!({}),
            json!({ "key": keys[0] }),
            json!({ "nonce": nonce }),
            json!({ "key": keys[0], "nonce": "x" }),
            json!({ "key": "zz", "nonce": nonce }),
        ] {
            self.call("PUT", update, wrong).await;
        }
        for key in [&keys[0], &keys[0], &keys[1]] {
            let told = self
                .call("PUT", update, json!({ "key": key, "nonce": nonce }))
                .await;
            let told = json!([told["data"]["progress"], told["data"]["complete"]]);
            self.told.push(told.to_string());
        }
        self.call("PUT", update, json!({ "key": keys[0], "nonce": nonce }))
            .await;
        self.call("DELETE", attempt, ()).await;
        self.call(
            "PUT",
            "decode-token",
            json!({ "encoded_token": "AwM", "otp": "ab" }),
        )
        .await;
    }

    async fn make_shares(&mut self, keys: &[Value]) -> Vec<Value> {
        let (init, update, verify) = (
            "rotate/root/init",
            "rotate/root/update",
            "rotate/root/verify",
        );
        self.call("GET", init, ()).await;
        self.call("GET", verify, ()).await;
        self.call("DELETE", verify, ()).await;
        self.call("PUT", update, json!({ "key": keys[0], "nonce": "x" }))
            .await;
        self.call("PUT", init, json!({})).await;
        self.call("GET", "rotate/root/backup", ()).await;
        self.call("GET", "rotate/recovery/init", ()).await;
        let wanted =
            json!({ "secret_shares": 3, "secret_threshold": 2, "require_verification": true });
        let begun = self.call("POST", init, wanted.clone()).await;
        self.call("POST", init, wanted).await;
        self.call("GET", init, ()).await;
        let nonce = &begun["data"]["nonce"];
        for wrong in [
            json!({}),
            json!({ "key": keys[0] }),
            json!({ "key": "zz", "nonce": nonce }),
        ] {
            self.call("PUT", update, wrong).await;
        }
        let mut made = Value::Null;
        for key in [&keys[0], &keys[0], &keys[1]] {
            made = self
                .call("PUT", update, json!({ "key": key, "nonce": nonce }))
                .await;
        }
        self.call("PUT", update, json!({ "key": keys[0], "nonce": nonce }))
            .await;
        self.call("GET", init, ()).await;
        self.call("GET", verify, ()).await;
        let new = made["data"]["keys"].as_array().unwrap().clone();
        let nonce = &made["data"]["verification_nonce"];
        self.call("PUT", verify, json!({ "key": new[0], "nonce": "x" }))
            .await;
        for key in &new[..2] {
            self.call("PUT", verify, json!({ "key": key, "nonce": nonce }))
                .await;
        }
        self.call("GET", init, ()).await;
        self.call("DELETE", init, ()).await;
        new
    }
}

/// The names and kinds in an answer, without those that are intended to differ.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "commit_date")
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        other => other.clone(),
    }
}

#[tokio::test]
async fn the_life_of_a_wallet_is_answered_as_by_openbao() {
    let bao = OpenBao::uninitialised().await;
    let builder = Billfold::serve().key_manager("shamir", &[]);
    let billfold = builder.spawn_closed().await.unwrap();
    let expected = Side::new(bao.client()).live().await;
    let found = Side::new(billfold.client()).live().await;
    assert!(expected.len() > 90, "{} lines", expected.len());
    let differ: Vec<_> = expected
        .iter()
        .zip(&found)
        .filter(|(expected, found)| expected != found)
        .map(|(expected, found)| format!("OpenBao  {expected}\nBillfold {found}\n"))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert_eq!(expected.len(), found.len());
}
