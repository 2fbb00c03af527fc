//! The only file that names the async runtime.
//!
//! async-std is the choice of the project's user. Its authors have stopped
//! developing it in favour of smol, whose crates (async-io, async-executor,
//! blocking) it is a thin layer over; a later move is this one file. Everything
//! above it speaks `futures` traits only. `docs/decisions/runtime.md` has more.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

pub use async_std::net::{TcpListener, TcpStream};
pub use async_std::task::JoinHandle;

/// A stream whose output can be ended while its input is still read. Its
/// `poll_close` alone does not tell the other end on this runtime.
pub trait EndOutput {
    /// The other end reads to the end of what was written.
    ///
    /// # Errors
    /// If the connection has ended already.
    fn end_output(&self) -> io::Result<()>;
}

impl EndOutput for TcpStream {
    fn end_output(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Runs a future to its end on this thread; the other threads of the executor
/// help with what it spawns.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    async_std::task::block_on(future)
}

/// Starts a task. Dropping the handle leaves the task running.
///
/// A panic ends only that task, and silently: whoever spawns something that the
/// process cannot do without must await the handle.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    async_std::task::spawn(future)
}

/// Ends a task where it waits, and waits until it has ended.
pub async fn cancel<T>(task: JoinHandle<T>) {
    task.cancel().await;
}

/// Runs blocking work (files, names, processes) on a thread of its own.
pub async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    async_std::task::spawn_blocking(work).await
}

/// Waits for this long.
pub async fn sleep(duration: Duration) {
    async_std::task::sleep(duration).await;
}

/// Waits for a future for at most this long; `None` if the time ran out first.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    async_std::future::timeout(duration, future).await.ok()
}
