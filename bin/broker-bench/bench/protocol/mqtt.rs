//! MQTT 3.1.1 with `QoS` 0 and without keep-alive.

use super::{Event, Listener, Protocol, Role};
use std::sync::atomic::{AtomicU32, Ordering};

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const DISCONNECT: u8 = 0xE0;
/// The length of a packet takes four bytes at most.
const LENGTH_BYTES_MAX: usize = 4;

/// One connection.
pub struct Mqtt {
    packet: u16,
}

impl Listener for Mqtt {
    fn new() -> Self {
        Mqtt { packet: 0 }
    }

    fn greet(&mut self, _: &Role, out: &mut Vec<u8>) -> bool {
        // Every client has an identifier of its own.
        static CLIENTS: AtomicU32 = AtomicU32::new(0);
        let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("b{}-{number}", std::process::id());
        begin(CONNECT, 10 + 2 + name.len(), out);
        text("MQTT", out);
        // Version 3.1.1, a clean session, no keep-alive.
        out.extend_from_slice(&[4, 2, 0, 0]);
        text(&name, out);
        true
    }

    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        // A packet's number is never 0.
        self.packet = self.packet % u16::MAX + 1;
        begin(SUBSCRIBE, 2 + 2 + channel.len() + 1, out);
        out.extend_from_slice(&self.packet.to_be_bytes());
        text(channel, out);
        out.push(0);
    }

    fn leave(&self, out: &mut Vec<u8>) {
        begin(DISCONNECT, 0, out);
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        let (start, length) = length(bytes)?;
        let packet = bytes.get(start..start + length)?;
        let event = match (bytes[0] & 0xF0, packet) {
            (PUBLISH, [high, low, rest @ ..]) => {
                let topic = usize::from(u16::from_be_bytes([*high, *low]));
                Event::Message(rest.get(topic..).unwrap_or_default())
            }
            (CONNACK, [_, 0]) => Event::Ready,
            (SUBACK, [_, _, 0]) => Event::Subscribed,
            (CONNACK | SUBACK, _) => Event::Complaint(b"a connection or subscription is refused"),
            _ => Event::Other,
        };
        Some((start + length, event))
    }
}

impl Protocol for Mqtt {
    fn publish(channel: &str, payload: &[u8], out: &mut Vec<u8>) {
        begin(PUBLISH, 2 + channel.len() + payload.len(), out);
        text(channel, out);
        out.extend_from_slice(payload);
    }
}

/// Where a packet's contents begin, and how long they are.
#[inline]
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (place, byte) in bytes.iter().skip(1).enumerate().take(LENGTH_BYTES_MAX) {
        length |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((place + 2, length));
        }
    }
    None
}

fn begin(kind: u8, mut length: usize, out: &mut Vec<u8>) {
    out.push(kind);
    while length > 0x7F {
        out.push(low_seven(length) | 0x80);
        length >>= 7;
    }
    out.push(low_seven(length));
}

fn low_seven(number: usize) -> u8 {
    u8::try_from(number & 0x7F).unwrap_or_default()
}

fn text(text: &str, out: &mut Vec<u8>) {
    // Names here are short.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn takes_packets_apart_also_its_own() {
        let mut bytes = vec![CONNACK, 2, 0, 0, SUBACK, 3, 0, 1, 0];
        Mqtt::publish("c1", b"hello", &mut bytes);
        Mqtt::publish("c1", &[b'x'; 300], &mut bytes);
        bytes.extend_from_slice(&[0xD0, 0, SUBACK, 3, 0, 2, 0x80]);
        let long = format!("Message({:?})", "x".repeat(300));
        let refused = "Complaint(\"a connection or subscription is refused\")";
        assert_eq!(
            found(Mqtt::new, &bytes),
            ["Ready", "Subscribed", "Message(\"hello\")", &long, refused]
        );
    }

    #[test]
    fn writes_requests() {
        let mut out = Vec::new();
        Mqtt::new().subscribe("c1", &mut out);
        assert_eq!(out, [0x82, 7, 0, 1, 0, 2, b'c', b'1', 0]);
        out.clear();
        assert!(Mqtt::new().greet(&Role::Subscriber, &mut out));
        assert_eq!(out[..12], [0x10, out[1], 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0]);
        assert_eq!(out.len(), usize::from(out[1]) + 2);
    }
}
