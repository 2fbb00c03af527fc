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

/// How often a client whose lease has run out is looked at again.
const LEASE_LOOK_MS: u64 = 1_000;

impl Broker {
    /// Begins the session that a client names when it introduces itself, or one
    /// that is made up for it, in place of its own if it has one. Returns whether
    /// the name was free.
    pub fn begin_session(&self, client: &Arc<Client>, session: Option<Uuid>) -> bool {
        let old = client.identity();
        let is_begun = self.sessions.begin(client, Identity::new(session));
        if let (Some(old), Some(store)) = (old.filter(|_| is_begun), self.store()) {
            remembered::remove_session(store, old.session, None);
        }
        is_begun
    }

    /// Claims for a client a session that was begun on another connection.
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

    /// Whether this session is parked, and is that of a member without a
    /// connection, with exactly one seat to come back to.
    pub fn is_parked_in_one(&self, session: Uuid) -> bool {
        self.sessions.is_parked_in_one(session)
    }

    /// How many sessions are parked.
    pub fn parked_sessions(&self) -> usize {
        self.sessions.parked()
    }

    /// Handles the loss of a client's connection: it is away in the seats that its
    /// channels hold for it, and leaves the others. What it has been sent is still
    /// due to it.
    pub fn lose(&self, client: &Arc<Client>, reason: Close, now_ms: u64) {
        if self.is_stopping() {
            return;
        }
        let why = departure(reason);
        // A member without a connection goes on reading, and loses nothing.
        let reads_on = client.is_unwaited();
        let may_return =
            client.identity().is_some() && !self.current().session_grace.is_zero() && !reads_on;
        // A client that is sent away will be sent back, here or to a successor; a
        // member without a connection that is turned away will ask again.
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

    /// Parks the session of a client whose connection is lost ([`Broker::lose`]):
    /// for the grace, or until the last seat held for it is given up, whichever is
    /// later. If there is neither, the client leaves.
    pub fn park(&self, parked: Parked, reason: Close, now_ms: u64) {
        let client = parked.client.clone();
        let held_ms = parked.seats.iter().filter_map(|seat| seat.member.away_until_ms()).max();
        let grace_ms = now_ms + millis(self.current().session_grace);
        // A client that has not introduced itself cannot come back.
        let grace_ms = client.identity().filter(|_| grace_ms > now_ms).map(|_| grace_ms);
        let Some(until_ms) = grace_ms.max(held_ms).filter(|_| !self.is_stopping()) else {
            return self.leave(&client, parked.keys.as_deref(), reason, now_ms);
        };
        let identity = client.identity().unwrap_or_else(|| {
            // A session to hold the seats under; nobody knows its name.
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
        // Also those subscriptions that its session has yet to find.
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

    /// Moves a parked session's client to another connection, whose own client,
    /// `guest`, goes for good.
    pub fn resume(&self, parked: &Parked, guest: &Arc<Client>, now_ms: u64) {
        self.dismiss(guest, None, Departure::Quit, now_ms);
        parked.client.heard(now_ms);
        parked.client.arrive(guest.origin());
        // Its silence is not watched if it is from before a restart.
        self.watch_out(&parked.client, now_ms);
    }

    /// Removes all that is left of a client that goes for good: its session,
    /// channels and patterns, mail and jobs.
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
        // the moment that is left, nor told of each member that goes.
        if self.is_stopping() {
            self.forget_client(client);
        } else {
            self.part_with(client, keys, why, now_ms);
        }
    }

    /// Takes a client whose session is over out of every channel, and forgets it.
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

    /// Returns an unlisted client, for a connection whose own client has gone on
    /// from another one.
    pub fn stranger(&self, origin: Origin) -> Arc<Client> {
        self.directory.stranger(origin)
    }

    /// Takes up a place of a parked session again, after the seq that its client
    /// has: in the seat that was held, or at the bottom if none was. If the client
    /// cannot join there, only what was there before is still due to it.
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
        // By now it may observe another channel that has got this one's name.
        let is_last = subscriptions.forget(channel, member);
        if is_last || !back.adopted.member.has_left() {
            subscriptions.add(channel.clone(), back.adopted.member.clone());
        }
        back
    }

    /// Keeps the seats of a client that was away and is heard of again, on the
    /// session that it had all along, unless they were given up.
    pub fn keep_seats(&self, client: &Client, now_ms: u64) {
        let members = lock(&client.subscriptions).all();
        for (channel, member) in members {
            if member.away_until_ms().is_some() {
                channel.stay(&member, now_ms);
            }
        }
    }

    /// Frees a name that somebody wants, if it can be; returns whether it is free
    /// now. A client that is away loses it, and its session, unless a seat is held
    /// under it by the rules of a channel. (A seat that is held only because the
    /// client was sent away does not count: if it comes back without its session,
    /// it is not kept waiting.) A connected client that has let its lease run out
    /// without a word is closed, so that the name is free a moment later: it may be
    /// the very client that asks, whose machine was started anew.
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

    /// Gives up a held seat whose time is up.
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

    /// Ends the parked sessions whose time is up.
    pub(super) fn end_graces(&self, now_ms: u64) {
        while let Some((session, parked)) = self.sessions.next_expired(now_ms) {
            let who = parked.client.name();
            log::info!(
                "event=session-ended client={who} session={session} reason=\"its grace is over\""
            );
            self.dissolve(&parked, now_ms);
        }
    }

    /// Lets go of what was kept for the client of a parked session, which is
    /// forgotten.
    pub(super) fn dissolve(&self, parked: &Parked, now_ms: u64) {
        for seat in &parked.seats {
            seat.member.keep_from(None);
        }
        self.forget_gone(&parked.client, &parked.gone);
        // Also those subscriptions that it was to find when it came back.
        for (_, member) in lock(&parked.client.subscriptions).iter() {
            member.keep_from(None);
        }
        self.part_with(&parked.client, parked.keys.as_deref(), Departure::Lost, now_ms);
    }

    /// Begins to watch the lease of a client, which keeps one from its first `ping`
    /// on.
    pub fn keep_lease(&self, client: &Arc<Client>, now_ms: u64) {
        if client.start_lease_watch() {
            self.watch_lease(client, now_ms);
        }
    }

    /// Closes a client whose lease, guard included, has run out without a word, if
    /// somebody waits for its seat in a channel that promises not to wait any
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

    /// Whether nothing has come over a client's connection for its lease and the
    /// guard, though the broker would have read it.
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
