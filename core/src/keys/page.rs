//! Pages of DEKs: made ahead, stored wrapped, emptied key by key.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteArray, ByteBuf};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    Millis,
    cbor::{self, as_array},
    entropy::Entropy,
    id::{PageId, ProcessId, WalletId},
    keys::{
        Dek, Kek,
        keyring::{Error, KekVersion},
        wrap_place,
    },
    labels,
};

const FORMAT: u16 = 1;
const ENTRY: usize = 1 + 32;

/// How many DEKs a page is made with.
pub const SLOTS: usize = 256;

/// Where a DEK stands: this is its key id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRef {
    /// The page.
    pub page: PageId,
    /// The key's place in it.
    pub slot: u8,
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRef({}.{})", self.page, self.slot)
    }
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.page, self.slot)
    }
}

impl Serialize for KeyRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = [self.slot; 17];
        for (to, from) in bytes.iter_mut().zip(self.page.as_bytes()) {
            *to = *from;
        }
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for KeyRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteArray::<17>::deserialize(deserializer)?.into_array();
        let [page @ .., slot] = bytes;
        Ok(Self {
            page: PageId::from_bytes(page),
            slot,
        })
    }
}

/// A set of slots of one page.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Slots([u8; SLOTS / 8]);

impl Slots {
    /// Whether the slot is in it.
    #[must_use]
    pub fn has(&self, slot: u8) -> bool {
        self.0
            .get(usize::from(slot / 8))
            .is_some_and(|byte| byte & (1 << (slot % 8)) != 0)
    }

    /// Puts the slot in.
    pub fn insert(&mut self, slot: u8) {
        if let Some(byte) = self.0.get_mut(usize::from(slot / 8)) {
            *byte |= 1 << (slot % 8);
        }
    }

    /// Takes the slot out.
    pub fn remove(&mut self, slot: u8) {
        if let Some(byte) = self.0.get_mut(usize::from(slot / 8)) {
            *byte &= !(1 << (slot % 8));
        }
    }

    /// The slots in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=u8::MAX).filter(|slot| self.has(*slot))
    }

    /// Whether none is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; SLOTS / 8]
    }

    /// How many are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }
}

impl FromIterator<u8> for Slots {
    fn from_iter<I: IntoIterator<Item = u8>>(slots: I) -> Self {
        let mut set = Self::default();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Slots {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Most pages have none or few in a set: nothing is stored behind the last.
        let used = self
            .0
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        serializer.serialize_bytes(self.0.get(..used).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Slots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        if bytes.len() > SLOTS / 8 {
            return Err(serde::de::Error::custom("too many slots"));
        }
        let mut set = Self::default();
        for (to, from) in set.0.iter_mut().zip(bytes.iter()) {
            *to = *from;
        }
        Ok(set)
    }
}

/// An open page.
pub struct Page {
    /// Its id.
    pub id: PageId,
    /// The process that draws from it.
    pub owner: ProcessId,
    /// When it was made, by its maker's clock.
    pub made: Millis,
    /// The KEK version that wraps it in the key store.
    pub kek: KekVersion,
    slots: Slots,
    /// All keys in one place, in the order of slots: a node keeps thousands of pages open.
    keys: Zeroizing<Box<[[u8; 32]]>>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({}, {} keys)", self.id, self.slots.len())
    }
}

impl Page {
    /// A page of new keys, to be wrapped under this KEK version.
    pub fn generate(
        id: PageId,
        owner: ProcessId,
        made: Millis,
        kek: KekVersion,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let mut keys = Zeroizing::new(vec![[0; 32]; SLOTS].into_boxed_slice());
        keys.iter_mut().for_each(|key| entropy.fill(key));
        Self {
            id,
            owner,
            made,
            kek,
            slots: (0..=u8::MAX).collect(),
            keys,
        }
    }

    /// The key in a slot, unless it was destroyed or swept.
    #[must_use]
    pub fn key(&self, slot: u8) -> Option<Dek> {
        let key = self
            .keys
            .get(usize::from(slot))
            .filter(|_| self.slots.has(slot))?;
        Some(Dek::danger_from_bytes(key))
    }

    /// The slots that hold a key.
    #[must_use]
    pub const fn slots(&self) -> Slots {
        self.slots
    }

    /// The page, to be wrapped under this KEK version.
    #[must_use]
    pub fn under(self, kek: KekVersion) -> Self {
        Self { kek, ..self }
    }

    /// The page with those of its keys that are in `kept`, and no others.
    #[must_use]
    pub fn keeping(&self, kept: impl Fn(u8) -> bool) -> Self {
        let slots = self.slots.iter().filter(|slot| kept(*slot)).collect();
        let mut keys = self.keys.clone();
        for (slot, key) in (0..=u8::MAX).zip(keys.iter_mut()) {
            if !Slots::has(&slots, slot) {
                key.zeroize();
            }
        }
        Self {
            id: self.id,
            owner: self.owner,
            made: self.made,
            kek: self.kek,
            slots,
            keys,
        }
    }

    /// Its bytes in the key store, wrapped under `kek`, which is of the version that the page names.
    pub fn wrap(&self, wallet: WalletId, kek: &Kek, entropy: &mut dyn Entropy) -> Vec<u8> {
        let mut plain = Zeroizing::new(Vec::with_capacity(self.slots.len() * ENTRY));
        for (slot, key) in (0..=u8::MAX).zip(self.keys.iter()) {
            if self.slots.has(slot) {
                plain.push(slot);
                plain.extend_from_slice(key);
            }
        }
        let header = Header {
            format: FORMAT,
            wallet,
            page: self.id,
            version: self.kek,
            owner: self.owner,
            made: self.made,
        };
        let header = cbor::encode(&header);
        let sealed = kek.seal(
            labels::PAGE,
            &wrap_place(wallet).and(&header),
            &plain,
            entropy,
        );
        cbor::encode(&Wrapped {
            header: ByteBuf::from(header),
            sealed: ByteBuf::from(sealed),
        })
    }

    /// The KEK version that wraps these stored bytes, as they say themselves.
    ///
    /// # Errors
    /// When the bytes are no page of a known format.
    pub fn wrapped_under(bytes: &[u8]) -> Result<KekVersion, Error> {
        Wrapped::decode(bytes).map(|(_, header)| header.version)
    }

    /// Opens a stored page; `kek` finds a KEK version.
    ///
    /// # Errors
    /// When the bytes are not this page of this wallet under that KEK.
    pub fn unwrap<'a>(
        wallet: WalletId,
        id: PageId,
        bytes: &[u8],
        kek: impl Fn(KekVersion) -> Option<&'a Kek>,
    ) -> Result<Self, Error> {
        let (wrapped, header) = Wrapped::decode(bytes)?;
        if header.wallet != wallet || header.page != id {
            return Err(Error::Misplaced);
        }
        let plain = kek(header.version)
            .ok_or(Error::NoKek(header.version))?
            .open(
                labels::PAGE,
                &wrap_place(wallet).and(&wrapped.header),
                &wrapped.sealed,
            )
            .map_err(|_| Error::Unopened)?;
        let (entries, rest) = plain.expose().as_chunks::<ENTRY>();
        if !rest.is_empty() {
            return Err(Error::Malformed);
        }
        let mut page = Self {
            id,
            owner: header.owner,
            made: header.made,
            kek: header.version,
            slots: Slots::default(),
            keys: Zeroizing::new(vec![[0; 32]; SLOTS].into_boxed_slice()),
        };
        for [slot, key @ ..] in entries {
            page.slots.insert(*slot);
            page.keys
                .get_mut(usize::from(*slot))
                .ok_or(Error::Malformed)?
                .copy_from_slice(key);
        }
        Ok(page)
    }
}

struct Header {
    format: u16,
    wallet: WalletId,
    page: PageId,
    version: KekVersion,
    owner: ProcessId,
    made: Millis,
}

as_array!(Header {
    format,
    wallet,
    page,
    version,
    owner,
    made
});

struct Wrapped {
    header: ByteBuf,
    sealed: ByteBuf,
}

as_array!(Wrapped { header, sealed });

impl Wrapped {
    fn decode(bytes: &[u8]) -> Result<(Self, Header), Error> {
        let wrapped: Self = cbor::decode(bytes).map_err(|_| Error::Malformed)?;
        let header: Header = cbor::decode(&wrapped.header).map_err(|_| Error::Malformed)?;
        if header.format != FORMAT {
            return Err(Error::Format(header.format));
        }
        Ok((wrapped, header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::Counter;

    #[test]
    fn inv07_a_page_without_a_key_does_not_give_it_back() {
        let mut entropy = Counter::new(9);
        let kek = Kek::generate(&mut entropy);
        let wallet = WalletId::from_bytes([1; 16]);
        let id = PageId::from_bytes([2; 16]);
        let whole = Page::generate(id, ProcessId::default(), Millis(5), 1, &mut entropy);
        assert_eq!(whole.slots().len(), SLOTS);
        let page = whole.keeping(|slot| slot != 7);
        assert!(page.key(7).is_none());
        let bytes = page.wrap(wallet, &kek, &mut entropy);
        let again = Page::unwrap(wallet, id, &bytes, |_| Some(&kek)).unwrap();
        assert!(again.key(7).is_none());
        assert_eq!(
            again.key(8).unwrap().expose(),
            page.key(8).unwrap().expose()
        );
        let other = PageId::from_bytes([3; 16]);
        assert_eq!(
            Page::unwrap(wallet, other, &bytes, |_| Some(&kek)).unwrap_err(),
            Error::Misplaced
        );
    }

    #[test]
    fn slots_survive_their_encoding() {
        for set in [vec![], vec![0], vec![255], vec![3, 64, 200]] {
            let slots: Slots = set.iter().copied().collect();
            let again: Slots = cbor::decode(&cbor::encode(&slots)).unwrap();
            assert_eq!(again.iter().collect::<Vec<_>>(), set);
        }
    }
}
