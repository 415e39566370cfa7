//! The doors: HTTP in front of the use cases.
//!
//! A request goes through the same steps whatever it wants: its path is brought into one form, its
//! token is checked, its source is held to its bound, and only then is its body read.

mod compress;
mod connections;
mod describe;
#[doc(hidden)]
pub mod edge;
pub mod endpoints;
mod index;
pub(crate) mod json;
mod limit;
pub(crate) mod path;
mod phase;
pub(crate) mod reply;
mod said;
mod server;
mod tls;
mod who;

use std::{net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Response, StatusCode, Uri, request::Parts},
};
use billfold_core::{access::Need, id::CommandId, policy::Operation};
use zeroize::Zeroizing;

pub use phase::{Door, Phase};
pub(crate) use said::truth;
pub use server::{Serving, bind, serve};
pub use tls::{Files as TlsFiles, config as tls_config};

use self::{
    endpoints::{Access, Endpoint, Found, Route, Verb},
    path::Fault,
    reply::Reply,
    said::{
        execution, flag, names_namespace, parameters, query, read, refuse_unsupported, token, verb,
        wrap_ttl,
    },
    who::{Sent, authenticate, authenticate_wrapping},
};
use crate::{
    metrics, rest, v1,
    wallet::{self, Caller, Mount, Wallet},
};

/// The largest body that is read, in bytes.
const LARGEST_BODY: usize = 32 << 20;
/// How often a request is looked up anew because its mount or its policies changed meanwhile.
const AGAIN: u32 = 8;

/// The largest body that is read of somebody without a token, in bytes.
const LARGEST_OPEN_BODY: usize = 64 << 10;

/// A request whose caller is known.
pub(crate) struct Call {
    pub(crate) wallet: Arc<Wallet>,
    pub(crate) caller: Caller,
    pub(crate) endpoint: Endpoint,
    pub(crate) verb: Verb,
    /// The path without `v1/`, in its one form: what policies speak of.
    pub(crate) path: String,
    /// The token that the caller showed.
    pub(crate) token: Option<Zeroizing<String>>,
    /// What the path says behind the endpoint's own part.
    pub(crate) rest: String,
    /// The mount that the path leads into, where it leads into one.
    pub(crate) mount: Option<Mount>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// A fault of a request, before it is worded by the door that it came to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// What the client is told; it never echoes what the client sent.
    pub(crate) told: Option<String>,
    /// Whether nothing was done because what the request was looked up by has changed meanwhile.
    pub(crate) is_stale: bool,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, told: impl Into<String>) -> Self {
        Self {
            status,
            told: Some(told.into()),
            is_stale: false,
        }
    }

    pub(crate) fn bad(told: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, told)
    }

    pub(crate) const fn silent(status: StatusCode) -> Self {
        Self {
            status,
            told: None,
            is_stale: false,
        }
    }

    pub(crate) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission denied")
    }
}

pub(crate) type Outcome = Result<Reply, Failure>;

impl Call {
    /// A parameter of the query, the last one of its name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter of the query that has one reading only.
    pub(crate) fn single(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut found = self.query.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Failure::bad(format!(
                "Field validation failed: error converting input for field \"{name}\""
            ))),
            (first, None) => Ok(first.map(|(_, value)| value.as_str())),
        }
    }

    /// The command id that the client chose.
    pub(crate) fn command(&self) -> Result<Option<CommandId>, Failure> {
        let Some(text) = self.headers.get("x-billfold-command-id") else {
            return Ok(None);
        };
        let id = text.to_str().ok().and_then(|text| text.parse().ok());
        id.map(Some)
            .ok_or_else(|| Failure::bad("X-Billfold-Command-Id is not a UUID"))
    }

    /// Whether the caller may do this at the path of the call, for what puts nothing on record.
    pub(crate) async fn allowed(&self, operation: Operation) -> Result<(), Failure> {
        let need = Need::to(operation, self.path.as_str());
        match self.wallet.may(&self.caller, &need).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(v1::failure(&wallet::Error::Denied)),
            Err(error) => Err(v1::failure(&error)),
        }
    }

    pub(crate) fn mount(&self) -> Result<&Mount, Failure> {
        self.mount.as_ref().ok_or_else(no_handler)
    }
}

fn no_handler() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "no handler for this route")
}

/// Handles one request, whatever it is.
pub(crate) async fn handle(
    State(door): State<Arc<Door>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let (began, seals) = (Instant::now(), door.seals());
    let id = Wallet::new_request();
    let (parts, body) = request.into_parts();
    let is_api = parts.uri.path().starts_with("/api");
    // Who closes the wallet is to hear of it.
    let grace = match parts.uri.path() == "/v1/sys/seal" {
        true => phase::GRACE,
        false => std::time::Duration::ZERO,
    };
    let mut endpoint = None;
    let outcome = tokio::select! {
        outcome = respond(&door, from, id, &parts, body, &mut endpoint) => outcome,
        () = door.cut_off(seals, grace) => Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, phase::SEALED)),
    };
    let reply = outcome.unwrap_or_else(|failure| match is_api {
        true => rest::failed(&failure),
        false => v1::failed(&failure),
    });
    let is_text = matches!(reply.body, reply::Content::Text(..));
    let route = endpoint;
    let endpoint = endpoint.map_or_else(|| "none".to_owned(), |name: Endpoint| format!("{name:?}"));
    let status = reply.status.as_u16();
    let took = began.elapsed();
    metrics::request(&endpoint, status, took);
    // Neither path nor query: they are names (invariant 4). The log has every request; here it would
    // cost a line on each, and whoever reads the lines slowly would hold the answers up.
    tracing::debug!(request = %id, endpoint, status, micros = took.as_micros(), "answered");
    let seq = reply.seq;
    let mut response = reply.into_response();
    compress::mark(&mut response, route, is_text);
    if let (Some(seq), false, Ok(wallet)) = (seq, is_api, door.wallet()) {
        index::name(response.headers_mut(), &wallet, seq);
    }
    if let Ok(id) = id.to_string().parse() {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

async fn respond(
    door: &Door,
    from: SocketAddr,
    id: billfold_core::id::RequestId,
    parts: &Parts,
    body: Body,
    endpoint: &mut Option<Endpoint>,
) -> Outcome {
    let path = match path::clean(parts.uri.path()) {
        Ok(path) => path,
        Err(fault) => return unclean(&parts.uri, fault),
    };
    let query = query(&parts.uri);
    let verb = verb(parts, &query)?;
    let helps = verb == Verb::Get && flag(&query, "help")?;
    let fixed = endpoints::find(verb, &path);
    if let Found::Endpoint(route, _) = &fixed {
        *endpoint = Some(route.endpoint);
        let is_open = match route.access {
            Access::Open => true,
            Access::TokenUnlessSealed => door.is_closed(),
            Access::Token | Access::TokenInBody => false,
        };
        if is_open && !helps {
            if names_namespace(&parts.headers) {
                return Err(Failure::bad("operation unavailable in namespaces"));
            }
            let body = match verb.takes_body() {
                true => read(body, LARGEST_OPEN_BODY).await?,
                false => Zeroizing::default(),
            };
            return v1::open(door, route.endpoint, verb, &query, &body).await;
        }
    }
    // What is open to anybody has no other verbs, and says so to anybody.
    if fixed == Found::OtherVerb && endpoints::is_open(&path) && !helps {
        return Err(Failure::silent(StatusCode::METHOD_NOT_ALLOWED));
    }
    let wallet = door.wallet()?;
    if verb.takes_body() && path.ends_with('/') {
        return Err(Failure::bad("cannot write to a path ending in '/'"));
    }
    refuse_unsupported(&parts.headers)?;
    let wrap_ttl = wrap_ttl(&parts.headers)?;
    let mut body = Sent::Unread(body);
    let actor = match &fixed {
        Found::Endpoint(route, _) if route.endpoint.unwraps() => {
            let shown = (route, &parts.headers, &mut body);
            authenticate_wrapping(door, &wallet, from, shown).await?
        }
        _ => authenticate(door, &wallet, from, token(&parts.headers), false).await?,
    };
    index::reach(&wallet, &parts.headers).await?;
    let caller = Caller {
        actor,
        request: id,
        client: from.ip(),
        execution: execution(parts, &query),
        parameters: None,
        wrap_ttl,
    };
    if helps {
        return match v1::help(&wallet, &caller, &path).await {
            Err(failure) => Err(unless_denied(&wallet, &caller, verb, &path, failure).await),
            told => told,
        };
    }
    let (route, mount, rest) = match locate(&wallet, verb, &path, fixed.clone()).await {
        Ok(found) => found,
        Err(failure) => return Err(unless_denied(&wallet, &caller, verb, &path, failure).await),
    };
    *endpoint = Some(route.endpoint);
    if parts.headers.contains_key("x-billfold-command-id") && !route.endpoint.takes_commands() {
        return Err(Failure::bad("X-Billfold-Command-Id is not supported here"));
    }
    if wrap_ttl.is_some() && !route.path.starts_with("v1/") {
        return Err(Failure::bad("response wrapping is not supported here"));
    }
    let body = match body {
        Sent::Read(body) => body,
        Sent::Unread(body) if verb.takes_body() => read(body, LARGEST_BODY).await?,
        Sent::Unread(_) => Zeroizing::default(),
    };
    let inside = match route.endpoint {
        Endpoint::UiMount => up_to_mount(&wallet, &rest).await?,
        _ => place(verb, path.strip_prefix("v1/").unwrap_or(&path)),
    };
    let mut call = Call {
        wallet,
        caller,
        endpoint: route.endpoint,
        verb,
        path: inside,
        token: token(&parts.headers)
            .and_then(|token| std::str::from_utf8(token).ok())
            .map(|token| Zeroizing::new(token.to_owned())),
        rest,
        mount,
        query,
        headers: parts.headers.clone(),
        body,
    };
    let mut outcome = carry_out(door, &mut call, &route).await;
    for _ in 0..AGAIN {
        if !matches!(&outcome, Err(failure) if failure.is_stale) {
            break;
        }
        let ended = call.wallet.come_to_the_end().await;
        ended.map_err(|error| v1::failure(&error))?;
        let found = locate(&call.wallet, verb, &path, fixed.clone()).await;
        outcome = match found {
            Ok((route, mount, rest)) => {
                *endpoint = Some(route.endpoint);
                (call.endpoint, call.mount, call.rest) = (route.endpoint, mount, rest);
                carry_out(door, &mut call, &route).await
            }
            Err(failure) => Err(failure),
        };
    }
    // A change that is refused leaves no event of its own: this is its record.
    let is_refused = matches!(&outcome, Err(failure) if failure.status == StatusCode::FORBIDDEN);
    let changes = call.verb.changes() && !call.endpoint.asks(call.verb);
    if is_refused && (changes || call.endpoint.refuses_unseen()) {
        let recorded = call.wallet.record_refusal(&call.caller, &call.path);
        recorded.await.map_err(|error| v1::failure(&error))?;
    }
    let outcome = match (outcome, wrap_ttl) {
        (Ok(reply), Some(ttl)) if !v1::wrapping::is_wrapped(&call) => {
            v1::wrapping::wrap(&call, ttl, reply).await
        }
        (outcome, _) => outcome,
    };
    match outcome {
        Err(failure) => Err(unless_denied(&call.wallet, &call.caller, verb, &path, failure).await),
        told => told,
    }
}

/// Does what a request asks for, where its path leads by now.
async fn carry_out(door: &Door, call: &mut Call, route: &Route) -> Outcome {
    let is_v1 = route.path.starts_with("v1/");
    // What a large body says is taken apart only for policies that look at it; whether any does by
    // then is decided with the command. A question is held to them behind its own place.
    let asks = !call.verb.takes_body() || route.endpoint.asks(call.verb);
    let looks = asks || {
        let looks = call.wallet.looks_at_parameters(&call.caller);
        looks.map_err(|error| v1::failure(&error))?
    };
    call.caller.parameters = looks.then(|| match is_v1 {
        true => parameters(call.verb, &call.body, &call.query),
        // Other doors say it in other words, which no policy speaks of.
        false => serde_json::Map::new(),
    });
    match is_v1 {
        true => v1::call(door, call).await,
        false => rest::call(door, call).await,
    }
}

/// A mistake tells nothing to whoever may do nothing there: neither what is wrong with the request,
/// nor whether there is such a mount or endpoint.
async fn unless_denied(
    wallet: &Wallet,
    caller: &Caller,
    verb: Verb,
    path: &str,
    failure: Failure,
) -> Failure {
    let inside = match path.strip_prefix("v1/") {
        Some(inside) => inside,
        // What is about the wallet itself is named by its path in policies, too.
        None if path.starts_with("api/internal/") => path,
        None => return failure,
    };
    if !failure.status.is_client_error() || failure.status == StatusCode::FORBIDDEN {
        return failure;
    }
    let place = place(verb, inside);
    let mut permitted = false;
    for operation in operations(verb) {
        let need = Need {
            parameters: caller.parameters.clone(),
            ..Need::to(*operation, place.as_str())
        };
        permitted = wallet.may(caller, &need).await.unwrap_or(false);
        if permitted {
            break;
        }
    }
    // Whoever comes second with a wrapping token is told that it is none any more.
    let is_told = ["sys/internal/ui/mounts", "sys/wrapping/"];
    if permitted || is_told.iter().any(|path| inside.starts_with(path)) {
        return failure;
    }
    match wallet.record_refusal(caller, inside).await {
        Ok(()) => v1::failure(&wallet::Error::Denied),
        Err(error) => v1::failure(&error),
    }
}

/// A path as policies speak of it: that of a folder, which is listed, with its slash.
fn place(verb: Verb, path: &str) -> String {
    match verb {
        Verb::List | Verb::Scan => format!("{}/", path.trim_end_matches('/')),
        _ => path.to_owned(),
    }
}

/// The path of what clients ask before they ask for a secret, without what is behind the mount: that
/// is the secret's, and would stay on record when the secret is erased.
async fn up_to_mount(wallet: &Wallet, rest: &str) -> Result<String, Failure> {
    let found = wallet.mount_of(&format!("{rest}/")).await;
    let found = found.map_err(|error| v1::failure(&error))?;
    let mount = found.map(|(mount, _)| mount.path).unwrap_or_default();
    Ok(format!("sys/internal/ui/mounts/{mount}"))
}

/// What a verb may come to.
const fn operations(verb: Verb) -> &'static [Operation] {
    match verb {
        Verb::Get | Verb::Head => &[Operation::Read],
        Verb::Post | Verb::Put => &[Operation::Create, Operation::Update],
        Verb::Patch => &[Operation::Patch],
        Verb::Delete => &[Operation::Delete],
        Verb::List => &[Operation::List],
        Verb::Scan => &[Operation::Scan],
    }
}

/// Where a path leads, for a caller who may know which mounts there are.
async fn locate(
    wallet: &Wallet,
    verb: Verb,
    path: &str,
    fixed: Found,
) -> Result<(Route, Option<Mount>, String), Failure> {
    let unsupported = |what: &str| {
        let told = format!("1 error occurred:\n\t* unsupported {what}\n\n");
        let status = match what {
            "operation" => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::NOT_FOUND,
        };
        Failure::new(status, told)
    };
    match fixed {
        Found::Endpoint(route, rest) => return Ok((route, None, rest)),
        Found::OtherVerb => return Err(unsupported("operation")),
        Found::Nothing => {}
    }
    let Some(inside) = path.strip_prefix("v1/") else {
        return Err(Failure::silent(StatusCode::NOT_FOUND));
    };
    if inside.starts_with("sys/") || inside.starts_with("auth/token/") {
        return Err(unsupported("path"));
    }
    let slashed = format!("{inside}/");
    let inside = if inside.contains('/') {
        inside
    } else {
        &slashed
    };
    let found = wallet
        .mount_of(inside)
        .await
        .map_err(|error| v1::failure(&error))?;
    let Some((mount, below)) = found else {
        return Err(no_handler());
    };
    match endpoints::find_in_mount(mount.kind, verb, &below) {
        Found::Endpoint(route, rest) => Ok((route, Some(mount), rest)),
        // The root of a mount can be listed; to clients there is nothing else about it.
        Found::OtherVerb if below == "metadata" => Err(Failure::silent(StatusCode::NOT_FOUND)),
        Found::OtherVerb => Err(unsupported("operation")),
        Found::Nothing => Err(Failure::silent(StatusCode::NOT_FOUND)),
    }
}

fn unclean(uri: &Uri, fault: Fault) -> Outcome {
    match fault {
        Fault::Redirect(plain) => {
            let query = uri
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            Ok(Reply::redirect(format!("{plain}{query}")))
        }
        Fault::Unprintable => Err(Failure::silent(StatusCode::BAD_REQUEST)),
        Fault::Relative => Err(Failure::bad("relative paths not supported")),
        Fault::Malformed => Err(Failure::bad("the path is malformed")),
        Fault::TooLong => Err(Failure::bad("the path is too long")),
    }
}
