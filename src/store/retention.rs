//! What a channel keeps, and how the rest is removed.

use super::Table;
use super::disk::{Disk, WriteBatch};
use super::record::{self, ChannelId, ChannelRecord, Extent};
use crate::log::Chunk;
use std::sync::Arc;

/// The most chunks that one commit removes, so that it stays short.
const CHUNKS_AT_ONCE: usize = 1_024;
/// Entries beyond those to be kept that are not worth a look yet; besides an eighth
/// of those, so that looking is seldom.
const SLACK_ENTRIES: u64 = 256;
/// The same in bytes.
const SLACK_BYTES: u64 = 64 * 1024;
const PART: u64 = 8;

/// How much a channel keeps; `None` is all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    entries: Option<u64>,
    age_ms: Option<u64>,
    bytes: Option<u64>,
}

impl Keep {
    /// As the channel's settings say.
    pub fn of(record: &ChannelRecord) -> Self {
        Keep { entries: record.history, age_ms: record.history_age_ms, bytes: record.history_bytes }
    }

    /// Whether entries go even if none come.
    pub fn ages(self) -> bool {
        self.age_ms.is_some()
    }

    /// Whether it is worth looking for entries that can go.
    fn is_exceeded(self, extent: &Extent, unix_ms: i64) -> bool {
        let by_entries = |kept: u64| extent.entries() > kept + kept / PART + SLACK_ENTRIES;
        let by_bytes = |kept: u64| extent.bytes > kept + kept / PART + SLACK_BYTES;
        let by_age = |kept: u64| age(extent.first_unix_ms, unix_ms) > kept + kept / PART;
        extent.entries() > 0
            && (self.entries.is_some_and(by_entries)
                || self.bytes.is_some_and(by_bytes)
                || self.age_ms.is_some_and(by_age))
    }

    /// Whether the first chunk can go: what comes after it is enough by itself, or
    /// the chunk is too old.
    fn can_go(self, extent: &Extent, chunk: &Oldest, unix_ms: i64) -> bool {
        self.entries.is_some_and(|kept| extent.last_seq - chunk.last_seq >= kept)
            || self.is_beyond(extent.bytes, chunk, unix_ms)
    }

    /// The same, the number of entries aside. From this chunk on, entries take `bytes`
    /// bytes.
    fn is_beyond(self, bytes: u64, chunk: &Oldest, unix_ms: i64) -> bool {
        self.bytes.is_some_and(|kept| bytes.saturating_sub(chunk.row_bytes) >= kept)
            || self.age_ms.is_some_and(|kept| age(chunk.unix_ms, unix_ms) > kept)
    }
}

/// The oldest chunk of those that are looked at, without its bytes.
#[derive(Clone, Debug)]
struct Oldest {
    first_seq: u64,
    last_seq: u64,
    unix_ms: i64,
    /// The bytes that it takes on disk.
    row_bytes: u64,
    /// The bytes that its entries take.
    length: u64,
    /// The ends of its entries, if it can be read and has many.
    chunk: Option<Arc<Chunk>>,
}

impl Oldest {
    fn of(key: &[u8], row: &[u8], extent: &Extent) -> Option<Self> {
        let (_, first_seq) = record::split_key(key)?;
        let row_bytes = row.len() as u64;
        let Ok(read) = record::decode_chunk(first_seq, row) else {
            // A chunk that cannot be read is not worth keeping either once its time
            // has come; where it ended, the next one will tell.
            let (last_seq, unix_ms) = (first_seq, extent.first_unix_ms);
            let length = row_bytes;
            return Some(Oldest { first_seq, last_seq, unix_ms, row_bytes, length, chunk: None });
        };
        let (last_seq, length) = (read.chunk.last_seq(), read.chunk.bytes.len() as u64);
        let chunk = Some(Arc::new(Chunk { bytes: Vec::new(), ..read.chunk }));
        Some(Oldest { first_seq, last_seq, unix_ms: read.unix_ms, row_bytes, length, chunk })
    }

    /// The seq of its first entry from which on they take at most so many bytes.
    fn first_within(&self, bytes: u64) -> u64 {
        let beyond = usize::try_from(self.length.saturating_sub(bytes)).unwrap_or(usize::MAX);
        let is_many = self.chunk.as_ref().filter(|chunk| !chunk.ends.is_empty());
        is_many.map_or(self.first_seq + u64::from(beyond > 0), |chunk| chunk.seq_at(beyond))
    }
}

/// What of a durable channel is within its bounds of bytes and age, to the entry:
/// history shows no more. Older entries are removed from the disk later, many at
/// once, which is cheaper; until then members that are behind may read them.
#[derive(Clone, Debug)]
pub struct Offer {
    keep: Keep,
    /// The channel's first seq when this began to look.
    base: u64,
    /// The bytes from there to the oldest chunk within the bounds.
    skipped: u64,
    from: u64,
    oldest: Option<Oldest>,
    /// The first seq within the bounds.
    first: u64,
    /// Whether there may be more to skip.
    is_behind: bool,
}

impl Offer {
    /// For a channel that is made like this; `None` if it has no such bounds.
    pub fn of(record: &ChannelRecord) -> Option<Self> {
        let keep = Keep::of(record);
        let is_bounded = record.durable && (keep.age_ms.is_some() || keep.bytes.is_some());
        is_bounded.then_some(Offer::from(keep, 0))
    }

    fn from(keep: Keep, base: u64) -> Self {
        Offer { keep, base, skipped: 0, from: base, oldest: None, first: base, is_behind: false }
    }

    /// Notes that so many bytes before this seq have been removed.
    pub fn trimmed(&mut self, bytes: u64, first_seq: u64) {
        // Otherwise more is gone than was skipped: then it looks anew.
        if self.base < first_seq && first_seq <= self.from {
            self.base = first_seq;
            self.skipped = self.skipped.saturating_sub(bytes);
        }
    }

    /// Whether it is to look again even if nothing has come.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// The first seq that is within the bounds, when they were looked at last.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Looks again, with `extent` as what is on disk. Each chunk is read once, when
    /// it is the oldest.
    ///
    /// # Errors
    /// What was in the way of reading, in words.
    pub fn look(
        &mut self,
        disk: &Disk,
        id: ChannelId,
        extent: &Extent,
        unix_ms: i64,
    ) -> Result<(), String> {
        if self.base != extent.first_seq {
            *self = Offer::from(self.keep, extent.first_seq);
        }
        self.is_behind = false;
        let mut rows = None;
        for _ in 0..CHUNKS_AT_ONCE {
            if self.oldest.is_none() {
                let seqs = self.from..=u64::MAX;
                let rows = rows.get_or_insert_with(|| disk.rows_of(Table::Entries, id, seqs));
                let row = rows.next().transpose()?;
                self.oldest = row.and_then(|(key, row)| Oldest::of(&key, &row, extent));
            }
            let bytes = extent.bytes.saturating_sub(self.skipped);
            let Some(oldest) = &self.oldest else {
                self.first = self.from;
                return Ok(());
            };
            if !self.keep.is_beyond(bytes, oldest, unix_ms) {
                let after = bytes.saturating_sub(oldest.row_bytes);
                let within = |kept: u64| oldest.first_within(kept - after);
                self.first = self.keep.bytes.map_or(oldest.first_seq, within);
                return Ok(());
            }
            self.skipped += oldest.row_bytes;
            self.from = oldest.last_seq + 1;
            self.oldest = None;
        }
        (self.first, self.is_behind) = (self.from, true);
        Ok(())
    }
}

fn age(then: i64, now: i64) -> u64 {
    u64::try_from(now.saturating_sub(then)).unwrap_or(0)
}

/// Removes the first chunks of a channel that need not be kept, and the changes
/// of its roster that are no longer needed to know it. Gives the bytes that are gone.
///
/// # Errors
/// What was in the way of reading, in words.
pub fn trim(
    batch: &mut WriteBatch<'_>,
    id: ChannelId,
    extent: &mut Extent,
    keep: Keep,
    roster_view: u64,
    unix_ms: i64,
) -> Result<u64, String> {
    if !keep.is_exceeded(extent, unix_ms) {
        return Ok(0);
    }
    let before = extent.bytes;
    let rows = batch.disk().rows_of(Table::Entries, id, extent.first_seq..=u64::MAX);
    for row in rows.take(CHUNKS_AT_ONCE) {
        let (key, value) = row?;
        let Some(oldest) = Oldest::of(&key, &value, extent) else { continue };
        (extent.first_seq, extent.first_unix_ms) = (oldest.first_seq, oldest.unix_ms);
        // The last chunk stays: it tells how far the channel has got.
        if oldest.last_seq >= extent.last_seq || !keep.can_go(extent, &oldest, unix_ms) {
            break;
        }
        batch.remove(Table::Entries, &key);
        extent.bytes = extent.bytes.saturating_sub(oldest.row_bytes);
        extent.first_seq = oldest.last_seq + 1;
    }
    trim_changes(batch, id, extent.first_seq.min(roster_view + 1))?;
    Ok(before - extent.bytes)
}

/// Removes the changes of a channel's roster before this entry.
///
/// # Errors
/// What was in the way of reading, in words.
pub fn trim_changes(batch: &mut WriteBatch<'_>, id: ChannelId, needed: u64) -> Result<(), String> {
    for row in batch.disk().rows_of(Table::Changes, id, 0..=u64::MAX).take(CHUNKS_AT_ONCE) {
        let (key, _) = row?;
        match record::split_key(&key) {
            Some((_, seq)) if seq < needed => batch.remove(Table::Changes, &key),
            _ => break,
        }
    }
    Ok(())
}
