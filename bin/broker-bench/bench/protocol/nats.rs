//! NATS: the text protocol of its core. Each greeting and each subscription is
//! followed by a PING, so that the broker's PONG confirms it.

use super::{Event, Listener, Protocol, Role, number};
use memchr::{memchr, memrchr};

/// One connection.
pub struct Nats {
    is_ready: bool,
    subscriptions: u32,
}

impl Listener for Nats {
    fn new() -> Self {
        Nats { is_ready: false, subscriptions: 0 }
    }

    fn greet(&mut self, _: &Role, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
        true
    }

    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        self.subscriptions += 1;
        let number = self.subscriptions;
        out.extend_from_slice(format!("SUB {channel} {number}\r\nPING\r\n").as_bytes());
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        let end = memchr(b'\n', bytes)?;
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        if line.starts_with(b"MSG ") {
            // MSG SUBJECT ID LENGTH
            let length = memrchr(b' ', line).map_or(0, |blank| number(&line[blank + 1..]));
            let payload = bytes.get(end + 1..)?.get(..length)?;
            let whole = end + 1 + length + 2;
            return (bytes.len() >= whole).then_some((whole, Event::Message(payload)));
        }
        let event = match line {
            b"PING" => Event::Reply(b"PONG\r\n"),
            b"PONG" if self.is_ready => Event::Subscribed,
            b"PONG" => {
                self.is_ready = true;
                Event::Ready
            }
            [b'-', ..] => Event::Complaint(line),
            _ => Event::Other, // INFO
        };
        Some((end + 1, event))
    }
}

impl Protocol for Nats {
    fn publish(channel: &str, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(format!("PUB {channel} {}\r\n", payload.len()).as_bytes());
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, written};
    use super::*;

    #[test]
    fn writes_requests() {
        let said = written(|out| {
            let mut nats = Nats::new();
            nats.subscribe("c1", out);
            nats.subscribe("c2", out);
            Nats::publish("c1", b"hello", out);
        });
        assert_eq!(said, "SUB c1 1\r\nPING\r\nSUB c2 2\r\nPING\r\nPUB c1 5\r\nhello\r\n");
    }

    #[test]
    fn takes_lines_and_messages_apart() {
        let bytes = b"INFO {}\r\nPONG\r\nPONG\r\nMSG c1 1 5\r\nhello\r\nPING\r\nMSG c1 1 0\r\n\r\n-ERR 'no'\r\n";
        assert_eq!(
            found(Nats::new, bytes),
            [
                "Ready",
                "Subscribed",
                "Message(\"hello\")",
                "Reply(\"PONG\\r\\n\")",
                "Message(\"\")",
                "Complaint(\"-ERR 'no'\")"
            ]
        );
    }
}
