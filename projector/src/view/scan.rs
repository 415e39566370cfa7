//! All of the view's records and pages, one at a time: for whoever counts or checks them.

use std::ops::Bound;

use billfold_core::{
    id::{PageId, RecordId, TokenId},
    state::{Key, PageUse, Token, Value},
};

use super::{Error, StoredRecord, View, damaged, layout};

impl View {
    /// Every record with the ciphertexts beside it, in no order that says anything.
    pub fn records(&self) -> impl Iterator<Item = Result<(RecordId, StoredRecord), Error>> + '_ {
        self.tree.scan_prefix(layout::RECORDS).map(|item| {
            let (key, bytes) = item?;
            let id = layout::record_of(&key).ok_or_else(|| damaged("a record"))?;
            let stored = StoredRecord::decode(&bytes, |sealed| self.sealing.unseal(&key, sealed))?;
            Ok((id, stored))
        })
    }

    /// So many records behind this one, or from the beginning, with the ciphertexts beside them.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn records_after(
        &self,
        after: Option<RecordId>,
        count: usize,
    ) -> Result<Vec<(RecordId, StoredRecord)>, Error> {
        let from = match after {
            None => Bound::Included(layout::RECORDS.to_vec()),
            Some(id) => Bound::Excluded(layout::entry(&Key::Record(id))),
        };
        let found = self.tree.range::<Vec<u8>, _>((from, Bound::Unbounded));
        let mut records = Vec::new();
        for item in found.take(count) {
            let (key, bytes) = item?;
            let Some(id) = layout::record_of(&key) else {
                break;
            };
            let stored = StoredRecord::decode(&bytes, |sealed| self.sealing.unseal(&key, sealed))?;
            records.push((id, stored));
        }
        Ok(records)
    }

    /// Every token, standing or not.
    pub fn tokens(&self) -> impl Iterator<Item = Result<(TokenId, Token), Error>> + '_ {
        self.tree.scan_prefix(layout::TOKENS).map(|item| {
            let (key, sealed) = item?;
            let id = layout::token_of(&key).ok_or_else(|| damaged("a token"))?;
            let plain = self.sealing.unseal(&key, &sealed)?;
            match Value::decode(&Key::Token(id), &plain) {
                Ok(Value::Token(token)) => Ok((id, *token)),
                _ => Err(damaged("a token")),
            }
        })
    }

    /// Every page of the key store that the fold knows of, and how it is used.
    pub fn pages(&self) -> impl Iterator<Item = Result<(PageId, PageUse), Error>> + '_ {
        self.tree.scan_prefix(layout::PAGES).map(|item| {
            let (key, sealed) = item?;
            let id = layout::page_of(&key).ok_or_else(|| damaged("a page entry"))?;
            let plain = self.sealing.unseal(&key, &sealed)?;
            match Value::decode(&Key::Page(id), &plain) {
                Ok(Value::Page(page)) => Ok((id, page)),
                _ => Err(damaged("a page entry")),
            }
        })
    }

    /// The pages that still have something to be swept: keys given up and not yet confirmed.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn pages_with_dying_keys(&self) -> Result<Vec<PageId>, Error> {
        let mut pages = Vec::new();
        for item in self.tree.scan_prefix(layout::PAGES) {
            let (key, sealed) = item?;
            let Some(id) = layout::page_of(&key) else {
                continue;
            };
            let plain = self.sealing.unseal(&key, &sealed)?;
            match Value::decode(&Key::Page(id), &plain) {
                Ok(Value::Page(PageUse { dying, .. })) if dying.is_empty() => {}
                Ok(_) => pages.push(id),
                Err(_) => return Err(damaged("a page entry")),
            }
        }
        Ok(pages)
    }
}
