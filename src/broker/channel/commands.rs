//! Commands that still wait for results.
//!
//! Every command ends exactly once: when each of its recipients has answered,
//! has left, or has run out of time.

use crate::broker::directory::Client;
use crate::broker::stats::ChannelStats;
use crate::error::{Code, Fault};
use crate::frame::{Frame, Outcome};
use crate::roster::Key;
use ecow::EcoString;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Results that one channel may wait for at once: what ten commands to a full
/// channel of a hundred thousand need.
const RESULTS_MAX: usize = 1 << 20;

#[derive(Debug)]
struct Open {
    /// The client that gets the results.
    sender: Arc<Client>,
    /// The members that it was given to, in rank order.
    recipients: Box<[Key]>,
    /// How many of them have yet to answer.
    missing: u32,
    succeeded: u32,
    /// Dropped when the command is over.
    alive: Arc<()>,
    began: Instant,
    stats: Arc<ChannelStats>,
}

/// The open commands of one channel, by seq.
#[derive(Debug, Default)]
pub struct Commands {
    open: BTreeMap<u64, Open>,
    /// The recipients that have yet to answer, each with its rank at the command's
    /// seq. Ordered by member first, so that what is awaited of one that leaves is
    /// found without looking at every command.
    awaited: BTreeMap<(Key, u64), u32>,
}

impl Commands {
    /// Whether this many more results can be waited for.
    ///
    /// # Errors
    /// [`Code::Busy`] if they cannot.
    pub fn reserve(&self, results: usize) -> Result<(), Fault> {
        if self.awaited.len() + results > RESULTS_MAX {
            let text = "too many results are still awaited in this channel; try again later";
            return Err(Fault::new(Code::Busy, text));
        }
        Ok(())
    }

    /// Adds a command that has been given. Its recipients, in rank order and each
    /// with its rank, are frozen here.
    pub fn open(
        &mut self,
        seq: u64,
        sender: Arc<Client>,
        recipients: &[(Key, u32)],
        stats: Arc<ChannelStats>,
    ) {
        self.awaited.extend(recipients.iter().map(|(key, rank)| ((*key, seq), *rank)));
        let recipients: Box<[Key]> = recipients.iter().map(|(key, _)| *key).collect();
        let missing = u32::try_from(recipients.len()).unwrap_or(u32::MAX);
        let (alive, began) = (Arc::new(()), Instant::now());
        let open = Open { sender, recipients, missing, succeeded: 0, alive, began, stats };
        self.open.insert(seq, open);
    }

    /// A reference that is dead once the command of this seq is over.
    pub fn alive(&self, seq: u64) -> Weak<()> {
        self.open.get(&seq).map_or_else(Weak::new, |open| Arc::downgrade(&open.alive))
    }

    /// Notes a recipient's answer.
    ///
    /// # Errors
    /// [`Code::Gone`] for a command that is over or never was, [`Code::Denied`]
    /// for one that does not wait for this member.
    pub fn answer(
        &mut self,
        channel: &EcoString,
        seq: u64,
        (key, member): (Key, EcoString),
        code: i32,
        text: String,
    ) -> Result<(), Fault> {
        if !self.open.contains_key(&seq) {
            let text = format!("command {seq} is over, or never was");
            return Err(Fault::new(Code::Gone, text));
        }
        if !self.awaited.contains_key(&(key, seq)) {
            let text = format!("command {seq} was not for you, or you have answered it");
            return Err(Fault::new(Code::Denied, text));
        }
        self.settle(channel, seq, key, member, Outcome::Code(code), text);
        Ok(())
    }

    /// Settles whatever was awaited of a member that has left: it will not come.
    pub fn left(&mut self, channel: &EcoString, key: Key, member: &EcoString) {
        for seq in self.due_to(key).collect::<Vec<_>>() {
            self.settle(channel, seq, key, member.clone(), Outcome::Left, String::new());
        }
    }

    /// Ends a command whose time is up.
    pub fn expire(&mut self, channel: &EcoString, seq: u64, name: impl Fn(Key) -> EcoString) {
        let Some(open) = self.open.get(&seq) else { return };
        // In rank order. Nothing is awaited of those that have answered, so they
        // are skipped.
        for key in open.recipients.clone() {
            self.settle(channel, seq, key, name(key), Outcome::Timeout, String::new());
        }
    }

    /// The commands, by seq, that wait for this member's answer.
    pub fn due_to(&self, key: Key) -> impl Iterator<Item = u64> {
        self.awaited.range((key, 0)..=(key, u64::MAX)).map(|((_, seq), _)| *seq)
    }

    /// Whether a command waits for this member's answer.
    pub fn awaits(&self, key: Key, seq: u64) -> bool {
        self.awaited.contains_key(&(key, seq))
    }

    /// How many commands are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    fn settle(
        &mut self,
        channel: &EcoString,
        seq: u64,
        key: Key,
        member: EcoString,
        outcome: Outcome,
        text: String,
    ) {
        let Some(open) = self.open.get_mut(&seq) else { return };
        let Some(rank) = self.awaited.remove(&(key, seq)) else { return };
        open.missing -= 1;
        open.succeeded += u32::from(outcome == Outcome::Code(0));
        open.stats.result(outcome);
        let channel = channel.clone();
        open.sender.mailbox.post(Frame::Ack {
            channel: channel.clone(),
            seq,
            member,
            rank,
            outcome,
            text,
        });
        if open.missing == 0 {
            let ok = open.succeeded;
            let sent = u32::try_from(open.recipients.len()).unwrap_or(u32::MAX);
            open.stats.ended(ok == sent, open.began.elapsed());
            open.sender.mailbox.post(Frame::Done { channel, seq, ok, sent });
            self.open.remove(&seq);
        }
    }
}
