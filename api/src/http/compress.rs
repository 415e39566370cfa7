//! Which answers go out compressed: few, and by a list (ADR 0011).
//!
//! The length of a compressed answer tells how alike its parts are. Where one part is a secret and
//! another is chosen by whoever watches the line, that is enough to find the secret out.

use axum::{body::Body, http::Response};
use tower_http::compression::{CompressionLayer, Predicate};

use super::endpoints::Endpoint;

/// The mark of an answer that may be compressed.
#[derive(Clone, Copy, Debug)]
struct Public;

impl Endpoint {
    /// Whether nothing that it tells is a secret or a name, and nothing of it is what the client
    /// sent.
    pub(crate) const fn is_public(self) -> bool {
        matches!(self, Self::OpenApi | Self::SysMetrics | Self::Metrics)
    }
}

/// Marks an answer that may be compressed: of what such an endpoint tells, only text, for JSON may
/// hold names.
pub(super) fn mark(response: &mut Response<Body>, endpoint: Option<Endpoint>, is_text: bool) {
    if is_text && endpoint.is_some_and(Endpoint::is_public) {
        response.extensions_mut().insert(Public);
    }
}

/// Compresses what is marked, for clients that take it.
pub(super) fn layer() -> CompressionLayer<OnlyPublic> {
    CompressionLayer::new().compress_when(OnlyPublic)
}

#[derive(Clone, Copy, Debug)]
pub(super) struct OnlyPublic;

impl Predicate for OnlyPublic {
    fn should_compress<B>(&self, response: &Response<B>) -> bool
    where
        B: axum::body::HttpBody,
    {
        response.extensions().get::<Public>().is_some()
    }
}
