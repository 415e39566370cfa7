//! Waiting longer after each failure.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// Waits of 10 ms, then twice as long each time, up to 1 s; each cut at random by up to a half, so
/// that those who failed together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { next: FIRST }
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.take()).await;
    }

    fn take(&mut self) -> Duration {
        let full = self.next;
        self.next = full.saturating_mul(2).min(LONGEST);
        // Without randomness the full time is as good.
        let share = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
        full.mul_f64(0.5 + share / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..12).map(|_| backoff.take()).collect();
        assert!(
            waits
                .iter()
                .all(|wait| *wait >= FIRST / 2 && *wait <= LONGEST)
        );
        assert!(waits.iter().skip(7).all(|wait| *wait >= LONGEST / 2));
    }
}
