//! The only file that names the async runtime.
//!
//! async-std is the choice of the project's user. Its authors have stopped
//! developing it in favour of smol, on whose crates (async-io, async-executor) it
//! is a thin layer; a later move is this one file. The parts that must be quick,
//! tasks and sockets, stand beside it, in `runtime/`, and so do those that must go
//! on when the system gives no more threads. Everything above speaks `futures`
//! traits only. `docs/decisions/runtime.md` has more.

mod aside;
mod executor;
mod reactor;
mod tcp;
#[cfg(test)]
mod tests;
mod timer;
mod unix;
mod watched;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use timer::Timer;

pub use aside::unblock;
pub use executor::{JoinHandle, cancel, note_long, spawn, start, use_threads, yield_now};
pub use tcp::{TcpListener, TcpStream};
pub use unix::UnixStream;

/// Runs a future to its end on this thread. Tasks that it spawns run on the
/// executor's own threads; async-std's `block_on` would make this thread one of
/// those.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

/// Waits for this long, by async-std's own timer: see `timer.rs`.
async fn wait(duration: Duration) {
    async_std::task::sleep(duration).await;
}

/// Waits for this long.
pub async fn sleep(duration: Duration) {
    Timer::after(duration).await;
}

/// Waits for a future for at most this long; `None` if the time ran out first.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut timer = Timer::after(duration);
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Pin::new(&mut timer).poll(cx).map(|()| None),
    })
    .await
}
