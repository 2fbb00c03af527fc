//! What can go wrong for a program that uses the client.

use crate::error::Code;
use std::io;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker could not be reached.
    #[error("cannot connect to {host}:{port}: {}", reason(why))]
    Connect {
        /// Where it was looked for.
        host: String,
        /// On which port.
        port: u16,
        /// Why not.
        why: io::Error,
    },
    /// The broker refused the request; nothing has changed.
    #[error("the broker refused: {message}")]
    Refused {
        /// Its code; `None` for one that this version does not know.
        code: Option<Code>,
        /// The code and the broker's words for people.
        message: String,
    },
    /// The connection ended before the reply came. Whether the request took
    /// effect is not known.
    #[error("the connection was lost before the reply came; whether it took effect is not known")]
    Lost,
    /// Another connection has resumed this client's session, with its secret.
    #[error(
        "another connection has taken this session over; give each client a session of its own"
    )]
    TakenOver,
    /// The text dialect cannot say this: it holds a line end or a NUL.
    #[error("{what} holds a line end or NUL, which a line of the text dialect cannot")]
    Unsendable {
        /// What it is.
        what: &'static str,
    },
    /// The broker answered something that this version cannot read.
    #[error("the broker's reply cannot be understood: {reply}")]
    Odd {
        /// The reply.
        reply: String,
    },
}

impl Error {
    /// The broker's code, if it was the broker that refused.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Refused { code, .. } => *code,
            _ => None,
        }
    }
}

/// An I/O error in a few words, without the number of the operating system.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::TimedOut => "no answer in time".into(),
        io::ErrorKind::HostUnreachable => "no way to that host".into(),
        _ => error.to_string(),
    }
}
