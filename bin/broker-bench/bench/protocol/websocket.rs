//! The JSON dialect in WebSocket messages (RFC 6455).

use super::{Event, Listener, Role, http, json};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// Asks for a WebSocket. The key is the RFC's own example: it serves to prove that no
/// cache on the way answers, which does not matter here.
const UPGRADE: &[u8] = b"GET /v1/ws HTTP/1.1\r\nHost: broker\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHING: usize = 101;

/// First bytes of whole frames.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
/// In the second byte of a frame: it is masked, as all of a client's are.
const MASKED: u8 = 0x80;
/// This mask leaves everything as it is, which is as good as any other: a mask
/// protects what stands between a web page and a server, and nothing does here.
const MASK: [u8; 4] = [0; 4];
/// An answer to a ping. It is empty, and so strictly one that nobody has asked
/// for; the broker takes whatever comes for a sign of life.
const PONG: &[u8] = &[0x8A, MASKED, MASK[0], MASK[1], MASK[2], MASK[3]];
/// In place of a length: it follows in two bytes, or in eight.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// One WebSocket, or what will be one.
pub struct WebSocket {
    is_upgraded: bool,
}

impl Listener for WebSocket {
    fn new() -> Self {
        WebSocket { is_upgraded: false }
    }

    fn greet(&mut self, _: &Role, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(UPGRADE);
        true
    }

    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        message(json::subscription(channel).as_bytes(), out);
    }

    fn leave(&self, out: &mut Vec<u8>) {
        message(json::QUIT, out);
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        if !self.is_upgraded {
            return self.upgraded(bytes);
        }
        let (start, length) = frame(bytes)?;
        let payload = bytes.get(start..start.checked_add(length)?)?;
        let event = if bytes[0] == TEXT { json::event(payload) } else { other(bytes[0]) };
        Some((start + length, event))
    }
}

impl WebSocket {
    #[cold]
    fn upgraded<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        let head = http::head(bytes)?;
        self.is_upgraded = head.status == SWITCHING;
        let event = if self.is_upgraded { Event::Ready } else { Event::Complaint(head.line) };
        Some((head.bytes, event))
    }
}

/// Where the payload of a frame begins, and how long it is. The broker's frames
/// are not masked.
#[inline]
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? {
        TWO_BYTES => Some((4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)))),
        EIGHT_BYTES => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            Some((10, usize::try_from(length).unwrap_or(usize::MAX)))
        }
        short => Some((2, usize::from(short))),
    }
}

#[cold]
fn other(first: u8) -> Event<'static> {
    match first {
        PING => Event::Reply(PONG),
        // The close frame: `bye` has said why before.
        CLOSE => Event::Other,
        _ => Event::Complaint(b"a WebSocket frame that is no text, ping or close"),
    }
}

/// Appends a text message.
fn message(text: &[u8], out: &mut Vec<u8>) {
    let opcode = OpCode::Data(Data::Text);
    let header = FrameHeader { opcode, mask: Some(MASK), ..FrameHeader::default() };
    // Writing to a vector cannot fail.
    let _ = header.format(text.len() as u64, out);
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;
    use std::io::Cursor;
    use tungstenite::protocol::{Message, Role as Side, WebSocket as Peer, frame::Frame};

    const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";

    /// What the broker would make of these bytes.
    fn heard(bytes: &[u8]) -> Vec<Message> {
        let mut peer = Peer::from_raw_socket(Cursor::new(bytes.to_vec()), Side::Server, None);
        std::iter::from_fn(|| peer.read().ok()).collect()
    }

    #[test]
    fn writes_frames_as_a_client_has_to() {
        let (mut greeting, mut out) = (Vec::new(), Vec::new());
        let mut member = WebSocket::new();
        assert!(member.greet(&Role::Subscriber, &mut greeting));
        assert!(
            greeting.starts_with(b"GET /v1/ws HTTP/1.1\r\n") && greeting.ends_with(b"\r\n\r\n")
        );
        let long = "c".repeat(128);
        member.subscribe("c1", &mut out);
        member.subscribe(&long, &mut out);
        out.extend_from_slice(PONG);
        member.leave(&mut out);
        let text = |text: &[u8]| Message::text(String::from_utf8(text.to_vec()).unwrap());
        let asked = |channel| text(json::subscription(channel).as_bytes());
        let pong = Message::Pong(Vec::new().into());
        assert_eq!(heard(&out), [asked("c1"), asked(&long), pong, text(json::QUIT)]);
    }

    #[test]
    fn takes_frames_of_any_length_apart() {
        let payloads = [0, 20, 70, 200].map(|length| "x".repeat(length));
        let mut bytes = SWITCHED.to_vec();
        let mut put = |message: &str| {
            let mut frame = Frame::message(message.to_string(), OpCode::Data(Data::Text), true);
            frame.header_mut().mask = None;
            frame.format(&mut bytes).unwrap();
        };
        put(r#"{"reply":"sub","ok":true,"channel":"c"}"#);
        for payload in &payloads {
            put(&format!(
                r#"{{"frame":"msg","channel":"c","seq":7,"from":"bob","data":"{payload}"}}"#
            ));
        }
        Frame::ping(&b"12"[..]).format(&mut bytes).unwrap();
        Frame::close(None).format(&mut bytes).unwrap();
        let messages = payloads.iter().map(|payload| format!("Message({payload:?})"));
        let start = ["Ready", "Subscribed"].map(String::from).into_iter();
        let mut expected: Vec<String> = start.chain(messages).collect();
        expected.push(format!("{:?}", Event::Reply(PONG)));
        assert_eq!(found(WebSocket::new, &bytes), expected);
    }

    #[test]
    fn the_longest_lengths_take_eight_bytes() {
        let length = 70_000_u64;
        let mut bytes = vec![TEXT, EIGHT_BYTES];
        bytes.extend_from_slice(&length.to_be_bytes());
        let mut member = WebSocket { is_upgraded: true };
        assert!(member.next(&bytes).is_none() && member.next(&bytes[..9]).is_none());
        bytes.resize(bytes.len() + 70_000, b'x');
        assert_eq!(member.next(&bytes), Some((70_010, Event::Other)));
    }

    #[test]
    fn what_is_no_websocket_is_told() {
        let refused = b"HTTP/1.1 426 Upgrade Required\r\n\r\n";
        assert_eq!(
            found(WebSocket::new, refused),
            ["Complaint(\"HTTP/1.1 426 Upgrade Required\")"]
        );
        let binary = [SWITCHED, &[0x82, 0]].concat();
        assert_eq!(found(WebSocket::new, &binary).len(), 2, "ready, and a complaint");
    }
}
