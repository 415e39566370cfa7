//! What must differ between two servers is brought into its form, so that the form is compared.

use serde_json::{Value, json};

/// Fields that hold the second of a moment.
const MOMENTS: [&str; 4] = [
    "creation_time",
    "server_time_utc",
    "last_renewal_time",
    "start_time",
];

/// Fields that hold what no two servers draw alike, of which only length and alphabet count.
const RANDOM: [&str; 2] = ["random_bytes", "nonce"];

/// Fields that hold accessors, among others.
const ACCESSORS: [&str; 3] = ["accessor", "wrapped_accessor", "keys"];

/// Brings all values below a field into their form.
pub fn formed(field: &str, value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let value = formed(&name, value);
                // A member may be named by an accessor.
                (text_formed("", name), value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| formed(field, item)).collect(),
        Value::String(text) => Value::String(text_formed(field, text)),
        Value::Number(number) if MOMENTS.contains(&field) => {
            let is_now = number.as_u64().is_some_and(|at| at > 1_500_000_000);
            if is_now {
                json!("<second>")
            } else {
                Value::Number(number)
            }
        }
        other => other,
    }
}

/// Only the types of all values below a field; of a list, that of its first item.
pub fn shape(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, shape(value)))
            .collect(),
        Value::Array(items) => items.into_iter().take(1).map(shape).collect(),
        Value::String(_) => json!("<text>"),
        Value::Number(_) => json!("<number>"),
        Value::Bool(_) => json!("<true or false>"),
        Value::Null => Value::Null,
    }
}

fn text_formed(field: &str, text: String) -> String {
    let is_alphanumeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_time(&text) {
        return "<time>".to_owned();
    }
    if is_uuid(&text) {
        return "<uuid>".to_owned();
    }
    if let Some((kind, rest)) = text.split_once('.')
        && ["s", "b", "hvs", "hvb"].contains(&kind)
        && rest.len() >= 24
    {
        // A batch token carries its facts in itself: its length is not the same everywhere.
        return match kind {
            "s" => format!("<s. and {} characters>", rest.len()),
            _ => format!("<{kind}. and more>"),
        };
    }
    if text.len() == 24 && is_alphanumeric(&text) {
        return "<accessor>".to_owned();
    }
    if let Some((kind, rest)) = text.rsplit_once('_')
        && rest.len() == 8
        && is_hex(rest)
    {
        return format!("{kind}_<8 hex digits>");
    }
    if field.ends_with("version") && is_version(&text) {
        return "<version>".to_owned();
    }
    if field == "cluster_name" && !text.is_empty() {
        return "<name>".to_owned();
    }
    if RANDOM.contains(&field) && !text.is_empty() {
        let alphabet = if is_hex(&text) {
            "hex digits"
        } else {
            "characters"
        };
        return format!("<{} {alphabet}>", text.len());
    }
    if ACCESSORS.contains(&field) && text.len() == 32 && is_hex(&text) {
        return "<32 hex digits>".to_owned();
    }
    text
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| is_hex(part))
}

/// RFC 3339 in UTC, with or without a fraction of at most nine digits.
fn is_time(text: &str) -> bool {
    let Some(text) = text.strip_suffix('Z') else {
        return false;
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pattern = "dddd-dd-ddTdd:dd:dd";
    let fits = whole.len() == pattern.len()
        && whole.bytes().zip(pattern.bytes()).all(|(byte, expected)| {
            if expected == b'd' {
                byte.is_ascii_digit()
            } else {
                byte == expected
            }
        });
    fits && is_digits(fraction) && fraction.len() <= 9
}

/// Three numbers, perhaps with a `v` before them and a word on the build behind them.
fn is_version(text: &str) -> bool {
    let numbers = text.trim_start_matches('v');
    let numbers = numbers.split(['+', '-']).next().unwrap_or_default();
    let parts: Vec<_> = numbers.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

#[test]
fn what_must_differ_keeps_its_form() {
    for (field, text, form) in [
        ("created_time", "2026-11-22T06:22:17.737463164Z", "<time>"),
        ("created_time", "2026-11-22T06:22:17Z", "<time>"),
        (
            "created_time",
            "2026-11-22 06:22:17Z",
            "2026-11-22 06:22:17Z",
        ),
        (
            "created_time",
            "0001-01-01T00:00:00.Z",
            "0001-01-01T00:00:00.Z",
        ),
        (
            "request_id",
            "ea96823f-06ca-3e92-a95d-24b7aea3d810",
            "<uuid>",
        ),
        (
            "request_id",
            "ea96823f06ca3e92a95d24b7aea3d810",
            "ea96823f06ca3e92a95d24b7aea3d810",
        ),
        ("id", "s.1wctyFmv4ks2VKa4CGF48G7x", "<s. and 24 characters>"),
        ("id", "s.1wctyFmv4ks2", "s.1wctyFmv4ks2"),
        ("accessor", "SzxYi60RTULaZ7tzwOkqaos3", "<accessor>"),
        (
            "accessor",
            "auth_token_a99231fb",
            "auth_token_<8 hex digits>",
        ),
        ("version", "2.7.2", "<version>"),
        ("version", "2", "2"),
        ("k", "2.7.2", "2.7.2"),
        ("random_bytes", "00ff", "<4 hex digits>"),
    ] {
        assert_eq!(text_formed(field, text.to_owned()), form);
    }
    assert_eq!(formed("creation_time", json!(1_795_328_467)), "<second>");
    assert_eq!(formed("creation_time", json!(0)), 0);
    let by_accessor = formed("", json!({ "kv_5b136110": "info" }));
    assert_eq!(by_accessor, json!({ "kv_<8 hex digits>": "info" }));
    assert_eq!(
        shape(json!({ "a": [1, 2], "b": null })),
        json!({ "a": ["<number>"], "b": null })
    );
}
