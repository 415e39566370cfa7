//! The wallet keys: what every node of the wallet needs besides the DEKs.

use serde_bytes::ByteBuf;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    cbor::{self, as_array},
    entropy::Entropy,
    id::{FactKeyId, WalletId},
    keys::{
        CheckpointSeed, CommandKey, FactKey, IdKey, Kek, RequestNameKey, TokenMacKey, ViewWrapKey,
        keyring::{Error, KekVersion},
        wrap_place,
    },
    labels,
};

const FORMAT: u16 = 1;
const KEY: usize = 32;
/// Four wallet keys and two seeds, then the epochs.
const FIXED: usize = 6 * KEY;
/// What the keys of an epoch take, with its id and number.
pub(crate) const EPOCH: usize = 16 + 4 + 2 * KEY;

/// The open wallet keys.
#[derive(Debug)]
pub struct WalletKeys {
    /// For record ids.
    pub id: IdKey,
    /// For the views' own keys.
    pub view: ViewWrapKey,
    /// For tokens.
    pub token_mac: TokenMacKey,
    /// For commands.
    pub command: CommandKey,
    /// For checkpoints, until the log says that the next one signs.
    pub checkpoint: CheckpointSeed,
    /// For checkpoints after the next change of their key. It is stored before the log speaks of it,
    /// so that no crash leaves a wallet that cannot sign.
    pub next_checkpoint: CheckpointSeed,
    /// The fact keys, oldest first.
    pub epochs: Vec<Epoch>,
}

/// The keys of one namespace and epoch.
#[derive(Debug)]
pub struct Epoch {
    /// How commits name it.
    pub id: FactKeyId,
    /// Counted from 1.
    pub number: u32,
    /// For facts.
    pub facts: FactKey,
    /// For what requests named.
    pub request_names: RequestNameKey,
}

impl Epoch {
    fn generate(number: u32, entropy: &mut dyn Entropy) -> Self {
        let mut id = [0; 16];
        entropy.fill(&mut id);
        Self {
            id: FactKeyId::from_bytes(id),
            number,
            facts: FactKey::generate(entropy),
            request_names: RequestNameKey::generate(entropy),
        }
    }

    /// Writes it under this number.
    pub(crate) fn write(&self, number: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(self.facts.expose());
        out.extend_from_slice(self.request_names.expose());
    }

    pub(crate) fn read(bytes: &[u8; EPOCH]) -> Result<Self, Error> {
        let (id, rest) = bytes.split_first_chunk::<16>().ok_or(Error::Malformed)?;
        let (number, rest) = rest.split_first_chunk::<4>().ok_or(Error::Malformed)?;
        let (facts, rest) = rest.split_first_chunk::<KEY>().ok_or(Error::Malformed)?;
        let (request_names, _) = rest.split_first_chunk::<KEY>().ok_or(Error::Malformed)?;
        Ok(Self {
            id: FactKeyId::from_bytes(*id),
            number: u32::from_be_bytes(*number),
            facts: FactKey::danger_from_bytes(facts),
            request_names: RequestNameKey::danger_from_bytes(request_names),
        })
    }

    /// Whether both have the same keys.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let facts = self.facts.expose().ct_eq(other.facts.expose());
        let names = self
            .request_names
            .expose()
            .ct_eq(other.request_names.expose());
        self.id == other.id && bool::from(facts & names)
    }

    fn again(&self) -> Self {
        Self {
            id: self.id,
            number: self.number,
            facts: FactKey::danger_from_bytes(self.facts.expose()),
            request_names: RequestNameKey::danger_from_bytes(self.request_names.expose()),
        }
    }
}

impl WalletKeys {
    /// New keys, with one epoch.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let epoch = Epoch::generate(1, entropy);
        Self {
            id: IdKey::generate(entropy),
            view: ViewWrapKey::generate(entropy),
            token_mac: TokenMacKey::generate(entropy),
            command: CommandKey::generate(entropy),
            checkpoint: CheckpointSeed::generate(entropy),
            next_checkpoint: CheckpointSeed::generate(entropy),
            epochs: vec![epoch],
        }
    }

    fn again(&self) -> Self {
        Self {
            id: IdKey::danger_from_bytes(self.id.expose()),
            view: ViewWrapKey::danger_from_bytes(self.view.expose()),
            token_mac: TokenMacKey::danger_from_bytes(self.token_mac.expose()),
            command: CommandKey::danger_from_bytes(self.command.expose()),
            checkpoint: CheckpointSeed::danger_from_bytes(self.checkpoint.expose()),
            next_checkpoint: CheckpointSeed::danger_from_bytes(self.next_checkpoint.expose()),
            epochs: self.epochs.iter().map(Epoch::again).collect(),
        }
    }

    /// These keys after the next checkpoint key has become the current one.
    #[must_use]
    pub fn with_next_checkpoint_key(&self, entropy: &mut dyn Entropy) -> Self {
        Self {
            checkpoint: CheckpointSeed::danger_from_bytes(self.next_checkpoint.expose()),
            next_checkpoint: CheckpointSeed::generate(entropy),
            ..self.again()
        }
    }

    /// What an auditor has: these epochs, and in the place of all other keys some that open nothing.
    pub fn of_auditor(epochs: Vec<Epoch>, entropy: &mut dyn Entropy) -> Self {
        Self {
            epochs,
            ..Self::generate(entropy)
        }
    }

    /// These keys with one more epoch, which is new.
    #[must_use]
    pub fn with_next_epoch(&self, entropy: &mut dyn Entropy) -> Self {
        let mut next = self.again();
        let newest = self.epochs.last().map_or(0, |epoch| epoch.number);
        next.epochs.push(Epoch::generate(newest + 1, entropy));
        next
    }

    /// The epoch of this id.
    #[must_use]
    pub fn epoch(&self, id: &FactKeyId) -> Option<&Epoch> {
        self.epochs.iter().rev().find(|epoch| epoch.id == *id)
    }

    /// Their bytes in the key store, wrapped under a KEK version.
    pub fn wrap(
        &self,
        wallet: WalletId,
        version: KekVersion,
        kek: &Kek,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let mut plain = Zeroizing::new(Vec::with_capacity(FIXED + self.epochs.len() * EPOCH));
        for key in [
            self.id.expose(),
            self.view.expose(),
            self.token_mac.expose(),
            self.command.expose(),
            self.checkpoint.expose(),
            self.next_checkpoint.expose(),
        ] {
            plain.extend_from_slice(key);
        }
        for epoch in &self.epochs {
            epoch.write(epoch.number, &mut plain);
        }
        let place = wrap_place(wallet).and_number(u64::from(version));
        let sealed = kek.seal(labels::WALLET_KEYS, &place, &plain, entropy);
        cbor::encode(&Wrapped {
            format: FORMAT,
            version,
            sealed: ByteBuf::from(sealed),
        })
    }

    /// The KEK version that wraps these stored keys.
    ///
    /// # Errors
    /// When the bytes are no wallet keys of a known format.
    pub fn wrapped_under(bytes: &[u8]) -> Result<KekVersion, Error> {
        Wrapped::decode(bytes).map(|wrapped| wrapped.version)
    }

    /// Opens stored wallet keys; `kek` finds a KEK version.
    ///
    /// # Errors
    /// When the bytes are not this wallet's keys under that KEK.
    pub fn unwrap<'a>(
        wallet: WalletId,
        bytes: &[u8],
        kek: impl Fn(KekVersion) -> Option<&'a Kek>,
    ) -> Result<Self, Error> {
        let wrapped = Wrapped::decode(bytes)?;
        let place = wrap_place(wallet).and_number(u64::from(wrapped.version));
        let plain = kek(wrapped.version)
            .ok_or(Error::NoKek(wrapped.version))?
            .open(labels::WALLET_KEYS, &place, &wrapped.sealed)
            .map_err(|_| Error::Unopened)?;
        let (fixed, epochs) = plain
            .expose()
            .split_at_checked(FIXED)
            .ok_or(Error::Malformed)?;
        let (keys, _) = fixed.as_chunks::<KEY>();
        let (epochs, rest) = epochs.as_chunks::<EPOCH>();
        let [id, view, token_mac, command, checkpoint, next] = keys else {
            return Err(Error::Malformed);
        };
        if !rest.is_empty() || epochs.is_empty() {
            return Err(Error::Malformed);
        }
        Ok(Self {
            id: IdKey::danger_from_bytes(id),
            view: ViewWrapKey::danger_from_bytes(view),
            token_mac: TokenMacKey::danger_from_bytes(token_mac),
            command: CommandKey::danger_from_bytes(command),
            checkpoint: CheckpointSeed::danger_from_bytes(checkpoint),
            next_checkpoint: CheckpointSeed::danger_from_bytes(next),
            epochs: epochs.iter().map(Epoch::read).collect::<Result<_, _>>()?,
        })
    }
}

struct Wrapped {
    format: u16,
    version: KekVersion,
    sealed: ByteBuf,
}

as_array!(Wrapped {
    format,
    version,
    sealed
});

impl Wrapped {
    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let wrapped: Self = cbor::decode(bytes).map_err(|_| Error::Malformed)?;
        if wrapped.format != FORMAT {
            return Err(Error::Format(wrapped.format));
        }
        Ok(wrapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::Counter;

    #[test]
    fn wrapped_and_unwrapped_for_one_wallet_only() {
        let mut entropy = Counter::new(5);
        let kek = Kek::generate(&mut entropy);
        let wallet = WalletId::from_bytes([1; 16]);
        let keys = WalletKeys::generate(&mut entropy);
        let bytes = keys.wrap(wallet, 1, &kek, &mut entropy);
        let again = WalletKeys::unwrap(wallet, &bytes, |v| (v == 1).then_some(&kek)).unwrap();
        assert_eq!(again.epochs[0].id, keys.epochs[0].id);
        assert_eq!(again.command.expose(), keys.command.expose());
        assert_eq!(again.checkpoint.expose(), keys.checkpoint.expose());
        assert_eq!(
            again.next_checkpoint.expose(),
            keys.next_checkpoint.expose()
        );
        let other = WalletId::from_bytes([2; 16]);
        assert_eq!(
            WalletKeys::unwrap(other, &bytes, |_| Some(&kek)).unwrap_err(),
            Error::Unopened
        );
        assert_eq!(
            WalletKeys::unwrap(wallet, &bytes, |_| None).unwrap_err(),
            Error::NoKek(1)
        );
    }
}
