//! A bundle as a log that is only read.

use std::{
    fmt,
    fs::File,
    io::{BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use billfold_core::{
    Millis,
    commit::Sealed,
    id::{Seq, WalletId},
    proof::Note,
    subject::{Generation, Subject},
};
use billfold_streams::{
    EventLog,
    log::{self, AppendError, Filter, Message, Tail},
};
use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc;

use super::file::{Head, Item, Reader};
use crate::Error;

/// How many messages are read ahead.
const AHEAD: usize = 1024;

/// A bundle whose every item was read once: it is whole, and not damaged.
pub struct Bundle {
    path: PathBuf,
    head: Head,
    /// Where the message of each sequence begins in the file, and its subject.
    places: Vec<(u64, Subject)>,
    largest: usize,
    notes: Vec<Note>,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle({} messages)", self.places.len())
    }
}

impl Bundle {
    /// Opens a bundle, and reads all of it.
    ///
    /// # Errors
    /// When it is none, is damaged, or was cut short.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        let reading = tokio::task::spawn_blocking(move || Self::read_through(path));
        let joined = reading.await;
        joined.map_err(|error| Error::Machine(error.to_string()))?
    }

    fn read_through(path: PathBuf) -> Result<Self, Error> {
        let opened = File::open(&path);
        let file = opened.map_err(|error| Error::unread("the bundle", &path, &error))?;
        let (mut reader, head) = Reader::begin(BufReader::new(file), &path)?;
        let (mut places, mut largest) = (Vec::new(), 0);
        loop {
            let at = reader.at();
            match reader.next()? {
                Item::Message(message) => {
                    places.push((at, message.subject));
                    largest = largest.max(message.bytes.len());
                }
                Item::End { notes } => {
                    return Ok(Self {
                        path,
                        head,
                        places,
                        largest,
                        notes,
                    });
                }
            }
        }
    }

    /// The wallet that it says it is of.
    #[must_use]
    pub const fn wallet(&self) -> WalletId {
        self.head.wallet
    }

    /// The generation that it says it is of.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.head.generation
    }

    /// The last sequence in it.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        Seq(self.places.len() as u64)
    }

    /// The size of its largest message, in bytes.
    #[must_use]
    pub const fn largest(&self) -> usize {
        self.largest
    }

    /// The checkpoints from outside that were put beside the log.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Its messages behind this sequence.
    pub(super) fn messages(&self, after: Seq) -> BoxStream<'static, Result<Message, Error>> {
        let (to, from) = mpsc::channel(AHEAD);
        let (path, end) = (self.path.clone(), self.last_seq());
        if let Some((at, _)) = self.place(after.next()) {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = send(&path, at, after, end, &to) {
                    // Whoever read has seen enough.
                    let _ = to.blocking_send(Err(error));
                }
            });
        }
        stream::unfold(from, async |mut from| Some((from.recv().await?, from))).boxed()
    }

    fn place(&self, seq: Seq) -> Option<(u64, Subject)> {
        let index = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.places.get(index).copied()
    }

    async fn message(&self, seq: Seq) -> Result<Option<Message>, log::Error> {
        let Some((at, _)) = self.place(seq) else {
            return Ok(None);
        };
        let path = self.path.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut file = open_at(&path, at)?;
            super::file::message(&mut file, seq)
        });
        let read = reading
            .await
            .map_err(|error| log::Error::Unavailable(error.to_string()))?;
        read.map(Some).map_err(as_log)
    }
}

fn open_at(path: &Path, at: u64) -> Result<BufReader<File>, Error> {
    let opened = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(at))?;
        Ok(BufReader::new(file))
    });
    opened.map_err(|error| Error::Unreachable(format!("the bundle cannot be read: {error}")))
}

fn send(
    path: &Path,
    at: u64,
    mut last: Seq,
    end: Seq,
    to: &mpsc::Sender<Result<Message, Error>>,
) -> Result<(), Error> {
    let mut file = open_at(path, at)?;
    while last < end {
        last = last.next();
        let message = super::file::message(&mut file, last)?;
        if to.blocking_send(Ok(message)).is_err() {
            break;
        }
    }
    Ok(())
}

fn as_log(error: Error) -> log::Error {
    match error {
        Error::Broken(finding) => log::Error::Damaged {
            at: finding.sequence.unwrap_or_default(),
            what: finding.what,
        },
        other => log::Error::Unavailable(other.to_string()),
    }
}

#[async_trait]
impl EventLog for Bundle {
    fn max_message(&self) -> usize {
        0
    }

    async fn append(&self, _: &Subject, _: Seq, _: Bytes) -> Result<Seq, AppendError> {
        Err(AppendError::Refused("a bundle is only read".to_owned()))
    }

    async fn last(&self, subject: &Subject) -> Result<Option<Message>, log::Error> {
        let is_on = |(_, on): &(u64, Subject)| on == subject;
        match self.places.iter().rposition(is_on) {
            Some(index) => self.message(Seq(index as u64 + 1)).await,
            None => Ok(None),
        }
    }

    async fn next_after(
        &self,
        subject: &Subject,
        after: Seq,
    ) -> Result<Option<Message>, log::Error> {
        let behind = usize::try_from(after.0).unwrap_or(usize::MAX);
        let mut behind = self.places.iter().enumerate().skip(behind);
        match behind.find(|(_, (_, on))| on == subject) {
            Some((index, _)) => self.message(Seq(index as u64 + 1)).await,
            None => Ok(None),
        }
    }

    async fn head(&self, filter: Filter) -> Result<Seq, log::Error> {
        let admitted = |(_, on): &(u64, Subject)| filter.admits(on);
        let last = self.places.iter().rposition(admitted);
        Ok(last.map_or(Seq::ZERO, |index| Seq(index as u64 + 1)))
    }

    /// Nothing comes behind the last one: whoever waits for more waits for ever.
    async fn read(&self, filter: Filter, after: Seq) -> Result<Tail, log::Error> {
        let messages = self
            .messages(after)
            .map(|message| message.map_err(as_log))
            .filter(move |message| {
                let admitted = message
                    .as_ref()
                    .map_or(true, |message| filter.admits(&message.subject));
                std::future::ready(admitted)
            });
        Ok(messages.chain(stream::pending()).boxed())
    }

    /// A bundle has no clock: its time is that of its last commit.
    async fn now(&self) -> Result<Millis, log::Error> {
        let last = self.message(self.last_seq()).await?;
        let read = last.and_then(|last| Sealed::parse(&last.bytes).ok());
        Ok(read.map_or(Millis(0), |sealed| sealed.header.time))
    }
}
