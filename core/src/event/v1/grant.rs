//! Auditor grants. What is granted is the payload, sealed to the auditor's key.

use serde_bytes::ByteArray;

use crate::{
    Millis,
    cbor::as_array,
    event::CiphertextHash,
    id::{FactKeyId, GrantId},
};

/// An auditor may read what happened in a span of time: whole epochs, all that overlap it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditorGranted {
    /// The grant's id.
    pub grant: GrantId,
    /// The auditor's public key.
    pub recipient: ByteArray<32>,
    /// From when on.
    pub from: Millis,
    /// Until when; none is for as long as the grant stands.
    pub to: Option<Millis>,
    /// Whether epochs are granted when they begin, not only once they are closed.
    pub live: bool,
    /// Whether names are granted.
    pub names: bool,
}

as_array!(AuditorGranted {
    grant,
    recipient,
    from,
    to,
    live,
    names
});

/// The keys of these epochs are granted. They are the payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochsGranted {
    /// The grant.
    pub grant: GrantId,
    /// The number of this part of it, counted from 1 over all its parts.
    pub part: u32,
    /// The epochs, in the order in which they began.
    pub epochs: Vec<FactKeyId>,
    /// What the payload's bytes hash to.
    pub sealed: CiphertextHash,
}

as_array!(EpochsGranted {
    grant,
    part,
    epochs,
    sealed
});

/// A part of the table of names is granted. It is the payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamesGranted {
    /// The grant.
    pub grant: GrantId,
    /// The number of this part of it, counted from 1 over all its parts.
    pub part: u32,
    /// Where the table ends with it: it has the names of all that was there at this time.
    pub up_to: Option<Millis>,
    /// What the payload's bytes hash to.
    pub sealed: CiphertextHash,
}

as_array!(NamesGranted {
    grant,
    part,
    up_to,
    sealed
});

/// Nothing more is granted by this grant. What was granted stays so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantEnded {
    /// The grant.
    pub grant: GrantId,
}

as_array!(GrantEnded { grant });
