//! Values that parameters of a request are compared with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};
use serde_json::{Map, Value as Json};

/// Parameters by their names in lower case; no values stands for any value.
pub(super) type Parameters = BTreeMap<String, BTreeSet<Value>>;

/// One value that a parameter may or may not have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Value {
    /// Text; with more than one character, `*` at its beginning or end stands for anything.
    Text(String),
    /// A whole number.
    Number(i64),
    /// True or false.
    Bool(bool),
}

impl Value {
    fn matches(&self, given: &Json) -> bool {
        match (self, given) {
            (Self::Text(wanted), Json::String(given)) => matches_text(wanted, given),
            (Self::Number(wanted), Json::Number(given)) => is_number(*wanted, given),
            (Self::Bool(wanted), Json::Bool(given)) => wanted == given,
            _ => false,
        }
    }
}

fn matches_text(wanted: &str, given: &str) -> bool {
    if wanted.len() < 2 {
        return wanted == given;
    }
    let open_start = wanted.strip_prefix('*');
    let open_end = wanted.strip_suffix('*');
    match (open_start, open_end) {
        (Some(rest), Some(_)) => given.contains(rest.strip_suffix('*').unwrap_or(rest)),
        (Some(end), None) => given.ends_with(end),
        (None, Some(start)) => given.starts_with(start),
        (None, None) => wanted == given,
    }
}

fn is_number(wanted: i64, given: &serde_json::Number) -> bool {
    if given.is_i64() || given.is_u64() {
        return given.as_i64() == Some(wanted);
    }
    // `1.0` and `1e0` are one. A whole number with a fraction or exponent that is too large to be
    // told from its neighbours equals all of them, which errs on the side of a rule that names it.
    #[allow(clippy::cast_precision_loss)]
    let wanted = wanted as f64;
    given.as_f64() == Some(wanted)
}

/// The name of a parameter, whatever its case: each character by itself, as OpenBao does it.
pub(super) fn lower(name: &str) -> String {
    name.chars()
        .filter_map(|character| character.to_lowercase().next())
        .collect()
}

/// Adds parameters; where one of two takes any value, both do.
pub(super) fn merge(into: &mut Parameters, more: &Parameters) {
    for (name, values) in more {
        match into.get_mut(name) {
            Some(known) if known.is_empty() || values.is_empty() => known.clear(),
            Some(known) => known.extend(values.iter().cloned()),
            None => drop(into.insert(name.clone(), values.clone())),
        }
    }
}

/// Whether no parameter has a value that is denied.
pub(super) fn none_denied(denied: &Parameters, given: &Map<String, Json>) -> bool {
    if denied.is_empty() {
        return true;
    }
    !denied.contains_key("*")
        && given
            .iter()
            .all(|(name, value)| match denied.get(&lower(name)) {
                Some(values) => !is_among(values, value),
                None => true,
            })
}

/// Whether every parameter has a value that is allowed.
pub(super) fn all_allowed(allowed: &Parameters, given: &Map<String, Json>) -> bool {
    let others = allowed.contains_key("*");
    if allowed.is_empty() || (others && allowed.len() == 1) {
        return true;
    }
    given
        .iter()
        .all(|(name, value)| match allowed.get(&lower(name)) {
            Some(values) => is_among(values, value),
            None => others,
        })
}

fn is_among(values: &BTreeSet<Value>, given: &Json) -> bool {
    values.is_empty() || values.iter().any(|value| value.matches(given))
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
            Self::Bool(bool) => bool.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl Visitor<'_> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a whole number or a boolean")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Number(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
                i64::try_from(number)
                    .map(Value::Number)
                    .map_err(|_| E::custom("a number out of bounds"))
            }

            fn visit_bool<E: serde::de::Error>(self, bool: bool) -> Result<Value, E> {
                Ok(Value::Bool(bool))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
