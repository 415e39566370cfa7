//! What is sent to each endpoint. An endpoint that is not here does not compile.

use std::ops::RangeInclusive;

use billfold::http::endpoints::{Access, Endpoint, Route, Verb};
use billfold_tests::billfold::Body;
use serde_json::{Value, json};

use crate::search::Words;

#[path = "plan/access.rs"]
mod access;
#[path = "plan/erasure.rs"]
mod erasure;
#[path = "plan/grants.rs"]
mod grants;

/// One request.
pub struct Call {
    pub verb: String,
    pub path: String,
    pub token: Token,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    /// What it is answered with.
    pub statuses: RangeInclusive<u16>,
    /// The kinds of words that a good answer tells.
    pub tells: &'static str,
    /// The kinds that it may tell besides.
    pub may_tell: &'static str,
    /// Whether an answer that refuses it names what it is refused for, which the threat model says.
    pub names: bool,
}

pub enum Token {
    Root,
    None,
    Other(String),
}

const REFUSED: RangeInclusive<u16> = 300..=499;

impl Call {
    fn new(verb: &str, path: impl Into<String>, statuses: RangeInclusive<u16>) -> Self {
        Self {
            verb: verb.to_owned(),
            path: path.into(),
            token: Token::Root,
            headers: Vec::new(),
            body: Body::Nothing,
            statuses,
            tells: "",
            may_tell: "",
            names: false,
        }
    }

    fn body(self, body: impl Into<Body>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    fn tells(self, tells: &'static str) -> Self {
        Self { tells, ..self }
    }

    fn may_tell(self, may_tell: &'static str) -> Self {
        Self { may_tell, ..self }
    }

    /// Its refusal names these.
    fn names(self, tells: &'static str) -> Self {
        Self {
            tells,
            names: true,
            ..self
        }
    }

    fn merges(self) -> Self {
        self.header("Content-Type", "application/merge-patch+json")
    }

    /// It may be answered with this, too.
    fn or(self, status: u16) -> Self {
        let (from, to) = self.statuses.into_inner();
        Self {
            statuses: from.min(status)..=to.max(status),
            ..self
        }
    }

    fn token(self, token: Token) -> Self {
        Self { token, ..self }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// All that is sent to one route by one verb.
pub fn calls(route: &Route, verb: Verb, words: &Words) -> Vec<Call> {
    let plan = Plan {
        route,
        verb: verb.name(),
        words,
    };
    let mut calls = plan.own();
    calls.extend(plan.strange());
    calls.push(plan.help());
    if route.access != Access::Open {
        calls.extend(plan.refused());
    }
    // Any object seals the wallet, and then the others tell nothing.
    let seals = route.endpoint == Endpoint::Seal;
    if matches!(verb, Verb::Post | Verb::Put | Verb::Patch) && !seals {
        let unreadable = plan.unreadable().into_iter();
        calls.extend(match verb {
            Verb::Patch => unreadable.map(Call::merges).collect(),
            _ => unreadable.collect::<Vec<_>>(),
        });
    }
    if plan.takes_commands() {
        let command = words.word('x');
        calls.extend(
            plan.good()
                .map(|call| call.header("X-Billfold-Command-Id", command)),
        );
    }
    calls
}

struct Plan<'a> {
    route: &'a Route,
    verb: &'static str,
    words: &'a Words,
}

impl Plan<'_> {
    /// The calls that the endpoint is for, and those that it refuses itself.
    fn own(&self) -> Vec<Call> {
        let (words, verb) = (self.words, self.verb);
        let path = self.path();
        let at = self.url(&path);
        let call = |path: String, status: u16| Call::new(verb, path, status..=status);
        let (query, unknown) = (format!("?x={}", words.word('x')), words.word('x'));
        match self.route.endpoint {
            Endpoint::Health
            | Endpoint::SealStatus
            | Endpoint::Leader
            | Endpoint::InitStatus
            | Endpoint::State
            | Endpoint::Metrics => vec![call(at + &query, 200)],
            Endpoint::Init => vec![
                call(at.clone(), 400).body(json!({
                    "recovery_shares": 1, "recovery_threshold": 1,
                    "recovery_pgp_keys": [words.word('v')], unknown: words.word('x'),
                })),
                call(at, 400).body(json!({ "recovery_shares": words.word('v') })),
            ],
            Endpoint::Unseal => vec![
                call(at.clone(), 400).body(json!({ "key": words.word('v'), unknown: words.word('x') })),
                call(at, 400).body(json!({ "reset": words.word('v') })),
            ],
            Endpoint::Seal => vec![call(at, 400).body(format!("[\"{}\"]", words.word('v')))],
            Endpoint::RootAttempt => match verb {
                "GET" => vec![call(at + &query, 200)],
                "DELETE" => vec![call(at, 204)],
                _ => vec![
                    call(at.clone(), 400).body(json!({ "otp": words.word('v') })),
                    call(at.clone(), 400).body(json!({ "pgp_key": words.word('v') })),
                    call(at, 200).or(400).body(json!({ unknown: words.word('x') })),
                ],
            },
            Endpoint::RootUpdate => vec![
                call(at.clone(), 500).body(json!({ "key": words.word('v'), "nonce": words.word('v') })),
                call(at, 400).body(json!({ "key": words.word('v') })),
            ],
            Endpoint::RootRotation | Endpoint::RecoveryRotation => match verb {
                "GET" => vec![call(at + &query, 200)],
                "DELETE" => vec![call(at, 204)],
                _ => vec![call(at, 400).body(json!({
                    "secret_shares": words.word('v'), "pgp_keys": [words.word('v')],
                }))],
            },
            Endpoint::RootRotationVerify | Endpoint::RecoveryRotationVerify
                if matches!(verb, "GET" | "DELETE") =>
            {
                vec![call(at + &query, 400)]
            }
            Endpoint::RootRotationUpdate
            | Endpoint::RootRotationVerify
            | Endpoint::RecoveryRotationUpdate
            | Endpoint::RecoveryRotationVerify => vec![
                call(at.clone(), 400).body(json!({ "key": words.word('v'), "nonce": words.word('v') })),
                call(at, 400).body(json!({ "nonce": words.word('v') })),
            ],
            Endpoint::RotationBackup => vec![call(at + &query, 400).or(204)],
            Endpoint::DecodeToken => {
                let body = json!({ "encoded_token": words.word('v'), "otp": words.word('v') });
                vec![call(at.clone(), 400).body(body), call(at, 400).body(json!({ unknown: words.word('v') }))]
            }
            // Other calls make mounts, which these show.
            Endpoint::Mounts | Endpoint::UiMounts => vec![call(at + &query, 200).may_tell("pn")],
            Endpoint::OpenApi => vec![
                call(format!("{at}{query}"), 200).may_tell("pn"),
                call(format!("{at}?generic_mount_paths=1"), 200),
                call(format!("{at}?generic_mount_paths={unknown}"), 400),
            ],
            Endpoint::Audit => vec![
                self.write(&path),
                call(format!("{at}?credential={path}&from=0&limit=10"), 200).tells("p"),
                call(format!("{at}?path=secret/{path}&order=newest"), 200).tells("p"),
                call(format!("{at}?credential={}", self.path()), 200),
                call(format!("{at}?path=secret/{}/&outcome=denied", words.word('p')), 200),
                call(format!("{at}?execution={}&from=0", words.word('n')), 200),
                // Who asked for what, of whatever kind, and in which execution: that is what it is for.
                call(format!("{at}?limit=10000"), 200).tells("p").may_tell("nx"),
                call(format!("{at}?credential=/{}", words.word('p')), 400),
                call(format!("{at}?path={}/x", words.word('p')), 400),
                call(format!("{at}?execution={}", words.word('n').repeat(20)), 400),
                call(format!("{at}?{}=1", words.word('x')), 400),
                call(format!("{at}?record={}", words.word('x')), 400),
                call(format!("{at}?principal={}", words.word('x')), 400),
                call(format!("{at}?token={}", words.word('t')), 400),
                call(format!("{at}?worker={}", words.word('n')), 400),
                call(format!("{at}?event={}", words.word('x')), 400),
                call(format!("{at}?operation={}", words.word('x')), 400),
                call(format!("{at}?outcome={}", words.word('x')), 400),
                call(format!("{at}?order={}", words.word('x')), 400),
                call(format!("{at}?from={}", words.word('x')), 400),
                call(format!("{at}?to={}", words.word('x')), 400),
                call(format!("{at}?limit={}", words.word('x')), 400),
                call(format!("{at}?after={}", words.word('x')), 400),
            ],
            Endpoint::LookupSelf => vec![call(at + &query, 200).tells("t")],
            Endpoint::TokenCreate | Endpoint::TokenCreateOrphan => vec![
                call(at.clone(), 200)
                    .body(json!({
                        "display_name": words.word('n'), "meta": { words.word('n'): words.word('n') },
                        "policies": [words.word('n')], "ttl": "1h", unknown: words.word('x'),
                    }))
                    .tells("n"),
                call(at.clone(), 400).body(json!({ "ttl": words.word('x') })),
                call(at.clone(), 400).body(json!({ "type": words.word('x') })),
                call(at, 400).body(json!({ "id": words.word('t') })),
            ],
            Endpoint::TokenLookup | Endpoint::TokenRenew => vec![
                call(at.clone(), 403).or(400).body(json!({ "token": words.word('t') })),
                call(at, 403).or(400).body(json!({ "token": format!("hvs.{}", words.word('t')) })),
            ],
            Endpoint::TokenLookupAccessor
            | Endpoint::TokenRenewAccessor
            | Endpoint::TokenRevokeAccessor => vec![
                call(at.clone(), 400).or(200).body(json!({ "accessor": words.word('x') })),
                call(at, 400),
            ],
            // Root's own token neither ends nor lasts longer.
            Endpoint::TokenRenewSelf => vec![
                call(at.clone(), 403).or(400).body(json!({ "increment": "1h" })),
                call(at, 400).body(json!({ "increment": words.word('x') })),
            ],
            Endpoint::TokenRevokeSelf => vec![call(at, 400)],
            Endpoint::TokenRevoke | Endpoint::TokenRevokeOrphan => {
                vec![call(at, 204).or(400).body(json!({ "token": words.word('t') }))]
            }
            Endpoint::TokenAccessors => vec![call(at + &query, 200)],
            Endpoint::Policies | Endpoint::OldPolicies => {
                vec![
                    self.write_policy(&path),
                    call(at, 200).tells("p"),
                ]
            }
            Endpoint::ReadPolicy | Endpoint::OldReadPolicy => vec![
                self.write_policy(&path),
                call(at, 200).tells("pn"),
                call(self.url(&self.path()), 404),
            ],
            Endpoint::WritePolicy => vec![
                call(at.clone(), 204).body(json!({ "policy": self.policy() })),
                call(at.clone(), 400).body(json!({ "policy": words.word('n') })),
                call(at.clone(), 400).body(json!({ "policy": self.policy(), "ttl": words.word('x') })),
                call(at.clone(), 400).body(json!({ "policy": self.policy(), "expiration": words.word('x') })),
                call(at, 400).body(json!({ "policy": format!("path \"{}\" {{ {} = 1 }}", words.word('n'), words.word('n')) })),
            ],
            Endpoint::PatchPolicy => vec![
                self.write_policy(&path),
                call(at.clone(), 200).body(json!({ "policy": self.policy() })).merges(),
                call(at.clone(), 400).body(json!({ "policy": words.word('n') })).merges(),
                call(at, 400).body(json!({ "policy": self.policy(), "cas": words.word('x') })).merges(),
                call(self.url(&self.path()), 400).body(json!({ "policy": self.policy() })).merges(),
            ],
            Endpoint::DeletePolicy => vec![self.write_policy(&path), call(at, 204)],
            Endpoint::TokenTidy
            | Endpoint::TokenCreateByRole
            | Endpoint::TokenRoles
            | Endpoint::ReadTokenRole
            | Endpoint::WriteTokenRole
            | Endpoint::DeleteTokenRole => self.of_roles(),
            Endpoint::Erase
            | Endpoint::Erasures
            | Endpoint::ReadErasure
            | Endpoint::Holds
            | Endpoint::ReadHold
            | Endpoint::PlaceHold
            | Endpoint::LiftHold => self.of_erasures(),
            Endpoint::GrantAuditor | Endpoint::AuditorGrants | Endpoint::RevokeAuditor => {
                self.of_grants()
            }
            Endpoint::WrappingWrap
            | Endpoint::WrappingUnwrap
            | Endpoint::WrappingRewrap
            | Endpoint::WrappingLookup
            | Endpoint::CubbyholeRead
            | Endpoint::CubbyholeWrite
            | Endpoint::CubbyholeDelete
            | Endpoint::CubbyholeList => self.of_cubbyholes(),
            Endpoint::AuthMethods | Endpoint::AuditDevices => vec![call(at + &query, 200)],
            Endpoint::AuthMethod | Endpoint::AuditDevice | Endpoint::AuditHash => {
                let made = json!({ "type": words.word('x'), "input": words.word('v') });
                vec![call(at, if verb == "DELETE" { 204 } else { 400 }).body(made)]
            }
            Endpoint::KeyTerm | Endpoint::ReadRotation | Endpoint::WalletKeyStatus => {
                vec![call(at + &query, 200)]
            }
            Endpoint::Rotate => vec![call(at, 204).body(json!({ unknown: words.word('x') }))],
            Endpoint::WriteRotation => vec![
                call(at.clone(), 204).body(json!({ "interval": "48h", unknown: words.word('x') })),
                call(at.clone(), 400).body(json!({ "interval": words.word('x') })),
                call(at.clone(), 400).body(json!({ "max_operations": words.word('x') })),
                call(at, 400).body(json!({ "enabled": words.word('x') })),
            ],
            Endpoint::AuditCheckpoint => vec![
                call(at.clone() + &query, 200),
                call(format!("{at}?format={}", words.word('x')), 400),
            ],
            Endpoint::AuditInclusion => vec![
                call(format!("{at}?seq=1&size=1"), 200),
                call(format!("{at}?seq={}", words.word('x')), 400),
                call(format!("{at}?seq=1&size={}", words.word('x')), 400),
            ],
            Endpoint::AuditConsistency => vec![
                call(format!("{at}?from=1&to=1"), 200),
                call(format!("{at}?from={}", words.word('x')), 400),
                call(format!("{at}?from=1&to={}", words.word('x')), 400),
            ],
            Endpoint::WalletRotateCheckpointKey => vec![
                call(at.clone(), 200),
                call(at, 422).body(json!({ unknown: words.word('x') })),
            ],
            Endpoint::WalletRotate => vec![
                call(at.clone(), 200),
                call(at, 422).body(json!({ unknown: words.word('x') })),
            ],
            Endpoint::WalletExposed => vec![
                call(format!("{at}{query}"), 200),
                call(format!("{at}?after={unknown}"), 400),
                call(format!("{at}?limit={unknown}"), 400),
            ],
            Endpoint::WalletRetire => vec![
                call(at.clone(), 422).body(json!({ "version": words.word('x') })),
                call(at.clone(), 422).body(json!({ "version": 1, unknown: words.word('x') })),
                call(at, 400).body(json!({ "version": u32::MAX })),
            ],
            Endpoint::WalletKeyManager => match verb {
                "GET" => vec![call(at + &query, 200)],
                "DELETE" => vec![call(at, 204)],
                _ => vec![
                    call(at.clone(), 422).body(json!({ unknown: words.word('x') })),
                    call(at.clone(), 422).body(json!({ "shares": words.word('v'), "threshold": 2 })),
                    call(at, 400).body(json!({ "nonce": words.word('x'), "key": words.word('v') })),
                ],
            },
            Endpoint::WalletRestore => {
                let past = "2001-01-01T00:00:00Z";
                let folder = path.split_inclusive('/').next().unwrap_or_default();
                let [named, folder] = [&path, folder].map(|path| json!([format!("secret/{path}")]));
                vec![
                    self.write(&path),
                    call(at.clone(), 409).body(json!({ "at": past, "paths": named })).names("p"),
                    call(at.clone(), 200).body(json!({ "at": past, "paths": folder })).tells("p"),
                    call(at.clone(), 422).body(json!({ "at": words.word('x'), "paths": named })),
                    call(at.clone(), 422).body(json!({ "at": past, "paths": [words.word('p')] })),
                    call(at, 422).body(json!({ "at": past, "paths": named, unknown: words.word('x') })),
                ]
            }
            Endpoint::ToolsHash => vec![call(at, 400).body(json!({ "input": words.word('v') }))],
            Endpoint::ToolsRandom => vec![
                call(at.clone(), 400).body(json!({ "format": words.word('x') })),
                call(at, 400).body(json!({ "bytes": words.word('x') })),
            ],
            Endpoint::CapabilitiesSelf => vec![
                call(at.clone(), 200)
                    .body(json!({ "paths": [path] }))
                    .tells("p"),
                call(at, 400),
            ],
            Endpoint::Capabilities => vec![
                call(at.clone(), 400)
                    .body(json!({ "paths": [path], "token": words.word('t') })),
                call(at, 400),
            ],
            Endpoint::CapabilitiesAccessor => vec![
                call(at.clone(), 400)
                    .body(json!({ "paths": [path], "accessor": words.word('x') })),
                call(at, 400),
            ],
            Endpoint::SysMetrics => vec![
                call(format!("{at}?format=prometheus"), 200),
                call(format!("{at}?format={unknown}"), 400),
            ],
            Endpoint::UiMount => vec![
                call(self.url(&format!("secret/{path}")), 200),
                call(at, 403),
            ],
            Endpoint::ReadMount => vec![
                call(self.url("secret"), 200),
                call(self.url("secret/tune"), 200),
                call(at, 400),
            ],
            // Two mounts of a name each, one of which stays and keeps its description.
            Endpoint::EnableMount => {
                let enable = |version| json!({ "type": "kv", "description": words.word('n'), "options": { "version": version } });
                vec![
                    call(at.clone(), 204).body(enable("2")),
                    call(at.clone(), 400).body(enable("1")),
                    call(format!("{at}/tune"), 204).body(json!({ "description": words.word('n') })),
                    call(format!("{at}/tune"), 400)
                        .body(json!({ "default_lease_ttl": words.word('x') })),
                    call(self.url(&self.path()), 400).body(json!({ "type": words.word('x') })),
                    call(self.url(&self.path()), 400).body(enable(&unknown)),
                ]
            }
            Endpoint::DisableMount => vec![
                self.enable(&path, "1"),
                Call::new("POST", format!("/v1/{path}/a"), 204..=204).body(self.secret()),
                call(at, 204),
                call(self.url(&self.path()), 204),
            ],
            Endpoint::Remount => {
                let to = self.path();
                vec![
                    self.enable(&path, "2"),
                    call(at.clone(), 200).body(json!({ "from": path, "to": to })),
                    call(at, 400).body(json!({ "from": self.path(), "to": self.path() })),
                ]
            }
            Endpoint::RemountStatus => vec![call(at, 404)],
            Endpoint::KvReadConfig => vec![call(at + &query, 200)],
            Endpoint::KvWriteConfig => vec![
                call(at.clone(), 204).body(json!({ "max_versions": 0, unknown: words.word('x') })),
                call(at, 400).body(json!({ "max_versions": words.word('x') })),
            ],
            Endpoint::KvSubkeys => vec![
                self.write(&path),
                // The names in a secret are told: they are of the same kind as its values.
                call(at.clone(), 200).tells("v"),
                call(format!("{at}?depth={}", words.word('x')), 400),
                call(self.url(&self.path()), 404),
            ],
            Endpoint::KvPatch => vec![
                self.write(&path),
                call(at.clone(), 200)
                    .body(json!({ "data": self.secret(), unknown: words.word('x') }))
                    .merges(),
                call(at.clone(), 400)
                    .body(json!({ "data": self.secret(), "options": { "cas": 7 } }))
                    .merges(),
                call(at.clone(), 413)
                    .body(json!({ "data": self.large() }))
                    .merges(),
                call(at, 415)
                    .body(json!({ "data": self.secret() }))
                    .header("Content-Type", words.word('x')),
                call(self.url(&self.path()), 404)
                    .body(json!({ "data": self.secret() }))
                    .merges(),
            ],
            Endpoint::KvWriteMetadata => {
                let custom =
                    |value: String| json!({ "custom_metadata": { words.word('n'): value } });
                vec![
                    call(at.clone(), 204).body(custom(words.word('n'))),
                    Call::new("GET", at.clone(), 200..=200).tells("n"),
                    call(at.clone(), 400).body(custom(words.word('n').repeat(100))),
                    call(at.clone(), 400).body(json!({ "custom_metadata": words.word('x') })),
                    call(at.clone(), 400).body(json!({ "delete_version_after": words.word('x') })),
                    call(at, 400).body(json!({ "max_versions": 1, "metadata_cas": words.word('x') })),
                ]
            }
            Endpoint::KvPatchMetadata => {
                let custom = json!({ "custom_metadata": { words.word('n'): words.word('n') } });
                vec![
                    self.write(&path),
                    call(at.clone(), 204).body(custom.clone()).merges(),
                    Call::new("GET", at.clone(), 200..=200).tells("n"),
                    call(at, 400)
                        .body(json!({ "cas_required": words.word('x') }))
                        .merges(),
                    call(self.url(&self.path()), 404).body(custom).merges(),
                ]
            }
            Endpoint::KvScan => {
                let (folder, _) = path.split_once('/').unwrap();
                let listed = self.url(folder);
                vec![
                    self.write(&path),
                    call(listed.clone(), 200).tells("p"),
                    Call::new("GET", format!("{listed}?scan=true"), 200..=200).tells("p"),
                ]
            }
            Endpoint::Kv1Read | Endpoint::Kv1Delete => {
                let write = Call::new("POST", at.clone(), 204..=204).body(self.secret());
                let mut calls = vec![self.enable("one", "1").or(400), write];
                if matches!(self.route.endpoint, Endpoint::Kv1Read) {
                    calls.extend([call(at, 200).tells("v"), call(self.url(&self.path()), 404)]);
                } else {
                    calls.extend([call(at.clone(), 204), call(at, 204)]);
                }
                calls
            }
            Endpoint::Kv1Write => vec![
                self.enable("one", "1").or(400),
                call(at.clone(), 204).body(self.secret()),
                call(at.clone(), 413).body(self.large()),
                call(at, 400).body(json!({})),
            ],
            Endpoint::Kv1List | Endpoint::Kv1Scan => {
                let (folder, _) = path.split_once('/').unwrap();
                vec![
                    self.enable("one", "1").or(400),
                    Call::new("POST", format!("/v1/one/{path}"), 204..=204).body(self.secret()),
                    call(self.url(folder), 200).tells("p"),
                ]
            }
            Endpoint::KvRead => vec![
                self.write(&path),
                call(at.clone() + &query, 200)
                    .tells("v")
                    .header("X-Billfold-Execution", unknown),
                call(format!("{at}?execution_id={}", words.word('x')), 200).tells("v"),
                call(format!("{at}?version=9"), 404),
                call(format!("{at}?version={}", words.word('x')), 400),
                call(self.url(&self.path()), 404).header("X-Billfold-Execution", words.word('x')),
                // The answer itself is not told.
                call(self.url(&path), 200).header("X-Vault-Wrap-TTL", "1h").tells("p"),
            ],
            Endpoint::KvWrite => vec![
                call(at.clone(), 200)
                    .body(json!({ "data": self.secret(), unknown: words.word('x') })),
                call(at.clone(), 400)
                    .body(json!({ "data": self.secret(), "options": { "cas": 7 } })),
                call(at.clone(), 400)
                    .body(json!({ "data": self.secret(), "options": { "cas": words.word('x') } })),
                call(at.clone(), 413).body(json!({ "data": self.large() })),
                call(at, 413).body(words.word('v').repeat((33 << 20) / 29)),
            ],
            Endpoint::KvDelete => {
                vec![
                    self.write(&path),
                    call(at, 204),
                    call(self.url(&self.path()), 204),
                ]
            }
            Endpoint::KvDeleteVersions | Endpoint::KvUndelete | Endpoint::KvDestroy => vec![
                self.write(&path),
                call(at.clone(), 204).body(json!({ "versions": [1], unknown: words.word('x') })),
                call(at, 400).body(json!({ "versions": [words.word('x')] })),
                call(self.url(&self.path()), 204).body(json!({ "versions": "1,2" })),
            ],
            Endpoint::KvReadMetadata => {
                vec![
                    self.write(&path),
                    call(at, 200),
                    call(self.url(&self.path()), 404),
                ]
            }
            Endpoint::KvDetails => {
                let (folder, _) = path.split_once('/').unwrap();
                let listed = self.url(folder);
                let found = call(listed, 200).tells("p").may_tell("n");
                vec![self.write(&path), found]
            }
            Endpoint::KvList => {
                let (folder, _) = path.split_once('/').unwrap();
                let listed = self.url(folder);
                vec![
                    self.write(&path),
                    call(listed.clone(), 200).tells("p"),
                    Call::new("GET", format!("{listed}?list=true"), 200..=200).tells("p"),
                    call(format!("/v1/secret/metadata/{}", self.path()), 404),
                ]
            }
            Endpoint::KvRemove => {
                vec![
                    self.write(&path),
                    call(at, 204),
                    call(self.url(&self.path()), 204),
                ]
            }
            Endpoint::CredentialWrite => {
                let mut conflict = self.credential(&path);
                conflict["cas"] = json!(7);
                let mut other = self.credential(&path);
                other[words.word('x')] = json!(words.word('x'));
                let mut large = self.credential(&path);
                large["data"] = self.large();
                vec![
                    call(at.clone(), 200)
                        .body(self.credential(&path))
                        .tells("pn"),
                    call(at.clone(), 409).body(conflict),
                    call(at.clone(), 422).body(other),
                    call(at.clone(), 422).body(self.credential(&format!("{path}/"))),
                    call(at, 413).body(large),
                ]
            }
            Endpoint::CredentialList => vec![
                self.write_credential(&path),
                call(at.clone(), 200).tells("pn"),
                call(
                    format!("{at}?type={}&q={}", words.word('n'), words.word('n')),
                    200,
                )
                .tells("n"),
            ],
            Endpoint::CredentialRead => vec![
                self.write_credential(&path),
                call(at.clone(), 200).tells("pn"),
                call(format!("{at}?include_data=true"), 200).tells("pnv"),
                call(format!("{at}?include_data={unknown}"), 400),
                call(self.url(&self.path()), 404),
            ],
            Endpoint::CredentialRemove => vec![
                self.write_credential(&path),
                call(at.clone(), 200),
                call(at, 404),
            ],
            Endpoint::Transaction => {
                let change = |op: &str, path: String| json!({ "op": op, "path": path, "data": self.secret() });
                let good = change("put", format!("secret/{path}"));
                let mut stale = change("put", format!("secret/{}", self.path()));
                stale["cas"] = json!(7);
                let mut large = good.clone();
                large["data"] = self.large();
                let sent = |status, changes: &[&Value]| {
                    call(at.clone(), status).body(json!({ "changes": changes }))
                };
                vec![
                    sent(200, &[&good]),
                    sent(409, &[&good, &stale]),
                    sent(422, &[&good, &change(&unknown, format!("secret/{path}"))]),
                    sent(422, &[&good, &change("put", path)]),
                    sent(413, &[&large]),
                ]
            }
        }
    }

    /// Whether a command id can be sent to it.
    fn takes_commands(&self) -> bool {
        matches!(self.verb, "POST" | "PUT" | "DELETE") && self.route.endpoint.takes_commands()
    }

    /// A call that would be good, for those that can be made bad by a header.
    fn good(&self) -> Option<Call> {
        let call = Call::new(self.verb, self.url("app"), 400..=422);
        let change = json!({ "op": "put", "path": "secret/app", "data": {} });
        let body = json!({
            "data": self.secret(), "versions": [1], "name": "app", "type": "t", "changes": [change],
        });
        match self.route.endpoint {
            Endpoint::CredentialWrite => Some(call.body(self.credential("app"))),
            Endpoint::Transaction => Some(call.body(json!({ "changes": body["changes"] }))),
            // It looks first for what it shall remove.
            Endpoint::CredentialRemove => None,
            _ => Some(call.body(body)),
        }
    }

    /// What no endpoint takes, whatever it is for.
    fn refused(&self) -> Vec<Call> {
        let words = self.words;
        let at = self.url(&self.path());
        let call = |path: String| Call::new(self.verb, path, REFUSED);
        let mut calls = vec![
            call(at.clone()).token(Token::None),
            call(at.clone()).token(Token::Other(words.word('t'))),
            call(format!("{at}?token={}", words.word('t'))).token(Token::None),
            call(at.clone())
                .token(Token::None)
                .header("Authorization", format!("Bearer {}", words.word('t'))),
            call(at.clone())
                .token(Token::None)
                .header("Authorization", format!("Basic {}", words.word('t'))),
            call(at.clone()).header("X-Vault-Namespace", words.word('x')),
            call(at.clone()).header("X-Vault-Wrap-TTL", words.word('x')),
            Call::new("GET", format!("{at}?list={}", words.word('x')), REFUSED),
            Call::new(&words.word('x'), at.clone(), REFUSED),
            Call::new("PATCH", at.clone(), REFUSED).body(json!({ "data": self.secret() })),
            Call::new("OPTIONS", at, REFUSED),
        ];
        let mount = self.route.path.replace("{mount}", &words.word('p'));
        if mount != self.route.path {
            calls.push(call(format!("/{}", mount.replace("{path}", &self.path()))));
        }
        calls
    }

    /// What a path says of itself repeats nothing of it.
    fn help(&self) -> Call {
        let at = self.url(&self.path());
        let query = format!("help=1&x={}", self.words.word('x'));
        Call::new("GET", format!("{at}?{query}"), 200..=404)
    }

    /// Paths that are no paths.
    fn strange(&self) -> Vec<Call> {
        let at = self.url(&self.path());
        let word = || self.words.word('p');
        [
            format!("{at}/../{}", word()),
            format!("{at}//{}", word()),
            format!("{at}/%2e%2e/{}", word()),
            format!("{at}%2f%2f{}", word()),
            format!("{at}/{}%00", word()),
            format!("{at}/{}%0a", word()),
            format!("{at}/{}%ff", word()),
            format!("{at}/{}%zz", word()),
            format!("{at}/{}", word().repeat(2_000)),
            format!("/v1/sys/{}", word()),
            format!("/v1/{}", word()),
            format!("/{}/{}", word(), word()),
        ]
        .map(|path| Call::new(self.verb, path, 300..=499))
        .into()
    }

    /// Bodies that are not what belongs there.
    fn unreadable(&self) -> Vec<Call> {
        let at = self.url(&self.path());
        let word = || self.words.word('v');
        let deep = format!(
            "{{\"data\":{}\"{}\"{}}}",
            "[".repeat(300),
            word(),
            "]".repeat(300)
        );
        let wrong = word();
        [
            word(),
            format!("{{\"data\":{{\"{}\":\"{}", word(), word()),
            format!("{{\"data\":{{\"{}\":01}}}}", word()),
            format!("[\"{}\"]", word()),
            format!("\"{}\"", word()),
            deep,
            json!({ "data": wrong, "versions": wrong, "changes": wrong, "name": 7 }).to_string(),
            json!({ "data": [wrong], "versions": { &wrong: 1 }, "changes": [wrong] }).to_string(),
            json!({ "data": 7, "versions": [[wrong]], "changes": { &wrong: 1 } }).to_string(),
            json!({ wrong: { "x": 1 } }).to_string(),
        ]
        .map(|body| {
            let call = Call::new(self.verb, at.clone(), REFUSED).body(body);
            match self.route.endpoint {
                // Any object is a secret, and members that mean nothing to a change are left out.
                Endpoint::Kv1Write
                | Endpoint::CubbyholeWrite
                | Endpoint::Rotate
                | Endpoint::WriteRotation
                | Endpoint::KvWriteConfig
                | Endpoint::KvWriteMetadata
                | Endpoint::KvPatchMetadata => call.or(204),
                // Without a token named, the caller's own is meant, and told again.
                Endpoint::LookupSelf
                | Endpoint::TokenLookup
                | Endpoint::TokenCreate
                | Endpoint::TokenCreateOrphan
                | Endpoint::TokenTidy
                | Endpoint::ToolsHash
                | Endpoint::RootAttempt
                | Endpoint::ToolsRandom => call.or(200).may_tell("t"),
                _ => call,
            }
        })
        .into()
    }

    fn path(&self) -> String {
        format!("{}/{}", self.words.word('p'), self.words.word('p'))
    }

    fn url(&self, rest: &str) -> String {
        let path = self.route.path.replace("{mount}", "secret");
        let path = path.replace("{kv1}", "one");
        format!("/{}", path.replace("{path}", rest).replace("{id}", rest))
    }

    fn secret(&self) -> Value {
        let word = || self.words.word('v');
        json!({ word(): word(), "list": [word(), { word(): [word()] }] })
    }

    fn large(&self) -> Value {
        json!({ "large": self.words.word('v').repeat((1 << 20) / 25) })
    }

    fn credential(&self, name: &str) -> Value {
        let word = || self.words.word('n');
        json!({
            "name": name, "type": word(), "data": self.secret(), "description": word(),
            "tags": [word(), word()], "meta": { word(): word() },
        })
    }

    fn enable(&self, path: &str, version: &str) -> Call {
        let body = json!({ "type": "kv", "options": { "version": version } });
        Call::new("POST", format!("/v1/sys/mounts/{path}"), 204..=204).body(body)
    }

    fn policy(&self) -> String {
        format!(
            "path \"secret/data/{}\" {{ capabilities = [\"read\"] }}",
            self.words.word('n')
        )
    }

    fn write_policy(&self, name: &str) -> Call {
        let body = json!({ "policy": self.policy() });
        Call::new("POST", format!("/v1/sys/policies/acl/{name}"), 204..=204).body(body)
    }

    fn write(&self, path: &str) -> Call {
        let body = json!({ "data": self.secret() });
        Call::new("POST", format!("/v1/secret/data/{path}"), 200..=200).body(body)
    }

    fn write_credential(&self, name: &str) -> Call {
        let body = self.credential(name);
        Call::new("POST", "/api/credentials", 200..=200)
            .body(body)
            .tells("pn")
    }
}
