//! What is compressed, and what never is: an answer with secrets in it (ADR 0011).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io::Read as _;

use billfold::http::endpoints::{Access, ROUTES, Route, Verb};
use billfold_tests::{
    billfold::{Body, Reply},
    wallet::{Backend, Wallet, within_reason},
};
use serde_json::json;

/// What may be compressed. Whoever adds to it reads ADR 0011 first.
const PUBLIC: [&str; 3] = [
    "/v1/sys/internal/specs/openapi?generic_mount_paths=true",
    "/v1/sys/metrics?format=prometheus",
    "/metrics",
];

async fn get(wallet: &Wallet, path: &str, encoding: &str) -> Reply {
    let client = wallet.node.client().header("Accept-Encoding", encoding);
    let token = Some(wallet.node.token());
    client.call("GET", path, token, ()).await.unwrap()
}

/// A call that would be a good one.
fn call(route: &Route, verb: Verb) -> (String, Body) {
    let path = route
        .path
        .replace("{mount}", "secret")
        .replace("{kv1}", "one")
        .replace("{path}", "compressed")
        .replace("{id}", "compressed");
    let body = match verb {
        Verb::Post | Verb::Put | Verb::Patch => json!({
            "data": { "password": "s".repeat(5_000) }, "versions": [1], "paths": ["a"],
            "policy": "path \"a\" { capabilities = [\"read\"] }", "input": "",
        })
        .into(),
        _ => ().into(),
    };
    (format!("/{path}"), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_public_is_compressed() {
    within_reason(async {
        let wallet = Wallet::serve(Backend::Embedded).await;
        let client = wallet.node.client();
        let client = client.header("Accept-Encoding", "gzip, deflate, br, zstd");
        let long = json!({ "data": { "password": "s".repeat(20_000) } });
        let written = wallet.node.root("POST", "/v1/secret/data/long", long).await;
        assert_eq!(written.status, 200, "{}", written.text());
        let one = json!({ "type": "kv", "options": { "version": "1" } });
        let enabled = wallet.node.root("POST", "/v1/sys/mounts/one", one).await;
        assert_eq!(enabled.status, 204, "{}", enabled.text());
        let (mut calls, mut good) = (0, 0);
        for route in ROUTES {
            for verb in route.verbs {
                let (path, body) = call(route, *verb);
                let client = match verb {
                    Verb::Patch => client.header("Content-Type", "application/merge-patch+json"),
                    _ => client.clone(),
                };
                let token = (route.access == Access::Token).then(|| wallet.node.token());
                let reply = client.call(verb.name(), &path, token, body).await.unwrap();
                let is_public = PUBLIC.iter().any(|public| *public == path);
                let told = format!("{} {path}: {}", verb.name(), reply.status);
                assert_eq!(
                    reply.header("content-encoding"),
                    is_public.then_some("gzip"),
                    "{told}"
                );
                // Whoever keeps answers keeps none of these.
                assert_eq!(reply.header("cache-control"), Some("no-store"), "{told}");
                calls += 1;
                good += u32::from(reply.status < 300);
            }
        }
        assert!(calls > 100 && good > 40, "{good} of {calls}");
        for path in [
            "/v1/secret/data/long",
            "/v1/sys/internal/specs/openapi",
            "/v1/secret?help=1",
            "/v1/sys/policies/acl/default",
            "/v1/sys/health",
        ] {
            let reply = get(&wallet, path, "gzip").await;
            assert_eq!(
                (reply.status, reply.header("content-encoding")),
                (200, None),
                "{path}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compressed_reads_as_it_is() {
    within_reason(async {
        let wallet = Wallet::serve(Backend::Embedded).await;
        let document = PUBLIC[0];
        let plain = get(&wallet, document, "identity").await;
        assert_eq!(plain.header("content-encoding"), None);
        let small = get(&wallet, document, "gzip").await;
        assert_eq!(small.header("vary"), Some("accept-encoding"));
        assert_eq!(small.header("content-type"), Some("application/json"));
        let mut bytes = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&small.bytes[..]);
        decoder.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, plain.bytes);
        assert!(small.bytes.len() * 3 < plain.bytes.len());
        for unwanted in ["gzip;q=0", "br", "x"] {
            let reply = get(&wallet, document, unwanted).await;
            assert_eq!(reply.header("content-encoding"), None, "{unwanted}");
        }
        for path in PUBLIC {
            let reply = get(&wallet, path, "gzip").await;
            assert_eq!(reply.header("content-encoding"), Some("gzip"), "{path}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_an_encoding_is_refused() {
    within_reason(async {
        let wallet = Wallet::serve(Backend::Embedded).await;
        let (client, root) = (wallet.node.client(), Some(wallet.node.token()));
        let write = async |encoding: &str| {
            let client = client.header("Content-Encoding", encoding);
            let body = json!({ "data": { "k": 1 } });
            let written = client.call("POST", "/v1/secret/data/e", root, body).await;
            written.unwrap()
        };
        for encoding in ["gzip", "deflate", "br", "gzip, identity", "s3cret"] {
            let reply = write(encoding).await;
            assert_eq!(reply.status, 415, "{encoding}");
            let told = json!({ "errors": ["bodies are taken without Content-Encoding"] });
            assert_eq!(reply.json(), told);
        }
        let read = wallet.node.root("GET", "/v1/secret/data/e", ()).await;
        assert_eq!(read.status, 404, "{}", read.text());
        assert_eq!(write("identity").await.status, 200);
    })
    .await;
}
