//! Coming into channels and going out of them, one by one or by pattern.

use super::Broker;
use super::channel::{Channel, Entrance, Standing, not_member};
use super::directory::{Client, PATTERNS_MAX};
use super::mailbox::Adoption;
use super::member::{Adopted, Member, Role};
use super::subscriptions::Subscriptions;
use crate::error::{Code, Fault, quoted};
use crate::log::Departure;
use crate::request::{Settings, Start, Subscribe, check_name};
use crate::sync::lock;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Memberships that a client has ended.
#[derive(Debug)]
pub struct Ended {
    /// The subscriptions that patterns made for it before that, and that its
    /// session has yet to take up.
    pub before: Vec<Adoption>,
    /// The memberships, each with its channel. They may still have something to
    /// read.
    pub leavers: Vec<(Arc<Channel>, Arc<Member>)>,
}

/// What came of a `sub`.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// The subscription, for the session to read from.
    pub adopted: Adopted,
    /// Where the member stands; for an observer only the view and the number of
    /// members mean something.
    pub standing: Standing,
    /// The seq of the channel's last entry.
    pub seq: u64,
    /// The subscriptions that patterns made for it before that, and that its
    /// session has yet to take up.
    pub before: Vec<Adoption>,
    /// The client's earlier membership of this channel, if that still has
    /// something to read.
    pub replaced: Option<Arc<Member>>,
}

impl Broker {
    /// Makes a channel.
    ///
    /// # Errors
    /// [`Code::BadRequest`] or [`Code::TooLong`] for what is no name,
    /// [`Code::Exists`], [`Code::Full`], [`Code::Unavailable`] if what has to be
    /// on disk cannot be.
    pub fn create(&self, name: &str, settings: Settings, now_ms: u64) -> Result<(), Fault> {
        let introduce = |client: &Arc<Client>, channel: &Arc<Channel>| {
            self.observe_if_matching(client, channel, now_ms);
        };
        self.registry.create(name, settings, introduce).map(drop)
    }

    /// Makes a channel if there is none of this name.
    ///
    /// # Errors
    /// As [`Broker::create`], but for [`Code::Exists`].
    pub fn create_if_missing(
        &self,
        name: &str,
        settings: Settings,
        now_ms: u64,
    ) -> Result<(), Fault> {
        match self.create(name, settings, now_ms) {
            Err(fault) if fault.code == Code::Exists => Ok(()),
            done => done,
        }
    }

    /// Makes those of these channels that are missing, or none if one of them
    /// cannot be made.
    ///
    /// # Errors
    /// The same as for [`Broker::create_if_missing`].
    pub fn create_all_missing<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        settings: Settings,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let missing: BTreeSet<&str> = names.filter(|name| self.channel(name).is_err()).collect();
        missing.iter().try_for_each(|name| check_name(name))?;
        self.registry.has_room(missing.len())?;
        missing.into_iter().try_for_each(|name| self.create_if_missing(name, settings, now_ms))
    }

    /// Makes a channel, unless it exists, if a client observes a pattern that
    /// matches its name: then a message to it has a receiver. Returns whether there
    /// is such a client.
    ///
    /// # Errors
    /// As [`Broker::create`].
    pub fn create_if_observed(&self, name: &str, now_ms: u64) -> Result<bool, Fault> {
        check_name(name)?;
        if !self.registry.is_observed(name) {
            return Ok(false);
        }
        self.create_if_missing(name, Settings::default(), now_ms).map(|()| true)
    }

    /// How many different patterns are observed.
    pub fn pattern_count(&self) -> usize {
        let mut patterns = std::collections::HashSet::new();
        for client in self.registry.pattern_observers() {
            let subscriptions = lock(&client.subscriptions);
            patterns.extend(subscriptions.patterns().iter().map(|p| p.as_str().to_owned()));
        }
        patterns.len()
    }

    /// Removes a channel, by order of its rank 0; with a view, only if that is
    /// still the roster's. Returns what is left of it.
    ///
    /// # Errors
    /// [`Code::NoChannel`], [`Code::NotMember`], [`Code::Rank`],
    /// [`Code::Fenced`] for another view.
    pub fn drop_channel(
        &self,
        client: &Client,
        name: &str,
        view: Option<u64>,
    ) -> Result<Arc<Channel>, Fault> {
        let channel = self.channel(name)?;
        let member = client.member(name).ok_or_else(|| not_member(name))?;
        channel.end(&member, view)?;
        self.registry.remove(&channel);
        Ok(channel)
    }

    /// Has a client join or observe a channel. It is the client's current channel
    /// from now on, and noted as such for a restart.
    ///
    /// # Errors
    /// [`Code::NoChannel`], [`Code::AlreadyMember`], [`Code::Full`],
    /// [`Code::TooMany`] for a client that has all the subscriptions it may
    /// have, [`Code::Unavailable`] if the store takes no more.
    pub fn subscribe(
        &self,
        client: &Arc<Client>,
        request: &Subscribe,
        now_ms: u64,
    ) -> Result<Subscribed, Fault> {
        let name = &*request.channel;
        let keeps = client.identity().is_some_and(|identity| identity.asked);
        let channel = self.channel(name)?;
        let mut subscriptions = lock(&client.subscriptions);
        let observer = self.room_for(&subscriptions, name)?.cloned();
        let slot = subscriptions.take_slot();
        let role = if request.observe { Role::Observer } else { Role::Member };
        let entrance = Entrance { role, echo: request.echo, keeps, ..Entrance::at(request.start) };
        let patterns = Some(subscriptions.patterns());
        let entrance = Entrance { replaces: observer.as_deref(), patterns, ..entrance };
        match channel.join(client, slot, entrance, now_ms) {
            Ok((adopted, standing, seq)) => {
                let replaced = subscriptions.add(channel.clone(), adopted.member.clone());
                if let Some(earlier) = &replaced {
                    earlier.notify();
                }
                let before = client.mailbox.take_adopted();
                Ok(Subscribed { adopted, standing, seq, before, replaced })
            }
            Err(fault) => {
                subscriptions.free_slot(slot);
                Err(fault)
            }
        }
    }

    /// Checks that a client's other subscriptions allow it one to this channel. To
    /// be asked before the channel is made for it.
    ///
    /// # Errors
    /// [`Code::AlreadyMember`], [`Code::TooMany`].
    pub fn may_subscribe(&self, client: &Client, name: &str) -> Result<(), Fault> {
        self.room_for(&lock(&client.subscriptions), name).map(drop)
    }

    /// Checks that a client has room for a subscription to a channel. Returns its
    /// subscription by pattern there, if it has one, whose place the new one takes.
    fn room_for<'s>(
        &self,
        subscriptions: &'s Subscriptions,
        name: &str,
    ) -> Result<Option<&'s Arc<Member>>, Fault> {
        let present = subscriptions.get(name).filter(|member| !member.has_left());
        if present.is_some_and(|member| !member.by_pattern()) {
            let text = format!("you are in {name} already; unsub {name} first");
            return Err(Fault::new(Code::AlreadyMember, text));
        }
        let allowed = self.current().max_subscriptions;
        if present.is_none() && subscriptions.len() >= allowed {
            let text = format!("you have all your {allowed} subscriptions");
            return Err(Fault::new(Code::TooMany, text));
        }
        Ok(present)
    }

    /// Has a client leave, on purpose, a channel that it has subscribed to by name.
    ///
    /// # Errors
    /// [`Code::NoChannel`], [`Code::NotMember`].
    pub fn unsubscribe(
        &self,
        client: &Arc<Client>,
        name: &str,
        now_ms: u64,
    ) -> Result<Ended, Fault> {
        let channel = self.channel(name)?;
        let member = client.member(name).filter(|member| !member.by_pattern());
        let member = member.ok_or_else(|| not_member(name))?;
        channel.leave(&member, Departure::Unsub, now_ms)?;
        let before = {
            let mut subscriptions = lock(&client.subscriptions);
            subscriptions.remove(&channel, &member);
            client.mailbox.take_adopted()
        };
        member.notify();
        self.observe_if_matching(client, &channel, now_ms);
        Ok(Ended { before, leavers: vec![(channel, member)] })
    }

    /// Has a client observe every channel, present or to come, whose name matches;
    /// returns how many there are now.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for what is no pattern, [`Code::AlreadyMember`],
    /// [`Code::TooMany`].
    pub fn observe(&self, client: &Arc<Client>, glob: &str, now_ms: u64) -> Result<usize, Fault> {
        let pattern = compile(glob)?;
        let matching = || self.registry.named(|name| pattern.matches(name));
        let allowed = self.current().max_subscriptions;
        // Not looked for where even all that there are would not be too many.
        let may_be_too_many = self.registry.len() + lock(&client.subscriptions).len() > allowed;
        let present = if may_be_too_many { matching() } else { Vec::new() };
        {
            let mut subscriptions = lock(&client.subscriptions);
            if subscriptions.patterns().iter().any(|known| known.as_str() == glob) {
                let text = format!("you observe {glob} already");
                return Err(Fault::new(Code::AlreadyMember, text));
            }
            if subscriptions.patterns().len() >= PATTERNS_MAX {
                let text = format!("a client observes at most {PATTERNS_MAX} patterns");
                return Err(Fault::new(Code::TooMany, text));
            }
            let is_new = |name: &str| subscriptions.get(name).is_none();
            let new = present.iter().filter(|channel| is_new(channel.name())).count();
            if subscriptions.len() + new > allowed {
                let text =
                    format!("{glob} matches {new} more channels: you may have {allowed} in all");
                return Err(Fault::new(Code::TooMany, text));
            }
            subscriptions.patterns_mut().push(pattern.clone());
        }
        // First the channels to come, then those that are here: none is missed,
        // and none is taken twice.
        self.registry.add_observer(client);
        let mut here = matching();
        here.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        here.retain(|channel| self.observe_if_matching(client, channel, now_ms));
        Ok(here.len())
    }

    /// Takes a pattern away from a client that observes it. Returns the memberships
    /// that have ended with that, or before.
    ///
    /// # Errors
    /// [`Code::NotMember`] if it did not.
    pub fn unobserve(&self, client: &Arc<Client>, glob: &str, now_ms: u64) -> Result<Ended, Fault> {
        let (leavers, before) = {
            let mut subscriptions = lock(&client.subscriptions);
            let patterns = subscriptions.patterns_mut();
            let Some(at) = patterns.iter().position(|known| known.as_str() == glob) else {
                return Err(Fault::new(Code::NotMember, format!("you do not observe {glob}")));
            };
            patterns.remove(at);
            let patterns = patterns.clone();
            let is_heard = |name: &str| patterns.iter().any(|known| known.matches(name));
            let ended = subscriptions
                .remove_unless(|channel, member| !member.by_pattern() || is_heard(channel.name()));
            (ended, client.mailbox.take_adopted())
        };
        // The registry comes before a client's subscriptions in the lock order.
        for (channel, member) in &leavers {
            // A channel that was dropped meanwhile is read to its end all the same.
            if channel.leave(member, Departure::Unsub, now_ms).is_err() {
                self.forget_place(client, channel.name());
            }
            member.notify();
        }
        Ok(Ended { before, leavers })
    }

    /// Makes a client an observer of a channel if one of its patterns matches and
    /// it is not there in its own right. Returns whether it is there now.
    fn observe_if_matching(
        &self,
        client: &Arc<Client>,
        channel: &Arc<Channel>,
        now_ms: u64,
    ) -> bool {
        let mut subscriptions = lock(&client.subscriptions);
        let name = channel.name();
        let is_there = subscriptions.get(name).is_some_and(|member| !member.has_left());
        let is_full = subscriptions.len() >= self.current().max_subscriptions;
        if is_there || is_full || !subscriptions.matches(name) {
            return is_there;
        }
        let slot = subscriptions.take_slot();
        let keeps = client.identity().is_some_and(|identity| identity.asked);
        let entrance = Entrance { role: Role::PatternObserver, keeps, ..Entrance::at(Start::Now) };
        match channel.join(client, slot, entrance, now_ms) {
            Ok((adopted, ..)) => {
                let member = adopted.member.clone();
                let earlier = subscriptions.add(channel.clone(), member.clone());
                // Asked once, and reading is stopped before the session can see the
                // subscription, so that it is never stopped for a client that is
                // back. A client that goes away after this stops it later, when it
                // gets this lock.
                let is_away = client.is_away();
                let bytes_max = is_away.then_some(self.config.log_bytes);
                if is_away {
                    channel.stop_reading(&member, true);
                }
                if let Some(slot) = client.mailbox.adopt(adopted, earlier, bytes_max) {
                    subscriptions.free_slot(slot);
                }
                true
            }
            Err(fault) => {
                subscriptions.free_slot(slot);
                log::warn!(
                    "event=observe-failed client={} channel={name} code={} reason={:?}",
                    client.name(),
                    fault.code,
                    fault.message
                );
                false
            }
        }
    }
}

/// Compiles a pattern of channel names, as a shell has them.
fn compile(glob: &str) -> Result<Arc<glob::Pattern>, Fault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-*?[]!".contains(&b);
    if glob.len() > crate::request::NAME_BYTES_MAX || !glob.bytes().all(allowed) || glob.is_empty()
    {
        let text = format!("{} is no pattern: names with * ? and [a-z]", quoted(glob));
        return Err(Fault::new(Code::BadRequest, text));
    }
    match glob::Pattern::new(glob) {
        Ok(pattern) => Ok(Arc::new(pattern)),
        Err(e) => Err(Fault::new(Code::BadRequest, format!("{glob} is no pattern: {}", e.msg))),
    }
}
