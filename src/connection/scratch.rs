//! Buffers that belong to a thread: whichever connection it polls uses them,
//! and leaves them empty.

use crate::session::Batch;
use std::cell::RefCell;

/// Bytes that are read at once, beyond an unfinished line.
const READ_BYTES: usize = 32 * 1024;

/// What a connection needs while it is polled, and not in between.
#[derive(Default)]
pub(super) struct Scratch {
    /// What goes out.
    pub(super) batch: Batch,
    /// Many small pieces of it, copied together.
    pub(super) joined: Vec<u8>,
    read: Vec<u8>,
    /// The lines in what was read, where they come in frames.
    lines: Vec<u8>,
}

impl Scratch {
    /// A buffer for an unfinished line of up to `line_max` bytes and for what comes
    /// after it, and an empty one, for the lines that are found in it.
    pub(super) fn read_buffers(&mut self, line_max: usize) -> (&mut [u8], &mut Vec<u8>) {
        // Two more: a line's end may be CR LF.
        let len = line_max + 2 + READ_BYTES;
        if self.read.len() < len {
            self.read.resize(len, 0);
        }
        self.lines.clear();
        (&mut self.read, &mut self.lines)
    }
}

/// Lends this thread's buffers. Not to be called from within itself.
pub(super) fn with<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let done = work(scratch);
        // A connection that broke may have left what was for its client alone.
        // That must never go out on the next one.
        scratch.batch.discard();
        done
    })
}
