//! Telling what an auditor's key opens where it does not open all: the facts, and no outcome.

use billfold_core::{
    cbor,
    commit::{self, Entry},
    event::Event,
    id::Seq,
    names::{RequestNames, request_names_place},
};
use billfold_projector::chain::{Broken, Fault, Opened};

use super::{Line, Name, Query};
use crate::{Error, Source, auditor::Granted, walk::Reader};

/// Tells the facts from the first closed sequence on.
pub(super) async fn tell(
    source: &Source,
    granted: &Granted,
    query: &Query,
    each: &mut (dyn FnMut(&Line) -> Result<(), Error> + Send),
) -> Result<(), Error> {
    let Some(from) = granted.first_closed() else {
        return Ok(());
    };
    let end = source.head().await?;
    let mut reader = Reader::start(source).await?;
    let mut last = Seq::ZERO;
    while last < end {
        let opened = match reader.next().await? {
            Ok(opened) => opened,
            Err(Broken {
                seq,
                fault: Fault::Commit(commit::Error::NoFactKey(_)),
                ..
            }) => {
                last = seq;
                continue;
            }
            Err(broken) => return Err(broken.into()),
        };
        last = opened.seq;
        if last < from || !query.has(last, opened.header.time) {
            continue;
        }
        for (index, entry) in opened.entries.iter().enumerate() {
            let mut line = Line::new(&opened, index, entry);
            name(source, granted, &opened, entry, &mut line);
            if query.filter.passes_untold(&line) {
                each(&match query.names {
                    true => line,
                    false => line.without_names(),
                })?;
            }
        }
    }
    Ok(())
}

fn name(source: &Source, granted: &Granted, opened: &Opened, entry: &Entry, line: &mut Line) {
    let open = |name: Option<&String>| name.map(|name| Name::Open(name.clone()));
    let of_record = |record| match granted.record(record) {
        Some((mount, path)) => (Some(*mount), Name::Open(path.clone())),
        None => (None, Name::Erased),
    };
    let (mount, path) = line.record.map(of_record).unzip();
    line.path = path;
    let mount = line.mount.or(mount.flatten());
    line.mount_path = mount.and_then(|mount| open(granted.only_path(mount)));
    line.token_name = line.token.and_then(|token| granted.token(token).cloned());
    if let Event::ResolutionRequested(asked) = &entry.fact.event
        && let Some(names) = open_request(source, opened, entry, asked.request)
    {
        line.client = Some(names.client);
        line.execution = names.execution;
        line.path = names.path.map(Name::Open).or(line.path.take());
    }
}

fn open_request(
    source: &Source,
    opened: &Opened,
    entry: &Entry,
    request: billfold_core::id::RequestId,
) -> Option<RequestNames> {
    let keys = source.custody.keys();
    let sealed = entry.names.as_ref()?;
    opened.header.fact_keys.iter().find_map(|id| {
        let place = request_names_place(source.custody.wallet(), *id, request);
        let plain = keys.epoch(id)?.request_names.open(&place, sealed).ok()?;
        cbor::decode(plain.expose()).ok()
    })
}
