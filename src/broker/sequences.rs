//! Number sequences that are kept for their clients: by client id, for a while
//! after they were made, in the store if there is one.

use super::Broker;
use super::clock::Timer;
use crate::moment::millis;
use crate::sequence::Seed;
use crate::store::{Outcome, Store, Table, Ticket, decode, encode};
use crate::sync::lock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, OnceLock};
use uuid::Uuid;

/// How many numbers all kept sequences may have together, a byte each: two thousand
/// of the longest. One limit on the ids alone would have to be too low for many
/// short sequences, or too high for many long ones.
const NUMBERS_MAX: usize = 128 * 1024 * 1024;

/// The environment variable that makes sequences a function of the client id.
const TEST_MODE: &str = "TEST_MODE";

/// A sequence that is kept.
#[derive(Debug)]
pub struct Kept {
    /// How many numbers are in a batch.
    pub batch: u64,
    count: u16,
    seed: Seed,
    /// Until when it is kept, on the broker's clock.
    until_ms: u64,
    /// The ticket of the commit that writes it.
    ticket: Option<Ticket>,
    /// Its numbers, made when somebody first wants them.
    numbers: OnceLock<Vec<u8>>,
}

impl Kept {
    /// All its numbers.
    pub fn numbers(&self) -> &[u8] {
        self.numbers.get_or_init(|| self.seed.numbers(self.count))
    }

    /// What its numbers are made from.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Waits until it is on disk, if there is a store.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn on_disk(&self) -> Outcome {
        match &self.ticket {
            Some(ticket) => ticket.on_disk().await,
            None => Ok(()),
        }
    }
}

/// Why a sequence was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The client id is still known.
    Exists,
    /// There are too many.
    Full,
}

/// What the store has of a sequence, by client id.
#[derive(Debug, Serialize, Deserialize)]
struct SequenceRecord {
    count: u16,
    batch: u64,
    seed: Seed,
    until_unix_ms: i64,
}

impl SequenceRecord {
    fn kept(&self, until_ms: u64, ticket: Option<Ticket>) -> Kept {
        let SequenceRecord { count, batch, seed, .. } = *self;
        Kept { batch, count, seed, until_ms, ticket, numbers: OnceLock::new() }
    }
}

#[derive(Debug, Default)]
struct All {
    kept: HashMap<Uuid, Arc<Kept>>,
    /// How many numbers they have.
    numbers: usize,
}

/// All kept sequences.
#[derive(Debug, Default)]
pub struct Sequences {
    all: Mutex<All>,
    /// Whether their numbers are functions of their client ids.
    test_mode: bool,
}

impl Sequences {
    /// No sequences yet. The environment says whether the broker is under test.
    pub fn from_environment() -> Self {
        let test_mode = std::env::var_os(TEST_MODE).is_some_and(|value| !value.is_empty());
        if test_mode {
            log::warn!(
                "event=test-mode advice=\"number sequences can be foretold: unset {TEST_MODE}\""
            );
        }
        Sequences { test_mode, ..Sequences::default() }
    }

    /// Keeps the sequence that `make` returns. It is called under the lock, so that
    /// what it puts into the store is what is kept.
    fn insert(
        &self,
        id: Uuid,
        count: u16,
        most: usize,
        make: impl FnOnce() -> Kept,
    ) -> Result<Arc<Kept>, Refused> {
        let mut all = lock(&self.all);
        let All { kept, numbers } = &mut *all;
        let total = *numbers + usize::from(count);
        let is_full = kept.len() >= most || total > NUMBERS_MAX;
        match kept.entry(id) {
            Entry::Occupied(_) => Err(Refused::Exists),
            Entry::Vacant(_) if is_full => Err(Refused::Full),
            Entry::Vacant(place) => {
                *numbers = total;
                Ok(place.insert(Arc::new(make())).clone())
            }
        }
    }

    fn find(&self, id: Uuid) -> Option<Arc<Kept>> {
        lock(&self.all).kept.get(&id).cloned()
    }

    /// Takes out a sequence if `is_it` holds for it, and calls `then` under the
    /// lock; returns whether it did.
    fn take(&self, id: Uuid, is_it: impl Fn(&Kept) -> bool, then: impl FnOnce()) -> bool {
        let mut all = lock(&self.all);
        let Entry::Occupied(place) = all.kept.entry(id) else { return false };
        if !is_it(place.get()) {
            return false;
        }
        let count = place.remove().count;
        all.numbers -= usize::from(count);
        then();
        true
    }
}

impl Broker {
    /// Makes a sequence for this client id.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn begin_sequence(
        &self,
        id: Uuid,
        count: u16,
        batch: u64,
        now_ms: u64,
    ) -> Result<Arc<Kept>, Refused> {
        self.purge_sequence(id, now_ms);
        let seed = if self.sequences.test_mode { Seed::name(id) } else { Seed::random() };
        let retention_ms = millis(self.config.numseq_retention);
        let until_ms = now_ms + retention_ms;
        let kept = self.sequences.insert(id, count, self.config.numseq_clients, || {
            let until_unix_ms = unix_ms().saturating_add_unsigned(retention_ms);
            let record = SequenceRecord { count, batch, seed, until_unix_ms };
            if let Some(store) = self.store() {
                store.put(Table::Sequences, id.as_bytes(), encode(&record));
            }
            record.kept(until_ms, self.store().map(Store::sync))
        })?;
        self.clock.set(until_ms, Timer::Sequence(Box::new(id)));
        Ok(kept)
    }

    /// The sequence of this client id, if it is still kept.
    pub fn sequence(&self, id: Uuid, now_ms: u64) -> Option<Arc<Kept>> {
        self.purge_sequence(id, now_ms);
        self.sequences.find(id)
    }

    /// Lets go of a sequence if its time is up.
    pub(super) fn purge_sequence(&self, id: Uuid, now_ms: u64) {
        if self.sequences.take(id, |kept| kept.until_ms <= now_ms, || self.unshelve(id)) {
            // The words are part of the protocol; others look for them in the log.
            log::info!("event=sequence-purged text=\"Purging client info for: {id}\"");
        }
    }

    /// Lets go of a sequence that could not be written: whoever made it has been
    /// told that there is none.
    pub fn forget_sequence(&self, id: Uuid, kept: &Arc<Kept>) {
        self.sequences.take(id, |of| std::ptr::eq(of, &raw const **kept), || self.unshelve(id));
    }

    fn unshelve(&self, id: Uuid) {
        if let Some(store) = self.store() {
            store.remove(Table::Sequences, id.as_bytes());
        }
    }

    /// Keeps the sequences from before a restart for the rest of their time.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub(super) fn recover_sequences(&self) -> Result<(), String> {
        let Some(store) = self.store() else { return Ok(()) };
        let (now_ms, now_unix_ms) = (self.now_ms(), unix_ms());
        let retention_ms = millis(self.config.numseq_retention);
        for (key, row) in store.all(Table::Sequences)? {
            let id = Uuid::from_slice(&key).map_err(|_| "a sequence's key is unreadable")?;
            let record: SequenceRecord = decode(&row)
                .map_err(|e| format!("the record of sequence {id} is unreadable: {e}"))?;
            let left_ms = u64::try_from(record.until_unix_ms.saturating_sub(now_unix_ms));
            let until_ms = now_ms + left_ms.unwrap_or(0).min(retention_ms);
            // They were within the limits when they were made.
            let made = || record.kept(until_ms, None);
            if self.sequences.insert(id, record.count, usize::MAX, made).is_ok() {
                self.clock.set(until_ms, Timer::Sequence(Box::new(id)));
            }
        }
        Ok(())
    }
}

fn unix_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::wire::text::TextEncoder;
    use std::time::Duration;

    const ID: Uuid = Uuid::from_u128(7);

    fn broker(change: impl FnOnce(&mut Config)) -> Arc<Broker> {
        let mut config = Config::default();
        change(&mut config);
        Broker::open(config, Box::new(TextEncoder)).unwrap()
    }

    #[test]
    fn it_is_kept_for_thirty_seconds_after_init_and_not_longer() {
        let broker = broker(|_| {});
        let numbers = broker.begin_sequence(ID, 100, 5, 1_000).unwrap().numbers().to_vec();
        broker.tick(30_999);
        let kept = broker.sequence(ID, 30_999).expect("one millisecond is left");
        assert_eq!(kept.numbers(), numbers);
        assert_eq!(broker.begin_sequence(ID, 1, 1, 30_999).unwrap_err(), Refused::Exists);
        broker.tick(31_000);
        assert!(broker.sequences.find(ID).is_none(), "nobody had to ask");
        assert!(broker.sequence(ID, 31_000).is_none());
        let again = broker.begin_sequence(ID, 100, 5, 31_000).unwrap();
        assert_ne!(again.numbers(), numbers);
        // The time of the first one is over, not that of the second.
        broker.tick(60_999);
        assert!(broker.sequence(ID, 60_999).is_some());
        assert_eq!(lock(&broker.sequences.all).numbers, 100);
    }

    #[test]
    fn who_asks_late_finds_nothing_even_before_the_clock_has_ticked() {
        let broker = broker(|_| {});
        broker.begin_sequence(ID, 1, 1, 0).unwrap();
        assert!(broker.sequence(ID, 30_000).is_none());
        broker.begin_sequence(ID, 1, 1, 30_000).unwrap();
        broker.begin_sequence(ID, 1, 1, 60_000).unwrap();
    }

    #[test]
    fn ids_and_numbers_have_limits() {
        let broker = broker(|config| config.numseq_clients = 2_100);
        let begin = |n, count| broker.begin_sequence(Uuid::from_u128(n), count, 1, 0).err();
        let most = NUMBERS_MAX / usize::from(u16::MAX);
        for n in 0..most as u128 {
            assert_eq!(begin(n, u16::MAX), None);
        }
        assert_eq!(begin(5_000, u16::MAX), Some(Refused::Full));
        for n in most as u128..2_100 {
            assert_eq!(begin(n, 0), None);
        }
        assert_eq!(begin(5_000, 0), Some(Refused::Full));
        assert_eq!(begin(0, 0), Some(Refused::Exists));
        broker.tick(30_000);
        assert_eq!(begin(5_000, u16::MAX), None);
    }

    #[test]
    fn a_restart_leaves_the_rest_of_the_time_and_the_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let with_data = |config: &mut Config| {
            config.data = Some(dir.path().into());
            config.numseq_retention = Duration::from_secs(3_600);
        };
        let before = broker(with_data);
        let kept = before.begin_sequence(ID, 1_000, 5, before.now_ms()).unwrap();
        assert_eq!(kept.ticket.as_ref().unwrap().wait(), Ok(()));
        let numbers = kept.numbers().to_vec();
        before.close_store();
        drop(before);

        let after = broker(with_data);
        let kept = after.sequence(ID, after.now_ms()).unwrap();
        assert_eq!((kept.numbers(), kept.batch), (&numbers[..], 5));
        assert!(kept.until_ms <= after.now_ms() + 3_600_000);
        after.tick(kept.until_ms);
        assert!(after.store().unwrap().all(Table::Sequences).unwrap().is_empty());
    }
}
