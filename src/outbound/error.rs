//! Why a call outwards came to nothing.

/// What went wrong, for whoever has to decide what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The URL is none that can be called.
    BadUrl,
    /// Every address behind it is one that may not be called.
    Refused,
    /// Its name has no address, or nobody could say which.
    Unresolved,
    /// Nobody takes connections there.
    Unreachable,
    /// The other end is not who it should be, or does not speak TLS.
    Tls,
    /// It took longer than it may.
    Timeout,
    /// It leads elsewhere, in a way that is not followed.
    Redirect,
    /// What came back is no answer, or not a whole one.
    Broken,
    /// Too many calls are at the same point already.
    Busy,
}

impl Kind {
    /// The word for it in log lines and answers; it never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::BadUrl => "bad-url",
            Kind::Refused => "refused-address",
            Kind::Unresolved => "unresolved",
            Kind::Unreachable => "unreachable",
            Kind::Tls => "tls",
            Kind::Timeout => "timeout",
            Kind::Redirect => "redirect",
            Kind::Broken => "broken-answer",
            Kind::Busy => "busy",
        }
    }
}

/// A call outwards that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OutboundError {
    /// What went wrong.
    pub kind: Kind,
    /// What happened and what can be done, for people. It may hold words of
    /// the other end: whoever shows it escapes it.
    pub message: String,
}

impl OutboundError {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        OutboundError { kind, message: message.into() }
    }
}
