//! What a data directory holds, read when it is opened.

use super::disk::{Disk, WriteBatch};
use super::record::{
    self, ChangeRecord, ChannelId, ChannelRecord, Extent, RosterRecord, SeatRecord, Unreadable,
};
use super::retention::Offer;
use super::{OpenError, Table};
use crate::log::ClientId;
use crate::roster::{Change, Key, Roster};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Numbers that one run of the broker may give to clients, and as many to channels;
/// the next run begins behind them.
const NUMBERS_EACH: u64 = 1 << 32;
const CLIENTS_KEY: &[u8] = b"clients";
const CHANNELS_KEY: &[u8] = b"channels";
const FLOOR_KEY: &[u8] = b"dropped-floor";
/// The most dropped channels that are known by name. Of the others only the highest
/// last seq is kept, and new channels begin after that.
const DROPPED_MAX: usize = 65_536;
/// The most rows of removed channels that are removed at once.
const GARBAGE_ROWS: usize = 4_096;
/// Looking for a channel's rows takes as long as removing so many.
const GARBAGE_LOOK: usize = 16;

/// A channel as it was.
#[derive(Clone, Debug)]
pub struct RecoveredChannel {
    /// Its number.
    pub id: ChannelId,
    /// How it was made.
    pub record: ChannelRecord,
    /// Which of its entries are on disk. One that is not durable begins after the
    /// last seq of this.
    pub extent: Extent,
    /// Who was on it, and as of which entry. For a durable channel that is
    /// exact; for another one it is as of a moment before the end.
    pub roster: RosterRecord,
    /// The seq of the entry as of which the roster is on disk in whole.
    pub(super) saved_view: u64,
    /// What of its entries is within its bounds.
    pub(super) offer: Option<Offer>,
}

impl RecoveredChannel {
    /// The first seq that is within its bounds of bytes and age.
    pub fn offered(&self) -> u64 {
        self.offer.as_ref().map_or(0, Offer::first)
    }
}

/// What was found in a data directory.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The channels, by number.
    pub channels: Vec<RecoveredChannel>,
    /// Entries on disk.
    pub entries: u64,
    /// Sessions on disk.
    pub sessions: u64,
    /// What everything takes on disk, in bytes.
    pub bytes: u64,
    /// The highest number that a client may have had.
    pub last_client: ClientId,
    /// How long recovery took.
    pub took: Duration,
    pub(super) next_channel: ChannelId,
    /// Removed channels that have left rows.
    pub(super) garbage: Vec<ChannelId>,
}

/// Where dropped channels ended, by name.
#[derive(Debug, Default)]
pub struct Dropped {
    last_seqs: HashMap<String, u64>,
    /// The highest last seq of those that are not known by name any more.
    floor: u64,
}

/// Rows to put in place, or to remove.
type Marks = Vec<(Table, Vec<u8>, Option<Vec<u8>>)>;

impl Dropped {
    /// The seq after which a new channel of this name begins. It stays known when there
    /// is one, for those who were in the one before and have yet to hear of its end.
    pub fn after(&self, name: &str) -> u64 {
        self.last_seqs.get(name).copied().unwrap_or(self.floor)
    }

    /// Notes where a channel of this name has ended. Returns the rows for that.
    pub fn add(&mut self, name: &str, last_seq: u64) -> Marks {
        let mut marks = Marks::new();
        if self.last_seqs.len() >= DROPPED_MAX
            && !self.last_seqs.contains_key(name)
            && let Some(other) = self.last_seqs.keys().next().cloned()
        {
            let last_seq = self.last_seqs.remove(&other).unwrap_or(0);
            self.floor = self.floor.max(last_seq);
            marks.push((Table::Dropped, other.into_bytes(), None));
            marks.push((Table::Meta, FLOOR_KEY.to_vec(), Some(record::encode(&self.floor))));
        }
        self.last_seqs.insert(name.to_owned(), last_seq);
        let row = record::encode(&last_seq);
        marks.push((Table::Dropped, name.as_bytes().to_vec(), Some(row)));
        marks
    }
}

/// Reads all but entries.
pub fn recover(disk: &Disk, dir: &Path, began: Instant) -> Result<(Recovered, Dropped), OpenError> {
    let damaged = |reason: String| OpenError::Damaged { dir: dir.to_owned(), reason };
    let mut found = Recovered::default();
    for row in disk.all(Table::Channels) {
        let (key, value) = row.map_err(damaged)?;
        let id = number(&key).ok_or_else(|| damaged("a channel has no number".into()))?;
        let record: ChannelRecord = read("channel", id, &value).map_err(damaged)?;
        let channel = channel(disk, id, record).map_err(damaged)?;
        if channel.record.durable {
            found.entries += channel.extent.entries();
        }
        found.channels.push(channel);
    }
    found.garbage = leftovers(disk, &found.channels).map_err(damaged)?;
    let highest = found.channels.last().map_or(0, |channel| channel.id);
    let highest = highest.max(found.garbage.last().copied().unwrap_or(0));
    // A directory from before that number was noted has only those in use.
    let noted: Option<ChannelId> = get(disk, CHANNELS_KEY).map_err(damaged)?;
    let last_channel = highest.max(noted.unwrap_or(0));
    found.next_channel = last_channel + 1;
    let clients: Option<ClientId> = get(disk, CLIENTS_KEY).map_err(damaged)?;
    found.last_client = clients.unwrap_or(0);
    let mut batch = disk.batch();
    for (key, last) in [(CLIENTS_KEY, found.last_client), (CHANNELS_KEY, last_channel)] {
        batch.put(Table::Meta, key, record::encode(&(last + NUMBERS_EACH)));
    }
    batch.commit().map_err(|failure| OpenError::Folder {
        dir: dir.to_owned(),
        reason: format!("{failure:?}"),
    })?;
    let dropped = dropped(disk).map_err(damaged)?;
    found.sessions = sessions(disk).map_err(damaged)?;
    found.bytes = disk.bytes();
    found.took = began.elapsed();
    Ok((found, dropped))
}

fn channel(disk: &Disk, id: ChannelId, record: ChannelRecord) -> Result<RecoveredChannel, String> {
    let row = disk.get(Table::Extents, &id.to_be_bytes())?;
    let row = row.ok_or_else(|| format!("where channel {} ends is gone", record.name))?;
    let extent: Extent = read("extent of channel", id, &row)?;
    if record.durable {
        check_ends(disk, id, &record.name, &extent)?;
    }
    let saved: Option<RosterRecord> = disk
        .get(Table::Rosters, &id.to_be_bytes())?
        .map(|row| read("roster of channel", id, &row))
        .transpose()?;
    let saved = saved.unwrap_or_default();
    let saved_view = saved.view;
    let roster = fold(disk, id, saved)?;
    let mut offer = Offer::of(&record);
    if let Some(offer) = &mut offer {
        // Damage is reported to whoever reads the entries.
        let _ = offer.look(disk, id, &extent, Timestamp::now().as_millisecond());
    }
    Ok(RecoveredChannel { id, record, extent, roster, saved_view, offer })
}

/// Checks that the first and the last entry are what they should be. Damage
/// between them is reported to whoever reads it.
fn check_ends(disk: &Disk, id: ChannelId, name: &str, extent: &Extent) -> Result<(), String> {
    let mut rows = disk.rows_of(Table::Entries, id, 0..=u64::MAX);
    let last = rows.next_back().transpose()?;
    let first = rows.next().transpose()?;
    let Some((last_key, value)) = last else {
        return match extent.entries() {
            0 => Ok(()),
            entries => Err(format!("{entries} entries of channel {name} are gone")),
        };
    };
    let seq_of = |key: &[u8]| record::split_key(key).map_or(0, |(_, seq)| seq);
    let first_seq = seq_of(first.as_ref().map_or(&last_key, |(key, _)| key));
    let read = record::decode_chunk(seq_of(&last_key), &value)
        .map_err(|e| format!("the last entry of channel {name} is unreadable: {e}"))?;
    let is_last = (read.chunk.last_seq(), read.number + 1);
    if is_last != (extent.last_seq, extent.next_chunk) || first_seq != extent.first_seq {
        return Err(format!(
            "channel {name} should have entries {} to {}, and has {first_seq} to {}",
            extent.first_seq, extent.last_seq, is_last.0
        ));
    }
    Ok(())
}

/// Applies to a roster the changes that came after it was written.
fn fold(disk: &Disk, id: ChannelId, saved: RosterRecord) -> Result<RosterRecord, String> {
    let (ranked, mut observers): (Vec<SeatRecord>, Vec<SeatRecord>) =
        saved.seats.into_iter().partition(|seat| !seat.observer);
    let keys = 0..Key::MAX;
    let rows: Vec<(Key, u64)> = keys.zip(&ranked).map(|(key, seat)| (key, seat.term)).collect();
    let mut roster = Roster::restore(&rows, saved.view);
    let mut seats = ranked;
    for row in disk.rows_of(Table::Changes, id, saved.view + 1..=u64::MAX) {
        let (key, value) = row?;
        let seq = record::split_key(&key).map_or(0, |(_, seq)| seq);
        let record: ChangeRecord = read("change of a roster, channel", id, &value)?;
        let is_done = match (record.change, record.who) {
            (Change::Join { .. }, Some(who)) => {
                let key = Key::try_from(seats.len()).unwrap_or(Key::MAX);
                seats.push(who);
                roster.join(key, seq);
                true
            }
            (Change::Join { .. }, None) => false,
            (Change::Left { rank }, _) => {
                roster.at(rank).and_then(|key| roster.leave(key, seq)).is_some()
            }
            (Change::Move { old, new }, _) => {
                roster.at(old).and_then(|key| roster.place(key, new, seq)).is_some()
            }
        };
        if !is_done {
            return Err(format!("change {seq} does not fit the roster of channel number {id}"));
        }
    }
    let mut all: Vec<SeatRecord> = roster
        .iter()
        .filter_map(|(key, term)| Some(SeatRecord { term, ..seats.get(key as usize)?.clone() }))
        .collect();
    all.append(&mut observers);
    Ok(RosterRecord { view: roster.view(), seats: all })
}

/// The numbers of removed channels that have left rows.
fn leftovers(disk: &Disk, channels: &[RecoveredChannel]) -> Result<Vec<ChannelId>, String> {
    let mut left = Vec::new();
    for table in [Table::Entries, Table::Changes] {
        let mut from = 0;
        while let Some(key) = disk.first_from(table, from)? {
            let Some((id, _)) = record::split_key(&key) else { break };
            if channels.binary_search_by_key(&id, |channel| channel.id).is_err() {
                left.push(id);
            }
            let Some(next) = id.checked_add(1) else { break };
            from = next;
        }
    }
    left.sort_unstable();
    left.dedup();
    Ok(left)
}

/// Puts the removal of rows of removed channels into the batch, as many as are
/// removed at once. Returns how many of the channels have no more rows.
pub fn clear(batch: &mut WriteBatch<'_>, ids: impl Iterator<Item = ChannelId>) -> usize {
    let (mut done, mut rows) = (0, GARBAGE_ROWS);
    for id in ids {
        let removed = garbage(batch, id, rows).unwrap_or_else(|error| {
            log::error!(
                "event=store-damaged channel-number={id} error={error:?} advice=\"its leftovers stay\""
            );
            0
        });
        if removed == rows {
            // There may be more.
            break;
        }
        done += 1;
        rows = rows.saturating_sub(removed + GARBAGE_LOOK);
        if rows == 0 {
            break;
        }
    }
    done
}

/// Removes at most so many of a removed channel's rows. Returns how many those are.
fn garbage(batch: &mut WriteBatch<'_>, id: ChannelId, rows: usize) -> Result<usize, String> {
    let mut removed = 0;
    for table in [Table::Entries, Table::Changes] {
        for row in batch.disk().rows_of(table, id, 0..=u64::MAX).take(rows - removed) {
            batch.remove(table, &row?.0);
            removed += 1;
        }
    }
    Ok(removed)
}

/// How many sessions there are: their keys begin with their UUIDs.
fn sessions(disk: &Disk) -> Result<u64, String> {
    let (mut sessions, mut last) = (0, Vec::new());
    for row in disk.all(Table::Sessions) {
        let (mut key, _) = row?;
        key.truncate(16);
        sessions += u64::from(key != last);
        last = key;
    }
    Ok(sessions)
}

fn dropped(disk: &Disk) -> Result<Dropped, String> {
    let mut dropped = Dropped { floor: get(disk, FLOOR_KEY)?.unwrap_or(0), ..Dropped::default() };
    for row in disk.all(Table::Dropped) {
        let (key, value) = row?;
        let name = String::from_utf8_lossy(&key).into_owned();
        dropped.last_seqs.insert(name, read("mark of a dropped channel", 0, &value)?);
    }
    Ok(dropped)
}

fn get<T: DeserializeOwned>(disk: &Disk, key: &[u8]) -> Result<Option<T>, String> {
    let row = disk.get(Table::Meta, key)?;
    row.map(|row| read(&String::from_utf8_lossy(key), 0, &row)).transpose()
}

fn read<T: DeserializeOwned>(what: &str, id: u64, row: &[u8]) -> Result<T, String> {
    let explain = |e: Unreadable| format!("the record of {what} {id} is unreadable: {e}");
    record::decode(row).map_err(explain)
}

fn number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}
