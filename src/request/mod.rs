//! What a client may ask, free of any wire format.

pub mod dialect;
mod heard;
mod subscribe;
mod usage;

pub use heard::Heard;
pub use subscribe::Subscribe;
pub use usage::{Usage, VERBS, find_verb};

use crate::error::{Code, Fault, quoted};
use crate::payload::Payload;
use std::time::Duration;
use uuid::Uuid;

/// The most bytes of a channel's or a member's name.
pub const NAME_BYTES_MAX: usize = 128;

/// How long a command's results are waited for, unless it says otherwise.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Introduces the client.
    Hello {
        /// The name that it wants.
        name: Option<String>,
        /// Whether to leave out the `ok` of `pub` and `ack`.
        quiet: bool,
        /// The format that it wants from the reply on.
        format: Option<Format>,
        /// The session to resume, or to begin.
        session: Option<Uuid>,
        /// Proves that the session is its own.
        secret: Option<String>,
        /// The last entry of each channel that the client has: channels with seqs.
        seen: Vec<(String, u64)>,
    },
    /// Reports that the client has everything of a channel up to this seq.
    Seen {
        /// The channel.
        channel: String,
        /// The seq.
        seq: u64,
    },
    /// Creates a channel.
    Create {
        /// Its name.
        channel: String,
        /// Its settings.
        settings: Settings,
        /// Whether it may exist already.
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
        /// The pattern, with `*`, `?` and `[…]` as in a shell.
        glob: String,
    },
    /// Leaves a channel, or, if the client is in none of this name, stops observing
    /// a pattern.
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
        /// The only recipient, if not all members ranked below.
        to: Option<String>,
        /// How long to wait for results.
        timeout: Option<Duration>,
        /// The key by which a repetition is recognized.
        key: Option<Box<str>>,
        /// The command's name.
        name: String,
        /// Its arguments.
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
        /// More about the result.
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
        /// The rank that it gets.
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
        /// The reason, for the log.
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
        /// How many at most.
        last: Option<u64>,
    },
    /// Sends a private message.
    Tell {
        /// The recipient.
        member: String,
        /// The message.
        text: String,
    },
    /// Sends a message to every connected client but the sender.
    Broadcast {
        /// The message.
        text: String,
    },
    /// Submits a job.
    Job {
        /// The job's verb.
        verb: &'static str,
        /// The member that gets the result, if not the client that asks.
        to: Option<String>,
        /// The arguments, by name.
        arguments: Vec<(&'static str, String)>,
    },
    /// Lists the client's own jobs.
    Jobs,
    /// Cancels a job.
    Cancel {
        /// Its number.
        job: u64,
    },
    /// Asks for the broker's figures.
    Stats,
    /// Asks for the versions of broker and protocol.
    Version,
    /// Asks for the list of verbs.
    Help {
        /// Only about this verb.
        verb: Option<String>,
    },
    /// Asks for a sign of life.
    Ping,
    /// Ends the connection.
    Quit,
}

/// The format of a connection's replies and frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines of words, for people.
    #[default]
    Text,
    /// Lines of one JSON object each.
    Json,
    /// JSON objects, each in a WebSocket message.
    WebSocket,
    /// Not lines, but values of the Redis protocol.
    Resp {
        /// Its version.
        version: Resp,
        /// Whether the client knows only what Redis itself would tell it.
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
    /// The name that `who` shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Text => dialect::TEXT,
            Format::Json => dialect::JSON,
            Format::WebSocket => dialect::WEBSOCKET,
            Format::Resp { .. } => dialect::RESP,
        }
    }

    /// Whether the client knows only what Redis itself would tell it.
    pub const fn is_plain(self) -> bool {
        matches!(self, Format::Resp { plain: true, .. })
    }

    /// Parses the name of a format; `what` names the option in the fault. A
    /// WebSocket is asked for by an HTTP request instead.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for an unknown format.
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
    /// The term that must still be rank 0's, if any.
    pub term: Option<u64>,
    /// The key by which a repetition is recognized.
    pub key: Option<Box<str>>,
    /// The payload.
    pub payload: Payload<'a>,
}

/// Where reading a log begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the next entry.
    #[default]
    Now,
    /// With the first entry that the log still holds.
    First,
    /// With the entry of this seq.
    Seq(u64),
    /// This many entries before the end.
    Last(u64),
}

/// The settings of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The most members and observers; the broker's limit if `None`.
    pub members_max: Option<u32>,
    /// How many entries are kept for later subscribers. `None`: none, or all of
    /// them if the channel is durable or keeps them by age or by bytes.
    pub history: Option<u64>,
    /// How long they are kept at most.
    pub history_age: Option<Duration>,
    /// How many bytes of them are kept at most.
    pub history_bytes: Option<u64>,
    /// Whether entries are on disk before anybody sees them.
    pub durable: bool,
    /// How long the seat of a lost member still counts.
    pub hold: Duration,
    /// When the seat of a member whose connection closes becomes free.
    pub on_close: OnClose,
}

impl Settings {
    /// How many entries are kept for later subscribers.
    pub fn entries_kept(&self) -> u64 {
        let is_bounded = self.history_age.is_some() || self.history_bytes.is_some();
        self.history.unwrap_or(if self.durable || is_bounded { u64::MAX } else { 0 })
    }
}

/// When the seat of a member whose connection closes becomes free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnClose {
    /// At that moment.
    #[default]
    Fast,
    /// When its lease has certainly run out.
    Safe,
}

impl OnClose {
    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            OnClose::Fast => "fast",
            OnClose::Safe => "safe",
        }
    }
}

/// The most bytes of a message's or a command's key.
pub const KEY_BYTES_MAX: usize = 128;

/// Checks that this may be the name of a channel or a member.
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
