//! How long to wait before the next attempt to connect.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// About how long the first pause is before asking again for a subscription that was
/// refused after reconnecting.
pub const AGAIN_FIRST: Duration = Duration::from_millis(250);

/// The longest such pause. It is short: asking costs one line, and until it
/// succeeds somebody hears nothing.
pub const AGAIN_LONGEST: Duration = Duration::from_secs(4);

/// How long an attempt to connect again may take: a machine that is switched
/// off does not answer at all, and the next attempt may find it back.
pub const CONNECT_LONGEST: Duration = Duration::from_secs(5);

/// Pauses that double up to a limit. Each is drawn at random from the upper
/// half, so that many clients of one broker do not all come back at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
    /// When the broker expects this client back, if it has said so.
    told: Option<Duration>,
}

/// Returns a number below `below`, which must not be 0, to make clients differ. It may
/// be guessable: nothing for secrets.
pub fn random(below: u64) -> u64 {
    // A fresh RandomState hashes with fresh random keys.
    RandomState::new().build_hasher().finish() % below
}

impl Default for Backoff {
    /// From a quarter of a second up to half a minute.
    fn default() -> Self {
        Backoff::up_to(Duration::from_secs(30))
    }
}

impl Backoff {
    /// Pauses from about `first` up to `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Backoff { first, max, next: first.min(max), told: None }
    }

    /// The usual pauses, but up to `max`.
    #[must_use]
    pub fn up_to(max: Duration) -> Self {
        Backoff::new(Duration::from_millis(250), max)
    }

    /// Takes the reason of the broker's `bye`, which may say when to come back, as in
    /// `drain retry=5`. A time beyond `max` counts as `max`.
    pub fn told(&mut self, reason: &str) {
        let secs = reason.split(' ').find_map(|field| field.strip_prefix("retry="));
        let time = secs.and_then(|secs| secs.parse().ok()).map(Duration::from_secs);
        self.told = time.map(|time| time.min(self.max));
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        if let Some(time) = self.told.take() {
            // Up to a quarter more, so that clients do not all come back at once.
            return time + time * u32::try_from(random(251)).unwrap_or(0) / 1000;
        }
        let full = self.next;
        self.next = full.saturating_mul(2).min(self.max);
        let thousandths = u32::try_from(random(501)).unwrap_or(0);
        full.saturating_mul(500 + thousandths) / 1000
    }

    /// It worked: the next pause is the first again.
    pub fn reset(&mut self) {
        self.next = self.first.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
        for full in [1, 2, 4, 8, 8] {
            let pause = backoff.pause();
            let full = Duration::from_secs(full);
            assert!(full / 2 <= pause && pause <= full, "{pause:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_secs(1));
    }

    #[test]
    fn pauses_differ() {
        let pauses: std::collections::HashSet<Duration> =
            (0..50).map(|_| Backoff::default().pause()).collect();
        assert!(pauses.len() > 10);
    }

    #[test]
    fn who_is_told_when_to_come_back_does_so_once() {
        for (secs, max, least) in [(5, 30, 5), (1_000_000, 60, 60), (5, 1, 1)] {
            let mut backoff = Backoff::up_to(Duration::from_secs(max));
            backoff.told("shutdown");
            assert!(backoff.pause() <= Duration::from_millis(250));
            backoff.told(&format!("drain retry={secs}"));
            let least = Duration::from_secs(least);
            assert!((least..=least * 5 / 4).contains(&backoff.pause()));
            assert!(backoff.pause() <= Duration::from_secs(1));
        }
    }
}
