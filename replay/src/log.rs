//! Each event of the log in its order, and what each request was answered.

mod line;
pub(crate) mod names;

use std::collections::VecDeque;

use billfold_core::{event::Event, id::Seq};
use billfold_projector::chain::Opened;

pub use line::{Answer, Line, Name};

use self::names::Names;
use crate::{Error, Source, Walk};

/// Which events are told, and how much of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// The first sequence.
    pub from: Seq,
    /// The last sequence; none for the log's end.
    pub to: Option<Seq>,
    /// Whether names are opened: paths, and from where a request came. Payloads never are.
    pub names: bool,
}

/// Tells the events of a range to `each`, in the order of the log. The log before the range is
/// folded all the same: a verdict needs the state at its place.
///
/// # Errors
/// At the first place where the log is broken, when it cannot be reached, or when `each` fails.
pub async fn log(
    source: &Source,
    range: &Range,
    each: &mut (dyn FnMut(&Line) -> Result<(), Error> + Send),
) -> Result<(), Error> {
    if range.to.is_some_and(|to| to < range.from) {
        return Err(Error::Usage("the range ends before it begins".to_owned()));
    }
    let head = source.head().await?;
    let end = range.to.map_or(head, |to| to.min(head));
    let mut walk = Walk::start(source, end).await?;
    while let Some(opened) = walk.next().await? {
        if opened.seq >= range.from {
            tell(&mut walk, &opened, range.names, each).await?;
        }
        walk.fold(&opened).await?;
    }
    Ok(())
}

async fn tell(
    walk: &mut Walk,
    opened: &Opened,
    with_names: bool,
    each: &mut (dyn FnMut(&Line) -> Result<(), Error> + Send),
) -> Result<(), Error> {
    let mut answers = VecDeque::new();
    for entry in &opened.entries {
        if let Event::ResolutionRequested(asked) = &entry.fact.event {
            let ruling = names::ruling(walk, opened, entry, asked).await?;
            answers.push_back(Answer::new(&ruling));
        }
    }
    let mut names = None;
    if with_names {
        // Names that came before are looked up in the temporary view.
        walk.write()?;
        names = Some(Names::before(walk));
    }
    for (index, entry) in opened.entries.iter().enumerate() {
        let mut line = Line::new(opened, index, entry);
        if matches!(entry.fact.event, Event::ResolutionRequested(_)) {
            line.answer = answers.pop_front();
        }
        if let Some(names) = &mut names {
            names.add_to(&mut line, opened, entry).await?;
        }
        each(&line)?;
    }
    Ok(())
}
