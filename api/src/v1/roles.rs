//! `auth/token/roles/*`: roles of the token store.

use axum::http::StatusCode;
use billfold_core::event::v1::TokenRole;
use serde::Serialize;

use super::{
    failure,
    kv::input,
    shape::Envelope,
    token::{cidrs, list, listed},
};
use crate::http::{Call, Failure, Outcome, json::Object, reply::Reply};

#[derive(Serialize)]
struct Keys<'a> {
    keys: &'a [String],
}

pub(super) async fn names(call: &Call) -> Outcome {
    let found = call.wallet.token_roles(&call.caller, &call.path).await;
    let found = found.map_err(|error| failure(&error))?;
    let envelope = Envelope::of(call.caller.request, Keys { keys: &found.value });
    Ok(Reply::json(StatusCode::OK, &envelope).at(found.seq))
}

/// Older clients know some fields by other names: they say the same as the newer ones.
#[derive(Serialize)]
struct Told<'a> {
    allowed_entity_aliases: Option<()>,
    allowed_policies: &'a [String],
    allowed_policies_glob: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    bound_cidrs: &'a [String],
    disallowed_policies: &'a [String],
    disallowed_policies_glob: &'a [String],
    explicit_max_ttl: u64,
    name: &'a str,
    orphan: bool,
    path_suffix: &'a str,
    period: u64,
    renewable: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    token_bound_cidrs: &'a [String],
    token_explicit_max_ttl: u64,
    token_no_default_policy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_num_uses: Option<u32>,
    token_period: u64,
    token_type: &'static str,
}

impl<'a> Told<'a> {
    fn of(name: &'a str, role: &'a TokenRole) -> Self {
        let (period, max) = (role.period / 1000, role.explicit_max_ttl / 1000);
        Self {
            allowed_entity_aliases: None,
            allowed_policies: &role.allowed,
            allowed_policies_glob: &role.allowed_globs,
            bound_cidrs: &role.cidrs,
            disallowed_policies: &role.disallowed,
            disallowed_policies_glob: &role.disallowed_globs,
            explicit_max_ttl: max,
            name,
            orphan: role.orphan,
            path_suffix: &role.path_suffix,
            period,
            renewable: role.renewable,
            token_bound_cidrs: &role.cidrs,
            token_explicit_max_ttl: max,
            token_no_default_policy: role.no_default,
            token_num_uses: (role.uses > 0).then_some(role.uses),
            token_period: period,
            token_type: match role.always_service {
                true => "service",
                false => "default-service",
            },
        }
    }
}

pub(super) async fn read(call: &Call) -> Outcome {
    let name = name(call)?;
    let found = call.wallet.token_role(&call.caller, &call.path, name).await;
    let found = found.map_err(|error| failure(&error))?;
    let envelope = Envelope::of(call.caller.request, Told::of(name, &found.value));
    Ok(Reply::json(StatusCode::OK, &envelope).at(found.seq))
}

pub(super) async fn write(call: &Call) -> Outcome {
    let name = name(call)?;
    let change = Change::of(&Object::parse(&call.body).map_err(Failure::bad)?)?;
    let written = call
        .wallet
        .write_token_role(&call.caller, &call.path, name, |before| change.over(before))
        .await;
    let written = written.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(written.seq))
}

pub(super) async fn delete(call: &Call) -> Outcome {
    let deleted = call
        .wallet
        .delete_token_role(&call.caller, &call.path, name(call)?)
        .await;
    let deleted = deleted.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(deleted.seq))
}

/// A role's name is one segment of a path.
fn name(call: &Call) -> Result<&str, Failure> {
    let name = call.rest.as_str();
    match name.contains('/') {
        false => Ok(name),
        true => Err(Failure::new(
            StatusCode::NOT_FOUND,
            "1 error occurred:\n\t* unsupported path\n\n",
        )),
    }
}

/// What a body changes of a role: what it does not name stays as it is.
struct Change {
    allowed: Option<Vec<String>>,
    allowed_globs: Option<Vec<String>>,
    disallowed: Option<Vec<String>>,
    disallowed_globs: Option<Vec<String>>,
    orphan: Option<bool>,
    renewable: Option<bool>,
    path_suffix: Option<String>,
    explicit_max_ttl: Option<u64>,
    period: Option<u64>,
    uses: Option<u32>,
    cidrs: Option<Vec<String>>,
    no_default: Option<bool>,
    always_service: Option<bool>,
}

impl Change {
    fn of(body: &Object<'_>) -> Result<Self, Failure> {
        if listed(body, "allowed_entity_aliases")?.is_some_and(|names| !names.is_empty()) {
            return Err(Failure::bad("allowed_entity_aliases is not supported"));
        }
        let truth = |name: &str| match body.get(name) {
            None => Ok(None),
            Some(text) => input::truth(text)
                .map(Some)
                .ok_or_else(|| input::invalid(name)),
        };
        // The newer name counts.
        let span = |newer: &str, older: &str| {
            let found = body.get(newer).map(|text| (newer, text));
            match found.or_else(|| body.get(older).map(|text| (older, text))) {
                None => Ok(None),
                Some((name, text)) => input::span(text)
                    .map(Some)
                    .ok_or_else(|| input::invalid(name)),
            }
        };
        let cidrs = match cidrs(body, "token_bound_cidrs")? {
            Some(networks) => Some(networks),
            None => cidrs(body, "bound_cidrs")?,
        };
        let uses = match input::count(body, "token_num_uses")? {
            None => None,
            Some(uses) => Some(u32::try_from(uses).map_err(|_| {
                Failure::bad("error parsing role fields: 'token_num_uses' cannot be negative")
            })?),
        };
        Ok(Self {
            allowed: list(body, "allowed_policies")?,
            allowed_globs: list(body, "allowed_policies_glob")?,
            disallowed: list(body, "disallowed_policies")?,
            disallowed_globs: list(body, "disallowed_policies_glob")?,
            orphan: truth("orphan")?,
            renewable: truth("renewable")?,
            path_suffix: path_suffix(body)?,
            explicit_max_ttl: span("token_explicit_max_ttl", "explicit_max_ttl")?,
            period: span("token_period", "period")?,
            uses,
            cidrs,
            no_default: truth("token_no_default_policy")?,
            always_service: token_type(body)?,
        })
    }

    fn over(&self, before: Option<TokenRole>) -> TokenRole {
        let before = before.unwrap_or_else(|| TokenRole {
            renewable: true,
            ..TokenRole::default()
        });
        let list = |new: &Option<Vec<String>>, before| new.clone().unwrap_or(before);
        TokenRole {
            allowed: list(&self.allowed, before.allowed),
            allowed_globs: list(&self.allowed_globs, before.allowed_globs),
            disallowed: list(&self.disallowed, before.disallowed),
            disallowed_globs: list(&self.disallowed_globs, before.disallowed_globs),
            orphan: self.orphan.unwrap_or(before.orphan),
            renewable: self.renewable.unwrap_or(before.renewable),
            path_suffix: self.path_suffix.clone().unwrap_or(before.path_suffix),
            explicit_max_ttl: self.explicit_max_ttl.unwrap_or(before.explicit_max_ttl),
            period: self.period.unwrap_or(before.period),
            uses: self.uses.unwrap_or(before.uses),
            cidrs: list(&self.cidrs, before.cidrs),
            no_default: self.no_default.unwrap_or(before.no_default),
            always_service: self.always_service.unwrap_or(before.always_service),
        }
    }
}

fn path_suffix(body: &Object<'_>) -> Result<Option<String>, Failure> {
    let suffix = body.read::<String>("path_suffix");
    let suffix = suffix.map_err(|()| input::invalid("path_suffix"))?;
    let fits = |text: &str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let ends = text.starts_with(is_word) && text.ends_with(is_word);
        text.is_empty() || (ends && text.chars().all(|c| is_word(c) || "-.".contains(c)))
    };
    match suffix {
        Some(suffix) if !fits(&suffix) => Err(Failure::bad(
            "the path suffix has characters other than letters, digits and _-.",
        )),
        suffix => Ok(suffix),
    }
}

/// Whether tokens are service tokens whatever is asked for.
fn token_type(body: &Object<'_>) -> Result<Option<bool>, Failure> {
    let kind = body.read::<String>("token_type");
    match kind.map_err(|()| input::invalid("token_type"))?.as_deref() {
        None => Ok(None),
        Some("service") => Ok(Some(true)),
        Some("" | "default" | "default-service") => Ok(Some(false)),
        Some("batch" | "default-batch") => Err(Failure::bad("batch tokens are not supported")),
        Some(_) => Err(Failure::bad("invalid 'token_type' value")),
    }
}
