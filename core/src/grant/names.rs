//! The names that go with granted facts: facts themselves hold ids.

use zeroize::Zeroizing;

use crate::{
    cbor::{self, as_array},
    id::{MountId, RecordId, TokenId},
};

/// How many bytes one part of a table takes about, before it is sealed.
pub const TABLE_BYTES: usize = 256 << 10;

/// Names as they were when they were granted; those that were erased are not in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NameTable {
    /// The mounts, and each path with what facts call it: its blinded id. A mount may move.
    pub mounts: Vec<(MountId, RecordId, String)>,
    /// The records, the mounts that they are in, and their paths below.
    pub records: Vec<(RecordId, MountId, String)>,
    /// The accessors of tokens and their display names.
    pub tokens: Vec<(TokenId, String)>,
}

as_array!(NameTable {
    mounts,
    records,
    tokens
});

impl NameTable {
    /// Its plaintext.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(cbor::encode(self))
    }

    /// The table of a plaintext.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(plain: &[u8]) -> Result<Self, cbor::Malformed> {
        cbor::decode(plain)
    }

    /// Adds what another part says; where both speak of one thing, the later one is right.
    pub fn merge(&mut self, later: Self) {
        self.mounts.extend(later.mounts);
        self.records.extend(later.records);
        self.tokens.extend(later.tokens);
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        const IDS: usize = 48;
        let mounts = self.mounts.iter().map(|(_, _, path)| path.len());
        let records = self.records.iter().map(|(_, _, path)| path.len());
        let tokens = self.tokens.iter().map(|(_, name)| name.len());
        mounts
            .chain(records)
            .chain(tokens)
            .map(|length| length + IDS)
            .sum()
    }
}
