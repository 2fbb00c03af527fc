//! What a broker has from before a restart.

use super::Broker;
use super::clock::Timer;
use super::registry::Registry;
use crate::store::{Recovered, Store, Table, decode, encode};
use ecow::EcoString;
use std::time::Duration;

/// The key under which it is noted for how long somebody may believe in a seat.
const PROMISE_KEY: &[u8] = b"promise";

/// What a broker had recovered when it began, as far as that is asked for later.
/// All else, such as who had which seat, has become part of the broker by then.
#[derive(Debug, Default)]
pub struct Before {
    /// How many channels.
    pub channels: usize,
    /// How many entries on disk.
    pub entries: u64,
    /// How many sessions.
    pub sessions: u64,
    /// What all of it took on disk, in bytes.
    pub bytes: u64,
    /// How long it took to recover it.
    pub took: Duration,
    /// The last seq of each channel, by name.
    last_seqs: Vec<(EcoString, u64)>,
}

impl Before {
    /// Makes the channels again, without their members.
    pub(super) fn take_in(recovered: &Recovered, store: &Store, registry: &Registry) -> Self {
        let last_seqs = recovered.channels.iter().map(|found| {
            let channel = registry.recover(found, store);
            (channel.name().clone(), found.extent.last_seq)
        });
        let mut last_seqs: Vec<_> = last_seqs.collect();
        last_seqs.sort_unstable();
        Before {
            channels: recovered.channels.len(),
            entries: recovered.entries,
            sessions: recovered.sessions,
            bytes: recovered.bytes,
            took: recovered.took,
            last_seqs,
        }
    }

    /// The seq of the last entry that a channel of this name had; 0 if there was
    /// none.
    fn last_seq(&self, channel: &str) -> u64 {
        let place = self.last_seqs.binary_search_by(|(name, _)| name.as_str().cmp(channel));
        place.ok().and_then(|at| self.last_seqs.get(at)).map_or(0, |(_, last_seq)| *last_seq)
    }
}

impl Broker {
    /// For how long somebody may believe in a seat that was promised before the
    /// restart, guard time included. A broker with a shorter lease remembers the
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

    /// Waits until what the recovery itself has to write is on disk, such as the
    /// seqs up to which channels may go on.
    pub(super) fn settle_recovery(&self) {
        if let Some(Err(reason)) = self.store.as_ref().map(|store| store.sync().wait()) {
            log::error!("event=store-unavailable reason={reason:?}");
        }
    }

    /// What this broker had recovered when it began.
    pub fn before(&self) -> &Before {
        &self.before
    }

    /// The seq of the last entry that a channel of this name had before the
    /// restart; 0 if there was none. A channel that was made again since goes on
    /// above it.
    pub fn last_of_before(&self, channel: &str) -> u64 {
        self.before.last_seq(channel)
    }

    /// The store, if anything outlives this broker.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Writes what is yet to be written, and lets go of the data directory. After
    /// that, channels can no longer be made or changed.
    pub fn close_store(&self) {
        let Some(store) = &self.store else { return };
        let ends = self.registry.all().into_iter().filter(|channel| !channel.is_durable());
        let ends = ends.filter_map(|channel| Some((channel.id()?, channel.summary().seq)));
        store.close(ends.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::payload::Payload;
    use crate::request::{Settings, Subscribe};
    use crate::session::Session;
    use crate::wire::text::TextEncoder;

    #[test]
    fn where_channels_ended_before_is_known_whatever_becomes_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data: Some(dir.path().into()), ..Config::default() };
        let names = ["c", "b", "a-channel-with-a-long-name"];
        for run in 0..2 {
            let broker = Broker::open(config.clone(), Box::new(TextEncoder)).unwrap();
            let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
            let mut session = Session::new(broker.clone(), client.clone());
            let mut publish = |name: &str| {
                session.publish(name, None, &[Payload::Plain(b"x")], 0).unwrap();
            };
            let create = |name: &str| {
                broker.create(name, Settings { durable: true, ..Settings::default() }, 0).unwrap();
            };
            let known = || names.map(|name| broker.last_of_before(name));
            if run == 0 {
                for (at, name) in names.iter().enumerate() {
                    create(name);
                    (0..=at).for_each(|_| publish(name));
                }
                assert_eq!((known(), broker.before().channels), ([0, 0, 0], 0));
            } else {
                assert_eq!((known(), broker.last_of_before("other")), ([1, 2, 3], 0));
                broker.subscribe(&client, &Subscribe::to("b"), 0).unwrap();
                broker.drop_channel(&client, "b", None).unwrap();
                assert_eq!(known(), [1, 2, 3]);
                let before = broker.before();
                assert_eq!((before.channels, before.entries), (3, 6));
            }
            broker.close_store();
        }
    }
}
