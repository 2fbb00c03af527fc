//! Entries of the log as frames of the JSON dialect.
//!
//! A chunk holds its entries as lines of the text dialect; here they are parsed
//! back. That is unambiguous: names and numbers hold no blanks, free text comes
//! last and escaped, and the words of a command are quoted.

use super::write::{self, key};
use crate::log::{Body, Chunk, Form};
use crate::wire::escape::unescape;
use crate::wire::text;
use std::borrow::Cow;

/// About how many bytes the frame of a message adds to the names, the numbers and
/// the data of its line.
const EXTRA_BYTES: usize = 56;

/// A chunk's entries as lines of the JSON dialect.
pub fn form(chunk: &Chunk) -> Form {
    Form::of(chunk, EXTRA_BYTES, |_, line, out| {
        entry(chunk, line, out);
        out.push(b'\n');
    })
}

/// Appends one entry of a chunk, without a line's end.
pub fn entry(chunk: &Chunk, line: &[u8], out: &mut Vec<u8>) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // Only a damaged disk holds lines that are not UTF-8.
    let line = String::from_utf8_lossy(line);
    let mut words = line.splitn(4, ' ');
    let [kind, channel, seq, rest] = std::array::from_fn(|_| words.next().unwrap_or_default());
    out.extend_from_slice(b"{\"frame\":");
    write::string(kind, out);
    text("channel", channel, out);
    number("seq", seq, out);
    match chunk.body {
        Body::Messages { json } => message(rest, json, out),
        Body::Command { .. } => command(rest, out),
        Body::Change(_) => change(kind, rest, out),
    }
    out.push(b'}');
}

fn number(name: &str, digits: &str, out: &mut Vec<u8>) {
    key(name, out);
    write::number(digits.parse::<u64>().unwrap_or_default(), out);
}

fn text(name: &str, text: &str, out: &mut Vec<u8>) {
    key(name, out);
    write::string(text, out);
}

fn message(rest: &str, is_json: bool, out: &mut Vec<u8>) {
    let (from, payload) = rest.split_once(' ').unwrap_or((rest, ""));
    text("from", from, out);
    key("data", out);
    let is_escaped = payload.contains('\\');
    let payload = if is_escaped { unescape(payload).into() } else { Cow::Borrowed(payload) };
    if is_json {
        write::value(&payload, out);
    } else {
        write::string(&payload, out);
    }
}

fn command(rest: &str, out: &mut Vec<u8>) {
    let mut words = rest.splitn(4, ' ');
    let [from, rank, term, command] = std::array::from_fn(|_| words.next().unwrap_or_default());
    text("from", from, out);
    number("from_rank", rank, out);
    number("from_term", term, out);
    // The words were quoted by us, so that splitting them cannot fail.
    let command = text::split(command).unwrap_or_default();
    let mut command = command.iter();
    text("name", command.next().map_or("", String::as_str), out);
    key("args", out);
    out.push(b'[');
    for (at, arg) in command.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write::string(arg, out);
    }
    out.push(b']');
}

fn change(kind: &str, rest: &str, out: &mut Vec<u8>) {
    let mut words = rest.splitn(3, ' ');
    let [member, rank, last] = std::array::from_fn(|_| words.next().unwrap_or_default());
    text("member", member, out);
    if kind == "move" {
        number("old", rank, out);
        return number("new", last, out);
    }
    number("rank", rank, out);
    if let Some(reason) = last.strip_prefix("reason=") {
        text("reason", reason, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Command, Departure, Encode, Forms, Position};
    use crate::payload::Payload;
    use crate::roster::Change;
    use crate::wire::text::TextEncoder;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const POSITION: Position<'_> = Position { channel: "ops", seq: 9 };

    fn chunk(body: Body, bytes: Vec<u8>, ends: Vec<u32>) -> Chunk {
        Chunk { first_seq: 9, author: 1, body, at_ms: 0, bytes, ends, forms: Forms::default() }
    }

    fn messages(payloads: &[Payload<'_>]) -> Chunk {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        TextEncoder.messages(POSITION, "alice", payloads, &mut bytes, &mut ends);
        if ends.len() == 1 {
            ends.clear();
        }
        chunk(Body::Messages { json: payloads[0].is_json() }, bytes, ends)
    }

    /// The frames of a chunk, each of its own entry, and each one line.
    fn frames(chunk: &Chunk) -> Vec<Value> {
        let (form, entries) = (form(chunk), usize::try_from(chunk.entries()).unwrap());
        let lines = (0..entries).map(|entry| {
            let line = std::str::from_utf8(form.bytes(entry..entry + 1)).unwrap();
            let line = line.strip_suffix('\n').unwrap();
            assert!(!line.contains(char::is_control), "{line:?}");
            serde_json::from_str(line).unwrap()
        });
        lines.collect()
    }

    #[test]
    fn messages_carry_text_or_a_value() {
        let texts = [Payload::Plain(b"hi \"you\" "), Payload::Text("a\nb\\n\u{9b}".into())];
        let frame =
            |seq, data| json!({"frame":"msg","channel":"ops","seq":seq,"from":"alice","data":data});
        assert_eq!(
            frames(&messages(&texts)),
            [frame(9, "hi \"you\" "), frame(10, "a\nb\\n\u{9b}")]
        );
        let value = r#"{"a":"x\ny","n":1.0}"#;
        let chunk = messages(&[Payload::Json(value.into())]);
        assert_eq!(
            form(&chunk).bytes(0..1),
            format!(r#"{{"frame":"msg","channel":"ops","seq":9,"from":"alice","data":{value}}}"#)
                .as_bytes()
                .iter()
                .copied()
                .chain([b'\n'])
                .collect::<Vec<u8>>()
        );
    }

    #[test]
    fn changes_of_the_roster() {
        for (change, reason, frame) in [
            (
                Change::Join { rank: 2 },
                None,
                json!({"frame":"join","channel":"ops","seq":9,"member":"bob","rank":2}),
            ),
            (
                Change::Left { rank: 2 },
                Some(Departure::Kicked),
                json!({"frame":"left","channel":"ops","seq":9,"member":"bob","rank":2,"reason":"kicked"}),
            ),
            (
                Change::Move { old: 2, new: 0 },
                None,
                json!({"frame":"move","channel":"ops","seq":9,"member":"bob","old":2,"new":0}),
            ),
        ] {
            let mut bytes = Vec::new();
            TextEncoder.change(POSITION, "bob", change, reason, &mut bytes);
            assert_eq!(frames(&chunk(Body::Change(change), bytes, Vec::new())), [frame]);
        }
    }

    #[test]
    fn what_a_damaged_disk_gives_is_still_one_object_a_line() {
        for line in ["", "\n", "msg", "msg ops x", "msg ops 7 alice", "\u{0}\n", "cmd a 1 b 'x"] {
            for body in [
                Body::Messages { json: false },
                Body::Command { rank: 0, to: None },
                Body::Change(Change::Join { rank: 0 }),
            ] {
                frames(&chunk(body, line.as_bytes().to_vec(), Vec::new()));
            }
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(texts in prop::collection::vec(any::<String>(), 1..5)) {
            let payloads: Vec<Payload<'_>> =
                texts.iter().map(|text| Payload::Text(text.into())).collect();
            let chunk = messages(&payloads);
            let data: Vec<Value> = frames(&chunk).iter().map(|f| f["data"].clone()).collect();
            prop_assert_eq!(data, texts);
        }

        #[test]
        fn every_command_comes_back(
            words in prop::collection::vec("[^\\p{Cc}]{0,12}", 1..5),
            name in "[^\\p{Cc}]{1,12}",
        ) {
            let mut bytes = Vec::new();
            TextEncoder.command(POSITION, "alice", 1, 4, Command { name: &name, args: &words }, &mut bytes);
            let body = Body::Command { rank: 1, to: None };
            prop_assert_eq!(frames(&chunk(body, bytes, Vec::new())), [json!({
                "frame": "cmd", "channel": "ops", "seq": 9, "from": "alice",
                "from_rank": 1, "from_term": 4, "name": name, "args": words,
            })]);
        }
    }
}
