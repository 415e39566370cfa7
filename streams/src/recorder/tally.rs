//! Refusals over the bound of their source, counted until a commit takes them along (invariant 10).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use billfold_core::Millis;
use tokio::{sync::Notify, time::Instant};

/// How long refusals are gathered before a commit tells of them: whatever is sent, however patiently,
/// their record grows by one event in this time.
const GATHER: Duration = Duration::from_secs(1);

/// How many, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) count: u32,
    /// How many of them were over the bound of their source.
    pub(super) over_bound: u32,
    pub(super) since: Millis,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    counted: Mutex<Option<(Counted, Instant)>>,
    began: Notify,
}

impl Tally {
    pub(super) fn count(&self, now: Millis) {
        self.add(Counted {
            count: 1,
            over_bound: 1,
            since: now,
        });
    }

    /// Counts these, again if a commit that took them failed: they wait for another.
    pub(super) fn add(&self, more: Counted) {
        let mut counted = self.counted();
        let due = match *counted {
            Some((_, due)) => due,
            None => Instant::now() + GATHER,
        };
        let sum = match *counted {
            Some((before, _)) => Counted {
                count: before.count.saturating_add(more.count),
                over_bound: before.over_bound.saturating_add(more.over_bound),
                since: before.since.min(more.since),
            },
            None => more,
        };
        if counted.replace((sum, due)).is_none() {
            self.began.notify_one();
        }
    }

    /// Returns when a commit should tell of what is counted. May be dropped and asked again.
    pub(super) async fn due(&self) {
        loop {
            let due = self.counted().map(|(_, due)| due);
            match due {
                Some(due) if due <= Instant::now() => return,
                Some(due) => tokio::time::sleep_until(due).await,
                None => self.began.notified().await,
            }
        }
    }

    /// What is counted, if it is due.
    pub(super) fn take_due(&self) -> Option<Counted> {
        let taken = self.counted().take_if(|(_, due)| *due <= Instant::now());
        taken.map(|(counted, _)| counted)
    }

    /// What is counted, due or not.
    pub(super) fn take(&self) -> Option<Counted> {
        self.counted().take().map(|(counted, _)| counted)
    }

    fn counted(&self) -> MutexGuard<'_, Option<(Counted, Instant)>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_one_by_one_is_told_once_in_a_while() {
        let tally = Tally::default();
        let mut told = Vec::new();
        for at in 0..2_500 {
            tally.count(Millis(at));
            told.extend(tally.take_due());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let sums: Vec<_> = told.iter().map(|counted| counted.since.0).collect();
        assert_eq!(sums, [0, 1_001], "since when each was counted");
        let rest = tally.take().expect("the last ones");
        let all: u32 = told.iter().map(|counted| counted.count).sum();
        assert_eq!(all + rest.count, 2_500);
        assert_eq!(tally.take(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_due_a_while_after_the_first() {
        let tally = Tally::default();
        let nothing = tokio::time::timeout(GATHER * 5, tally.due()).await;
        assert!(nothing.is_err(), "nothing is counted");
        let began = Instant::now();
        tally.count(Millis(7));
        assert_eq!(tally.take_due(), None);
        tally.due().await;
        assert_eq!(began.elapsed().as_secs(), GATHER.as_secs());
        let counted = tally.take_due().expect("due");
        // A commit that failed: they are not lost, and not sent again at once.
        tally.add(counted);
        assert_eq!(tally.take_due(), None);
        tally.due().await;
        assert_eq!(tally.take_due(), Some(counted));
    }
}
