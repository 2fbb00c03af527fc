//! What can go wrong with a request, and the stable code each fault has.
//!
//! There are two kinds of fault. A [`Fault`] is *answered*: the request fails,
//! nothing has changed, and the connection goes on. A [`Close`] *ends* the
//! connection, after a `bye` with its reason. The codes are part of the
//! protocol and never change; the text after them is for people.

use std::borrow::Cow;
use std::fmt;

/// The code of a request that failed, as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The line is not a request that the broker can read.
    BadRequest,
    /// There is no such verb.
    UnknownCommand,
    /// There is no channel of that name.
    NoChannel,
    /// There is a channel of that name already.
    Exists,
    /// You are not a member of that channel.
    NotMember,
    /// You are a member of it already.
    AlreadyMember,
    /// Nobody of that name is here.
    NoMember,
    /// Somebody else bears that name.
    NameTaken,
    /// You do not outrank them, or nobody ranks below you.
    Rank,
    /// The broker or the channel is full.
    Full,
    /// That term is no longer the term of rank 0.
    Fenced,
    /// The line, name or list is longer than allowed.
    TooLong,
    /// There are more of a kind than allowed.
    TooMany,
    /// What was asked for is no longer kept.
    Gone,
    /// You may not do that.
    Denied,
    /// This broker cannot do that now.
    Unavailable,
    /// Try again later.
    Busy,
    /// The broker itself is at fault.
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 18] = [
        Code::BadRequest,
        Code::UnknownCommand,
        Code::NoChannel,
        Code::Exists,
        Code::NotMember,
        Code::AlreadyMember,
        Code::NoMember,
        Code::NameTaken,
        Code::Rank,
        Code::Full,
        Code::Fenced,
        Code::TooLong,
        Code::TooMany,
        Code::Gone,
        Code::Denied,
        Code::Unavailable,
        Code::Busy,
        Code::Internal,
    ];

    /// The code of this word on the wire.
    pub fn parse(word: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::BadRequest => "bad-request",
            Code::UnknownCommand => "unknown-command",
            Code::NoChannel => "no-channel",
            Code::Exists => "exists",
            Code::NotMember => "not-member",
            Code::AlreadyMember => "already-member",
            Code::NoMember => "no-member",
            Code::NameTaken => "name-taken",
            Code::Rank => "rank",
            Code::Full => "full",
            Code::Fenced => "fenced",
            Code::TooLong => "too-long",
            Code::TooMany => "too-many",
            Code::Gone => "gone",
            Code::Denied => "denied",
            Code::Unavailable => "unavailable",
            Code::Busy => "busy",
            Code::Internal => "internal",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that failed: its code, and a sentence that says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {message}")]
pub struct Fault {
    /// The stable code.
    pub code: Code,
    /// Text for people; one line, may hold anything the client sent.
    pub message: String,
}

impl Fault {
    /// A fault with this code and text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Fault { code, message: message.into() }
    }
}

/// The most characters of a client's own words that an error quotes.
const QUOTED_CHARS_MAX: usize = 64;

/// A client's own words within an error's text, in quotes, cut short if they are
/// long. Whatever they hold, the wire escapes it, once, with the rest of the text.
pub fn quoted(words: &str) -> String {
    format!("\"{}\"", excerpt(words))
}

/// The same without quotes: for words that have their own, as a JSON value has.
pub fn excerpt(words: &str) -> Cow<'_, str> {
    match words.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]).into(),
        None => words.into(),
    }
}

/// Why the broker closes a connection: the reason of its last `bye`, of the
/// `left` in every channel it was in, and of its row in `clients --history`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// The client asked for it.
    Quit,
    /// The client closed the connection, or the network did.
    Lost,
    /// Nothing came for the idle timeout, not even the answer to a `ping`.
    Timeout,
    /// The broker is stopping.
    Shutdown,
    /// The broker drains: it sends all clients away, and holds their seats.
    Drain,
    /// A line or a message went past the limit without an end.
    TooLong,
    /// What came is not the protocol that the connection speaks.
    Malformed,
    /// A WebSocket message was binary; only text is read.
    Binary,
    /// A WebSocket message was not UTF-8.
    NotUtf8,
    /// The session goes on from another connection.
    TakenOver,
    /// The client did not read what was sent to it until its bounded control
    /// lane ran over.
    Overflow,
}

/// When to reconnect to a broker that drains: time enough for a restart, or for
/// load balancers to notice that this one takes no requests.
const RETRY_SECS: u64 = 5;

impl Close {
    /// In how many seconds to reconnect, if that is known.
    pub const fn retry_secs(self) -> Option<u64> {
        match self {
            Close::Drain => Some(RETRY_SECS),
            _ => None,
        }
    }

    /// Every reason.
    pub const ALL: [Close; 11] = [
        Close::Quit,
        Close::Lost,
        Close::Timeout,
        Close::Shutdown,
        Close::Drain,
        Close::TooLong,
        Close::Malformed,
        Close::Binary,
        Close::NotUtf8,
        Close::TakenOver,
        Close::Overflow,
    ];

    /// The word for it, as `bye` and `clients --history` show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Close::Quit => "quit",
            Close::Lost => "lost",
            Close::Timeout => "timeout",
            Close::Shutdown => "shutdown",
            Close::Drain => "drain",
            Close::TooLong => "too-long",
            Close::Malformed => "malformed",
            Close::Binary => "binary",
            Close::NotUtf8 => "not-utf8",
            Close::TakenOver => "taken-over",
            Close::Overflow => "overflow",
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
