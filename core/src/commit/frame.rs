//! The frame of a commit: CBOR in its shortest form, read without copying.

use bytes::Bytes;
use serde::de::DeserializeOwned;

const ARRAY: u8 = 4;
const TEXT: u8 = 3;
const BYTES: u8 = 2;
const UNSIGNED: u8 = 0;
const NULL: u8 = 0xf6;

/// The parts of one event, still closed.
#[derive(Debug, Clone)]
pub(super) struct RawEvent {
    pub(super) key: usize,
    pub(super) fact: Bytes,
    pub(super) names: Option<Bytes>,
    pub(super) payload: Option<Bytes>,
}

pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(header: &[u8], events: usize) -> Self {
        let mut writer = Self(Vec::with_capacity(1024));
        writer.head(ARRAY, 2);
        writer.bytes(header);
        writer.head(ARRAY, events as u64);
        writer
    }

    pub(super) fn event(
        &mut self,
        key: u64,
        fact: &[u8],
        names: Option<&[u8]>,
        payload: Option<&[u8]>,
    ) {
        self.head(ARRAY, 4);
        self.head(UNSIGNED, key);
        self.bytes(fact);
        for part in [names, payload] {
            match part {
                Some(part) => self.bytes(part),
                None => self.0.push(NULL),
            }
        }
    }

    pub(super) fn statement(&mut self, number: u64, note: &str) {
        self.head(ARRAY, 2);
        self.head(UNSIGNED, number);
        self.head(TEXT, note.len() as u64);
        self.0.extend_from_slice(note.as_bytes());
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.into()
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let [.., e, f, g, h] = value.to_be_bytes();
        match value {
            0..24 => self.0.push(major | h),
            24..0x100 => self.0.extend_from_slice(&[major | 24, h]),
            0x100..0x1_0000 => self.0.extend_from_slice(&[major | 25, g, h]),
            0x1_0000..0x1_0000_0000 => self.0.extend_from_slice(&[major | 26, e, f, g, h]),
            _ => {
                self.0.push(major | 27);
                self.0.extend_from_slice(&value.to_be_bytes());
            }
        }
    }
}

/// Header bytes of a commit, and where its body begins.
pub(super) fn header(bytes: &Bytes) -> Option<(Bytes, usize)> {
    let mut reader = Reader { bytes, at: 0 };
    (reader.head(ARRAY)? == 2).then_some(())?;
    let header = reader.bytes()?;
    Some((header, reader.at))
}

/// Numbers and notes of the statements from `at` on; `None` as for [`events`].
pub(super) fn statements(bytes: &Bytes, at: usize) -> Option<Vec<(u64, String)>> {
    let mut reader = Reader { bytes, at };
    let count = usize::try_from(reader.head(ARRAY)?).ok()?;
    // A statement takes at least three bytes: a count beyond that is a lie.
    (count > 0 && count <= bytes.len() / 3).then_some(())?;
    let mut statements = Vec::with_capacity(count);
    for _ in 0..count {
        (reader.head(ARRAY)? == 2).then_some(())?;
        let number = reader.head(UNSIGNED)?;
        let length = usize::try_from(reader.head(TEXT)?).ok()?;
        let note = reader.take(length)?.to_vec();
        statements.push((number, String::from_utf8(note).ok()?));
    }
    (reader.at == bytes.len()).then_some(statements)
}

/// The events from `at` on; `None` when the bytes are anything else, longer, shorter or in another
/// form than [`Writer`] gives.
pub(super) fn events(bytes: &Bytes, at: usize) -> Option<Vec<RawEvent>> {
    let mut reader = Reader { bytes, at };
    let count = usize::try_from(reader.head(ARRAY)?).ok()?;
    // An event takes at least five bytes: a count beyond that is a lie, and no reason to allocate.
    (count > 0 && count <= bytes.len() / 5).then_some(())?;
    let mut events = Vec::with_capacity(count);
    for _ in 0..count {
        (reader.head(ARRAY)? == 4).then_some(())?;
        events.push(RawEvent {
            key: usize::try_from(reader.head(UNSIGNED)?).ok()?,
            fact: reader.bytes()?,
            names: reader.optional_bytes()?,
            payload: reader.optional_bytes()?,
        });
    }
    (reader.at == bytes.len()).then_some(events)
}

/// The first element of the array in these bytes: every header begins with its format.
pub(super) fn format_of(header: &[u8]) -> Option<u16> {
    let (_, rest) = header.split_first()?;
    first(rest)
}

fn first<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    crate::cbor::decode_first(bytes)
        .ok()
        .map(|(value, _)| value)
}

struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn head(&mut self, major: u8) -> Option<u64> {
        let initial = *self.take(1)?.first()?;
        (initial >> 5 == major).then_some(())?;
        let (value, least) = match initial & 0x1f {
            small @ 0..24 => (u64::from(small), 0),
            24 => (self.number(1)?, 24),
            25 => (self.number(2)?, 0x100),
            26 => (self.number(4)?, 0x1_0000),
            27 => (self.number(8)?, 0x1_0000_0000),
            _ => return None,
        };
        (value >= least).then_some(value)
    }

    fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        Some(
            bytes
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.head(BYTES)?).ok()?;
        let start = self.at;
        self.take(length)?;
        Some(self.bytes.slice(start..self.at))
    }

    fn optional_bytes(&mut self) -> Option<Option<Bytes>> {
        if self.bytes.get(self.at) == Some(&NULL) {
            self.at += 1;
            return Some(None);
        }
        self.bytes().map(Some)
    }
}
