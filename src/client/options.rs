//! How a program connects.

use super::driver::{Ask, Driver};
use super::error::Error;
use super::handle::{Client, Frames, LeaveOnDrop, odd};
use super::line::Reply;
use super::memory::Memory;
use super::reconnect::Backoff;
use super::shared::Shared;
use super::ticket::Ticket;
use crate::tls::Connector;
use futures::channel::mpsc;
use std::sync::Arc;
use std::time::Duration;

/// Frames that wait for the program to take them, at most. Beyond that the
/// client stops reading, so that the broker keeps them in the channel's log.
const FRAMES_MAX: usize = 4096;

/// How to connect.
#[derive(Clone, Debug, Default)]
pub struct Options {
    name: Option<String>,
    reconnect: bool,
    session: Option<Ticket>,
    pause_max: Option<Duration>,
    tls: Option<Connector>,
}

impl Options {
    /// An unnamed client (the broker calls it `guest-…`) that does not
    /// reconnect.
    pub fn new() -> Self {
        Options::default()
    }

    /// Asks for this name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// When the connection is lost, connects again (after growing, random
    /// pauses), takes its name and says [`Frame::Reconnected`](super::Frame::Reconnected). It subscribes to
    /// its channels again, and goes on asking for those that it is refused (the
    /// channel may be made only later). Requests that were not answered fail with
    /// [`Error::Lost`]: they are never sent twice, except with a
    /// [session](Options::session) those that have a `--key`.
    #[must_use]
    pub fn reconnect(mut self, reconnect: bool) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Has a session that outlives the connection: [`Ticket::fresh`], or one of
    /// an earlier process. The client reconnects and resumes it: the
    /// subscriptions are there still, every entry since comes once, in order, or
    /// a [`Frame::Gap`](super::Frame::Gap) says which are gone; first of all comes
    /// [`Frame::Resumed`](super::Frame::Resumed). If the broker no longer keeps it (or will not give it
    /// back), the client takes a new one, subscribes again as
    /// [`Options::reconnect`] does, and says [`Frame::SessionGone`](super::Frame::SessionGone).
    ///
    /// A `pub` or `cmd` that has a `--key` ([`Client::publish_once`]) and was not
    /// answered is sent again when the session goes on, and carried out once.
    #[must_use]
    pub fn session(mut self, ticket: Ticket) -> Self {
        self.session = Some(ticket);
        self.reconnect(true)
    }

    /// The longest pause between two attempts to connect again; half a minute
    /// unless this says otherwise.
    #[must_use]
    pub fn pause_max(mut self, pause: Duration) -> Self {
        self.pause_max = Some(pause);
        self
    }

    /// Encrypts the connection, and looks whose it is.
    #[must_use]
    pub fn tls(mut self, connector: Connector) -> Self {
        self.tls = Some(connector);
        self
    }

    /// Connects and introduces itself.
    ///
    /// # Errors
    /// [`Error::Connect`]; and [`Error::Refused`], for instance for a name that
    /// somebody else bears.
    pub async fn connect(self, host: &str, port: u16) -> Result<(Client, Frames), Error> {
        let shared = Arc::new(Shared::default());
        let (tx, rx) = mpsc::channel(FRAMES_MAX);
        let memory = Memory::new(self.name, false);
        let memory = match self.session {
            Some(ticket) => memory.with_session(ticket),
            None => memory,
        };
        let backoff = self.pause_max.map_or_else(Backoff::default, Backoff::up_to);
        let (ask, answer) = Ask::new(None);
        let driver =
            Driver::connect(host, port, self.tls, shared.clone(), memory, backoff, ask).await?;
        driver.start(tx, self.reconnect);
        let guard = Arc::new(LeaveOnDrop(shared));
        let (client, frames) = (Client { guard: guard.clone() }, Frames { rx, _guard: guard });
        understood(answer.await.map_err(|_| Error::Lost)??.reply)?;
        Ok((client, frames))
    }
}

fn understood(reply: Reply) -> Result<Reply, Error> {
    match reply.field("name") {
        Some(_) => Ok(reply),
        None => Err(odd(&reply)),
    }
}
