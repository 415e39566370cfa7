//! Shares that are handed in one by one for one undertaking. There are never more than it takes.

use billfold_core::keys::share::{Counts, Set, Share};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::Error;

/// The shares of one undertaking. They are wiped when it ends.
#[derive(Debug)]
pub struct Collected {
    nonce: Uuid,
    set: Set,
    counts: Counts,
    shares: Vec<Share>,
}

impl Collected {
    /// Nothing yet.
    #[must_use]
    pub fn new(set: Set, counts: Counts) -> Self {
        Self {
            nonce: Uuid::new_v4(),
            set,
            counts,
            shares: Vec::with_capacity(usize::from(counts.threshold())),
        }
    }

    /// What tells this undertaking from others.
    #[must_use]
    pub const fn nonce(&self) -> Uuid {
        self.nonce
    }

    /// Whose shares they are.
    #[must_use]
    pub const fn set(&self) -> Set {
        self.set
    }

    /// How many shares of the key there are, and how many it takes.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u8 {
        u8::try_from(self.shares.len()).unwrap_or(u8::MAX)
    }

    /// Whether this very share is there.
    #[must_use]
    pub fn holds(&self, share: &Share) -> bool {
        let found = self.shares.iter().find(|held| held.at() == share.at());
        found.is_some_and(|held| held.expose().ct_eq(share.expose()).into())
    }

    /// Adds a share, and says whether there are enough. One that is there already changes nothing.
    ///
    /// # Errors
    /// When it is of another key, or another one has its number.
    pub fn add(&mut self, share: Share) -> Result<bool, Error> {
        self.set.admits(&share)?;
        if self.holds(&share) {
            return Ok(false);
        }
        if self.shares.iter().any(|held| held.at() == share.at()) {
            return Err(Error::TwoAtOne);
        }
        self.shares.push(share);
        Ok(self.count() >= self.counts.threshold())
    }

    /// The shares; it goes on without them.
    #[must_use]
    pub fn take_shares(&mut self) -> Vec<Share> {
        std::mem::take(&mut self.shares)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use billfold_core::{
        id::WalletId,
        keys::share::{self, Purpose},
    };

    use super::*;

    const WALLET: WalletId = WalletId::from_bytes([7; 16]);

    fn set(number: u32) -> Set {
        Set::of(Purpose::Unseal, WALLET, number)
    }

    fn share(number: u32, at: u8, value: u8) -> Share {
        Share::new(set(number), NonZeroU8::new(at).unwrap(), &[value; 32])
    }

    #[test]
    fn it_is_enough_with_as_many_different_shares_as_it_takes() {
        let mut collected = Collected::new(set(1), Counts::new(5, 3).unwrap());
        for (at, enough, count) in [(1, false, 1), (1, false, 1), (4, false, 2), (2, true, 3)] {
            assert_eq!(collected.add(share(1, at, at)).unwrap(), enough);
            assert_eq!(collected.count(), count);
        }
        assert_eq!(collected.take_shares().len(), 3);
        assert_eq!(collected.count(), 0);
    }

    #[test]
    fn what_does_not_belong_there_is_refused() {
        let mut collected = Collected::new(set(2), Counts::new(5, 3).unwrap());
        assert!(matches!(
            collected.add(share(1, 1, 1)),
            Err(Error::Share(share::Error::OtherGeneration { .. }))
        ));
        collected.add(share(2, 1, 1)).unwrap();
        assert!(matches!(
            collected.add(share(2, 1, 9)),
            Err(Error::TwoAtOne)
        ));
        assert_eq!(collected.count(), 1);
    }
}
