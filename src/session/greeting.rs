//! What a client is told at once when it has resumed its session.

use super::Session;
use super::deliver::Subscription;
use crate::broker::GoneChannel;
use crate::broker::channel::Standing;
use crate::frame::Frame;
use crate::log::Departure;
use std::collections::HashMap;

impl Subscription {
    /// Notes that it came with a resumed session, and where it stands if it has a rank.
    pub(super) fn returns(&mut self, standing: Option<Standing>) {
        let extra = self.extra.parts();
        (extra.returns, extra.returned_to) = (true, standing);
    }

    pub(super) fn has_returned(&self) -> bool {
        self.extra.get().is_some_and(|extra| extra.returns)
    }

    /// The frame that tells where it has stood since it came back, once.
    fn take_return(&mut self) -> Option<Frame> {
        let standing = self.extra.get_mut()?.returned_to.take()?;
        self.knows(standing);
        Some(self.rank_frame(standing))
    }
}

impl Session {
    /// Has the client told what it never gets of channels that were dropped before a
    /// restart: the rest of each, and its end. Returns how many entries that is.
    pub(super) fn tell_what_is_gone(
        &mut self,
        gone: &[GoneChannel],
        seen: &HashMap<&str, u64>,
    ) -> u64 {
        let mut missed = 0;
        for GoneChannel { channel, seen: noted, end } in gone {
            // A seq beyond the end is a miscount.
            let given = seen.get(&**channel).filter(|seq| **seq <= *end);
            let from = given.unwrap_or(noted) + 1;
            let told = &mut self.extra.parts().gone;
            if from < *end {
                missed += *end - from;
                told.push(Frame::Gap { channel: channel.clone(), from, to: *end - 1 });
                self.broker.stats.gaps.add(1);
            }
            if from <= *end {
                let (channel, member) = (channel.clone(), self.name.clone());
                let (seq, rank, reason) = (*end, None, Departure::Dropped);
                told.push(Frame::Left { channel, seq, member, rank, reason });
            }
        }
        self.broker.forget_gone(&self.client, gone);
        missed
    }

    /// What a client is told right behind the reply to the `hello` by which it has
    /// resumed its session: where it stands, and what is gone.
    pub fn take_greeting(&mut self) -> Vec<Frame> {
        let subscriptions = self.subscriptions.iter_mut().flatten();
        let mut frames: Vec<Frame> = subscriptions.filter_map(Subscription::take_return).collect();
        if let Some(parts) = self.extra.get_mut() {
            frames.append(&mut parts.gone);
        }
        frames
    }
}
