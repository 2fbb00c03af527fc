//! What [`crate::bench::raw`] understands: no broker, only bytes that are
//! copied. A connection says what it is for and which channel it means, and is
//! answered with one byte; after that everything is copied as it is. A channel
//! has one publisher.

use super::{Event, Listener, Protocol, Role};

/// Begins the line of a publisher.
pub const PUBLISHER: u8 = b'P';
/// Begins the line of a subscriber.
pub const SUBSCRIBER: u8 = b'S';
/// The answer to either.
pub const ACCEPTED: u8 = b'K';
/// Bytes before each message: its length.
const LENGTH_BYTES: usize = 4;

/// One connection.
pub struct Raw {
    is_publisher: bool,
    is_accepted: bool,
}

impl Listener for Raw {
    fn new() -> Self {
        Raw { is_publisher: false, is_accepted: false }
    }

    fn greet(&mut self, role: &Role, out: &mut Vec<u8>) -> bool {
        let Role::Publisher(channel) = role else { return false };
        self.is_publisher = true;
        line(PUBLISHER, channel, out);
        true
    }

    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        line(SUBSCRIBER, channel, out);
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        if !self.is_accepted {
            bytes.first()?;
            self.is_accepted = true;
            return Some((1, if self.is_publisher { Event::Ready } else { Event::Subscribed }));
        }
        let (head, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u32::from_be_bytes(*head)).ok()?;
        Some((LENGTH_BYTES + length, Event::Message(rest.get(..length)?)))
    }
}

impl Protocol for Raw {
    const IS_BROKER: bool = false;

    fn publish(_: &str, payload: &[u8], out: &mut Vec<u8>) {
        // A payload is some bytes long, never four thousand millions.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(payload);
    }
}

fn line(role: u8, channel: &str, out: &mut Vec<u8>) {
    out.push(role);
    out.extend_from_slice(channel.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, written};
    use super::*;

    #[test]
    fn takes_messages_apart_also_its_own() {
        let mut bytes = vec![ACCEPTED];
        Raw::publish("c1", b"hello", &mut bytes);
        Raw::publish("c1", b"", &mut bytes);
        assert_eq!(found(Raw::new, &bytes), ["Subscribed", "Message(\"hello\")", "Message(\"\")"]);
    }

    #[test]
    fn says_what_it_is_for() {
        let said = written(|out| {
            assert!(!Raw::new().greet(&Role::Subscriber, out));
            Raw::new().subscribe("c1", out);
            assert!(Raw::new().greet(&Role::Publisher("c1".into()), out));
        });
        assert_eq!(said, "Sc1\nPc1\n");
    }
}
