//! Receipts: one commit of the log, shown to somebody who has no key of the wallet.
//!
//! A receipt is a [`TlogProof`]. Beside the proof it holds the message and, for each event that it
//! shows, what opens that one ciphertext. Everything in it is checked: the message is the leaf, the
//! header is what every fact is bound to, a fact names the hash of its names.

use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::{
    checkpoint::Checkpoint,
    key::VerifierKey,
    leaf::Leaves,
    note::Note,
    tlog_proof::{self, TlogProof},
    tree::Hash,
};
use crate::{
    cbor::{self, as_array},
    commit::{self, Entry, Header, Sealed},
    event::Event,
    id::{FactKeyId, Seq, WalletId},
    keys::Content,
    labels::{self, Label},
    names::{
        CubbyholeNames, ErasureNames, HoldNames, MountNames, Names, RequestNames, TokenNames,
        cubbyhole_place, erasure_names_place, hold_names_place, mount_names_place, names_place,
        request_names_place, token_names_place,
    },
    seal::{CiphertextKey, Place},
    secret::SecretBytes,
    subject::Subject,
};

const FORMAT: u16 = 1;

/// What opens the ciphertexts of one event.
#[derive(Debug)]
pub struct Disclosed {
    /// Which event of the commit, counted from 0.
    pub event: usize,
    /// What opens its fact.
    pub fact: CiphertextKey,
    /// What opens its names, where they are shown. Those of a MetadataChanged are not: it does not
    /// say which version they are sealed for.
    pub names: Option<CiphertextKey>,
}

/// A commit that is proven to be in the log, and what opens some of it.
#[derive(Debug)]
pub struct Receipt {
    /// Where it is.
    pub seq: Seq,
    /// What it was appended under.
    pub subject: Subject,
    /// Its bytes.
    pub message: bytes::Bytes,
    /// What is shown of it.
    pub disclosed: Vec<Disclosed>,
    /// The inclusion proof, from the leaf up.
    pub path: Vec<Hash>,
    /// The checkpoint that it leads to.
    pub checkpoint: Note,
}

/// What a receipt shows.
#[derive(Debug)]
pub struct Shown {
    /// The checkpoint that vouches for it.
    pub checkpoint: Checkpoint,
    /// What stands before the events.
    pub header: Header,
    /// How many events the commit holds.
    pub events: usize,
    /// Those that are shown.
    pub entries: Vec<ShownEvent>,
}

/// One event that is shown.
#[derive(Debug)]
pub struct ShownEvent {
    /// Which event of the commit, counted from 0.
    pub index: usize,
    /// What happened, with its ciphertexts.
    pub entry: Entry,
    /// Its names, where they are shown.
    pub names: Option<ShownNames>,
}

/// Names that are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShownNames {
    /// Of a record.
    Record(Names),
    /// Of a mount.
    Mount(MountNames),
    /// Of a token.
    Token(TokenNames),
    /// Of something in a cubbyhole.
    Cubbyhole(CubbyholeNames),
    /// Of a request.
    Request(RequestNames),
    /// Of an erasure.
    Erasure(ErasureNames),
    /// Of a legal hold.
    Hold(HoldNames),
}

/// Why a receipt shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The proof's fault.
    #[error(transparent)]
    Proof(#[from] tlog_proof::Error),
    /// Not a receipt.
    #[error("it is a proof, but no receipt of a commit")]
    Malformed,
    /// From a later release.
    #[error("the receipt has format {0}, which this release does not know")]
    Format(u16),
    /// The checkpoint is of something else than a wallet's log.
    #[error("its checkpoint is not of a wallet's log")]
    Origin,
    /// The message is not what a node of the wallet writes at this place.
    #[error("the commit that it shows belongs to another place")]
    Misplaced,
    /// The commit's fault, or that of what is to open it.
    #[error("the commit that it shows cannot be read: {0}")]
    Commit(#[from] commit::Error),
    /// The names do not open with what is to open them, or say nothing.
    #[error("the names of event {0} do not open with what the receipt has for them")]
    Names(usize),
}

/// What stands behind the format.
struct Wire {
    seq: Seq,
    subject: String,
    message: ByteBuf,
    disclosed: Vec<WireDisclosed>,
}

as_array!(Wire {
    seq,
    subject,
    message,
    disclosed
});

struct WireDisclosed {
    event: u64,
    fact: ByteBuf,
    names: Option<ByteBuf>,
}

as_array!(WireDisclosed { event, fact, names });

impl Receipt {
    /// It as a proof: its text is what is handed over.
    #[must_use]
    pub fn to_proof(&self) -> TlogProof {
        let bytes = |key: &CiphertextKey| ByteBuf::from(key.danger_expose().as_slice());
        let disclosed = self.disclosed.iter().map(|disclosed| WireDisclosed {
            event: disclosed.event as u64,
            fact: bytes(&disclosed.fact),
            names: disclosed.names.as_ref().map(bytes),
        });
        let wire = Wire {
            seq: self.seq,
            subject: self.subject.to_string(),
            message: ByteBuf::from(self.message.to_vec()),
            disclosed: disclosed.collect(),
        };
        let mut extra = cbor::encode(&FORMAT);
        extra.extend(cbor::encode(&wire));
        TlogProof {
            extra: Some(extra),
            index: self.seq.0.saturating_sub(1),
            path: self.path.clone(),
            checkpoint: self.checkpoint.clone(),
        }
    }

    /// Reads one. Nothing of it is proven yet.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let proof = TlogProof::parse(bytes)?;
        let extra = proof.extra.ok_or(Error::Malformed)?;
        let (format, rest) = cbor::decode_first(&extra).map_err(|_| Error::Malformed)?;
        if format != FORMAT {
            return Err(Error::Format(format));
        }
        let wire: Wire = cbor::decode(rest).map_err(|_| Error::Malformed)?;
        if wire.seq.0.checked_sub(1) != Some(proof.index) {
            return Err(Error::Misplaced);
        }
        let disclosed = wire.disclosed.into_iter().map(Disclosed::try_from);
        Ok(Self {
            seq: wire.seq,
            subject: wire.subject.parse().map_err(|_| Error::Malformed)?,
            message: wire.message.into_vec().into(),
            disclosed: disclosed.collect::<Result<_, _>>()?,
            path: proof.path,
            checkpoint: proof.checkpoint,
        })
    }

    /// What it shows, once all of it is shown to be so: the key signed the checkpoint, the message is
    /// in its tree at this place, and what is disclosed opens there.
    ///
    /// # Errors
    /// When anything is not so.
    pub fn verified(&self, key: &VerifierKey) -> Result<Shown, Error> {
        let origin = Checkpoint::parse(self.checkpoint.text()).map_err(tlog_proof::Error::from)?;
        let (wallet, generation) = origin.origin.log().ok_or(Error::Origin)?;
        let leaf = Leaves::of(wallet, generation).hash(self.seq, &self.subject, &self.message);
        let checkpoint = self.to_proof().verified(leaf, key)?;
        let sealed = Sealed::parse(&self.message)?;
        let header = &sealed.header;
        let here = header.wallet == wallet
            && header.subject == self.subject
            && self.subject.generation() == generation;
        if !here {
            return Err(Error::Misplaced);
        }
        let disclosed = self.disclosed.iter();
        let entries = disclosed.map(|disclosed| disclosed.open(&sealed, wallet));
        let entries = entries.collect::<Result<_, _>>()?;
        Ok(Shown {
            checkpoint,
            events: sealed.len(),
            entries,
            header: sealed.header,
        })
    }
}

impl TryFrom<WireDisclosed> for Disclosed {
    type Error = Error;

    fn try_from(wire: WireDisclosed) -> Result<Self, Error> {
        let key = |bytes: ByteBuf| {
            let bytes = Zeroizing::new(bytes.into_vec());
            let bytes = bytes.as_slice().try_into().map_err(|_| Error::Malformed)?;
            Ok::<_, Error>(CiphertextKey::danger_from_bytes(bytes))
        };
        Ok(Self {
            event: usize::try_from(wire.event).map_err(|_| Error::Malformed)?,
            fact: key(wire.fact)?,
            names: wire.names.map(key).transpose()?,
        })
    }
}

impl Disclosed {
    fn open(&self, sealed: &Sealed, wallet: WalletId) -> Result<ShownEvent, Error> {
        let (entry, epoch) = sealed.open_disclosed(self.event, &self.fact)?;
        let refused = || Error::Names(self.event);
        let names = match &self.names {
            None => None,
            Some(key) => {
                let named = Named::by(&entry.fact.event, wallet, epoch);
                let named = named.ok_or_else(refused)?;
                let bytes = entry.names.as_ref().ok_or_else(refused)?;
                let opened = key.open(named.label, &named.place, bytes);
                let opened = opened.map_err(|_| refused())?;
                Some(named.kind.read(&opened).ok_or_else(refused)?)
            }
        };
        Ok(ShownEvent {
            index: self.event,
            entry,
            names,
        })
    }
}

/// Where the names beside an event are sealed, and what they are of.
struct Named {
    label: Label,
    place: Place,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Record,
    Mount,
    Token,
    Cubbyhole,
    Request,
    Erasure,
    Hold,
}

impl Named {
    /// By the event, which was recorded in this epoch.
    fn by(event: &Event, wallet: WalletId, epoch: FactKeyId) -> Option<Self> {
        let named = |place, kind| Self {
            label: labels::NAMES,
            place,
            kind,
        };
        Some(match event {
            Event::ResolutionRequested(asked) => Self {
                label: labels::REQUEST_NAMES,
                place: request_names_place(wallet, epoch, asked.request),
                kind: Kind::Request,
            },
            Event::CredentialWritten(event) => {
                let place = names_place(wallet, event.record, event.version);
                named(place, Kind::Record)
            }
            Event::NamesResealed(event) => {
                let place = names_place(wallet, event.record, event.version);
                named(place, Kind::Record)
            }
            Event::MountEnabled(event) => {
                named(mount_names_place(wallet, event.mount), Kind::Mount)
            }
            Event::MountRenamed(event) => {
                named(mount_names_place(wallet, event.mount), Kind::Mount)
            }
            Event::TokenCreated(event) => {
                named(token_names_place(wallet, event.token), Kind::Token)
            }
            Event::CubbyholeWritten(event) => {
                let place = cubbyhole_place(wallet, event.token, event.entry, Content::Names);
                named(place, Kind::Cubbyhole)
            }
            Event::ErasureOrdered(event) => {
                let place = erasure_names_place(wallet, event.erasure);
                named(place, Kind::Erasure)
            }
            Event::HoldPlaced(event) => named(hold_names_place(wallet, event.hold), Kind::Hold),
            _ => return None,
        })
    }
}

impl Kind {
    fn read(self, bytes: &SecretBytes) -> Option<ShownNames> {
        let bytes = bytes.expose();
        let read = match self {
            Self::Record => ShownNames::Record(cbor::decode(bytes).ok()?),
            Self::Mount => ShownNames::Mount(cbor::decode(bytes).ok()?),
            Self::Token => ShownNames::Token(cbor::decode(bytes).ok()?),
            Self::Cubbyhole => ShownNames::Cubbyhole(cbor::decode(bytes).ok()?),
            Self::Request => ShownNames::Request(cbor::decode(bytes).ok()?),
            Self::Erasure => ShownNames::Erasure(cbor::decode(bytes).ok()?),
            Self::Hold => ShownNames::Hold(cbor::decode(bytes).ok()?),
        };
        Some(read)
    }
}

#[cfg(test)]
mod tests;
