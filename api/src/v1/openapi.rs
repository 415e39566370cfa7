//! The OpenAPI document and the help of paths. Both are made of the table of endpoints.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use billfold_core::event::v1::MountKind;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::failure;
use crate::{
    http::{
        Call, Failure, Outcome,
        endpoints::{Access, ENGINES, ROUTES, Route, Verb},
        reply::Reply,
        truth,
    },
    wallet::{Caller, Mount, Wallet},
};

/// The document of all endpoints: with the mounts that the caller has to do with, or, if that is
/// asked for, with parameters in their place. That one is the same for everybody.
pub(super) async fn document(call: &Call) -> Outcome {
    let name = "generic_mount_paths";
    let is_generic = match call.single(name)? {
        None => false,
        Some(text) => truth(text).ok_or_else(|| super::kv::input::invalid(name))?,
    };
    if is_generic {
        let mut document = Document::default();
        ROUTES
            .iter()
            .for_each(|route| document.add(route, route.path));
        return Ok(Reply::text("application/json", document.text()));
    }
    let found = call.wallet.visible_mounts(&call.caller, &call.path).await;
    let found = found.map_err(|error| failure(&error))?;
    let reply = Reply::json(StatusCode::OK, &of_mounts(&found.value).value());
    Ok(reply.at(found.seq))
}

fn of_mounts(mounts: &[Mount]) -> Document {
    let mut document = Document::default();
    for route in ROUTES {
        match engine(route) {
            None => document.add(route, route.path),
            Some((kind, stem)) => {
                for mount in mounts.iter().filter(|mount| mount.kind == kind) {
                    let own = format!("v1/{}", mount.path.trim_end_matches('/'));
                    document.add(route, &route.path.replacen(stem, &own, 1));
                }
            }
        }
    }
    document
}

/// The engine whose mounts a route is in, and what stands for them.
fn engine(route: &Route) -> Option<(MountKind, &'static str)> {
    ENGINES
        .into_iter()
        .find(|(_, stem)| route.path.starts_with(stem))
}

#[derive(Serialize)]
struct Help {
    help: String,
    openapi: Value,
    see_also: Option<()>,
}

/// What a path says of itself to whoever has a token: nothing is told but what the endpoints are
/// for, and of mounts only to those who have to do with them.
pub(crate) async fn help(wallet: &Wallet, caller: &Caller, path: &str) -> Outcome {
    let unknown = || Failure::new(StatusCode::NOT_FOUND, "no handler for this route");
    let inside = path.strip_prefix("v1/").ok_or_else(unknown)?;
    let slashed = format!("{}/", inside.trim_end_matches('/'));
    let found = wallet.mount_of(&slashed).await;
    let mount = found.map_err(|error| failure(&error))?;
    let routes: Vec<&Route> = match &mount {
        None => ROUTES
            .iter()
            .filter(|route| engine(route).is_none() && leads(route.path, path))
            .collect(),
        Some((mount, below)) => {
            let sees = wallet
                .sees(caller, mount)
                .map_err(|error| failure(&error))?;
            let own = ENGINES.into_iter().filter(|(kind, _)| *kind == mount.kind);
            let own = own.filter(|_| sees).flat_map(|(_, stem)| {
                let below = format!("{stem}/{}", below.trim_end_matches('/'));
                ROUTES
                    .iter()
                    .filter(move |route| leads(route.path, &below))
                    .filter(move |route| route.path.starts_with(stem))
            });
            own.collect()
        }
    };
    if routes.is_empty() {
        return Err(unknown());
    }
    let mut document = Document::default();
    let mut lines = Vec::new();
    for route in routes {
        document.add(route, route.path);
        let verbs: Vec<_> = route.verbs.iter().map(|verb| verb.name()).collect();
        let described = route.endpoint.describe();
        lines.push(format!(
            "{} /{}\n    {described}",
            verbs.join(", "),
            route.path
        ));
    }
    let help = Help {
        help: lines.join("\n\n"),
        openapi: document.value(),
        see_also: None,
    };
    Ok(Reply::json(StatusCode::OK, &help))
}

/// Whether a path is one of a pattern, or a folder that has endpoints of its own below it.
fn leads(pattern: &str, path: &str) -> bool {
    /// What is told of as a whole.
    const WHOLE: [&str; 3] = ["v1/sys", "v1/auth/token", "v1/cubbyhole"];
    let path = path.trim_end_matches('/');
    let is_whole = WHOLE.contains(&path) || ENGINES.iter().any(|(_, stem)| *stem == path);
    let below = pattern.strip_prefix(path);
    if pattern == path || is_whole && below.is_some_and(|below| below.starts_with('/')) {
        return true;
    }
    // What stands for a mount is no variable of the rest.
    let stem = ENGINES.iter().find(|(_, stem)| pattern.starts_with(stem));
    let (stem, rest) = pattern
        .split_at_checked(stem.map_or(0, |(_, stem)| stem.len()))
        .unwrap_or_default();
    let inside = path.strip_prefix(stem);
    match (inside, rest.split_once('{')) {
        (Some(inside), Some((before, _))) => inside
            .strip_prefix(before)
            .is_some_and(|rest| !rest.is_empty()),
        _ => false,
    }
}

/// A document in the making.
#[derive(Default)]
struct Document {
    paths: Map<String, Value>,
    ids: BTreeSet<String>,
}

impl Document {
    /// Adds the operations of a route, at a path that begins as the route's does.
    fn add(&mut self, route: &Route, path: &str) {
        for verb in route.verbs {
            let (method, parameter) = method(*verb);
            let mut at = match path.strip_prefix("v1") {
                Some(inside) => inside.to_owned(),
                None => format!("/{path}"),
            };
            for (stem, name) in GENERIC {
                at = at.replace(stem, name);
            }
            if parameter.is_some() {
                at.push('/');
            }
            let id = self.id(route, *verb);
            let item = self
                .paths
                .entry(at.clone())
                .or_insert_with(|| item(path, &at));
            let Some(item) = item.as_object_mut() else {
                continue;
            };
            let operation = item
                .entry(method)
                .or_insert_with(|| operation(route, *verb, &id));
            let (Some(parameter), Some(operation)) = (parameter, operation.as_object_mut()) else {
                continue;
            };
            // A folder is listed and scanned by one method of HTTP: its parameter says which.
            let query = json!({
                "name": parameter, "in": "query", "description": route.endpoint.describe(),
                "schema": { "type": "string", "enum": ["true"] },
            });
            for (name, value) in [
                ("parameters", query),
                ("x-billfold-methods", verb.name().into()),
            ] {
                let list = operation.entry(name).or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut() {
                    list.push(value);
                }
            }
        }
    }

    /// A name that no other operation has.
    fn id(&mut self, route: &Route, verb: Verb) -> String {
        let mut plain = String::new();
        for letter in format!("{:?}", route.endpoint).chars() {
            if letter.is_ascii_uppercase() && !plain.is_empty() {
                plain.push('-');
            }
            plain.push(letter.to_ascii_lowercase());
        }
        plain = format!("{plain}-{}", verb.name().to_ascii_lowercase());
        let numbered = (2_u32..).map(|number| format!("{plain}-{number}"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        let free = names.find(|name| !self.ids.contains(name));
        let free = free.unwrap_or_default();
        self.ids.insert(free.clone());
        free
    }

    fn value(self) -> Value {
        json!({
            "openapi": "3.0.2",
            "info": {
                "title": "Billfold API",
                "description": "The HTTP API of Vault below /v1, and Billfold's own beside it.",
                "version": env!("CARGO_PKG_VERSION"),
                "license": { "name": env!("CARGO_PKG_LICENSE") },
            },
            "servers": [{ "url": "/v1" }],
            "security": [{ "token": [] }],
            "paths": self.paths,
            "components": {
                "schemas": {},
                "securitySchemes": {
                    "token": { "type": "apiKey", "in": "header", "name": "X-Vault-Token" },
                },
            },
        })
    }

    fn text(self) -> String {
        format!("{}\n", self.value())
    }
}

/// What stands for mounts in the table, and in the document.
const GENERIC: [(&str, &str); 2] = [
    ("{mount}", "{secret_mount_path}"),
    ("{kv1}", "{kv_v1_mount_path}"),
];

/// The method of HTTP that OpenAPI knows for a verb, and the parameter that makes it that verb.
const fn method(verb: Verb) -> (&'static str, Option<&'static str>) {
    match verb {
        Verb::Get => ("get", None),
        Verb::Head => ("head", None),
        Verb::Post => ("post", None),
        Verb::Put => ("put", None),
        Verb::Patch => ("patch", None),
        Verb::Delete => ("delete", None),
        Verb::List => ("get", Some("list")),
        Verb::Scan => ("get", Some("scan")),
    }
}

/// A path without operations.
fn item(path: &str, at: &str) -> Value {
    let mut parameters = Vec::new();
    for part in at.split('{').skip(1) {
        let name = part.split('}').next().unwrap_or_default();
        let schema = match name {
            "secret_mount_path" => json!({ "type": "string", "default": "secret" }),
            _ => json!({ "type": "string" }),
        };
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": schema,
        }));
    }
    let mut item = Map::new();
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), parameters.into());
    }
    if !path.starts_with("v1/") {
        item.insert("servers".to_owned(), json!([{ "url": "/" }]));
    }
    Value::Object(item)
}

fn operation(route: &Route, verb: Verb, id: &str) -> Value {
    let tag = match engine(route) {
        Some(_) => "secrets",
        None if route.path.starts_with("v1/auth/") => "auth",
        None if route.path.starts_with("v1/") => "system",
        None => "wallet",
    };
    let mut operation = Map::new();
    let mut tell = |name: &str, value: Value| drop(operation.insert(name.to_owned(), value));
    tell("operationId", id.into());
    tell("summary", route.endpoint.describe().into());
    tell("tags", json!([tag]));
    tell(
        "responses",
        json!({ "default": { "description": "An answer, or errors." } }),
    );
    let body = match verb {
        Verb::Post | Verb::Put => Some("application/json"),
        Verb::Patch => Some("application/merge-patch+json"),
        _ => None,
    };
    if let Some(kind) = body {
        let content = json!({ kind: { "schema": { "type": "object" } } });
        tell("requestBody", json!({ "content": content }));
    }
    if route.access == Access::Open {
        tell("security", json!([]));
        tell("x-vault-unauthenticated", true.into());
    }
    Value::Object(operation)
}

#[cfg(test)]
mod tests;
