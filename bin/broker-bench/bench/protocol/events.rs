//! Server-Sent Events: a channel as an HTTP answer that does not end.
//!
//! ```text
//! id: 43
//! event: msg
//! data: {"frame":"msg","channel":"news","seq":43,"from":"alice","data":"hello"}
//! ```
//!
//! The answer comes in chunks: the length of one in hexadecimal digits on a line
//! of its own, so many bytes, and a line's end. The broker puts whole events into
//! a chunk, and many of them where it can.

use super::{Event, Listener, Role, http, json};
use memchr::{memchr, memmem};

const OK: usize = 200;
const CREATED: usize = 201;
/// The channel was there already.
const CONFLICT: usize = 409;
/// What stands between the id of a message and its frame.
const MESSAGE: &[u8] = b"event: msg\ndata: ";
/// The blank line behind an event.
const END: &[u8] = b"\n\n";

/// One stream.
pub struct Events {
    stage: Stage,
}

/// What comes next.
enum Stage {
    /// The answer to the request that makes the channel.
    Made,
    /// The head of the stream.
    Opened,
    /// The length of a chunk, behind the line's end of the one before.
    Length,
    /// A chunk, or its rest: so many bytes.
    Chunk(usize),
}

impl Listener for Events {
    fn new() -> Self {
        Events { stage: Stage::Made }
    }

    fn greet(&mut self, _: &Role, _: &mut Vec<u8>) -> bool {
        false
    }

    /// A stream makes no channel by itself.
    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        let body = format!("{{\"channel\":\"{channel}\"}}");
        let make = format!(
            "POST /v1/channels HTTP/1.1\r\nHost: broker\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let observe = format!("GET /v1/channels/{channel}/events HTTP/1.1\r\nHost: broker\r\n\r\n");
        out.extend_from_slice(make.as_bytes());
        out.extend_from_slice(observe.as_bytes());
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        let left = match self.stage {
            Stage::Chunk(left) => left,
            Stage::Length => return self.length(bytes),
            Stage::Made | Stage::Opened => return self.answer(bytes),
        };
        let chunk = &bytes[..bytes.len().min(left)];
        let (length, event) = match message(chunk) {
            Some(found) => found,
            None => other(chunk, left)?,
        };
        self.stage = if length == left { Stage::Length } else { Stage::Chunk(left - length) };
        Some((length, event))
    }
}

/// A message at the front, if it is one and whole.
#[inline]
fn message(bytes: &[u8]) -> Option<(usize, Event<'_>)> {
    let id_end = memchr(b'\n', bytes)?;
    let frame = bytes[id_end + 1..].strip_prefix(MESSAGE)?;
    let frame_end = memchr(b'\n', frame)?;
    let length = bytes.len() - frame.len() + frame_end + END.len();
    (bytes.len() >= length).then(|| (length, Event::Message(json::payload(&frame[..frame_end]))))
}

/// Whatever else there is in a chunk, or in its rest of `left` bytes.
#[cold]
fn other(bytes: &[u8], left: usize) -> Option<(usize, Event<'_>)> {
    let Some(end) = memmem::find(bytes, END) else {
        let is_whole = bytes.len() == left;
        return is_whole.then_some((left, Event::Complaint(b"a chunk ends within an event")));
    };
    let event = &bytes[..end];
    let data = memmem::find(event, b"data: ").map_or(&[][..], |at| &event[at + 6..]);
    Some((end + END.len(), json::event(data)))
}

impl Events {
    /// The length of a chunk, or the line's end before it.
    fn length<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        let end = memchr(b'\n', bytes)?;
        let digits = bytes[..end].trim_ascii_end();
        if !digits.is_empty() {
            let length = std::str::from_utf8(digits).ok();
            let Some(length) = length.and_then(|text| usize::from_str_radix(text, 16).ok()) else {
                return Some((end + 1, Event::Complaint(b"no length of a chunk")));
            };
            // Behind the last one, which is empty, nothing comes.
            self.stage = if length == 0 { Stage::Length } else { Stage::Chunk(length) };
        }
        Some((end + 1, Event::Other))
    }

    /// An answer before the stream: of the channel that is made, then of the
    /// stream itself.
    #[cold]
    fn answer<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        let head = http::head(bytes)?;
        let length = head.bytes + head.body_bytes;
        bytes.get(..length)?;
        let event = match (&self.stage, head.status) {
            (Stage::Made, CREATED | CONFLICT) => {
                self.stage = Stage::Opened;
                Event::Other
            }
            (Stage::Opened, OK) => {
                self.stage = Stage::Length;
                Event::Subscribed
            }
            _ => Event::Complaint(head.line),
        };
        Some((length, event))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, written};
    use super::*;

    const ANSWERS: &str = "HTTP/1.1 409 Conflict\r\ncontent-length: 5\r\n\r\n{\"a\"}\
        HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

    fn message(seq: u64, payload: &str) -> String {
        format!(
            "id: {seq}\nevent: msg\ndata: {{\"frame\":\"msg\",\"channel\":\"c\",\"seq\":{seq},\
             \"from\":\"bob\",\"data\":\"{payload}\"}}\n\n"
        )
    }

    fn stream(chunks: &[String]) -> Vec<u8> {
        let chunks = chunks.iter().map(|chunk| format!("{:X}\r\n{chunk}\r\n", chunk.len()));
        (ANSWERS.to_string() + &chunks.collect::<String>()).into_bytes()
    }

    #[test]
    fn makes_the_channel_and_asks_for_it() {
        let said = written(|out| Events::new().subscribe("c1", out));
        let (make, observe) = said.split_once("GET ").unwrap();
        assert!(make.starts_with("POST /v1/channels HTTP/1.1\r\n"), "{make}");
        assert!(make.ends_with("Content-Length: 16\r\n\r\n{\"channel\":\"c1\"}"), "{make}");
        assert_eq!(observe, "/v1/channels/c1/events HTTP/1.1\r\nHost: broker\r\n\r\n");
    }

    #[test]
    fn takes_chunks_of_events_apart() {
        let gap = "id: 9\nevent: gap\ndata: {\"frame\":\"gap\",\"channel\":\"c\",\"from\":3,\"to\":9}\n\n";
        let bye = "event: bye\ndata: {\"frame\":\"bye\",\"reason\":\"shutdown\"}\n\n";
        let bytes = stream(&[
            "retry: 2000\n\n".into(),
            message(1, "hello") + &message(2, ""),
            ": still here\n\n".into(),
            gap.to_string() + &message(10, "x") + bye,
            String::new(),
        ]);
        assert_eq!(
            found(Events::new, &bytes),
            [
                "Subscribed",
                "Message(\"hello\")",
                "Message(\"\")",
                "Gap(7)",
                "Message(\"x\")",
                "Complaint(\"{\\\"frame\\\":\\\"bye\\\",\\\"reason\\\":\\\"shutdown\\\"}\")"
            ]
        );
    }

    #[test]
    fn an_event_that_is_not_in_one_chunk_is_told() {
        let mut cut = message(1, "hello");
        cut.truncate(20);
        for chunks in [vec![cut], vec!["retry: 1\n".into(), "\n".into()]] {
            let events = found(Events::new, &stream(&chunks));
            assert!(events[1].starts_with("Complaint(\"a chunk ends"), "{events:?}");
        }
    }

    #[test]
    fn what_is_refused_is_told() {
        let refused = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        let events = found(Events::new, refused);
        assert_eq!(events, ["Complaint(\"HTTP/1.1 503 Service Unavailable\")"]);
    }
}
