//! What a client says: in lines, or in the arrays of the Redis protocol.

use super::outgoing::Outgoing;
use super::requests::Voice;
use super::resp;
use crate::error::{Close, Fault};
use crate::reply::Reply;
use crate::request::Format;
use crate::session::Session;

/// The most bytes that are read from a client while it waits: it is listened to
/// only to notice when it is gone.
const UNHEARD_MAX: usize = 16 * 1024;

/// How a client's requests are read.
pub(super) enum Input {
    /// It sends lines.
    Lines(Voice),
    /// It sends arrays. Boxed, so that lines need not pay for it.
    Resp(Box<resp::Voice>),
}

/// Why not all requests are served.
pub(super) enum Stop<'a> {
    /// The client has to wait before these bytes, which are to be served again.
    Wait(&'a [u8]),
    /// The connection is to be closed.
    Close(Close),
}

impl From<Close> for Stop<'_> {
    fn from(reason: Close) -> Self {
        Stop::Close(reason)
    }
}

impl Input {
    /// For a client that uses this format from the first byte on.
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Resp { .. } => Input::Resp(Box::default()),
            _ => Input::Lines(Voice::new(format)),
        }
    }

    /// The most bytes of an unfinished request, where a line has `line_max`.
    pub(super) fn unfinished_max(&self, line_max: usize) -> usize {
        match self {
            Input::Lines(_) => line_max,
            Input::Resp(_) => crate::wire::resp::request_max(line_max),
        }
    }

    /// Whether these bytes hold something to answer.
    pub(super) fn has_whole(&mut self, bytes: &[u8], line_max: usize) -> bool {
        match self {
            Input::Lines(_) => memchr::memchr(b'\n', bytes).is_some(),
            Input::Resp(voice) => !bytes.is_empty() && voice.has_whole(bytes, line_max),
        }
    }

    /// Whether the client waits for the answer to what it has said, and what it
    /// says meanwhile is kept.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Input::Resp(voice) if voice.is_waiting())
    }

    /// Whether more is to be read where so many bytes are kept already.
    pub(super) fn listens(&self, kept: usize) -> bool {
        !self.is_waiting() || kept < UNHEARD_MAX
    }

    /// Whether the client waits for what may never come while, with so many bytes
    /// kept already, nothing is read that would tell that it is gone.
    pub(super) fn is_deaf(&self, kept: usize) -> bool {
        let is_asleep = || matches!(self, Input::Resp(voice) if voice.is_asleep());
        !self.listens(kept) && is_asleep()
    }

    /// Ends what the client waits for, because it is gone.
    pub(super) fn stop(&mut self, session: &Session) {
        if let Input::Resp(voice) = self {
            voice.stop(session);
        }
    }

    /// Goes on with what the client waits for. Returns whether anything has changed.
    pub(super) fn go_on(
        &mut self,
        session: &mut Session,
        outgoing: &mut Outgoing,
        now_ms: u64,
    ) -> bool {
        match self {
            Input::Resp(voice) if voice.is_waiting() => voice.go_on(session, outgoing, now_ms),
            _ => false,
        }
    }

    /// Answers a request that had to wait for another connection.
    pub(super) fn answer_awaited(
        &mut self,
        reply: Result<Option<Reply>, Fault>,
        outgoing: &mut Outgoing,
        session: &mut Session,
    ) {
        match self {
            Input::Lines(voice) => voice.answer_awaited(reply, outgoing, session),
            Input::Resp(voice) => voice.answer_awaited(reply, outgoing, session),
        }
    }

    /// Answers whole requests in `bytes`, for as long as there is room for replies in
    /// `outgoing`, and the client need not wait before it publishes. Gives what is
    /// left over.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    pub(super) fn serve<'a>(
        &mut self,
        session: &mut Session,
        bytes: &'a [u8],
        line_max: usize,
        outgoing: &mut Outgoing,
        now_ms: u64,
    ) -> Result<&'a [u8], Close> {
        let served = match self {
            Input::Lines(voice) => voice.serve(session, bytes, line_max, outgoing, now_ms),
            Input::Resp(voice) => voice.serve(session, bytes, line_max, outgoing, now_ms),
        };
        match served {
            Ok(rest) | Err(Stop::Wait(rest)) => Ok(rest),
            Err(Stop::Close(reason)) => Err(reason),
        }
    }
}
