//! As what a client gets the messages of its channels, if it has several names
//! for them, as clients of the Redis protocol do.

use super::Session;
use super::deliver::Subscription;
use super::pieces::Batch;
use crate::broker::Client;
use crate::error::Fault;
use crate::log::{Chunk, Form};
use crate::reply::{Line, Reply};
use crate::request::Heard;
use crate::sync::lock;
use ecow::EcoString;
use std::sync::Arc;

/// By which of its names a client has subscribed to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// As a channel.
    Name,
    /// As the channel of a shard.
    Shard,
}

impl Under {
    /// Redis' word for the end of such a subscription.
    pub const fn end(self) -> &'static str {
        match self {
            Under::Name => "unsubscribe",
            Under::Shard => "sunsubscribe",
        }
    }
}

/// How often a client hears what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hearing {
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

    /// How many there are, as Redis counts them: those of shards apart.
    pub fn count(&self, under: Under) -> u64 {
        match under {
            Under::Name => self.subscriptions(),
            Under::Shard => self.shards(),
        }
    }

    fn add(&mut self, heard: &Heard) {
        self.by_name += u64::from(heard.by_name);
        self.by_shard += u64::from(heard.by_shard);
    }

    fn remove(&mut self, heard: &Heard) {
        self.by_name -= u64::from(heard.by_name);
        self.by_shard -= u64::from(heard.by_shard);
    }
}

impl Session {
    /// From now on the client's channels have several names, and as an observer
    /// it gets messages and nothing else. To be said before it subscribes.
    pub fn name_channels(&mut self) {
        self.extra.parts().hearing.get_or_insert_default();
    }

    /// How often the client hears what, if its channels have several names.
    pub fn hearing(&self) -> Hearing {
        self.extra.hearing().copied().unwrap_or_default()
    }

    /// A new subscription is heard under the channel's own name, unless patterns
    /// made it, and those of the patterns that match.
    pub(super) fn listen(&mut self, subscription: &mut Subscription) {
        let Some(hearing) = self.extra.hearing_mut() else { return };
        let by_name = !subscription.member.by_pattern();
        let patterns = matching(&self.client, subscription.channel.name());
        let heard = Heard { by_name, by_shard: false, patterns };
        hearing.add(&heard);
        subscription.extra().heard = Some(heard);
    }

    /// A subscription has ended, or its channel has.
    pub(super) fn unlisten(&mut self, subscription: &Subscription, is_dropped: bool) {
        let Some(heard) = subscription.heard() else { return };
        let Some(hearing) = self.extra.hearing_mut() else { return };
        hearing.remove(heard);
        if !is_dropped || !self.client.is_plain() {
            return;
        }
        let under = [(heard.by_name, Under::Name), (heard.by_shard, Under::Shard)];
        for (_, under) in under.into_iter().filter(|(is_heard, _)| *is_heard) {
            self.extra.parts().dropped.push((subscription.channel.name().clone(), under));
        }
    }

    /// The channels that were dropped, and under which names a client that hears no
    /// frames heard them: it is told so.
    pub fn take_dropped(&mut self) -> Vec<(EcoString, Under)> {
        self.extra.get_mut().map(|parts| std::mem::take(&mut parts.dropped)).unwrap_or_default()
    }

    /// Under which names the client hears a channel to which it has subscribed
    /// by name; `None` if it has not.
    pub fn heard(&self, channel: &str) -> Option<&Heard> {
        let member = self.client.member(channel)?;
        let subscription = self.subscriptions.get(member.slot as usize)?.as_ref()?;
        subscription.heard().filter(|heard| heard.by_name || heard.by_shard)
    }

    /// The channels that it hears so.
    pub fn all_heard(&self, under: Under) -> Vec<EcoString> {
        let is_heard = |subscription: &Subscription| {
            let is_under = subscription.heard().is_some_and(|heard| match under {
                Under::Name => heard.by_name,
                Under::Shard => heard.by_shard,
            });
            is_under && !subscription.member.has_left()
        };
        let here = self.subscriptions.iter().flatten().filter(|place| is_heard(place));
        here.map(|subscription| subscription.channel.name().clone()).collect()
    }

    /// From now on the client hears a channel, to which it has subscribed by
    /// name, under this name as well, or under this one no more.
    pub fn hear(&mut self, channel: &str, under: Under, is_heard: bool) {
        let Some(member) = self.client.member(channel) else { return };
        let Some(hearing) = self.extra.hearing_mut() else { return };
        let place = self.subscriptions.get_mut(member.slot as usize);
        let Some(heard) = place.and_then(Option::as_mut).and_then(Subscription::heard_mut) else {
            return;
        };
        hearing.remove(heard);
        match under {
            Under::Name => heard.by_name = is_heard,
            Under::Shard => heard.by_shard = is_heard,
        }
        hearing.add(heard);
    }

    /// The patterns that the client observes.
    pub fn patterns(&self) -> Vec<EcoString> {
        let subscriptions = lock(&self.client.subscriptions);
        subscriptions.patterns().iter().map(|pattern| pattern.as_str().into()).collect()
    }

    /// Observes a pattern.
    pub(super) fn observe(&mut self, glob: &str, now_ms: u64) -> Result<Reply, Fault> {
        let matched = self.broker.observe(&self.client, glob, now_ms)?;
        self.broker.remember_session(&self.client, self.current.as_ref());
        self.renew_patterns();
        Ok(Line::new("sub").at("pattern", glob).with("matched", matched).into())
    }

    /// Observes a pattern no more. What was there before is still due.
    ///
    /// # Errors
    /// [`crate::error::Code::NotMember`] if it did not.
    pub fn unobserve(&mut self, glob: &str, now_ms: u64) -> Result<(), Fault> {
        let ended = self.broker.unobserve(&self.client, glob, now_ms)?;
        self.leave_behind(ended);
        self.renew_patterns();
        self.current.take_if(|current| self.client.member(current).is_none());
        self.broker.remember_session(&self.client, self.current.as_ref());
        Ok(())
    }

    /// Who has left still hears what was there under the names that it had.
    pub(super) fn renew_patterns(&mut self) {
        let Some(hearing) = self.extra.hearing_mut() else { return };
        hearing.patterns = lock(&self.client.subscriptions).patterns().len() as u64;
        for subscription in self.subscriptions.iter_mut().flatten() {
            let patterns = matching(&self.client, subscription.channel.name());
            let has_left = subscription.member.has_left();
            if let Some(heard) = subscription.heard_mut().filter(|_| !has_left) {
                heard.patterns = patterns;
            }
        }
    }

    /// Whether something that was there before the client left a channel is
    /// still due to it.
    pub fn is_leaving(&self) -> bool {
        self.extra.succession().is_some_and(|succession| !succession.is_empty())
    }

    /// The pieces are to be written as this client alone hears them, where it
    /// does not hear them as most do.
    pub fn transform_heard(&self, batch: &mut Batch, make: fn(&Chunk, &Heard) -> Form) {
        for piece in &mut batch.pieces {
            let place = self.subscriptions.get(piece.slot as usize).and_then(Option::as_ref);
            let heard = place.and_then(Subscription::heard);
            if let Some(heard) = heard.filter(|heard| !heard.is_plain()) {
                piece.own = Some(Arc::new(make(&piece.chunk, heard)));
            }
        }
    }
}

/// The client's patterns that match.
fn matching(client: &Client, channel: &str) -> Box<[EcoString]> {
    let subscriptions = lock(&client.subscriptions);
    let patterns = subscriptions.patterns().iter().filter(|pattern| pattern.matches(channel));
    patterns.map(|pattern| pattern.as_str().into()).collect()
}
