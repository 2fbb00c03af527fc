//! Frames of the control lane to lines.

use super::write::Object;
use crate::frame::Frame;

/// Appends a frame of the control lane.
pub fn frame(frame: &Frame, out: &mut Vec<u8>) {
    let about =
        |kind, channel: &str, out| Object::begin("frame", kind, out).text("channel", channel);
    match frame {
        Frame::Ack { channel, seq, member, rank, outcome, text } => {
            let frame = about("ack", channel, out).number("seq", *seq);
            let frame = frame.text("member", member).number("rank", *rank);
            let frame = match outcome.code() {
                Ok(code) => frame.number("result", code),
                Err(word) => frame.text("result", word),
            };
            frame.text("text", text)
        }
        Frame::Done { channel, seq, ok, sent } => {
            about("done", channel, out).number("seq", *seq).number("ok", *ok).number("sent", *sent)
        }
        Frame::Rank { channel, rank, term, view } => {
            let frame = about("rank", channel, out).number("rank", *rank);
            frame.number("term", *term).number("view", *view)
        }
        Frame::Gap { channel, from, to } => {
            about("gap", channel, out).number("from", *from).number("to", *to)
        }
        Frame::Left { channel, seq, member, rank, reason } => {
            let frame = about("left", channel, out).number("seq", *seq).text("member", member);
            let frame = match rank {
                Some(rank) => frame.number("rank", *rank),
                None => frame.null("rank"),
            };
            frame.text("reason", reason.as_str())
        }
        Frame::Tell { from, text } => {
            Object::begin("frame", "tell", out).text("from", from).text("text", text)
        }
        Frame::Broadcast { from, text } => {
            Object::begin("frame", "broadcast", out).text("from", from).text("text", text)
        }
        Frame::Job { job, state, text, from } => {
            let frame = Object::begin("frame", "job", out).number("job", *job);
            let frame = frame.text("state", state.as_str()).text("text", text);
            match from {
                Some(from) => frame.text("from", from),
                None => frame,
            }
        }
        Frame::Ping { number } => Object::begin("frame", "ping", out).number("n", *number),
        Frame::Bye { reason } => {
            let frame = Object::begin("frame", "bye", out).text("reason", reason.as_str());
            match reason.retry_secs() {
                Some(secs) => frame.number("retry", secs),
                None => frame,
            }
        }
    }
    .end();
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Close;
    use crate::frame::Outcome;
    use crate::log::Departure;
    use ecow::EcoString;

    #[test]
    fn every_frame_as_the_protocol_has_it() {
        let (channel, bob): (EcoString, EcoString) = ("ops".into(), "bob".into());
        let ack = |outcome| Frame::Ack {
            channel: channel.clone(),
            seq: 9,
            member: bob.clone(),
            rank: 1,
            outcome,
            text: "a\n\"b\"".into(),
        };
        let left = |rank| Frame::Left {
            channel: channel.clone(),
            seq: 9,
            member: bob.clone(),
            rank,
            reason: Departure::Dropped,
        };
        let start = r#""channel":"ops","seq":9"#;
        let acked = |result| {
            let end = r#""text":"a\n\"b\"""#;
            format!(r#"{{"frame":"ack",{start},"member":"bob","rank":1,"result":{result},{end}}}"#)
        };
        let gone = |rank| {
            format!(r#"{{"frame":"left",{start},"member":"bob","rank":{rank},"reason":"dropped"}}"#)
        };
        let is = str::to_owned;
        for (sent, line) in [
            (ack(Outcome::Code(0)), acked("0")),
            (ack(Outcome::Code(-1)), acked("-1")),
            (ack(Outcome::Timeout), acked("\"timeout\"")),
            (ack(Outcome::Left), acked("\"left\"")),
            (left(Some(2)), gone("2")),
            (left(None), gone("null")),
            (
                Frame::Done { channel: channel.clone(), seq: 9, ok: 1, sent: 3 },
                format!(r#"{{"frame":"done",{start},"ok":1,"sent":3}}"#),
            ),
            (
                Frame::Rank { channel: channel.clone(), rank: 0, term: 8, view: 9 },
                is(r#"{"frame":"rank","channel":"ops","rank":0,"term":8,"view":9}"#),
            ),
            (
                Frame::Gap { channel: channel.clone(), from: 3, to: 7 },
                is(r#"{"frame":"gap","channel":"ops","from":3,"to":7}"#),
            ),
            (
                Frame::Tell { from: bob.clone(), text: "\x1b[2J".into() },
                is(r#"{"frame":"tell","from":"bob","text":"\u001b[2J"}"#),
            ),
            (
                Frame::Broadcast { from: bob.clone(), text: "hi".into() },
                is(r#"{"frame":"broadcast","from":"bob","text":"hi"}"#),
            ),
            (Frame::Ping { number: 5 }, is(r#"{"frame":"ping","n":5}"#)),
            (Frame::Bye { reason: Close::Quit }, is(r#"{"frame":"bye","reason":"quit"}"#)),
            (
                Frame::Bye { reason: Close::Drain },
                is(r#"{"frame":"bye","reason":"drain","retry":5}"#),
            ),
        ] {
            let mut out = Vec::new();
            frame(&sent, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), line + "\n");
        }
    }
}
