//! Counters for `stats` and for `/metrics`: cheap to write, and summed up by the
//! reader.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A counter, which only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Threads beyond this many share shards.
const SHARDS: usize = 16;

/// A part of a [`Sharded`] counter, aligned to the cache line that it is in and the
/// next one, which processors fetch with it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Counter);

/// A counter that all threads add to all the time: each has a shard of its own, so
/// that none waits for another's cache line.
#[derive(Debug, Default)]
pub struct Sharded([Shard; SHARDS]);

impl Sharded {
    /// Adds to it.
    pub fn add(&self, number: u64) {
        thread_local! {
            static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut place = PLACE.get();
        if place == usize::MAX {
            place = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
            PLACE.set(place);
        }
        self.0[place].0.add(number);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.iter().map(|place| place.0.get()).sum()
    }
}

/// The bytes that connections carry.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes read.
    pub read: Sharded,
    /// Bytes written.
    pub written: Sharded,
}

/// Counters that differ by one label, all of whose values are known from the start.
#[derive(Debug)]
pub struct Labelled(Vec<(&'static str, Counter)>);

impl Labelled {
    /// Counters for these words; the last one also counts for all unknown words.
    pub fn new(words: impl IntoIterator<Item = &'static str>) -> Self {
        Labelled(words.into_iter().map(|word| (word, Counter::default())).collect())
    }

    /// Adds to the counter of this word.
    pub fn add(&self, word: &str, number: u64) {
        let found = self.0.iter().find(|(known, _)| *known == word).or(self.0.last());
        if let Some((_, counter)) = found {
            counter.add(number);
        }
    }

    /// The value of each.
    pub fn get(&self) -> Vec<(&'static str, u64)> {
        self.0.iter().map(|(word, counter)| (*word, counter.get())).collect()
    }
}

/// A histogram.
#[derive(Debug)]
pub struct Spread {
    /// The upper end of each step. Sizes beyond the last one are counted, too.
    ends: &'static [u64],
    counts: Vec<Counter>,
    sum: Counter,
}

impl Spread {
    /// A histogram with steps up to each of these ends, which must be in growing
    /// order.
    pub fn new(ends: &'static [u64]) -> Self {
        let counts = (0..=ends.len()).map(|_| Counter::default()).collect();
        Spread { ends, counts, sum: Counter::default() }
    }

    /// Counts one of this size.
    pub fn note(&self, size: u64) {
        let step = self.ends.partition_point(|end| *end < size);
        self.counts[step].add(1);
        self.sum.add(size);
    }

    /// The sum of all, and the end of each step with the count in it; the last
    /// step's end is `None`.
    pub fn get(&self) -> (u64, Vec<(Option<u64>, u64)>) {
        let ends = self.ends.iter().copied().map(Some).chain([None]);
        (self.sum.get(), ends.zip(self.counts.iter().map(Counter::get)).collect())
    }
}

/// A histogram of durations, in microseconds.
#[derive(Debug)]
pub struct Durations(pub Spread);

/// From the time of memory accesses to the time that people wait for.
const ENDS_US: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

impl Default for Durations {
    fn default() -> Self {
        Durations(Spread::new(ENDS_US))
    }
}

impl Durations {
    /// Counts one of this duration.
    pub fn note(&self, duration: Duration) {
        self.0.note(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_lose_nothing() {
        let busy = Sharded::default();
        std::thread::scope(|scope| {
            for _ in 0..=2 * SHARDS {
                scope.spawn(|| (0..1_000).for_each(|_| busy.add(3)));
            }
        });
        assert_eq!(busy.get(), 3_000 * (2 * SHARDS as u64 + 1));
    }

    #[test]
    fn words_that_nobody_knows_are_the_last_one() {
        let labelled = Labelled::new(["a", "b", "other"]);
        labelled.add("b", 2);
        labelled.add("x", 1);
        assert_eq!(labelled.get(), [("a", 0), ("b", 2), ("other", 1)]);
    }

    #[test]
    fn an_end_belongs_to_its_step() {
        let spread = Spread::new(&[1, 10]);
        for size in [0, 1, 2, 10, 11] {
            spread.note(size);
        }
        assert_eq!(spread.get(), (24, vec![(Some(1), 2), (Some(10), 2), (None, 1)]));
    }
}
