//! A root token for whoever has a token that may ask for it, and enough shares.

use billfold_tests::{bao::Bao, billfold::Billfold};
use serde_json::{Value, json};

use super::{Begun, Closed, error, nodes::forged};

const ATTEMPT: &str = "/v1/sys/generate-root-token/attempt";
const UPDATE: &str = "/v1/sys/generate-root-token/update";

async fn open() -> (Closed, Begun) {
    let builder = Billfold::serve().key_manager("shamir", &[]);
    let closed = Closed::of(builder.spawn_closed().await.unwrap());
    let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let begun = closed.init(wanted).await;
    closed.unseal(&begun.list("keys")[..2]).await;
    (closed, begun)
}

async fn data(closed: &Closed, token: &str, method: &str, path: &str, body: Value) -> Value {
    let reply = closed.as_whom(Some(token), method, path, body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["data"].clone()
}

#[tokio::test]
async fn the_operator_s_command_line_makes_a_root_token() {
    let (closed, begun) = open().await;
    let keys = begun.list("keys_base64");
    let root = Bao::new(closed.node.address()).token(begun.token());
    let policy = r#"path "sys/generate-root-token/*" { capabilities = ["create", "read", "update", "delete"] }"#;
    let body = json!({ "policy": policy });
    let path = "/v1/sys/policies/acl/maker";
    closed
        .as_whom(Some(&begun.token()), "PUT", path, body)
        .await;
    let made = root.json(&["token", "create", "-policy=maker"]).await;
    let maker = made["auth"]["client_token"].as_str().unwrap();
    let bao = Bao::new(closed.node.address()).token(maker);
    let status = bao.json(&["operator", "generate-root", "-status"]).await;
    assert_eq!(
        json!([status["started"], status["required"]]),
        json!([false, 2])
    );
    let begun = bao.json(&["operator", "generate-root", "-init"]).await;
    let (nonce, otp) = (
        begun["nonce"].as_str().unwrap(),
        begun["otp"].as_str().unwrap(),
    );
    assert_eq!(begun["otp_length"], json!(otp.len()));
    let hand_in = |key: &str| {
        let nonce = format!("-nonce={nonce}");
        let key = key.to_owned();
        let bao = &bao;
        async move { bao.json(&["operator", "generate-root", &nonce, &key]).await }
    };
    let first = hand_in(&keys[2]).await;
    assert_eq!(
        json!([first["progress"], first["complete"]]),
        json!([1, false])
    );
    let second = hand_in(&keys[0]).await;
    assert_eq!(second["complete"], true);
    let encoded = second["encoded_token"].as_str().unwrap();
    let decode = format!("-decode={encoded}");
    let otp = format!("-otp={otp}");
    let token = bao.ok(&["operator", "generate-root", &decode, &otp]).await;
    let token = token.trim();
    let found = data(
        &closed,
        token,
        "GET",
        "/v1/auth/token/lookup-self",
        Value::Null,
    )
    .await;
    assert_eq!(
        json!([
            found["policies"],
            found["ttl"],
            found["orphan"],
            found["display_name"],
            found["path"]
        ]),
        json!([["root"], 0, true, "root", "auth/token/root"])
    );
    // It outlives the one that asked for it.
    root.ok(&["token", "revoke", maker]).await;
    let found = closed
        .as_whom(Some(token), "LIST", "/v1/sys/policies/acl", ())
        .await;
    assert_eq!(found.status, 200);
    let status = bao_status(&closed, token).await;
    assert_eq!(status["started"], false);
}

async fn bao_status(closed: &Closed, token: &str) -> Value {
    data(closed, token, "GET", ATTEMPT, Value::Null).await
}

#[tokio::test]
async fn inv10_neither_a_token_nor_shares_alone_are_enough() {
    let (closed, begun) = open().await;
    let (token, keys) = (begun.token(), begun.list("keys"));
    let wish = json!({ "policies": ["default"] });
    let path = "/v1/auth/token/create";
    let made = closed
        .as_whom(Some(&token), "POST", path, wish)
        .await
        .json();
    let weak = made["auth"]["client_token"].as_str().unwrap().to_owned();
    let started = data(&closed, &token, "PUT", ATTEMPT, json!({})).await;
    let nonce = started["nonce"].as_str().unwrap().to_owned();
    for who in [None, Some("bad"), Some(weak.as_str())] {
        for (method, path) in [
            ("GET", ATTEMPT),
            ("PUT", ATTEMPT),
            ("DELETE", ATTEMPT),
            ("PUT", UPDATE),
        ] {
            let body = json!({ "key": keys[0], "nonce": nonce });
            let reply = closed.as_whom(who, method, path, body).await;
            assert_eq!(reply.status, 403, "{method} {path}");
        }
    }
    assert_eq!(bao_status(&closed, &token).await["progress"], 0);
    let refused = |body: Value| {
        let (closed, token) = (&closed, &token);
        async move {
            let reply = closed.as_whom(Some(token), "PUT", UPDATE, body).await;
            (reply.status, error(&reply))
        }
    };
    for (body, status, told) in [
        (json!({}), 400, "nonce is required"),
        (json!({ "nonce": nonce }), 400, "key is required"),
        (
            json!({ "nonce": "x", "key": keys[0] }),
            500,
            "incorrect nonce supplied",
        ),
        (
            json!({ "nonce": nonce, "key": "zz" }),
            500,
            "'key' must be a valid hex or base64 string",
        ),
        (
            json!({ "nonce": nonce, "key": "abcd" }),
            500,
            "invalid key: a share has 48 bytes",
        ),
    ] {
        let (found, error) = refused(body).await;
        assert!(found == status && error.contains(told), "{found} {error}");
    }
    data(
        &closed,
        &token,
        "PUT",
        UPDATE,
        json!({ "nonce": nonce, "key": keys[0] }),
    )
    .await;
    let (_, told) = refused(json!({ "nonce": nonce, "key": keys[0] })).await;
    assert!(told.contains("already been provided"), "{told}");
    let (status, told) = refused(json!({ "nonce": nonce, "key": forged(&keys[1]) })).await;
    assert!(
        status == 500 && told.contains("root generation aborted"),
        "{told}"
    );
    // The shares are forgotten, the undertaking goes on.
    let now = bao_status(&closed, &token).await;
    assert_eq!(json!([now["progress"], now["nonce"]]), json!([0, nonce]));
    let again = closed
        .as_whom(Some(&token), "PUT", ATTEMPT, json!({}))
        .await;
    assert_eq!(
        error(&again),
        "root generation already in progress for this namespace"
    );
    let pgp = closed
        .as_whom(Some(&token), "PUT", ATTEMPT, json!({ "pgp_key": "x" }))
        .await;
    assert!(error(&pgp).contains("PGP keys are not supported"));
    assert_eq!(
        closed
            .as_whom(Some(&token), "DELETE", ATTEMPT, ())
            .await
            .status,
        204
    );
    let short = closed
        .as_whom(Some(&token), "PUT", ATTEMPT, json!({ "otp": "x" }))
        .await;
    assert_eq!(error(&short), "OTP string has incorrect length");
    // Sealing gives up what was begun.
    data(&closed, &token, "PUT", ATTEMPT, json!({})).await;
    closed
        .as_whom(Some(&token), "PUT", "/v1/sys/seal", ())
        .await;
    closed.until_sealed(true).await;
    closed.unseal(&keys[1..]).await;
    assert_eq!(bao_status(&closed, &token).await["started"], false);
}
