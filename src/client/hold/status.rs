//! What `hold` says on standard error: one line for each thing that happens.

use crate::client::cli::words::harmless;
use anstyle::{AnsiColor, Style};
use std::io::{self, Write};

/// Says one line; its first word in colour, on a terminal. If nobody can read it
/// there is nobody to tell.
fn say(style: Style, word: &str, rest: &str) {
    let mut stderr = anstream::AutoStream::auto(io::stderr());
    let gap = if word.is_empty() { "" } else { " " };
    let line = format!("broker-client: {style}{word}{style:#}{gap}{}\n", harmless(rest));
    let _ = stderr.write_all(line.as_bytes());
}

/// Not running, and why.
pub(super) fn waiting(rest: &str) {
    say(AnsiColor::Yellow.on_default(), "waiting", rest);
}

/// Running.
pub(super) fn running(rest: &str) {
    say(AnsiColor::Green.on_default().bold(), "running", rest);
}

/// The rank is lost, or the broker.
pub(super) fn lost(rest: &str) {
    say(AnsiColor::Red.on_default().bold(), "lost", rest);
}

/// The program has ended.
pub(super) fn ended(rest: &str) {
    say(Style::new().bold(), "ended", rest);
}

/// Anything else.
pub(super) fn note(text: &str) {
    say(Style::new(), "", text);
}
