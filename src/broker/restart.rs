//! Clients across a restart of the broker: what is noted of them while it runs, and
//! how they are restored afterwards: away, with their seats held.

use super::Broker;
use super::channel::{Channel, RestoredSeat};
use super::clock::{Seat, Timer};
use super::directory::Client;
use super::keys::{Answer, Key, Keys};
use super::member::Member;
use super::remembered::{self, CallbackRecord, PlaceRecord, Remembered};
use super::sessions::{GoneChannel, Identity, KeptAs, Parked, ParkedSeat};
use crate::log::{ClientId, Departure};
use crate::moment::millis;
use crate::request::OnClose;
use crate::store::{ChannelId, OpenError, Recovered, RosterRecord};
use crate::sync::lock;
use ecow::EcoString;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// A client from before the restart that is being restored.
struct Returning {
    parked: Parked,
    identity: Identity,
    /// Its places as they were noted, by the channel's name; those with a seat are
    /// taken out as they are restored.
    noted: BTreeMap<String, PlaceRecord>,
    /// Until when a seat is held for it.
    held_ms: Option<u64>,
}

impl Broker {
    /// Notes a client's session, with its current channel, for a restart.
    pub fn remember_session(&self, client: &Client, current: Option<&EcoString>) {
        if let Some(store) = self.store() {
            remembered::put_session(store, client, current);
        }
    }

    /// Notes a channel that a session is subscribed to, and how far it is there.
    pub fn remember_place(&self, channel: &Channel, member: &Member) {
        if let Some(store) = self.store() {
            remembered::put_place(store, channel, member);
        }
    }

    /// Forgets a session's place in a channel that it is no longer subscribed to.
    pub fn forget_place(&self, client: &Client, channel: &str) {
        if let (Some(store), Some(identity)) = (self.store(), client.identity()) {
            remembered::remove_place(store, identity.session, channel);
        }
    }

    /// Forgets a session's places in channels that were dropped before a restart,
    /// unless it has come to others of these names.
    pub fn forget_gone(&self, client: &Client, gone: &[GoneChannel]) {
        let subscriptions = lock(&client.subscriptions);
        for GoneChannel { channel, .. } in gone {
            if subscriptions.get(channel).is_none() {
                self.forget_place(client, channel);
            }
        }
    }

    /// Notes what a channel answered to a key.
    pub fn remember_answer(&self, client: &Client, key: &Key, by: &Channel, answer: Answer) {
        if let (Some(store), Some(identity)) = (self.store(), client.identity()) {
            remembered::put_answer(store, identity.session, key, by, answer);
        }
    }

    /// Forgets what was answered to a key.
    pub fn forget_answer(&self, client: &Client, key: &Key) {
        if let (Some(store), Some(identity)) = (self.store(), client.identity()) {
            remembered::remove_answer(store, identity.session, key);
        }
    }

    /// Notes the callback of a member without a connection.
    pub fn remember_callback(&self, client: &Client, record: &CallbackRecord) {
        if let (Some(store), Some(identity)) = (self.store(), client.identity()) {
            remembered::put_callback(store, identity.session, record);
        }
    }

    /// Forgets the callback of the member with this session.
    pub fn forget_callback(&self, session: Uuid) {
        if let Some(store) = self.store() {
            remembered::remove_callback(store, session);
        }
    }

    /// The members without a connection from before the restart that had a
    /// callback: the identity of each, and the callback.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn callbacks_of_before(&self) -> Result<Vec<(Identity, CallbackRecord)>, String> {
        let Some(store) = self.store() else { return Ok(Vec::new()) };
        let called = remembered::all(store)?.into_iter().filter_map(|remembered| {
            let Remembered { session, record, callback, .. } = remembered;
            let secret = Uuid::from_bytes(record.secret);
            Some((Identity { session, secret, asked: record.asked }, callback?))
        });
        Ok(called.collect())
    }

    /// Forgets a client's session, which is over.
    pub(super) fn forget_session(&self, client: &Client, keys: Option<&Keys>) {
        let (Some(store), Some(identity)) = (self.store(), client.identity()) else { return };
        remembered::remove_session(store, identity.session, keys);
        if client.is_unwaited() {
            remembered::remove_callback(store, identity.session);
        }
    }

    /// The error for a store that holds something unreadable.
    pub(super) fn damaged(&self, reason: String) -> OpenError {
        let dir = self.config.data.clone().unwrap_or_default();
        OpenError::Damaged { dir, reason }
    }

    /// How long members keep their seats after a restart.
    pub(super) fn restart_grace_ms(&self) -> u64 {
        match millis(self.config.restart_grace) {
            0 => self.guarded_lease_ms(),
            grace_ms => grace_ms,
        }
    }

    /// Restores the clients from before a restart: away, with their seats held for
    /// a while and their sessions ready to be resumed.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub(super) fn recover_clients(&self, recovered: &Recovered) -> Result<(), String> {
        let Some(store) = self.store() else { return Ok(()) };
        let (now_ms, promised_ms) = (self.now_ms(), self.promised_ms()?);
        let mut clients = HashMap::new();
        for remembered in remembered::all(store)? {
            let id = remembered.record.client;
            clients.insert(id, self.returning(remembered, now_ms));
        }
        for found in &recovered.channels {
            if let Ok(channel) = self.channel(&found.record.name) {
                let lease_ms = match channel.settings().on_close {
                    OnClose::Safe => promised_ms,
                    OnClose::Fast => 0,
                };
                self.recover_seats(&channel, &found.roster, &mut clients, lease_ms, now_ms);
            }
        }
        for (_, client) in clients {
            self.recover_session(client, now_ms);
        }
        Ok(())
    }

    /// The channel of this name, if it is still the one with this number.
    fn channel_of_before(&self, name: &str, number: ChannelId) -> Option<Arc<Channel>> {
        let is_it = |channel: &Arc<Channel>| channel.id() == Some(number);
        self.channel(name).ok().filter(|channel| number == remembered::UNKNOWN || is_it(channel))
    }

    /// Restores a client with what is remembered of its session.
    fn returning(&self, remembered: Remembered, now_ms: u64) -> Returning {
        let Remembered { session, record, mut places, answers, callback: _ } = remembered;
        let mut gone = Vec::new();
        places.retain(|name, place| {
            let is_here = self.channel_of_before(name, place.of).is_some();
            if !is_here && let Some(store) = self.store() {
                // Its place stays noted until the client is told: another restart may come.
                let (channel, seen) = (name.as_str().into(), place.seen);
                let end = store.dropped_at(name).max(seen + 1);
                gone.push(GoneChannel { channel, seen, end });
            }
            is_here
        });
        let secret = Uuid::from_bytes(record.secret);
        let identity = Identity { session, secret, asked: record.asked };
        let client = self.directory.restore(record.client, &record.name, now_ms);
        client.be_unwaited(record.resident != Some(false));
        let patterns = record.patterns.iter().filter_map(|glob| glob::Pattern::new(glob).ok());
        let patterns: Vec<_> = patterns.map(Arc::new).collect();
        if !patterns.is_empty() {
            *lock(&client.subscriptions).patterns_mut() = patterns;
        }
        let mut keys = Keys::default();
        for ((channel, of), word, answer) in answers {
            let found = self.channel_of_before(&channel, of);
            let key = Key { channel: channel.into(), word, is_command: answer.to.is_some() };
            // An answer whose entry did not get to the disk was never given.
            if let Some(by) = found.filter(|by| by.last_seq() >= answer.seq) {
                keys.put(key, &by, answer);
            } else if let Some(store) = self.store() {
                remembered::remove_answer(store, session, &key);
            }
        }
        let current =
            record.current.and_then(|name| Some(self.channel(&name).ok()?.name().clone()));
        let keys = Some(Box::new(keys));
        let parked = Parked { gone, current, keys, ..Parked::of(client) };
        Returning { parked, identity, noted: places, held_ms: None }
    }

    /// Restores a client of which only a seat is known, and no session.
    fn stranger_of_before(&self, id: ClientId, name: &str, now_ms: u64) -> Returning {
        let parked = Parked::of(self.directory.restore(id, name, now_ms));
        let (identity, noted) = (Identity::new(None), BTreeMap::new());
        Returning { parked, identity, noted, held_ms: None }
    }

    /// Restores a channel's members to their seats: away, with the seats held for
    /// `lease_ms` at least.
    fn recover_seats(
        &self,
        channel: &Arc<Channel>,
        roster: &RosterRecord,
        clients: &mut HashMap<ClientId, Returning>,
        lease_ms: u64,
        now_ms: u64,
    ) {
        let hold_ms = millis(channel.settings().hold).max(lease_ms);
        let at_ms = now_ms + self.restart_grace_ms().max(hold_ms);
        let ranked = roster.seats.iter().filter(|seat| !seat.observer);
        let seats = ranked.map(|seat| {
            let client = clients
                .entry(seat.client)
                .or_insert_with(|| self.stranger_of_before(seat.client, &seat.name, now_ms));
            let noted = client.noted.get(&**channel.name());
            RestoredSeat {
                client: client.parked.client.clone(),
                slot: lock(&client.parked.client.subscriptions).take_slot(),
                record: seat.clone(),
                // May be before its `join`, if it began to read there.
                seen: noted.map_or(seat.joined, |place| place.seen),
                echo: noted.is_none_or(|place| place.echo),
            }
        });
        let members = channel.restore(seats.collect(), roster.view, at_ms, now_ms);
        for member in members {
            let Some(client) = clients.get_mut(&member.client.id) else { continue };
            client.noted.remove(channel.name().as_str());
            lock(&member.client.subscriptions).add(channel.clone(), member.clone());
            client.held_ms = client.held_ms.max(Some(at_ms));
            let why = Departure::Lost;
            let (of, who) = (Arc::downgrade(channel), Arc::downgrade(&member));
            let seat = Seat { channel: of, member: who, why, at_ms };
            self.clock.set(at_ms, Timer::Seat(Box::new(seat)));
            client.parked.seats.push(ParkedSeat { channel: channel.clone(), member });
        }
    }

    /// Parks the session of a client from before the restart.
    fn recover_session(&self, returning: Returning, now_ms: u64) {
        let Returning { mut parked, identity, noted, held_ms } = returning;
        for (name, place) in noted {
            // A place in a channel that is gone is not needed.
            let Ok(channel) = self.channel(&name) else { continue };
            let member = Self::recover_place(&channel, &parked.client, &place, now_ms);
            parked.seats.push(ParkedSeat { channel, member });
        }
        let client = parked.client.clone();
        if !lock(&client.subscriptions).patterns().is_empty() {
            self.registry.add_observer(&client);
        }
        for seat in &parked.seats {
            seat.channel.stop_reading(&seat.member, true);
        }
        client.go_away();
        self.sessions.begin(&client, identity);
        let kind = match held_ms {
            Some(_) => KeptAs::Seated,
            None if identity.asked => KeptAs::Named,
            None => KeptAs::MadeUp,
        };
        let until_ms = held_ms.max(Some(now_ms + millis(self.current().session_grace)));
        let oldest = self.sessions.park(identity.session, parked, until_ms.unwrap_or(0), kind);
        if let Some(oldest) = oldest {
            self.dissolve(&oldest, now_ms);
        }
    }

    /// Restores a place without a seat: an observer's, or that of a member that was
    /// no longer in the roster.
    fn recover_place(
        channel: &Arc<Channel>,
        client: &Arc<Client>,
        place: &PlaceRecord,
        now_ms: u64,
    ) -> Arc<Member> {
        let mut subscriptions = lock(&client.subscriptions);
        let slot = subscriptions.take_slot();
        let member = channel.restore_seatless(client, slot, place, now_ms);
        subscriptions.add(channel.clone(), member.clone());
        member
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::request::{Settings, Subscribe};
    use crate::wire::text::TextEncoder;

    /// A broker that is killed as soon as a seat is on disk knows whose it is.
    #[test]
    fn a_session_is_noted_with_its_first_seat() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data: Some(dir.path().join("data")), ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        broker.create("ops", Settings { durable: true, ..Settings::default() }, 0).unwrap();
        let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
        assert!(broker.begin_session(&client, None));
        broker.subscribe(&client, &Subscribe::to("ops"), 0).unwrap();
        let known = remembered::all(broker.store().unwrap()).unwrap();
        let known: Vec<_> = known.into_iter().map(|known| (known.session, known.record)).collect();
        let session = client.identity().unwrap().session;
        assert!(matches!(&known[..], [(of, record)] if *of == session
            && record.client == client.id && record.current.as_deref() == Some("ops")));
    }
}
