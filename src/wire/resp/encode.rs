//! Replies to values.

use super::entries;
use super::write::Writer;
use crate::error::Fault;
use crate::reply::{Excerpt, Field, Line, Reply, Value};
use crate::request::Resp;
use crate::wire::rows::Collected;
use crate::wire::spoken::Tag;

/// Entries that are collected for a reply.
#[derive(Debug, Default)]
pub struct Rows(Collected);

impl Rows {
    /// Adds as many entries as fit; returns whether all did.
    pub fn add(&mut self, version: Resp, excerpts: &[Excerpt]) -> bool {
        self.0.add(excerpts, |chunk, line, out| {
            entries::row(chunk, line, &mut Writer::new(version, out));
        })
    }

    /// The memory that they take, in bytes.
    pub fn weight(&self) -> usize {
        self.0.weight()
    }

    /// Appends the reply with them as its rows.
    pub fn reply(&self, version: Resp, last: &Line, out: &mut Vec<u8>) {
        let to = &mut Writer::new(version, out);
        let own = last.fields.iter().filter(|field| field.key != "count");
        to.map(own.clone().count() + 2 + usize::from(self.0.next.is_some()));
        own.for_each(|own| field(own, to));
        to.bulk("count").number(self.0.count);
        if let Some(next) = self.0.next {
            to.bulk("next").number(next);
        }
        to.bulk("rows").array(self.0.count).raw(&self.0.bytes);
    }
}

/// Appends a reply, or several if it answers several requests; `tags` are theirs,
/// in order.
pub fn reply(version: Resp, reply: &Reply, tags: &[Tag<'_>], out: &mut Vec<u8>) {
    let to = &mut Writer::new(version, out);
    match reply {
        Reply::Line(last) if last.kind.ends_with("subscribe") => confirmation(last, to),
        Reply::Line(last) => {
            to.map(last.fields.len());
            last.fields.iter().for_each(|own| field(own, to));
        }
        Reply::List(rows, last) => {
            to.map(last.fields.len() + 1);
            last.fields.iter().for_each(|own| field(own, to));
            to.bulk("rows").array(rows.len());
            for row in rows {
                to.map(row.fields.len());
                row.fields.iter().for_each(|own| field(own, to));
            }
        }
        Reply::Entries(excerpts, last) => {
            let mut rows = Rows::default();
            rows.add(version, excerpts);
            rows.reply(version, last, out);
        }
        Reply::Published { channel, first_seq, count, receivers } => {
            for (at, seq) in (*first_seq..first_seq + count).enumerate() {
                match tags.get(at).or(tags.first()).map_or("", |tag| tag.verb) {
                    "publish" => to.number(*receivers),
                    "xadd" => to.bulk(format!("{seq}-0")),
                    _ => to.map(2).bulk("channel").bulk(&**channel).bulk("seq").number(seq),
                };
            }
        }
        // `Scroll` is written by whoever reads it from the disk; `quit` has been
        // answered by whoever closes the connection.
        Reply::Scroll | Reply::Quit => {}
    }
}

/// Appends the push that confirms a subscription or its end: `kind` says which, and
/// `count` how many subscriptions the client has now.
pub fn subscribed(kind: &str, to_what: Option<&str>, count: u64, to: &mut Writer<'_>) {
    to.push(3).bulk(kind);
    match to_what {
        Some(name) => to.bulk(name),
        None => to.null(),
    };
    to.number(count);
}

/// Appends the confirmation of a request to subscribe or unsubscribe; a client that
/// has a rank is told that as well.
fn confirmation(last: &Line, to: &mut Writer<'_>) {
    let value = |key| last.fields.iter().find(|own| own.key == key).map(|own| &own.value);
    let number = |key| match value(key) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    let Some(Value::Text(name)) = last.fields.first().map(|own| &own.value) else { return };
    subscribed(last.kind, Some(name), number("count").unwrap_or_default(), to);
    if let (Some(rank), Some(term), Some(view)) = (number("rank"), number("term"), number("view")) {
        to.push(5).bulk("rank").bulk(&**name).number(rank).number(term).number(view);
    }
}

/// Appends the reply to a request that failed: `-ERR`, the code, and what it
/// says.
pub fn fault(fault: &Fault, out: &mut Vec<u8>) {
    // Errors look the same in both versions.
    Writer::new(Resp::Two, out).error(&format!("ERR {fault}"));
}

/// Appends a field's name, as the JSON dialect has it, and its value.
fn field(field: &Field, to: &mut Writer<'_>) {
    to.bulk(&*field.name());
    match &field.value {
        Value::Text(text) => to.bulk(&**text),
        Value::Number(number) => to.number(*number),
        Value::Seconds(time) if time.subsec_nanos() == 0 => to.number(time.as_secs()),
        Value::Seconds(time) => to.bulk(time.as_secs_f64().to_string()),
        Value::Flag(flag) => to.flag(*flag),
        Value::Time(time) => to.bulk(format!("{time:.0}")),
        Value::Names(names) => {
            to.array(names.len());
            for name in names {
                to.bulk(&**name);
            }
            to
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::log::{Body, Chunk, Forms};
    use crate::wire::rows::ROWS_BYTES_MAX;
    use std::sync::Arc;
    use std::time::Duration;

    fn written(version: Resp, what: &Reply, tags: &[Tag<'_>]) -> String {
        let mut out = Vec::new();
        reply(version, what, tags, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn messages_are_answered_as_they_were_asked_for() {
        let published =
            Reply::Published { channel: "c".into(), first_seq: 7, count: 3, receivers: 2 };
        let tags = ["publish", "xadd", "pub"].map(|verb| Tag { verb, id: None });
        let heard = written(Resp::Three, &published, &tags);
        assert_eq!(
            heard,
            ":2\r\n$3\r\n8-0\r\n%2\r\n$7\r\nchannel\r\n$1\r\nc\r\n$3\r\nseq\r\n:9\r\n"
        );
    }

    #[test]
    fn a_rank_comes_with_the_confirmation() {
        let line = Line::new("subscribe").at("channel", "c").with("count", 1_u64);
        assert_eq!(
            written(Resp::Two, &line.clone().into(), &[]),
            "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
        );
        let line = line.with("rank", 2_u64).with("term", 5_u64).with("view", 6_u64);
        assert_eq!(
            written(Resp::Three, &line.into(), &[]),
            ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>5\r\n$4\r\nrank\r\n$1\r\nc\r\n:2\r\n:5\r\n:6\r\n"
        );
    }

    #[test]
    fn every_kind_of_value_and_rows() {
        let names: Vec<ecow::EcoString> = vec!["x".into()];
        let mut row = Line::new("client").at("on-close", "a").with("yes", true);
        row = row.with("hold", Duration::from_millis(1500));
        row.fields.push(Field { key: "in", value: Value::Names(names), positional: false });
        let last = Line::new("who").at("count", 1_u64);
        assert_eq!(
            written(Resp::Two, &Reply::List(vec![row], last), &[]),
            "*4\r\n$5\r\ncount\r\n:1\r\n$4\r\nrows\r\n*1\r\n*8\r\n$8\r\non_close\r\n$1\r\na\r\n\
             $3\r\nyes\r\n:1\r\n$4\r\nhold\r\n$3\r\n1.5\r\n$2\r\nin\r\n*1\r\n$1\r\nx\r\n"
        );
    }

    #[test]
    fn rows_have_an_end() {
        let line = format!("msg c 7 alice {}\n", "x".repeat(ROWS_BYTES_MAX / 2));
        let bytes = line.repeat(3).into_bytes();
        let ends = (1..=3).map(|n| u32::try_from(n * line.len()).unwrap()).collect();
        let (body, forms) = (Body::Messages { json: false }, Forms::default());
        let chunk = Arc::new(Chunk { first_seq: 7, author: 1, body, at_ms: 0, bytes, ends, forms });
        let range = 0..chunk.bytes.len();
        let mut rows = Rows::default();
        assert!(!rows.add(Resp::Two, &[Excerpt { chunk, range }]));
        let mut out = Vec::new();
        rows.reply(Resp::Two, &Line::new("history").at("channel", "c"), &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with(
            "*8\r\n$7\r\nchannel\r\n$1\r\nc\r\n$5\r\ncount\r\n:1\r\n$4\r\nnext\r\n:8\r\n$4\r\nrows\r\n*1\r\n*5\r\n$3\r\nmsg\r\n"
        ));
    }

    #[test]
    fn a_fault_is_one_line_whatever_it_quotes() {
        let mut out = Vec::new();
        fault(&Fault::new(Code::BadRequest, "no \r\n such"), &mut out);
        assert_eq!(out, b"-ERR bad-request no \\r\\n such\r\n");
    }
}
