//! Entries in another form than the log's own.
//!
//! A chunk's bytes are the text dialect's. Members who speak otherwise get the
//! same entries in their own dialect's form, which is made once for all of
//! them, when the first one needs it, and kept beside the chunk. Who makes it
//! says how; the log only keeps it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// The entries of one chunk in another form: as many, in the same order.
#[derive(Debug)]
pub struct Form {
    bytes: Box<[u8]>,
    /// Where in `bytes` each entry ends; may be empty if there is only one.
    ends: Box<[u32]>,
    /// The log that the chunk is in has counted what this takes.
    counted: AtomicBool,
}

impl Form {
    /// These bytes, in which entries end at these places.
    pub fn new(bytes: Vec<u8>, ends: Vec<u32>) -> Self {
        Form {
            bytes: bytes.into_boxed_slice(),
            ends: ends.into_boxed_slice(),
            counted: AtomicBool::new(false),
        }
    }

    /// These of the chunk's entries, counted from 0.
    pub fn bytes(&self, entries: Range<usize>) -> &[u8] {
        self.bytes.get(self.start_of(entries.start)..self.start_of(entries.end)).unwrap_or_default()
    }

    /// Where the entry of this number begins; the end for one after the last.
    pub fn start_of(&self, entry: usize) -> usize {
        match entry.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).map_or(self.bytes.len(), |end| *end as usize),
        }
    }

    /// The number of the entry that holds the byte at this place.
    pub fn entry_at(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| *end as usize <= offset)
    }

    /// What it takes, in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + size_of_val(&*self.ends)
    }

    /// Whether a log has counted it.
    pub(super) fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Relaxed)
    }

    /// It is counted now; whether it was not before. To be called under the
    /// lock of the log that counts, which orders it.
    pub(super) fn count(&self) -> bool {
        !self.counted.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_number_and_by_place() {
        let form = Form::new(b"aabccc".to_vec(), vec![2, 3, 6]);
        assert_eq!([0, 1, 2, 3, 9].map(|entry| form.start_of(entry)), [0, 2, 3, 6, 6]);
        assert_eq!([0, 1, 2, 3, 5].map(|at| form.entry_at(at)), [0, 0, 1, 2, 2]);
        assert_eq!(form.bytes(1..3), b"bccc");
        assert_eq!(form.bytes(0..1), b"aa");
        assert_eq!(form.bytes(3..3), b"");
    }

    #[test]
    fn it_is_counted_once() {
        let form = Form::new(Vec::new(), Vec::new());
        assert!(!form.is_counted());
        assert_eq!([form.count(), form.count()], [true, false]);
        assert!(form.is_counted());
    }
}
