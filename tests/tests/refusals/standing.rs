//! Tokens that were good once, and one that may do nothing: every endpoint refuses them.

use std::collections::BTreeMap;

use billfold::http::endpoints::{Access, Endpoint};

use super::*;

/// What any token that stands may call, whatever its policies.
const OPEN_TO_ALL: &[(Endpoint, &str)] = &[
    (
        Endpoint::UiMounts,
        "it shows the mounts that the caller has access to, here none",
    ),
    (
        Endpoint::OpenApi,
        "it describes the API, and nothing of this wallet",
    ),
];

/// The ways in which a token that could do everything stands no more.
const ENDED: [&str; 5] = [
    "expired",
    "revoked",
    "revoked with its maker",
    "exhausted",
    "elsewhere",
];

/// What a token is made with that ends so.
fn wish(how: &str) -> Value {
    match how {
        "expired" => json!({ "policies": ["root"], "ttl": "1s", "explicit_max_ttl": "1s" }),
        "exhausted" => json!({ "policies": ["root"], "num_uses": 1 }),
        "elsewhere" => json!({ "policies": ["root"], "bound_cidrs": ["192.0.2.0/24"] }),
        _ => json!({ "policies": ["root"] }),
    }
}

pub async fn tokens_that_have_ended(backend: Backend) {
    let high = |builder: billfold_tests::billfold::Builder| {
        builder.env("BILLFOLD_REFUSED_PER_SECOND", "1000000")
    };
    let wallet = Wallet::serve_with(backend, high).await;
    let mut tokens = Vec::new();
    for how in ENDED {
        tokens.push((how, ended(&wallet, how).await));
    }
    // How often each was tried until it had ended is on record as well.
    let so_far = recorded(&wallet, 0).await.refused;
    let before = wallet.settled().await;
    let mut refused = 0;
    for (how, token) in &tokens {
        for (route, verb) in calls() {
            let reply = call(&wallet, route, verb, "X-Vault-Token", token).await;
            let told = format!("{how}: {} {}: {}", verb.name(), route.path, reply.text());
            match route.access {
                Access::Open => assert_open(verb, &reply, &told),
                Access::Token | Access::TokenUnlessSealed => {
                    assert_refused(route, &reply, &told);
                    refused += 1;
                }
                Access::TokenInBody => {
                    assert_eq!(reply.status, 400, "{told}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 200, "only {refused} calls were made");
    let refused = refused + so_far;
    assert_eq!(recorded(&wallet, refused).await.refused, refused);
    wallet.assert_unchanged(&before).await;
    wallet.assert_sound().await;
}

/// A token with all rights that has ended in this way.
async fn ended(wallet: &Wallet, how: &str) -> String {
    let root = wallet.node.token().to_owned();
    let (parent, parents_accessor) = made(wallet, &root, wish("maker")).await;
    let maker = if how == "revoked with its maker" {
        &parent
    } else {
        &root
    };
    let (token, accessor) = made(wallet, maker, wish(how)).await;
    let revoked = match how {
        "revoked" => Some(accessor),
        "revoked with its maker" => Some(parents_accessor),
        _ => None,
    };
    if let Some(accessor) = revoked {
        assert_eq!(asks(wallet, &token).await, 200, "{how}");
        let body = json!({ "accessor": accessor });
        let path = "/v1/auth/token/revoke-accessor";
        assert_eq!(wallet.node.root("POST", path, body).await.status, 204);
    }
    if how == "exhausted" {
        assert_eq!(asks(wallet, &token).await, 200, "{how}");
    }
    let until = Instant::now() + PATIENCE;
    while asks(wallet, &token).await != 403 {
        assert!(Instant::now() < until, "{how}: it does not end");
        sleep(Duration::from_millis(100)).await;
    }
    token
}

async fn asks(wallet: &Wallet, token: &str) -> u16 {
    let path = "/v1/auth/token/lookup-self";
    send(wallet, "GET", path, "X-Vault-Token", token, Body::Nothing)
        .await
        .status
}

pub async fn made(wallet: &Wallet, maker: &str, wish: Value) -> (String, String) {
    let path = "/v1/auth/token/create";
    let reply = send(wallet, "POST", path, "X-Vault-Token", maker, wish.into()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let auth = &reply.json()["auth"];
    let text = |name: &str| auth[name].as_str().unwrap().to_owned();
    (text("client_token"), text("accessor"))
}

/// A token that stands, and whose policies grant nothing: each of its requests is on record as
/// refused, under its accessor.
pub async fn a_token_that_may_do_nothing(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let text = "path \"nowhere/at/all\" { capabilities = [\"read\"] }";
    let path = "/v1/sys/policies/acl/little";
    let written = wallet
        .node
        .root("PUT", path, json!({ "policy": text }))
        .await;
    assert_eq!(written.status, 204, "{}", written.text());
    let wish = json!({ "policies": ["little"], "no_default_policy": true });
    let root = wallet.node.token().to_owned();
    let (token, accessor) = made(&wallet, &root, wish).await;
    let before = wallet.settled().await;
    let mut sent = BTreeMap::new();
    for (route, verb) in calls() {
        let reply = call(&wallet, route, verb, "X-Vault-Token", &token).await;
        let name = format!("{} {}", verb.name(), route.path);
        let told = format!("{name}: {} {}", reply.status, reply.text());
        let open = OPEN_TO_ALL
            .iter()
            .find(|(known, _)| *known == route.endpoint);
        match (route.access, open) {
            (Access::Open, _) => assert_open(verb, &reply, &told),
            (_, Some((_, reason))) => {
                assert_eq!(reply.status, 200, "{told}: it is open since {reason}");
            }
            (Access::Token | Access::TokenUnlessSealed | Access::TokenInBody, None) => {
                assert_eq!(
                    reply.status, 403,
                    "{told}: either a policy must permit it, or OPEN_TO_ALL says why none need"
                );
                let request = reply.header("x-request-id").expect("its id").to_owned();
                sent.insert(request, name);
            }
        }
    }
    assert!(sent.len() > 60, "only {} calls were made", sent.len());
    wallet.assert_unchanged(&before).await;
    let listed = wallet.replay(&["log", "--json"]).await.unwrap();
    let listed = listed.success().unwrap().stdout;
    let lines = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    for line in lines.filter(|line| line["token"] == accessor.as_str() && line["kind"] == 40) {
        if line["verdict"] == "denied" {
            let request = line["request"].as_str().unwrap();
            sent.remove(request);
        } else {
            assert_eq!(line["verdict"], "permitted", "{line}");
        }
    }
    assert!(
        sent.is_empty(),
        "not on record: {:?}",
        sent.values().collect::<Vec<_>>()
    );
    wallet.assert_sound().await;
}
