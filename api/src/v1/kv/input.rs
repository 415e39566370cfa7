//! What clients send to KV endpoints, with the freedoms that OpenBao gives them.

use billfold_core::SecretBytes;
use serde::Deserialize;

use crate::http::{
    Failure,
    json::{Object, canonical, is_object},
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
