//! After a compromise: what is under keys that may be known to others is sealed anew, and what is to
//! be changed at its source is told.

use std::time::Duration;

use billfold_core::{
    command::{Action, Reseal, ResealContent},
    id::RecordId,
    keys::page::KeyRef,
    state::{Compromise, Key, Source as _, Value, Version},
};
use billfold_projector::view::StoredRecord;

use super::{At, Caller, Error, Wallet};

/// How many records are looked at before what is found is ordered.
const AT_ONCE: usize = 256;
/// How many key pages that is about, at the most usual.
const PAGES: u32 = 2;
/// How many bytes of secrets one order holds about.
const WEIGHT: usize = 256 << 10;

/// A secret that is to be changed at its source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Exposed {
    /// The path of its mount.
    pub mount: String,
    /// Its path there; none if that is erased or damaged.
    pub path: Option<String>,
    /// The version that was current when the compromise was told of, and still is.
    pub version: u32,
}

impl Wallet {
    /// Seals anew what is under keys that may be known to others: payloads that can be read, and
    /// names. Says whether everything was looked at and nothing had to be done.
    ///
    /// # Errors
    /// When the view, the key store or the log cannot be used.
    pub async fn reseal(&self) -> Result<bool, Error> {
        let Some(compromise) = self.compromise()? else {
            return Ok(true);
        };
        let (mut after, mut done) = (None, true);
        loop {
            let records = self.keychain.view().records_after(after, AT_ONCE)?;
            let Some((last, _)) = records.last() else {
                return Ok(done);
            };
            after = Some(*last);
            let (mut reseals, mut weight) = (Vec::new(), 0);
            for (id, stored) in &records {
                for reseal in self.exposed_contents(*id, stored, compromise).await? {
                    weight += match &reseal.content {
                        ResealContent::Payload(_, payload) => payload.len(),
                        ResealContent::Names(_) => 0,
                    };
                    reseals.push(reseal);
                    if weight >= WEIGHT {
                        self.order_itself(Action::Reseal(std::mem::take(&mut reseals)))
                            .await?;
                        (weight, done) = (0, false);
                    }
                }
            }
            if !reseals.is_empty() {
                self.order_itself(Action::Reseal(reseals)).await?;
                done = false;
            }
            if let Some(pace) = self.rewrap_pace.filter(|_| !done) {
                tokio::time::sleep(Duration::from_secs(1) * PAGES / pace.get()).await;
            }
        }
    }

    /// The secrets that were written before a compromise was told of and not since, after the
    /// request for them is recorded: up to `limit` of those behind `after`, and where the next ones
    /// begin.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or the view cannot be read.
    pub async fn exposed(
        &self,
        caller: &Caller,
        path: &str,
        mut after: Option<RecordId>,
        limit: usize,
    ) -> Result<At<(Vec<Exposed>, Option<RecordId>)>, Error> {
        let found = self.keys_in_log(caller, path).await?;
        let seq = found.seq;
        let Some(compromise) = found.value.compromised else {
            return Ok(At {
                seq,
                value: (Vec::new(), None),
            });
        };
        let mounts = self.all_mounts().await?;
        let mut exposed = Vec::new();
        loop {
            let records = self.keychain.view().records_after(after, AT_ONCE)?;
            if records.is_empty() {
                return Ok(At {
                    seq,
                    value: (exposed, None),
                });
            }
            for (id, stored) in records {
                after = Some(id);
                let current = stored
                    .record
                    .version(0)
                    .filter(|version| !version.destroyed && version.created <= compromise.time);
                let Some(current) = current else {
                    continue;
                };
                let mount = mounts.iter().find(|mount| mount.id == stored.record.mount);
                let names = match self.names_of(id, &stored).await {
                    Err(Error::Damaged(_)) => None,
                    other => other?,
                };
                exposed.push(Exposed {
                    mount: mount.map(|mount| mount.path.clone()).unwrap_or_default(),
                    path: names.map(|names| names.path),
                    version: current.number,
                });
                if exposed.len() == limit {
                    return Ok(At {
                        seq,
                        value: (exposed, after),
                    });
                }
            }
        }
    }

    fn compromise(&self) -> Result<Option<Compromise>, Error> {
        let wallet = self.keychain.view().wallet()?;
        Ok(wallet.and_then(|wallet| wallet.compromised))
    }

    /// What of a record is under keys that may be known to others.
    async fn exposed_contents(
        &self,
        id: RecordId,
        stored: &StoredRecord,
        compromise: Compromise,
    ) -> Result<Vec<Reseal>, Error> {
        let record = &stored.record;
        let mut reseals = Vec::new();
        if self.is_exposed(record.names.key, compromise)?
            && let Some(names) = unless_damaged(self.names_of(id, stored).await)?.flatten()
        {
            reseals.push(Reseal {
                record: id,
                key: record.names.key,
                content: ResealContent::Names(names),
            });
        }
        for version in record.versions.iter().filter(|version| !version.destroyed) {
            if self.is_exposed(version.key, compromise)?
                && let Some(content) = self.exposed_payload(id, stored, version).await?
            {
                reseals.push(Reseal {
                    record: id,
                    key: version.key,
                    content,
                });
            }
        }
        Ok(reseals)
    }

    async fn exposed_payload(
        &self,
        id: RecordId,
        stored: &StoredRecord,
        version: &Version,
    ) -> Result<Option<ResealContent>, Error> {
        let Some(sealed) = self.keychain.view().payload(&id, stored, version.number)? else {
            return Ok(None);
        };
        match self.open_payload(id, version, &sealed).await {
            Ok(payload) => Ok(Some(ResealContent::Payload(version.number, payload))),
            // It was destroyed or sealed anew a moment ago.
            Err(Error::Erased) => Ok(None),
            other => unless_damaged(other)
                .map(|payload| Some(ResealContent::Payload(version.number, payload?))),
        }
    }

    /// Whether a key was made under a KEK version that may be known to others.
    fn is_exposed(&self, key: KeyRef, compromise: Compromise) -> Result<bool, Error> {
        let page = match self.keychain.view().get(&Key::Page(key.page))? {
            Some(Value::Page(page)) => page,
            _ => return Ok(false),
        };
        Ok(page.first_kek <= compromise.version)
    }
}

/// What a damaged page holds cannot be sealed anew, and must not keep the rest from it.
fn unless_damaged<T>(opened: Result<T, Error>) -> Result<Option<T>, Error> {
    match opened {
        Err(Error::Damaged(why)) => {
            tracing::error!(
                why,
                "a secret cannot be sealed anew: run `billfold-replay verify`"
            );
            Ok(None)
        }
        other => other.map(Some),
    }
}
