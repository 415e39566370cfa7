//! What a request says besides its path: headers, verb, query and body.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, Uri, request::Parts},
};
use http_body_util::BodyExt as _;
use zeroize::Zeroizing;

use super::{Failure, endpoints::Verb};
use crate::v1;

/// How long a body may take.
const BODY: Duration = Duration::from_secs(60);

pub(super) fn token(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(token) = headers.get("x-vault-token") {
        return Some(token.as_bytes());
    }
    let bearers = headers.get_all("authorization").into_iter();
    bearers
        .filter_map(|value| value.as_bytes().strip_prefix(b"Bearer "))
        .next()
}

/// Whether a header says something else than what is harmless.
fn says(headers: &HeaderMap, name: &str, harmless: &[&[u8]]) -> bool {
    let mut values = headers.get_all(name).iter();
    values.any(|value| !harmless.contains(&value.as_bytes()))
}

pub(super) fn names_namespace(headers: &HeaderMap) -> bool {
    says(
        headers,
        "x-vault-namespace",
        &[b"", b"/", b"root", b"root/"],
    )
}

/// What would change a request's meaning and is not there yet is refused, never ignored.
pub(super) fn refuse_unsupported(headers: &HeaderMap) -> Result<(), Failure> {
    if names_namespace(headers) {
        return Err(Failure::bad("namespaces are not supported"));
    }
    if says(headers, "x-vault-wrap-format", &[b"", b"token"]) {
        return Err(Failure::bad("wrapping tokens have one format"));
    }
    if says(headers, "content-encoding", &[b"", b"identity"]) {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "bodies are taken without Content-Encoding",
        ));
    }
    // No node is behind another, so each of these is kept by answering.
    if says(
        headers,
        "x-vault-inconsistent",
        &[b"", b"fail", b"forward-active-node"],
    ) {
        return Err(Failure::bad(
            "unknown value for \"X-Vault-Inconsistent\" header",
        ));
    }
    Ok(())
}

/// For how long an answer is to be wrapped, in milliseconds, if it is to be.
pub(super) fn wrap_ttl(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get("x-vault-wrap-ttl") else {
        return Ok(None);
    };
    let bad = |why| Failure::bad(format!("error parsing X-Vault-Wrap-TTL header: {why}"));
    let text = value.to_str().map_err(|_| bad("invalid duration"))?;
    if text.starts_with('-') {
        return Err(bad("requested wrap ttl cannot be negative"));
    }
    let ttl = v1::duration::read(text).ok_or_else(|| bad("invalid duration"))?;
    // The shortest time is a time, too.
    let is_zero = text.bytes().all(|byte| !(b'1'..=b'9').contains(&byte));
    Ok((!is_zero).then_some(ttl.max(1)))
}

pub(super) fn verb(parts: &Parts, query: &[(String, String)]) -> Result<Verb, Failure> {
    match parts.method.as_str() {
        "GET" => {
            for (name, verb) in [("list", Verb::List), ("scan", Verb::Scan)] {
                if flag(query, name)? {
                    return Ok(verb);
                }
            }
            Ok(Verb::Get)
        }
        "HEAD" => Ok(Verb::Head),
        "POST" => Ok(Verb::Post),
        "PUT" => Ok(Verb::Put),
        "PATCH" => merges(&parts.headers).map(|()| Verb::Patch),
        "DELETE" => Ok(Verb::Delete),
        "LIST" => Ok(Verb::List),
        "SCAN" => Ok(Verb::Scan),
        "OPTIONS" => Err(Failure::bad(
            "cannot handle internal-only request operation",
        )),
        _ => Err(Failure::silent(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

/// Whether a parameter of the query is set that has no other meaning than that.
pub(super) fn flag(query: &[(String, String)], name: &str) -> Result<bool, Failure> {
    let found = query.iter().find(|(known, _)| known == name);
    match found.map(|(_, value)| value.as_str()) {
        None | Some("") => Ok(false),
        Some(value) => truth(value).ok_or_else(|| Failure::silent(StatusCode::BAD_REQUEST)),
    }
}

/// Yes or no, as Go reads it.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A patch is a merge patch (RFC 7396), and says so.
fn merges(headers: &HeaderMap) -> Result<(), Failure> {
    let told = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let Some(told) = told.filter(|told| !told.is_empty()) else {
        return Err(Failure::bad("mime: no media type"));
    };
    let kind = told.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/merge-patch+json") {
        Ok(())
    } else {
        Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "PATCH requires Content-Type of application/merge-patch+json",
        ))
    }
}

pub(super) fn query(uri: &Uri) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

pub(super) fn execution(parts: &Parts, query: &[(String, String)]) -> Option<String> {
    const LONGEST: usize = 256;
    let header = parts
        .headers
        .get("x-billfold-execution")
        .and_then(|value| value.to_str().ok());
    let query = query
        .iter()
        .find(|(name, _)| name == "execution_id")
        .map(|(_, value)| value.as_str());
    header
        .or(query)
        .map(|text| text.chars().take(LONGEST).collect())
}

/// What a request says, as policies look at it: its body where it may have one, else its query. What
/// is no object says nothing, and is refused later.
pub(super) fn parameters(
    verb: Verb,
    body: &[u8],
    query: &[(String, String)],
) -> serde_json::Map<String, serde_json::Value> {
    if verb.takes_body() {
        let body: Option<serde_json::Map<_, _>> = serde_json::from_slice(body).ok();
        return body.unwrap_or_default();
    }
    let query = query.iter();
    query
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect()
}

/// Reads a body into memory that is wiped afterwards. What the network layer buffers meanwhile is
/// outside the promise (`docs/threat-model.md`).
pub(super) async fn read(body: Body, largest: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let read = tokio::time::timeout(BODY, read_slowly(body, largest)).await;
    read.unwrap_or_else(|_| {
        let told = format!("the body did not come within {} seconds", BODY.as_secs());
        Err(Failure::new(StatusCode::REQUEST_TIMEOUT, told))
    })
}

async fn read_slowly(mut body: Body, largest: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::bad("the body ended early"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > largest {
            let told = format!("the body is over {largest} bytes");
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, told));
        }
        reserve_wiping(&mut bytes, data.len());
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Makes room without leaving the bytes so far behind in memory that is given back.
fn reserve_wiping(bytes: &mut Zeroizing<Vec<u8>>, more: usize) {
    if bytes.capacity() - bytes.len() < more {
        let mut larger = Zeroizing::new(Vec::with_capacity((bytes.len() + more) * 2));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
}
