//! Redis and Valkey: publish and subscribe over RESP 2 and, for a member, RESP 3.

use super::{Event, Listener, Protocol, Role, number};
use memchr::memchr;

/// How every message begins, behind the `*` of an array, or in version 3 the `>` of a
/// push.
const MESSAGE: &[u8] = b"3\r\n$7\r\nmessage\r\n$";
const SUBSCRIBED: &[u8] = b"3\r\n$9\r\nsubscribe\r\n";

/// One connection.
pub struct Resp;

impl Listener for Resp {
    fn new() -> Self {
        Resp
    }

    fn greet(&mut self, _: &Role, _: &mut Vec<u8>) -> bool {
        false
    }

    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        let length = channel.len();
        let request = format!("*2\r\n$9\r\nSUBSCRIBE\r\n${length}\r\n{channel}\r\n");
        out.extend_from_slice(request.as_bytes());
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        if bytes.get(1..)?.starts_with(MESSAGE) {
            let (_, at) = text(bytes, MESSAGE.len())?;
            let (payload, at) = text(bytes, at)?;
            return Some((at, Event::Message(payload)));
        }
        other(bytes)
    }
}

impl Protocol for Resp {
    fn publish(channel: &str, payload: &[u8], out: &mut Vec<u8>) {
        let (name, length) = (channel.len(), payload.len());
        let head = format!("*3\r\n$7\r\nPUBLISH\r\n${name}\r\n{channel}\r\n${length}\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }
}

/// A member that speaks version 3.
pub struct Resp3(Resp);

impl Listener for Resp3 {
    fn new() -> Self {
        Resp3(Resp)
    }

    fn greet(&mut self, _: &Role, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
        true
    }

    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        self.0.subscribe(channel, out);
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        self.0.next(bytes)
    }
}

/// The text `$LENGTH\r\n…\r\n` that begins at `at`, and where it ends.
#[inline]
fn text(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let start = line_end(bytes, at)?;
    let end = start + number(&bytes[at + 1..]);
    (bytes.len() >= end + 2).then(|| (&bytes[start..end], end + 2))
}

/// Where the line begins that follows the one that `at` is in.
#[inline]
fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    Some(at + memchr(b'\n', bytes.get(at..)?)? + 1)
}

#[cold]
fn other(bytes: &[u8]) -> Option<(usize, Event<'_>)> {
    let mut at = line_end(bytes, 0)?;
    let event = match bytes[0] {
        b'-' => Event::Complaint(bytes[..at].trim_ascii_end()),
        kind @ (b'*' | b'>' | b'%') => {
            let is_map = kind == b'%';
            let each = if is_map { 2 } else { 1 };
            for _ in 0..number(&bytes[1..]).saturating_mul(each) {
                at = match *bytes.get(at)? {
                    b'$' => text(bytes, at)?.1,
                    _ => line_end(bytes, at)?,
                };
            }
            if is_map {
                Event::Ready // the only one is the answer to HELLO
            } else if bytes[1..].starts_with(SUBSCRIBED) {
                Event::Subscribed
            } else {
                Event::Other
            }
        }
        _ => Event::Other, // how many got a message, OK
    };
    Some((at, event))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, written};
    use super::*;

    #[test]
    fn writes_requests() {
        let said = written(|out| {
            Resp.subscribe("c1", out);
            Resp::publish("c1", b"hello", out);
        });
        assert_eq!(
            said,
            "*2\r\n$9\r\nSUBSCRIBE\r\n$2\r\nc1\r\n*3\r\n$7\r\nPUBLISH\r\n$2\r\nc1\r\n$5\r\nhello\r\n"
        );
    }

    #[test]
    fn takes_replies_and_messages_apart() {
        let bytes = b"*3\r\n$9\r\nsubscribe\r\n$2\r\nc1\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$2\r\nc1\r\n$5\r\nhello\r\n\
            :10\r\n+OK\r\n*3\r\n$7\r\nmessage\r\n$2\r\nc1\r\n$0\r\n\r\n-ERR no\r\n";
        assert_eq!(
            found(|| Resp, bytes),
            ["Subscribed", "Message(\"hello\")", "Message(\"\")", "Complaint(\"-ERR no\")"]
        );
    }

    #[test]
    fn version_3_is_greeted_and_pushes() {
        let greeting = written(|out| assert!(Resp3::new().greet(&Role::Subscriber, out)));
        assert_eq!(greeting, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
        let bytes = b"%2\r\n$5\r\nproto\r\n:3\r\n$7\r\nmodules\r\n*0\r\n\
            >3\r\n$9\r\nsubscribe\r\n$2\r\nc1\r\n:1\r\n\
            >3\r\n$7\r\nmessage\r\n$2\r\nc1\r\n$5\r\nhello\r\n";
        assert_eq!(found(Resp3::new, bytes), ["Ready", "Subscribed", "Message(\"hello\")"]);
    }
}
