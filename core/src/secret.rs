//! Bytes that must not be seen: zeroed when dropped, silent in `Debug`, never serialised.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// A secret of any length.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes over the bytes; no copy of them is made.
    #[must_use]
    pub const fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Copies the bytes in. The caller still has to wipe its own copy.
    #[must_use]
    pub fn copied_from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The secret itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A second copy, zeroed on drop like the first.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::copied_from(self.expose())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

/// Thirty-two bytes of key. The typed keys of [`crate::keys`] wrap it.
pub(crate) struct KeyBytes(Box<[u8; 32]>);

impl KeyBytes {
    /// A key whose bytes `fill` writes in place.
    pub(crate) fn with(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut key = Self(Box::new([0; 32]));
        fill(&mut key.0);
        key
    }

    /// The key's bytes.
    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv04_debug_says_nothing() {
        let secret = SecretBytes::copied_from(b"canary");
        assert_eq!(format!("{secret:?}"), "SecretBytes(…)");
    }
}
