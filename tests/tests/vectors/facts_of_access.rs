//! Facts about tokens, policies, roles and cubbyholes.

use billfold_core::{
    Millis,
    event::{
        Event, Fact,
        v1::{
            CubbyholeDeleted, CubbyholeWritten, EndedToken, PolicyDeleted, PolicyWritten,
            TokenCreated, TokenRenewed, TokenRole, TokenRoleDeleted, TokenRoleWritten, TokenUsed,
            TokensEnded,
        },
    },
    id::{PrincipalId, RecordId, RequestId, TokenId},
    policy::Policy,
};

use crate::facts::{fact, key, root, sealed};

pub(crate) fn all() -> Vec<(&'static str, Fact)> {
    let text = "path \"secret/data/*\" { capabilities = [\"read\"] }";
    let token = TokenId::from_bytes([0x77; 16]);
    let created = TokenCreated {
        token,
        principal: PrincipalId::from_bytes([0x78; 16]),
        parent: Some(TokenId::from_bytes([0x44; 16])),
        policies: vec!["default".to_owned(), "team".to_owned()],
        ttl: 3_600_000,
        expires: Some(Millis(1_800_003_600_000)),
        explicit_max_ttl: 7_200_000,
        period: 60_000,
        renewable: true,
        uses: 5,
        cidrs: vec!["10.0.0.0/8".to_owned()],
        role: Some("team".to_owned()),
        wraps: Some(RequestId::from_bytes([0x7a; 16])),
        mac: sealed(0x66, 20, 0xb0),
        names: sealed(0x66, 21, 0xb1),
    };
    let orphan = TokenCreated {
        parent: None,
        expires: None,
        policies: Vec::new(),
        cidrs: Vec::new(),
        role: None,
        wraps: None,
        ..created.clone()
    };
    let renewed = TokenRenewed {
        token,
        expires: Millis(1_800_007_200_000),
    };
    let ended = TokensEnded {
        tokens: vec![EndedToken {
            token,
            keys: vec![key(0x66, 20), key(0x66, 21)],
        }],
        leaves_orphans: true,
        unwrapped: Some(RequestId::from_bytes([0x7b; 16])),
    };
    let written = PolicyWritten {
        name: "team".to_owned(),
        text: text.to_owned(),
        policy: Policy::parse(text).unwrap(),
        expires: None,
        cas_required: false,
    };
    let ending = PolicyWritten {
        name: "visitors".to_owned(),
        expires: Some(Millis(1_800_000_000_010)),
        cas_required: true,
        ..written.clone()
    };
    let deleted = PolicyDeleted {
        name: "team".to_owned(),
    };
    let kept = CubbyholeWritten {
        token,
        entry: RecordId::from_bytes([0x79; 16]),
        payload: sealed(0x66, 22, 0xb2),
        names: Some(sealed(0x66, 23, 0xb3)),
        retired: None,
    };
    let again = CubbyholeWritten {
        payload: sealed(0x66, 24, 0xb4),
        names: None,
        retired: Some(key(0x66, 22)),
        ..kept.clone()
    };
    let removed = CubbyholeDeleted {
        token,
        entry: kept.entry,
        keys: vec![key(0x66, 24), key(0x66, 23)],
    };
    let role = TokenRoleWritten {
        name: "team".to_owned(),
        role: TokenRole {
            allowed: vec!["app".to_owned()],
            allowed_globs: vec!["dev-*".to_owned()],
            disallowed: vec!["ops".to_owned()],
            disallowed_globs: vec!["*-root".to_owned()],
            orphan: true,
            renewable: false,
            path_suffix: "ci".to_owned(),
            explicit_max_ttl: 7_200_000,
            period: 60_000,
            uses: 5,
            cidrs: vec!["10.0.0.0/8".to_owned()],
            no_default: true,
            always_service: false,
        },
    };
    let no_role = TokenRoleDeleted {
        name: "team".to_owned(),
    };
    vec![
        ("token-created", fact(root(), Event::TokenCreated(created))),
        (
            "token-created-orphan",
            fact(root(), Event::TokenCreated(orphan)),
        ),
        ("token-renewed", fact(root(), Event::TokenRenewed(renewed))),
        (
            "token-used",
            fact(root(), Event::TokenUsed(TokenUsed { token })),
        ),
        ("tokens-ended", fact(root(), Event::TokensEnded(ended))),
        (
            "policy-written",
            fact(root(), Event::PolicyWritten(written)),
        ),
        (
            "policy-written-ending",
            fact(root(), Event::PolicyWritten(ending)),
        ),
        (
            "policy-deleted",
            fact(root(), Event::PolicyDeleted(deleted)),
        ),
        (
            "cubbyhole-written",
            fact(root(), Event::CubbyholeWritten(kept)),
        ),
        (
            "cubbyhole-written-again",
            fact(root(), Event::CubbyholeWritten(again)),
        ),
        (
            "cubbyhole-deleted",
            fact(root(), Event::CubbyholeDeleted(removed)),
        ),
        (
            "token-role-written",
            fact(root(), Event::TokenRoleWritten(role)),
        ),
        (
            "token-role-deleted",
            fact(root(), Event::TokenRoleDeleted(no_role)),
        ),
    ]
}
