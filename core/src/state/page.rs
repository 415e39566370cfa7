//! Key pages: which of their keys are live, to be destroyed, or gone.

use crate::{
    cbor::as_array,
    keys::{keyring::KekVersion, page::Slots},
};

/// How a key page is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PageUse {
    /// Whether drawing from it has ended.
    pub closed: bool,
    /// The keys that something live refers to.
    pub live: Slots,
    /// The keys that are to be destroyed, until an outcome event says that they are.
    pub dying: Slots,
    /// The keys that are destroyed: refused for ever, even if their bytes come back.
    pub gone: Slots,
    /// The KEK version that wraps it; 0 while nothing was drawn from it.
    pub kek: KekVersion,
    /// The KEK version that it was made under; 0 while nothing was drawn from it.
    pub first_kek: KekVersion,
}

as_array!(PageUse {
    closed,
    live,
    dying,
    gone,
    kek,
    first_kek
});

impl PageUse {
    /// Whether a page in the key store should hold the key of this slot.
    #[must_use]
    pub fn keeps(&self, slot: u8) -> bool {
        if self.closed {
            self.live.has(slot)
        } else {
            !self.dying.has(slot) && !self.gone.has(slot)
        }
    }

    /// Whether it holds keys that its KEK version cannot be destroyed for.
    #[must_use]
    pub fn counts(&self) -> bool {
        !self.live.is_empty() || !self.dying.is_empty()
    }
}
