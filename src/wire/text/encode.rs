//! Replies, frames and entries to lines.

use crate::error::Fault;
use crate::frame::Frame;
use crate::log::{Command, Departure, Encode, Position, with_room};
use crate::payload::Payload;
use crate::reply::{Excerpt, Line, Reply, Value};
use crate::roster::Change;
use crate::wire::escape::{escape, escape_bytes, unescape_bytes};
use std::fmt::Display;
use std::ops::Range;

/// How entries look in the text dialect.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextEncoder;

impl Encode for TextEncoder {
    fn messages(
        &self,
        position: Position<'_>,
        from: &str,
        payloads: &[Payload<'_>],
        bytes: &mut Vec<u8>,
        ends: &mut Vec<u32>,
    ) {
        const FIXED: usize = "msg ".len() + " ".len() + " ".len() + " ".len() + "\n".len();
        let fixed = FIXED
            + position.channel.len()
            + from.len()
            + digits(position.seq + payloads.len() as u64);
        let total: usize = payloads.iter().map(|p| fixed + p.as_bytes().len()).sum();
        if bytes.is_empty() {
            *bytes = with_room(total);
        } else {
            bytes.reserve_exact(total);
        }
        let mut header = Header::default();
        for (seq, payload) in (position.seq..).zip(payloads) {
            if !header.repeat(bytes) {
                header = Header::write(position.channel, seq, from, bytes);
            }
            match payload {
                Payload::Plain(text) => bytes.extend_from_slice(text),
                Payload::Text(text) | Payload::Json(text) => escape(text, bytes),
                Payload::Bytes(payload) => escape_bytes(payload, bytes),
            }
            bytes.push(b'\n');
            // At most a body of an HTTP request, escaped: far below 4 GiB.
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
    }

    fn command(
        &self,
        position: Position<'_>,
        from: &str,
        rank: u32,
        term: u64,
        command: Command<'_>,
        bytes: &mut Vec<u8>,
    ) {
        words(bytes, &[&"cmd", &position.channel, &position.seq, &from, &rank, &term]);
        for word in std::iter::once(command.name).chain(command.args.iter().map(String::as_str)) {
            bytes.push(b' ');
            // It fails only for NUL, which the decoder refuses.
            let quoted = shlex::try_quote(word).unwrap_or_default();
            bytes.extend_from_slice(quoted.as_bytes());
        }
        bytes.push(b'\n');
    }

    fn payload(&self, entry: &[u8]) -> Vec<u8> {
        let line = entry.strip_suffix(b"\n").unwrap_or(entry);
        // msg CH SEQ FROM PAYLOAD
        let payload = line.splitn(5, |byte| *byte == b' ').nth(4).unwrap_or_default();
        unescape_bytes(payload)
    }

    fn change(
        &self,
        position: Position<'_>,
        member: &str,
        change: Change,
        reason: Option<Departure>,
        bytes: &mut Vec<u8>,
    ) {
        match change {
            Change::Join { rank } => {
                words(bytes, &[&"join", &position.channel, &position.seq, &member, &rank]);
            }
            Change::Left { rank } => {
                words(bytes, &[&"left", &position.channel, &position.seq, &member, &rank]);
            }
            Change::Move { old, new } => {
                words(bytes, &[&"move", &position.channel, &position.seq, &member, &old, &new]);
            }
        }
        if let Some(reason) = reason {
            push(bytes, &format_args!(" reason={}", reason.as_str()));
        }
        bytes.push(b'\n');
    }
}

/// Where the header of the last message is in the bytes: all that precedes its
/// payload.
#[derive(Default)]
struct Header {
    range: Range<usize>,
    seq: Range<usize>,
}

impl Header {
    /// Appends the header of the first of some messages.
    fn write(channel: &str, seq: u64, from: &str, bytes: &mut Vec<u8>) -> Header {
        let start = bytes.len();
        bytes.extend_from_slice(b"msg ");
        bytes.extend_from_slice(channel.as_bytes());
        bytes.push(b' ');
        let seq_start = bytes.len();
        bytes.extend_from_slice(itoa::Buffer::new().format(seq).as_bytes());
        let seq = seq_start..bytes.len();
        bytes.push(b' ');
        bytes.extend_from_slice(from.as_bytes());
        bytes.push(b' ');
        Header { range: start..bytes.len(), seq }
    }

    /// Appends the header of the next message: a copy, its seq counted up by one.
    /// Appends nothing and returns false if that would make the seq longer, or if
    /// there is no header yet.
    fn repeat(&mut self, bytes: &mut Vec<u8>) -> bool {
        let start = bytes.len();
        let by = start - self.range.start;
        bytes.extend_from_within(self.range.clone());
        let seq = self.seq.start + by..self.seq.end + by;
        for digit in bytes[seq.clone()].iter_mut().rev() {
            if *digit != b'9' {
                *digit += 1;
                *self = Header { range: start..bytes.len(), seq };
                return true;
            }
            *digit = b'0';
        }
        bytes.truncate(start);
        false
    }
}

const fn digits(number: u64) -> usize {
    match number.checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 1,
    }
}

/// Appends an item whose text needs no escapes.
fn push(out: &mut Vec<u8>, item: &dyn Display) {
    use std::io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{item}");
}

fn words(out: &mut Vec<u8>, words: &[&dyn Display]) {
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        push(out, word);
    }
}

/// Appends entries.
pub fn entries(excerpts: &[Excerpt], out: &mut Vec<u8>) {
    for excerpt in excerpts {
        out.extend_from_slice(&excerpt.chunk.bytes[excerpt.range.clone()]);
    }
}

/// Appends a reply's lines.
pub fn reply(reply: &Reply, out: &mut Vec<u8>) {
    match reply {
        Reply::Line(last) => ok(last, out),
        Reply::List(rows, last) => {
            for row in rows {
                line(row, out);
            }
            ok(last, out);
        }
        Reply::Entries(excerpts, last) => {
            entries(excerpts, out);
            ok(last, out);
        }
        Reply::Published { channel, first_seq, count, .. } => {
            let mut seq_text = itoa::Buffer::new();
            for seq in *first_seq..first_seq + count {
                for part in ["ok pub ", channel, " ", seq_text.format(seq), "\n"] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
        }
        // `Scroll` is written by whoever reads it from the disk; the reply to
        // `quit` is the `bye` that comes last of all.
        Reply::Scroll | Reply::Quit => {}
    }
}

fn ok(last: &Line, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ok ");
    line(last, out);
}

fn line(line: &Line, out: &mut Vec<u8>) {
    out.extend_from_slice(line.kind.as_bytes());
    for field in &line.fields {
        out.push(b' ');
        if !field.positional {
            out.extend_from_slice(field.key.as_bytes());
            out.push(b'=');
        }
        match &field.value {
            Value::Text(text) => escape(text, out),
            Value::Number(number) => push(out, number),
            Value::Seconds(time) if time.subsec_nanos() == 0 => push(out, &time.as_secs()),
            Value::Seconds(time) => push(out, &time.as_secs_f64()),
            Value::Flag(flag) => out.extend_from_slice(if *flag { b"yes" } else { b"no" }),
            Value::Time(time) => push(out, &format_args!("{time:.0}")),
            Value::Names(names) => out.extend_from_slice(names.join(",").as_bytes()),
        }
    }
    out.push(b'\n');
}

/// Appends the reply to a request that failed.
pub fn fault(fault: &Fault, out: &mut Vec<u8>) {
    words(out, &[&"err", &fault.code, &""]);
    escape(&fault.message, out);
    out.push(b'\n');
}

/// Appends a frame of the control lane.
pub fn frame(frame: &Frame, out: &mut Vec<u8>) {
    match frame {
        Frame::Ack { channel, seq, member, rank, outcome, text } => {
            words(out, &[&"ack", channel, seq, member, rank, &""]);
            match outcome.code() {
                Ok(code) => push(out, &code),
                Err(word) => out.extend_from_slice(word.as_bytes()),
            }
            out.push(b' ');
            escape(text, out);
        }
        Frame::Done { channel, seq, ok, sent } => {
            words(out, &[&"done", channel, seq, &format_args!("{ok}/{sent}")]);
        }
        Frame::Rank { channel, rank, term, view } => {
            words(out, &[&"rank", channel, rank, term, view]);
        }
        Frame::Gap { channel, from, to } => words(out, &[&"gap", channel, from, to]),
        Frame::Left { channel, seq, member, rank, reason } => {
            words(out, &[&"left", channel, seq, member, &""]);
            match rank {
                Some(rank) => push(out, rank),
                None => out.push(b'-'),
            }
            push(out, &format_args!(" reason={}", reason.as_str()));
        }
        Frame::Tell { from, text } => said(out, "tell", from, text),
        Frame::Broadcast { from, text } => said(out, "broadcast", from, text),
        Frame::Job { job, state, text, from: _ } => {
            words(out, &[&"job", job, &state.as_str()]);
            if !text.is_empty() {
                out.push(b' ');
                shortened(text, out);
            }
        }
        Frame::Ping { number } => words(out, &[&"ping", number]),
        Frame::Bye { reason } => {
            words(out, &[&"bye", reason]);
            if let Some(secs) = reason.retry_secs() {
                push(out, &format_args!(" retry={secs}"));
            }
        }
    }
    out.push(b'\n');
}

/// The most characters of a job's text that are written in full. It is for people;
/// a client that wants all of a million digits speaks JSON.
const JOB_CHARS_MAX: usize = 1_000;
/// How many characters of a longer text are shown at each end.
const JOB_CHARS_SHOWN: usize = 100;

fn shortened(text: &str, out: &mut Vec<u8>) {
    let chars = text.chars().count();
    if chars <= JOB_CHARS_MAX {
        return escape(text, out);
    }
    let offset = |at| text.char_indices().nth(at).map_or(text.len(), |(offset, _)| offset);
    escape(&text[..offset(JOB_CHARS_SHOWN)], out);
    push(out, &format_args!("…({} more)…", chars - 2 * JOB_CHARS_SHOWN));
    escape(&text[offset(chars - JOB_CHARS_SHOWN)..], out);
}

fn said(out: &mut Vec<u8>, kind: &str, from: &str, text: &str) {
    words(out, &[&kind, &from, &""]);
    escape(text, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Outcome;
    use ecow::EcoString;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    const POSITION: Position<'_> = Position { channel: "ops", seq: 9 };

    #[test]
    fn messages_are_numbered_and_escaped() {
        let payloads = [
            Payload::Plain(b"hi there"),
            Payload::Text("a\nb\\".into()),
            Payload::Json("{}".into()),
        ];
        let mut ends = Vec::new();
        let lines = text(|out| TextEncoder.messages(POSITION, "alice", &payloads, out, &mut ends));
        assert_eq!(
            lines,
            "msg ops 9 alice hi there\nmsg ops 10 alice a\\nb\\\\\nmsg ops 11 alice {}\n"
        );
        assert_eq!(ends.iter().map(|end| *end as usize).collect::<Vec<_>>(), {
            let newlines = lines.char_indices().filter(|(_, c)| *c == '\n');
            newlines.map(|(at, _)| at + 1).collect::<Vec<_>>()
        });
    }

    #[test]
    fn commands_are_quoted_so_that_a_shell_reads_them_back() {
        let args = ["two words".to_owned(), "it's".into(), String::new(), "plain".into()];
        let command = Command { name: "say", args: &args };
        let line = text(|out| TextEncoder.command(POSITION, "alice", 0, 4, command, out));
        let rest = line.strip_prefix("cmd ops 9 alice 0 4 ").unwrap().trim_end();
        let words = shlex::split(rest).unwrap();
        assert_eq!(words, ["say", "two words", "it's", "", "plain"]);
    }

    #[test]
    fn every_frame_as_the_protocol_has_it() {
        let (channel, bob): (EcoString, EcoString) = ("ops".into(), "bob".into());
        let change =
            |change, reason| text(|out| TextEncoder.change(POSITION, "bob", change, reason, out));
        assert_eq!(change(Change::Join { rank: 2 }, None), "join ops 9 bob 2\n");
        assert_eq!(
            change(Change::Left { rank: 2 }, Some(Departure::Kicked)),
            "left ops 9 bob 2 reason=kicked\n"
        );
        assert_eq!(change(Change::Move { old: 2, new: 0 }, None), "move ops 9 bob 2 0\n");
        let ack = |outcome, text: &str| Frame::Ack {
            channel: channel.clone(),
            seq: 9,
            member: bob.clone(),
            rank: 1,
            outcome,
            text: text.into(),
        };
        for (sent, line) in [
            (ack(Outcome::Code(0), "a\nb"), "ack ops 9 bob 1 0 a\\nb\n"),
            (ack(Outcome::Code(-1), ""), "ack ops 9 bob 1 -1 \n"),
            (ack(Outcome::Timeout, ""), "ack ops 9 bob 1 timeout \n"),
            (ack(Outcome::Left, ""), "ack ops 9 bob 1 left \n"),
            (Frame::Done { channel: channel.clone(), seq: 9, ok: 1, sent: 3 }, "done ops 9 1/3\n"),
            (
                Frame::Rank { channel: channel.clone(), rank: 0, term: 8, view: 9 },
                "rank ops 0 8 9\n",
            ),
            (Frame::Gap { channel, from: 3, to: 7 }, "gap ops 3 7\n"),
            (Frame::Tell { from: bob.clone(), text: "\x1b[2J".into() }, "tell bob \\x1b[2J\n"),
            (Frame::Broadcast { from: bob, text: "hi".into() }, "broadcast bob hi\n"),
            (Frame::Ping { number: 5 }, "ping 5\n"),
            (Frame::Bye { reason: crate::error::Close::Quit }, "bye quit\n"),
            (Frame::Bye { reason: crate::error::Close::Drain }, "bye drain retry=5\n"),
        ] {
            assert_eq!(text(|out| frame(&sent, out)), line);
        }
    }

    #[test]
    fn a_fault_is_one_line_whatever_it_quotes() {
        let bad = Fault::new(crate::error::Code::BadRequest, "no \r\n such");
        assert_eq!(text(|out| fault(&bad, out)), "err bad-request no \\r\\n such\n");
    }
}
