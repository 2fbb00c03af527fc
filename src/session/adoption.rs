//! Subscriptions that the broker makes for a client, because a pattern matches.

use super::Session;
use super::deliver::{Extra, Subscription};
use crate::broker::channel::Channel;
use crate::broker::{Adoption, CHANNEL_BYTES, Ended, Forgone, Member};
use crate::frame::Frame;
use crate::log::Departure;
use crate::sync::lock;
use std::sync::Arc;

impl Session {
    /// Takes up subscriptions that the broker made, in the order in which it did.
    pub(super) fn adopt_all(&mut self, adopted: Vec<Adoption>) {
        for adoption in adopted {
            self.adopt(adoption);
        }
    }

    /// Notes subscriptions that the client has ended, but still reads to their ends.
    /// Those that the broker made for it before that are taken up first.
    pub(super) fn leave_behind(&mut self, ended: Ended) {
        self.adopt_all(ended.before);
        for (channel, member) in ended.leavers {
            self.extra.parts().succession.leaves(channel.name(), member.slot);
        }
    }

    /// Takes up a subscription that the broker made.
    fn adopt(&mut self, adoption: Adoption) {
        let Adoption { adopted, after, forgone } = adoption;
        let mut subscription = Subscription::new(adopted);
        if forgone.is_some() {
            subscription.extra.parts().forgone = forgone;
        }
        if let Some(earlier) = after.filter(|earlier| self.reads(earlier)) {
            self.follow(&mut subscription, &earlier);
        }
        self.install(subscription);
    }

    /// Makes a subscription wait for an earlier one to its name, which has ended and
    /// is not read to its end yet; without room for that one, it is given up.
    pub(super) fn follow(&mut self, subscription: &mut Subscription, earlier: &Member) {
        if self.has_room_for(earlier) {
            let succession = &mut self.extra.parts().succession;
            succession.leaves(subscription.channel.name(), earlier.slot);
        } else {
            subscription.extra.parts().forgone = self.give_up(earlier.slot);
        }
    }

    /// Whether there is room to keep an ended subscription. Channels may come and go
    /// while a client does not read: all that wait behind the first of a name may
    /// together keep as much as one channel's log.
    fn has_room_for(&mut self, ended: &Member) -> bool {
        let place = self.subscriptions.get(ended.slot as usize).and_then(Option::as_ref);
        let bytes = place.map_or(0, |subscription| subscription.channel.bytes());
        let succession = &mut self.extra.parts().succession;
        let bytes_max = self.broker.config.log_bytes;
        !succession.waits(ended.slot)
            || succession.keeps(ended.slot, bytes + CHANNEL_BYTES, bytes_max)
    }

    fn reads(&self, member: &Arc<Member>) -> bool {
        let place = self.subscriptions.get(member.slot as usize).and_then(Option::as_ref);
        place.is_some_and(|subscription| Arc::ptr_eq(&subscription.member, member))
    }

    /// Drops a subscription that waits, unread. Returns what is lost with it.
    fn give_up(&mut self, slot: u32) -> Option<Forgone> {
        let subscription = self.subscriptions.get_mut(slot as usize).and_then(Option::take)?;
        let rank = subscription.rank_at_end();
        let Subscription { channel, member, next_seq, .. } = &subscription;
        let forgone = channel.forgone(member, *next_seq, rank);
        self.unlisten(&subscription, forgone.dropped.is_some());
        self.extra.parts().succession.ended(channel.name(), slot);
        lock(&self.client.subscriptions).forget(channel, member);
        Some(forgone)
    }
}

impl Extra {
    /// Tells the client which earlier entries it will never get.
    pub(super) fn tell_what_is_lost(
        &mut self,
        channel: &Channel,
        member: &Member,
        frames: &mut Vec<Frame>,
        gaps: &mut u64,
    ) {
        let (forgone, lost) = (self.forgone.take(), self.lost.take());
        let entries = forgone.and_then(|forgone| forgone.entries);
        let channel = channel.name();
        let gap = |(from, to)| Frame::Gap { channel: channel.clone(), from, to };
        frames.extend(entries.map(gap));
        if let Some(Forgone { dropped: Some(seq), rank, .. }) = forgone {
            let (channel, member) = (channel.clone(), member.client.name());
            frames.push(Frame::Left { channel, seq, member, rank, reason: Departure::Dropped });
        }
        frames.extend(lost.map(gap));
        *gaps += u64::from(entries.is_some()) + u64::from(lost.is_some());
    }
}
