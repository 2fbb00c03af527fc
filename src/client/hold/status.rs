//! What `hold` says on standard error: one line for each thing that happens.

use crate::client::cli::words::harmless;
use crate::printed;
use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use std::io;

/// Says one line, in one piece, for the program may write to the same terminal; its
/// first word in colour, on a terminal.
fn say(style: Style, word: &str, rest: &str) {
    let gap = if word.is_empty() { "" } else { " " };
    let text = format!("broker-client: {style}{word}{style:#}{gap}{}", harmless(rest));
    match AutoStream::choice(&io::stderr()) {
        ColorChoice::Never => printed::line(strip_str(&text)),
        _ => printed::line(text),
    }
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
