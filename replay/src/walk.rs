//! Going over the log from its beginning: every commit opened and held against the one before it,
//! and the fold beside it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use billfold_core::{
    access::Need,
    event::{Fact, v1::ResolutionRequested},
    id::{RecordId, Seq},
    judge::{Ruling, judge, time_of},
    state::State,
};
use billfold_projector::{
    Fold, View,
    chain::{Broken, Chains, Opened, Standing, open_all},
    view::Shared,
};
use billfold_streams::{
    EventLog,
    custody::Custody,
    log::{self, Tail},
    replica::Head,
};
use futures::{StreamExt as _, stream::BoxStream};
use tempfile::TempDir;

use crate::{
    Check, Error, Finding, Source,
    auditor::Granted,
    later::Later,
    source::{EVERYTHING, temporary_folder},
    tail::within,
};

/// How many messages are opened at once, and how many times side by side.
const CHUNK: usize = 512;
const AT_ONCE: usize = 3;
/// How many events gather before they are written to the temporary view, and how many bytes of
/// ciphertexts: both stand in memory meanwhile.
const GATHER: usize = 4096;
const GATHER_BYTES: usize = 32 << 20;
/// What the temporary view may keep in memory, in bytes.
const CACHE: u64 = 128 << 20;

type Item = Result<Result<Opened, Broken>, log::Error>;
type Chunk = Vec<Item>;

/// The log's commits, opened, as they stand there.
pub(crate) struct Reader {
    log: Arc<dyn EventLog>,
    chunks: BoxStream<'static, Chunk>,
    ready: VecDeque<Item>,
    patience: Duration,
}

impl Reader {
    pub(crate) async fn start(source: &Source) -> Result<Self, Error> {
        let tail = source.log.read(EVERYTHING, Seq::ZERO).await?;
        Ok(Self {
            log: Arc::clone(&source.log),
            chunks: chunks(tail, Arc::clone(&source.custody)),
            ready: VecDeque::new(),
            patience: source.patience,
        })
    }

    /// The next commit, which the log said that it has.
    pub(crate) async fn next(&mut self) -> Result<Result<Opened, Broken>, Error> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item?);
            }
            let chunk = within(self.patience, self.chunks.next()).await?;
            self.ready.extend(chunk);
        }
    }
}

impl Reader {
    /// Waits until there is something behind `last`, and says up to where at least.
    async fn wait(&mut self, last: Seq) -> Result<Seq, Error> {
        let short = |why: &str| Error::Unreachable(format!("the log {why}"));
        let mut silent = false;
        while self.ready.is_empty() {
            match tokio::time::timeout(self.patience, self.chunks.next()).await {
                Ok(Some(chunk)) => self.ready.extend(chunk),
                Ok(None) => return Err(short("closed")),
                // Nothing is written, or nothing of it comes here.
                Err(_) => match self.log.head(EVERYTHING).await {
                    Ok(head) if head > last && silent => {
                        return Err(short("has more, and gives nothing"));
                    }
                    Ok(head) => silent = head > last,
                    // It comes back, or the read ends with an error.
                    Err(_) => {}
                },
            }
        }
        let there = self.ready.iter().filter_map(|item| match item {
            Ok(Ok(opened)) => Some(opened.seq),
            _ => None,
        });
        Ok(there.max().unwrap_or_default().max(last.next()))
    }
}

/// Messages as they come, opened, in their order. What stands before an error is given before it.
fn chunks(tail: Tail, custody: Arc<Custody>) -> BoxStream<'static, Chunk> {
    let open_chunk = move |messages: Vec<Result<log::Message, log::Error>>| {
        let custody = Arc::clone(&custody);
        async move {
            let (mut there, mut failed) = (Vec::with_capacity(messages.len()), None);
            for message in messages {
                match message {
                    Ok(message) => there.push(message),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let opened = open_all(&custody, there).await.into_iter().map(Ok);
            opened.chain(failed.map(Err)).collect()
        }
    };
    tail.ready_chunks(CHUNK)
        .map(open_chunk)
        .buffered(AT_ONCE)
        .boxed()
}

/// A walk over the log. [`Walk::next`] gives the commits one by one; whoever wants the state calls
/// [`Walk::fold`] with each of them, after looking at what was before it.
pub struct Walk {
    custody: Arc<Custody>,
    end: Seq,
    last: Seq,
    reader: Reader,
    chains: Chains,
    /// What the last commit counts that was given.
    standing: Standing,
    fold: Fold,
    view: Arc<View>,
    unwritten: Unwritten,
    granted: Option<Arc<Granted>>,
    later: Later,
    /// Declared last, so that the view in it is closed before it is removed.
    _dir: TempDir,
}

/// What was folded and is not in the temporary view yet.
#[derive(Default)]
struct Unwritten {
    events: usize,
    bytes: usize,
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Walk(at {} of {})", self.last, self.end)
    }
}

impl Walk {
    /// Begins before the first commit; `end` is the last sequence to come.
    ///
    /// # Errors
    /// When the log cannot be reached, or there is no room for a temporary view.
    pub async fn start(source: &Source, end: Seq) -> Result<Self, Error> {
        source.require_begun(end).await?;
        source.require_open(end)?;
        let dir = temporary_folder()?;
        let view = Arc::new(View::open(dir.path(), &source.custody, CACHE)?);
        Ok(Self {
            custody: Arc::clone(&source.custody),
            end,
            last: Seq::ZERO,
            reader: Reader::start(source).await?,
            chains: Chains::default(),
            standing: Standing::Valid,
            fold: Fold::over(Arc::clone(&view), Arc::clone(&source.custody)),
            view,
            unwritten: Unwritten::default(),
            granted: source.granted.clone(),
            later: Later::new(source),
            _dir: dir,
        })
    }

    /// The last sequence that was given.
    #[must_use]
    pub const fn last(&self) -> Seq {
        self.last
    }

    /// Whether the last commit that was given came behind the end of its epoch: then nothing in it was
    /// answered.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.standing == Standing::Void
    }

    /// Where it ends.
    #[must_use]
    pub const fn end(&self) -> Seq {
        self.end
    }

    /// Lets it go on to a later end.
    pub fn extend(&mut self, end: Seq) {
        self.end = self.end.max(end);
    }

    /// Waits until the log goes on behind the last commit that was given, and lets the walk go on to
    /// there, but not past `limit`.
    ///
    /// # Errors
    /// When the log gives nothing although it has more, or is closed.
    pub async fn wait(&mut self, limit: Seq) -> Result<(), Error> {
        let there = self.reader.wait(self.last).await?;
        self.extend(there.min(limit));
        Ok(())
    }

    /// The next commit, which follows the one before it; none at the end.
    ///
    /// # Errors
    /// At the first commit that is missing or not what a node of the wallet wrote there, or when
    /// the log cannot be reached.
    pub async fn next(&mut self) -> Result<Option<Opened>, Error> {
        if self.last >= self.end {
            return Ok(None);
        }
        let opened = self.reader.next().await?;
        let seq = match &opened {
            Ok(opened) => opened.seq,
            Err(broken) => broken.seq,
        };
        let expected = self.last.next();
        if seq > expected {
            let what = format!("it is missing: sequence {seq} follows {}", self.last);
            return Err(Finding::new(Check::Sequence, expected, what).into());
        }
        let opened = opened?;
        self.standing = self.chains.follow(&opened)?;
        self.last = opened.seq;
        Ok(Some(opened))
    }

    /// Folds a commit that was given, if it is one that was decided.
    ///
    /// # Errors
    /// When it does not follow from the state, or the key store or the temporary view fails.
    pub async fn fold(&mut self, opened: &Opened) -> Result<(), Error> {
        if !opened.header.subject.is_decided() {
            return Ok(());
        }
        let added = self.fold.add(opened).await;
        added.map_err(|error| Error::from(error).at(opened.seq))?;
        let entries = opened.entries.iter();
        let ciphertexts = entries.flat_map(|entry| [&entry.names, &entry.payload]);
        self.unwritten.events += opened.entries.len();
        self.unwritten.bytes += ciphertexts
            .flatten()
            .map(|bytes| bytes.len())
            .sum::<usize>();
        if self.unwritten.events >= GATHER || self.unwritten.bytes >= GATHER_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Brings the temporary view to where the fold is.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn write(&mut self) -> Result<(), Error> {
        self.fold.write()?;
        self.unwritten = Unwritten::default();
        Ok(())
    }

    /// The state at this place.
    #[must_use]
    pub const fn state(&self) -> &State<Shared> {
        self.fold.state()
    }

    /// The last decided commit that was folded.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.fold.head()
    }

    /// The temporary view: as far as [`Walk::write`] brought it.
    #[must_use]
    pub const fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The wallet's keys.
    #[must_use]
    pub const fn custody(&self) -> &Arc<Custody> {
        &self.custody
    }

    /// What was granted to an auditor, if it is one who walks.
    pub(crate) fn granted(&self) -> Option<&Granted> {
        self.granted.as_deref()
    }

    /// The path of a record as later events tell it, or as it was granted to an auditor.
    ///
    /// # Errors
    /// When the log or the key store fails.
    pub(crate) async fn later_path(&mut self, record: RecordId) -> Result<Option<String>, Error> {
        if let Some(granted) = &self.granted {
            return Ok(granted.path(record).cloned());
        }
        self.later.path(record, self.end).await
    }

    /// What a request in this commit was answered: the state here is that of its place. `need` is
    /// what it needed, as far as that is known.
    ///
    /// # Errors
    /// When the temporary view fails.
    pub fn judge(
        &self,
        opened: &Opened,
        fact: &Fact,
        asked: &ResolutionRequested,
        need: Option<&Need>,
    ) -> Result<Ruling, Error> {
        let time = time_of(opened.header.time, self.head().time);
        Ok(judge(self.state(), time, fact, asked, need)?)
    }
}
