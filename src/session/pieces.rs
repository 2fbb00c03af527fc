//! What goes out in one write, and what becomes of it.
//!
//! A piece is a part of a chunk, straight out of the log: its own bytes, or
//! those of another form for a client that speaks another dialect. A cursor is
//! a place in the chunk's own bytes, whatever form the client gets; all forms have
//! the same entries in the same order.

use super::Session;
use crate::frame::Frame;
use crate::log::{Body, Chunk, Cursor, Form, Maker, Shape};
use std::ops::Range;
use std::sync::Arc;

/// A part of a chunk to be written.
#[derive(Clone, Debug)]
pub struct Piece {
    pub(super) chunk: Arc<Chunk>,
    /// The range of the chunk's own bytes; it begins and ends between entries.
    pub(super) range: Range<usize>,
    pub(super) number: u64,
    pub(super) slot: u32,
    /// The member's rank before this chunk.
    pub(super) rank: u32,
    /// The form in which it is written, if that is not the chunk's own.
    pub(super) shape: Option<Shape>,
    /// A form that this client alone gets.
    pub(super) own: Option<Arc<Form>>,
}

impl Piece {
    /// The bytes to write.
    pub fn bytes(&self) -> &[u8] {
        match self.form() {
            Some(form) => form.bytes(self.chunk.entries_in(&self.range)),
            None => &self.chunk.bytes[self.range.clone()],
        }
    }

    /// Whether its entries are messages.
    fn has_messages(&self) -> bool {
        matches!(self.chunk.body, Body::Messages { .. })
    }

    /// The chunk that it is a part of.
    pub fn chunk(&self) -> &Arc<Chunk> {
        &self.chunk
    }

    /// The range of the chunk's own bytes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    fn form(&self) -> Option<&Form> {
        self.own.as_deref().or_else(|| self.chunk.forms.get(self.shape?))
    }

    /// The rest of the entry that was cut after this many bytes of the piece, and
    /// where in the chunk's own bytes that entry ends.
    fn cut(&self, written: usize) -> (&[u8], usize) {
        let Some(form) = self.form() else {
            let at = self.range.start + written;
            let end = self.chunk.entry_at(at - 1).end;
            return (&self.chunk.bytes[at..end], end);
        };
        let first = self.chunk.entries_in(&self.range).start;
        let entry = form.entry_at(form.start_of(first) + written - 1);
        let written = written - (form.start_of(entry) - form.start_of(first));
        let end = self.chunk.offset_of(self.chunk.first_seq + entry as u64 + 1);
        (&form.bytes(entry..entry + 1)[written..], end)
    }
}

/// What goes out in one write: frames for this client alone, then pieces.
#[derive(Debug, Default)]
pub struct Batch {
    /// Frames, to be written before the pieces.
    pub frames: Vec<Frame>,
    /// Pieces, in order.
    pub pieces: Vec<Piece>,
    /// How many bytes they have, in the log's own form.
    pub(super) bytes: usize,
    pub(super) slots: Vec<u32>,
    /// A buffer for the chunks that one subscription reads, for reuse.
    pub(super) chunks: Vec<Arc<Chunk>>,
}

impl Batch {
    /// Throws away what was not written, for a connection that is over. A live one
    /// leaves nothing in here: its cursors would not know of the loss.
    pub fn discard(&mut self) {
        self.frames.clear();
        self.pieces.clear();
        self.slots.clear();
    }
}

impl Session {
    /// Has the pieces written in another form. Where a chunk lacks that form, it is
    /// made once for everybody, and counts towards the log's size from now on.
    pub fn transform(&self, batch: &mut Batch, maker: Maker) {
        for piece in batch.pieces.iter_mut().filter(|piece| piece.own.is_none()) {
            piece.shape = Some(maker.shape);
            let is_new = piece.chunk.forms.make(maker, &piece.chunk);
            if is_new && let Some(Some(subscription)) = self.subscriptions.get(piece.slot as usize)
            {
                subscription.channel.count_form(piece.number, &piece.chunk, maker.shape);
            }
        }
    }

    /// Counts bytes that went out to the client.
    pub fn note_written(&self, bytes: usize) {
        self.broker.stats.traffic.written.add(bytes as u64);
    }

    /// Moves cursors back to what the socket has taken: `written` bytes of the
    /// pieces; `wrote` says whether it took any byte at all. Returns the rest of
    /// the entry that was cut in two, to be written before anything else.
    pub fn settle(
        &mut self,
        batch: &mut Batch,
        mut written: usize,
        wrote: bool,
        now_ms: u64,
    ) -> Vec<u8> {
        let mut rest = Vec::new();
        let (mut delivered, mut messages) = (0, 0);
        let mut first_unwritten = batch.pieces.len();
        for (at, piece) in batch.pieces.iter().enumerate() {
            let bytes = piece.bytes().len();
            if written < bytes {
                first_unwritten = at;
                break;
            }
            written -= bytes;
            let entries = piece.chunk.last_seq() + 1 - piece.chunk.seq_at(piece.range.start);
            delivered += entries;
            messages += entries * u64::from(piece.has_messages());
        }
        // Backwards, so that the earliest place of a channel is the one that
        // its cursor ends up at.
        for (at, piece) in batch.pieces.iter().enumerate().skip(first_unwritten).rev() {
            let mut to = piece.range.start;
            if at == first_unwritten && written > 0 {
                let (unwritten, end) = piece.cut(written);
                rest.extend_from_slice(unwritten);
                to = end;
                let entries = piece.chunk.seq_at(to) - piece.chunk.seq_at(piece.range.start);
                delivered += entries;
                messages += entries * u64::from(piece.has_messages());
            }
            self.go_back(piece, to);
        }
        for slot in batch.slots.drain(..) {
            let Some(Some(subscription)) = self.subscriptions.get(slot as usize) else { continue };
            let chunk = subscription.cursor().chunk;
            subscription.member.advance(chunk, wrote, now_ms);
            subscription.channel.progressed(&subscription.member);
        }
        batch.pieces.clear();
        self.broker.stats.delivered.add(delivered);
        self.broker.stats.delivered_messages.add(messages);
        rest
    }

    /// Moves a cursor back to this place in the chunk of a piece.
    fn go_back(&mut self, piece: &Piece, to: usize) {
        let Some(Some(subscription)) = self.subscriptions.get_mut(piece.slot as usize) else {
            return;
        };
        if to == piece.chunk.bytes.len() {
            // The last entry was cut: its rest goes out first, so it counts as
            // read, and what came after it is unread.
            subscription.go_to(Cursor::at(piece.number + 1));
            subscription.rank = match piece.chunk.body {
                Body::Change(change) if piece.chunk.first_seq > subscription.member.joined => {
                    change.after(piece.rank)
                }
                _ => piece.rank,
            };
        } else {
            // Entries end at u32 offsets.
            let offset = u32::try_from(to).unwrap_or(u32::MAX);
            subscription.go_to(Cursor { chunk: piece.number, offset });
            subscription.rank = piece.rank;
        }
        subscription.next_seq = piece.chunk.seq_at(to);
        if subscription.member.queue() {
            self.queue.push(piece.slot);
        }
    }
}
