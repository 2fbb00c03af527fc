//! What a channel keeps, and how the rest goes.

use super::Table;
use super::disk::{Batch, Disk};
use super::record::{self, ChannelId, ChannelRecord, Extent};

/// Chunks that go with one commit at most, so that it stays short.
const CHUNKS_AT_ONCE: usize = 1_024;
/// Entries beyond those to be kept that are not worth a look yet; and an
/// eighth, so that looking is seldom.
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
    /// As the channel was made.
    pub fn of(record: &ChannelRecord) -> Self {
        Keep { entries: record.history, age_ms: record.history_age_ms, bytes: record.history_bytes }
    }

    /// Whether entries go although none come.
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

    /// Whether the first chunk can go.
    fn can_go(self, extent: &Extent, last_seq: u64, chunk_unix_ms: i64, unix_ms: i64) -> bool {
        self.entries.is_some_and(|kept| extent.last_seq - last_seq >= kept)
            || self.bytes.is_some_and(|kept| extent.bytes > kept)
            || self.age_ms.is_some_and(|kept| age(chunk_unix_ms, unix_ms) > kept)
    }
}

fn age(then: i64, now: i64) -> u64 {
    u64::try_from(now.saturating_sub(then)).unwrap_or(0)
}

/// Removes the first chunks of a channel that need not be kept, and the changes
/// of its roster that are no longer needed to know it.
///
/// # Errors
/// What was in the way of reading, in words.
pub fn trim(
    disk: &Disk,
    batch: &mut Batch<'_>,
    id: ChannelId,
    extent: &mut Extent,
    keep: Keep,
    roster_view: u64,
    unix_ms: i64,
) -> Result<(), String> {
    if !keep.is_exceeded(extent, unix_ms) {
        return Ok(());
    }
    for row in disk.rows_of(Table::Entries, id, extent.first_seq..=u64::MAX).take(CHUNKS_AT_ONCE) {
        let (key, value) = row?;
        let Some((_, first_seq)) = record::split_key(&key) else { continue };
        extent.first_seq = first_seq;
        // What cannot be read is not worth keeping either once its time has
        // come; how long it was the next one will tell.
        let (last_seq, chunk_unix_ms) = record::decode_chunk(first_seq, &value)
            .map_or((first_seq, extent.first_unix_ms), |read| {
                (read.chunk.last_seq(), read.unix_ms)
            });
        extent.first_unix_ms = chunk_unix_ms;
        // The last one stays: it tells where the channel is.
        if last_seq >= extent.last_seq || !keep.can_go(extent, last_seq, chunk_unix_ms, unix_ms) {
            break;
        }
        batch.remove(Table::Entries, &key);
        extent.bytes = extent.bytes.saturating_sub(value.len() as u64);
        extent.first_seq = last_seq + 1;
    }
    trim_changes(disk, batch, id, extent.first_seq.min(roster_view + 1))
}

/// Removes the changes of a channel's roster before this entry.
///
/// # Errors
/// What was in the way of reading, in words.
pub fn trim_changes(
    disk: &Disk,
    batch: &mut Batch<'_>,
    id: ChannelId,
    needed: u64,
) -> Result<(), String> {
    for row in disk.rows_of(Table::Changes, id, 0..=u64::MAX).take(CHUNKS_AT_ONCE) {
        let (key, _) = row?;
        match record::split_key(&key) {
            Some((_, seq)) if seq < needed => batch.remove(Table::Changes, &key),
            _ => break,
        }
    }
    Ok(())
}
