//! Runs tasks, on threads that wait for sockets when there are none to run.

use super::reactor::Reactor;
use super::{aside, wait};
use async_executor::StaticExecutor;
use futures::FutureExt;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

/// How many tasks are run in a row before the sockets are looked at again. With 32
/// and more, some runs of ten publishers to ten members each cost twice as much as
/// others: some sockets were looked at too seldom.
const TASKS: usize = 16;

thread_local! {
    /// Whether the task that this thread runs took long.
    static WAS_LONG: Cell<bool> = const { Cell::new(false) };
}

static EXECUTOR: StaticExecutor = StaticExecutor::new();
static THREADS: OnceLock<usize> = OnceLock::new();

/// Sets how many threads run tasks; 0 is one fewer than there are processors, and
/// at least one, because the system's own work on the sockets needs room too. To be
/// called before anything is spawned; later calls have no effect.
///
/// A task is woken through a queue that all threads share, so the waking and the
/// woken task are often on two threads, one of which has to be roused for it. With
/// two threads on two processors a message from one to one costs 84 ns, with one
/// thread 71 ns.
pub fn use_threads(count: usize) {
    THREADS.get_or_init(|| threads(count));
}

fn threads(count: usize) -> usize {
    match count {
        0 => thread::available_parallelism().map_or(1, |all| all.get().max(2) - 1),
        count => count,
    }
}

/// Starts all the threads that there have to be, the first time, so that a shortage
/// shows here and not later. Without this call a shortage ends in a panic.
///
/// # Errors
/// The system's, if it gives no descriptors or threads.
pub fn start() -> io::Result<()> {
    static STARTED: OnceLock<io::Result<()>> = OnceLock::new();
    let started = STARTED.get_or_init(|| {
        let reactor = Reactor::get()?;
        for _ in 0..*THREADS.get_or_init(|| threads(0)) {
            let thread = thread::Builder::new().name("broker".to_owned());
            thread.spawn(|| reactor.drive(run_tasks()))?;
        }
        aside::start()?;
        start_timers()
    });
    started.as_ref().copied().map_err(|e| io::Error::new(e.kind(), e.to_string()))
}

/// Makes async-std start its timer thread, which it otherwise does at the first
/// timer, panicking if it gets none. So this first tests whether a thread can
/// start; it tests with two, because a thread that has just ended may still be
/// counted.
fn start_timers() -> io::Result<()> {
    let thread = || thread::Builder::new().spawn(thread::park);
    let spare = [thread()?, thread()?];
    for thread in spare {
        thread.thread().unpark();
        // The thread does nothing that could fail.
        let _ = thread.join();
    }
    let _ = wait(Duration::from_secs(1)).now_or_never();
    Ok(())
}

/// Starts the threads where a shortage cannot be reported.
pub(super) fn demand() {
    if let Err(e) = start() {
        panic!("cannot run tasks: {e}");
    }
}

async fn run_tasks() -> Infallible {
    loop {
        for _ in 0..TASKS {
            EXECUTOR.tick().await;
            if WAS_LONG.take() {
                break;
            }
        }
        yield_now().await;
    }
}

/// To be called by a task that has taken long, and is about to wait or yield: the
/// sockets are looked at before another task runs.
pub fn note_long() {
    WAS_LONG.set(true);
}

/// Yields: the task goes on after the other tasks have had their turn and the
/// sockets have been looked at.
pub async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A task. Dropping this leaves the task running.
#[derive(Debug)]
pub struct JoinHandle<T>(Option<async_executor::Task<T>>);

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Some(task) => Pin::new(task).poll(cx),
            // Only a handle that was dropped or cancelled has no task.
            None => Poll::Pending,
        }
    }
}

/// Starts a task.
///
/// A panic ends only that task, not the thread, and silently: whoever spawns something that the
/// process cannot do without must await the handle.
///
/// # Panics
/// If the system gives no threads, as [`std::thread::spawn`] does.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    demand();
    JoinHandle(Some(EXECUTOR.spawn(future)))
}

/// Cancels a task where it waits, and waits until it has ended.
pub async fn cancel<T>(mut task: JoinHandle<T>) {
    if let Some(task) = task.0.take() {
        task.cancel().await;
    }
}
