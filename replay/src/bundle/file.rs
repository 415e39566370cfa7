//! The bytes of a bundle.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use billfold_core::{
    cbor,
    id::{Seq, WalletId},
    proof::Note,
    subject::Generation,
};
use billfold_streams::log::Message;
use serde_bytes::{ByteArray, ByteBuf};
use sha2::{Digest, Sha256};

use crate::{Check, Error, Finding};

const MAGIC: &[u8] = b"billfold bundle\n";
const FORMAT: u16 = 1;
/// The largest item that is read, in bytes: no log takes a larger message.
const LARGEST: u32 = 72 << 20;
const HEAD: u8 = 0;
const MESSAGE: u8 = 1;
const END: u8 = 2;

/// What a bundle is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) wallet: WalletId,
    pub(super) generation: Generation,
}

/// What stands behind the head.
#[derive(Debug)]
pub(super) enum Item {
    Message(Message),
    End { notes: Vec<Note> },
}

type WireHead = (u8, u16, WalletId, u32);
type WireMessage = (u8, Seq, String, ByteBuf);
type WireEnd = (u8, Seq, Vec<String>, ByteArray<32>);

/// Writes a bundle.
pub(super) struct Writer<W: Write> {
    to: io::BufWriter<W>,
    hash: Sha256,
    head: Head,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(to: W, head: &Head) -> Result<Self, Error> {
        let mut writer = Self {
            to: io::BufWriter::with_capacity(1 << 20, to),
            hash: Sha256::new(),
            head: *head,
        };
        writer.put(MAGIC)?;
        let wire: WireHead = (HEAD, FORMAT, head.wallet, head.generation.0);
        writer.item(&cbor::encode(&wire))?;
        Ok(writer)
    }

    pub(super) const fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn message(&mut self, message: &Message) -> Result<(), Error> {
        let wire: WireMessage = (
            MESSAGE,
            message.seq,
            message.subject.to_string(),
            ByteBuf::from(message.bytes.to_vec()),
        );
        self.item(&cbor::encode(&wire))
    }

    pub(super) fn end(mut self, last: Seq, notes: &[Note]) -> Result<WalletId, Error> {
        let hash = self.hash.clone().finalize().into();
        let notes = notes.iter().map(ToString::to_string).collect();
        let wire: WireEnd = (END, last, notes, ByteArray::new(hash));
        self.item(&cbor::encode(&wire))?;
        self.to.flush()?;
        Ok(self.head.wallet)
    }

    fn item(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(bytes.len()).ok();
        let length = length.filter(|length| *length <= LARGEST);
        let too_large = || Error::Machine("a message is too large for a bundle".to_owned());
        self.put(&length.ok_or_else(too_large)?.to_be_bytes())?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hash.update(bytes);
        Ok(self.to.write_all(bytes)?)
    }
}

/// Reads a bundle, item by item.
pub(super) struct Reader<R> {
    from: R,
    hash: Sha256,
    at: u64,
    last: Seq,
}

fn damaged(last: Seq, what: &str) -> Error {
    let what = format!("the bundle is damaged or cut short: {what}");
    Finding::new(Check::Sequence, last.next(), what).into()
}

impl<R: Read> Reader<R> {
    /// Reads the head of a bundle in this file.
    pub(super) fn begin(from: R, file: &Path) -> Result<(Self, Head), Error> {
        let mut reader = Self {
            from,
            hash: Sha256::new(),
            at: 0,
            last: Seq::ZERO,
        };
        let (mut magic, begins) = (Vec::new(), MAGIC.len() as u64);
        let read = reader.from.by_ref().take(begins).read_to_end(&mut magic);
        read.map_err(|error| Error::unread("the bundle", file, &error))?;
        if !MAGIC.starts_with(&magic) {
            return Err(Error::unfit("the bundle", file, &"the file is no bundle"));
        }
        if magic.len() < MAGIC.len() {
            return Err(damaged(Seq::ZERO, "it has no head"));
        }
        reader.take(&magic);
        let bytes = reader.item()?;
        let wrong = |_| damaged(Seq::ZERO, "it has no head");
        let (kind, format): (u8, u16) = head_of(&bytes).map_err(wrong)?;
        if kind != HEAD {
            return Err(damaged(Seq::ZERO, "it has no head"));
        }
        if format != FORMAT {
            let what = format!("the bundle has format {format}, which this release does not know");
            return Err(Error::Usage(what));
        }
        let (_, _, wallet, generation): WireHead = cbor::decode(&bytes).map_err(wrong)?;
        let head = Head {
            wallet,
            generation: Generation(generation),
        };
        Ok((reader, head))
    }

    /// Where the next item begins, in bytes.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Reads the next item.
    pub(super) fn next(&mut self) -> Result<Item, Error> {
        let before: [u8; 32] = self.hash.clone().finalize().into();
        let bytes = self.item()?;
        let item = read_item(&bytes).ok_or_else(|| damaged(self.last, "an item is none"))?;
        match item {
            Found::Message(message) if message.seq == self.last.next() => {
                self.last = message.seq;
                Ok(Item::Message(message))
            }
            Found::Message(message) => {
                let what = format!(
                    "it is missing: sequence {} follows {}",
                    message.seq, self.last
                );
                Err(Finding::new(Check::Sequence, self.last.next(), what).into())
            }
            Found::End { last, notes, hash } => {
                let mut behind = [0; 1];
                let nothing_behind = matches!(self.from.read(&mut behind), Ok(0));
                if last != self.last || hash != before || !nothing_behind {
                    return Err(damaged(
                        self.last,
                        "its end is not that of what is before it",
                    ));
                }
                Ok(Item::End { notes })
            }
        }
    }

    fn item(&mut self) -> Result<Vec<u8>, Error> {
        let (length, bytes) = frame(&mut self.from).map_err(|what| damaged(self.last, what))?;
        self.take(&length);
        self.take(&bytes);
        Ok(bytes)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
    }
}

/// Reads the message that begins here, of a bundle that was read to its end before.
pub(super) fn message(from: &mut impl Read, expected: Seq) -> Result<Message, Error> {
    let before = Seq(expected.0.saturating_sub(1));
    let (_, bytes) = frame(from).map_err(|what| damaged(before, what))?;
    match read_item(&bytes) {
        Some(Found::Message(message)) if message.seq == expected => Ok(message),
        _ => Err(damaged(before, "it is another one than before")),
    }
}

/// A length and the bytes that it stands before.
fn frame(from: &mut impl Read) -> Result<([u8; 4], Vec<u8>), &'static str> {
    let mut stated = [0; 4];
    from.read_exact(&mut stated).map_err(|_| "it has no end")?;
    let length = u32::from_be_bytes(stated);
    if length > LARGEST {
        return Err("an item is too large");
    }
    // What is not there is not made room for.
    let mut bytes = Vec::new();
    match from.take(u64::from(length)).read_to_end(&mut bytes) {
        Ok(read) if read as u64 == u64::from(length) => Ok((stated, bytes)),
        _ => Err("an item ends early"),
    }
}

/// The two numbers that a head begins with.
fn head_of(bytes: &[u8]) -> Result<(u8, u16), cbor::Malformed> {
    let inside = bytes.get(1..).ok_or(cbor::Malformed)?;
    let (kind, rest) = cbor::decode_first(inside)?;
    let (format, _) = cbor::decode_first(rest)?;
    Ok((kind, format))
}

enum Found {
    Message(Message),
    End {
        last: Seq,
        notes: Vec<Note>,
        hash: [u8; 32],
    },
}

fn read_item(bytes: &[u8]) -> Option<Found> {
    let kind: u8 = cbor::decode_first(bytes.get(1..)?).ok()?.0;
    match kind {
        MESSAGE => {
            let (_, seq, subject, message): WireMessage = cbor::decode(bytes).ok()?;
            Some(Found::Message(Message {
                seq,
                subject: subject.parse().ok()?,
                bytes: message.into_vec().into(),
            }))
        }
        END => {
            let (_, last, notes, hash): WireEnd = cbor::decode(bytes).ok()?;
            let notes = notes.iter().map(|note| Note::parse(note.as_bytes()).ok());
            Some(Found::End {
                last,
                notes: notes.collect::<Option<_>>()?,
                hash: hash.into_array(),
            })
        }
        _ => None,
    }
}
