//! Epochs that end: after days, or after so many commits. Whichever node comes first ends them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use billfold_core::{
    Millis,
    id::{FactKeyId, Seq},
    state::Epoch,
};

use billfold_streams::custody::Custody;

use crate::{
    config::Settings,
    wallet::{Error, Wallet},
};

const DAY: u64 = 86_400_000;

/// Says when an epoch is to end.
pub(super) struct Roller {
    days: u64,
    commits: u64,
    /// Up to where nothing stands in this epoch.
    idle: (FactKeyId, Seq),
}

impl Roller {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            days: u64::from(settings.epoch_days),
            commits: settings.epoch_commits,
            idle: (FactKeyId::default(), Seq::ZERO),
        }
    }

    /// How long to wait before the next look.
    const fn pause(&self) -> Duration {
        match self.commits {
            0 => Duration::from_secs(60),
            _ => Duration::from_secs(2),
        }
    }

    /// Ends the current epoch if it is due.
    async fn look(&mut self, wallet: &Wallet) -> Result<(), Error> {
        let Some((id, epoch)) = wallet.epoch()? else {
            return Ok(());
        };
        let is_due = self.is_over(&epoch, wallet.now()) || self.is_full(&epoch, wallet).await?;
        if !is_due {
            return Ok(());
        }
        // The log of a wallet that nobody uses does not grow.
        if self.idle.0 != id {
            self.idle = (id, epoch.seq);
        }
        let idle = wallet.keychain().idle_since(self.idle.1).await;
        match idle.map_err(|error| Error::Unavailable(error.to_string()))? {
            Some(idle) => self.idle.1 = idle,
            None => wallet.begin_epoch().await?,
        }
        Ok(())
    }

    fn is_over(&self, epoch: &Epoch, now: Millis) -> bool {
        let span = |time: Millis| (time.0 / DAY).checked_div(self.days);
        span(now) > span(epoch.began)
    }

    async fn is_full(&self, epoch: &Epoch, wallet: &Wallet) -> Result<bool, Error> {
        if self.commits == 0 {
            return Ok(false);
        }
        let end = wallet.keychain().end_of_log().await;
        let end = end.map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok(end.0.saturating_sub(epoch.seq.0) >= self.commits)
    }
}

/// Ends epochs that are due, now and then.
pub(super) async fn keep_rolling(wallet: Weak<Wallet>, mut roller: Roller) {
    loop {
        tokio::time::sleep(roller.pause()).await;
        let Some(wallet) = wallet.upgrade() else {
            return;
        };
        if let Err(error) = roller.look(&wallet).await {
            tracing::warn!(%error, "the epoch could not be ended; trying again");
        }
    }
}

/// Grants each further epoch to the auditors who are to have it, when it ends; now and then whatever
/// else another node left undone.
pub(super) async fn keep_granted(wallet: Weak<Wallet>, custody: Arc<Custody>) {
    const PAUSE: Duration = Duration::from_secs(60);
    loop {
        let current = custody.epoch().id;
        let Some(open) = wallet.upgrade() else {
            return;
        };
        let granted = open.fulfil_grants().await;
        drop(open);
        if let Err(error) = granted {
            tracing::warn!(%error, "an auditor grant is not complete yet; trying again");
        }
        let _ = tokio::time::timeout(PAUSE, custody.epoch_began(current)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_with_its_day_by_utc() {
        let noon = Millis(20_000 * DAY + DAY / 2);
        let epoch = Epoch {
            number: 1,
            seq: Seq(7),
            began: noon,
            ended: None,
        };
        let after = |days, now: u64| {
            let settings = Settings {
                epoch_days: days,
                ..Settings::default()
            };
            Roller::new(&settings).is_over(&epoch, Millis(now))
        };
        let midnight = 20_001 * DAY;
        assert!(!after(1, midnight - 1));
        assert!(after(1, midnight));
        assert!(!after(0, midnight + 900 * DAY), "never");
        // 20,000 is divisible by two: the second day is its epoch's too.
        assert!(!after(2, midnight));
        assert!(after(2, midnight + DAY));
    }
}
