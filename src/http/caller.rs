//! The client at the other end of one connection.
//!
//! The requests of a connection come one after the other, and only the task that
//! serves the connection asks, reads the mail and waits. So the lock around the
//! session is there for the compiler; nobody ever waits for it.

use crate::broker::Broker;
use crate::error::Close;
use crate::request::dialect;
use crate::session::Session;
use crate::speaker::Speaker;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Context;

/// The client of one connection.
#[derive(Debug)]
pub struct Caller {
    broker: Arc<Broker>,
    speaker: Speaker,
    /// Why the connection is to be closed, once it is.
    closing: OnceLock<Close>,
    /// Whether the connection goes on as a WebSocket.
    is_upgraded: AtomicBool,
    /// Whether the body of the request under way has yet to be read.
    has_unread_body: AtomicBool,
}

/// A caller acts as its own client.
impl Deref for Caller {
    type Target = Speaker;

    fn deref(&self) -> &Speaker {
        &self.speaker
    }
}

impl Caller {
    /// Enters a new client.
    pub fn enter(broker: &Arc<Broker>, addr: SocketAddr) -> Caller {
        // Nobody pings an HTTP client: its silence has limits of its own.
        let client = broker.enter_unwatched(addr, dialect::HTTP);
        broker.stats.opened.add(dialect::HTTP, 1);
        Caller {
            broker: broker.clone(),
            speaker: Speaker::new(broker.clone(), client),
            closing: OnceLock::new(),
            is_upgraded: AtomicBool::new(false),
            has_unread_body: AtomicBool::new(false),
        }
    }

    /// Notes that the connection goes on as a WebSocket once the request is
    /// answered.
    pub fn upgrade(&self) {
        self.is_upgraded.store(true, Ordering::Relaxed);
    }

    /// The session, if the connection goes on as a WebSocket.
    pub fn into_upgraded(self) -> Option<Session> {
        self.is_upgraded.into_inner().then_some(self.speaker.into_session())
    }

    /// Whether the connection goes on as a WebSocket.
    pub fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Relaxed)
    }

    /// Notes that the request under way has a body.
    pub fn expect_body(&self) {
        self.has_unread_body.store(true, Ordering::Relaxed);
    }

    /// Notes that its body has been read.
    pub fn body_was_read(&self) {
        self.has_unread_body.store(false, Ordering::Relaxed);
    }

    /// Whether the request under way has a body that has yet to be read. Then its
    /// answer is the connection's last, because nobody knows where the next request
    /// would begin.
    pub fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Ordering::Relaxed)
    }

    /// Why the connection is to be closed, once it is.
    pub fn closing(&self) -> Option<Close> {
        self.closing.get().copied()
    }

    /// Takes this client's mail and drops the frames in it: HTTP tells a client
    /// nothing unasked. Returns the reason if the connection is to be closed.
    pub fn take_mail(&self, cx: &Context<'_>) -> Option<Close> {
        let mut frames = Vec::new();
        let mut session = self.session();
        session.register(cx.waker());
        let reason = session.take_mail(&mut frames, true)?;
        self.closing.get_or_init(|| reason);
        Some(reason)
    }

    /// Ends the session with the connection.
    pub fn end(&self, reason: Close) {
        let mut session = self.session();
        session.end(reason, self.broker.now_ms());
    }
}
