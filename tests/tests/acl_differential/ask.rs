//! Paths and requests made at random, most of them near the patterns of their case.

use proptest::{collection::vec, option, prelude::*, sample::Index, sample::select};
use serde_json::{Map, Value, json};

use crate::{draft, intended};

/// Texts that parameters have.
pub const VALUES: [&str; 6] = ["x", "y", "xy", "zx", "yxy", "K"];

const MOUNTS: [&str; 13] = [
    "secret/data/",
    "secret/data/",
    "secret/data/",
    "secret/metadata/",
    "secret/metadata/",
    "secret/subkeys/",
    "secret/undelete/",
    "secret/+/",
    "+/data/",
    "one/",
    "one/",
    "one/",
    "",
];

const SEGMENTS: [&str; 5] = ["a", "b", "ab", "abc", "ac"];
const ODD_SEGMENTS: [&str; 14] = [
    "+a", "a+", "*", "a*", "é", "e\u{301}", "A", "a b", "\"", "$", "%2f", "\\", "", "{",
];

/// Patterns that are not made of segments.
const WIDE: [&str; 14] = [
    "*",
    "+",
    "+/*",
    "+/+",
    "+/+/+",
    "s*",
    "secret*",
    "sys/*",
    "auth/*",
    "auth/token/*",
    "auth/token/+",
    "sys/policies/acl/*",
    "/secret/data/a",
    "//secret/data/a",
];

/// What is in no mount: verb, path, body. `TOKEN` and `ACCESSOR` stand for those of the caller.
pub const SYSTEM: &[(&str, &str, &str)] = &[
    ("GET", "sys/mounts", ""),
    ("GET", "sys/mounts/secret", ""),
    ("LIST", "sys/policies/acl", ""),
    ("GET", "sys/policies/acl/none", ""),
    (
        "PUT",
        "sys/policies/acl/other",
        r#"{"policy":"path \"x\" { policy = \"read\" }"}"#,
    ),
    ("DELETE", "sys/policies/acl/other", ""),
    ("GET", "sys/policy", ""),
    (
        "PUT",
        "sys/policy/other",
        r#"{"policy":"path \"x\" { policy = \"read\" }"}"#,
    ),
    ("GET", "sys/auth", ""),
    ("GET", "sys/audit", ""),
    ("POST", "sys/capabilities-self", r#"{"paths":["a"]}"#),
    (
        "POST",
        "sys/capabilities",
        r#"{"paths":["a"],"token":"TOKEN"}"#,
    ),
    (
        "POST",
        "sys/capabilities-accessor",
        r#"{"paths":["a"],"accessor":"ACCESSOR"}"#,
    ),
    ("POST", "sys/remount", "{}"),
    ("POST", "sys/tools/random/8", "{}"),
    ("POST", "sys/tools/hash", r#"{"input":"eA=="}"#),
    ("GET", "sys/internal/ui/mounts", ""),
    ("GET", "sys/internal/ui/mounts/secret", ""),
    ("GET", "auth/token/lookup-self", ""),
    ("POST", "auth/token/lookup-self", "{}"),
    ("POST", "auth/token/create", "{}"),
    ("POST", "auth/token/create", r#"{"no_parent":true}"#),
    ("POST", "auth/token/create-orphan", "{}"),
    ("POST", "auth/token/lookup", r#"{"token":"TOKEN"}"#),
    (
        "POST",
        "auth/token/lookup-accessor",
        r#"{"accessor":"ACCESSOR"}"#,
    ),
    ("POST", "auth/token/renew-self", "{}"),
    ("POST", "auth/token/renew", r#"{"token":"TOKEN"}"#),
    (
        "POST",
        "auth/token/renew-accessor",
        r#"{"accessor":"ACCESSOR"}"#,
    ),
    ("LIST", "auth/token/accessors", ""),
];

const DATA: &[(&str, &str)] = &[
    ("GET", "data"),
    ("PUT", "data"),
    ("POST", "data"),
    ("PATCH", "data"),
    ("DELETE", "data"),
];
const METADATA: &[(&str, &str)] = &[
    ("GET", "metadata"),
    ("PUT", "metadata"),
    ("PATCH", "metadata"),
    ("LIST", "metadata"),
    ("SCAN", "metadata"),
    ("DELETE", "metadata"),
];
const VERSIONS: &[(&str, &str)] = &[
    ("GET", "subkeys"),
    ("PUT", "delete"),
    ("PUT", "undelete"),
    ("PUT", "destroy"),
];
const PLAIN: &[&str] = &["GET", "PUT", "POST", "DELETE", "LIST", "SCAN"];

/// Patterns of a case.
pub fn patterns() -> impl Strategy<Value = String> {
    let segment = || {
        prop_oneof![
            10 => select(SEGMENTS.to_vec()),
            4 => Just("+"),
            1 => select(ODD_SEGMENTS.to_vec()),
        ]
    };
    let tail = select(vec![
        "", "", "", "", "", "", "*", "*", "/*", "/*", "/", "a*", "/a*",
    ]);
    let made = (select(MOUNTS.to_vec()), vec(segment(), 1..4), tail)
        .prop_map(|(mount, segments, tail)| format!("{mount}{}{tail}", segments.join("/")));
    let system = (0..SYSTEM.len()).prop_map(|at| {
        let (verb, path, _) = SYSTEM[at];
        format!("{path}{}", if verb == "LIST" { "/" } else { "" })
    });
    prop_oneof![
        12 => made,
        4 => system,
        1 => select(WIDE.to_vec()).prop_map(str::to_owned),
    ]
}

/// A path: one that a pattern of the case may match, or any.
#[derive(Debug, Clone)]
pub enum Path {
    /// This pattern with its `+` replaced by these in turn, and its `*` by the last.
    Near(Index, Vec<&'static str>, &'static str),
    Any(String),
}

pub fn paths() -> impl Strategy<Value = Path> {
    let free = (
        select(MOUNTS.to_vec()),
        vec(select(SEGMENTS.to_vec()), 1..4),
    )
        .prop_map(|(mount, segments)| Path::Any(format!("{mount}{}", segments.join("/"))));
    let fillers = vec(select(vec!["a", "b", "ab", "+", "é"]), 3);
    let near = (
        any::<Index>(),
        fillers,
        select(vec!["", "a", "b", "a/b", "/a", "/"]),
    )
        .prop_map(|(pattern, fillers, tail)| Path::Near(pattern, fillers, tail));
    prop_oneof![5 => near, 1 => free]
}

impl Path {
    pub fn text(&self, patterns: &[String]) -> String {
        match self {
            Self::Any(path) => path.replace('+', "data"),
            Self::Near(pattern, fillers, tail) => {
                let pattern = pattern.get(patterns);
                let (stem, tail) = match pattern.strip_suffix('*') {
                    Some(stem) => (stem, *tail),
                    None => (pattern.as_str(), ""),
                };
                let mut fillers = fillers.iter().cycle();
                let segments = stem.split('/').map(|segment| match segment {
                    "+" => fillers.next().unwrap(),
                    segment => segment,
                });
                segments.collect::<Vec<_>>().join("/") + tail
            }
        }
    }
}

/// A request, before it is known which paths its case is about.
#[derive(Debug, Clone)]
pub struct Request {
    path: Path,
    verb: Index,
    /// What is at the path before.
    pub before: Before,
    /// What the body holds besides what belongs there.
    fields: Vec<(&'static str, Value)>,
    query: Vec<(&'static str, &'static str)>,
    wrap_ttl: Option<&'static str>,
}

/// What is at a path before a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Whatever,
    Nothing,
    Something,
    Deleted,
    Destroyed,
    OnlyMetadata,
}

/// A request as it is sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub verb: &'static str,
    /// Without `v1/`.
    pub path: String,
    pub query: String,
    pub body: Option<Map<String, Value>>,
    /// For how long the answer is to be wrapped.
    pub wrap_ttl: Option<&'static str>,
}

pub fn requests() -> impl Strategy<Value = Request> {
    let before = prop_oneof![
        4 => Just(Before::Whatever),
        3 => Just(Before::Nothing),
        3 => Just(Before::Something),
        1 => select(vec![Before::Deleted, Before::Destroyed, Before::OnlyMetadata]),
    ];
    let values = prop_oneof![
        6 => select(VALUES.to_vec()).prop_map(Value::from),
        3 => select(vec![json!(true), json!(false), json!(null), json!(["x"]), json!({"x": "x"}), json!("")]),
    ];
    let values = values.prop_filter("not compared", intended::is_compared);
    let fields = vec((select(vec!["k", "K", "l", "ä", "z", "*"]), values), 0..3);
    let query = prop_oneof![
        3 => Just(("limit", intended::LIMITS.to_vec())),
        1 => Just(("version", vec!["1", "0"])),
        2 => select(vec!["k", "K", "l"]).prop_map(|name| (name, VALUES.to_vec())),
    ];
    let query = query.prop_flat_map(|(name, values)| (Just(name), select(values)));
    let query = option::weighted(0.4, vec(query, 1..3));
    let wrap_ttl = select(vec!["1", "2s", "30", "1m", "2m", "1h30m", "3h"]);
    let wrap_ttl = option::weighted(0.25, wrap_ttl);
    (paths(), any::<Index>(), before, fields, query, wrap_ttl).prop_map(
        |(path, verb, before, fields, query, wrap_ttl)| Request {
            path,
            verb,
            before,
            fields,
            query: query.unwrap_or_default(),
            wrap_ttl,
        },
    )
}

impl Request {
    pub fn sent(&self, patterns: &[String]) -> Sent {
        let text = self.path.text(patterns);
        let path = plain(&text);
        let (verb, path, body) = self.place(&path);
        let lists = matches!(verb, "LIST" | "SCAN");
        // A folder is asked for with its slash and without.
        let path = match lists && text.ends_with('/') {
            true => format!("{path}/"),
            false => path,
        };
        let body = body.map(|mut body| {
            for (name, value) in &self.fields {
                body.entry(*name).or_insert_with(|| value.clone());
            }
            body
        });
        let mut query: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &self.query {
            let belongs = *name != "limit" || lists;
            if belongs && query.iter().all(|(known, _)| known != name) {
                query.push((name, value));
            }
        }
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        Sent {
            verb,
            path,
            query: query.join("&"),
            body,
            wrap_ttl: self.wrap_ttl,
        }
    }

    /// An endpoint at this path, or in place of it if there is none.
    fn place(&self, path: &str) -> (&'static str, String, Option<Map<String, Value>>) {
        let mut segments = path.splitn(3, '/');
        let (mount, kind) = (segments.next().unwrap_or(""), segments.next());
        let rest = segments
            .next()
            .filter(|rest| !rest.is_empty())
            .unwrap_or("a");
        if mount == "one" {
            let (verb, below) = (*self.verb.get(PLAIN), path.strip_prefix("one/"));
            let below = below.filter(|below| !below.is_empty()).unwrap_or("a");
            let body = matches!(verb, "PUT" | "POST").then(|| object(json!({ "v": "v" })));
            return (verb, format!("one/{below}"), body);
        }
        if mount == "secret" {
            let (verb, place) = *match kind {
                Some("data") => self.verb.get(DATA),
                Some("metadata") => self.verb.get(METADATA),
                _ => self.verb.get(VERSIONS),
            };
            let body = match (verb, place) {
                ("PUT" | "POST" | "PATCH", "data") => Some(json!({ "data": { "x": "y" } })),
                ("PUT" | "PATCH", "metadata") => Some(json!({ "max_versions": 5 })),
                ("PUT", _) => Some(json!({ "versions": [1] })),
                _ => None,
            };
            return (verb, format!("secret/{place}/{rest}"), body.map(object));
        }
        let here: Vec<_> = SYSTEM
            .iter()
            .filter(|(_, known, _)| *known == path)
            .collect();
        let (verb, path, body) = match here.is_empty() {
            true => self.verb.get(SYSTEM),
            false => *self.verb.get(&here),
        };
        let body = (!body.is_empty()).then(|| object(serde_json::from_str(body).unwrap()));
        (verb, (*path).to_owned(), body)
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else {
        panic!("an object is expected")
    };
    object
}

/// The path without empty segments: with them it is another request, which is redirected.
fn plain(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.collect::<Vec<_>>().join("/")
}

/// As it stands in a URL.
pub fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// One case: patterns, policies of a token that are made of them, and what is asked of both.
#[derive(Debug, Clone)]
pub struct Case {
    pub patterns: Vec<String>,
    pub policies: Vec<draft::Policy>,
    pub paths: Vec<Path>,
    pub requests: Vec<Request>,
}

pub fn cases() -> impl Strategy<Value = Case> {
    (
        vec(patterns(), 1..7),
        vec(draft::policies(), 1..4),
        vec(paths(), 1..30),
        vec(requests(), 1..16),
    )
        .prop_map(|(patterns, policies, paths, requests)| Case {
            patterns,
            policies,
            paths,
            requests,
        })
}
