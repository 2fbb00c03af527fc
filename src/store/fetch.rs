//! Reads entries for members that are behind what is in memory.

use super::disk::Disk;
use super::record::{self, ChangeRecord, ChannelId, StoredChunk};
use super::{Shared, TICK, Table};
use crate::log::Chunk;
use crate::sync::{self, lock};
use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The report about entries of which nothing is there.
const MISSING: &str = "these entries are missing";

/// The rank of a member as of a seq, from which its rank at the first entry read
/// is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankAt {
    /// The rank.
    pub rank: u32,
    /// The seq of the entry after which it had that rank.
    pub seq: u64,
    /// The seq at which the member joined: it had no rank before that.
    pub joined: u64,
}

/// What is to be read.
pub struct Fetch {
    /// The channel's number.
    pub channel: ChannelId,
    /// The seq of the first entry.
    pub from: u64,
    /// The seq of the last entry.
    pub to: u64,
    /// About how many bytes to read at most.
    pub bytes_max: usize,
    /// The member's later rank, if its rank at the first entry is to be found.
    pub rank: Option<RankAt>,
    /// Whether somebody still waits for it, asked when its turn comes.
    pub wanted: Box<dyn Fn() -> bool + Send>,
    /// Called with what was read, on the reading thread.
    pub then: Box<dyn FnOnce(Fetched) + Send>,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetch({} {}..={})", self.channel, self.from, self.to)
    }
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Chunks with their numbers, in order. Entries that are missing between them
    /// are gone.
    pub chunks: Vec<(u64, Arc<Chunk>)>,
    /// The seq up to which these chunks are all that there is.
    pub to: u64,
    /// The member's rank before the first of them, if that was asked for.
    pub rank: Option<u32>,
    /// What was in the way.
    pub error: Option<String>,
}

/// The reading thread.
#[derive(Clone)]
pub struct Reader {
    tx: Arc<Mutex<Option<Sender<Fetch>>>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Reader {
    pub fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (tx, rx) = channel();
        let run = move || read_all(&shared, &rx);
        let thread = std::thread::Builder::new().name("store-reader".into()).spawn(run)?;
        Ok(Reader {
            tx: Arc::new(Mutex::new(Some(tx))),
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    pub fn fetch(&self, fetch: Fetch) {
        let unsent = match &*lock(&self.tx) {
            Some(tx) => tx.send(fetch).err().map(|unsent| unsent.0),
            None => Some(fetch),
        };
        if let Some(fetch) = unsent {
            let error = Some("the broker is stopping".into());
            (fetch.then)(Fetched { error, ..Fetched::default() });
        }
    }

    /// Stops the thread, and waits until all that was asked for has been read.
    pub fn stop(&self) {
        drop(lock(&self.tx).take());
        if lock(&self.thread).take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("event=store-failed error=\"its reader ended before its time\"");
        }
    }
}

fn read_all(shared: &Shared, rx: &Receiver<Fetch>) {
    while let Ok(fetch) = rx.recv() {
        if !(fetch.wanted)() {
            continue;
        }
        shared.figures.fetches.fetch_add(1, Ordering::Relaxed);
        let fetched = loop {
            let place = sync::read(&shared.disk);
            if let Some(disk) = place.as_ref() {
                break read(disk, &fetch, &|from, to, what| {
                    report(shared, fetch.channel, from, to, what);
                });
            }
            drop(place);
            // The engine could not be opened again yet. That is no reason to tell
            // anybody that entries are gone.
            if shared.closed.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(TICK);
        };
        let fetched = fetched.unwrap_or_else(|error| {
            log::error!(
                "event=store-damaged channel-number={} seq={} error={error:?} \
                 advice=\"see to the disk; restore the data directory from a copy\"",
                fetch.channel,
                fetch.from
            );
            // Whoever asked is told that the entries are gone, and goes on.
            Fetched { to: fetch.to, error: Some(error), ..Fetched::default() }
        });
        (fetch.then)(fetched);
    }
}

/// Reads entries; those that are missing are reported: from which seq to which,
/// and why.
pub(super) fn read(
    disk: &Disk,
    fetch: &Fetch,
    report: &dyn Fn(u64, u64, &str),
) -> Result<Fetched, String> {
    let mut fetched = Fetched { to: fetch.from.saturating_sub(1), ..Fetched::default() };
    let entries = |from| disk.rows_of(Table::Entries, fetch.channel, from..=fetch.to);
    // The chunk that holds the first entry may begin before it.
    let before = disk.rows_of(Table::Entries, fetch.channel, 0..=fetch.from).next_back();
    let first = before.and_then(|row| record::split_key(&row.ok()?.0));
    let (mut bytes, mut at) = (0, first.map_or(fetch.from, |key| key.1));
    let mut rows = entries(at);
    // Why the next ones are missing, if something says so: an entry that cannot be
    // read is missing, too.
    let mut damage = None;
    while let Some(row) = rows.next() {
        let (key, value) = match row {
            Ok(row) => row,
            Err(e) => {
                let next = readable_after(at, fetch.to, |seq| {
                    !matches!(entries(seq).next(), Some(Err(_)))
                });
                damage.get_or_insert(e);
                let Some(next) = next else { break };
                (at, rows) = (next, entries(next));
                continue;
            }
        };
        let Some((_, first_seq)) = record::split_key(&key) else { continue };
        at = first_seq.saturating_add(1);
        let StoredChunk { number, chunk, .. } = match record::decode_chunk(first_seq, &value) {
            Ok(read) => read,
            Err(e) => {
                damage.get_or_insert(e.to_string());
                continue;
            }
        };
        let damage = damage.take();
        if chunk.last_seq() < fetch.from {
            continue;
        }
        if first_seq > fetched.to + 1 {
            report(fetched.to + 1, first_seq - 1, damage.as_deref().unwrap_or(MISSING));
        }
        bytes += chunk.weight();
        fetched.to = chunk.last_seq();
        fetched.chunks.push((number, Arc::new(chunk)));
        if bytes >= fetch.bytes_max || fetched.to >= fetch.to {
            break;
        }
    }
    if bytes < fetch.bytes_max && fetched.to < fetch.to {
        report(fetched.to + 1, fetch.to, damage.as_deref().unwrap_or(MISSING));
        fetched.to = fetch.to;
    }
    if let Some(at) = fetch.rank {
        let first = fetched.chunks.first().map_or(fetch.from, |(_, chunk)| chunk.first_seq);
        fetched.rank = Some(rank_before(disk, fetch.channel, first.max(at.joined + 1), at)?);
    }
    Ok(fetched)
}

/// Finds the first seq after this one from which on something can be read, by
/// bisection: a damaged block of a table takes all that is in it along.
fn readable_after(at: u64, to: u64, is_readable: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut bad, mut step) = (at, 1);
    let mut good = loop {
        if bad >= to {
            return None;
        }
        let next = bad.saturating_add(step).min(to);
        if is_readable(next) {
            break next;
        }
        (bad, step) = (next, step.saturating_mul(2));
    };
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if is_readable(middle) { good = middle } else { bad = middle }
    }
    Some(good)
}

/// The rank that a member had before this entry, folded backwards from the rank
/// that it had after a later one.
fn rank_before(disk: &Disk, id: ChannelId, seq: u64, at: RankAt) -> Result<u32, String> {
    let mut rank = at.rank;
    if seq > at.seq {
        return Ok(rank);
    }
    for row in disk.rows_of(Table::Changes, id, seq..=at.seq).rev() {
        let (_, value) = row?;
        let record: ChangeRecord = record::decode(&value).map_err(|e| e.to_string())?;
        rank = record.change.before(rank);
    }
    Ok(rank)
}

/// Reports that entries are missing. Those that retention has removed are no
/// damage.
fn report(shared: &Shared, id: ChannelId, from: u64, to: u64, what: &str) {
    let is_kept = lock(&shared.extents).get(&id).is_some_and(|extent| to >= extent.first_seq);
    if is_kept {
        log::error!(
            "event=store-damaged channel-number={id} from={from} to={to} error={what:?} \
             advice=\"readers are told of a gap; restore the data directory from a copy to have them back\""
        );
    }
}
