//! What happens in a session, and how far it has come.

use super::exec::{Ended, Run};
use std::io;

/// On whose behalf a request was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The client's own: its `ok` is not shown.
    #[default]
    Own,
    /// It introduces the client.
    Introduction,
    /// An option of the command line asks for it.
    Option,
    /// It subscribes, and is sent again until it succeeds (`--reconnect`).
    Wish,
    /// The user's.
    User,
}

/// Something of ours whose results are awaited.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Due {
    /// A command: its channel and seq.
    Command(String, u64),
    /// A job: its number.
    Job(String),
}

/// What happens beside the connection.
#[derive(Debug)]
pub enum Event {
    /// All input has been sent.
    InputEnded,
    /// A line of it is not sent, and why.
    InputRefused(String),
    /// The rest of it cannot be read.
    InputFailed(io::Error),
    /// The user wants to leave.
    Interrupt,
    /// Time is up, after an interrupt.
    GraceOver,
    /// Time is up, for the whole run.
    Deadline,
    /// It is time to ask again for the subscriptions that were refused on the
    /// connection of this number.
    Again(u64),
    /// It is time to tell the broker how far this client has come.
    Progress,
    /// It is time to look whether results of commands are still to come.
    Overdue,
    /// A program has ended.
    Ran(Box<Run>, Ended),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is more to send.
    Talking,
    /// All is sent; replies and results are still due.
    Draining,
    /// `quit` is sent.
    Leaving,
}

/// Why listening ended.
pub(super) enum Over {
    /// The connection did.
    Connection(Option<io::Error>),
    /// The broker refused a new introduction.
    Refused,
    /// The program is to end.
    Program,
}
