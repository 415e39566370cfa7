//! What is no key manager to move to, and who may not move it: nothing is changed.

use std::fs;

use billfold_tests::{billfold::Reply, wallet::Backend};
use serde_json::{Value, json};

use super::{
    PATH,
    open::{KeyFiles, Open, next_file, none_next},
};

async fn refused(wallet: &Open, status: u16, why: &str) -> Reply {
    let reply = wallet.call("POST", PATH, json!({})).await;
    assert_eq!(reply.status, status, "{}", reply.text());
    assert!(reply.text().contains(why), "{}", reply.text());
    reply
}

pub async fn what_cannot_be_used_changes_nothing(backend: Backend) {
    let files = KeyFiles::new();
    let old = files.file("old");
    let (mut wallet, _) = Open::begin(backend, json!({}), |builder| builder.key_file(&old)).await;
    wallet.until_sealed(false).await;
    // None is named: then it is the same one, and its key is the same.
    refused(&wallet, 400, "nothing would be severed").await;
    // A copy of the key is the same key.
    let same = files.write("same", &fs::read(&old).unwrap());
    wallet.again(|builder| next_file(builder, &same)).await;
    wallet.until_sealed(false).await;
    refused(&wallet, 400, "nothing would be severed").await;
    // A file that is not there is told, and looked for again when it is asked for.
    let missing = old.with_file_name("missing");
    wallet.again(|builder| next_file(builder, &missing)).await;
    wallet.until_sealed(false).await;
    refused(&wallet, 503, "No such file").await;
    files.write("missing", &[7; 31]);
    refused(&wallet, 503, "31 bytes").await;
    // A transit engine that does not answer.
    let token = files.write("token", b"hvs.canary");
    let transit = [
        ("BILLFOLD_NEXT_KEY_MANAGER", "vault-transit"),
        ("BILLFOLD_NEXT_VAULT_TRANSIT_ADDRESS", "http://127.0.0.1:1"),
        ("BILLFOLD_NEXT_VAULT_TRANSIT_KEY", "billfold"),
        (
            "BILLFOLD_NEXT_VAULT_TRANSIT_TOKEN_FILE",
            token.to_str().unwrap(),
        ),
    ];
    let set = |builder| {
        let mut all = transit.into_iter();
        all.try_fold(
            builder,
            |builder: billfold_tests::billfold::Builder, (name, value)| {
                Some(builder.env(name, value))
            },
        )
        .unwrap()
    };
    wallet.again(set).await;
    wallet.until_sealed(false).await;
    let told = refused(&wallet, 503, "vault-transit cannot be reached").await;
    assert!(!told.text().contains("canary"));
    // A setting that is missing is told before anything starts.
    let told = wallet
        .ends(|builder| builder.env_remove("BILLFOLD_NEXT_VAULT_TRANSIT_KEY"))
        .await;
    assert!(told.contains("next_vault_transit_key"), "{told}");
    wallet.node = none_next(wallet.node.builder().clone())
        .spawn_closed()
        .await
        .unwrap();
    wallet.until_sealed(false).await;
    assert_eq!(wallet.generations().await, ["key-file"]);
    let told = wallet.good("GET", PATH, Value::Null).await;
    assert_eq!(
        json!([told["step"], told["key_manager"], told["generation"]]),
        json!(["none", "key-file", 1])
    );
}

pub async fn who_may_not_and_what_is_malformed_is_refused(backend: Backend) {
    let files = KeyFiles::new();
    let new = files.file("new");
    let wanted = json!({ "recovery_shares": 1, "recovery_threshold": 1 });
    let (wallet, begun) = Open::begin(backend, wanted, |builder| next_file(builder, &new)).await;
    wallet.until_sealed(false).await;
    let share = begun["recovery_keys"][0].as_str().unwrap();
    for body in [
        json!({ "file": "/etc/passwd" }),
        json!({ "shares": 3 }),
        json!({ "threshold": 3 }),
        json!({ "shares": 1, "threshold": 2 }),
        json!({ "shares": "3", "threshold": 2 }),
        json!({ "shares": 3, "threshold": -1 }),
        json!({ "nonce": "x" }),
        json!({ "key": share }),
        json!({ "shares": 3, "threshold": 2, "nonce": "x", "key": share }),
    ] {
        let reply = wallet.call("POST", PATH, body.clone()).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
        assert!(!reply.text().contains(share));
    }
    for (body, why) in [
        (
            json!({ "nonce": "x", "key": share }),
            "no change of the key manager",
        ),
        (json!({ "nonce": "x", "key": "zz" }), "hex or base64"),
        (json!({ "nonce": "x", "key": "00" }), "invalid key"),
    ] {
        let reply = wallet.call("POST", PATH, body).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.text().contains(why), "{}", reply.text());
    }
    // Without sudo nobody moves it, whatever shares they have.
    let policy = r#"path "api/internal/wallet/*" { capabilities = ["read", "update"] }"#;
    let body = json!({ "policy": policy });
    wallet.good("PUT", "/v1/sys/policies/acl/half", body).await;
    let made = json!({ "policies": ["half"] });
    let made = wallet.good("POST", "/v1/auth/token/create", made).await;
    let half = made["auth"]["client_token"].as_str().unwrap();
    for body in [json!({}), json!({ "nonce": "x", "key": share })] {
        let client = wallet.node.client();
        let reply = client.call("POST", PATH, Some(half), body).await;
        assert_eq!(reply.unwrap().status, 403);
    }
    // One at a time, and it can be given up.
    let begun = wallet.change(json!({})).await;
    assert_eq!(begun["step"], "permit");
    refused(&wallet, 400, "is under way").await;
    wallet.good("DELETE", PATH, Value::Null).await;
    let gone = json!({ "nonce": begun["nonce"], "key": share });
    assert_eq!(wallet.call("POST", PATH, gone).await.status, 400);
    // A seal forgets it.
    let begun = wallet.change(json!({})).await;
    wallet.good("PUT", "/v1/sys/seal", json!({})).await;
    let opened = wallet.unseal(&[share.to_owned()]).await;
    assert_eq!(opened.json()["sealed"], false, "{}", opened.text());
    let gone = json!({ "nonce": begun["nonce"], "key": share });
    assert_eq!(wallet.call("POST", PATH, gone).await.status, 400);
    assert_eq!(wallet.generations().await, ["key-file"]);
    assert_eq!(wallet.says("GenerationReplaced").await, 0);
}
