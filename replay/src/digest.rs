//! The digest of the fold: equal wherever the same log was folded.

use billfold_core::{id::Seq, state::Digest};

use crate::{Error, Source, Walk};

/// Where a fold came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// The last decided commit that is in it.
    pub sequence: Seq,
    /// Its digest.
    pub digest: Digest,
}

/// Folds the log from zero up to `at`, a sequence on any subject, or to its end. `progress` is told
/// each sequence and where it ends.
///
/// # Errors
/// When the log ends before `at`, is broken before it, or cannot be reached.
pub async fn digest(
    source: &Source,
    at: Option<Seq>,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Folded, Error> {
    let head = source.head().await?;
    let end = at.unwrap_or(head);
    if end > head {
        return Err(Error::Usage(format!("the log ends at sequence {head}")));
    }
    let mut walk = Walk::start(source, end).await?;
    while let Some(opened) = walk.next().await? {
        walk.fold(&opened).await?;
        progress(opened.seq, end);
    }
    Ok(Folded {
        sequence: walk.head().seq,
        digest: walk.state().digest(),
    })
}
