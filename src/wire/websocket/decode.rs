//! Frames to lines.

use crate::error::Close;
use std::io::{self, Cursor, Read, Write};
use tungstenite::error::Error;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

/// Bytes that tungstenite reads at once: enough for most requests, and cheap to
/// allocate each time.
const READ_BYTES: usize = 4 * 1024;

/// How the input of a WebSocket has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client has closed it, and waits for an answer, after which nothing may
    /// follow.
    Closed,
    /// The input is refused: the broker has to close the WebSocket, for this
    /// reason.
    Refused(Close),
}

/// The input of one WebSocket. It keeps only the part of a frame or a message that
/// is not whole yet.
#[derive(Debug)]
pub struct Decoder {
    message_max: usize,
    /// The beginning of a frame.
    begun: Vec<u8>,
    /// The state of the message whose next fragment has yet to come, or of the
    /// close that has yet to be answered.
    open: Option<Box<WebSocketContext>>,
    end: Option<End>,
}

/// The whole frames at the beginning of some bytes.
struct Whole {
    /// Their length, in bytes.
    bytes: usize,
    /// Whether a fragmented message goes on after them.
    is_open: bool,
    /// Why the bytes after them are refused, if they are.
    end: Option<End>,
}

impl Decoder {
    /// For messages of at most `message_max` bytes; no more than that is kept of
    /// one.
    pub fn new(message_max: usize) -> Self {
        Decoder { message_max, begun: Vec::new(), open: None, end: None }
    }

    /// How the input has ended, if it has. What came before that is to be
    /// answered all the same.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Takes what came next. Whole messages are appended to `lines`, each with
    /// a line's end; what has to be answered at once (a ping) is answered to
    /// `answers`.
    pub fn take(&mut self, bytes: &[u8], lines: &mut Vec<u8>, answers: &mut Vec<u8>) {
        if self.end.is_some() {
            return;
        }
        let mut begun = std::mem::take(&mut self.begun);
        let bytes = if begun.is_empty() {
            bytes
        } else {
            begun.extend_from_slice(bytes);
            &begun
        };
        let whole = self.whole(bytes);
        let (now, later) = bytes.split_at(whole.bytes);
        self.end = self.serve(now, whole.is_open, lines, answers).or(whole.end);
        if let Some(end) = self.end {
            // Nothing is kept except a close that is to be answered.
            self.open.take_if(|_| end != End::Closed);
        } else if now.is_empty() {
            // The buffer is kept, so that bytes that come one by one are not all
            // copied each time.
            self.begun = if begun.is_empty() { later.to_vec() } else { begun };
        } else {
            self.begun = later.to_vec();
        }
    }

    /// Answers the client's close, once, if that is how the input has ended. To be
    /// called when everything that came before it is answered.
    pub fn answer_close(&mut self, answers: &mut Vec<u8>) {
        if let Some(mut context) = self.open.take_if(|_| self.end == Some(End::Closed)) {
            // After writing the close it fails, because the connection is over.
            let _ = context.flush(&mut Wire { frames: &[], answers });
        }
    }

    /// Finds how many of these bytes are whole frames. A frame that can be refused
    /// before it is complete is refused here, before it is kept.
    fn whole(&self, bytes: &[u8]) -> Whole {
        let mut whole = Whole { bytes: 0, is_open: self.open.is_some(), end: None };
        loop {
            let mut cursor = Cursor::new(&bytes[whole.bytes..]);
            let refused = match FrameHeader::parse(&mut cursor) {
                Ok(None) => return whole,
                Err(_) => Close::Malformed,
                Ok(Some((_, len))) if len > self.message_max as u64 => Close::TooLong,
                Ok(Some((header, _))) if header.opcode == OpCode::Data(Data::Binary) => {
                    Close::Binary
                }
                Ok(Some((header, len))) => {
                    // Both fit: there are `position` bytes, and `len` is at most
                    // `message_max`.
                    let position = |position| usize::try_from(position).unwrap_or(usize::MAX);
                    let start = position(cursor.position());
                    let end = start.saturating_add(position(len));
                    let Some(payload) = cursor.get_ref().get(start..end) else { return whole };
                    if has_wrong_code(&header, payload) {
                        Close::Malformed
                    } else {
                        whole.bytes += end;
                        if matches!(header.opcode, OpCode::Data(_)) {
                            whole.is_open = !header.is_final;
                        }
                        continue;
                    }
                }
            };
            whole.end = Some(End::Refused(refused));
            return whole;
        }
    }

    /// Takes whole frames; returns how the input has ended with them, if it has.
    fn serve(
        &mut self,
        frames: &[u8],
        stays_open: bool,
        lines: &mut Vec<u8>,
        answers: &mut Vec<u8>,
    ) -> Option<End> {
        if frames.is_empty() {
            return None;
        }
        let mut context = self.open.take().unwrap_or_else(|| Box::new(self.context()));
        let mut wire = Wire { frames, answers };
        loop {
            match context.read(&mut wire) {
                Ok(Message::Text(text)) => {
                    lines.extend_from_slice(text.as_bytes());
                    lines.push(b'\n');
                }
                Ok(Message::Close(_)) => {
                    self.open = Some(context);
                    return Some(End::Closed);
                }
                Ok(Message::Binary(_)) => return Some(End::Refused(Close::Binary)),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                // There are no more frames.
                Err(Error::Io(_)) => break,
                Err(Error::Utf8(_)) => return Some(End::Refused(Close::NotUtf8)),
                Err(Error::Capacity(_)) => return Some(End::Refused(Close::TooLong)),
                Err(_) => return Some(End::Refused(Close::Malformed)),
            }
        }
        self.open = stays_open.then_some(context);
        None
    }

    fn context(&self) -> WebSocketContext {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(self.message_max))
            .max_frame_size(Some(self.message_max));
        WebSocketContext::new(Role::Server, Some(config))
    }
}

/// Whether this is a close frame whose code must not be sent (RFC 6455, section 7.4).
fn has_wrong_code(header: &FrameHeader, payload: &[u8]) -> bool {
    let (OpCode::Control(Control::Close), [high, low, ..]) = (header.opcode, payload) else {
        return false;
    };
    let [first, second, ..] = header.mask.unwrap_or_default();
    let code = u16::from_be_bytes([high ^ first, low ^ second]);
    !CloseCode::from(code).is_allowed()
}

/// Stands in for the socket of tungstenite: it reads the frames that are there, and
/// its answers are kept until they can be written.
struct Wire<'a> {
    frames: &'a [u8],
    answers: &'a mut Vec<u8>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.frames.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.frames.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
