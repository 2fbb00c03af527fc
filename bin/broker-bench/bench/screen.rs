//! Shows the progress on a terminal; nothing anywhere else.

use super::units::{SECOND, float, now, whole};
use std::cell::Cell;
use std::io::{IsTerminal, Write, stderr};

/// The time between two drawings: more often is only work.
const PAUSE_NS: u64 = SECOND / 10;
const BAR: usize = 30;

/// The last line of a terminal, or nothing.
pub struct Screen {
    is_on: bool,
    label: String,
    next: Cell<u64>,
    is_drawn: Cell<bool>,
}

impl Screen {
    /// On the standard error, if that is a terminal.
    pub fn of(label: &str) -> Self {
        // A terminal that cannot move its cursor gets no line that is drawn again.
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_on = stderr().is_terminal() && !is_dumb;
        let (next, is_drawn) = (Cell::new(0), Cell::new(false));
        let label = if label.is_empty() { String::new() } else { format!("{label} ") };
        Screen { is_on, label, next, is_drawn }
    }

    /// `done` of `all` is done, of this step.
    #[inline]
    pub fn show(&self, step: &str, done: u64, all: u64) {
        if self.is_on {
            self.draw(step, done, all);
        }
    }

    /// Leaves the line empty for what is to be said.
    pub fn clear(&self) {
        if self.is_drawn.take() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }

    #[cold]
    fn draw(&self, step: &str, done: u64, all: u64) {
        let now = now();
        if now < self.next.get() {
            return;
        }
        self.next.set(now + PAUSE_NS);
        self.is_drawn.set(true);
        let share = float(done.min(all)) / float(all.max(1));
        let full = usize::try_from(whole(share * 30.0)).unwrap_or(0).min(BAR);
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
        // A terminal that went away is no reason to stop measuring.
        let _ = write!(stderr(), "\r\x1b[K{}{bar} {:3.0} % {step}", self.label, share * 100.0);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}
