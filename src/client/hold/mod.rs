//! `broker-client hold`: runs a program for as long as this client holds a rank.
//!
//! Four processes. The client (`supervisor`) talks to the broker: it knows
//! its rank ([`seat`]) and asks for a new [`lease`] several times while the last
//! one lasts. The [`guard`] is told until when the program may run, and ends it
//! by itself when that time is over ([`leash`]). The program is its child, and
//! is killed with it ([`launch`]); what the program has started is killed by its
//! [`keeper`] then. Whatever happens to any of them, the program has ended before
//! the broker promotes the next in line.

pub mod guard;
pub mod keeper;
pub mod launch;
pub mod lease;
pub mod leash;
pub mod link;
mod news;
mod program;
pub mod ranks;
mod round;
pub mod seat;
mod start;
mod status;
mod supervisor;

use crate::runtime;
use crate::tls::Connector;
use ranks::Ranks;
use std::ffi::OsString;
use std::time::Duration;

/// What `hold` is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the broker is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What to encrypt the connection with, if it is to be encrypted.
    pub tls: Option<Connector>,
    /// The name to bear.
    pub name: Option<String>,
    /// The session to remember, of this name.
    pub session: Option<String>,
    /// The channel whose rank it is.
    pub channel: String,
    /// With which ranks the program runs.
    pub ranks: Ranks,
    /// How long the program gets to end itself before it is killed.
    pub kill_after: Option<Duration>,
    /// Whether to run it again with the next rank when one was lost.
    pub stay: bool,
    /// The program and its arguments.
    pub program: Vec<OsString>,
}

/// The exit codes, as `hold --help` shows them.
pub const EXIT_CODES: &str = "\
Exit codes: those of PROGRAM, 128 and the signal's number if a signal ended it,
127 and 126 if it cannot be found or run; 8 if the rank was lost (unless
--stay); those of broker-client if it comes to nothing before.";

/// The rank was lost while the program ran.
pub const EXIT_LOST: u8 = 8;

/// Holds the rank, runs the program, and gives the exit code.
pub fn run(settings: Settings) -> u8 {
    runtime::block_on(start::run(settings))
}
