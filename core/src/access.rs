//! Who may do what: a token stands or it does not, and its policies permit or they do not.
//!
//! All of it follows from the state at one place in the log, so that whoever decides, judges or
//! replays comes to the same answer (invariant 3).

use std::time::Duration;

use crate::{
    Millis,
    event::{
        Actor, CiphertextHash,
        v1::{MountKind, Operation as Asked},
    },
    id::{MountId, RecordId, TokenId},
    policy::{Acl, Engine as _, Operation, ROOT, Request},
    state::{Source, State, Token},
};

/// How many tokens may stand above one another: each was made with the one above it.
pub const DEEPEST: usize = 64;

/// What a request wants to do at a path of the API.
#[derive(Clone, PartialEq)]
pub struct Need {
    /// The path without `v1/`, like `secret/data/app`.
    pub path: String,
    /// What is to be done there.
    pub action: Wanted,
    /// The body's fields and those of the query, if a policy may look at them.
    pub parameters: Option<serde_json::Map<String, serde_json::Value>>,
    /// Whether the path is one of those that only root may use without `sudo`.
    pub sudo: bool,
    /// For how long the answer is to be wrapped, in milliseconds, if it is to be.
    pub wrap_ttl: Option<u64>,
    /// The mount that the path leads into, and the hash of the names by which it does.
    pub mount: Option<(MountId, CiphertextHash)>,
}

impl std::fmt::Debug for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Need({:?})", self.action)
    }
}

/// What is to be done at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Wanted {
    /// This.
    Is(Operation),
    /// What any token that stands may.
    Anything,
    /// To write a secret: making it and changing it are two operations, and the state says which. One
    /// of which there is metadata alone is changed.
    Write(RecordId),
    /// To write the metadata of a secret, likewise.
    Describe(RecordId),
    /// To put something into a token's cubbyhole, likewise.
    Keep(TokenId, RecordId),
}

impl Need {
    /// To do this at a path.
    #[must_use]
    pub fn to(operation: Operation, path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            action: Wanted::Is(operation),
            parameters: None,
            sudo: false,
            wrap_ttl: None,
            mount: None,
        }
    }
}

/// What a request for this needs, given the mount that it leads into and the path in it; for what is
/// in no mount, the path of the API. None when that is not known.
#[must_use]
pub fn need_of(asked: Asked, mount: Option<(MountKind, &str)>, path: Option<&str>) -> Option<Need> {
    let (operation, place) = match asked {
        Asked::ReadData | Asked::RestoreData => (Operation::Read, "data/"),
        Asked::ReadSubkeys => (Operation::Read, "subkeys/"),
        Asked::ReadMetadata => (Operation::Read, "metadata/"),
        Asked::PatchData => (Operation::Patch, "data/"),
        Asked::PatchMetadata => (Operation::Patch, "metadata/"),
        Asked::List => (Operation::List, "metadata/"),
        Asked::Scan => (Operation::Scan, "metadata/"),
        Asked::ListDetails => (Operation::List, "detailed-metadata/"),
        Asked::ScanDetails => (Operation::Scan, "detailed-metadata/"),
        Asked::ReadSettings => {
            let (_, mount) = mount?;
            return Some(Need::to(Operation::Read, format!("{mount}config")));
        }
        Asked::ListCredentials => {
            let (_, mount) = mount?;
            return Some(Need::to(Operation::Scan, format!("{mount}metadata/")));
        }
        Asked::ReadMounts => return Some(Need::to(Operation::Read, "sys/mounts")),
        Asked::ReadAudit => {
            return Some(Need::to(Operation::Read, "api/internal/secret-audit"));
        }
        Asked::Refused => return Some(Need::to(Operation::Update, path?)),
        Asked::ReadSystem | Asked::ReadCubbyhole => return Some(system(Operation::Read, path?)),
        Asked::ListSystem | Asked::ListCubbyhole => return Some(system(Operation::List, path?)),
        Asked::AskSystem => return Some(system(Operation::Update, path?)),
    };
    let (kind, mount) = mount?;
    let place = match kind {
        MountKind::KvV2 => place,
        MountKind::KvV1 => "",
    };
    Some(Need::to(operation, format!("{mount}{place}{}", path?)))
}

const fn create_or_update(exists: bool) -> Operation {
    if exists {
        Operation::Update
    } else {
        Operation::Create
    }
}

/// What it takes to read something of the wallet itself.
fn system(operation: Operation, path: &str) -> Need {
    let need = Need::to(operation, path);
    match path {
        // It shows what the caller has access to, and nothing else.
        path if path.starts_with("sys/internal/ui/mounts") => Need {
            action: Wanted::Anything,
            ..need
        },
        "sys/internal/specs/openapi" => Need {
            action: Wanted::Anything,
            ..need
        },
        "auth/token/accessors/" | "sys/audit" | "api/internal/wallet/rotate-checkpoint-key" => {
            Need { sudo: true, ..need }
        }
        _ => need,
    }
}

/// Whether the path of a need still leads where it led: its mount may have been moved or removed
/// since, and another one stand there.
///
/// # Errors
/// When the state cannot be read.
pub fn leads_there<S: Source>(state: &State<S>, need: &Need) -> Result<bool, S::Error> {
    let Some((id, names)) = need.mount else {
        return Ok(true);
    };
    let mount = state.mount(&id)?;
    Ok(mount.is_some_and(|mount| mount.names.hash == names))
}

/// What the policies of an actor say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Permission {
    /// Whether the request may go on.
    pub permitted: bool,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// How many names a listing may show at most.
    pub page: Option<u32>,
}

/// The token, if it stands at this time: it has not ended, and neither has one above it.
///
/// # Errors
/// When the state cannot be read.
pub fn standing<S: Source>(
    state: &State<S>,
    id: &TokenId,
    time: Millis,
) -> Result<Option<Token>, S::Error> {
    let Some(token) = state.token(id)? else {
        return Ok(None);
    };
    let mut above = token.clone();
    for _ in 0..=DEEPEST {
        if above.has_ended(time) {
            return Ok(None);
        }
        let Some(parent) = above.parent else {
            return Ok(Some(token));
        };
        if is_root(state, &parent)? {
            return Ok(Some(token));
        }
        match state.token(&parent)? {
            // It went without those below it.
            Some(parent) if parent.leaves_orphans => return Ok(Some(token)),
            Some(parent) => above = parent,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// How many tokens stand above this one.
pub(crate) fn depth<S: Source>(state: &State<S>, id: &TokenId) -> Result<usize, S::Error> {
    let (mut depth, mut above) = (0, *id);
    while let Some(Token {
        parent: Some(parent),
        ..
    }) = state.token(&above)?
    {
        depth += 1;
        above = parent;
        if depth > DEEPEST {
            break;
        }
    }
    Ok(depth)
}

/// Whether this is the token that the wallet began with.
///
/// # Errors
/// When the state cannot be read.
pub fn is_root<S: Source>(state: &State<S>, id: &TokenId) -> Result<bool, S::Error> {
    Ok(state
        .wallet()?
        .is_some_and(|wallet| wallet.root_token == *id))
}

/// The names of the policies that an actor has; none for one whose token does not stand.
///
/// # Errors
/// When the state cannot be read.
pub fn policies_of<S: Source>(
    state: &State<S>,
    actor: &Actor,
    time: Millis,
) -> Result<Option<Vec<String>>, S::Error> {
    let Actor::Principal(principal, id) = actor else {
        return Ok(None);
    };
    if let Some(wallet) = state.wallet()?
        && wallet.root_token == *id
    {
        return Ok((wallet.root == *principal).then(|| vec![ROOT.to_owned()]));
    }
    let token = standing(state, id, time)?.filter(|token| token.principal == *principal);
    Ok(token.map(|token| token.policies))
}

/// What an actor's policies come to; none for one whose token does not stand.
///
/// # Errors
/// When the state cannot be read.
pub fn acl_of<S: Source>(
    state: &State<S>,
    actor: &Actor,
    time: Millis,
) -> Result<Option<Acl>, S::Error> {
    let Some(names) = policies_of(state, actor, time)? else {
        return Ok(None);
    };
    if names.iter().any(|name| name == ROOT) {
        return Ok(Some(Acl::root()));
    }
    let policies = state.policies()?;
    let known = names.iter().filter_map(|name| policies.get_key_value(name));
    let known = known
        .filter(|(_, stored)| !stored.has_ended(time))
        .map(|(name, stored)| (name.as_str(), &stored.policy));
    Ok(Some(Acl::new(known, time)))
}

/// Whether an actor has anything to do with a mount: something is granted to it there, or on what
/// the mount is in.
///
/// # Errors
/// When the state cannot be read.
pub fn sees<S: Source>(
    state: &State<S>,
    actor: &Actor,
    time: Millis,
    mount: &str,
) -> Result<bool, S::Error> {
    let acl = acl_of(state, actor, time)?;
    Ok(acl.is_some_and(|acl| acl.reaches(mount)))
}

/// Whether any of an actor's policies looks at what a request says.
///
/// # Errors
/// When the state cannot be read.
pub fn looks_at_parameters<S: Source>(
    state: &State<S>,
    actor: &Actor,
    time: Millis,
) -> Result<bool, S::Error> {
    let Some(names) = policies_of(state, actor, time)? else {
        return Ok(false);
    };
    let policies = state.policies()?;
    let stored = names.iter().filter_map(|name| policies.get(name));
    let stored = stored.filter(|stored| !stored.has_ended(time));
    let mut rules = stored.flat_map(|stored| stored.policy.rules());
    Ok(rules.any(|rule| rule.conditions.is_some()))
}

/// Whether an actor may do this.
///
/// # Errors
/// When the state cannot be read.
pub fn permission<S: Source>(
    state: &State<S>,
    actor: &Actor,
    time: Millis,
    need: &Need,
) -> Result<Permission, S::Error> {
    match acl_of(state, actor, time)? {
        Some(acl) => permitted_by(&acl, state, need),
        None => Ok(Permission::default()),
    }
}

/// Whether whoever has this list may do this.
///
/// # Errors
/// When the state cannot be read.
pub fn permitted_by<S: Source>(
    acl: &Acl,
    state: &State<S>,
    need: &Need,
) -> Result<Permission, S::Error> {
    let operation = match need.action {
        Wanted::Anything => {
            return Ok(Permission {
                permitted: true,
                ..Permission::default()
            });
        }
        Wanted::Is(operation) => operation,
        Wanted::Write(id) | Wanted::Describe(id) => create_or_update(state.record(&id)?.is_some()),
        Wanted::Keep(token, id) => create_or_update(state.cubbyhole(&token)?.entry(&id).is_some()),
    };
    let decision = acl.authorise(&Request {
        path: &need.path,
        operation,
        parameters: need.parameters.as_ref(),
        wrap_ttl: need.wrap_ttl.map(Duration::from_millis),
        needs_sudo: need.sudo,
    });
    Ok(Permission {
        permitted: decision.permitted,
        page: decision.page,
        policies: decision
            .policies
            .iter()
            .map(|name| (*name).to_owned())
            .collect(),
    })
}
