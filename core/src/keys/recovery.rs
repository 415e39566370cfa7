//! Recovery keys: what the operators of a wallet prove themselves by when a key manager opens it.

use serde_bytes::ByteArray;

use crate::{
    cbor::{self, as_array},
    entropy::Entropy,
    id::WalletId,
    keys::{RecoveryKey, TokenMac, TokenMacKey, keyring::Error, mac, share::Counts},
    labels,
};

const FORMAT: u16 = 1;

/// What is kept of a recovery key. Nobody learns the key from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    format: u16,
    wallet: WalletId,
    /// Counted from 1: each new recovery key has the next one.
    pub number: u32,
    counts: Counts,
    mac: ByteArray<32>,
}

as_array!(Recovery {
    format,
    wallet,
    number,
    counts,
    mac
});

impl Recovery {
    /// A new recovery key, and what is to be kept of it.
    pub fn create(
        wallet: WalletId,
        number: u32,
        counts: Counts,
        keys: &TokenMacKey,
        entropy: &mut dyn Entropy,
    ) -> (RecoveryKey, Self) {
        let key = RecoveryKey::generate(entropy);
        let mac = keys.recovery(wallet, number, counts, &key);
        let kept = Self {
            format: FORMAT,
            wallet,
            number,
            counts,
            mac: ByteArray::new(*mac.as_bytes()),
        };
        (key, kept)
    }

    /// Whether this is the key.
    #[must_use]
    pub fn is(&self, key: &RecoveryKey, keys: &TokenMacKey) -> bool {
        let found = keys.recovery(self.wallet, self.number, self.counts, key);
        TokenMac(*self.mac).matches(&found)
    }

    /// How many shares there are, and how many it takes.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Its bytes in the key store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// What was stored for this wallet.
    ///
    /// # Errors
    /// When the bytes are none of a known format, or another wallet's.
    pub fn decode(wallet: WalletId, bytes: &[u8]) -> Result<Self, Error> {
        let kept: Self = cbor::decode(bytes).map_err(|_| Error::Malformed)?;
        if kept.format != FORMAT {
            return Err(Error::Format(kept.format));
        }
        if kept.wallet != wallet {
            return Err(Error::Misplaced);
        }
        kept.counts.checked().ok_or(Error::Malformed)?;
        Ok(kept)
    }
}

impl TokenMacKey {
    fn recovery(
        &self,
        wallet: WalletId,
        number: u32,
        counts: Counts,
        key: &RecoveryKey,
    ) -> TokenMac {
        let parts = [
            wallet.as_bytes(),
            &number.to_be_bytes()[..],
            &[counts.shares(), counts.threshold()],
            key.expose(),
        ];
        TokenMac(mac(&self.0, labels::RECOVERY_MAC, &parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::Counter;

    #[test]
    fn a_recovery_key_is_known_again_and_bound_to_its_counts() {
        let mut entropy = Counter::new(1);
        let keys = TokenMacKey::generate(&mut entropy);
        let wallet = WalletId::from_bytes([7; 16]);
        let counts = Counts::new(3, 2).unwrap();
        let (key, kept) = Recovery::create(wallet, 1, counts, &keys, &mut entropy);
        let kept = Recovery::decode(wallet, &kept.encode()).unwrap();
        assert!(kept.is(&key, &keys));
        assert!(!kept.is(&RecoveryKey::generate(&mut entropy), &keys));
        assert!(!kept.is(&key, &TokenMacKey::generate(&mut entropy)));
        let fewer = Recovery {
            counts: Counts::new(3, 3).unwrap(),
            ..kept.clone()
        };
        assert!(!fewer.is(&key, &keys));
        let later = Recovery {
            number: 2,
            ..kept.clone()
        };
        assert!(!later.is(&key, &keys));
        let other = WalletId::from_bytes([8; 16]);
        assert_eq!(
            Recovery::decode(other, &kept.encode()),
            Err(Error::Misplaced)
        );
    }
}
