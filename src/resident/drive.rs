//! A resident's task: reads what it is sent, and looks whether its lease has run
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

/// Times that are read in a row before another task gets its turn.
const TURNS: usize = 16;
/// How long after the end of a hold to look whether the seat was given up.
const HOLD_LOOK_MS: u64 = 20;

/// How a resident ends: its connection, if it had one, and as others are told.
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
    /// Reads what there is.
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

    /// Its seat is gone: reads what is still due to it, and says why it left.
    pub(super) fn read_end(&self, session: &mut Session) -> End {
        let mut batch = Batch::default();
        // It is over, whatever else it is told.
        let _ = session.take_mail(&mut batch.frames, true);
        while self.read(session, &mut batch) {}
        if let Some(reason) = self.state().left {
            return (Close::Quit, reason);
        }
        // What says so has yet to be on disk, and another channel may have the name of
        // its own by now.
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

    /// Reads once; whether there was anything.
    fn read(&self, session: &mut Session, batch: &mut Batch) -> bool {
        if !self.state().inbox.has_room() {
            self.drop_answered();
        }
        // Who has left is told so, however much it has let lie.
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
        // What it does not want is read as well, but does not count as delivered.
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

    /// Why this resident has left, if that is what the entry says.
    fn own_end(&self, chunk: &Chunk) -> Option<&'static str> {
        let is_own = chunk.author == self.client.id;
        // Whoever leaves of its own accord does not get to see it.
        matches!(chunk.body, Body::Change(Change::Left { .. }) if is_own)
            .then_some(Departure::Kicked.as_str())
    }

    /// In how many milliseconds its lease is to be looked at.
    fn next_look_ms(&self) -> u64 {
        let now_ms = self.broker.now_ms();
        let member = self.client.member(&self.channel);
        let at_ms = match member.and_then(|member| member.away_until_ms()) {
            // It may be back meanwhile, and then lose its seat again.
            Some(held_ms) => {
                (held_ms.max(now_ms) + HOLD_LOOK_MS).min(now_ms + self.broker.lease_ms())
            }
            None => self.broker.lease_over_ms(&self.client),
        };
        at_ms.saturating_sub(now_ms).max(1)
    }

    /// Gives the seat up if the lease has run out; the end, unless the seat is
    /// held.
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
