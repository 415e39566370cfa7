//! What was true at a moment of the past, by the log alone.
//!
//! A [`Past`] goes over the log once, and can be asked at every moment on its way. Names that were
//! erased since are not known any more, whatever is asked; that something was there always is.

mod access;
mod diff;
mod held;
mod keychain;
mod mounts;
mod then;

use std::sync::Arc;

use billfold_core::{Millis, id::Seq, moment::Moment, state::Wallet, state::key_status::KeyStatus};
use billfold_projector::chain::Opened;
use serde::Serialize;

pub use diff::{Changed, Diff, Differences, Field, diff};
pub use then::{Part, Row, Then};

use crate::{Error, Source, Walk};

/// The status of the wallet's keys at a moment: what a node answered then, as far as the log says
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeysThen {
    /// The status.
    #[serde(flatten)]
    pub status: KeyStatus,
    /// The last decided sequence that it comes of.
    pub sequence: Seq,
}

/// The status of the wallet's keys at a moment. `progress` is told each sequence and where it ends.
///
/// # Errors
/// When the moment is still to come or there was no wallet yet; when the log is broken before it, or
/// cannot be reached.
pub async fn key_status(
    source: &Source,
    at: Moment,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<KeysThen, Error> {
    let mut past = Past::start(source).await?;
    past.go_to(at, progress).await?;
    let wallet = past.wallet()?;
    Ok(KeysThen {
        status: KeyStatus::of(&wallet),
        sequence: past.walk.head().seq,
    })
}

/// What was true at a moment. `progress` is told each sequence and where it ends.
///
/// # Errors
/// When the moment is still to come or there was no wallet yet; when the log is broken before it, or
/// cannot be reached.
pub async fn at(
    source: &Source,
    at: Moment,
    parts: &[Part],
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Then, Error> {
    let mut past = Past::start(source).await?;
    past.go_to(at, progress).await?;
    past.tell(parts).await
}

/// A walk that stops at moments.
#[derive(Debug)]
pub struct Past {
    walk: Walk,
    /// A commit that was read and belongs to a later moment.
    ahead: Option<Opened>,
    at: Option<Moment>,
    time: Millis,
    /// When the walk began, by the log's clock.
    now: Millis,
    /// What is told where an auditor's key opens no more.
    closed: Option<Error>,
}

impl Past {
    /// Begins before the first commit; it can go up to where the log ends now.
    ///
    /// # Errors
    /// When the log cannot be reached, or there is no room for a temporary view.
    pub async fn start(source: &Source) -> Result<Self, Error> {
        // The clock first: what is appended after this look at the log is of a later time.
        let now = source.now().await?;
        let head = source.head().await?;
        let closed = source.require_open(head).err();
        let end = match source.first_closed() {
            Some(first) => head.min(Seq(first.0 - 1)),
            None => head,
        };
        Ok(Self {
            walk: Walk::start(source, end).await?,
            ahead: None,
            at: None,
            time: Millis(0),
            now,
            closed,
        })
    }

    /// Goes on to a moment. `progress` is told each sequence and where it ends.
    ///
    /// # Errors
    /// When the moment is still to come, or lies behind; when the log is broken before it, or cannot
    /// be reached.
    pub async fn go_to(
        &mut self,
        at: Moment,
        progress: &mut (dyn FnMut(Seq, Seq) + Send),
    ) -> Result<(), Error> {
        let head = self.walk.end();
        let end = match at {
            Moment::Seq(seq) if seq > head => {
                if let Some(closed) = self.closed.take() {
                    return Err(closed);
                }
                return Err(Error::Usage(format!("the log ends at sequence {head}")));
            }
            Moment::Seq(seq) => seq,
            Moment::Time(_) => head,
        };
        if let Some(before) = self.at.filter(|_| self.is_past(at)) {
            return Err(Error::Usage(format!("{at} is before {before}")));
        }
        self.at = Some(at);
        while let Some(opened) = self.next(at).await? {
            self.walk.fold(&opened).await?;
            // What is void may say any time.
            if !self.walk.is_void() {
                self.time = self.time.max(opened.header.time);
            }
            progress(opened.seq, end);
        }
        if let Moment::Time(time) = at {
            // What is closed may be of this time as well.
            if self.ahead.is_none()
                && let Some(closed) = self.closed.take()
            {
                return Err(closed);
            }
            // What comes next in the log may still be of this time.
            if time > self.now.max(self.walk.head().time) {
                return Err(Error::Usage(format!("{at} is still to come")));
            }
            self.time = time;
        }
        Ok(())
    }

    /// Whether it has gone past a moment already.
    fn is_past(&self, at: Moment) -> bool {
        match at {
            Moment::Seq(seq) => {
                let last = self
                    .ahead
                    .as_ref()
                    .map_or(self.walk.last(), |ahead| Seq(ahead.seq.0.saturating_sub(1)));
                seq < last
            }
            Moment::Time(time) => time < self.time,
        }
    }

    /// The next commit that belongs to the moment.
    async fn next(&mut self, at: Moment) -> Result<Option<Opened>, Error> {
        let opened = match self.ahead.take() {
            Some(ahead) => ahead,
            None => match at {
                Moment::Seq(seq) if self.walk.last() >= seq => return Ok(None),
                _ => match self.walk.next().await? {
                    Some(opened) => opened,
                    None => return Ok(None),
                },
            },
        };
        let belongs = match at {
            Moment::Seq(seq) => opened.seq <= seq,
            // Of what was only asked, each process has its own time.
            Moment::Time(_) => {
                !opened.header.subject.is_decided() || at.has(opened.seq, opened.header.time)
            }
        };
        match belongs {
            true => Ok(Some(opened)),
            false => {
                self.ahead = Some(opened);
                Ok(None)
            }
        }
    }

    /// Tells what is true here.
    ///
    /// # Errors
    /// When there is no wallet yet, or the key store or the temporary view fails.
    pub async fn tell(&mut self, parts: &[Part]) -> Result<Then, Error> {
        let wallet = self.wallet()?;
        self.walk.write()?;
        let mut told = Vec::with_capacity(parts.len());
        for part in parts {
            let rows = match part {
                Part::Keychain => keychain::rows(&mut self.walk).await?,
                Part::Mounts => mounts::rows(&self.walk).await?,
                Part::Policies => access::policies(&self.walk, self.time)?,
                Part::Tokens => access::tokens(&self.walk, &wallet, self.time).await?,
                Part::Roles => access::roles(&self.walk)?,
                Part::KeyStatus => vec![Row::new("wallet", "wallet", &KeyStatus::of(&wallet))?],
                Part::Holds => held::holds(&self.walk).await?,
                Part::Erasures => held::erasures(&self.walk, &wallet).await?,
            };
            told.push((*part, rows));
        }
        Ok(Then {
            sequence: self.walk.head().seq,
            asked: self.at,
            time: self.time,
            parts: told,
        })
    }

    fn wallet(&self) -> Result<Arc<Wallet>, Error> {
        let wallet = self.walk.state().wallet()?;
        wallet.ok_or_else(|| {
            let at = self.at.map_or_else(String::new, |at| format!("at {at} "));
            Error::Usage(format!("{at}there was no wallet yet"))
        })
    }
}
