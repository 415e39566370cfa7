//! The keys of the view's tree: a letter for the kind, then blinded or random bytes.

use billfold_core::{
    Millis,
    id::{CommandId, ErasureId, HoldId, MountId, PageId, RecordId, Seq, TokenId},
    state::Key,
};

/// Where the view is in the log.
pub(super) const META: &[u8] = b"m";
/// The entries of records.
pub(super) const RECORDS: &[u8] = b"eR";
/// The entries of tokens.
pub(super) const TOKENS: &[u8] = b"eT";
/// The entries of pages.
pub(super) const PAGES: &[u8] = b"eP";
/// The entries of erasures.
pub(super) const ERASURES: &[u8] = b"eE";
/// The names of erasures.
pub(super) const ERASURE_NAMES: &[u8] = b"r";
/// The commands that are remembered, in the order of their times.
pub(super) const COMMANDS_BY_TIME: &[u8] = b"d";

/// Where an entry of the fold stands.
pub(super) fn entry(key: &Key) -> Vec<u8> {
    let (kind, id): (&[u8; 2], &[u8]) = match key {
        Key::Wallet => (b"eW", &[]),
        Key::Mounts => (b"eM", &[]),
        Key::Record(id) => (b"eR", id.as_bytes()),
        Key::Page(id) => (b"eP", id.as_bytes()),
        Key::Command(id) => (b"eC", id.as_bytes()),
        Key::Token(id) => (b"eT", id.as_bytes()),
        Key::Policies => (b"eL", &[]),
        Key::Cubbyhole(id) => (b"eH", id.as_bytes()),
        Key::TokenRoles => (b"eO", &[]),
        Key::Erasure(id) => (b"eE", id.as_bytes()),
        Key::Holds => (b"eU", &[]),
        Key::Epoch(id) => (b"eQ", id.as_bytes()),
        Key::Grants => (b"eA", &[]),
    };
    [kind, id].concat()
}

/// The record of an entry's key.
pub(super) fn record_of(key: &[u8]) -> Option<RecordId> {
    let id = key.strip_prefix(RECORDS)?;
    id.try_into().ok().map(RecordId::from_bytes)
}

/// The token of an entry's key.
pub(super) fn token_of(key: &[u8]) -> Option<TokenId> {
    let id = key.strip_prefix(TOKENS)?;
    id.try_into().ok().map(TokenId::from_bytes)
}

/// The page of an entry's key.
pub(super) fn page_of(key: &[u8]) -> Option<PageId> {
    let id = key.strip_prefix(PAGES)?;
    id.try_into().ok().map(PageId::from_bytes)
}

/// The erasure of an entry's key.
pub(super) fn erasure_of(key: &[u8]) -> Option<ErasureId> {
    let id = key.strip_prefix(ERASURES)?;
    id.try_into().ok().map(ErasureId::from_bytes)
}

/// Where the names of an erasure stand, behind the sequence of its order.
pub(crate) fn erasure_names(erasure: &ErasureId) -> Vec<u8> {
    [ERASURE_NAMES, &erasure.as_bytes()[..]].concat()
}

/// The erasure whose names stand there.
pub(super) fn erasure_of_names(key: &[u8]) -> Option<ErasureId> {
    let id = key.strip_prefix(ERASURE_NAMES)?;
    id.try_into().ok().map(ErasureId::from_bytes)
}

/// Where the names of a legal hold stand.
pub(crate) fn hold_names(hold: &HoldId) -> Vec<u8> {
    [b"u", &hold.as_bytes()[..]].concat()
}

/// The beginning of the keys of all that was destroyed of a page.
pub(super) fn gone_of(page: &PageId) -> Vec<u8> {
    [b"g", &page.as_bytes()[..]].concat()
}

/// Where the keys of a page stand that were destroyed at this place in the log.
pub(crate) fn gone(page: &PageId, seq: Seq) -> Vec<u8> {
    [&gone_of(page)[..], &seq.0.to_be_bytes()].concat()
}

/// The place in the log of keys that were destroyed.
pub(super) fn gone_at(key: &[u8]) -> Option<Seq> {
    let (_, seq) = key.split_last_chunk::<8>()?;
    Some(Seq(u64::from_be_bytes(*seq)))
}

/// Where the names of a mount stand.
pub(crate) fn mount_names(mount: &MountId) -> Vec<u8> {
    [b"n", &mount.as_bytes()[..]].concat()
}

/// Where the names of a token stand.
pub(crate) fn token_names(token: &TokenId) -> Vec<u8> {
    [b"t", &token.as_bytes()[..]].concat()
}

/// Where the MAC of a token stands.
pub(crate) fn token_mac(token: &TokenId) -> Vec<u8> {
    [b"a", &token.as_bytes()[..]].concat()
}

/// The beginning of the keys of all that is in a token's cubbyhole.
pub(super) fn cubbyhole(token: &TokenId) -> Vec<u8> {
    [b"h", &token.as_bytes()[..]].concat()
}

/// Where something in a token's cubbyhole stands.
pub(crate) fn cubbyhole_payload(token: &TokenId, entry: &RecordId) -> Vec<u8> {
    [&cubbyhole(token)[..], entry.as_bytes(), b"p"].concat()
}

/// Where its path stands.
pub(crate) fn cubbyhole_names(token: &TokenId, entry: &RecordId) -> Vec<u8> {
    [&cubbyhole(token)[..], entry.as_bytes(), b"n"].concat()
}

/// Where the payload of a version stands that is not the current one.
pub(crate) fn payload(record: &RecordId, version: u32) -> Vec<u8> {
    [b"p", &record.as_bytes()[..], &version.to_be_bytes()].concat()
}

/// The beginning of the keys of all payloads of a record.
pub(super) fn payloads(record: &RecordId) -> Vec<u8> {
    [b"p", &record.as_bytes()[..]].concat()
}

/// Where it stands that the deletion of a version changed with this commit.
pub(crate) fn deletion(record: &RecordId, version: u32, seq: Seq) -> Vec<u8> {
    [&deletions(record, version)[..], &seq.0.to_be_bytes()].concat()
}

/// The beginning of the keys of all changes of the deletion of a version.
pub(crate) fn deletions(record: &RecordId, version: u32) -> Vec<u8> {
    [b"v", &record.as_bytes()[..], &version.to_be_bytes()].concat()
}

/// The sequence of the commit that changed the deletion of a version.
pub(super) fn deletion_of(key: &[u8]) -> Option<Seq> {
    let (_, seq) = key.split_last_chunk::<8>()?;
    Some(Seq(u64::from_be_bytes(*seq)))
}

/// Where a remembered command stands by its time.
pub(super) fn command_by_time(time: Millis, id: &CommandId) -> Vec<u8> {
    [COMMANDS_BY_TIME, &time.0.to_be_bytes(), id.as_bytes()].concat()
}

/// Time and id of a remembered command.
pub(super) fn command_by_time_of(key: &[u8]) -> Option<(Millis, CommandId)> {
    let (time, id) = key
        .strip_prefix(COMMANDS_BY_TIME)?
        .split_first_chunk::<8>()?;
    let id = id.try_into().ok().map(CommandId::from_bytes)?;
    Some((Millis(u64::from_be_bytes(*time)), id))
}

/// What a folder holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Child {
    Leaf,
    Folder,
}

/// The beginning of the keys of all that is in a folder.
pub(super) fn folder(id: &[u8; 16]) -> Vec<u8> {
    [b"l", &id[..]].concat()
}

/// Where a folder's child stands.
pub(super) fn child(folder_id: &[u8; 16], kind: Child, id: &[u8; 16]) -> Vec<u8> {
    let kind: &[u8] = match kind {
        Child::Leaf => b"-",
        Child::Folder => b"/",
    };
    [&folder(folder_id)[..], kind, id].concat()
}

/// Kind and id of a folder's child.
pub(super) fn child_of(key: &[u8]) -> Option<(Child, [u8; 16])> {
    let (_, rest) = key.split_at_checked(17)?;
    let (kind, id) = rest.split_first()?;
    let kind = match kind {
        b'-' => Child::Leaf,
        b'/' => Child::Folder,
        _ => return None,
    };
    Some((kind, id.try_into().ok()?))
}
