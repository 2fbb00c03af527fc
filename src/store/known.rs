//! What the committing thread knows of a channel, and writes for it.

use super::disk::{Disk, WriteBatch};
use super::record::{self, ChannelId, ChannelRecord, Extent};
use super::retention::{Keep, Offer};
use super::{Handover, Source, Table};
use std::sync::Weak;

/// What the thread knows of a channel, besides its extent.
pub struct Known {
    /// How much it keeps; `None` if entries that could go cannot be read: then
    /// none go until a restart.
    pub keep: Option<Keep>,
    /// The seq of the entry as of which its roster is on disk in whole.
    pub view: u64,
    /// The channel itself.
    pub source: Option<Weak<dyn Source>>,
    /// What of it is within its bounds, if it has any besides the number of entries.
    offer: Option<Box<Offer>>,
}

impl Known {
    /// For a channel that is made like this.
    pub fn new(record: &ChannelRecord, view: u64, offer: Option<Offer>) -> Self {
        let (keep, offer) = (Some(Keep::of(record)), offer.map(Box::new));
        Known { keep, view, source: None, offer }
    }

    /// Whether entries go even if none come.
    pub fn ages(&self) -> bool {
        self.keep.is_some_and(Keep::ages)
    }

    /// Whether what is within its bounds may change even if no entries come.
    pub fn looks_again(&self) -> bool {
        self.ages() || self.offer.as_ref().is_some_and(|offer| offer.is_behind())
    }

    /// Notes that so many bytes have been removed.
    pub fn trimmed(&mut self, bytes: u64, extent: &Extent) {
        if let Some(offer) = &mut self.offer {
            offer.trimmed(bytes, extent.first_seq);
        }
    }

    /// Tells the channel what of it is within its bounds now, if that is news.
    pub fn tell_offer(&mut self, disk: &Disk, id: ChannelId, extent: &Extent, unix_ms: i64) {
        let Some(offer) = &mut self.offer else { return };
        let before = offer.first();
        // Damage is reported to whoever reads the entries.
        let _ = offer.look(disk, id, extent, unix_ms);
        if offer.first() != before
            && let Some(source) = self.source.as_ref().and_then(Weak::upgrade)
        {
            source.offers(offer.first());
        }
    }
}

/// Writes what a channel has handed over. Returns how many entries that is.
pub fn take(
    id: ChannelId,
    handover: &Handover,
    batch: &mut WriteBatch<'_>,
    extent: &mut Extent,
    unix_ms: i64,
) -> u64 {
    let (mut entries, next_chunk) = (0, extent.next_chunk);
    // After a failure, what is on disk may be more than was confirmed.
    for (number, chunk) in handover.chunks.iter().filter(|(n, _)| *n >= next_chunk) {
        let row = record::encode_chunk(*number, unix_ms, chunk);
        if extent.entries() == 0 {
            extent.first_unix_ms = unix_ms;
        }
        extent.bytes += row.len() as u64;
        (extent.last_seq, extent.next_chunk) = (chunk.last_seq(), number + 1);
        entries += chunk.entries();
        batch.put(Table::Entries, &record::key(id, chunk.first_seq), row);
    }
    for (seq, change) in &handover.changes {
        batch.put(Table::Changes, &record::key(id, *seq), record::encode(change));
    }
    if let Some(last_seq) = handover.reserve {
        *extent = Extent::after(last_seq);
    }
    entries
}
