//! What a connection that speaks in lines says and hears, whichever of the
//! formats they have. It has one at a time, and may change it.

use crate::error::Fault;
use crate::frame::Frame;
use crate::log::{Maker, Shape};
use crate::reply::{Line, Reply};
use crate::request::{Format, Request};
use crate::wire::{json, text, websocket};

/// What a reply says of its request. The text dialect has no use for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// What was asked; `error` if that could not be read.
    pub verb: &'static str,
    /// The JSON value that the client has given it.
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
    /// As it is written.
    pub fn tag(&self) -> Tag<'_> {
        Tag { verb: self.verb, id: self.id.as_deref() }
    }

    /// What it takes, in bytes.
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
    /// What the reply is to say of it.
    pub tag: Tag<'a>,
    /// What is asked, if anything is.
    pub request: Result<Option<Request<'a>>, Fault>,
}

/// Reads one line, without its end.
pub fn decode(format: Format, line: &[u8]) -> Asked<'_> {
    match format {
        Format::Text => Asked { tag: Tag::default(), request: text::decode(line) },
        Format::Json | Format::WebSocket => json::decode(line),
    }
}

/// Appends a reply. One that answers several requests has a tag for each.
pub fn reply(format: Format, reply: &Reply, tags: &[Tag<'_>], out: &mut Vec<u8>) {
    match format {
        Format::Text => text::reply(reply, out),
        Format::Json => json::reply(reply, tags, out),
        Format::WebSocket => websocket::lines(out, |out| json::reply(reply, tags, out)),
    }
}

/// Appends the reply to a request that failed.
pub fn fault(format: Format, fault: &Fault, tag: Tag<'_>, out: &mut Vec<u8>) {
    match format {
        Format::Text => text::fault(fault, out),
        Format::Json => json::fault(fault, tag, out),
        Format::WebSocket => websocket::lines(out, |out| json::fault(fault, tag, out)),
    }
}

/// Appends a frame of the control lane.
pub fn frame(format: Format, frame: &Frame, out: &mut Vec<u8>) {
    match format {
        Format::Text => text::frame(frame, out),
        Format::Json => json::frame(frame, out),
        Format::WebSocket => websocket::frame(frame, out),
    }
}

/// What makes the entries of a chunk look like this format; `None` if they do.
pub fn form(format: Format) -> Option<Maker> {
    match format {
        Format::Text => None,
        Format::Json => Some(Maker { shape: Shape::Json, make: json::form }),
        Format::WebSocket => Some(Maker { shape: Shape::WebSocket, make: websocket::form }),
    }
}

/// Appends the last line of an answer that was read piece by piece.
pub fn last(format: Format, rows: &json::Rows, line: Line, tag: Tag<'_>, out: &mut Vec<u8>) {
    match format {
        Format::Json if line.kind == "history" => rows.reply(&line, tag, out),
        Format::WebSocket if line.kind == "history" => {
            websocket::lines(out, |out| rows.reply(&line, tag, out));
        }
        _ => reply(format, &line.into(), &[tag], out),
    }
}
