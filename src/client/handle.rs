//! The client as a Rust program holds it: requests with typed replies.

use super::driver::{Ask, FAREWELL, Tag};
use super::error::Error;
use super::event::{Command, Frame, MemberResult};
use super::frames::Frames;
use super::line::Reply;
use super::memory::quote;
use super::options::Options;
use super::outbox::Outbox;
use super::shared::Shared;
use super::ticket::Ticket;
use crate::moment::Moment;
use crate::request::Request;
use crate::runtime;
use crate::wire::escape::escape;
use crate::wire::text;
use futures::StreamExt;
use futures::channel::mpsc;
use std::sync::Arc;
use std::time::Duration;

/// Leaves the broker when the last handle of the client is dropped.
#[derive(Debug)]
pub(super) struct LeaveOnDrop(pub(super) Arc<Shared>);

impl Drop for LeaveOnDrop {
    fn drop(&mut self) {
        if !self.0.is_over() {
            self.0.leave(Tag::Own);
        }
    }
}

/// A connected client. Clones are the same client; when the last of them and
/// the [`Frames`] are dropped, it leaves the broker.
///
/// Dropping does not wait until that is done, so a program that ends right behind it may
/// look like one that crashed: end with [`Client::close`]. To leave means to end the
/// session, too; [`Client::detach`] keeps it for a later process.
///
/// # Leases
/// A rank may be believed for as long as the broker has promised to wait for this client
/// before it promotes another one. So while it has a rank anywhere, the client renews its
/// lease by itself (`ping`, four times in each lease). When the lease runs out, because the
/// broker or the network is silent, [`Frame::LeaseOver`] says so: from then on none of the
/// ranks may be believed, until a [`Frame::Rank`] tells it anew. As frames are taken one
/// after the other, and a machine may sleep, whoever leads looks at
/// [`Client::lease_left`] before each thing that only a leader may do; and where something
/// checks it, shows the term ([`Client::publish_in_term`]).
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) guard: Arc<LeaveOnDrop>,
}

/// The answer to a request, with the rows of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The final line.
    pub reply: Reply,
    /// The lines before it that belong to it.
    pub rows: Vec<String>,
}

/// A place in a channel's roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seat {
    /// 0 is highest; `None` for an observer.
    pub rank: Option<u64>,
    /// The seq at which it got this rank; rank 0's is the fencing token.
    pub term: u64,
    /// The channel's last seq at that time.
    pub seq: u64,
    /// How many members there are.
    pub members: u64,
}

/// A command that was sent, and the receiver of its results.
#[derive(Debug)]
pub struct Issued {
    /// Its seq.
    pub seq: u64,
    /// How many members it was sent to.
    pub to: u64,
    rx: mpsc::UnboundedReceiver<Frame>,
}

impl Issued {
    /// Waits until every recipient's result is in.
    ///
    /// # Errors
    /// [`Error::Lost`] if the connection ends first, or if the results were lost with
    /// an earlier connection: that is certain only when the command's time is over.
    pub async fn results(mut self) -> Result<Vec<MemberResult>, Error> {
        let mut results = Vec::new();
        while let Some(frame) = self.rx.next().await {
            match frame {
                Frame::Result { result, .. } => results.push(result),
                _ => return Ok(results),
            }
        }
        Err(Error::Lost)
    }
}

impl Client {
    /// Connects under this name; for all other settings see [`Options`].
    ///
    /// # Errors
    /// Those of [`Options::connect`].
    pub async fn connect(host: &str, port: u16, name: &str) -> Result<(Client, Frames), Error> {
        Options::new().name(name).connect(host, port).await
    }

    /// Sends any request of the text dialect, and waits for its reply; while the
    /// connection is being made again also for that, as long as it takes. Not sent are
    /// `hello --quiet` and `hello --format`, behind which no reply could be told from
    /// another.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Lost`], [`Error::Unsendable`].
    pub async fn request(&self, line: &str) -> Result<Answer, Error> {
        self.ask(line, None).await
    }

    async fn ask(
        &self,
        line: &str,
        tx: Option<mpsc::UnboundedSender<Frame>>,
    ) -> Result<Answer, Error> {
        sendable(line, "the request")?;
        if let Some(message) = unanswerable(line) {
            let code = Some(crate::error::Code::BadRequest);
            return Err(Error::Refused { code, message: message.to_owned() });
        }
        let (ask, answer) = Ask::new(tx);
        let mut tag = Tag::Ask(ask);
        loop {
            if !self.outbox().room().await {
                return Err(self.lost());
            }
            match self.outbox().send(line.as_bytes(), tag) {
                Ok(()) => break,
                Err(unsent) => tag = unsent,
            }
        }
        answer.await.map_err(|_| self.lost())?
    }

    fn outbox(&self) -> &Outbox<Tag> {
        &self.guard.0.outbox
    }

    fn lost(&self) -> Error {
        if self.guard.0.is_taken_over() { Error::TakenOver } else { Error::Lost }
    }

    /// The name that the broker knows this client by.
    pub fn name(&self) -> Option<String> {
        self.guard.0.name()
    }

    /// What a later process needs to resume this client's session behind the last entry
    /// that was taken out of the [`Frames`]; `None` without a session. It is true at this
    /// moment: store it after each message that was dealt with, or now and then. For a
    /// process that ends in order there is [`Client::detach`].
    pub fn ticket(&self) -> Option<Ticket> {
        self.guard.0.ticket()
    }

    /// Gives this connection up, which may be dead without anybody having
    /// noticed: a client that reconnects makes another one.
    pub fn hang_up(&self) {
        self.outbox().hang_up();
    }

    /// Ends the connection without `quit`, and does not reconnect: the broker takes
    /// this client for lost, and holds its seats as for any such client.
    pub(super) fn vanish(&self) {
        self.guard.0.vanish();
    }

    /// Makes a channel if it is not there yet.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn create(&self, channel: &str) -> Result<(), Error> {
        self.request(&format!("create {} --if-missing", quote(channel))).await.map(drop)
    }

    /// Joins a channel at the bottom of its roster.
    ///
    /// # Errors
    /// As [`Client::request`]; `no-channel`, `full`.
    pub async fn subscribe(&self, channel: &str) -> Result<Seat, Error> {
        let reply = self.request(&format!("sub {}", quote(channel))).await?.reply;
        seat(&reply)
    }

    /// Sees all of a channel without a rank in it.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn observe(&self, channel: &str) -> Result<(), Error> {
        self.request(&format!("sub {} --observe", quote(channel))).await.map(drop)
    }

    /// Leaves a channel.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), Error> {
        self.request(&format!("unsub {}", quote(channel))).await.map(drop)
    }

    /// Publishes a message and gives its seq.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn publish(&self, channel: &str, payload: &str) -> Result<u64, Error> {
        self.publish_with("", channel, payload).await
    }

    /// Publishes a message only if this is still rank 0's term.
    ///
    /// # Errors
    /// As [`Client::request`]; `fenced` when the term is over.
    pub async fn publish_in_term(
        &self,
        term: u64,
        channel: &str,
        payload: &str,
    ) -> Result<u64, Error> {
        self.publish_with(&format!(" --term {term}"), channel, payload).await
    }

    /// Publishes a message once, even if this is called again because the reply was
    /// lost: the same session with the same key gets the same seq. Needs a client with
    /// a [session](Options::session), which repeats the request by itself.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn publish_once(
        &self,
        key: &str,
        channel: &str,
        payload: &str,
    ) -> Result<u64, Error> {
        self.publish_with(&format!(" --key {}", quote(key)), channel, payload).await
    }

    async fn publish_with(
        &self,
        options: &str,
        channel: &str,
        payload: &str,
    ) -> Result<u64, Error> {
        let line = format!("pub --raw{options} {} {payload}", quote(channel));
        let reply = self.request(&line).await?.reply;
        reply.number(1).ok_or_else(|| odd(&reply))
    }

    /// Commands every member ranked below.
    ///
    /// # Errors
    /// As [`Client::request`]; `rank` when nobody ranks below.
    pub async fn command(&self, channel: &str, name: &str, args: &[&str]) -> Result<Issued, Error> {
        let mut line = format!("cmd {} -- {}", quote(channel), quote(name));
        for arg in args {
            line.push(' ');
            line.push_str(&quote(arg));
        }
        let (tx, rx) = mpsc::unbounded();
        let reply = self.ask(&line, Some(tx)).await?.reply;
        match (reply.number(1), reply.number_field("to")) {
            (Some(seq), Some(to)) => Ok(Issued { seq, to, rx }),
            _ => Err(odd(&reply)),
        }
    }

    /// Reports that a command was executed (code 0), or how it failed.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn acknowledge(&self, command: &Command, code: i32, text: &str) -> Result<(), Error> {
        self.request(&acknowledgement(command, code, text)).await.map(drop)
    }

    /// Leaves the broker. What is still due comes out of the [`Frames`] before
    /// they end.
    pub fn quit(&self) {
        self.guard.0.leave(Tag::Own);
    }

    /// Leaves the broker, and waits until it knows: the next in line is promoted at once.
    /// A session ends with this. A broker that says nothing is waited for some seconds.
    pub async fn close(self) {
        // It is answered by the end of the connection.
        let (ask, over) = Ask::new(None);
        self.guard.0.leave(Tag::Ask(ask));
        let _ = over.await;
        self.outbox().closed().await;
    }

    /// Ends the connection, but not the session: gives what a later process needs to go on
    /// behind the last entry that was taken out of the [`Frames`] ([`Options::session`]).
    /// The broker takes this client for lost, and holds its seats as for any such. `None`
    /// without a session.
    pub async fn detach(self) -> Option<Ticket> {
        if self.outbox().is_open() {
            // When this is answered, so is all that was said before.
            let _ = runtime::timeout(FAREWELL, self.request("ping")).await;
        }
        self.guard.0.vanish();
        self.outbox().closed().await;
        self.ticket()
    }

    /// How long from now on this client may believe in its ranks; zero once its lease is
    /// over, and before the first was granted. Time for which the machine is suspended
    /// counts.
    pub fn lease_left(&self) -> Duration {
        self.guard.0.lease(|lease| lease.left(Moment::now())).unwrap_or_default()
    }
}

/// Returns the request that reports a command's result. Line ends at the end of the
/// text are left out. A line cannot hold others, nor NUL: a text with such is escaped,
/// and the broker told so.
pub fn acknowledgement(command: &Command, code: i32, text: &str) -> String {
    let mut line = format!("ack {} {} --code {code}", quote(&command.channel), command.seq);
    let text = text.trim_end_matches(['\n', '\r']);
    if !text.is_empty() {
        if text.contains(['\n', '\r', '\0']) {
            let mut escaped = Vec::new();
            escape(text, &mut escaped);
            line.push_str(" --escaped -- ");
            line.push_str(&quote(&String::from_utf8_lossy(&escaped)));
        } else {
            line.push_str(" -- ");
            line.push_str(&quote(text));
        }
    }
    line
}

/// Refuses what no line of the text dialect can hold.
pub(super) fn sendable(line: &str, what: &'static str) -> Result<(), Error> {
    if line.contains(['\n', '\r', '\0']) { Err(Error::Unsendable { what }) } else { Ok(()) }
}

/// Why a line is not sent: nobody could tell what answers it, or what comes after it.
fn unanswerable(line: &str) -> Option<&'static str> {
    if !super::line::is_request(line) {
        return Some("bad-request: a blank line, a comment and pong are no requests");
    }
    if super::line::verb_of(line) != "hello" {
        return None;
    }
    match text::decode(line.as_bytes()) {
        Ok(Some(Request::Hello { quiet: true, .. } | Request::Hello { format: Some(_), .. })) => {
            Some("bad-request: this library reads neither --quiet nor --format")
        }
        _ => None,
    }
}

fn seat(reply: &Reply) -> Result<Seat, Error> {
    let number = |key| reply.number_field(key).ok_or_else(|| odd(reply));
    Ok(Seat {
        rank: reply.number_field("rank"),
        term: number("term")?,
        seq: number("seq")?,
        members: number("members")?,
    })
}

pub(super) fn odd(reply: &Reply) -> Error {
    Error::Odd { reply: format!("{reply:?}") }
}
