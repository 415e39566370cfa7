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
    /// The epoch that began with it.
    pub fact_key: FactKeyId,
}

as_array!(KekCreated {
    version,
    generation,
    fact_key
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
