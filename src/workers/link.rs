//! The messages between broker and worker over the worker's standard input and
//! output, and their encoding. Pure, but for the writing.
//!
//! # Format
//! A message is its length in four bytes, the least significant first, and then
//! that many bytes, as `postcard` writes it. Both ends are the same program, so
//! there is no version in it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// The most bytes of a message: a result has a little over a million.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
const LENGTH_BYTES: usize = 4;

/// A job for a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The job's number.
    pub job: u64,
    /// Its verb.
    pub verb: String,
    /// Its task.
    pub task: Vec<u8>,
}

/// News of the job that a worker has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The job's number.
    pub job: u64,
    /// The news.
    pub news: News,
}

/// News of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// It has begun.
    Begun,
    /// How far it is.
    Progress(String),
    /// It is done, with this result.
    Done(String),
    /// It failed, for this reason.
    Failed(String),
}

/// Writes a message.
///
/// # Errors
/// As the output has them; and for a message that is too long, of which nothing is
/// written.
pub fn write(message: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    let mut bytes =
        postcard::to_extend(message, vec![0; LENGTH_BYTES]).map_err(io::Error::other)?;
    let length = bytes.len() - LENGTH_BYTES;
    if length > MESSAGE_BYTES_MAX {
        let text = format!("a message has at most {MESSAGE_BYTES_MAX} bytes, not {length}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let length = u32::try_from(length).map_err(io::Error::other)?;
    bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    out.write_all(&bytes)?;
    out.flush()
}

/// The bytes are no message: their sender is not to be listened to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not speak as a worker does")]
pub struct Nonsense;

/// Takes bytes as they come and cuts them into messages.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    taken: usize,
}

impl Messages {
    /// Appends bytes that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.taken));
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    ///
    /// # Errors
    /// [`Nonsense`].
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Nonsense> {
        let bytes = &self.bytes[self.taken..];
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(Nonsense);
        }
        let Some(message) = rest.get(..length) else { return Ok(None) };
        let (message, rest) = postcard::take_from_bytes(message).map_err(|_| Nonsense)?;
        self.taken += LENGTH_BYTES + length;
        if rest.is_empty() { Ok(Some(message)) } else { Err(Nonsense) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(messages: &[Report]) -> Vec<u8> {
        let mut out = Vec::new();
        for message in messages {
            write(message, &mut out).unwrap();
        }
        out
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Report>, Nonsense> {
        let (mut messages, mut found) = (Messages::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            messages.push(piece);
            while let Some(message) = messages.take()? {
                found.push(message);
            }
        }
        Ok(found)
    }

    fn reports() -> Vec<Report> {
        let text = || "ö".repeat(300);
        [News::Begun, News::Progress(text()), News::Done(String::new()), News::Failed(text())]
            .map(|news| Report { job: 300, news })
            .into()
    }

    #[test]
    fn messages_come_back_however_they_are_cut() {
        let bytes = written(&reports());
        for piece in [1, 2, 7, 1_000] {
            assert_eq!(read(&bytes, piece).as_ref(), Ok(&reports()));
        }
        assert_eq!(read(&bytes[..bytes.len() - 1], 9).unwrap().len(), 3);
    }

    #[test]
    fn the_longest_and_one_byte_more() {
        // The bytes of the number, the kind, and the length of the text.
        let around = 1 + 1 + 4;
        let report = |length| {
            let news = News::Done("x".repeat(length));
            Report { job: 1, news }
        };
        let longest = report(MESSAGE_BYTES_MAX - around);
        let bytes = written(std::slice::from_ref(&longest));
        assert_eq!(bytes.len(), LENGTH_BYTES + MESSAGE_BYTES_MAX);
        assert_eq!(read(&bytes, 65_536), Ok(vec![longest]));
        let mut out = Vec::new();
        assert!(write(&report(MESSAGE_BYTES_MAX - around + 1), &mut out).is_err());
        assert!(out.is_empty());
    }

    #[test]
    fn nonsense_is_known_as_such_before_it_is_kept() {
        for bytes in [&b"hello world"[..], b"\xff\xff\xff\xff", b"\x01\0\0\0\x01", b"\0\0\0\0"] {
            assert_eq!(read(bytes, 3), Err(Nonsense), "{bytes:?}");
        }
        let mut longer = written(&reports()[..1]);
        longer[0] += 1;
        longer.push(0);
        assert_eq!(read(&longer, 100), Err(Nonsense), "a byte too many");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let whole = read(&bytes, usize::MAX);
            prop_assert_eq!(&read(&bytes, 1), &whole);
        }
    }
}
