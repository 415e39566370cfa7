//! JSON bodies.

use billfold::http::edge;
use serde_json::{Map, Value, value::RawValue};

use super::Choices;

const NAMES: [&str; 8] = ["a", "b", "c", "\\u0061", "é", "", "\\n", "data"];
const SCALARS: [&str; 16] = [
    "null",
    "true",
    "false",
    "0",
    "-0.0",
    "1.10",
    "1e2",
    "1e400",
    "12345678901234567890",
    "\"x\"",
    "\"\"",
    "\"\\u0000é\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "{}",
    "[]",
];
const ODD: [&str; 16] = [
    "{", "}", "[", "]", ",", ":", "\"", "\\", "01", "1.", "nul", "\u{1}", "'a'", "NaN", "\"\\x\"",
    "// x\n",
];
const SPACES: [&str; 4] = ["", " ", "\n", "\t\r "];

/// An object, seldom with something in it that is no JSON.
fn made(choices: &mut Choices<'_>) -> String {
    let mut text = String::new();
    object(choices, 0, &mut text);
    text + choices.one_of(&SPACES)
}

fn object(choices: &mut Choices<'_>, depth: usize, text: &mut String) {
    *text += "{";
    for at in 0..choices.next() % 4 {
        if at > 0 {
            *text += ",";
        }
        *text += choices.one_of(&SPACES);
        *text += &format!("\"{}\"", choices.one_of(&NAMES));
        *text += choices.one_of(&SPACES);
        *text += ":";
        value(choices, depth + 1, text);
    }
    *text += "}";
}

fn value(choices: &mut Choices<'_>, depth: usize, text: &mut String) {
    *text += choices.one_of(&SPACES);
    match choices.next() % 64 {
        0 => *text += choices.one_of(&ODD),
        1 => *text += &format!("{}{}", "[".repeat(100 - depth), "]".repeat(100 - depth)),
        2 => *text += &format!("{}{}", "[".repeat(101), "]".repeat(101)),
        3..24 if depth < 6 => object(choices, depth, text),
        24..32 if depth < 6 => {
            *text += "[";
            value(choices, depth + 1, text);
            *text += ",";
            value(choices, depth + 1, text);
            *text += "]";
        }
        _ => *text += choices.one_of(&SCALARS),
    }
}

/// A body says what another reader reads in it; the one form of a value is the value, and its own
/// form; patches and subkeys are what they are on trees of values.
pub fn json(bytes: &[u8]) -> bool {
    let text = super::text(bytes, made);
    let body = match bytes.first() {
        Some(&super::RECIPE) => text.as_bytes(),
        _ => bytes,
    };
    let theirs = serde_json::from_slice::<Option<Map<String, Value>>>(body);
    let members = match edge::members(body) {
        Ok(members) => members,
        Err(told) => {
            let too_deep = told.contains("deep");
            assert!(too_deep || theirs.is_err(), "refused without a reason");
            return false;
        }
    };
    match theirs {
        Ok(theirs) => {
            let theirs = theirs.unwrap_or_default();
            assert!(members.keys().eq(theirs.keys()), "other names");
            for (name, text) in &members {
                assert_eq!(read(text).as_ref(), theirs.get(name), "another value");
            }
        }
        // What a tree of values cannot hold is kept as it was written, as long as it is JSON.
        Err(_) => assert!(
            body.iter().all(u8::is_ascii_whitespace)
                || serde_json::from_slice::<Box<RawValue>>(body).is_ok(),
            "taken without a reason: {body:?}"
        ),
    }
    for text in members.values() {
        one_form(text);
        for patch in members.values() {
            one_patch(text, patch);
        }
    }
    true
}

fn read(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn one_form(text: &str) {
    let value = read(text);
    let Ok(form) = edge::canonical(text) else {
        assert_eq!(value, None, "a value has no form");
        return;
    };
    let form = String::from_utf8(form).expect("JSON is UTF-8");
    assert_eq!(
        edge::canonical(&form).as_deref(),
        Ok(form.as_bytes()),
        "a form of a form"
    );
    if value.is_some() {
        assert_eq!(read(&form), value, "a form changes its value");
    }
    for depth in [0, 1, 2] {
        let names = edge::subkeys(text, depth).expect("what has a form has names");
        if let Some(value) = &value {
            let expected = names_of(value, (depth > 0).then_some(depth));
            assert_eq!(serde_json::from_slice::<Value>(&names).ok(), Some(expected));
        }
    }
}

fn one_patch(target: &str, patch: &str) {
    let (Some(target_value), Some(patch_value)) = (read(target), read(patch)) else {
        return;
    };
    let merged = edge::merged(target, patch).expect("values can be merged");
    let expected = merge(target_value, &patch_value);
    assert_eq!(
        serde_json::from_slice::<Value>(&merged).ok(),
        Some(expected)
    );
    let merged = String::from_utf8(merged).expect("JSON is UTF-8");
    assert_eq!(
        edge::canonical(&merged).as_deref(),
        Ok(merged.as_bytes()),
        "no form"
    );
}

/// RFC 7396, section 2.
fn merge(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut merged = match target {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (name, value) in patch {
        let before = merged.remove(name).unwrap_or_default();
        if !value.is_null() {
            merged.insert(name.clone(), merge(before, value));
        }
    }
    Value::Object(merged)
}

fn names_of(value: &Value, depth: Option<i64>) -> Value {
    let Value::Object(members) = value else {
        return Value::Null;
    };
    let below = depth.map(|depth| depth - 1);
    let name = |(name, value): (&String, &Value)| {
        let goes_on = below.is_none_or(|below| below > 0);
        let inside = value.as_object().is_some_and(|members| !members.is_empty());
        let names = if goes_on && inside {
            names_of(value, below)
        } else {
            Value::Null
        };
        (name.clone(), names)
    };
    Value::Object(members.iter().map(name).collect())
}
