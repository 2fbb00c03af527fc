//! The client at the other end of one connection, and how its requests are
//! asked.
//!
//! Requests of one connection come one after the other, and the task that
//! serves the connection asks them, reads its mail, and waits: the lock around
//! the session is for the compiler, nobody ever waits for it.

use crate::broker::Broker;
use crate::error::{Close, Code, Fault};
use crate::frame::Frame;
use crate::reply::{Line, Reply};
use crate::request::Request;
use crate::session::{Held, Session, Step};
use crate::sync::lock;
use crate::wire::json::{self, Rows};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

/// The client of one connection.
#[derive(Debug)]
pub struct Caller {
    broker: Arc<Broker>,
    session: Mutex<Session>,
    /// Why the connection is to be closed, once it is.
    closing: OnceLock<Close>,
    /// The connection goes on as a WebSocket.
    is_upgraded: AtomicBool,
}

/// What was answered.
#[derive(Debug)]
pub enum Reading {
    /// This.
    Reply(Reply),
    /// Entries that were read from the disk, and the last line.
    Rows(Rows, Line),
}

impl Reading {
    /// As a JSON object.
    pub fn object(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Reading::Reply(reply) => json::object(reply, &mut out),
            Reading::Rows(rows, last) => rows.object(last, &mut out),
        }
        out
    }
}

impl Caller {
    /// Somebody new.
    pub fn enter(broker: &Arc<Broker>, addr: SocketAddr) -> Caller {
        // Nobody pings an HTTP client: its silence has limits of its own.
        let client = broker.enter_unwatched(addr, "http");
        Caller {
            broker: broker.clone(),
            session: Mutex::new(Session::new(broker.clone(), client)),
            closing: OnceLock::new(),
            is_upgraded: AtomicBool::new(false),
        }
    }

    /// The connection goes on as a WebSocket as soon as that is answered.
    pub fn upgrade(&self) {
        self.is_upgraded.store(true, Ordering::Relaxed);
    }

    /// The session, if the connection goes on as a WebSocket.
    pub fn into_upgraded(self) -> Option<Session> {
        let session = self.session.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.is_upgraded.into_inner().then_some(session)
    }

    /// Whether it does.
    pub fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Relaxed)
    }

    /// Why the connection is to be closed, once it is.
    pub fn closing(&self) -> Option<Close> {
        self.closing.get().copied()
    }

    /// The session, for as long as nothing is waited for.
    pub fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }

    /// Takes what others have left for this client. It is told nothing unasked,
    /// but for the reason if the connection is to be closed.
    pub fn take_mail(&self, cx: &Context<'_>) -> Option<Close> {
        let mut frames: Vec<Frame> = Vec::new();
        let mut session = self.session();
        session.register(cx.waker());
        let reason = session.take_mail(&mut frames, true)?;
        self.closing.get_or_init(|| reason);
        Some(reason)
    }

    /// Asks, and waits until what the answer tells of is on disk.
    ///
    /// # Errors
    /// As for the request; [`Code::Unavailable`] if the disk fails.
    pub async fn ask(&self, request: Request<'_>) -> Result<Reading, Fault> {
        let (reply, held) = {
            let mut session = self.session();
            let reply = session.handle(request, self.broker.now_ms());
            session.flush();
            (reply, session.take_held())
        };
        match (reply, held) {
            (Ok(Some(Reply::Scroll)), held) => {
                // It tells of nothing but what is on disk.
                let _ = self.on_disk(held).await;
                self.scroll().await
            }
            (Err(fault), _) if fault.code == Code::Unavailable => Err(fault),
            (reply, held) => {
                self.on_disk(held).await?;
                self.room().await;
                // Only who asks for it gets none.
                let none = || Fault::new(Code::Internal, "there is no reply");
                reply?.map(Reading::Reply).ok_or_else(none)
            }
        }
    }

    /// Waits until something is on disk.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if it is not known to be.
    pub async fn on_disk(&self, held: Option<Held>) -> Result<(), Fault> {
        let Some(Held { ticket, .. }) = held else { return Ok(()) };
        let waiter = self.session().waiter();
        ticket.wake_when_settled(&waiter);
        poll_fn(|cx| {
            self.session().register(cx.waker());
            match ticket.outcome() {
                None => Poll::Pending,
                Some(Ok(())) => Poll::Ready(Ok(())),
                Some(Err(reason)) => {
                    let text = format!("it is not known to be on disk: {reason}");
                    Poll::Ready(Err(Fault::new(Code::Unavailable, text)))
                }
            }
        })
        .await
    }

    /// Waits as a publisher has to, while a live member is a whole log behind.
    pub async fn room(&self) {
        poll_fn(|cx| {
            let mut session = self.session();
            session.register(cx.waker());
            if session.may_read() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Reads entries from the disk, as many as one answer has.
    async fn scroll(&self) -> Result<Reading, Fault> {
        let mut rows = Rows::default();
        let step = || {
            poll_fn(|cx| {
                let mut session = self.session();
                session.register(cx.waker());
                match session.scroll() {
                    Step::Pending => Poll::Pending,
                    step => Poll::Ready(step),
                }
            })
        };
        loop {
            match step().await {
                Step::Pending => {}
                Step::Rows(read) if rows.add(&read) => {}
                Step::Rows(_) => {
                    let channel = self.session().cut_scroll().unwrap_or_default();
                    return Ok(Reading::Rows(rows, json::cut(&channel)));
                }
                Step::Done(last) if last.as_ref().is_ok_and(|last| last.kind != "history") => {
                    return last.map(|last| Reading::Reply(last.into()));
                }
                Step::Done(last) => return last.map(|last| Reading::Rows(rows, last)),
            }
        }
    }

    /// The connection has ended.
    pub fn end(&self, reason: Close) {
        let mut session = self.session();
        let client = session.client();
        log::debug!(
            "event=closed client={} addr={} reason={reason}",
            client.name(),
            client.origin().addr
        );
        session.end(reason, self.broker.now_ms());
    }
}
