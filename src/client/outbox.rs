//! What is to be sent: one buffer, filled by any task, emptied by the one task that
//! writes the socket.
//!
//! A request joins the queue of those that wait for replies in the same step in which
//! its bytes join the buffer, so the two can never be in different order. A caller that
//! sends much awaits [`Outbox::room`]; what the client says by itself (`pong`, `ack`)
//! never waits, or two full pipes could wait for each other.

use super::line::{Asked, Waiting, is_request, verb_of};
use crate::sync;
use futures::io::{AsyncWrite, AsyncWriteExt};
use futures::task::AtomicWaker;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::{Mutex, MutexGuard};
use std::task::{Poll, Waker};

/// Bytes that may wait to be written before senders are held up: a few socket
/// buffers full, so that the writer never runs dry.
const BYTES_HIGH: usize = 256 * 1024;

/// Requests that may wait for their replies before senders are held up; each
/// costs about a hundred bytes here.
const WAITING_HIGH: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// There is no connection; what is sent is lost.
    Down,
    /// The client is introducing itself; everybody else waits.
    Introducing,
    /// Requests may be sent.
    Open,
    /// There will be no connection any more.
    Closed,
}

#[derive(Debug)]
struct Inner<T> {
    bytes: Vec<u8>,
    waiting: Waiting<T>,
    gate: Gate,
    /// Grows with each connection, so that the writer of a former one stops.
    generation: u64,
    /// The connection is given up, whatever the socket says.
    hung_up: bool,
    /// Nothing will be sent on this connection any more.
    finished: bool,
    /// Tasks that wait for a change, by number.
    senders: BTreeMap<u64, Waker>,
    numbers: u64,
}

impl<T> Inner<T> {
    fn append(&mut self, line: &[u8], tag: T) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        let text = String::from_utf8_lossy(line);
        if is_request(&text) {
            self.waiting.push(&text, tag);
        }
    }
}

/// What is to be sent on a connection, and on the next one if it is lost.
#[derive(Debug)]
pub struct Outbox<T> {
    inner: Mutex<Inner<T>>,
    writer: AtomicWaker,
    /// Woken when a request waits for its reply.
    asked: AtomicWaker,
    /// Woken when the connection is given up.
    hung_up: AtomicWaker,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        let inner = Inner {
            bytes: Vec::new(),
            waiting: Waiting::default(),
            gate: Gate::Down,
            generation: 0,
            hung_up: false,
            finished: false,
            senders: BTreeMap::new(),
            numbers: 0,
        };
        Outbox {
            inner: Mutex::new(inner),
            writer: AtomicWaker::new(),
            asked: AtomicWaker::new(),
            hung_up: AtomicWaker::new(),
        }
    }
}

impl<T: Default> Outbox<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing that holds this lock can panic half-way through a change.
        sync::lock(&self.inner)
    }

    /// Begins a new connection: only [`Outbox::say`] is heard until [`Outbox::open`].
    /// Returns the generation that its writer needs.
    pub fn begin(&self) -> u64 {
        let mut inner = self.lock();
        inner.bytes.clear();
        inner.gate = Gate::Introducing;
        inner.hung_up = false;
        inner.finished = false;
        inner.generation += 1;
        inner.generation
    }

    /// The introduction is over: everybody may send.
    pub fn open(&self) {
        let mut inner = self.lock();
        if inner.gate == Gate::Introducing {
            inner.gate = Gate::Open;
        }
        wake(inner);
    }

    /// Whether requests may be sent.
    pub fn is_open(&self) -> bool {
        self.lock().gate == Gate::Open
    }

    /// The connection is gone, and there may be another one. Gives the requests that
    /// will get no reply.
    pub fn down(&self) -> Vec<Asked<T>> {
        self.end(Gate::Down)
    }

    /// There will be no connection any more. Callers that wait for a reply get none.
    pub fn close(&self) {
        drop(self.end(Gate::Closed));
    }

    fn end(&self, gate: Gate) -> Vec<Asked<T>> {
        let mut inner = self.lock();
        inner.gate = gate;
        inner.generation += 1;
        inner.bytes.clear();
        let unanswered = inner.waiting.take();
        wake(inner);
        self.writer.wake();
        unanswered
    }

    /// Waits until a request may be sent. False when none ever may be again.
    pub async fn room(&self) -> bool {
        self.until(|inner| {
            let full = inner.bytes.len() >= BYTES_HIGH || inner.waiting.len() >= WAITING_HIGH;
            match inner.gate {
                Gate::Closed => Some(false),
                Gate::Open if !full => Some(true),
                _ => None,
            }
        })
        .await
    }

    /// Waits until there will be no connection any more.
    pub async fn closed(&self) {
        self.until(|inner| (inner.gate == Gate::Closed).then_some(())).await;
    }

    /// Waits until this gives something.
    async fn until<R>(&self, ready: impl Fn(&Inner<T>) -> Option<R>) -> R {
        let mut place = Place { outbox: self, number: None };
        poll_fn(|cx| {
            let mut inner = self.lock();
            if let Some(result) = ready(&inner) {
                return Poll::Ready(result);
            }
            let number = *place.number.get_or_insert(inner.numbers);
            inner.numbers = inner.numbers.max(number + 1);
            inner.senders.insert(number, cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Sends a line if requests may be sent now; else gives the tag back.
    ///
    /// # Errors
    /// The tag, if the gate has closed since [`Outbox::room`].
    pub fn send(&self, line: &[u8], tag: T) -> Result<(), T> {
        let mut inner = self.lock();
        if inner.gate != Gate::Open {
            return Err(tag);
        }
        self.append(&mut inner, line, tag);
        Ok(())
    }

    /// Sends a line of the client's own, whatever the state.
    pub fn say(&self, line: &str, tag: T) {
        let mut inner = self.lock();
        if matches!(inner.gate, Gate::Introducing | Gate::Open) {
            self.append(&mut inner, line.as_bytes(), tag);
        }
    }

    /// Says several lines, with nothing else between them.
    pub fn say_all<'a>(&self, lines: impl IntoIterator<Item = (&'a str, T)>) {
        let mut inner = self.lock();
        if matches!(inner.gate, Gate::Introducing | Gate::Open) {
            for (line, tag) in lines {
                self.append(&mut inner, line.as_bytes(), tag);
            }
        }
    }

    fn append(&self, inner: &mut Inner<T>, line: &[u8], tag: T) {
        // The rows of `history` are recognized only while it is the oldest request.
        if inner.waiting.wants_ping() && verb_of(&String::from_utf8_lossy(line)) == "history" {
            inner.append(b"ping", T::default());
        }
        inner.append(line, tag);
        // After `hello --quiet`, a sender of nothing but `pub` gets no reply, and its
        // own waiting requests would hold it up for ever.
        if inner.waiting.is_out_of_step() {
            inner.append(b"ping", T::default());
        }
        if !inner.waiting.is_empty() {
            self.asked.wake();
        }
        self.writer.wake();
    }

    /// Gives the connection up: it may be dead without anybody having noticed.
    pub fn hang_up(&self) {
        self.lock().hung_up = true;
        self.hung_up.wake();
    }

    /// Waits until the connection is given up. For one task only.
    pub async fn hung_up(&self) {
        poll_fn(|cx| {
            self.hung_up.register(cx.waker());
            if self.lock().hung_up { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Sends what there is, and then ends the sending half: the broker still
    /// sends what is due, and keeps the session.
    pub fn finish(&self) {
        self.lock().finished = true;
        self.writer.wake();
    }

    /// Waits until a request of such a tag waits for its reply. For one task only.
    pub async fn asked(&self, is_awaited: impl Fn(&T) -> bool) {
        poll_fn(|cx| {
            self.asked.register(cx.waker());
            let is_awaited = self.lock().waiting.any(&is_awaited);
            if is_awaited { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Looks at the requests that wait for their replies.
    pub fn waiting<R>(&self, look: impl FnOnce(&mut Waiting<T>) -> R) -> R {
        let mut inner = self.lock();
        let result = look(&mut inner.waiting);
        if inner.waiting.len() < WAITING_HIGH {
            wake(inner);
        }
        result
    }

    /// Writes what is to be sent until the connection of this generation ends, or until
    /// it is finished and all is written.
    ///
    /// # Errors
    /// Those of the writer.
    pub async fn drain(
        &self,
        generation: u64,
        socket: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut batch = Vec::new();
        loop {
            let go_on = poll_fn(|cx| {
                let mut inner = self.lock();
                // The writer of a former connection must not take this one's waker.
                if inner.generation != generation {
                    return Poll::Ready(false);
                }
                self.writer.register(cx.waker());
                if inner.bytes.is_empty() {
                    return if inner.finished { Poll::Ready(false) } else { Poll::Pending };
                }
                std::mem::swap(&mut inner.bytes, &mut batch);
                wake(inner);
                Poll::Ready(true)
            });
            if !go_on.await {
                return Ok(());
            }
            socket.write_all(&batch).await?;
            socket.flush().await?;
            batch.clear();
        }
    }
}

/// Wakes the senders that wait for room, outside the lock.
fn wake<T>(mut inner: MutexGuard<'_, Inner<T>>) {
    let senders = std::mem::take(&mut inner.senders);
    drop(inner);
    senders.into_values().for_each(Waker::wake);
}

/// The place of a task that waits, given up if it stops waiting.
struct Place<'a, T> {
    outbox: &'a Outbox<T>,
    number: Option<u64>,
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            sync::lock(&self.outbox.inner).senders.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::line::Reply;
    use crate::runtime;
    use futures::FutureExt;
    use futures::task::{ArcWake, Context, noop_waker_ref, waker};
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn nobody_sends_before_the_introduction_is_over() {
        let outbox = Outbox::default();
        assert_eq!(outbox.send(b"pub n x", 1), Err(1));
        outbox.begin();
        outbox.say("hello", 2);
        assert_eq!(outbox.send(b"pub n x", 3), Err(3));
        outbox.open();
        assert_eq!(outbox.send(b"pub n x", 4), Ok(()));
        assert_eq!(outbox.send(b"# a comment has no reply", 5), Ok(()));
        let unanswered = outbox.down().into_iter().map(|asked| asked.tag);
        assert_eq!(unanswered.collect::<Vec<_>>(), [2, 4]);
        assert!(outbox.room().now_or_never().is_none());
        outbox.close();
        assert_eq!(outbox.room().now_or_never(), Some(false));
    }

    #[test]
    fn who_gives_up_waiting_for_room_leaves_nothing_behind() {
        let outbox = Outbox::<()>::default();
        let kept = outbox.room().shared();
        assert!(kept.clone().now_or_never().is_none());
        (0..1000).for_each(|_| assert!(outbox.room().now_or_never().is_none()));
        assert_eq!(outbox.lock().senders.len(), 1);
        outbox.begin();
        outbox.open();
        assert_eq!(kept.now_or_never(), Some(true));
        assert!(outbox.lock().senders.is_empty());
    }

    #[test]
    fn who_is_never_answered_is_never_held_up_for_ever() {
        let outbox = Outbox::default();
        outbox.begin();
        outbox.open();
        outbox.send(b"hello --quiet", 1).unwrap();
        let ok = Reply::parse("ok hello name=x").unwrap();
        outbox.waiting(|waiting| waiting.answer(&ok)).unwrap();
        let mut pings = 0;
        for _ in 0..3 * WAITING_HIGH {
            // What was written does not matter here.
            outbox.lock().bytes.clear();
            while outbox.room().now_or_never().is_none() {
                let ok = Reply::parse("ok ping lease=1").unwrap();
                let asked = outbox.waiting(|waiting| waiting.answer(&ok)).unwrap();
                assert_eq!((asked.verb.as_str(), asked.tag), ("ping", 0));
                pings += 1;
            }
            outbox.send(b"pub n x", 1).unwrap();
        }
        assert!(pings > 0);
        let ok = Reply::parse("ok who 1").unwrap();
        outbox.send(b"who", 2).unwrap();
        assert_eq!(outbox.waiting(|waiting| waiting.answer(&ok)).unwrap().tag, 2);
        assert!(outbox.waiting(|waiting| waiting.is_empty()));
    }

    #[test]
    fn a_history_is_the_oldest_request_when_its_rows_come() {
        let outbox = Outbox::default();
        outbox.begin();
        outbox.say("hello --quiet", 1);
        outbox.open();
        let answer = |reply: &str| {
            let reply = Reply::parse(reply).unwrap();
            outbox.waiting(|waiting| waiting.answer(&reply)).unwrap().tag
        };
        assert_eq!(answer("ok hello name=x"), 1);
        for (line, tag) in [("ack n 4", 2), ("history n", 3), ("history n", 4), ("who", 5)] {
            outbox.send(line.as_bytes(), tag).unwrap();
        }
        assert_eq!(answer("ok ping lease=1"), 0);
        assert_eq!(outbox.waiting(|waiting| waiting.front().unwrap().tag), 3);
        assert_eq!(answer("ok history n 0"), 3);
        assert_eq!(answer("ok ping lease=1"), 0);
        assert_eq!(outbox.waiting(|waiting| waiting.front().unwrap().tag), 4);
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl ArcWake for Woken {
        fn wake_by_ref(woken: &Arc<Self>) {
            woken.0.store(true, Ordering::Relaxed);
        }
    }

    /// A socket that takes bytes only once its flag is set.
    struct Slow(Arc<AtomicBool>);

    impl AsyncWrite for Slow {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.0.load(Ordering::Relaxed) {
                Poll::Ready(Ok(bytes.len()))
            } else {
                Poll::Pending
            }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn the_writer_of_a_former_connection_does_not_keep_the_next_one_asleep() {
        let outbox = Outbox::default();
        let lets = Arc::new(AtomicBool::new(false));
        let mut slow = Slow(lets.clone());
        let former = outbox.begin();
        outbox.say("hello", ());
        let mut former = pin!(outbox.drain(former, &mut slow));
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(former.as_mut().poll(&mut cx).is_pending());
        outbox.down();
        let mut socket = futures::io::Cursor::new(Vec::new());
        let next = outbox.begin();
        let mut next = pin!(outbox.drain(next, &mut socket));
        let woken = Arc::new(Woken::default());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker(woken.clone()))).is_pending());
        lets.store(true, Ordering::Relaxed);
        assert!(former.poll(&mut cx).is_ready());
        outbox.say("hello", ());
        assert!(woken.0.load(Ordering::Relaxed));
    }

    #[test]
    fn a_sender_is_held_up_by_a_full_buffer_and_let_go_by_the_writer() {
        let outbox = Outbox::default();
        let generation = outbox.begin();
        outbox.open();
        while outbox.room().now_or_never() == Some(true) {
            outbox.send(&[b'x'; 1000], ()).unwrap();
        }
        let mut socket = futures::io::Cursor::new(Vec::new());
        runtime::block_on(async {
            let drain = outbox.drain(generation, &mut socket).fuse();
            let room = outbox.room().fuse();
            futures::pin_mut!(drain, room);
            futures::select! {
                _ = drain => panic!("the connection is not over"),
                open = room => assert!(open),
            }
        });
        assert!(socket.into_inner().len() >= BYTES_HIGH);
    }
}
