//! The received part of a sequence, on disk: one file for each broker, under
//! `$XDG_STATE_HOME`, until the sequence is complete.
//!
//! # Format
//! The first line says what is wanted, as JSON; each further line is a batch,
//! `INDEX a:b:c`. A line counts only with its line end.

use crate::client::store;
use crate::printed;
use crate::sequence;
use crate::wire::numseq::Heard;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A sequence that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) id: Uuid,
    pub(super) count: u16,
    pub(super) batch: u64,
    /// The broker may know it already.
    pub(super) is_made: bool,
}

/// A wanted sequence, what has been received of it, and its file.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) wanted: Wanted,
    /// The broker has confirmed that it has the sequence.
    pub(super) is_acknowledged: bool,
    file: File,
    path: PathBuf,
    numbers: Vec<u8>,
    /// Which batches are there.
    has: Vec<bool>,
    missing: u64,
}

impl Journal {
    /// Opens the journal for a new sequence. An unfinished one is given up, with a
    /// message.
    ///
    /// # Errors
    /// In words.
    pub(super) fn begin(host: &str, port: u16, wanted: Wanted) -> Result<Self, String> {
        let folder = folder()?;
        let (file, path) = open(&folder, host, port)?;
        let complain = |text| printed::complain("broker-client", text);
        match file.try_clone().and_then(|file| Journal::read(file, path.clone())) {
            Ok(Some(before)) if before.is_acknowledged => {
                let Journal { wanted: Wanted { id, count, .. }, missing, .. } = before;
                let (batches, has) = (before.batches(), before.batches() - missing);
                complain(format_args!(
                    "gives up a sequence of {count} numbers that was not finished (client-id={id}, \
                     {has} of {batches} batches had come): --continue instead of COUNT goes on with such a one"
                ));
            }
            Err(e) => complain(format_args!("gives up the numbers in {}: {e}", path.display())),
            Ok(_) => {}
        }
        Journal::empty(file, path.clone(), wanted).map_err(|e| in_words(&path, &e))
    }

    /// Opens the journal of the unfinished sequence.
    ///
    /// # Errors
    /// In words.
    pub(super) fn resume(host: &str, port: u16) -> Result<Self, String> {
        let folder = folder()?;
        let (file, path) = open(&folder, host, port)?;
        let journal = Journal::read(file, path.clone()).map_err(|e| {
            let path = path.display();
            format!("cannot go on with the numbers in {path}: {e}; numbers COUNT gives them up")
        })?;
        journal.ok_or_else(|| {
            // Opening may have created it just now.
            let _ = fs::remove_file(&path);
            format!(
                "there is no unfinished sequence from {host}:{port}: begin one with numbers COUNT"
            )
        })
    }

    fn of(file: File, path: PathBuf, wanted: Wanted) -> Self {
        let batches = sequence::batches(wanted.count, wanted.batch);
        Journal {
            wanted,
            is_acknowledged: false,
            file,
            path,
            numbers: vec![0; wanted.count.into()],
            has: vec![false; usize::try_from(batches).unwrap_or(0)],
            missing: batches,
        }
    }

    fn empty(file: File, path: PathBuf, wanted: Wanted) -> io::Result<Self> {
        let mut journal = Journal::of(file, path, wanted);
        journal.write_wanted()?;
        Ok(journal)
    }

    /// Writes what is wanted, and nothing else.
    fn write_wanted(&mut self) -> io::Result<()> {
        let line = serde_json::to_string(&self.wanted)? + "\n";
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(line.as_bytes())
    }

    /// Reads a journal; `None` if it has not been begun.
    fn read(mut file: File, path: PathBuf) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // An unfinished line does not count.
        let end = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1);
        let text = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = text.lines();
        let Some(wanted) = lines.next() else { return Ok(None) };
        let wanted = serde_json::from_str(wanted).map_err(|e| {
            let text = format!("the first line is damaged, or of a newer broker-client ({e})");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let mut journal = Journal::of(file, path, wanted);
        for line in lines {
            let batch = line.split_once(' ').and_then(|(index, numbers)| {
                let heard = Heard::decode(format!("NUM,{numbers}").as_bytes())?;
                Some((index.parse().ok()?, heard))
            });
            if let Some((index, Heard::Numbers(numbers))) = batch {
                journal.note(index, &numbers);
            }
        }
        // Received batches show that the broker had the sequence.
        journal.is_acknowledged = journal.missing() < journal.batches();
        journal.file.set_len(end as u64)?;
        journal.file.seek(SeekFrom::End(0))?;
        Ok(Some(journal))
    }

    /// The broker may know the sequence from now on.
    pub(super) fn note_made(&mut self) -> io::Result<()> {
        self.wanted.is_made = true;
        // No batch is lost: none can have come before the sequence was made.
        self.write_wanted()
    }

    /// Records a received batch; returns whether it fits this sequence.
    pub(super) fn put(&mut self, index: u64, numbers: &[u8]) -> io::Result<bool> {
        if !self.note(index, numbers) {
            return Ok(false);
        }
        let mut line = format!("{index} ");
        sequence::join(numbers, ":", &mut line);
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        Ok(true)
    }

    fn note(&mut self, index: u64, numbers: &[u8]) -> bool {
        let Wanted { count, batch, .. } = self.wanted;
        let first = index.checked_mul(batch).and_then(|first| u16::try_from(first).ok());
        let place = usize::try_from(index).ok().and_then(|index| self.has.get_mut(index));
        let (Some(first), Some(place)) = (first, place) else { return false };
        let length = u64::from(count - first).min(batch);
        if numbers.len() as u64 != length {
            return false;
        }
        let first = usize::from(first);
        self.numbers[first..first + numbers.len()].copy_from_slice(numbers);
        if !std::mem::replace(place, true) {
            self.missing -= 1;
        }
        true
    }

    /// The first batch from this index on that has not come.
    pub(super) fn next_missing(&self, from: u64) -> Option<u64> {
        let from = usize::try_from(from).ok()?;
        let rest = self.has.get(from..)?;
        Some((from + rest.iter().position(|has| !has)?) as u64)
    }

    /// How many batches have yet to come.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// How many there are.
    pub(super) fn batches(&self) -> u64 {
        self.has.len() as u64
    }

    /// All numbers; 0 for those that have not come.
    pub(super) fn numbers(&self) -> &[u8] {
        &self.numbers
    }

    /// Deletes the file: the sequence is complete, or cannot be had.
    pub(super) fn forget(&self) {
        // If the file stays, the broker will say that a `--continue` came too late.
        let _ = fs::remove_file(&self.path);
    }
}

fn folder() -> Result<PathBuf, String> {
    let state = store::state_folder().ok_or_else(|| {
        "no place to keep the numbers: set XDG_STATE_HOME or HOME to an absolute path".to_owned()
    })?;
    Ok(state.join("numbers"))
}

/// Opens the file for this broker, and locks it against other processes.
fn open(folder: &Path, host: &str, port: u16) -> Result<(File, PathBuf), String> {
    let path = folder.join(format!("{}:{port}", store::escape(host)));
    let opening = || {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path)
    };
    let file: File = opening().map_err(|e: io::Error| in_words(&path, &e))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(format!("another broker-client fetches a sequence from {host}:{port}"));
    }
    Ok((file, path))
}

fn in_words(path: &Path, error: &io::Error) -> String {
    format!("cannot keep the numbers in {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { id: Uuid::from_u128(5), count: 12, batch: 5, is_made: false };

    fn new(folder: &Path) -> Journal {
        let (file, path) = open(folder, "::1", 7700).unwrap();
        Journal::empty(file, path, WANTED).unwrap()
    }

    fn again(folder: &Path) -> Journal {
        let (file, path) = open(folder, "::1", 7700).unwrap();
        Journal::read(file, path).unwrap().unwrap()
    }

    #[test]
    fn what_has_come_is_there_again_and_a_cut_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = new(folder.path());
        assert_eq!((journal.missing(), journal.next_missing(0)), (3, Some(0)));
        assert!(journal.put(2, &[9, 10]).unwrap() && journal.put(0, &[1, 2, 3, 4, 100]).unwrap());
        for wrong in [&[][..], &[1], &[1; 6]] {
            assert!(!journal.put(1, wrong).unwrap());
        }
        assert!(!journal.put(3, &[1]).unwrap() && !journal.put(u64::MAX, &[1]).unwrap());
        journal.file.write_all(b"1 1:2:3:4:").unwrap();
        drop(journal);

        let mut journal = again(folder.path());
        assert_eq!((journal.missing(), journal.next_missing(0)), (1, Some(1)));
        assert!(journal.is_acknowledged);
        assert!(journal.put(1, &[5, 6, 7, 8, 0]).unwrap());
        drop(journal);
        let journal = again(folder.path());
        assert_eq!((journal.missing(), journal.next_missing(0)), (0, None));
        assert_eq!(journal.numbers(), [1, 2, 3, 4, 100, 5, 6, 7, 8, 0, 9, 10]);
        journal.forget();
        drop(journal);
        let (file, path) = open(folder.path(), "::1", 7700).unwrap();
        assert!(Journal::read(file, path).unwrap().is_none());
    }

    #[test]
    fn damage_costs_what_is_damaged_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = new(folder.path());
        let mut lines = String::from("x\n0 1:2:3:4:500\n7 1\n1 \n-1 5\n\u{1}\n");
        lines.push_str("2 1:2\n");
        journal.file.write_all(lines.as_bytes()).unwrap();
        journal.file.write_all(b"\xff\n").unwrap();
        drop(journal);
        let journal = again(folder.path());
        assert_eq!((journal.missing(), journal.next_missing(0)), (2, Some(0)));
    }

    #[test]
    fn one_process_at_a_time_and_the_last_begun_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = new(folder.path());
        assert!(open(folder.path(), "::1", 7700).unwrap_err().starts_with("another broker-client"));
        assert!(open(folder.path(), "::1", 7701).is_ok());
        journal.note_made().unwrap();
        journal.put(2, &[1, 2]).unwrap();
        drop(journal);
        assert!(again(folder.path()).wanted.is_made);
        assert_eq!(new(folder.path()).missing(), 3);
        assert_eq!(again(folder.path()).missing(), 3);
    }

    /// Such as one that a newer version of this program has written.
    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for (content, is_nothing) in [("", true), ("{\"id\":", true), ("{\"version\":2}\n", false)]
        {
            let (mut file, path) = open(folder.path(), "::1", 7700).unwrap();
            file.set_len(0).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            file.rewind().unwrap();
            match Journal::read(file, path.clone()) {
                Ok(None) => assert!(is_nothing, "{content:?}"),
                Err(e) => assert!(!is_nothing && e.kind() == io::ErrorKind::InvalidData, "{e}"),
                Ok(Some(journal)) => panic!("{journal:?}"),
            }
            assert_eq!(fs::read_to_string(path).unwrap(), content);
        }
    }
}
