//! Where a view is in the log.

use billfold_core::{
    Millis, cbor,
    commit::CommitHash,
    id::{ProcessId, Seq},
    state::Digest,
};
use billfold_streams::replica::Head;
use serde_bytes::ByteArray;

use super::{Error, damaged};

const FORMAT: u16 = 1;

/// The last commit that a view has, and the digest after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// The last `decided` commit.
    pub head: Head,
    /// The digest of the fold up to it.
    pub digest: Digest,
}

type Wire = (u16, Seq, ByteArray<32>, Millis, ProcessId, Digest);

impl Meta {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Head {
            seq,
            hash,
            time,
            writer,
        } = self.head;
        let wire: Wire = (
            FORMAT,
            seq,
            ByteArray::new(*hash.as_bytes()),
            time,
            writer,
            self.digest,
        );
        cbor::encode(&wire)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let wire: Wire = cbor::decode(bytes).map_err(|_| damaged("its position"))?;
        let (format, seq, hash, time, writer, digest) = wire;
        if format != FORMAT {
            return Err(Error::Unusable(format!("it has format {format}")));
        }
        let hash = CommitHash::from_bytes(hash.into_array());
        Ok(Self {
            head: Head {
                seq,
                hash,
                time,
                writer,
            },
            digest,
        })
    }
}
