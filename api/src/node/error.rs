//! Why a node did not come up, and whether it may come up later.

use billfold_core::keys::manager;
use billfold_projector::{audit, keychain, tree};
use billfold_streams::{committer, custody, keys, log};

use crate::wallet;

/// Why a node did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key manager does not open the wallet.
    #[error(transparent)]
    Manager(#[from] manager::Error),
    /// The keys cannot be read or opened.
    #[error(transparent)]
    Custody(#[from] custody::Error),
    /// The view cannot be used, or the log says something else than it did.
    #[error(transparent)]
    Keychain(#[from] keychain::Error),
    /// The audit index cannot be used.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The tree cannot be used, or the log says something else than it did.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// What is done first when a node starts could not be done.
    #[error(transparent)]
    Wallet(#[from] wallet::Error),
    /// A new wallet could not be written.
    #[error(transparent)]
    Commit(#[from] committer::Error),
    /// The file system's fault: the data folder.
    #[error("the data folder {0} cannot be made: {1}")]
    DataDir(String, std::io::Error),
    /// The embedded log cannot be opened.
    #[error("the data folder {0}: {1}")]
    Embedded(String, billfold_streams::embedded::OpenError),
    /// The NATS server cannot be used.
    #[error(transparent)]
    JetStream(#[from] billfold_streams::jetstream::ConnectError),
    /// There is a wallet already.
    #[error("there is a wallet on this log already; it is left as it is")]
    Exists,
    /// The log has a wallet, and the key store nothing of it.
    #[error(
        "the log has a wallet, but its keys are not in the key store: put the key store back that \
         belongs to it; nothing was changed"
    )]
    LostKeys,
    /// There is a checkpoint of a log, and the log is empty.
    #[error(
        "the log is empty, but a checkpoint that was kept outside it says that there was one: put \
         the log back; nothing was changed"
    )]
    LostLog,
    /// There is no wallet yet.
    #[error("there is no wallet on this log yet: run `billfold init`")]
    NoWallet,
    /// Shares were asked for that the key manager has none of.
    #[error("shamir has unseal shares, and every other key manager has recovery shares")]
    OtherShares,
    /// The key store cannot be asked.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The log cannot be asked.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// Keys are stored whose shares nobody has.
    #[error(
        "the creation of a wallet was interrupted here before its shares were handed out: \
         begin with an empty log and key store"
    )]
    Interrupted,
}

impl Error {
    /// Whether it is a dependency that may come back: trying again may help.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Log(log::Error::Unavailable(_))
                | Self::Keys(keys::Error::Unavailable(_))
                | Self::Custody(custody::Error::Store(keys::Error::Unavailable(_)))
                | Self::Keychain(
                    keychain::Error::Log(log::Error::Unavailable(_))
                        | keychain::Error::Custody(custody::Error::Store(
                            keys::Error::Unavailable(_)
                        ))
                )
                | Self::Tree(tree::Error::Log(log::Error::Unavailable(_)))
                | Self::Wallet(wallet::Error::Unavailable(_) | wallet::Error::Unknown)
        )
    }
}
