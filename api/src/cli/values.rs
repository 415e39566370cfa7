//! `billfold put`, `get` and `tx`: the commands that meet values.

use std::collections::BTreeMap;

use anyhow::Context as _;
use billfold::client::{Error, Reading};
use serde_json::{json, value::RawValue};
use zeroize::Zeroizing;

use super::{
    input::{self, Item, Source},
    output::{Asked, Shown},
    remote::{Session, warn},
    secrets::{Get, Put, Tx},
};

/// The members of an object that is to be written: each as JSON.
type Members = Vec<(Zeroizing<String>, Zeroizing<String>)>;

/// Writes a secret.
pub(super) async fn put(put: Put) -> anyhow::Result<()> {
    let items: Vec<Item> = put
        .items
        .iter()
        .map(|item| Item::parse(item, put.insecure_value))
        .collect::<Result<_, _>>()?;
    let piped = items.iter().filter(|item| *item.source() == Source::Stdin);
    if piped.count() > 1 {
        return Err(Error::usage("standard input can be read once: give - once").into());
    }
    let Session { client, format, .. } = put.remote.open()?;
    // First, so that nobody types a secret for a place that there is not.
    let place = client.place(&put.path).await?;
    let data = object(&gather(items).await?);
    let version = client.write(&place, data.as_bytes(), put.cas).await?;
    let mut json = json!({ "path": put.path });
    let mut shown = Vec::new();
    if let (Some(version), Some(object)) = (version, json.as_object_mut()) {
        let number = version.version.unwrap_or_default();
        object.insert("version".to_owned(), json!(number));
        object.insert("created_time".to_owned(), json!(version.created_time));
        shown = vec![
            ("version", number.to_string()),
            ("created_time", version.created_time),
        ];
    }
    let start = Shown::of(&json).row("path", &put.path);
    let shown = shown.into_iter();
    let shown = shown.fold(start, |all, (name, value)| all.row(name, value));
    shown.print(Asked {
        format,
        field: put.field.as_deref(),
        show: false,
    })
}

/// Reads a secret.
pub(super) async fn get(get: Get) -> anyhow::Result<()> {
    let Session { client, format, .. } = get.remote.open()?;
    let place = client.place(&get.path).await?;
    let answer = client.read(&place, get.version).await?;
    for warning in answer.warnings() {
        warn(&warning);
    }
    let reading = Reading::of(&place, &answer)?;
    let data = answer.data()?;
    let mut shown = match &reading.version {
        Some(version) => Shown::json(data)
            .row("path", &get.path)
            .row("version", version.version.unwrap_or_default())
            .row("created_time", &version.created_time),
        // Of the same form as with versions.
        None => Shown::json(format!("{{\"data\":{data}}}")).row("path", &get.path),
    };
    for (name, value) in &reading.members {
        shown = shown.secret(name.as_ref(), plain(value)?);
    }
    shown.print(Asked {
        format,
        field: get.field.as_deref(),
        show: get.show,
    })
}

/// Changes several secrets at once.
pub(super) async fn tx(tx: Tx) -> anyhow::Result<()> {
    let Session { client, format, .. } = tx.remote.open()?;
    let text = Source::named(&tx.file).read_text("Changes").await?;
    let changes = changes(&text)?;
    let answer = client.transact(changes.as_bytes()).await?;
    #[derive(serde::Deserialize)]
    struct Done {
        time: String,
        versions: Vec<u64>,
        sequence: u64,
    }
    let done: Done = serde_json::from_str(answer.text()?)
        .map_err(|_| Error::Malformed("it tells of no transaction"))?;
    let written: Vec<String> = done.versions.iter().map(ToString::to_string).collect();
    Shown::json(answer.text()?)
        .row("time", done.time)
        .row("sequence", done.sequence)
        .row("versions", written.join(", "))
        .print(format.plain())
}

/// The list of changes in a file.
fn changes(text: &str) -> Result<&str, Error> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File<'a> {
        #[serde(borrow)]
        changes: &'a RawValue,
    }
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    if whole.get().starts_with('[') {
        return Ok(whole.get());
    }
    // What is wrong is not told in serde's words: they repeat names.
    let file: Result<File<'_>, _> = serde_json::from_str(text);
    let file = file.map_err(|_| {
        Error::usage("the file holds {\"changes\":[...]} and nothing else, or the list alone")
    })?;
    Ok(file.changes.get())
}

async fn gather(items: Vec<Item>) -> anyhow::Result<Members> {
    let mut members = Members::new();
    for item in items {
        match item {
            Item::Pair(key, source) => {
                let value = source.read_text(&format!("{key} (not shown)")).await;
                let value = value.with_context(|| "a value")?;
                add(&mut members, Zeroizing::new(key), quoted(&value)?)?;
            }
            Item::Object(source) => {
                let text = input::text(source.read("").await?)?;
                let read: BTreeMap<String, &RawValue> =
                    serde_json::from_str(&text).map_err(|error| not_an_object(&error))?;
                for (key, value) in read {
                    let value = Zeroizing::new(value.get().to_owned());
                    add(&mut members, Zeroizing::new(key), value)?;
                }
            }
        }
    }
    Ok(members)
}

fn add(
    members: &mut Members,
    key: Zeroizing<String>,
    value: Zeroizing<String>,
) -> Result<(), Error> {
    if members.iter().any(|(known, _)| *known == key) {
        return Err(Error::usage("a key is given twice"));
    }
    members.push((key, value));
    Ok(())
}

/// The JSON of an object, made in place.
fn object(members: &Members) -> Zeroizing<String> {
    let room = members
        .iter()
        .map(|(key, value)| 6 * key.len() + value.len() + 8);
    let mut out = Zeroizing::new(String::with_capacity(2 + room.sum::<usize>()));
    out.push('{');
    for (at, (key, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if let Ok(key) = quoted(key) {
            out.push_str(&key);
        }
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

/// A text as JSON, made in place: a character takes six at most.
fn quoted(text: &str) -> Result<Zeroizing<String>, Error> {
    let mut out = Zeroizing::new(Vec::with_capacity(6 * text.len() + 2));
    serde_json::to_writer(&mut *out, text).map_err(|error| not_json(&error))?;
    input::text(out)
}

/// A value as it is told alone: a text as it is, anything else as JSON.
fn plain(value: &RawValue) -> Result<Zeroizing<String>, Error> {
    if !value.get().starts_with('"') {
        return Ok(Zeroizing::new(value.get().to_owned()));
    }
    let text = serde_json::from_str(value.get()).map(Zeroizing::new);
    text.map_err(|_| Error::Malformed("a value is no text"))
}

/// Where JSON is wrong, without what stands there.
fn not_json(error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    Error::usage(format!("it is not JSON: line {line}, column {column}"))
}

fn not_an_object(error: &serde_json::Error) -> Error {
    match error.classify() {
        serde_json::error::Category::Data => {
            Error::usage("it is JSON, but not an object: {\"key\":\"value\"}")
        }
        _ => not_json(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_one_object_with_every_digit() {
        let mut members = Members::new();
        let own = |text: &str| Zeroizing::new(text.to_owned());
        add(&mut members, own("b\""), own("1.10")).unwrap();
        add(&mut members, own("a"), quoted("l\n\u{1}é\"").unwrap()).unwrap();
        assert_eq!(
            object(&members).as_str(),
            r#"{"b\"":1.10,"a":"l\n\u0001é\""}"#
        );
        let twice = add(&mut members, own("a"), own("canary")).unwrap_err();
        assert!(!twice.to_string().contains("canary"));
        assert_eq!(object(&Members::new()).as_str(), "{}");
    }

    #[test]
    fn a_file_of_changes_has_two_forms() {
        for text in [r#" {"changes":[1, 2]} "#, " [1, 2]\n"] {
            assert_eq!(changes(text).unwrap(), "[1, 2]");
        }
        for bad in [
            "",
            "canary",
            r#"{"canary":[]}"#,
            r#"{"changes":[],"canary":1}"#,
            "[canary]",
        ] {
            let told = changes(bad).unwrap_err().to_string();
            assert!(!told.contains("canary"), "{told}");
        }
    }

    #[test]
    fn a_text_is_told_as_it_is_and_all_else_as_json() {
        for (json, text) in [
            (r#""a\nb\u00e9""#, "a\nbé"),
            ("1.10", "1.10"),
            (r#"{"a":1}"#, r#"{"a":1}"#),
            ("null", "null"),
        ] {
            let value: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(plain(value).unwrap().as_str(), text);
        }
    }
}
