//! Tickets, by which others wait for a commit: one for all that goes into it.

use crate::sync::lock;
use futures::task::AtomicWaker;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::task::Poll;

/// Something that is told when a ticket is settled.
pub trait Waiter: Send + Sync {
    /// Tells it that the ticket is settled.
    fn wake(&self);
}

/// What became of a commit.
pub type Outcome = Result<(), Arc<str>>;

#[derive(Default)]
struct Commit {
    /// Later ones have higher numbers.
    number: u64,
    /// Nothing more goes into it.
    closed: AtomicBool,
    outcome: OnceLock<Outcome>,
    waiters: Mutex<Vec<Arc<dyn Waiter>>>,
}

/// Stands for one commit, until it is on disk or has failed.
#[derive(Clone, Default)]
pub struct Ticket(Arc<Commit>);

impl Ticket {
    /// A ticket that has been settled already.
    pub fn settled(outcome: Outcome) -> Self {
        let ticket = Ticket::default();
        ticket.close();
        ticket.decide(outcome);
        ticket
    }

    /// The ticket for the commit after this one.
    pub(super) fn next(&self) -> Ticket {
        Ticket(Arc::new(Commit { number: self.0.number + 1, ..Commit::default() }))
    }

    /// Its place among all tickets of a store: they are settled in this order.
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether it is on disk.
    pub fn is_done(&self) -> bool {
        matches!(self.outcome(), Some(Ok(())))
    }

    /// What became of it; `None` while it is pending. A failure has its reason:
    /// then nobody knows whether what the ticket stands for is on disk.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.0.outcome.get()
    }

    /// Whether what is queued now still goes into it.
    pub fn is_open(&self) -> bool {
        !self.0.closed.load(Ordering::SeqCst)
    }

    /// Tells this waiter when it is settled: at once if it is already.
    pub fn wake_when_settled(&self, waiter: &Arc<dyn Waiter>) {
        let mut waiters = lock(&self.0.waiters);
        if self.outcome().is_none() {
            waiters.push(waiter.clone());
        } else {
            drop(waiters);
            waiter.wake();
        }
    }

    /// Waits until it is settled, blocking the thread.
    ///
    /// # Errors
    /// Why it failed.
    pub fn wait(&self) -> Outcome {
        #[derive(Default)]
        struct Sleeper(Mutex<bool>, Condvar);
        impl Waiter for Sleeper {
            fn wake(&self) {
                *lock(&self.0) = true;
                self.1.notify_one();
            }
        }
        let sleeper = Arc::<Sleeper>::default();
        let waiter: Arc<dyn Waiter> = sleeper.clone();
        self.wake_when_settled(&waiter);
        let mut is_awake = lock(&sleeper.0);
        while !*is_awake {
            is_awake = sleeper.1.wait(is_awake).unwrap_or_else(PoisonError::into_inner);
        }
        // Nobody is woken before there is an outcome.
        self.outcome().cloned().unwrap_or(Ok(()))
    }

    /// Waits until it is settled, in a task.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn on_disk(&self) -> Outcome {
        #[derive(Default)]
        struct Task(AtomicWaker);
        impl Waiter for Task {
            fn wake(&self) {
                self.0.wake();
            }
        }
        let task = Arc::<Task>::default();
        let waiter: Arc<dyn Waiter> = task.clone();
        self.wake_when_settled(&waiter);
        poll_fn(|cx| {
            task.0.register(cx.waker());
            self.outcome().cloned().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Notes that nothing more goes into it.
    pub(super) fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
    }

    /// Makes the outcome known to everybody who asks. Only the first one counts.
    pub(super) fn decide(&self, outcome: Outcome) {
        let _waiters = lock(&self.0.waiters);
        let _ = self.0.outcome.set(outcome);
    }

    /// Wakes those who wait for the outcome.
    pub(super) fn wake(&self) {
        let waiters = std::mem::take(&mut *lock(&self.0.waiters));
        for waiter in waiters {
            waiter.wake();
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&self.outcome()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Bell(AtomicUsize);
    impl Waiter for Bell {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn wakes_those_who_came_before_and_after() {
        let (ticket, bell) = (Ticket::default(), Arc::<Bell>::default());
        let waiter: Arc<dyn Waiter> = bell.clone();
        ticket.wake_when_settled(&waiter);
        assert_eq!((bell.0.load(Ordering::SeqCst), ticket.outcome()), (0, None));
        ticket.decide(Err("full".into()));
        ticket.decide(Ok(()));
        ticket.wake();
        ticket.wake_when_settled(&waiter);
        assert_eq!(bell.0.load(Ordering::SeqCst), 2);
        assert_eq!(ticket.wait(), Err("full".into()));
    }
}
