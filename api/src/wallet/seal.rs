//! Closing the wallet, and what enough shares permit while it is open.

use billfold_core::{
    access::Need,
    command::{Action, NewToken, TokenWish},
    keys::{
        manager::{GenerationId, KeyManager},
        recovery::Recovery,
        share::{Counts, Purpose, Set, Share},
    },
    names::TokenNames,
    policy::{Operation, ROOT},
};
use billfold_streams::entropy::Os;
use billfold_upstreams::{
    Shamir,
    shamir::{self, recovery_shares},
};
use zeroize::Zeroizing;

use super::{At, Caller, Error, MadeToken, Wallet, Written, tokens::new_token};
use crate::seal::{self, Known, NewKey, Target};

impl Wallet {
    /// Closes the wallet on every node.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn seal(&self, caller: &Caller) -> Result<Written, Error> {
        let need = Need {
            sudo: true,
            ..Need::to(Operation::Update, "sys/seal")
        };
        self.order(caller, need, Action::Seal).await
    }

    /// What the key store says of the wallet now: another node may have made new shares.
    ///
    /// # Errors
    /// When the key store cannot be reached.
    pub async fn known_outside(&self) -> Result<Known, Error> {
        let store = self.keychain.custody().store();
        let known = Known::read(&**store).await?;
        known.ok_or_else(|| Error::Unavailable("the key store has no keyring".to_owned()))
    }

    /// Whether these shares make the key that they are of.
    ///
    /// # Errors
    /// When they do not.
    pub async fn prove(&self, known: &Known, shares: &[Share]) -> Result<(), seal::Error> {
        let counts: Counts = known.counts().ok_or(seal::Error::NoRecovery)?;
        let wrong = seal::Error::WrongShares;
        if let Some(recovery) = known.recovery.as_ref().filter(|_| !known.is_shared()) {
            let key = shamir::recovery_key(counts, shares).map_err(|_| wrong)?;
            let keys = self.keychain.custody().keys();
            return match recovery.is(&key, &keys.token_mac) {
                true => Ok(()),
                false => Err(seal::Error::WrongShares),
            };
        }
        let made = Shamir::of(counts, shares).map_err(|_| seal::Error::WrongShares)?;
        let opened = made.open(known.generation, &known.wrapped).await;
        opened.map(drop).map_err(|_| wrong)
    }

    /// A new key, with its shares as they are handed out; none when the key manager makes it.
    #[must_use]
    pub fn new_key(
        &self,
        known: &Known,
        target: Target,
        counts: Counts,
    ) -> (Option<NewKey>, Vec<Zeroizing<Vec<u8>>>) {
        let mut entropy = Os::new();
        let (key, shares) = match target {
            Target::Root if !known.is_shared() => (None, Vec::new()),
            Target::Root => {
                let (key, shares) = unseal_key(known, counts, &mut entropy);
                (Some(key), shares)
            }
            Target::Recovery => {
                let (key, shares) = self.recovery_key(known, counts, &mut entropy);
                (Some(key), shares)
            }
        };
        (key, shares.iter().map(Share::encode).collect())
    }

    /// A new recovery key and its shares.
    pub(super) fn recovery_key(
        &self,
        known: &Known,
        counts: Counts,
        entropy: &mut Os,
    ) -> (NewKey, Vec<Share>) {
        let last = known.recovery.as_ref().map_or(0, |kept| kept.number);
        let (wallet, number) = (known.wallet(), last.saturating_add(1));
        let keys = self.keychain.custody().keys();
        let macs = &keys.token_mac;
        let (key, kept) = Recovery::create(wallet, number, counts, macs, entropy);
        let set = Set::of(Purpose::Recovery, wallet, number);
        let shares = recovery_shares(&key, set, counts, entropy);
        (NewKey::Recovery(key, kept), shares)
    }

    /// Makes a root token for a caller who has shown enough shares.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn create_root_token(
        &self,
        caller: &Caller,
        path: &str,
    ) -> Result<At<MadeToken>, Error> {
        let (token, secret) = new_token();
        let mac = {
            let keys = self.keychain.custody().keys();
            keys.token_mac.mac(secret.as_bytes())
        };
        let new = NewToken {
            token,
            mac,
            names: TokenNames {
                display: ROOT.to_owned(),
                path: "auth/token/root".to_owned(),
                ..TokenNames::default()
            },
            wish: TokenWish {
                policies: Some(vec![ROOT.to_owned()]),
                orphan: true,
                ..TokenWish::default()
            },
        };
        let need = Need::to(Operation::Update, path);
        let action = Action::CreateRootToken(Box::new(new));
        let written = self.order(caller, need, action).await?;
        let facts = self.facts(token).await?.ok_or(Error::Absent)?;
        Ok(At {
            seq: written.seq,
            value: MadeToken { secret, facts },
        })
    }
}

/// A new key that opens the wallet's next generation, and its shares.
pub(super) fn unseal_key(known: &Known, counts: Counts, entropy: &mut Os) -> (NewKey, Vec<Share>) {
    let shamir = Shamir::generate(counts, entropy);
    let shares = shamir.shares(next(known), entropy);
    (NewKey::Unseal(shamir), shares)
}

pub(super) const fn next(known: &Known) -> GenerationId {
    GenerationId {
        wallet: known.generation.wallet,
        number: known.generation.number.saturating_add(1),
    }
}

/// How long the text of a token is that is made here.
#[must_use]
pub fn token_length() -> usize {
    new_token().1.len()
}
