//! What each request was answered: a fold of the index's own, which stands at every request's place.

use std::{collections::HashMap, sync::Arc, time::Duration};

use billfold_core::{
    access::{self, Need, need_of},
    commit::Entry,
    event::{
        Actor, Event,
        v1::{Operation, ResolutionRequested},
    },
    id::{MountId, RecordId, Seq},
    judge::{Ruling, Verdict, judge, time_of},
    names::RequestNames,
    subject::{Generation, Subject},
};
use billfold_streams::{
    EventLog,
    custody::{self, Custody},
    log::{self, Filter},
};
use futures::StreamExt as _;

use super::{
    Error,
    index::{Added, Commit, Index, Told},
    query::open_request,
    terms::{Outcome, asked},
};
use crate::{
    View,
    chain::{Chains, Opened, Standing, open_all},
    fold::{self, Fold, NamesError, open_mount_names, open_names},
};

/// How many events are folded before they are written to the state on disk.
const GATHER: usize = 4096;
/// How many messages are taken at once while the state catches up with the index.
const CHUNK: usize = 512;
/// How long to wait before the key store is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// Judges requests, commit by commit, in the order of the log.
pub(super) struct Ruler {
    index: Arc<Index>,
    custody: Arc<Custody>,
    fold: Fold,
    /// The keychain as it is now: it tells paths whose names were replaced since.
    now: Arc<View>,
}

impl Ruler {
    /// Begins where the index is.
    pub(super) async fn start(
        index: Arc<Index>,
        custody: Arc<Custody>,
        now: Arc<View>,
        log: &dyn EventLog,
        generation: Generation,
    ) -> Result<Self, Error> {
        let fold = Fold::over(Arc::clone(&index.state), Arc::clone(&custody));
        let mut ruler = Self {
            index,
            custody,
            fold,
            now,
        };
        ruler.catch_up(log, generation).await?;
        Ok(ruler)
    }

    /// Folds what the index has read and the state on disk does not have yet.
    async fn catch_up(&mut self, log: &dyn EventLog, generation: Generation) -> Result<(), Error> {
        let subject = Subject::Decided(generation);
        let chains = self.index.chains()?;
        let mut heads = chains.heads();
        let end = heads.find_map(|(known, head)| (*known == subject).then_some(head.seq));
        let end = end.unwrap_or(Seq::ZERO);
        let epoch = self.index.state.wallet()?.and_then(|wallet| wallet.epoch);
        let mut chain = Chains::from_head(subject, self.fold.head()).with_epoch(epoch);
        if self.fold.head().seq >= end {
            return Ok(());
        }
        let tail = log.read(Filter::Decided(generation), self.fold.head().seq);
        let mut tail = tail.await?.ready_chunks(CHUNK);
        while let Some(messages) = tail.next().await {
            let messages = messages.into_iter().collect::<Result<Vec<_>, _>>()?;
            for opened in open_all(&self.custody, messages).await {
                let opened = opened?;
                chain.follow(&opened)?;
                self.fold(&opened).await?;
                if opened.seq >= end {
                    return Ok(());
                }
            }
            if self.is_due() {
                self.fold.write()?;
            }
        }
        Err(log::Error::Unavailable("its tail ended".to_owned()).into())
    }

    /// Takes in a commit: what it decided becomes part of the state, what it asked is judged by it.
    /// What came behind the end of its epoch is not judged: nobody answered it.
    pub(super) async fn enter(
        &mut self,
        mut opened: Opened,
        standing: Standing,
    ) -> Result<Commit, Error> {
        // No secret is needed to judge: the state on disk does without them.
        for entry in &mut opened.entries {
            entry.payload = None;
        }
        let events = match opened.header.subject.is_decided() {
            true => self.decided(&opened).await?,
            false => {
                let mut events = Vec::with_capacity(opened.entries.len());
                for entry in &opened.entries {
                    let mut event = match asked(&entry.fact) {
                        Some(asked) => self.asked(&opened, entry, asked, standing).await?,
                        None => plain(entry),
                    };
                    if standing == Standing::Void {
                        event.told = Some(Told::void());
                    }
                    events.push(event);
                }
                events
            }
        };
        Ok(Commit {
            seq: opened.seq,
            time: opened.header.time,
            subject: opened.header.subject,
            epochs: opened.header.fact_keys,
            events,
        })
    }

    async fn decided(&mut self, opened: &Opened) -> Result<Vec<Added>, Error> {
        let events = || opened.entries.iter().map(|entry| &entry.fact.event);
        // A record that is removed has its place before, any other after.
        let mut folders: HashMap<RecordId, Vec<[u8; 16]>> = HashMap::new();
        for event in events() {
            if let Event::MetadataDeleted(removed) = event
                && let Some(found) = self.folders_of(removed.record).await?
            {
                folders.insert(removed.record, found);
            }
        }
        self.fold(opened).await?;
        for record in events().filter_map(Event::record) {
            if !folders.contains_key(&record)
                && let Some(found) = self.folders_of(record).await?
            {
                folders.insert(record, found);
            }
        }
        let entries = opened.entries.iter();
        Ok(entries
            .map(|entry| {
                let event = &entry.fact.event;
                let of_record = event.record().and_then(|record| folders.get(&record));
                let of_mount = mount_of(event).map(|mount| vec![*mount.as_bytes()]);
                Added {
                    folders: of_record.cloned().or(of_mount).unwrap_or_default(),
                    ..plain(entry)
                }
            })
            .collect())
    }

    async fn asked(
        &self,
        opened: &Opened,
        entry: &Entry,
        asked: &ResolutionRequested,
        standing: Standing,
    ) -> Result<Added, Error> {
        let epochs = &opened.header.fact_keys;
        let names = entry
            .names
            .as_ref()
            .and_then(|sealed| open_request(&self.custody, epochs, asked.request, sealed));
        let told = match standing {
            Standing::Void => Told::void(),
            Standing::Valid => {
                let ruling = self.ruling(opened, entry, asked, names.as_ref()).await?;
                Told::of(ruling)
            }
        };
        let folders = self.folders_asked(asked, names.as_ref()).await?;
        Ok(Added {
            fact: entry.fact.clone(),
            names: entry.names.clone(),
            told: Some(told),
            execution: names.and_then(|names| names.execution),
            folders,
        })
    }

    async fn ruling(
        &self,
        opened: &Opened,
        entry: &Entry,
        asked: &ResolutionRequested,
        names: Option<&RequestNames>,
    ) -> Result<Ruling, Error> {
        let state = self.fold.state();
        let is_root = match entry.fact.actor {
            Actor::Principal(_, token) => access::is_root(state, &token)?,
            Actor::System | Actor::Anonymous => true,
        };
        let need = match is_root {
            true => None,
            false => self.need(asked, names).await?,
        };
        let time = time_of(opened.header.time, self.fold.head().time);
        Ok(judge(state, time, &entry.fact, asked, need.as_ref())?)
    }

    /// What a request needed; none when what it named is erased.
    async fn need(
        &self,
        asked: &ResolutionRequested,
        names: Option<&RequestNames>,
    ) -> Result<Option<Need>, Error> {
        let Some(names) = names else {
            return Ok(None);
        };
        let path = match (&names.path, asked.record) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(record)) => self.path(record).await?,
            (None, None) => None,
        };
        let mount = match asked.mount {
            Some(id) => match (self.fold.state().mount(&id)?, self.mount_path(id).await?) {
                (Some(mount), Some(path)) => Some((mount.kind, path)),
                _ => None,
            },
            None => None,
        };
        let mount = mount.as_ref().map(|(kind, path)| (*kind, path.as_str()));
        let need = need_of(asked.operation, mount, path.as_deref());
        Ok(need.map(|need| Need {
            wrap_ttl: asked.wrap_ttl,
            ..need
        }))
    }

    /// The path of a record: by its names as they are here, or as they are now. It never changes.
    async fn path(&self, record: RecordId) -> Result<Option<String>, Error> {
        if let Some((key, version, sealed)) = self.fold.sealed_names(&record)?
            && let Some(path) = self.opened(record, key, version, &sealed).await?
        {
            return Ok(Some(path));
        }
        Ok(self.path_now(record).await?.map(|(_, path)| path))
    }

    async fn path_now(&self, record: RecordId) -> Result<Option<(MountId, String)>, Error> {
        let Some(stored) = self.now.stored_record(&record)? else {
            return Ok(None);
        };
        let (key, version) = (stored.record.names.key, stored.record.names_version);
        let path = self.opened(record, key, version, stored.names()).await?;
        Ok(path.map(|path| (stored.record.mount, path)))
    }

    async fn opened(
        &self,
        record: RecordId,
        key: billfold_core::keys::page::KeyRef,
        version: u32,
        sealed: &[u8],
    ) -> Result<Option<String>, Error> {
        loop {
            match open_names(&self.custody, record, key, version, sealed).await {
                Ok(names) => return Ok(names.map(|names| names.path)),
                // Names that do not open are found by the fold, or by an auditor.
                Err(NamesError::Damaged) => return Ok(None),
                Err(NamesError::Custody(error)) => wait(error).await?,
            }
        }
    }

    async fn mount_path(&self, mount: MountId) -> Result<Option<String>, Error> {
        let known = self.fold.state().mount(&mount)?;
        let Some((known, sealed)) = known.zip(self.fold.mount_names(&mount)?) else {
            return Ok(None);
        };
        let dek = loop {
            match self.custody.dek(known.names.key).await {
                Ok(dek) => break dek,
                Err(error) => wait(error).await?,
            }
        };
        let names = dek.and_then(|dek| open_mount_names(&self.custody, mount, &dek, &sealed));
        Ok(names.map(|names| names.path))
    }

    /// The folders that a record is in, its mount first; none when there is no such record here.
    async fn folders_of(&self, record: RecordId) -> Result<Option<Vec<[u8; 16]>>, Error> {
        let mut chain = self.fold.chain(&record)?;
        if chain.is_empty() {
            let Some(known) = self.fold.state().record(&record)? else {
                return Ok(None);
            };
            // Its names were replaced since: those that replaced them tell the same path.
            chain = match self.path_now(record).await? {
                Some((mount, path)) => self.chain(mount, &path),
                None => return Ok(Some(vec![*known.mount.as_bytes()])),
            };
        }
        chain.pop();
        Ok(Some(chain))
    }

    /// The folders that a request was about something in.
    async fn folders_asked(
        &self,
        asked: &ResolutionRequested,
        names: Option<&RequestNames>,
    ) -> Result<Vec<[u8; 16]>, Error> {
        if let Some(record) = asked.record
            && let Some(folders) = self.folders_of(record).await?
        {
            return Ok(folders);
        }
        let Some(mount) = asked.mount else {
            return Ok(Vec::new());
        };
        let path = names.and_then(|names| names.path.as_deref());
        let is_place = asked.record.is_some() || lists_folder(asked.operation);
        let Some(path) = path.filter(|_| is_place) else {
            return Ok(vec![*mount.as_bytes()]);
        };
        let mut chain = self.chain(mount, path);
        // A folder is in itself; what is no folder is not.
        if !path.is_empty() && !path.ends_with('/') {
            chain.pop();
        }
        Ok(chain)
    }

    fn chain(&self, mount: MountId, path: &str) -> Vec<[u8; 16]> {
        let chain = self.index.state.chain(mount, path).into_iter();
        chain.map(serde_bytes::ByteArray::into_array).collect()
    }

    /// Folds a commit; while the key store is away, it waits rather than skip.
    async fn fold(&mut self, opened: &Opened) -> Result<(), Error> {
        loop {
            match self.fold.add(opened).await {
                Err(fold::Error::Custody(error)) => wait(error).await?,
                other => return Ok(other?),
            }
        }
    }

    /// Whether so much was folded that it is worth writing.
    pub(super) const fn is_due(&self) -> bool {
        self.fold.unwritten_events() >= GATHER
    }

    /// Writes the state to disk. What the index has is there before: a state ahead of it could not
    /// judge what comes next.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        self.index.flush()?;
        self.fold.write()?;
        Ok(())
    }
}

impl Told {
    fn of(ruling: Ruling) -> Self {
        Self {
            outcome: Outcome::of(&ruling.verdict),
            version: match &ruling.verdict {
                Verdict::Version { number, .. } => Some(*number),
                _ => None,
            },
            policies: ruling.policies,
        }
    }

    const fn void() -> Self {
        Self {
            outcome: Outcome::Void,
            version: None,
            policies: Vec::new(),
        }
    }
}

/// Waits while the key store is away.
async fn wait(error: custody::Error) -> Result<(), Error> {
    match error {
        custody::Error::Store(error) => {
            tracing::warn!(%error, "the key store is needed to go on; trying again");
            tokio::time::sleep(RETRY).await;
            Ok(())
        }
        other => Err(other.into()),
    }
}

fn plain(entry: &Entry) -> Added {
    Added {
        fact: entry.fact.clone(),
        names: None,
        told: None,
        execution: None,
        folders: Vec::new(),
    }
}

/// Whether a request's own path is that of a folder.
const fn lists_folder(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::List | Operation::Scan | Operation::ListDetails | Operation::ScanDetails
    )
}

/// The mount that an event is about, where it is about no record.
const fn mount_of(event: &Event) -> Option<MountId> {
    match event {
        Event::MountEnabled(event) => Some(event.mount),
        Event::MountTuned(event) => Some(event.mount),
        Event::MountDisabled(event) => Some(event.mount),
        Event::MountRenamed(event) => Some(event.mount),
        Event::ErasureOrdered(event) => Some(event.mount),
        Event::HoldPlaced(event) => Some(event.mount),
        _ => None,
    }
}
