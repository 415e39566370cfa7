//! Helpers for the tests of policies.

use std::{sync::LazyLock, time::Duration};

use serde_json::{Map, Value as Json};

use super::*;

mod conditions;
mod default;
mod matching;
mod properties;
mod text;

/// A moment at which nothing in these tests has expired yet unless it says so.
const NOW: Millis = Millis(1_700_000_000_000);

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The policies of these texts, called `p0`, `p1` and so on.
fn acl(texts: &[&str]) -> Acl {
    let names: Vec<_> = (0..texts.len())
        .map(|number| format!("p{number}"))
        .collect();
    let policies: Vec<_> = texts.iter().map(|text| policy(text)).collect();
    Acl::new(names.iter().map(String::as_str).zip(&policies), NOW)
}

fn names(acl: &Acl, path: &str) -> String {
    acl.capabilities(path).names().join(" ")
}

fn request(path: &str, operation: Operation) -> Request<'_> {
    static NOTHING: LazyLock<Map<String, Json>> = LazyLock::new(Map::new);
    Request {
        path,
        operation,
        parameters: Some(&NOTHING),
        wrap_ttl: None,
        needs_sudo: false,
    }
}

fn map(text: &str) -> Map<String, Json> {
    serde_json::from_str(text).expect("a JSON object")
}

/// Whether a write of this body to `a` is permitted.
fn writes(acl: &Acl, body: &str) -> bool {
    let body = map(body);
    let request = Request {
        parameters: Some(&body),
        ..request("a", Operation::Update)
    };
    acl.authorise(&request).permitted
}

fn wraps(acl: &Acl, seconds: Option<u64>) -> bool {
    let request = Request {
        wrap_ttl: seconds.map(Duration::from_secs),
        ..request("a", Operation::Read)
    };
    acl.authorise(&request).permitted
}
