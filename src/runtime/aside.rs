//! Runs blocking work, on threads that do nothing else.
//!
//! Some threads are started at the beginning and stay. So when the system gives no
//! more of them, as under a limit of threads, work waits in the queue for those
//! that there are: it is late, but not lost.

use super::executor::demand;
use crate::sync::lock;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// How many threads are started at the beginning: the client's input occupies one
/// of them for as long as nothing comes, and a slow look-up of a name occupies one
/// for half a minute.
const THREADS_KEPT: usize = 2;
/// The most threads: all look-ups that are allowed at once, and as many others.
const THREADS_MAX: usize = 256;

struct Pool {
    queue: Mutex<Queue>,
    news: Condvar,
}

struct Queue {
    works: VecDeque<BoxFuture<'static, ()>>,
    /// Threads that have nothing to do, or have only just been started.
    idle: usize,
    threads: usize,
}

static POOL: Pool = Pool {
    queue: Mutex::new(Queue { works: VecDeque::new(), idle: 0, threads: 0 }),
    news: Condvar::new(),
};

/// Starts the threads that stay.
///
/// # Errors
/// The system's, if it gives no threads.
pub(super) fn start() -> io::Result<()> {
    let mut queue = lock(&POOL.queue);
    while queue.threads < THREADS_KEPT {
        queue.one_more()?;
    }
    Ok(())
}

/// Runs blocking work (files, names, processes) on a thread of its own, if one can
/// start, and otherwise when one is free. Work is not begun if nobody waits for it
/// any more when its turn comes.
///
/// # Panics
/// If the work does; or if the system gives no threads at all, as
/// [`std::thread::spawn`] does.
pub async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    demand();
    let (work, done) = async { work() }.remote_handle();
    POOL.add(work.boxed());
    done.await
}

impl Pool {
    fn add(&self, work: BoxFuture<'static, ()>) {
        let mut queue = lock(&self.queue);
        queue.works.push_back(work);
        if queue.works.len() > queue.idle && queue.threads < THREADS_MAX {
            // If none can start, the existing ones do it.
            let _ = queue.one_more();
        }
        drop(queue);
        self.news.notify_one();
    }

    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            queue.idle -= 1;
            while let Some(work) = queue.works.pop_front() {
                drop(queue);
                // The future never waits: the work blocks inside its first poll.
                let _ = work.now_or_never();
                queue = lock(&self.queue);
            }
            queue.idle += 1;
            queue = self.news.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    fn one_more(&mut self) -> io::Result<()> {
        thread::Builder::new().name("aside".to_owned()).spawn(|| POOL.work())?;
        self.idle += 1;
        self.threads += 1;
        Ok(())
    }
}
