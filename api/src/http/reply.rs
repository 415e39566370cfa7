//! Answers of both doors, before they are HTTP.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use billfold_core::id::Seq;
use bytes::Bytes;
use zeroize::Zeroizing;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Content,
    pub(crate) seq: Option<Seq>,
}

/// What an answer says. JSON may hold secrets: it is wiped once it is sent.
#[derive(Debug)]
pub(crate) enum Content {
    Nothing,
    Json(Wiped),
    /// Text that holds neither secrets nor names, so that it may be compressed (ADR 0011).
    Text(&'static str, String),
    Location(String),
}

/// Bytes that are wiped when nobody needs them any more.
pub(crate) struct Wiped(pub(crate) Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Wiped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wiped({} bytes)", self.0.len())
    }
}

impl Reply {
    pub(crate) const fn empty(status: StatusCode) -> Self {
        Self {
            status,
            body: Content::Nothing,
            seq: None,
        }
    }

    /// A JSON value and a line end, as clients are used to.
    pub(crate) fn json<T: serde::Serialize>(status: StatusCode, value: &T) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        // Our answers are plain structs: they serialise, and writing to memory does not fail.
        let written = serde_json::to_writer(&mut *bytes, value);
        debug_assert!(written.is_ok());
        bytes.push(b'\n');
        Self {
            status,
            body: Content::Json(Wiped(bytes)),
            seq: None,
        }
    }

    pub(crate) const fn text(kind: &'static str, text: String) -> Self {
        Self {
            status: StatusCode::OK,
            body: Content::Text(kind, text),
            seq: None,
        }
    }

    pub(crate) const fn redirect(to: String) -> Self {
        Self {
            status: StatusCode::TEMPORARY_REDIRECT,
            body: Content::Location(to),
            seq: None,
        }
    }

    /// Names the sequence that the answer comes of.
    pub(crate) const fn at(mut self, seq: Seq) -> Self {
        self.seq = Some(seq);
        self
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let kind = match &self.body {
            Content::Text(kind, _) => kind,
            _ => "application/json",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(seq) = self.seq {
            headers.insert("x-billfold-seq", HeaderValue::from(seq.0));
        }
        match self.body {
            Content::Nothing => {}
            Content::Json(bytes) => *response.body_mut() = Body::from(Bytes::from_owner(bytes)),
            Content::Text(_, text) => *response.body_mut() = Body::from(text),
            Content::Location(to) => match HeaderValue::try_from(to) {
                Ok(to) => drop(headers.insert(header::LOCATION, to)),
                Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
            },
        }
        response
    }
}
