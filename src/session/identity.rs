//! Who the client is: introducing itself, and going on with a session whose
//! connection was lost.

use super::deliver::Subscription;
use super::succession::Succession;
use super::{Caused, PROTOCOL_VERSION, Session};
use crate::broker::channel::Return;
use crate::broker::{Adoption, Claim, Keys, Parked, ParkedSeat};
use crate::error::{Close, Code, Fault};
use crate::reply::{Line, Reply};
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// What a client says of itself.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// The name it wants to bear.
    pub name: Option<String>,
    /// Whether the `ok` of `pub` and `ack` is to be left out.
    pub quiet: bool,
    /// The session to resume, or to begin.
    pub session: Option<Uuid>,
    /// What proves that the session is its own.
    pub secret: Option<String>,
    /// The last entries that it has: channels with their seqs.
    pub seen: Vec<(String, u64)>,
}

impl Session {
    /// Introduces the client. `None` if the session that it wants has to be
    /// given up by another connection first: see [`Session::awaited`].
    pub(super) fn hello(
        &mut self,
        hello: Introduction,
        now_ms: u64,
    ) -> Result<Option<Reply>, Fault> {
        let own = self.client.identity();
        let wanted = hello.session.filter(|wanted| own.is_none_or(|own| own.session != *wanted));
        let Some(wanted) = wanted else {
            if let Some(name) = &hello.name {
                self.rename(name, now_ms)?;
            }
            let begins = own.is_none() && self.broker.begin_session(&self.client, None);
            let reply = self.introduced(hello.quiet);
            if begins {
                self.note_what_was();
            }
            return Ok(Some(reply));
        };
        if self.is_engaged() {
            let text =
                "name your session before you subscribe to anything, ask for a job, or use a key";
            return Err(Fault::new(Code::BadRequest, text));
        }
        let (secret, name) = (hello.secret.as_deref(), hello.name.as_deref());
        match self.broker.claim_session(&self.client, wanted, secret, name)? {
            Claim::Resumed(parked) => Ok(Some(self.resume(parked, &hello, now_ms))),
            Claim::Awaited => {
                self.extra.parts().awaited = Some(hello);
                Ok(None)
            }
            Claim::Unknown if secret.is_some() || !hello.seen.is_empty() => {
                self.broker.stats.resumes.add("gone", 1);
                let text = format!("session {wanted} is not known here; begin a new one");
                Err(Fault::new(Code::Gone, text))
            }
            Claim::Unknown => {
                if let Some(name) = &hello.name {
                    self.rename(name, now_ms)?;
                }
                if !self.broker.begin_session(&self.client, Some(wanted)) {
                    let text = "somebody else has just begun this session; try again";
                    return Err(Fault::new(Code::Busy, text));
                }
                Ok(Some(self.introduced(hello.quiet)))
            }
        }
    }

    /// Whether the client must not become another one: something is due to it, or may
    /// be at any time, that it would not get then; or a key has been answered, which
    /// would be answered otherwise then.
    fn is_engaged(&self) -> bool {
        self.is_subscribed()
            || self.is_leaving()
            || !lock(&self.client.subscriptions).is_empty()
            || self.awaits_results()
            || self.has_jobs()
            || self.extra.keys().is_some()
    }

    /// Whether this client waits for another connection to give its session up. Until
    /// then no more requests are put to it.
    pub fn is_awaiting(&self) -> bool {
        self.extra.is_awaiting()
    }

    /// Returns the reply to the client's `hello`, once the session that it waits for
    /// has been given up.
    pub fn awaited(&mut self, now_ms: u64) -> Option<Result<Reply, Fault>> {
        let hello = self.extra.get_mut()?.awaited.take()?;
        match self.hello(hello, now_ms) {
            Ok(None) => None,
            Ok(Some(reply)) => Some(Ok(reply)),
            Err(fault) => Some(Err(fault)),
        }
    }

    /// Whether the client has become another one, with another mailbox, since the
    /// last call.
    pub fn has_changed_client(&mut self) -> bool {
        std::mem::take(&mut self.changed_client)
    }

    /// Gives the client this name, if it is allowed and nobody has it, here or away.
    /// The client is only called so: it gets nothing that is kept under the name.
    pub fn bear_name(&mut self, name: &str) {
        // A refusal does not matter: such a client has other means to know itself by.
        if self.broker.rename_if_free(&self.client, name).is_ok() {
            self.name = self.client.name();
            self.note_session();
        }
    }

    fn rename(&mut self, name: &str, now_ms: u64) -> Result<(), Fault> {
        self.broker.rename(&self.client, name, now_ms)?;
        self.name = self.client.name();
        Ok(())
    }

    fn introduced(&mut self, quiet: bool) -> Reply {
        self.quiet = quiet;
        self.note_session();
        self.introduction(false).into()
    }

    /// Notes the session for a restart, if the client has asked for one, even with
    /// nothing but its name, or has something to come back to.
    fn note_session(&self) {
        let is_asked = self.client.identity().is_some_and(|identity| identity.asked);
        let has_something =
            || self.extra.keys().is_some() || !lock(&self.client.subscriptions).is_empty();
        if is_asked || has_something() {
            self.broker.remember_session(&self.client, self.current.as_ref());
        }
    }

    /// Notes for a restart the subscriptions, and the answers to keys, that the client
    /// had before it had a session.
    fn note_what_was(&self) {
        let members = lock(&self.client.subscriptions).all();
        for (channel, member) in members.iter().filter(|(_, member)| !member.has_left()) {
            self.broker.remember_place(channel, member);
        }
        for (key, by, answer) in self.extra.keys().into_iter().flat_map(Keys::answers) {
            self.broker.remember_answer(&self.client, key, &by, answer);
        }
    }

    fn introduction(&self, resumed: bool) -> Line {
        let mut line = Line::new("hello").with("name", self.name.clone());
        if let Some(identity) = self.client.identity() {
            line = line
                .with("session", identity.session.to_string())
                .with("secret", identity.secret.simple().to_string());
        }
        line.with("resumed", resumed).with("version", PROTOCOL_VERSION)
    }

    /// Goes on as the client of a parked session.
    fn resume(&mut self, parked: Parked, hello: &Introduction, now_ms: u64) -> Reply {
        self.broker.resume(&parked, &self.client, now_ms);
        self.broker.stats.resumes.add("resumed", 1);
        let Parked { client, seats, gone, current, commands, keys } = parked;
        // Whether it hears frames, and publishers wait for it, depends on how it comes
        // now.
        client.be_plain(self.client.is_plain());
        let goes_over = client.is_unwaited() != self.client.is_unwaited();
        client.be_unwaited(self.client.is_unwaited());
        self.client = client;
        self.changed_client = true;
        self.caused = Some(Caused::All);
        if let Some(throttled) = &mut self.throttled {
            // The former client was enlisted to be woken, not this one.
            throttled.wait_anew(&self.client);
        }
        self.read_anew();
        self.name = self.client.name();
        (self.current, self.quiet, self.commands) = (current, hello.quiet, commands);
        if goes_over {
            // Its token is void from now on, even if the broker is killed right now.
            self.broker.remember_session(&self.client, self.current.as_ref());
            self.await_notes();
        }
        if keys.is_some() {
            self.extra.parts().keys = keys;
        }
        let seen: HashMap<&str, u64> = hello.seen.iter().map(|(c, seq)| (&**c, *seq)).collect();
        let (mut missed, mut rank) = (0, None);
        for seat in &seats {
            let name = seat.channel.name();
            // A seq beyond the last is a miscount: later entries are still due.
            let given = seen.get(&**name).filter(|seq| **seq <= seat.channel.last_seq());
            let seen = given.copied().unwrap_or_else(|| seat.member.seen());
            let back = self.broker.return_to(&self.client, seat, seen, now_ms);
            missed += back.missed;
            if self.current.as_ref() == Some(name) {
                rank = back.standing.map(|standing| standing.rank);
            }
            self.take_seat(seat, back);
        }
        missed += self.tell_what_is_gone(&gone, &seen);
        // Subscriptions that its patterns have made meanwhile.
        let adopted = self.client.mailbox.take_adopted();
        missed += adopted.iter().map(Adoption::missed).sum::<u64>();
        self.adopt_all(adopted);
        let subscriptions = lock(&self.client.subscriptions).all();
        let channels = subscriptions.iter().filter(|(_, member)| !member.has_left()).count();
        self.renew_patterns();
        let line = self.introduction(true).with("channels", channels).with("missed", missed);
        rank.map_or(line.clone(), |rank| line.with("rank", rank)).into()
    }

    fn take_seat(&mut self, seat: &ParkedSeat, back: Return) {
        self.await_disk(&seat.channel, 1);
        let member = back.adopted.member.clone();
        if member.has_left() {
            self.extra.parts().succession.leaves(seat.channel.name(), member.slot);
        } else {
            if !Arc::ptr_eq(&member, &seat.member) {
                // It has joined anew.
                self.touch(seat.channel.clone());
            }
            self.broker.remember_place(&seat.channel, &member);
        }
        let mut subscription = Subscription::new(back.adopted);
        subscription.returns(back.standing);
        subscription.member.dequeue();
        self.install(subscription);
    }

    /// Makes the client leave for good: nothing is kept for it to come back to.
    pub fn leave(&mut self, reason: Close, now_ms: u64) {
        self.flush();
        self.broker.leave(&self.client, self.extra.keys(), reason, now_ms);
    }

    /// Parks the session of a connection that is lost or given up: what can be kept
    /// is kept for the client to come back to.
    pub(super) fn park(&mut self, reason: Close, now_ms: u64) {
        // Before it can go on elsewhere, and wait there as the same client.
        self.throttled = None;
        let mut seats = Vec::new();
        for subscription in std::mem::take(&mut self.subscriptions).into_iter().flatten() {
            let Subscription { channel, member, .. } = subscription;
            let mut subscriptions = lock(&self.client.subscriptions);
            let latest = subscriptions.get(channel.name());
            let is_over = member.has_left() && !member.is_lost();
            // A client that has not read why its membership is over is told later, unless
            // it has ended that itself, or has a newer one of that name.
            if is_over && !latest.is_some_and(|latest| Arc::ptr_eq(latest, &member)) {
                subscriptions.forget(&channel, &member);
            } else {
                drop(subscriptions);
                seats.push(ParkedSeat { channel, member });
            }
        }
        let keys = self.extra.get_mut().and_then(|extra| {
            extra.succession = Succession::default();
            extra.keys.take()
        });
        self.queue.clear();
        let (identity, has_jobs) = (self.client.identity(), self.has_jobs());
        let origin = self.client.origin();
        let client = std::mem::replace(&mut self.client, self.broker.stranger(origin));
        // A session that the broker made up for a client that has nothing to come
        // back to is not worth keeping.
        let has_nothing = seats.is_empty() && self.commands == 0 && keys.is_none() && !has_jobs;
        // A pattern is something to come back to, though nothing matches it yet.
        let has_nothing = has_nothing && lock(&client.subscriptions).is_empty();
        if has_nothing && !identity.is_some_and(|identity| identity.asked) {
            return self.broker.leave(&client, None, reason, now_ms);
        }
        let parked = Parked {
            client,
            seats,
            gone: Vec::new(),
            current: self.current.take(),
            commands: std::mem::take(&mut self.commands),
            keys,
        };
        self.broker.park(parked, reason, now_ms);
    }
}
