//! What the guard does to the program, and when. Pure: time is an argument.

use crate::moment::Moment;
use std::time::Duration;

/// What to do to the program now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let it run.
    Nothing,
    /// Ask it to end itself.
    Ask,
    /// End it.
    Kill,
}

/// How long the program may run.
#[derive(Clone, Copy, Debug)]
pub struct Leash {
    until: Moment,
    kill_after: Duration,
    /// When it is killed; set once it was asked to end itself.
    kill_at: Option<Moment>,
}

impl Leash {
    /// It must have ended by `until`, and is asked to end itself this long
    /// before.
    pub fn new(until: Moment, kill_after: Duration) -> Self {
        Leash { until, kill_after, kill_at: None }
    }

    /// Lets it run longer; no effect once it was asked to end itself.
    pub fn extend(&mut self, until: Moment) {
        if self.kill_at.is_none() {
            self.until = self.until.max(until);
        }
    }

    /// Whether it was asked to end itself, or must be by now.
    pub fn is_over(&self, now: Moment) -> bool {
        self.kill_at.is_some() || now >= self.until.before(self.kill_after)
    }

    /// It must end now, whatever time is left.
    pub fn end(&mut self, now: Moment) -> Action {
        if self.kill_at.is_some() {
            return Action::Nothing;
        }
        self.kill_at = Some(self.until.min(now.after(self.kill_after)));
        Action::Ask
    }

    /// What is to be done by now.
    pub fn act(&mut self, now: Moment) -> Action {
        match self.kill_at {
            Some(at) if now >= at => Action::Kill,
            None if now >= self.until => {
                self.kill_at = Some(now);
                Action::Kill
            }
            None if self.is_over(now) => self.end(now),
            _ => Action::Nothing,
        }
    }

    /// When to look again at the latest, if nothing is heard until then.
    pub fn look_at(&self) -> Moment {
        self.kill_at.unwrap_or_else(|| self.until.before(self.kill_after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::default().after(Duration::from_secs(secs))
    }

    fn leash(until: u64) -> Leash {
        Leash::new(at(until), Duration::from_secs(3))
    }

    #[test]
    fn a_program_is_asked_in_time_and_killed_at_the_end() {
        let mut leash = leash(10);
        assert_eq!((leash.act(at(6)), leash.look_at()), (Action::Nothing, at(7)));
        leash.extend(at(12));
        leash.extend(at(11));
        assert_eq!(leash.act(at(8)), Action::Nothing);
        assert_eq!(leash.act(at(9)), Action::Ask);
        leash.extend(at(20));
        assert_eq!((leash.act(at(11)), leash.look_at()), (Action::Nothing, at(12)));
        assert_eq!(leash.act(at(12)), Action::Kill);
        assert_eq!(leash.act(at(13)), Action::Kill, "until it is gone");
    }

    #[test]
    fn when_the_rank_is_lost_it_has_its_time_but_never_more_than_the_lease() {
        let mut early = leash(100);
        assert_eq!(early.end(at(10)), Action::Ask);
        assert_eq!(early.end(at(11)), Action::Nothing, "once is enough");
        assert_eq!((early.act(at(12)), early.act(at(13))), (Action::Nothing, Action::Kill));
        let mut late = leash(12);
        assert_eq!(late.end(at(10)), Action::Ask);
        assert_eq!(late.look_at(), at(12));
    }

    #[test]
    fn after_a_long_sleep_there_is_no_time_to_ask() {
        assert_eq!(leash(10).act(at(3600)), Action::Kill);
    }
}
