//! What the edge makes of paths and bodies, for the fuzzers: nothing else may use this.

use std::collections::BTreeMap;

use super::{
    json::{self, Object},
    path::{self, Fault},
};

/// A request's path in its one form; or the plainer form that the client is sent to, if it has one.
///
/// # Errors
/// When the path is not taken as it is.
pub fn clean(raw: &str) -> Result<String, Option<String>> {
    path::clean(raw).map_err(|fault| match fault {
        Fault::Redirect(plain) => Some(plain),
        _ => None,
    })
}

/// Whether a path that came in a body has the one form of paths.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    path::is_plain(path)
}

/// The members of a body, as they were written.
///
/// # Errors
/// When it is no JSON object, or nests too deeply.
pub fn members(body: &[u8]) -> Result<BTreeMap<String, String>, &'static str> {
    let object = Object::parse(body)?;
    let text = |name: &str| object.get(name).unwrap_or_default().to_owned();
    let names = object.has_others(&[]).into_iter();
    Ok(names.map(|name| (name.to_owned(), text(name))).collect())
}

/// A JSON value in its one form; it must nest no deeper than a body may.
///
/// # Errors
/// When it is no JSON value.
pub fn canonical(text: &str) -> Result<Vec<u8>, &'static str> {
    json::canonical(text).map(|form| form.expose().to_vec())
}

/// A JSON value with a merge patch applied; neither may nest deeper than a body may.
///
/// # Errors
/// When one of them is no JSON value.
pub fn merged(target: &str, patch: &str) -> Result<Vec<u8>, &'static str> {
    json::merged(target, patch).map(|form| form.expose().to_vec())
}

/// The names in a JSON object, down to a depth; 0 is any.
///
/// # Errors
/// When it is no JSON value.
pub fn subkeys(text: &str, depth: i64) -> Result<Vec<u8>, &'static str> {
    json::subkeys(text, depth).map(|form| form.expose().to_vec())
}
