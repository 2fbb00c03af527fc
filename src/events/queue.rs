//! The lines that wait to be written.

use super::Line;
use crate::sync::lock;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most bytes that wait. A line that says how a connection ended takes some
/// 200, and all connections of a broker may end at once. The reader of the lines
/// may be slow, but nobody waits for it.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long the writer waits for more after a line has come. To wake it for each
/// line would cost more than all the rest, while connections come and go.
const GATHER: Duration = Duration::from_millis(20);

/// About how many bytes a line takes besides its text.
const LINE_BYTES: usize = 64;

/// Taken on their way to the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    bytes: usize,
    /// How many lines there was no room for, since the last batch.
    lost: u64,
    /// Whether the writer waits for lines.
    idle: bool,
    /// The number of the last flush that was asked for, and of the last that is
    /// done.
    asked: u64,
    done: u64,
}

/// A batch for the writer.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) lines: Vec<Line>,
    /// How many lines after these there was no room for.
    pub(super) lost: u64,
    /// The flush that somebody waits for, if any; to be reported to
    /// [`Queue::done`].
    pub(super) flush: Option<u64>,
}

impl Queue {
    /// Adds a line; never waits.
    pub(super) fn put(&self, line: Line) {
        let mut state = lock(&self.state);
        let bytes = line.text.len() + LINE_BYTES;
        if state.bytes + bytes > BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.bytes += bytes;
        state.lines.push(line);
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        if idle {
            self.filled.notify_one();
        }
    }

    /// Waits for lines until this moment, and a little longer for those right
    /// behind them. There may be none.
    pub(super) fn take(&self, until: Option<Instant>) -> Taken {
        let mut state = lock(&self.state);
        while state.lines.is_empty() && state.asked == state.done {
            state.idle = true;
            let Some(until) = until else {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.idle = false;
        let nobody_waits = |state: &mut State| state.asked == state.done;
        let gathered = self.filled.wait_timeout_while(state, GATHER, nobody_waits);
        state = gathered.unwrap_or_else(PoisonError::into_inner).0;
        state.bytes = 0;
        Taken {
            lines: std::mem::take(&mut state.lines),
            lost: std::mem::take(&mut state.lost),
            flush: (state.asked != state.done).then_some(state.asked),
        }
    }

    /// Reports that all lines from before this flush are written.
    pub(super) fn done(&self, flush: u64) {
        lock(&self.state).done = flush;
        self.written.notify_all();
    }

    /// Waits until all lines so far are written, but no longer than this.
    pub(super) fn flush(&self, longest: Duration) {
        let mut state = lock(&self.state);
        state.asked += 1;
        let own = state.asked;
        state.idle = false;
        self.filled.notify_one();
        let waited = self.written.wait_timeout_while(state, longest, |state| state.done < own);
        drop(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use log::Level;

    fn line(text: String) -> Line {
        Line { at: Timestamp::UNIX_EPOCH, level: Level::Info, text }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_next_fits_again() {
        let queue = Queue::default();
        let half = "x".repeat(BYTES_MAX / 2 - LINE_BYTES);
        for _ in 0..2 {
            queue.put(line(half.clone()));
        }
        queue.put(line(String::new()));
        let batch = queue.take(None);
        assert_eq!((batch.lines.len(), batch.lost), (2, 1));
        queue.put(line("next".into()));
        let batch = queue.take(None);
        assert_eq!((batch.lines.len(), batch.lost), (1, 0));
    }

    #[test]
    fn it_waits_for_lines_no_longer_than_asked() {
        let queue = Queue::default();
        assert!(queue.take(Some(Instant::now())).lines.is_empty());
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| queue.take(None).lines.len());
            queue.put(line(String::new()));
            assert_eq!(taking.join().unwrap(), 1);
        });
    }

    #[test]
    fn a_flush_waits_for_the_writer_but_not_for_ever() {
        let queue = Queue::default();
        queue.flush(Duration::from_millis(1));
        std::thread::scope(|scope| {
            scope.spawn(|| queue.flush(Duration::from_secs(3600)));
            loop {
                let batch = queue.take(Some(Instant::now()));
                if let Some(flush @ 2..) = batch.flush {
                    break queue.done(flush);
                }
            }
        });
    }
}
