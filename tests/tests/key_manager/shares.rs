//! From people to a key file, and back: shares permit it, and new ones are shown before they count.

use billfold_tests::wallet::Backend;
use serde_json::{Value, json};

use super::{
    PATH,
    open::{KeyFiles, Open, next_file, none_next, texts},
};

pub async fn inv07_people_give_the_wallet_to_a_key_file_and_take_it_back(backend: Backend) {
    let files = KeyFiles::new();
    let key = files.file("key");
    let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let (mut wallet, begun) = Open::begin(backend, wanted, |builder| {
        next_file(builder.key_manager("shamir", &[]), &key)
    })
    .await;
    let old = texts(&begun["keys"]);
    wallet.unseal(&old[..2]).await;
    wallet.put("stays").await;
    wallet.put("goes").await;
    wallet.remove_and_retire("goes").await;
    assert!(!wallet.is_complete().await, "the shares open a copy still");

    // Old shares permit it, and a wrong one does not count.
    let begun = wallet.change(json!({ "shares": 2, "threshold": 2 })).await;
    assert_eq!(
        json!([
            begun["step"],
            begun["key_manager"],
            begun["next"],
            begun["required"]
        ]),
        json!(["permit", "shamir", "key-file", 2])
    );
    let nonce = &begun["nonce"];
    let other = json!({ "nonce": "x", "key": old[0] });
    assert_eq!(wallet.call("POST", PATH, other).await.status, 400);
    assert_eq!(wallet.change_with(nonce, &old[..1]).await["progress"], 1);
    let told = wallet.good("GET", PATH, Value::Null).await;
    assert_eq!(
        json!([told["step"], told["progress"]]),
        json!(["permit", 1])
    );
    let made = wallet.change_with(nonce, &old[2..]).await;
    assert_eq!(made["step"], "confirm");
    let recovery = texts(&made["shares"]);
    // The old shares do not confirm the new ones, and nothing has changed so far.
    let refused = json!({ "nonce": nonce, "key": old[0] });
    assert_eq!(wallet.call("POST", PATH, refused).await.status, 400);
    assert_eq!(wallet.generations().await, ["shamir"]);
    let done = wallet.change_with(nonce, &recovery).await;
    assert_eq!(
        json!([done["step"], done["key_manager"], done["generation"]]),
        json!(["done", "key-file", 2])
    );
    assert!(wallet.is_complete().await);
    assert_eq!(wallet.generations().await, ["shamir", "key-file"]);
    let status = wallet.seal_status().await;
    assert_eq!(
        json!([status["type"], status["n"], status["t"]]),
        json!(["key-file", 2, 2])
    );

    // It opens by itself, with the settings that moved it and with those of the key file alone.
    wallet.again(|builder| builder).await;
    wallet.until_sealed(false).await;
    wallet
        .again(|builder| {
            none_next(builder)
                .env("BILLFOLD_KEY_MANAGER", "key-file")
                .env("BILLFOLD_KEY_FILE", key.to_str().unwrap())
        })
        .await;
    wallet.until_sealed(false).await;
    assert_eq!(wallet.read("stays").await, Some("stays-value".to_owned()));
    // With the settings of before it says what the wallet's key manager is.
    let told = wallet
        .ends(|builder| builder.key_manager("shamir", &[]))
        .await;
    assert!(
        told.contains("key manager is key-file since unseal generation 2"),
        "{told}"
    );

    // And back. The recovery shares permit it.
    wallet.node = wallet
        .node
        .builder()
        .clone()
        .env("BILLFOLD_NEXT_KEY_MANAGER", "shamir")
        .spawn_closed()
        .await
        .unwrap();
    wallet.until_sealed(false).await;
    wallet.put("goes2").await;
    wallet.remove_and_retire("goes2").await;
    assert!(!wallet.is_complete().await);
    let refused = wallet.call("POST", PATH, json!({})).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let begun = wallet.change(json!({ "shares": 3, "threshold": 2 })).await;
    assert_eq!(begun["step"], "permit");
    let nonce = &begun["nonce"];
    let made = wallet.change_with(nonce, &recovery).await;
    let new = texts(&made["shares"]);
    let done = wallet.change_with(nonce, &new[1..]).await;
    assert_eq!(
        json!([done["step"], done["key_manager"], done["generation"]]),
        json!(["done", "shamir", 3])
    );
    assert!(wallet.is_complete().await);
    wallet.again(|builder| builder).await;
    let refused = wallet.unseal(&old[..1]).await;
    assert!(
        refused.text().contains("is of generation 1"),
        "{}",
        refused.text()
    );
    let refused = wallet.unseal(&recovery[..1]).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let opened = wallet.unseal(&new[..2]).await;
    assert_eq!(opened.json()["sealed"], false, "{}", opened.text());
    assert_eq!(wallet.read("stays").await, Some("stays-value".to_owned()));
    assert_eq!(wallet.says("GenerationReplaced").await, 2);
}
