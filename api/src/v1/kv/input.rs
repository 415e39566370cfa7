//! What clients send to KV endpoints, with the freedoms that OpenBao gives them.

use std::collections::BTreeMap;

use billfold_core::SecretBytes;
use serde::Deserialize;

use crate::{
    http::{
        Call, Failure,
        json::{Object, canonical, is_object},
    },
    v1::duration,
    wallet::NewSettings,
};

/// A number, as a number or as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Text(String),
    Truth(bool),
    Null(()),
}

impl Number {
    /// Its value; text may be decimal, or hexadecimal, octal or binary by its prefix.
    fn value(&self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(*number),
            Self::Text(text) if text.is_empty() => Some(0),
            Self::Text(text) => integer(text),
            Self::Truth(truth) => Some(i64::from(*truth)),
            Self::Null(()) => Some(0),
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let parsed = match lower.as_bytes() {
        [b'0', b'x', ..] => i64::from_str_radix(lower.trim_start_matches("0x"), 16),
        [b'0', b'b', ..] => i64::from_str_radix(lower.trim_start_matches("0b"), 2),
        [b'0', b'o', ..] => i64::from_str_radix(lower.trim_start_matches("0o"), 8),
        [b'0', _, ..] => i64::from_str_radix(&lower, 8),
        _ => lower.parse(),
    };
    // A second sign would have been taken by the parser.
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    parsed.ok().filter(|_| plain).map(|value| sign * value)
}

/// The version that a query asks for; none is the current one.
pub(super) fn version(parameter: Option<&str>) -> Result<Option<u32>, Failure> {
    let told = "Field validation failed: error converting input for field \"version\"";
    let Some(text) = parameter.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match integer(text) {
        None => Err(Failure::bad(told)),
        Some(..=0) => Ok(None),
        // No secret has that many versions: it is simply not there.
        Some(number) => Ok(Some(u32::try_from(number).unwrap_or(u32::MAX))),
    }
}

/// The secret and the check-and-set number of a write.
pub(super) fn data_and_cas(body: &Object<'_>) -> Result<(SecretBytes, Option<u32>), Failure> {
    let data = body
        .get("data")
        .ok_or_else(|| Failure::bad("no data provided"))?;
    if !is_object(data) && data.trim() != "null" {
        return Err(Failure::bad(
            "error converting input for field \"data\": an object is expected",
        ));
    }
    Ok((canonical(data).map_err(Failure::bad)?, cas(body)?))
}

/// The merge patch and the check-and-set number of a patch.
pub(in crate::v1) fn patch_and_cas<'a>(
    body: &Object<'a>,
) -> Result<(&'a str, Option<u32>), Failure> {
    let data = body
        .get("data")
        .filter(|data| data.trim() != "null")
        .ok_or_else(|| Failure::bad("no data provided"))?;
    if !is_object(data) {
        return Err(invalid("data"));
    }
    Ok((data, cas(body)?))
}

/// A number in a query.
pub(in crate::v1) fn number(call: &Call, name: &str) -> Result<Option<i64>, Failure> {
    match call.single(name)?.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => integer(text).map(Some).ok_or_else(|| invalid(name)),
    }
}

/// A number in a body.
pub(in crate::v1) fn count(body: &Object<'_>, name: &str) -> Result<Option<i64>, Failure> {
    let number = body.read::<Number>(name).map_err(|()| invalid(name))?;
    let value = number.map(|number| number.value().ok_or_else(|| invalid(name)));
    value.transpose()
}

/// The settings of a secret or a mount, as far as a body tells them. One that is null goes back to
/// what it is by itself.
pub(in crate::v1) fn settings(body: &Object<'_>) -> Result<NewSettings, Failure> {
    let max_versions = match body.get("max_versions") {
        None => None,
        Some(text) => {
            let number: Number = serde_json::from_str(text).map_err(|_| invalid("max_versions"))?;
            let number = number.value().and_then(|number| u32::try_from(number).ok());
            Some(number.ok_or_else(|| invalid("max_versions"))?)
        }
    };
    let delete_version_after = match body.get("delete_version_after") {
        None => None,
        Some(text) => Some(span(text).ok_or_else(|| invalid("delete_version_after"))?),
    };
    Ok(NewSettings {
        max_versions,
        cas_required: switch(body, "cas_required")?,
        delete_version_after,
        metadata_cas_required: switch(body, "metadata_cas_required")?,
    })
}

/// A truth value of a body; one that is null is false.
pub(in crate::v1) fn switch(body: &Object<'_>, name: &str) -> Result<Option<bool>, Failure> {
    let read = |text| truth(text).ok_or_else(|| invalid(name));
    body.get(name).map(read).transpose()
}

/// How often metadata must have been changed to be changed again. A number that is null is 0.
pub(in crate::v1) fn metadata_cas(body: &Object<'_>) -> Result<Option<u32>, Failure> {
    let Some(text) = body.get("metadata_cas") else {
        return Ok(None);
    };
    let number: Option<Number> = serde_json::from_str(text).ok();
    let number = number.and_then(|number| number.value());
    let number = number.ok_or_else(|| invalid("metadata_cas"))?;
    // Nothing is changed that often, so it is a plain mismatch.
    Ok(Some(u32::try_from(number).unwrap_or(u32::MAX)))
}

/// A truth value, or one as Go reads it from text.
pub(in crate::v1) fn truth(text: &str) -> Option<bool> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Plain(bool),
        Whole(i64),
        Text(String),
        Null(()),
    }
    match serde_json::from_str(text).ok()? {
        Written::Plain(truth) => Some(truth),
        Written::Whole(number) => Some(number != 0),
        Written::Null(()) => Some(false),
        Written::Text(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        },
    }
}

/// A duration in milliseconds: a number of seconds, or text.
pub(in crate::v1) fn span(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Span {
        Whole(u64),
        Text(String),
        Null(()),
    }
    match serde_json::from_str(text).ok()? {
        Span::Whole(seconds) => seconds.checked_mul(1000),
        Span::Text(text) => duration::read(&text),
        Span::Null(()) => Some(0),
    }
}

/// The custom metadata of a body. A member that is null has no value.
pub(in crate::v1) fn custom(
    body: &Object<'_>,
) -> Result<Option<BTreeMap<String, Option<String>>>, Failure> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Plain {
        Text(String),
        Truth(bool),
        Number(serde_json::Number),
        Null(()),
    }
    let Some(text) = body.get("custom_metadata").filter(|text| *text != "null") else {
        return Ok(None);
    };
    if !is_object(text) {
        return Err(invalid("custom_metadata"));
    }
    let members: BTreeMap<String, Plain> = serde_json::from_str(text)
        .map_err(|_| Failure::bad("custom_metadata validation failed: a value must be a text"))?;
    let plain = |value| match value {
        Plain::Text(text) => Some(text),
        Plain::Truth(truth) => Some(u8::from(truth).to_string()),
        Plain::Number(number) => Some(number.to_string()),
        Plain::Null(()) => None,
    };
    Ok(Some(
        members
            .into_iter()
            .map(|(key, value)| (key, plain(value)))
            .collect(),
    ))
}

pub(in crate::v1) fn invalid(field: &str) -> Failure {
    Failure::bad(format!(
        "Field validation failed: error converting input for field \"{field}\""
    ))
}

fn cas(body: &Object<'_>) -> Result<Option<u32>, Failure> {
    let options = match body.get("options") {
        None | Some("null") => return Ok(None),
        Some(options) if is_object(options) => Object::parse(options.as_bytes()),
        Some(_) => Err("error converting input for field \"options\": an object is expected"),
    };
    // A number that is null counts as 0: whoever names the parameter means "none yet".
    let Some(cas) = options.map_err(Failure::bad)?.get("cas") else {
        return Ok(None);
    };
    let told = || Failure::bad("error parsing check-and-set parameter");
    let number: Number = serde_json::from_str(cas).map_err(|_| told())?;
    let number = number.value().ok_or_else(told)?;
    // No version has such a number, so it is a plain mismatch.
    Ok(Some(u32::try_from(number).unwrap_or(u32::MAX)))
}

/// The version numbers of a body: a list, or one, or several in one text.
pub(super) fn versions(body: &Object<'_>) -> Result<Option<Vec<u32>>, Failure> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Versions {
        List(Vec<Number>),
        Text(String),
        One(Number),
    }
    let told =
        || Failure::bad("Field validation failed: error converting input for field \"versions\"");
    let numbers = match body.read::<Versions>("versions").map_err(|()| told())? {
        None => return Ok(None),
        Some(Versions::List(list)) => list.iter().map(Number::value).collect::<Option<Vec<_>>>(),
        Some(Versions::One(number)) => number.value().map(|number| vec![number]),
        Some(Versions::Text(text)) if text.is_empty() => return Ok(None),
        Some(Versions::Text(text)) => text.split(',').map(|part| integer(part.trim())).collect(),
    };
    let numbers = numbers.ok_or_else(told)?;
    // Numbers that no version can have are skipped, like versions that are not there.
    Ok(Some(
        numbers
            .into_iter()
            .map(|number| u32::try_from(number).unwrap_or(0))
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_all_forms() {
        let read = |text: &str| {
            let body = format!("{{\"versions\":{text}}}");
            versions(&Object::parse(body.as_bytes()).unwrap()).map_err(|failure| failure.status)
        };
        for (text, numbers) in [
            ("[1,2]", vec![1, 2]),
            (r#"["1","2"]"#, vec![1, 2]),
            (r#""1,2""#, vec![1, 2]),
            ("3", vec![3]),
            (r#""3""#, vec![3]),
            ("[-1]", vec![0]),
            ("[]", vec![]),
            ("[true]", vec![1]),
        ] {
            assert_eq!(read(text), Ok(Some(numbers)), "{text}");
        }
        assert_eq!(read(r#""""#), Ok(None));
        for bad in [
            r#"["abc"]"#,
            "[1.5]",
            "[99999999999999999999]",
            "[[1]]",
            r#"[{"a":1}]"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cas_in_all_forms() {
        let read = |options: &str| {
            let body = format!("{{\"data\":{{}},\"options\":{options}}}");
            let body = Object::parse(body.as_bytes()).unwrap();
            data_and_cas(&body)
                .map(|(_, cas)| cas)
                .map_err(|failure| failure.told)
        };
        assert_eq!(read("null"), Ok(None));
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read(r#"{"cas":5}"#), Ok(Some(5)));
        assert_eq!(read(r#"{"cas":"5"}"#), Ok(Some(5)));
        assert_eq!(read(r#"{"cas":-1}"#), Ok(Some(u32::MAX)));
        assert_eq!(read(r#"{"cas":null}"#), Ok(Some(0)));
        for bad in [
            r#"{"cas":"abc"}"#,
            r#"{"cas":6.5}"#,
            r#"{"cas":{}}"#,
            r#""x""#,
            "[1]",
            "[]",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_of_a_query() {
        let read = |text| version(Some(text)).map_err(|failure| failure.status);
        assert_eq!(read("2"), Ok(Some(2)));
        assert_eq!(read("0x2"), Ok(Some(2)));
        assert_eq!(read("01"), Ok(Some(1)));
        assert_eq!(read("0"), Ok(None));
        assert_eq!(read("-1"), Ok(None));
        assert_eq!(read(""), Ok(None));
        for bad in ["abc", "1.5", "--1", " 1", "18446744073709551616"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
