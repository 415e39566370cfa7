//! Randomness that repeats, for tests and vectors. It must never reach a wallet.

use sha2::{Digest, Sha256};

use crate::entropy::Entropy;

/// SHA-256 of a seed and a counter.
#[derive(Debug, Clone)]
pub struct Counter {
    seed: u64,
    drawn: u64,
}

impl Counter {
    /// The bytes that belong to this seed, from the beginning.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }
}

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(self.drawn.to_be_bytes())
                .finalize();
            self.drawn += 1;
            for (to, from) in chunk.iter_mut().zip(block) {
                *to = from;
            }
        }
    }
}
