//! Frames of the control lane as pushes.

use super::write::Writer;
use crate::frame::Frame;
use crate::request::Resp;

/// Appends a frame.
pub fn frame(version: Resp, frame: &Frame, out: &mut Vec<u8>) {
    let to = &mut Writer::new(version, out);
    match frame {
        Frame::Ack { channel, seq, member, rank, outcome, text } => {
            about(7, "ack", channel, to).number(*seq).bulk(&**member).number(*rank);
            match outcome.code() {
                Ok(code) => to.number(code),
                Err(word) => to.bulk(word),
            };
            to.bulk(text);
        }
        Frame::Done { channel, seq, ok, sent } => {
            about(5, "done", channel, to).number(*seq).number(*ok).number(*sent);
        }
        Frame::Rank { channel, rank, term, view } => {
            about(5, "rank", channel, to).number(*rank).number(*term).number(*view);
        }
        Frame::Gap { channel, from, to: last } => {
            about(4, "gap", channel, to).number(*from).number(*last);
        }
        Frame::Left { channel, seq, member, rank, reason } => {
            about(6, "left", channel, to).number(*seq).bulk(&**member);
            match rank {
                Some(rank) => to.number(*rank),
                None => to.null(),
            };
            to.bulk(reason.as_str());
        }
        Frame::Tell { from, text } => {
            about(3, "tell", from, to).bulk(&**text);
        }
        Frame::Broadcast { from, text } => {
            about(3, "broadcast", from, to).bulk(&**text);
        }
        Frame::Job { job, state, text, from } => {
            to.push(5).bulk("job").number(*job).bulk(state.as_str()).bulk(&**text);
            match from {
                Some(from) => to.bulk(&**from),
                None => to.null(),
            };
        }
        Frame::Ping { number } => {
            to.push(2).bulk("ping").number(*number);
        }
        Frame::Bye { reason } => match reason.retry_secs() {
            Some(secs) => {
                to.push(3).bulk("bye").bulk(reason.as_str()).number(secs);
            }
            None => {
                to.push(2).bulk("bye").bulk(reason.as_str());
            }
        },
    }
}

fn about<'t, 'o>(
    count: usize,
    kind: &str,
    whom: &str,
    to: &'t mut Writer<'o>,
) -> &'t mut Writer<'o> {
    to.push(count).bulk(kind).bulk(whom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Close;
    use crate::frame::{JobState, Outcome};
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
            text: "a\nb".into(),
        };
        let left = |rank| Frame::Left {
            channel: channel.clone(),
            seq: 9,
            member: bob.clone(),
            rank,
            reason: Departure::Dropped,
        };
        let job = |from| Frame::Job { job: 4, state: JobState::Done, text: "55".into(), from };
        for (sent, values) in [
            (ack(Outcome::Code(-1)), ">7 ack ops :9 bob :1 :-1 a\nb"),
            (ack(Outcome::Timeout), ">7 ack ops :9 bob :1 timeout a\nb"),
            (ack(Outcome::Left), ">7 ack ops :9 bob :1 left a\nb"),
            (
                Frame::Done { channel: channel.clone(), seq: 9, ok: 1, sent: 3 },
                ">5 done ops :9 :1 :3",
            ),
            (
                Frame::Rank { channel: channel.clone(), rank: 0, term: 8, view: 9 },
                ">5 rank ops :0 :8 :9",
            ),
            (Frame::Gap { channel: channel.clone(), from: 3, to: 7 }, ">4 gap ops :3 :7"),
            (left(Some(2)), ">6 left ops :9 bob :2 dropped"),
            (left(None), ">6 left ops :9 bob _ dropped"),
            (Frame::Tell { from: bob.clone(), text: "hi".into() }, ">3 tell bob hi"),
            (Frame::Broadcast { from: bob.clone(), text: "hi".into() }, ">3 broadcast bob hi"),
            (job(None), ">5 job :4 done 55 _"),
            (job(Some(bob.clone())), ">5 job :4 done 55 bob"),
            (Frame::Ping { number: 5 }, ">2 ping :5"),
            (Frame::Bye { reason: Close::Quit }, ">2 bye quit"),
            (Frame::Bye { reason: Close::Drain }, ">3 bye drain :5"),
        ] {
            let values = values.split(' ').map(|value| match value.as_bytes()[0] {
                b'>' | b':' | b'_' => format!("{value}\r\n"),
                _ => format!("${}\r\n{value}\r\n", value.len()),
            });
            let expected: String = values.collect();
            let mut out = Vec::new();
            frame(Resp::Three, &sent, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
