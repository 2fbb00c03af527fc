//! The text dialect of this project's broker.

use super::{Event, Listener, Protocol, Role, number};
use memchr::{memchr, memchr_iter};

/// Words between `msg` and what a message carries: CH SEQ FROM.
const WORDS_BEFORE_PAYLOAD: usize = 3;

/// The text dialect.
pub struct Text;

impl Listener for Text {
    fn new() -> Self {
        Text
    }

    fn greet(&mut self, _: &Role, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"hello --quiet\n");
        true
    }

    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("sub {channel} --create\n").as_bytes());
    }

    fn leave(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"quit\n");
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        let end = memchr(b'\n', bytes)?;
        let line = &bytes[..end];
        let event = match line.strip_prefix(b"msg ") {
            Some(rest) => Event::Message(after_words(rest)),
            None => other(line),
        };
        Some((end + 1, event))
    }
}

impl Protocol for Text {
    fn publish(channel: &str, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(format!("pub {channel} ").as_bytes());
        out.extend_from_slice(payload);
        out.push(b'\n');
    }

    fn discard(channel: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("drop {channel}\n").as_bytes());
    }
}

#[inline]
fn after_words(rest: &[u8]) -> &[u8] {
    let mut at = 0;
    for _ in 0..WORDS_BEFORE_PAYLOAD {
        match memchr(b' ', &rest[at..]) {
            Some(blank) => at += blank + 1,
            None => return &[],
        }
    }
    &rest[at..]
}

#[cold]
fn other(line: &[u8]) -> Event<'_> {
    if line.starts_with(b"ok hello") {
        Event::Ready
    } else if line.starts_with(b"ok sub") {
        Event::Subscribed
    } else if line.starts_with(b"ping") {
        Event::Reply(b"pong 0\n")
    } else if line.starts_with(b"gap ") {
        Event::Gap(gone(line))
    } else if line.starts_with(b"err ") || line.starts_with(b"bye ") && line != b"bye quit" {
        Event::Complaint(line)
    } else {
        Event::Other
    }
}

/// How many entries `gap CH FROM TO` is about.
fn gone(line: &[u8]) -> u64 {
    let mut blanks = memchr_iter(b' ', line).skip(1);
    let word = |at: Option<usize>| at.map_or(0, |at| number(&line[at + 1..]) as u64);
    let (from, to) = (word(blanks.next()), word(blanks.next()));
    (to + 1).saturating_sub(from)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, written};
    use super::*;

    #[test]
    fn writes_requests() {
        let said = written(|out| {
            Text.greet(&Role::Subscriber, out);
            Text.subscribe("c1", out);
            Text::publish("c1", b"hi", out);
            Text::discard("c1", out);
            Text.leave(out);
        });
        assert_eq!(said, "hello --quiet\nsub c1 --create\npub c1 hi\ndrop c1\nquit\n");
    }

    #[test]
    fn takes_lines_apart() {
        let lines =
            b"ok hello name=a session=b\nok sub c1 rank=0\njoin c1 2 b 1\nmsg c1 3 me hello\n\
            ping 5\nmsg c1 4 me a b\ngap c1 5 14\nok drop c1\nerr exists no\nbye quit\nbye full\n";
        assert_eq!(
            found(|| Text, lines),
            [
                "Ready",
                "Subscribed",
                "Message(\"hello\")",
                "Reply(\"pong 0\\n\")",
                "Message(\"a b\")",
                "Gap(10)",
                "Complaint(\"err exists no\")",
                "Complaint(\"bye full\")"
            ]
        );
    }
}
