//! The books: every message that comes is checked against what was sent.
//!
//! A *stream* is what one publisher sends to one channel, numbered from 0. Each
//! member of the channel has a *place* in each of its streams: the number that
//! must come next.

use super::fleet::Receiver;
use super::plan::Plan;
use super::stamp::{self, STAMP_BYTES, Stamp};
use super::units::{SECOND, now};
use hdrhistogram::Histogram;
use std::ops::Range;

/// Latencies beyond this count as this: ten minutes.
const LATENCY_MAX_NS: u64 = 600 * SECOND;
/// Digits of a latency that are kept.
const LATENCY_DIGITS: u8 = 3;

/// When the messages of an open loop are due.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// When the first message is due.
    pub start: u64,
    /// Messages a second.
    pub rate: u64,
}

impl Schedule {
    /// When the message of this number is due.
    #[inline]
    pub fn due(self, number: u64) -> u64 {
        self.start + number * SECOND / self.rate
    }
}

/// What is wrong with what was delivered. All zero if nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Never came.
    pub lost: u64,
    /// Came again, or after a later one.
    pub out_of_order: u64,
    /// Came to a member of another channel.
    pub misrouted: u64,
    /// Is not what was sent.
    pub damaged: u64,
}

impl Faults {
    /// Whether there are none.
    pub fn is_clean(&self) -> bool {
        *self == Faults::default()
    }
}

/// What has come.
pub struct Book {
    members: usize,
    shared: Option<usize>,
    /// Channel, publisher and first place of each stream.
    streams: Vec<(usize, usize, usize)>,
    /// The number that must come next, for each place.
    next: Vec<u64>,
    expected: Vec<u8>,
    /// For each publisher, how far all members of its streams have come, summed up.
    progress: Vec<u64>,
    read_at: u64,
    schedule: Option<Schedule>,
    counts_from: u64,
    /// From when a message was due to when it was read, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Messages that came, to all members together.
    pub delivered: u64,
    skipped: u64,
    faults: Faults,
}

impl Book {
    /// Empty, for a plan with these streams.
    pub fn new(plan: &Plan, streams: &[(usize, usize)]) -> Self {
        let places = streams.iter().enumerate();
        let place = |(index, &(publisher, channel)): (usize, &(usize, usize))| {
            (channel, publisher, index * plan.members)
        };
        // Cannot fail: these bounds and digits are valid.
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_NS, LATENCY_DIGITS)
            .unwrap_or_else(|_| unreachable!("{LATENCY_MAX_NS} ns, {LATENCY_DIGITS} digits"));
        Book {
            members: plan.members,
            shared: plan.shared,
            streams: places.map(place).collect(),
            next: vec![0; streams.len() * plan.members],
            expected: stamp::blank(plan.bytes),
            progress: vec![0; plan.publishers],
            read_at: 0,
            schedule: None,
            counts_from: 0,
            latency,
            delivered: 0,
            skipped: 0,
            faults: Faults::default(),
        }
    }

    /// From here on, records the latency of what is due at `from` or later.
    pub fn expect(&mut self, schedule: Schedule, from: u64) {
        (self.schedule, self.counts_from) = (Some(schedule), from);
    }

    /// Returns how far all members of a publisher's streams have come, summed up.
    pub fn progress(&self, publisher: usize) -> u64 {
        self.progress[publisher]
    }

    /// How far the slowest member of a stream has come.
    pub fn slowest(&self, stream: usize) -> u64 {
        self.next[self.places(stream)].iter().copied().min().unwrap_or(u64::MAX)
    }

    fn places(&self, stream: usize) -> Range<usize> {
        let first = self.streams[stream].2;
        first..first + self.members
    }

    /// What is wrong, if so many were sent to each stream and nothing is on its
    /// way any more.
    pub fn faults(&self, sent: impl Iterator<Item = u64>) -> Faults {
        let mut faults = self.faults;
        faults.lost = self.skipped;
        for (stream, sent) in sent.enumerate() {
            let missing = |next: &u64| sent.saturating_sub(*next);
            faults.lost += self.next[self.places(stream)].iter().map(missing).sum::<u64>();
        }
        faults
    }

    /// Which of a channel's members a connection is.
    #[inline]
    fn member(&self, id: usize, channel: usize) -> Option<usize> {
        let member = match self.shared {
            None => id.checked_sub(channel * self.members)?,
            Some(connections) if channel % connections == id => 0,
            Some(_) => return None,
        };
        (member < self.members).then_some(member)
    }

    #[cold]
    fn out_of_step(&mut self, place: usize, number: u64) -> u64 {
        let next = self.next[place];
        if number < next {
            self.faults.out_of_order += 1;
            return 0;
        }
        self.skipped += number - next;
        self.next[place] = number + 1;
        number + 1 - next
    }
}

impl Receiver for Book {
    #[inline]
    fn begin(&mut self, _: usize) {
        self.read_at = now();
    }

    #[inline]
    fn message(&mut self, id: usize, payload: &[u8]) {
        let stamp = Stamp::read(payload);
        let stream =
            stamp.and_then(|stamp| Some((stamp, self.streams.get(stamp.stream as usize)?)));
        let is_whole = payload.get(STAMP_BYTES..) == self.expected.get(STAMP_BYTES..);
        let Some((stamp, &(channel, publisher, first))) = stream.filter(|_| is_whole) else {
            self.faults.damaged += 1;
            return;
        };
        let Some(member) = self.member(id, channel) else {
            self.faults.misrouted += 1;
            return;
        };
        self.delivered += 1;
        let place = first + member;
        let moved = if self.next[place] == stamp.number {
            self.next[place] += 1;
            1
        } else {
            self.out_of_step(place, stamp.number)
        };
        self.progress[publisher] += moved;
        if let Some(schedule) = self.schedule {
            let due = schedule.due(stamp.number);
            if due >= self.counts_from {
                let late = self.read_at.saturating_sub(due);
                self.latency.saturating_record(late);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let plan = Plan { publishers: 2, channels: 2, members: 2, ..Plan::default() };
        Book::new(&plan, &plan.streams())
    }

    fn message(stream: u32, number: u64) -> Vec<u8> {
        let mut payload = stamp::blank(Plan::default().bytes);
        Stamp { stream, number }.write(&mut payload);
        payload
    }

    #[test]
    fn a_clean_run_is_clean() {
        let mut book = book();
        for id in 0..4 {
            let stream = u32::from(id >= 2);
            (0..3).for_each(|number| book.message(id, &message(stream, number)));
        }
        assert_eq!(book.faults([3, 3].into_iter()), Faults::default());
        assert_eq!((book.delivered, book.slowest(0), book.progress(1)), (12, 3, 6));
    }

    #[test]
    fn every_kind_of_fault_is_counted() {
        let mut book = book();
        for number in [0, 1, 4, 4, 2] {
            book.message(0, &message(0, number));
        }
        assert_eq!(book.slowest(0), 0, "the other member has nothing yet");
        book.message(2, &message(0, 0)); // a member of the other channel
        book.message(0, &message(7, 0)); // no such stream
        let mut damaged = message(1, 0);
        damaged[20] ^= 1;
        book.message(2, &damaged);
        book.message(2, &damaged[..30]);
        book.message(2, b"short");
        let expected = Faults { lost: 2 + 5 + 2, out_of_order: 2, misrouted: 1, damaged: 4 };
        assert_eq!(book.faults([5, 1].into_iter()), expected);
    }

    #[test]
    fn latency_counts_from_when_a_message_was_due() {
        let plan = Plan::default();
        let mut book = Book::new(&plan, &plan.streams());
        book.expect(Schedule { start: 1_000, rate: 1_000_000 }, 3_000);
        book.read_at = 10_000;
        (0..4).for_each(|number| book.message(0, &message(0, number)));
        // Those due at 1,000 and 2,000 do not count.
        assert_eq!((book.latency.len(), book.latency.max(), book.latency.min()), (2, 7_003, 6_000));
    }
}
