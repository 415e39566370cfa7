//! The entries of the state.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};
use serde_bytes::ByteArray;

use crate::{
    Millis,
    cbor::{self, as_array},
    event::{
        CiphertextHash, SealedRef,
        v1::{MountKind, RotationPolicy, Settings, TokenRole},
    },
    id::{
        CommandId, ErasureId, FactKeyId, GrantId, HoldId, MountId, PageId, PrincipalId, RecordId,
        TokenId, WalletId,
    },
    keys::{
        keyring::KekVersion,
        page::{KeyRef, Slots},
    },
    policy::{Policy, WRAPPING},
    state::{
        DEFAULT_MAX_VERSIONS,
        epoch::Epoch,
        erasure::{Erasure, Hold, Holds},
        grant::{Grant, Grants},
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

    pub(super) fn into_wallet(self) -> Option<Arc<Wallet>> {
        if let Self::Wallet(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(super) fn into_mounts(self) -> Option<Arc<BTreeMap<MountId, Mount>>> {
        if let Self::Mounts(value) = self {
            Some(value)
        } else {
            None
        }
    }

    /// The record, if it is one.
    #[must_use]
    pub fn into_record(self) -> Option<Record> {
        if let Self::Record(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(super) fn into_page(self) -> Option<PageUse> {
        if let Self::Page(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(super) fn into_token(self) -> Option<Token> {
        if let Self::Token(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    pub(super) fn into_policies(self) -> Option<Arc<BTreeMap<String, StoredPolicy>>> {
        if let Self::Policies(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(super) fn into_cubbyhole(self) -> Option<Cubbyhole> {
        if let Self::Cubbyhole(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(super) fn into_token_roles(self) -> Option<Arc<BTreeMap<String, TokenRole>>> {
        if let Self::TokenRoles(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(super) fn into_erasure(self) -> Option<Erasure> {
        if let Self::Erasure(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    pub(super) fn into_holds(self) -> Option<Arc<Holds>> {
        if let Self::Holds(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(super) fn into_epoch(self) -> Option<Epoch> {
        if let Self::Epoch(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(super) fn into_grants(self) -> Option<Arc<Grants>> {
        if let Self::Grants(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(super) fn into_command(self) -> Option<CommandRecord> {
        if let Self::Command(value) = self {
            Some(value)
        } else {
            None
        }
    }
}

/// A token, without what opens it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Who acts by it.
    pub principal: PrincipalId,
    /// The token that it was made with; none for an orphan.
    pub parent: Option<TokenId>,
    /// The names of its policies, in order.
    pub policies: Vec<String>,
    /// When it was made.
    pub created: Millis,
    /// When it was last renewed.
    pub renewed: Option<Millis>,
    /// For how long it was made, in milliseconds; 0 for one that does not end by itself.
    pub ttl: u64,
    /// When it ends by itself.
    pub expires: Option<Millis>,
    /// How long it can be renewed at most, in milliseconds from its creation; 0 is the wallet's own
    /// bound.
    pub explicit_max_ttl: u64,
    /// How long each renewal makes it last, in milliseconds; 0 when it is not periodic.
    pub period: u64,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// How many uses are left; none when they are not counted.
    pub uses: Option<u32>,
    /// The networks that it can be used from, as CIDR; empty is everywhere.
    pub cidrs: Vec<String>,
    /// The role that it was made by.
    pub role: Option<String>,
    /// Its MAC.
    pub mac: SealedRef,
    /// What it is called.
    pub names: SealedRef,
    /// Whether it is gone, and those that were made with it stand by themselves.
    pub leaves_orphans: bool,
}

as_array!(Token {
    principal,
    parent,
    policies,
    created,
    renewed,
    ttl,
    expires,
    explicit_max_ttl,
    period,
    renewable,
    uses,
    cidrs,
    role,
    mac,
    names,
    leaves_orphans
});

impl Token {
    /// Whether it has ended by itself at this time, or is gone. The last of counted uses may still
    /// be at work.
    #[must_use]
    pub fn has_ended(&self, time: Millis) -> bool {
        self.leaves_orphans || self.expires.is_some_and(|expires| expires <= time)
    }

    /// For how long it was made, or renewed the last time, in milliseconds; 0 for one that does not
    /// end by itself.
    #[must_use]
    pub fn lease(&self) -> u64 {
        let since = self.renewed.unwrap_or(self.created);
        self.expires
            .map_or(0, |expires| expires.0.saturating_sub(since.0))
    }

    /// Whether it holds a wrapped answer, and nothing else can be done with it.
    #[must_use]
    pub fn wraps(&self) -> bool {
        self.policies == [WRAPPING]
    }
}

/// What a token keeps for itself, by blinded path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cubbyhole {
    /// What is in it, in the order of blinded paths.
    pub entries: Vec<CubbyholeEntry>,
}

as_array!(Cubbyhole { entries });

impl Cubbyhole {
    /// What is at this blinded path.
    #[must_use]
    pub fn entry(&self, id: &RecordId) -> Option<&CubbyholeEntry> {
        let at = self.position(id).ok()?;
        self.entries.get(at)
    }

    /// The keys of all that is in it, and of their paths.
    pub fn keys(&self) -> impl Iterator<Item = KeyRef> {
        self.entries.iter().flat_map(CubbyholeEntry::keys)
    }

    pub(super) fn put(&mut self, entry: CubbyholeEntry) {
        match self.position(&entry.id) {
            Ok(at) => {
                if let Some(before) = self.entries.get_mut(at) {
                    *before = entry;
                }
            }
            Err(at) => self.entries.insert(at, entry),
        }
    }

    pub(super) fn remove(&mut self, id: &RecordId) -> Option<CubbyholeEntry> {
        let at = self.position(id).ok()?;
        Some(self.entries.remove(at))
    }

    fn position(&self, id: &RecordId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(id, |entry| entry.id)
    }
}

/// Something in a cubbyhole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CubbyholeEntry {
    /// Its blinded path.
    pub id: RecordId,
    /// What it says.
    pub payload: SealedRef,
    /// Its path.
    pub names: SealedRef,
}

as_array!(CubbyholeEntry { id, payload, names });

impl CubbyholeEntry {
    /// Its keys: that of what it says, and that of its path.
    #[must_use]
    pub const fn keys(&self) -> [KeyRef; 2] {
        [self.payload.key, self.names.key]
    }
}

/// A policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPolicy {
    /// Its text, as it was sent.
    pub text: String,
    /// What the text says.
    pub policy: Policy,
    /// How often it was written since it was last absent, counted from 1.
    pub version: u32,
    /// When it was last written.
    pub modified: Millis,
    /// When it ends by itself.
    pub expires: Option<Millis>,
    /// Whether the next write must say which version it follows.
    pub cas_required: bool,
}

as_array!(StoredPolicy {
    text,
    policy,
    version,
    modified,
    expires,
    cas_required
});

impl StoredPolicy {
    /// Whether it has ended by itself at this time: then it is as if it were not there.
    #[must_use]
    pub fn has_ended(&self, time: Millis) -> bool {
        self.expires.is_some_and(|expires| expires <= time)
    }
}

/// The wallet: who rules it, and under which keys it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// When it began.
    pub created: Millis,
    /// The principal that may do everything.
    pub root: PrincipalId,
    /// The accessor of its token.
    pub root_token: TokenId,
    /// The MAC of its token, a payload.
    pub root_token_mac: SealedRef,
    /// Its KEK versions, oldest first; the last one is current.
    pub keks: Vec<WalletKek>,
    /// Its unseal generations, oldest first; the last one wraps the KEK versions.
    pub generations: Vec<WalletGeneration>,
    /// The newest KEK version that was destroyed before the generation above it was replaced: what
    /// was erased under it and older ones is gone from every copy.
    pub complete: KekVersion,
    /// When it makes a new KEK version by itself.
    pub rotation: RotationPolicy,
    /// The newest KEK version that may be known to others, if one ever was.
    pub compromised: Option<Compromise>,
    /// The epoch whose keys seal what is recorded; none before the first KEK version.
    pub epoch: Option<FactKeyId>,
}

as_array!(Wallet {
    id,
    created,
    root,
    root_token,
    root_token_mac,
    keks,
    generations,
    complete,
    rotation,
    compromised,
    epoch
});

/// KEK versions that may be known to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compromise {
    /// The newest of them.
    pub version: KekVersion,
    /// When that was said: what was written before is to be changed at its source.
    pub time: Millis,
}

as_array!(Compromise { version, time });

impl Wallet {
    /// The KEK version under which new keys are wrapped; none before the first.
    #[must_use]
    pub fn current_kek(&self) -> Option<&WalletKek> {
        self.keks.last()
    }

    /// A KEK version.
    #[must_use]
    pub fn kek(&self, version: KekVersion) -> Option<&WalletKek> {
        self.keks.iter().find(|kek| kek.version == version)
    }
}

/// An unseal generation of the wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletGeneration {
    /// Its number.
    pub number: u32,
    /// The name of its key manager.
    pub manager: String,
    /// Since when it wraps the KEK versions.
    pub created: Millis,
    /// The newest KEK version that may open it; 0 for the first generation, which none opens.
    pub opened_by: KekVersion,
    /// The newest KEK version that was destroyed before, and so was never under it; 0 for none.
    pub above: KekVersion,
}

as_array!(WalletGeneration {
    number,
    manager,
    created,
    opened_by,
    above
});

/// A KEK version of the wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletKek {
    /// Its number.
    pub version: KekVersion,
    /// The unseal generation that wrapped it when it was made.
    pub generation: u32,
    /// The epoch that began with it.
    pub fact_key: FactKeyId,
    /// When it was made.
    pub created: Millis,
    /// How many keys were taken into use under it.
    pub used: u64,
    /// How many keys under it something live refers to.
    pub live: u64,
    /// How many keys under it are to be destroyed.
    pub dying: u64,
    /// How many keys were destroyed while it was the newest.
    pub erased: u64,
    /// How many pages hold those that are live or to be destroyed.
    pub pages: u64,
    /// Since when it is to be destroyed.
    pub retired: Option<Millis>,
    /// Since when it is destroyed.
    pub destroyed: Option<Millis>,
}

as_array!(WalletKek {
    version,
    generation,
    fact_key,
    created,
    used,
    live,
    dying,
    erased,
    pages,
    retired,
    destroyed
});

/// A mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// What it speaks.
    pub kind: MountKind,
    /// Its blinded path, the folders above first.
    pub path: Vec<RecordId>,
    /// What its records go by.
    pub settings: Settings,
    /// Path and description.
    pub names: SealedRef,
    /// When it was enabled.
    pub created: Millis,
}

as_array!(Mount {
    kind,
    path,
    settings,
    names,
    created
});

impl Mount {
    /// Whether a mount at `other` and this one could not stand side by side.
    #[must_use]
    pub fn overlaps(&self, other: &[RecordId]) -> bool {
        let inside = |path: &[RecordId], folder: Option<&RecordId>| {
            folder.is_some_and(|folder| path.contains(folder))
        };
        inside(&self.path, other.last()) || inside(other, self.path.last())
    }
}

/// A secret: its versions, without what they say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The mount that it is in.
    pub mount: MountId,
    /// When it came to be.
    pub created: Millis,
    /// When it was last changed.
    pub updated: Millis,
    /// What it says about its versions; zero where it leaves that to the mount.
    pub settings: Settings,
    /// The key and hash of its names.
    pub names: SealedRef,
    /// Its version when the names were written: they are sealed for it.
    pub names_version: u32,
    /// The newest version; 0 when none was written yet.
    pub current: u32,
    /// The versions that are kept, oldest first.
    pub versions: Vec<Version>,
    /// How often its settings or names were changed other than with a version.
    pub metadata_version: u32,
}

as_array!(Record {
    mount,
    created,
    updated,
    settings,
    names,
    names_version,
    current,
    versions,
    metadata_version
});

impl Record {
    /// A version by its number; 0 is the current one.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&Version> {
        let number = if number == 0 { self.current } else { number };
        self.versions
            .iter()
            .find(|version| version.number == number)
    }

    /// The oldest version that is kept, given how many the mount keeps. As long as there is room for
    /// more than there are, clients are told 0.
    #[must_use]
    pub fn oldest(&self, max_of_mount: u32) -> u32 {
        let room = match self.settings.max_versions.max(max_of_mount) {
            0 => DEFAULT_MAX_VERSIONS,
            max => max,
        };
        match self.versions.first() {
            Some(first) if first.number > 1 || self.current >= room => first.number,
            _ => 0,
        }
    }
}

/// A version of a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Its number, counted from 1.
    pub number: u32,
    /// When it was written.
    pub created: Millis,
    /// From when on it counts as deleted.
    pub deletion: Option<Millis>,
    /// Whether its key was given up for ever.
    pub destroyed: bool,
    /// The key of its payload.
    pub key: KeyRef,
    /// What its payload's ciphertext hashes to.
    pub hash: CiphertextHash,
}

as_array!(Version {
    number,
    created,
    deletion,
    destroyed,
    key,
    hash
});

impl Version {
    /// Whether it is deleted at this time.
    #[must_use]
    pub fn is_deleted(&self, now: Millis) -> bool {
        self.deletion.is_some_and(|deletion| deletion <= now)
    }
}

/// How a key page is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PageUse {
    /// Whether drawing from it has ended.
    pub closed: bool,
    /// The keys that something live refers to.
    pub live: Slots,
    /// The keys that are to be destroyed, until an outcome event says that they are.
    pub dying: Slots,
    /// The keys that are destroyed: refused for ever, even if their bytes come back.
    pub gone: Slots,
    /// The KEK version that wraps it; 0 while nothing was drawn from it.
    pub kek: KekVersion,
    /// The KEK version that it was made under; 0 while nothing was drawn from it.
    pub first_kek: KekVersion,
}

as_array!(PageUse {
    closed,
    live,
    dying,
    gone,
    kek,
    first_kek
});

impl PageUse {
    /// Whether a page in the key store should hold the key of this slot.
    #[must_use]
    pub fn keeps(&self, slot: u8) -> bool {
        if self.closed {
            self.live.has(slot)
        } else {
            !self.dying.has(slot) && !self.gone.has(slot)
        }
    }

    /// Whether it holds keys that its KEK version cannot be destroyed for.
    #[must_use]
    pub fn counts(&self) -> bool {
        !self.live.is_empty() || !self.dying.is_empty()
    }
}

/// A command that carried an id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandRecord {
    /// The time of its commit.
    pub time: Millis,
    /// What tells it apart from another command under the same id.
    pub fingerprint: ByteArray<16>,
    /// The versions that its writes made, in their order.
    pub versions: Vec<u32>,
}

as_array!(CommandRecord {
    time,
    fingerprint,
    versions
});
