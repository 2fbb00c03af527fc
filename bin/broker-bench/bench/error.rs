//! Why a measurement could not be made.

use std::io;
use std::net::SocketAddr;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is there.
    #[error("cannot connect to {0}: {1} (is the broker running there?)")]
    Connect(SocketAddr, io::Error),
    /// A name that is no address.
    #[error("{0}: no such host: {1}")]
    Host(String, io::Error),
    /// A call to the system failed.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// The broker refused something, or closed the connection.
    #[error("the broker said: {0}")]
    Refused(String),
    /// The broker did not answer in time.
    #[error("no answer within {seconds} s while {doing}")]
    Silent {
        /// What was waited for.
        doing: &'static str,
        /// How long.
        seconds: u64,
    },
    /// What was asked for is impossible.
    #[error("{0}")]
    Usage(String),
    /// A program that was to be measured does not run.
    #[error("{program}: {why}")]
    Program {
        /// Its label.
        program: String,
        /// What is known about it.
        why: String,
    },
}

impl Error {
    /// The exit code that says so.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Connect(..) | Error::Host(..) => 3,
            _ => 1,
        }
    }
}

/// The outcome of something that measures.
pub type Result<T> = std::result::Result<T, Error>;
