//! A socket, and what the kernel has reported of it.

use super::reactor::Reactor;
use crate::sync::lock;
use mio::Token;
use mio::event::Event;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

/// What the kernel has reported of a socket.
#[derive(Debug)]
pub(super) struct Source {
    /// Its token in the kernel's events.
    pub(super) token: Token,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    read: Direction,
    write: Direction,
    /// Whether a read may stop before the end of what has come: at the other end's
    /// close, or at urgent data.
    stops_short: bool,
    /// Whether the other end sends no more, or the connection has failed.
    has_ended: bool,
    /// Whether the kernel reports room to write.
    tells_room: bool,
    /// Tells whether more was reported during an attempt, whose result must then
    /// not be taken for the latest state.
    told: Told,
}

/// Counts the kernel's reports of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told(u32);

#[derive(Debug)]
struct Direction {
    /// Whether an attempt may succeed.
    is_ready: bool,
    /// The task that waits.
    waiting: Option<Waker>,
}

/// The directions that may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Read,
    Write,
}

impl Source {
    pub(super) fn new(token: Token) -> Source {
        Source { token, state: Mutex::new(State::new()) }
    }

    /// Notes a report of the kernel, and collects the tasks that wait for it.
    pub(super) fn note(&self, event: &Event, woken: &mut Vec<Waker>) {
        let state = &mut *lock(&self.state);
        state.told = Told(state.told.0.wrapping_add(1));
        state.has_ended |= event.is_error() || event.is_read_closed();
        state.stops_short |= state.has_ended || event.is_priority();
        if state.stops_short || event.is_readable() {
            state.read.note(woken);
        }
        if event.is_writable() || event.is_error() || event.is_write_closed() {
            state.write.note(woken);
        }
    }
}

impl State {
    fn new() -> State {
        let (read, write) = (Direction::new(), Direction::new());
        let (stops_short, has_ended, tells_room) = (false, false, false);
        State { read, write, stops_short, has_ended, tells_room, told: Told::default() }
    }

    fn direction(&mut self, to: To) -> &mut Direction {
        match to {
            To::Read => &mut self.read,
            To::Write => &mut self.write,
        }
    }
}

impl Direction {
    fn new() -> Direction {
        Direction { is_ready: true, waiting: None }
    }

    fn note(&mut self, woken: &mut Vec<Waker>) {
        self.is_ready = true;
        woken.extend(self.waiting.take());
    }

    fn wait(&mut self, cx: &Context<'_>) {
        match &self.waiting {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.waiting = Some(cx.waker().clone()),
        }
    }
}

/// A socket that does not block, and what the kernel has reported of it.
#[derive(Debug)]
pub(super) struct Watched<S> {
    socket: S,
    source: Arc<Source>,
}

impl<S> Watched<S> {
    pub(super) fn socket(&self) -> &S {
        &self.socket
    }

    #[cfg(test)]
    pub(super) fn token(&self) -> Token {
        self.source.token
    }
}

impl<S: AsRawFd> Watched<S> {
    /// Watches a socket.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn new(socket: S) -> io::Result<Self> {
        let source = Reactor::get()?.enter(socket.as_raw_fd())?;
        Ok(Watched { socket, source })
    }

    /// Ready if an attempt may succeed, with the count of reports so far. Otherwise
    /// the task is woken when one may.
    pub(super) fn poll_ready(&self, to: To, cx: &mut Context<'_>) -> Poll<Told> {
        let mut state = lock(&self.source.state);
        let told = state.told;
        let direction = state.direction(to);
        if direction.is_ready {
            return Poll::Ready(told);
        }
        direction.wait(cx);
        Poll::Pending
    }

    /// Ready if the other end sends no more, or is gone, however much of what it
    /// has sent is still unread. Otherwise the task is woken by the next report:
    /// for a task that does not read, as it has no room.
    pub(super) fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.source.state);
        if state.has_ended {
            return Poll::Ready(());
        }
        state.read.wait(cx);
        Poll::Pending
    }

    /// Notes that an attempt found nothing to read, or no room to write.
    fn found_nothing(&self, to: To, told: Told) -> io::Result<()> {
        let mut state = lock(&self.source.state);
        state.direction(to).is_ready &= state.told != told;
        if to == To::Write && !std::mem::replace(&mut state.tells_room, true) {
            Reactor::get()?.watch_for_room(self.socket.as_raw_fd(), &self.source)?;
        }
        Ok(())
    }

    /// Makes attempts until one succeeds, fails, or finds nothing. Returns its
    /// result with the count of reports before it.
    pub(super) fn poll_with<T>(
        &self,
        to: To,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<(T, Told)>> {
        loop {
            let told = ready!(self.poll_ready(to, cx));
            match attempt(&self.socket) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.found_nothing(to, told)?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result.map(|done| (done, told))),
            }
        }
    }
}

impl<S: AsRawFd> Watched<S>
where
    for<'a> &'a S: Read,
{
    /// Reads once, at most until the buffer is full.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = |mut socket: &S| socket.read(buffer);
        let (read, told) = ready!(self.poll_with(To::Read, cx, read))?;
        // Unless reads stop short, one that did not fill the buffer has found all
        // there was, says epoll(7): another one would find nothing.
        if read < buffer.len() {
            let mut state = lock(&self.source.state);
            state.read.is_ready &= state.told != told || state.stops_short;
        }
        Poll::Ready(Ok(read))
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        if let Ok(reactor) = Reactor::get() {
            reactor.leave(&self.source);
        }
    }
}
