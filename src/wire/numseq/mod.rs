//! The number-sequence dialect: `TYPE,content;` in both directions, without
//! line ends. Pure; any split of the bytes gives the same messages.

mod answer;
mod message;

pub use answer::{Answer, Heard};
pub use message::Message;

/// The most bytes in a client's message, without its `;`. The longest that means
/// anything, an INIT with a UUID in its longest form, has half of that.
pub const MESSAGE_BYTES_MAX: usize = 128;

/// The end of every message.
const END: u8 = b';';

/// Takes bytes as they come and cuts them into messages.
#[derive(Debug)]
pub struct Messages {
    /// The beginning of a message whose end has yet to come.
    unfinished: Vec<u8>,
    bytes_max: usize,
    /// Whether the rest of a message that was too long is being skipped.
    skipping: bool,
}

impl Messages {
    /// For messages of at most `bytes_max` bytes, without their ends.
    pub fn new(bytes_max: usize) -> Self {
        Messages { unfinished: Vec::new(), bytes_max, skipping: false }
    }

    /// The next whole message, without its end; takes what it used off the
    /// front of `bytes`. `None` if there is none yet: then all were taken.
    ///
    /// # Errors
    /// [`TooLong`], once for each such message, as soon as it is known.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Result<Vec<u8>, TooLong>> {
        if self.skipping {
            let end = memchr::memchr(END, bytes);
            *bytes = end.map_or(&[], |end| &bytes[end + 1..]);
            end?;
            self.skipping = false;
        }
        if self.unfinished.is_empty() {
            // People type messages each on a line of its own.
            *bytes = bytes.trim_ascii_start();
        }
        let end = memchr::memchr(END, bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        if self.unfinished.len() + part.len() > self.bytes_max {
            self.unfinished = Vec::new();
            self.skipping = end.is_none();
            *bytes = end.map_or(&[], |end| &bytes[end + 1..]);
            return Some(Err(TooLong));
        }
        self.unfinished.extend_from_slice(part);
        *bytes = end.map_or(&[], |end| &bytes[end + 1..]);
        end.map(|_| Ok(std::mem::take(&mut self.unfinished)))
    }

    /// Whether a message has begun, and not ended.
    pub fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }
}

/// A message is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], piece: usize) -> (Vec<Result<Vec<u8>, TooLong>>, bool) {
        let (mut found, mut messages) = (Vec::new(), Messages::new(8));
        for mut piece in bytes.chunks(piece) {
            while let Some(message) = messages.next(&mut piece) {
                found.push(message);
            }
            assert!(piece.is_empty());
        }
        (found, messages.is_unfinished())
    }

    #[test]
    fn at_the_limit_and_one_past_it() {
        let whole = |text: &str| Ok(text.as_bytes().to_vec());
        let bytes = b"FIN;12345678;123456789;a;\r\n b;;x";
        let expected = [whole("FIN"), whole("12345678"), Err(TooLong), whole("a"), whole("b")];
        for piece in [1, 3, 100] {
            let (found, is_unfinished) = all(bytes, piece);
            assert_eq!(found, [&expected[..], &[whole("")]].concat());
            assert!(is_unfinished);
        }
        // One without an end is complained of once, and what follows it lives.
        assert_eq!(all(&[b'x'; 1000], 7), (vec![Err(TooLong)], false));
        let mut endless = vec![b'x'; 1000];
        endless.extend_from_slice(b";FIN;");
        assert_eq!(all(&endless, 7).0, [Err(TooLong), whole("FIN")]);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(bytes in "[a;\n ]{0,60}", piece in 1_usize..20) {
            prop_assert_eq!(all(bytes.as_bytes(), piece), all(bytes.as_bytes(), 100));
        }
    }
}
