//! How the brokers are spoken to: one adapter for each protocol.
//!
//! An adapter writes requests and takes apart what comes; it holds no socket
//! and knows nothing of what is measured.

pub mod events;
mod http;
pub mod json;
pub mod mixed;
pub mod mqtt;
pub mod nats;
pub mod raw;
pub mod resp;
pub mod text;
pub mod websocket;

use std::fmt;

/// What a connection is for.
#[derive(Clone, Debug)]
pub enum Role {
    /// It will subscribe.
    Subscriber,
    /// It will publish, to this channel and perhaps others.
    Publisher(String),
}

/// What came, unit by unit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// The broker has accepted the greeting.
    Ready,
    /// A subscription is confirmed.
    Subscribed,
    /// A message; what it carries.
    Message(&'b [u8]),
    /// This many messages are gone, says the broker.
    Gap(u64),
    /// The broker wants this answer, as to a ping.
    Reply(&'static [u8]),
    /// The broker refused something.
    Complaint(&'b [u8]),
    /// Something that means nothing here.
    Other,
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Event::Message(bytes) => f.debug_tuple("Message").field(&text(bytes)).finish(),
            Event::Complaint(bytes) => f.debug_tuple("Complaint").field(&text(bytes)).finish(),
            Event::Reply(bytes) => f.debug_tuple("Reply").field(&text(bytes)).finish(),
            Event::Gap(number) => f.debug_tuple("Gap").field(number).finish(),
            Event::Ready => f.write_str("Ready"),
            Event::Subscribed => f.write_str("Subscribed"),
            Event::Other => f.write_str("Other"),
        }
    }
}

/// A member's side of a protocol.
pub trait Listener: Sized {
    /// A connection that has said nothing yet.
    fn new() -> Self;

    /// Writes what to say first. Returns whether [`Event::Ready`] will come for it;
    /// otherwise the connection is ready at once.
    fn greet(&mut self, role: &Role, out: &mut Vec<u8>) -> bool;

    /// Asks for a subscription; [`Event::Subscribed`] will come for it.
    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>);

    /// Writes what to say before closing.
    fn leave(&self, _out: &mut Vec<u8>) {}

    /// The unit at the front, and how many bytes it takes; `None` if it is not
    /// whole yet.
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)>;
}

/// Both sides of a protocol: a publisher's too.
pub trait Protocol: Listener {
    /// Whether a connection may have several channels, a channel several
    /// publishers, and a member may be slow without holding up all others.
    const IS_BROKER: bool = true;

    /// Writes a message, which carries the payload as it is.
    fn publish(channel: &str, payload: &[u8], out: &mut Vec<u8>);

    /// Leaves nothing of a channel behind, if channels outlive their members.
    fn discard(_channel: &str, _out: &mut Vec<u8>) {}
}

/// The number that the leading decimal digits are.
#[inline]
fn number(digits: &[u8]) -> usize {
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: usize, digit| {
        number.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
    })
}

#[cfg(test)]
pub(super) mod testing {
    use super::{Event, Listener};

    /// What an adapter finds in these bytes: the same whether they come at once
    /// or cut in two at any place, and all of them are taken.
    pub(crate) fn found<L: Listener>(prepare: impl Fn() -> L, bytes: &[u8]) -> Vec<String> {
        let run = |cut: usize| {
            let (mut adapter, mut held, mut found) = (prepare(), Vec::new(), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                held.extend_from_slice(part);
                let mut at = 0;
                while let Some((length, event)) = adapter.next(&held[at..]) {
                    assert!(length > 0, "a unit takes bytes");
                    if event != Event::Other {
                        found.push(format!("{event:?}"));
                    }
                    at += length;
                }
                held.drain(..at);
            }
            assert!(held.is_empty(), "cut at {cut}, {held:?} is left over");
            found
        };
        let whole = run(bytes.len());
        for cut in 0..bytes.len() {
            assert_eq!(run(cut), whole, "cut at {cut}");
        }
        whole
    }

    /// What an adapter writes, as text.
    pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }
}
