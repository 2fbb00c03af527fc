//! Replies that wait for the disk, and what waits behind them.

use super::Session;
use super::disk::Disk;
use crate::broker::Member;
use crate::broker::channel::Channel;
use crate::error::Fault;
use crate::frame::Frame;
use crate::reply::Reply;
use crate::store::{Store, Ticket};

/// What a reply has to wait for.
#[derive(Clone, Debug)]
pub struct AwaitsDisk {
    /// Until this is on disk.
    pub ticket: Ticket,
    /// How many requests it answers.
    pub requests: u64,
}

/// What a request has caused on its own connection. Its reply comes before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caused {
    /// Whatever is due to the client: it has just become that one.
    All,
    /// What there is to read for a subscription.
    Entries {
        /// Which one.
        slot: u32,
        /// The first seq that is meant.
        from: u64,
    },
}

impl Session {
    /// A request of this member is about to change the roster.
    pub(super) fn will_change(&mut self, channel: &Channel, member: &Member) {
        self.caused = Some(Caused::Entries { slot: member.slot, from: channel.top().1 + 1 });
    }

    /// What the last request has caused here, unless that was to publish something.
    /// Not everybody who asks has use for it.
    pub fn take_caused(&mut self) -> Option<Caused> {
        self.caused.take()
    }

    /// The reply to the last request has to wait: until it is out, nothing is read
    /// of what the request has caused here, be it that something was published.
    pub fn wait_for_reply(
        &mut self,
        reply: &Result<Option<Reply>, Fault>,
        awaited: Option<&AwaitsDisk>,
        caused: &mut Option<Caused>,
    ) {
        // What waits for the disk itself is seen no sooner than its reply is free to
        // go, if nothing before that waits for anything else.
        let is_seen_first = awaited.is_none() || self.extra.disk().is_some_and(Disk::is_asked);
        if let Ok(Some(Reply::Published { channel, first_seq, .. })) = reply
            && is_seen_first
            && let Some(member) = self.client.member(channel)
        {
            *caused = Some(Caused::Entries { slot: member.slot, from: *first_seq });
        }
        match *caused {
            None => {}
            Some(Caused::All) => self.extra.parts().is_ungreeted = true,
            Some(Caused::Entries { slot, from }) => {
                if let Some(Some(subscription)) = self.subscriptions.get_mut(slot as usize) {
                    subscription.wait_for_reply(from);
                }
            }
        }
    }

    /// The reply that comes before this is on its way.
    pub fn replied(&mut self, caused: Caused) {
        match caused {
            Caused::All => {
                if let Some(extra) = self.extra.get_mut() {
                    extra.is_ungreeted = false;
                }
            }
            Caused::Entries { slot, from } => {
                if let Some(Some(subscription)) = self.subscriptions.get_mut(slot as usize) {
                    subscription.replied(from);
                    self.queue.push(slot);
                }
            }
        }
    }

    /// Whether a request of this client may have caused this frame, so that it comes
    /// after the replies that wait.
    pub fn may_cause(&self, frame: &Frame) -> bool {
        match frame {
            Frame::Ack { .. } | Frame::Done { .. } | Frame::Job { .. } => true,
            Frame::Tell { from, .. } | Frame::Broadcast { from, .. } => *from == self.name,
            _ => false,
        }
    }

    /// Whether the `ok` of the client's `hello` waits: nothing comes before that.
    pub fn is_ungreeted(&self) -> bool {
        self.extra.is_ungreeted()
    }

    /// What the reply to the last request has to wait for.
    pub fn take_awaited(&mut self) -> Option<AwaitsDisk> {
        self.awaited.take().map(|awaited| *awaited)
    }

    /// The same, where nothing else is asked meanwhile: until when it waits.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.take_awaited().map(|awaited| awaited.ticket)
    }

    /// The reply tells of what has been noted for a restart.
    pub(super) fn await_notes(&mut self) {
        if let Some(ticket) = self.broker.store().map(Store::sync) {
            self.awaited = Some(Box::new(AwaitsDisk { ticket, requests: 1 }));
        }
    }

    /// The reply tells of this channel, and of all that is in it.
    pub(super) fn await_disk(&mut self, channel: &Channel, requests: u64) {
        let Some(ticket) = channel.pending() else { return };
        let number = self.awaited.as_ref().map_or(0, |awaited| awaited.ticket.number());
        if self.awaited.is_none() || number < ticket.number() {
            self.awaited = Some(Box::new(AwaitsDisk { ticket, requests }));
        }
    }
}
