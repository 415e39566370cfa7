//! The key manager of a wallet that people open: its key is in shares, and a threshold of them makes it.
//!
//! The shares are those of Shamir's scheme over GF(256), by the crate `blahaj`. What it computes on
//! the way is not wiped by itself: the program's allocator wipes all that is freed.

use std::{collections::BTreeMap, num::NonZeroU8};

use async_trait::async_trait;
use billfold_core::{
    entropy::{Entropy, Random},
    keys::{
        GenerationKey, RecoveryKey, ShareKey,
        manager::{Error, GenerationId, KeyManager},
        share::{Counts, Purpose, Set, Share},
    },
};
use zeroize::Zeroizing;

/// Its name in the configuration.
pub const NAME: &str = "shamir";

/// A key that shares made, for as long as it takes to open or make one generation.
#[derive(Debug)]
pub struct Shamir {
    key: ShareKey,
    counts: Counts,
}

impl Shamir {
    /// A new key. What it creates asks for a threshold of its shares.
    pub fn generate(counts: Counts, entropy: &mut dyn Entropy) -> Self {
        let key = ShareKey::generate(entropy);
        Self { key, counts }
    }

    /// The shares that make this key again, for the generation that it wraps.
    pub fn shares(&self, id: GenerationId, entropy: &mut dyn Entropy) -> Vec<Share> {
        let set = Set::of(Purpose::Unseal, id.wallet, id.number);
        split(self.key.danger_bytes(), set, self.counts, entropy)
    }

    /// Whether both are the same key. Compared in constant time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.key.is(&other.key)
    }

    /// The key that these shares make. Whether it is the right one shows when it opens something.
    ///
    /// # Errors
    /// When there are fewer than it takes.
    pub fn of(counts: Counts, shares: &[Share]) -> Result<Self, TooFew> {
        let bytes = combine(counts, shares)?;
        let key = ShareKey::danger_from_bytes(&bytes);
        Ok(Self { key, counts })
    }
}

/// There are fewer shares than it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are fewer shares than it takes")]
pub struct TooFew;

/// The recovery key that these shares make. Whether it is the right one is for others to say.
///
/// # Errors
/// When there are fewer than it takes.
pub fn recovery_key(counts: Counts, shares: &[Share]) -> Result<RecoveryKey, TooFew> {
    combine(counts, shares).map(|bytes| RecoveryKey::danger_from_bytes(&bytes))
}

/// The shares that make a recovery key again.
pub fn recovery_shares(
    key: &RecoveryKey,
    set: Set,
    counts: Counts,
    entropy: &mut dyn Entropy,
) -> Vec<Share> {
    split(key.danger_bytes(), set, counts, entropy)
}

fn split(key: &[u8; 32], set: Set, counts: Counts, entropy: &mut dyn Entropy) -> Vec<Share> {
    let sharks = blahaj::Sharks(counts.threshold());
    let mut random = Random(entropy);
    let points = sharks.dealer_rng(key, &mut random);
    let points = points.take(usize::from(counts.shares()));
    // The dealer begins at 1: at 0 is the key itself.
    let shares = points.filter_map(|point| {
        let mut value = Zeroizing::new([0; 32]);
        for (to, from) in value.iter_mut().zip(&point.y) {
            *to = from.0;
        }
        Some(Share::new(set, NonZeroU8::new(point.x.0)?, &value))
    });
    shares.collect()
}

fn combine(counts: Counts, shares: &[Share]) -> Result<Zeroizing<[u8; 32]>, TooFew> {
    // One point twice would spoil the sum.
    let points: BTreeMap<NonZeroU8, &Share> =
        shares.iter().map(|share| (share.at(), share)).collect();
    let points: Result<Vec<blahaj::Share>, TooFew> = points
        .iter()
        .take(usize::from(counts.threshold()))
        .map(|(at, share)| {
            let mut bytes = Zeroizing::new(Vec::with_capacity(33));
            bytes.push(at.get());
            bytes.extend_from_slice(share.expose());
            blahaj::Share::try_from(bytes.as_slice()).map_err(|_| TooFew)
        })
        .collect();
    let points = points?;
    let sharks = blahaj::Sharks(counts.threshold());
    let made = sharks.recover(&points);
    let made = Zeroizing::new(made.map_err(|_| TooFew)?);
    let mut key = Zeroizing::new([0; 32]);
    for (to, from) in key.iter_mut().zip(made.iter()) {
        *to = *from;
    }
    Ok(key)
}

#[async_trait]
impl KeyManager for Shamir {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn create(
        &self,
        generation: GenerationId,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<(GenerationKey, Vec<u8>), Error> {
        Ok(self.key.create_generation(generation, self.counts, entropy))
    }

    async fn open(&self, generation: GenerationId, wrapped: &[u8]) -> Result<GenerationKey, Error> {
        let opened = self.key.open_generation(generation, wrapped);
        opened.map_err(|_| Error::WrongKey(NAME))
    }
}

#[cfg(test)]
mod tests {
    use billfold_core::{id::WalletId, test_entropy::Counter};

    use super::*;

    const ID: GenerationId = GenerationId {
        wallet: WalletId::from_bytes([7; 16]),
        number: 1,
    };

    fn made(shares: i64, threshold: i64) -> (Shamir, Vec<Share>, Counts) {
        let counts = Counts::new(shares, threshold).unwrap();
        let mut entropy = Counter::new(1);
        let shamir = Shamir::generate(counts, &mut entropy);
        let shares = shamir.shares(ID, &mut entropy);
        (shamir, shares, counts)
    }

    fn again(shares: &[Share], which: &[usize]) -> Vec<Share> {
        let copy = |at: &usize| Share::decode(&shares[*at].encode()).unwrap();
        which.iter().map(copy).collect()
    }

    #[tokio::test]
    async fn any_threshold_of_shares_opens_and_fewer_do_not() {
        let (shamir, shares, counts) = made(5, 3);
        assert_eq!(shares.len(), 5);
        let (_, wrapped) = shamir.create(ID, &mut Counter::new(2)).await.unwrap();
        for which in [[0, 1, 2], [4, 2, 0], [1, 3, 4]] {
            let found = Shamir::of(counts, &again(&shares, &which)).unwrap();
            found.open(ID, &wrapped).await.unwrap();
        }
        for which in [&[0, 1][..], &[0, 0, 0], &[2, 2, 3]] {
            assert!(Shamir::of(counts, &again(&shares, which)).is_err());
        }
        // More than enough are as good as enough.
        let all = Shamir::of(counts, &again(&shares, &[0, 1, 2, 3, 4, 4])).unwrap();
        all.open(ID, &wrapped).await.unwrap();
    }

    #[tokio::test]
    async fn a_forged_share_does_not_open() {
        let (shamir, shares, counts) = made(3, 2);
        let (_, wrapped) = shamir.create(ID, &mut Counter::new(2)).await.unwrap();
        let set = Set::of(Purpose::Unseal, ID.wallet, ID.number);
        let forged = Share::new(set, shares[1].at(), &[9; 32]);
        let found = Shamir::of(counts, &[again(&shares, &[0]).remove(0), forged]).unwrap();
        let opened = found.open(ID, &wrapped).await;
        assert!(matches!(opened, Err(Error::WrongKey(NAME))));
    }

    #[tokio::test]
    async fn the_smallest_and_the_largest_counts_work() {
        for (shares, threshold) in [(1, 1), (255, 255), (255, 2)] {
            let (shamir, shares, counts) = made(shares, threshold);
            let (_, wrapped) = shamir.create(ID, &mut Counter::new(2)).await.unwrap();
            let found = Shamir::of(counts, &shares).unwrap();
            found.open(ID, &wrapped).await.unwrap();
        }
    }
}
