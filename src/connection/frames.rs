//! Lines that come in the frames of a WebSocket.

use super::Connection;
use crate::error::Close;
use crate::request::Format;
use crate::wire::websocket::{Decoder, End};

/// Finds the lines in what comes. Boxed, because most connections send lines
/// without frames.
pub(super) struct Frames(Option<Box<Decoder>>);

impl Frames {
    /// For a connection of this format, with messages of at most so many bytes.
    pub(super) fn new(format: Format, message_max: usize) -> Self {
        let is_framed = format == Format::WebSocket;
        Frames(is_framed.then(|| Box::new(Decoder::new(message_max))))
    }

    /// Whether the frames have ended, so that nothing more is read.
    pub(super) fn have_ended(&self) -> bool {
        self.end().is_some()
    }

    fn end(&self) -> Option<End> {
        self.0.as_ref().and_then(|decoder| decoder.end())
    }

    /// The lines in the first bytes.
    pub(super) fn begin(&mut self, first: Vec<u8>, answers: &mut Vec<u8>) -> Vec<u8> {
        let Some(decoder) = &mut self.0 else { return first };
        let mut lines = Vec::new();
        decoder.take(&first, &mut lines, answers);
        lines
    }

    /// The lines in these bytes, for which `room` is lent as a buffer. What has
    /// to be answered at once goes to `answers`.
    pub(super) fn open<'a>(
        &mut self,
        bytes: &'a [u8],
        room: &'a mut Vec<u8>,
        answers: &mut Vec<u8>,
    ) -> &'a [u8] {
        let Some(decoder) = &mut self.0 else { return bytes };
        decoder.take(bytes, room, answers);
        room
    }

    /// Answers the client's close frame, if it has come, behind all other answers.
    pub(super) fn answer_close(&mut self, answers: &mut Vec<u8>) {
        if let Some(decoder) = &mut self.0 {
            decoder.answer_close(answers);
        }
    }
}

impl Connection {
    /// Closes the connection if the frames have ended, and all before that is
    /// answered, unless it is being closed already for another reason.
    pub(super) fn end_with_frames(&mut self, now_ms: u64) {
        if self.closing.is_some() {
            return;
        }
        match self.frames.end().filter(|_| self.unfinished.is_empty()) {
            None => {}
            Some(End::Refused(reason)) => self.close(reason, now_ms),
            Some(End::Closed) => {
                self.close(Close::Lost, now_ms);
                // The client listens only for its answers, up to the last of them.
                self.outgoing.seal();
                self.input_ended = true;
            }
        }
    }
}
