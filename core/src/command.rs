//! Commands: what someone wants changed.

use bytes::Bytes;

use crate::{
    Millis, SecretBytes,
    access::Need,
    event::{
        Actor, CiphertextHash,
        v1::{MountKind, PolicyWritten, RotationPolicy, Settings, TokenRole, TokenRoleWritten},
    },
    grant::AuditorKey,
    id::{
        CommandId, ErasureId, FactKeyId, GrantId, HoldId, MountId, PageId, PrincipalId, RecordId,
        RequestId, TokenId, WalletId,
    },
    keys::{TokenMac, keyring::KekVersion, page::KeyRef},
    names::{ErasureNames, HoldNames, MountNames, Names, TokenNames},
    state::Record,
};

/// A wish to change the wallet, and whose it is.
#[derive(Debug)]
pub struct Command {
    /// Chosen by the client, so that a repeated command is done once.
    pub id: Option<CommandId>,
    /// Whose wish it is.
    pub actor: Actor,
    /// What their policies must permit. Without any, it is for root alone.
    pub needs: Vec<Need>,
    /// What it is about.
    pub action: Action,
}

/// What a command is about.
#[derive(Debug)]
pub enum Action {
    /// Begin the wallet.
    CreateWallet(NewWallet),
    /// Add a mount.
    EnableMount(NewMount),
    /// Change a mount's settings.
    TuneMount {
        /// The mount.
        mount: MountId,
        /// What to change of its settings.
        settings: NewSettings,
    },
    /// Give a mount another path or description.
    RenameMount {
        /// The mount.
        mount: MountId,
        /// Its blinded path, the folders above first.
        path: Vec<RecordId>,
        /// Path and description.
        names: MountNames,
    },
    /// Remove an empty mount.
    DisableMount(MountId),
    /// Change secrets: all of these, or none.
    Change(Vec<Change>),
    /// Erase secrets: all of these, or none.
    Erase(Box<NewErasure>),
    /// Forbid that anything under a path is lost.
    PlaceHold(Box<NewHold>),
    /// End a hold.
    LiftHold(HoldId),
    /// Let an auditor read what happened.
    GrantAuditor(Box<NewGrant>),
    /// Grant the keys of epochs.
    GrantEpochs {
        /// The grant.
        grant: GrantId,
        /// The number of this part of it.
        part: u32,
        /// The epochs, in the order in which they began.
        epochs: Vec<FactKeyId>,
        /// Their keys, sealed to the auditor.
        sealed: Bytes,
    },
    /// Grant names.
    GrantNames {
        /// The grant.
        grant: GrantId,
        /// The number of this part of it.
        part: u32,
        /// Where the table ends with it: the time up to which all that came to be is named.
        up_to: Option<Millis>,
        /// The names, sealed to the auditor.
        sealed: Bytes,
    },
    /// Grant nothing more by a grant.
    EndGrant(GrantId),
    /// Make a token.
    CreateToken(Box<NewToken>),
    /// Make a root token, for whoever has shown enough shares.
    CreateRootToken(Box<NewToken>),
    /// Make a token last longer: for so many milliseconds, or for 0 as long as the last time.
    RenewToken(TokenId, u64),
    /// Spend one of the counted uses of a token.
    UseToken(TokenId),
    /// End tokens, and with them those that were made with them, unless they are to be orphans.
    EndTokens {
        /// The tokens.
        tokens: Vec<TokenId>,
        /// Whether those that were made with them go on.
        leaves_orphans: bool,
    },
    /// Clear away those of these tokens that have ended.
    ClearTokens(Vec<TokenId>),
    /// Write a policy.
    WritePolicy {
        /// The version that must be the current one; 0 is "none yet", and so is -1.
        cas: Option<i64>,
        /// For how long it is to be there, in milliseconds, if the policy does not say until when.
        ttl: Option<u64>,
        /// The policy.
        written: Box<PolicyWritten>,
    },
    /// Delete a policy.
    DeletePolicy(String),
    /// Put something into the caller's own cubbyhole.
    WriteCubbyhole {
        /// The blinded path.
        entry: RecordId,
        /// The path.
        path: String,
        /// What is to be there.
        payload: SecretBytes,
    },
    /// Remove something from the caller's own cubbyhole.
    DeleteCubbyhole(RecordId),
    /// Wrap an answer.
    Wrap(Box<NewWrapping>),
    /// Spend the one use of a wrapping token, for this request.
    Unwrap(TokenId, RequestId),
    /// Write a role of the token store.
    WriteTokenRole {
        /// The role that the change was worked out from; none when there was none.
        basis: Option<Box<TokenRole>>,
        /// All of the role from now on.
        written: Box<TokenRoleWritten>,
    },
    /// Delete a role of the token store.
    DeleteTokenRole(String),
    /// Draw no more keys from these pages.
    ClosePages(Vec<PageId>),
    /// These keys are in no page message any more.
    ConfirmDestroyed(Vec<KeyRef>),
    /// Close the wallet on every node.
    Seal,
    /// Make a KEK version current.
    RotateKek(NewKek),
    /// Seal these anew, those that are still as they were.
    Reseal(Vec<Reseal>),
    /// Say when the wallet makes a new KEK version by itself.
    SetRotationPolicy(RotationPolicy),
    /// Begin the epoch after this one.
    BeginEpoch {
        /// The epoch that must be the current one.
        after: FactKeyId,
        /// The one that begins: it is among the wallet keys.
        fact_key: FactKeyId,
    },
    /// These pages are under this KEK version in every writing that can be read.
    ConfirmRewrapped {
        /// The version.
        version: KekVersion,
        /// The pages.
        pages: Vec<PageId>,
    },
    /// Destroy this KEK version and all before it.
    RetireKeks(KekVersion),
    /// This KEK version and all before it are in no keyring any more.
    ConfirmKeksDestroyed(KekVersion),
    /// This unseal generation wraps all KEK versions.
    ReplaceGeneration {
        /// Its number.
        generation: u32,
        /// The name of its key manager.
        manager: String,
        /// The oldest KEK version that can be had of old copies with what opens it.
        back_to: KekVersion,
    },
}

/// How a wallet begins.
#[derive(Debug)]
pub struct NewWallet {
    /// Its id.
    pub wallet: WalletId,
    /// The principal that may do everything.
    pub root: PrincipalId,
    /// The accessor of its token.
    pub root_token: TokenId,
    /// The MAC of its token.
    pub root_token_mac: TokenMac,
    /// The first KEK version.
    pub kek: NewKek,
    /// What it has mounted from the beginning.
    pub mounts: Vec<NewMount>,
}

/// A KEK version that is in the keyring, with its epoch among the wallet keys.
#[derive(Debug)]
pub struct NewKek {
    /// Its number.
    pub version: KekVersion,
    /// The unseal generation that wraps it.
    pub generation: u32,
    /// The name of that generation's key manager.
    pub manager: String,
    /// Its epoch.
    pub fact_key: FactKeyId,
    /// Whether the versions before may be known to others.
    pub compromised: bool,
}

/// Something of a record that is to be sealed under a fresh key.
#[derive(Debug)]
pub struct Reseal {
    /// The record.
    pub record: RecordId,
    /// Its key so far.
    pub key: KeyRef,
    /// What it says.
    pub content: ResealContent,
}

/// What is sealed anew.
#[derive(Debug)]
pub enum ResealContent {
    /// The payload of a version.
    Payload(u32, SecretBytes),
    /// The names.
    Names(Names),
}

/// A mount to be added.
#[derive(Debug)]
pub struct NewMount {
    /// Its id.
    pub mount: MountId,
    /// What it speaks.
    pub kind: MountKind,
    /// Its blinded path, the folders above first.
    pub path: Vec<RecordId>,
    /// What its records go by.
    pub settings: Settings,
    /// Path and description.
    pub names: MountNames,
}

/// A token to be made.
#[derive(Debug)]
pub struct NewToken {
    /// Its accessor.
    pub token: TokenId,
    /// Its MAC.
    pub mac: TokenMac,
    /// What it is called.
    pub names: TokenNames,
    /// What is wanted of it.
    pub wish: TokenWish,
}

/// An answer to be wrapped.
#[derive(Debug)]
pub struct NewWrapping {
    /// The accessor of its token.
    pub token: TokenId,
    /// The MAC of its token.
    pub mac: TokenMac,
    /// What its token is called; its path is the one that gave the answer.
    pub names: TokenNames,
    /// The request that it is the answer to, or that wants it wrapped anew.
    pub request: RequestId,
    /// For how long it can be unwrapped, in milliseconds; 0 is as long as what it replaces.
    pub ttl: u64,
    /// The wrapping token that ends in exchange for this one.
    pub replaces: Option<TokenId>,
    /// The blinded path of [`crate::names::WRAPPED_ANSWER`] in the token's cubbyhole.
    pub entry: RecordId,
    /// The answer.
    pub answer: SecretBytes,
}

/// What is wanted of a new token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenWish {
    /// Its policies; none are those of its maker.
    pub policies: Option<Vec<String>>,
    /// Whether it goes without the default policy.
    pub no_default: bool,
    /// Whether it does not end with its maker's token.
    pub orphan: bool,
    /// Whether the path it is made at is there for orphans: elsewhere that takes `sudo`.
    pub may_orphan: bool,
    /// How long it lasts, in milliseconds; 0 is the wallet's own time.
    pub ttl: u64,
    /// How long it can be renewed at most, in milliseconds; 0 is the wallet's own bound.
    pub explicit_max_ttl: u64,
    /// How long each renewal makes it last, in milliseconds; 0 when it is not periodic.
    pub period: u64,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// How often it can be used; 0 is no bound.
    pub uses: u32,
    /// The networks that it can be used from; empty is everywhere.
    pub cidrs: Vec<String>,
    /// The role that it is made by.
    pub role: Option<String>,
}

/// An erasure to be ordered.
#[derive(Debug, PartialEq, Eq)]
pub struct NewErasure {
    /// Its id.
    pub erasure: ErasureId,
    /// The mount.
    pub mount: MountId,
    /// The blinded path that is to be erased: a record's, or a folder's.
    pub place: RecordId,
    /// The versions to be erased; none is all there is, names too.
    pub versions: Option<Vec<u32>>,
    /// What was found there.
    pub records: Vec<Target>,
    /// Why.
    pub names: ErasureNames,
}

/// A record, and where it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The record.
    pub record: RecordId,
    /// The folders that it is in ([`crate::keys::IdKey::folders`]).
    pub folders: Vec<RecordId>,
}

/// A hold to be placed.
#[derive(Debug, PartialEq, Eq)]
pub struct NewHold {
    /// Its id.
    pub hold: HoldId,
    /// The mount.
    pub mount: MountId,
    /// The blinded path: a record's, or a folder's.
    pub place: RecordId,
    /// Whether it is a folder's.
    pub is_folder: bool,
    /// The path, and why.
    pub names: HoldNames,
}

/// What an auditor is to be granted.
#[derive(Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// Its id.
    pub grant: GrantId,
    /// The auditor's key.
    pub recipient: AuditorKey,
    /// From when on.
    pub from: Millis,
    /// Until when; none is for as long as it stands.
    pub to: Option<Millis>,
    /// Whether epochs are granted when they begin.
    pub live: bool,
    /// Whether names are granted.
    pub names: bool,
}

/// One change of one secret.
#[derive(Debug)]
pub struct Change {
    /// The mount.
    pub mount: MountId,
    /// The record in it.
    pub record: RecordId,
    /// The folders that it is in ([`crate::keys::IdKey::folders`]). Without any, a hold on any folder
    /// of the mount counts as one on the record.
    pub folders: Vec<RecordId>,
    /// What to do.
    pub what: What,
}

/// What to do with a secret.
#[derive(Debug)]
pub enum What {
    /// Write the next version.
    Put {
        /// The version that must be the current one; 0 is "none yet".
        cas: Option<u32>,
        /// The version that the secret was worked out from, if it must still be the current one.
        basis: Option<u32>,
        /// The secret.
        payload: SecretBytes,
        /// What it is called.
        names: NewNames,
    },
    /// Write the next version, with what an older one says.
    Restore {
        /// The older version, which must still be readable.
        version: u32,
        /// The record as it was when that was read.
        basis: Basis,
        /// The version that must be the current one, if it matters.
        cas: Option<u32>,
        /// The secret.
        payload: SecretBytes,
    },
    /// Delete the current version, in a way that can be undone.
    DeleteCurrent,
    /// Delete these versions, in a way that can be undone.
    Delete(Vec<u32>),
    /// Bring deleted versions back.
    Undelete(Vec<u32>),
    /// Make these versions unreadable for ever.
    Destroy(Vec<u32>),
    /// Change what the record says about its versions.
    ChangeMetadata {
        /// What the change was worked out from, if it must still be so.
        basis: Option<Basis>,
        /// How often the metadata must have been changed; 0 is "never".
        metadata_cas: Option<u32>,
        /// What to change of its settings.
        settings: NewSettings,
        /// What it is called.
        names: NewNames,
    },
    /// Remove the record, all its versions and names, for ever.
    DeleteMetadata,
}

/// What to change of settings; what is none stays as it is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NewSettings {
    /// How many versions are kept.
    pub max_versions: Option<u32>,
    /// Whether a write must say which version it follows.
    pub cas_required: Option<bool>,
    /// After how many milliseconds a new version deletes itself; zero is never.
    pub delete_version_after: Option<u64>,
    /// Whether a change of metadata must say which of its changes it follows.
    pub metadata_cas_required: Option<bool>,
}

impl NewSettings {
    /// The settings that come of it.
    #[must_use]
    pub fn over(self, before: Settings) -> Settings {
        Settings {
            max_versions: self.max_versions.unwrap_or(before.max_versions),
            cas_required: self.cas_required.unwrap_or(before.cas_required),
            delete_version_after: self
                .delete_version_after
                .unwrap_or(before.delete_version_after),
            metadata_cas_required: self
                .metadata_cas_required
                .unwrap_or(before.metadata_cas_required),
        }
    }
}

impl From<Settings> for NewSettings {
    /// All of them.
    fn from(settings: Settings) -> Self {
        Self {
            max_versions: Some(settings.max_versions),
            cas_required: Some(settings.cas_required),
            delete_version_after: Some(settings.delete_version_after),
            metadata_cas_required: Some(settings.metadata_cas_required),
        }
    }
}

/// A record's metadata as someone saw it. A change that was worked out from it must not undo
/// another that came between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Basis {
    /// There was no record.
    Absent,
    /// There was one.
    Present {
        /// Its settings.
        settings: Settings,
        /// The hash of its names.
        names: CiphertextHash,
    },
}

impl Basis {
    /// The metadata of a record as it is.
    #[must_use]
    pub fn of(record: Option<&Record>) -> Self {
        record.map_or(Self::Absent, |record| Self::Present {
            settings: record.settings,
            names: record.names.hash,
        })
    }
}

/// What a change does to the names of its record.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum NewNames {
    /// These are for a record that is new; one that exists keeps its own.
    IfNew(Names),
    /// These replace whatever was there.
    Replace(Names),
}

impl NewNames {
    /// The names, whatever they do.
    #[must_use]
    pub const fn names(&self) -> &Names {
        match self {
            Self::IfNew(names) | Self::Replace(names) => names,
        }
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The time of its commit.
    pub time: Millis,
    /// The version that each change wrote, 0 for those that wrote none.
    pub versions: Vec<u32>,
}
