//! Entries that are collected for one reply, whatever its dialect.

use crate::log::Chunk;
use crate::reply::Excerpt;

/// The most bytes of entries in one reply, or one entry if that is longer: a reply
/// is one line, or begins with the number of its entries, so it must be in memory
/// as a whole. The rest can be asked for.
pub const ROWS_BYTES_MAX: usize = 1024 * 1024;

/// The entries, as they will stand in the reply.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) bytes: Vec<u8>,
    pub(super) count: usize,
    /// The seq of the first entry that there was no room for.
    pub(super) next: Option<u64>,
}

impl Collected {
    /// Adds as many entries as fit; returns whether all did. `write` appends one
    /// entry, given its chunk and its line.
    pub(super) fn add(
        &mut self,
        excerpts: &[Excerpt],
        write: impl Fn(&Chunk, &[u8], &mut Vec<u8>),
    ) -> bool {
        for Excerpt { chunk, range } in excerpts {
            for (seq, line) in chunk.lines(range) {
                if self.next.is_some() {
                    return false;
                }
                let before = self.bytes.len();
                write(chunk, line, &mut self.bytes);
                if self.count > 0 && self.bytes.len() > ROWS_BYTES_MAX {
                    self.bytes.truncate(before);
                    self.next = Some(seq);
                } else {
                    self.count += 1;
                }
            }
        }
        self.next.is_none()
    }

    /// The memory that they take, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.bytes.capacity()
    }
}
