//! Where a courier gets its member's next delivery, and hands in what the receiver
//! has answered.

use super::delivery::Delivery;
use super::verdict::{Outcome, Verdict};
use crate::broker::Broker;
use crate::error::Close;
use crate::frame::Frame;
use crate::reply::Excerpt;
use crate::request::Request;
use crate::resident::{Event, Resident, Residents};
use crate::runtime;
use crate::sync::lock;
use crate::wire::json::{self, Object};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// How often to look whether a command is over. It is polled because nobody is
/// notified, and only for members that are being called in vain.
const LOOK: Duration = Duration::from_millis(50);

/// One member's desk.
#[derive(Clone)]
pub(super) struct Desk {
    broker: Arc<Broker>,
    residents: Arc<Residents>,
    resident: Arc<Resident>,
    /// Entries of which the first have been delivered.
    begun: Arc<Mutex<Option<Excerpt>>>,
}

impl Desk {
    /// Counts the outcome of an attempt.
    pub(super) fn count(&self, verdict: &Verdict) {
        let word = match verdict {
            Verdict::Done(_) => "done",
            Verdict::Accepted => "accepted",
            Verdict::Refused(_) => "refused",
            Verdict::Unwanted => "unwanted",
            Verdict::Failed(_) => "failed",
        };
        self.broker.stats.deliveries.add(word, 1);
    }

    pub(super) fn new(
        broker: Arc<Broker>,
        residents: Arc<Residents>,
        resident: Arc<Resident>,
    ) -> Desk {
        Desk { broker, residents, resident, begun: Arc::default() }
    }

    /// Waits for the next delivery. To be called again only when that one is done
    /// with.
    pub(super) async fn next(&self) -> Delivery {
        let next = self.resident.speaker.until(|_| match self.take() {
            Some(delivery) => Poll::Ready(delivery),
            None => Poll::Pending,
        });
        next.await
    }

    fn take(&self) -> Option<Delivery> {
        let mut begun = lock(&self.begun);
        loop {
            if let Some(excerpt) = &mut *begun {
                let delivery = first_of(excerpt);
                if excerpt.range.is_empty() {
                    *begun = None;
                }
                return Some(delivery);
            }
            match self.resident.take_event()? {
                // Its own end is delivered once, as the farewell.
                event if self.resident.is_own_end(&event) => {}
                Event::Entries(excerpt) => *begun = Some(excerpt).filter(|e| !e.range.is_empty()),
                Event::Frame(frame) => return Some(alone(&frame)),
            }
        }
    }

    /// Waits until the member has left; returns the reason.
    pub(super) async fn gone(&self) -> &'static str {
        let gone = self.resident.speaker.until(|_| match self.resident.gone_because() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        });
        gone.await
    }

    /// The delivery that reports these entries as gone.
    pub(super) fn gap(&self, from: u64, to: u64) -> Delivery {
        alone(&Frame::Gap { channel: self.resident.channel.clone(), from, to })
    }

    /// The delivery that tells the member that it has left.
    pub(super) fn farewell(&self, reason: &str) -> Delivery {
        let mut body = Vec::new();
        Object::begin("frame", "left", &mut body)
            .text("channel", &self.resident.channel)
            .text("member", &self.resident.name)
            .text("reason", reason)
            .end();
        Delivery::new("left", None, body)
    }

    /// Whether a command still waits for the member's answer.
    pub(super) fn is_due(&self, seq: u64) -> bool {
        self.resident.is_due(seq)
    }

    /// Waits until the command no longer does: its time is up, or it was answered
    /// by other means.
    pub(super) async fn over(&self, seq: u64) {
        while self.is_due(seq) {
            runtime::sleep(LOOK).await;
        }
    }

    /// Whether an entry is from before a restart of the broker: then nobody waits
    /// for an answer to it.
    pub(super) fn is_of_before(&self, seq: u64) -> bool {
        self.resident.is_of_before(seq)
    }

    /// Answers a command on the member's behalf.
    pub(super) async fn answer(&self, seq: u64, outcome: Outcome) {
        let Outcome { code, text } = outcome;
        let ack = Request::Ack { channel: self.resident.channel.to_string(), seq, code, text };
        // The command may be over by now, or answered by other means.
        let _ = self.resident.speaker.ask(ack).await;
    }

    /// Records that the receiver has everything up to this entry, so that the
    /// broker goes on behind it after a restart.
    pub(super) async fn has_seen(&self, seq: u64) {
        if self.broker.store().is_none() {
            return;
        }
        let seen = Request::Seen { channel: self.resident.channel.to_string(), seq };
        // If the member has left, nobody will go on from there.
        let _ = self.resident.speaker.ask(seen).await;
    }

    /// Renews the member's lease, because the receiver has answered.
    pub(super) fn renew(&self) {
        // If the member has left, the courier learns of it from `gone`.
        let _ = self.residents.renew(&self.resident);
    }

    /// Ends the member, because the receiver wants no more.
    pub(super) fn leave(&self) {
        self.residents.end(&self.resident, Close::Quit, Close::Quit.as_str());
    }

    /// Whether the broker is stopping, so that there is no time for a farewell.
    pub(super) fn is_closing(&self) -> bool {
        self.broker.is_stopping()
    }
}

/// Takes the first of these entries off the excerpt.
fn first_of(excerpt: &mut Excerpt) -> Delivery {
    let chunk = excerpt.chunk.clone();
    let start = excerpt.range.start;
    let end = chunk.entry_at(start).end.min(excerpt.range.end);
    excerpt.range.start = end;
    let mut body = Vec::new();
    json::entry(&chunk, &chunk.bytes[start..end], &mut body);
    let seq = chunk.seq_at(start);
    Delivery::new(chunk.body.kind(), Some(seq), body).covering(Some((seq, seq)))
}

/// The delivery of a frame for this member alone.
fn alone(frame: &Frame) -> Delivery {
    let covers = match frame {
        Frame::Gap { from, to, .. } => Some((*from, *to)),
        _ => None,
    };
    let mut body = Vec::new();
    json::frame(frame, &mut body);
    // A delivery has no line end.
    body.pop();
    Delivery::new(frame.kind(), None, body).covering(covers)
}
