//! Reading the audit trail, which is itself on record.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use billfold_core::{
    Millis,
    access::need_of,
    event::{
        Actor, Event,
        v1::{Operation, ResolutionRequested},
    },
    id::{MountId, PrincipalId, RecordId, Seq, TokenId},
};
use billfold_projector::{
    audit::{By, Order, Outcome, Page, Place, Query, Row, STEPS},
    keychain::Ask,
};

use super::{At, Caller, Error, Mount, Wallet, read::Question};

/// How many events are looked at at once, where some of them are not told.
const AT_ONCE: usize = 512;

/// Which events are asked for: those that all of this fits.
#[derive(Debug, Clone)]
pub struct AuditFilter {
    /// What they concern.
    pub what: AuditOf,
    /// The principal that caused them.
    pub principal: Option<PrincipalId>,
    /// The token by which they were caused.
    pub token: Option<TokenId>,
    /// The id of the principal or of the token.
    pub worker: Option<[u8; 16]>,
    /// The execution that a request was made for.
    pub execution: Option<String>,
    /// The number of their kind.
    pub event: Option<u16>,
    /// What a request asked for.
    pub operation: Option<Operation>,
    /// What a request was answered.
    pub outcome: Option<Outcome>,
    /// From when on.
    pub from: Option<Millis>,
    /// Until before when.
    pub to: Option<Millis>,
}

/// What events concern.
#[derive(Debug, Clone)]
pub enum AuditOf {
    /// Anything.
    Anything,
    /// A secret, by its mount and the path below it.
    Secret(Mount, String),
    /// Whatever is in a folder of a mount: the path is empty for the mount, or ends with a slash.
    Folder(Mount, String),
    /// A record.
    Record(RecordId),
}

/// A page of the audit trail.
#[derive(Debug)]
pub struct AuditPage {
    /// The events.
    pub rows: Vec<AuditRow>,
    /// Behind which place to go on; none when there is no more.
    pub next: Option<Place>,
}

/// One event of the audit trail.
#[derive(Debug)]
pub struct AuditRow {
    /// What happened.
    pub row: Row,
    /// The record that it is about.
    pub record: Option<RecordId>,
    /// The path of the mount that it is about or in, if that is still there.
    pub mount: Option<String>,
    /// That record's path, as far as it is not erased.
    pub name: Option<String>,
    /// What else a request named: a folder, a path of the API, a filter.
    pub path: Option<String>,
    /// What the token is called by which it was caused, as long as that stands.
    pub display: Option<String>,
}

impl AuditFilter {
    /// What finds the events, in the index.
    fn by(&self, wallet: &Wallet) -> Vec<By> {
        let what = match &self.what {
            AuditOf::Anything => None,
            AuditOf::Secret(mount, path) => Some(By::Record(wallet.record(mount.id, path))),
            AuditOf::Folder(mount, path) => Some(By::Folder(wallet.audit.folder(mount.id, path))),
            AuditOf::Record(id) => Some(By::Record(*id)),
        };
        let mut by: Vec<By> = what.into_iter().collect();
        by.extend(self.principal.map(By::Principal));
        by.extend(self.token.map(By::Token));
        by.extend(self.worker.map(By::Worker));
        by.extend(self.execution.clone().map(By::Execution));
        by.extend(self.event.map(By::Event));
        by.extend(self.operation.map(By::Operation));
        by.extend(self.outcome.map(By::Outcome));
        by
    }

    /// The filter in words, for the record of the request; none when that says all without them. The
    /// path of a secret that there is stands in its own names alone, so that it can be erased.
    fn words(&self, exists: bool) -> Option<String> {
        let mut words = form_urlencoded::Serializer::new(String::new());
        let mut said = false;
        let mut say = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                words.append_pair(name, &value);
                said = true;
            }
        };
        say(
            "path",
            match &self.what {
                AuditOf::Secret(mount, path) if !exists => Some(format!("{}{path}", mount.path)),
                AuditOf::Folder(mount, path) => Some(format!("{}{path}", mount.path)),
                AuditOf::Secret(..) | AuditOf::Record(_) | AuditOf::Anything => None,
            },
        );
        say("principal", self.principal.map(|id| id.to_string()));
        say("token", self.token.map(|id| id.to_string()));
        say("worker", self.worker.map(hex::encode));
        say("execution", self.execution.clone());
        let kinds = Event::KINDS.iter();
        let mut named = kinds.filter(|(kind, _)| Some(*kind) == self.event);
        say("event", named.next().map(|(_, name)| (*name).to_owned()));
        say("operation", self.operation.map(|o| o.name().to_owned()));
        say("outcome", self.outcome.map(|o| o.name().to_owned()));
        say("from", self.from.map(|time| time.to_string()));
        say("to", self.to.map(|time| time.to_string()));
        said.then(|| words.finish())
    }

    fn record(&self, wallet: &Wallet) -> Option<RecordId> {
        match &self.what {
            AuditOf::Secret(mount, path) => Some(wallet.record(mount.id, path)),
            AuditOf::Record(id) => Some(*id),
            AuditOf::Folder(..) | AuditOf::Anything => None,
        }
    }
}

impl Wallet {
    /// A page of what happened, behind a place if one is given. Everything that was on record before
    /// this request is found, and the request itself.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or the index is too far behind the log.
    pub async fn audit(
        &self,
        caller: &Caller,
        filter: &AuditFilter,
        order: Order,
        after: Option<Place>,
        limit: usize,
    ) -> Result<At<AuditPage>, Error> {
        let record = filter.record(self);
        let exists = match record {
            Some(id) => self.keychain.view().has_record(&id)?,
            None => false,
        };
        let words = filter.words(exists);
        let question = Question {
            operation: Operation::ReadAudit,
            mount: match &filter.what {
                AuditOf::Folder(mount, _) => Some(mount.id),
                AuditOf::Secret(..) | AuditOf::Record(_) | AuditOf::Anything => None,
            },
            record,
            version: None,
            path: words.as_deref(),
            ask: Ask::Nothing,
            need: need_of(Operation::ReadAudit, None, None).ok_or(Error::Denied)?,
        };
        let asked = self.look(caller, question).await?;
        self.index_at(asked.value).await?;
        let mut query = Query {
            by: filter.by(self),
            from: filter.from.unwrap_or(Millis(0)),
            to: filter.to.unwrap_or(Millis(u64::MAX)),
            order,
            after,
            limit: limit.saturating_add(1),
            steps: STEPS,
        };
        let mut told = Telling::new(self).await?;
        let mut rows = Vec::new();
        // One more than the page holds is looked for: there is a next page only for what is told.
        let mut next = loop {
            let found = self.in_index(query.clone()).await?;
            let is_tired = found.rows.len() < query.limit;
            for row in found.rows {
                let row = told.row(row).await?;
                // Where something was that is erased nobody is told, not even by asking for its folder.
                if row.is_in(&filter.what) {
                    rows.push(row);
                }
                if rows.len() > limit {
                    break;
                }
            }
            if rows.len() > limit || is_tired || found.next.is_none() {
                break found.next;
            }
            query.after = found.next;
            query.limit = query.limit.max(AT_ONCE);
            query.steps = query.steps.saturating_sub(found.steps);
        };
        if rows.len() > limit {
            rows.truncate(limit);
            next = rows.last().map(|last| last.row.place);
        }
        Ok(asked.map(|_| AuditPage { rows, next }))
    }

    /// Asks the index on a thread of its own: a question may take a while.
    pub(super) async fn in_index(&self, query: Query) -> Result<Page, Error> {
        let (index, custody) = (Arc::clone(&self.audit), Arc::clone(self.keychain.custody()));
        let asking = tokio::task::spawn_blocking(move || index.find(&custody, &query));
        // A panic in there is a bug: it goes on in the task that waits.
        let found = asking
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        Ok(found?)
    }

    /// Waits for the audit index, which follows the log by itself: an answer is about all up to the
    /// place of its own record.
    pub(super) async fn index_at(&self, recorded: Seq) -> Result<(), Error> {
        tokio::time::timeout(self.patience, self.audit.read_up_to(recorded))
            .await
            .map_err(|_| Error::Unavailable("the audit index is behind the log".to_owned()))
    }
}

/// The names of rows, each looked up once.
struct Telling<'a> {
    wallet: &'a Wallet,
    mounts: HashMap<MountId, String>,
    records: HashMap<RecordId, Option<(MountId, Option<String>)>>,
    tokens: HashMap<TokenId, Option<String>>,
}

impl<'a> Telling<'a> {
    async fn new(wallet: &'a Wallet) -> Result<Self, Error> {
        let mounts = wallet.all_mounts().await?.into_iter();
        Ok(Self {
            wallet,
            mounts: mounts.map(|mount| (mount.id, mount.path)).collect(),
            records: HashMap::new(),
            tokens: HashMap::new(),
        })
    }

    async fn row(&mut self, row: Row) -> Result<AuditRow, Error> {
        let record = row.fact.event.record();
        let known = match record {
            Some(id) => self.record(id).await?,
            None => None,
        };
        let own = row.names.as_ref().and_then(|names| names.path.clone());
        let (of_secret, path) = match asked(&row.fact.event) {
            Some(asked) if asked.record.is_some() && asked.operation != Operation::ReadAudit => {
                (own, None)
            }
            _ => (None, own),
        };
        let (mount, name) = known.unzip();
        let mount = mount.or_else(|| mount_of(&row.fact.event));
        let display = match row.fact.actor {
            Actor::Principal(_, token) => self.display(token).await?,
            Actor::System | Actor::Anonymous => None,
        };
        Ok(AuditRow {
            record,
            mount: mount.and_then(|id| self.mounts.get(&id).cloned()),
            name: of_secret.or(name.flatten()),
            path,
            display,
            row,
        })
    }

    async fn record(&mut self, id: RecordId) -> Result<Option<(MountId, Option<String>)>, Error> {
        let vacant = match self.records.entry(id) {
            Entry::Occupied(known) => return Ok(known.get().clone()),
            Entry::Vacant(vacant) => vacant,
        };
        let found = match self.wallet.keychain.view().stored_record(&id)? {
            Some(stored) => {
                let names = self.wallet.names_of(id, &stored).await?;
                Some((stored.record.mount, names.map(|names| names.path)))
            }
            None => None,
        };
        Ok(vacant.insert(found).clone())
    }

    async fn display(&mut self, id: TokenId) -> Result<Option<String>, Error> {
        let vacant = match self.tokens.entry(id) {
            Entry::Occupied(known) => return Ok(known.get().clone()),
            Entry::Vacant(vacant) => vacant,
        };
        let facts = match self.wallet.facts(id).await {
            Err(Error::Erased) => None,
            other => other?,
        };
        Ok(vacant
            .insert(facts.map(|facts| facts.names.display))
            .clone())
    }
}

impl AuditRow {
    /// Whether this is about something in a folder, as far as that may be told.
    fn is_in(&self, what: &AuditOf) -> bool {
        let AuditOf::Folder(mount, folder) = what else {
            return true;
        };
        if folder.is_empty() {
            return true;
        }
        let place = match (&self.name, asked(&self.row.fact.event)) {
            (Some(name), _) => Some(name),
            (None, Some(asked)) if asked.record.is_none() => self.path.as_ref(),
            (None, _) => None,
        };
        self.mount.as_ref() == Some(&mount.path)
            && place.is_some_and(|place| place.starts_with(folder.as_str()))
    }
}

const fn asked(event: &Event) -> Option<&ResolutionRequested> {
    match event {
        Event::ResolutionRequested(asked) => Some(asked),
        _ => None,
    }
}

/// The mount that an event tells by itself.
const fn mount_of(event: &Event) -> Option<MountId> {
    match event {
        Event::ResolutionRequested(event) => event.mount,
        Event::MountEnabled(event) => Some(event.mount),
        Event::MountTuned(event) => Some(event.mount),
        Event::MountDisabled(event) => Some(event.mount),
        Event::MountRenamed(event) => Some(event.mount),
        Event::CredentialWritten(event) => Some(event.mount),
        Event::MetadataChanged(event) => Some(event.mount),
        Event::ErasureOrdered(event) => Some(event.mount),
        Event::HoldPlaced(event) => Some(event.mount),
        _ => None,
    }
}
