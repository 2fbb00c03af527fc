//! What is to happen later: a thread that sleeps until the next deadline.

use super::channel::Channel;
use super::directory::Client;
use super::member::Member;
use crate::log::Departure;
use crate::moment::Moment;
use crate::sync::lock;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
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
    /// Give up on a command's missing results. Boxed, like what else has more to
    /// it, because most timers are for somebody's silence: with 24 bytes for each,
    /// and not 40.
    Deadline(Box<Deadline>),
    /// See whether the members that hold publishers up have stalled.
    Stall(Weak<Channel>),
    /// See whether this client's lease has run out.
    Lease(Weak<Client>),
    /// Purge the number sequence of this client id.
    Sequence(Box<Uuid>),
    /// Give up the seat of a lost member, unless it came back.
    Seat(Box<Seat>),
}

/// The end of a command's time.
#[derive(Debug)]
pub struct Deadline {
    /// The channel that it was given in.
    pub channel: Weak<Channel>,
    /// Its seq.
    pub seq: u64,
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
    /// Until when it was held.
    pub at_ms: u64,
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
    heap: Mutex<BinaryHeap<Reverse<Due>>>,
    earlier: Condvar,
}

impl Default for Clock {
    fn default() -> Self {
        Clock { began: Moment::now(), heap: Mutex::default(), earlier: Condvar::new() }
    }
}

impl Clock {
    /// The time now.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(Moment::now().since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// Does this when its time has come.
    pub fn set(&self, at_ms: u64, timer: Timer) {
        let mut heap = lock(&self.heap);
        let is_next = heap.peek().is_none_or(|Reverse(next)| at_ms < next.at_ms);
        heap.push(Reverse(Due { at_ms, timer }));
        drop(heap);
        if is_next {
            self.earlier.notify_one();
        }
    }

    /// The next timer whose time has come.
    pub fn next_due(&self, now_ms: u64) -> Option<Timer> {
        let mut heap = lock(&self.heap);
        if heap.peek().is_some_and(|Reverse(next)| next.at_ms <= now_ms) {
            return heap.pop().map(|Reverse(due)| due.timer);
        }
        if heap.is_empty() && heap.capacity() > 1024 {
            *heap = BinaryHeap::new();
        }
        None
    }

    /// Sleeps until the next deadline, or an earlier one, or for this long.
    pub fn sleep(&self, at_most: Duration) {
        let heap = lock(&self.heap);
        let now_ms = self.now_ms();
        let wait = match heap.peek() {
            Some(Reverse(next)) => {
                // One more, so as not to wake within the millisecond before.
                let left_ms = (next.at_ms + 1).saturating_sub(now_ms);
                at_most.min(Duration::from_millis(left_ms))
            }
            None => at_most,
        };
        drop(self.earlier.wait_timeout(heap, wait).unwrap_or_else(PoisonError::into_inner));
    }
}
