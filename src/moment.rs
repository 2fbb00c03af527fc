//! The clock that leases are counted on: it never goes back, and it goes on while
//! the machine sleeps, as the broker's clock does meanwhile. And the time of day,
//! for people.

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
/// On macOS this one counts the time asleep, too.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A duration in whole milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A moment on that clock. It means the same to every process of this machine,
/// and nothing to another machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The current moment.
    pub fn now() -> Moment {
        let now = clock_gettime(CLOCK);
        let secs = u64::try_from(now.tv_sec).unwrap_or(0);
        Moment(Duration::new(secs, u32::try_from(now.tv_nsec).unwrap_or(0)))
    }

    /// This much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(time))
    }

    /// This much earlier.
    #[must_use]
    pub fn before(self, time: Duration) -> Moment {
        Moment(self.0.saturating_sub(time))
    }

    /// How long this is after an earlier moment; zero if it is before that.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// In nanoseconds, the form in which one process passes it to another.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_nanos())
    }
}

impl FromStr for Moment {
    type Err = std::num::ParseIntError;

    fn from_str(nanos: &str) -> Result<Self, Self::Err> {
        nanos.parse().map(|nanos| Moment(Duration::from_nanos(nanos)))
    }
}

/// The time of day, to the second, since when something has been here: a quarter of
/// a [`Timestamp`] in size, for things of which there are very many. It ends in the
/// year 2106.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second(u32);

impl Second {
    /// The current second.
    pub fn now() -> Second {
        Second::of_unix_ms(Timestamp::now().as_millisecond())
    }

    /// The second at so many milliseconds since the Unix epoch.
    pub fn of_unix_ms(millis: i64) -> Second {
        Second(u32::try_from(millis / 1_000).unwrap_or(0))
    }

    /// Its beginning, in milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> i64 {
        i64::from(self.0) * 1_000
    }

    /// Its beginning.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_second(self.0.into()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_the_day() {
        let second = Second::of_unix_ms(1_700_000_000_999);
        assert_eq!(second.unix_ms(), 1_700_000_000_000);
        assert_eq!(second.timestamp().to_string(), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn it_goes_on_and_survives_being_told() {
        let now = Moment::now();
        assert!(now <= Moment::now() && now > Moment::default());
        assert_eq!(now.to_string().parse(), Ok(now));
        let second = Duration::from_secs(1);
        assert_eq!(now.after(second).since(now), second);
        assert_eq!(now.since(now.after(second)), Duration::ZERO);
        assert_eq!(now.after(second).before(second), now);
    }
}
