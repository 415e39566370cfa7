//! Bodies that the KV endpoints do not take.

use serde_json::json;

use crate::case::{CAS, Case, DENIED, MALFORMED, Told, WORD};

const CONVERT_VERSIONS: Told =
    Told::Error("Field validation failed: error converting input for field \"versions\"");

pub fn cases() -> Vec<Case> {
    [
        unreadable(),
        of_a_write(),
        of_versions(),
        of_metadata(),
        of_policies(),
        large(),
    ]
    .concat()
}

fn write(status: u16, told: Told) -> Case {
    Case::new("POST", "/v1/secret/data/there", status, told)
}

/// What is not a JSON object.
fn unreadable() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        format!("{{\"data\":{{\"{WORD}\":"),
        format!("{{\"data\":{{\"k\":\"{WORD}"),
        WORD.to_owned(),
        format!("{{\"data\":{{\"{WORD}\":01}}}}"),
        format!("{{\"data\":{{\"{WORD}\":NaN}}}}"),
        format!("{{\"data\":{{\"{WORD}\":+1}}}}"),
        format!("{{\"data\":{{\"{WORD}\":.5}}}}"),
        format!("{{'data':{{'{WORD}':1}}}}"),
        format!("{{\"data\":{{\"{WORD}\":1,}}}}"),
        format!("{{\"data\":{{\"{WORD}\":1}}/* */}}"),
        format!("\u{feff}{{\"data\":{{\"{WORD}\":1}}}}"),
        format!("{{\"data\":{{\"{WORD}\":\"\u{1}\"}}}}"),
        format!("{{\"data\":{{\"{WORD}\":\"\\x\"}}}}"),
        format!("{{\"data\":{{\"{WORD}\":1}}}} {WORD}"),
        "[]".to_owned(),
        format!("[{{\"{WORD}\":1}}]"),
        "5".to_owned(),
        "true".to_owned(),
        format!("\"{WORD}\""),
        // Stricter than OpenBao, which takes the first of two and drops the second.
        format!("{{\"data\":{{}}}}{{\"{WORD}\":1}}"),
    ]
    .into_iter()
    .flat_map(|body| {
        let at = |path: &str| {
            let path = format!("/v1/secret/{path}/there");
            Case::new("POST", path, 400, MALFORMED)
                .named(&body)
                .body(body.clone())
        };
        ["data", "delete", "undelete", "destroy"].map(at)
    })
    .collect();

    let gzip = [b"\x1f\x8b\x08\x00".as_slice(), WORD.as_bytes()].concat();
    let latin = [
        b"{\"data\":{\"k\":\"\xff\"},\"".as_slice(),
        WORD.as_bytes(),
        b"\":1}",
    ]
    .concat();
    let deep = |open: &str, close: &str, levels: usize| {
        format!(
            "{{\"data\":{{\"k\":{}\"{WORD}\"{}}}}}",
            open.repeat(levels),
            close.repeat(levels)
        )
    };
    let too_deep = Told::Error("failed to decode JSON input: it nests too deeply");
    cases.extend([
        write(
            415,
            Told::Error("bodies are taken without Content-Encoding"),
        )
        .named("gzip")
        .header("Content-Encoding", "gzip")
        .body(gzip),
        // OpenBao puts another letter in its place.
        write(400, MALFORMED).named("no UTF-8").body(latin),
        // OpenBao takes 10,000 levels.
        write(400, too_deep)
            .named("deep lists")
            .body(deep("[", "]", 99)),
        write(400, too_deep)
            .named("deep objects")
            .body(deep("{\"a\":", "}", 99)),
        write(400, too_deep)
            .named("very deep")
            .body(deep("[", "]", 1_000_000)),
        write(400, MALFORMED)
            .named("only opened")
            .body("[".repeat(99)),
    ]);
    cases
}

fn of_a_write() -> Vec<Case> {
    let missing = Told::Error("no data provided");
    let convert = Told::Mentions("error converting input for field \"data\"");
    let options = Told::Mentions("error converting input for field \"options\"");
    let cas = Told::Error("error parsing check-and-set parameter");
    let with = |options: &str| format!("{{\"data\":{{\"k\":\"{WORD}\"}},\"options\":{options}}}");
    let mut cases = vec![write(400, missing).named("no body")];
    for (told, bodies) in [
        (
            missing,
            vec![
                "",
                " ",
                "null",
                "{}",
                "{\"nightjar\":1}",
                "{\"DATA\":{}}",
                "{\"options\":{\"cas\":2}}",
            ],
        ),
        (
            convert,
            vec![
                "{\"data\":\"nightjar\"}",
                "{\"data\":\"\"}",
                "{\"data\":5}",
                "{\"data\":true}",
                "{\"data\":[1]}",
            ],
        ),
    ] {
        cases.extend(
            bodies
                .into_iter()
                .map(|body| write(400, told).named(body).body(body)),
        );
    }
    for (told, all) in [
        (
            options,
            vec!["\"nightjar\"", "[1]", "[2]", "[]", "5", "true"],
        ),
        (
            cas,
            vec![
                "{\"cas\":\"nightjar\"}",
                "{\"cas\":6.5}",
                "{\"cas\":6.0}",
                "{\"cas\":{}}",
                "{\"cas\":99999999999999999999}",
            ],
        ),
        (
            CAS,
            vec![
                "{\"cas\":0}",
                "{\"cas\":1}",
                "{\"cas\":3}",
                "{\"cas\":-1}",
                "{\"cas\":\"7\"}",
                "{\"cas\":null}",
                "{\"cas\":\"\"}",
                "{\"cas\":true}",
                "{\"cas\":4294967296}",
                "{\"cas\":4294967298}",
            ],
        ),
    ] {
        cases.extend(
            all.into_iter()
                .map(|options| write(400, told).named(options).body(with(options))),
        );
    }
    for (path, number) in [("missing", 1), ("gone", 0), ("gone", 2), ("ruined", 0)] {
        let body = with(&format!("{{\"cas\":{number}}}"));
        let path = format!("/v1/secret/data/{path}");
        cases.push(
            Case::new("PUT", path, 400, CAS)
                .named(&format!("cas {number}"))
                .body(body),
        );
    }
    let form = Case::new("POST", "/v1/secret/data/there", 400, MALFORMED);
    cases.push(
        form.named("a form")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("data=nightjar"),
    );
    cases
}

fn of_metadata() -> Vec<Case> {
    let convert =
        Told::Error("Field validation failed: error converting input for field \"metadata_cas\"");
    let mismatch =
        Told::Error("metadata check-and-set parameter does not match the current version");
    let new = Told::Error("metadata_cas must be 0 when creating new metadata");
    let at = |path: &str, told, cas: &str| {
        let path = format!("/v1/secret/metadata/{path}");
        let body = format!("{{\"custom_metadata\":{{\"k\":\"{WORD}\"}},\"metadata_cas\":{cas}}}");
        Case::new("POST", path, 400, told).named(cas).body(body)
    };
    let mut cases = Vec::new();
    for (told, all) in [
        (
            convert,
            vec!["\"nightjar\"", "6.5", "{}", "[1]", "99999999999999999999"],
        ),
        (mismatch, vec!["999", "-1", "4294967296", "\"7\""]),
    ] {
        cases.extend(all.into_iter().map(|cas| at("there", told, cas)));
    }
    cases.extend(["1", "-1"].map(|cas| at("missing", new, cas)));
    let here = Told::Error("metadata_cas is not supported here");
    let config = Case::new("POST", "/v1/secret/config", 400, here).named("metadata_cas");
    cases.push(config.body(json!({ "max_versions": 3, "metadata_cas": 0 })));
    cases
}

fn of_policies() -> Vec<Case> {
    let ttl = Told::Error("Field validation failed: error converting input for field \"ttl\"");
    let expiration =
        Told::Error("Field validation failed: error converting input for field \"expiration\"");
    let over = Told::Error("refusing to update policy as expiration time has already elapsed");
    let both = Told::Error("cannot supply both 'expiration' and 'ttl' for policies");
    let required = Told::Error("check-and-set parameter required for this call");
    let mut cases = Vec::new();
    for (told, all) in [
        (
            ttl,
            vec![
                json!({ "ttl": WORD }),
                json!({ "ttl": -1 }),
                json!({ "ttl": 1.5 }),
                json!({ "ttl": true }),
                json!({ "ttl": [1] }),
                json!({ "ttl": 9_223_372_037_u64 }),
                json!({ "ttl": u64::MAX }),
            ],
        ),
        (
            expiration,
            vec![
                json!({ "expiration": WORD }),
                json!({ "expiration": "" }),
                json!({ "expiration": "2100-01-01" }),
                json!({ "expiration": 1.5 }),
                json!({ "expiration": {} }),
                json!({ "expiration": 253_402_300_800_u64 }),
                json!({ "expiration": u64::MAX }),
            ],
        ),
        (
            over,
            vec![
                json!({ "ttl": 0 }),
                json!({ "expiration": -1 }),
                json!({ "expiration": 0 }),
                json!({ "expiration": "2001-01-01T00:00:00Z" }),
            ],
        ),
        (
            both,
            vec![json!({ "ttl": "1h", "expiration": "2100-01-01T00:00:00Z" })],
        ),
        (required, vec![json!({ "cas_required": true })]),
    ] {
        cases.extend(all.into_iter().map(|mut body| {
            let name = body.to_string();
            body["policy"] = json!(format!("path \"{WORD}\" {{ capabilities = [\"read\"] }}"));
            let case = Case::new("PUT", "/v1/sys/policies/acl/bad", 400, told);
            case.named(&name).body(body)
        }));
    }
    cases
}

fn of_versions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (verb, missing) in [
        ("delete", "No version number provided"),
        ("undelete", "No version number provided"),
        ("destroy", "no version number provided"),
    ] {
        let at = |status, told| Case::new("PUT", format!("/v1/secret/{verb}/there"), status, told);
        let missing = Told::Error(missing);
        cases.push(at(400, missing).named("no body"));
        for (told, bodies) in [
            (
                missing,
                vec![
                    "",
                    "null",
                    "{}",
                    "{\"versions\":[]}",
                    "{\"versions\":null}",
                    "{\"nightjar\":[1]}",
                ],
            ),
            (
                CONVERT_VERSIONS,
                vec![
                    "{\"versions\":[\"nightjar\"]}",
                    "{\"versions\":\"nightjar\"}",
                    "{\"versions\":\"1,nightjar\"}",
                    "{\"versions\":[1.5]}",
                    "{\"versions\":[99999999999999999999]}",
                    "{\"versions\":[[1]]}",
                    "{\"versions\":[{\"nightjar\":1}]}",
                    "{\"versions\":{\"a\":1}}",
                    "{\"versions\":{}}",
                    "{\"versions\":[1,\"nightjar\"]}",
                ],
            ),
        ] {
            cases.extend(
                bodies
                    .into_iter()
                    .map(|body| at(400, told).named(body).body(body)),
            );
        }
    }
    cases
}

fn large() -> Vec<Case> {
    let secret = json!({ "data": { "k": WORD.repeat(1 << 18) } });
    let body = format!(
        "{{\"data\":{{\"k\":\"{}\"}}}}",
        WORD.repeat((32 << 20) / WORD.len())
    );
    let limit = Told::Mentions("the limit is 10");
    let over = Told::Error("the body is over 33554432 bytes");
    let mut cases = vec![
        // OpenBao says 500.
        write(413, limit)
            .named("a secret over the limit")
            .body(secret.clone()),
        write(413, over)
            .named("a body over 32 MiB")
            .body(body.clone()),
        Case::new("PUT", "/v1/secret/destroy/there", 413, over)
            .named("the same")
            .body(body.clone()),
        Case::new("POST", "/api/transactions", 413, over)
            .named("the same")
            .body(body.clone()),
        // OpenBao looks at the body first.
        write(403, DENIED)
            .named("a body over 32 MiB of nobody")
            .no_token()
            .body(body),
        write(403, DENIED)
            .named("a secret over the limit of nobody")
            .no_token()
            .body(secret),
        write(403, DENIED)
            .named("no JSON of nobody")
            .no_token()
            .body(WORD),
        write(403, DENIED)
            .named("no JSON by a bad token")
            .token("hvs.nightjar")
            .body(WORD),
    ];
    let many: String = (0..200_000)
        .map(|at| format!("{{\"{WORD}{at}\":[],"))
        .collect();
    cases.push(
        write(400, Told::Mentions("failed to decode JSON input"))
            .named("many opened")
            .body(many),
    );
    cases
}
