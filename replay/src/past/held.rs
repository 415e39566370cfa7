//! Legal holds and erasures, as they were.

use billfold_core::{
    cbor,
    id::Seq,
    keys::{Content, page::KeyRef},
    names::{ErasureNames, HoldNames, erasure_names_place, hold_names_place},
    seal::Place,
    state::{Fate, Wallet},
    told::By,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Row, keychain::name, mounts};
use crate::{Error, Walk, log::Name};

/// A hold, with the fields of `wallet/holds`.
#[derive(Serialize)]
struct Hold {
    id: String,
    mount: String,
    /// The path with the mount; `null` when it is erased.
    path: Name,
    /// `null` when it is erased.
    reason: Name,
    placed_at: String,
    by: By,
}

/// The legal holds.
pub(super) async fn holds(walk: &Walk) -> Result<Vec<Row>, Error> {
    let (mounts, mut rows) = (mounts::open(walk).await?, Vec::new());
    let wallet = walk.custody().wallet();
    for (id, hold) in walk.state().holds()?.iter() {
        let sealed = walk.view().hold_names(id)?;
        let place = hold_names_place(wallet, *id);
        let names: Option<HoldNames> = open(walk, hold.names.key, &place, sealed).await?;
        let (below, reason) = names.map(|names| (names.path, names.reason)).unzip();
        let mount = mounts.get(&hold.mount).and_then(|open| open.path.clone());
        let path = mount.zip(below).map(|(mount, below)| mount + &below);
        let id = id.to_string();
        let told = Hold {
            id: id.clone(),
            mount: hold.mount.to_string(),
            path: name(path.clone()),
            reason: name(reason),
            placed_at: hold.placed.to_string(),
            by: hold.actor.into(),
        };
        rows.push(Row::new(&id, path.unwrap_or(id.clone()), &told)?);
    }
    Ok(rows)
}

/// An erasure, with the fields of `wallet/erasures`.
#[derive(Serialize)]
struct Erasure {
    id: String,
    state: &'static str,
    mount: String,
    records: Vec<Gone>,
    keys: usize,
    /// `null` when it is erased.
    reason: Name,
    ordered_at: String,
    by: By,
    sequence: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome_sequence: Option<Seq>,
}

#[derive(Serialize)]
struct Gone {
    record: String,
    whole: bool,
    versions: Vec<u32>,
}

/// The erasures that were ordered, the oldest first.
pub(super) async fn erasures(walk: &Walk, wallet: &Wallet) -> Result<Vec<Row>, Error> {
    let mut all = Vec::new();
    for erasure in walk.view().erasures() {
        all.push(erasure?);
    }
    let mut rows = Vec::new();
    for (id, erasure) in all {
        let Some((order, sealed)) = walk.view().erasure_order(&id)? else {
            continue;
        };
        let place = erasure_names_place(wallet.id, id);
        let names: Option<ErasureNames> =
            open(walk, erasure.names.key, &place, Some(sealed)).await?;
        let destroyed = walk.view().destroyed(&erasure.keys)?;
        let records = erasure.records.iter().map(|gone| Gone {
            record: gone.record.to_string(),
            whole: gone.whole,
            versions: gone.versions.clone(),
        });
        let told = Erasure {
            id: id.to_string(),
            state: Fate::of(destroyed.map(|end| end.kek), wallet).name(),
            mount: erasure.mount.to_string(),
            records: records.collect(),
            keys: erasure.keys.iter().map(|(_, slots)| slots.len()).sum(),
            reason: name(names.map(|names| names.reason)),
            ordered_at: erasure.ordered.to_string(),
            by: erasure.actor.into(),
            sequence: order,
            outcome_sequence: destroyed.map(|end| end.seq),
        };
        rows.push((order, Row::new(id.to_string(), id.to_string(), &told)?));
    }
    rows.sort_by(|(order, a), (other, b)| (order, &a.id).cmp(&(other, &b.id)));
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

async fn open<T: DeserializeOwned>(
    walk: &Walk,
    key: KeyRef,
    place: &Place,
    sealed: Option<bytes::Bytes>,
) -> Result<Option<T>, Error> {
    let Some((dek, sealed)) = walk.custody().dek(key).await?.zip(sealed) else {
        return Ok(None);
    };
    let plain = dek.open(Content::Names, place, &sealed).ok();
    Ok(plain.and_then(|plain| cbor::decode(plain.expose()).ok()))
}
