//! Handing events to other systems: each at least once, in the order of the log, from where it ended
//! the last time.
//!
//! The log is the record, so nothing is lost while a target is slow or away: the exporter waits, and
//! nobody waits for it.

mod format;
mod ocsf;
mod position;
mod target;

use std::{path::PathBuf, time::Duration};

use billfold_core::{commit::CommitHash, id::Seq, moment::Moment};

pub use format::Format;
pub use ocsf::{Event as OcsfEvent, VERSION as OCSF_VERSION};
pub use position::Position;
pub use target::{Address, Reach, Server, Syslog, Target, Transport};

use self::{
    position::Kept,
    target::{Message, Untaken},
};
use crate::{
    Check, Error, Finding, Row, Source,
    log::{Listing, Query},
};

/// How many events are handed over at once, at least: those of a commit stay together.
const AT_ONCE: usize = 512;
/// The first wait after a target took nothing, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What is exported, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which events.
    pub query: Query,
    /// How they are told.
    pub format: Format,
    /// Whether to go on with what is appended.
    pub follow: bool,
    /// The file that keeps the position.
    pub position: Option<PathBuf>,
    /// How long a target may take nothing before the export ends; none is for ever.
    pub patience: Option<Duration>,
}

/// What an exporter has to say meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The target took nothing: why, and when it is tried again.
    Waiting(String, Duration),
    /// It takes events again.
    Back,
}

/// Exports until the log's end, or for ever, and says how many events went out. What was handed over before an error stays handed over.
///
/// # Errors
/// When the log is broken or cannot be reached, when it is not the log that the position is of, or
/// when the target took nothing for too long.
pub async fn export(
    source: &Source,
    plan: &Plan,
    target: &mut Target,
    notify: &mut (dyn FnMut(Notice) + Send),
) -> Result<usize, Error> {
    let mut exporter = Exporter::start(source, plan, target).await?;
    let mut count = 0;
    loop {
        while let Some(told) = exporter.listing.next().await? {
            let hash = hex_of(&told.hash);
            exporter.check(told.sequence, &hash)?;
            for line in &told.lines {
                let row = Row::of(source.wallet(), line);
                exporter.batch.push(Message::of(row, plan.format)?);
            }
            count += told.lines.len();
            // How far a time reaches is told by what passed: with a later one, the others may pass.
            let is_timed = matches!(plan.query.to, Some(Moment::Time(_)));
            if !is_timed || !told.lines.is_empty() {
                exporter.end = Some((told.sequence, hash));
            }
            if exporter.batch.len() >= AT_ONCE {
                exporter.hand_over(notify).await?;
            }
        }
        exporter.hand_over(notify).await?;
        if !plan.follow || !exporter.listing.wait().await? {
            return Ok(count);
        }
    }
}

fn hex_of(hash: &CommitHash) -> String {
    hash.as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

struct Exporter<'a> {
    plan: &'a Plan,
    target: &'a mut Target,
    listing: Listing,
    wallet: String,
    kept: Option<Kept>,
    /// Where the last export ended, until it is seen again.
    before: Option<Position>,
    batch: Vec<Message>,
    /// The last commit that was gone over, whose events are in the batch if any passed.
    end: Option<(Seq, String)>,
    /// The last commit of the position.
    saved: Seq,
}

impl<'a> Exporter<'a> {
    async fn start(source: &Source, plan: &'a Plan, target: &'a mut Target) -> Result<Self, Error> {
        let wallet = source.wallet().to_string();
        let kept = plan.position.as_deref().map(Kept::new).transpose()?;
        let before = match &kept {
            Some(kept) => kept.load()?,
            None => None,
        };
        let mut listing = Listing::start(source, plan.query.clone()).await?;
        if let Some(before) = &before {
            if before.wallet != wallet {
                let what = "the position is that of another wallet".to_owned();
                return Err(Error::Usage(what));
            }
            let head = source.head().await?;
            if before.sequence > head {
                let what = format!(
                    "the log ends here, but was exported up to sequence {}: it was cut or rolled back",
                    before.sequence
                );
                return Err(Finding::new(Check::Sequence, head, what).into());
            }
            listing.tell_behind(before.sequence);
        }
        Ok(Self {
            plan,
            target,
            listing,
            wallet,
            kept,
            saved: before.as_ref().map_or(Seq::ZERO, |before| before.sequence),
            before,
            batch: Vec::new(),
            end: None,
        })
    }

    /// Whether the log is still the one that was exported.
    fn check(&mut self, sequence: Seq, hash: &str) -> Result<(), Error> {
        let is_it = |before: &mut Position| before.sequence == sequence;
        match self.before.take_if(is_it) {
            Some(before) if before.commit != hash => {
                let what = "it is another commit than the one that was exported from here";
                Err(Finding::new(Check::Commit, sequence, what).into())
            }
            _ => Ok(()),
        }
    }

    /// Hands the batch over, if anything is in it, and then writes the position.
    async fn hand_over(&mut self, notify: &mut (dyn FnMut(Notice) + Send)) -> Result<(), Error> {
        if !self.batch.is_empty() {
            self.give(notify).await?;
            self.batch.clear();
        }
        if let (Some(kept), Some((sequence, commit))) = (&self.kept, self.end.take())
            && sequence > self.saved
        {
            let position = Position {
                wallet: self.wallet.clone(),
                sequence,
                commit,
            };
            kept.save(&position)?;
            self.saved = sequence;
        }
        Ok(())
    }

    /// Gives the batch to the target, however often that takes.
    async fn give(&mut self, notify: &mut (dyn FnMut(Notice) + Send)) -> Result<(), Error> {
        let (mut taken, mut wait, mut waited) = (0, FIRST_WAIT, Duration::ZERO);
        loop {
            let why = match self.target.take(&self.batch, &mut taken).await {
                Ok(()) => break,
                Err(Untaken::Gone(error)) => return Err(Error::Output(error)),
                Err(Untaken::Never(why)) => return Err(Error::Usage(why)),
                Err(Untaken::TooLarge(sequence)) => {
                    return Err(Error::Unreachable(format!(
                        "sequence {sequence}: an event is larger than a datagram can be, even without its lists"
                    )));
                }
                Err(Untaken::Yet(why)) => why,
            };
            if self
                .plan
                .patience
                .is_some_and(|patience| waited >= patience)
            {
                return Err(Error::Unreachable(format!(
                    "the target takes nothing: {why}"
                )));
            }
            notify(Notice::Waiting(why, wait));
            tokio::time::sleep(wait).await;
            waited += wait;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        if !waited.is_zero() {
            notify(Notice::Back);
        }
        Ok(())
    }
}
