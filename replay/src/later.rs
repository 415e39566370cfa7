//! Paths of records as later events tell them.
//!
//! A record's id is a MAC of its mount and path, so its path never changes. Names that were replaced
//! are erased, and those that replaced them tell the same path.

use std::{collections::HashMap, sync::Arc};

use billfold_core::{
    commit::Entry,
    event::{Event, SealedRef},
    id::{RecordId, Seq},
    keys::page::KeyRef,
};
use billfold_projector::fold::{NamesError, open_names};
use billfold_streams::custody::Custody;

use crate::{Error, Source, walk::Reader};

/// Reads the log once more, when it is first asked.
pub(crate) struct Later {
    source: Source,
    custody: Arc<Custody>,
    paths: Option<HashMap<RecordId, String>>,
}

impl Later {
    pub(crate) fn new(source: &Source) -> Self {
        Self {
            source: source.beside(),
            custody: Arc::clone(&source.custody),
            paths: None,
        }
    }

    /// The path of a record, if any event up to `end` that is not erased tells it.
    pub(crate) async fn path(
        &mut self,
        record: RecordId,
        end: Seq,
    ) -> Result<Option<String>, Error> {
        let paths = match self.paths.take() {
            Some(paths) => paths,
            None => self.read(end).await?,
        };
        Ok(self.paths.insert(paths).get(&record).cloned())
    }

    async fn read(&self, end: Seq) -> Result<HashMap<RecordId, String>, Error> {
        let mut reader = Reader::start(&self.source).await?;
        let (mut paths, mut versions) = (HashMap::new(), HashMap::new());
        let mut last = Seq::ZERO;
        while last < end {
            // What is broken there is found by whoever walks over it.
            let Ok(opened) = reader.next().await? else {
                break;
            };
            last = opened.seq;
            for entry in &opened.entries {
                let found: Option<(RecordId, SealedRef)> = match &entry.fact.event {
                    Event::NamesResealed(event) => {
                        let (record, key, version) = (event.record, event.names.key, event.version);
                        if let Some(path) = self.open(entry, record, key, version).await? {
                            paths.insert(record, path);
                        }
                        None
                    }
                    Event::CredentialWritten(event) => {
                        versions.insert(event.record, event.version);
                        event.names.map(|names| (event.record, names))
                    }
                    Event::MetadataChanged(event) => event.names.map(|names| (event.record, names)),
                    Event::MetadataDeleted(event) => {
                        versions.remove(&event.record);
                        None
                    }
                    _ => None,
                };
                let Some((record, names)) = found else {
                    continue;
                };
                let version = versions.get(&record).copied().unwrap_or(0);
                if let Some(path) = self.open(entry, record, names.key, version).await? {
                    paths.insert(record, path);
                }
            }
        }
        Ok(paths)
    }

    async fn open(
        &self,
        entry: &Entry,
        record: RecordId,
        key: KeyRef,
        version: u32,
    ) -> Result<Option<String>, Error> {
        let Some(sealed) = &entry.names else {
            return Ok(None);
        };
        match open_names(&self.custody, record, key, version, sealed).await {
            Ok(names) => Ok(names.map(|names| names.path)),
            Err(NamesError::Damaged) => Ok(None),
            Err(NamesError::Custody(error)) => Err(error.into()),
        }
    }
}
