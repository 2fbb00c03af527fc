//! How long to wait for the results of a command. They end with `done`, at the latest
//! when the command times out. But the broker does not repeat what it had written to a
//! connection that was lost, and a restarted broker knows nothing of earlier commands:
//! after a session was resumed, `done` may never come.

use crate::request::{COMMAND_TIMEOUT, Request};
use crate::wire::text;
use std::time::{Duration, Instant};

/// How much later than the command's timeout its results may arrive.
const LATE: Duration = Duration::from_secs(5);

/// Returns when the broker ends the command of this line, which it has just taken.
pub fn ends(line: &str) -> Instant {
    let timeout = match text::decode(line.as_bytes()) {
        Ok(Some(Request::Cmd { timeout, .. })) => timeout,
        _ => None,
    };
    let now = Instant::now();
    now.checked_add(timeout.unwrap_or(COMMAND_TIMEOUT)).unwrap_or(now + COMMAND_TIMEOUT)
}

/// Returns when to give up the results of a command that ends at `ends`, now that the
/// session was resumed.
pub fn given_up(ends: Instant) -> Instant {
    ends.max(Instant::now()) + LATE
}
