//! Serves the requests of one read, in the format that the client speaks.

use super::input::Stop;
use super::outgoing::Outgoing;
use crate::error::{Close, Code, Fault};
use crate::payload::Payload;
use crate::reply::Reply;
use crate::request::{Format, Publish, Request};
use crate::session::Session;
use crate::wire::lines::{Lines, TooLong};
use crate::wire::sniff;
use crate::wire::spoken::{self, Asked, OwnedTag, Tag};
use crate::wire::text;
use std::borrow::Cow;
use std::task::Poll;

/// How a client speaks.
#[derive(Debug, Default)]
pub(super) struct Voice {
    /// The format of what it says, and of the replies to it.
    pub(super) format: Format,
    /// Set while its `hello` has to wait for another connection.
    awaited: Option<Box<Awaited>>,
    /// Whether a line has come that is not HTTP: what looks like HTTP from then on is
    /// a line like any other.
    has_begun: bool,
}

/// What the reply to a `hello` that waits will need.
#[derive(Debug)]
struct Awaited {
    tag: OwnedTag,
    format: Option<Format>,
}

impl Voice {
    /// For a client that uses this format from the first byte on.
    pub(super) fn new(format: Format) -> Self {
        Voice { format, ..Voice::default() }
    }

    /// Answers a `hello` that had to wait.
    pub(super) fn answer_awaited(
        &mut self,
        reply: Result<Option<Reply>, Fault>,
        outgoing: &mut Outgoing,
        session: &mut Session,
    ) {
        let awaited = self.awaited.take();
        let format = awaited.as_ref().and_then(|awaited| awaited.format);
        let tag = awaited.as_ref().map_or_else(Tag::default, |awaited| awaited.tag.tag());
        self.answer_hello(reply, format, tag, outgoing, session);
    }

    /// Answers a `hello`. From the reply on, the format is the one it asked for.
    fn answer_hello(
        &mut self,
        reply: Result<Option<Reply>, Fault>,
        format: Option<Format>,
        tag: Tag<'_>,
        outgoing: &mut Outgoing,
        session: &mut Session,
    ) {
        if let (Ok(_), Some(format)) = (&reply, format)
            && self.format != Format::WebSocket
        {
            self.format = format;
        }
        // A session that is resumed may have had another dialect before.
        session.client().speaks(self.format.as_str());
        outgoing.answer(reply, self.format, &[tag], session);
    }

    /// Answers whole lines in `bytes`, for as long as there is room for replies in
    /// `outgoing`, and the turn that began at `now_ms` has not lasted long enough.
    /// Gives what is left over.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) fn serve<'a>(
        &mut self,
        session: &mut Session,
        bytes: &'a [u8],
        line_max: usize,
        outgoing: &mut Outgoing,
        now_ms: u64,
    ) -> Result<&'a [u8], Stop<'a>> {
        let mut batch = PublishRun::new(self.format);
        let mut lines = Lines::new(bytes, line_max);
        let mut is_over = false;
        // A short request may have a long reply: look for room before each.
        while outgoing.has_room() && !is_over {
            let from = lines.rest();
            let Some(line) = lines.next() else { break };
            if line.is_ok_and(|line| batch.goes_on(line)) {
                continue;
            }
            // No message is pending: that would have been a beginning.
            if line.is_ok_and(|line| self.hears_http(line)) {
                outgoing.answer(Err(not_http()), self.format, &[], session);
                return Err(Close::Malformed.into());
            }
            let Asked { tag, request } = match line {
                Ok(line) => spoken::decode(self.format, line),
                Err(TooLong) => Asked { tag: Tag::default(), request: Err(too_long(line_max)) },
            };
            match request {
                Ok(None) => {}
                Ok(Some(Request::Pub(publish))) if is_plain(&publish) => {
                    if !batch.takes(&publish) {
                        batch.publish(session, outgoing, now_ms)?;
                        (batch.from, batch.channel) = (from, publish.channel);
                    }
                    batch.push(publish.payload, tag, line.unwrap_or_default());
                }
                Ok(Some(request)) => {
                    batch.publish(session, outgoing, now_ms)?;
                    if session.has_to_wait_with(&request) {
                        return Err(Stop::Wait(from));
                    }
                    let may_be_long = may_be_long(&request);
                    self.answer(request, tag, outgoing, session, now_ms)?;
                    if session.is_awaiting() {
                        // The requests behind it have to wait with it.
                        return Err(Stop::Wait(lines.rest()));
                    }
                    batch.format = self.format;
                    is_over = may_be_long && super::is_over(now_ms, session);
                }
                Err(fault) => {
                    batch.publish(session, outgoing, now_ms)?;
                    outgoing.answer(Err(fault), self.format, &[tag], session);
                }
            }
        }
        batch.publish(session, outgoing, now_ms)?;
        if is_over || !outgoing.has_room() {
            return Ok(lines.rest());
        }
        lines.unfinished().map_err(|TooLong| {
            outgoing.answer(Err(too_long(line_max)), self.format, &[], session);
            Close::TooLong.into()
        })
    }

    /// Answers a request that stands alone.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    fn answer(
        &mut self,
        request: Request<'_>,
        tag: Tag<'_>,
        outgoing: &mut Outgoing,
        session: &mut Session,
        now_ms: u64,
    ) -> Result<(), Close> {
        let is_quit = request == Request::Quit;
        let Request::Hello { format, .. } = request else {
            let reply = session.handle(request, now_ms);
            outgoing.answer(reply, self.format, &[tag], session);
            return if is_quit { Err(Close::Quit) } else { Ok(()) };
        };
        let reply = if self.format == Format::WebSocket && format == Some(Format::Text) {
            // Its lines come in frames, and will go on doing so.
            Err(Fault::new(Code::BadRequest, "a WebSocket speaks JSON only"))
        } else {
            session.handle(request, now_ms)
        };
        if session.is_awaiting() {
            self.awaited = Some(Box::new(Awaited { tag: tag.into(), format }));
        } else {
            self.answer_hello(reply, format, tag, outgoing, session);
        }
        Ok(())
    }

    /// Whether this is a line of an HTTP request, from a client that has said
    /// nothing else.
    fn hears_http(&mut self, line: &[u8]) -> bool {
        if self.has_begun {
            return false;
        }
        // No program that speaks HTTP begins with a comment; some do with blank lines.
        self.has_begun = !line.trim_ascii().is_empty();
        self.format == Format::Text && sniff::is_http(line)
    }
}

/// Messages that follow each other to the same channel: one append.
struct PublishRun<'a> {
    format: Format,
    /// The bytes from the line of the first message on.
    from: &'a [u8],
    channel: Cow<'a, str>,
    /// How the line of the last message begins, up to its text, if that is plain
    /// text.
    opening: &'a [u8],
    payloads: Vec<Payload<'a>>,
    /// The tag of each message; none in the text dialect, whose replies have no use
    /// for them.
    tags: Vec<Tag<'a>>,
}

impl<'a> PublishRun<'a> {
    fn new(format: Format) -> Self {
        let (channel, from, opening) = (Cow::Borrowed(""), &[][..], &[][..]);
        PublishRun { format, from, channel, opening, payloads: Vec::new(), tags: Vec::new() }
    }

    /// Whether a message can be published together with those that were taken.
    fn takes(&self, publish: &Publish<'_>) -> bool {
        let Some(first) = self.payloads.first() else { return false };
        publish.channel == self.channel && publish.payload.is_json() == first.is_json()
    }

    /// Takes a line that begins as the one before, and is a plain message as well: all
    /// but its text was checked with that one. Returns whether it did.
    fn goes_on(&mut self, line: &'a [u8]) -> bool {
        let text = text::plain_text(self.opening, line);
        self.payloads.extend(text.map(Payload::Plain));
        text.is_some()
    }

    fn push(&mut self, payload: Payload<'a>, tag: Tag<'a>, line: &'a [u8]) {
        self.opening = match payload {
            Payload::Plain(text) if self.format == Format::Text => {
                line.strip_suffix(text).unwrap_or_default()
            }
            _ => &[],
        };
        self.payloads.push(payload);
        if self.format != Format::Text {
            self.tags.push(tag);
        }
    }

    /// Publishes what was taken.
    ///
    /// # Errors
    /// [`Stop::Wait`] if the client has to wait before.
    fn publish(
        &mut self,
        session: &mut Session,
        outgoing: &mut Outgoing,
        now_ms: u64,
    ) -> Result<(), Stop<'a>> {
        if self.payloads.is_empty() {
            return Ok(());
        }
        let published = session.try_publish(&self.channel, &self.payloads, now_ms);
        let Poll::Ready(reply) = published else { return Err(Stop::Wait(self.from)) };
        match reply {
            // Each message was a request of its own.
            Err(fault) => {
                for at in 0..self.payloads.len() {
                    let tags = self.tags.get(at..=at).unwrap_or_default();
                    outgoing.answer(Err(fault.clone()), self.format, tags, session);
                }
            }
            reply => outgoing.answer(reply, self.format, &self.tags, session),
        }
        self.opening = &[];
        self.payloads.clear();
        self.tags.clear();
        Ok(())
    }
}

/// Whether a message can be published together with others like it.
fn is_plain(publish: &Publish<'_>) -> bool {
    publish.term.is_none() && publish.key.is_none()
}

/// Whether a request may take as long as thousands of others: not those that come in
/// the thousands.
fn may_be_long(request: &Request<'_>) -> bool {
    !matches!(request, Request::Pub(_) | Request::Ack { .. })
}

fn not_http() -> Fault {
    let text = "this begins like HTTP with a method that is not served: nothing is done";
    Fault::new(Code::UnknownCommand, text)
}

fn too_long(line_max: usize) -> Fault {
    Fault::new(Code::TooLong, format!("a line has at most {line_max} bytes; see broker --max-line"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Broker;
    use crate::config::Config;
    use crate::request::Settings;
    use crate::wire::text::TextEncoder;

    /// Each of these looks at every channel.
    #[test]
    fn a_turn_ends_however_many_long_requests_were_read() {
        let broker = Broker::open(Config::default(), Box::new(TextEncoder)).unwrap();
        for number in 0..2_000 {
            broker.create(&format!("c{number}"), Settings::default(), 0).unwrap();
        }
        for (format, request) in [
            (Format::Text, "sub --pattern z*\nunsub z*\n"),
            (
                Format::Json,
                "{\"op\":\"sub\",\"pattern\":\"z*\"}\n{\"op\":\"unsub\",\"pattern\":\"z*\"}\n",
            ),
        ] {
            let client = broker.enter_unwatched("127.0.0.1:1".parse().unwrap(), "text");
            let mut session = Session::new(broker.clone(), client);
            let (mut voice, mut outgoing) = (Voice::new(format), Outgoing::new(format));
            let all = request.repeat(1_000).into_bytes();
            let (mut bytes, mut turns) = (&all[..], 0);
            while !bytes.is_empty() {
                let now_ms = broker.now_ms();
                let served = voice.serve(&mut session, bytes, 65_536, &mut outgoing, now_ms);
                let Ok(rest) = served else { panic!("the connection goes on") };
                (bytes, turns) = (rest, turns + 1);
            }
            assert!(turns > 5, "{turns} turns");
            let answers = String::from_utf8(outgoing.answers().clone()).unwrap();
            assert_eq!(answers.matches("z*").count(), 2_000, "{answers:.1000}");
        }
    }
}
