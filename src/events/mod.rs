//! The broker's log, one line for each event:
//! `event=closed addr=127.0.0.1:40312 … reason=quit`.
//!
//! Code that has something to log uses the macros of the `log` crate and goes on. A
//! thread of its own (`writer`) puts the lines into the form that was asked for
//! (`form`), counts repeated ones (`repeats`) and writes them, so that nobody waits
//! for a slow reader; the lines that wait for it (`queue`) have a limit.
//! `docs/operations.md` lists every event.

mod fields;
mod form;
mod queue;
mod repeats;
mod writer;

use crate::config::LogFormat;
use env_filter::Filter;
use form::Form;
use jiff::Timestamp;
use log::{Level, LevelFilter, Log, Metadata, Record};
use queue::Queue;
use std::io;
use std::panic;
use std::sync::Arc;
use std::time::Duration;

/// How long the end of the process waits for its last lines to be written.
const FLUSH: Duration = Duration::from_secs(2);

/// The crates whose lines are the broker's own events.
const OWN: [&str; 2] = ["broker", "ranked_broker"];

/// A line that waits to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    at: Timestamp,
    level: Level,
    /// `event=name` and fields as `key=value`; a value with blanks is quoted, as by
    /// `{:?}`.
    text: String,
}

/// Writes events to standard error from now on, in this format. `RUST_LOG` filters
/// them (default: info and above; the storage engine's own only if they are
/// warnings, or if it is named: `RUST_LOG=info,fjall=info`).
///
/// # Errors
/// If no thread can start, or a logger has been set already.
pub fn start(format: LogFormat) -> io::Result<()> {
    let chosen = std::env::var("RUST_LOG").ok().filter(|chosen| !chosen.is_empty());
    let filter = env_filter::Builder::new()
        .filter_module("fjall", LevelFilter::Warn)
        .filter_module("lsm_tree", LevelFilter::Warn)
        .parse(chosen.as_deref().unwrap_or("info"))
        .build();
    let queue = Arc::new(Queue::default());
    writer::start(queue.clone(), Form::of_stderr(format))?;
    let most = filter.filter();
    log::set_boxed_logger(Box::new(Logger { filter, queue })).map_err(io::Error::other)?;
    log::set_max_level(most);
    flush_before_panics();
    Ok(())
}

/// Waits until all lines so far are written, but not for ever. The process may end
/// then.
pub fn flush() {
    log::logger().flush();
}

/// Flushes before a panic ends the process, because the lines before it tell why.
fn flush_before_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        flush();
        before(info);
    }));
}

struct Logger {
    filter: Filter,
    queue: Arc<Queue>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.matches(record) {
            return;
        }
        let mut text = record.args().to_string();
        let name = record.target().split("::").next().unwrap_or_default();
        if !OWN.contains(&name) {
            text = format!("event=library name={} text={text:?}", record.target());
        }
        self.queue.put(Line { at: Timestamp::now(), level: record.level(), text });
    }

    fn flush(&self) {
        self.queue.flush(FLUSH);
    }
}
