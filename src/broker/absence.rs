//! What becomes of a client whose connection is lost, and how it comes back.

use super::channel::{Entrance, Hold, Loss, Return};
use super::clock::{Seat, Timer};
use super::directory::{Client, Origin};
use super::keys::Keys;
use super::sessions::{Claim, Identity, KeptAs, Parked, ParkedSeat};
use super::{Broker, departure, remembered};
use crate::error::{Close, Code, Fault};
use crate::log::Departure;
use crate::moment::millis;
use crate::request::{OnClose, Start};
use crate::sync::lock;
use std::sync::Arc;
use uuid::Uuid;

/// How often a client is looked at whose lease is over.
const LEASE_LOOK_MS: u64 = 1_000;

impl Broker {
    /// A client introduces itself: begins the session that it names, or one that
    /// is made up for it, instead of its own, if it has one. Whether the name was
    /// free.
    pub fn begin_session(&self, client: &Arc<Client>, session: Option<Uuid>) -> bool {
        let old = client.identity();
        let is_begun = self.sessions.begin(client, Identity::new(session));
        if let (Some(old), Some(store)) = (old.filter(|_| is_begun), self.store()) {
            remembered::remove_session(store, old.session, None);
        }
        is_begun
    }

    /// A client wants a session that was begun on another connection.
    ///
    /// # Errors
    /// [`crate::error::Code::Gone`], [`crate::error::Code::Denied`], or
    /// [`crate::error::Code::BadRequest`] for another name than that of the
    /// session.
    pub fn claim_session(
        &self,
        client: &Arc<Client>,
        session: Uuid,
        secret: Option<&str>,
        name: Option<&str>,
    ) -> Result<Claim, Fault> {
        let claim = self.sessions.claim(session, secret, name, client);
        claim.inspect_err(|fault| match fault.code {
            Code::Denied => self.stats.resumes.add("denied", 1),
            Code::Gone => self.stats.resumes.add("gone", 1),
            _ => {}
        })
    }

    /// Whether a session waits for a client without a connection, which has one seat
    /// to come back to.
    pub fn is_parked_in_one(&self, session: Uuid) -> bool {
        self.sessions.is_parked_in_one(session)
    }

    /// How many sessions wait for their clients.
    pub fn parked_sessions(&self) -> usize {
        self.sessions.parked()
    }

    /// A client's connection is lost: the seats that its channels hold for it
    /// are away, the others it leaves. What it has been sent is still due to it.
    pub fn lose(&self, client: &Arc<Client>, reason: Close, now_ms: u64) {
        if self.is_stopping() {
            return;
        }
        let why = departure(reason);
        // Who has no connection goes on reading, and loses nothing with it.
        let reads_on = client.is_unwaited();
        let may_return =
            client.identity().is_some() && !self.current().session_grace.is_zero() && !reads_on;
        // Who is sent away will be sent back, here or to a successor; who has no
        // connection, and is turned away, will ask again.
        let is_held =
            if reads_on { self.is_draining() } else { reason == Close::Drain && may_return };
        let hold = Hold {
            lease_over_ms: self.lease_over_ms(client),
            until_ms: if is_held { now_ms + self.restart_grace_ms() } else { 0 },
            may_return,
        };
        let members = lock(&client.subscriptions).all();
        for (channel, member) in members {
            match channel.lose(&member, why, hold, now_ms) {
                Loss::Held { until_ms: at_ms } => {
                    let (channel, member) = (Arc::downgrade(&channel), Arc::downgrade(&member));
                    let seat = Seat { channel, member, why, at_ms };
                    self.clock.set(at_ms, Timer::Seat(Box::new(seat)));
                }
                Loss::Left => channel.wake_soon(),
                Loss::Nothing => {}
            }
        }
    }

    /// A client that has lost its connection and its channels goes: its session
    /// is kept for the grace, or until the last seat that is held for it. If
    /// there is neither, it leaves.
    pub fn park(&self, parked: Parked, reason: Close, now_ms: u64) {
        let client = parked.client.clone();
        let held_ms = parked.seats.iter().filter_map(|seat| seat.member.away_until_ms()).max();
        let grace_ms = now_ms + millis(self.current().session_grace);
        // Who has not introduced itself cannot come back.
        let grace_ms = client.identity().filter(|_| grace_ms > now_ms).map(|_| grace_ms);
        let Some(until_ms) = grace_ms.max(held_ms).filter(|_| !self.is_stopping()) else {
            return self.leave(&client, parked.keys.as_deref(), reason, now_ms);
        };
        let identity = client.identity().unwrap_or_else(|| {
            // A name for the seats that are held; nobody knows it.
            let identity = Identity::new(None);
            client.identify(identity);
            identity
        });
        let may_return = grace_ms.is_some();
        for seat in &parked.seats {
            seat.channel.stop_reading(&seat.member, may_return);
        }
        self.note_closed(&client, reason);
        client.go_away();
        // Those, too, that it has yet to find.
        let members = lock(&client.subscriptions).all();
        for (channel, member) in members {
            channel.stop_reading(&member, may_return);
        }
        let kind = match identity.asked {
            _ if held_ms.is_some() => KeptAs::Seated,
            true => KeptAs::Named,
            false => KeptAs::MadeUp,
        };
        let oldest = self.sessions.park(identity.session, parked, until_ms, kind);
        if let Some(oldest) = oldest {
            let who = oldest.client.name();
            log::debug!("event=session-ended client={who} reason=\"too many are kept\"");
            self.dissolve(&oldest, now_ms);
        }
    }

    /// A parked session's client is back, on another connection, whose own client
    /// is nobody any more.
    pub fn resume(&self, parked: &Parked, guest: &Arc<Client>, now_ms: u64) {
        self.dismiss(guest, None, Departure::Quit, now_ms);
        parked.client.heard(now_ms);
        parked.client.arrive(guest.origin());
        // Nobody does if it was closed for its silence, or is from before a restart.
        self.watch_out(&parked.client, now_ms);
    }

    /// Nothing is left of a client that goes for good: no session, no channels and
    /// patterns, no mail and no jobs.
    pub(super) fn dismiss(
        &self,
        client: &Arc<Client>,
        keys: Option<&Keys>,
        why: Departure,
        now_ms: u64,
    ) {
        if let Some(identity) = client.identity() {
            self.sessions.end(identity.session);
        }
        // A broker that stops takes its channels with it: nobody is promoted for
        // the moment that is left, and nobody told of each that goes.
        if self.is_stopping() {
            self.forget_client(client);
        } else {
            self.part_with(client, keys, why, now_ms);
        }
    }

    /// A client without a session any more leaves every channel, and is forgotten.
    fn part_with(&self, client: &Arc<Client>, keys: Option<&Keys>, why: Departure, now_ms: u64) {
        self.forget_session(client, keys);
        self.leave_channels(client, why, now_ms);
        self.forget_client(client);
    }

    fn forget_client(&self, client: &Client) {
        client.mailbox.abandon();
        self.jobs.abandon(client.id);
        self.directory.forget(client);
    }

    /// A client that nobody knows, for a connection whose own has gone on from
    /// another one.
    pub fn stranger(&self, origin: Origin) -> Arc<Client> {
        self.directory.stranger(origin)
    }

    /// Takes up a place of a parked session again, behind the seq that its
    /// client has: in the seat that was held, or at the bottom if it was not. If
    /// nobody can join there, only what was there before is still due to it.
    pub fn return_to(
        &self,
        client: &Arc<Client>,
        seat: &ParkedSeat,
        seen: u64,
        now_ms: u64,
    ) -> Return {
        let ParkedSeat { channel, member } = seat;
        if let Some(back) = channel.come_back(member, seen, now_ms) {
            return back;
        }
        let seen = seen.min(channel.last_seq());
        let mut subscriptions = lock(&client.subscriptions);
        let slot = subscriptions.take_slot();
        let (echo, start) = (member.echo, Start::Seq(seen + 1));
        let entrance = Entrance { echo, returns: true, keeps: true, ..Entrance::at(start) };
        let back = match channel.join(client, slot, entrance, now_ms) {
            Ok((adopted, standing, _)) => {
                let missed = channel.missed_by(&adopted.member, adopted.next_seq);
                Return { adopted, standing: Some(standing), missed }
            }
            Err(Fault { code, message }) => {
                let (who, name) = (client.name(), channel.name());
                log::info!(
                    "event=not-returned client={who} channel={name} code={code} reason={message:?}"
                );
                channel.see_out(member, slot, seen, now_ms)
            }
        };
        member.keep_from(None);
        // It may be an observer of another channel that has got this one's name.
        let is_last = subscriptions.forget(channel, member);
        if is_last || !back.adopted.member.has_left() {
            subscriptions.add(channel.clone(), back.adopted.member.clone());
        }
        back
    }

    /// A client whose seats are away is heard of again, on the session that it
    /// had all along: it keeps those that were not given up.
    pub fn keep_seats(&self, client: &Client, now_ms: u64) {
        let members = lock(&client.subscriptions).all();
        for (channel, member) in members {
            if member.away_until_ms().is_some() {
                channel.stay(&member, now_ms);
            }
        }
    }

    /// Somebody wants a name that a client without a connection bears: it may
    /// have it, unless a seat is held under it by the rules of its channel. (Who
    /// was sent away and comes back without its session is not kept waiting.) One
    /// that has let its lease run out without a word is closed, so that the name is
    /// free a moment later: it may be who asks, whose machine was started anew.
    /// Whether it is free now.
    pub(super) fn free_name(&self, name: &str, now_ms: u64) -> bool {
        let Ok(client) = self.directory.find(name) else { return true };
        let holds_a_seat = |client: &Client| {
            let subscriptions = lock(&client.subscriptions);
            subscriptions.iter().any(|(_, member)| {
                member.away_until_ms().is_some() && !member.is_lent() && !member.has_left()
            })
        };
        if !client.is_away() {
            if client.keeps_lease() && self.is_silent(&client, now_ms) {
                client.mailbox.close(Close::Timeout);
            }
            return false;
        }
        if holds_a_seat(&client) {
            return false;
        }
        let parked = client.identity().and_then(|identity| self.sessions.evict(identity.session));
        let Some(parked) = parked else { return false };
        log::info!("event=session-ended client={name} reason=\"its name was taken anew\"");
        self.dissolve(&parked, now_ms);
        true
    }

    /// The time of a held seat is up.
    pub(super) fn end_hold(seat: &Seat, now_ms: u64) {
        let (why, at_ms) = (seat.why, seat.at_ms);
        let (Some(channel), Some(member)) = (seat.channel.upgrade(), seat.member.upgrade()) else {
            return;
        };
        if channel.end_hold(&member, why, at_ms, now_ms) {
            let (name, who) = (channel.name(), member.client.name());
            log::info!("event=seat-given-up channel={name} member={who} reason={}", why.as_str());
            channel.wake_soon();
        }
    }

    /// Lets go of the parked sessions whose time is up.
    pub(super) fn end_graces(&self, now_ms: u64) {
        while let Some((session, parked)) = self.sessions.next_expired(now_ms) {
            let who = parked.client.name();
            log::info!(
                "event=session-ended client={who} session={session} reason=\"its grace is over\""
            );
            self.dissolve(&parked, now_ms);
        }
    }

    /// What was kept for a client is let go of.
    pub(super) fn dissolve(&self, parked: &Parked, now_ms: u64) {
        for seat in &parked.seats {
            seat.member.keep_from(None);
        }
        // Those, too, that it was to find when it came back.
        for (_, member) in lock(&parked.client.subscriptions).iter() {
            member.keep_from(None);
        }
        self.part_with(&parked.client, parked.keys.as_deref(), Departure::Lost, now_ms);
    }

    /// A client has begun to keep a lease, by sending a `ping`.
    pub fn keep_lease(&self, client: &Arc<Client>, now_ms: u64) {
        if client.start_lease_watch() {
            self.watch_lease(client, now_ms);
        }
    }

    /// Gives up a client whose lease has run out without a word, guard and all,
    /// if somebody waits for its seat in a channel that promises not to wait any
    /// longer.
    pub(super) fn watch_lease(&self, client: &Arc<Client>, now_ms: u64) {
        let over_ms = self.lease_over_ms(client);
        let next_ms = if now_ms < over_ms {
            over_ms
        } else {
            if self.is_silent(client, now_ms) && Self::is_in_the_way(client) {
                client.mailbox.close(Close::Timeout);
            }
            now_ms + LEASE_LOOK_MS
        };
        self.clock.set(next_ms, Timer::Lease(Arc::downgrade(client)));
    }

    /// Whether nothing has come over a client's connection for lease and guard,
    /// though the broker would have read it.
    fn is_silent(&self, client: &Client, now_ms: u64) -> bool {
        now_ms >= self.lease_over_ms(client) && !client.is_away() && !client.is_throttled()
    }

    /// Whether a client has a seat in a `safe` channel, and somebody is below it.
    fn is_in_the_way(client: &Client) -> bool {
        let members = lock(&client.subscriptions).all();
        members.iter().any(|(channel, member)| {
            let is_safe = channel.settings().on_close == OnClose::Safe;
            let standing = channel.standing(member).ok().filter(|_| is_safe);
            standing.is_some_and(|standing| standing.rank + 1 < standing.members)
        })
    }
}
