//! What a client is subscribed to.

use super::channel::Channel;
use super::member::Member;
use litemap::LiteMap;
use std::sync::Arc;

/// What a client is subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// By the channel's name.
    pub by_channel: LiteMap<Arc<str>, Arc<Member>>,
    next_slot: u32,
    extra: Option<Box<Extra>>,
}

/// What most clients do without. Boxed in one, so that it takes no more than a
/// pointer there.
#[derive(Debug, Default)]
struct Extra {
    /// The patterns that it observes.
    patterns: Vec<Arc<glob::Pattern>>,
    /// The numbers of subscriptions that have ended.
    free_slots: Vec<u32>,
}

impl Subscriptions {
    /// A new subscription. Gives an earlier one to the same channel.
    pub fn add(&mut self, channel: Arc<str>, member: Arc<Member>) -> Option<Arc<Member>> {
        if self.by_channel.is_empty() {
            // Most clients have one; the vector would begin with room for four.
            self.by_channel = LiteMap::with_capacity(1);
        }
        self.by_channel.insert(channel, member)
    }

    /// A number for a new subscription.
    pub fn take_slot(&mut self) -> u32 {
        let free = self.extra.as_mut().and_then(|extra| extra.free_slots.pop());
        free.unwrap_or_else(|| {
            self.next_slot += 1;
            self.next_slot - 1
        })
    }

    /// The number of a subscription that has ended.
    pub(super) fn free_slot(&mut self, slot: u32) {
        self.extra.get_or_insert_default().free_slots.push(slot);
    }

    /// A subscription has come to its end: its number is free, and so is the
    /// channel, unless a later one has taken its place.
    pub fn forget(&mut self, channel: &Channel, member: &Arc<Member>) -> bool {
        self.free_slot(member.slot);
        let name = channel.name();
        let is_last = self.by_channel.get(name).is_some_and(|last| Arc::ptr_eq(last, member));
        if is_last {
            self.by_channel.remove(name);
        }
        is_last
    }

    /// The patterns that it observes.
    pub fn patterns(&self) -> &[Arc<glob::Pattern>] {
        self.extra.as_ref().map_or(&[], |extra| &extra.patterns)
    }

    /// The same, to be changed.
    pub(super) fn patterns_mut(&mut self) -> &mut Vec<Arc<glob::Pattern>> {
        &mut self.extra.get_or_insert_default().patterns
    }

    /// Whether one of the patterns matches.
    pub fn matches(&self, channel: &str) -> bool {
        self.patterns().iter().any(|pattern| pattern.matches(channel))
    }
}
