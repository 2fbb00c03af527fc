//! The ranks with which the program may run.

use std::fmt;
use std::str::FromStr;

/// A range of ranks, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ranks {
    first: u64,
    last: u64,
}

impl Ranks {
    /// Whether this is one of them.
    pub fn contains(self, rank: u64) -> bool {
        (self.first..=self.last).contains(&rank)
    }

    /// The lowest rank of them, which is the highest number.
    pub fn last(self) -> u64 {
        self.last
    }
}

impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for Ranks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if first <= last => Ok(Ranks { first, last }),
            _ => Err("it must be a rank such as 0, or a range such as 0-2".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_or_a_range() {
        let ranks: Ranks = "0-2".parse().unwrap();
        assert!(ranks.contains(0) && ranks.contains(2) && !ranks.contains(3));
        assert_eq!("1".parse::<Ranks>().unwrap().to_string(), "1");
        for wrong in ["", "-", "2-1", "0-", "x", "-1", "0..2"] {
            assert!(wrong.parse::<Ranks>().is_err(), "{wrong}");
        }
    }
}
