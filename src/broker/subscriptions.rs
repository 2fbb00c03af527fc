//! What a client is subscribed to.

use super::by_name::ByName;
use super::channel::Channel;
use super::member::Member;
use crate::rare::Rare;
use litemap::LiteMap;
use std::sync::Arc;

/// What a client is subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    by_channel: LiteMap<ByName, Arc<Member>>,
    next_slot: u32,
    extra: Rare<Extra>,
}

/// What most clients do without.
#[derive(Debug, Default)]
struct Extra {
    /// The patterns that it observes.
    patterns: Vec<Arc<glob::Pattern>>,
    /// The numbers of subscriptions that have ended.
    free_slots: Vec<u32>,
}

impl Subscriptions {
    /// Adds a new subscription. Returns an earlier one to a channel of the same
    /// name.
    pub fn add(&mut self, channel: Arc<Channel>, member: Arc<Member>) -> Option<Arc<Member>> {
        if self.by_channel.is_empty() {
            // Most clients have one; the vector would begin with room for four.
            self.by_channel = LiteMap::with_capacity(1);
        }
        // Taken out first: the map would keep the key that it has, which may be
        // an earlier channel of this name.
        let earlier = self.by_channel.remove(channel.name().as_str());
        self.by_channel.insert(ByName(channel), member);
        earlier
    }

    /// The subscription to the channel of this name.
    pub fn get(&self, channel: &str) -> Option<&Arc<Member>> {
        self.by_channel.get(channel)
    }

    /// All of them, by the names of the channels.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Channel>, &Arc<Member>)> {
        self.by_channel.iter().map(|(channel, member)| (&channel.0, member))
    }

    /// Copies of all of them, for what must not be done under the lock.
    pub fn all(&self) -> Vec<(Arc<Channel>, Arc<Member>)> {
        self.iter().map(|(channel, member)| (channel.clone(), member.clone())).collect()
    }

    /// Takes out all of them.
    pub(super) fn take(&mut self) -> Vec<(Arc<Channel>, Arc<Member>)> {
        let all = std::mem::take(&mut self.by_channel);
        all.into_iter().map(|(channel, member)| (channel.0, member)).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_channel.len()
    }

    /// Whether there is none, nor a pattern that may make one at any time.
    pub fn is_empty(&self) -> bool {
        self.by_channel.is_empty() && self.patterns().is_empty()
    }

    /// Removes this subscription, unless a later one has taken its place; returns
    /// whether it was the last one to this channel's name. Its number is not freed:
    /// it may still be needed to read to the end.
    pub(super) fn remove(&mut self, channel: &Channel, member: &Arc<Member>) -> bool {
        let name = channel.name().as_str();
        let is_last = self.by_channel.get(name).is_some_and(|last| Arc::ptr_eq(last, member));
        if is_last {
            self.by_channel.remove(name);
        }
        is_last
    }

    /// Takes out those that are not to be kept.
    pub(super) fn remove_unless(
        &mut self,
        keeps: impl Fn(&Channel, &Member) -> bool,
    ) -> Vec<(Arc<Channel>, Arc<Member>)> {
        let mut removed = Vec::new();
        self.by_channel.retain(|channel, member| {
            let kept = keeps(&channel.0, member);
            if !kept {
                removed.push((channel.0.clone(), member.clone()));
            }
            kept
        });
        removed
    }

    /// A number for a new subscription.
    pub fn take_slot(&mut self) -> u32 {
        let free = self.extra.get_mut().and_then(|extra| extra.free_slots.pop());
        free.unwrap_or_else(|| {
            self.next_slot += 1;
            self.next_slot - 1
        })
    }

    /// Frees the number of a subscription that has ended.
    pub(super) fn free_slot(&mut self, slot: u32) {
        self.extra.parts().free_slots.push(slot);
    }

    /// Removes a subscription that has come to its end, unless a later one has
    /// taken its place, and frees its number; returns whether it was the last one
    /// to this channel's name.
    pub fn forget(&mut self, channel: &Channel, member: &Arc<Member>) -> bool {
        self.free_slot(member.slot);
        self.remove(channel, member)
    }

    /// The patterns that it observes.
    pub fn patterns(&self) -> &[Arc<glob::Pattern>] {
        self.extra.get().map_or(&[], |extra| &extra.patterns)
    }

    /// The same, mutably.
    pub(super) fn patterns_mut(&mut self) -> &mut Vec<Arc<glob::Pattern>> {
        &mut self.extra.parts().patterns
    }

    /// Whether one of the patterns matches.
    pub fn matches(&self, channel: &str) -> bool {
        self.patterns().iter().any(|pattern| pattern.matches(channel))
    }
}
