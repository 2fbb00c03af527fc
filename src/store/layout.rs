//! Checks that the engine's files are all there, before the engine opens them.
//!
//! The engine makes anew what it does not find, and removes what it does not
//! expect: without the list of its tables it removes every table. And it keeps a
//! checksum of the list of a table's files, but does not check it. So this looks
//! first, and leaves everything as it is if something is wrong.

use super::journal::Journals;
use super::{OpenError, Table};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// The file which says that all the engine's files have been made once, and for
/// how many tables. Until then they may be half made, and nobody has been told
/// of anything in them.
const MADE: &str = "made";
const TABLES: &str = "keyspaces";
const VERSION: &str = "version";
const LOCK: &str = "lock";
const CURRENT: &str = "current";
/// The unit in which the system counts what a file takes.
const BLOCK_BYTES: u64 = 512;

/// Checks the files of this directory.
///
/// # Errors
/// [`OpenError::Damaged`] for what is missing or bad, [`OpenError::Folder`] for what
/// must not be read.
pub fn check(dir: &Path, journals: &Journals) -> Result<(), OpenError> {
    let damaged = |reason| OpenError::Damaged { dir: dir.to_owned(), reason };
    // The version that made the directory may have had fewer tables than this one, or
    // more.
    let made = fs::read_to_string(dir.join(MADE)).ok();
    let tables = made.as_ref().and_then(|text| text.trim().parse().ok());
    let is_made = made.is_some() || journals.last_mark().is_some();
    if is_made {
        if !dir.join(VERSION).exists() {
            return Err(damaged(format!("its file {VERSION} is gone")));
        }
        if journals.is_empty() {
            return Err(damaged("its journals are gone".into()));
        }
    }
    // One more than there are tables of ours: the engine's own.
    for number in 0..=tables.unwrap_or(Table::ALL.len()).min(Table::ALL.len()) {
        let folder = dir.join(TABLES).join(number.to_string());
        match fs::read(folder.join(CURRENT)) {
            Ok(current) => check_list(&folder, &current)
                .ok_or_else(|| format!("the list of the files in {} is bad", folder.display()))
                .map_err(damaged)?,
            Err(_) if !is_made => {}
            Err(e) => return Err(unread(dir, &folder.join(CURRENT), &e)),
        }
    }
    Ok(())
}

/// Why a directory cannot be used in which this file cannot be read.
pub(super) fn unread(dir: &Path, file: &Path, error: &io::Error) -> OpenError {
    let (dir, reason) = (dir.to_owned(), format!("{} cannot be read: {error}", file.display()));
    if error.kind() == io::ErrorKind::PermissionDenied {
        // Nothing is wrong with what is there.
        return OpenError::Folder { dir, reason };
    }
    OpenError::Damaged { dir, reason }
}

/// Checks that the list of a table's files is the one whose checksum was noted, and
/// the last one. `current` has its number, an XXH3 checksum of 128 bits and that
/// one's kind.
fn check_list(folder: &Path, current: &[u8]) -> Option<()> {
    let (number, rest) = current.split_first_chunk::<8>()?;
    let (sum, kind) = rest.split_first_chunk::<16>()?;
    let number = u64::from_le_bytes(*number);
    let list = fs::read(folder.join(format!("v{number}"))).ok()?;
    // The next list may be there, written and not yet noted. A list after that was
    // written only once the next had been noted: then what is noted is too old.
    let is_last = lists(folder).ok()?.all(|other| other <= number.saturating_add(1));
    let is_good = kind == [0] && u128::from_le_bytes(*sum) == xxh3_128(&list);
    (is_last && is_good).then_some(())
}

/// The numbers of all lists of a table's files.
fn lists(folder: &Path) -> io::Result<impl Iterator<Item = u64>> {
    let number = |name: &str| name.strip_prefix('v')?.parse().ok();
    let names = fs::read_dir(folder)?.flatten().map(|entry| entry.file_name());
    Ok(names.filter_map(move |name| number(name.to_str()?)))
}

/// Finds a table with nothing in it, which is damage: the engine writes none.
pub fn empty_table(dir: &Path) -> Option<PathBuf> {
    let files = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let tables = files(dir.join(TABLES)).flat_map(|folder| files(folder.path().join("tables")));
    let empty = tables.filter(|file| file.metadata().is_ok_and(|data| data.len() == 0));
    empty.map(|file| file.path()).next()
}

/// What the engine's files take on disk, in bytes. The engine makes a journal longer
/// than what is in it, and what has not been written takes nothing.
pub fn bytes(dir: &Path) -> u64 {
    // Other folders in it are not the engine's.
    taken(dir, 0) + taken(&dir.join(TABLES), 2)
}

/// What the files of this folder take, and those of folders in it, so many levels
/// deep. A file that goes meanwhile takes nothing.
fn taken(folder: &Path, depth: u32) -> u64 {
    let of = |file: fs::DirEntry| match file.metadata() {
        Ok(data) if !data.is_dir() => data.blocks() * BLOCK_BYTES,
        Ok(_) if depth > 0 => taken(&file.path(), depth - 1),
        _ => 0,
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(of).sum()
}

/// Makes the engine's lock anew if it is gone: there is nothing in it, and some take
/// such a file for one that was left behind.
///
/// # Errors
/// What the system says.
pub fn make_lock(dir: &Path) -> io::Result<()> {
    // Where nothing is made yet, the engine makes it.
    if dir.join(VERSION).exists() {
        fs::OpenOptions::new().append(true).create(true).open(dir.join(LOCK))?;
    }
    Ok(())
}

/// Whether another process has the engine's lock.
pub fn is_in_use(dir: &Path) -> bool {
    let lock = fs::File::open(dir.join(LOCK)).map(|file| file.try_lock());
    matches!(lock, Ok(Err(fs::TryLockError::WouldBlock)))
}

/// Notes that the engine has made all of its files.
///
/// # Errors
/// What the system says.
pub fn note(dir: &Path) -> io::Result<()> {
    let path = dir.join(MADE);
    let text = format!("{}\n", Table::ALL.len());
    if fs::read_to_string(&path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let mut file = fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_that_was_noted_is_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let note = |number: u64| {
            let list = format!("list {number}");
            fs::write(folder.path().join(format!("v{number}")), &list).unwrap();
            [&number.to_le_bytes()[..], &xxh3_128(list.as_bytes()).to_le_bytes(), &[0]].concat()
        };
        let noted = [note(0), note(1), note(2)];
        let is_good = |noted: &[u8]| check_list(folder.path(), noted).is_some();
        // The first is older than a list that came after the one after it.
        assert_eq!(noted.each_ref().map(|noted| is_good(noted)), [false, true, true]);
        fs::write(folder.path().join("v2"), "lost 2").unwrap();
        assert!(is_good(&noted[1]) && !is_good(&noted[2]));
        fs::remove_file(folder.path().join("v1")).unwrap();
        assert!(!is_good(&noted[1]) && !is_good(&noted[2][1..]));
    }
}
