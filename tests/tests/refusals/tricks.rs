//! Ways of writing a path: none of them reaches what a policy denies.

use super::{standing::made, *};

/// What is in the secrets that are denied, and in no other.
const WORD: &str = "nightjar";

/// A policy that permits everything around what it denies, and one that permits a folder beside it.
const WIDE: &str = r#"
path "secret/*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"] }
path "one/*" { capabilities = ["create", "read", "update", "delete", "list", "scan"] }
path "secret/+/closed" { capabilities = ["deny"] }
path "secret/data/shut/*" { capabilities = ["deny"] }
path "secret/subkeys/shut/*" { capabilities = ["deny"] }
path "secret/destroy/shut/*" { capabilities = ["deny"] }
path "secret/metadata/shut/*" { capabilities = ["deny"] }
path "secret/+/café" { capabilities = ["deny"] }
path "secret/metadata/" { capabilities = ["deny"] }
path "one/closed" { capabilities = ["deny"] }
"#;
const NARROW: &str = r#"
path "secret/data/open/*" { capabilities = ["create", "read", "update", "patch", "delete"] }
path "secret/metadata/open/*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"] }
path "one/open/*" { capabilities = ["create", "read", "update", "delete", "list", "scan"] }
"#;

/// The secrets that are denied.
const DENIED: [&str; 4] = [
    "secret/data/closed",
    "secret/data/shut/in",
    "secret/data/café",
    "one/closed",
];

/// A path in other letters, and whether they say the same path.
fn spellings(path: &str) -> Vec<(String, bool)> {
    let escaped = |text: &str| {
        let bytes = text.bytes().map(|byte| match byte {
            b'/' => "/".to_owned(),
            byte => format!("%{byte:02x}"),
        });
        bytes.collect::<String>()
    };
    let plain = path.replace('é', "%C3%A9");
    let (above, last) = plain.rsplit_once('/').unwrap();
    let (first, _) = plain.split_once('/').unwrap();
    let mut all = vec![
        (plain.clone(), true),
        (escaped(path), true),
        (escaped(path).to_uppercase(), true),
        (format!("{above}%2f{last}"), true),
        (plain.replace('/', "%2F"), true),
        (format!("{plain}?x=/../open/a"), true),
        (format!("{plain}?version=1"), true),
    ];
    let mut other = |path: String| all.push((path, false));
    // Letters, and forms of letters.
    other(format!("{above}/{}", last.to_uppercase()));
    other(plain.replacen(first, &first.to_uppercase(), 1));
    other(format!("{above}/{}", last.replace("%C3%A9", "e%CC%81")));
    other(format!("{above}/{}", last.replace('c', "%EF%BD%83")));
    other(format!("{above}/{}", last.replace('c', "%D1%81")));
    other(format!("{above}/{}", last.replace('c', "%c1%a3")));
    // What may be dropped, or taken for an end.
    for behind in [
        "/",
        "//",
        "%2f",
        "%2f%2f",
        "%20",
        "%09",
        "%0a",
        "%0d%0a",
        "%00",
        "%00.json",
        "%7f",
        "%e2%80%8b",
        "%ef%bb%bf",
        "%c2%a0",
        ".",
        "%2e",
        "/.",
        "/%2e",
        "/x/..",
        "/x%2f..",
        ";x",
        "%3bx",
        "%3f",
        "%23",
        "%23x",
        "#x",
        "%",
        "%zz",
        "%25",
        "\\",
        "%5c",
        "*",
        "+",
        "~",
    ] {
        other(format!("{plain}{behind}"));
    }
    for before in [
        "/",
        "%2f",
        "./",
        "%2e/",
        "%2e%2f",
        "x/../",
        "x/%2e%2e/",
        "x/..%2f",
        "x%2f..%2f",
        "..;/",
        "open/../",
        "open/%2e%2e/",
        "open/..%2f",
        "open/.%2e/",
        "open/a/../../",
        "open/..%5c",
        "open%5c..%5c",
        "%20",
        "%00",
        "%c0%ae%c0%ae/",
        "%252e%252e/",
        "%252e%252e%252f",
        ".%00./",
        "open/%ef%bc%8e%ef%bc%8e/",
        "open%c0%af..%c0%af",
        "open/…/",
    ] {
        other(format!("{above}/{before}{last}"));
    }
    other(plain.replacen('/', "//", 1));
    other(plain.replacen('/', "/./", 1));
    other(plain.replacen('/', "%2f%2f", 1));
    other(plain.replacen('/', "%5c", 1));
    other(plain.replace('/', "%252f"));
    other(escaped(&escaped(path)));
    other(format!("sys/../{plain}"));
    other(format!("{first}/../{plain}"));
    all
}

pub async fn no_spelling_reaches_what_is_denied(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let mount = json!({ "type": "kv", "options": { "version": "1" } });
    assert_eq!(
        node.root("PUT", "/v1/sys/mounts/one", mount).await.status,
        204
    );
    for path in DENIED
        .into_iter()
        .chain(["secret/data/open/a", "one/open/a"])
    {
        let word = if path.contains("open") { "open" } else { WORD };
        let body = json!({ "data": { "word": word }, "word": word });
        let path = format!("/v1/{}", path.replace('é', "%C3%A9"));
        let put = node.root("PUT", &path, body).await;
        assert!(put.status < 300, "{}", put.text());
    }
    let mut before = Vec::new();
    for path in DENIED {
        before.push(as_it_is(&wallet, path).await);
    }
    let root = node.token().to_owned();
    let mut tokens = Vec::new();
    for (name, text) in [("wide", WIDE), ("narrow", NARROW)] {
        let path = format!("/v1/sys/policies/acl/{name}");
        let written = node.root("PUT", &path, json!({ "policy": text })).await;
        assert_eq!(written.status, 204, "{}", written.text());
        let wish = json!({ "policies": [name] });
        tokens.push((name, made(&wallet, &root, wish).await.0));
        // What it permits, it does: else all of this would hold of no token at all.
        let (_, token) = tokens.last().unwrap();
        for open in ["/v1/secret/data/open/a", "/v1/one/open/a"] {
            let reply = send(&wallet, "GET", open, "X-Vault-Token", token, Body::Nothing).await;
            assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        }
    }
    let mut wrong = Vec::new();
    for (policy, token) in &tokens {
        for path in DENIED {
            for (spelling, is_same) in spellings(path) {
                let all = ways(path);
                // Who may do little is tried with little: the first is to read, the second to write.
                let ways = if *policy == "wide" { all } else { &all[..2] };
                for (verb, place) in ways {
                    let spelling = spelling.replacen("/data/", place, 1);
                    let reply = try_at(&wallet, verb, &format!("/v1/{spelling}"), token).await;
                    let denied = reply.status == 403 || !is_same;
                    if !denied || reply.text().contains(WORD) {
                        let (status, text) = (reply.status, reply.text());
                        wrong.push(format!("{policy}: {verb} {spelling}: {status} {text}"));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} calls:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    for (path, before) in DENIED.into_iter().zip(&before) {
        assert_eq!(as_it_is(&wallet, path).await, *before, "{path} was changed");
    }
    wallet.assert_sound().await;
}

/// What is tried at a path, and what stands in place of `/data/` there.
fn ways(path: &str) -> &'static [(&'static str, &'static str)] {
    match path.starts_with("one/") {
        true => &[("GET", "/data/"), ("PUT", "/data/"), ("DELETE", "/data/")],
        false => &[
            ("GET", "/data/"),
            ("PUT", "/data/"),
            ("PATCH", "/data/"),
            ("DELETE", "/data/"),
            ("GET", "/subkeys/"),
            ("PUT", "/destroy/"),
            ("GET", "/metadata/"),
            ("DELETE", "/metadata/"),
        ],
    }
}

/// One call, and where it is sent elsewhere, the same there.
async fn try_at(wallet: &Wallet, verb: &str, path: &str, token: &str) -> Reply {
    let client = match verb {
        "PATCH" => wallet
            .node
            .client()
            .header("Content-Type", "application/merge-patch+json"),
        _ => wallet.node.client(),
    };
    let body = || match verb {
        "PUT" | "PATCH" => json!({ "data": { "other": 1 }, "versions": [1] }).into(),
        _ => Body::Nothing,
    };
    let call = async |path: &str| {
        let called = client.call_raw(verb, path, Some(token), body()).await;
        called.unwrap_or_else(|error| panic!("{verb} {path}: {error:#}"))
    };
    let reply = call(path).await;
    match (reply.status, reply.header("location")) {
        (307, Some(location)) => call(location).await,
        _ => reply,
    }
}

/// A secret as root reads it, with what is known about it.
async fn as_it_is(wallet: &Wallet, path: &str) -> Vec<Value> {
    let path = format!("/v1/{}", path.replace('é', "%C3%A9"));
    let mut all = Vec::new();
    for path in [path.clone(), path.replacen("/data/", "/metadata/", 1)] {
        let read = wallet.node.root("GET", &path, ()).await;
        assert_eq!(read.status, 200, "{path}: {}", read.text());
        all.push(read.json()["data"].clone());
    }
    all
}
