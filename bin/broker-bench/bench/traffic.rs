//! Messages on their way: publishers that keep a window full or a rate, members
//! that read, and the books on both.

use super::book::{Book, Faults, Schedule};
use super::error::Result;
use super::fleet::Fleet;
use super::plan::Plan;
use super::protocol::{Protocol, Role};
use super::stamp::{self, Stamp};
use super::units::{nanoseconds, now};
use std::time::Duration;

/// How long nothing may come before what is missing counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of one write of a publisher, if nobody asks for less.
pub const BATCH_BYTES: usize = 64 * 1024;

/// What one publisher sends to one channel.
struct Stream {
    sent: u64,
    /// A message as it is written, and where its stamp goes.
    message: Vec<u8>,
    stamp_at: usize,
}

/// A publisher and its streams, which it takes in turn.
struct Publisher {
    streams: Vec<usize>,
    turn: usize,
    sent: u64,
}

/// Everything that is needed to have messages on their way.
pub struct Traffic<P> {
    /// All clients: first the listeners, then the publishers.
    pub fleet: Fleet<P>,
    /// What has come.
    pub book: Book,
    /// Who publishes where.
    pub plan: Plan,
    streams: Vec<Stream>,
    publishers: Vec<Publisher>,
    /// Messages of one write.
    batch: u64,
    dice: Option<u64>,
    /// Messages sent.
    pub published: u64,
    /// The longest that a message of an open loop was sent too late, in nanoseconds:
    /// the generator's own fault, and part of the latency.
    pub worst_lag: u64,
}

impl<P: Protocol> Traffic<P> {
    /// Connects the members and then the publishers. `batch_bytes` is the size
    /// of one write.
    ///
    /// # Errors
    /// The system's, and whatever the broker refuses.
    pub fn new(mut fleet: Fleet<P>, plan: Plan, batch_bytes: usize) -> Result<Self> {
        plan.check::<P>()?;
        let names = plan.names();
        if let Some(connections) = plan.shared {
            let pairs = names.iter().enumerate();
            fleet.subscribe_all(pairs.map(|(at, name)| (at % connections, name.as_str())))?;
        } else {
            fleet.establish_members(plan.listeners(), |id| &names[id / plan.members])?;
        }
        let pairs = plan.streams();
        let mut publishers: Vec<Publisher> = Vec::new();
        publishers.resize_with(plan.publishers, || Publisher {
            streams: Vec::new(),
            turn: 0,
            sent: 0,
        });
        let mut streams = Vec::with_capacity(pairs.len());
        let blank = stamp::blank(plan.bytes);
        for (index, (publisher, channel)) in pairs.iter().enumerate() {
            publishers[*publisher].streams.push(index);
            let mut message = Vec::new();
            P::publish(&names[*channel], &blank, &mut message);
            let stamp_at = memchr::memmem::find(&message, &blank).unwrap_or(0);
            message.shrink_to_fit();
            streams.push(Stream { sent: 0, message, stamp_at });
        }
        let first = |index: usize| names[pairs[publishers[index].streams[0]].1].clone();
        fleet.establish(plan.publishers, |index| Role::Publisher(first(index)))?;
        let longest = streams.first().map_or(1, |stream| stream.message.len());
        let book = Book::new(&plan, &pairs);
        Ok(Traffic {
            fleet,
            book,
            streams,
            publishers,
            batch: (batch_bytes / longest).max(1) as u64,
            dice: None,
            published: 0,
            worst_lag: 0,
            plan,
        })
    }

    /// Publishers take a channel at random instead of in turn.
    pub fn roll_dice(&mut self, seed: u64) {
        self.dice = Some(seed | 1);
    }

    fn next_stream(&mut self, publisher: usize) -> usize {
        let publisher = &mut self.publishers[publisher];
        let many = publisher.streams.len();
        match &mut self.dice {
            None => publisher.turn = (publisher.turn + 1) % many,
            Some(dice) => {
                // xorshift64
                *dice ^= *dice << 13;
                *dice ^= *dice >> 7;
                *dice ^= *dice << 17;
                publisher.turn = usize::try_from(*dice >> 16).unwrap_or(0) % many;
            }
        }
        publisher.streams[publisher.turn]
    }

    /// Appends one message to what a publisher has to send.
    fn put(&mut self, publisher: usize) {
        let index = self.next_stream(publisher);
        let stream = &mut self.streams[index];
        let out = &mut self.fleet.pool.get(self.plan.listeners() + publisher).out;
        let at = out.len() + stream.stamp_at;
        out.extend_from_slice(&stream.message);
        // There are fewer streams than STREAMS_MAX.
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        Stamp { stream: number, number: stream.sent }.write(&mut out[at..]);
        stream.sent += 1;
        self.publishers[publisher].sent += 1;
        self.published += 1;
    }

    /// Messages of a publisher that its slowest members lack.
    fn on_their_way(&self, publisher: usize) -> u64 {
        let Publisher { streams, sent, .. } = &self.publishers[publisher];
        if self.plan.members == 1 {
            return sent.saturating_sub(self.book.progress(publisher));
        }
        let lacks =
            |&stream: &usize| self.streams[stream].sent.saturating_sub(self.book.slowest(stream));
        streams.iter().map(lacks).sum()
    }

    /// Has each publisher send until this many of its messages are on their way to the
    /// slowest member, so that no broker has to drop any.
    ///
    /// # Errors
    /// The system's.
    pub fn fill(&mut self, window: u64) -> Result<()> {
        // Whole batches, but at least four in a window.
        let batch = self.batch.min(window / 4).max(1);
        for publisher in 0..self.plan.publishers {
            let id = self.plan.listeners() + publisher;
            let mut room = window.saturating_sub(self.on_their_way(publisher));
            while room >= batch && self.fleet.pool.get(id).has_sent_all() {
                (0..batch).for_each(|_| self.put(publisher));
                self.fleet.send(id)?;
                room -= batch;
            }
        }
        Ok(())
    }

    /// Has the one publisher send whatever is due; returns when the next message is.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_rate(&mut self, schedule: Schedule, now: u64) -> Result<u64> {
        let id = self.plan.listeners();
        while self.fleet.pool.get(id).has_sent_all() && schedule.due(self.published) <= now {
            self.worst_lag = self.worst_lag.max(now - schedule.due(self.published));
            for _ in 0..self.batch {
                if schedule.due(self.published) > now {
                    break;
                }
                self.put(0);
            }
            self.fleet.send(id)?;
        }
        Ok(schedule.due(self.published))
    }

    /// Waits for at most this long and reads what came.
    ///
    /// # Errors
    /// The system's.
    #[inline]
    pub fn poll(&mut self, timeout: Duration) -> Result<bool> {
        self.fleet.poll(timeout, &mut self.book)
    }

    /// Waits for what is on its way, until nothing has come for a while; returns
    /// whether all of it came.
    ///
    /// # Errors
    /// The system's.
    pub fn drain(&mut self) -> Result<bool> {
        let mut last = (self.book.delivered, now());
        loop {
            if (0..self.plan.publishers).all(|publisher| self.on_their_way(publisher) == 0) {
                return Ok(true);
            }
            if self.book.delivered != last.0 {
                last = (self.book.delivered, now());
            } else if now() - last.1 > nanoseconds(PATIENCE) {
                return Ok(false);
            }
            self.poll(Duration::from_millis(50))?;
        }
    }

    /// What went wrong, once nothing is on its way any more.
    pub fn faults(&self) -> Faults {
        self.book.faults(self.streams.iter().map(|stream| stream.sent))
    }

    /// Takes leave, and leaves no channel behind.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(&mut self) -> Result<()> {
        let (names, plan) = (self.plan.names(), &self.plan);
        self.fleet.finish(|id| {
            let many = if id < plan.listeners() { usize::MAX } else { 0 };
            plan.channels_of(id).take(many).map(|channel| names[channel].as_str())
        })
    }

    /// As [`Traffic::finish`], where a publisher drops the channels, which it may once
    /// nobody ranks above it: so the members leave first.
    ///
    /// # Errors
    /// The system's.
    pub fn finish_members_first(&mut self) -> Result<()> {
        self.fleet.dismiss(0..self.plan.listeners())?;
        let names = self.plan.names();
        self.fleet.finish(|_| names.iter().map(String::as_str))
    }
}
