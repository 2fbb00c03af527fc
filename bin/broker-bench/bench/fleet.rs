//! Clients of one protocol: greets the broker, subscribes, hands on what they get.

use super::error::{Error, Result};
use super::pool::{Pool, Reader};
use super::protocol::{Event, Protocol, Role};
use super::units::{SECOND, nanoseconds, now};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

/// Connections being opened at the same time: fewer than any listen backlog.
const TOGETHER: usize = 64;
/// Subscriptions asked for and not confirmed yet, at most.
const UNCONFIRMED_MAX: u32 = 256;
/// How long a broker may take to let another group in.
const SETUP_SECONDS: u64 = 60;
/// How long a broker may take to close the last connections.
const FAREWELL: Duration = Duration::from_secs(5);

/// Receives what the members get.
pub trait Receiver {
    /// A read of this connection begins.
    fn begin(&mut self, _id: usize) {}
    /// A message came.
    fn message(&mut self, id: usize, payload: &[u8]);
    /// This many messages are gone, as the broker says itself.
    fn gap(&mut self, _id: usize, _messages: u64) {}
}

/// For when no message matters.
impl Receiver for () {
    fn message(&mut self, _: usize, _: &[u8]) {}
}

/// A client: the state of one connection.
pub struct Client<P> {
    protocol: P,
    role: Role,
    is_ready: bool,
    unconfirmed: u32,
}

impl<P: Protocol> Client<P> {
    fn new(role: Role) -> Self {
        Client { protocol: P::new(), role, is_ready: false, unconfirmed: 0 }
    }

    /// Whether the broker has greeted it and confirmed all it asked for.
    pub fn is_settled(&self) -> bool {
        self.is_ready && self.unconfirmed == 0
    }
}

/// What has happened to all clients.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many the broker has greeted.
    pub ready: usize,
    /// Subscriptions that are not confirmed yet.
    pub unconfirmed: u32,
    /// Connections that the broker has ended.
    pub ended: usize,
    /// How many requests it refused.
    pub complaints: u64,
    /// The text of the first refusal or of the first ended connection.
    pub complaint: Option<String>,
    /// Clients that were settled or ended by the last [`Fleet::poll`].
    pub changed: Vec<usize>,
}

impl Tally {
    fn complain(&mut self, text: &str) {
        self.complaints += 1;
        self.complaint.get_or_insert_with(|| text.escape_default().to_string());
    }
}

/// All clients of a run.
pub struct Fleet<P> {
    /// Their connections.
    pub pool: Pool<Client<P>>,
    /// What has happened to them.
    pub tally: Tally,
}

impl<P: Protocol> Fleet<P> {
    /// A fleet of no clients yet.
    ///
    /// # Errors
    /// The system's.
    pub fn new(to: SocketAddr) -> Result<Self> {
        Ok(Fleet { pool: Pool::new(to)?, tally: Tally::default() })
    }

    /// Begins to connect one more client; returns its number.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&mut self, role: Role, receive_bytes: Option<usize>) -> Result<usize> {
        self.pool.open(Client::new(role), receive_bytes)
    }

    /// Closes a client's connection in order, and connects it anew.
    ///
    /// # Errors
    /// The system's.
    pub fn reopen(&mut self, id: usize, role: Role) -> Result<()> {
        let connection = self.pool.get(id);
        self.tally.ready -= usize::from(connection.client.is_ready);
        self.tally.unconfirmed -= connection.client.unconfirmed;
        if connection.is_open() {
            connection.client.protocol.leave(&mut connection.out);
        }
        self.pool.close(id, &mut Hand { tally: &mut self.tally, receiver: &mut () })?;
        self.pool.reopen(id, Client::new(role))
    }

    /// Adds so many publishers or subscribers and waits until all are greeted.
    ///
    /// # Errors
    /// The system's, and whatever the broker refuses.
    pub fn establish(&mut self, number: usize, role: impl Fn(usize) -> Role) -> Result<()> {
        let target = self.tally.ready + number;
        for index in 0..number {
            self.open(role(index), None)?;
            let ahead = number - index - 1;
            self.settle("connecting", |tally| target - tally.ready - ahead < TOGETHER)?;
        }
        self.settle("connecting", |tally| tally.ready == target)
    }

    /// Adds so many subscribers with a channel each. In small groups: only the
    /// confirmation shows that a broker has taken a connection, and a backlog
    /// that overflows costs a second.
    ///
    /// # Errors
    /// As above.
    pub fn establish_members<'a>(
        &mut self,
        number: usize,
        channel: impl Fn(usize) -> &'a str,
    ) -> Result<()> {
        let first = self.pool.len();
        for start in (0..number).step_by(TOGETHER) {
            let group = start..(start + TOGETHER).min(number);
            self.establish(group.len(), |_| Role::Subscriber)?;
            self.subscribe_all(group.map(|index| (first + index, channel(index))))?;
        }
        Ok(())
    }

    /// Subscribes each of these connections to a channel, and waits for all.
    ///
    /// # Errors
    /// As above.
    pub fn subscribe_all<'a>(
        &mut self,
        pairs: impl Iterator<Item = (usize, &'a str)>,
    ) -> Result<()> {
        for (id, channel) in pairs {
            self.subscribe(id, channel)?;
            self.settle("subscribing", |tally| tally.unconfirmed < UNCONFIRMED_MAX)?;
        }
        self.settle("subscribing", |tally| tally.unconfirmed == 0)
    }

    /// Asks for a subscription.
    ///
    /// # Errors
    /// The system's.
    pub fn subscribe(&mut self, id: usize, channel: &str) -> Result<()> {
        let connection = self.pool.get(id);
        connection.client.protocol.subscribe(channel, &mut connection.out);
        connection.client.unconfirmed += 1;
        self.tally.unconfirmed += 1;
        self.send(id)
    }

    /// Sends what one of them has to send.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&mut self, id: usize) -> Result<()> {
        self.pool.send(id, &mut Hand { tally: &mut self.tally, receiver: &mut () })
    }

    /// Waits until something is true of all of them. Nothing may be refused.
    ///
    /// # Errors
    /// The system's, and whatever the broker refuses.
    pub fn settle(&mut self, doing: &'static str, is_so: impl Fn(&Tally) -> bool) -> Result<()> {
        let end = now() + SETUP_SECONDS * SECOND;
        while !is_so(&self.tally) {
            self.poll(Duration::from_millis(100), &mut ())?;
            if self.tally.ended > 0 || self.tally.complaints > 0 {
                let complaint = self.tally.complaint.take();
                return Err(Error::Refused(complaint.unwrap_or_else(|| "nothing".into())));
            }
            if now() > end {
                return Err(Error::Silent { doing, seconds: SETUP_SECONDS });
            }
        }
        Ok(())
    }

    /// Waits for so long, and only answers what the broker wants answered.
    ///
    /// # Errors
    /// The system's.
    pub fn rest(&mut self, time: Duration) -> Result<()> {
        let end = now() + nanoseconds(time);
        loop {
            let left = end.saturating_sub(now());
            if left == 0 {
                return Ok(());
            }
            self.poll(Duration::from_nanos(left), &mut ())?;
        }
    }

    /// Waits for at most this long and handles what came; returns whether anything did.
    ///
    /// # Errors
    /// The system's.
    #[inline]
    pub fn poll<R: Receiver>(&mut self, timeout: Duration, receiver: &mut R) -> Result<bool> {
        self.tally.changed.clear();
        let happenings = self.pool.poll(timeout, &mut Hand { tally: &mut self.tally, receiver })?;
        Ok(happenings > 0)
    }

    /// Has all clients leave, after dropping channels that outlive their members:
    /// `channels_of` gives those that a connection is in.
    ///
    /// # Errors
    /// The system's.
    pub fn finish<'a, I: Iterator<Item = &'a str>>(
        &mut self,
        channels_of: impl Fn(usize) -> I,
    ) -> Result<()> {
        for id in 0..self.pool.len() {
            let connection = self.pool.get(id);
            let many = if connection.is_open() { usize::MAX } else { 0 };
            // All members ask for it; the broker knows which one of them may.
            for channel in channels_of(id).take(many) {
                P::discard(channel, &mut connection.out);
            }
        }
        self.dismiss(0..self.pool.len())
    }

    /// Has these clients leave, and waits for the broker to close their connections.
    ///
    /// # Errors
    /// The system's.
    pub fn dismiss(&mut self, ids: Range<usize>) -> Result<()> {
        for id in ids.clone() {
            if !self.pool.is_open(id) {
                continue;
            }
            let connection = self.pool.get(id);
            connection.client.protocol.leave(&mut connection.out);
            self.send(id)?;
            if self.pool.get(id).has_sent_all() {
                self.pool.half_close(id);
            }
        }
        let end = now() + nanoseconds(FAREWELL);
        while now() < end && ids.clone().any(|id| self.pool.is_open(id)) {
            self.poll(Duration::from_millis(100), &mut ())?;
        }
        Ok(())
    }
}

/// Reads for a fleet.
struct Hand<'f, R> {
    tally: &'f mut Tally,
    receiver: &'f mut R,
}

impl<P: Protocol, R: Receiver> Reader<Client<P>> for Hand<'_, R> {
    fn connected(&mut self, id: usize, client: &mut Client<P>, out: &mut Vec<u8>) {
        if !client.protocol.greet(&client.role, out) {
            client.is_ready = true;
            self.tally.ready += 1;
            self.tally.changed.push(id);
        }
    }

    #[inline]
    fn read(
        &mut self,
        id: usize,
        client: &mut Client<P>,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> usize {
        self.receiver.begin(id);
        let mut at = 0;
        while let Some((length, event)) = client.protocol.next(&bytes[at..]) {
            at += length;
            match event {
                Event::Message(payload) => self.receiver.message(id, payload),
                Event::Gap(messages) => self.receiver.gap(id, messages),
                Event::Ready => {
                    client.is_ready = true;
                    self.tally.ready += 1;
                    self.tally.changed.push(id);
                }
                Event::Subscribed if client.unconfirmed > 0 => {
                    client.unconfirmed -= 1;
                    self.tally.unconfirmed -= 1;
                    self.tally.changed.push(id);
                }
                Event::Reply(answer) => out.extend_from_slice(answer),
                Event::Complaint(text) => self.tally.complain(&String::from_utf8_lossy(text)),
                Event::Subscribed | Event::Other => {}
            }
        }
        at
    }

    fn ended(&mut self, id: usize, client: &mut Client<P>, why: &str) {
        self.tally.ended += 1;
        self.tally.complaint.get_or_insert_with(|| why.to_string());
        self.tally.ready -= usize::from(std::mem::take(&mut client.is_ready));
        self.tally.unconfirmed -= std::mem::take(&mut client.unconfirmed);
        self.tally.changed.push(id);
    }
}
