//! Following the log: open, check, fold, write, judge, in the order of the log.

use std::{sync::Arc, time::Duration};

use billfold_core::{
    Millis,
    access::leads_there,
    event::{Event, v1::ResolutionRequested},
    id::{CommandId, MountId, RecordId},
    judge::{Ruling, Verdict, judge, time_of},
    state::{Key, Source, State, Value},
    subject::{Generation, Subject},
};
use billfold_streams::{
    EventLog,
    custody::{self, Custody},
    log::{self, Filter, Tail},
};
use futures::{StreamExt as _, stream};

use crate::{
    chain::{Broken, Chains, Opened, Standing, open_all},
    fold::{self, Fold},
    keychain::{
        Ask, Error, Judged, Keychain, Material, Outcome, Parts, Progress,
        desk::Question,
        gathering::{Gathering, Listed},
    },
    view::{self, StoredRecord, View},
};

/// How many messages are taken at once when many are there.
const CHUNK: usize = 512;
/// How many chunks are opened at once.
const AT_ONCE: usize = 3;
/// How many events gather before they are written to the view: this bounds the memory of a rebuild.
const GATHER: usize = 4096;
/// How many events are written to the view at once without a thread of its own.
const SMALL: usize = 64;
/// How long to wait before the log or the key store is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// Follows the log for a keychain.
pub(super) struct Follower {
    keychain: Arc<Keychain>,
    log: Arc<dyn EventLog>,
    generation: Generation,
    chains: Chains,
    fold: Fold,
    gathering: Gathering,
    /// Whether it has come to where the log ended when it began.
    caught_up: bool,
}

type Chunk = Result<Vec<Result<Opened, Broken>>, log::Error>;

/// Tells a keychain that nobody follows the log for it any more: a panic, too, must not leave a node
/// that looks well and never answers.
struct Ended(Arc<Keychain>);

impl Drop for Ended {
    fn drop(&mut self) {
        if self.0.stopped().is_none() {
            self.0.stop("following the log has ended".to_owned());
        }
    }
}

impl Follower {
    pub(super) fn new(keychain: Arc<Keychain>, parts: &Parts) -> Result<Self, Error> {
        let subject = Subject::Decided(parts.generation);
        let epoch = keychain.view.wallet()?.and_then(|wallet| wallet.epoch);
        Ok(Self {
            chains: Chains::from_head(subject, keychain.view.head()).with_epoch(epoch),
            fold: Fold::over(Arc::clone(&keychain.view), Arc::clone(&parts.custody)),
            gathering: Gathering::of(Arc::clone(&keychain.view)),
            log: Arc::clone(&parts.log),
            generation: parts.generation,
            keychain,
            caught_up: false,
        })
    }

    /// Comes to where the log ended when this was called.
    pub(super) async fn catch_up(mut self, progress: &dyn Progress) -> Result<Self, Error> {
        let filter = Filter::Decided(self.generation);
        let end = self.log.head(filter).await?;
        let mut commits = 0;
        if self.fold.head().seq < end {
            let tail = self.log.read(filter, self.fold.head().seq).await?;
            let mut chunks = chunks(tail, Arc::clone(&self.keychain.custody));
            while self.fold.head().seq < end {
                let Some(chunk) = chunks.next().await else {
                    break;
                };
                for opened in chunk? {
                    self.take(opened?).await?;
                    commits += 1;
                }
                progress.at(self.fold.head().seq, end);
            }
            self.write().await?;
        }
        // Versions that were current in between may be destroyed by now.
        self.caught_up = true;
        self.adopt_keys().await?;
        progress.caught_up(commits);
        Ok(self)
    }

    /// Follows the log until it is broken.
    pub(super) async fn run(mut self) {
        let keychain = Arc::clone(&self.keychain);
        let _ended = Ended(Arc::clone(&keychain));
        let stopped = match self.follow().await {
            Ok(()) => "the log's tail ended".to_owned(),
            Err(error) => {
                if let Error::View(view::Error::Unusable(_)) = &error {
                    keychain.view.condemn();
                }
                error.to_string()
            }
        };
        tracing::error!(why = stopped, "this node serves nothing from now on");
        keychain.stop(stopped);
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let filter = Filter::Serving(self.generation, self.keychain.custody.process());
        let tail = loop {
            match self.log.read(filter, self.fold.head().seq).await {
                Err(error @ log::Error::Unavailable(_)) => {
                    tracing::warn!(%error, "the log cannot be followed yet; trying again");
                    tokio::time::sleep(RETRY).await;
                }
                other => break other?,
            }
        };
        let mut chunks = chunks(tail, Arc::clone(&self.keychain.custody));
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                // A view that is found damaged must not go on until the next write.
                gathered = self.gathering.one(), if !self.gathering.is_empty() => {
                    gathered?;
                    continue;
                }
            };
            let Some(chunk) = chunk else {
                return Ok(());
            };
            let mut seals = false;
            for opened in chunk? {
                let opened = opened?;
                seals |= is_seal(&opened);
                self.take(opened).await?;
            }
            self.write().await?;
            if seals {
                self.keychain.seal();
            }
        }
    }

    /// Uses the KEK version, epoch and unseal generation that are current in the view.
    async fn adopt_keys(&self) -> Result<(), Error> {
        let wallet = self.keychain.view.wallet()?;
        let Some(wallet) = wallet else {
            return Ok(());
        };
        let (Some(kek), Some(epoch)) = (wallet.current_kek(), wallet.epoch) else {
            return Ok(());
        };
        let generation = wallet.generations.last().map_or(0, |last| last.number);
        loop {
            let custody = &self.keychain.custody;
            let adopted = custody.adopt(kek.version, epoch, generation);
            match adopted.await {
                Err(custody::Error::Store(error)) => {
                    tracing::warn!(%error, "the key store is needed to go on; trying again");
                    tokio::time::sleep(RETRY).await;
                }
                other => return Ok(other?),
            }
        }
    }

    async fn take(&mut self, opened: Opened) -> Result<(), Error> {
        let standing = self.chains.follow(&opened)?;
        if opened.header.subject.is_decided() {
            self.fold(&opened).await?;
            if self.fold.unwritten_events() >= GATHER {
                self.write().await?;
            }
            return Ok(());
        }
        // What was asked is answered by the view at exactly this place.
        self.write().await?;
        if standing == Standing::Void {
            self.return_void(&opened);
            return Ok(());
        }
        for entry in &opened.entries {
            if let Event::ResolutionRequested(asked) = &entry.fact.event {
                self.judge(&opened, &entry.fact, asked)?;
            }
        }
        Ok(())
    }

    /// Gives back what was recorded behind the end of its epoch: it is to be recorded again. Its key
    /// is adopted by now.
    fn return_void(&self, opened: &Opened) {
        tracing::debug!(seq = %opened.seq, "a record came behind the end of its epoch");
        for entry in &opened.entries {
            match &entry.fact.event {
                Event::ResolutionRequested(asked) => {
                    if let Some(question) = self.keychain.desk.take(&asked.request) {
                        let _ = question.waiting.send(Outcome::Void);
                    }
                }
                Event::RequestsRefused(refused) => self.keychain.count_again(refused.clone()),
                _ => {}
            }
        }
    }

    /// Folds a commit; while the key store is away, it waits rather than skip.
    async fn fold(&mut self, opened: &Opened) -> Result<(), Error> {
        loop {
            match self.fold.add(opened).await {
                Err(fold::Error::Custody(custody::Error::Store(error))) => {
                    tracing::warn!(%error, "the key store is needed to go on; trying again");
                    tokio::time::sleep(RETRY).await;
                }
                other => return Ok(other?),
            }
        }
    }

    async fn write(&mut self) -> Result<(), Error> {
        if self.fold.unwritten() > 0 {
            // Listings are of the view as it is before this.
            self.gathering.all().await?;
            // To go to another thread and back takes longer than a small write.
            let touched = match self.fold.unwritten_events() {
                0..=SMALL => self.fold.write()?,
                _ => self.fold.write_aside().await?,
            };
            // Whoever waits for this place is to write under the keys that are current there.
            if self.caught_up {
                self.adopt_keys().await?;
            }
            self.keychain.advance(self.fold.head());
            self.keychain.touch(touched);
        }
        Ok(())
    }

    fn judge(
        &mut self,
        opened: &Opened,
        fact: &billfold_core::event::Fact,
        asked: &ResolutionRequested,
    ) -> Result<(), Error> {
        let Some(question) = self.keychain.desk.take(&asked.request) else {
            return Ok(());
        };
        let Question { ask, need, waiting } = question;
        let time = time_of(opened.header.time, self.fold.head().time);
        let view = &self.keychain.view;
        let about = match ask {
            Ask::Version(id) | Ask::Names(id) => view.stored_record(&id)?.map(|found| (id, found)),
            Ask::Folder(..) | Ask::Everything(_) | Ask::Wallet | Ask::Nothing => None,
        };
        let state = State::over(
            Looked {
                view,
                about: about.as_ref(),
            },
            view.digest(),
        );
        // The caller's path led here by another name of the mount: policies were not asked about the
        // path that it has now. Nothing is told, and the caller may ask again.
        if !leads_there(&state, &need)? {
            let _ = waiting.send(Outcome::Moved);
            return Ok(());
        }
        let Ruling { verdict, page, .. } = judge(&state, time, fact, asked, Some(&need))?;
        let listed = match (&verdict, ask) {
            (Verdict::Listing, Ask::Folder(folder, depth)) => Some(Listed::Folder(folder, depth)),
            (Verdict::Listing, Ask::Everything(folder)) => Some(Listed::Everything(folder)),
            _ => None,
        };
        let material = material(view, &verdict, ask, about)?;
        let judged = Judged {
            verdict,
            material,
            page,
            seq: self.fold.head().seq,
            time,
        };
        if let Some(listed) = listed {
            self.gathering.begin(listed, judged, waiting);
        } else {
            // Whoever gave up waiting is not told any more.
            let _ = waiting.send(Outcome::Judged(Box::new(judged)));
        }
        Ok(())
    }
}

/// What a verdict lets be told of the view, besides listings.
fn material(
    view: &View,
    verdict: &Verdict,
    ask: Ask,
    about: Option<(RecordId, StoredRecord)>,
) -> Result<Material, view::Error> {
    Ok(match (verdict, ask, about) {
        (
            Verdict::Version {
                number, readable, ..
            },
            Ask::Version(_),
            Some((id, stored)),
        ) => {
            let payload = if *readable {
                view.payload(&id, &stored, *number)?
            } else {
                None
            };
            Material::Version(Box::new(stored), payload)
        }
        (Verdict::Metadata(_), Ask::Names(_), Some((_, stored))) => {
            Material::Record(Box::new(stored))
        }
        (Verdict::Listing, Ask::Wallet, _) => view.wallet()?.map_or(Material::Nothing, |wallet| {
            Material::Wallet(Box::new(wallet))
        }),
        _ => Material::Nothing,
    })
}

/// Whether a commit closes the wallet.
fn is_seal(opened: &Opened) -> bool {
    let mut entries = opened.entries.iter();
    opened.header.subject.is_decided()
        && entries.any(|entry| matches!(entry.fact.event, Event::WalletSealed(_)))
}

/// The view, and a record that was looked up in it already: a request needs it twice, for its
/// verdict and for its answer.
struct Looked<'a> {
    view: &'a View,
    about: Option<&'a (RecordId, StoredRecord)>,
}

impl Source for Looked<'_> {
    type Error = view::Error;

    fn get(&self, key: &Key) -> Result<Option<Value>, view::Error> {
        match (key, self.about) {
            (Key::Record(id), Some((about, stored))) if id == about => {
                Ok(Some(Value::Record(stored.record.clone())))
            }
            _ => self.view.get(key),
        }
    }

    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, view::Error> {
        self.view.commands_before(time)
    }

    fn records_of(&self, mount: &MountId, most: usize) -> Result<Vec<RecordId>, view::Error> {
        self.view.records_of(mount, most)
    }
}

/// The log's messages, opened, as many at once as are there.
fn chunks(tail: Tail, custody: Arc<Custody>) -> impl stream::Stream<Item = Chunk> + Unpin {
    let chunks = tail.ready_chunks(CHUNK).map(move |messages| {
        let custody = Arc::clone(&custody);
        async move {
            let messages = messages.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok(open_all(&custody, messages).await)
        }
    });
    Box::pin(chunks.buffered(AT_ONCE))
}
