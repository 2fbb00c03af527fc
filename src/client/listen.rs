//! The half of the task behind a client that reads what comes, and hands it to whom it is
//! for.

use super::awaited;
use super::connection::Received;
use super::driver::{Awaiting, Driver, FAREWELL, Tag};
use super::error::Error;
use super::event::Frame;
use super::handle::Answer;
use super::line::{Asked, Reply};
use crate::runtime;
use futures::future::{Either, pending, select};
use std::pin::pin;
use std::time::{Duration, Instant};

/// How long the broker may take for an introduction.
const HELLO_LONGEST: Duration = Duration::from_secs(10);

/// Whether the program has room for a frame.
enum Room {
    Free,
    /// No, and a caller waits for a reply behind it.
    Full,
    /// Nothing more will be taken from this connection.
    HungUp,
}

impl Driver {
    /// How long nothing may come now.
    fn patience(&self) -> Option<Duration> {
        match (self.shared.is_over(), self.accepted) {
            (true, true) => Some(FAREWELL),
            // No program has this client.
            (true, false) => Some(Duration::ZERO),
            (false, _) => (!self.outbox.is_open()).then_some(HELLO_LONGEST),
        }
    }

    /// Waits for more lines; false at the end of the connection.
    async fn fill(&mut self) -> bool {
        let mut since = Instant::now();
        loop {
            let due = self.advance();
            let is_leaving = self.shared.is_over();
            let limit = self.patience().map(|patience| since + patience);
            if limit.is_some_and(|limit| limit <= Instant::now()) {
                return false;
            }
            let fill = pin!(self.connection.fill());
            let hung_up = pin!(self.outbox.hung_up());
            let leaves = pin!(async {
                if is_leaving {
                    pending::<()>().await;
                }
                self.shared.over().await;
            });
            let news = select(fill, select(hung_up, leaves));
            match by(due.into_iter().chain(limit).min(), news).await {
                None => {}
                Some(Either::Left((filled, _))) => return matches!(filled, Ok(true)),
                Some(Either::Right((Either::Left(_), _))) => return false,
                Some(Either::Right((Either::Right(_), _))) => since = Instant::now(),
            }
        }
    }

    /// Waits until the program has room for a frame, but only until a caller waits for
    /// something behind it.
    async fn room(&mut self) -> Room {
        if self.shared.frames.has_room() {
            return Room::Free;
        }
        loop {
            let due = self.advance();
            let (outbox, frames) = (&self.outbox, &self.shared.frames);
            let has_command = self.results.values().any(|waits| !waits.tx.is_closed());
            let asked = pin!(async {
                if !has_command {
                    outbox.asked(Tag::is_ask).await;
                }
            });
            let (room, hung_up) = (pin!(frames.room()), pin!(outbox.hung_up()));
            let news = select(select(room, hung_up), asked);
            match by(due, news).await {
                None => {}
                Some(Either::Left((Either::Left(_), _))) => return Room::Free,
                Some(Either::Left((Either::Right(_), _))) => return Room::HungUp,
                Some(Either::Right(_)) => return Room::Full,
            }
        }
    }

    /// Handles what comes until the connection ends or the broker refuses the
    /// introduction.
    pub(super) async fn listen(&mut self) {
        loop {
            while let Some(received) = self.connection.buffered() {
                let Received { text, reply, .. } = received;
                let Some((reply, asked)) = reply else {
                    let text = text.into_owned();
                    if !self.keep_row(&text) && !self.take_frame(Frame::parse(&text)).await {
                        return;
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
                    self.welcomed();
                }
                for frame in self.answer(asked, reply) {
                    if !self.take_frame(frame).await {
                        return;
                    }
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
            Some(Asked { verb, tag: Tag::Ask(ask), .. }) if may_be_row(verb, line) => {
                ask.rows.push(line.to_owned());
                true
            }
            _ => false,
        })
    }

    /// Hands a reply to the caller that waits for it. Returns the frames that had been
    /// taken for its rows.
    fn answer(&mut self, asked: Asked<Tag>, reply: Reply) -> Vec<Frame> {
        let Tag::Ask(mut ask) = asked.tag else { return Vec::new() };
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

    /// Hands a frame to whom it is for; false if the connection was given up meanwhile.
    async fn take_frame(&mut self, frame: Frame) -> bool {
        let Some(frame) = self.take_result(frame) else { return true };
        // These are few, and the program must not miss them.
        let is_vital = matches!(frame, Frame::Rank { .. } | Frame::Bye { .. });
        let has_room = is_vital
            || match self.room().await {
                Room::Free => true,
                Room::Full => false,
                Room::HungUp => return false,
            };
        let Some(frame) = self.memory.admit(frame) else { return true };
        self.memory.heard(&frame);
        if let Frame::Bye { reason } = &frame {
            self.backoff.told(reason);
            if reason == "taken-over" {
                self.shared.taken_over();
            }
        }
        if has_room {
            self.shared.frames.deliver(frame);
        } else {
            self.shared.frames.miss();
        }
        true
    }

    /// Hands a result to the caller that waits for it; returns any other frame.
    fn take_result(&mut self, frame: Frame) -> Option<Frame> {
        let (Frame::Result { channel, seq, .. } | Frame::Done { channel, seq, .. }) = &frame else {
            return Some(frame);
        };
        let key = (channel.clone(), *seq);
        let Some(waits) = self.results.get(&key) else { return Some(frame) };
        let is_last = matches!(frame, Frame::Done { .. });
        let _ = waits.tx.unbounded_send(frame);
        if is_last {
            self.results.remove(&key);
        }
        None
    }
}

/// What a future gives, if it does so by then.
async fn by<T>(due: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match due {
        None => Some(future.await),
        Some(due) => {
            let pause = due.saturating_duration_since(Instant::now());
            runtime::timeout(pause, future).await
        }
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
