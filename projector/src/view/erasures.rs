//! What the view has of erasures and legal holds: receipts, and where in the log keys were destroyed.

use billfold_core::{
    cbor,
    id::{ErasureId, HoldId, PageId, Seq},
    keys::{keyring::KekVersion, page::Slots},
    state::{Erasure, Key, Value},
};
use bytes::Bytes;

use super::{Error, View, damaged, layout};

/// The end of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destroyed {
    /// Where in the log the last of them was confirmed to be destroyed.
    pub seq: Seq,
    /// The newest KEK version by then.
    pub kek: KekVersion,
}

/// The newest KEK version, and the keys of a page that were destroyed when it was that.
pub(crate) type Gone = (KekVersion, Slots);

impl View {
    /// Every erasure that was ordered, in no order that says anything.
    pub fn erasures(&self) -> impl Iterator<Item = Result<(ErasureId, Erasure), Error>> + '_ {
        self.tree.scan_prefix(layout::ERASURES).map(|item| {
            let (key, sealed) = item?;
            let id = layout::erasure_of(&key).ok_or_else(|| damaged("an erasure"))?;
            let plain = self.sealing.unseal(&key, &sealed)?;
            match Value::decode(&Key::Erasure(id), &plain) {
                Ok(Value::Erasure(erasure)) => Ok((id, *erasure)),
                _ => Err(damaged("an erasure")),
            }
        })
    }

    /// Where in the log each erasure was ordered: what it took is not read for that.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn orders(&self) -> impl Iterator<Item = Result<(Seq, ErasureId), Error>> + '_ {
        self.tree.scan_prefix(layout::ERASURE_NAMES).map(|item| {
            let (key, value) = item?;
            let id = layout::erasure_of_names(&key).ok_or_else(|| damaged("an erasure"))?;
            let seq = value.first_chunk().ok_or_else(|| damaged("an erasure"))?;
            Ok((Seq(u64::from_be_bytes(*seq)), id))
        })
    }

    /// Where in the log an erasure was ordered, and its sealed names.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn erasure_order(&self, id: &ErasureId) -> Result<Option<(Seq, Bytes)>, Error> {
        let Some(bytes) = self.tree.get(layout::erasure_names(id))? else {
            return Ok(None);
        };
        let (seq, names) = bytes
            .split_first_chunk::<8>()
            .ok_or_else(|| damaged("an erasure"))?;
        let seq = Seq(u64::from_be_bytes(*seq));
        Ok(Some((seq, Bytes::copy_from_slice(names))))
    }

    /// The sealed names of a legal hold.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn hold_names(&self, id: &HoldId) -> Result<Option<Bytes>, Error> {
        self.bytes_at(&layout::hold_names(id))
    }

    /// How these keys came to their end; none when one of them did not yet.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn destroyed(&self, keys: &[(PageId, Slots)]) -> Result<Option<Destroyed>, Error> {
        let mut last: Option<Destroyed> = None;
        for (page, slots) in keys {
            let mut left = slots.len();
            for item in self.tree.scan_prefix(layout::gone_of(page)) {
                let (key, value) = item?;
                let seq = layout::gone_at(&key).ok_or_else(|| damaged("a destroyed key"))?;
                let (kek, gone): Gone =
                    cbor::decode(&value).map_err(|_| damaged("a destroyed key"))?;
                let these = slots.iter().filter(|slot| gone.has(*slot)).count();
                if these > 0 {
                    left = left.saturating_sub(these);
                    let before = last.unwrap_or(Destroyed { seq, kek });
                    last = Some(Destroyed {
                        seq: before.seq.max(seq),
                        kek: before.kek.max(kek),
                    });
                }
            }
            if left > 0 {
                return Ok(None);
            }
        }
        Ok(last)
    }
}
