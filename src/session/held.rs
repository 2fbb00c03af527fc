//! Replies that wait for the disk.

use super::Session;
use crate::broker::channel::Channel;
use crate::store::Ticket;

/// What a reply has to wait for.
#[derive(Clone, Debug)]
pub struct Held {
    /// Until this is on disk.
    pub ticket: Ticket,
    /// How many requests it answers.
    pub requests: u64,
}

impl Session {
    /// What the reply to the last request has to wait for.
    pub fn take_held(&mut self) -> Option<Held> {
        self.held.take().map(|held| *held)
    }

    /// The reply tells of this channel, and of all that is in it.
    pub(super) fn hold(&mut self, channel: &Channel, requests: u64) {
        let Some(ticket) = channel.pending() else { return };
        let number = self.held.as_ref().map_or(0, |held| held.ticket.number());
        if self.held.is_none() || number < ticket.number() {
            self.held = Some(Box::new(Held { ticket, requests }));
        }
    }
}
