//! Why an outgoing call failed.

/// The kind of an error, for callers that have to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The URL cannot be called.
    BadUrl,
    /// Every address of the host is one that may not be called.
    Refused,
    /// The host's name has no address, or cannot be looked up.
    Unresolved,
    /// No address accepts a connection.
    Unreachable,
    /// The other end is not who it should be, or does not speak TLS.
    Tls,
    /// It took longer than it might.
    Timeout,
    /// It redirects in a way that is not followed.
    Redirect,
    /// What came back is no answer, or an incomplete one.
    Broken,
    /// Too many calls are at the same stage already.
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

/// An outgoing call that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OutboundError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What happened and what can be done, for people. It may contain text from the
    /// other end, so whoever shows it must escape it.
    pub message: String,
}

impl OutboundError {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        OutboundError { kind, message: message.into() }
    }
}
