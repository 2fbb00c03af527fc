//! The sessions that `broker-client --session` remembers: one small file each,
//! under `$XDG_STATE_HOME`, that only its owner can read.

use super::ticket::Ticket;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name of a session that is given none.
pub const DEFAULT_NAME: &str = "default";

/// Where one session is remembered. No other process uses it meanwhile.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    path: PathBuf,
    _lock: File,
}

/// Why a session cannot be remembered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Neither `$XDG_STATE_HOME` nor `$HOME` says where.
    #[error("no place to remember a session: set XDG_STATE_HOME or HOME to an absolute path")]
    NoPlace,
    /// Another process has this session.
    #[error(
        "the session {name} is in use by another broker-client here: \
         give this one another name, as in --session another-name"
    )]
    InUse {
        /// The session's name.
        name: String,
    },
    /// The file system says no.
    #[error("cannot remember the session in {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} does not hold a session ({source}): beginning anew", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Store {
    /// The session of this name with the broker at this address.
    ///
    /// # Errors
    /// When there is no place for it, or another process has it.
    pub fn open(host: &str, port: u16, name: &str) -> Result<Store, StoreError> {
        Store::open_in(&state_folder().ok_or(StoreError::NoPlace)?, host, port, name)
    }

    fn open_in(folder: &Path, host: &str, port: u16, name: &str) -> Result<Store, StoreError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
        let stem = format!("{}@{}:{port}", escape(name), escape(host));
        let lock_path = folder.join(format!("{stem}.lock"));
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(&lock_path).map_err(at(&lock_path))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(StoreError::InUse { name: name.to_owned() });
        }
        let path = folder.join(format!("{stem}.json"));
        Ok(Store { folder: folder.to_owned(), path, _lock: lock })
    }

    /// The session, if one is remembered.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn load(&self) -> Result<Option<Ticket>, StoreError> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| StoreError::Damaged { path: self.path.clone(), source }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { path: self.path.clone(), source }),
        }
    }

    /// Remembers the session. Whoever reads the file finds this one or the one
    /// before, never half of each.
    ///
    /// # Errors
    /// Those of writing.
    pub fn save(&self, ticket: &Ticket) -> Result<(), StoreError> {
        self.replace(ticket).map_err(|source| StoreError::Io { path: self.path.clone(), source })
    }

    fn replace(&self, ticket: &Ticket) -> io::Result<()> {
        // Its mode is 0600.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer(&mut file, ticket)?;
        file.write_all(b"\n")?;
        file.persist(&self.path)?;
        Ok(())
    }

    /// Forgets the session: it was left on purpose.
    pub fn forget(&self) {
        // If this fails, the broker will say later that the session is gone.
        let _ = fs::remove_file(&self.path);
    }
}

/// Where this program keeps what outlives it; `None` if neither
/// `$XDG_STATE_HOME` nor `$HOME` says.
pub(super) fn state_folder() -> Option<PathBuf> {
    let set = |variable| std::env::var_os(variable).map(PathBuf::from);
    let absolute = |variable| set(variable).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local").join("state")))?;
    Some(state.join("ranked-broker"))
}

/// The text as a part of a file name: all but letters, digits, `-` and `_` as
/// `%XX`, so that no name can lead elsewhere or be taken for another one.
pub(super) fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let escaped = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_session_is_remembered_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("state");
        let store = Store::open_in(&folder, "::1", 7700, "../x y").unwrap();
        assert_eq!(store.load().unwrap(), None);
        let ticket = Ticket::given(Ticket::fresh().id(), "5ec");
        store.save(&Ticket::fresh()).unwrap();
        store.save(&ticket).unwrap();
        assert_eq!(store.load().unwrap(), Some(ticket));
        let mut names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
                entry.file_name().into_string().unwrap()
            })
            .collect();
        names.sort();
        let stem = "%2E%2E%2Fx%20y@%3A%3A1:7700";
        assert_eq!(names, [format!("{stem}.json"), format!("{stem}.lock")]);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        store.forget();
        assert_eq!(store.load().unwrap(), None);
    }

    #[test]
    fn one_process_at_a_time_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name| Store::open_in(folder.path(), "h", 1, name);
        let first = open("a").unwrap();
        assert!(matches!(open("a"), Err(StoreError::InUse { .. })));
        assert!(open("b").is_ok());
        drop(first);
        assert!(open("a").is_ok());
    }

    #[test]
    fn what_is_no_session_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_in(folder.path(), "h", 1, "a").unwrap();
        for text in ["", "{", "{\"id\":\"x\"}", "[]"] {
            fs::write(&store.path, text).unwrap();
            assert!(matches!(store.load(), Err(StoreError::Damaged { .. })), "{text}");
        }
    }
}
