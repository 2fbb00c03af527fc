//! Lines to text messages.

use super::close::close;
use crate::frame::Frame;
use crate::log::{Chunk, Form};
use crate::wire::json;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// About how many bytes the message of an entry adds to the entry's text line.
const EXTRA_BYTES: usize = 60;

/// A chunk's entries as text messages, one each.
pub fn form(chunk: &Chunk) -> Form {
    let mut json = Vec::new();
    Form::of(chunk, EXTRA_BYTES, |_, line, out| {
        json.clear();
        json::entry(chunk, line, &mut json);
        message(Data::Text, &json, out);
    })
}

/// Appends a text message for each line that `write` appends.
pub fn lines(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut lines = Vec::new();
    write(&mut lines);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', &lines) {
        message(Data::Text, &lines[start..end], out);
        start = end + 1;
    }
}

/// Appends a frame of the control lane. A `ping` becomes one of the WebSocket
/// protocol, which the client's library answers, not its program; a `bye` is
/// followed by the close frame.
pub fn frame(frame: &Frame, out: &mut Vec<u8>) {
    match frame {
        Frame::Ping { number } => {
            let number = number.to_string();
            put(OpCode::Control(Control::Ping), number.as_bytes(), out);
        }
        Frame::Bye { reason } => {
            lines(out, |out| json::frame(frame, out));
            close(*reason, out);
        }
        _ => lines(out, |out| json::frame(frame, out)),
    }
}

fn message(kind: Data, payload: &[u8], out: &mut Vec<u8>) {
    put(OpCode::Data(kind), payload, out);
}

fn put(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Writing to a vector cannot fail.
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Close;
    use crate::log::{Body, Encode, Forms, Position};
    use crate::payload::Payload;
    use crate::wire::text::TextEncoder;
    use std::io::Cursor;
    use tungstenite::protocol::{Message, Role, WebSocket};

    /// What a client makes of these bytes.
    fn heard(bytes: &[u8]) -> Vec<Message> {
        let mut client =
            WebSocket::from_raw_socket(Cursor::new(bytes.to_vec()), Role::Client, None);
        std::iter::from_fn(|| client.read().ok()).collect()
    }

    #[test]
    fn each_entry_is_a_message_of_its_own() {
        let texts = [0, 20, 70, 71, 65_400, 65_600].map(|len| "x".repeat(len));
        let payloads: Vec<_> = texts.iter().map(|text| Payload::Plain(text.as_bytes())).collect();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let position = Position { channel: "c", seq: 7 };
        TextEncoder.messages(position, "bob", &payloads, &mut bytes, &mut ends);
        let (body, forms) = (Body::Messages { json: false }, Forms::default());
        let chunk = Chunk { first_seq: 7, author: 1, body, at_ms: 0, bytes, ends, forms };
        let (form, json) = (form(&chunk), json::form(&chunk));
        for (at, text) in texts.iter().enumerate() {
            let messages = heard(form.bytes(at..at + 1));
            let [Message::Text(line)] = &messages[..] else { panic!("{messages:?}") };
            assert_eq!(format!("{line}\n").as_bytes(), json.bytes(at..at + 1));
            assert!(line.ends_with(&format!(r#""data":"{text}"}}"#)));
        }
        assert_eq!(heard(form.bytes(0..texts.len())).len(), texts.len());
    }

    #[test]
    fn one_entry_alone_is_one_message() {
        let body = Body::Messages { json: false };
        let (bytes, ends) = (b"msg c 7 bob hi\n".to_vec(), Vec::new());
        let forms = Forms::default();
        let chunk = Chunk { first_seq: 7, author: 1, body, at_ms: 0, bytes, ends, forms };
        let messages = heard(form(&chunk).bytes(0..1));
        let line = r#"{"frame":"msg","channel":"c","seq":7,"from":"bob","data":"hi"}"#;
        assert_eq!(messages, [Message::text(line)]);
    }

    #[test]
    fn a_ping_is_one_and_after_the_good_bye_it_is_closed() {
        let mut out = Vec::new();
        frame(&Frame::Ping { number: 12 }, &mut out);
        frame(&Frame::Bye { reason: Close::Shutdown }, &mut out);
        let messages = heard(&out);
        let [Message::Ping(number), Message::Text(bye), Message::Close(Some(close))] =
            &messages[..]
        else {
            panic!("{messages:?}")
        };
        assert_eq!(&number[..], b"12");
        assert_eq!(bye.as_str(), r#"{"frame":"bye","reason":"shutdown"}"#);
        assert_eq!(u16::from(close.code), 1001);
    }
}
