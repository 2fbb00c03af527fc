//! One client, and how requests are asked as it, waiting for the answer: by the
//! connection that is the client, or, for a resident, by whoever has its token.

use crate::broker::{Broker, Client};
use crate::error::{Code, Fault};
use crate::reply::{Line, Reply};
use crate::request::Request;
use crate::runtime;
use crate::session::{Session, Step};
use crate::store::Ticket;
use crate::sync::lock;
use crate::wire::json::{self, Rows};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// One client with its session.
#[derive(Debug)]
pub struct Speaker {
    broker: Arc<Broker>,
    /// Never locked across an await.
    session: Mutex<Session>,
    /// Wakes those that wait on its behalf, unless that is the task that reads its
    /// mail.
    bell: Option<Bell>,
}

/// Wakes all tasks that wait.
#[derive(Debug, Default)]
pub struct Bell {
    waiting: Mutex<Vec<Waker>>,
    /// Whether it will not ring again.
    is_silent: AtomicBool,
}

impl Bell {
    /// Registers a task; to be called before it checks whether it has to wait.
    pub fn wait(&self, cx: &Context<'_>) {
        let mut wakers = lock(&self.waiting);
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
    }

    /// Wakes the registered tasks.
    pub fn ring(&self) {
        for waker in std::mem::take(&mut *lock(&self.waiting)) {
            waker.wake();
        }
    }
}

/// The answer to a request.
#[derive(Debug)]
pub enum Reading {
    /// A reply.
    Reply(Reply),
    /// Entries that were read from the disk, and the last line of their reply.
    Rows(Rows, Line),
}

impl From<Line> for Reading {
    fn from(line: Line) -> Self {
        Reading::Reply(line.into())
    }
}

impl Reading {
    /// The view of the roster in the answer, if there is one.
    pub fn view(&self) -> Option<u64> {
        match self {
            Reading::Reply(Reply::Line(last)) => last.number("view"),
            Reading::Reply(Reply::List(rows, last)) => {
                let in_rows = || rows.iter().find_map(|row| row.number("view"));
                last.number("view").or_else(in_rows)
            }
            _ => None,
        }
    }

    /// The answer as a JSON object.
    pub fn object(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Reading::Reply(reply) => json::object(reply, &mut out),
            Reading::Rows(rows, last) => rows.object(last, &mut out),
        }
        out
    }
}

impl Speaker {
    /// A speaker for a client whose mail is read by the task that asks.
    pub fn new(broker: Arc<Broker>, client: Arc<Client>) -> Speaker {
        let session = Mutex::new(Session::new(broker.clone(), client));
        Speaker { broker, session, bell: None }
    }

    /// A speaker for a client whose mail is read by a task of its own, which rings
    /// the bell.
    pub fn with_bell(broker: Arc<Broker>, client: Arc<Client>) -> Speaker {
        Speaker { bell: Some(Bell::default()), ..Speaker::new(broker, client) }
    }

    /// The session, once nobody asks any more.
    pub fn into_session(self) -> Session {
        self.session.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the tasks that wait on its behalf.
    pub fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }

    /// Rings for the last time, as the client has gone: the task that reads its
    /// mail wakes nobody any more.
    pub fn ring_out(&self) {
        if let Some(bell) = &self.bell {
            bell.is_silent.store(true, Ordering::SeqCst);
            bell.ring();
        }
    }

    /// Whether nobody wakes the tasks that wait on its behalf any more.
    fn is_silent(&self) -> bool {
        self.bell.as_ref().is_some_and(|bell| bell.is_silent.load(Ordering::SeqCst))
    }

    /// Waits until `look` finds in the session what it looks for.
    pub async fn until<T>(&self, mut look: impl FnMut(&mut Session) -> Poll<T>) -> T {
        poll_fn(|cx| {
            if let Some(bell) = &self.bell {
                bell.wait(cx);
                return look(&mut self.session());
            }
            let mut session = self.session();
            session.register(cx.waker());
            look(&mut session)
        })
        .await
    }

    /// Locks the session. Not to be held across an await.
    pub fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }

    /// Asks, and waits until the changes that the answer reports are on disk.
    ///
    /// # Errors
    /// As for the request; [`Code::Unavailable`] if the disk fails.
    pub async fn ask(&self, request: Request<'_>) -> Result<Reading, Fault> {
        self.ask_in(None, request).await
    }

    /// Like [`Speaker::ask`], but changes a roster, or drops a channel, only if the
    /// roster's view is still this one, if one is given.
    ///
    /// # Errors
    /// As for [`Speaker::ask`], and [`Code::Fenced`].
    pub async fn ask_in(&self, view: Option<u64>, request: Request<'_>) -> Result<Reading, Fault> {
        self.ask_by(|session, now_ms| session.handle_in(view, request, now_ms)).await
    }

    /// Like [`Speaker::ask`], for a request made by a call of the session, with the
    /// time.
    ///
    /// # Errors
    /// As for [`Speaker::ask`].
    pub async fn ask_by(
        &self,
        ask: impl FnOnce(&mut Session, u64) -> Result<Option<Reply>, Fault>,
    ) -> Result<Reading, Fault> {
        let (reply, ticket) = {
            let mut session = self.session();
            let reply = ask(&mut session, self.broker.now_ms());
            session.flush();
            (reply, session.take_ticket())
        };
        match reply {
            Ok(Some(Reply::Scroll)) => {
                // What a scroll reads is on disk already.
                let _ = on_disk(ticket).await;
                self.scroll().await
            }
            reply => {
                let reply = self.told(reply, ticket).await?;
                self.room().await;
                // Only `quit` gets no reply.
                reply.map(Reading::Reply).ok_or_else(no_reply)
            }
        }
    }

    /// Waits until the changes that an answer reports are on disk, even if the
    /// answer is a fault.
    ///
    /// # Errors
    /// The answer's, or [`Code::Unavailable`] if they are not known to be.
    pub async fn told<T>(
        &self,
        answer: Result<T, Fault>,
        ticket: Option<Ticket>,
    ) -> Result<T, Fault> {
        if answer.as_ref().is_err_and(|fault| fault.code == Code::Unavailable) {
            // This fault says nothing about the channel.
            return answer;
        }
        on_disk(ticket).await?;
        answer
    }

    /// Waits as a publisher has to before it publishes to a channel.
    pub async fn room_in(&self, channel: &str) {
        let Ok(channel) = self.broker.channel(channel) else { return };
        let has_to_wait = self.session().has_to_wait(&channel);
        if has_to_wait {
            self.room().await;
        }
    }

    /// Waits as a publisher has to, while a live member is a whole log behind. A
    /// client that has gone publishes no more, and need not wait.
    pub async fn room(&self) {
        self.until(|session| {
            let goes_on = session.may_read() || self.is_silent();
            if goes_on { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Reads entries from the disk, as many as fit into one answer.
    async fn scroll(&self) -> Result<Reading, Fault> {
        let mut rows = Rows::default();
        let step = || {
            self.until(|session| match session.scroll() {
                Step::Pending => Poll::Pending,
                step => Poll::Ready(step),
            })
        };
        loop {
            match step().await {
                Step::Pending => {}
                // Others get their turn between two pieces.
                Step::Rows(read) if rows.add(&read) => runtime::yield_now().await,
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
}

/// Waits until a ticket's changes are on disk, even if the client has gone
/// meanwhile, with the task that reads its mail.
///
/// # Errors
/// [`Code::Unavailable`] if they are not known to be.
pub async fn on_disk(ticket: Option<Ticket>) -> Result<(), Fault> {
    let Some(ticket) = ticket else { return Ok(()) };
    ticket.on_disk().await.map_err(|reason| {
        let text = format!("it is not known to be on disk: {reason}");
        Fault::new(Code::Unavailable, text)
    })
}

/// The fault for a request that had no reply, or none that could be understood.
pub fn no_reply() -> Fault {
    Fault::new(Code::Internal, "there is no reply")
}
