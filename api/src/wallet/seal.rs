//! Closing the wallet, and what enough shares permit while it is open.

use billfold_core::{
    access::Need,
    command::{Action, NewToken, TokenWish},
    decide::Refusal,
    id::Seq,
    keys::{
        manager::{GenerationId, KeyManager},
        recovery::Recovery,
        share::{Counts, Purpose, Set, Share},
    },
    names::TokenNames,
    policy::{Operation, ROOT},
};
use billfold_streams::{
    entropy::Os,
    keys::{Revision, Slot},
};
use billfold_upstreams::{
    Shamir,
    shamir::{self, recovery_shares},
};
use bytes::Bytes;
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
            Target::Root if known.is_shared() => {
                let shamir = Shamir::generate(counts, &mut entropy);
                let shares = shamir.shares(next(known), &mut entropy);
                (Some(NewKey::Unseal(shamir)), shares)
            }
            Target::Root => (None, Vec::new()),
            Target::Recovery => {
                let last = known.recovery.as_ref().map_or(0, |kept| kept.number);
                let (wallet, number) = (known.wallet(), last.saturating_add(1));
                let keys = self.keychain.custody().keys();
                let macs = &keys.token_mac;
                let (key, kept) = Recovery::create(wallet, number, counts, macs, &mut entropy);
                let set = Set::of(Purpose::Recovery, wallet, number);
                let shares = recovery_shares(&key, set, counts, &mut entropy);
                (Some(NewKey::Recovery(key, kept)), shares)
            }
        };
        (key, shares.iter().map(Share::encode).collect())
    }

    /// Puts a new key in the place of the one there is: the old shares are worth nothing then. Without
    /// one, the key manager makes it.
    ///
    /// # Errors
    /// When another came first, or it cannot be stored.
    pub async fn use_new_key(
        &self,
        caller: &Caller,
        path: &str,
        known: &Known,
        key: Option<NewKey>,
    ) -> Result<Option<Seq>, Error> {
        let custody = self.keychain.custody();
        let manager: &dyn KeyManager = match (&key, &self.manager) {
            (Some(NewKey::Recovery(_, kept)), _) => {
                self.keep_recovery(known, kept).await?;
                return Ok(None);
            }
            (Some(NewKey::Unseal(shamir)), _) => shamir,
            (None, Some(manager)) => &**manager,
            (None, None) => return Err(Error::Invalid("there is no key manager".to_owned())),
        };
        // The log is told of one generation after the other.
        custody.reload().await?;
        self.confirm_generation().await?;
        let replaced = custody.replace_generation(manager, known.generation.number);
        let Some(severs) = replaced.await? else {
            return Err(Error::Refused(Refusal::Changed));
        };
        let replaced = || Action::ReplaceGeneration {
            generation: next(known).number,
            manager: manager.name().to_owned(),
            severs,
        };
        let need = Need::to(Operation::Update, path);
        let ordered = match self.order(caller, need, replaced()).await {
            // The caller was permitted a moment ago, and it is done: the log says so in any case.
            Err(Error::Denied | Error::NoToken | Error::Refused(_)) => {
                self.order_itself(replaced()).await
            }
            ordered => ordered,
        };
        Ok(Some(ordered?.seq))
    }

    /// Lets the log say which generation wraps the keys, where a node ended before it could.
    ///
    /// # Errors
    /// When the outcome is not known.
    pub async fn confirm_generation(&self) -> Result<(), Error> {
        let (generation, manager) = self.keychain.custody().generation();
        let wallet = self.state().wallet()?;
        let last = wallet.and_then(|wallet| wallet.generations.last().map(|last| last.number));
        if last.is_none_or(|last| last >= generation) {
            return Ok(());
        }
        self.keychain
            .custody()
            .store()
            .erase_older(Slot::Keyring)
            .await?;
        let action = Action::ReplaceGeneration {
            generation,
            // New shares are always of another key; of others nobody knows any more.
            severs: manager == billfold_upstreams::shamir::NAME,
            manager,
        };
        self.order_itself(action).await.map(drop)
    }

    async fn keep_recovery(&self, known: &Known, kept: &Recovery) -> Result<(), Error> {
        let store = self.keychain.custody().store();
        let stored = store.read(Slot::Recovery).await?;
        let now = stored
            .as_ref()
            .map(|stored| Recovery::decode(known.wallet(), &stored.bytes));
        let now = now
            .transpose()
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        if now != known.recovery {
            return Err(Error::Refused(Refusal::Changed));
        }
        let revision = stored.map_or(Revision::NONE, |stored| stored.revision);
        let bytes = Bytes::from(kept.encode());
        store.write(Slot::Recovery, revision, bytes).await?;
        store.erase_older(Slot::Recovery).await?;
        Ok(())
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

const fn next(known: &Known) -> GenerationId {
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
