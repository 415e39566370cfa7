//! What is above the KEK versions: opening an unseal generation, and putting another in its place.

use billfold_core::keys::{
    GenerationKey,
    keyring::{self, Earlier, Generation, KekVersion, Keyring, Reach},
    manager::{self, GenerationId, KeyManager, Shared},
};

use super::{Custody, Error};
use crate::{entropy::Os, fault_point::fault_point, keys::Slot};

/// What another unseal generation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Another generation, whatever opens it.
    Anew,
    /// Another key above it, or the word that an older one opens nothing any more.
    OtherKey,
}

impl Custody {
    /// Does all that is done for another unseal generation but putting it in place: whoever is to
    /// make it has to be at hand, and of use.
    ///
    /// # Errors
    /// As [`Custody::replace_generation`].
    pub async fn rehearse_generation(
        &self,
        manager: &dyn KeyManager,
        wanted: Wanted,
    ) -> Result<(), Error> {
        let (keyring, _) = self.load().await?;
        self.next_generation(&keyring, manager, wanted)
            .await
            .map(drop)
    }

    /// Wraps all KEK versions under a new unseal generation, which this key manager makes, in the
    /// place of generation `expected`, and sees that no writing is left under that one. Says which is
    /// the oldest KEK version that can be had of old copies with what opens the new one; none when
    /// another generation came first.
    ///
    /// # Errors
    /// When the key manager or the key store cannot be used, the key manager's key is not one that
    /// was wanted, or an older writing is still there.
    pub async fn replace_generation(
        &self,
        manager: &dyn KeyManager,
        expected: u32,
        wanted: Wanted,
    ) -> Result<Option<KekVersion>, Error> {
        loop {
            let (keyring, revision) = self.load().await?;
            if keyring.generation != expected {
                return Ok(None);
            }
            let next = self.next_generation(&keyring, manager, wanted).await?;
            if self.replace(Slot::Keyring, revision, next.encode()).await? {
                fault_point("generation stored");
                break;
            }
        }
        let (keyring, _) = self.load().await?;
        let back_to = keyring.reach().back_to;
        if keyring.generation.checked_sub(1) != Some(expected) {
            return Ok(None);
        }
        self.erase_older_generations().await?;
        Ok(Some(back_to))
    }

    /// Sees that no writing of the keyring is left but the present one.
    ///
    /// # Errors
    /// When the key store cannot be written, or an older writing is still there.
    pub async fn erase_older_generations(&self) -> Result<(), Error> {
        self.store.erase_older(Slot::Keyring).await?;
        fault_point("older generations erased");
        Ok(())
    }

    async fn next_generation(
        &self,
        keyring: &Keyring,
        manager: &dyn KeyManager,
        wanted: Wanted,
    ) -> Result<Keyring, Error> {
        let id = GenerationId {
            wallet: self.wallet,
            number: keyring.generation.saturating_add(1),
        };
        let (key, wrapped) = manager.create(id, &mut Os::new()).await?;
        // What it does not give back must not be in the place of what is there.
        if !manager.open(id, &wrapped).await?.is(&key) {
            return Err(manager::Error::WrongKey(manager.name()).into());
        }
        let open = self.open.load_full();
        let reach = next_reach(
            keyring,
            keyring.reach().clone(),
            open.keks.oldest(),
            (manager, &wrapped),
            wanted,
        );
        let generation = Generation {
            id,
            manager: manager.name(),
            wrapped: wrapped.clone(),
            key: &key,
            reach: reach.await?,
        };
        Ok(Keyring::wrap(
            generation,
            &open.keks,
            open.current,
            &mut Os::new(),
        )?)
    }

    /// The unseal generation as the keyring was last read, its key manager, and the oldest KEK version
    /// that can be had of old copies with what opens it.
    #[must_use]
    pub fn generation(&self) -> (u32, String, KekVersion) {
        let open = self.open.load();
        (open.generation, open.manager.clone(), open.back_to)
    }
}

/// How far back what opens the next generation reaches, after what opens the present one.
async fn next_reach(
    keyring: &Keyring,
    now: Reach,
    oldest: Option<KekVersion>,
    (manager, wrapped): (&dyn KeyManager, &[u8]),
    wanted: Wanted,
) -> Result<Reach, Error> {
    let mut back_to = oldest.ok_or(keyring::Error::Malformed)?;
    let present = &keyring.wrapped_generation;
    let same = opens(manager, keyring.generation_id(), present).await?;
    let newer = same && manager.is_newer(present, wrapped);
    let oldest = if same && !newer { now.oldest } else { back_to };
    if same {
        back_to = back_to.min(now.oldest);
    }
    for before in &now.earlier {
        if opens(manager, before.id(keyring.wallet), &before.wrapped).await? {
            back_to = back_to.min(before.oldest);
        }
    }
    let mut next = Reach {
        oldest,
        back_to,
        earlier: now.earlier,
    };
    // Shares make a key that was never there before, so none of theirs comes back.
    if (newer || !same) && Shared::decode(present).is_err() {
        next.earlier.push(Earlier {
            number: keyring.generation,
            wrapped: present.clone(),
            oldest: now.oldest,
        });
    }
    if next.back_to < now.back_to {
        return Err(Error::FormerKey(manager.name()));
    }
    if wanted == Wanted::OtherKey && same && !newer && next.back_to == now.back_to {
        return Err(Error::SameKey(manager.name()));
    }
    Ok(next)
}

/// Whether a key manager opens a generation. What it only does not open now may be opened again.
async fn opens(
    manager: &dyn KeyManager,
    id: GenerationId,
    wrapped: &[u8],
) -> Result<bool, manager::Error> {
    use manager::Error::{Key, TooOld, WrongKey};
    match manager.open(id, wrapped).await {
        Ok(_) | Err(Key(..)) => Ok(true),
        Err(WrongKey(_) | TooOld(..)) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) async fn open_generation(
    keyring: &Keyring,
    manager: &dyn KeyManager,
) -> Result<GenerationKey, Error> {
    if keyring.manager != manager.name() {
        return Err(Error::OtherManager {
            found: keyring.manager.clone(),
            generation: keyring.generation,
            configured: manager.name().to_owned(),
        });
    }
    let opened = manager
        .open(keyring.generation_id(), &keyring.wrapped_generation)
        .await;
    opened.map_err(|error| match error {
        manager::Error::WrongKey(name) if keyring.generation > 1 => Error::OtherKey {
            manager: name,
            generation: keyring.generation,
        },
        other => other.into(),
    })
}
