//! Erasures that were ordered and legal holds, as the state keeps them.

use std::collections::BTreeMap;

use crate::{
    Millis,
    cbor::as_array,
    event::{Actor, SealedRef, v1::ErasedRecord},
    id::{HoldId, MountId, PageId, RecordId},
    keys::{
        keyring::KekVersion,
        page::{KeyRef, Slots},
    },
    state::Wallet,
};

/// Keys by their pages, in the order of pages.
pub type Keys = Vec<(PageId, Slots)>;

/// Keys by their pages.
#[must_use]
pub fn by_page(keys: impl IntoIterator<Item = KeyRef>) -> Keys {
    let mut pages = BTreeMap::<PageId, Slots>::new();
    for key in keys {
        pages.entry(key.page).or_default().insert(key.slot);
    }
    pages.into_iter().collect()
}

/// An erasure that was ordered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erasure {
    /// When.
    pub ordered: Millis,
    /// By whom.
    pub actor: Actor,
    /// The mount that the records were in.
    pub mount: MountId,
    /// What went.
    pub records: Vec<ErasedRecord>,
    /// The keys that were given up.
    pub keys: Keys,
    /// Why.
    pub names: SealedRef,
}

as_array!(Erasure {
    ordered,
    actor,
    mount,
    records,
    keys,
    names
});

/// How far an erasure has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Keys are still to be swept out of the key store.
    Destroying,
    /// The keys are in no page that the key store has. Older copies of pages may hold them, wrapped
    /// under KEK versions that are not destroyed.
    Pending,
    /// Every KEK version that ever wrapped them is destroyed, and the unseal generation above it.
    Complete,
}

impl Fate {
    /// How far it is, given the newest KEK version when the last key was confirmed to be destroyed,
    /// if it was. No later one wraps any of them: a node wraps under a version once it is in the log,
    /// and by the confirmation no writing was left from which it could take them.
    #[must_use]
    pub fn of(destroyed: Option<KekVersion>, wallet: &Wallet) -> Self {
        match destroyed {
            None => Self::Destroying,
            Some(kek) if kek <= wallet.complete => Self::Complete,
            Some(_) => Self::Pending,
        }
    }

    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Destroying => "destroying",
            Self::Pending => "pending",
            Self::Complete => "complete",
        }
    }
}

/// A legal hold: nothing under it is lost while it is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The mount.
    pub mount: MountId,
    /// The blinded path: a record's, or a folder's.
    pub place: RecordId,
    /// Whether it is a folder's.
    pub is_folder: bool,
    /// When it was placed.
    pub placed: Millis,
    /// By whom.
    pub actor: Actor,
    /// The path, and why.
    pub names: SealedRef,
}

as_array!(Hold {
    mount,
    place,
    is_folder,
    placed,
    actor,
    names
});

impl Hold {
    /// Whether it is on a record, given the folders that this is in. Without any, nobody knows where
    /// it is: then every folder of the mount counts.
    #[must_use]
    pub fn is_on(&self, mount: MountId, record: RecordId, folders: &[RecordId]) -> bool {
        self.mount == mount
            && match self.is_folder {
                true => folders.is_empty() || folders.contains(&self.place),
                false => self.place == record,
            }
    }
}

/// All legal holds.
pub type Holds = BTreeMap<HoldId, Hold>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_is_complete_with_the_last_kek_that_wrapped_its_keys() {
        let wallet = |complete| Wallet {
            id: crate::id::WalletId::default(),
            created: Millis(0),
            root: crate::id::PrincipalId::default(),
            root_token: crate::id::TokenId::default(),
            root_token_mac: sealed(),
            keks: Vec::new(),
            generations: Vec::new(),
            complete,
            rotation: crate::event::v1::RotationPolicy::default(),
            compromised: None,
            epoch: None,
        };
        for (destroyed, complete, fate) in [
            (None, 9, Fate::Destroying),
            (Some(1), 0, Fate::Pending),
            (Some(2), 1, Fate::Pending),
            (Some(2), 2, Fate::Complete),
            (Some(1), 2, Fate::Complete),
        ] {
            assert_eq!(Fate::of(destroyed, &wallet(complete)), fate);
        }
    }

    fn sealed() -> SealedRef {
        SealedRef {
            key: KeyRef {
                page: PageId::default(),
                slot: 0,
            },
            hash: serde_bytes::ByteArray::default(),
        }
    }

    #[test]
    fn a_hold_is_on_what_is_below_it() {
        let (mount, other) = (MountId::from_bytes([1; 16]), MountId::from_bytes([2; 16]));
        let [record, folder, elsewhere] = [3, 4, 5].map(|byte| RecordId::from_bytes([byte; 16]));
        let hold = |place, is_folder| Hold {
            mount,
            place,
            is_folder,
            placed: Millis(0),
            actor: Actor::System,
            names: sealed(),
        };
        let on_folder = hold(folder, true);
        assert!(on_folder.is_on(mount, record, &[elsewhere, folder]));
        assert!(!on_folder.is_on(mount, record, &[elsewhere]));
        assert!(!on_folder.is_on(other, record, &[folder]));
        assert!(on_folder.is_on(mount, record, &[]), "nobody knows better");
        let on_record = hold(record, false);
        assert!(on_record.is_on(mount, record, &[elsewhere]));
        assert!(on_record.is_on(mount, record, &[]));
        assert!(!on_record.is_on(mount, elsewhere, &[record]));
    }
}
