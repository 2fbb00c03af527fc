//! What goes out: the rest of a cut entry, then the control lane, then the log.

use super::scratch::Scratch;
use super::withheld::Withheld;
use crate::error::{Code, Fault};
use crate::frame::Frame;
use crate::reply::Reply;
use crate::request::Format;
use crate::session::{Caused, Piece, Session};
use crate::wire::spoken::{self, Tag};
use futures::AsyncWrite;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes of replies and frames of one connection that may wait to be written. At
/// this many, no more requests are read, and what others leave for it stays in
/// its mailbox, which is bounded.
const UNSENT_MAX: usize = 256 * 1024;

/// The most pieces that are written from where they are. The kernel looks at each
/// of them, which for more takes longer than to copy them together.
const SLICES_MAX: usize = 64;

/// Bytes that have yet to be written. The log's are not among them: they are
/// written straight from its chunks.
#[derive(Default)]
pub(super) struct Outgoing {
    /// The rest of an entry that the socket took only the beginning of.
    rest: Box<[u8]>,
    /// Replies and frames for this client alone.
    control: Vec<u8>,
    /// How much of these two is out.
    rest_sent: usize,
    control_sent: usize,
    /// Replies that wait for the disk. Boxed, because most have none.
    withheld: Option<Box<Withheld>>,
    /// The format of what goes out: that of the last reply that did.
    format: Format,
    /// The client wants no replies.
    pub(super) muted: bool,
    /// A gap was due to a client that cannot be told of one.
    missed: bool,
    /// Nothing but answers goes out.
    is_sealed: bool,
}

impl Outgoing {
    /// For a client that uses this format from the first byte on.
    pub(super) fn new(format: Format) -> Self {
        Outgoing { format, ..Outgoing::default() }
    }

    /// Adds a frame after everything else.
    pub(super) fn frame(&mut self, frame: &Frame) {
        spoken::frame(self.format, frame, &mut self.control);
    }

    /// The buffer for what is encoded already and is to be answered at once.
    pub(super) fn answers(&mut self) -> &mut Vec<u8> {
        &mut self.control
    }

    /// Drops the replies that wait. Returns the frames that wait behind them.
    pub(super) fn forget_withheld(&mut self) -> Vec<Frame> {
        self.withheld.take().map(|withheld| withheld.into_frames()).unwrap_or_default()
    }

    /// Lets nothing but answers go out from now on.
    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// Whether nothing but answers goes out.
    pub(super) fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Adds the reply to a request, or to several, each with its tag. It waits if
    /// what it tells of is not on disk yet, or if a reply before it waits. Once it
    /// is out, everything has its format.
    pub(super) fn answer(
        &mut self,
        reply: Result<Option<Reply>, Fault>,
        format: Format,
        tags: &[Tag<'_>],
        session: &mut Session,
    ) {
        let caused = session.take_caused();
        self.put(reply, format, tags, caused, session);
        if caused == Some(Caused::All) {
            // Before the replies to the requests behind it: one to a `ping` would have the
            // client believe in a seat that it has lost.
            for frame in session.take_greeting() {
                match &mut self.withheld {
                    Some(withheld) => withheld.frame(frame),
                    None => self.frame(&frame),
                }
            }
        }
    }

    /// Adds the reply to a request that has caused this.
    fn put(
        &mut self,
        reply: Result<Option<Reply>, Fault>,
        format: Format,
        tags: &[Tag<'_>],
        mut caused: Option<Caused>,
        session: &mut Session,
    ) {
        let mut awaited = session.take_awaited();
        if self.muted {
            match reply {
                Err(_) => session.note_fault(),
                Ok(Some(Reply::Scroll)) => session.drop_last_scroll(),
                Ok(_) => {}
            }
            return;
        }
        match (&mut awaited, &reply) {
            // Such a fault says nothing about what is in the channel.
            (awaited, Err(fault)) if fault.code == Code::Unavailable => *awaited = None,
            // If several requests fail, each gets a fault of its own.
            (Some(awaited), Err(_)) => awaited.requests = 1,
            _ => {}
        }
        let is_read = matches!(reply, Ok(Some(Reply::Scroll)));
        if awaited.is_some() || is_read || self.withheld.is_some() {
            session.wait_for_reply(&reply, awaited.as_ref(), &mut caused);
            let withheld = self.withheld.get_or_insert_default();
            return withheld.reply(awaited, reply, caused, format, tags);
        }
        self.format = format;
        match reply {
            Ok(Some(reply)) => spoken::reply(format, &reply, tags, &mut self.control),
            Ok(None) => {}
            Err(fault) => {
                session.note_fault();
                let tag = tags.first().copied().unwrap_or_default();
                spoken::fault(format, &fault, tag, &mut self.control);
            }
        }
    }

    /// Adds a reply that is encoded already and waits for nothing but those before
    /// it.
    pub(super) fn ready(&mut self, bytes: &[u8], format: Format) {
        match &mut self.withheld {
            _ if self.muted => {}
            Some(withheld) => withheld.ready(bytes, format),
            None => {
                self.format = format;
                self.control.extend_from_slice(bytes);
            }
        }
    }

    /// Whether there was a gap of which the client cannot be told: it only knows
    /// what Redis would tell it, and Redis would have closed the connection.
    pub(super) fn has_missed(&self) -> bool {
        self.missed
    }

    /// Whether a reply waits.
    pub(super) fn withholds(&self) -> bool {
        self.withheld.is_some()
    }

    /// Has what the replies wait for wake the client that the session has now.
    pub(super) fn watch_anew(&mut self) {
        if let Some(withheld) = &mut self.withheld {
            withheld.watch_anew();
        }
    }

    /// Whether more replies and frames may be put here.
    pub(super) fn has_room(&self) -> bool {
        self.unsent_replies() + self.withheld.as_ref().map_or(0, |w| w.weight()) < UNSENT_MAX
    }

    /// How many bytes of replies and frames wait.
    fn unsent_replies(&self) -> usize {
        self.control.len() - self.control_sent
    }

    /// Whether anything waits, the log aside.
    pub(super) fn has_unsent(&self) -> bool {
        self.unsent_replies() > 0 || self.rest.len() > self.rest_sent
    }

    /// Lets go of buffers that are empty, before the connection goes to sleep.
    pub(super) fn release(&mut self) {
        if !self.has_unsent() {
            (self.rest, self.control) = (Box::default(), Vec::new());
        }
    }

    /// Writes once, as much as the socket takes. Returns whether there was anything,
    /// or may be at a second look.
    pub(super) fn write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
        session: &mut Session,
        scratch: &mut Scratch,
        now_ms: u64,
    ) -> Poll<io::Result<bool>> {
        let batch = &mut scratch.batch;
        // Reading the log makes frames too: a rank, a gap.
        if session.has_news() && self.unsent_replies() < UNSENT_MAX && !self.is_sealed {
            session.gather(batch);
        }
        // After reading the log: for whatever was read, its own reply can be written.
        let more_replies = self.release_replies(session, now_ms);
        for frame in batch.frames.drain(..) {
            match (&mut self.withheld, &frame) {
                _ if self.is_sealed => {}
                (Some(withheld), frame_of_it)
                    if session.is_ungreeted() || session.may_cause(frame_of_it) =>
                {
                    withheld.frame(frame);
                }
                (_, Frame::Gap { .. }) if self.format.is_plain() => self.missed = true,
                (_, Frame::Left { .. }) if self.format.is_plain() => {
                    for (channel, under) in session.take_dropped() {
                        let count = session.hearing().count(under);
                        let kind = under.end();
                        spoken::unsubscribed(self.format, kind, &channel, count, &mut self.control);
                    }
                }
                _ => spoken::frame(self.format, &frame, &mut self.control),
            }
        }
        if self.missed {
            // Nothing may follow the hole.
            session.settle(batch, 0, false, now_ms);
        }
        if let Some(make) = spoken::heard_form(self.format) {
            session.transform_heard(batch, make);
        }
        if let Some(maker) = spoken::form(self.format) {
            session.transform(batch, maker);
        }
        let Some(result) = self.transmit(cx, Pin::new(stream), &batch.pieces, &mut scratch.joined)
        else {
            // Nothing to write, but cursors may have passed what is not for us, and
            // there may be more behind it that is.
            session.settle(batch, 0, false, now_ms);
            ready!(Pin::new(stream).poll_flush(cx))?;
            return Poll::Ready(Ok(more_replies || session.has_news() && !self.is_sealed));
        };
        let own_len = self.own().map(<[u8]>::len).iter().sum();
        let written = match &result {
            Poll::Ready(Ok(written)) => *written,
            _ => 0,
        };
        self.sent(written.min(own_len));
        session.note_written(written);
        let cut = session.settle(batch, written.saturating_sub(own_len), written > 0, now_ms);
        if !cut.is_empty() {
            // Then everything before it is out.
            (self.rest, self.rest_sent) = (cut.into(), 0);
        }
        match result {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(true)),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// What goes ahead of the log.
    fn own(&self) -> [&[u8]; 2] {
        [&self.rest[self.rest_sent..], &self.control[self.control_sent..]]
    }

    /// Writes what goes ahead of the log, and pieces of the log behind it; `None` if
    /// all of that is empty.
    fn transmit(
        &self,
        cx: &mut Context<'_>,
        stream: Pin<&mut impl AsyncWrite>,
        pieces: &[Piece],
        joined: &mut Vec<u8>,
    ) -> Option<Poll<io::Result<usize>>> {
        // One piece, as most writes are, is less work for the kernel, too.
        let one = match (self.own(), pieces) {
            ([[], []], [piece]) => Some(piece.bytes()),
            ([[], one] | [one, []], []) => Some(one),
            _ => None,
        };
        if let Some(bytes) = one {
            return (!bytes.is_empty()).then(|| stream.poll_write(cx, bytes));
        }
        let is_scattered = pieces.len() > SLICES_MAX;
        if is_scattered {
            joined.clear();
            for piece in pieces {
                joined.extend_from_slice(piece.bytes());
            }
        }
        let joined = is_scattered.then_some(&joined[..]).into_iter();
        let apart = pieces.iter().take(if is_scattered { 0 } else { SLICES_MAX });
        let mut slices = [IoSlice::new(&[]); SLICES_MAX + 2];
        let mut used = 0;
        for bytes in self.own().into_iter().chain(joined).chain(apart.map(Piece::bytes)) {
            if !bytes.is_empty() {
                slices[used] = IoSlice::new(bytes);
                used += 1;
            }
        }
        (used > 0).then(|| stream.poll_write_vectored(cx, &slices[..used]))
    }

    /// Encodes the replies that need not wait any more. Returns whether there were
    /// any, or more may follow.
    fn release_replies(&mut self, session: &mut Session, now_ms: u64) -> bool {
        let Some(withheld) = &mut self.withheld else { return false };
        let most = self.control_sent + UNSENT_MAX;
        let weight = withheld.weight();
        let more = withheld.release(session, &mut self.control, most, &mut self.format, now_ms);
        // Where there is room again, requests may be read again.
        let moved = more || withheld.weight() < weight;
        if withheld.is_empty() {
            self.withheld = None;
        }
        moved
    }

    fn sent(&mut self, written: usize) {
        let of_rest = written.min(self.rest.len() - self.rest_sent);
        self.rest_sent += of_rest;
        self.control_sent += written - of_rest;
        if self.rest_sent == self.rest.len() {
            self.rest = Box::default();
            self.rest_sent = 0;
        }
        // A client that always leaves some unread must not make the buffer grow. What
        // waits is moved to its front when at least as much is out, so that no byte sent
        // costs more than one moved.
        let waits = self.unsent_replies();
        if waits == 0 || self.control_sent >= waits.max(UNSENT_MAX) {
            self.control.drain(..self.control_sent);
            self.control_sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_is_let_go_of_though_some_is_always_left() {
        let mut outgoing = Outgoing::default();
        outgoing.control.push(b'0');
        for round in 0..1_000_u32 {
            outgoing.control.extend_from_slice(&[b'1' + (round % 9) as u8; 10_000]);
            outgoing.sent(10_000);
        }
        assert_eq!(outgoing.own()[1], [b'1']);
        assert!(outgoing.control.capacity() < 4 * UNSENT_MAX);
    }
}
