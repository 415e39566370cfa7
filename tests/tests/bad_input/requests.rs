//! Paths, queries, methods, tokens and headers.

use serde_json::json;

use crate::case::{Case, DENIED, OPERATION, Told, WORD};

const UNSUPPORTED_PATH: Told = Told::Error("1 error occurred:\n\t* unsupported path\n\n");
const SLASH: Told = Told::Error("cannot write to a path ending in '/'");
const RELATIVE: Told = Told::Error("relative paths not supported");
const VERSION: Told =
    Told::Error("Field validation failed: error converting input for field \"version\"");
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "LIST"];

pub fn cases() -> Vec<Case> {
    [tricks(), ways(), missing(), methods(), tokens(), headers()].concat()
}

fn get(path: &str, status: u16, told: Told) -> Case {
    Case::new("GET", path, status, told)
}

fn put(path: &str, status: u16, told: Told) -> Case {
    Case::new("PUT", path, status, told).body(json!({ "data": { WORD: 1 }, "versions": [1] }))
}

/// Paths that are no paths: none of them is ever looked up, whoever asks.
fn tricks() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in METHODS {
        let mut add = |path: &[u8], status, told| {
            for root in [true, false] {
                let case = Case::new(method, path, status, told);
                let case = if root {
                    case
                } else {
                    case.no_token().named("nobody")
                };
                cases.push(if method.starts_with('P') {
                    case.body(json!({ "data": {} }))
                } else {
                    case
                });
            }
        };
        for (path, to) in [
            ("/v1/secret/data//there", "/v1/secret/data/there"),
            ("/v1//secret/data/there", "/v1/secret/data/there"),
            ("/v1/secret/data/there//", "/v1/secret/data/there/"),
            ("/v1/secret/data/../data/there", "/v1/secret/data/there"),
            ("/v1/secret/data/x/../../../sys/mounts", "/v1/sys/mounts"),
            ("/v1/secret/data/./there", "/v1/secret/data/there"),
            ("/v1/secret/data/there/.", "/v1/secret/data/there"),
            ("/v1/secret/data/there/x/..", "/v1/secret/data/there"),
            ("/v1/secret/../../../etc/nightjar", "/etc/nightjar"),
        ] {
            add(path.as_bytes(), 307, Told::Elsewhere(to));
        }
        for dots in [
            "%2e%2e",
            "%2E%2e",
            ".%2e",
            "%2e.",
            "%2e",
            "..%2fthere",
            "a%2f..%2fthere",
            "%2e%2fthere",
        ] {
            add(
                format!("/v1/secret/data/{dots}/nightjar").as_bytes(),
                400,
                RELATIVE,
            );
        }
        // Told without an error by OpenBao too: no controls, and nothing that turns or hides text.
        for unseen in [
            "%00",
            "%01",
            "%09",
            "%0a",
            "%0d",
            "%1b",
            "%7f",
            "%c2%85",
            "%c2%a0",
            "%e2%80%ae",
            "%e2%80%8b",
            "%ef%bb%bf",
        ] {
            add(
                format!("/v1/secret/data/nightjar{unseen}").as_bytes(),
                400,
                Told::Nothing,
            );
        }
        // OpenBao looks them up, or fails: these have more than one reading, or none.
        let malformed = Told::Error("the path is malformed");
        for odd in [
            "a%2f%2fb",
            "%2fnightjar",
            "%ff",
            "%c3%28",
            "%c0%af",
            "%c0%ae%c0%ae",
            "%ed%a0%80",
            "%zz",
            "%",
            "%2",
            "%u0041",
        ] {
            add(format!("/v1/secret/data/{odd}").as_bytes(), 400, malformed);
        }
        let too_long = Told::Error("the path is too long");
        add(
            format!("/v1/secret/data/{}", WORD.repeat(5_000)).as_bytes(),
            400,
            too_long,
        );
        add(
            format!("/v1/secret/data/{}x", "a/".repeat(1_100)).as_bytes(),
            400,
            too_long,
        );
    }
    for bytes in [b"\x00".as_slice(), b" nightjar", b"\x01", b"\x7f"] {
        let path = [b"/v1/secret/data/".as_slice(), bytes].concat();
        cases.push(Case::new("GET", path, 400, Told::Refused).named("a raw octet"));
    }
    cases.push(Case::new("GET", "v1/secret/data/there", 400, Told::Refused).named("no slash"));
    cases
}

/// Paths that lead nowhere.
fn ways() -> Vec<Case> {
    let mut cases = Vec::new();
    for path in [
        "/v1/nope/data/nightjar",
        "/v1/nope/nightjar",
        "/v1/nope",
        "/v1/SECRET/data/there",
        "/v1/secretx/data/there",
        "/v1/secre/data/there",
    ] {
        for method in METHODS {
            let case = if method == "PUT" {
                put(path, 404, Told::Error("no handler for this route"))
            } else {
                Case::new(method, path, 404, Told::Error("no handler for this route"))
            };
            // Whether there is such a mount is not for everybody.
            cases.push(case);
            cases.push(Case::new(method, path, 403, DENIED).no_token());
            cases.push(Case::new(method, path, 403, DENIED).token("hvs.nightjar"));
        }
    }
    for path in [
        "/V1/secret/data/there",
        "/v2/secret/data/there",
        "/nightjar",
        "/api/nightjar",
        "/api",
    ] {
        cases.push(get(path, 404, Told::Nothing));
    }
    for path in [
        "/v1/secret",
        "/v1/secret/",
        "/v1/secret/nightjar",
        "/v1/secret/nightjar/x",
        "/v1/secret/DATA/there",
    ] {
        cases.push(get(path, 404, Told::Nothing));
    }
    for path in [
        "/v1/secret/data",
        "/v1/secret/metadata",
        "/v1/secret/delete",
        "/v1/secret/data/",
        "/v1/secret/data/there/",
        "/v1/secret/data/there%2f",
    ] {
        cases.push(get(path, 404, Told::Nothing));
    }
    for path in [
        "/v1/secret/",
        "/v1/secret/data/",
        "/v1/secret/data/there/",
        "/v1/secret/data/there%2f",
        "/v1/secret/delete/",
        "/v1/secret/undelete/there/",
        "/v1/secret/destroy/there/",
        "/v1/nope/",
    ] {
        cases.push(put(path, 400, SLASH));
    }
    for method in METHODS {
        cases.push(Case::new(method, "/v1/sys/nightjar", 404, UNSUPPORTED_PATH));
        cases.push(Case::new(method, "/v1/sys/nightjar", 403, DENIED).no_token());
    }
    let preflight = Told::Mentions("preflight capability check returned 403");
    for path in ["nope", "nope/nightjar", "secretx/nightjar"] {
        cases.push(get(
            &format!("/v1/sys/internal/ui/mounts/{path}"),
            403,
            preflight,
        ));
    }
    cases
}

/// What is not there, and versions that cannot be.
fn missing() -> Vec<Case> {
    let mut cases = Vec::new();
    for path in [
        "data/nightjar",
        "data/there?version=3",
        "data/there?version=99",
        "metadata/nightjar",
        "metadata/nightjar?list=true",
        "metadata/there?list=true",
    ] {
        cases.push(get(&format!("/v1/secret/{path}"), 404, Told::Nothing));
    }
    for path in [
        "data/gone",
        "data/gone?version=1",
        "data/ruined",
        "data/ruined?version=1",
    ] {
        cases.push(get(&format!("/v1/secret/{path}"), 404, Told::Metadata));
    }
    cases.push(Case::new(
        "LIST",
        "/v1/secret/metadata/nightjar",
        404,
        Told::Nothing,
    ));
    for version in [
        "nightjar",
        "1.5",
        "1e0",
        "true",
        "%201",
        "--1",
        "0x",
        "18446744073709551616",
        "1&version=2",
        "1&version=1",
    ] {
        cases.push(get(
            &format!("/v1/secret/data/there?version={version}"),
            400,
            VERSION,
        ));
    }
    for list in ["nightjar", "2", "yes"] {
        let path = format!("/v1/secret/metadata/there?list={list}");
        cases.push(get(&path, 400, Told::Nothing));
        cases.push(get(&path, 400, Told::Nothing).no_token().named("nobody"));
    }
    for code in ["nightjar", "-1", "99999", "1.5"] {
        cases.push(get(
            &format!("/v1/sys/health?activecode={code}"),
            400,
            Told::Nothing,
        ));
    }
    cases.push(get(
        "/v1/sys/metrics?format=nightjar",
        400,
        Told::Mentions("format"),
    ));
    cases
}

fn methods() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in ["TRACE", "FOO", "COPY", "NIGHTJAR", "get", "Put", "PROPFIND"] {
        for path in [
            "/v1/secret/data/there",
            "/v1/sys/health",
            "/v1/nope",
            "/nightjar",
        ] {
            cases.push(Case::new(method, path, 405, Told::Nothing));
            cases.push(Case::new(method, path, 405, Told::Nothing).no_token());
        }
    }
    let internal = Told::Error("cannot handle internal-only request operation");
    cases.push(Case::new("OPTIONS", "/v1/secret/data/there", 400, internal));
    cases.push(Case::new("OPTIONS", "/v1/secret/data/there", 400, internal).no_token());
    for (path, verbs) in [
        ("/v1/secret/data/there", ["LIST", "HEAD"].as_slice()),
        (
            "/v1/secret/delete/there",
            &["GET", "LIST", "HEAD", "DELETE"],
        ),
        (
            "/v1/secret/undelete/there",
            &["GET", "LIST", "HEAD", "DELETE"],
        ),
        (
            "/v1/secret/destroy/there",
            &["GET", "LIST", "HEAD", "DELETE"],
        ),
        ("/v1/secret/metadata/there", &["HEAD"]),
        ("/v1/sys/mounts", &["POST", "DELETE", "HEAD"]),
        ("/v1/auth/token/lookup-self", &["DELETE"]),
    ] {
        for verb in verbs {
            cases.push(Case::new(verb, path, 405, OPERATION));
            cases.push(Case::new(verb, path, 403, DENIED).no_token());
        }
    }
    for path in ["health", "seal-status", "leader"] {
        for verb in ["POST", "PUT", "DELETE", "LIST"] {
            let path = format!("/v1/sys/{path}");
            cases.push(Case::new(verb, path, 405, Told::Nothing).no_token());
        }
    }
    cases
}

fn tokens() -> Vec<Case> {
    let mut cases = Vec::new();
    let denied = |case: Case, name: &str| case.no_token().named(name);
    for path in [
        "/v1/secret/data/there",
        "/v1/secret/metadata/there",
        "/v1/sys/mounts",
        "/v1/sys/nightjar",
        "/api/credentials",
    ] {
        let at = || get(path, 403, DENIED);
        cases.push(denied(at(), "none"));
        for (name, value) in [
            ("X-Vault-Token", ""),
            ("X-Vault-Token", "nightjar"),
            ("X-Vault-Token", "hvs.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ("Authorization", "Bearer nightjar"),
            ("Authorization", "Bearer "),
            ("Authorization", "bearer nightjar"),
            ("Authorization", "Basic bmlnaHRqYXI="),
            ("Authorization", "nightjar"),
            ("Cookie", "token=nightjar"),
        ] {
            cases.push(denied(
                at().header(name, value),
                &format!("{name}: {value}"),
            ));
        }
        cases.push(denied(
            at().header("X-Vault-Token", WORD.repeat(1_100)),
            "9 KB",
        ));
        cases.push(denied(
            get(&format!("{path}?token=nightjar"), 403, DENIED),
            "in the query",
        ));
    }
    cases.push(put("/v1/secret/data/there", 403, DENIED).no_token());
    cases.push(put("/v1/secret/destroy/there", 403, DENIED).token("hvs.nightjar"));
    cases.push(Case::new("DELETE", "/v1/secret/metadata/there", 403, DENIED).no_token());
    cases
}

fn headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, values) in [
        (
            "X-Vault-Namespace",
            ["nightjar", "ns1/", "root/nightjar", "/nightjar/"].as_slice(),
        ),
        ("X-Vault-Wrap-Format", &["jwt", "nightjar"]),
        ("X-Vault-Wrap-TTL", &["nightjar", "1 nightjar"]),
        ("X-Vault-Wrap-TTL", &["-1", "-nightjar"]),
    ] {
        let refused = match name {
            "X-Vault-Namespace" => Told::Error("namespaces are not supported"),
            "X-Vault-Wrap-Format" => Told::Error("wrapping tokens have one format"),
            _ if values[0].starts_with('-') => Told::Error(
                "error parsing X-Vault-Wrap-TTL header: requested wrap ttl cannot be negative",
            ),
            _ => Told::Error("error parsing X-Vault-Wrap-TTL header: invalid duration"),
        };
        for value in values {
            for path in [
                "/v1/secret/data/there",
                "/v1/sys/mounts",
                "/v1/auth/token/lookup-self",
            ] {
                cases.push(get(path, 400, refused).named(value).header(name, *value));
            }
            cases.push(
                put("/v1/secret/data/there", 400, refused)
                    .named(value)
                    .header(name, *value),
            );
            cases.push(
                put("/v1/secret/destroy/there", 400, refused)
                    .named(value)
                    .header(name, *value),
            );
        }
    }
    let stale =
        Told::Mentions("the command id is too old, too far ahead, or not a UUID of version 7");
    for (told, ids) in [
        (
            Told::Error("X-Billfold-Command-Id is not a UUID"),
            ["nightjar", "", "0190a0a0-0000-7000-8000-00000000000"].as_slice(),
        ),
        // Of version 4; of 1970; of the year 10889.
        (
            stale,
            &[
                "9f0ec4d5-7b34-4bd5-8f0f-3a1f3c6f6c53",
                "00000000-0001-7000-8000-000000000000",
                "ffffffff-ffff-7000-8000-000000000000",
            ],
        ),
    ] {
        for id in ids {
            cases.push(
                put("/v1/secret/data/there", 400, told)
                    .named(id)
                    .header("X-Billfold-Command-Id", *id),
            );
        }
    }
    cases
}
