//! The task behind a [`Client`](super::Client): takes what comes, hands replies
//! to those who wait and frames to the stream, connects again.

use super::connection::{Connection, Received};
use super::error::Error;
use super::event::Frame;
use super::handle::Answer;
use super::line::{Asked, Reply};
use super::memory::{Memory, Refusal};
use super::outbox::Outbox;
use super::reconnect::{AGAIN_FIRST, AGAIN_LONGEST, Backoff};
use crate::runtime;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, poll_fn, select};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Who waits for a reply; nobody for what the client says by itself.
pub(super) type Tag = Option<Ask>;

/// Somebody who waits for a reply.
#[derive(Debug)]
pub(super) struct Ask {
    answer: oneshot::Sender<Result<Answer, Error>>,
    results: Option<mpsc::UnboundedSender<Frame>>,
    rows: Vec<String>,
}

impl Ask {
    /// With where the results of a command are to go.
    pub(super) fn new(
        results: Option<mpsc::UnboundedSender<Frame>>,
    ) -> (Self, oneshot::Receiver<Result<Answer, Error>>) {
        let (answer, rx) = oneshot::channel();
        (Ask { answer, results, rows: Vec::new() }, rx)
    }
}

/// The task's state.
pub(super) struct Driver {
    host: String,
    port: u16,
    outbox: Arc<Outbox<Tag>>,
    memory: Memory,
    connection: Connection<Tag>,
    /// Where the results of commands go, by channel and seq.
    results: HashMap<(String, u64), mpsc::UnboundedSender<Frame>>,
    /// Whether the broker has ever accepted this client.
    accepted: bool,
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
        outbox: Arc<Outbox<Tag>>,
        memory: Memory,
        ask: Ask,
    ) -> Result<Driver, Error> {
        let connection = Connection::open(host, port, outbox.clone())
            .await
            .map_err(|source| Error::Connect { host: host.to_owned(), port, source })?;
        outbox.say(&memory.hello(), Some(ask));
        let host = host.to_owned();
        Ok(Driver {
            host,
            port,
            outbox,
            memory,
            connection,
            results: HashMap::new(),
            accepted: false,
            backoff: Backoff::default(),
            again_at: None,
            again: Backoff::new(AGAIN_FIRST, AGAIN_LONGEST),
        })
    }

    /// Begins the task.
    pub(super) fn start(
        mut self,
        frames: mpsc::Sender<Frame>,
        reconnect: bool,
        leaving: Arc<AtomicBool>,
    ) {
        runtime::spawn(async move {
            let mut frames = Delivery { tx: frames, missed: 0 };
            loop {
                self.listen(&mut frames).await;
                let again = self.accepted && reconnect && !leaving.load(Ordering::Acquire);
                self.results.clear();
                // Whoever waits for a reply hears that none will come.
                drop(self.outbox.down(!again));
                self.memory.lost();
                if !again || !self.connect_again(&leaving).await {
                    drop(self.outbox.down(true));
                    return;
                }
                frames.deliver(Frame::Reconnected, std::future::ready(())).await;
            }
        });
    }

    /// Tries until it works; false when the program has left in the meantime.
    async fn connect_again(&mut self, leaving: &AtomicBool) -> bool {
        loop {
            runtime::sleep(self.backoff.pause()).await;
            if leaving.load(Ordering::Acquire) {
                return false;
            }
            if let Ok(connection) =
                Connection::open(&self.host, self.port, self.outbox.clone()).await
            {
                self.connection = connection;
                self.outbox.say(&self.memory.hello(), None);
                self.again.reset();
                self.subscribe_again();
                return true;
            }
        }
    }

    /// Asks for every subscription that is wanted and not had.
    fn subscribe_again(&mut self) {
        self.again_at = None;
        let lines = self.memory.subscriptions();
        self.outbox.say_all(lines.iter().map(|line| (line.as_str(), None)));
    }

    /// Takes notice of a reply, and asks again later for what is wanted still.
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

    /// Waits for more lines; false at the end of the connection.
    async fn fill(&mut self) -> bool {
        loop {
            let Some(at) = self.again_at else {
                return matches!(self.connection.fill().await, Ok(true));
            };
            let pause = at.saturating_duration_since(Instant::now());
            // What is due is not put off by a stream that never pauses.
            if pause.is_zero() {
                self.subscribe_again();
            } else if let Some(filled) = runtime::timeout(pause, self.connection.fill()).await {
                return matches!(filled, Ok(true));
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
                if hello && accepted {
                    self.accepted = true;
                    self.backoff.reset();
                    self.outbox.open();
                }
                self.remember(&asked, &reply);
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

    /// Hands a reply to who waits for it. Gives what was taken for rows and was
    /// none.
    fn answer(&mut self, asked: Asked<Tag>, reply: Reply) -> Vec<Frame> {
        let Some(mut ask) = asked.tag else { return Vec::new() };
        let others = match (&reply, asked.verb.as_str()) {
            (Reply::Err { .. }, _) => std::mem::take(&mut ask.rows),
            // Rows that look like frames: the reply says how many they are, and
            // they came last.
            (Reply::Ok { words, .. }, "history" | "jobs") => {
                let rows = words.last().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
                let others = ask.rows.len().saturating_sub(rows);
                ask.rows.drain(..others).collect()
            }
            _ => Vec::new(),
        };
        if let (Some(results), Some(channel), Some(seq)) =
            (ask.results, reply.word(0), reply.number(1))
        {
            self.results.insert((channel.to_owned(), seq), results);
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
        self.memory.heard(&frame);
        let command = match &frame {
            Frame::Result { channel, seq, .. } | Frame::Done { channel, seq, .. } => {
                Some((channel.clone(), *seq))
            }
            _ => None,
        };
        if let Some(key) = command
            && let Some(results) = self.results.get(&key)
        {
            let last = matches!(frame, Frame::Done { .. });
            let _ = results.unbounded_send(frame);
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

/// The way into the stream of frames.
struct Delivery {
    tx: mpsc::Sender<Frame>,
    missed: u64,
}

impl Delivery {
    /// Waits for room, but not while somebody waits for what comes behind this
    /// frame: then a frame without room is dropped, and counted.
    async fn deliver(&mut self, frame: Frame, awaited: impl Future<Output = ()>) {
        let mut awaited = std::pin::pin!(awaited);
        loop {
            match select(poll_fn(|cx| self.tx.poll_ready(cx)), awaited.as_mut()).await {
                Either::Left((Err(_), _)) => return,
                Either::Left((Ok(()), _)) if self.missed == 0 => break,
                // The program hears of the loss where it happened.
                Either::Left((Ok(()), _)) => {
                    let frames = std::mem::take(&mut self.missed);
                    let _ = self.tx.start_send(Frame::Missed { frames });
                }
                Either::Right(_) => {
                    self.missed += 1;
                    return;
                }
            }
        }
        let _ = self.tx.start_send(frame);
    }
}
