//! How long a client may believe in its ranks. Pure: time is an argument.

use crate::moment::Moment;
use std::time::Duration;

/// The first pause between two questions, when no answer has told how long a lease is.
const INTERVAL_FIRST: Duration = Duration::from_secs(2);

/// The shortest such pause.
const INTERVAL_SHORTEST: Duration = Duration::from_millis(100);

/// How long a client may believe in its ranks.
#[derive(Debug, Default)]
pub(super) struct Lease {
    length: Duration,
    until: Option<Moment>,
    /// It has run out, and no other one was granted since.
    has_lapsed: bool,
}

impl Lease {
    /// The answer to a question that was *sent* at this moment grants a lease of this
    /// length. Returns whether the last one had run out before.
    pub(super) fn granted(&mut self, sent: Moment, length: Duration, now: Moment) -> bool {
        let until = sent.after(length);
        if until <= now {
            // The answer came too late.
            return false;
        }
        self.length = length;
        self.until = self.until.max(Some(until));
        std::mem::take(&mut self.has_lapsed)
    }

    /// Whether it has run out since this was last asked.
    pub(super) fn lapses(&mut self, now: Moment) -> bool {
        let lapses = self.until.is_some_and(|until| until <= now);
        if lapses {
            self.until = None;
            self.has_lapsed = true;
        }
        lapses
    }

    /// Forgets the lease: there is no rank to believe in any more.
    pub(super) fn reset(&mut self) {
        *self = Lease { length: self.length, ..Lease::default() };
    }

    /// How long it lasts yet; `None` if there is none.
    pub(super) fn left(&self, now: Moment) -> Option<Duration> {
        self.until.map(|until| until.since(now))
    }

    /// How long to wait before the next question: one or two lost answers do no harm.
    pub(super) fn interval(&self) -> Duration {
        match self.length / 4 {
            Duration::ZERO => INTERVAL_FIRST,
            quarter => quarter.max(INTERVAL_SHORTEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_from_the_question_and_its_end_is_told_once() {
        let at = |secs| Moment::default().after(Duration::from_secs(secs));
        let length = Duration::from_secs(8);
        let mut lease = Lease::default();
        assert!(!lease.lapses(at(5)) && lease.interval() == INTERVAL_FIRST);
        assert!(!lease.granted(at(10), length, at(11)));
        assert_eq!(lease.left(at(11)), Some(Duration::from_secs(7)));
        assert_eq!(lease.interval(), Duration::from_secs(2));
        assert!(!lease.granted(at(9), length, at(11)), "an older answer takes nothing back");
        assert!(!lease.lapses(at(17)));
        assert!(lease.lapses(at(18)) && !lease.lapses(at(18)));
        assert!(!lease.granted(at(10), length, at(19)), "it is over already");
        assert_eq!(lease.left(at(19)), None);
        assert!(lease.granted(at(19), length, at(20)) && !lease.granted(at(19), length, at(20)));
        lease.reset();
        assert!(!lease.lapses(at(99)));
    }
}
