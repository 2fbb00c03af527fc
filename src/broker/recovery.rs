//! What a broker has from before a restart.

use super::Broker;
use crate::store::{Recovered, Store};

impl Broker {
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
