//! Commands that carried an id: they are remembered, so that none is done twice.

use serde_bytes::ByteArray;

use crate::{Millis, cbor::as_array};

/// A command that carried an id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandRecord {
    /// The time of its commit.
    pub time: Millis,
    /// What tells it apart from another command under the same id.
    pub fingerprint: ByteArray<16>,
    /// The versions that its writes made, in their order.
    pub versions: Vec<u32>,
}

as_array!(CommandRecord {
    time,
    fingerprint,
    versions
});
