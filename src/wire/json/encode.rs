//! Replies to lines.

use super::entries;
use super::write::{self, key};
use crate::error::Fault;
use crate::reply::{Excerpt, Field, Line, Reply, Value};
use crate::wire::rows::Collected;
use crate::wire::spoken::Tag;

/// Entries that are collected for a reply.
#[derive(Debug, Default)]
pub struct Rows(Collected);

impl Rows {
    /// Adds as many entries as fit; returns whether all did.
    pub fn add(&mut self, excerpts: &[Excerpt]) -> bool {
        self.0.add(excerpts, |chunk, line, out| {
            if !out.is_empty() {
                out.push(b',');
            }
            entries::entry(chunk, line, out);
        })
    }

    /// The memory that they take, in bytes.
    pub fn weight(&self) -> usize {
        self.0.weight()
    }

    /// Appends the reply with them as its rows.
    pub fn reply(&self, last: &Line, tag: Tag<'_>, out: &mut Vec<u8>) {
        begin(last.kind, out);
        self.fields(last, out);
        end(tag, out);
    }

    /// Appends the same as an object of its own, as [`object`] does.
    pub fn object(&self, last: &Line, out: &mut Vec<u8>) {
        braced(out, |out| self.fields(last, out));
    }

    fn fields(&self, last: &Line, out: &mut Vec<u8>) {
        fields(last.fields.iter().filter(|field| field.key != "count"), out);
        key("count", out);
        write::number(self.0.count as u64, out);
        if let Some(next) = self.0.next {
            key("next", out);
            write::number(next, out);
        }
        key("rows", out);
        out.push(b'[');
        out.extend_from_slice(&self.0.bytes);
        out.push(b']');
    }
}

/// The last line of a `history` answer that is cut short.
pub fn cut(channel: &str) -> Line {
    Line::new("history").at("channel", channel)
}

/// Appends a reply as one line, or as several if it answers several requests;
/// `tags` are theirs, in order.
pub fn reply(reply: &Reply, tags: &[Tag<'_>], out: &mut Vec<u8>) {
    let tag = tags.first().copied().unwrap_or_default();
    match reply {
        Reply::Line(last) => {
            begin(last.kind, out);
            fields(&last.fields, out);
            end(tag, out);
        }
        Reply::List(rows, last) => {
            begin(last.kind, out);
            list(rows, last, out);
            end(tag, out);
        }
        Reply::Entries(excerpts, last) => {
            let mut rows = Rows::default();
            rows.add(excerpts);
            rows.reply(last, tag, out);
        }
        Reply::Published { channel, first_seq, count, .. } => {
            for (at, seq) in (*first_seq..first_seq + count).enumerate() {
                out.extend_from_slice(b"{\"reply\":\"pub\",\"ok\":true,\"channel\":");
                write::string(channel, out);
                key("seq", out);
                write::number(seq, out);
                end(tags.get(at).copied().unwrap_or_default(), out);
            }
        }
        // `Scroll` is written by whoever reads it from the disk; the reply to
        // `quit` is the `bye` that comes last of all.
        Reply::Scroll | Reply::Quit => {}
    }
}

/// Appends what a reply says as an object of its own, without what tells one line
/// from another (`reply`, `ok`, `id`): for callers that know which request it
/// answers, as in HTTP. A list of one thing that was asked for by its name becomes
/// that thing.
pub fn object(reply: &Reply, out: &mut Vec<u8>) {
    match reply {
        Reply::Line(last) => braced(out, |out| fields(&last.fields, out)),
        Reply::List(rows, last) if last.kind == "info" => {
            braced(out, |out| fields(rows.iter().flat_map(|row| &row.fields), out));
        }
        Reply::List(rows, last) => braced(out, |out| list(rows, last, out)),
        Reply::Entries(excerpts, last) => {
            let mut rows = Rows::default();
            rows.add(excerpts);
            rows.object(last, out);
        }
        Reply::Published { channel, first_seq, .. } => braced(out, |out| {
            key("channel", out);
            write::string(channel, out);
            key("seq", out);
            write::number(*first_seq, out);
        }),
        Reply::Scroll | Reply::Quit => {}
    }
}

/// Appends an object. `fields` writes each field with a comma before it; the first
/// comma becomes the brace.
fn braced(out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    fields(out);
    match out.get_mut(begin) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

/// Appends the fields of a list, with its rows as the last of them.
fn list(rows: &[Line], last: &Line, out: &mut Vec<u8>) {
    fields(&last.fields, out);
    key("rows", out);
    out.push(b'[');
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        braced(out, |out| fields(&row.fields, out));
    }
    out.push(b']');
}

/// Appends the reply to a request that failed.
pub fn fault(fault: &Fault, tag: Tag<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"reply\":");
    write::string(tag.verb, out);
    out.extend_from_slice(b",\"ok\":false,\"error\":{\"code\":");
    write::string(fault.code.as_str(), out);
    key("message", out);
    write::string(&fault.message, out);
    out.push(b'}');
    end(tag, out);
}

fn begin(verb: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"reply\":");
    write::string(verb, out);
    out.extend_from_slice(b",\"ok\":true");
}

fn end(tag: Tag<'_>, out: &mut Vec<u8>) {
    write::id(tag.id, out);
    out.extend_from_slice(b"}\n");
}

fn fields<'a>(fields: impl IntoIterator<Item = &'a Field>, out: &mut Vec<u8>) {
    for field in fields {
        key(&field.name(), out);
        value(&field.value, out);
    }
}

fn value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => write::string(text, out),
        Value::Number(number) => write::number(*number, out),
        Value::Seconds(time) if time.subsec_nanos() == 0 => write::number(time.as_secs(), out),
        Value::Seconds(time) => out.extend_from_slice(time.as_secs_f64().to_string().as_bytes()),
        Value::Flag(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Time(time) => write::string(&format!("{time:.0}"), out),
        Value::Names(names) => {
            out.push(b'[');
            for (at, name) in names.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write::string(name, out);
            }
            out.push(b']');
        }
    }
}
