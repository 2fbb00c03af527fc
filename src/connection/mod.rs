//! One socket, one task: it reads, lets the session answer, and writes, in
//! turn.
//!
//! One task rather than two because that is what makes a message cheap: what
//! was read is answered and fanned out before anybody sleeps. The buffers
//! belong to the thread, not to the connection (`scratch.rs`), so that an idle
//! connection holds none. Nothing in here waits but [`serve`] itself; a poll
//! runs from beginning to end on one thread.

mod frames;
mod input;
mod numseq;
mod opening;
mod outgoing;
mod parting;
mod requests;
mod resp;
mod scratch;
mod withheld;

use crate::broker::Broker;
use crate::error::Close;
use crate::http::Http;
use crate::request::Format;
use crate::runtime::{self, TcpStream};
use crate::session::Session;
use crate::tls::{Acceptor, Stream};
use frames::Frames;
use futures::AsyncRead;
use input::Input;
use opening::begin;
pub use opening::refuse;
use outgoing::Outgoing;
use parting::Closing;
use scratch::Scratch;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The most turns in a row before another connection gets its own, and the most
/// milliseconds, for all of them and for one: a read may hold thousands of short
/// requests, some of which take long.
const TURNS: usize = 16;
const TURNS_MS: u64 = 2;

/// Whether a turn that began at that time has lasted long enough, so that what is
/// left has to wait for the next one. To be asked after what may take long only: it
/// asks the clock.
fn is_over(began_ms: u64, session: &Session) -> bool {
    let is_over = session.broker().now_ms() > began_ms + TURNS_MS;
    if is_over {
        runtime::note_long();
    }
    is_over
}

/// Serves a connection until it ends.
pub fn serve(
    broker: Arc<Broker>,
    http: Arc<Http>,
    tls: Option<Arc<Acceptor>>,
    stream: TcpStream,
    addr: SocketAddr,
) -> impl Future<Output = ()> + Send {
    // Boxed, and no `async fn`, which would keep room for its arguments, so that
    // connections that live do not carry what only the beginning needs.
    let beginning = Box::pin(begin(broker, http, tls, stream, addr));
    async move {
        let Some(connection) = beginning.await else { return };
        run(connection).await;
    }
}

async fn run(mut connection: Box<Connection>) {
    let reason = poll_fn(|cx| connection.poll(cx, Connection::turn)).await;
    if reason != Close::Lost || connection.input_ended {
        let drain = connection.session.broker().current().drain;
        // Boxed, so that connections that live do not carry its timer.
        if !Box::pin(connection.part(drain)).await {
            connection.session.broker().note_cut_off();
        }
    }
    connection.end(reason);
}

struct Connection {
    session: Session,
    stream: Stream,
    /// The beginning of a line whose end has yet to come.
    unfinished: Vec<u8>,
    /// The frames that the lines come in, in a dialect that has them.
    frames: Frames,
    outgoing: Outgoing,
    input: Input,
    /// The client sends no more.
    input_ended: bool,
    /// There was nothing to read; the reactor will wake us.
    input_awaited: bool,
    /// How the connection is being closed, once it is.
    closing: Option<Closing>,
    /// The client is in no channel any more, and its name is free.
    has_ended: bool,
}

/// Whether a turn has moved anything.
type Moved = bool;

impl Connection {
    /// A connection of this client, in this format. `first` has been read already.
    fn new(session: Session, stream: Stream, format: Format, first: Vec<u8>) -> Self {
        let (mut frames, mut outgoing) =
            (Frames::new(format, session.broker().config.max_line), Outgoing::new(format));
        let unfinished = frames.begin(first, outgoing.answers());
        Connection {
            session,
            stream,
            unfinished,
            frames,
            outgoing,
            input: Input::new(format),
            input_ended: false,
            input_awaited: false,
            closing: None,
            has_ended: false,
        }
    }

    /// Takes turns until one ends the phase, or there is nothing to do.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        turn: fn(&mut Self, &mut Context<'_>, &mut Scratch) -> Poll<Moved>,
    ) -> Poll<Close> {
        // Before looking at the mail, so that none is missed in between.
        self.session.register(cx.waker());
        // Most are woken by their mail: where there was nothing to read, asking the
        // socket again would be one system call for nothing.
        self.input_awaited = self.input_awaited && self.stream.poll_readable(cx).is_pending();
        scratch::with(|scratch| {
            let mut until_ms = None;
            for _ in 0..TURNS {
                match turn(self, cx, scratch) {
                    // There was no room for so many replies: another connection's turn.
                    Poll::Ready(true) if self.has_more() => break,
                    Poll::Ready(true) => {
                        let now_ms = self.session.broker().now_ms();
                        if now_ms > *until_ms.get_or_insert(now_ms + TURNS_MS) {
                            break;
                        }
                    }
                    Poll::Ready(false) => {
                        return Poll::Ready(self.reason());
                    }
                    Poll::Pending => {
                        self.outgoing.release();
                        return Poll::Pending;
                    }
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// One turn of a living connection. `Ready(false)`: it is over.
    fn turn(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<Moved> {
        let now_ms = self.session.broker().now_ms();
        let with_lane = self.outgoing.has_room();
        if let Some(reason) = self.session.take_mail(&mut scratch.batch.frames, with_lane)
            && !(reason == Close::Timeout && self.is_spared(now_ms))
        {
            self.close(reason, now_ms);
        }
        let mut moved = false;
        if self.session.is_awaiting() {
            moved = self.answer_awaited(cx, now_ms);
        }
        if self.input.go_on(&mut self.session, &mut self.outgoing, now_ms) {
            // What the client has said meanwhile may be there.
            (moved, self.input_awaited) = (true, false);
        }
        if !self.input_awaited && self.may_read() {
            match self.read(cx, scratch, now_ms) {
                Poll::Ready(Ok(())) => moved = true,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending => self.input_awaited = true,
            }
        }
        if self.closing.is_none()
            && self.input.is_deaf(self.unfinished.len())
            && self.stream.poll_end(cx).is_ready()
        {
            self.input_ended = true;
            self.close(Close::Lost, now_ms);
        }
        self.session.flush();
        let was_leaving = self.session.is_leaving();
        match self.outgoing.write(cx, &mut self.stream, &mut self.session, scratch, now_ms) {
            Poll::Ready(Ok(wrote)) => moved |= wrote,
            Poll::Ready(Err(_)) => return Poll::Ready(false),
            Poll::Pending => {}
        }
        if with_lane && self.is_done() {
            moved = false;
        }
        // A request may wait for the client to have left.
        moved |= was_leaving && !self.session.is_leaving();
        if self.outgoing.has_missed() {
            self.close(Close::Overflow, now_ms);
        }
        if self.closing.is_some() {
            return Poll::Ready(false);
        }
        if moved { Poll::Ready(true) } else { Poll::Pending }
    }

    /// Whether what the client says would be read.
    fn may_read(&mut self) -> bool {
        self.closing.is_none()
            && !self.session.is_awaiting()
            && self.input.listens(self.unfinished.len())
            && self.outgoing.has_room()
            && self.session.may_read()
            // During a stop, members might be gone that should get what is published now.
            && !self.session.broker().is_stopping()
    }

    /// Whether a client that is to be closed for its silence has not been silent: its
    /// words lie in the socket, as the broker was busy.
    fn is_spared(&mut self, now_ms: u64) -> bool {
        let lies_unread = self.may_read() && matches!(self.stream.socket().peek(&mut [0]), Ok(1));
        self.session.broker().spares(self.session.client(), lies_unread, now_ms)
    }

    /// Whether another turn would find nothing to do: whatever comes wakes us.
    fn is_done(&self) -> bool {
        self.input_awaited
            && self.unfinished.is_empty()
            && !self.input.is_waiting()
            && !self.session.is_awaiting()
            && !self.session.has_news()
            && !self.outgoing.has_unsent()
            && !self.outgoing.withholds()
    }

    /// Whether whole requests are left over of what has been read, because there was
    /// no room for replies, or one of them waits, such as for its turn to publish.
    fn has_more(&mut self) -> bool {
        let line_max = self.session.broker().config.max_line;
        !self.unfinished.is_empty() && self.input.has_whole(&self.unfinished, line_max)
    }

    /// Reads once, and answers the requests in it.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        now_ms: u64,
    ) -> Poll<io::Result<()>> {
        let line_max = self.session.broker().config.max_line;
        let begun = self.unfinished.len();
        let (buffer, room) = scratch.read_buffers(self.input.unfinished_max(line_max));
        let mut filled = begun;
        // What was sniffed is there already, and may hold whole lines. So may
        // what came behind a `hello` that had to wait, or behind long replies.
        let is_there = self.has_more();
        if !is_there && !self.frames.have_ended() {
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer[begun..]))?;
            if read == 0 {
                self.input_ended = true;
                self.close(Close::Lost, now_ms);
                return Poll::Ready(Ok(()));
            }
            self.session.broker().stats.traffic.read.add(read as u64);
            filled += read;
        }
        self.session.client().heard(now_ms);
        if self.input.is_waiting() {
            self.unfinished.extend_from_slice(&buffer[begun..filled]);
            return Poll::Ready(Ok(()));
        }
        let (session, outgoing) = (&mut self.session, &mut self.outgoing);
        let mut held = std::mem::take(&mut self.unfinished);
        // The shorter part goes to where the longer is: a long request may come in
        // many pieces.
        let lines = if is_there {
            &held
        } else if begun > filled - begun {
            held.extend_from_slice(&buffer[begun..filled]);
            &held
        } else {
            buffer[..begun].copy_from_slice(&held);
            self.frames.open(&buffer[..filled], room, outgoing.answers())
        };
        match self.input.serve(session, lines, line_max, outgoing, now_ms) {
            Ok(rest) if std::ptr::eq(rest, held.as_slice()) => self.unfinished = held,
            Ok(rest) => self.unfinished = rest.to_vec(),
            Err(reason) => self.close(reason, now_ms),
        }
        self.follow_client(cx);
        self.end_with_frames(now_ms);
        Poll::Ready(Ok(()))
    }

    /// Goes on if the session that the client wants has been given up to it.
    fn answer_awaited(&mut self, cx: &mut Context<'_>, now_ms: u64) -> Moved {
        let Some(reply) = self.session.awaited(now_ms) else { return false };
        self.input.answer_awaited(reply.map(Some), &mut self.outgoing, &mut self.session);
        self.follow_client(cx);
        true
    }

    /// Watches the mailbox of a resumed session's client instead, if there is one.
    fn follow_client(&mut self, cx: &mut Context<'_>) {
        if self.session.has_changed_client() {
            self.session.register(cx.waker());
            self.outgoing.watch_anew();
            // Mail may have come before that.
            cx.waker().wake_by_ref();
        }
    }
}
