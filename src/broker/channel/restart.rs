//! Channels and their members from before a restart.

use super::durable::{Kept, OnDisk};
use super::{Channel, Charter, Rules, State, record};
use crate::broker::directory::Client;
use crate::broker::member::{Member, Role};
use crate::broker::remembered::PlaceRecord;
use crate::log::{Cursor, Edge, MemoryLog};
use crate::moment::Second;
use crate::request::Settings;
use crate::roster::{Change, Roster};
use crate::store::{RecoveredChannel, SeatRecord, Store};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

/// A member that had a rank before the restart.
#[derive(Clone, Debug)]
pub struct RestoredSeat {
    /// The member's client.
    pub client: Arc<Client>,
    /// The number of the subscription.
    pub slot: u32,
    /// What the roster on disk has of it.
    pub record: SeatRecord,
    /// The last seq that it is known to have.
    pub seen: u64,
    /// Whether it gets what it publishes itself.
    pub echo: bool,
}

impl Kept {
    /// The way to the store of a channel that is in it from before, and what is on
    /// disk.
    pub(super) fn recover(
        store: Store,
        found: &RecoveredChannel,
        settings: &Settings,
        me: &Weak<Channel>,
    ) -> (Kept, OnDisk) {
        let extent = found.extent;
        let end = Edge { end_chunk: extent.next_chunk, last_seq: extent.last_seq };
        let mut disk = OnDisk::new(settings, extent, end);
        disk.offered = found.offered();
        let kept = Kept { store, id: found.id, me: me.clone(), dropped: AtomicBool::new(false) };
        (kept, disk)
    }
}

impl Channel {
    /// A channel from before a restart, without its members.
    pub fn recover(found: &RecoveredChannel, store: &Store, rules: Arc<Rules>) -> Arc<Self> {
        let settings = record::settings(&found.record);
        let created = Second::of_unix_ms(found.record.created_unix_ms);
        let channel = Arc::new_cyclic(|me| {
            let (kept, disk) = Kept::recover(store.clone(), found, &settings, me);
            let log = MemoryLog::after(found.extent.last_seq, found.extent.next_chunk);
            let mut state = State { log, ..State::default() };
            state.extra.parts().disk = Some(disk);
            let name = found.record.name.as_str().into();
            let charter = Charter { rules, settings, kept: Some(kept) };
            Channel::with(name, created, Arc::new(charter), state)
        });
        channel.note_made();
        channel
    }

    /// Restores members to their seats, in rank order: away, with the seats held
    /// until this time. On a durable channel their terms are those they had. On
    /// others the last changes may not have got to the disk: there all terms begin
    /// anew, so that none is ever lower than one that was given before.
    pub fn restore(
        &self,
        seats: Vec<RestoredSeat>,
        view: u64,
        until_ms: u64,
        now_ms: u64,
    ) -> Vec<Arc<Member>> {
        let mut state = self.lock();
        let mut members: Vec<Arc<Member>> = Vec::with_capacity(seats.len());
        let mut order = Vec::with_capacity(seats.len());
        let anew = (!self.is_durable()).then_some(state.log.head() + 1);
        for RestoredSeat { client, slot, record, seen, echo } in seats {
            let key = state.seats.vacant_key();
            let mut member = Member::new(client, slot, key, record.joined);
            member.since = Second::of_unix_ms(record.since_unix_ms);
            member.echo = echo;
            member.has_seen(seen);
            member.go_away(until_ms, false);
            member.keep_from(Some(state.log.next_chunk()));
            let member = Arc::new(member);
            state.seats.insert(member.clone());
            order.push((key, anew.unwrap_or(record.term)));
            members.push(member);
        }
        if let (Some(first), Some(anew)) = (members.first(), anew) {
            state.roster = Roster::restore(&order, anew);
            // The entry that tells of the new terms: rank 0 stays with its member.
            let change = Change::Move { old: 0, new: 0 };
            self.append_change(&mut state, &first.client, change, None, now_ms);
        } else {
            // The last changes of an empty roster may be missing, too.
            let head = state.log.head();
            state.roster = Roster::restore(&order, anew.map_or(view, |_| head));
        }
        members
    }

    /// Restores a subscription without a seat: that of an observer, or of a member
    /// that is not in the roster any more, which counts as lost and may join anew.
    pub(in crate::broker) fn restore_seatless(
        &self,
        client: &Arc<Client>,
        slot: u32,
        place: &PlaceRecord,
        now_ms: u64,
    ) -> Arc<Member> {
        let mut state = self.lock();
        let key = state.seats.vacant_key();
        let mut member = Member::new(client.clone(), slot, key, place.joined);
        member.role = match place {
            PlaceRecord { by_pattern: true, .. } => Role::PatternObserver,
            PlaceRecord { observer: true, .. } => Role::Observer,
            _ => Role::Member,
        };
        member.echo = place.echo;
        member.has_seen(place.seen);
        let next = state.log.next_chunk();
        member.keep_from(Some(next));
        member.advance(Cursor::at(next).chunk, true, now_ms);
        let member = Arc::new(member);
        if place.observer {
            state.seats.insert(member.clone());
        } else {
            member.lose();
            member.end_at(state.log.head());
            state.extra.parts().leavers.push(member.clone());
        }
        member
    }
}
