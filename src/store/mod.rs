//! What outlives the broker: entries of durable channels, rosters, sessions.
//!
//! The store is a synchronous layer over the storage engine (`disk.rs`). It knows
//! neither locks of channels nor wire formats: a [`Source`] is asked for what it
//! has, and told what became of it.
//!
//! # How it works
//! One thread commits (`committer.rs`). Whoever has something to write notes
//! that, and gets a [`Ticket`] for the commit in the making; the thread takes
//! everything that has been noted, lets each source hand over what it has by
//! then, writes it as one atomic batch, waits once until the disk has it, and
//! settles the ticket. So all who publish at the same time share one wait for
//! the disk, and nobody waits in line for their own.
//!
//! Another thread reads (`fetch.rs`), for members that are behind what is in
//! memory.
//!
//! # When something goes wrong
//! - *Little room*: what was accepted is still written, into the margin; nothing
//!   more is accepted for durable channels ([`Store::check`]) until there is
//!   room.
//! - *A failed write*: the tickets fail, the engine is opened anew when there is
//!   room, and what was handed over is handed over again. Until then nothing is
//!   kept of rows that come and go (`rows.rs`).
//! - *A write that the disk did not confirm*: what is on disk is unknown, and a
//!   second try would confirm what may be lost. Nothing is written any more
//!   until the broker is started again.

mod committer;
mod disk;
mod fetch;
mod health;
mod journal;
mod known;
mod layout;
mod panics;
mod queue;
mod record;
mod records;
mod recover;
mod retention;
mod room;
mod rows;
mod ticket;

pub use fetch::{Fetch, Fetched, RankAt};
pub use panics::{engine_panic, explain_panics};
pub use record::{
    ChangeRecord, ChannelId, ChannelRecord, Extent, RosterRecord, SEQS_RESERVED, SeatRecord,
    Unreadable, decode, encode,
};
pub use recover::{Recovered, RecoveredChannel};
pub use ticket::{Outcome, Ticket, Waiter};

use crate::figures::Durations;
use crate::log::Chunk;
use crate::sync::{self, lock};
use committer::Committer;
use disk::Disk;
use fetch::Reader;
use health::Health;
use queue::{Op, Queue};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What rows are about. The names are part of the format on disk; the order is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// Channels by number: how they were made.
    Channels,
    /// Channels by number: which of their entries are here.
    Extents,
    /// Chunks by channel and first seq.
    Entries,
    /// Changes of rosters by channel and seq.
    Changes,
    /// Rosters by channel.
    Rosters,
    /// Sessions by their UUID.
    Sessions,
    /// Number sequences by their client.
    Sequences,
    /// Channels that were dropped, by name: their last seq.
    Dropped,
    /// Records of which there is only one.
    Meta,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 9] = [
        Table::Channels,
        Table::Extents,
        Table::Entries,
        Table::Changes,
        Table::Rosters,
        Table::Sessions,
        Table::Sequences,
        Table::Dropped,
        Table::Meta,
    ];

    const fn name(self) -> &'static str {
        match self {
            Table::Channels => "channels",
            Table::Extents => "extents",
            Table::Entries => "entries",
            Table::Changes => "changes",
            Table::Rosters => "rosters",
            Table::Sessions => "sessions",
            Table::Sequences => "sequences",
            Table::Dropped => "dropped",
            Table::Meta => "meta",
        }
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another broker has it.
    #[error(
        "the data directory {} is in use by another broker; stop that one, or name another directory with --data",
        .dir.display()
    )]
    InUse {
        /// Which one.
        dir: PathBuf,
    },
    /// It cannot be read or written.
    #[error("cannot use the data directory {}: {reason}; see to it that the broker's user can read and write it and all that is in it (chown -R), or name another with --data", .dir.display())]
    Folder {
        /// Which one.
        dir: PathBuf,
        /// What the system or the engine says.
        reason: String,
    },
    /// What is in it is not what was put there.
    #[error(
        "the data directory {} is damaged: {reason}; restore it from a copy that was taken while no broker ran on it (one that was taken under a running broker is damaged as well), or name another with --data",
        .dir.display()
    )]
    Damaged {
        /// Which one.
        dir: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No thread could be started.
    #[error("cannot start the store: {0}")]
    System(#[from] std::io::Error),
}

/// What a source has to write.
#[derive(Debug, Default)]
pub struct Handover {
    /// Chunks with their numbers, in order. Each is handed over once, until it is
    /// settled.
    pub chunks: Vec<(u64, Arc<Chunk>)>,
    /// Changes of the roster that are among them, with their seqs.
    pub changes: Vec<(u64, ChangeRecord)>,
    /// The roster, if it is worth writing in whole.
    pub roster: Option<RosterRecord>,
    /// For a channel whose entries are not kept here: the last seq that it may
    /// use.
    pub reserve: Option<u64>,
}

/// Something that has entries and rosters to write: a channel.
pub trait Source: Send + Sync {
    /// Its number.
    fn id(&self) -> ChannelId;
    /// Takes what it has by now, for the commit that this ticket stands for. Called
    /// by the committing thread; it must not touch the disk.
    fn hand_over(&self, ticket: &Ticket) -> Handover;
    /// Tells it the first seq that is within its bounds of bytes and age, counting all
    /// that is on disk.
    fn offers(&self, _first_seq: u64) {}
    /// Tells it that what was handed over is on disk, with all that is there now;
    /// or with `None` that it is not, and is to be handed over again. The ticket
    /// has been decided.
    fn settled(&self, extent: Option<Extent>);
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory.
    pub dir: PathBuf,
    /// Bytes that are to stay free on its disk, or a tenth of it if that is
    /// less.
    pub margin: u64,
}

/// Figures of a store.
#[derive(Debug, Default)]
pub struct Figures {
    /// Batches that are on disk.
    pub commits: AtomicU64,
    /// Entries in them.
    pub entries: AtomicU64,
    /// Bytes in them.
    pub bytes: AtomicU64,
    /// Reads for members that are behind.
    pub fetches: AtomicU64,
    /// How long commits took, the wait for the disk included.
    pub commit_time: Durations,
    /// What everything took on disk, in bytes, a moment ago.
    pub disk_bytes: AtomicU64,
}

pub(crate) struct Shared {
    options: Options,
    queue: Queue,
    /// `None` while it is being opened anew, and for good if that fails.
    disk: RwLock<Option<Disk>>,
    extents: Mutex<HashMap<ChannelId, Extent>>,
    health: Health,
    figures: Figures,
    closed: AtomicBool,
}

/// An open store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    reader: Reader,
    dropped: Arc<Mutex<recover::Dropped>>,
    next_channel: Arc<AtomicU64>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Store {
    /// Opens a data directory, makes it if it is missing, and reads what it
    /// holds, but for entries.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(options: Options) -> Result<(Store, Recovered), OpenError> {
        let began = Instant::now();
        let disk = Disk::open(&options.dir)?;
        let (recovered, dropped) = recover::recover(&disk, &options.dir, began)?;
        let channels = recovered.channels.iter();
        let extents = channels.map(|channel| (channel.id, channel.extent)).collect();
        let shared = Arc::new(Shared {
            options,
            queue: Queue::default(),
            disk: RwLock::new(Some(disk)),
            extents: Mutex::new(extents),
            health: Health::default(),
            figures: Figures { disk_bytes: recovered.bytes.into(), ..Figures::default() },
            closed: AtomicBool::new(false),
        });
        let committer = Committer::new(shared.clone(), &recovered);
        let thread = std::thread::Builder::new().name("store".into()).spawn(|| committer.run())?;
        let store = Store {
            reader: Reader::start(shared.clone())?,
            shared,
            dropped: Arc::new(Mutex::new(dropped)),
            next_channel: Arc::new(AtomicU64::new(recovered.next_channel)),
            thread: Arc::new(Mutex::new(Some(thread))),
        };
        Ok((store, recovered))
    }

    /// Whether more may be accepted for durable channels.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn check(&self) -> Result<(), Arc<str>> {
        self.shared.health.check()
    }

    /// Whether anything at all can be written.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn can_write(&self) -> Result<(), Arc<str>> {
        self.shared.health.failure().map_or(Ok(()), Err)
    }

    /// Notes that a source has something to write that somebody waits for. Returns
    /// the ticket for the commit that has it. To be called once the source has it.
    pub fn dirty(&self, source: Arc<dyn Source>) -> Ticket {
        let ticket = self.shared.queue.add(true, |work| work.sources.push(source));
        match self.shared.health.failure() {
            // What it has is kept for when the store works again; the caller need
            // not wait for that.
            Some(reason) => Ticket::settled(Err(reason)),
            None => ticket,
        }
    }

    /// Notes that a source has something to write soon. Nobody waits for it.
    pub fn note(&self, source: Arc<dyn Source>) -> Ticket {
        self.shared.queue.add(false, |work| work.sources.push(source))
    }

    /// Notes that a channel has been made. Returns its number, the seq after which
    /// it begins, and the ticket for the commit that has it.
    pub fn create(&self, record: ChannelRecord) -> (ChannelId, u64, Ticket) {
        let id = self.next_channel.fetch_add(1, Ordering::Relaxed);
        let after = lock(&self.dropped).after(&record.name);
        let reserved = if record.durable { 0 } else { SEQS_RESERVED };
        let extent = Extent::after(after + reserved);
        let op = Op::Create { id, record, extent };
        let ticket = self.shared.queue.add(true, |work| work.ops.push(op));
        (id, after, ticket)
    }

    /// Notes that a channel has been removed, with its last seq: should one of its
    /// name be made again, that begins after it.
    pub fn drop_channel(&self, source: Arc<dyn Source>, name: &str, last_seq: u64) -> Ticket {
        let marks = lock(&self.dropped).add(name, last_seq);
        self.shared.queue.add(true, |work| {
            work.ops.push(Op::Drop { id: source.id(), marks });
            work.sources.push(source);
        })
    }

    /// The last seq of the channel of this name that was dropped last: its end, or if
    /// that is not known by name any more, one that is no lower.
    pub fn dropped_at(&self, name: &str) -> u64 {
        lock(&self.dropped).after(name)
    }

    /// Notes that nobody reads this removed channel's entries any more.
    pub fn forget(&self, id: ChannelId) {
        self.shared.queue.add(false, |work| work.ops.push(Op::Forget { id }));
    }

    /// The ticket for a commit of all that was put and noted so far.
    pub fn sync(&self) -> Ticket {
        self.shared.queue.add(true, |_| {})
    }

    /// Reads entries, on another thread.
    pub fn fetch(&self, fetch: Fetch) {
        self.reader.fetch(fetch);
    }

    /// Its figures.
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// What it took on disk, in bytes, a moment ago: asking waits for nothing.
    pub fn bytes(&self) -> u64 {
        self.shared.figures.disk_bytes.load(Ordering::Relaxed)
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.shared.options.dir
    }

    /// Whether all is well, in a word.
    pub fn state(&self) -> &'static str {
        self.shared.health.as_str()
    }

    /// Writes what there is to write, and ends, so that the directory is free for
    /// another broker. `last_seqs` are the seqs after which channels that are not
    /// durable begin next time.
    pub fn close(&self, last_seqs: Vec<(ChannelId, u64)>) {
        self.shared.queue.stop(last_seqs);
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            log::error!("event=store-failed error=\"its thread ended before its time\"");
        }
        self.shared.closed.store(true, Ordering::SeqCst);
        self.reader.stop();
        sync::write(&self.shared.disk).take();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir()).finish_non_exhaustive()
    }
}

/// How often the store looks after itself.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
