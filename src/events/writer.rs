//! The thread that writes.

use super::Line;
use super::form::Form;
use super::queue::Queue;
use super::repeats::Repeats;
use jiff::Timestamp;
use log::Level;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// About how many bytes one write takes: the first lines should be readable soon.
const WRITE_BYTES: usize = 64 * 1024;

/// Starts the thread. It runs until the process ends.
pub(super) fn start(queue: Arc<Queue>, form: Form) -> io::Result<()> {
    thread::Builder::new().name("events".into()).spawn(move || run(&queue, form))?;
    Ok(())
}

fn run(queue: &Queue, form: Form) {
    let mut repeats = Repeats::default();
    let mut out = String::new();
    loop {
        let batch = queue.take(repeats.next());
        let now = Instant::now();
        for line in batch.lines {
            for line in repeats.see(line, now).into_iter().flatten() {
                form.write(&line, &mut out);
            }
            if out.len() >= WRITE_BYTES {
                write_out(&mut out);
            }
        }
        while let Some(line) = repeats.due(now) {
            form.write(&line, &mut out);
        }
        if batch.lost > 0 {
            form.write(&lost(batch.lost), &mut out);
        }
        if batch.flush.is_some() {
            repeats.all().for_each(|line| form.write(&line, &mut out));
        }
        write_out(&mut out);
        if let Some(flush) = batch.flush {
            queue.done(flush);
        }
    }
}

fn write_out(out: &mut String) {
    // If nobody can read it, nobody can be told.
    let _ = io::stderr().write_all(out.as_bytes());
    out.clear();
    out.shrink_to(WRITE_BYTES);
}

fn lost(lines: u64) -> Line {
    let advice = "whoever reads the log is too slow";
    let text = format!("event=log-lines-lost lines={lines} advice={advice:?}");
    Line { at: Timestamp::now(), level: Level::Warn, text }
}
