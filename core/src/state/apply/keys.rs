//! The fold of the wallet's own keys: KEK versions, unseal generations, and pages of DEKs.

use std::sync::Arc;

use crate::{
    event::v1,
    id::{FactKeyId, PageId, Seq},
    keys::{
        keyring::{self, KekVersion},
        page::{KeyRef, Slots},
    },
    state::{
        At, Compromise, Epoch, Key, PageUse, Source, State, Value, Wallet, WalletGeneration,
        WalletKek,
        apply::{Applied, Broken, Error},
    },
};

impl<S: Source> State<S> {
    pub(super) fn wallet_created(
        &mut self,
        at: At,
        event: &v1::WalletCreated,
    ) -> Applied<S::Error> {
        if self.wallet().map_err(Error::Source)?.is_some() {
            return Err(Broken("the wallet exists").into());
        }
        let wallet = Wallet {
            id: event.wallet,
            created: at.time,
            root: event.root,
            root_token: event.root_token,
            root_token_mac: event.root_token_mac,
            keks: Vec::new(),
            generations: Vec::new(),
            complete: 0,
            rotation: v1::RotationPolicy::default(),
            compromised: None,
            epoch: None,
        };
        self.put(Key::Wallet, Value::Wallet(Arc::new(wallet)));
        Ok(())
    }

    pub(super) fn kek_created(&mut self, at: At, event: &v1::KekCreated) -> Applied<S::Error> {
        let mut shared = self.require_wallet()?;
        let wallet = Arc::make_mut(&mut shared);
        let newest = wallet.keks.last().map_or(0, |kek| kek.version);
        if newest.checked_add(1) != Some(event.version) {
            return Err(Broken("a KEK version is not the next one").into());
        }
        wallet.keks.push(WalletKek {
            version: event.version,
            generation: event.generation,
            fact_key: event.fact_key,
            created: at.time,
            used: 0,
            live: 0,
            dying: 0,
            erased: 0,
            pages: 0,
            retired: None,
            destroyed: None,
        });
        if event.compromised {
            wallet.compromised = Some(Compromise {
                version: newest,
                time: at.time,
            });
        }
        match wallet.generations.last() {
            None => wallet.generations.push(WalletGeneration {
                number: event.generation,
                manager: event.manager.clone(),
                created: at.time,
                opened_by: 0,
                above: 0,
            }),
            // It may have been made before the generation above it was replaced.
            Some(last) if event.generation <= last.number => {}
            Some(_) => return Err(Broken("a KEK version is of a generation to come").into()),
        }
        let mac = wallet.root_token_mac.key;
        self.put(Key::Wallet, Value::Wallet(shared));
        self.begin_epoch(at, event.fact_key)?;
        // The wallet's first key was drawn before there was a version to count it under.
        if event.version == keyring::FIRST {
            self.use_key(mac)?;
        }
        Ok(())
    }

    /// Ends the current epoch, if there is one, and begins another.
    pub(super) fn begin_epoch(&mut self, at: At, id: FactKeyId) -> Applied<S::Error> {
        let mut wallet = self.require_wallet()?;
        if self.epoch(&id).map_err(Error::Source)?.is_some() {
            return Err(Broken("an epoch began twice").into());
        }
        let mut number = 1;
        if let Some(current) = wallet.epoch {
            let epoch = self.epoch(&current).map_err(Error::Source)?;
            let mut epoch = epoch.ok_or(Broken("the current epoch never began"))?;
            epoch.ended = Some(at.time);
            number = epoch
                .number
                .checked_add(1)
                .ok_or(Broken("the epochs cannot be counted"))?;
            self.put(Key::Epoch(current), Value::Epoch(epoch));
        }
        let epoch = Epoch {
            number,
            seq: Seq::ZERO,
            began: at.time,
            ended: None,
        };
        self.put(Key::Epoch(id), Value::Epoch(epoch));
        Arc::make_mut(&mut wallet).epoch = Some(id);
        self.put(Key::Wallet, Value::Wallet(wallet));
        Ok(())
    }

    pub(super) fn page_closed(&mut self, event: &v1::KeyPageClosed) -> Applied<S::Error> {
        let mut page = self.page(&event.page).map_err(Error::Source)?;
        page.closed = true;
        self.put(Key::Page(event.page), Value::Page(page));
        Ok(())
    }

    pub(super) fn keys_destroyed(&mut self, event: &v1::KeysDestroyed) -> Applied<S::Error> {
        for key in &event.keys {
            let before = self.page(&key.page).map_err(Error::Source)?;
            if !before.dying.has(key.slot) {
                return Err(Broken("a key was destroyed that nothing gave up").into());
            }
            let mut page = before;
            page.dying.remove(key.slot);
            page.gone.insert(key.slot);
            self.put_page(key.page, before, page)?;
        }
        Ok(())
    }

    pub(super) fn keys_rewrapped(&mut self, event: &v1::KeysRewrapped) -> Applied<S::Error> {
        if self.current_kek()? != event.version {
            return Err(Broken("keys are wrapped under a KEK version that is not current").into());
        }
        for id in &event.pages {
            let before = self.page(id).map_err(Error::Source)?;
            if !before.closed || !before.counts() || before.kek >= event.version {
                return Err(Broken("a page is rewrapped that did not need it").into());
            }
            let page = PageUse {
                kek: event.version,
                ..before
            };
            self.put_page(*id, before, page)?;
        }
        Ok(())
    }

    pub(super) fn generation_replaced(
        &mut self,
        at: At,
        event: &v1::GenerationReplaced,
    ) -> Applied<S::Error> {
        let mut shared = self.require_wallet()?;
        let wallet = Arc::make_mut(&mut shared);
        let last = wallet.generations.last().map_or(0, |last| last.number);
        if last.checked_add(1) != Some(event.generation) {
            return Err(Broken("an unseal generation is not the next one").into());
        }
        let mut newest_first = wallet.keks.iter().rev();
        let destroyed = newest_first.find(|kek| kek.destroyed.is_some());
        let destroyed = destroyed.map_or(0, |kek| kek.version);
        // An old copy of the keyring opens with what opens this generation and older ones as well, and
        // with a KEK version that is there still and opens its generation.
        let mut older = wallet.generations.iter();
        let opens = older.any(|older| older.above < destroyed && older.opened_by > destroyed);
        if event.severs && !opens {
            wallet.complete = destroyed;
        }
        wallet.generations.push(WalletGeneration {
            number: event.generation,
            manager: event.manager.clone(),
            created: at.time,
            opened_by: wallet.keks.last().map_or(0, |kek| kek.version),
            above: destroyed,
        });
        self.put(Key::Wallet, Value::Wallet(shared));
        Ok(())
    }

    pub(super) fn keks_retired(&mut self, at: At, event: &v1::KeksRetired) -> Applied<S::Error> {
        let mut wallet = self.require_wallet()?;
        if wallet
            .keks
            .last()
            .is_none_or(|kek| kek.version <= event.version)
        {
            return Err(Broken("the current KEK version is retired").into());
        }
        let older = Arc::make_mut(&mut wallet).keks.iter_mut();
        for kek in older.filter(|kek| kek.version <= event.version) {
            if kek.live + kek.dying > 0 {
                return Err(Broken("a KEK version is retired that keys are under").into());
            }
            kek.retired = kek.retired.or(Some(at.time));
        }
        self.put(Key::Wallet, Value::Wallet(wallet));
        Ok(())
    }

    pub(super) fn keks_destroyed(
        &mut self,
        at: At,
        event: &v1::KeksDestroyed,
    ) -> Applied<S::Error> {
        let mut wallet = self.require_wallet()?;
        let older = Arc::make_mut(&mut wallet).keks.iter_mut();
        for kek in older.filter(|kek| kek.version <= event.version) {
            if kek.retired.is_none() {
                return Err(Broken("a KEK version was destroyed that is not retired").into());
            }
            kek.destroyed = kek.destroyed.or(Some(at.time));
        }
        self.put(Key::Wallet, Value::Wallet(wallet));
        Ok(())
    }

    pub(super) fn use_key(&mut self, key: KeyRef) -> Applied<S::Error> {
        let before = self.page(&key.page).map_err(Error::Source)?;
        let used =
            before.live.has(key.slot) || before.dying.has(key.slot) || before.gone.has(key.slot);
        if before.closed || used {
            return Err(Broken("a key is used twice, or out of a closed page").into());
        }
        let current = self.current_kek()?;
        let mut page = before;
        if page.kek == 0 {
            page.kek = current;
            page.first_kek = current;
        }
        if page.kek != current {
            return Err(Broken("a key is under a KEK version that is not current").into());
        }
        page.live.insert(key.slot);
        self.put_page(key.page, before, page)
    }

    pub(super) fn give_up(&mut self, key: KeyRef) -> Applied<S::Error> {
        let before = self.page(&key.page).map_err(Error::Source)?;
        if !before.live.has(key.slot) {
            return Err(Broken("a key is given up that is not live").into());
        }
        let mut page = before;
        page.live.remove(key.slot);
        page.dying.insert(key.slot);
        self.put_page(key.page, before, page)
    }

    /// Puts a page, and counts its keys under its KEK version.
    fn put_page(&mut self, id: PageId, before: PageUse, page: PageUse) -> Applied<S::Error> {
        let mut wallet = self.require_wallet()?;
        let keks = &mut Arc::make_mut(&mut wallet).keks;
        recount(keks, &before, &page).ok_or(Broken("the keys of a KEK version do not add up"))?;
        self.put(Key::Wallet, Value::Wallet(wallet));
        self.put(Key::Page(id), Value::Page(page));
        Ok(())
    }

    fn current_kek(&self) -> Result<KekVersion, Error<S::Error>> {
        let current = self.require_wallet()?.keks.last().map(|kek| kek.version);
        current.ok_or_else(|| Broken("a key is used before there is a KEK version").into())
    }

    pub(super) fn require_wallet(&self) -> Result<Arc<Wallet>, Error<S::Error>> {
        let wallet = self.wallet().map_err(Error::Source)?;
        wallet.ok_or_else(|| Broken("there is no wallet").into())
    }
}

/// Takes a page out of the counts as it was, and into them as it is; none when they cannot be so.
fn recount(keks: &mut [WalletKek], before: &PageUse, page: &PageUse) -> Option<()> {
    let count = |slots: &Slots| u64::try_from(slots.len()).ok();
    if before.kek > 0 {
        let kek = keks.iter_mut().find(|kek| kek.version == before.kek)?;
        kek.live = kek.live.checked_sub(count(&before.live)?)?;
        kek.dying = kek.dying.checked_sub(count(&before.dying)?)?;
        kek.pages = kek.pages.checked_sub(u64::from(before.counts()))?;
    }
    let kek = keks.iter_mut().find(|kek| kek.version == page.kek)?;
    kek.live = kek.live.checked_add(count(&page.live)?)?;
    kek.dying = kek.dying.checked_add(count(&page.dying)?)?;
    kek.pages = kek.pages.checked_add(u64::from(page.counts()))?;
    // A rewrap takes no key into use.
    if [0, page.kek].contains(&before.kek) {
        let used = page.live.len().saturating_sub(before.live.len());
        kek.used = kek.used.checked_add(u64::try_from(used).ok()?)?;
    }
    // A rewrap may have written a key under the newest version before the log knew of it: no version
    // before that one tells when every copy is gone.
    let erased = page.gone.len().checked_sub(before.gone.len())?;
    let newest = keks.last_mut()?;
    newest.erased = newest.erased.checked_add(u64::try_from(erased).ok()?)?;
    Some(())
}
