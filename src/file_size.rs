//! How large a file may become is a limit of the process: a write beyond it fails,
//! as one to a disk that is full does.

use signal_hook::consts::SIGXFSZ;
use std::io;
use std::sync::Arc;

/// From here on such a write fails, where otherwise a signal ends the process without
/// a word. Programs that are started have that signal as it was.
///
/// # Errors
/// The system's, if it does not know the signal.
pub fn fail_beyond_limit() -> io::Result<()> {
    // That it came is known by the write that failed.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}
