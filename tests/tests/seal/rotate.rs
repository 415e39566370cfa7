//! New shares in the place of those there are.

use billfold_tests::{bao::Bao, billfold::Billfold, nats::NatsServer};
use serde_json::{Value, json};

use super::{Begun, Closed, error, nodes::forged};

const ROOT: &str = "/v1/sys/rotate/root";
const RECOVERY: &str = "/v1/sys/rotate/recovery";

async fn open() -> (Closed, Begun) {
    let builder = Billfold::serve().key_manager("shamir", &[]);
    let closed = Closed::of(builder.spawn_closed().await.unwrap());
    let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let begun = closed.init(wanted).await;
    closed.unseal(&begun.list("keys")[..2]).await;
    (closed, begun)
}

struct Caller<'a> {
    closed: &'a Closed,
    token: String,
    path: &'static str,
}

impl Caller<'_> {
    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let path = format!("{}/{path}", self.path);
        let token = Some(self.token.as_str());
        let reply = self.closed.as_whom(token, method, &path, body).await;
        match reply.status {
            200 => (200, reply.json()["data"].clone()),
            204 => (204, Value::Null),
            status => (status, json!(error(&reply))),
        }
    }

    async fn good(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, data) = self.call(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {data}");
        data
    }

    async fn bad(&self, method: &str, path: &str, body: Value, told: &str) {
        let (status, error) = self.call(method, path, body).await;
        assert_eq!(status, 400, "{method} {path}: {error}");
        assert!(error.as_str().unwrap().contains(told), "{told}: {error}");
    }
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

async fn seal(closed: &Closed, token: &str) {
    let sealed = closed.as_whom(Some(token), "PUT", "/v1/sys/seal", ()).await;
    assert_eq!(sealed.status, 204);
    closed.until_sealed(true).await;
}

#[tokio::test]
async fn the_operator_s_command_line_makes_new_shares_and_the_old_ones_end() {
    let (closed, begun) = open().await;
    let old = begun.list("keys_base64");
    let bao = Bao::new(closed.node.address()).token(begun.token());
    let status = bao.ok(&["operator", "rotate-keys", "-status"]).await;
    assert!(
        status.contains("Started") && status.contains("false"),
        "{status}"
    );
    let args = [
        "operator",
        "rotate-keys",
        "-init",
        "-key-shares=5",
        "-key-threshold=3",
    ];
    let begun_now = bao.json(&args).await;
    assert_eq!(
        json!([begun_now["n"], begun_now["t"], begun_now["required"]]),
        json!([5, 3, 2])
    );
    let nonce = format!("-nonce={}", begun_now["nonce"].as_str().unwrap());
    let first = bao
        .json(&["operator", "rotate-keys", &nonce, &old[0]])
        .await;
    assert_eq!(first["progress"], 1);
    let second = bao
        .json(&["operator", "rotate-keys", &nonce, &old[1]])
        .await;
    let new = texts(&second["keys_base64"]);
    assert_eq!((new.len(), &second["complete"]), (5, &json!(true)));
    let status = closed.status().await;
    assert_eq!(json!([status["t"], status["n"]]), json!([3, 5]));
    let token = begun.token();
    let path = "/v1/secret/data/a";
    let body = json!({ "data": { "k": "v" } });
    closed.as_whom(Some(&token), "POST", path, body).await;
    seal(&closed, &token).await;
    let reply = closed.hand_in(&old[0]).await;
    assert!(
        error(&reply).contains("the share is of generation 1, and the wallet is at generation 2"),
        "{}",
        reply.text()
    );
    closed.unseal(&new[1..4]).await;
    let read = closed.as_whom(Some(&token), "GET", path, ()).await;
    assert_eq!(read.json()["data"]["data"]["k"], "v");
    let audit = "/api/internal/secret-audit?limit=1000";
    let audit = closed.as_whom(Some(&token), "GET", audit, ()).await.text();
    assert_eq!(audit.matches("GenerationReplaced").count(), 1, "{audit}");
}

#[tokio::test]
async fn with_verification_the_old_shares_stay_good_until_new_ones_are_shown() {
    let (closed, begun) = open().await;
    let old = begun.list("keys");
    let root = Caller {
        closed: &closed,
        token: begun.token(),
        path: ROOT,
    };
    root.bad("PUT", "init", json!({}), "shares must be at least one")
        .await;
    let wanted = json!({ "secret_shares": 2, "secret_threshold": 2, "pgp_keys": ["x", "y"] });
    root.bad("PUT", "init", wanted, "PGP keys are not supported")
        .await;
    root.bad(
        "GET",
        "verify",
        Value::Null,
        "no rotation configuration found",
    )
    .await;
    root.bad(
        "PUT",
        "update",
        json!({ "key": old[0], "nonce": "x" }),
        "no rotation in progress",
    )
    .await;
    let wanted = json!({ "secret_shares": 2, "secret_threshold": 2, "require_verification": true });
    let begun_now = root.good("PUT", "init", wanted.clone()).await;
    root.bad("POST", "init", wanted, "rotation already in progress")
        .await;
    let nonce = begun_now["nonce"].clone();
    let hand_in = |key: &str| json!({ "key": key, "nonce": nonce });
    root.bad("PUT", "update", json!({}), "missing required field 'key'")
        .await;
    root.bad(
        "PUT",
        "update",
        json!({ "key": old[0] }),
        "missing required field 'nonce'",
    )
    .await;
    root.bad(
        "PUT",
        "update",
        json!({ "key": old[0], "nonce": "x" }),
        "incorrect nonce supplied",
    )
    .await;
    root.good("PUT", "update", hand_in(&old[0])).await;
    root.bad("PUT", "update", hand_in(&old[0]), "already been provided")
        .await;
    // A forged one is found with the others; the rotation goes on from nothing.
    root.bad(
        "PUT",
        "update",
        hand_in(&forged(&old[1])),
        "at least one of them is wrong",
    )
    .await;
    assert_eq!(root.good("GET", "init", Value::Null).await["progress"], 0);
    root.good("PUT", "update", hand_in(&old[1])).await;
    let made = root.good("PUT", "update", hand_in(&old[2])).await;
    let new = texts(&made["keys"]);
    assert_eq!(
        json!([made["complete"], made["verification_required"], new.len()]),
        json!([true, true, 2])
    );
    root.bad(
        "PUT",
        "update",
        hand_in(&old[0]),
        "verification must be performed",
    )
    .await;
    let verification = made["verification_nonce"].clone();
    let show = |key: &str, nonce: &Value| json!({ "key": key, "nonce": nonce });
    root.bad(
        "PUT",
        "verify",
        show(&new[0], &nonce),
        "incorrect nonce supplied",
    )
    .await;
    root.bad(
        "PUT",
        "verify",
        show(&old[0], &verification),
        "the share is of generation 1",
    )
    .await;
    let shown = root
        .good("PUT", "verify", show(&new[0], &verification))
        .await;
    assert_eq!(shown["progress"], 1);
    root.bad(
        "PUT",
        "verify",
        show(&forged(&new[1]), &verification),
        "at least one of them is wrong",
    )
    .await;
    let again = root.good("GET", "verify", Value::Null).await["nonce"].clone();
    assert_ne!(again, verification);
    // Whoever seals gives the rotation up: the old shares are good, the new ones are not.
    seal(&closed, &root.token).await;
    let reply = closed.hand_in(&new[0]).await;
    assert!(
        error(&reply).contains("the share is of generation 2, and the wallet is at generation 1")
    );
    closed.unseal(&old[..2]).await;
    assert_eq!(
        root.good("GET", "init", Value::Null).await["started"],
        false
    );
    // Once more, to its end.
    let wanted = json!({ "secret_shares": 2, "secret_threshold": 2, "require_verification": true });
    let nonce = root.good("PUT", "init", wanted).await["nonce"].clone();
    root.good("PUT", "update", show(&old[0], &nonce)).await;
    let made = root.good("PUT", "update", show(&old[1], &nonce)).await;
    let (new, verification) = (texts(&made["keys"]), made["verification_nonce"].clone());
    root.good("PUT", "verify", show(&new[1], &verification))
        .await;
    let restarted = root.good("DELETE", "verify", Value::Null).await["nonce"].clone();
    for key in &new {
        root.good("PUT", "verify", show(key, &restarted)).await;
    }
    assert_eq!(
        root.good("GET", "init", Value::Null).await["started"],
        false
    );
    seal(&closed, &root.token).await;
    closed.unseal(&new).await;
}

#[tokio::test]
async fn recovery_shares_are_made_anew_and_the_key_manager_wraps_the_wallet_anew() {
    let closed = Closed::of(Billfold::serve().spawn_closed().await.unwrap());
    let wanted = json!({ "recovery_shares": 3, "recovery_threshold": 2 });
    let begun = closed.init(wanted).await;
    let old = begun.list("recovery_keys");
    let caller = |path| Caller {
        closed: &closed,
        token: begun.token(),
        path,
    };
    let (root, recovery) = (caller(ROOT), caller(RECOVERY));
    let wanted = json!({ "secret_shares": 5, "secret_threshold": 3, "require_verification": true });
    root.bad(
        "PUT",
        "init",
        wanted.clone(),
        "requiring verification not supported",
    )
    .await;
    let show = |key: &str, nonce: &Value| json!({ "key": key, "nonce": nonce });
    let begun_now = root.good("PUT", "init", json!({})).await;
    assert_eq!(
        json!([begun_now["n"], begun_now["t"], begun_now["required"]]),
        json!([1, 1, 2])
    );
    root.good("PUT", "update", show(&old[0], &begun_now["nonce"]))
        .await;
    let made = root
        .good("PUT", "update", show(&old[1], &begun_now["nonce"]))
        .await;
    assert_eq!(json!([made["complete"], made["keys"]]), json!([true, []]));
    let nonce = recovery.good("PUT", "init", wanted).await["nonce"].clone();
    recovery.good("PUT", "update", show(&old[2], &nonce)).await;
    let made = recovery.good("PUT", "update", show(&old[1], &nonce)).await;
    let (new, verification) = (texts(&made["keys"]), made["verification_nonce"].clone());
    for key in &new[..3] {
        recovery
            .good("PUT", "verify", show(key, &verification))
            .await;
    }
    seal(&closed, &root.token).await;
    let reply = closed.hand_in(&old[0]).await;
    assert!(
        error(&reply).contains("the share is of generation 1, and the wallet is at generation 2")
    );
    closed.unseal(&new[2..]).await;
    let shared = open().await;
    let shared = Caller {
        closed: &shared.0,
        token: shared.1.token(),
        path: RECOVERY,
    };
    shared
        .bad("GET", "init", Value::Null, "recovery keys not supported")
        .await;
    shared
        .bad("GET", "backup", Value::Null, "no backed-up keys found")
        .await;
}

#[tokio::test]
async fn a_node_that_is_open_goes_on_when_another_makes_new_shares() {
    let nats = NatsServer::start();
    let one = Billfold::serve()
        .nats(nats.url())
        .key_manager("shamir", &[]);
    let two = one.another_node();
    let one = Closed::of(one.spawn_closed().await.unwrap());
    let two = Closed::of(two.spawn_closed().await.unwrap());
    let wanted = json!({ "secret_shares": 2, "secret_threshold": 2 });
    let begun = one.init(wanted).await;
    let old = begun.list("keys");
    one.unseal(&old).await;
    two.unseal(&old).await;
    let root = Caller {
        closed: &one,
        token: begun.token(),
        path: ROOT,
    };
    let wanted = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let nonce = root.good("PUT", "init", wanted).await["nonce"].clone();
    let show = |key: &str| json!({ "key": key, "nonce": nonce });
    root.good("PUT", "update", show(&old[0])).await;
    let new = texts(&root.good("PUT", "update", show(&old[1])).await["keys"]);
    for (number, closed) in [&two, &one, &two].into_iter().enumerate() {
        let path = format!("/v1/secret/data/{number}");
        let body = json!({ "data": { "k": "v" } });
        let written = closed.as_whom(Some(&root.token), "POST", &path, body).await;
        assert_eq!(written.status, 200, "{}", written.text());
    }
    seal(&two, &root.token).await;
    one.until_sealed(true).await;
    one.unseal(&new).await;
    two.unseal(&new).await;
}

#[tokio::test]
async fn a_crash_leaves_the_old_shares_good_or_the_shown_ones() {
    for fault in billfold_streams::fault_point::REPLACING {
        let builder = Billfold::serve()
            .key_manager("shamir", &[])
            .env("BILLFOLD_FAULT", fault);
        let mut closed = Closed::of(builder.spawn_closed().await.unwrap());
        let wanted = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let begun = closed.init(wanted).await;
        let token = begun.token();
        closed.unseal(&begun.list("keys")).await;
        let root = Caller {
            closed: &closed,
            token: token.clone(),
            path: ROOT,
        };
        let wanted =
            json!({ "secret_shares": 2, "secret_threshold": 2, "require_verification": true });
        let nonce = root.good("PUT", "init", wanted).await["nonce"].clone();
        let hand_in = json!({ "key": begun.list("keys")[0], "nonce": nonce });
        let made = root.good("PUT", "update", hand_in).await;
        let (new, nonce) = (texts(&made["keys"]), made["verification_nonce"].clone());
        root.good("PUT", "verify", json!({ "key": new[0], "nonce": nonce }))
            .await;
        let path = format!("{ROOT}/verify");
        let last = json!({ "key": new[1], "nonce": nonce });
        let answer = closed.client.call("PUT", &path, Some(&token), last).await;
        assert!(answer.is_err(), "{fault}: it was to end the process");
        closed.node.kill9();
        let again = closed.node.builder().clone().env_remove("BILLFOLD_FAULT");
        let closed = Closed::of(again.spawn_closed().await.unwrap());
        // The keys are under the new generation, and the log is told so by who comes next.
        closed.unseal(&new).await;
        let audit = "/api/internal/secret-audit?limit=1000";
        let audit = closed.as_whom(Some(&token), "GET", audit, ()).await.text();
        assert_eq!(
            audit.matches("GenerationReplaced").count(),
            1,
            "{fault}: {audit}"
        );
    }
}
