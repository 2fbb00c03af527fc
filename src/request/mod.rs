//! What a client may ask, free of any wire format.

mod heard;
mod subscribe;
mod usage;

pub use heard::Heard;
pub use subscribe::Subscribe;
pub use usage::{Usage, VERBS};

use crate::error::{Code, Fault, quoted};
use crate::payload::Payload;
use std::time::Duration;
use uuid::Uuid;

/// Bytes that the name of a channel or a member has at most.
pub const NAME_BYTES_MAX: usize = 128;

/// How long the results of a command are waited for, unless it says otherwise.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Introduces the client.
    Hello {
        /// The name it wants to bear.
        name: Option<String>,
        /// Whether the `ok` of `pub` and `ack` is to be left out.
        quiet: bool,
        /// How it wants to speak from the reply on.
        format: Option<Format>,
        /// The session to resume, or to begin.
        session: Option<Uuid>,
        /// What proves that it is one's own.
        secret: Option<String>,
        /// The last entries that the client has: channels with their seqs.
        seen: Vec<(String, u64)>,
    },
    /// The client has everything of a channel up to this seq.
    Seen {
        /// The channel.
        channel: String,
        /// The seq.
        seq: u64,
    },
    /// Makes a channel.
    Create {
        /// Its name.
        channel: String,
        /// How it is to be.
        settings: Settings,
        /// Whether it may be there already.
        if_missing: bool,
    },
    /// Removes a channel.
    Drop {
        /// Its name.
        channel: String,
    },
    /// Joins a channel, or observes it.
    Sub(Subscribe),
    /// Observes every channel whose name matches.
    SubPattern {
        /// `*`, `?` and `[…]` as a shell has them.
        glob: String,
    },
    /// Leaves a channel, or, if it is in none of this name, stops observing a pattern.
    Unsub {
        /// The channel's name or the pattern.
        channel: String,
    },
    /// Stops observing a pattern.
    UnsubPattern {
        /// The pattern, as it was given.
        glob: String,
    },
    /// Makes a channel the current one.
    Use {
        /// Its name.
        channel: String,
    },
    /// Publishes a message.
    Pub(Publish<'a>),
    /// Commands members of lower rank.
    Cmd {
        /// The channel; the current one if `None`.
        channel: Option<String>,
        /// The only recipient, if not all below.
        to: Option<String>,
        /// How long to wait for results.
        timeout: Option<Duration>,
        /// By which a repetition is known.
        key: Option<Box<str>>,
        /// What to do.
        name: String,
        /// With what.
        args: Vec<String>,
    },
    /// Reports that a command was executed, or failed.
    Ack {
        /// The channel it came on.
        channel: String,
        /// Its seq.
        seq: u64,
        /// 0 for success.
        code: i32,
        /// More about it.
        text: String,
    },
    /// Asks for one's own rank.
    Rank {
        /// The channel; the current one if `None`.
        channel: Option<String>,
    },
    /// Asks for everybody's rank.
    Ranks {
        /// The channel; the current one if `None`.
        channel: Option<String>,
    },
    /// Goes to the bottom of the roster.
    Yield {
        /// The channel; the current one if `None`.
        channel: Option<String>,
    },
    /// Moves a member to a rank.
    Promote {
        /// The channel.
        channel: String,
        /// The member.
        member: String,
        /// The rank it shall have.
        rank: u32,
    },
    /// Asks whether a term is still rank 0's.
    Check {
        /// The channel.
        channel: String,
        /// The term.
        term: u64,
    },
    /// Removes a member of lower rank.
    Kick {
        /// The channel.
        channel: String,
        /// The member.
        member: String,
        /// Why, for the log.
        reason: String,
    },
    /// Lists the channels.
    Channels,
    /// Shows one channel with every setting.
    Info {
        /// The channel.
        channel: String,
    },
    /// Shows what a channel's log still holds.
    History {
        /// The channel.
        channel: String,
        /// Where to begin.
        start: Start,
    },
    /// Asks for a checksum of messages.
    Digest {
        /// The channel.
        channel: String,
        /// The first seq.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// Lists the connected clients.
    Who {
        /// Only those in this channel.
        channel: Option<String>,
    },
    /// Lists past connections.
    Clients {
        /// How many of them at most.
        last: Option<u64>,
    },
    /// A private message.
    Tell {
        /// Who gets it.
        member: String,
        /// What it says.
        text: String,
    },
    /// A message to every connected client.
    Broadcast {
        /// What it says.
        text: String,
    },
    /// Asks for a job.
    Job {
        /// Which one.
        verb: &'static str,
        /// The member that is to get the result, if not the asker.
        to: Option<String>,
        /// What the job is given, by name.
        arguments: Vec<(&'static str, String)>,
    },
    /// Lists one's jobs.
    Jobs,
    /// Ends a job.
    Cancel {
        /// Its number.
        job: u64,
    },
    /// Asks for the broker's figures.
    Stats,
    /// Asks for its version.
    Version,
    /// Asks what can be asked.
    Help {
        /// Only about this.
        verb: Option<String>,
    },
    /// Asks for a sign of life.
    Ping,
    /// Leaves.
    Quit,
}

/// How the lines of a connection look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Words, for people.
    #[default]
    Text,
    /// One JSON object each.
    Json,
    /// The same, each in a WebSocket message.
    WebSocket,
    /// Not lines, but values of the Redis protocol.
    Resp {
        /// Its version.
        version: Resp,
        /// The client knows only what Redis itself would tell it.
        plain: bool,
    },
}

/// A version of the Redis protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resp {
    /// Version 2, with which every connection begins.
    Two,
    /// Version 3, which has maps, and pushes that cannot be taken for replies.
    Three,
}

impl Format {
    /// As `who` shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Json => "json",
            Format::WebSocket => "websocket",
            Format::Resp { .. } => "resp",
        }
    }

    /// Whether the client knows only what Redis itself would tell it.
    pub const fn is_plain(self) -> bool {
        matches!(self, Format::Resp { plain: true, .. })
    }

    /// The format that a client asks for by this name; `what` names it in the
    /// error. A WebSocket is asked for by a request of HTTP instead.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if there is none.
    pub fn parse(what: &str, word: &str) -> Result<Self, Fault> {
        match word {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => {
                let text = format!("{what} is text or json, not {}", quoted(word));
                Err(Fault::new(Code::BadRequest, text))
            }
        }
    }
}

/// One message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The channel.
    pub channel: std::borrow::Cow<'a, str>,
    /// Only if this is still rank 0's term.
    pub term: Option<u64>,
    /// By which a repetition is known.
    pub key: Option<Box<str>>,
    /// What it carries.
    pub payload: Payload<'a>,
}

/// Where reading a log begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what comes next.
    #[default]
    Now,
    /// With the first entry that is kept.
    First,
    /// With the entry of this seq.
    Seq(u64),
    /// With the last so many entries.
    Last(u64),
}

/// How a channel is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Members and observers at most; the broker's limit if `None`.
    pub members_max: Option<u32>,
    /// Entries to keep for those who come later. `None`: none, or all of them
    /// if the channel is durable or keeps them by age or by bytes.
    pub history: Option<u64>,
    /// Keep them for this long at most.
    pub history_age: Option<Duration>,
    /// Keep so many bytes of them at most.
    pub history_bytes: Option<u64>,
    /// Whether entries are on disk before anybody sees them.
    pub durable: bool,
    /// How long the seat of a lost member still counts.
    pub hold: Duration,
    /// When the seat of a member whose connection closes is free.
    pub on_close: OnClose,
}

impl Settings {
    /// Entries to keep for those who come later.
    pub fn entries_kept(&self) -> u64 {
        let is_bounded = self.history_age.is_some() || self.history_bytes.is_some();
        self.history.unwrap_or(if self.durable || is_bounded { u64::MAX } else { 0 })
    }
}

/// When the seat of a member whose connection closes is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnClose {
    /// At that moment.
    #[default]
    Fast,
    /// When its lease has certainly run out.
    Safe,
}

impl OnClose {
    /// As the wire says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            OnClose::Fast => "fast",
            OnClose::Safe => "safe",
        }
    }
}

/// Bytes that the key of a message or a command has at most.
pub const KEY_BYTES_MAX: usize = 128;

/// Whether this may be the name of a channel or a member.
///
/// # Errors
/// [`Code::TooLong`] or [`Code::BadRequest`], with the rule.
pub fn check_name(name: &str) -> Result<(), Fault> {
    if name.len() > NAME_BYTES_MAX {
        let text = format!("a name has at most {NAME_BYTES_MAX} bytes, not {}", name.len());
        return Err(Fault::new(Code::TooLong, text));
    }
    let mut bytes = name.bytes();
    let begins_well = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    if begins_well && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return Ok(());
    }
    Err(Fault::new(
        Code::BadRequest,
        format!(
            "{} is no name: a letter or digit first, then letters, digits, . _ -",
            quoted(name)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_limit_and_one_past_it() {
        let longest = "a".repeat(NAME_BYTES_MAX);
        assert_eq!(check_name(&longest), Ok(()));
        assert_eq!(check_name(&(longest + "a")).unwrap_err().code, Code::TooLong);
        for good in ["a", "0", "news", "a.b_c-d", "Z9-"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "-a", ".a", "_a", "a b", "a/b", "a*", "ä", "a\n", "a\0"] {
            assert_eq!(check_name(bad).unwrap_err().code, Code::BadRequest, "{bad:?}");
        }
    }
}
