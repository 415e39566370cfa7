//! The commit: one message of the log. `docs/wire-format.md` is its specification.
//!
//! ```text
//! commit  = [ header: bstr, events: [ + event ] / statements: [ + statement ] ]
//! header  = [ format, wallet, subject, previous hash, writer, time, [ + fact key id ] ]
//! event   = [ key index, fact: bstr, names: bstr / null, payload: bstr / null ]
//! statement = [ number, note: tstr ]
//! ```
//!
//! Commits on the subject `checkpoint` hold statements in the clear, and no other commit does.
//!
//! A fact's associated data is the header as received, the event's key index, its own index, and
//! whether it is the last: nothing can be moved, dropped or added. A fact holds the hashes of names
//! and payload.

mod frame;

use bytes::Bytes;
use serde_bytes::ByteArray;
use sha2::{Digest, Sha256};

use crate::{
    Millis,
    cbor::{self, as_array},
    entropy::Entropy,
    event::{self, CiphertextHash, Fact},
    id::{FactKeyId, ProcessId, WalletId},
    keys::wallet::Epoch,
    labels,
    proof::Statement,
    seal::{CiphertextKey, Place, Unopened},
    secret::SecretBytes,
    subject::Subject,
};

const FORMAT: u16 = 1;

/// The hash of a commit: the next one on its subject names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CommitHash([u8; 32]);

impl CommitHash {
    /// What the first commit of a subject names.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a commit's bytes.
    #[must_use]
    pub fn of(commit: &[u8]) -> Self {
        Self(labelled_hash(labels::COMMIT_HASH, commit))
    }

    /// The hash that was stored as these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for CommitHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What a commit says before its events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The wallet that it belongs to.
    pub wallet: WalletId,
    /// What it was appended under.
    pub subject: Subject,
    /// The hash of the commit before it on this subject.
    pub previous: CommitHash,
    /// The process that wrote it.
    pub writer: ProcessId,
    /// Its time: at least that of the commit before it.
    pub time: Millis,
    /// The fact keys that its events use.
    pub fact_keys: Vec<FactKeyId>,
}

struct WireHeader {
    format: u16,
    wallet: WalletId,
    subject: String,
    previous: ByteArray<32>,
    writer: ProcessId,
    time: Millis,
    fact_keys: Vec<FactKeyId>,
}

as_array!(WireHeader {
    format,
    wallet,
    subject,
    previous,
    writer,
    time,
    fact_keys
});

/// An event with its ciphertexts, ready to be put into a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub fact: Fact,
    /// The sealed names, if the event has any.
    pub names: Option<Bytes>,
    /// The sealed payload, if the event has one.
    pub payload: Option<Bytes>,
}

/// The hash of a ciphertext, as the fact holds it.
#[must_use]
pub fn ciphertext_hash(ciphertext: &[u8]) -> CiphertextHash {
    ByteArray::new(labelled_hash(labels::CIPHERTEXT_HASH, ciphertext))
}

fn labelled_hash(label: labels::Label, bytes: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update((label.as_bytes().len() as u64).to_be_bytes())
        .chain_update(label.as_bytes())
        .chain_update(bytes)
        .finalize()
        .into()
}

/// Makes a commit of these entries, all under one epoch's key: the first that the header names.
#[must_use]
pub fn encode(
    header: &Header,
    entries: &[Entry],
    epoch: &Epoch,
    entropy: &mut dyn Entropy,
) -> Bytes {
    const KEY: usize = 0;
    debug_assert_eq!(header.fact_keys.get(KEY), Some(&epoch.id));
    let header = encode_header(header);
    let mut writer = frame::Writer::new(&header, entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let place = fact_place(&header, KEY, index, index + 1 == entries.len());
        let fact = epoch.facts.seal(&place, &entry.fact.encode(), entropy);
        writer.event(
            KEY as u64,
            &fact,
            entry.names.as_deref(),
            entry.payload.as_deref(),
        );
    }
    writer.finish()
}

/// Makes a commit of these statements. Its header names no fact key.
#[must_use]
pub fn encode_statements(header: &Header, statements: &[Statement]) -> Bytes {
    debug_assert!(header.subject.is_checkpoint() && header.fact_keys.is_empty());
    let mut writer = frame::Writer::new(&encode_header(header), statements.len());
    for statement in statements {
        let (number, note) = statement.parts();
        writer.statement(number, note);
    }
    writer.finish()
}

fn encode_header(header: &Header) -> Vec<u8> {
    cbor::encode(&WireHeader {
        format: FORMAT,
        wallet: header.wallet,
        subject: header.subject.to_string(),
        previous: ByteArray::new(header.previous.0),
        writer: header.writer,
        time: header.time,
        fact_keys: header.fact_keys.clone(),
    })
}

/// An upper bound of what an entry takes in a commit, in bytes.
#[must_use]
pub fn size_of(entry: &Entry) -> usize {
    let ciphertexts =
        entry.names.as_ref().map_or(0, Bytes::len) + entry.payload.as_ref().map_or(0, Bytes::len);
    entry.fact.encode().len() + crate::seal::OVERHEAD + ciphertexts + EVENT_FRAME
}

/// The framing of one event: four heads of at most nine bytes, and one of the array.
const EVENT_FRAME: usize = 40;
/// An upper bound of a commit without its events: header and framing, in bytes.
pub const FRAME: usize = 512;

/// What stands in one event, closed.
#[derive(Debug, Clone, Copy)]
pub struct Ciphertexts<'a> {
    /// The fact.
    pub fact: &'a Bytes,
    /// The names, where it has any.
    pub names: Option<&'a Bytes>,
    /// The payload, where it has one.
    pub payload: Option<&'a Bytes>,
}

/// A commit whose frame was read; its facts are still closed.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// What stands before the events.
    pub header: Header,
    header_bytes: Bytes,
    events: Vec<frame::RawEvent>,
    statements: Vec<Statement>,
}

impl Sealed {
    /// Reads a commit's frame.
    ///
    /// # Errors
    /// When the bytes are not exactly one commit of a known format.
    pub fn parse(bytes: &Bytes) -> Result<Self, Error> {
        let (header_bytes, body) = frame::header(bytes).ok_or(Error::Malformed)?;
        let format = frame::format_of(&header_bytes).ok_or(Error::Malformed)?;
        if format != FORMAT {
            return Err(Error::Format(format));
        }
        let wire: WireHeader = cbor::decode(&header_bytes).map_err(|_| Error::Malformed)?;
        let header = Header {
            wallet: wire.wallet,
            subject: wire.subject.parse().map_err(|_| Error::Malformed)?,
            previous: CommitHash(wire.previous.into_array()),
            writer: wire.writer,
            time: wire.time,
            fact_keys: wire.fact_keys,
        };
        let (mut events, mut statements) = (Vec::new(), Vec::new());
        if header.subject.is_checkpoint() {
            if !header.fact_keys.is_empty() {
                return Err(Error::Malformed);
            }
            for (number, note) in frame::statements(bytes, body).ok_or(Error::Malformed)? {
                let statement = Statement::of(number, note);
                statements.push(statement.ok_or(Error::Statement(number))?);
            }
        } else {
            events = frame::events(bytes, body).ok_or(Error::Malformed)?;
        }
        Ok(Self {
            header,
            header_bytes,
            events,
            statements,
        })
    }

    /// How many events it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether it holds no event: so it is with all that hold statements, and with no other.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// What it states in the clear.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The fact, the names and the payload of each event, closed as they are.
    pub fn ciphertexts(&self) -> impl Iterator<Item = Ciphertexts<'_>> {
        self.events.iter().map(|event| Ciphertexts {
            fact: &event.fact,
            names: event.names.as_ref(),
            payload: event.payload.as_ref(),
        })
    }

    /// Opens the facts and checks the ciphertexts beside them against their hashes.
    ///
    /// # Errors
    /// At the first event that does not open, is of an unknown kind, or whose ciphertexts differ.
    pub fn open<'a>(
        &self,
        epoch: impl Fn(&FactKeyId) -> Option<&'a Epoch>,
    ) -> Result<Vec<Entry>, Error> {
        (0..self.events.len())
            .map(|index| {
                let (raw, key) = self.event(index)?;
                let epoch = epoch(&key).ok_or(Error::NoFactKey(key))?;
                self.entry(index, |place| epoch.facts.open(place, &raw.fact))
            })
            .collect()
    }

    /// What opens the fact of one event and nothing else.
    ///
    /// # Errors
    /// When there is no such event, or its epoch is another.
    pub fn disclose(&self, index: usize, epoch: &Epoch) -> Result<CiphertextKey, Error> {
        let (raw, key) = self.event(index)?;
        if key != epoch.id {
            return Err(Error::NoFactKey(key));
        }
        let disclosed = epoch.facts.disclose(&raw.fact);
        disclosed.map_err(|_| Error::Unopened { index })
    }

    /// Opens one event with what [`Sealed::disclose`] gave, and tells the epoch that it is of.
    ///
    /// # Errors
    /// As [`Sealed::open`].
    pub fn open_disclosed(
        &self,
        index: usize,
        key: &CiphertextKey,
    ) -> Result<(Entry, FactKeyId), Error> {
        let (raw, epoch) = self.event(index)?;
        let entry = self.entry(index, |place| key.open(labels::FACT, place, &raw.fact))?;
        Ok((entry, epoch))
    }

    fn event(&self, index: usize) -> Result<(&frame::RawEvent, FactKeyId), Error> {
        let raw = self.events.get(index).ok_or(Error::Malformed)?;
        let key = self.header.fact_keys.get(raw.key).ok_or(Error::Malformed)?;
        Ok((raw, *key))
    }

    fn entry(
        &self,
        index: usize,
        open: impl FnOnce(&Place) -> Result<SecretBytes, Unopened>,
    ) -> Result<Entry, Error> {
        let (raw, _) = self.event(index)?;
        let last = index + 1 == self.events.len();
        let plain = open(&fact_place(&self.header_bytes, raw.key, index, last))
            .map_err(|_| Error::Unopened { index })?;
        let fact = Fact::decode(plain.expose()).map_err(|error| Error::Event { index, error })?;
        check(fact.event.names(), raw.names.as_ref(), index)?;
        check(fact.event.payload(), raw.payload.as_ref(), index)?;
        Ok(Entry {
            fact,
            names: raw.names.clone(),
            payload: raw.payload.clone(),
        })
    }
}

fn check(stated: Option<CiphertextHash>, found: Option<&Bytes>, index: usize) -> Result<(), Error> {
    match (stated, found) {
        (None, None) => Ok(()),
        (Some(stated), Some(found)) if ciphertext_hash(found) == stated => Ok(()),
        _ => Err(Error::Ciphertext { index }),
    }
}

fn fact_place(header: &[u8], key: usize, index: usize, last: bool) -> Place {
    Place::new()
        .and(header)
        .and_number(key as u64)
        .and_number(index as u64)
        .and(&[u8::from(last)])
}

/// Why a commit is not what a node of this wallet wrote. All of it is the log's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a commit.
    #[error("the bytes are no commit")]
    Malformed,
    /// From a later release.
    #[error("the commit has format {0}, which this release does not know")]
    Format(u16),
    /// From a later release.
    #[error("the commit has a statement of number {0}, which this release does not know")]
    Statement(u64),
    /// Its epoch is not among the wallet's.
    #[error("the commit uses fact key {0}, which the wallet does not have")]
    NoFactKey(FactKeyId),
    /// Its header or this fact was changed, moved, or written by someone without the key.
    #[error("event {index} of the commit does not open")]
    Unopened {
        /// Which event, counted from 0.
        index: usize,
    },
    /// A fact that this release does not understand.
    #[error("event {index} of the commit is not understood: {error}")]
    Event {
        /// Which event, counted from 0.
        index: usize,
        /// Why.
        error: event::Error,
    },
    /// Names or payload are not those that the fact names.
    #[error("a ciphertext of event {index} of the commit is not the one that was committed")]
    Ciphertext {
        /// Which event, counted from 0.
        index: usize,
    },
}

#[cfg(test)]
mod tests;
