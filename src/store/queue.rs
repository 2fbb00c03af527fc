//! What waits to be committed.

use super::record::{ChannelId, ChannelRecord, Extent};
use super::rows::Rows;
use super::ticket::Ticket;
use super::{Source, TICK, Table};
use crate::sync::lock;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long work for which nobody waits is put off, to share a commit.
const LAZY: Duration = Duration::from_millis(100);

/// A channel comes or goes.
#[derive(Debug)]
pub enum Op {
    /// A channel has been made.
    Create {
        /// Its number.
        id: ChannelId,
        /// How it was made.
        record: ChannelRecord,
        /// Where it begins.
        extent: Extent,
    },
    /// A channel has been removed.
    Drop {
        /// Its number.
        id: ChannelId,
        /// Rows to put, or to remove, that remember where it ended.
        marks: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
    },
    /// The entries of a removed channel can go.
    Forget {
        /// Its number.
        id: ChannelId,
    },
}

/// What goes into one commit.
#[derive(Default)]
pub struct Work {
    /// Rows to put, or to remove.
    pub rows: Rows,
    /// Channels that come and go, in order.
    pub ops: Vec<Op>,
    /// Sources that have something to hand over; one may be there more than once.
    pub sources: Vec<Arc<dyn Source>>,
    /// The ticket of those who wait for it.
    pub ticket: Ticket,
    /// Set in the last work: the seqs after which channels begin next time.
    pub last: Option<Vec<(ChannelId, u64)>>,
}

#[derive(Default)]
struct Inner {
    work: Work,
    /// Somebody waits.
    urgent: bool,
    /// When it is to be done even if nobody waits.
    due: Option<Instant>,
    stopped: bool,
}

/// The queue of the committing thread.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Queue {
    /// Adds to the commit in the making, which `fill` is given. Returns its ticket.
    pub fn add(&self, urgent: bool, fill: impl FnOnce(&mut Work)) -> Ticket {
        let mut inner = lock(&self.inner);
        if inner.stopped {
            return Ticket::settled(Err("the broker is stopping".into()));
        }
        fill(&mut inner.work);
        let is_news = if urgent { !inner.urgent } else { inner.due.is_none() };
        inner.urgent |= urgent;
        if inner.due.is_none() {
            inner.due = Some(Instant::now() + LAZY);
        }
        let ticket = inner.work.ticket.clone();
        drop(inner);
        if is_news {
            self.changed.notify_one();
        }
        ticket
    }

    /// Takes the rows that have come since the work was taken: they may belong to
    /// what its sources have handed over meanwhile. Their own ticket is that of the
    /// next commit, by which they are certainly on disk.
    pub fn take_rows(&self) -> Rows {
        std::mem::take(&mut lock(&self.inner).work.rows)
    }

    /// How many rows wait.
    #[cfg(test)]
    pub fn rows_waiting(&self) -> usize {
        lock(&self.inner).work.rows.len()
    }

    /// Makes the commit in the making the last one.
    pub fn stop(&self, last_seqs: Vec<(ChannelId, u64)>) {
        let mut inner = lock(&self.inner);
        if !inner.stopped {
            inner.work.last = Some(last_seqs);
            inner.stopped = true;
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// Waits for work, and takes it: what is to be committed next, or nothing when
    /// a tick is over and things are to be looked after. Nothing more goes into its
    /// commit from here on.
    pub fn take(&self) -> Work {
        let tick = Instant::now() + TICK;
        let mut inner = lock(&self.inner);
        loop {
            let now = Instant::now();
            let until = inner.due.map_or(tick, |due| due.min(tick));
            if inner.urgent || inner.stopped || now >= until {
                let next = Work { ticket: inner.work.ticket.next(), ..Work::default() };
                let work = std::mem::replace(&mut inner.work, next);
                (inner.urgent, inner.due) = (false, None);
                work.ticket.close();
                return work;
            }
            let waited = self.changed.wait_timeout(inner, until - now);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
