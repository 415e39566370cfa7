//! JSON bodies: bounded, never echoed, and kept as they were written.
//!
//! A secret's JSON is brought into one form (keys in order, each once, no spaces) without becoming
//! a tree of values: numbers keep every digit, and no part of it is copied to where it would not be
//! wiped.

use std::collections::BTreeMap;

use billfold_core::SecretBytes;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// How deep a value may nest.
const DEPTH: usize = 100;

/// What is told about a body that is not the JSON object that belongs there.
pub(crate) const MALFORMED: &str = "failed to decode JSON input";
/// What is told about a body that nests too deeply.
pub(crate) const TOO_DEEP: &str = "failed to decode JSON input: it nests too deeply";

/// The members of a JSON object, unread.
#[derive(Debug, Default)]
pub(crate) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Reads a body; an empty one and `null` are an object without members.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, &'static str> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        if depth(body) > DEPTH {
            return Err(TOO_DEEP);
        }
        let members: Option<BTreeMap<String, &RawValue>> =
            serde_json::from_slice(body).map_err(|_| MALFORMED)?;
        Ok(Self(members.unwrap_or_default()))
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A member's text.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|raw| raw.get())
    }

    /// A member as a type of its own; none when it is absent or null.
    pub(crate) fn read<T: serde::Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, ()> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => serde_json::from_str(text).map_err(|_| ()),
        }
    }

    /// Whether there is a member that is none of these.
    pub(crate) fn has_others(&self, known: &[&str]) -> Vec<&str> {
        self.0
            .keys()
            .map(String::as_str)
            .filter(|name| !known.contains(name))
            .collect()
    }
}

/// A JSON value in its one form.
pub(crate) fn canonical(text: &str) -> Result<SecretBytes, &'static str> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    write(text, &mut out).map_err(|_| MALFORMED)?;
    Ok(SecretBytes::new(out))
}

/// A JSON text with a merge patch applied (RFC 7396), in its one form.
pub(crate) fn merged(target: &str, patch: &str) -> Result<SecretBytes, &'static str> {
    let mut out = Zeroizing::new(Vec::with_capacity(target.len() + patch.len()));
    merge(target, patch, &mut out).map_err(|_| MALFORMED)?;
    Ok(SecretBytes::new(out))
}

/// The names in a JSON object, with `null` for every value that is no object, or that is `depth`
/// levels down; 0 is any depth.
pub(crate) fn subkeys(text: &str, depth: i64) -> Result<SecretBytes, &'static str> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    write_subkeys(text, (depth != 0).then_some(depth), &mut out).map_err(|_| MALFORMED)?;
    Ok(SecretBytes::new(out))
}

/// Whether a JSON text is an object.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// The depth was bounded before, so this ends soon.
fn write(text: &str, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => object(members(text)?, out, |_, text, out| write(text, out))?,
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push(b'[');
            for (at, element) in elements.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(element.get(), out)?;
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(text.trim().as_bytes()),
    }
    Ok(())
}

/// Writes an object; `value` writes each member's.
fn object<'a>(
    members: impl IntoIterator<Item = (String, &'a str)>,
    out: &mut Vec<u8>,
    mut value: impl FnMut(&str, &'a str, &mut Vec<u8>) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    out.push(b'{');
    for (at, (name, text)) in members.into_iter().enumerate() {
        // Names of members can be as secret as their values.
        let name = Zeroizing::new(name);
        if at > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, name.as_str())?;
        out.push(b':');
        value(&name, text, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn members(text: &str) -> serde_json::Result<BTreeMap<String, &str>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    let texts = members.into_iter().map(|(name, raw)| (name, raw.get()));
    Ok(texts.collect())
}

/// The depth of both was bounded before, so this ends soon.
fn merge(target: &str, patch: &str, out: &mut Vec<u8>) -> serde_json::Result<()> {
    if !is_object(patch) {
        return write(patch, out);
    }
    let before = match is_object(target) {
        true => members(target)?,
        false => BTreeMap::new(),
    };
    let patches = members(patch)?;
    let mut after = before.clone();
    for (name, text) in &patches {
        if text.trim() == "null" {
            after.remove(name);
        } else {
            after.insert(name.clone(), text);
        }
    }
    object(after, out, |name, text, out| match patches.get(name) {
        Some(patch) => merge(before.get(name).copied().unwrap_or("null"), patch, out),
        None => write(text, out),
    })
}

fn write_subkeys(text: &str, depth: Option<i64>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    if !is_object(text) {
        // A secret can be null as a whole: it has no names.
        out.extend_from_slice(b"null");
        return Ok(());
    }
    object(members(text)?, out, |_, text, out| {
        let below = depth.map(|depth| depth - 1);
        let goes_on = is_object(text) && below.is_none_or(|below| below > 0);
        if goes_on && !members(text)?.is_empty() {
            write_subkeys(text, below, out)
        } else {
            out.extend_from_slice(b"null");
            Ok(())
        }
    })
}

/// How deep brackets nest outside strings.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        String::from_utf8(canonical(text).unwrap().expose().to_vec()).unwrap()
    }

    #[test]
    fn one_form_for_one_value() {
        assert_eq!(
            form(r#" { "b" : 1.10, "a" : [ 1 , {"x":null} ] , "b" : 2 } "#),
            r#"{"a":[1,{"x":null}],"b":2}"#
        );
        assert_eq!(form("12345678901234567890"), "12345678901234567890");
        assert_eq!(form(r#""a b""#), r#""a b""#);
        assert_eq!(form(r#"{"\u0061\n":1}"#), r#"{"a\n":1}"#);
    }

    #[test]
    fn the_examples_of_rfc_7396() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let merged = merged(target, patch).unwrap();
            assert_eq!(merged.expose(), result.as_bytes(), "{target} {patch}");
        }
    }

    #[test]
    fn names_without_values() {
        let text = r#"{"x":1,"n":{"p":{"q":{}},"r":[1,{"a":2}]},"e":{},"z":null}"#;
        for (depth, names) in [
            (
                0,
                r#"{"e":null,"n":{"p":{"q":null},"r":null},"x":null,"z":null}"#,
            ),
            (1, r#"{"e":null,"n":null,"x":null,"z":null}"#),
            (2, r#"{"e":null,"n":{"p":null,"r":null},"x":null,"z":null}"#),
            (-1, r#"{"e":null,"n":null,"x":null,"z":null}"#),
        ] {
            assert_eq!(subkeys(text, depth).unwrap().expose(), names.as_bytes());
        }
        assert_eq!(subkeys("null", 0).unwrap().expose(), b"null");
    }

    #[test]
    fn inv12_bad_bodies_are_refused() {
        for bad in [
            "[]",
            "1",
            "{",
            r#"{"a":01}"#,
            r#"{"a":1} x"#,
            r#"{"a":1}{"#,
            "{'a':1}",
            "\u{feff}{}",
        ] {
            assert_eq!(
                Object::parse(bad.as_bytes()).unwrap_err(),
                MALFORMED,
                "{bad}"
            );
        }
        assert_eq!(Object::parse(b"{\"a\":\"\xff\"}").unwrap_err(), MALFORMED);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(Object::parse(deep.as_bytes()).unwrap_err(), TOO_DEEP);
        let brackets_in_a_string = format!("{{\"a\":\"{}\"}}", "[".repeat(200));
        assert!(Object::parse(brackets_in_a_string.as_bytes()).is_ok());
        assert!(Object::parse(b" ").is_ok());
        assert!(Object::parse(b"null").is_ok());
    }
}
