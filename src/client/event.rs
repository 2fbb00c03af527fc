//! Parses a line of the text dialect into a typed frame. Pure.

pub use crate::frame::Outcome;
use crate::wire::escape::unescape;

/// A command to this client: to be executed, and acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command {
    /// The channel it came on.
    pub channel: String,
    /// Its place in the channel's log; what an acknowledgement names.
    pub seq: u64,
    /// Who gave it.
    pub from: String,
    /// The rank its sender had.
    pub from_rank: u64,
    /// The term its sender had: what to show to a resource that checks terms.
    pub from_term: u64,
    /// What to do.
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// One recipient's result of a command that this client gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberResult {
    /// Whose result it is.
    pub member: String,
    /// Its rank when the command was given.
    pub rank: u64,
    /// How it ended there.
    pub outcome: Outcome,
    /// More about it.
    pub text: String,
}

/// What the broker says unasked. Texts and payloads are as their authors wrote
/// them, control characters and all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// A message.
    Message {
        /// The channel.
        channel: String,
        /// Its place in the channel's log.
        seq: u64,
        /// Who published it.
        from: String,
        /// What it says.
        payload: String,
    },
    /// A command to this client.
    Command(Command),
    /// One recipient's result of a command that this client gave.
    Result {
        /// The channel.
        channel: String,
        /// The command's seq.
        seq: u64,
        /// The result.
        result: MemberResult,
    },
    /// All results of a command are in.
    Done {
        /// The channel.
        channel: String,
        /// The command's seq.
        seq: u64,
        /// How many recipients answered with code 0.
        ok: u64,
        /// How many recipients there were.
        sent: u64,
    },
    /// A member joined.
    Joined {
        /// The channel.
        channel: String,
        /// The new view.
        seq: u64,
        /// The member.
        member: String,
        /// Its rank.
        rank: u64,
    },
    /// A member left.
    Left {
        /// The channel.
        channel: String,
        /// The new view.
        seq: u64,
        /// The member.
        member: String,
        /// The rank it had; observers had none.
        rank: Option<u64>,
        /// Why: `quit`, `lost`, `timeout`, `kicked`, `unsub`, `dropped`.
        reason: String,
    },
    /// A member yielded or was promoted.
    Moved {
        /// The channel.
        channel: String,
        /// The new view.
        seq: u64,
        /// The member.
        member: String,
        /// Its rank before.
        old: u64,
        /// Its rank now.
        new: u64,
    },
    /// This client's rank in a channel is now `rank`.
    Rank {
        /// The channel.
        channel: String,
        /// The rank; 0 is highest.
        rank: u64,
        /// The seq at which it got this rank. The term of rank 0 is the fencing token.
        term: u64,
        /// The view of the roster that says so.
        view: u64,
    },
    /// This client was too slow, and these entries are gone.
    Gap {
        /// The channel.
        channel: String,
        /// The first seq that is gone.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// A private message.
    Tell {
        /// Who sent it.
        from: String,
        /// What it says.
        text: String,
    },
    /// A message to everyone.
    Broadcast {
        /// Who sent it.
        from: String,
        /// What it says.
        text: String,
    },
    /// A job's progress or result.
    Job {
        /// Which job.
        id: String,
        /// Its state.
        state: String,
        /// More about it.
        text: String,
    },
    /// The broker asks for a sign of life. The client answers by itself.
    Ping {
        /// What to answer with.
        number: String,
    },
    /// The broker is about to close this connection.
    Bye {
        /// Why.
        reason: String,
    },
    /// This client may believe in none of its ranks any more: nothing was heard of the
    /// broker for as long as it waits for this client before it promotes another. A
    /// [`Frame::Rank`] for each follows if they count again. Only this library says this.
    LeaseOver,
    /// The program did not take frames while it waited for a reply, and so many
    /// of them had to be dropped. Only this library says this, never a broker.
    Missed {
        /// How many.
        frames: u64,
    },
    /// The connection was lost and made again; what was published in between is not
    /// known. The subscriptions are made again, too: where the client has a rank by
    /// them, a [`Frame::Rank`] tells it, and until then it has none. Only this library says
    /// this.
    Reconnected,
    /// The connection was lost and made again, and the session goes on: what was
    /// published in between comes now, each entry once, in order, or a
    /// [`Frame::Gap`] says what is gone. In a process that has its session from another
    /// one, a [`Frame::Rank`] tells each rank. Only this library says this.
    Resumed {
        /// How many entries the broker no longer had.
        missed: u64,
        /// The rank in the current channel.
        rank: Option<u64>,
    },
    /// The connection was made again, and the session was no longer kept: the
    /// client has a new one and subscribes again, at the bottom of each
    /// roster: a [`Frame::Rank`] tells where, and until then it has no rank. What was
    /// published in between is not known. Only this library says this.
    SessionGone,
    /// A frame that this version does not know.
    Other {
        /// The line.
        line: String,
    },
}

impl Frame {
    /// Reads a line that is not a reply. A frame of an unknown kind, or one that
    /// does not look as the protocol says, is [`Frame::Other`].
    pub fn parse(line: &str) -> Frame {
        parse(line).unwrap_or_else(|| Frame::Other { line: line.to_owned() })
    }

    /// The channel that it is about.
    pub fn channel(&self) -> Option<&str> {
        match self {
            Frame::Message { channel, .. }
            | Frame::Command(Command { channel, .. })
            | Frame::Result { channel, .. }
            | Frame::Done { channel, .. }
            | Frame::Joined { channel, .. }
            | Frame::Left { channel, .. }
            | Frame::Moved { channel, .. }
            | Frame::Rank { channel, .. }
            | Frame::Gap { channel, .. } => Some(channel),
            _ => None,
        }
    }

    /// Returns the kind of frame that a line is: its first word.
    pub fn kind(line: &str) -> &str {
        line.split(' ').next().unwrap_or_default()
    }
}

/// Takes words from a line, one after the other.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn word(&mut self) -> Option<&'a str> {
        let (word, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    fn text(&mut self) -> Option<String> {
        self.word().map(str::to_owned)
    }

    fn number(&mut self) -> Option<u64> {
        self.word()?.parse().ok()
    }

    fn rest(self) -> String {
        unescape(self.0)
    }
}

fn parse(line: &str) -> Option<Frame> {
    let mut fields = Fields(line);
    let kind = fields.word()?;
    Some(match kind {
        "msg" => Frame::Message {
            channel: fields.text()?,
            seq: fields.number()?,
            from: fields.text()?,
            payload: fields.rest(),
        },
        "cmd" => Frame::Command(command(fields)?),
        "ack" => Frame::Result {
            channel: fields.text()?,
            seq: fields.number()?,
            result: MemberResult {
                member: fields.text()?,
                rank: fields.number()?,
                outcome: Outcome::parse(fields.word()?)?,
                text: fields.rest(),
            },
        },
        "done" => {
            let (channel, seq) = (fields.text()?, fields.number()?);
            let (ok, sent) = fields.word()?.split_once('/')?;
            Frame::Done { channel, seq, ok: ok.parse().ok()?, sent: sent.parse().ok()? }
        }
        "tell" => Frame::Tell { from: fields.text()?, text: fields.rest() },
        "broadcast" => Frame::Broadcast { from: fields.text()?, text: fields.rest() },
        "job" => Frame::Job { id: fields.text()?, state: fields.text()?, text: fields.rest() },
        "ping" => Frame::Ping { number: fields.text()? },
        "bye" => Frame::Bye { reason: fields.rest() },
        _ => return roster(kind, fields),
    })
}

/// Parses the frames about the roster, and `gap`.
fn roster(kind: &str, mut fields: Fields<'_>) -> Option<Frame> {
    let channel = fields.text()?;
    let first = fields.number()?;
    Some(match kind {
        "join" => {
            Frame::Joined { channel, seq: first, member: fields.text()?, rank: fields.number()? }
        }
        "left" => Frame::Left {
            channel,
            seq: first,
            member: fields.text()?,
            rank: match fields.word()? {
                "-" => None,
                rank => Some(rank.parse().ok()?),
            },
            reason: super::line::field(fields.0.split(' '), "reason").unwrap_or_default().into(),
        },
        "move" => Frame::Moved {
            channel,
            seq: first,
            member: fields.text()?,
            old: fields.number()?,
            new: fields.number()?,
        },
        "rank" => {
            Frame::Rank { channel, rank: first, term: fields.number()?, view: fields.number()? }
        }
        "gap" => Frame::Gap { channel, from: first, to: fields.number()? },
        _ => return None,
    })
}

fn command(mut fields: Fields<'_>) -> Option<Command> {
    let (channel, seq) = (fields.text()?, fields.number()?);
    let (from, from_rank, from_term) = (fields.text()?, fields.number()?, fields.number()?);
    let mut words = split(fields.0)?.into_iter();
    let name = words.next()?;
    Some(Command { channel, seq, from, from_rank, from_term, name, args: words.collect() })
}

/// The words of a text as a POSIX shell splits it, where `#` is an ordinary
/// character. `None` for a quote that is not closed.
pub fn split(text: &str) -> Option<Vec<String>> {
    // Stands for `#` while shlex splits; no UTF-8 holds this byte.
    const HASH: u8 = 0xff;
    let swap = |from: u8, to: u8| move |b: u8| if b == from { to } else { b };
    let bytes: Vec<u8> = text.bytes().map(swap(b'#', HASH)).collect();
    let mut shlex = shlex::bytes::Shlex::new(&bytes);
    let words: Vec<Vec<u8>> = shlex.by_ref().collect();
    if shlex.had_error {
        return None;
    }
    let restored = words.into_iter().map(|word| word.into_iter().map(swap(HASH, b'#')).collect());
    Some(restored.map(|word: Vec<u8>| String::from_utf8_lossy(&word).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn payloads_come_as_they_were_written() {
        assert_eq!(
            Frame::parse("msg n 7 alice  two\\nlines \\x1b[2J \\\\"),
            Frame::Message {
                channel: "n".into(),
                seq: 7,
                from: "alice".into(),
                payload: " two\nlines \x1b[2J \\".into(),
            }
        );
        let empty = Frame::parse("msg n 7 alice ");
        assert!(matches!(empty, Frame::Message { payload, .. } if payload.is_empty()));
    }

    #[test]
    fn the_arguments_of_a_command_are_split_as_a_shell_does() {
        let line = "cmd ops 9 alice 0 4 restart 'web 1' \"it's\" '' #7 plain";
        let Frame::Command(command) = Frame::parse(line) else { panic!("{line}") };
        assert_eq!((command.seq, command.from_rank, command.from_term), (9, 0, 4));
        assert_eq!(command.name, "restart");
        assert_eq!(command.args, ["web 1", "it's", "", "#7", "plain"]);
        assert!(matches!(Frame::parse("cmd ops 9 alice 0 4 go 'open"), Frame::Other { .. }));
    }

    #[test]
    fn every_other_frame_is_read() {
        for line in [
            "ack ops 9 bob 1 0 fine",
            "ack ops 9 bob 1 timeout ",
            "ack ops 9 bob 1 left",
            "ack ops 9 bob 1 -1 x",
            "done ops 9 1/3",
            "join ops 9 bob 2",
            "left ops 9 bob 2 reason=quit",
            "left ops 9 bob - reason=dropped",
            "move ops 9 bob 2 0",
            "rank ops 0 8 9",
            "gap ops 3 7",
            "tell bob hi",
            "broadcast bob hi",
            "job 7 running x",
            "ping 5",
            "bye quit",
        ] {
            assert!(!matches!(Frame::parse(line), Frame::Other { .. }), "{line}");
        }
        let Frame::Left { reason, .. } = Frame::parse("left ops 9 bob 2 reason=quit later=1")
        else {
            panic!()
        };
        assert_eq!(reason, "quit");
        for line in ["", "msg", "msg n x a b", "done ops 9 1", "rank ops", "what ever 1"] {
            assert!(matches!(Frame::parse(line), Frame::Other { .. }), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_fall(line in any::<String>(), kind in "(msg|cmd|ack|left|move) ?") {
            let _ = Frame::parse(&line);
            let _ = Frame::parse(&format!("{kind}{line}"));
        }
    }
}
