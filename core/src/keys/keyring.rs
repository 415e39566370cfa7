//! The keyring: the wallet's id and its KEK versions under one unseal generation.

mod reach;

use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::{
    cbor::{self, as_array},
    entropy::Entropy,
    id::WalletId,
    keys::{GenerationKey, Kek, manager::GenerationId},
    labels,
    seal::Place,
};

pub use self::reach::{Earlier, Reach};

const FORMAT: u16 = 3;

/// The number of a KEK version, counted from 1.
pub type KekVersion = u32;

/// The version that a wallet begins with.
pub const FIRST: KekVersion = 1;

/// The unseal generation that a wallet begins with.
pub const FIRST_GENERATION: u32 = 1;

/// The keyring as it is stored: nothing in it is open.
///
/// Which version is current is the log's to say, not the keyring's: a version may stand here that no
/// event has made current yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    format: u16,
    /// The wallet that it belongs to.
    pub wallet: WalletId,
    /// Which unseal generation wraps its versions.
    pub generation: u32,
    /// The name of the key manager that opens the generation.
    pub manager: String,
    /// What that key manager needs to open it.
    pub wrapped_generation: ByteBuf,
    /// The generation's key under the version that was current when the generation began: a node that
    /// is unsealed already goes on with it. Empty in the first generation. A later version never opens
    /// it, or whoever has today's would open with old copies what was wrapped under older ones.
    handed_on: ByteBuf,
    /// All versions that can still be opened, oldest first.
    keks: Vec<WrappedKek>,
    /// How far back the key of the generation reaches: it stays as it is as long as that one.
    reach: Reach,
}

as_array!(Keyring {
    format,
    wallet,
    generation,
    manager,
    wrapped_generation,
    handed_on,
    keks,
    reach
});

#[derive(Debug, Clone, PartialEq, Eq)]
struct WrappedKek {
    version: KekVersion,
    wrapped: ByteBuf,
}

as_array!(WrappedKek { version, wrapped });

/// An unseal generation, and how it is opened again.
#[derive(Debug)]
pub struct Generation<'a> {
    /// Which one.
    pub id: GenerationId,
    /// The name of its key manager.
    pub manager: &'a str,
    /// What the key manager needs to open it.
    pub wrapped: Vec<u8>,
    /// Its key.
    pub key: &'a GenerationKey,
    /// How far back its key reaches.
    pub reach: Reach,
}

/// KEK versions that are open, oldest first.
#[derive(Debug, Default)]
pub struct Keks(Vec<(KekVersion, Kek)>);

impl Keks {
    /// One new version.
    pub fn generate(version: KekVersion, entropy: &mut dyn Entropy) -> Self {
        Self(vec![(version, Kek::generate(entropy))])
    }

    /// A version.
    #[must_use]
    pub fn get(&self, version: KekVersion) -> Option<&Kek> {
        let found = self.0.iter().find(|(known, _)| *known == version);
        found.map(|(_, kek)| kek)
    }

    /// The newest version.
    #[must_use]
    pub fn newest(&self) -> Option<(KekVersion, &Kek)> {
        self.0.last().map(|(version, kek)| (*version, kek))
    }

    /// The oldest version.
    #[must_use]
    pub fn oldest(&self) -> Option<KekVersion> {
        self.0.first().map(|(version, _)| *version)
    }
}

impl Keyring {
    /// A keyring of these versions under a generation. Unless it is the first one, its key is handed
    /// on to whoever has the version `current`.
    ///
    /// # Errors
    /// When there is no version, or not this one.
    pub fn wrap(
        generation: Generation<'_>,
        keks: &Keks,
        current: KekVersion,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Error> {
        let mut keyring = Self {
            format: FORMAT,
            wallet: generation.id.wallet,
            generation: generation.id.number,
            manager: generation.manager.to_owned(),
            wrapped_generation: ByteBuf::from(generation.wrapped),
            handed_on: ByteBuf::new(),
            keks: Vec::new(),
            reach: generation.reach,
        };
        for (version, kek) in &keks.0 {
            keyring.push(*version, kek, generation.key, entropy);
        }
        let kek = keks.get(current).ok_or(Error::NoKek(current))?;
        if generation.id.number > FIRST_GENERATION {
            keyring.hand_on(kek, generation.key, entropy);
        }
        Ok(keyring)
    }

    /// The keyring with one more version, which is new.
    #[must_use]
    pub fn with_next(
        &self,
        version: KekVersion,
        key: &GenerationKey,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let kek = Kek::generate(entropy);
        let mut next = self.clone();
        next.push(version, &kek, key, entropy);
        next
    }

    /// The keyring without the versions up to this one; the newest always stays.
    #[must_use]
    pub fn without(&self, version: KekVersion) -> Self {
        let newest = self.newest();
        let mut next = self.clone();
        next.keks
            .retain(|kek| kek.version > version || Some(kek.version) == newest);
        next
    }

    /// The newest version in it.
    #[must_use]
    pub fn newest(&self) -> Option<KekVersion> {
        self.keks.last().map(|kek| kek.version)
    }

    /// The versions in it, oldest first.
    pub fn versions(&self) -> impl Iterator<Item = KekVersion> {
        self.keks.iter().map(|kek| kek.version)
    }

    fn push(
        &mut self,
        version: KekVersion,
        kek: &Kek,
        key: &GenerationKey,
        entropy: &mut dyn Entropy,
    ) {
        let mut plain = Zeroizing::new(Vec::with_capacity(16 + 4 + 32));
        plain.extend_from_slice(self.wallet.as_bytes());
        plain.extend_from_slice(&version.to_be_bytes());
        plain.extend_from_slice(kek.expose());
        let wrapped = key.seal(&self.place(version), &plain, entropy);
        self.keks.push(WrappedKek {
            version,
            wrapped: ByteBuf::from(wrapped),
        });
    }

    fn hand_on(&mut self, kek: &Kek, key: &GenerationKey, entropy: &mut dyn Entropy) {
        let sealed = kek.seal(
            labels::HANDED_ON,
            &self.generation_place(),
            key.expose(),
            entropy,
        );
        self.handed_on = ByteBuf::from(sealed);
    }

    /// Opens every version.
    ///
    /// # Errors
    /// When the key is not this generation's, or a version was changed.
    pub fn open(&self, generation_key: &GenerationKey) -> Result<Keks, Error> {
        let keks = self.keks.iter().map(|kek| {
            let plain = generation_key
                .open(&self.place(kek.version), &kek.wrapped)
                .map_err(|_| Error::Unopened)?;
            // The plaintext names its place as well, for key managers without associated data.
            let (stated, key) = plain
                .expose()
                .split_at_checked(20)
                .ok_or(Error::Malformed)?;
            let expected = [&self.wallet.as_bytes()[..], &kek.version.to_be_bytes()].concat();
            let key: &[u8; 32] = key.try_into().map_err(|_| Error::Malformed)?;
            if stated != expected {
                return Err(Error::Malformed);
            }
            Ok((kek.version, Kek::danger_from_bytes(key)))
        });
        let keks: Vec<_> = keks.collect::<Result<_, _>>()?;
        if keks.is_empty() || !keks.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(Error::Malformed);
        }
        Ok(Keks(keks))
    }

    /// Opens the generation's key with the KEK version that it was handed on to.
    ///
    /// # Errors
    /// When that version is not among these, or the key was changed.
    pub fn take_over(&self, keks: &Keks) -> Result<GenerationKey, Error> {
        let place = self.generation_place();
        let mut newest_first = keks.0.iter().rev();
        let opened = newest_first
            .find_map(|(_, kek)| kek.open(labels::HANDED_ON, &place, &self.handed_on).ok());
        let plain = opened.ok_or(Error::Unopened)?;
        let key = plain.expose().try_into().map_err(|_| Error::Malformed)?;
        Ok(GenerationKey::danger_from_bytes(key))
    }

    /// How far back the key of its generation reaches. All that it wraps is bound to this: if any
    /// version opens with the generation's key, this is as it was written.
    #[must_use]
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Its bytes in the key store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// The keyring of these bytes.
    ///
    /// # Errors
    /// When they are no keyring of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let keyring: Self = cbor::decode(bytes).map_err(|_| Error::Malformed)?;
        if keyring.format != FORMAT {
            return Err(Error::Format(keyring.format));
        }
        Ok(keyring)
    }

    /// Which generation opens it.
    #[must_use]
    pub const fn generation_id(&self) -> GenerationId {
        GenerationId {
            wallet: self.wallet,
            number: self.generation,
        }
    }

    fn generation_place(&self) -> Place {
        self.reach.place(self.generation_id())
    }

    fn place(&self, version: KekVersion) -> Place {
        self.generation_place().and_number(u64::from(version))
    }
}

/// Why stored keys are not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes that no wallet wrote.
    #[error("a stored key is malformed")]
    Malformed,
    /// A format from a later release.
    #[error("a stored key has format {0}, which this release does not know")]
    Format(u16),
    /// Another key, or changed bytes.
    #[error("a stored key does not open")]
    Unopened,
    /// It belongs to another wallet or slot.
    #[error("a stored key belongs to another place")]
    Misplaced,
    /// The KEK version that wraps it is not in the keyring.
    #[error("a stored key is under KEK version {0}, which the keyring does not have")]
    NoKek(KekVersion),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::Counter;

    const WALLET: WalletId = WalletId::from_bytes([7; 16]);

    fn generation<'a>(number: u32, key: &'a GenerationKey) -> Generation<'a> {
        Generation {
            id: GenerationId {
                wallet: WALLET,
                number,
            },
            manager: "key-file",
            wrapped: vec![1],
            key,
            reach: Reach::first(),
        }
    }

    #[test]
    fn how_far_back_its_key_reaches_is_bound_to_all_that_a_keyring_wraps() {
        let mut entropy = Counter::new(4);
        let key = GenerationKey::generate(&mut entropy);
        let three = Keks::generate(3, &mut entropy);
        let reach = Reach {
            oldest: 3,
            back_to: 2,
            earlier: vec![Earlier {
                number: 2,
                wrapped: ByteBuf::from(vec![7]),
                oldest: 2,
            }],
        };
        let under = Generation {
            reach: reach.clone(),
            ..generation(4, &key)
        };
        let keyring = Keyring::wrap(under, &three, 3, &mut entropy).unwrap();
        let keyring = Keyring::decode(&keyring.encode()).unwrap();
        assert!(keyring.open(&key).is_ok() && keyring.take_over(&three).is_ok());
        assert_eq!(*keyring.reach(), reach);
        let later = keyring.with_next(4, &key, &mut entropy).without(3);
        assert!(later.open(&key).is_ok());
        assert_eq!(*later.reach(), reach);
        let changes: [fn(&mut Reach); 6] = [
            |reach| reach.oldest = 2,
            |reach| reach.back_to = 3,
            |reach| reach.earlier.clear(),
            |reach| reach.earlier[0].number = 3,
            |reach| reach.earlier[0].wrapped[0] = 8,
            |reach| reach.earlier[0].oldest = 3,
        ];
        for change in changes {
            for mut changed in [keyring.clone(), later.clone()] {
                change(&mut changed.reach);
                assert_eq!(changed.open(&key).unwrap_err(), Error::Unopened);
                assert_eq!(changed.take_over(&three).unwrap_err(), Error::Unopened);
            }
        }
    }

    #[test]
    fn a_version_is_added_and_older_ones_are_left_out() {
        let mut entropy = Counter::new(1);
        let key = GenerationKey::generate(&mut entropy);
        let first = Keks::generate(FIRST, &mut entropy);
        let keyring = Keyring::wrap(generation(1, &key), &first, FIRST, &mut entropy).unwrap();
        let two = keyring.with_next(2, &key, &mut entropy);
        let two = Keyring::decode(&two.encode()).unwrap();
        let keks = two.open(&key).unwrap();
        assert_eq!(
            keks.get(1).unwrap().expose(),
            first.get(1).unwrap().expose()
        );
        assert_eq!(two.versions().collect::<Vec<_>>(), [1, 2]);
        let one = two.without(1);
        assert_eq!(one.versions().collect::<Vec<_>>(), [2]);
        assert!(one.open(&key).unwrap().get(1).is_none());
        assert_eq!(one.without(2).versions().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_new_generation_is_handed_on_to_who_had_the_current_version() {
        let mut entropy = Counter::new(2);
        let old = GenerationKey::generate(&mut entropy);
        let first = Keks::generate(FIRST, &mut entropy);
        let keyring = Keyring::wrap(generation(1, &old), &first, FIRST, &mut entropy).unwrap();
        let both = keyring.with_next(2, &old, &mut entropy).open(&old).unwrap();
        let new = GenerationKey::generate(&mut entropy);
        let next = Keyring::wrap(generation(2, &new), &both, 2, &mut entropy).unwrap();
        assert_eq!(next.take_over(&both).unwrap().expose(), new.expose());
        assert_eq!(next.take_over(&first).unwrap_err(), Error::Unopened);
        assert_eq!(next.open(&old).unwrap_err(), Error::Unopened);
        assert!(next.open(&new).unwrap().get(1).is_some());
        // Who did not hear of it before the next rotation follows still.
        let rotated = next.with_next(3, &new, &mut entropy).without(2);
        assert_eq!(rotated.take_over(&both).unwrap().expose(), new.expose());
    }

    #[test]
    fn inv07_no_later_version_opens_a_generation() {
        let mut entropy = Counter::new(3);
        let old = GenerationKey::generate(&mut entropy);
        let first = Keks::generate(FIRST, &mut entropy);
        let keyring = Keyring::wrap(generation(1, &old), &first, FIRST, &mut entropy).unwrap();
        let two = keyring.with_next(2, &old, &mut entropy);
        let both = two.open(&old).unwrap();
        assert_eq!(two.take_over(&both).unwrap_err(), Error::Unopened);
        let new = GenerationKey::generate(&mut entropy);
        let second = two.without(1).open(&old).unwrap();
        let next = Keyring::wrap(generation(2, &new), &second, 2, &mut entropy).unwrap();
        let three = next.with_next(3, &new, &mut entropy);
        let third = three.without(2).open(&new).unwrap();
        for copy in [&keyring, &two, &next, &three] {
            assert_eq!(copy.take_over(&third).unwrap_err(), Error::Unopened);
        }
    }
}
