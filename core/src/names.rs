//! What names say, and the places where names and payloads are sealed (invariant 5).

use std::collections::BTreeMap;

use crate::{
    cbor::as_array,
    id::{ErasureId, FactKeyId, HoldId, MountId, RecordId, RequestId, TokenId, WalletId},
    keys::Content,
    seal::Place,
};

/// The names of a record.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// Its path below the mount.
    pub path: String,
    /// The custom metadata of the KV door.
    pub custom: BTreeMap<String, String>,
    /// What the credentials door shows of it.
    pub credential: Option<CredentialNames>,
}

as_array!(Names {
    path,
    custom,
    credential
});

/// What `/api/credentials` shows of a record besides its secret.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CredentialNames {
    /// What kind of credential it is, in the caller's words.
    pub kind: String,
    /// Free text.
    pub description: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// A JSON object, as the caller wrote it.
    pub meta: Option<String>,
}

as_array!(CredentialNames {
    kind,
    description,
    tags,
    meta
});

/// The names of a mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountNames {
    /// Its path, with a slash at its end.
    pub path: String,
    /// Free text.
    pub description: String,
}

as_array!(MountNames { path, description });

/// What a token is called.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenNames {
    /// What is shown of it.
    pub display: String,
    /// The path of the API that made it.
    pub path: String,
    /// What its maker said of it.
    pub meta: BTreeMap<String, String>,
}

as_array!(TokenNames {
    display,
    path,
    meta
});

/// Where a token's MAC is sealed.
#[must_use]
pub fn token_mac_place(wallet: WalletId, token: TokenId) -> Place {
    content_place(wallet, token.as_bytes(), 0, Content::Payload)
}

/// Where a token's names are sealed.
#[must_use]
pub fn token_names_place(wallet: WalletId, token: TokenId) -> Place {
    content_place(wallet, token.as_bytes(), 0, Content::Names)
}

/// Where a wrapped answer stands in its token's cubbyhole.
pub const WRAPPED_ANSWER: &str = "response";

/// What something in a cubbyhole is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CubbyholeNames {
    /// Its path.
    pub path: String,
}

as_array!(CubbyholeNames { path });

/// Where something in a cubbyhole is sealed, and its path.
#[must_use]
pub fn cubbyhole_place(
    wallet: WalletId,
    token: TokenId,
    entry: RecordId,
    content: Content,
) -> Place {
    content_place(wallet, token.as_bytes(), 0, content).and(entry.as_bytes())
}

/// Why something is erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasureNames {
    /// In the words of whoever ordered it.
    pub reason: String,
}

as_array!(ErasureNames { reason });

/// Where the reason of an erasure is sealed.
#[must_use]
pub fn erasure_names_place(wallet: WalletId, erasure: ErasureId) -> Place {
    content_place(wallet, erasure.as_bytes(), 0, Content::Names)
}

/// What a legal hold is on, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldNames {
    /// The path below the mount; that of a folder is empty for the mount, or ends with a slash.
    pub path: String,
    /// In the words of whoever placed it.
    pub reason: String,
}

as_array!(HoldNames { path, reason });

/// Where the names of a legal hold are sealed.
#[must_use]
pub fn hold_names_place(wallet: WalletId, hold: HoldId) -> Place {
    content_place(wallet, hold.as_bytes(), 0, Content::Names)
}

/// What a request named, and who sent it from where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestNames {
    /// The path, where no record's own names tell it: a folder, or nothing that exists.
    pub path: Option<String>,
    /// The client's network address.
    pub client: String,
    /// The execution that the request was made for.
    pub execution: Option<String>,
}

as_array!(RequestNames {
    path,
    client,
    execution
});

/// Where a version's payload is sealed.
#[must_use]
pub fn payload_place(wallet: WalletId, record: RecordId, version: u32) -> Place {
    content_place(wallet, record.as_bytes(), version, Content::Payload)
}

/// Where a record's names are sealed; `version` is the record's when they were written.
#[must_use]
pub fn names_place(wallet: WalletId, record: RecordId, version: u32) -> Place {
    content_place(wallet, record.as_bytes(), version, Content::Names)
}

/// Where a mount's names are sealed.
#[must_use]
pub fn mount_names_place(wallet: WalletId, mount: MountId) -> Place {
    content_place(wallet, mount.as_bytes(), 0, Content::Names)
}

/// Where the names of a request are sealed.
#[must_use]
pub fn request_names_place(wallet: WalletId, epoch: FactKeyId, request: RequestId) -> Place {
    Place::new()
        .and(wallet.as_bytes())
        .and(epoch.as_bytes())
        .and(request.as_bytes())
}

fn content_place(wallet: WalletId, owner: &[u8; 16], version: u32, content: Content) -> Place {
    let kind: &[u8] = match content {
        Content::Payload => b"payload",
        Content::Names => b"names",
    };
    Place::new()
        .and(wallet.as_bytes())
        .and(owner)
        .and_number(u64::from(version))
        .and(kind)
}
