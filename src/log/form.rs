//! Entries in other forms than the log's own.
//!
//! A chunk's bytes are the text dialect's. Members who speak otherwise get the same
//! entries in their own dialect's form, which is made once for all of them, when
//! the first one needs it, and kept beside the chunk. Whoever needs a form says how
//! it is made ([`Maker`]); the log only keeps it.

use super::entry::Chunk;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The forms other than the log's own; each has its place beside a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// JSON objects, a line each.
    Json,
    /// The same in WebSocket messages.
    WebSocket,
    /// The same as Server-Sent Events.
    Events,
    /// Pushes of the Redis protocol, version 2.
    Resp2,
    /// Pushes of the Redis protocol, version 3.
    Resp3,
}

/// How many shapes there are.
const SHAPES: usize = Shape::Resp3 as usize + 1;

/// How a form is made.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    /// Which form it is.
    pub shape: Shape,
    /// Makes it.
    pub make: fn(&Chunk) -> Form,
}

/// The other forms of one chunk. As a rule there are none, and then this takes no
/// more than a pointer.
#[derive(Debug, Default)]
pub struct Forms(OnceLock<Box<Table>>);

type Table = [OnceLock<Box<Form>>; SHAPES];

impl Forms {
    /// The form of this shape, if it was made.
    pub fn get(&self, shape: Shape) -> Option<&Form> {
        self.0.get()?.get(shape as usize)?.get().map(|form| &**form)
    }

    /// Makes a form unless it exists already; returns whether it was made now.
    pub fn make(&self, maker: Maker, chunk: &Chunk) -> bool {
        let mut is_new = false;
        self.0.get_or_init(Box::default)[maker.shape as usize].get_or_init(|| {
            is_new = true;
            Box::new((maker.make)(chunk))
        });
        is_new
    }

    /// The weight of those forms that a log has counted, in bytes.
    pub(super) fn counted_weight(&self) -> usize {
        let made = self.0.get().into_iter().flat_map(|forms| forms.iter());
        let made = made.filter_map(OnceLock::get);
        made.filter(|form| form.is_counted()).map(|form| form.weight()).sum()
    }
}

/// The entries of one chunk in another form: as many, in the same order.
#[derive(Debug)]
pub struct Form {
    bytes: Box<[u8]>,
    /// Where in `bytes` each entry but the last one ends.
    ends: Box<[u32]>,
    /// Whether the chunk's log has counted the weight of this form.
    counted: AtomicBool,
}

impl Form {
    /// Builds the form of a chunk. `write` is given each entry's seq and line, and
    /// appends its form, which takes about `extra` bytes more than the line.
    pub fn of(
        chunk: &Chunk,
        extra: usize,
        mut write: impl FnMut(u64, &[u8], &mut Vec<u8>),
    ) -> Self {
        let mut bytes = Vec::with_capacity(chunk.bytes.len() + chunk.ends.len().max(1) * extra);
        let mut ends = Vec::with_capacity(chunk.ends.len().saturating_sub(1));
        for seq in chunk.first_seq..=chunk.last_seq() {
            if seq > chunk.first_seq {
                // A form is a few times as long as its text chunk, which is far
                // below 4 GiB.
                ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            }
            write(seq, chunk.line(seq), &mut bytes);
        }
        Form::new(bytes, ends)
    }

    /// A form with these bytes, in which each entry but the last one ends at one of
    /// `ends`.
    pub(super) fn new(bytes: Vec<u8>, ends: Vec<u32>) -> Self {
        Form {
            bytes: bytes.into_boxed_slice(),
            ends: ends.into_boxed_slice(),
            counted: AtomicBool::new(false),
        }
    }

    /// The bytes of these entries of the chunk, counted from 0.
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

    /// What it takes, in bytes, including the table that it is in.
    pub fn weight(&self) -> usize {
        size_of::<Table>() + size_of::<Self>() + self.bytes.len() + size_of_val(&*self.ends)
    }

    /// Whether a log has counted it.
    pub(super) fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Relaxed)
    }

    /// Marks it as counted; returns whether it was not before. To be called under
    /// the lock of the log that counts, which orders the calls.
    pub(super) fn count(&self) -> bool {
        !self.counted.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Body;

    #[test]
    fn entries_are_found_by_number_and_by_place() {
        let form = Form::new(b"aabccc".to_vec(), vec![2, 3]);
        assert_eq!([0, 1, 2, 3, 9].map(|entry| form.start_of(entry)), [0, 2, 3, 6, 6]);
        assert_eq!([0, 1, 2, 3, 5].map(|at| form.entry_at(at)), [0, 0, 1, 2, 2]);
        assert_eq!(form.bytes(1..3), b"bccc");
        assert_eq!(form.bytes(0..1), b"aa");
        assert_eq!(form.bytes(3..3), b"");
    }

    #[test]
    fn each_shape_is_made_once() {
        let chunk = Chunk {
            first_seq: 1,
            author: 1,
            body: Body::Messages { json: false },
            at_ms: 0,
            bytes: b"x\n".to_vec(),
            ends: Vec::new(),
            forms: Forms::default(),
        };
        let json = Maker { shape: Shape::Json, make: |_| Form::new(b"{}\n".to_vec(), Vec::new()) };
        let resp =
            Maker { shape: Shape::Resp2, make: |_| Form::new(b"*0\r\n".to_vec(), Vec::new()) };
        assert!(chunk.forms.get(Shape::Json).is_none());
        assert!(chunk.forms.make(json, &chunk));
        assert!(chunk.forms.get(Shape::Resp2).is_none());
        assert!(chunk.forms.make(resp, &chunk));
        assert!(!chunk.forms.make(json, &chunk));
        assert_eq!(chunk.forms.get(Shape::Json).unwrap().bytes(0..1), b"{}\n");
        assert_eq!(chunk.forms.get(Shape::Resp2).unwrap().bytes(0..1), b"*0\r\n");
    }

    #[test]
    fn it_is_counted_once() {
        let form = Form::new(Vec::new(), Vec::new());
        assert!(!form.is_counted());
        assert_eq!([form.count(), form.count()], [true, false]);
        assert!(form.is_counted());
    }
}
