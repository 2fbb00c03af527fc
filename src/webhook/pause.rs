//! Backoff: how long to wait before a delivery is tried again.

use std::time::Duration;
use uuid::Uuid;

/// The pause after the first failure: a receiver that is being restarted is
/// often back by then.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause: a receiver that was away for minutes is found again within
/// one of these.
const LONGEST: Duration = Duration::from_secs(30);

/// The pause after this many failures in a row. Each is twice the one before, and
/// shorter by up to half at random, so that many receivers that failed together are
/// not called together again.
pub(super) fn after(failures: u32) -> Duration {
    let full = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    // A version 4 UUID is random bits of the system.
    let share = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    full.mul_f64(1.0 - share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_grow_to_a_bound_and_differ() {
        for (failures, full_ms) in [(0, 250), (1, 250), (2, 500), (4, 2_000), (7, 16_000)] {
            for _ in 0..100 {
                let pause = after(failures);
                let full = Duration::from_millis(full_ms);
                assert!(full / 2 <= pause && pause <= full, "{failures}: {pause:?}");
            }
        }
        assert!(after(8) <= LONGEST && after(u32::MAX) <= LONGEST);
        assert!(after(u32::MAX) >= LONGEST / 2);
        assert!((0..100).any(|_| after(8) != after(8)));
    }
}
