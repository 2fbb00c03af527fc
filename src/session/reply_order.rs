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
    /// The commit that has to be on disk.
    pub ticket: Ticket,
    /// How many requests it answers.
    pub requests: u64,
}

/// What a request has caused on its own connection. Its reply comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caused {
    /// Whatever is due to the client: its session has just been resumed here.
    All,
    /// Entries to read for a subscription.
    Entries {
        /// The subscription's slot.
        slot: u32,
        /// The first seq that was caused; 0 for everything.
        from: u64,
    },
}

impl Session {
    /// Notes that a request of this member is about to change the roster.
    pub(super) fn will_change(&mut self, channel: &Channel, member: &Member) {
        self.caused = Some(Caused::Entries { slot: member.slot, from: channel.top().1 + 1 });
    }

    /// Takes what the last request has caused here, published messages aside. Not
    /// every caller has use for it.
    pub fn take_caused(&mut self) -> Option<Caused> {
        self.caused.take()
    }

    /// Notes that the reply to the last request has to wait: until it is out, nothing
    /// that the request has caused here is read, not even what it published.
    pub fn wait_for_reply(
        &mut self,
        reply: &Result<Option<Reply>, Fault>,
        awaited: Option<&AwaitsDisk>,
        caused: &mut Option<Caused>,
    ) {
        // An entry that itself waits for the disk is visible no sooner than its reply
        // may go, unless a reply before that waits for something else.
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

    /// Lets what a request has caused be read: the reply to it is on its way.
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

    /// Takes the commit that the reply to the last request has to wait for, where no
    /// other request comes meanwhile.
    pub fn take_ticket(&mut self) -> Option<Ticket> {
        self.take_awaited().map(|awaited| awaited.ticket)
    }

    /// Makes the reply wait for what has been noted for a restart, of which it tells.
    pub(super) fn await_notes(&mut self) {
        if let Some(ticket) = self.broker.store().map(Store::sync) {
            self.awaited = Some(Box::new(AwaitsDisk { ticket, requests: 1 }));
        }
    }

    /// Makes the reply wait until all that is in this channel is on disk, because it
    /// tells of that.
    pub(super) fn await_disk(&mut self, channel: &Channel, requests: u64) {
        let Some(ticket) = channel.pending() else { return };
        let number = self.awaited.as_ref().map_or(0, |awaited| awaited.ticket.number());
        if self.awaited.is_none() || number < ticket.number() {
            self.awaited = Some(Box::new(AwaitsDisk { ticket, requests }));
        }
    }
}
