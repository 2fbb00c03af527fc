//! The JSON dialect of this project's broker, one object a line; its frames are
//! those of [WebSocket](super::websocket) and [events](super::events) too.
//!
//! No JSON is parsed: what the publisher sends are plain letters, which stand in
//! a JSON string as they are, and the broker writes the fields of a frame in one
//! order and without blanks. A payload that is anything else is not what was
//! sent, and counts as damaged.

use super::{Event, Listener, Role, number};
use memchr::{memchr, memmem, memrchr};

/// How every message begins.
const MESSAGE: &[u8] = b"{\"frame\":\"msg\",";
/// The end of a message whose payload is text.
const TEXT_END: &[u8] = b"\"}";

/// JSON lines.
pub struct Json;

impl Listener for Json {
    fn new() -> Self {
        Json
    }

    fn greet(&mut self, _: &Role, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"{\"op\":\"hello\"}\n");
        true
    }

    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(subscription(channel).as_bytes());
        out.push(b'\n');
    }

    fn leave(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(QUIT);
        out.push(b'\n');
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        let end = memchr(b'\n', bytes)?;
        Some((end + 1, event(&bytes[..end])))
    }
}

/// Says good-bye.
pub(super) const QUIT: &[u8] = b"{\"op\":\"quit\"}";

/// Asks for a subscription.
pub(super) fn subscription(channel: &str) -> String {
    format!("{{\"op\":\"sub\",\"channel\":\"{channel}\",\"create\":true}}")
}

/// What a reply or a frame is.
#[inline]
pub(super) fn event(line: &[u8]) -> Event<'_> {
    if line.starts_with(MESSAGE) { Event::Message(payload(line)) } else { other(line) }
}

/// What stands between the last two quotes; nothing, if the payload is no text.
#[inline]
pub(super) fn payload(message: &[u8]) -> &[u8] {
    let upto = message.strip_suffix(TEXT_END).unwrap_or_default();
    memrchr(b'"', upto).map_or(&[], |quote| &upto[quote + 1..])
}

#[cold]
fn other(line: &[u8]) -> Event<'_> {
    let begins = |start: &str| line.starts_with(start.as_bytes());
    if begins("{\"reply\":\"hello\",\"ok\":true") {
        Event::Ready
    } else if begins("{\"reply\":\"sub\",\"ok\":true") {
        Event::Subscribed
    } else if begins("{\"frame\":\"ping\"") {
        Event::Reply(b"{\"op\":\"pong\",\"n\":0}\n")
    } else if begins("{\"frame\":\"gap\"") {
        let (from, to) = (field(line, b"\"from\":"), field(line, b"\"to\":"));
        Event::Gap((to + 1).saturating_sub(from))
    } else if memmem::find(line, b"\"ok\":false").is_some()
        || begins("{\"frame\":\"bye\"") && !begins("{\"frame\":\"bye\",\"reason\":\"quit\"")
    {
        Event::Complaint(line)
    } else {
        Event::Other
    }
}

/// A field that is a number.
fn field(line: &[u8], key: &[u8]) -> u64 {
    memmem::find(line, key).map_or(0, |at| number(&line[at + key.len()..]) as u64)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, written};
    use super::*;

    #[test]
    fn writes_requests() {
        let said = written(|out| {
            assert!(Json.greet(&Role::Subscriber, out));
            Json.subscribe("c1", out);
            Json.leave(out);
        });
        assert_eq!(
            said,
            "{\"op\":\"hello\"}\n{\"op\":\"sub\",\"channel\":\"c1\",\"create\":true}\n\
             {\"op\":\"quit\"}\n"
        );
    }

    #[test]
    fn takes_lines_apart() {
        let lines = br#"{"reply":"hello","ok":true,"name":"guest-1","resumed":false}
{"reply":"sub","ok":true,"channel":"c1","rank":0}
{"frame":"join","channel":"c1","seq":2,"member":"b","rank":1}
{"frame":"msg","channel":"c1","seq":3,"from":"me","data":"hello"}
{"frame":"ping","n":5}
{"frame":"msg","channel":"c1","seq":4,"from":"me","data":{"a":7}}
{"frame":"msg","channel":"c1","seq":5,"from":"me","data":""}
{"frame":"gap","channel":"c1","from":6,"to":15}
{"reply":"pub","ok":false,"error":{"code":"too-long","message":"no"}}
{"frame":"bye","reason":"quit"}
{"frame":"bye","reason":"full"}
"#;
        assert_eq!(
            found(|| Json, lines),
            [
                "Ready",
                "Subscribed",
                "Message(\"hello\")",
                "Reply(\"{\\\"op\\\":\\\"pong\\\",\\\"n\\\":0}\\n\")",
                "Message(\"\")",
                "Message(\"\")",
                "Gap(10)",
                "Complaint(\"{\\\"reply\\\":\\\"pub\\\",\\\"ok\\\":false,\\\"error\\\":{\\\"code\\\":\\\"too-long\\\",\\\"message\\\":\\\"no\\\"}}\")",
                "Complaint(\"{\\\"frame\\\":\\\"bye\\\",\\\"reason\\\":\\\"full\\\"}\")"
            ]
        );
    }
}
