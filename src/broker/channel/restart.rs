//! Channels from before a restart.

use super::durable::{Kept, OnDisk};
use super::{Channel, Rules, State, record};
use crate::log::{Body, Departure, MemoryLog, Place};
use crate::request::Settings;
use crate::roster::Roster;
use crate::store::{RecoveredChannel, RosterRecord, Store};
use jiff::Timestamp;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

impl Kept {
    /// A channel that the store has had from before.
    pub(super) fn recover(
        store: Store,
        found: &RecoveredChannel,
        settings: &Settings,
        me: &Weak<Channel>,
    ) -> (Kept, Box<OnDisk>) {
        let extent = found.extent;
        let disk = OnDisk::new(settings, extent, extent.next_chunk, extent.last_seq);
        let kept = Kept { store, id: found.id, me: me.clone(), dropped: AtomicBool::new(false) };
        (kept, disk)
    }
}

impl Channel {
    /// A channel from before a restart, without its members.
    pub fn recover(found: &RecoveredChannel, store: &Store, rules: Arc<Rules>) -> Arc<Self> {
        let settings = record::settings(&found.record);
        let millis = found.record.created_unix_ms;
        let created = Timestamp::from_millisecond(millis).unwrap_or_default();
        let channel = Arc::new_cyclic(|me| {
            let (kept, disk) = Kept::recover(store.clone(), found, &settings, me);
            let log = MemoryLog::after(found.extent.last_seq, found.extent.next_chunk);
            let state = State { log, disk: Some(disk), ..State::default() };
            let name = found.record.name.as_str().into();
            Channel::with(name, settings, rules, created, Some(kept), state)
        });
        channel.note_made();
        channel
    }

    /// After a restart: who was on the channel has left it.
    pub fn give_up_seats(&self, before: &RosterRecord, now_ms: u64) {
        let mut state = self.lock();
        let ranked: Vec<_> = before.seats.iter().filter(|seat| !seat.observer).collect();
        let rows = (0..).zip(&ranked).map(|(key, seat)| (key, seat.term)).collect();
        state.roster = Roster::restore(rows, before.view);
        for (key, seat) in (0..).zip(ranked) {
            let seq = state.log.head() + 1;
            let Some(change) = state.roster.leave(key, seq) else { continue };
            let place = Place { channel: &self.name, seq };
            let mut bytes = Vec::new();
            let reason = Some(Departure::Lost);
            self.rules.encode.change(place, &seat.name, change, reason, &mut bytes);
            state.note_change(change);
            state.append_one(seat.client, Body::Change(change), bytes, now_ms);
        }
        if !before.seats.is_empty() {
            self.relieve(&mut state, None, now_ms);
        }
    }
}
