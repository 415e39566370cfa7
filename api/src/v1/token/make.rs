//! Making tokens: `auth/token/create`, by oneself or by a role.

use std::collections::BTreeMap;

use billfold_core::{command::TokenWish, decide::LONGEST, names::TokenNames};

use super::{granted, shown::Auth};
use crate::{
    http::{Call, Failure, Outcome, endpoints::Endpoint, json::Object},
    v1::{duration, failure, kv::input, shape::ignored},
};

pub(in crate::v1) async fn create(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let is_orphan = call.endpoint == Endpoint::TokenCreateOrphan;
    let (names, mut wish) = wished(&body, is_orphan)?;
    let mut path = call.path.clone();
    let mut role = None;
    if call.endpoint == Endpoint::TokenCreateByRole {
        let known = call.wallet.known_role(&call.rest);
        role = known.map_err(|error| failure(&error))?;
        let suffix = role.as_ref().map(|role| role.path_suffix.as_str());
        if let Some(suffix) = suffix.filter(|suffix| !suffix.is_empty()) {
            path = format!("{path}/{suffix}");
        }
        wish.role = Some(call.rest.clone());
    }
    let names = TokenNames { path, ..names };
    let asked = match wish.ttl {
        0 => LONGEST,
        ttl => ttl,
    };
    let is_periodic = wish.period > 0 || role.is_some_and(|role| role.period > 0);
    let made = call
        .wallet
        .create_token(&call.caller, &call.path, names, wish)
        .await;
    let made = made.map_err(|error| failure(&error))?;
    let facts = &made.value.facts;
    let token = facts.token.as_ref();
    let bounded = token.filter(|token| token.expires.is_some() && !is_periodic);
    let capped = bounded.and_then(|token| capped(asked, token.ttl));
    let missing = call.wallet.missing_policies(&facts.policies);
    let missing = missing.map_err(|error| failure(&error))?;
    let missing = missing
        .iter()
        .map(|name| format!("Policy \"{name}\" does not exist"));
    let unknown = ignored(body.has_others(KNOWN).len());
    let warnings = capped.into_iter().chain(unknown.into_iter().flatten());
    let warnings = warnings.chain(missing).collect();
    let auth = Auth::of(facts, &made.value.secret);
    Ok(granted(call, auth, warnings).at(made.seq))
}

/// The fields of a body that makes a token.
const KNOWN: &[&str] = &[
    "id",
    "policies",
    "meta",
    "no_parent",
    "no_default_policy",
    "renewable",
    "lease",
    "ttl",
    "type",
    "explicit_max_ttl",
    "display_name",
    "num_uses",
    "period",
    "entity_alias",
    "bound_cidrs",
];

/// The warning about a token that does not last as long as was asked for, in milliseconds.
pub(super) fn capped(asked: u64, granted: u64) -> Option<String> {
    (asked / 1000 > granted / 1000).then(|| {
        let (asked, granted) = (duration::short(asked), duration::short(granted));
        format!(
            "TTL of \"{asked}\" exceeded the effective max_ttl of \"{granted}\"; TTL value is capped \
             accordingly"
        )
    })
}

/// What a body wishes for.
fn wished(body: &Object<'_>, is_orphan: bool) -> Result<(TokenNames, TokenWish), Failure> {
    for name in ["id", "entity_alias"] {
        if !matches!(body.get(name), None | Some("null" | "\"\"")) {
            return Err(Failure::bad(format!("{name} is not supported")));
        }
    }
    match text(body, "type")?.as_deref() {
        None | Some("" | "service" | "default-service" | "default") => {}
        Some("batch") => return Err(Failure::bad("batch tokens are not supported")),
        Some(_) => return Err(Failure::bad("invalid 'token_type' value")),
    }
    let display = match text(body, "display_name")? {
        Some(name) if !name.is_empty() => format!("token-{}", plain(&name)),
        _ => "token".to_owned(),
    };
    let millis = |name: &str| match body.get(name) {
        None => Ok(0),
        Some(text) => input::span(text).ok_or_else(|| input::invalid(name)),
    };
    let lease = millis("lease")?;
    let ttl = match millis("ttl")? {
        0 => lease,
        ttl => ttl,
    };
    let truth = |name: &str, usual: bool| match body.get(name) {
        None => Ok(usual),
        Some(text) => input::truth(text).ok_or_else(|| input::invalid(name)),
    };
    let uses = body
        .read::<i64>("num_uses")
        .map_err(|()| input::invalid("num_uses"))?
        .unwrap_or(0);
    let meta = body.read::<BTreeMap<String, String>>("meta");
    let names = TokenNames {
        display,
        meta: meta
            .map_err(|()| input::invalid("meta"))?
            .unwrap_or_default(),
        ..TokenNames::default()
    };
    let wish = TokenWish {
        policies: list(body, "policies")?.filter(|policies| !policies.is_empty()),
        no_default: truth("no_default_policy", false)?,
        orphan: is_orphan || truth("no_parent", false)?,
        may_orphan: is_orphan,
        ttl,
        explicit_max_ttl: millis("explicit_max_ttl")?,
        period: millis("period")?,
        renewable: truth("renewable", true)?,
        uses: u32::try_from(uses).map_err(|_| Failure::bad("number of uses cannot be negative"))?,
        cidrs: cidrs(body, "bound_cidrs")?.unwrap_or_default(),
        role: None,
    };
    Ok((names, wish))
}

/// A display name as Vault writes it: other characters than these are hyphens.
fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let text: String = name.chars().map(plain).collect();
    text.trim_end_matches('-').to_owned()
}

pub(in crate::v1) fn cidrs(body: &Object<'_>, name: &str) -> Result<Option<Vec<String>>, Failure> {
    let Some(asked) = list(body, name)? else {
        return Ok(None);
    };
    let network = |text: String| {
        let network = text.parse::<ipnet::IpNet>();
        let one = || text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
        network
            .or_else(|_| one())
            .map(|network| network.to_string())
    };
    let read: Result<Vec<_>, _> = asked.into_iter().map(network).collect();
    read.map(Some).map_err(|_| input::invalid(name))
}

pub(super) fn text(body: &Object<'_>, name: &str) -> Result<Option<String>, Failure> {
    body.read::<String>(name).map_err(|()| input::invalid(name))
}

/// A list of names, which have no capital letters.
pub(in crate::v1) fn list(body: &Object<'_>, name: &str) -> Result<Option<Vec<String>>, Failure> {
    let names = listed(body, name)?;
    Ok(names.map(|names| names.iter().map(|name| name.to_lowercase()).collect()))
}

/// A list of texts, or one text with commas.
pub(in crate::v1) fn listed(body: &Object<'_>, name: &str) -> Result<Option<Vec<String>>, Failure> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Listed {
        List(Vec<String>),
        Text(String),
    }
    let listed = body
        .read::<Listed>(name)
        .map_err(|()| input::invalid(name))?;
    let names = match listed {
        None => return Ok(None),
        Some(Listed::List(list)) => list,
        Some(Listed::Text(text)) => text.split(',').map(str::to_owned).collect(),
    };
    let names = names.iter().map(|name| name.trim().to_owned());
    Ok(Some(names.filter(|name| !name.is_empty()).collect()))
}
