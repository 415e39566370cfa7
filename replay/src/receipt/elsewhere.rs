//! Which other commits tell the paths of what a commit is about: a request says no path of what there
//! was, only its id.

use std::collections::BTreeMap;

use billfold_core::{
    cbor,
    commit::Entry,
    event::Event,
    id::{MountId, RecordId, Seq},
    names::{RequestNames, request_names_place},
};
use billfold_projector::chain::{Opened, open};
use serde::Serialize;

use super::Wanted;
use crate::{
    Error, Source,
    source::EVERYTHING,
    tail::Bounded,
    uses::{Owner, used},
    walk::Reader,
};

/// What an event is about whose path it does not tell, and where that can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Elsewhere {
    /// The secret.
    pub record: RecordId,
    /// The commit whose receipt shows its path below its mount; none if no receipt shows it any more.
    pub path: Option<Seq>,
    /// The one whose receipt shows the path of the mount.
    pub mount: Option<Seq>,
}

/// The secrets that the events of a commit are about and whose paths a receipt of them does not show, up
/// to the last sequence that is to be looked at.
///
/// # Errors
/// When the log is broken before it, or cannot be reached.
pub async fn elsewhere(
    source: &Source,
    seq: Seq,
    wanted: &Wanted,
    end: Seq,
) -> Result<Vec<Elsewhere>, Error> {
    let before = Seq(seq.0.saturating_sub(1));
    let mut tail = Bounded::read(&source.log, EVERYTHING, before, source.patience).await?;
    let commit = open(&source.custody, &tail.next().await?)?;
    let is_shown = |index: &usize| wanted.events.is_empty() || wanted.events.contains(index);
    let shown = commit.entries.iter().enumerate();
    let shown = shown.filter(|(index, _)| is_shown(index));
    let asked: BTreeMap<_, _> = shown
        .filter_map(|(_, entry)| untold(source, &commit, entry))
        .collect();
    let (mut paths, mut mounts) = (BTreeMap::new(), BTreeMap::new());
    // An auditor has names by a table, and no key that opens one of them alone.
    if !asked.is_empty() && source.granted.is_none() {
        let mut reader = Reader::start(source).await?;
        let mut last = Seq::ZERO;
        while last < end {
            let opened = reader.next().await??;
            last = opened.seq;
            for used in opened.entries.iter().flat_map(used) {
                let is_asked = match used.owner {
                    Owner::Names(record, Some(_)) => asked.contains_key(&record),
                    Owner::Mount(mount) => asked.values().any(|asked| *asked == Some(mount)),
                    _ => false,
                };
                // What the key store has no key for is shown by nobody any more.
                if !is_asked || source.custody.dek(used.key).await?.is_none() {
                    continue;
                }
                match used.owner {
                    Owner::Names(record, _) => drop(paths.insert(record, last)),
                    Owner::Mount(mount) => drop(mounts.insert(mount, last)),
                    _ => {}
                }
            }
        }
    }
    let told = asked.into_iter().map(|(record, mount)| Elsewhere {
        record,
        path: paths.get(&record).copied(),
        mount: mount.and_then(|mount| mounts.get(&mount).copied()),
    });
    Ok(told.collect())
}

/// The secret that a request was about, and its mount, if the request's own names tell no path.
fn untold(source: &Source, opened: &Opened, entry: &Entry) -> Option<(RecordId, Option<MountId>)> {
    let Event::ResolutionRequested(asked) = &entry.fact.event else {
        return None;
    };
    let (record, sealed) = (asked.record?, entry.names.as_ref()?);
    let keys = source.custody.keys();
    let names: RequestNames = opened.header.fact_keys.iter().find_map(|id| {
        let place = request_names_place(source.custody.wallet(), *id, asked.request);
        let plain = keys.epoch(id)?.request_names.open(&place, sealed).ok()?;
        cbor::decode(plain.expose()).ok()
    })?;
    names.path.is_none().then_some((record, asked.mount))
}
