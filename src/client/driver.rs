//! The task behind a [`Client`](super::Client): reads what comes, hands replies to the
//! callers that wait for them and frames to the stream, and reconnects.

use super::awaited;
use super::connection::{Connection, Received};
use super::delivery::Delivery;
use super::error::Error;
use super::event::Frame;
use super::handle::Answer;
use super::line::{Asked, Reply};
use super::memory::{Memory, Refusal, Resumption};
use super::outbox::Outbox;
use super::reconnect::{AGAIN_FIRST, AGAIN_LONGEST, Backoff};
use super::shared::Shared;
use super::unanswered::Unanswered;
use crate::runtime;
use crate::tls::Connector;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, ready, select};
use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

/// The caller that waits for a reply; `None` for what the client says by itself.
pub(super) type Tag = Option<Ask>;

/// A caller that waits for a reply.
#[derive(Debug)]
pub(super) struct Ask {
    answer: oneshot::Sender<Result<Answer, Error>>,
    results: Option<mpsc::UnboundedSender<Frame>>,
    rows: Vec<String>,
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
struct Awaiting {
    tx: mpsc::UnboundedSender<Frame>,
    /// When the broker ends the command.
    ends: Instant,
    /// When to stop waiting for them; set once the session was resumed.
    given_up: Option<Instant>,
}

/// The task's state.
pub(super) struct Driver {
    host: String,
    port: u16,
    tls: Option<Connector>,
    outbox: Arc<Outbox<Tag>>,
    shared: Arc<Shared>,
    memory: Memory,
    connection: Connection<Tag>,
    /// Where the results of commands go, by channel and seq.
    results: HashMap<(String, u64), Awaiting>,
    /// Whether the broker has ever accepted this client.
    accepted: bool,
    unanswered: Unanswered<Tag>,
    backoff: Backoff,
    /// When the subscriptions that were refused are to be asked for again.
    again_at: Option<Instant>,
    again: Backoff,
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
            .map_err(|source| Error::Connect { host: host.to_owned(), port, source })?;
        outbox.say(&memory.hello(), Some(ask));
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
        })
    }

    /// Begins the task.
    pub(super) fn start(mut self, frames: mpsc::Sender<Frame>, reconnect: bool) {
        runtime::spawn(async move {
            let mut frames = Delivery::new(frames);
            loop {
                self.listen(&mut frames).await;
                let again = self.accepted && reconnect && !self.shared.is_over();
                // The broker keeps the results for a session that goes on.
                if !again || !self.memory.has_session() {
                    self.results.clear();
                }
                // Callers learn that no reply will come, unless their request may
                // safely be sent again.
                let mut unanswered = self.outbox.down();
                if again && self.memory.has_session() {
                    self.unanswered.keep(&mut unanswered, Option::is_some);
                }
                drop(unanswered);
                self.memory.lost();
                // The next introduction asks for everything at once.
                self.again_at = None;
                if !again || !self.connect_again().await {
                    self.outbox.close();
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
            select(trying, over).await;
        }
        // A `quit` without a connection has reached nobody: a `hello` after it would
        // make a member that no program owns.
        if shared.is_over() {
            return false;
        }
        self.outbox.say(&self.memory.hello(), None);
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
    async fn welcomed(&mut self, frames: &mut Delivery) {
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
        self.shared.keep(self.memory.ticket());
        self.shared.named(self.memory.name());
        // Not before: a client that is refused its name would join under another.
        self.subscribe_again();
        self.outbox.open();
        if let Some(frame) = frame {
            frames.deliver(frame, ready(())).await;
        }
    }

    /// Asks for every subscription that is wanted but not in force.
    fn subscribe_again(&mut self) {
        self.again_at = None;
        let lines = self.memory.subscriptions();
        self.outbox.say_all(lines.iter().map(|line| (line.as_str(), None)));
    }

    /// Records a reply, and plans to ask again for a refused subscription still wanted.
    fn remember(&mut self, asked: &Asked<Tag>, reply: &Reply) {
        self.memory.replied(&asked.line, reply);
        match reply {
            Reply::Ok { .. } if asked.tag.is_some() && matches!(&*asked.verb, "sub" | "use") => {
                self.memory.chosen();
            }
            Reply::Err { code, .. } if asked.tag.is_none() => {
                let refusal = self.memory.refused(&asked.line, *code);
                if matches!(refusal, Refusal::Temporary { .. }) && self.again_at.is_none() {
                    self.again_at = Some(Instant::now() + self.again.pause());
                }
            }
            _ => {}
        }
    }

    /// Tells the broker how far this client has read, if that is due.
    fn tell_progress(&mut self, now: Instant) {
        let lines = self.memory.seen(now);
        if !lines.is_empty() {
            self.outbox.say_all(lines.iter().map(|line| (line.as_str(), None)));
            self.shared.keep(self.memory.ticket());
        }
    }

    /// Waits for more lines; false at the end of the connection.
    async fn fill(&mut self) -> bool {
        loop {
            let now = Instant::now();
            // What is due is not put off by a stream that never pauses.
            if self.again_at.is_some_and(|at| at <= now) {
                self.subscribe_again();
            }
            self.results.retain(|_, waits| waits.given_up.is_none_or(|at| at > now));
            self.tell_progress(now);
            let given_up = self.results.values().filter_map(|waits| waits.given_up).min();
            let due = [self.again_at, self.memory.seen_at(now), given_up];
            let due = due.into_iter().flatten().min();
            let (fill, given_up) = (pin!(self.connection.fill()), pin!(self.outbox.hung_up()));
            let filled = select(fill, given_up);
            let Some(due) = due else { return goes_on(&filled.await) };
            let pause = due.saturating_duration_since(now);
            if let Some(filled) = runtime::timeout(pause, filled).await {
                return goes_on(&filled);
            }
        }
    }

    /// Handles what comes until the connection ends or the broker refuses the
    /// introduction.
    async fn listen(&mut self, frames: &mut Delivery) {
        loop {
            while let Some(received) = self.connection.buffered() {
                let Received { text, reply, .. } = received;
                let Some((reply, asked)) = reply else {
                    let text = text.into_owned();
                    if !self.keep_row(&text) {
                        self.take_frame(Frame::parse(&text), frames).await;
                    }
                    continue;
                };
                let Some(asked) = asked else { continue };
                let hello = asked.verb == "hello";
                let accepted = matches!(reply, Reply::Ok { .. });
                if let (true, Reply::Err { code, .. }) = (hello, &reply)
                    && self.memory.session_refused(*code)
                {
                    self.outbox.say(&self.memory.hello(), asked.tag);
                    continue;
                }
                self.remember(&asked, &reply);
                if hello && accepted && self.outbox.is_open() {
                    // A `hello` of the program's own.
                    self.shared.named(self.memory.name());
                } else if hello && accepted {
                    self.welcomed(frames).await;
                }
                for frame in self.answer(asked, reply) {
                    self.take_frame(frame, frames).await;
                }
                if hello && !accepted && !self.outbox.is_open() {
                    return;
                }
            }
            if !self.fill().await {
                return;
            }
        }
    }

    /// Keeps a line that may be a row of the list that is being answered.
    fn keep_row(&self, line: &str) -> bool {
        self.outbox.waiting(|waiting| match waiting.front_mut() {
            Some(Asked { verb, tag: Some(ask), .. }) if may_be_row(verb, line) => {
                ask.rows.push(line.to_owned());
                true
            }
            _ => false,
        })
    }

    /// Hands a reply to the caller that waits for it. Returns the frames that had been
    /// taken for its rows.
    fn answer(&mut self, asked: Asked<Tag>, reply: Reply) -> Vec<Frame> {
        let Some(mut ask) = asked.tag else { return Vec::new() };
        let others = match (&reply, asked.verb.as_str()) {
            (Reply::Err { .. }, _) => std::mem::take(&mut ask.rows),
            // These rows look like frames: the reply says how many there are, and they
            // came last.
            (Reply::Ok { words, .. }, "history" | "jobs") => {
                let rows = words.last().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
                let others = ask.rows.len().saturating_sub(rows);
                ask.rows.drain(..others).collect()
            }
            _ => Vec::new(),
        };
        if let (Some(tx), Some(channel), Some(seq)) = (ask.results, reply.word(0), reply.number(1))
        {
            let ends = awaited::ends(&asked.line);
            let waits = Awaiting { tx, ends, given_up: None };
            self.results.insert((channel.to_owned(), seq), waits);
        }
        let answer = match reply {
            Reply::Err { code, text } => Err(Error::Refused { code, message: text }),
            reply @ Reply::Ok { .. } => Ok(Answer { reply, rows: ask.rows }),
        };
        // Whoever asked may have stopped waiting.
        let _ = ask.answer.send(answer);
        others.iter().map(|line| Frame::parse(line)).collect()
    }

    async fn take_frame(&mut self, frame: Frame, frames: &mut Delivery) {
        let Some(frame) = self.memory.pass(frame) else { return };
        self.memory.heard(&frame);
        if let Frame::Bye { reason } = &frame {
            self.backoff.told(reason);
            if reason == "taken-over" {
                self.shared.taken_over();
            }
        }
        let command = match &frame {
            Frame::Result { channel, seq, .. } | Frame::Done { channel, seq, .. } => {
                Some((channel.clone(), *seq))
            }
            _ => None,
        };
        if let Some(key) = command
            && let Some(waits) = self.results.get(&key)
        {
            let last = matches!(frame, Frame::Done { .. });
            let _ = waits.tx.unbounded_send(frame);
            if last {
                self.results.remove(&key);
            }
            return;
        }
        let (outbox, results) = (&self.outbox, &self.results);
        let awaited = async {
            if results.is_empty() {
                outbox.asked().await;
            }
        };
        frames.deliver(frame, awaited).await;
    }
}

/// Whether the connection goes on after this.
fn goes_on<A, B>(filled: &Either<(io::Result<bool>, A), ((), B)>) -> bool {
    matches!(filled, Either::Left((Ok(true), _)))
}

/// Whether a line may be a row of the reply to this verb.
fn may_be_row(verb: &str, line: &str) -> bool {
    let kind = Frame::kind(line);
    match verb {
        "history" => matches!(kind, "msg" | "cmd" | "join" | "left" | "move"),
        "jobs" => kind == "job",
        "ranks" => kind == "member",
        "channels" | "info" => kind == "channel",
        "who" | "clients" => kind == "client",
        "help" | "stats" | "version" => matches!(Frame::parse(line), Frame::Other { .. }),
        _ => false,
    }
}
