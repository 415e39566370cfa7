//! The wallet's own door: credentials and transactions.

use serde_json::{Value, json};

use crate::case::{CAS, Case, MALFORMED, Told, WORD};

pub fn cases() -> Vec<Case> {
    [credentials(), transactions(), queries()].concat()
}

fn post(path: &str, status: u16, told: Told, body: &Value) -> Case {
    Case::new("POST", path, status, told)
        .named(&body.to_string())
        .body(body.clone())
}

fn credentials() -> Vec<Case> {
    let at = "/api/credentials";
    let with = |changes: Value| {
        let mut body = json!({ "name": "there", "type": "t", "data": { "k": WORD } });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
                value => body[name] = value.clone(),
            }
        }
        body
    };
    let mut cases = Vec::new();
    for (told, changes) in [
        (
            Told::Error("name is missing"),
            vec![
                json!({ "name": null }),
                json!({ "name": 7 }),
                json!({ "name": [WORD] }),
            ],
        ),
        (
            Told::Error("type is missing"),
            vec![json!({ "type": null }), json!({ "type": 7 })],
        ),
        (
            Told::Error("data is missing, or no object"),
            vec![
                json!({ "data": null }),
                json!({ "data": WORD }),
                json!({ "data": [WORD] }),
                json!({ "data": 7 }),
            ],
        ),
        (
            Told::Error("meta is no object"),
            vec![json!({ "meta": WORD }), json!({ "meta": [WORD] })],
        ),
        (
            Told::Error("description is no text"),
            vec![
                json!({ "description": [WORD] }),
                json!({ "description": 7 }),
            ],
        ),
        (
            Told::Error("tags is no list of texts"),
            vec![
                json!({ "tags": WORD }),
                json!({ "tags": [7] }),
                json!({ "tags": [[WORD]] }),
            ],
        ),
        (
            Told::Error("cas is no version number"),
            vec![
                json!({ "cas": WORD }),
                json!({ "cas": -1 }),
                json!({ "cas": 1.5 }),
                json!({ "cas": 4_294_967_296_u64 }),
            ],
        ),
        (
            Told::Mentions("members that a credential does not have"),
            vec![json!({ WORD: 1 }), json!({ "Data": {} })],
        ),
        (
            Told::Error("the name is not valid"),
            [
                "",
                "/nightjar",
                "nightjar/",
                "nightjar//x",
                "..",
                "../nightjar",
                "nightjar/../x",
                "nightjar/.",
                "./nightjar",
                "nightjar\u{0}",
                "nightjar\n",
                "nightjar\u{7f}",
                "nightjar\u{85}",
                "nightjar\u{202e}",
                "nightjar\u{200b}",
                "/",
            ]
            .map(|name| json!({ "name": name }))
            .to_vec(),
        ),
        (
            Told::Error("the name is not valid"),
            vec![
                json!({ "name": WORD.repeat(5_000) }),
                json!({ "name": "a/".repeat(1_100) + "x" }),
            ],
        ),
    ] {
        cases.extend(
            changes
                .into_iter()
                .map(|changes| post(at, 422, told, &with(changes))),
        );
    }
    cases.push(post(at, 409, CAS, &with(json!({ "cas": 1 }))));
    cases.push(post(at, 409, CAS, &with(json!({ "name": WORD, "cas": 1 }))));
    let large = with(json!({ "data": { "k": WORD.repeat(1 << 18) } }));
    cases.push(Case::new("POST", at, 413, Told::Mentions("the limit is 10")).body(large));
    for body in [
        format!("{{\"name\":\"{WORD}\""),
        format!("[\"{WORD}\"]"),
        WORD.to_owned(),
    ] {
        cases.push(
            Case::new("POST", at, 400, MALFORMED)
                .named(&body)
                .body(body.clone()),
        );
        cases.push(
            Case::new("POST", "/api/transactions", 400, MALFORMED)
                .named(&body)
                .body(body),
        );
    }
    cases
}

fn transactions() -> Vec<Case> {
    let at = "/api/transactions";
    let good = json!({ "op": "put", "path": "secret/there", "data": { "k": WORD } });
    let after = |change: Value| json!({ "changes": [good, change] });
    let list = Told::Error("changes is not a list of changes");
    let none = Told::Error("a transaction needs at least one change");
    let mut cases = vec![
        post(at, 422, none, &json!({})),
        post(at, 422, none, &json!({ "changes": [] })),
        post(at, 422, none, &json!({ "changes": null })),
        post(at, 422, list, &json!({ "changes": WORD })),
        post(at, 422, list, &json!({ "changes": { WORD: good } })),
        post(
            at,
            422,
            Told::Error("a transaction has only changes"),
            &json!({ "changes": [good], WORD: 1 }),
        ),
        Case::new(
            "POST",
            at,
            422,
            Told::Error("a transaction may hold 1000 changes"),
        )
        .body(json!({ "changes": vec![&good; 1_001] })),
        // A change that would be good stands before each of these: nothing of it is done.
        post(
            at,
            409,
            CAS,
            &after(json!({ "op": "put", "path": "secret/there", "data": {}, "cas": 2 })),
        ),
        post(
            at,
            409,
            CAS,
            &after(json!({ "op": "put", "path": "secret/gone", "data": {}, "cas": 0 })),
        ),
        post(
            at,
            422,
            Told::Error("a path leads into no mount"),
            &after(json!({ "op": "put", "path": "nope/nightjar", "data": {} })),
        ),
        post(
            at,
            422,
            Told::Error("a path leads into no mount"),
            &after(json!({ "op": "remove", "path": "nightjar" })),
        ),
    ];
    for change in [
        json!(WORD),
        json!({}),
        json!(["put", "secret/there", { "k": WORD }]),
        json!(["put", "secret/there", { "k": WORD }, null, null]),
        json!({ "op": WORD, "path": "secret/there" }),
        json!({ "op": "put", "path": 7, "data": {} }),
        json!({ "op": "put", "data": {} }),
        json!({ "op": "put", "path": "secret/there", "data": {}, WORD: 1 }),
        json!({ "op": "put", "path": "secret/there", "data": {}, "cas": WORD }),
        json!({ "op": "destroy", "path": "secret/there", "versions": [WORD] }),
        json!({ "op": "destroy", "path": "secret/there", "versions": 1 }),
    ] {
        cases.push(post(at, 422, list, &after(change)));
    }
    for (op, changes) in [
        (
            "put",
            vec![
                json!({}),
                json!({ "data": WORD }),
                json!({ "data": [WORD] }),
                json!({ "data": {}, "versions": [1] }),
            ],
        ),
        ("delete", vec![json!({ "data": {} }), json!({ "cas": 2 })]),
        (
            "undelete",
            vec![json!({}), json!({ "data": {}, "versions": [1] })],
        ),
        (
            "destroy",
            vec![json!({}), json!({ "cas": 2, "versions": [1] })],
        ),
        (
            "remove",
            vec![
                json!({ "versions": [1] }),
                json!({ "cas": 2 }),
                json!({ "data": {} }),
            ],
        ),
    ] {
        for mut change in changes {
            change["op"] = json!(op);
            change["path"] = json!("secret/there");
            cases.push(post(at, 422, Told::Mentions(op), &after(change)));
        }
    }
    for path in [
        "secret/",
        "secret/nightjar/",
        "secret//nightjar",
        "secret/../nightjar",
        "secret/./nightjar",
        "secret/nightjar\u{0}",
        "secret/nightjar\u{202e}",
    ] {
        let change = json!({ "op": "put", "path": path, "data": {} });
        cases.push(post(
            at,
            422,
            Told::Error("the name is not valid"),
            &after(change),
        ));
    }
    let half = json!({ "op": "put", "path": "secret/there", "data": { "k": WORD.repeat(80_000) } });
    let both = json!({ "changes": [half, half] });
    cases.push(
        Case::new("POST", at, 413, Told::Mentions("the limit is 10"))
            .named("two large ones")
            .body(both),
    );
    cases
}

fn queries() -> Vec<Case> {
    let invalid = Told::Error("the name is not valid");
    let mut cases = vec![
        Case::new("GET", "/api/credentials/nightjar", 404, Told::Nothing),
        Case::new(
            "GET",
            "/api/credentials/00000000000000000000000000000000",
            404,
            Told::Nothing,
        ),
        Case::new("DELETE", "/api/credentials/nightjar", 404, Told::Nothing),
        Case::new(
            "GET",
            "/api/credentials/gone?include_data=true",
            404,
            Told::Nothing,
        ),
        Case::new("GET", "/api/credentials/there/", 422, invalid),
        Case::new("DELETE", "/api/credentials/there/", 422, invalid),
        Case::new(
            "GET",
            "/api/credentials/there?include_data=nightjar",
            400,
            Told::Mentions("include_data"),
        ),
        Case::new(
            "GET",
            "/api/internal/secret-audit?nightjar=1",
            400,
            Told::Mentions("unknown parameter"),
        ),
        Case::new(
            "GET",
            "/api/internal/secret-audit?credential=there&path=secret/there",
            400,
            Told::Mentions("credential, path and record"),
        ),
        Case::new(
            "GET",
            "/api/internal/secret-audit?from=2&to=1",
            400,
            Told::Mentions("to is before from"),
        ),
    ];
    let long = "nightjar".repeat(40);
    let id = "00112233445566778899aabbccddeeff";
    let twice = format!("{id}&record={id}");
    for (name, values) in [
        (
            "from",
            [
                "nightjar",
                "-1",
                "1.5",
                "",
                "2027-01-15",
                "2027-01-15T08:00:00",
            ]
            .as_slice(),
        ),
        ("to", &["nightjar", "99999999999999999999"]),
        ("order", &["nightjar", "", "Newest"]),
        (
            "credential",
            &[
                "/nightjar",
                "",
                "/",
                "nightjar//x",
                "a/../nightjar",
                "nightjar%0a",
            ],
        ),
        ("path", &["nightjar", "nightjar/x", "secret//nightjar", ""]),
        ("record", &["nightjar", "", "00", &twice]),
        ("principal", &["nightjar", "root"]),
        ("token", &["nightjar", "hvs.nightjar"]),
        ("worker", &["nightjar"]),
        ("execution", &["", &long]),
        ("event", &["nightjar", "credentialwritten", "40"]),
        ("operation", &["nightjar", "ReadData"]),
        ("outcome", &["nightjar", "allowed", "Denied"]),
        ("limit", &["nightjar", "0", "10001", "-1"]),
        (
            "after",
            &["nightjar", "1", "1.2.3", "1.99999999", "1.x", "-1.2"],
        ),
    ] {
        for value in values {
            let path = format!("/api/internal/secret-audit?{name}={value}");
            cases.push(Case::new("GET", path, 400, Told::Mentions(name)));
        }
    }
    cases
}
