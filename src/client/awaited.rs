//! How long the results of a command may be waited for. They come with `done`, at
//! the latest when the command's time is over. But what the broker had written to a
//! connection that was lost is not told again, and a broker that was started anew
//! knows nothing of the commands of the one before: once a session has gone on,
//! `done` may be one that never comes.

use crate::request::{COMMAND_TIMEOUT, Request};
use crate::wire::text;
use std::time::{Duration, Instant};

/// How much later than the command's time is over its results may come.
const LATE: Duration = Duration::from_secs(5);

/// When the broker ends the command of this line, which it has just taken.
pub fn ends(line: &str) -> Instant {
    let timeout = match text::decode(line.as_bytes()) {
        Ok(Some(Request::Cmd { timeout, .. })) => timeout,
        _ => None,
    };
    let now = Instant::now();
    now.checked_add(timeout.unwrap_or(COMMAND_TIMEOUT)).unwrap_or(now + COMMAND_TIMEOUT)
}

/// When to give up the results of a command that ends then, now that the session
/// goes on.
pub fn given_up(ends: Instant) -> Instant {
    ends.max(Instant::now()) + LATE
}
