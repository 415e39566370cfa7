//! Receipts of what was destroyed: how far it has come, and where in the log that stands.

use std::collections::BTreeSet;

use billfold_core::{
    Millis, cbor,
    event::{
        Actor, Event,
        v1::{ErasedRecord, Operation as Asked},
    },
    id::{ErasureId, MountId, PageId, RecordId, Seq},
    keys::{Content, page::Slots},
    names::{ErasureNames, erasure_names_place},
    policy::Operation,
    state::{Erasure, Fate, by_page},
};
use billfold_projector::{
    audit::{By, Order, Place, Query, Row, STEPS},
    keychain::Ask,
};

use super::{At, Caller, Error, Mount, Wallet, read::Question};
use billfold_core::access::Need;

/// How many events of a record are looked at for one page of receipts: reading it is one, too.
const LOOKED_AT: usize = 10_000;

/// What was destroyed, and how far that has come.
#[derive(Debug)]
pub struct Receipt {
    /// How it came to that: `erased` by order, `destroyed`, `removed`, or `trimmed`.
    pub what: &'static str,
    /// The order, if it was one.
    pub erasure: Option<ErasureId>,
    /// The mount, where the order tells it.
    pub mount: Option<MountId>,
    /// What went of which records.
    pub records: Vec<ErasedRecord>,
    /// How many keys went with it.
    pub keys: usize,
    /// Why, if anybody said so.
    pub reason: Option<String>,
    /// When the keys were given up.
    pub ordered: Millis,
    /// By whom.
    pub actor: Actor,
    /// The `decided` sequence of that.
    pub order: Seq,
    /// The `decided` sequence that confirms the last key to be destroyed.
    pub outcome: Option<Seq>,
    /// How far it has come.
    pub fate: Fate,
}

/// A page of receipts.
#[derive(Debug)]
pub struct Receipts {
    /// The receipts, in the order of the log.
    pub receipts: Vec<Receipt>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<Place>,
}

impl Wallet {
    /// The receipts of all erasures that were ordered, from behind a sequence on, after the request
    /// for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn erasures(
        &self,
        caller: &Caller,
        path: &str,
        after: Option<Place>,
        limit: usize,
    ) -> Result<At<Receipts>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let mut found = Vec::new();
        for item in self.keychain.view().orders() {
            let (order, id) = item?;
            if after.is_none_or(|after| order > after.seq) {
                found.push((order, id));
            }
        }
        found.sort_unstable();
        // A page ends with a whole commit: where the next one begins is told by its sequence.
        let mut receipts: Vec<Receipt> = Vec::new();
        let mut next = None;
        for (order, id) in found {
            let last = receipts.last().map(|receipt| receipt.order);
            if receipts.len() >= limit && last != Some(order) {
                next = last.map(|seq| Place { seq, number: 0 });
                break;
            }
            receipts.extend(self.receipt(id).await?);
        }
        Ok(looked.map(|_| Receipts { receipts, next }))
    }

    /// The receipt of an erasure, after the request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there is no such erasure.
    pub async fn erasure(
        &self,
        caller: &Caller,
        path: &str,
        id: ErasureId,
    ) -> Result<At<Receipt>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let receipt = self.receipt(id).await?.ok_or(Error::Absent)?;
        Ok(looked.map(|_| receipt))
    }

    /// The receipts of all that was destroyed of a secret, by whatever way, after the request for
    /// them is recorded. The secret may be gone.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn receipts_of(
        &self,
        caller: &Caller,
        api_path: &str,
        mount: &Mount,
        path: &str,
        after: Option<Place>,
        limit: usize,
    ) -> Result<At<Receipts>, Error> {
        let record = self.record(mount.id, path);
        let question = Question {
            operation: Asked::ReadSystem,
            mount: None,
            record: Some(record),
            version: None,
            path: Some(api_path),
            ask: Ask::Nothing,
            need: Need::to(Operation::Read, api_path),
        };
        let looked = self.look(caller, question).await?;
        self.index_at(looked.value).await?;
        let found = self
            .in_index(Query {
                by: vec![By::Record(record)],
                from: Millis(0),
                to: Millis(u64::MAX),
                order: Order::Oldest,
                after,
                limit: LOOKED_AT,
                steps: STEPS,
            })
            .await?;
        let mut next = found.next;
        let ordered = self.orders_of(record, &found.rows)?;
        let mut receipts = Vec::new();
        let mut seen = None;
        for row in found.rows {
            let place = row.place;
            if let Some(receipt) = self.receipt_of(record, row, &ordered)? {
                if receipts.len() >= limit {
                    next = seen;
                    break;
                }
                receipts.push(receipt);
            }
            seen = Some(place);
        }
        Ok(looked.map(|_| Receipts { receipts, next }))
    }

    /// The receipt of an erasure as this node knows it.
    pub(super) async fn receipt(&self, id: ErasureId) -> Result<Option<Receipt>, Error> {
        let Some(erasure) = self.state().erasure(&id)? else {
            return Ok(None);
        };
        let Some((order, sealed)) = self.keychain.view().erasure_order(&id)? else {
            return Ok(None);
        };
        let custody = self.keychain.custody();
        let place = erasure_names_place(custody.wallet(), id);
        let dek = custody.dek(erasure.names.key).await?;
        let names: Option<ErasureNames> = dek
            .and_then(|dek| dek.open(Content::Names, &place, &sealed).ok())
            .and_then(|plain| cbor::decode(plain.expose()).ok());
        let (fate, outcome) = self.progress(&erasure.keys)?;
        let Erasure {
            ordered,
            actor,
            mount,
            records,
            keys,
            ..
        } = erasure;
        Ok(Some(Receipt {
            what: "erased",
            erasure: Some(id),
            mount: Some(mount),
            records,
            keys: keys.iter().map(|(_, slots)| slots.len()).sum(),
            reason: names.map(|names| names.reason),
            ordered,
            actor,
            order,
            outcome,
            fate,
        }))
    }

    /// The receipt of an event that gave keys of a record up.
    fn receipt_of(
        &self,
        record: RecordId,
        row: Row,
        ordered: &[(Seq, ErasureId, ErasedRecord)],
    ) -> Result<Option<Receipt>, Error> {
        let numbers = |retired: &[billfold_core::event::v1::Retired]| {
            let (versions, keys) = retired.iter().map(|r| (r.version, r.key)).unzip();
            (false, versions, keys)
        };
        let (what, (whole, mut versions, keys)): (_, (_, Vec<u32>, Vec<_>)) = match &row.fact.event
        {
            Event::VersionsDestroyed(event) => ("destroyed", numbers(&event.versions)),
            Event::CredentialWritten(event) => ("trimmed", numbers(&event.trimmed)),
            Event::MetadataChanged(event) => ("trimmed", numbers(&event.trimmed)),
            Event::MetadataDeleted(event) => ("removed", (true, Vec::new(), event.keys.clone())),
            _ => return Ok(None),
        };
        if keys.is_empty() {
            return Ok(None);
        }
        let is_this = |(order, _, erased): &&(Seq, ErasureId, ErasedRecord)| {
            *order == row.place.seq
                && erased.whole == whole
                && (whole || erased.versions == versions)
                && what != "trimmed"
        };
        let order = ordered.iter().find(is_this);
        if let Some((_, _, erased)) = order {
            versions.clone_from(&erased.versions);
        }
        let keys = by_page(keys);
        let (fate, outcome) = self.progress(&keys)?;
        Ok(Some(Receipt {
            what: order.map_or(what, |_| "erased"),
            erasure: order.map(|(_, id, _)| *id),
            mount: None,
            records: vec![ErasedRecord {
                record,
                whole,
                versions,
            }],
            keys: keys.iter().map(|(_, slots)| slots.len()).sum(),
            reason: None,
            ordered: row.time,
            actor: row.fact.actor,
            order: row.place.seq,
            outcome,
            fate,
        }))
    }

    /// The erasures in the commits of these events that took something of a record.
    fn orders_of(
        &self,
        record: RecordId,
        rows: &[Row],
    ) -> Result<Vec<(Seq, ErasureId, ErasedRecord)>, Error> {
        let commits: BTreeSet<Seq> = rows.iter().map(|row| row.place.seq).collect();
        let mut orders = Vec::new();
        for item in self.keychain.view().orders() {
            let (seq, id) = item?;
            if !commits.contains(&seq) {
                continue;
            }
            let records = self.state().erasure(&id)?.map(|erasure| erasure.records);
            let mut records = records.unwrap_or_default().into_iter();
            let taken = records.find(|taken| taken.record == record);
            orders.extend(taken.map(|taken| (seq, id, taken)));
        }
        Ok(orders)
    }

    /// How far the destruction of keys has come, and where its end stands.
    fn progress(&self, keys: &[(PageId, Slots)]) -> Result<(Fate, Option<Seq>), Error> {
        let destroyed = self.keychain.view().destroyed(keys)?;
        let wallet = self.state().wallet()?.ok_or(Error::Absent)?;
        let fate = Fate::of(destroyed.map(|end| end.kek), &wallet);
        Ok((fate, destroyed.map(|end| end.seq)))
    }
}
