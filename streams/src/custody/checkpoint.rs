//! The keys that sign checkpoints: the one that the log says, and the one after it.

use billfold_core::{
    keys::{CheckpointSeed, keyring, wallet::WalletKeys},
    proof::{KeyName, Signer, VerifierKey},
    subject::Generation as LogGeneration,
};

use super::{Custody, Error};
use crate::{entropy::Os, fault_point::fault_point, keys::Slot};

impl Custody {
    /// Who signs checkpoints while this key does; the first one when the log names none yet. None
    /// when the key is not among those at hand: another node may have changed it twice meanwhile.
    #[must_use]
    pub fn checkpoint_signer(
        &self,
        generation: LogGeneration,
        key: Option<&VerifierKey>,
    ) -> Option<Signer> {
        let keys = self.keys();
        let (now, next) = self.signers(generation, &keys);
        match key {
            None => Some(now),
            Some(key) => [now, next].into_iter().find(|s| s.verifier() == *key),
        }
    }

    /// Who signs checkpoints while this key does, and who after it. The stored keys are brought to
    /// where the log is first: a node may have died between the two.
    ///
    /// # Errors
    /// When the key store cannot be used, or the key is not this wallet's.
    pub async fn checkpoint_signers(
        &self,
        generation: LogGeneration,
        key: &VerifierKey,
    ) -> Result<(Signer, Signer), Error> {
        loop {
            self.reload().await?;
            let stored = self.read_slot(Slot::Wallet).await?;
            let version = WalletKeys::wrapped_under(&stored.bytes)?;
            let open = self.open.load_full();
            let keys =
                WalletKeys::unwrap(self.wallet, &stored.bytes, |version| open.keks.get(version))?;
            let (now, next) = self.signers(generation, &keys);
            if now.verifier() == *key {
                return Ok((now, next));
            }
            if next.verifier() != *key {
                return Err(Error::OtherCheckpointKey);
            }
            fault_point("checkpoint key changed");
            let bytes = {
                let mut entropy = Os::new();
                let kek = open
                    .keks
                    .get(version)
                    .ok_or(keyring::Error::NoKek(version))?;
                let keys = keys.with_next_checkpoint_key(&mut entropy);
                keys.wrap(self.wallet, version, kek, &mut entropy)
            };
            if self.replace(Slot::Wallet, stored.revision, bytes).await? {
                fault_point("checkpoint key stored");
            }
        }
    }

    fn signers(&self, generation: LogGeneration, keys: &WalletKeys) -> (Signer, Signer) {
        let signer = |seed: &CheckpointSeed| {
            Signer::of_checkpoints(KeyName::origin(self.wallet, generation), seed)
        };
        (signer(&keys.checkpoint), signer(&keys.next_checkpoint))
    }
}
