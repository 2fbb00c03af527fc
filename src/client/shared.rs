//! What the task behind a client shares with the client's handles.

use super::delivery::Delivery;
use super::driver::Tag;
use super::event::Frame;
use super::lease::Lease;
use super::outbox::Outbox;
use super::progress::Progress;
use super::ticket::Ticket;
use crate::moment::Moment;
use crate::runtime;
use crate::sync;
use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// What the task behind a client shares with the client's handles.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) outbox: Arc<Outbox<Tag>>,
    pub(super) frames: Delivery,
    leaving: AtomicBool,
    /// Woken when `leaving` is set.
    left: AtomicWaker,
    taken_over: AtomicBool,
    name: Mutex<Option<String>>,
    lease: Mutex<Lease>,
    /// The session, without its positions.
    session: Mutex<Option<Ticket>>,
    /// How far the program has come, if there is a session.
    progress: Option<Arc<Mutex<Progress>>>,
}

impl Shared {
    pub(super) fn new(progress: Option<Arc<Mutex<Progress>>>) -> Self {
        Shared { progress, ..Shared::default() }
    }

    /// Leaves the broker; `tag` is dropped when the connection is over.
    pub(super) fn leave(&self, tag: Tag) {
        self.leaving.store(true, Ordering::Release);
        self.outbox.say("quit", tag);
        self.left.wake();
    }

    /// Ends the connection without leaving the broker.
    pub(super) fn vanish(&self) {
        self.leaving.store(true, Ordering::Release);
        self.outbox.hang_up();
        self.left.wake();
    }

    /// Somebody else has the session now.
    pub(super) fn taken_over(&self) {
        self.taken_over.store(true, Ordering::Release);
    }

    /// Whether somebody else has the session.
    pub(super) fn is_taken_over(&self) -> bool {
        self.taken_over.load(Ordering::Acquire)
    }

    /// Whether the client must not reconnect.
    pub(super) fn is_over(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.is_taken_over()
    }

    /// Waits until the client must not reconnect. For one task only.
    pub(super) async fn over(&self) {
        poll_fn(|cx| {
            self.left.register(cx.waker());
            if self.is_over() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Hands the next frame to the program, and counts it as seen.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Frame>> {
        let taken = self.frames.poll_take(cx);
        if let (Poll::Ready(Some(frame)), Some(progress)) = (&taken, &self.progress) {
            sync::lock(progress).took(frame);
        }
        taken
    }

    /// Sets the name that the broker knows this client by.
    pub(super) fn named(&self, name: Option<&str>) {
        *sync::lock(&self.name) = name.map(str::to_owned);
    }

    /// Returns the name that the broker knows this client by.
    pub(super) fn name(&self) -> Option<String> {
        sync::lock(&self.name).clone()
    }

    /// Looks at the lease.
    pub(super) fn lease<R>(&self, look: impl FnOnce(&mut Lease) -> R) -> R {
        look(&mut sync::lock(&self.lease))
    }

    /// Tells the program if its lease has run out. Returns how long it lasts yet.
    pub(super) fn tell_lapse(&self) -> Option<Duration> {
        let now = Moment::now();
        let (lapses, left) = self.lease(|lease| (lease.lapses(now), lease.left(now)));
        if lapses {
            self.frames.deliver(Frame::LeaseOver);
        }
        left
    }

    /// Tells the program when its lease has run out, while nothing can renew it.
    pub(super) async fn await_lapse(&self) {
        while let Some(left) = self.tell_lapse() {
            runtime::sleep(left).await;
        }
    }

    /// Keeps what the session can be resumed with, without its positions.
    pub(super) fn keep(&self, session: Option<Ticket>) {
        *sync::lock(&self.session) = session;
    }

    /// What the session can be resumed with.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        let session = sync::lock(&self.session).clone()?;
        let channels = sync::lock(self.progress.as_ref()?).marks();
        Some(Ticket { channels, ..session })
    }
}
