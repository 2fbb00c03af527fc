//! Entries, and the chunks they are kept in.

use super::form::Forms;
use crate::payload::Payload;
use crate::roster::Change;
use std::ops::Range;

/// A client's number, never used again while the broker runs.
pub type ClientId = u64;

/// Why a member is no longer in the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Departure {
    /// Its client quit.
    Quit,
    /// Its connection closed.
    Lost,
    /// Nothing was heard of it for the idle timeout.
    Timeout,
    /// A member of higher rank removed it.
    Kicked,
    /// It unsubscribed.
    Unsub,
    /// The channel was removed.
    Dropped,
}

impl Departure {
    /// The reason as the wire says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Departure::Quit => "quit",
            Departure::Lost => "lost",
            Departure::Timeout => "timeout",
            Departure::Kicked => "kicked",
            Departure::Unsub => "unsub",
            Departure::Dropped => "dropped",
        }
    }
}

/// A command, as its recipients get it.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a [String],
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a> {
    /// The channel's name.
    pub channel: &'a str,
    /// The entry's seq; for several, that of the first.
    pub seq: u64,
}

/// How entries look on the wire.
pub trait Encode: Send + Sync {
    /// Appends consecutive messages to `bytes`, and to `ends` where in it each
    /// one ends.
    fn messages(
        &self,
        position: Position<'_>,
        from: &str,
        payloads: &[Payload<'_>],
        bytes: &mut Vec<u8>,
        ends: &mut Vec<u32>,
    );

    /// Appends a command from the member of this rank and term.
    fn command(
        &self,
        position: Position<'_>,
        from: &str,
        rank: u32,
        term: u64,
        command: Command<'_>,
        bytes: &mut Vec<u8>,
    );

    /// The payload of a message entry, as it was published.
    fn payload(&self, entry: &[u8]) -> Vec<u8>;

    /// Appends a change of the roster; `reason` goes with [`Change::Left`].
    fn change(
        &self,
        position: Position<'_>,
        member: &str,
        change: Change,
        reason: Option<Departure>,
        bytes: &mut Vec<u8>,
    );
}

/// What kind of entries a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Body {
    /// Messages, one or many.
    Messages {
        /// Whether they are JSON values rather than text.
        json: bool,
    },
    /// One command.
    Command {
        /// The rank of its sender, when it was sent.
        rank: u32,
        /// The only recipient, if it is not for all below the sender.
        to: Option<ClientId>,
    },
    /// One change of the roster.
    Change(Change),
}

impl Body {
    /// The name of such an entry, the same in every dialect.
    pub const fn kind(self) -> &'static str {
        match self {
            Body::Messages { .. } => "msg",
            Body::Command { .. } => "cmd",
            Body::Change(Change::Join { .. }) => "join",
            Body::Change(Change::Left { .. }) => "left",
            Body::Change(Change::Move { .. }) => "move",
        }
    }
}

/// What one append put into the log: consecutive entries of one author.
#[derive(Debug)]
pub struct Chunk {
    /// The seq of its first entry.
    pub first_seq: u64,
    /// The client that appended it.
    pub author: ClientId,
    /// What kind of entries it holds.
    pub body: Body,
    /// When it was appended, in milliseconds of the broker's clock.
    pub at_ms: u64,
    /// All its entries on the wire, one after the other.
    pub bytes: Vec<u8>,
    /// Where in `bytes` each entry ends; empty if there is only one.
    pub ends: Vec<u32>,
    /// The same entries in other dialects' forms, once somebody needs them.
    pub forms: Forms,
}

impl Chunk {
    /// How many entries it has; at least one.
    pub fn entries(&self) -> u64 {
        self.ends.len().max(1) as u64
    }

    /// The seq of its last entry.
    pub fn last_seq(&self) -> u64 {
        self.first_seq + self.entries() - 1
    }

    /// Where the entry with this seq begins: the chunk's end for a seq after its
    /// last one, its beginning for a seq before its first one.
    pub fn offset_of(&self, seq: u64) -> usize {
        match seq.saturating_sub(self.first_seq) {
            0 => 0,
            // An index into `ends` where the chunk has one, so it fits.
            after => usize::try_from(after - 1)
                .ok()
                .and_then(|at| self.ends.get(at))
                .map_or(self.bytes.len(), |end| *end as usize),
        }
    }

    /// The seq of the first entry that begins at or after this place.
    pub fn seq_at(&self, offset: usize) -> u64 {
        if self.ends.is_empty() {
            return self.first_seq + u64::from(offset > 0);
        }
        self.first_seq + self.entries_before(offset) as u64 + u64::from(!self.is_boundary(offset))
    }

    /// The entry that holds the byte at this place.
    pub fn entry_at(&self, offset: usize) -> Range<usize> {
        if self.ends.is_empty() {
            return 0..self.bytes.len();
        }
        let before = self.entries_before(offset);
        let start = if before == 0 { 0 } else { self.ends[before - 1] as usize };
        start..self.ends.get(before).map_or(self.bytes.len(), |end| *end as usize)
    }

    /// The entry with this seq, on the wire.
    pub fn line(&self, seq: u64) -> &[u8] {
        self.bytes.get(self.offset_of(seq)..self.offset_of(seq + 1)).unwrap_or_default()
    }

    /// The entries that begin in this part of its bytes, with their seqs.
    pub fn lines(&self, range: &Range<usize>) -> impl Iterator<Item = (u64, &[u8])> {
        (self.seq_at(range.start)..self.seq_at(range.end)).map(|seq| (seq, self.line(seq)))
    }

    /// Which of its entries, counted from 0, begin in this part of its bytes.
    pub fn entries_in(&self, range: &Range<usize>) -> Range<usize> {
        let number = |offset| usize::try_from(self.seq_at(offset) - self.first_seq).unwrap_or(0);
        number(range.start)..number(range.end)
    }

    /// What it takes of the log's bounded memory, in bytes, including those of its
    /// other forms that the log has counted.
    pub fn weight(&self) -> usize {
        size_of::<Self>()
            + self.bytes.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.forms.counted_weight()
    }

    /// How many entries end at or before this place.
    fn entries_before(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| *end as usize <= offset)
    }

    fn is_boundary(&self, offset: usize) -> bool {
        offset == 0 || self.ends.binary_search_by(|end| (*end as usize).cmp(&offset)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_entries_by_seq_and_by_place() {
        let chunk = Chunk {
            first_seq: 7,
            author: 1,
            body: Body::Messages { json: false },
            at_ms: 0,
            bytes: b"a\nbb\nccc\n".to_vec(),
            ends: vec![2, 5, 9],
            forms: Forms::default(),
        };
        assert_eq!((chunk.entries(), chunk.last_seq()), (3, 9));
        assert_eq!([6, 7, 8, 9, 10, 99].map(|seq| chunk.offset_of(seq)), [0, 0, 2, 5, 9, 9]);
        assert_eq!([0, 1, 2, 4, 5, 9].map(|at| chunk.seq_at(at)), [7, 8, 8, 9, 9, 10]);
        assert_eq!([0, 2, 4, 8].map(|at| chunk.entry_at(at)), [0..2, 2..5, 2..5, 5..9]);
        assert_eq!([0..2, 2..9, 9..9].map(|range| chunk.entries_in(&range)), [0..1, 1..3, 3..3]);
        assert_eq!([6, 7, 9, 10].map(|seq| chunk.line(seq)), [&b""[..], b"a\n", b"ccc\n", b""]);
        assert!(chunk.lines(&(2..9)).eq([(8, &b"bb\n"[..]), (9, b"ccc\n")]));
        assert_eq!(chunk.lines(&(9..9)).count(), 0);
        let one = Chunk { ends: Vec::new(), bytes: b"abc\n".to_vec(), ..chunk };
        assert!(one.lines(&(0..4)).eq([(7, &b"abc\n"[..])]));
        assert_eq!(one.lines(&(4..4)).count(), 0);
        assert_eq!([0..4, 4..4].map(|range| one.entries_in(&range)), [0..1, 1..1]);
        assert_eq!((one.entries(), one.last_seq()), (1, 7));
        assert_eq!([6, 7, 8].map(|seq| one.offset_of(seq)), [0, 0, 4]);
        assert_eq!([0, 2, 4].map(|at| one.seq_at(at)), [7, 8, 8]);
        assert_eq!(one.entry_at(2), 0..4);
    }
}
