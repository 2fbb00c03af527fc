//! Entries of the log as pushes, and as entries of a stream.
//!
//! A chunk holds its entries as lines of the text dialect; here they are parsed
//! back. That is unambiguous: names and numbers hold no blanks, free text comes
//! last and escaped, and the words of a command are quoted.

use super::fields;
use super::write::Writer;
use crate::log::{Body, Chunk, Form, Maker, Shape};
use crate::request::{Heard, Resp};
use crate::wire::escape::unescape_bytes;
use crate::wire::text;
use std::borrow::Cow;

/// About how many bytes a push adds to the names and the payload of its line.
const EXTRA_BYTES: usize = 32;

/// The maker of a chunk's entries as pushes.
pub fn form(version: Resp) -> Maker {
    match version {
        Resp::Two => Maker { shape: Shape::Resp2, make: |chunk| pushes(chunk, Resp::Two, None) },
        Resp::Three => {
            Maker { shape: Shape::Resp3, make: |chunk| pushes(chunk, Resp::Three, None) }
        }
    }
}

/// The same for one client that hears the messages under other names.
pub fn heard_form(version: Resp) -> fn(&Chunk, &Heard) -> Form {
    match version {
        Resp::Two => |chunk, heard| pushes(chunk, Resp::Two, Some(heard)),
        Resp::Three => |chunk, heard| pushes(chunk, Resp::Three, Some(heard)),
    }
}

fn pushes(chunk: &Chunk, version: Resp, heard: Option<&Heard>) -> Form {
    Form::of(chunk, EXTRA_BYTES, |_, line, out| {
        let to = &mut Writer::new(version, out);
        match (chunk.body, heard) {
            (Body::Messages { .. }, None) => Message::read(line).by_name(b"message", to),
            (Body::Messages { .. }, Some(heard)) => Message::read(line).heard(heard, to),
            (body, _) => {
                let words = line_words(line);
                to.push(length(body, &words));
                entry_words(body, &words, to);
            }
        }
    })
}

/// The parts of a message's line.
struct Message<'a> {
    channel: &'a [u8],
    seq: &'a [u8],
    from: &'a [u8],
    payload: Cow<'a, [u8]>,
}

impl<'a> Message<'a> {
    fn read(line: &'a [u8]) -> Self {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        // msg CH SEQ FROM PAYLOAD
        let mut words = line.splitn(5, |byte| *byte == b' ').skip(1);
        let [channel, seq, from, payload] = std::array::from_fn(|_| words.next().unwrap_or(b""));
        let is_escaped = memchr::memchr(b'\\', payload).is_some();
        let payload =
            if is_escaped { unescape_bytes(payload).into() } else { Cow::Borrowed(payload) };
        Message { channel, seq, from, payload }
    }

    fn by_name(&self, kind: &[u8], to: &mut Writer<'_>) {
        to.push(3).bulk(kind).bulk(self.channel).bulk(&self.payload);
    }

    /// Appends the message once under each name by which the client hears it.
    fn heard(&self, heard: &Heard, to: &mut Writer<'_>) {
        if heard.by_name {
            self.by_name(b"message", to);
        }
        if heard.by_shard {
            self.by_name(b"smessage", to);
        }
        for pattern in &heard.patterns {
            to.push(4).bulk(b"pmessage").bulk(&**pattern).bulk(self.channel).bulk(&self.payload);
        }
    }
}

/// Appends one entry of a chunk as a row of a reply.
pub(super) fn row(chunk: &Chunk, line: &[u8], to: &mut Writer<'_>) {
    if let Body::Messages { .. } = chunk.body {
        let Message { channel, seq, from, payload } = Message::read(line);
        to.array(5).bulk(b"msg").bulk(channel);
        digits(seq, to);
        to.bulk(from).bulk(payload);
        return;
    }
    let words = line_words(line);
    to.array(length(chunk.body, &words));
    entry_words(chunk.body, &words, to);
}

/// Appends a message as an entry of a stream: its id, and its fields.
pub fn stream_entry(chunk: &Chunk, line: &[u8], to: &mut Writer<'_>) {
    let Message { seq, payload, .. } = Message::read(line);
    to.array(2).bulk([seq, b"-0"].concat());
    fields::write(&payload, matches!(chunk.body, Body::Messages { json: true }), to);
}

/// The words of a line that carries no free text, those of a command unquoted.
fn line_words(line: &[u8]) -> Vec<String> {
    // Only a damaged disk holds lines that are not UTF-8.
    let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
    text::split(&line).unwrap_or_default()
}

/// How many values an entry has.
fn length(body: Body, words: &[String]) -> usize {
    // Words that are missing, as on a damaged disk, are written as empty ones.
    words.len().max(match body {
        Body::Command { .. } => 7,
        _ => 5,
    })
}

/// Appends the words of a command or a change, its numbers as numbers.
fn entry_words(body: Body, words: &[String], to: &mut Writer<'_>) {
    let numbers: &[usize] = match body {
        // cmd CH SEQ FROM FROM-RANK FROM-TERM NAME ARG…
        Body::Command { .. } => &[2, 4, 5],
        // move CH SEQ MEMBER OLD NEW
        _ if words.first().is_some_and(|kind| kind == "move") => &[2, 4, 5],
        // join CH SEQ MEMBER RANK, left CH SEQ MEMBER RANK reason=REASON
        _ => &[2, 4],
    };
    for at in 0..length(body, words) {
        let word = words.get(at).map_or("", String::as_str);
        if numbers.contains(&at) {
            digits(word.as_bytes(), to);
        } else {
            to.bulk(word.strip_prefix("reason=").filter(|_| at == 5).unwrap_or(word));
        }
    }
}

fn digits(digits: &[u8], to: &mut Writer<'_>) {
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
    to.number(number.unwrap_or_default());
}
