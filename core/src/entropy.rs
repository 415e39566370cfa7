//! Where randomness comes from: always an argument.

/// A source of random bytes that nobody can guess.
pub trait Entropy {
    /// Fills `out`.
    fn fill(&mut self, out: &mut [u8]);

    /// Sixteen or thirty-two random bytes, say.
    fn bytes<const N: usize>(&mut self) -> [u8; N]
    where
        Self: Sized,
    {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, out: &mut [u8]) {
        (**self).fill(out);
    }
}
