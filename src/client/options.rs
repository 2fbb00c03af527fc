//! How a program connects.

use super::driver::{Ask, Driver};
use super::error::Error;
use super::frames::Frames;
use super::handle::{Client, LeaveOnDrop, odd, sendable};
use super::line::Reply;
use super::memory::Memory;
use super::reconnect::Backoff;
use super::shared::Shared;
use super::ticket::Ticket;
use crate::runtime;
use crate::tls::Connector;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long connecting may take, the introduction included.
const CONNECT_LONGEST: Duration = Duration::from_secs(10);

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

    /// Encrypts the connection, and makes sure that it leads to that broker.
    #[must_use]
    pub fn tls(mut self, connector: Connector) -> Self {
        self.tls = Some(connector);
        self
    }

    /// Connects and introduces itself, in ten seconds or not at all.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Refused`], for instance for a name that
    /// somebody else bears; and [`Error::Unsendable`] for one that no line can hold.
    pub async fn connect(self, host: &str, port: u16) -> Result<(Client, Frames), Error> {
        let connected = runtime::timeout(CONNECT_LONGEST, self.connect_at_last(host, port)).await;
        connected.unwrap_or_else(|| {
            let why = io::ErrorKind::TimedOut.into();
            Err(Error::Connect { host: host.to_owned(), port, why })
        })
    }

    async fn connect_at_last(self, host: &str, port: u16) -> Result<(Client, Frames), Error> {
        let memory = Memory::new(self.name, false);
        let memory = match self.session {
            Some(ticket) => memory.with_session(ticket),
            None => memory,
        };
        sendable(&memory.hello(), "the name or the ticket")?;
        let shared = Arc::new(Shared::new(memory.progress()));
        let backoff = self.pause_max.map_or_else(Backoff::default, Backoff::up_to);
        let (ask, answer) = Ask::new(None);
        let driver =
            Driver::connect(host, port, self.tls, shared.clone(), memory, backoff, ask).await?;
        // From here on it leaves if nobody waits for it any more.
        let guard = Arc::new(LeaveOnDrop(shared));
        let (client, frames) = (Client { guard: guard.clone() }, Frames { guard });
        driver.start(self.reconnect);
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
