//! The limit of the process on the size of files: a write beyond it fails, like one
//! to a full disk.

use signal_hook::consts::SIGXFSZ;
use std::io;
use std::sync::Arc;

/// Makes such a write fail from now on; otherwise a signal (SIGXFSZ) ends the
/// process without a word. Programs that this one starts get the signal as before.
///
/// # Errors
/// The system's, if it does not know the signal.
pub fn fail_beyond_limit() -> io::Result<()> {
    // The signal need not be noted: the write that failed reports it.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}
