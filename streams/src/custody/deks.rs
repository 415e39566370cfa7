//! DEKs, and the pages of the key store that hold them.

use std::sync::{Arc, atomic::Ordering};

use billfold_core::{
    Millis,
    entropy::Entropy as _,
    id::PageId,
    keys::{
        Dek, keyring,
        page::{KeyRef, Page},
    },
};
use bytes::Bytes;

use super::{Custody, Error};
use crate::{
    entropy::Os,
    keys::{Revision, Slot, Stored},
};

impl Custody {
    /// A DEK; none when it was destroyed.
    ///
    /// # Errors
    /// When the key store cannot be reached, or the page does not open.
    pub async fn dek(&self, key: KeyRef) -> Result<Option<Dek>, Error> {
        if let Some(dek) = self.dek_at_hand(key) {
            return Ok(Some(dek));
        }
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        let Some((page, _)) = self.fetch(key.page).await? else {
            return Ok(None);
        };
        let dek = page.key(key.slot);
        if dek.is_some() {
            self.pages.insert(key.page, page);
            // What was read may be from before a key in it was destroyed.
            if self.forgotten.load(Ordering::SeqCst) != forgotten {
                self.pages.forget(&key.page);
            }
        }
        Ok(dek)
    }

    /// A DEK of a page that is open already.
    #[must_use]
    pub fn dek_at_hand(&self, key: KeyRef) -> Option<Dek> {
        self.pages
            .get(&key.page)
            .and_then(|page| page.key(key.slot))
    }

    /// Forgets an open page: something in it is no longer to be opened.
    pub fn forget(&self, page: &PageId) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.pages.forget(page);
    }

    /// Reads a page from the key store, with the revision that it has there.
    ///
    /// # Errors
    /// When the key store cannot be reached, or the page does not open.
    pub async fn fetch(&self, id: PageId) -> Result<Option<(Arc<Page>, Revision)>, Error> {
        let Some(stored) = self.store.read(Slot::Page(id)).await? else {
            return Ok(None);
        };
        let page = match self.unwrap(id, &stored) {
            // Another node may have wrapped it under a version that this one did not meet yet.
            Err(keyring::Error::NoKek(_)) => {
                self.reload().await?;
                self.unwrap(id, &stored)?
            }
            other => other?,
        };
        Ok(Some((Arc::new(page), stored.revision)))
    }

    fn unwrap(&self, id: PageId, stored: &Stored) -> Result<Page, keyring::Error> {
        let open = self.open.load();
        Page::unwrap(self.wallet, id, &stored.bytes, |version| {
            open.keks.get(version)
        })
    }

    /// Makes and stores a page of fresh keys under the current KEK version.
    ///
    /// # Errors
    /// When the key store cannot be written.
    pub async fn make_page(&self, made: Millis) -> Result<Arc<Page>, Error> {
        loop {
            let (page, bytes) = {
                let mut entropy = Os::new();
                let open = self.open.load();
                let id = PageId::from_bytes(entropy.bytes());
                let page = Page::generate(id, self.process, made, open.current, &mut entropy);
                let bytes = page.wrap(self.wallet, open.kek(page.kek)?, &mut entropy);
                (Arc::new(page), bytes)
            };
            let slot = Slot::Page(page.id);
            self.store
                .write(slot, Revision::NONE, Bytes::from(bytes))
                .await?;
            if page.kek == self.current_kek() {
                self.pages.insert(page.id, Arc::clone(&page));
                return Ok(page);
            }
            // Whoever looks for pages under the version before may have passed by already.
            self.store.remove(slot).await?;
        }
    }

    /// Stores a page in place of its revision `expected`, under the KEK version that it names.
    ///
    /// # Errors
    /// When another node wrote it first, or the key store cannot be written.
    pub async fn replace_page(&self, page: &Page, expected: Revision) -> Result<Revision, Error> {
        let bytes = {
            let open = self.open.load();
            page.wrap(self.wallet, open.kek(page.kek)?, &mut Os::new())
        };
        Ok(self
            .store
            .write(Slot::Page(page.id), expected, Bytes::from(bytes))
            .await?)
    }
}
