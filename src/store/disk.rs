//! The storage engine: the only file that names it.

use super::journal::{self, Journals};
use super::layout;
use super::record::{self, ChannelId};
use super::{OpenError, Table};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const MIB: u64 = 1024 * 1024;
/// The cache for blocks of tables: readers go forward, so what they have read is
/// of little use to others.
const CACHE_BYTES: u64 = 4 * MIB;
/// What the entries that are not yet in tables take in memory; twice as much while
/// they are being written.
const ENTRIES_MEMORY_BYTES: u64 = if cfg!(fuzzing) { FUZZED_BYTES } else { 8 * MIB };
/// The same for every other table.
const SMALL_MEMORY_BYTES: u64 = if cfg!(fuzzing) { FUZZED_BYTES } else { MIB };
/// So small that even a small directory has tables.
const FUZZED_BYTES: u64 = 8 * 1024;
/// The size of the journals: the least that the engine allows. What it has not put
/// into tables when the broker is killed is read from them at the next start.
const JOURNAL_BYTES: u64 = 64 * MIB;
/// One to write tables, one to merge them.
const WORKERS: usize = 2;
const OPEN_FILES: usize = 128;

/// Why a batch is not known to be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It could not be written. The engine takes no more until it is opened
    /// anew.
    Write(String),
    /// It was written, but the disk did not confirm it. What the disk holds, only a
    /// look at it after a restart can tell.
    Sync(String),
}

/// A row of a table, key and value; or what was in the way of reading it.
pub type Row = Result<(Vec<u8>, fjall::UserValue), String>;

/// An open data directory.
pub struct Disk {
    database: Database,
    tables: Vec<Keyspace>,
    /// The number of the last commit.
    commits: AtomicU64,
    dir: PathBuf,
    /// The number of the last commit that was noted beside the journals.
    noted: AtomicU64,
}

impl Disk {
    /// Opens the engine's files in this directory, or makes them.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path) -> Result<Disk, OpenError> {
        let journals = Journals::look(dir).map_err(|e| unusable(dir, &e))?;
        let order = journals.check_order().map_err(|reason| damaged(dir, reason));
        if let Err(error) = order.and_then(|()| layout::check(dir, &journals)) {
            // Files that another broker is just changing may look damaged, too.
            let is_used = layout::is_in_use(dir);
            return Err(if is_used { OpenError::InUse { dir: dir.to_owned() } } else { error });
        }
        layout::make_lock(dir).map_err(|e| unusable(dir, &e))?;
        let database = open_engine(dir).or_else(|error| match error {
            fjall::Error::JournalRecovery(_) => {
                journals.without_last(|| open_engine(dir)).unwrap_or(Err(error))
            }
            other => Err(other),
        });
        let database = database.map_err(|e| explain(dir, e))?;
        let open = |table: &Table| {
            let memory =
                if *table == Table::Entries { ENTRIES_MEMORY_BYTES } else { SMALL_MEMORY_BYTES };
            let options = || KeyspaceCreateOptions::default().max_memtable_size(memory);
            database.keyspace(table.name(), options)
        };
        let tables: Result<Vec<Keyspace>, fjall::Error> = Table::ALL.iter().map(open).collect();
        let tables = tables.map_err(|e| explain(dir, e))?;
        let (commits, noted) = (AtomicU64::new(0), AtomicU64::new(0));
        let disk = Disk { database, tables, commits, dir: dir.to_owned(), noted };
        let last = disk.last_commit().map_err(|reason| damaged(dir, reason))?;
        disk.commits.store(last, Ordering::Relaxed);
        if last == 0 && !disk.is_empty().map_err(|reason| damaged(dir, reason))? {
            let reason = "there are entries in it, and no commit that has made them";
            return Err(damaged(dir, reason.into()));
        }
        journals.check(last).map_err(|reason| damaged(dir, reason))?;
        layout::note(dir).map_err(|e| unusable(dir, &e))?;
        Ok(disk)
    }

    /// Whether there is nothing in it.
    fn is_empty(&self) -> Result<bool, String> {
        let any = Table::ALL.iter().filter_map(|table| self.all(*table).next());
        any.map(|row| row.map(|_| false)).next().unwrap_or(Ok(true))
    }

    fn last_commit(&self) -> Result<u64, String> {
        let Some(row) = self.get(Table::Meta, journal::KEY)? else { return Ok(0) };
        Journals::commit_of(&row)
            .ok_or_else(|| "the number of its last commit is unreadable".into())
    }

    /// A batch to fill.
    pub fn batch(&self) -> WriteBatch<'_> {
        let number = self.commits.load(Ordering::Relaxed) + 1;
        let mut batch = WriteBatch { disk: self, rows: self.database.batch(), bytes: 0 };
        // First in the batch, so that even a journal that was cut has it.
        batch.put(Table::Meta, journal::KEY, Journals::mark(number));
        batch
    }

    /// One row.
    ///
    /// # Errors
    /// What was in the way, in words.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<fjall::UserValue>, String> {
        self.table(table).get(key).map_err(|e| e.to_string())
    }

    /// All rows of a table, in order.
    pub fn all(&self, table: Table) -> impl Iterator<Item = Row> + use<> {
        self.table(table).iter().map(row)
    }

    /// The rows of a channel in this table with seqs of this range, in order.
    pub fn rows_of(
        &self,
        table: Table,
        channel: ChannelId,
        seqs: RangeInclusive<u64>,
    ) -> impl DoubleEndedIterator<Item = Row> + use<> {
        let (from, to) = seqs.into_inner();
        let keys = record::key(channel, from)..=record::key(channel, to);
        self.table(table).range(keys).map(row)
    }

    /// The first row of this channel, or of the next one that has any.
    ///
    /// # Errors
    /// What was in the way, in words.
    pub fn first_from(&self, table: Table, channel: ChannelId) -> Result<Option<Vec<u8>>, String> {
        let mut rows = self.table(table).range(record::key(channel, 0)..).map(row);
        Ok(rows.next().transpose()?.map(|(key, _)| key))
    }

    /// Notes the last commit beside the journals, which may lose their end.
    pub fn note_commits(&self) {
        let last = self.commits.load(Ordering::Relaxed);
        if self.noted.swap(last, Ordering::Relaxed) != last {
            // If it fails, because the disk is full, the next note will do.
            let _ = journal::note(&self.dir, last);
        }
    }

    /// Whether anything can be written beside the engine's files.
    ///
    /// # Errors
    /// What was in the way, in words.
    pub fn try_to_write(&self) -> Result<(), String> {
        journal::note(&self.dir, self.commits.load(Ordering::Relaxed)).map_err(|e| e.to_string())
    }

    /// What the engine's files take on disk, in bytes.
    pub fn bytes(&self) -> u64 {
        layout::bytes(&self.dir)
    }

    fn table(&self, table: Table) -> &Keyspace {
        // The tables are opened in the order of the enum.
        &self.tables[table as usize]
    }
}

/// Changes that are made together or not at all.
pub struct WriteBatch<'a> {
    disk: &'a Disk,
    rows: OwnedWriteBatch,
    bytes: usize,
}

impl<'a> WriteBatch<'a> {
    /// The data directory that it changes.
    pub fn disk(&self) -> &'a Disk {
        self.disk
    }

    /// Puts a row in place.
    pub fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.rows.insert(self.disk.table(table), key, value);
    }

    /// Removes a row.
    pub fn remove(&mut self, table: Table, key: &[u8]) {
        self.bytes += key.len();
        self.rows.remove(self.disk.table(table), key);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        // The mark with the commit's number does not count.
        self.rows.len() <= 1
    }

    /// What has been put into it, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes it, and waits until the disk has it.
    ///
    /// # Errors
    /// [`Failure`]. Then nobody knows whether it is on disk.
    pub fn commit(self) -> Result<(), Failure> {
        let database = &self.disk.database;
        self.rows.commit().map_err(|e| Failure::Write(e.to_string()))?;
        database.persist(PersistMode::SyncAll).map_err(|e| match e {
            // The engine had stopped for another reason, such as that it could open no
            // file to compact into, and has not tried to sync: write all of it again.
            fjall::Error::Poisoned => Failure::Write(e.to_string()),
            _ => Failure::Sync(e.to_string()),
        })?;
        self.disk.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn row(guard: fjall::Guard) -> Row {
    let (key, value) = guard.into_inner().map_err(|e| e.to_string())?;
    Ok((key.to_vec(), value))
}

fn open_engine(dir: &Path) -> Result<Database, fjall::Error> {
    Database::builder(dir)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES)
        .max_cached_files(Some(OPEN_FILES))
        .worker_threads(WORKERS)
        .open()
}

fn explain(dir: &Path, error: fjall::Error) -> OpenError {
    let dir = dir.to_owned();
    match error {
        fjall::Error::Locked => OpenError::InUse { dir },
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => match e.kind() {
            // How the engine reports a file that ends too early.
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                let table = layout::empty_table(&dir).map(|path| format!(": {}", path.display()));
                let reason = format!("one of its tables is cut off{}", table.unwrap_or_default());
                OpenError::Damaged { dir, reason }
            }
            _ => OpenError::Folder { dir, reason: e.to_string() },
        },
        fjall::Error::Storage(fjall::LsmError::Unrecoverable) => {
            let reason = "one of its tables (keyspaces/*/tables) is gone".into();
            OpenError::Damaged { dir, reason }
        }
        fjall::Error::Storage(fjall::LsmError::ChecksumMismatch { .. }) => {
            let reason = "one of its tables (keyspaces/*/tables) is not what was written".into();
            OpenError::Damaged { dir, reason }
        }
        fjall::Error::InvalidVersion(version) => {
            let known = version.map(|version| format!(" ({version:?})")).unwrap_or_default();
            let reason = format!(
                "its file `version` names no format that this broker knows{known} (if another \
                 version of the broker has made it, start that one)"
            );
            OpenError::Damaged { dir, reason }
        }
        fjall::Error::JournalRecovery(e) => {
            let reason = format!("a journal in it (*.jnl) is not what was written: {e:?}");
            OpenError::Damaged { dir, reason }
        }
        other => OpenError::Damaged { dir, reason: other.to_string() },
    }
}

fn unusable(dir: &Path, error: &io::Error) -> OpenError {
    OpenError::Folder { dir: dir.to_owned(), reason: error.to_string() }
}

fn damaged(dir: &Path, reason: String) -> OpenError {
    OpenError::Damaged { dir: dir.to_owned(), reason }
}
