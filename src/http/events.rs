//! Server-Sent Events: a channel as an answer that does not end.
//!
//! The client of the connection observes the channel, and the body of the answer is
//! read from the log as hyper asks for it: a client that does not read costs a
//! cursor, and the little that hyper has taken.

use super::answer::{self, Answer};
use super::caller::Caller;
use super::exchange::Exchange;
use super::part::Part;
use super::problem::Problem;
use crate::broker::Broker;
use crate::error::{Code, Fault};
use crate::frame::Frame;
use crate::request::{Request, Start, Subscribe, dialect};
use crate::runtime;
use crate::session::{Batch, Piece};
use crate::wire::{events, json};
use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The last event that a reconnecting client has.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The beginning of every stream: how long a browser waits before it reconnects, in
/// milliseconds.
const OPENING: &[u8] = b"retry: 2000\n\n";
/// How long a stream may be silent before a comment is sent, so that proxies on the
/// way keep the connection and a dead one is noticed.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b": still here\n\n";
/// How many bytes hyper is given at once, up to the end of the chunk of the log
/// that they are in: that much is kept for a client that does not read.
const PART_BYTES: usize = 64 * 1024;
/// How often a stream looks at the log before another connection gets its turn.
const TURNS: usize = 16;

/// Observes a channel, from now on or from where the client asks.
///
/// # Errors
/// As for `sub`.
pub async fn observe(exchange: Exchange) -> Result<Answer, Problem> {
    let address = exchange.address();
    let Request::Sub(asked @ Subscribe { create: false, echo: true, .. }) =
        json::ask("sub", "the address", &[&address])?
    else {
        return Err(Fault::new(Code::BadRequest, "one channel, with from or last").into());
    };
    let broker = &exchange.http.broker;
    let last_seq = broker.channel(&asked.channel)?.last_seq();
    let start = resumed(&exchange, last_seq)?.unwrap_or(asked.start);
    let body = if exchange.head.method == Method::HEAD {
        http_body_util::Empty::new().boxed_unsync()
    } else {
        let request = Subscribe { start, observe: true, ..asked };
        exchange.caller.ask(Request::Sub(request)).await?;
        exchange.caller.session().client().speaks(dialect::EVENTS);
        Events::new(broker.clone(), exchange.caller.clone()).boxed_unsync()
    };
    let mut answer = Response::new(body);
    let kind = HeaderValue::from_static("text/event-stream");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    *answer.status_mut() = StatusCode::OK;
    // Some proxies buffer an answer before they pass it on.
    Ok(answer::with(answer, HeaderName::from_static("x-accel-buffering"), "no"))
}

/// Where a client goes on that has lost its connection. One that names a seq beyond
/// the log has seen an earlier channel of this name, and nothing of this one.
fn resumed(exchange: &Exchange, last_seq: u64) -> Result<Option<Start>, Fault> {
    let Some(id) = exchange.header(&LAST_EVENT_ID)?.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    match id.parse::<u64>() {
        Ok(seq) if seq <= last_seq => Ok(Some(Start::Seq(seq + 1))),
        Ok(_) => Ok(Some(Start::First)),
        Err(_) => Err(Fault::new(Code::BadRequest, "Last-Event-ID is the seq of an entry")),
    }
}

/// The body of the answer.
struct Events {
    broker: Arc<Broker>,
    caller: Arc<Caller>,
    is_open: bool,
    has_ended: bool,
    silence: Silence,
}

/// Measures how long nothing has been sent.
struct Silence {
    most: Duration,
    since: Instant,
    /// Wakes the stream when the silence may have lasted too long.
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Silence {
    /// A silence that begins now and may last so long.
    fn new(most: Duration) -> Self {
        Silence { most, since: Instant::now(), end: Box::pin(runtime::sleep(most)) }
    }

    /// Begins anew, because something is sent.
    fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// Whether it has lasted too long; wakes the task when it has.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_over = false;
        while self.end.as_mut().poll(cx).is_ready() {
            let rest = self.most.saturating_sub(self.since.elapsed());
            is_over |= rest.is_zero();
            self.end = Box::pin(runtime::sleep(if rest.is_zero() { self.most } else { rest }));
        }
        is_over
    }
}

impl Events {
    fn new(broker: Arc<Broker>, caller: Arc<Caller>) -> Self {
        let silence = Silence::new(SILENCE_MAX);
        Events { broker, caller, is_open: false, has_ended: false, silence }
    }

    /// Reads on, and returns what is to be sent: `own` first, then pieces of the
    /// log.
    fn read(&mut self, cx: &Context<'_>, mut own: Vec<u8>) -> Part {
        let mut session = self.caller.session();
        session.register(cx.waker());
        let (mut batch, now_ms) = (Batch::default(), self.broker.now_ms());
        for _ in 0..TURNS {
            if !session.has_news() {
                break;
            }
            session.gather(&mut batch);
            for frame in batch.frames.drain(..) {
                events::frame(&frame, &mut own);
                // The channel was dropped.
                self.has_ended |= matches!(frame, Frame::Left { .. });
            }
            session.transform(&mut batch, events::MAKER);
            let mut bytes = 0;
            let first = batch.pieces.iter().take_while(|piece| {
                let is_taken = bytes < PART_BYTES;
                bytes += if is_taken { piece.bytes().len() } else { 0 };
                is_taken
            });
            let pieces: Vec<Piece> = first.cloned().collect();
            session.settle(&mut batch, bytes, bytes > 0, now_ms);
            if bytes > 0 || self.has_ended {
                return Part::new(own, pieces);
            }
        }
        if session.has_news() {
            cx.waker().wake_by_ref();
        } else if let Some(reason) = self.caller.closing().filter(|_| !session.awaits_disk()) {
            events::frame(&Frame::Bye { reason }, &mut own);
            self.has_ended = true;
        }
        own.into()
    }
}

impl Body for Events {
    type Data = Part;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Part>, Infallible>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let is_open = std::mem::replace(&mut self.is_open, true);
        let mut part = self.read(cx, if is_open { Vec::new() } else { OPENING.to_vec() });
        if self.silence.is_over(cx) && !part.has_remaining() {
            part = COMMENT.to_vec().into();
        }
        if part.has_remaining() {
            self.silence.begin();
            return Poll::Ready(Some(Ok(hyper::body::Frame::data(part))));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// Measured from what was sent last, not from the last measurement: that could
    /// take twice as long.
    #[test]
    fn a_silence_begins_with_what_was_sent_last() {
        let most = Duration::from_secs(1);
        let mut silence = Silence::new(most);
        runtime::block_on(runtime::sleep(Duration::from_millis(100)));
        silence.begin();
        let spoken = Instant::now();
        runtime::block_on(poll_fn(|cx| {
            if silence.is_over(cx) { Poll::Ready(()) } else { Poll::Pending }
        }));
        let lasted = spoken.elapsed();
        assert!(most.mul_f64(0.99) < lasted && lasted < most.mul_f64(1.6), "{lasted:?}");
    }
}
