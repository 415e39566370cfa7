//! Commands about tokens, policies, roles, cubbyholes and the wallet's own keys on their way to
//! another node.

use serde_bytes::{ByteArray, ByteBuf, Bytes};
use zeroize::Zeroizing;

use crate::{
    SecretBytes,
    cbor::{self, as_array},
    command::{Action, NewKek, NewToken, NewWrapping, TokenWish},
    event::v1::{PolicyWritten, RotationPolicy, TokenRole, TokenRoleWritten},
    id::{RecordId, RequestId, TokenId},
    keys::{TokenMac, keyring::KekVersion},
    names::TokenNames,
};

as_array!(TokenWish {
    policies,
    no_default,
    orphan,
    may_orphan,
    ttl,
    explicit_max_ttl,
    period,
    renewable,
    uses,
    cidrs,
    role
});

as_array!(NewKek {
    version,
    generation,
    manager,
    fact_key,
    compromised
});

type Token<N> = (TokenId, ByteArray<32>, N, TokenWish);
type Wrapping<N, P> = (
    (TokenId, ByteArray<32>, N, RequestId),
    u64,
    Option<TokenId>,
    RecordId,
    P,
);

/// An action as it is sent: nothing in it is a copy of a secret.
#[derive(serde::Serialize)]
pub(super) enum Sent<'a> {
    CreateToken(Token<&'a TokenNames>),
    CreateRootToken(Token<&'a TokenNames>),
    Seal,
    RenewToken(TokenId, u64),
    UseToken(TokenId),
    EndTokens(&'a [TokenId], bool),
    WritePolicy(Option<i64>, Option<u64>, &'a PolicyWritten),
    DeletePolicy(&'a str),
    WriteCubbyhole(RecordId, &'a str, &'a Bytes),
    DeleteCubbyhole(RecordId),
    Wrap(Wrapping<&'a TokenNames, &'a Bytes>),
    Unwrap(TokenId, RequestId),
    WriteTokenRole(Option<&'a TokenRole>, &'a TokenRoleWritten),
    DeleteTokenRole(&'a str),
    RotateKek(&'a NewKek),
    SetRotationPolicy(RotationPolicy),
    RetireKeks(KekVersion),
    ReplaceGeneration(u32, &'a str, KekVersion),
}

/// The same as it is received.
#[derive(serde::Deserialize)]
pub(super) enum Received {
    CreateToken(Token<TokenNames>),
    CreateRootToken(Token<TokenNames>),
    Seal,
    RenewToken(TokenId, u64),
    UseToken(TokenId),
    EndTokens(Vec<TokenId>, bool),
    WritePolicy(Option<i64>, Option<u64>, PolicyWritten),
    DeletePolicy(String),
    WriteCubbyhole(RecordId, String, ByteBuf),
    DeleteCubbyhole(RecordId),
    Wrap(Wrapping<TokenNames, ByteBuf>),
    Unwrap(TokenId, RequestId),
    WriteTokenRole(Option<TokenRole>, TokenRoleWritten),
    DeleteTokenRole(String),
    RotateKek(NewKek),
    SetRotationPolicy(RotationPolicy),
    RetireKeks(KekVersion),
    ReplaceGeneration(u32, String, KekVersion),
}

/// The action as it is sent; none for one that is sent in another form, or not at all.
pub(super) fn sent(action: &Action) -> Option<Sent<'_>> {
    Some(match action {
        Action::CreateToken(new) => Sent::CreateToken(sent_token(new)),
        Action::CreateRootToken(new) => Sent::CreateRootToken(sent_token(new)),
        Action::Seal => Sent::Seal,
        Action::RenewToken(token, increment) => Sent::RenewToken(*token, *increment),
        Action::UseToken(token) => Sent::UseToken(*token),
        Action::EndTokens {
            tokens,
            leaves_orphans,
        } => Sent::EndTokens(tokens, *leaves_orphans),
        Action::WritePolicy { cas, ttl, written } => Sent::WritePolicy(*cas, *ttl, written),
        Action::DeletePolicy(name) => Sent::DeletePolicy(name),
        Action::WriteCubbyhole {
            entry,
            path,
            payload,
        } => Sent::WriteCubbyhole(*entry, path, Bytes::new(payload.expose())),
        Action::DeleteCubbyhole(entry) => Sent::DeleteCubbyhole(*entry),
        Action::Wrap(new) => Sent::Wrap((
            (
                new.token,
                ByteArray::new(*new.mac.as_bytes()),
                &new.names,
                new.request,
            ),
            new.ttl,
            new.replaces,
            new.entry,
            Bytes::new(new.answer.expose()),
        )),
        Action::Unwrap(token, request) => Sent::Unwrap(*token, *request),
        Action::WriteTokenRole { basis, written } => {
            Sent::WriteTokenRole(basis.as_deref(), written)
        }
        Action::DeleteTokenRole(name) => Sent::DeleteTokenRole(name),
        Action::RotateKek(new) => Sent::RotateKek(new),
        Action::SetRotationPolicy(policy) => Sent::SetRotationPolicy(*policy),
        Action::RetireKeks(version) => Sent::RetireKeks(*version),
        Action::ReplaceGeneration {
            generation,
            manager,
            back_to,
        } => Sent::ReplaceGeneration(*generation, manager, *back_to),
        Action::CreateWallet(_)
        | Action::EnableMount(_)
        | Action::TuneMount { .. }
        | Action::RenameMount { .. }
        | Action::DisableMount(_)
        | Action::Change(_)
        | Action::Erase(_)
        | Action::PlaceHold(_)
        | Action::LiftHold(_)
        | Action::ClearTokens(_)
        | Action::ClosePages(_)
        | Action::ConfirmDestroyed(_)
        | Action::BeginEpoch { .. }
        | Action::GrantAuditor(_)
        | Action::GrantEpochs { .. }
        | Action::GrantNames { .. }
        | Action::EndGrant(_)
        | Action::ConfirmRewrapped { .. }
        | Action::ConfirmKeksDestroyed(_)
        | Action::Reseal(_) => return None,
    })
}

fn sent_token(new: &NewToken) -> Token<&TokenNames> {
    let mac = ByteArray::new(*new.mac.as_bytes());
    (new.token, mac, &new.names, new.wish.clone())
}

/// The action of what was received.
pub(super) fn received(action: Received) -> Result<Action, cbor::Malformed> {
    let mac = |bytes: ByteArray<32>| TokenMac::from_slice(&*bytes).ok_or(cbor::Malformed);
    let secret = |bytes: ByteBuf| SecretBytes::new(Zeroizing::new(bytes.into_vec()));
    let new_token = |(token, bytes, names, wish): Token<TokenNames>| {
        let mac = mac(bytes)?;
        Ok(Box::new(NewToken {
            token,
            mac,
            names,
            wish,
        }))
    };
    Ok(match action {
        Received::CreateToken(token) => Action::CreateToken(new_token(token)?),
        Received::CreateRootToken(token) => Action::CreateRootToken(new_token(token)?),
        Received::Seal => Action::Seal,
        Received::RenewToken(token, increment) => Action::RenewToken(token, increment),
        Received::UseToken(token) => Action::UseToken(token),
        Received::EndTokens(tokens, leaves_orphans) => Action::EndTokens {
            tokens,
            leaves_orphans,
        },
        Received::WritePolicy(cas, ttl, written) => Action::WritePolicy {
            cas,
            ttl,
            written: Box::new(written),
        },
        Received::DeletePolicy(name) => Action::DeletePolicy(name),
        Received::WriteCubbyhole(entry, path, payload) => Action::WriteCubbyhole {
            entry,
            path,
            payload: secret(payload),
        },
        Received::DeleteCubbyhole(entry) => Action::DeleteCubbyhole(entry),
        Received::Wrap(((token, bytes, names, request), ttl, replaces, entry, answer)) => {
            Action::Wrap(Box::new(NewWrapping {
                token,
                mac: mac(bytes)?,
                names,
                request,
                ttl,
                replaces,
                entry,
                answer: secret(answer),
            }))
        }
        Received::Unwrap(token, request) => Action::Unwrap(token, request),
        Received::WriteTokenRole(basis, written) => Action::WriteTokenRole {
            basis: basis.map(Box::new),
            written: Box::new(written),
        },
        Received::DeleteTokenRole(name) => Action::DeleteTokenRole(name),
        Received::RotateKek(new) => Action::RotateKek(new),
        Received::SetRotationPolicy(policy) => Action::SetRotationPolicy(policy),
        Received::RetireKeks(version) => Action::RetireKeks(version),
        Received::ReplaceGeneration(generation, manager, back_to) => Action::ReplaceGeneration {
            generation,
            manager,
            back_to,
        },
    })
}
