//! The names under which a client gets the messages of its channels, if these have
//! several names for it, as for clients of the Redis protocol.

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

/// The kind of name by which a client has subscribed to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// The channel's own, as with `SUBSCRIBE`.
    Name,
    /// That of a shard's channel, as with `SSUBSCRIBE`.
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

/// How many subscriptions a client has, by kind of name.
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

    /// How many channels of shards the client has subscribed to.
    pub fn shards(&self) -> u64 {
        self.by_shard
    }

    /// How many subscriptions there are, as Redis counts them: those of shards apart.
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
    /// Gives channels several names for the client, which as an observer then gets
    /// messages and nothing else. To be called before it subscribes.
    pub fn name_channels(&mut self) {
        self.extra.parts().hearing.get_or_insert_default();
    }

    /// The client's subscriptions, counted, if channels have several names for it.
    pub fn hearing(&self) -> Hearing {
        self.extra.hearing().copied().unwrap_or_default()
    }

    /// Notes the names under which a new subscription is heard: the channel's own,
    /// unless patterns made it, and those of the patterns that match.
    pub(super) fn listen(&mut self, subscription: &mut Subscription) {
        let Some(hearing) = self.extra.hearing_mut() else { return };
        let by_name = !subscription.member.by_pattern();
        let patterns = matching(&self.client, subscription.channel.name());
        let heard = Heard { by_name, by_shard: false, patterns };
        hearing.add(&heard);
        subscription.extra.parts().heard = Some(heard);
    }

    /// Notes that a subscription has ended, by a drop of its channel or otherwise.
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

    /// Takes the dropped channels of which a client that hears no frames has to be
    /// told otherwise, with the names under which it heard them.
    pub fn take_dropped(&mut self) -> Vec<(EcoString, Under)> {
        self.extra.get_mut().map(|parts| std::mem::take(&mut parts.dropped)).unwrap_or_default()
    }

    /// The names under which the client hears a channel; `None` if it has not
    /// subscribed to that by name.
    pub fn heard(&self, channel: &str) -> Option<&Heard> {
        let member = self.client.member(channel)?;
        let subscription = self.subscriptions.get(member.slot as usize)?.as_ref()?;
        subscription.heard().filter(|heard| heard.by_name || heard.by_shard)
    }

    /// The channels that the client hears under this kind of name.
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

    /// Starts or stops hearing a channel, to which the client is subscribed, under
    /// this kind of name.
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

    /// Stops observing a pattern. Earlier entries are still due.
    ///
    /// # Errors
    /// [`crate::error::Code::NotMember`] if the client did not observe it.
    pub fn unobserve(&mut self, glob: &str, now_ms: u64) -> Result<(), Fault> {
        let ended = self.broker.unobserve(&self.client, glob, now_ms)?;
        self.leave_behind(ended);
        self.renew_patterns();
        self.current.take_if(|current| self.client.member(current).is_none());
        self.broker.remember_session(&self.client, self.current.as_ref());
        Ok(())
    }

    /// Updates the patterns under which each channel is heard. A subscription that has
    /// ended keeps its names for what it still has to read.
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

    /// Whether entries from before the client left a channel are still due to it.
    pub fn is_leaving(&self) -> bool {
        self.extra.succession().is_some_and(|succession| !succession.is_empty())
    }

    /// Gives pieces a form for this client alone, where it hears their channel under
    /// other names than most do.
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

/// The client's patterns that match this channel.
fn matching(client: &Client, channel: &str) -> Box<[EcoString]> {
    let subscriptions = lock(&client.subscriptions);
    let patterns = subscriptions.patterns().iter().filter(|pattern| pattern.matches(channel));
    patterns.map(|pattern| pattern.as_str().into()).collect()
}
