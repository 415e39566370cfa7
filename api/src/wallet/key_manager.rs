//! What is above the KEK versions: new shares, another key manager, or another key of the same one.

use billfold_core::{
    access::Need,
    command::Action,
    decide::Refusal,
    id::Seq,
    keys::{
        keyring::KekVersion,
        manager::KeyManager,
        recovery::Recovery,
        share::{Counts, Share},
    },
    policy::Operation,
};
use billfold_streams::{
    custody::Wanted,
    entropy::Os,
    keys::{Revision, Slot},
};
use billfold_upstreams::shamir;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::{
    Caller, Error, Wallet,
    seal::{next, unseal_key},
};
use crate::seal::{Known, NewKey, Opener};

impl Wallet {
    /// The name of the key manager that this node's settings name as the next one.
    #[must_use]
    pub fn next_key_manager(&self) -> Option<&'static str> {
        self.managers.next_name()
    }

    /// Who is to open the wallet next. A key manager is tried first: it has to wrap a key and open it
    /// again, and to be another one than today's, or to have another key.
    ///
    /// # Errors
    /// When there is none, it cannot be used, or nothing would be severed.
    pub async fn next_opener(&self, known: &Known) -> Result<Opener, Error> {
        let target = self.managers.target(known).await?;
        let invalid = |told: &str| Err(Error::Invalid(told.to_owned()));
        match &target {
            None if self.managers.next_name().is_none() => invalid(
                "no other key manager is configured on this node: set next_key_manager and where \
                 its key is (BILLFOLD_NEXT_KEY_MANAGER, BILLFOLD_NEXT_...)",
            ),
            None if known.is_shared() => invalid(
                "people open this wallet already: sys/rotate/root makes new shares \
                 (bao operator rotate-keys)",
            ),
            None => Ok(None),
            Some(manager) => {
                let custody = self.keychain.custody();
                custody
                    .rehearse_generation(&**manager, Wanted::OtherKey)
                    .await?;
                Ok(target)
            }
        }
    }

    /// A new key with its shares as they are handed out: of people who are to open the wallet, or of
    /// those who prove themselves when a key manager opens it.
    #[must_use]
    pub fn next_key(
        &self,
        known: &Known,
        opener: &Opener,
        counts: Counts,
    ) -> (NewKey, Vec<Zeroizing<Vec<u8>>>) {
        let mut entropy = Os::new();
        let (key, shares) = match opener {
            None => unseal_key(known, counts, &mut entropy),
            Some(_) => self.recovery_key(known, counts, &mut entropy),
        };
        (key, shares.iter().map(Share::encode).collect())
    }

    /// Moves the wallet to the next key manager. A new recovery key counts from then on; without one
    /// a wallet has none that people opened so far.
    ///
    /// # Errors
    /// When another change came first, the key manager cannot be used, or it cannot be stored.
    pub async fn change_key_manager(
        &self,
        caller: &Caller,
        path: &str,
        known: &Known,
        key: Option<NewKey>,
    ) -> Result<Seq, Error> {
        let opener = self.next_opener(known).await?;
        let manager: &dyn KeyManager = match (&key, &opener) {
            (Some(NewKey::Unseal(shamir)), None) => shamir,
            (None | Some(NewKey::Recovery(..)), Some(manager)) => &**manager,
            _ => return Err(Error::Refused(Refusal::Changed)),
        };
        if let Some(NewKey::Recovery(_, kept)) = &key {
            self.keep_recovery(known, kept).await?;
        }
        let need = Need {
            sudo: true,
            ..Need::to(Operation::Update, path)
        };
        let seq = self
            .replace_generation(caller, need, known, manager, Wanted::OtherKey)
            .await?;
        if known.is_shared() && key.is_none() {
            let store = self.keychain.custody().store();
            store.remove(Slot::Recovery).await?;
        }
        Ok(seq)
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
        let opener = match &key {
            Some(NewKey::Recovery(_, kept)) => {
                self.keep_recovery(known, kept).await?;
                return Ok(None);
            }
            Some(NewKey::Unseal(_)) => None,
            None => self.managers.of_wallet(known).await?,
        };
        let manager: &dyn KeyManager = match (&key, &opener) {
            (Some(NewKey::Unseal(shamir)), _) => shamir,
            (_, Some(manager)) => &**manager,
            _ => return Err(Error::Invalid("there is no key manager".to_owned())),
        };
        let need = Need::to(Operation::Update, path);
        let replaced = self.replace_generation(caller, need, known, manager, Wanted::Anew);
        replaced.await.map(Some)
    }

    async fn replace_generation(
        &self,
        caller: &Caller,
        need: Need,
        known: &Known,
        manager: &dyn KeyManager,
        wanted: Wanted,
    ) -> Result<Seq, Error> {
        // What another node left half done is said first: the log knows no generation too few.
        self.confirm_generation().await?;
        let custody = self.keychain.custody();
        let replaced = custody.replace_generation(manager, known.generation.number, wanted);
        let Some(back_to) = replaced.await? else {
            return Err(Error::Invalid(
                "another change of the unseal generation came first".to_owned(),
            ));
        };
        let generation = next(known).number;
        let replaced = || replaced_by(generation, manager.name(), back_to);
        let ordered = match self.order(caller, need, replaced()).await {
            // The caller was permitted a moment ago, and it is done: the log says so in any case.
            Err(Error::Denied | Error::NoToken | Error::Refused(_)) => {
                self.order_itself(replaced()).await
            }
            ordered => ordered,
        };
        let seq = ordered?.seq;
        self.forget_recovery(manager.name()).await?;
        tracing::info!(
            generation,
            key_manager = manager.name(),
            "another unseal generation is above the wallet's keys"
        );
        Ok(seq)
    }

    /// Lets the log say which generation wraps the keys, where a node ended before it could.
    ///
    /// # Errors
    /// When the key store cannot be used, or the outcome is not known.
    pub async fn confirm_generation(&self) -> Result<(), Error> {
        let custody = self.keychain.custody();
        custody.reload().await?;
        let (generation, manager, back_to) = custody.generation();
        let wallet = self.state().wallet()?;
        let last = wallet.and_then(|wallet| wallet.generations.last().map(|last| last.number));
        if last.is_none_or(|last| last >= generation) {
            return Ok(());
        }
        custody.erase_older_generations().await?;
        self.order_itself(replaced_by(generation, &manager, back_to))
            .await?;
        self.forget_recovery(&manager).await
    }

    /// A wallet that people open has no recovery key.
    async fn forget_recovery(&self, manager: &str) -> Result<(), Error> {
        if manager == shamir::NAME {
            let store = self.keychain.custody().store();
            store.remove(Slot::Recovery).await?;
        }
        Ok(())
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
}

fn replaced_by(generation: u32, manager: &str, back_to: KekVersion) -> Action {
    Action::ReplaceGeneration {
        generation,
        manager: manager.to_owned(),
        back_to,
    }
}
