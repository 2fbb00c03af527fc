//! What the task behind a client shares with the client's handles.

use super::driver::Tag;
use super::outbox::Outbox;
use super::ticket::Ticket;
use crate::sync;
use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// What the task behind a client shares with the client's handles.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) outbox: Arc<Outbox<Tag>>,
    leaving: AtomicBool,
    /// Woken when `leaving` is set, for a task that has no connection.
    left: AtomicWaker,
    taken_over: AtomicBool,
    name: Mutex<Option<String>>,
    ticket: Mutex<Option<Ticket>>,
}

impl Shared {
    /// Leaves the broker.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.outbox.say("quit", None);
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

    /// Sets the name that the broker knows this client by.
    pub(super) fn named(&self, name: Option<&str>) {
        *sync::lock(&self.name) = name.map(str::to_owned);
    }

    /// Returns the name that the broker knows this client by.
    pub(super) fn name(&self) -> Option<String> {
        sync::lock(&self.name).clone()
    }

    /// Keeps what the session can be resumed with.
    pub(super) fn keep(&self, ticket: Option<Ticket>) {
        *sync::lock(&self.ticket) = ticket;
    }

    /// What the session can be resumed with.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        sync::lock(&self.ticket).clone()
    }
}
