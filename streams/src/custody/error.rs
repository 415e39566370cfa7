//! Why the wallet's keys do not open, or cannot be changed.

use billfold_core::{
    id::FactKeyId,
    keys::{keyring, manager},
};

use crate::keys;

/// Why the wallet's keys did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key store is empty: no wallet was ever created here.
    #[error("there is no wallet here yet")]
    NoWallet,
    /// The keyring names another key manager than the one configured.
    #[error(
        "the wallet's key manager is {found} since unseal generation {generation}, not {configured}"
    )]
    OtherManager {
        /// As the keyring says.
        found: String,
        /// The generation that it opens.
        generation: u32,
        /// As the configuration says.
        configured: String,
    },
    /// The generation was replaced at some time, and what is configured does not open the one there is.
    #[error(
        "the key manager {manager} does not open this wallet's unseal generation {generation}. It has \
         been replaced since generation 1: if the wallet's key was changed, the settings name one of \
         before"
    )]
    OtherKey {
        /// The key manager.
        manager: &'static str,
        /// The generation that there is.
        generation: u32,
    },
    /// The caller's fault: another key was wanted.
    #[error(
        "the key of the key manager {0} opens today's unseal generation as well, so nothing would be \
         severed: name another key, or make a new version of it, or disable the versions before"
    )]
    SameKey(&'static str),
    /// The caller's fault: the key is one that the wallet was moved away from.
    #[error(
        "the key of the key manager {0} opens an unseal generation of the past: what is gone from every \
         copy by now could be had with it again. Name another key"
    )]
    FormerKey(&'static str),
    /// The unseal generation was replaced, and this node cannot follow: it has to be unsealed anew.
    #[error("the unseal generation was replaced: this node has to be unsealed anew")]
    Replaced,
    /// The unseal generation was replaced, and the log does not say so yet.
    #[error("the log does not know of the unseal generation {0} yet")]
    Unconfirmed(u32),
    /// The log says that an epoch is current which is not among the wallet keys.
    #[error("the epoch {0} is not among the wallet keys")]
    NoEpoch(FactKeyId),
    /// The log says that a key signs checkpoints which is not among the wallet keys.
    #[error(
        "the log names a checkpoint key that is not this wallet's: somebody else wrote it there"
    )]
    OtherCheckpointKey,
    /// The wallet keys are to be small enough for one message.
    #[error("the wallet has {0} epochs, and there can be no more: the current one goes on")]
    TooManyEpochs(usize),
    /// The key manager's word.
    #[error(transparent)]
    Manager(#[from] manager::Error),
    /// A stored key is damaged, or under another key.
    #[error(transparent)]
    Keys(#[from] keyring::Error),
    /// The key store's word.
    #[error(transparent)]
    Store(#[from] keys::Error),
}
