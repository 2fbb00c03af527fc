//! Looks whether the engine threw away what it had confirmed.
//!
//! When the engine opens its journals it cuts off whatever follows the first
//! batch that it cannot read. That is right for the last batch, which may have
//! been half written when the power failed: nobody was told of it. But a single
//! bit that has gone bad further up takes every later batch with it, and the
//! engine says nothing.
//!
//! So every batch begins with a mark, which has its number, and a batch is written
//! only when the one before is on disk. If what was cut off holds a number beyond
//! the one that comes next, then batches are gone that somebody was told of.
//!
//! A journal that is cut between two batches looks as if it had never been longer.
//! So the number of the last commit is noted beside it, once a second and at the end.
//!
//! And the engine's checksum of a batch leaves out the batch's place in the
//! engine's own order, by which it decides what is newer. So this checks that
//! the places ascend with the marks, before the engine acts upon them. All it
//! knows of the engine's format is where that number is.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The key of the row that has the mark.
pub const KEY: &[u8] = b"commit";
/// What stands before the number of a commit: random bytes.
const MAGIC: [u8; 16] = [
    0x9e, 0x1f, 0x7b, 0xc4, 0x52, 0xe8, 0x03, 0xad, 0x76, 0xd1, 0x2c, 0xf5, 0x88, 0x4a, 0xb0, 0x67,
];
/// What a mark begins with in a journal: its key and the random bytes. A client
/// could use the random bytes alone, as the id of a session, which is a key of 16
/// bytes; but it cannot put a mark's key before them.
const MARK: &[u8] = b"commit\x9e\x1f\x7b\xc4\x52\xe8\x03\xad\x76\xd1\x2c\xf5\x88\x4a\xb0\x67";
/// The head of a batch: a tag, how many rows there are, its place in order.
const HEAD_BYTES: usize = 13;
const HEAD_TAG: u8 = 1;
/// The head of the first row, between the head of the batch and the mark.
const ROW_BYTES: usize = 21;
const ROW_TAG: u8 = 2;
/// The most places between two commits: the engine itself takes a few.
const PLACES_MAX: u64 = 1 << 20;
const PIECE_BYTES: usize = 256 * 1024;
/// The file which says that the directory was damaged, and how.
const NOTE: &str = "DAMAGED";
/// The file that keeps what was cut off.
const CUT: &str = "damaged-journal";
/// The file with the number of a commit that was on disk.
const COMMITS: &str = "commits";

/// The journals of a data directory as they were before the engine saw them.
#[derive(Debug)]
pub struct Journals {
    dir: PathBuf,
    /// The sealed journals, and how many bytes were in each.
    sealed: Vec<(PathBuf, u64)>,
    /// The journal that was written last, and what was in it.
    active: Option<(PathBuf, Vec<u8>)>,
    /// The number of each commit in them with its place in the engine's order.
    commits: Vec<(u64, Option<u64>)>,
    /// The number of a commit that was on disk, as noted beside them.
    noted: u64,
}

impl Journals {
    /// Reads the journals of this directory.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn look(dir: &Path) -> io::Result<Journals> {
        let mut all: Vec<(u64, PathBuf)> = Vec::new();
        match fs::read_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
            Ok(files) => {
                for file in files {
                    let path = file?.path();
                    let name = path.file_name().and_then(|name| name.to_str());
                    let number = name.and_then(|name| name.strip_suffix(".jnl")?.parse().ok());
                    all.extend(number.map(|number| (number, path)));
                }
            }
        }
        all.sort_unstable();
        let active = all.pop().map(|(_, path)| Ok::<_, io::Error>((content(&path)?, path)));
        let active = active.transpose()?.map(|(content, path)| (path, content));
        let (mut sealed, mut commits) = (Vec::new(), Vec::new());
        for (_, path) in all {
            let content = content(&path)?;
            commits.extend(places(&content));
            sealed.push((path, content.len() as u64));
        }
        commits.extend(active.iter().flat_map(|(_, content)| places(content)));
        let noted = fs::read_to_string(dir.join(COMMITS)).ok();
        let noted = noted.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Ok(Journals { dir: dir.to_owned(), sealed, active, commits, noted })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.active.is_none()
    }

    /// The number of the last commit in them.
    pub fn last_mark(&self) -> Option<u64> {
        self.commits.last().map(|(number, _)| *number)
    }

    /// Checks that the commits are all there and in order, except the last, which
    /// may have been half written.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check_order(&self) -> Result<(), String> {
        for pair in self.commits.windows(2) {
            let [(before, place_before), (number, place)] = pair else { continue };
            if *number != before + 1 {
                return Err(format!("commit {number} follows commit {before} in its journals"));
            }
            let (Some(place_before), Some(place)) = (place_before, place) else { continue };
            let step = place.checked_sub(*place_before);
            if !step.is_some_and(|step| (1..=PLACES_MAX).contains(&step)) {
                return Err(format!(
                    "commit {number} is out of order in its journals: {place} after {place_before}"
                ));
            }
        }
        Ok(())
    }

    /// Tries to open again without the last commit, after the engine has found one
    /// that it cannot read. When the power fails, the disk may have taken some of
    /// the last commit's pages and not others; the engine copes only with a commit
    /// that ends too early. Nobody was told of that commit: its wait for the disk
    /// had not ended. If another one is bad, everything is left as it was.
    ///
    /// `None` if there is nothing to try.
    pub fn without_last<T, E>(&self, open: impl FnOnce() -> Result<T, E>) -> Option<Result<T, E>> {
        let (path, content) = self.active.as_ref()?;
        let at = memchr::memmem::rfind(content, MARK)?;
        let file = File::options().write(true).open(path).ok()?;
        let length = file.metadata().ok()?.len();
        file.set_len(at as u64).ok()?;
        let opened = open();
        if opened.is_ok() {
            log::warn!(
                "event=store-tail-cut file={:?} bytes={} reason=\"its last commit is not whole, as \
                 after a power failure\" advice=\"if the power has not failed, have the disk looked at\"",
                path.display().to_string(),
                content.len() - at
            );
            return Some(opened);
        }
        let put_back = file.set_len(length).and_then(|()| file.write_all_at(content, 0));
        if let Err(e) = put_back {
            log::error!(
                "event=store-damaged file={:?} error={:?}",
                path.display().to_string(),
                format!("cannot put it back: {e}")
            );
        }
        Some(opened)
    }

    /// Checks what the engine, which has opened them, has left: this is the last
    /// commit that it knows.
    ///
    /// # Errors
    /// What is gone. That is also noted in the directory, because the engine
    /// will have forgotten it by the next time.
    pub fn check(self, last_commit: u64) -> Result<(), String> {
        let note = self.dir.join(NOTE);
        if let Ok(text) = fs::read_to_string(&note) {
            let (text, note) = (text.trim_end(), note.display());
            return Err(format!(
                "{text}; {note} says so: without that file, it goes on with what is left"
            ));
        }
        self.check_cut(last_commit)?;
        if self.noted > last_commit {
            // A journal was cut between two commits, or is gone.
            return self.refuse(format!(
                "it had {} commits, and its journals and tables have only {last_commit} of them",
                self.noted
            ));
        }
        Ok(())
    }

    /// Checks that the engine has not cut off more than a last commit.
    fn check_cut(&self, last_commit: u64) -> Result<(), String> {
        for (path, before) in &self.sealed {
            // A journal that is no longer needed may be gone by now.
            let Ok(after) = fs::metadata(path) else { continue };
            if after.len() < *before {
                let cut = before - after.len();
                return self.refuse(format!("{cut} bytes of {} are unreadable", path.display()));
            }
        }
        let Some((path, before)) = &self.active else { return Ok(()) };
        let Ok(after) = fs::metadata(path) else { return Ok(()) };
        let kept = usize::try_from(after.len()).unwrap_or(usize::MAX);
        let Some(cut) = before.get(kept..).filter(|cut| !cut.is_empty()) else { return Ok(()) };
        let last = marks(cut).map(|(_, number)| number).max().unwrap_or(0);
        if last <= last_commit + 1 {
            log::info!("event=store-tail-cut bytes={} reason=\"half written\"", cut.len());
            return Ok(());
        }
        if let Err(e) = fs::write(self.dir.join(CUT), cut) {
            let error = format!("cannot keep what was cut off: {e}");
            log::error!("event=store-damaged error={error:?}");
        }
        let gone = last - last_commit - 1;
        let text = format!(
            "{} is damaged: what {gone} commits after number {last_commit} held is lost, {} bytes",
            path.display(),
            cut.len()
        );
        self.refuse(text)
    }

    fn refuse(&self, text: String) -> Result<(), String> {
        let write = |text: &str| {
            let mut file = File::create(self.dir.join(NOTE))?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            // So whoever removes that one file can go on with what is left.
            fs::remove_file(self.dir.join(COMMITS)).or_else(|e| match e.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(e),
            })
        };
        match write(&text) {
            Ok(()) => Err(text),
            Err(e) => Err(format!("{text}; and that cannot be noted: {e}")),
        }
    }

    /// The mark of the commit with this number.
    pub fn mark(number: u64) -> Vec<u8> {
        [&MAGIC[..], &number.to_be_bytes()].concat()
    }

    /// The number in a mark.
    pub fn commit_of(mark: &[u8]) -> Option<u64> {
        let number = mark.strip_prefix(&MAGIC)?;
        Some(u64::from_be_bytes(number.try_into().ok()?))
    }
}

/// Notes that this commit is on disk. Nobody waits for the note to be there, too:
/// it is for a journal that lost its end, and not for a power failure.
pub fn note(dir: &Path, commit: u64) -> io::Result<()> {
    let file = File::options().write(true).create(true).truncate(false).open(dir.join(COMMITS))?;
    file.write_all_at(format!("{commit:020}\n").as_bytes(), 0)
}

/// A file's content without the zeros at its end: journals are made longer than
/// what is in them.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let (mut content, mut zeros) = (Vec::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(content);
        }
        let used = piece[..read].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if used > 0 {
            content.resize(content.len() + zeros, 0);
            content.extend_from_slice(&piece[..used]);
            zeros = 0;
        }
        zeros += read - used;
    }
}

/// Where the marks are in a journal, with the numbers of their commits.
fn marks(bytes: &[u8]) -> impl Iterator<Item = (usize, u64)> + '_ {
    memchr::memmem::find_iter(bytes, MARK).filter_map(|at| {
        let number = bytes.get(at + MARK.len()..)?.first_chunk()?;
        Some((at, u64::from_be_bytes(*number)))
    })
}

/// The commits in a journal, each with its place in the engine's order; `None`
/// where the head of a batch is bad, which the engine will see by itself.
fn places(bytes: &[u8]) -> impl Iterator<Item = (u64, Option<u64>)> + '_ {
    let place = |mark: usize| {
        let row = mark.checked_sub(ROW_BYTES)?;
        let (head, row) = (bytes.get(row.checked_sub(HEAD_BYTES)?..row)?, bytes.get(row)?);
        let is_head = head.first() == Some(&HEAD_TAG) && *row == ROW_TAG;
        let place = u64::from_le_bytes(*head.last_chunk()?);
        // 0 is half of a head, if the power failed just there.
        (is_head && place != 0).then_some(place)
    };
    marks(bytes).map(move |(at, number)| (number, place(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_key_and_its_value() {
        assert_eq!(MARK, [KEY, &MAGIC].concat());
        let mark = [KEY, &Journals::mark(7)].concat();
        assert_eq!(marks(&mark).collect::<Vec<_>>(), [(0, 7)]);
        // The key of a session to which a client has given that id is no mark.
        assert_eq!(marks(&Journals::mark(7)).count(), 0);
    }
}
