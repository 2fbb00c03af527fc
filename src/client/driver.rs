//! The task behind a [`Client`](super::Client): reads what comes, hands replies to the
//! callers that wait for them and frames to the stream, and reconnects.

use super::awaited;
use super::connection::Connection;
use super::error::Error;
use super::event::Frame;
use super::handle::Answer;
use super::lease::Lease;
use super::line::{Asked, Reply};
use super::memory::{Memory, Refusal, Resumption};
use super::outbox::Outbox;
use super::reconnect::{AGAIN_FIRST, AGAIN_LONGEST, Backoff};
use super::shared::Shared;
use super::unanswered::Unanswered;
use crate::moment::Moment;
use crate::runtime;
use crate::tls::Connector;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long nothing may come while the client leaves.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

/// Who waits for a reply.
#[derive(Debug, Default)]
pub(super) enum Tag {
    /// The client says this by itself.
    #[default]
    Own,
    /// It asks for a lease, and has done so at this moment.
    Lease(Moment),
    /// A caller waits.
    Ask(Ask),
}

impl Tag {
    pub(super) fn is_ask(&self) -> bool {
        matches!(self, Tag::Ask(_))
    }
}

/// A caller that waits for a reply.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) answer: oneshot::Sender<Result<Answer, Error>>,
    pub(super) results: Option<mpsc::UnboundedSender<Frame>>,
    pub(super) rows: Vec<String>,
}

impl Ask {
    /// Creates one; the results of a command go to `results`.
    pub(super) fn new(
        results: Option<mpsc::UnboundedSender<Frame>>,
    ) -> (Self, oneshot::Receiver<Result<Answer, Error>>) {
        let (answer, rx) = oneshot::channel();
        (Ask { answer, results, rows: Vec::new() }, rx)
    }
}

/// A caller that waits for the results of a command.
pub(super) struct Awaiting {
    pub(super) tx: mpsc::UnboundedSender<Frame>,
    /// When the broker ends the command.
    pub(super) ends: Instant,
    /// When to stop waiting for them; set once the session was resumed.
    pub(super) given_up: Option<Instant>,
}

/// The task's state.
pub(super) struct Driver {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<Connector>,
    pub(super) outbox: Arc<Outbox<Tag>>,
    pub(super) shared: Arc<Shared>,
    pub(super) memory: Memory,
    pub(super) connection: Connection<Tag>,
    /// Where the results of commands go, by channel and seq.
    pub(super) results: HashMap<(String, u64), Awaiting>,
    /// Whether the broker has ever accepted this client.
    pub(super) accepted: bool,
    pub(super) unanswered: Unanswered<Tag>,
    pub(super) backoff: Backoff,
    /// When the subscriptions that were refused are to be asked for again.
    pub(super) again_at: Option<Instant>,
    pub(super) again: Backoff,
    /// When the lease is to be renewed.
    pub(super) lease_at: Option<Instant>,
}

impl Driver {
    /// Connects and says hello.
    pub(super) async fn connect(
        host: &str,
        port: u16,
        tls: Option<Connector>,
        shared: Arc<Shared>,
        memory: Memory,
        backoff: Backoff,
        ask: Ask,
    ) -> Result<Driver, Error> {
        let outbox = shared.outbox.clone();
        let connection = Connection::open(host, port, tls.as_ref(), outbox.clone())
            .await
            .map_err(|why| Error::Connect { host: host.to_owned(), port, why })?;
        outbox.say(&memory.hello(), Tag::Ask(ask));
        let host = host.to_owned();
        Ok(Driver {
            host,
            port,
            tls,
            outbox,
            shared,
            memory,
            connection,
            results: HashMap::new(),
            accepted: false,
            unanswered: Unanswered::default(),
            backoff,
            again_at: None,
            again: Backoff::new(AGAIN_FIRST, AGAIN_LONGEST),
            lease_at: None,
        })
    }

    /// Begins the task.
    pub(super) fn start(mut self, reconnect: bool) {
        runtime::spawn(async move {
            loop {
                self.listen().await;
                let again = self.accepted && reconnect && !self.shared.is_over();
                // The broker keeps the results for a session that goes on.
                if !again || !self.memory.has_session() {
                    self.results.clear();
                }
                // Callers learn that no reply will come, unless their request may
                // safely be sent again.
                let mut unanswered = self.outbox.down();
                if again && self.memory.has_session() {
                    self.unanswered.keep(&mut unanswered, Tag::is_ask);
                }
                drop(unanswered);
                self.memory.lost();
                // The next introduction asks for everything at once.
                self.again_at = None;
                self.lease_at = None;
                if !again || !self.connect_again().await {
                    self.outbox.close();
                    self.shared.frames.end();
                    return;
                }
            }
        });
    }

    /// Tries until it works; false when the program has left in the meantime.
    async fn connect_again(&mut self) -> bool {
        let shared = self.shared.clone();
        {
            let (trying, over) = (pin!(self.open_again()), pin!(shared.over()));
            let trying = select(trying, over);
            let lapse = pin!(shared.await_lapse());
            if let Either::Right(((), trying)) = select(trying, lapse).await {
                trying.await;
            }
        }
        // A `quit` without a connection has reached nobody: a `hello` after it would
        // make a member that no program owns.
        if shared.is_over() {
            return false;
        }
        self.outbox.say(&self.memory.hello(), Tag::Own);
        self.again.reset();
        true
    }

    async fn open_again(&mut self) {
        loop {
            runtime::sleep(self.backoff.pause()).await;
            let (tls, outbox) = (self.tls.as_ref(), self.outbox.clone());
            let open = Connection::open_again(&self.host, self.port, tls, outbox);
            if let Ok(connection) = open.await {
                self.connection = connection;
                return;
            }
        }
    }

    /// Handles an accepted introduction. That there is a connection again, and what
    /// became of the session, is told before anything that comes on it.
    pub(super) fn welcomed(&mut self) {
        let again = std::mem::replace(&mut self.accepted, true);
        self.backoff.reset();
        let resumption = self.memory.resumption();
        drop(self.unanswered.settle(resumption, &self.outbox));
        if !matches!(resumption, Some(Resumption::Resumed { .. }) | None) {
            self.results.clear();
        }
        let frame = match resumption {
            Some(Resumption::Resumed { missed, rank }) => {
                for waits in self.results.values_mut() {
                    waits.given_up = Some(awaited::given_up(waits.ends));
                }
                Some(Frame::Resumed { missed, rank })
            }
            Some(Resumption::Gone { .. }) => Some(Frame::SessionGone),
            Some(Resumption::New) if again => Some(Frame::SessionGone),
            None if again => Some(Frame::Reconnected),
            Some(Resumption::New) | None => None,
        };
        self.shared.keep(self.memory.session());
        self.shared.named(self.memory.name());
        if let Some(frame) = frame {
            self.shared.frames.deliver(frame);
        }
        let ranks: Vec<_> = self.memory.unknown_ranks().collect();
        self.say_all(&ranks);
        // Not before: a client that is refused its name would join under another.
        self.subscribe_again();
        self.outbox.open();
    }

    fn say_all(&self, lines: &[String]) {
        self.outbox.say_all(lines.iter().map(|line| (line.as_str(), Tag::Own)));
    }

    /// Asks for every subscription that is wanted but not in force.
    fn subscribe_again(&mut self) {
        self.again_at = None;
        self.say_all(&self.memory.subscriptions());
    }

    /// Records a reply, tells the program what it does not know from it, and plans to ask again for a refused subscription still wanted.
    pub(super) fn remember(&mut self, asked: &Asked<Tag>, reply: &Reply) {
        self.memory.replied(&asked.line, reply);
        let verb = asked.verb.as_str();
        match (&asked.tag, reply) {
            (Tag::Ask(_), Reply::Ok { .. }) if matches!(verb, "sub" | "use") => {
                self.memory.chosen();
                self.shared.keep(self.memory.session());
            }
            (Tag::Own, Reply::Ok { .. }) if matches!(verb, "sub" | "rank") => {
                let channel = reply.word(0).unwrap_or_default();
                if let Some(frame) = self.memory.rank_frame(channel) {
                    self.shared.frames.deliver(frame);
                }
            }
            (Tag::Own, Reply::Err { code, .. }) => {
                let refusal = self.memory.refused(&asked.line, *code);
                if matches!(refusal, Refusal::Temporary { .. }) && self.again_at.is_none() {
                    self.again_at = Some(Instant::now() + self.again.pause());
                }
            }
            (Tag::Lease(sent), reply) => self.leased(*sent, reply.number_field("lease")),
            _ => {}
        }
    }

    /// Records the answer to a question for a lease.
    fn leased(&mut self, sent: Moment, length: Option<u64>) {
        let Some(length) = length.map(Duration::from_millis) else { return };
        let had_lapsed = self.shared.lease(|lease| lease.granted(sent, length, Moment::now()));
        // Only now is it known how short a lease is.
        let next = Instant::now() + self.shared.lease(|lease| lease.interval());
        self.lease_at = self.lease_at.map(|at| at.min(next));
        if had_lapsed {
            // The ranks count again.
            self.memory.rank_frames().for_each(|frame| self.shared.frames.deliver(frame));
        }
    }

    /// Asks for a lease if that is due; returns when to ask again.
    fn renew_lease(&mut self, now: Instant) -> Option<Instant> {
        if !self.memory.has_rank() {
            self.shared.lease(Lease::reset);
            self.lease_at = None;
        } else if self.lease_at.is_none_or(|at| at <= now) {
            self.outbox.say("ping", Tag::Lease(Moment::now()));
            self.lease_at = Some(now + self.shared.lease(|lease| lease.interval()));
        }
        self.lease_at
    }

    /// Tells the broker how far this client has read, if that is due; returns when it is
    /// due again.
    fn tell_progress(&mut self, now: Instant) -> Option<Instant> {
        let lines = self.memory.seen(now);
        if !lines.is_empty() {
            self.say_all(&lines);
            self.shared.keep(self.memory.session());
        }
        self.memory.seen_at(now)
    }

    /// Does what is due; returns when something is due again.
    pub(super) fn advance(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if self.again_at.is_some_and(|at| at <= now) {
            self.subscribe_again();
        }
        self.results.retain(|_, waits| waits.given_up.is_none_or(|at| at > now));
        // Nothing is asked for before the introduction is over.
        let is_open = self.outbox.is_open();
        let progress = is_open.then(|| self.tell_progress(now)).flatten();
        let renewal = is_open.then(|| self.renew_lease(now)).flatten();
        let lapse = self.shared.tell_lapse().map(|left| now + left);
        let given_up = self.results.values().filter_map(|waits| waits.given_up).min();
        let due = [self.again_at, progress, given_up, renewal, lapse];
        due.into_iter().flatten().min()
    }
}
