//! Holds two answers to one call against each other, field by field.

use billfold_tests::billfold::Reply;
use serde_json::Value;

use super::{
    form::{formed, shape},
    script::Call,
    side::Side,
};

/// The headers that clients look at.
const HEADERS: [&str; 4] = ["content-type", "cache-control", "location", "retry-after"];

/// Fields that count down, in seconds: the two servers are asked one after the other.
const COUNTING: [&str; 2] = ["ttl", "lease_duration"];
const SECONDS_BETWEEN: i64 = 5;

/// One thing that two answers do not have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `status`, `header NAME`, `body`, or a field of the JSON with dots between its names.
    pub field: String,
    pub openbao: String,
    pub billfold: String,
}

/// All differences between two answers. When the statuses differ the rest is not compared; what is wrong is told with
/// the status.
pub fn compare(
    call: &Call,
    openbao: (&Side, &Reply),
    billfold: (&Side, &Reply),
) -> Vec<Difference> {
    let (theirs, ours) = (Answer::of(call, openbao), Answer::of(call, billfold));
    let mut found = Vec::new();
    let mut note = |field: &str, openbao: String, billfold: String| {
        if openbao != billfold {
            found.push(Difference {
                field: field.to_owned(),
                openbao,
                billfold,
            });
        }
    };
    if theirs.status != ours.status {
        note("status", theirs.summary(), ours.summary());
        if ours.status >= 400 && !ours.is_error() {
            note("form", "an error".to_owned(), ours.text);
        }
        return found;
    }
    for (name, (theirs, ours)) in HEADERS.iter().zip(theirs.headers.iter().zip(&ours.headers)) {
        note(&format!("header {name}"), theirs.clone(), ours.clone());
    }
    match (&theirs.json, &ours.json) {
        // One has errors and the other has not: they have no field in common.
        (Some(one), Some(other))
            if one.get("errors").is_some() != other.get("errors").is_some() =>
        {
            note("body", kind(one), kind(other));
        }
        (Some(theirs), Some(ours)) => fields("", Some(theirs), Some(ours), &mut note),
        _ => note("body", escaped(&theirs.text), escaped(&ours.text)),
    }
    found
}

/// An answer with everything in its form.
struct Answer {
    status: u16,
    headers: Vec<String>,
    json: Option<Value>,
    text: String,
}

impl Answer {
    fn of(call: &Call, (side, reply): (&Side, &Reply)) -> Self {
        let text = side.named(&reply.text());
        let json = serde_json::from_str::<Value>(&text).ok();
        // What is no JSON has no values of which there could be types.
        let text = match json {
            None if call.is_shape && !text.is_empty() => "<text>".to_owned(),
            _ => text,
        };
        let json = json.map(|json| {
            if call.is_shape {
                shape(json)
            } else {
                formed("", json)
            }
        });
        let header = |name: &&str| side.named(reply.header(name).unwrap_or("absent"));
        Self {
            status: reply.status,
            headers: HEADERS.iter().map(header).collect(),
            json,
            text,
        }
    }

    /// The status, and the errors behind it.
    fn summary(&self) -> String {
        let errors = self
            .json
            .as_ref()
            .and_then(|json| json["errors"].as_array());
        let mut words = vec![self.status.to_string()];
        for error in errors.into_iter().flatten() {
            words.push(shown(Some(error)));
        }
        words.join(" ")
    }

    /// Whether a client finds errors, or the envelope of an answer with nothing in it, or no body at all.
    fn is_error(&self) -> bool {
        let Some(json) = &self.json else {
            return self.text.is_empty();
        };
        let errors = json["errors"].as_array();
        errors.is_some_and(|errors| errors.iter().all(Value::is_string))
            || json.get("data").is_some()
    }
}

fn fields(
    at: &str,
    openbao: Option<&Value>,
    billfold: Option<&Value>,
    note: &mut impl FnMut(&str, String, String),
) {
    let below = |name: &str| {
        if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}.{name}")
        }
    };
    match (openbao, billfold) {
        (Some(Value::Object(theirs)), Some(Value::Object(ours))) => {
            let more = ours.keys().filter(|name| !theirs.contains_key(*name));
            for name in theirs.keys().chain(more) {
                fields(&below(name), theirs.get(name), ours.get(name), note);
            }
        }
        (Some(Value::Array(theirs)), Some(Value::Array(ours))) => {
            for index in 0..theirs.len().max(ours.len()) {
                let name = below(&index.to_string());
                fields(&name, theirs.get(index), ours.get(index), note);
            }
        }
        (theirs, ours) if is_near(at, theirs, ours) => {}
        (theirs, ours) => note(at, shown(theirs), shown(ours)),
    }
}

fn is_near(at: &str, theirs: Option<&Value>, ours: Option<&Value>) -> bool {
    let name = at.rsplit('.').next().unwrap_or_default();
    let (Some(theirs), Some(ours)) = (theirs.and_then(Value::as_i64), ours.and_then(Value::as_i64))
    else {
        return false;
    };
    let both_run = theirs > 0 && ours > 0;
    COUNTING.contains(&name) && both_run && (theirs - ours).abs() <= SECONDS_BETWEEN
}

fn escaped(text: &str) -> String {
    text.replace('\n', "\\n").replace('\t', "\\t")
}

/// What an answer is, where its fields cannot be compared.
fn kind(json: &Value) -> String {
    match (json.get("errors"), json.get("warnings")) {
        (Some(errors), _) => format!("errors {errors}"),
        (None, Some(warnings)) => format!("an envelope, warnings {warnings}"),
        (None, None) => "neither errors nor an envelope".to_owned(),
    }
}

/// A text stands without quotes, unless it would read as something else.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::String(text)) => {
            let is_plain = !text.is_empty()
                && text != "absent"
                && serde_json::from_str::<Value>(text).is_err();
            if is_plain {
                escaped(text)
            } else {
                format!("{text:?}")
            }
        }
        Some(value) => value.to_string(),
    }
}

#[test]
fn fields_are_compared() {
    let of = |theirs: Value, ours: Value| {
        let mut found = Vec::new();
        fields(
            "",
            Some(&theirs),
            Some(&ours),
            &mut |at: &str, a: String, b: String| {
                if a != b {
                    found.push(format!("{at}: {a}, {b}"));
                }
            },
        );
        found
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let theirs = json(r#"{"a":{"b":[1,2],"c":null},"ttl":59,"x":"1"}"#);
    assert_eq!(of(theirs.clone(), theirs.clone()), [""; 0]);
    let ours = json(r#"{"a":{"b":[1,3,4],"c":""},"ttl":60,"x":1,"y":true}"#);
    assert_eq!(
        of(theirs.clone(), ours),
        [
            "a.b.1: 2, 3",
            "a.b.2: absent, 4",
            "a.c: null, \"\"",
            "x: \"1\", 1",
            "y: absent, true"
        ]
    );
    let late = json(r#"{"a":{"b":[1,2],"c":null},"ttl":0,"x":"1"}"#);
    assert_eq!(of(theirs, late), ["ttl: 59, 0"]);
}
