//! The wallet and its keys.

use crate::{
    cbor::as_array,
    event::SealedRef,
    id::{FactKeyId, PageId, PrincipalId, TokenId, WalletId},
    keys::{keyring::KekVersion, page::KeyRef},
};

/// The wallet began. The payload is the MAC of its root token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletCreated {
    /// Its id, also in the header of each commit.
    pub wallet: WalletId,
    /// The principal that may do everything.
    pub root: PrincipalId,
    /// The accessor of its token.
    pub root_token: TokenId,
    /// The MAC of the token, as a payload of record [`crate::id::RecordId::default`].
    pub root_token_mac: SealedRef,
}

as_array!(WalletCreated {
    wallet,
    root,
    root_token,
    root_token_mac
});

/// A KEK version exists and is the current one; facts go under this epoch's key from now on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KekCreated {
    /// Its number.
    pub version: KekVersion,
    /// The unseal generation that wraps it.
    pub generation: u32,
    /// The name of that generation's key manager.
    pub manager: String,
    /// The epoch that began with it.
    pub fact_key: FactKeyId,
    /// Whether the versions before may be known to others.
    pub compromised: bool,
}

as_array!(KekCreated {
    version,
    generation,
    manager,
    fact_key,
    compromised
});

/// Nobody draws keys from this page any more: what is unused in it can be swept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyPageClosed {
    /// The page.
    pub page: PageId,
}

as_array!(KeyPageClosed { page });

/// The outcome of a destruction: these keys are in no page message that can still be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeysDestroyed {
    /// The keys.
    pub keys: Vec<KeyRef>,
}

as_array!(KeysDestroyed { keys });

/// The wallet was closed: every node that follows the log forgets its keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletSealed {
    /// The unseal generation that opens it again.
    pub generation: u32,
}

as_array!(WalletSealed { generation });

/// The keys of these pages are wrapped under this KEK version now, and no writing of the pages under
/// an older one can be read any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeysRewrapped {
    /// The version, which is the current one.
    pub version: KekVersion,
    /// The pages, each closed before.
    pub pages: Vec<PageId>,
}

as_array!(KeysRewrapped { version, pages });

/// This KEK version and all before it are to be destroyed: no key is under them any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeksRetired {
    /// The newest of them.
    pub version: KekVersion,
}

as_array!(KeksRetired { version });

/// Facts go under another key from the next commit on: what was recorded so far is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochBegan {
    /// The epoch that begins.
    pub fact_key: FactKeyId,
}

as_array!(EpochBegan { fact_key });

/// The outcome of a retirement: this KEK version and all before it are in no keyring that can still
/// be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeksDestroyed {
    /// The newest of them.
    pub version: KekVersion,
}

as_array!(KeksDestroyed { version });

/// A new unseal generation wraps all KEK versions, and no keyring under an older one can still be
/// read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenerationReplaced {
    /// The number of the new one.
    pub generation: u32,
    /// The name of its key manager.
    pub manager: String,
    /// Whether no KEK version that is destroyed can be had of an old copy with what opens it.
    pub severs: bool,
}

as_array!(GenerationReplaced {
    generation,
    manager,
    severs
});

/// When the wallet makes a new KEK version by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RotationPolicy {
    /// Whether it does at all.
    pub enabled: bool,
    /// How old the current version gets at most, in milliseconds; 0 is no bound.
    pub max_age: u64,
    /// How many keys it wraps at most; 0 is no bound.
    pub max_wraps: u64,
}

as_array!(RotationPolicy {
    enabled,
    max_age,
    max_wraps
});

impl Default for RotationPolicy {
    /// What OpenBao begins with: no bound on age, and as many keys as a counter nonce allows.
    fn default() -> Self {
        Self {
            enabled: true,
            max_age: 0,
            max_wraps: MOST_WRAPS,
        }
    }
}

/// The largest bound of [`RotationPolicy::max_wraps`], which is also where a wallet begins.
pub const MOST_WRAPS: u64 = 3_865_470_566;

/// From now on this policy says when the wallet makes a new KEK version by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RotationPolicySet {
    /// The policy.
    pub policy: RotationPolicy,
}

as_array!(RotationPolicySet { policy });
