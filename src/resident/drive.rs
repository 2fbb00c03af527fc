//! A resident's task: reads what it is sent, and ends it when its lease has run
//! out.

use super::{Resident, Residents};
use crate::error::Close;
use crate::frame::Frame;
use crate::log::{Body, Chunk, Departure};
use crate::reply::Excerpt;
use crate::roster::Change;
use crate::runtime;
use crate::session::{Batch, Session};
use crate::sync::lock;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How often it reads in a row before another task gets its turn.
const TURNS: usize = 16;
/// How long after the end of a hold to look whether the seat has been given up.
const HOLD_LOOK_MS: u64 = 20;

/// How a resident ends: the close of its session, and the reason that others are
/// told.
pub(super) type End = (Close, &'static str);

/// Drives a resident until it has gone.
pub(super) async fn run(residents: Arc<Residents>, resident: Arc<Resident>) {
    let (close, reason) = loop {
        let wait = Duration::from_millis(resident.next_look_ms());
        let driving = poll_fn(|cx| resident.drive(cx));
        let end = match runtime::timeout(wait, driving).await {
            Some(end) => Some(end),
            None => resident.look_at_lease(),
        };
        if let Some(end) = end {
            break end;
        }
    };
    residents.end(&resident, close, reason);
}

impl Resident {
    /// Reads what there is, until the resident ends.
    fn drive(&self, cx: &mut Context<'_>) -> Poll<End> {
        let mut session = self.speaker.session();
        session.register(cx.waker());
        let mut batch = Batch::default();
        for _ in 0..TURNS {
            if let Some(reason) = self.state().gone {
                return Poll::Ready((Close::Quit, reason));
            }
            let takes_frames = self.state().inbox.takes_frames();
            if let Some(close) = session.take_mail(&mut batch.frames, takes_frames) {
                return Poll::Ready((close, close.as_str()));
            }
            let moved = self.read(&mut session, &mut batch);
            if !session.is_subscribed() {
                return Poll::Ready(self.read_end(&mut session));
            }
            if !moved {
                drop(session);
                self.speaker.ring();
                return Poll::Pending;
            }
        }
        drop(session);
        self.speaker.ring();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads what is still due to a resident whose seat is gone, and returns why it
    /// left.
    pub(super) fn read_end(&self, session: &mut Session) -> End {
        let mut batch = Batch::default();
        // It is over, whatever close the mail asks for.
        let _ = session.take_mail(&mut batch.frames, true);
        while self.read(session, &mut batch) {}
        if let Some(reason) = self.state().left {
            return (Close::Quit, reason);
        }
        // The entry that says why has yet to reach the disk. The member's own channel
        // is asked, because another one may have its name by now.
        let subscriptions = lock(&self.client.subscriptions);
        let mut places = subscriptions.iter();
        match places.find(|(channel, _)| *channel.name() == self.channel) {
            Some((_, member)) if member.is_lost() => (Close::Timeout, Close::Timeout.as_str()),
            Some((channel, member)) if channel.has_ended_with(member) => {
                (Close::Quit, Departure::Dropped.as_str())
            }
            _ => (Close::Quit, Departure::Kicked.as_str()),
        }
    }

    /// Reads once; returns whether there was anything to read.
    fn read(&self, session: &mut Session, batch: &mut Batch) -> bool {
        if !self.state().inbox.has_room() {
            self.drop_answered();
        }
        // A member that has left is told so, however full its inbox is.
        let has_left = self.client.member(&self.channel).is_none();
        let reads = session.has_news() && (has_left || self.state().inbox.has_room());
        if reads {
            session.gather(batch);
        }
        let mut state = self.state();
        for frame in batch.frames.drain(..) {
            match &frame {
                Frame::Ack { .. } | Frame::Done { .. } => state.given.note(frame),
                Frame::Left { reason, .. } => {
                    state.left = Some(reason.as_str());
                    state.inbox.frame(frame);
                }
                _ => state.inbox.frame(frame),
            }
        }
        let (mut bytes, has_read) = (0, !batch.pieces.is_empty());
        // Entries that it does not want are read as well, but do not count as
        // delivered.
        batch.pieces.retain(|piece| {
            let chunk = piece.chunk();
            if let Some(reason) = self.own_end(chunk) {
                state.left = Some(reason);
            }
            let excerpt = Excerpt { chunk: chunk.clone(), range: piece.range() };
            let is_wanted = state.inbox.entries(excerpt);
            bytes += if is_wanted { piece.bytes().len() } else { 0 };
            is_wanted
        });
        drop(state);
        if reads {
            session.settle(batch, bytes, has_read, self.broker.now_ms());
        }
        reads
    }

    /// Why this resident has left, if this entry says that it has.
    fn own_end(&self, chunk: &Chunk) -> Option<&'static str> {
        let is_own = chunk.author == self.client.id;
        // A member that leaves of its own accord does not get to see the entry.
        matches!(chunk.body, Body::Change(Change::Left { .. }) if is_own)
            .then_some(Departure::Kicked.as_str())
    }

    /// In how many milliseconds to look at its lease again.
    fn next_look_ms(&self) -> u64 {
        let now_ms = self.broker.now_ms();
        let member = self.client.member(&self.channel);
        let at_ms = match member.and_then(|member| member.away_until_ms()) {
            // It may come back meanwhile, and then lose its seat again.
            Some(held_ms) => {
                (held_ms.max(now_ms) + HOLD_LOOK_MS).min(now_ms + self.broker.lease_ms())
            }
            None => self.broker.lease_over_ms(&self.client),
        };
        at_ms.saturating_sub(now_ms).max(1)
    }

    /// Gives the seat up if the lease has run out; returns how the resident ends,
    /// unless the seat is held.
    fn look_at_lease(&self) -> Option<End> {
        let mut session = self.speaker.session();
        let now_ms = self.broker.now_ms();
        if now_ms < self.broker.lease_over_ms(&self.client) {
            return None;
        }
        session.lose(Close::Timeout, now_ms);
        session.flush();
        let is_held = self.client.member(&self.channel).is_some();
        (!is_held).then_some((Close::Timeout, Close::Timeout.as_str()))
    }
}
