//! Every endpoint there is. The dispatcher, the tests and the docs all read this table.

use billfold_core::event::v1::MountKind;

/// What a request wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(
    missing_docs,
    reason = "these are the methods of HTTP, and LIST, which Vault's clients send"
)]
pub enum Verb {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    List,
    Scan,
}

impl Verb {
    /// As it stands in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::List => "LIST",
            Self::Scan => "SCAN",
        }
    }
}

/// Who may call an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Anybody: it tells nothing about secrets.
    Open,
    /// Only who has a valid token (invariant 10).
    Token,
    /// Only who has a valid token; anybody as long as the wallet is closed, when it does nothing.
    TokenUnlessSealed,
    /// Only who has a valid token, which may stand in the body: it is what is asked about.
    TokenInBody,
}

/// What an endpoint does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs, reason = "each is one endpoint of the table below")]
pub enum Endpoint {
    Health,
    SealStatus,
    Leader,
    InitStatus,
    Init,
    Unseal,
    Seal,
    RootAttempt,
    RootUpdate,
    DecodeToken,
    RootRotation,
    RootRotationUpdate,
    RootRotationVerify,
    RecoveryRotation,
    RecoveryRotationUpdate,
    RecoveryRotationVerify,
    RotationBackup,
    SysMetrics,
    Mounts,
    ReadMount,
    EnableMount,
    DisableMount,
    Remount,
    RemountStatus,
    UiMounts,
    UiMount,
    OpenApi,
    LookupSelf,
    TokenCreate,
    TokenCreateOrphan,
    TokenCreateByRole,
    TokenLookup,
    TokenLookupAccessor,
    TokenRenew,
    TokenRenewSelf,
    TokenRenewAccessor,
    TokenRevoke,
    TokenRevokeSelf,
    TokenRevokeAccessor,
    TokenRevokeOrphan,
    TokenAccessors,
    TokenTidy,
    TokenRoles,
    ReadTokenRole,
    WriteTokenRole,
    DeleteTokenRole,
    WrappingWrap,
    WrappingUnwrap,
    WrappingRewrap,
    WrappingLookup,
    CubbyholeRead,
    CubbyholeWrite,
    CubbyholeDelete,
    CubbyholeList,
    Policies,
    ReadPolicy,
    WritePolicy,
    PatchPolicy,
    DeletePolicy,
    OldPolicies,
    OldReadPolicy,
    Capabilities,
    CapabilitiesSelf,
    CapabilitiesAccessor,
    KeyTerm,
    Rotate,
    ReadRotation,
    WriteRotation,
    ToolsHash,
    ToolsRandom,
    AuthMethods,
    AuthMethod,
    AuditDevices,
    AuditDevice,
    AuditHash,
    KvRead,
    KvWrite,
    KvPatch,
    KvDelete,
    KvDeleteVersions,
    KvUndelete,
    KvDestroy,
    KvReadMetadata,
    KvWriteMetadata,
    KvPatchMetadata,
    KvSubkeys,
    KvReadConfig,
    KvWriteConfig,
    KvScan,
    KvList,
    KvDetails,
    KvRemove,
    Kv1Read,
    Kv1Write,
    Kv1Delete,
    Kv1List,
    Kv1Scan,
    CredentialWrite,
    CredentialList,
    CredentialRead,
    CredentialRemove,
    Transaction,
    State,
    Audit,
    AuditCheckpoint,
    AuditInclusion,
    AuditConsistency,
    WalletRotateCheckpointKey,
    WalletRotate,
    WalletKeyStatus,
    WalletRetire,
    WalletKeyManager,
    WalletExposed,
    Erase,
    Erasures,
    ReadErasure,
    Holds,
    ReadHold,
    PlaceHold,
    LiftHold,
    GrantAuditor,
    AuditorGrants,
    RevokeAuditor,
    WalletRestore,
    Metrics,
}

impl Verb {
    /// Whether what it says stands in a body.
    pub(crate) const fn takes_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }

    /// Whether it is for changing something.
    pub(crate) const fn changes(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch | Self::Delete)
    }
}

impl Endpoint {
    /// Whether it puts a question on record by this verb.
    pub(crate) const fn asks(self, verb: Verb) -> bool {
        let hands_in = self.collects_shares() && !matches!(verb, Verb::Delete);
        hands_in
            || matches!(
                self,
                Self::LookupSelf
                    | Self::WalletRotateCheckpointKey
                    | Self::TokenLookup
                    | Self::TokenLookupAccessor
                    | Self::Capabilities
                    | Self::CapabilitiesSelf
                    | Self::CapabilitiesAccessor
                    | Self::ToolsHash
                    | Self::ToolsRandom
                    | Self::TokenTidy
                    | Self::WrappingWrap
                    | Self::WrappingLookup
                    | Self::KvPatch
                    | Self::KvPatchMetadata
                    | Self::CredentialRemove
            )
    }

    /// Whether it is an undertaking that takes shares. To give it up puts no question on record.
    const fn collects_shares(self) -> bool {
        matches!(
            self,
            Self::RootAttempt
                | Self::RootUpdate
                | Self::RootRotation
                | Self::RootRotationUpdate
                | Self::RootRotationVerify
                | Self::RecoveryRotation
                | Self::RecoveryRotationUpdate
                | Self::RecoveryRotationVerify
                | Self::RotationBackup
                | Self::WalletKeyManager
        )
    }

    /// Whether it opens wrapping tokens or tells about them, and so takes them as its token.
    pub(crate) const fn unwraps(self) -> bool {
        matches!(
            self,
            Self::WrappingUnwrap | Self::WrappingRewrap | Self::WrappingLookup
        )
    }

    /// Whether it is read without a question that could be denied: a refusal has no record yet.
    pub(crate) const fn refuses_unseen(self) -> bool {
        matches!(
            self,
            Self::SysMetrics | Self::Metrics | Self::State | Self::UiMount
        )
    }

    /// Whether a client may give its command an id, and repeat it safely.
    #[must_use]
    pub const fn takes_commands(self) -> bool {
        matches!(
            self,
            Self::KvWrite
                | Self::KvPatch
                | Self::KvDelete
                | Self::KvDeleteVersions
                | Self::KvUndelete
                | Self::KvDestroy
                | Self::KvWriteMetadata
                | Self::KvPatchMetadata
                | Self::KvRemove
                | Self::KvWriteConfig
                | Self::Kv1Write
                | Self::Kv1Delete
                | Self::CredentialWrite
                | Self::CredentialRemove
                | Self::Transaction
                | Self::Erase
                | Self::PlaceHold
                | Self::LiftHold
                | Self::GrantAuditor
                | Self::RevokeAuditor
        )
    }
}

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The verbs that it takes.
    pub verbs: &'static [Verb],
    /// Its path; `{path}` stands for any number of segments, `{id}` for the rest, `{mount}` for a
    /// mount of the versioned key-value engine and `{kv1}` for one of version 1.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it does.
    pub endpoint: Endpoint,
}

const fn route(
    verbs: &'static [Verb],
    path: &'static str,
    access: Access,
    endpoint: Endpoint,
) -> Route {
    Route {
        verbs,
        path,
        access,
        endpoint,
    }
}

/// An endpoint that wants a token.
const fn token(verbs: &'static [Verb], path: &'static str, endpoint: Endpoint) -> Route {
    route(verbs, path, Access::Token, endpoint)
}

const READ_OR_WRITE: &[Verb] = &[Verb::Get, Verb::Post, Verb::Put];
const GET: &[Verb] = &[Verb::Get];
const WRITE: &[Verb] = &[Verb::Post, Verb::Put];
const DELETE: &[Verb] = &[Verb::Delete];
const PATCH: &[Verb] = &[Verb::Patch];
const SCAN: &[Verb] = &[Verb::Scan];

/// All endpoints.
pub const ROUTES: &[Route] = &[
    route(
        &[Verb::Get, Verb::Head],
        "v1/sys/health",
        Access::Open,
        Endpoint::Health,
    ),
    route(
        GET,
        "v1/sys/seal-status",
        Access::Open,
        Endpoint::SealStatus,
    ),
    route(GET, "v1/sys/leader", Access::Open, Endpoint::Leader),
    route(GET, "v1/sys/init", Access::Open, Endpoint::InitStatus),
    route(WRITE, "v1/sys/init", Access::Open, Endpoint::Init),
    route(WRITE, "v1/sys/unseal", Access::Open, Endpoint::Unseal),
    route(
        WRITE,
        "v1/sys/seal",
        Access::TokenUnlessSealed,
        Endpoint::Seal,
    ),
    token(
        &[Verb::Get, Verb::Post, Verb::Put, Verb::Delete],
        "v1/sys/generate-root-token/attempt",
        Endpoint::RootAttempt,
    ),
    token(
        WRITE,
        "v1/sys/generate-root-token/update",
        Endpoint::RootUpdate,
    ),
    token(
        &[Verb::Get, Verb::Post, Verb::Put, Verb::Delete],
        "v1/sys/rotate/root/init",
        Endpoint::RootRotation,
    ),
    token(
        WRITE,
        "v1/sys/rotate/root/update",
        Endpoint::RootRotationUpdate,
    ),
    token(
        &[Verb::Get, Verb::Post, Verb::Put, Verb::Delete],
        "v1/sys/rotate/root/verify",
        Endpoint::RootRotationVerify,
    ),
    token(
        &[Verb::Get, Verb::Post, Verb::Put, Verb::Delete],
        "v1/sys/rotate/recovery/init",
        Endpoint::RecoveryRotation,
    ),
    token(
        WRITE,
        "v1/sys/rotate/recovery/update",
        Endpoint::RecoveryRotationUpdate,
    ),
    token(
        &[Verb::Get, Verb::Post, Verb::Put, Verb::Delete],
        "v1/sys/rotate/recovery/verify",
        Endpoint::RecoveryRotationVerify,
    ),
    token(
        &[Verb::Get, Verb::Delete],
        "v1/sys/rotate/root/backup",
        Endpoint::RotationBackup,
    ),
    token(
        &[Verb::Get, Verb::Delete],
        "v1/sys/rotate/recovery/backup",
        Endpoint::RotationBackup,
    ),
    route(
        WRITE,
        "v1/sys/decode-token",
        Access::Open,
        Endpoint::DecodeToken,
    ),
    route(GET, "v1/sys/metrics", Access::Token, Endpoint::SysMetrics),
    route(GET, "v1/sys/mounts", Access::Token, Endpoint::Mounts),
    route(
        GET,
        "v1/sys/mounts/{path}",
        Access::Token,
        Endpoint::ReadMount,
    ),
    route(
        WRITE,
        "v1/sys/mounts/{path}",
        Access::Token,
        Endpoint::EnableMount,
    ),
    route(
        DELETE,
        "v1/sys/mounts/{path}",
        Access::Token,
        Endpoint::DisableMount,
    ),
    route(WRITE, "v1/sys/remount", Access::Token, Endpoint::Remount),
    route(
        GET,
        "v1/sys/remount/status/{id}",
        Access::Token,
        Endpoint::RemountStatus,
    ),
    route(
        GET,
        "v1/sys/internal/ui/mounts",
        Access::Token,
        Endpoint::UiMounts,
    ),
    route(
        GET,
        "v1/sys/internal/ui/mounts/{path}",
        Access::Token,
        Endpoint::UiMount,
    ),
    token(GET, "v1/sys/internal/specs/openapi", Endpoint::OpenApi),
    token(GET, "v1/sys/key-status", Endpoint::KeyTerm),
    token(WRITE, "v1/sys/rotate", Endpoint::Rotate),
    token(WRITE, "v1/sys/rotate/keyring", Endpoint::Rotate),
    token(GET, "v1/sys/rotate/config", Endpoint::ReadRotation),
    token(WRITE, "v1/sys/rotate/config", Endpoint::WriteRotation),
    token(GET, "v1/sys/rotate/keyring/config", Endpoint::ReadRotation),
    token(
        WRITE,
        "v1/sys/rotate/keyring/config",
        Endpoint::WriteRotation,
    ),
    token(
        READ_OR_WRITE,
        "v1/auth/token/lookup-self",
        Endpoint::LookupSelf,
    ),
    token(WRITE, "v1/auth/token/create", Endpoint::TokenCreate),
    token(
        WRITE,
        "v1/auth/token/create-orphan",
        Endpoint::TokenCreateOrphan,
    ),
    token(WRITE, "v1/auth/token/tidy", Endpoint::TokenTidy),
    token(
        WRITE,
        "v1/auth/token/create/{id}",
        Endpoint::TokenCreateByRole,
    ),
    token(&[Verb::List], "v1/auth/token/roles", Endpoint::TokenRoles),
    token(GET, "v1/auth/token/roles/{id}", Endpoint::ReadTokenRole),
    token(WRITE, "v1/auth/token/roles/{id}", Endpoint::WriteTokenRole),
    token(
        DELETE,
        "v1/auth/token/roles/{id}",
        Endpoint::DeleteTokenRole,
    ),
    token(WRITE, "v1/sys/wrapping/wrap", Endpoint::WrappingWrap),
    token(WRITE, "v1/sys/wrapping/unwrap", Endpoint::WrappingUnwrap),
    token(WRITE, "v1/sys/wrapping/rewrap", Endpoint::WrappingRewrap),
    route(
        READ_OR_WRITE,
        "v1/sys/wrapping/lookup",
        Access::TokenInBody,
        Endpoint::WrappingLookup,
    ),
    token(GET, "v1/cubbyhole/{path}", Endpoint::CubbyholeRead),
    token(WRITE, "v1/cubbyhole/{path}", Endpoint::CubbyholeWrite),
    token(DELETE, "v1/cubbyhole/{path}", Endpoint::CubbyholeDelete),
    token(
        &[Verb::List],
        "v1/cubbyhole/{path}",
        Endpoint::CubbyholeList,
    ),
    token(&[Verb::List], "v1/cubbyhole", Endpoint::CubbyholeList),
    token(WRITE, "v1/auth/token/lookup", Endpoint::TokenLookup),
    token(
        WRITE,
        "v1/auth/token/lookup-accessor",
        Endpoint::TokenLookupAccessor,
    ),
    token(WRITE, "v1/auth/token/renew", Endpoint::TokenRenew),
    token(WRITE, "v1/auth/token/renew-self", Endpoint::TokenRenewSelf),
    token(
        WRITE,
        "v1/auth/token/renew-accessor",
        Endpoint::TokenRenewAccessor,
    ),
    token(WRITE, "v1/auth/token/revoke", Endpoint::TokenRevoke),
    token(
        WRITE,
        "v1/auth/token/revoke-self",
        Endpoint::TokenRevokeSelf,
    ),
    token(
        WRITE,
        "v1/auth/token/revoke-accessor",
        Endpoint::TokenRevokeAccessor,
    ),
    token(
        WRITE,
        "v1/auth/token/revoke-orphan",
        Endpoint::TokenRevokeOrphan,
    ),
    token(
        &[Verb::List],
        "v1/auth/token/accessors",
        Endpoint::TokenAccessors,
    ),
    token(&[Verb::List], "v1/sys/policies/acl", Endpoint::Policies),
    token(GET, "v1/sys/policies/acl/{path}", Endpoint::ReadPolicy),
    token(WRITE, "v1/sys/policies/acl/{path}", Endpoint::WritePolicy),
    token(PATCH, "v1/sys/policies/acl/{path}", Endpoint::PatchPolicy),
    token(DELETE, "v1/sys/policies/acl/{path}", Endpoint::DeletePolicy),
    token(
        &[Verb::Get, Verb::List],
        "v1/sys/policy",
        Endpoint::OldPolicies,
    ),
    token(GET, "v1/sys/policy/{path}", Endpoint::OldReadPolicy),
    token(WRITE, "v1/sys/policy/{path}", Endpoint::WritePolicy),
    token(DELETE, "v1/sys/policy/{path}", Endpoint::DeletePolicy),
    token(WRITE, "v1/sys/tools/hash", Endpoint::ToolsHash),
    token(WRITE, "v1/sys/tools/hash/{path}", Endpoint::ToolsHash),
    token(WRITE, "v1/sys/tools/random", Endpoint::ToolsRandom),
    token(WRITE, "v1/sys/tools/random/{path}", Endpoint::ToolsRandom),
    token(GET, "v1/sys/auth", Endpoint::AuthMethods),
    token(
        &[Verb::Get, Verb::Post, Verb::Put, Verb::Delete],
        "v1/sys/auth/{path}",
        Endpoint::AuthMethod,
    ),
    token(GET, "v1/sys/audit", Endpoint::AuditDevices),
    token(
        &[Verb::Post, Verb::Put, Verb::Delete],
        "v1/sys/audit/{path}",
        Endpoint::AuditDevice,
    ),
    token(WRITE, "v1/sys/audit-hash/{path}", Endpoint::AuditHash),
    token(WRITE, "v1/sys/capabilities", Endpoint::Capabilities),
    token(
        WRITE,
        "v1/sys/capabilities-self",
        Endpoint::CapabilitiesSelf,
    ),
    token(
        WRITE,
        "v1/sys/capabilities-accessor",
        Endpoint::CapabilitiesAccessor,
    ),
    route(
        GET,
        "v1/{mount}/data/{path}",
        Access::Token,
        Endpoint::KvRead,
    ),
    route(
        WRITE,
        "v1/{mount}/data/{path}",
        Access::Token,
        Endpoint::KvWrite,
    ),
    route(
        PATCH,
        "v1/{mount}/data/{path}",
        Access::Token,
        Endpoint::KvPatch,
    ),
    route(
        DELETE,
        "v1/{mount}/data/{path}",
        Access::Token,
        Endpoint::KvDelete,
    ),
    route(
        GET,
        "v1/{mount}/subkeys/{path}",
        Access::Token,
        Endpoint::KvSubkeys,
    ),
    route(
        GET,
        "v1/{mount}/config",
        Access::Token,
        Endpoint::KvReadConfig,
    ),
    route(
        WRITE,
        "v1/{mount}/config",
        Access::Token,
        Endpoint::KvWriteConfig,
    ),
    route(
        WRITE,
        "v1/{mount}/delete/{path}",
        Access::Token,
        Endpoint::KvDeleteVersions,
    ),
    route(
        WRITE,
        "v1/{mount}/undelete/{path}",
        Access::Token,
        Endpoint::KvUndelete,
    ),
    route(
        WRITE,
        "v1/{mount}/destroy/{path}",
        Access::Token,
        Endpoint::KvDestroy,
    ),
    route(
        GET,
        "v1/{mount}/metadata/{path}",
        Access::Token,
        Endpoint::KvReadMetadata,
    ),
    route(
        WRITE,
        "v1/{mount}/metadata/{path}",
        Access::Token,
        Endpoint::KvWriteMetadata,
    ),
    route(
        PATCH,
        "v1/{mount}/metadata/{path}",
        Access::Token,
        Endpoint::KvPatchMetadata,
    ),
    route(
        &[Verb::List],
        "v1/{mount}/metadata/{path}",
        Access::Token,
        Endpoint::KvList,
    ),
    route(
        &[Verb::List],
        "v1/{mount}/metadata",
        Access::Token,
        Endpoint::KvList,
    ),
    route(
        SCAN,
        "v1/{mount}/metadata/{path}",
        Access::Token,
        Endpoint::KvScan,
    ),
    route(SCAN, "v1/{mount}/metadata", Access::Token, Endpoint::KvScan),
    token(
        &[Verb::List, Verb::Scan],
        "v1/{mount}/detailed-metadata/{path}",
        Endpoint::KvDetails,
    ),
    token(
        &[Verb::List, Verb::Scan],
        "v1/{mount}/detailed-metadata",
        Endpoint::KvDetails,
    ),
    route(
        DELETE,
        "v1/{mount}/metadata/{path}",
        Access::Token,
        Endpoint::KvRemove,
    ),
    route(GET, "v1/{kv1}/{path}", Access::Token, Endpoint::Kv1Read),
    route(WRITE, "v1/{kv1}/{path}", Access::Token, Endpoint::Kv1Write),
    route(
        DELETE,
        "v1/{kv1}/{path}",
        Access::Token,
        Endpoint::Kv1Delete,
    ),
    route(
        &[Verb::List],
        "v1/{kv1}/{path}",
        Access::Token,
        Endpoint::Kv1List,
    ),
    route(&[Verb::List], "v1/{kv1}", Access::Token, Endpoint::Kv1List),
    route(SCAN, "v1/{kv1}/{path}", Access::Token, Endpoint::Kv1Scan),
    route(SCAN, "v1/{kv1}", Access::Token, Endpoint::Kv1Scan),
    route(
        &[Verb::Post],
        "api/credentials",
        Access::Token,
        Endpoint::CredentialWrite,
    ),
    route(
        GET,
        "api/credentials",
        Access::Token,
        Endpoint::CredentialList,
    ),
    route(
        GET,
        "api/credentials/{id}",
        Access::Token,
        Endpoint::CredentialRead,
    ),
    route(
        DELETE,
        "api/credentials/{id}",
        Access::Token,
        Endpoint::CredentialRemove,
    ),
    route(
        &[Verb::Post],
        "api/transactions",
        Access::Token,
        Endpoint::Transaction,
    ),
    route(GET, "api/internal/state", Access::Token, Endpoint::State),
    route(
        GET,
        "api/internal/secret-audit",
        Access::Token,
        Endpoint::Audit,
    ),
    token(GET, "api/audit/checkpoint", Endpoint::AuditCheckpoint),
    token(GET, "api/audit/inclusion", Endpoint::AuditInclusion),
    token(GET, "api/audit/consistency", Endpoint::AuditConsistency),
    token(
        WRITE,
        "api/internal/wallet/rotate-checkpoint-key",
        Endpoint::WalletRotateCheckpointKey,
    ),
    token(
        WRITE,
        "api/internal/wallet/rotate-kek",
        Endpoint::WalletRotate,
    ),
    token(
        GET,
        "api/internal/wallet/key-status",
        Endpoint::WalletKeyStatus,
    ),
    token(GET, "api/internal/wallet/exposed", Endpoint::WalletExposed),
    token(
        WRITE,
        "api/internal/wallet/retire-kek",
        Endpoint::WalletRetire,
    ),
    token(
        &[Verb::Get, Verb::Post, Verb::Put, Verb::Delete],
        "api/internal/wallet/key-manager",
        Endpoint::WalletKeyManager,
    ),
    token(&[Verb::Post], "api/internal/wallet/erase", Endpoint::Erase),
    token(GET, "api/internal/wallet/erasures", Endpoint::Erasures),
    token(
        GET,
        "api/internal/wallet/erasures/{id}",
        Endpoint::ReadErasure,
    ),
    token(GET, "api/internal/wallet/holds", Endpoint::Holds),
    token(
        &[Verb::Post],
        "api/internal/wallet/holds",
        Endpoint::PlaceHold,
    ),
    token(GET, "api/internal/wallet/holds/{id}", Endpoint::ReadHold),
    token(DELETE, "api/internal/wallet/holds/{id}", Endpoint::LiftHold),
    token(
        &[Verb::Post],
        "api/internal/wallet/auditor-grants",
        Endpoint::GrantAuditor,
    ),
    token(
        GET,
        "api/internal/wallet/auditor-grants",
        Endpoint::AuditorGrants,
    ),
    token(
        DELETE,
        "api/internal/wallet/auditor-grants/{id}",
        Endpoint::RevokeAuditor,
    ),
    token(
        WRITE,
        "api/internal/wallet/restore",
        Endpoint::WalletRestore,
    ),
    route(GET, "metrics", Access::Token, Endpoint::Metrics),
];

/// What a path led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// An endpoint, and the rest of the path that it takes.
    Endpoint(Route, String),
    /// A path that has endpoints, but none for this verb.
    OtherVerb,
    /// Nothing.
    Nothing,
}

/// Finds the endpoint of a path that is in no mount.
pub(crate) fn find(verb: Verb, path: &str) -> Found {
    let path = without_slash(verb, path);
    let fixed = ROUTES
        .iter()
        .filter(|route| ENGINES.iter().all(|(_, mount)| !route.path.contains(mount)));
    pick(
        verb,
        fixed.filter_map(|route| Some((*route, rest(route.path, path)?))),
    )
}

/// Whether a path is one that anybody may call.
pub(crate) fn is_open(path: &str) -> bool {
    let mut routes = ROUTES.iter().filter(|route| route.path == path);
    routes.any(|route| route.access == Access::Open)
}

/// The engines, and what stands for their mounts in the table.
pub(crate) const ENGINES: [(MountKind, &str); 2] = [
    (MountKind::KvV2, "v1/{mount}"),
    (MountKind::KvV1, "v1/{kv1}"),
];

/// Finds the endpoint of what a path says below its mount.
pub(crate) fn find_in_mount(kind: MountKind, verb: Verb, below: &str) -> Found {
    let below = without_slash(verb, below);
    let inside = ROUTES.iter().filter_map(|route| {
        let (_, mount) = ENGINES.iter().find(|(engine, _)| *engine == kind)?;
        let pattern = route.path.strip_prefix(mount)?;
        // The mount itself has no more of a path.
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        Some((*route, rest(pattern, below)?))
    });
    pick(verb, inside)
}

/// A folder is listed with or without the slash at its end.
fn without_slash(verb: Verb, path: &str) -> &str {
    match verb {
        Verb::List | Verb::Scan => path.trim_end_matches('/'),
        _ => path,
    }
}

fn pick(verb: Verb, candidates: impl Iterator<Item = (Route, String)>) -> Found {
    let mut found = Found::Nothing;
    for (route, rest) in candidates {
        if route.verbs.contains(&verb) {
            return Found::Endpoint(route, rest);
        }
        found = Found::OtherVerb;
    }
    found
}

/// What of the path stands for the pattern's variable; empty when it has none.
fn rest(pattern: &str, path: &str) -> Option<String> {
    match pattern.split_once('{') {
        None => (pattern == path).then(String::new),
        Some((before, _)) => path
            .strip_prefix(before)
            .filter(|rest| !rest.is_empty())
            .map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_endpoints_are_few_and_known() {
        let open: Vec<_> = ROUTES
            .iter()
            .filter(|route| route.access == Access::Open)
            .map(|r| r.path)
            .collect();
        assert_eq!(
            open,
            [
                "v1/sys/health",
                "v1/sys/seal-status",
                "v1/sys/leader",
                "v1/sys/init",
                "v1/sys/init",
                "v1/sys/unseal",
                "v1/sys/decode-token"
            ],
            "an endpoint without a token is a decision for the threat model"
        );
    }

    #[test]
    fn paths_lead_to_their_endpoints() {
        let endpoint = |found| match found {
            Found::Endpoint(route, rest) => Some((route.endpoint, rest)),
            _ => None,
        };
        let kv = |verb, below| endpoint(find_in_mount(MountKind::KvV2, verb, below));
        assert_eq!(
            kv(Verb::Get, "data/a/b"),
            Some((Endpoint::KvRead, "a/b".to_owned()))
        );
        assert_eq!(
            kv(Verb::List, "metadata"),
            Some((Endpoint::KvList, String::new()))
        );
        assert_eq!(
            kv(Verb::List, "metadata/"),
            Some((Endpoint::KvList, String::new()))
        );
        assert_eq!(
            kv(Verb::List, "metadata/a/"),
            Some((Endpoint::KvList, "a".to_owned()))
        );
        assert_eq!(kv(Verb::Get, "data"), None);
        assert_eq!(
            find_in_mount(MountKind::KvV2, Verb::List, "data/a"),
            Found::OtherVerb
        );
        let kv1 = |verb, below| endpoint(find_in_mount(MountKind::KvV1, verb, below));
        assert_eq!(
            kv1(Verb::Get, "data/a"),
            Some((Endpoint::Kv1Read, "data/a".to_owned()))
        );
        assert_eq!(
            kv1(Verb::List, ""),
            Some((Endpoint::Kv1List, String::new()))
        );
        assert_eq!(kv1(Verb::Get, ""), None);
        assert_eq!(find(Verb::Get, "v1/sys/nope"), Found::Nothing);
        let accessors = Some((Endpoint::TokenAccessors, String::new()));
        assert_eq!(
            endpoint(find(Verb::List, "v1/auth/token/accessors/")),
            accessors
        );
        assert_eq!(find(Verb::Get, "v1/sys/auth/"), Found::Nothing);
        assert_eq!(find(Verb::Post, "v1/sys/health"), Found::OtherVerb);
        assert!(is_open("v1/sys/health") && !is_open("v1/sys/mounts") && !is_open("v1/sys"));
        assert_eq!(
            endpoint(find(Verb::Get, "api/credentials/a/b")),
            Some((Endpoint::CredentialRead, "a/b".to_owned()))
        );
    }
}
