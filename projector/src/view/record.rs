//! A record as the view holds it: the fold's entry, and the ciphertexts that belong to it.
//!
//! The payload of the current version stands here, so that a read is one look-up; older ones stand
//! by themselves.

use billfold_core::{
    cbor,
    state::{Key, Record, Value},
};
use bytes::Bytes;
use serde_bytes::{ByteArray, ByteBuf};

use super::{
    Error, damaged,
    history::{self, History},
};

/// A record and its ciphertexts.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    /// What the fold says.
    pub record: Record,
    pub(crate) extras: Extras,
}

/// A record and its sealed names, without any payload: many of them may be held at once.
#[derive(Debug, Clone)]
pub struct NamedRecord {
    /// What the fold says.
    pub record: Record,
    /// Its names, sealed under their DEK.
    pub names: Bytes,
}

impl From<StoredRecord> for NamedRecord {
    fn from(stored: StoredRecord) -> Self {
        Self {
            record: stored.record,
            names: stored.extras.names,
        }
    }
}

/// What stands beside a record's entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    /// The blinded ids of the folders above it, the mount first, and its own last.
    pub(crate) chain: Vec<ByteArray<16>>,
    /// Its names, sealed.
    pub(crate) names: Bytes,
    /// The version whose payload follows; 0 when there is none.
    pub(crate) payload_version: u32,
    /// That payload, sealed.
    pub(crate) payload: Bytes,
    /// When its versions came to be.
    pub(crate) history: History,
}

type Wire = (
    ByteBuf,
    Vec<ByteArray<16>>,
    ByteBuf,
    u32,
    ByteBuf,
    history::Wire,
);

impl StoredRecord {
    /// Its names, sealed under their DEK.
    #[must_use]
    pub fn names(&self) -> &Bytes {
        &self.extras.names
    }

    /// The sealed payload of this version, if it stands here.
    pub(super) fn payload(&self, version: u32) -> Option<Bytes> {
        (version != 0 && self.extras.payload_version == version)
            .then(|| self.extras.payload.clone())
    }

    pub(super) fn encode(sealed: Vec<u8>, extras: &Extras) -> Vec<u8> {
        let wire: Wire = (
            ByteBuf::from(sealed),
            extras.chain.clone(),
            ByteBuf::from(extras.names.to_vec()),
            extras.payload_version,
            ByteBuf::from(extras.payload.to_vec()),
            extras.history.wire(),
        );
        cbor::encode(&wire)
    }

    pub(super) fn decode(
        bytes: &[u8],
        unseal: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
    ) -> Result<Self, Error> {
        let (sealed, extras) = split(bytes)?;
        let plain = unseal(&sealed)?;
        let record = Value::decode(&Key::Record(Default::default()), &plain)
            .ok()
            .and_then(Value::into_record)
            .ok_or_else(|| damaged("a record"))?;
        Ok(Self { record, extras })
    }
}

impl Extras {
    /// What stands beside a record, without opening that.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        split(bytes).map(|(_, extras)| extras)
    }
}

/// The fold's entry, sealed, and what stands beside it.
fn split(bytes: &[u8]) -> Result<(ByteBuf, Extras), Error> {
    let wire: Wire = cbor::decode(bytes).map_err(|_| damaged("a record"))?;
    let (sealed, chain, names, payload_version, payload, history) = wire;
    let extras = Extras {
        chain,
        names: names.into_vec().into(),
        payload_version,
        payload: payload.into_vec().into(),
        history: history.into(),
    };
    Ok((sealed, extras))
}
