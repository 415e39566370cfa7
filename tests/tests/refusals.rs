//! Invariant 10: nobody gets an answer without a token, every refusal is on record, and nobody can flood the record.
//!
//! The calls come from the router's own table: a new endpoint is called like all others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "refusals/standing.rs"]
mod standing;
#[path = "refusals/tricks.rs"]
mod tricks;

use std::time::{Duration, Instant};

use billfold::http::endpoints::{Access, ROUTES, Route, Verb};
use billfold_tests::{
    billfold::{Billfold, Body, Reply},
    on_both_backends,
    wallet::{Backend, Wallet, on},
};
use serde_json::{Value, json};
use tokio::time::sleep;

on_both_backends! {
    inv10_every_endpoint_but_the_open_ones_wants_a_token,
    inv10_every_endpoint_refuses_tokens_that_have_ended,
    inv10_every_endpoint_refuses_a_token_that_may_do_nothing,
    inv10_no_spelling_of_a_path_reaches_what_is_denied,
    inv10_what_is_over_the_bound_of_a_source_is_counted,
    inv10_a_patient_source_cannot_flood_the_record,
    inv10_a_principal_has_a_bound,
}

const PATIENCE: Duration = Duration::from_secs(60);

/// What is no token: the value of a header, or of the query when there is none.
const NO_TOKENS: &[(&str, &str)] = &[
    ("none", ""),
    ("X-Vault-Token", ""),
    ("X-Vault-Token", "hvs.nonsense"),
    ("X-Vault-Token", "TOKEN "),
    ("Authorization", "Bearer nonsense"),
    ("Authorization", "Bearer "),
    ("Authorization", "bearer TOKEN"),
    ("Authorization", "Basic TOKEN"),
    ("Authorization", "TOKEN"),
    ("query", "token=TOKEN"),
];

async fn inv10_every_endpoint_but_the_open_ones_wants_a_token(backend: Backend) {
    let high = |builder: billfold_tests::billfold::Builder| {
        builder.env("BILLFOLD_REFUSED_PER_SECOND", "1000000")
    };
    let wallet = Wallet::serve_with(backend, high).await;
    let before = wallet.settled().await;
    let mut refused = 0;
    for (header, value) in NO_TOKENS {
        for (route, verb) in calls() {
            let reply = call(&wallet, route, verb, header, value).await;
            let told = format!(
                "{header}: {value}: {} {}: {} {}",
                verb.name(),
                route.path,
                reply.status,
                reply.text()
            );
            match route.access {
                Access::Open => assert_open(verb, &reply, &told),
                Access::Token | Access::TokenUnlessSealed => {
                    assert_refused(route, &reply, &told);
                    refused += 1;
                }
                // It is asked about a token that is none.
                Access::TokenInBody => {
                    assert_eq!(reply.status, 400, "{told}");
                    refused += 1;
                }
            }
        }
        // What there is not is no more open than what there is.
        for path in [
            "/v1/nope/data/x",
            "/v1/sys/nope",
            "/v1/auth/token/create",
            "/nope",
            "/api/nope",
            "/",
        ] {
            let reply = send(&wallet, "GET", path, header, value, Body::Nothing).await;
            assert_eq!(reply.status, 403, "{path}: {}", reply.text());
            refused += 1;
        }
    }
    assert!(refused > 200, "only {refused} calls were made");
    let recorded = recorded(&wallet, refused).await;
    assert_eq!(
        recorded,
        Recorded {
            refused,
            over_bound: 0,
            asked: 0
        }
    );
    wallet.assert_unchanged(&before).await;

    // Each of these calls is one that a token permits.
    let token = wallet.node.token().to_owned();
    for (header, value) in [
        ("X-Vault-Token", token.clone()),
        ("Authorization", format!("Bearer {token}")),
    ] {
        for (route, verb) in calls() {
            let reply = call(&wallet, route, verb, header, &value).await;
            assert_ne!(
                reply.status,
                403,
                "{} {}: {}",
                verb.name(),
                route.path,
                reply.text()
            );
        }
    }
    assert_eq!(self::recorded(&wallet, refused).await.refused, refused);
    wallet.assert_sound().await;
}

use standing::{
    a_token_that_may_do_nothing as inv10_every_endpoint_refuses_a_token_that_may_do_nothing,
    tokens_that_have_ended as inv10_every_endpoint_refuses_tokens_that_have_ended,
};

use tricks::no_spelling_reaches_what_is_denied as inv10_no_spelling_of_a_path_reaches_what_is_denied;

fn calls() -> impl Iterator<Item = (&'static Route, Verb)> {
    ROUTES
        .iter()
        .flat_map(|route| route.verbs.iter().map(move |verb| (route, *verb)))
}

/// What is open answers, though it may not like what it is sent.
fn assert_open(verb: Verb, reply: &Reply, told: &str) {
    let expected = match verb {
        Verb::Post | Verb::Put => 400,
        _ => 200,
    };
    assert_eq!(reply.status, expected, "{told}");
}

fn assert_refused(route: &Route, reply: &Reply, told: &str) {
    // A wrapping token that is none may be the first sign that someone else used it.
    let unwraps = route.path.ends_with("wrapping/unwrap") || route.path.ends_with("/rewrap");
    match unwraps {
        true => assert!([400, 403].contains(&reply.status), "{told}"),
        false => assert_eq!(reply.status, 403, "{told}"),
    }
    let expected = match route.path.starts_with("api/") {
        true => json!({ "error": "permission denied", "status": 403 }),
        false => json!({ "errors": ["permission denied"] }),
    };
    if !unwraps {
        assert_eq!(reply.json(), expected, "{told}");
    }
    for header in ["x-billfold-seq", "x-vault-index", "www-authenticate"] {
        assert!(reply.header(header).is_none(), "{told}: {header}");
    }
}

/// A call that would be a good one.
async fn call(wallet: &Wallet, route: &Route, verb: Verb, header: &str, value: &str) -> Reply {
    let path = route
        .path
        .replace("{mount}", "secret")
        .replace("{kv1}", "one")
        .replace("{path}", "secret/x")
        .replace("{id}", "secret/x");
    assert!(
        !path.contains('{'),
        "{}: what stands for its variable?",
        route.path
    );
    let change = json!({ "op": "put", "path": "secret/x", "data": {} });
    let body = match (verb, route.path) {
        (Verb::Post | Verb::Put, "api/credentials") => {
            json!({ "name": "x", "type": "t", "data": {} }).into()
        }
        (Verb::Post | Verb::Put, "api/transactions") => json!({ "changes": [change] }).into(),
        // A mount that is not there is not to be removed by the next call.
        (Verb::Post | Verb::Put, "v1/sys/remount") => json!({}).into(),
        (Verb::Post | Verb::Put, _) => json!({ "data": {}, "versions": [1] }).into(),
        (Verb::Patch, _) => json!({ "data": {} }).into(),
        _ => Body::Nothing,
    };
    send(
        wallet,
        verb.name(),
        &format!("/{path}?format=prometheus"),
        header,
        value,
        body,
    )
    .await
}

async fn send(
    wallet: &Wallet,
    verb: &str,
    path: &str,
    header: &str,
    value: &str,
    body: Body,
) -> Reply {
    // Almost the token, or the token in another place.
    let token = wallet.node.token();
    let value = value
        .replace("TOKEN ", &token.to_uppercase())
        .replace("TOKEN", token);
    let client = match header {
        "none" | "query" => wallet.node.client(),
        header => wallet.node.client().header(header, &value),
    };
    let client = match verb {
        "PATCH" => client.header("Content-Type", "application/merge-patch+json"),
        _ => client,
    };
    let joint = if path.contains('?') { '&' } else { '?' };
    let path = if header == "query" {
        format!("{path}{joint}{value}")
    } else {
        path.to_owned()
    };
    client
        .call(verb, &path, None, body)
        .await
        .unwrap_or_else(|error| panic!("{verb} {path}: {error:#}"))
}

/// What the log says of refusals, and how many requests of nobody it has beside them.
#[derive(Debug, PartialEq, Eq)]
struct Recorded {
    refused: u64,
    over_bound: u64,
    asked: usize,
}

/// Waits until so many refusals are on record: nobody waits for those over the bound.
async fn recorded(wallet: &Wallet, refused: u64) -> Recorded {
    let until = Instant::now() + PATIENCE;
    loop {
        let listed = wallet
            .replay(&["log", "--json"])
            .await
            .unwrap()
            .success()
            .unwrap();
        let lines = listed
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of_nobody: Vec<Value> = lines.filter(|line| line["actor"] == "anonymous").collect();
        let sum = |name: &str| {
            of_nobody
                .iter()
                .filter_map(|line| line[name].as_u64())
                .sum()
        };
        let asked = of_nobody
            .iter()
            .filter(|line| line["event"] != "RequestsRefused")
            .count();
        let recorded = Recorded {
            refused: sum("refused"),
            over_bound: sum("over_bound"),
            asked,
        };
        if recorded.refused >= refused || Instant::now() > until {
            return recorded;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn inv10_what_is_over_the_bound_of_a_source_is_counted(backend: Backend) {
    let low = |builder: billfold_tests::billfold::Builder| {
        builder.env("BILLFOLD_REFUSED_PER_SECOND", "1")
    };
    let mut wallet = Wallet::serve_with(backend, low).await;
    let (mut refused, mut over_bound) = (0, 0);
    // However slow this machine is, calls that come together come within a second.
    while refused == 0 || over_bound < 100 {
        let client = wallet.node.client();
        let calls =
            (0..50).map(|_| client.call("GET", "/v1/secret/data/x", Some("hvs.nonsense"), ()));
        for reply in futures::future::join_all(calls).await {
            let reply = reply.unwrap();
            match reply.status {
                403 => refused += 1,
                429 => {
                    assert_eq!(reply.json(), json!({ "errors": ["too many requests"] }));
                    over_bound += 1;
                }
                other => panic!("{other}: {}", reply.text()),
            }
        }
    }
    // Whoever has a token is not held up by those who have none, wherever they are.
    assert_eq!(
        wallet.node.root("GET", "/v1/sys/mounts", ()).await.status,
        200
    );
    let all = Recorded {
        refused: refused + over_bound,
        over_bound,
        asked: 0,
    };
    assert_eq!(recorded(&wallet, all.refused).await, all);

    // They are on record for good, and many of them are one event.
    wallet.node.restart().await.unwrap();
    assert_eq!(recorded(&wallet, all.refused).await, all);
    let listed = wallet
        .replay(&["log", "--json"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let events = listed.stdout.matches("RequestsRefused").count() as u64;
    assert!(
        events < all.refused / 2,
        "{events} events of {} refusals",
        all.refused
    );
    wallet.assert_sound().await;
}

/// One that calls again as soon as it is answered: each of its calls finds the recorder idle.
async fn inv10_a_patient_source_cannot_flood_the_record(backend: Backend) {
    let low = |builder: billfold_tests::billfold::Builder| {
        builder.env("BILLFOLD_REFUSED_PER_SECOND", "1")
    };
    let wallet = Wallet::serve_with(backend, low).await;
    let (client, began, mut sent) = (wallet.node.client(), Instant::now(), 0_u64);
    while sent < 500 || began.elapsed() < Duration::from_secs(3) {
        let reply = client
            .call("GET", "/v1/secret/data/x", Some("hvs.nonsense"), ())
            .await
            .unwrap();
        assert!(matches!(reply.status, 403 | 429), "{}", reply.text());
        sent += 1;
    }
    let seconds = began.elapsed().as_secs() + 1;
    let listed = wallet
        .replay(&["log", "--json"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let events = listed.stdout.matches("RequestsRefused").count() as u64;
    // One a second of those within the bound, and one a second for all the others.
    assert!(
        events <= 2 * seconds + 4,
        "{events} commits in {seconds} s, of {sent} refusals at a bound of 1 a second"
    );
}

async fn inv10_a_principal_has_a_bound(backend: Backend) {
    let (builder, _nats) = on(Billfold::serve(), backend);
    let builder = builder.env("BILLFOLD_PRINCIPAL_PER_SECOND", "1");
    builder.init().await.unwrap().success().unwrap();
    let node = builder.spawn().await.unwrap();
    let (mut answered, mut held) = (0, 0);
    while answered == 0 || held == 0 {
        let (client, token) = (node.client(), node.token());
        let calls = (0..20).map(|_| client.call("GET", "/v1/sys/mounts", Some(token), ()));
        for reply in futures::future::join_all(calls).await {
            match reply.unwrap().status {
                200 => answered += 1,
                429 => held += 1,
                other => panic!("{other}"),
            }
        }
    }
    let health = node
        .client()
        .call("GET", "/v1/sys/health", None, ())
        .await
        .unwrap();
    assert_eq!(health.status, 200, "what is open is not bound");
}
