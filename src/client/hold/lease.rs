//! How long a client may believe in its rank, and when a program must begin to end so
//! that it has ended by then. Pure: time is an argument.

use crate::moment::Moment;
use std::time::Duration;

/// How long a program is given to end itself, unless something else is said or
/// the lease is too short for it.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// The shortest time between two requests for a lease.
const INTERVAL_SHORTEST: Duration = Duration::from_millis(100);

/// `--kill-after` leaves no time to run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--kill-after {} ms is not shorter than the broker's lease of {} ms: choose less, \
     or start the broker with a longer --lease",
    kill_after.as_millis(), lease.as_millis()
)]
pub struct TooLong {
    kill_after: Duration,
    lease: Duration,
}

/// A lease that the broker has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    length: Duration,
    /// How long the program is to have to end itself, if `--kill-after` said so.
    asked: Option<Duration>,
    kill_after: Duration,
    until: Moment,
}

impl Lease {
    /// The answer to a request that was *sent* at this moment granted a lease of
    /// this length. When the broker received it, and when the answer came, does
    /// not matter: both are later.
    ///
    /// # Errors
    /// When there is no time to run in.
    pub fn new(
        sent: Moment,
        length: Duration,
        kill_after: Option<Duration>,
    ) -> Result<Lease, TooLong> {
        let asked = kill_after;
        let kill_after = asked.unwrap_or_else(|| KILL_AFTER.min(length / 2));
        if kill_after >= length {
            return Err(TooLong { kill_after, lease: length });
        }
        Ok(Lease { length, asked, kill_after, until: sent.after(length) })
    }

    /// Records another grant, of another length if the broker was restarted. Grants may
    /// come out of order.
    ///
    /// # Errors
    /// When there is no time to run in any more.
    pub fn renew(&mut self, sent: Moment, length: Duration) -> Result<(), TooLong> {
        let renewed = Lease::new(sent, length, self.asked)?;
        *self = Lease { until: self.until.max(renewed.until), ..renewed };
        Ok(())
    }

    /// When the next in line may be promoted, the broker's guard time not counted: by
    /// then the program must have ended.
    pub fn until(&self) -> Moment {
        self.until
    }

    /// How long the lease is.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// How long the program has to end itself.
    pub fn kill_after(&self) -> Duration {
        self.kill_after
    }

    /// When the program must be told to end.
    pub fn end_at(&self) -> Moment {
        self.until.before(self.kill_after)
    }

    /// How often to ask for a new one: a quarter of the time that there is, so
    /// that one lost answer does no harm.
    pub fn interval(&self) -> Duration {
        let quarter = (self.length / 4).min(self.length.saturating_sub(self.kill_after) / 4);
        quarter.max(INTERVAL_SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn it_counts_from_when_the_question_was_sent() {
        let sent = Moment::default().after(secs(100));
        let mut lease = Lease::new(sent, secs(8), Some(secs(2))).unwrap();
        assert_eq!(lease.until(), sent.after(secs(8)));
        assert_eq!(lease.end_at(), sent.after(secs(6)));
        lease.renew(sent.after(secs(3)), secs(8)).unwrap();
        lease.renew(sent.after(secs(1)), secs(8)).unwrap();
        assert_eq!(lease.until(), sent.after(secs(11)), "an older answer takes nothing back");
    }

    #[test]
    fn there_must_be_time_to_run_in() {
        let sent = Moment::default();
        for kill_after in [8, 9] {
            assert!(Lease::new(sent, secs(8), Some(secs(kill_after))).is_err());
        }
        let lease = Lease::new(sent, secs(8), Some(secs(7))).unwrap();
        assert_eq!(lease.interval(), Duration::from_millis(250));
    }

    #[test]
    fn by_default_half_of_a_lease_is_enough_to_end_in() {
        let default = |length| Lease::new(Moment::default(), length, None).unwrap().kill_after();
        assert_eq!(default(secs(8)), secs(4));
        assert_eq!(default(secs(60)), secs(5));
        assert_eq!(default(Duration::from_millis(500)), Duration::from_millis(250));
    }

    #[test]
    fn a_lease_may_become_shorter_and_there_is_a_pause_between_two_questions() {
        let sent = Moment::default();
        let mut lease = Lease::new(sent, secs(8), None).unwrap();
        lease.renew(sent.after(secs(8)), secs(3)).unwrap();
        assert_eq!((lease.length(), lease.kill_after()), (secs(3), Duration::from_millis(1500)));
        assert!(lease.end_at() > sent.after(secs(9)));
        let mut asked_for = Lease::new(sent, secs(8), Some(secs(3))).unwrap();
        let before = asked_for;
        assert!(asked_for.renew(sent.after(secs(8)), secs(3)).is_err() && asked_for == before);
        let tight = Lease::new(sent, secs(8), Some(Duration::from_millis(7_999))).unwrap();
        assert_eq!(tight.interval(), Duration::from_millis(100));
    }
}
