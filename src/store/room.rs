//! Whether there is room on the disk.

use std::fmt;
use std::io;
use std::path::Path;

/// At most one part in so many of a file system is kept free, whatever is asked
/// for: it may be small.
const PART_MAX: u64 = 10;

/// Room on the file system of the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The bytes that are free.
    pub free: u64,
    /// The bytes that are to stay free.
    pub margin: u64,
}

impl Room {
    /// Looks how much room there is, of which `margin` bytes are to stay free,
    /// or a tenth of the file system if that is less.
    ///
    /// # Errors
    /// What the system says.
    pub fn look(dir: &Path, margin: u64) -> io::Result<Room> {
        let figures = rustix::fs::statvfs(dir)?;
        let total = figures.f_blocks.saturating_mul(figures.f_frsize);
        let free = figures.f_bavail.saturating_mul(figures.f_frsize);
        Ok(Room { free, margin: margin.min(total / PART_MAX) })
    }

    /// Whether there is enough.
    pub fn is_enough(self) -> bool {
        self.free >= self.margin
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: u64 = 1024;
        let (free, margin) = (self.free / KIB, self.margin / KIB);
        write!(f, "{free} KiB are free on its disk, and {margin} KiB are to stay free")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_a_tenth_of_the_disk_at_most() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Room::look(dir.path(), 0).unwrap().is_enough());
        let all = Room::look(dir.path(), u64::MAX).unwrap();
        assert!(all.margin < u64::MAX / PART_MAX);
        assert!(Room::look(&dir.path().join("missing"), 0).is_err());
    }
}
