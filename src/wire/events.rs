//! The JSON dialect's frames as Server-Sent Events, for browsers and `curl`.
//!
//! ```text
//! id: 43
//! event: msg
//! data: {"frame":"msg","channel":"news","seq":43,"from":"alice","data":{"a":1}}
//! ```
//!
//! The id is the seq: a client that reconnects names it as the last one that it
//! has. No frame contains a line end, so each is one `data` field.

use super::json;
use crate::frame::Frame;
use crate::log::{Chunk, Form, Maker, Shape};

/// The maker of a chunk's entries as events.
pub const MAKER: Maker = Maker { shape: Shape::Events, make: form };

/// About how many bytes an event adds to the text line of its entry.
const EXTRA_BYTES: usize = 90;

/// A chunk's entries as events.
fn form(chunk: &Chunk) -> Form {
    Form::of(chunk, EXTRA_BYTES, |seq, line, out| {
        begin(Some(seq), chunk.body.kind(), out);
        json::entry(chunk, line, out);
        out.extend_from_slice(b"\n\n");
    })
}

/// Appends a frame for this client alone.
pub fn frame(frame: &Frame, out: &mut Vec<u8>) {
    let id = match frame {
        // These entries are past: a client that reconnects need not be told again.
        Frame::Gap { to: seq, .. } | Frame::Left { seq, .. } => Some(*seq),
        Frame::Bye { reason } => {
            if let Some(secs) = reason.retry_secs() {
                // How long an EventSource waits before it reconnects.
                out.extend_from_slice(format!("retry: {}\n", secs * 1000).as_bytes());
            }
            None
        }
        _ => None,
    };
    begin(id, frame.kind(), out);
    json::frame(frame, out);
    out.push(b'\n');
}

fn begin(id: Option<u64>, kind: &str, out: &mut Vec<u8>) {
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Close;
    use crate::log::{Body, Encode, Forms, Position};
    use crate::payload::Payload;
    use crate::wire::text::TextEncoder;

    #[test]
    fn each_entry_is_an_event_with_its_seq() {
        let payloads = [Payload::Text("one\ntwo".into()), Payload::Plain(b"three")];
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let position = Position { channel: "c", seq: 9 };
        TextEncoder.messages(position, "bob", &payloads, &mut bytes, &mut ends);
        let (body, forms) = (Body::Messages { json: false }, Forms::default());
        let chunk = Chunk { first_seq: 9, author: 1, body, at_ms: 0, bytes, ends, forms };
        let form = form(&chunk);
        let event = |seq, data| {
            format!(
                "id: {seq}\nevent: msg\ndata: {{\"frame\":\"msg\",\"channel\":\"c\",\"seq\":{seq},\
                 \"from\":\"bob\",\"data\":\"{data}\"}}\n\n"
            )
        };
        assert_eq!(String::from_utf8_lossy(form.bytes(0..1)), event(9, "one\\ntwo"));
        assert_eq!(String::from_utf8_lossy(form.bytes(1..2)), event(10, "three"));
    }

    #[test]
    fn frames_are_events_too() {
        let mut out = Vec::new();
        frame(&Frame::Gap { channel: "c".into(), from: 3, to: 7 }, &mut out);
        frame(&Frame::Bye { reason: Close::Shutdown }, &mut out);
        frame(&Frame::Bye { reason: Close::Drain }, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "id: 7\nevent: gap\ndata: {\"frame\":\"gap\",\"channel\":\"c\",\"from\":3,\"to\":7}\n\n\
             event: bye\ndata: {\"frame\":\"bye\",\"reason\":\"shutdown\"}\n\n\
             retry: 5000\nevent: bye\n\
             data: {\"frame\":\"bye\",\"reason\":\"drain\",\"retry\":5}\n\n"
        );
    }
}
