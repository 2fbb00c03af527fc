//! What a broker has from before a restart.

use super::Broker;
use super::clock::Timer;
use crate::store::{Recovered, Store, Table, decode, encode};

/// Under which it is noted for how long somebody may believe in a seat.
const PROMISE_KEY: &[u8] = b"promise";

impl Broker {
    /// For how long somebody may believe in a seat that was promised before the
    /// restart, guard time and all. A broker with a shorter lease remembers the
    /// longer one until nobody can believe in it any more.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub(super) fn promised_ms(&self) -> Result<u64, String> {
        let own_ms = self.guarded_lease_ms();
        let Some(store) = self.store() else { return Ok(own_ms) };
        let noted = store.all(Table::Meta)?.into_iter().find(|(key, _)| key == PROMISE_KEY);
        let explain = |e| format!("the record of the lease is unreadable: {e}");
        let before_ms = noted.map_or(Ok(0), |(_, row)| decode::<u64>(&row)).map_err(explain)?;
        if before_ms > own_ms {
            self.clock.set(self.now_ms() + before_ms, Timer::Promise);
        } else if before_ms < own_ms {
            self.note_promise();
        }
        Ok(before_ms.max(own_ms))
    }

    /// Notes for how long somebody may believe in a seat, for a restart.
    pub(super) fn note_promise(&self) {
        if let Some(store) = self.store() {
            let own_ms = self.guarded_lease_ms();
            store.put(Table::Meta, PROMISE_KEY, encode(&own_ms));
        }
    }

    /// Makes the channels again. Their members are in [`Broker::recovered`].
    pub(super) fn recover_channels(&self) {
        let Some(store) = &self.store else { return };
        for found in &self.recovered.channels {
            self.registry.recover(found, store);
        }
    }

    /// Waits until what the recovery itself has to write is on disk, such as the
    /// seqs up to which channels may go on.
    pub(super) fn settle_recovery(&self) {
        if let Some(Err(reason)) = self.store.as_ref().map(|store| store.sync().wait()) {
            log::error!("event=store-unavailable reason={reason:?}");
        }
    }

    /// What there was when this broker began.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The last entry that a channel of this name had from before the restart; 0
    /// if there was none. One that was made again since goes on above it.
    pub fn last_of_before(&self, channel: &str) -> u64 {
        let found = self.recovered.channels.iter().find(|found| found.record.name == channel);
        found.map_or(0, |found| found.extent.last_seq)
    }

    /// What outlives this broker, if anything does.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Writes what is yet to be written, and lets go of the data directory. Then
    /// channels can be made and changed no more.
    pub fn close_store(&self) {
        let Some(store) = &self.store else { return };
        let ends = self.registry.all().into_iter().filter(|channel| !channel.is_durable());
        let ends = ends.filter_map(|channel| Some((channel.id()?, channel.summary().seq)));
        store.close(ends.collect());
    }
}
