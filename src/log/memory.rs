//! The log in memory: the default home of a channel.

use super::chunks::Chunks;
use super::entry::{Body, Chunk};
use super::form::Shape;
use super::spare;
use std::ops::Range;
use std::sync::Arc;

/// A place in a log: the next byte to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The number of the chunk, counted from the first one ever appended.
    pub chunk: u64,
    /// The offset in that chunk; always where an entry begins.
    pub offset: u32,
}

impl Cursor {
    /// The beginning of a chunk.
    pub fn at(chunk: u64) -> Self {
        Cursor { chunk, offset: 0 }
    }
}

/// A place between two chunks: the end of a log, or of what may be seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The number of the first chunk after it.
    pub end_chunk: u64,
    /// The seq of the last entry before it.
    pub last_seq: u64,
}

/// A log in memory. It drops nothing by itself: its owner knows who still needs
/// what, and calls [`MemoryLog::drop_first`].
#[derive(Debug, Default)]
pub struct MemoryLog {
    chunks: Chunks,
    /// The number of the first chunk that is kept or, if none is, of the next one.
    first_chunk: u64,
    /// The seq of the last entry ever appended; 0 if there was none.
    head: u64,
}

impl MemoryLog {
    /// An empty log that continues an earlier one: it goes on after this seq, with
    /// the chunk of this number.
    pub fn after(head: u64, next_chunk: u64) -> Self {
        MemoryLog { head, first_chunk: next_chunk, ..MemoryLog::default() }
    }

    /// The seq of the last entry ever appended; 0 if there was none.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The seq of the first entry that is still here or, if none is, of the next
    /// one.
    pub fn first_seq(&self) -> u64 {
        self.chunks.get(0).map_or(self.head + 1, |chunk| chunk.first_seq)
    }

    /// What the kept chunks take, in bytes.
    pub fn weight(&self) -> usize {
        self.chunks.weight()
    }

    /// What the kept entries take, in bytes on the wire.
    pub fn bytes(&self) -> u64 {
        self.chunks.bytes()
    }

    /// The number of the first chunk that is still here or, if none is, of the next
    /// one.
    pub fn first_chunk(&self) -> u64 {
        self.first_chunk
    }

    /// The number that the next chunk will have.
    pub fn next_chunk(&self) -> u64 {
        self.first_chunk + self.chunks.len() as u64
    }

    /// The edge after the last entry ever appended.
    pub fn end(&self) -> Edge {
        Edge { end_chunk: self.next_chunk(), last_seq: self.head }
    }

    /// The chunk of this number, if it is here.
    pub fn chunk(&self, number: u64) -> Option<&Arc<Chunk>> {
        self.chunks.get(usize::try_from(number.checked_sub(self.first_chunk)?).ok()?)
    }

    /// Appends a chunk. Its first seq must be the one after the head.
    pub fn append(&mut self, chunk: Chunk) {
        debug_assert_eq!(chunk.first_seq, self.head + 1, "seqs have no holes");
        self.head = chunk.last_seq();
        self.chunks.push(chunk);
    }

    /// The place of the entry with this seq: the first one kept if it is gone,
    /// the end if it is still to come.
    pub fn seek(&self, seq: u64) -> Cursor {
        let at = self.chunks.count_while(|chunk| chunk.last_seq() < seq);
        let offset = self.chunks.get(at).map_or(0, |chunk| chunk.offset_of(seq));
        // A chunk's entries end at u32 offsets, so its length fits into one.
        Cursor { chunk: self.first_chunk + at as u64, offset: u32::try_from(offset).unwrap_or(0) }
    }

    /// Drops the first chunk that is kept.
    pub fn drop_first(&mut self) {
        if let Some(chunk) = self.chunks.pop() {
            self.first_chunk += 1;
            if let Some(chunk) = Arc::into_inner(chunk) {
                spare::give(chunk.bytes);
            }
        }
    }

    /// Adds the weight of a chunk's form, if the log has this very chunk under this
    /// number and has not counted the form yet.
    pub fn count_form(&mut self, number: u64, chunk: &Arc<Chunk>, shape: Shape) {
        let Some(form) = chunk.forms.get(shape) else { return };
        let is_here = self.chunk(number).is_some_and(|kept| Arc::ptr_eq(kept, chunk));
        if is_here && form.count() {
            self.chunks.gain(form.weight());
        }
    }

    /// Whether `entries` of history would be left if the first chunk that is kept
    /// were dropped.
    pub fn outlives_first(&self, entries: u64) -> bool {
        self.chunks.get(0).is_some_and(|chunk| self.head - chunk.last_seq() >= entries)
    }

    /// The first kept seq from which on all entries take at most so many bytes in
    /// total. Walks through what is kept beyond that: as a rule a part of one
    /// chunk.
    pub fn first_within(&self, bytes: u64) -> u64 {
        let mut beyond = self.bytes().saturating_sub(bytes);
        for chunk in (0..).map_while(|at| self.chunks.get(at)) {
            let length = chunk.bytes.len() as u64;
            if beyond < length {
                return chunk.seq_at(usize::try_from(beyond).unwrap_or(usize::MAX));
            }
            beyond -= length;
        }
        self.head + 1
    }

    /// The first kept seq that was appended at this time or later.
    pub fn first_since(&self, at_ms: u64) -> u64 {
        let before = self.chunks.count_while(|chunk| chunk.at_ms < at_ms);
        self.chunks.get(before).map_or(self.head + 1, |chunk| chunk.first_seq)
    }

    /// The rank that a member had before the first of these chunks, given its
    /// `rank` after the last of them: the fold, backwards. The member was there all
    /// the time.
    pub fn rank_before(&self, chunks: Range<u64>, rank: u32) -> u32 {
        chunks.rev().filter_map(|number| self.chunk(number)).fold(rank, |rank, chunk| {
            match chunk.body {
                Body::Change(change) => change.before(rank),
                _ => rank,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Form, Forms, Maker};
    use crate::roster::Change;

    fn chunk(first_seq: u64, entries: u32, body: Body) -> Chunk {
        Chunk {
            first_seq,
            author: 1,
            body,
            at_ms: 0,
            bytes: vec![b'\n'; entries as usize],
            ends: (1..=entries).collect(),
            forms: Forms::default(),
        }
    }

    const MESSAGES: Body = Body::Messages { json: false };

    #[test]
    fn a_place_is_found_by_seq_whatever_is_still_kept() {
        let mut log = MemoryLog::default();
        assert_eq!((log.head(), log.first_seq(), log.seek(1)), (0, 1, Cursor::at(0)));
        log.append(chunk(1, 3, MESSAGES));
        log.append(chunk(4, 2, MESSAGES));
        assert_eq!(log.seek(2), Cursor { chunk: 0, offset: 1 });
        assert_eq!(log.seek(4), Cursor::at(1));
        assert_eq!(log.seek(6), Cursor::at(2));
        assert!(log.outlives_first(2) && !log.outlives_first(3));
        log.drop_first();
        assert_eq!((log.first_seq(), log.first_chunk(), log.seek(1)), (4, 1, Cursor::at(1)));
        log.drop_first();
        log.drop_first();
        assert_eq!((log.head(), log.first_seq(), log.weight()), (5, 6, 0));
        assert_eq!(log.seek(6), Cursor::at(2));
    }

    #[test]
    fn what_fits_into_so_many_bytes_is_told_to_the_entry() {
        let mut log = MemoryLog::default();
        assert_eq!([log.first_within(0), log.first_within(9), log.first_since(5)], [1, 1, 1]);
        // An entry is one byte, but for the last one.
        for (first_seq, entries, at_ms) in [(1, 1, 10), (2, 10, 20), (12, 3, 20)] {
            log.append(Chunk { at_ms, ..chunk(first_seq, entries, MESSAGES) });
        }
        log.append(Chunk {
            bytes: vec![b'x'; 4],
            ends: vec![],
            at_ms: 30,
            ..chunk(15, 1, MESSAGES)
        });
        assert_eq!(log.bytes(), 18);
        let first = [0, 3, 4, 5, 7, 8, 16, 17, 18, 99].map(|bytes| log.first_within(bytes));
        assert_eq!(first, [16, 16, 15, 14, 12, 11, 3, 2, 1, 1]);
        assert_eq!(
            [0, 10, 11, 20, 21, 31].map(|at_ms| log.first_since(at_ms)),
            [1, 1, 2, 2, 15, 16]
        );
        (0..3).for_each(|_| log.drop_first());
        assert_eq!((log.bytes(), log.first_within(3), log.first_within(4)), (4, 16, 15));
    }

    #[test]
    fn another_form_weighs_from_when_it_is_counted() {
        let mut log = MemoryLog::default();
        log.append(chunk(1, 1, MESSAGES));
        log.append(chunk(2, 1, MESSAGES));
        let before = log.weight();
        let first = log.chunk(0).unwrap().clone();
        log.count_form(0, &first, Shape::Json);
        assert_eq!(log.weight(), before);
        let make = |_: &Chunk| Form::new(b"longer\n".to_vec(), Vec::new());
        first.forms.make(Maker { shape: Shape::Json, make }, &first);
        let form = first.forms.get(Shape::Json).unwrap();
        // A form of another chunk with the same number, such as one read from the
        // disk, is not counted.
        log.count_form(1, &first, Shape::Json);
        assert_eq!(log.weight(), before);
        for _ in 0..2 {
            log.count_form(0, &first, Shape::Json);
            assert_eq!(log.weight(), before + form.weight());
        }
        log.drop_first();
        log.count_form(0, &first, Shape::Json);
        log.drop_first();
        assert_eq!(log.weight(), 0);
    }

    #[test]
    fn the_fold_runs_backwards() {
        let mut log = MemoryLog::default();
        log.append(chunk(1, 1, Body::Change(Change::Left { rank: 0 })));
        log.append(chunk(2, 1, MESSAGES));
        log.append(chunk(3, 1, Body::Change(Change::Move { old: 2, new: 0 })));
        // Ranked 3 at first, then 2, then promoted to 0.
        assert_eq!([0, 1, 2, 3].map(|number| log.rank_before(number..3, 0)), [3, 2, 2, 0]);
    }
}
