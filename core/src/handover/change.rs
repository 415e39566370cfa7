//! Changes of secrets on their way to another node.

use serde_bytes::{ByteBuf, Bytes};
use zeroize::Zeroizing;

use crate::{
    SecretBytes,
    command::{Basis, Change, NewNames, NewSettings, What},
    id::{MountId, RecordId},
};

/// A change as it is sent: nothing in it is a copy of a secret.
pub(super) type Sent<'a> = (MountId, RecordId, &'a [RecordId], SentWhat<'a>);

/// The same as it is received.
pub(super) type Received = (MountId, RecordId, Vec<RecordId>, ReceivedWhat);

#[derive(serde::Serialize)]
pub(super) enum SentWhat<'a> {
    Put(Option<u32>, Option<u32>, &'a Bytes, &'a NewNames),
    Restore(u32, Basis, Option<u32>, &'a Bytes),
    DeleteCurrent,
    Delete(&'a [u32]),
    Undelete(&'a [u32]),
    Destroy(&'a [u32]),
    ChangeMetadata(Option<Basis>, Option<u32>, NewSettings, &'a NewNames),
    DeleteMetadata,
}

#[derive(serde::Deserialize)]
pub(super) enum ReceivedWhat {
    Put(Option<u32>, Option<u32>, ByteBuf, NewNames),
    Restore(u32, Basis, Option<u32>, ByteBuf),
    DeleteCurrent,
    Delete(Vec<u32>),
    Undelete(Vec<u32>),
    Destroy(Vec<u32>),
    ChangeMetadata(Option<Basis>, Option<u32>, NewSettings, NewNames),
    DeleteMetadata,
}

/// The change as it is sent.
pub(super) fn sent(change: &Change) -> Sent<'_> {
    let what = match &change.what {
        What::Put {
            cas,
            basis,
            payload,
            names,
        } => SentWhat::Put(*cas, *basis, Bytes::new(payload.expose()), names),
        What::Restore {
            version,
            basis,
            cas,
            payload,
        } => SentWhat::Restore(*version, *basis, *cas, Bytes::new(payload.expose())),
        What::DeleteCurrent => SentWhat::DeleteCurrent,
        What::Delete(versions) => SentWhat::Delete(versions),
        What::Undelete(versions) => SentWhat::Undelete(versions),
        What::Destroy(versions) => SentWhat::Destroy(versions),
        What::ChangeMetadata {
            basis,
            metadata_cas,
            settings,
            names,
        } => SentWhat::ChangeMetadata(*basis, *metadata_cas, *settings, names),
        What::DeleteMetadata => SentWhat::DeleteMetadata,
    };
    (change.mount, change.record, &change.folders, what)
}

/// The change of what was received.
pub(super) fn received((mount, record, folders, what): Received) -> Change {
    let secret = |bytes: ByteBuf| SecretBytes::new(Zeroizing::new(bytes.into_vec()));
    let what = match what {
        ReceivedWhat::Put(cas, basis, payload, names) => What::Put {
            cas,
            basis,
            payload: secret(payload),
            names,
        },
        ReceivedWhat::Restore(version, basis, cas, payload) => What::Restore {
            version,
            basis,
            cas,
            payload: secret(payload),
        },
        ReceivedWhat::DeleteCurrent => What::DeleteCurrent,
        ReceivedWhat::Delete(versions) => What::Delete(versions),
        ReceivedWhat::Undelete(versions) => What::Undelete(versions),
        ReceivedWhat::Destroy(versions) => What::Destroy(versions),
        ReceivedWhat::ChangeMetadata(basis, metadata_cas, settings, names) => {
            What::ChangeMetadata {
                basis,
                metadata_cas,
                settings,
                names,
            }
        }
        ReceivedWhat::DeleteMetadata => What::DeleteMetadata,
    };
    Change {
        mount,
        record,
        folders,
        what,
    }
}
