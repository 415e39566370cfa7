//! Invariant 12: bad input changes nothing, and no answer repeats it.
//!
//! A table of calls, each with the answer that OpenBao 2.7.2 gives. Where the answer is another one on purpose the line
//! says so; these are all such differences:
//!
//! * the token is looked at before the body is,
//! * a secret that is too large is 413, and is told the limit,
//! * paths with an empty segment behind an encoding, and such that are no UTF-8, are 400,
//! * `X-Vault-Namespace` and `X-Vault-Wrap-TTL` are 400,
//! * JSON nests a hundred levels at most, is UTF-8, and is one document,
//! * a path is at most 32 KiB long,
//! * no answer tells what the client sent: neither a letter of bad JSON, nor a path, nor the name of a parameter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "bad_input/api.rs"]
mod api;
#[path = "bad_input/bodies.rs"]
mod bodies;
#[path = "bad_input/case.rs"]
mod case;
#[path = "bad_input/requests.rs"]
mod requests;

use billfold_tests::{
    billfold::Body,
    on_both_backends,
    wallet::{Backend, Wallet},
};
use case::WORD;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

on_both_backends! {
    inv12_no_bad_call_changes_anything,
    inv12_a_call_that_breaks_off_changes_nothing,
    the_largest_secret_is_where_the_limit_says,
    what_is_barely_good_is_taken,
}

async fn inv12_no_bad_call_changes_anything(backend: Backend) {
    let change = |builder: billfold_tests::billfold::Builder| {
        builder
            .env("BILLFOLD_LOG", "trace")
            .env("BILLFOLD_REFUSED_PER_SECOND", "100000")
    };
    let wallet = Wallet::serve_with(backend, change).await;
    prepare(&wallet).await;
    let before = wallet.settled().await;
    let cases = [bodies::cases(), requests::cases(), api::cases()].concat();
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(case.run(&wallet).await.err());
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    wallet.assert_unchanged(&before).await;
    assert!(
        !wallet.node.log().contains(WORD),
        "the log tells what was sent"
    );
    wallet.assert_sound().await;
}

/// What the table's calls miss or meet: `there` with two versions, `gone` deleted, `ruined` destroyed.
async fn prepare(wallet: &Wallet) {
    for path in ["there", "there", "gone", "ruined"] {
        let body = json!({ "data": { "k": "v" } });
        let reply = wallet
            .node
            .root("POST", &format!("/v1/secret/data/{path}"), body)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let deleted = wallet.node.root("DELETE", "/v1/secret/data/gone", ()).await;
    let versions = json!({ "versions": [1] });
    let destroyed = wallet
        .node
        .root("POST", "/v1/secret/destroy/ruined", versions)
        .await;
    assert_eq!((deleted.status, destroyed.status), (204, 204));
}

async fn inv12_a_call_that_breaks_off_changes_nothing(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let before = wallet.settled().await;
    let body = json!({ "data": { "k": WORD } }).to_string();
    let head = |length: &str| {
        let token = wallet.node.token();
        format!(
            "POST /v1/secret/data/cut HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {token}\r\n{length}\r\n\r\n"
        )
    };
    let (long, size) = (format!("Content-Length: {}", body.len() + 7), body.len());
    for (name, bytes) in [
        ("a body shorter than it says", head(&long) + &body),
        (
            "a body that never ends",
            head("Transfer-Encoding: chunked") + &format!("{size:x}\r\n{body}\r\n"),
        ),
        (
            "a chunk of no size",
            head("Transfer-Encoding: chunked") + "zz\r\n" + &body,
        ),
        ("half a head", head(&long)[..40].to_owned()),
        (
            "two lengths",
            head("Content-Length: 1\r\nContent-Length: 2") + &body,
        ),
        ("no HTTP", format!("{WORD}\r\n\r\n")),
    ] {
        let mut stream = TcpStream::connect(wallet.node.address()).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It may be cut off as well; what counts is what came.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{name}: {answer}"
        );
        assert!(!answer.contains(WORD), "{name}: {answer}");
    }
    let none = wallet.node.root("GET", "/v1/secret/metadata/cut", ()).await;
    assert_eq!(none.status, 404);
    wallet.assert_unchanged(&before).await;
}

/// What is barely good is taken: the table above would pass if everything were refused.
async fn what_is_barely_good_is_taken(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let deep = format!(
        "{{\"data\":{{\"k\":{}1{}}}}}",
        "[".repeat(98),
        "]".repeat(98)
    );
    let strange = r#"{"data":{"":"\u0000","k":1e400,"ü":"\ud83d\ude00","n":12345678901234567890.10},"options":{}}"#;
    for body in [deep.as_str(), strange] {
        let written = wallet.node.root("POST", "/v1/secret/data/good", body).await;
        assert_eq!(written.status, 200, "{body}: {}", written.text());
        let read = wallet.node.root("GET", "/v1/secret/data/good", ()).await;
        // As text: what was written comes back to the last digit, its names in order.
        let data = read.text();
        let (_, data) = data
            .split_once("{\"data\":{\"data\":")
            .or(data.split_once("\"data\":{\"data\":"))
            .unwrap();
        let sent = if body == strange {
            r#"{"":"\u0000","k":1e400,"n":12345678901234567890.10,"ü":"#.to_owned()
        } else {
            body[8..body.len() - 1].to_owned()
        };
        assert!(data.starts_with(&sent), "{data}");
    }
    for path in [
        "...",
        "a..b",
        "%20",
        "a%20",
        "+",
        "%25zz",
        "a%3fb",
        "a%23b",
        "%C3%A9",
        "e%CC%81",
        "%F0%9F%98%80",
        "a%2fb",
        "a;:*'~&=,@!$()[]",
    ] {
        let path = format!("/v1/secret/data/odd/{path}");
        let body = Body::Json(json!({ "data": { "at": path } }));
        for (method, body) in [("PUT", body), ("GET", Body::Nothing)] {
            let reply = wallet
                .node
                .client()
                .call_raw(method, &path, Some(wallet.node.token()), body)
                .await
                .unwrap();
            assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
            assert!(
                method == "PUT" || reply.json()["data"]["data"]["at"] == path,
                "{path}"
            );
        }
    }
    let listed = wallet
        .node
        .root("LIST", "/v1/secret/metadata/odd", ())
        .await;
    let expected = [
        " ",
        "%zz",
        "+",
        "...",
        "a ",
        "a#b",
        "a..b",
        "a/",
        "a;:*'~&=,@!$()[]",
        "a?b",
        "e\u{301}",
        "é",
        "😀",
    ];
    assert_eq!(listed.json()["data"]["keys"], json!(expected));
    wallet.assert_sound().await;
}

async fn the_largest_secret_is_where_the_limit_says(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let put = async |size: usize| {
        let body = json!({ "data": { "k": "x".repeat(size) } });
        wallet
            .node
            .root("POST", "/v1/secret/data/large", body)
            .await
    };
    let told = put(2 << 20).await;
    assert_eq!(told.status, 413, "{}", told.text());
    let limit: usize = told
        .text()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .next_back()
        .unwrap();
    assert!(
        ((1 << 20) - (64 << 10)..=1 << 20).contains(&limit),
        "{}",
        told.text()
    );

    // What is around a secret is small, and does not depend on it.
    let (mut fits, mut not) = (limit - 4096, limit);
    assert_eq!(put(fits).await.status, 200);
    while not - fits > 1 {
        let size = (fits + not) / 2;
        match put(size).await.status {
            200 => fits = size,
            413 => not = size,
            other => panic!("{size}: {other}"),
        }
    }
    let read = wallet.node.root("GET", "/v1/secret/data/large", ()).await;
    let read = read.json();
    assert_eq!(read["data"]["data"]["k"].as_str().map(str::len), Some(fits));
    wallet.assert_sound().await;
}
