//! Encoding and decoding, whichever format a connection has. It has one at a time,
//! and may change it.

use crate::error::Fault;
use crate::frame::Frame;
use crate::log::{Chunk, Form, Maker, Shape};
use crate::reply::{Excerpt, Line, Reply};
use crate::request::{Format, Heard, Request};
use crate::wire::{json, resp, text, websocket};

/// What a reply says about its request. The text dialect does not use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// The verb; `error` if that could not be read.
    pub verb: &'static str,
    /// The `id` that the client gave the request, a JSON value.
    pub id: Option<&'a str>,
}

impl Default for Tag<'_> {
    fn default() -> Self {
        Tag { verb: "error", id: None }
    }
}

/// A tag that is kept until the reply.
#[derive(Clone, Debug)]
pub struct OwnedTag {
    verb: &'static str,
    id: Option<Box<str>>,
}

impl OwnedTag {
    /// The borrowed form, which is what gets written.
    pub fn tag(&self) -> Tag<'_> {
        Tag { verb: self.verb, id: self.id.as_deref() }
    }

    /// The memory that it takes, in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.id.as_ref().map_or(0, |id| id.len())
    }
}

impl From<Tag<'_>> for OwnedTag {
    fn from(tag: Tag<'_>) -> Self {
        OwnedTag { verb: tag.verb, id: tag.id.map(Box::from) }
    }
}

/// A line that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// What the reply is to say about it.
    pub tag: Tag<'a>,
    /// What is asked, if anything is.
    pub request: Result<Option<Request<'a>>, Fault>,
}

/// Reads one line, without its end.
pub fn decode(format: Format, line: &[u8]) -> Asked<'_> {
    match format {
        Format::Json | Format::WebSocket => json::decode(line),
        // The Redis protocol has no lines.
        Format::Text | Format::Resp { .. } => {
            Asked { tag: Tag::default(), request: text::decode(line) }
        }
    }
}

/// Appends a reply. One that answers several requests has a tag for each.
pub fn reply(format: Format, reply: &Reply, tags: &[Tag<'_>], out: &mut Vec<u8>) {
    match format {
        Format::Text => text::reply(reply, out),
        Format::Json => json::reply(reply, tags, out),
        Format::WebSocket => websocket::lines(out, |out| json::reply(reply, tags, out)),
        Format::Resp { version, .. } => resp::reply(version, reply, tags, out),
    }
}

/// Appends the reply to a request that failed.
pub fn fault(format: Format, fault: &Fault, tag: Tag<'_>, out: &mut Vec<u8>) {
    match format {
        Format::Text => text::fault(fault, out),
        Format::Json => json::fault(fault, tag, out),
        Format::WebSocket => websocket::lines(out, |out| json::fault(fault, tag, out)),
        Format::Resp { .. } => resp::fault(fault, out),
    }
}

/// Appends a frame of the control lane. A client that knows only what Redis
/// would tell it gets none.
pub fn frame(format: Format, frame: &Frame, out: &mut Vec<u8>) {
    match format {
        Format::Text => text::frame(frame, out),
        Format::Json => json::frame(frame, out),
        Format::WebSocket => websocket::frame(frame, out),
        Format::Resp { plain: true, .. } => {}
        Format::Resp { version, .. } => resp::frame(version, frame, out),
    }
}

/// Appends Redis' own confirmation that a client is no longer subscribed to a
/// channel, for one that knows only what Redis would tell it. `word` is Redis' word
/// for that, `count` how many channels it is still subscribed to.
pub fn unsubscribed(format: Format, word: &str, channel: &str, count: u64, out: &mut Vec<u8>) {
    if let Format::Resp { version, .. } = format {
        let to = &mut resp::Writer::new(version, out);
        resp::subscribed(word, Some(channel), count, to);
    }
}

/// The maker of a chunk's entries in this format; `None` for the one in which they
/// are kept.
pub fn form(format: Format) -> Option<Maker> {
    match format {
        Format::Text => None,
        Format::Json => Some(Maker { shape: Shape::Json, make: json::form }),
        Format::WebSocket => Some(Maker { shape: Shape::WebSocket, make: websocket::form }),
        Format::Resp { version, .. } => Some(resp::form(version)),
    }
}

/// The same for a client that hears messages under several names; `None` if the
/// format has no such clients.
pub fn heard_form(format: Format) -> Option<fn(&Chunk, &Heard) -> Form> {
    match format {
        Format::Text | Format::Json | Format::WebSocket => None,
        Format::Resp { version, .. } => Some(resp::heard_form(version)),
    }
}

/// Entries that are read piece by piece, for a reply.
#[derive(Debug, Default)]
pub enum Rows {
    /// None have been read, or they need not be kept.
    #[default]
    None,
    /// For a line of JSON.
    Json(json::Rows),
    /// For a value of the Redis protocol.
    Resp(resp::Rows),
}

impl Rows {
    /// Begins to collect for this format, unless it has begun.
    fn begin(&mut self, format: Format) {
        if matches!(self, Rows::None) {
            *self = match format {
                Format::Text => Rows::None,
                Format::Json | Format::WebSocket => Rows::Json(json::Rows::default()),
                Format::Resp { .. } => Rows::Resp(resp::Rows::default()),
            };
        }
    }

    /// Collects entries, or appends them to `out` where nothing need be collected;
    /// returns whether there is room for more.
    pub fn add(&mut self, format: Format, excerpts: &[Excerpt], out: &mut Vec<u8>) -> bool {
        self.begin(format);
        match (self, format) {
            (Rows::Json(rows), _) => rows.add(excerpts),
            (Rows::Resp(rows), Format::Resp { version, .. }) => rows.add(version, excerpts),
            _ => {
                text::entries(excerpts, out);
                true
            }
        }
    }

    /// The memory that they take, in bytes.
    pub fn weight(&self) -> usize {
        match self {
            Rows::None => 0,
            Rows::Json(rows) => rows.weight(),
            Rows::Resp(rows) => rows.weight(),
        }
    }

    /// Appends the last line of an answer that was read piece by piece.
    pub fn last(&mut self, format: Format, line: Line, tag: Tag<'_>, out: &mut Vec<u8>) {
        if line.kind != "history" {
            return reply(format, &line.into(), &[tag], out);
        }
        // If no piece has come, the reply still has rows, though none.
        self.begin(format);
        match (self, format) {
            (Rows::Json(rows), Format::WebSocket) => {
                websocket::lines(out, |out| rows.reply(&line, tag, out));
            }
            (Rows::Json(rows), _) => rows.reply(&line, tag, out),
            (Rows::Resp(rows), Format::Resp { version, .. }) => rows.reply(version, &line, out),
            _ => reply(format, &line.into(), &[tag], out),
        }
    }
}
