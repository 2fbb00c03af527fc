//! A service manager, as a broker sees it.

use super::{Child, DEADLINE};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use tempfile::TempDir;

/// A service manager that hears what a broker tells it.
pub struct Manager {
    folder: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    pub fn new() -> Manager {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Manager { folder, socket }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a broker, with more for its environment.
    pub fn start(&self, environment: &[&str], settings: &[&str]) -> Child {
        let notify = format!("NOTIFY_SOCKET={}", self.path("notify").display());
        Child::under(&[&["env", &notify], environment].concat(), settings)
    }

    /// The next message.
    pub fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Waits for a message with this line.
    pub fn expect(&self, line: &str) -> String {
        loop {
            let message = self.next();
            if message.lines().any(|other| other == line) {
                return message;
            }
        }
    }
}
