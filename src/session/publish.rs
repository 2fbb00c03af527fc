//! Publishing, and waiting for those who read.

use super::Session;
use crate::broker::channel::{Appended, Channel, Round};
use crate::error::Fault;
use crate::payload::Payload;
use crate::reply::Reply;
use std::sync::Arc;

/// Why a publisher has to wait.
#[derive(Debug)]
pub(super) struct HeldUp {
    pub(super) channel: Arc<Channel>,
    /// Since when it is among those who are woken.
    pub(super) since: Option<Round>,
}

impl Session {
    /// Publishes messages that follow each other, all text or all JSON; with a
    /// term only if that is still rank 0's. Each of them is a request of its
    /// own, the reply answers them all.
    ///
    /// # Errors
    /// [`Code::NoChannel`](crate::error::Code::NoChannel),
    /// [`Code::Fenced`](crate::error::Code::Fenced): then none is published.
    pub fn publish(
        &mut self,
        channel: &str,
        term: Option<u64>,
        payloads: &[Payload<'_>],
        now_ms: u64,
    ) -> Result<Option<Reply>, Fault> {
        let channel = self.broker.channel(channel)?;
        let published = self.append(channel, term, payloads, |_| {}, now_ms)?;
        Ok((!self.quiet).then_some(published))
    }

    /// The same, to the very channel that was found before: one that was made
    /// anew meanwhile is another one. `note` as for [`Channel::publish`].
    ///
    /// # Errors
    /// The same.
    pub fn append(
        &mut self,
        channel: Arc<Channel>,
        term: Option<u64>,
        payloads: &[Payload<'_>],
        note: impl FnOnce(u64),
        now_ms: u64,
    ) -> Result<Reply, Fault> {
        let appended = channel.publish(&self.client, &self.name, term, payloads, note, now_ms);
        let count = payloads.len() as u64;
        if channel.is_kept() {
            self.hold(&channel, count);
        }
        let Appended { seq: first_seq, held_up, receivers } = appended?;
        self.broker.stats.published.add(count);
        let name = channel.name().clone();
        self.note_append(channel, held_up);
        Ok(Reply::Published { channel: name, first_seq, count, receivers })
    }

    /// Whether more requests may be read: not while a live member of a channel
    /// that this client publishes to is a whole log behind.
    pub fn may_read(&mut self) -> bool {
        let Some(held_up) = &mut self.held_up else { return true };
        let before = held_up.since;
        let is_held_up = held_up.channel.holds_up(&self.client, &mut held_up.since);
        // What it says meanwhile is heard later: nobody is to call it silent.
        self.client.be_held_up(is_held_up);
        if !is_held_up {
            self.held_up = None;
        } else if held_up.since != before {
            self.broker.watch_stall(&held_up.channel, self.broker.now_ms());
        }
        !is_held_up
    }

    pub(super) fn note_append(&mut self, channel: Arc<Channel>, held_up: bool) {
        let is_known =
            self.held_up.as_ref().is_some_and(|known| Arc::ptr_eq(&known.channel, &channel));
        if held_up && !is_known {
            self.held_up = Some(Box::new(HeldUp { channel: channel.clone(), since: None }));
        }
        self.touch(channel);
    }
}
