//! Serves the requests of one read in the text dialect.

use crate::error::{Close, Code, Fault};
use crate::payload::Payload;
use crate::reply::Reply;
use crate::request::{Publish, Request};
use crate::session::Session;
use crate::wire::text;
use std::borrow::Cow;

/// What came of the bytes of one read.
pub(super) struct Served {
    /// How many of them were whole lines.
    pub(super) consumed: usize,
    /// That the connection is to be closed.
    pub(super) close: Option<Close>,
}

/// Answers all whole lines in `bytes`; the replies are appended to `out`.
pub(super) fn serve(
    session: &mut Session,
    bytes: &[u8],
    line_max: usize,
    out: &mut Vec<u8>,
    now_ms: u64,
) -> Served {
    let mut batch = Batch { channel: Cow::Borrowed(""), payloads: Vec::new() };
    let mut consumed = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = &bytes[consumed..end];
        consumed = end + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let decoded =
            if line.len() > line_max { Err(too_long(line_max)) } else { text::decode(line) };
        match decoded {
            Ok(None) => {}
            Ok(Some(Request::Pub(publish))) if batch.takes(&publish) => {
                batch.payloads.push(publish.payload);
            }
            Ok(Some(Request::Pub(publish))) if publish.term.is_none() => {
                batch.publish(session, out, now_ms);
                batch = Batch { channel: publish.channel, payloads: vec![publish.payload] };
            }
            Ok(Some(request)) => {
                batch.publish(session, out, now_ms);
                let is_quit = request == Request::Quit;
                answer(session.handle(request, now_ms), session, out);
                if is_quit {
                    return Served { consumed, close: Some(Close::Quit) };
                }
            }
            Err(fault) => {
                batch.publish(session, out, now_ms);
                answer(Err(fault), session, out);
            }
        }
    }
    batch.publish(session, out, now_ms);
    if bytes.len() - consumed > line_max + 1 {
        answer(Err(too_long(line_max)), session, out);
        return Served { consumed, close: Some(Close::TooLong) };
    }
    Served { consumed, close: None }
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
            && publish.channel == self.channel
            && publish.payload.is_json() == first.is_json()
    }

    fn publish(&mut self, session: &mut Session, out: &mut Vec<u8>, now_ms: u64) {
        if self.payloads.is_empty() {
            return;
        }
        match session.publish(&self.channel, None, &self.payloads, now_ms) {
            // Each message was a request of its own.
            Err(fault) => {
                for _ in &self.payloads {
                    answer(Err(fault.clone()), session, out);
                }
            }
            reply => answer(reply, session, out),
        }
        self.payloads.clear();
    }
}

fn answer(reply: Result<Option<Reply>, Fault>, session: &Session, out: &mut Vec<u8>) {
    match reply {
        Ok(Some(reply)) => text::reply(&reply, out),
        Ok(None) => {}
        Err(fault) => {
            session.note_fault();
            text::fault(&fault, out);
        }
    }
}

fn too_long(line_max: usize) -> Fault {
    Fault::new(Code::TooLong, format!("a line has at most {line_max} bytes; see broker --max-line"))
}
