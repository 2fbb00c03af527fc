//! The heads of HTTP answers, for what begins with one.

use super::number;
use memchr::{memchr, memmem};

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'b> {
    /// How many bytes it takes, the blank line behind it included.
    pub bytes: usize,
    /// 200, 404 …
    pub status: usize,
    /// Its first line.
    pub line: &'b [u8],
    /// How long the body is, if the head says so.
    pub body_bytes: usize,
}

/// The head at the front; `None` if it is not whole yet.
pub fn head(bytes: &[u8]) -> Option<Head<'_>> {
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let end = memmem::find(bytes, b"\r\n\r\n")?;
    let line = &bytes[..memchr(b'\r', bytes)?];
    let status = memchr(b' ', line).map_or(0, |blank| number(&line[blank + 1..]));
    // The broker writes the names of fields in lower case, as HTTP allows.
    let length = memmem::find(&bytes[..end], LENGTH);
    let body_bytes = length.map_or(0, |at| number(&bytes[at + LENGTH.len()..]));
    Some(Head { bytes: end + 4, status, line, body_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_a_blank_line() {
        let bytes = b"HTTP/1.1 201 Created\r\ncontent-length: 12\r\n\r\nrest";
        let line: &[u8] = b"HTTP/1.1 201 Created";
        let whole = Head { bytes: bytes.len() - 4, status: 201, line, body_bytes: 12 };
        assert_eq!(head(bytes), Some(whole));
        assert_eq!(head(&bytes[..bytes.len() - 5]), None);
        let without = head(b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\n\r\n");
        assert_eq!(without.map(|head| (head.status, head.body_bytes)), Some((101, 0)));
    }
}
