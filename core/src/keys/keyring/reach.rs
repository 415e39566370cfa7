//! How far back the key reaches that opens an unseal generation: what it opens of old copies.

use serde_bytes::ByteBuf;

use super::{FIRST, KekVersion};
use crate::{
    cbor::as_array,
    id::WalletId,
    keys::{manager::GenerationId, wrap_place},
    seal::Place,
};

/// How far back the key reaches that opens an unseal generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The oldest KEK version that was ever under this key.
    pub oldest: KekVersion,
    /// The oldest KEK version that can be had of old copies with what opens the generation. It never
    /// goes back: whatever is older is gone once it is destroyed.
    pub back_to: KekVersion,
    /// The generations before it that other keys of a key manager opened, oldest first: what is to
    /// open the next one is held against them.
    pub earlier: Vec<Earlier>,
}

as_array!(Reach {
    oldest,
    back_to,
    earlier
});

/// An unseal generation of the past: the last one under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Its number.
    pub number: u32,
    /// What its key manager needed to open it.
    pub wrapped: ByteBuf,
    /// The oldest KEK version that was ever under its key.
    pub oldest: KekVersion,
}

as_array!(Earlier {
    number,
    wrapped,
    oldest
});

impl Earlier {
    /// Which generation it is of a wallet.
    #[must_use]
    pub const fn id(&self, wallet: WalletId) -> GenerationId {
        GenerationId {
            wallet,
            number: self.number,
        }
    }
}

impl Reach {
    /// That of a key with nothing before it, as far as is known.
    #[must_use]
    pub const fn first() -> Self {
        Self {
            oldest: FIRST,
            back_to: FIRST,
            earlier: Vec::new(),
        }
    }

    /// Whose generation it is, bound to all of this.
    pub(super) fn place(&self, id: GenerationId) -> Place {
        let place = wrap_place(id.wallet)
            .and_number(u64::from(id.number))
            .and_number(u64::from(self.oldest))
            .and_number(u64::from(self.back_to));
        self.earlier.iter().fold(place, |place, earlier| {
            place
                .and_number(u64::from(earlier.number))
                .and(&earlier.wrapped)
                .and_number(u64::from(earlier.oldest))
        })
    }
}
