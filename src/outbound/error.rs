//! Why a call outwards came to nothing.

/// What went wrong, for whoever has to decide what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
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

impl ErrorKind {
    /// The word for it in log lines and answers; it never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorKind::BadUrl => "bad-url",
            ErrorKind::Refused => "refused-address",
            ErrorKind::Unresolved => "unresolved",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Tls => "tls",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Redirect => "redirect",
            ErrorKind::Broken => "broken-answer",
            ErrorKind::Busy => "busy",
        }
    }
}

/// A call outwards that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OutboundError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What happened and what can be done, for people. It may hold words of
    /// the other end: whoever shows it escapes it.
    pub message: String,
}

impl OutboundError {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        OutboundError { kind, message: message.into() }
    }
}
