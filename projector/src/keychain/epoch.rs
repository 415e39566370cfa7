//! Whether anything stands in an epoch.

use billfold_core::{event::Event, id::Seq};
use billfold_streams::log::Filter;
use futures::StreamExt as _;

use super::{Error, Keychain};
use crate::chain::{self, Opened};

impl Keychain {
    /// Where the log ends, over all subjects.
    ///
    /// # Errors
    /// When the log cannot be reached.
    pub async fn end_of_log(&self) -> Result<Seq, Error> {
        Ok(self.log.head(Filter::All(self.generation)).await?)
    }

    /// Up to where nothing stands behind `after` but what is about epochs themselves; none when
    /// something else does.
    ///
    /// # Errors
    /// When the log cannot be reached.
    pub async fn idle_since(&self, after: Seq) -> Result<Option<Seq>, Error> {
        let all = Filter::All(self.generation);
        let (mut at, end) = (after, self.log.head(all).await?);
        if at >= end {
            return Ok(Some(at));
        }
        let mut messages = self.log.read(all, at).await?;
        while at < end {
            let Some(message) = messages.next().await else {
                break;
            };
            let message = message?;
            // What does not open is no node's record: whoever follows the log says what it is.
            if chain::open(&self.custody, &message).is_ok_and(|opened| counts(&opened)) {
                return Ok(None);
            }
            at = message.seq;
        }
        Ok(Some(at))
    }
}

fn counts(opened: &Opened) -> bool {
    let mut entries = opened.entries.iter();
    let about_epochs = |event: &Event| {
        matches!(
            event,
            Event::EpochBegan(_) | Event::EpochsGranted(_) | Event::NamesGranted(_)
        )
    };
    entries.any(|entry| !about_epochs(&entry.fact.event))
}
