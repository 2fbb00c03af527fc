//! How long to wait between two orders: `5s`, or something from `2s..8s`.

use ranked_broker::client::reconnect::random;
use ranked_broker::config;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The pauses allowed: a demonstration is to be watched, and is no load generator.
const BOUNDS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);

/// The shortest and the longest pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    least: Duration,
    most: Duration,
}

impl Every {
    /// A pause from between the two, each millisecond as likely as any other.
    pub fn draw(&self) -> Duration {
        let span =
            u64::try_from(self.most.saturating_sub(self.least).as_millis()).unwrap_or(u64::MAX - 1);
        self.least + Duration::from_millis(random(span + 1))
    }
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let bound = |text| config::time(text).filter(|time| BOUNDS.contains(time));
        match (bound(least), bound(most)) {
            (Some(least), Some(most)) if least <= most => Ok(Every { least, most }),
            _ => Err("it must be a time such as 5s, or from one to a longer one such as 2s..8s, \
                      from 10ms to 1h"
                .into()),
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms..{}ms", self.least.as_millis(), self.most.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_or_from_one_to_another() {
        for (text, least, most) in
            [("5s", 5000, 5000), ("2s..8s", 2000, 8000), ("10ms..1h", 10, 3_600_000)]
        {
            let every: Every = text.parse().unwrap();
            let (least, most) = (Duration::from_millis(least), Duration::from_millis(most));
            assert_eq!(every, Every { least, most });
            for _ in 0..100 {
                assert!((least..=most).contains(&every.draw()));
            }
            assert_eq!(every.to_string().parse(), Ok(every));
        }
        for bad in ["", "..", "8s..2s", "2s..", "0", "9ms", "61m", "2s...8s", "soon"] {
            assert!(bad.parse::<Every>().is_err(), "{bad:?}");
        }
    }
}
