//! The entries of the state: their keys, their values, and the bytes of both.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};

use crate::{
    cbor,
    event::v1::TokenRole,
    id::{CommandId, ErasureId, FactKeyId, GrantId, HoldId, MountId, PageId, RecordId, TokenId},
    state::{
        CommandRecord, Cubbyhole, Epoch, Erasure, Grant, Grants, Hold, Holds, Mount, PageUse,
        Record, StoredPolicy, Token, Wallet,
    },
};

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// The wallet itself.
    Wallet,
    /// All mounts.
    Mounts,
    /// A secret's record.
    Record(RecordId),
    /// A page of the key store.
    Page(PageId),
    /// A command that carried an id.
    Command(CommandId),
    /// A token.
    Token(TokenId),
    /// All policies.
    Policies,
    /// The cubbyhole of a token.
    Cubbyhole(TokenId),
    /// All roles of the token store.
    TokenRoles,
    /// An erasure that was ordered.
    Erasure(ErasureId),
    /// All legal holds.
    Holds,
    /// An epoch of facts.
    Epoch(FactKeyId),
    /// All auditor grants that stand.
    Grants,
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Wallet => (1_u8, None::<RecordId>).serialize(serializer),
            Self::Mounts => (2_u8, None::<RecordId>).serialize(serializer),
            Self::Record(id) => (3_u8, id).serialize(serializer),
            Self::Page(id) => (4_u8, id).serialize(serializer),
            Self::Command(id) => (5_u8, id).serialize(serializer),
            Self::Token(id) => (6_u8, id).serialize(serializer),
            Self::Policies => (7_u8, None::<RecordId>).serialize(serializer),
            Self::Cubbyhole(id) => (8_u8, id).serialize(serializer),
            Self::TokenRoles => (9_u8, None::<RecordId>).serialize(serializer),
            Self::Erasure(id) => (60_u8, id).serialize(serializer),
            Self::Holds => (61_u8, None::<RecordId>).serialize(serializer),
            Self::Epoch(id) => (62_u8, id).serialize(serializer),
            Self::Grants => (63_u8, None::<RecordId>).serialize(serializer),
        }
    }
}

impl Key {
    /// Its bytes, as they go into the digest.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

/// An entry's value.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(
    missing_docs,
    reason = "each variant is documented where its struct is"
)]
pub enum Value {
    Wallet(Arc<Wallet>),
    Mounts(Arc<BTreeMap<MountId, Mount>>),
    Record(Record),
    Page(PageUse),
    Command(CommandRecord),
    Token(Box<Token>),
    Policies(Arc<BTreeMap<String, StoredPolicy>>),
    Cubbyhole(Cubbyhole),
    TokenRoles(Arc<BTreeMap<String, TokenRole>>),
    Erasure(Box<Erasure>),
    Holds(Arc<Holds>),
    Epoch(Epoch),
    Grants(Arc<Grants>),
}

impl Value {
    /// Its bytes: in the digest, and inside the view's ciphertexts.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Wallet(value) => cbor::encode(&**value),
            Self::Mounts(value) => cbor::encode(&value.iter().collect::<Vec<_>>()),
            Self::Record(value) => cbor::encode(value),
            Self::Page(value) => cbor::encode(value),
            Self::Command(value) => cbor::encode(value),
            Self::Token(value) => cbor::encode(&**value),
            Self::Policies(value) => cbor::encode(&value.iter().collect::<Vec<_>>()),
            Self::Cubbyhole(value) => cbor::encode(value),
            Self::TokenRoles(value) => cbor::encode(&value.iter().collect::<Vec<_>>()),
            Self::Erasure(value) => cbor::encode(&**value),
            Self::Holds(value) => cbor::encode(&value.iter().collect::<Vec<_>>()),
            Self::Epoch(value) => cbor::encode(value),
            Self::Grants(value) => cbor::encode(&value.iter().collect::<Vec<_>>()),
        }
    }

    /// The value that belongs to this key.
    ///
    /// # Errors
    /// When the bytes are no such value.
    pub fn decode(key: &Key, bytes: &[u8]) -> Result<Self, cbor::Malformed> {
        Ok(match key {
            Key::Wallet => Self::Wallet(Arc::new(cbor::decode(bytes)?)),
            Key::Mounts => {
                let mounts: Vec<(MountId, Mount)> = cbor::decode(bytes)?;
                Self::Mounts(Arc::new(mounts.into_iter().collect()))
            }
            Key::Record(_) => Self::Record(cbor::decode(bytes)?),
            Key::Page(_) => Self::Page(cbor::decode(bytes)?),
            Key::Command(_) => Self::Command(cbor::decode(bytes)?),
            Key::Token(_) => Self::Token(Box::new(cbor::decode(bytes)?)),
            Key::Policies => {
                let policies: Vec<(String, StoredPolicy)> = cbor::decode(bytes)?;
                Self::Policies(Arc::new(policies.into_iter().collect()))
            }
            Key::Cubbyhole(_) => Self::Cubbyhole(cbor::decode(bytes)?),
            Key::TokenRoles => {
                let roles: Vec<(String, TokenRole)> = cbor::decode(bytes)?;
                Self::TokenRoles(Arc::new(roles.into_iter().collect()))
            }
            Key::Erasure(_) => Self::Erasure(Box::new(cbor::decode(bytes)?)),
            Key::Holds => {
                let holds: Vec<(HoldId, Hold)> = cbor::decode(bytes)?;
                Self::Holds(Arc::new(holds.into_iter().collect()))
            }
            Key::Epoch(_) => Self::Epoch(cbor::decode(bytes)?),
            Key::Grants => {
                let grants: Vec<(GrantId, Grant)> = cbor::decode(bytes)?;
                Self::Grants(Arc::new(grants.into_iter().collect()))
            }
        })
    }

    /// The record, if it is one.
    #[must_use]
    pub fn into_record(self) -> Option<Record> {
        match self {
            Self::Record(value) => Some(value),
            _ => None,
        }
    }
}

/// What a value is, if it is of this kind.
macro_rules! of_kind {
    ($($name:ident: $kind:ident($type:ty)),+ $(,)?) => {
        impl Value {
            $(pub(super) fn $name(self) -> Option<$type> {
                match self {
                    Self::$kind(value) => Some(value),
                    _ => None,
                }
            })+
        }
    };
}

of_kind! {
    into_wallet: Wallet(Arc<Wallet>),
    into_mounts: Mounts(Arc<BTreeMap<MountId, Mount>>),
    into_page: Page(PageUse),
    into_command: Command(CommandRecord),
    into_token: Token(Box<Token>),
    into_policies: Policies(Arc<BTreeMap<String, StoredPolicy>>),
    into_cubbyhole: Cubbyhole(Cubbyhole),
    into_token_roles: TokenRoles(Arc<BTreeMap<String, TokenRole>>),
    into_erasure: Erasure(Box<Erasure>),
    into_holds: Holds(Arc<Holds>),
    into_epoch: Epoch(Epoch),
    into_grants: Grants(Arc<Grants>),
}
