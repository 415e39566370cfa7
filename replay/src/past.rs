//! What was true at a moment of the past, by the log alone.

use billfold_core::{id::Seq, moment::Moment, state::key_status::KeyStatus};
use serde::Serialize;

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
    let walk = walk_to(source, at, progress).await?;
    let wallet = walk.state().wallet()?;
    let wallet = wallet.ok_or_else(|| Error::Usage(format!("at {at} there was no wallet yet")))?;
    Ok(KeysThen {
        status: KeyStatus::of(&wallet),
        sequence: walk.head().seq,
    })
}

/// A walk that has come to a moment.
async fn walk_to(
    source: &Source,
    at: Moment,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Walk, Error> {
    // The clock first: what is appended after this look at the log is of a later time.
    let now = source.now().await?;
    let head = source.head().await?;
    let end = match at {
        Moment::Seq(seq) if seq > head => {
            return Err(Error::Usage(format!("the log ends at sequence {head}")));
        }
        Moment::Seq(seq) => seq,
        Moment::Time(_) => head,
    };
    let mut walk = Walk::start(source, end).await?;
    while let Some(opened) = walk.next().await? {
        let decided = opened.header.subject.is_decided();
        if decided && !at.has(opened.seq, opened.header.time) {
            return Ok(walk);
        }
        walk.fold(&opened).await?;
        progress(opened.seq, end);
    }
    match at {
        // What comes next in the log may still be of this time.
        Moment::Time(time) if time > now.max(walk.head().time) => {
            Err(Error::Usage(format!("{at} is still to come")))
        }
        _ => Ok(walk),
    }
}
