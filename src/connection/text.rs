//! Serves the requests of one read in the text dialect.

use super::outgoing::Outgoing;
use crate::error::{Close, Code, Fault};
use crate::payload::Payload;
use crate::request::{Publish, Request};
use crate::session::Session;
use crate::wire::text::{self, Lines, TooLong};
use std::borrow::Cow;

/// Answers all whole lines in `bytes`; the replies go to `outgoing`. Gives
/// the beginning of a line that is left over.
///
/// # Errors
/// Why the connection is to be closed.
pub(super) fn serve<'a>(
    session: &mut Session,
    bytes: &'a [u8],
    line_max: usize,
    outgoing: &mut Outgoing,
    now_ms: u64,
) -> Result<&'a [u8], Close> {
    let mut batch = Batch { channel: Cow::Borrowed(""), payloads: Vec::new() };
    let mut lines = Lines::new(bytes, line_max);
    while let Some(line) = lines.next() {
        match line.map_err(|TooLong| too_long(line_max)).and_then(text::decode) {
            Ok(None) => {}
            Ok(Some(Request::Pub(publish))) if batch.takes(&publish) => {
                batch.payloads.push(publish.payload);
            }
            Ok(Some(Request::Pub(publish))) if publish.term.is_none() && publish.key.is_none() => {
                batch.publish(session, outgoing, now_ms);
                batch = Batch { channel: publish.channel, payloads: vec![publish.payload] };
            }
            Ok(Some(request)) => {
                batch.publish(session, outgoing, now_ms);
                let is_quit = request == Request::Quit;
                let reply = session.handle(request, now_ms);
                outgoing.answer(reply, session);
                if is_quit {
                    return Err(Close::Quit);
                }
                if session.is_awaiting() {
                    // The rest has to wait with it.
                    return Ok(lines.rest());
                }
            }
            Err(fault) => {
                batch.publish(session, outgoing, now_ms);
                outgoing.answer(Err(fault), session);
            }
        }
    }
    batch.publish(session, outgoing, now_ms);
    lines.unfinished().map_err(|TooLong| {
        outgoing.answer(Err(too_long(line_max)), session);
        Close::TooLong
    })
}

/// Messages that follow each other to the same channel: one append.
struct Batch<'a> {
    channel: Cow<'a, str>,
    payloads: Vec<Payload<'a>>,
}

impl Batch<'_> {
    fn takes(&self, publish: &Publish<'_>) -> bool {
        let Some(first) = self.payloads.first() else { return false };
        publish.term.is_none()
            && publish.key.is_none()
            && publish.channel == self.channel
            && publish.payload.is_json() == first.is_json()
    }

    fn publish(&mut self, session: &mut Session, outgoing: &mut Outgoing, now_ms: u64) {
        if self.payloads.is_empty() {
            return;
        }
        match session.publish(&self.channel, None, &self.payloads, now_ms) {
            // Each message was a request of its own.
            Err(fault) => {
                for _ in &self.payloads {
                    outgoing.answer(Err(fault.clone()), session);
                }
            }
            reply => outgoing.answer(reply, session),
        }
        self.payloads.clear();
    }
}

fn too_long(line_max: usize) -> Fault {
    Fault::new(Code::TooLong, format!("a line has at most {line_max} bytes; see broker --max-line"))
}
