//! The broker's figures. Counted once a batch, never once a message.

use std::sync::atomic::{AtomicU64, Ordering};

/// A figure that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// So many more.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What has happened since the broker began.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages taken into a log.
    pub published: Counter,
    /// Entries written to members.
    pub delivered: Counter,
    /// Commands accepted.
    pub commands: Counter,
    /// Gaps that members were told of.
    pub gaps: Counter,
    /// Connections taken.
    pub connections: Counter,
    /// Connections refused because the broker was full.
    pub refused: Counter,
    /// Requests answered `err`.
    pub faults: Counter,
}
