//! As what a client gets the messages of its channels, if it has several names
//! for them, as clients of the Redis protocol do.

use super::Session;
use super::deliver::Subscription;
use super::pieces::Batch;
use crate::error::Fault;
use crate::log::{Chunk, Form};
use crate::reply::Reply;
use crate::request::{Heard, Request};
use crate::sync::lock;
use std::sync::Arc;

/// By which of its names a client has subscribed to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// As a channel.
    Name,
    /// As the channel of a shard.
    Shard,
}

/// What a client hears, and how often.
#[derive(Debug, Default)]
pub struct Hearing {
    /// As an observer it gets messages and nothing else, once for each name that
    /// it has for them.
    has_names: bool,
    by_name: u64,
    by_shard: u64,
    patterns: u64,
}

impl Hearing {
    /// How many channels and patterns the client has subscribed to.
    pub fn subscriptions(&self) -> u64 {
        self.by_name + self.patterns
    }

    /// How many channels of shards.
    pub fn shards(&self) -> u64 {
        self.by_shard
    }

    fn note(&mut self, heard: &Heard) {
        self.by_name += u64::from(heard.by_name);
        self.by_shard += u64::from(heard.by_shard);
    }

    /// A subscription has ended.
    pub(super) fn forget(&mut self, heard: &Heard) {
        self.by_name -= u64::from(heard.by_name);
        self.by_shard -= u64::from(heard.by_shard);
    }
}

impl Session {
    /// From now on the client's channels have several names, and as an observer
    /// it gets messages and nothing else. To be said before it subscribes.
    pub fn name_channels(&mut self) {
        self.hearing.has_names = true;
    }

    /// What the client hears.
    pub fn hearing(&self) -> &Hearing {
        &self.hearing
    }

    /// A new subscription is heard under the channel's own name, unless patterns
    /// made it, and those of the patterns that match.
    pub(super) fn listen(&mut self, subscription: &mut Subscription) {
        if !self.hearing.has_names {
            return;
        }
        let member = &subscription.member;
        subscription.messages_only = member.observer;
        subscription.heard.by_name = !member.by_pattern;
        subscription.heard.patterns = self.matching(subscription.channel.name());
        self.hearing.note(&subscription.heard);
    }

    fn matching(&self, channel: &str) -> Box<[Arc<str>]> {
        let subscriptions = lock(&self.client.subscriptions);
        let patterns = subscriptions.patterns.iter().filter(|pattern| pattern.matches(channel));
        patterns.map(|pattern| pattern.as_str().into()).collect()
    }

    /// Under which names the client hears a channel to which it has subscribed
    /// by name; `None` if it has not.
    pub fn heard(&self, channel: &str) -> Option<&Heard> {
        let member = self.client.member(channel)?;
        let subscription = self.subscriptions.get(member.slot as usize)?.as_ref()?;
        let heard = &subscription.heard;
        (heard.by_name || heard.by_shard).then_some(heard)
    }

    /// The channels that it hears so.
    pub fn all_heard(&self, under: Under) -> Vec<Arc<str>> {
        let is_heard = |subscription: &&Box<Subscription>| {
            let heard = &subscription.heard;
            let is_under = match under {
                Under::Name => heard.by_name,
                Under::Shard => heard.by_shard,
            };
            is_under && !subscription.member.has_left()
        };
        let here = self.subscriptions.iter().flatten().filter(is_heard);
        here.map(|subscription| subscription.channel.name().clone()).collect()
    }

    /// From now on the client hears a channel, to which it has subscribed by
    /// name, under this name as well, or under this one no more.
    pub fn hear(&mut self, channel: &str, under: Under, is_heard: bool) {
        let Some(member) = self.client.member(channel) else { return };
        let Some(Some(subscription)) = self.subscriptions.get_mut(member.slot as usize) else {
            return;
        };
        self.hearing.forget(&subscription.heard);
        match under {
            Under::Name => subscription.heard.by_name = is_heard,
            Under::Shard => subscription.heard.by_shard = is_heard,
        }
        self.hearing.note(&subscription.heard);
    }

    /// The patterns that the client observes.
    pub fn patterns(&self) -> Vec<Arc<str>> {
        let subscriptions = lock(&self.client.subscriptions);
        subscriptions.patterns.iter().map(|pattern| pattern.as_str().into()).collect()
    }

    /// Observes a pattern.
    ///
    /// # Errors
    /// As [`Session::handle`] for [`Request::SubPattern`].
    pub fn observe(&mut self, glob: &str, now_ms: u64) -> Result<Option<Reply>, Fault> {
        let reply = self.handle(Request::SubPattern { glob: glob.to_owned() }, now_ms)?;
        self.renew_patterns();
        Ok(reply)
    }

    /// Observes a pattern no more. What was there before is still due.
    ///
    /// # Errors
    /// [`crate::error::Code::NotMember`] if it did not.
    pub fn unobserve(&mut self, glob: &str, now_ms: u64) -> Result<(), Fault> {
        let ended = self.broker.unobserve(&self.client, glob, now_ms)?;
        self.leaving.extend(ended);
        self.renew_patterns();
        self.broker.remember_session(&self.client, self.current.as_ref());
        Ok(())
    }

    /// Who has left still hears what was there under the names that it had.
    pub(super) fn renew_patterns(&mut self) {
        self.hearing.patterns = lock(&self.client.subscriptions).patterns.len() as u64;
        if !self.hearing.has_names {
            return;
        }
        for slot in 0..self.subscriptions.len() {
            let Some(subscription) = &self.subscriptions[slot] else { continue };
            if subscription.member.has_left() {
                continue;
            }
            let matching = self.matching(subscription.channel.name());
            if let Some(subscription) = &mut self.subscriptions[slot] {
                subscription.heard.patterns = matching;
            }
        }
    }

    /// Whether something that was there before the client left a channel is
    /// still due to it.
    pub fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// The pieces are to be written as this client alone hears them, where it
    /// does not hear them as most do.
    pub fn transform_heard(&self, batch: &mut Batch, make: fn(&Chunk, &Heard) -> Form) {
        for piece in &mut batch.pieces {
            let Some(Some(subscription)) = self.subscriptions.get(piece.slot as usize) else {
                continue;
            };
            if !subscription.heard.is_plain() {
                piece.own = Some(Box::new(make(&piece.chunk, &subscription.heard)));
            }
        }
    }
}
