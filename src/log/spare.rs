//! Memory of chunks that are gone, reused for new ones.
//!
//! A busy channel appends a chunk of some ten KiB for each read of its publisher,
//! and drops it a moment later. Left to the allocator, such memory goes back to
//! the system each time, to be asked for and filled with zeros again page by page:
//! a tenth of the CPU time of a message from one to one.
//!
//! Spare memory belongs to the thread, as the other buffers do
//! (`connection/scratch.rs`).

use std::cell::RefCell;

/// Smaller buffers are not kept: the allocator has such memory at hand by itself.
const SPARE_MIN: usize = 4 * 1024;
/// How many bytes a thread keeps at most: as many as one publisher may have on
/// their way to members that read.
const SPARES_BYTES_MAX: usize = 1024 * 1024;

/// Unused memory of one thread.
#[derive(Default)]
struct Spares {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

thread_local! {
    static SPARES: RefCell<Spares> = RefCell::default();
}

/// Returns an empty buffer with room for `len` bytes, and not much more than that:
/// what is put into it may be kept for long.
pub fn with_room(len: usize) -> Vec<u8> {
    let spare =
        if len < SPARE_MIN { None } else { SPARES.with_borrow_mut(|spares| spares.take(len)) };
    spare.unwrap_or_else(|| Vec::with_capacity(len))
}

/// Keeps a buffer that nobody needs any more, for reuse.
pub(super) fn give(buffer: Vec<u8>) {
    if buffer.capacity() >= SPARE_MIN {
        SPARES.with_borrow_mut(|spares| spares.put(buffer));
    }
}

impl Spares {
    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (len..=len + len / 4).contains(&buffer.capacity());
        let at = self.buffers.iter().rposition(fits)?;
        let buffer = self.buffers.swap_remove(at);
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    fn put(&mut self, mut buffer: Vec<u8>) {
        if self.bytes + buffer.capacity() > SPARES_BYTES_MAX {
            // Begin anew: perhaps none of the spares has a size that is in use now.
            *self = Spares::default();
        }
        if buffer.capacity() <= SPARES_BYTES_MAX {
            buffer.clear();
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_where_it_fits() {
        let first = with_room(10_000);
        let place = first.as_ptr();
        give(first);
        let (too_large, too_small) = (with_room(11_000), with_room(5_000));
        assert!(too_large.as_ptr() != place && too_small.as_ptr() != place);
        let again = with_room(9_000);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        for buffer in (0..100).map(|_| with_room(100_000)).collect::<Vec<_>>() {
            give(buffer);
        }
        give(Vec::with_capacity(2 * SPARES_BYTES_MAX));
        SPARES.with_borrow(|spares| {
            assert!(spares.bytes <= SPARES_BYTES_MAX);
            let bytes: usize = spares.buffers.iter().map(Vec::capacity).sum();
            assert_eq!(bytes, spares.bytes);
        });
    }
}
