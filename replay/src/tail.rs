//! Messages of a log that is known to have more: each comes within a time, or the log counts as out of
//! reach.

use std::{sync::Arc, time::Duration};

use billfold_core::id::Seq;
use billfold_streams::{
    EventLog,
    log::{Filter, Message, Tail},
};
use futures::StreamExt as _;

use crate::Error;

/// How long a log may give nothing although it has more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The messages behind a place.
pub(crate) struct Bounded {
    tail: Tail,
    patience: Duration,
}

impl Bounded {
    /// Reads what is behind `after`.
    pub(crate) async fn read(
        log: &Arc<dyn EventLog>,
        filter: Filter,
        after: Seq,
        patience: Duration,
    ) -> Result<Self, Error> {
        let tail = within(patience, async { Some(log.read(filter, after).await) }).await??;
        Ok(Self { tail, patience })
    }

    /// The next message, which the log said that it has.
    pub(crate) async fn next(&mut self) -> Result<Message, Error> {
        Ok(within(self.patience, self.tail.next()).await??)
    }
}

/// What comes next of a log that said that it has more.
pub(crate) async fn within<T>(
    patience: Duration,
    next: impl Future<Output = Option<T>>,
) -> Result<T, Error> {
    let short = |why: &str| Error::Unreachable(format!("the log {why} before its end"));
    let next = tokio::time::timeout(patience, next).await;
    let next = next.map_err(|_| short("gives nothing more"))?;
    next.ok_or_else(|| short("closed"))
}
