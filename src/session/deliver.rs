//! What a client's subscriptions have to read, piece by piece.
//!
//! Gathering moves the cursors on. Settling (`pieces.rs`), once it is known how
//! much the socket took, moves the cursors that got ahead of it back to the
//! beginning of an entry. So a member that does not read costs nothing but its
//! cursor, and the control lane can go ahead between any two entries.

use super::Session;
use super::disk::Part;
use super::pieces::{Batch, Piece};
use crate::broker::channel::{Behind, Channel, Room, Standing, Want};
use crate::broker::{Adopted, Forgone, Member};
use crate::frame::Frame;
use crate::log::{Body, Chunk, Cursor, Departure};
use crate::rare::Rare;
use crate::request::Heard;
use std::collections::VecDeque;
use std::sync::Arc;

/// The most that one write takes. In pieces: each entry is one when thousands of
/// members join or leave at once. In bytes, about: as many as a socket takes at once.
const WRITE: Room = Room { chunks: 1_024, bytes: 256 * 1024 };
/// The most subscriptions looked at for one write: other connections want their turn.
const LOOKS_MAX: usize = 4_096;
/// The view of a subscription that has yet to be told its rank.
const NEVER: u64 = u64::MAX;

/// The state of a subscription after it was read.
enum After {
    /// There is more.
    More,
    /// Everything that there is so far has been read.
    Caught,
    /// These entries have to be fetched from the disk.
    Behind(Behind),
    /// It has ended; with the seq at which its channel was dropped, if it was.
    Over(Option<u64>),
}

/// A channel that this client reads.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: Arc<Channel>,
    pub(super) member: Arc<Member>,
    /// The chunk and the offset of its cursor. Two fields, so that the rank fills
    /// what would be padding of a [`Cursor`]: there may be very many of these.
    chunk: u64,
    offset: u32,
    /// The next seq that is due.
    pub(super) next_seq: u64,
    /// The member's rank at the cursor: the fold of what it has read.
    pub(super) rank: u32,
    /// The roster's view when the rank was last told, or needed no telling.
    view: u64,
    pub(super) extra: Rare<Extra>,
}

/// What most subscriptions do without.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Whether its rank was found on the disk, so that from there on it is a fold.
    pub(super) is_ranked: bool,
    /// What was read from the disk for it.
    pub(super) part: Option<Box<Part>>,
    /// The names under which the client hears the channel, if channels have several
    /// names for it; as an observer it then gets nothing but messages.
    pub(super) heard: Option<Heard>,
    /// Whether it came with a resumed session: no reply has told it that it joined.
    pub(super) returns: bool,
    /// Where it stood then, if it has yet to be told.
    pub(super) returned_to: Option<Standing>,
    /// The replies that have yet to go out: for each the first seq that has to wait
    /// for it, or 0 if everything has to.
    untold: VecDeque<u64>,
    /// The first and the last seq of earlier entries that it will never get.
    pub(super) lost: Option<(u64, u64)>,
    /// What it will never get of an earlier channel of this name.
    pub(super) forgone: Option<Forgone>,
}

impl Extra {
    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        let Extra { is_ranked, part, heard, returns, returned_to, untold, lost, forgone } = self;
        !(*is_ranked || *returns || part.is_some() || heard.is_some() || lost.is_some())
            && untold.is_empty()
            && returned_to.is_none()
            && forgone.is_none()
    }
}

impl Subscription {
    pub(super) fn new(adopted: Adopted) -> Self {
        let mut extra = Rare::<Extra>::default();
        if adopted.lost.is_some() {
            extra.parts().lost = adopted.lost;
        }
        Subscription {
            channel: adopted.channel,
            member: adopted.member,
            chunk: adopted.cursor.chunk,
            offset: adopted.cursor.offset,
            next_seq: adopted.next_seq,
            rank: adopted.rank,
            view: NEVER,
            extra,
        }
    }

    /// The next byte to read.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { chunk: self.chunk, offset: self.offset }
    }

    /// Moves the cursor.
    pub(super) fn go_to(&mut self, cursor: Cursor) {
        (self.chunk, self.offset) = (cursor.chunk, cursor.offset);
    }

    /// What was read from the disk for it.
    pub(super) fn part(&self) -> Option<&Part> {
        self.extra.get()?.part.as_deref()
    }

    /// The same, for taking some of it.
    pub(super) fn part_mut(&mut self) -> Option<&mut Part> {
        self.extra.get_mut()?.part.as_deref_mut()
    }

    /// Drops what was read from the disk for it.
    pub(super) fn drop_part(&mut self) {
        if let Some(extra) = self.extra.get_mut() {
            extra.part = None;
        }
    }

    /// The names under which its client hears the channel, if there are several.
    pub(super) fn heard(&self) -> Option<&Heard> {
        self.extra.get()?.heard.as_ref()
    }

    /// The same, for changing it.
    pub(super) fn heard_mut(&mut self) -> Option<&mut Heard> {
        self.extra.get_mut()?.heard.as_mut()
    }

    /// Makes the entries from this seq on wait for a reply that has yet to go out.
    pub(super) fn wait_for_reply(&mut self, from: u64) {
        self.extra.parts().untold.push_back(from);
    }

    /// Notes that the reply which the entries from this seq on wait for is on its way.
    pub(super) fn replied(&mut self, from: u64) {
        if self.untold() == Some(from) {
            self.extra.parts().untold.pop_front();
            self.extra.free_if(Extra::is_empty);
        }
    }

    /// The first seq that is not to be read yet, because a reply comes first.
    fn untold(&self) -> Option<u64> {
        self.extra.get()?.untold.front().copied()
    }

    /// Notes that a reply has told the client its standing.
    pub(super) fn knows(&mut self, standing: Standing) {
        self.view = standing.view;
    }

    /// Reads on, adding what is to be written to the batch.
    fn read(&mut self, slot: u32, batch: &mut Batch, gaps: &mut u64) -> After {
        if let Some(extra) = self.extra.get_mut() {
            extra.tell_what_is_lost(&self.channel, &self.member, &mut batch.frames, gaps);
        }
        let bytes = WRITE.bytes.saturating_sub(batch.bytes).max(1);
        let room = Room { chunks: WRITE.chunks - batch.pieces.len(), bytes };
        let mut chunks = std::mem::take(&mut batch.chunks);
        let want = Want { cursor: self.cursor(), seq: self.next_seq, view: self.view };
        let reading = self.channel.read(&self.member, want, room, &mut chunks);
        let untold = self.untold().unwrap_or(u64::MAX);
        if reading.view < untold {
            if let Some(standing) = reading.standing {
                self.notice(standing, &mut batch.frames);
            }
            self.view = reading.view;
        }
        if let Some(moved) = reading.moved_to {
            self.skip_to(moved.seq, batch, gaps);
            self.go_to(moved.cursor);
            self.rank = moved.rank;
        }
        let mut more = reading.more;
        for chunk in chunks.drain(..) {
            if chunk.first_seq >= untold {
                // It is looked at again when the reply goes out.
                more = false;
                break;
            }
            if chunk.first_seq > self.member.end() {
                break;
            }
            self.pass(slot, chunk, batch);
        }
        batch.chunks = chunks;
        match reading.behind {
            None => self.drop_part(),
            Some(behind) => {
                more = self.read_part(slot, WRITE, batch, gaps);
                // Entries beyond its end are not needed.
                if !more && self.next_seq <= self.member.end() {
                    let is_ranked = self.extra.get().is_some_and(|extra| extra.is_ranked);
                    let is_fold = is_ranked && behind.from == self.next_seq;
                    let rank = behind.rank.filter(|_| !is_fold);
                    return After::Behind(Behind { rank, ..behind });
                }
            }
        }
        let is_over = self.is_over(reading.dropped);
        // It may have been queued twice: pieces of the first time are not out yet.
        if is_over && batch.pieces.iter().all(|piece| piece.slot != slot) {
            self.drop_part();
            return After::Over(reading.dropped);
        }
        // A member that has left is woken later for what is not visible yet.
        let is_told = || self.untold().is_none() && (is_over || !reading.waits);
        if more || self.member.has_left() && is_told() { After::More } else { After::Caught }
    }

    fn notice(&mut self, standing: Standing, frames: &mut Vec<Frame>) {
        // The term began before the last view that the client knows: no news.
        if self.view != NEVER && standing.term <= self.view {
            return;
        }
        frames.push(self.rank_frame(standing));
    }

    pub(super) fn rank_frame(&self, standing: Standing) -> Frame {
        let Standing { rank, term, view, .. } = standing;
        Frame::Rank { channel: self.channel.name().clone(), rank, term, view }
    }

    /// Adds the chunk at the cursor to the batch, or skips it, and moves on behind it.
    pub(super) fn pass(&mut self, slot: u32, chunk: Arc<Chunk>, batch: &mut Batch) {
        let rank = self.rank;
        let is_own = chunk.author == self.member.client.id;
        let is_wanted = match chunk.body {
            Body::Messages { .. } => self.member.echo || !is_own,
            _ if self.heard().is_some() && self.member.is_observer() => false,
            // Its own join, of which the reply to `sub` has told it.
            Body::Change(_)
                if is_own
                    && chunk.first_seq == self.member.joined
                    && !self.member.is_observer() =>
            {
                self.has_returned()
            }
            Body::Change(change) => {
                if chunk.first_seq > self.member.joined && !self.member.is_observer() {
                    self.rank = change.after(rank);
                }
                true
            }
            Body::Command { .. } => self.member.may_see(&chunk, rank),
        };
        let number = self.chunk;
        let range = self.offset as usize..chunk.bytes.len();
        self.go_to(Cursor::at(number + 1));
        self.next_seq = chunk.last_seq() + 1;
        if is_wanted && !range.is_empty() {
            batch.bytes += range.len();
            batch.pieces.push(Piece { chunk, range, number, slot, rank, shape: None, own: None });
        }
    }

    /// The member's rank when its channel was dropped, as far as it has read.
    pub(super) fn rank_at_end(&self) -> Option<u32> {
        let had_rank = !self.member.is_observer() && self.member.joined < self.member.end();
        had_rank.then_some(self.rank)
    }

    /// Whether it has left and got all that is due to it. `dropped` is the seq
    /// that ended the channel, if one did.
    fn is_over(&self, dropped: Option<u64>) -> bool {
        let end = self.member.end();
        self.next_seq > end || (dropped == Some(end) && self.next_seq == end)
    }
}

impl Session {
    /// Adds a subscription, and queues it to be read.
    pub(super) fn install(&mut self, mut subscription: Subscription) {
        let slot = subscription.member.slot;
        if let Some(parts) = self.extra.get_mut() {
            parts.succession.comes(subscription.channel.name(), slot);
        }
        self.listen(&mut subscription);
        if self.subscriptions.capacity() == 0 {
            // Most clients have one; the vector would begin with room for four.
            self.subscriptions.reserve_exact(slot as usize + 1);
        }
        if self.subscriptions.len() <= slot as usize {
            self.subscriptions.resize_with(slot as usize + 1, || None);
        }
        // Even if the member was queued already: that news may have come before its
        // subscription was here.
        subscription.member.queue();
        self.queue.push(slot);
        self.subscriptions[slot as usize] = Some(subscription);
    }

    /// Whether a subscription has news.
    pub fn has_news(&self) -> bool {
        !self.queue.is_empty() && !self.extra.is_ungreeted()
    }

    /// Collects what is to be written next.
    pub fn gather(&mut self, batch: &mut Batch) {
        batch.bytes = 0;
        let mut gaps = 0;
        // Each slot at most once, so that one that waits for another does not keep
        // the loop going: slots that are queued meanwhile come after these.
        let mut due = std::mem::take(&mut self.queue);
        let mut looked_at = 0;
        for &slot in &due {
            if batch.pieces.len() >= WRITE.chunks
                || batch.bytes >= WRITE.bytes
                || looked_at >= LOOKS_MAX
            {
                break;
            }
            looked_at += 1;
            let Some(place) = self.subscriptions.get_mut(slot as usize) else { continue };
            let Some(subscription) = place else { continue };
            if subscription.untold() == Some(0) {
                // It is queued again when its reply goes out.
                continue;
            }
            if self.extra.succession().is_some_and(|succession| succession.waits(slot)) {
                // It is queued again when the one before it has ended.
                continue;
            }
            // From here on whatever comes is news again.
            subscription.member.dequeue();
            batch.slots.push(slot);
            let after = subscription.read(slot, batch, &mut gaps);
            let needs_disk = subscription.part().is_some() || matches!(after, After::Behind(_));
            match after {
                After::More if subscription.member.queue() => self.queue.push(slot),
                After::Behind(behind) => self.want(slot, behind),
                // A lost member's place is kept: a resumed session goes on from here.
                After::Over(dropped) if !subscription.member.is_lost() => {
                    self.finish(slot, dropped, batch);
                }
                After::More | After::Caught | After::Over(_) => {}
            }
            if !needs_disk {
                self.release_disk(slot);
            }
        }
        due.drain(..looked_at);
        due.append(&mut self.queue);
        self.queue = due;
        self.broker.stats.gaps.add(gaps);
    }

    /// Removes a subscription that has come to its end. `dropped` is the seq at which
    /// its channel was dropped, if it was.
    fn finish(&mut self, slot: u32, dropped: Option<u64>, batch: &mut Batch) {
        let Some(place) = self.subscriptions.get_mut(slot as usize) else { return };
        let Some(subscription) = place.take() else { return };
        // A member that had left before that has been told so.
        let dropped = dropped.filter(|seq| *seq == subscription.member.end());
        self.unlisten(&subscription, dropped.is_some());
        let (rank, reason) = (subscription.rank_at_end(), Departure::Dropped);
        let Subscription { channel, member, .. } = subscription;
        let succession = self.extra.get_mut().map(|parts| &mut parts.succession);
        self.queue.extend(succession.and_then(|order| order.ended(channel.name(), slot)));
        if let Some(seq) = dropped {
            let (channel, who) = (channel.name().clone(), self.name.clone());
            batch.frames.push(Frame::Left { channel, seq, member: who, rank, reason });
        }
        let was_last = {
            let mut subscriptions = crate::sync::lock(&self.client.subscriptions);
            let was_last = subscriptions.forget(&channel, &member);
            if was_last {
                // Before the next subscription to this name is noted.
                self.broker.forget_place(&self.client, channel.name());
            }
            was_last
        };
        if was_last && self.current.as_ref() == Some(channel.name()) {
            self.current = None;
        }
    }
}
