//! What is to happen later: a thread that sleeps until the next deadline.

use super::channel::Channel;
use super::directory::Client;
use super::member::Member;
use crate::log::Departure;
use crate::moment::{Moment, millis};
use crate::sync::lock;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::{Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;
use uuid::Uuid;

/// Something to do when its time has come. Whatever it is about may be gone by
/// then.
#[derive(Debug)]
pub enum Timer {
    /// See whether anything was heard of this client.
    Silence(Weak<Client>),
    /// Let this client look whether what it waits for is late.
    Wake(Weak<Client>),
    /// Give up on a command's missing results. Boxed, like the other large
    /// variants, because most timers are for somebody's silence: each takes 24
    /// bytes then, and not 40.
    Deadline(Box<Deadline>),
    /// See whether the members that hold publishers up have stalled.
    Stall(Weak<Channel>),
    /// See whether this client's lease has run out.
    Lease(Weak<Client>),
    /// Drop what channels hold that nobody needs any more.
    Sweep,
    /// Purge the number sequence of this client id.
    Sequence(Box<Uuid>),
    /// Give up the seat of a lost member, unless it came back.
    Seat(Box<Seat>),
    /// Note the broker's own lease: nobody believes any more in a longer one from
    /// before a restart.
    Promise,
}

impl Timer {
    /// Whether what it is about is gone, so that there will be nothing to do.
    fn is_void(&self) -> bool {
        match self {
            Timer::Silence(client) | Timer::Wake(client) | Timer::Lease(client) => is_gone(client),
            Timer::Deadline(deadline) => is_gone(&deadline.command),
            Timer::Stall(channel) => is_gone(channel),
            Timer::Seat(seat) => !seat.is_held(),
            Timer::Sequence(_) | Timer::Sweep | Timer::Promise => false,
        }
    }
}

fn is_gone<T>(what: &Weak<T>) -> bool {
    what.strong_count() == 0
}

/// The end of a command's time.
#[derive(Debug)]
pub struct Deadline {
    /// The channel that the command was given in.
    pub channel: Weak<Channel>,
    /// Its seq.
    pub seq: u64,
    /// Gone when the command is over.
    pub command: Weak<()>,
}

/// A seat that is held.
#[derive(Debug)]
pub struct Seat {
    /// The channel.
    pub channel: Weak<Channel>,
    /// Whose seat it is.
    pub member: Weak<Member>,
    /// Why it was lost.
    pub why: Departure,
    /// Until when it is held.
    pub at_ms: u64,
}

impl Seat {
    /// Whether it is still held until that time. If it is lost again after its
    /// member was back, there is another timer for that.
    fn is_held(&self) -> bool {
        self.member.upgrade().is_some_and(|member| member.away_until_ms() == Some(self.at_ms))
    }
}

#[derive(Debug)]
struct Due {
    at_ms: u64,
    timer: Timer,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at_ms == other.at_ms
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at_ms.cmp(&other.at_ms)
    }
}

/// Deadlines, and the broker's time: milliseconds since it began. The time for
/// which the machine was suspended counts: leases run out meanwhile.
#[derive(Debug)]
pub struct Clock {
    began: Moment,
    timers: Mutex<Timers>,
    earlier: Condvar,
}

/// What is to happen, soonest first.
#[derive(Debug)]
struct Timers {
    heap: BinaryHeap<Reverse<Due>>,
    /// How many timers there are when void ones are next looked for.
    look_len: usize,
}

/// Among fewer timers than this, void ones are not looked for.
const LOOK_MIN: usize = 1_024;

impl Timers {
    fn push(&mut self, due: Due) {
        if self.heap.len() >= self.look_len {
            self.drop_void();
        }
        self.heap.push(Reverse(due));
    }

    /// Drops timers that are void. They hold the memory of what they are about:
    /// that of every client, until it might have been silent for too long, and
    /// twenty thousand clients may come and go in a second. As this is done when
    /// the timers have doubled, each is looked at once or twice in all.
    fn drop_void(&mut self) {
        self.heap.retain(|Reverse(due)| !due.timer.is_void());
        self.look_len = LOOK_MIN.max(2 * self.heap.len());
        self.heap.shrink_to(self.look_len);
    }

    fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        let next = self.heap.peek_mut().filter(|next| next.0.at_ms <= now_ms)?;
        let timer = PeekMut::pop(next).0.timer;
        // After many timers have gone at once, void ones are looked for sooner
        // again, before they hold much.
        self.look_len = LOOK_MIN.max(2 * self.heap.len()).min(self.look_len);
        if self.heap.capacity() > 4 * self.look_len {
            self.heap.shrink_to(self.look_len);
        }
        Some(timer)
    }
}

impl Default for Clock {
    fn default() -> Self {
        let timers = Mutex::new(Timers { heap: BinaryHeap::new(), look_len: LOOK_MIN });
        Clock { began: Moment::now(), timers, earlier: Condvar::new() }
    }
}

impl Clock {
    /// The time now.
    pub fn now_ms(&self) -> u64 {
        millis(Moment::now().since(self.began))
    }

    /// Sets a timer for this time.
    pub fn set(&self, at_ms: u64, timer: Timer) {
        let mut timers = lock(&self.timers);
        let is_next = timers.heap.peek().is_none_or(|Reverse(next)| at_ms < next.at_ms);
        timers.push(Due { at_ms, timer });
        drop(timers);
        if is_next {
            self.earlier.notify_one();
        }
    }

    /// Takes the next timer whose time has come.
    pub fn next_due(&self, now_ms: u64) -> Option<Timer> {
        lock(&self.timers).pop_due(now_ms)
    }

    /// Sleeps until the next deadline, until an earlier one is set, or for
    /// `at_most`.
    pub fn sleep(&self, at_most: Duration) {
        let timers = lock(&self.timers);
        let now_ms = self.now_ms();
        let wait = match timers.heap.peek() {
            Some(Reverse(next)) => {
                // One more, so as not to wake within the millisecond before.
                let left_ms = (next.at_ms + 1).saturating_sub(now_ms);
                at_most.min(Duration::from_millis(left_ms))
            }
            None => at_most,
        };
        drop(self.earlier.wait_timeout(timers, wait).unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::directory::Directory;
    use std::sync::Arc;

    #[test]
    fn timers_of_who_is_gone_are_let_go_of() {
        let (clock, directory) = (Clock::default(), Directory::default());
        let come = || directory.enter(([127, 0, 0, 1], 0).into(), "text", 0);
        let stays = come();
        clock.set(1_000, Timer::Silence(Arc::downgrade(&stays)));
        for _ in 0..10 * LOOK_MIN {
            let goes = come();
            clock.set(2_000, Timer::Silence(Arc::downgrade(&goes)));
            directory.forget(&goes);
        }
        for seq in 0..10 * LOOK_MIN as u64 {
            // Of a command that is over.
            let deadline = Deadline { channel: Weak::new(), seq, command: Weak::new() };
            clock.set(3_000, Timer::Deadline(Box::new(deadline)));
        }
        assert!(lock(&clock.timers).heap.len() <= LOOK_MIN + 1);
        assert!(clock.next_due(999).is_none());
        let first = clock.next_due(1_000);
        assert!(matches!(first, Some(Timer::Silence(who)) if who.ptr_eq(&Arc::downgrade(&stays))));
        assert!(clock.next_due(1_000).is_none());
    }

    #[test]
    fn timers_of_seats_that_were_taken_again_are_let_go_of() {
        let (clock, directory) = (Clock::default(), Directory::default());
        let client = directory.enter(([127, 0, 0, 1], 0).into(), "text", 0);
        let member = Arc::new(Member::new(client, 0, 0, 1));
        let (channel, why) = (Weak::new(), Departure::Lost);
        let last_ms = 10 * LOOK_MIN as u64;
        for at_ms in 1..=last_ms {
            member.come_back();
            member.go_away(at_ms, false);
            let (channel, member) = (channel.clone(), Arc::downgrade(&member));
            clock.set(at_ms, Timer::Seat(Box::new(Seat { channel, member, why, at_ms })));
        }
        let due = std::iter::from_fn(|| clock.next_due(last_ms));
        let due: Vec<u64> = due
            .filter_map(|timer| match timer {
                Timer::Seat(seat) => Some(seat.at_ms),
                _ => None,
            })
            .collect();
        assert!(due.len() <= LOOK_MIN + 1, "{} timers for one seat", due.len());
        assert_eq!(due.last(), Some(&last_ms));
    }
}
