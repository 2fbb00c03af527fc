//! What is on disk, record by record.
//!
//! # Format
//! A record is one byte, the version of its format, and then the fields in
//! order as `postcard` writes them. Whoever changes a struct here that has been
//! released gives it the next version, and goes on reading the one before.

use crate::log::{Body, Chunk, ClientId, Forms};
use crate::roster::Change;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

/// A channel's number in the store, never used again for another one: not after
/// a restart either.
pub type ChannelId = u64;

/// The seqs that a channel whose entries are not kept may use before it has to ask
/// for more: so many that it can ask for the next long before it needs them.
pub const SEQS_RESERVED: u64 = 1 << 24;

/// The version of all formats below.
const VERSION: u8 = 1;

/// How a channel was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_unix_ms: i64,
    /// The most members and observers that it may have.
    pub members_max: Option<u32>,
    /// Entries to keep.
    pub history: Option<u64>,
    /// How long to keep them, in milliseconds.
    pub history_age_ms: Option<u64>,
    /// How many bytes of them to keep.
    pub history_bytes: Option<u64>,
    /// Whether its entries are on disk.
    pub durable: bool,
    /// How long the seat of a lost member counts, in milliseconds.
    pub hold_ms: u64,
    /// Whether such a seat is free only once the member's lease has run out.
    pub safe: bool,
}

/// Which entries of a channel are on disk. Of one that is not durable none are, and
/// the last seq is the last that it may use without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The seq of the first entry, or of the next one if there is none.
    pub first_seq: u64,
    /// The seq of the last entry.
    pub last_seq: u64,
    /// The number of the chunk that comes next.
    pub next_chunk: u64,
    /// What they take, in bytes, about.
    pub bytes: u64,
    /// When the first one was written, in milliseconds since 1970; about, where
    /// entries before it have been removed.
    pub first_unix_ms: i64,
}

impl Extent {
    /// The extent of a channel whose first seq will be the one after this.
    pub fn after(last_seq: u64) -> Self {
        Extent { first_seq: last_seq + 1, last_seq, next_chunk: 0, bytes: 0, first_unix_ms: 0 }
    }

    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        self.last_seq + 1 - self.first_seq
    }
}

/// A chunk. The seq of its first entry is in its key.
#[derive(Debug, Serialize, Deserialize)]
struct ChunkRecord<'a> {
    number: u64,
    author: ClientId,
    unix_ms: i64,
    body: Body,
    #[serde(serialize_with = "ends")]
    ends: Ends<'a>,
    #[serde(borrow, serialize_with = "whole")]
    bytes: &'a [u8],
}

/// The ends of a chunk's entries, borrowed when written and owned when read.
type Ends<'a> = std::borrow::Cow<'a, [u32]>;

fn ends<S: Serializer>(ends: &Ends<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    ends.serialize(serializer)
}

/// Writes the bytes in one piece rather than byte by byte.
fn whole<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// A change of the roster, beside the entry that tells it: rosters are folded
/// from these without reading all that lies between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// What changed.
    pub change: Change,
    /// The newcomer, if one came.
    pub who: Option<SeatRecord>,
}

/// A member or observer of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatRecord {
    /// The client's number.
    pub client: ClientId,
    /// The client's name.
    pub name: String,
    /// Its session, if it can be resumed.
    pub session: Option<[u8; 16]>,
    /// The seq at which it got its rank.
    pub term: u64,
    /// The seq at which it came.
    pub joined: u64,
    /// When it came, in milliseconds since 1970.
    pub since_unix_ms: i64,
    /// Whether it is without a rank.
    pub observer: bool,
}

/// Who was on a channel as of a seq: its members in rank order, then its
/// observers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterRecord {
    /// The seq of the entry as of which this holds.
    pub view: u64,
    /// Its seats.
    pub seats: Vec<SeatRecord>,
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a later version of this program.
    #[error("its format is version {0}, and this broker knows only {VERSION}")]
    Version(u8),
    /// Damaged.
    #[error("it cannot be decoded")]
    Damaged,
}

/// Encodes a record.
pub fn encode(record: &impl Serialize) -> Vec<u8> {
    // Encoding the records of this file cannot fail: no maps, no floats, no limit.
    postcard::to_extend(record, vec![VERSION]).unwrap_or_default()
}

/// Decodes a record.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    postcard::from_bytes(body(bytes)?).map_err(|_| Unreadable::Damaged)
}

fn body(bytes: &[u8]) -> Result<&[u8], Unreadable> {
    match bytes.split_first() {
        Some((&VERSION, body)) => Ok(body),
        Some((version, _)) => Err(Unreadable::Version(*version)),
        None => Err(Unreadable::Damaged),
    }
}

/// Encodes a chunk.
pub fn encode_chunk(number: u64, unix_ms: i64, chunk: &Chunk) -> Vec<u8> {
    let Chunk { author, body, bytes, ends, .. } = chunk;
    encode(&ChunkRecord {
        number,
        author: *author,
        unix_ms,
        body: *body,
        ends: Ends::Borrowed(ends),
        bytes,
    })
}

/// A chunk with its number and when it was written.
#[derive(Debug)]
pub struct StoredChunk {
    /// Its number.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub unix_ms: i64,
    /// The chunk.
    pub chunk: Chunk,
}

/// Decodes a chunk.
///
/// # Errors
/// [`Unreadable`], also for one whose entries cannot be told apart.
pub fn decode_chunk(first_seq: u64, bytes: &[u8]) -> Result<StoredChunk, Unreadable> {
    let record: ChunkRecord<'_> =
        postcard::from_bytes(body(bytes)?).map_err(|_| Unreadable::Damaged)?;
    let ends = record.ends.into_owned();
    let last_end = ends.last().is_none_or(|end| *end as usize == record.bytes.len());
    let ascends = ends.is_sorted_by(|a, b| a < b) && ends.first().is_none_or(|end| *end > 0);
    if record.bytes.last() != Some(&b'\n') || !last_end || !ascends || first_seq == 0 {
        return Err(Unreadable::Damaged);
    }
    let chunk = Chunk {
        first_seq,
        author: record.author,
        body: record.body,
        at_ms: 0,
        bytes: record.bytes.to_vec(),
        ends,
        forms: Forms::default(),
    };
    Ok(StoredChunk { number: record.number, unix_ms: record.unix_ms, chunk })
}

/// The key of a channel's row that has a seq.
pub fn key(channel: ChannelId, seq: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&channel.to_be_bytes());
    key[8..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// The channel and the seq of such a key; `None` if it is no such key.
pub fn split_key(key: &[u8]) -> Option<(ChannelId, u64)> {
    let (channel, seq) = key.split_at_checked(8)?;
    Some((u64::from_be_bytes(channel.try_into().ok()?), u64::from_be_bytes(seq.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk() -> Chunk {
        Chunk {
            first_seq: 7,
            author: 3,
            body: Body::Messages { json: false },
            at_ms: 5,
            bytes: b"msg a 7 x 1\nmsg a 8 x 2\n".to_vec(),
            ends: vec![12, 24],
            forms: Forms::default(),
        }
    }

    #[test]
    fn a_chunk_comes_back() {
        let bodies = [
            Body::Messages { json: true },
            Body::Command { rank: 4, to: Some(9) },
            Body::Change(Change::Move { old: 3, new: 1 }),
        ];
        for body in bodies {
            let before = Chunk { body, ..chunk() };
            let bytes = encode_chunk(11, 1_700_000_000_000, &before);
            let after = decode_chunk(7, &bytes).unwrap();
            assert_eq!((after.number, after.unix_ms), (11, 1_700_000_000_000));
            let after = after.chunk;
            assert_eq!((after.first_seq, after.author, after.body), (7, 3, body));
            assert_eq!((after.bytes, after.ends), (before.bytes, before.ends));
        }
    }

    #[test]
    fn a_later_version_and_damage_are_told_apart() {
        let mut bytes = encode_chunk(11, 0, &chunk());
        bytes[0] = 9;
        assert_eq!(decode_chunk(7, &bytes).unwrap_err(), Unreadable::Version(9));
        bytes[0] = VERSION;
        bytes.pop();
        assert_eq!(decode_chunk(7, &bytes).unwrap_err(), Unreadable::Damaged);
        assert_eq!(decode_chunk(7, &[]).unwrap_err(), Unreadable::Damaged);
    }

    proptest! {
        #[test]
        fn whatever_is_read_can_be_cut_into_entries(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            bytes.insert(0, VERSION);
            if let Ok(read) = decode_chunk(1, &bytes) {
                prop_assert!(read.chunk.entry_at(0).end <= read.chunk.bytes.len());
            }
            let _ = decode::<RosterRecord>(&bytes);
            let _ = decode::<ChannelRecord>(&bytes);
        }

        #[test]
        fn keys_stand_in_the_order_of_seqs(a in any::<(u64, u64)>(), b in any::<(u64, u64)>()) {
            prop_assert_eq!(a.cmp(&b), key(a.0, a.1).cmp(&key(b.0, b.1)));
            prop_assert_eq!(split_key(&key(a.0, a.1)), Some(a));
        }
    }
}
