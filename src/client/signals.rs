//! The signals that the program handles.

use async_signal::{Signal, Signals};
use std::io;

/// Listens to these signals, except those that the process was started to ignore, as
/// `nohup` does with `SIGHUP`.
///
/// # Errors
/// Those of the system.
pub fn listen(wanted: impl IntoIterator<Item = Signal>) -> io::Result<Signals> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = ignored(&status);
    Signals::new(wanted.into_iter().filter(|signal| (mask >> (*signal as i32 - 1)) & 1 == 0))
}

/// Returns the mask of ignored signals in a `/proc/PID/status` of Linux; its lowest bit
/// is signal 1.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read() {
        assert_eq!(ignored("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"), 0x1001);
        for other in ["", "SigIgn:\n", "SigIgn:\tmany\n"] {
            assert_eq!(ignored(other), 0, "{other:?}");
        }
    }
}
