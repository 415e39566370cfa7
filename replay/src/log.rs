//! Each event of the log in its order, and what each request was answered.

mod filter;
mod line;
pub(crate) mod names;
mod partial;

use std::sync::Arc;

use billfold_core::{
    Millis,
    commit::{CommitHash, Entry},
    event::Event,
    id::{MountId, Seq},
    moment::Moment,
};
use billfold_projector::chain::Opened;

pub use filter::{Digits, Filter, Kind, OUTCOMES, Outcome, PathFilter};
pub use line::{Answer, Line, Name};

use self::{filter::Here, names::Names};
use crate::{Error, Source, Walk};

/// Which events are told, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The first sequence, or the first time that a commit may have.
    pub from: Option<Moment>,
    /// The last of them; none for the log's end.
    pub to: Option<Moment>,
    /// Whether names are opened: paths, and from where a request came. Payloads never are.
    pub names: bool,
    /// Which of the events there.
    pub filter: Filter,
}

impl Query {
    fn has(&self, seq: Seq, time: Millis) -> bool {
        self.begins(seq, time) && self.to.is_none_or(|to| to.has(seq, time))
    }

    fn begins(&self, seq: Seq, time: Millis) -> bool {
        match self.from {
            None => true,
            Some(Moment::Seq(from)) => seq >= from,
            Some(Moment::Time(from)) => time >= from,
        }
    }
}

/// A commit, as far as it is told.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its position.
    pub sequence: Seq,
    /// What it hashes to.
    pub hash: CommitHash,
    /// Those of its events that were asked for, in their order.
    pub lines: Vec<Line>,
}

/// The events of a log in their order, up to where an auditor's key does not open one. The log before
/// them is folded all the same: a verdict needs the state at its place.
#[derive(Debug)]
pub struct Listing {
    walk: Walk,
    query: Query,
    last: Seq,
    /// What stands up to here is folded, and not told.
    told: Seq,
}

impl Listing {
    /// Begins at the log's beginning.
    ///
    /// # Errors
    /// When the query ends before it begins, or the log cannot be reached.
    pub async fn start(source: &Source, query: Query) -> Result<Self, Error> {
        let is_backwards = match (query.from, query.to) {
            (Some(Moment::Seq(from)), Some(Moment::Seq(to))) => to < from,
            (Some(Moment::Time(from)), Some(Moment::Time(to))) => to < from,
            _ => false,
        };
        if is_backwards {
            return Err(Error::Usage("the range ends before it begins".to_owned()));
        }
        let last = match query.to {
            Some(Moment::Seq(to)) => to,
            Some(Moment::Time(_)) | None => Seq(u64::MAX),
        };
        let head = source.head().await?.min(last);
        // Where an auditor's key does not open all, there is no state and no outcome from there on.
        let closed = source.first_closed().map(|closed| Seq(closed.0 - 1));
        Ok(Self {
            walk: Walk::start(source, closed.map_or(head, |open| open.min(head))).await?,
            query,
            last,
            told: Seq::ZERO,
        })
    }

    /// Tells only what stands behind this sequence.
    pub fn tell_behind(&mut self, sequence: Seq) {
        self.told = sequence;
    }

    /// The next commit, with those of its events that were asked for: there may be none. None at the
    /// end of the log as it was when it was last looked at.
    ///
    /// # Errors
    /// At the first place where the log is broken, or when it cannot be reached.
    pub async fn next(&mut self) -> Result<Option<Told>, Error> {
        let Some(opened) = self.walk.next().await? else {
            return Ok(None);
        };
        let (seq, time) = (opened.seq, opened.header.time);
        let lines = match seq > self.told && self.query.has(seq, time) {
            true => self.tell(&opened).await?,
            false => Vec::new(),
        };
        self.walk.fold(&opened).await?;
        Ok(Some(Told {
            sequence: seq,
            hash: opened.hash,
            lines,
        }))
    }

    /// Waits until the log goes on, however long that takes: then [`Self::next`] does, too. False
    /// when what was asked for has ended.
    ///
    /// # Errors
    /// When the log gives nothing although it has more, or is closed.
    pub async fn wait(&mut self) -> Result<bool, Error> {
        if self.walk.last() >= self.last {
            return Ok(false);
        }
        self.walk.wait(self.last).await?;
        Ok(true)
    }

    async fn tell(&mut self, opened: &Opened) -> Result<Vec<Line>, Error> {
        let (filter, mut lines) = (&self.query.filter, Vec::new());
        for (index, entry) in opened.entries.iter().enumerate() {
            let line = Line {
                void: self.walk.is_void(),
                ..Line::new(opened, index, entry)
            };
            if filter.may_pass(&line) {
                lines.push((line, entry, None));
            }
        }
        for (line, entry, _) in &mut lines {
            if let Event::ResolutionRequested(asked) = &entry.fact.event {
                line.answer = Some(match line.void {
                    true => Answer::void(),
                    false => {
                        Answer::new(&names::ruling(&mut self.walk, opened, entry, asked).await?)
                    }
                });
            }
        }
        if (self.query.names || filter.looks_at_names()) && !lines.is_empty() {
            // Names that came before are looked up in the temporary view.
            self.walk.write()?;
            let mut names = Names::before(&self.walk);
            let mut told = lines.iter_mut().peekable();
            for (index, entry) in opened.entries.iter().enumerate() {
                match told.next_if(|(line, _, _)| line.index == index) {
                    Some((line, _, mount)) => {
                        names.add_to(line, opened, entry).await?;
                        *mount = names.mount_of(line)?;
                    }
                    // Those behind it may be about what it names.
                    None => names.learn(entry)?,
                }
            }
        }
        let mut passed = Vec::new();
        for (line, entry, mount) in lines {
            if self.query.filter.passes(&line) && self.is_about(&line, entry, mount).await? {
                passed.push(match self.query.names {
                    true => line,
                    false => line.without_names(),
                });
            }
        }
        Ok(passed)
    }

    async fn is_about(
        &mut self,
        line: &Line,
        entry: &Entry,
        mount: Option<MountId>,
    ) -> Result<bool, Error> {
        let Some(path) = self.query.filter.path.clone() else {
            return Ok(true);
        };
        let (custody, event) = (Arc::clone(self.walk.custody()), &entry.fact.event);
        let keys = custody.keys();
        let here = Here {
            state: self.walk.state(),
            ids: &keys.id,
            mount,
        };
        if let Some(holds) = path.holds(line, event, &here)? {
            return Ok(holds);
        }
        let record = line.record.unwrap_or_default();
        let Some(below) = self.walk.later_path(record).await? else {
            return Ok(false);
        };
        let here = Here {
            state: self.walk.state(),
            ids: &keys.id,
            mount,
        };
        Ok(path.holds_below(event, &here, &below)?)
    }
}

/// Tells the events that were asked for to `each`, up to where the log ends now.
///
/// # Errors
/// At the first place where the log is broken, when it cannot be reached, or when `each` fails.
pub async fn log(
    source: &Source,
    query: &Query,
    each: &mut (dyn FnMut(&Line) -> Result<(), Error> + Send),
) -> Result<(), Error> {
    let mut listing = Listing::start(source, query.clone()).await?;
    while let Some(told) = listing.next().await? {
        told.lines.iter().try_for_each(&mut *each)?;
    }
    closed_facts(source, query, each).await
}

/// The options of a filter, if any, under which the log has no event at all, whatever else is asked for:
/// of what nobody ever did anything with, nothing is told either.
///
/// # Errors
/// As [`log`].
pub async fn unknown(source: &Source, query: &Query) -> Result<Vec<&'static str>, Error> {
    let Filter {
        path,
        principal,
        token,
        ..
    } = query.filter.clone();
    let none = Filter::default;
    let alone = [
        (
            "--path",
            path.map(|path| Filter {
                path: Some(path),
                ..none()
            }),
        ),
        (
            "--principal",
            principal.map(|id| Filter {
                principal: Some(id),
                ..none()
            }),
        ),
        (
            "--token",
            token.map(|id| Filter {
                token: Some(id),
                ..none()
            }),
        ),
    ];
    let mut unknown = Vec::new();
    for (option, filter) in alone {
        if let Some(filter) = filter
            && !has_any(
                source,
                Query {
                    filter,
                    ..Query::default()
                },
            )
            .await?
        {
            unknown.push(option);
        }
    }
    Ok(unknown)
}

async fn has_any(source: &Source, query: Query) -> Result<bool, Error> {
    let mut listing = Listing::start(source, query.clone()).await?;
    while let Some(told) = listing.next().await? {
        if !told.lines.is_empty() {
            return Ok(true);
        }
    }
    let mut found = false;
    let mut each = |_: &Line| {
        found = true;
        Ok(())
    };
    closed_facts(source, &query, &mut each).await?;
    Ok(found)
}

/// Tells the facts from the first sequence on that is closed to an auditor's key, as far as it opens
/// them: without outcomes, which nobody can tell there.
///
/// # Errors
/// As [`log`].
pub async fn closed_facts(
    source: &Source,
    query: &Query,
    each: &mut (dyn FnMut(&Line) -> Result<(), Error> + Send),
) -> Result<(), Error> {
    match source.granted.as_deref() {
        None => Ok(()),
        Some(granted) => partial::tell(source, granted, query, each).await,
    }
}
