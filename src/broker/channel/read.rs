//! How members and others read the log.

use super::durable::Behind;
use super::{Channel, Standing, State};
use crate::broker::member::Member;
use crate::error::{Code, Fault};
use crate::log::{Body, Chunk, Cursor, Edge, Shape};
use crate::moment::millis;
use crate::reply::Excerpt;
use crate::request::Start;
use crate::roster::Change;
use crate::store::RankAt;
use std::sync::Arc;

/// Where a member reads on, and what it knows.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// The place.
    pub cursor: Cursor,
    /// The next seq that is due.
    pub seq: u64,
    /// The roster's view that it knows.
    pub view: u64,
}

/// How much may be read at once: so many chunks, or until they have so many bytes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Chunks at most.
    pub chunks: usize,
    /// Bytes that are enough.
    pub bytes: usize,
}

/// What there is to read for a member, besides chunks from the cursor on.
#[derive(Debug)]
pub struct Reading {
    /// Where the chunks begin, if the member's own place is no longer there.
    pub moved_to: Option<Moved>,
    /// Whether there is more after the chunks.
    pub more: bool,
    /// What comes next is on disk only, and is to be fetched.
    pub behind: Option<Behind>,
    /// Whether there are entries that are not visible yet. A member that has left
    /// is told when they are.
    pub waits: bool,
    /// The roster's view.
    pub view: u64,
    /// The member's standing, if the view is another than it knew.
    pub standing: Option<Standing>,
    /// The seq that ended the channel, if it was removed.
    pub dropped: Option<u64>,
}

/// Where a member that was too slow goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The place.
    pub cursor: Cursor,
    /// The seq of the first entry there.
    pub seq: u64,
    /// The member's own rank there.
    pub rank: u32,
}

/// Entries that somebody asked for.
#[derive(Debug)]
pub enum Past {
    /// The entries, from memory.
    Here(Vec<Excerpt>),
    /// The entries are on disk, and are to be fetched.
    OnDisk(Behind),
}

impl State {
    /// The seq of the first entry that is in memory or on disk or, if none is, of
    /// the next one.
    pub(super) fn first_kept(&self) -> u64 {
        match self.extra.disk() {
            Some(disk) if disk.durable => disk.extent.first_seq.min(self.log.first_seq()),
            _ => self.log.first_seq(),
        }
    }

    /// Where the visible entries up to this seq end.
    fn visible_until(&self, last: u64) -> Edge {
        let Edge { end_chunk, last_seq } = self.visible();
        let last_seq = last_seq.min(last);
        Edge { end_chunk: end_chunk.min(self.log.seek(last_seq + 1).chunk), last_seq }
    }

    /// The rank that a member had before this chunk, or at its own join if that
    /// came later: its last rank, and the fold backwards from there.
    pub(super) fn rank_at(&self, member: &Member, chunk: u64) -> u32 {
        let last = match self.departure(member) {
            None => self.roster.rank(member.key).map(|rank| (rank, self.log.next_chunk())),
            departure => departure,
        };
        // An observer has no rank, and needs none to see everything.
        let Some((rank, until)) = last.filter(|_| !member.is_observer()) else { return 0 };
        let after_join = self.log.seek(member.joined + 1).chunk;
        self.log.rank_before(chunk.max(after_join)..until, rank)
    }

    /// The rank with which a member left, and the chunk in which it did.
    fn departure(&self, member: &Member) -> Option<(u32, u64)> {
        let end = member.end();
        // Its `left` is the last entry that it gets or, if it does not get to see
        // that, the next one.
        let places = [end, end.saturating_add(1)].map(|seq| (seq, self.log.seek(seq).chunk));
        places.into_iter().find_map(|(seq, number)| {
            let chunk = self.log.chunk(number).filter(|chunk| chunk.first_seq == seq)?;
            match chunk.body {
                Body::Change(Change::Left { rank }) if chunk.author == member.client.id => {
                    Some((rank, number))
                }
                _ => None,
            }
        })
    }
}

impl Channel {
    /// Reads on for a member: whole chunks, which are pushed to the empty vector
    /// `to`.
    pub fn read(
        &self,
        member: &Member,
        want: Want,
        room: Room,
        to: &mut Vec<Arc<Chunk>>,
    ) -> Reading {
        let Want { cursor, seq, view } = want;
        let state = self.lock();
        let log = &state.log;
        let Edge { end_chunk, last_seq } = state.visible();
        let dropped = state.extra.dropped().filter(|_| state.is_end_visible());
        let waits = end_chunk < log.next_chunk() || dropped != state.extra.dropped();
        // A new rank is told only once the entry that caused it is visible.
        let now = if state.roster.view() > last_seq { view } else { state.roster.view() };
        let is_new = now != view && !member.is_observer() && !member.has_left();
        let standing = is_new.then(|| state.standing(member.key)).flatten();
        let behind = self.id().and_then(|id| state.behind(id, seq));
        let (moved_to, more) = (None, false);
        let reading = Reading { moved_to, more, behind, waits, view: now, standing, dropped };
        if let Some(behind) = behind {
            let rank = state.rank_in_memory(member);
            return Reading { behind: Some(Behind { rank, ..behind }), ..reading };
        }
        let here = cursor.max(Cursor::at(log.first_chunk()));
        let first_seq =
            log.chunk(here.chunk).map_or(log.head() + 1, |c| c.seq_at(here.offset as usize));
        let moved_to = (first_seq > seq).then(|| Moved {
            cursor: here,
            seq: first_seq,
            rank: state.rank_at(member, here.chunk),
        });
        if moved_to.is_some() {
            member.leave_behind();
        }
        let mut taken = 0;
        let mut number = here.chunk;
        while let Some(chunk) = log.chunk(number).filter(|_| number < end_chunk) {
            if to.len() == room.chunks || taken >= room.bytes {
                break;
            }
            taken += chunk.bytes.len();
            to.push(chunk.clone());
            number += 1;
        }
        Reading { moved_to, more: number < end_chunk, ..reading }
    }

    /// Whether there are entries from this chunk on, even if they are not visible
    /// yet, because they are on their way to the disk.
    pub fn goes_on_at(&self, chunk: u64) -> bool {
        chunk < self.lock().log.next_chunk()
    }

    /// What the channel keeps, from `start` to the seq `last`, without the commands
    /// that were not for the `viewer`, if there is one.
    pub fn history(&self, viewer: Option<&Member>, start: Start, last: u64, now_ms: u64) -> Past {
        let state = self.lock();
        let (log, end) = (&state.log, state.visible_until(last));
        let first = self.first_offered_of(&state, now_ms);
        let from = match start {
            Start::Now => end.last_seq + 1,
            Start::First => first,
            Start::Seq(seq) => seq.max(first),
            Start::Last(entries) => first.max((end.last_seq + 1).saturating_sub(entries)),
        };
        if let Some(mut behind) = self.id().and_then(|id| state.behind(id, from)) {
            behind.to = end.last_seq;
            behind.rank = viewer.and_then(|viewer| {
                let later = end.end_chunk..log.next_chunk();
                let rank = log.rank_before(later, state.roster.rank(viewer.key)?);
                Some(RankAt { rank, seq: end.last_seq, joined: viewer.joined })
            });
            return Past::OnDisk(behind);
        }
        let place = log.seek(from);
        let mut rank = viewer.and_then(|viewer| state.roster.rank(viewer.key));
        let mut rows = Vec::new();
        // Backwards, because the viewer's rank is known now.
        for number in (place.chunk..log.next_chunk()).rev() {
            let Some(chunk) = log.chunk(number) else { break };
            if let (Body::Change(change), Some(rank)) = (chunk.body, rank.as_mut())
                && viewer.is_some_and(|viewer| chunk.first_seq > viewer.joined)
            {
                *rank = change.before(*rank);
            }
            let is_visible = number < end.end_chunk;
            if is_visible && viewer.is_none_or(|viewer| viewer.may_see(chunk, rank.unwrap_or(0))) {
                let begin = if number == place.chunk { place.offset as usize } else { 0 };
                rows.push(Excerpt { chunk: chunk.clone(), range: begin..chunk.bytes.len() });
            }
        }
        rows.reverse();
        Past::Here(rows)
    }

    /// What is kept of the entries from one seq to another, and the first seq of
    /// that range that is still offered.
    pub fn between(&self, from: u64, to: u64, now_ms: u64) -> (Past, u64) {
        let state = self.lock();
        let (from, to) =
            (from.max(self.first_offered_of(&state, now_ms)), to.min(state.visible().last_seq));
        let past = if from > to { Past::Here(Vec::new()) } else { self.cut(&state, from, to) };
        (past, from)
    }

    /// The entries from one seq to another, all of which must be kept and visible.
    fn cut(&self, state: &State, from: u64, to: u64) -> Past {
        if let Some(behind) = self.id().and_then(|id| state.behind(id, from)) {
            return Past::OnDisk(Behind { to, ..behind });
        }
        let chunks = (state.log.seek(from).chunk..).map_while(|number| state.log.chunk(number));
        let chunks = chunks.take_while(|chunk| chunk.first_seq <= to);
        Past::Here(chunks.map(|chunk| Excerpt::cut(chunk, from, to)).collect())
    }

    /// The first seq that the channel offers to whoever asks or, if there is none,
    /// the next one.
    pub fn first_offered(&self, now_ms: u64) -> u64 {
        self.first_offered_of(&self.lock(), now_ms)
    }

    /// The same, under the lock. Nothing else decides what whoever asks is offered;
    /// more may be kept, for members that have yet to read it
    /// ([`State::first_kept`]).
    pub(super) fn first_offered_of(&self, state: &State, now_ms: u64) -> u64 {
        let (settings, log) = (self.settings(), &state.log);
        let head = state.visible().last_seq;
        let by_entries = head + 1 - settings.entries_kept().min(head);
        let by_bounds = if self.is_durable() {
            state.extra.disk().map_or(0, |disk| disk.offered)
        } else {
            let since = |age| log.first_since(now_ms.saturating_sub(millis(age)));
            let by_bytes = settings.history_bytes.map_or(0, |bytes| log.first_within(bytes));
            settings.history_age.map_or(0, since).max(by_bytes)
        };
        state.first_kept().max(by_entries).max(by_bounds)
    }

    /// The seq of the last entry, even if it is not visible yet.
    pub fn last_seq(&self) -> u64 {
        self.lock().log.head()
    }

    /// The seq of the last entry that can be seen.
    pub fn last_visible(&self) -> u64 {
        self.lock().visible().last_seq
    }

    /// The entries from one seq to another, of which none may be gone, and the seq
    /// of the last of them: those that have not come yet are left out.
    ///
    /// # Errors
    /// [`Code::Gone`] if the first is no longer kept, [`Code::BadRequest`] for a
    /// range that holds none.
    pub fn range(&self, from: u64, to: u64, now_ms: u64) -> Result<(Past, u64), Fault> {
        let state = self.lock();
        let head = state.visible().last_seq;
        let (first, to) = (self.first_offered_of(&state, now_ms), to.min(head));
        if from == 0 || from > to {
            let text = format!(
                "FROM and TO are seqs, the first one at most the second; {head} is the last of {}",
                self.name
            );
            return Err(Fault::new(Code::BadRequest, text));
        }
        if from < first {
            let text = format!("the first entry that {} keeps is {first}", self.name);
            return Err(Fault::new(Code::Gone, text));
        }
        Ok((self.cut(&state, from, to), to))
    }

    /// Counts the other form of a chunk that was just made, if the log still has
    /// that chunk under this number.
    pub fn count_form(&self, number: u64, chunk: &Arc<Chunk>, shape: Shape) {
        self.lock().log.count_form(number, chunk, shape);
    }

    /// The payloads of the messages of an excerpt.
    pub fn payloads(&self, excerpt: &Excerpt) -> Vec<Vec<u8>> {
        let Excerpt { chunk, range } = excerpt;
        if !matches!(chunk.body, Body::Messages { .. }) {
            return Vec::new();
        }
        let payload = |(_, line)| self.rules().encode.payload(line);
        chunk.lines(range).map(payload).collect()
    }
}
