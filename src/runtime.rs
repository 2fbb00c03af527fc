//! The only file that names the async runtime.
//!
//! async-std is the choice of the project's user. Its authors have stopped
//! developing it in favour of smol, whose crates (async-io, async-executor,
//! blocking) it is a thin layer over; a later move is this one file. Everything
//! above it speaks `futures` traits only. `docs/decisions/runtime.md` has more.

use async_io::Async;
use async_std::net::ToSocketAddrs;
use futures::{AsyncRead, AsyncWrite};
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{SocketFlags, acceptfrom_with};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{self, Shutdown, SocketAddr};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub use async_std::os::unix::net::UnixStream;

/// A socket that connections come to.
#[derive(Debug)]
pub struct TcpListener(Async<net::TcpListener>);

/// A connection. Closing it ends its output and leaves its input open, which is
/// what whoever speaks HTTP or TLS over it counts on; the runtime's own only
/// flushes, and the other end would wait.
#[derive(Debug)]
pub struct TcpStream(Async<net::TcpStream>);

impl TcpListener {
    /// Of a socket that listens already and does not block.
    ///
    /// # Errors
    /// The system's.
    pub fn new(socket: net::TcpListener) -> io::Result<Self> {
        // What is written is whole: to wait for more would only make it late. The
        // connections inherit that.
        set_tcp_nodelay(&socket, true)?;
        Async::new_nonblocking(socket).map(TcpListener)
    }

    /// The next connection, and where it comes from.
    ///
    /// # Errors
    /// The system's.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        // Not the runtime's own, which needs another system call to have the new
        // socket not block.
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = |socket: &net::TcpListener| Ok(acceptfrom_with(socket, flags)?);
        let (socket, addr) = self.0.read_with(accept).await?;
        let addr = addr.and_then(|addr| SocketAddr::try_from(addr).ok());
        let addr = addr.ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok((TcpStream(Async::new_nonblocking(socket.into())?), addr))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }
}

impl TcpStream {
    /// Connects to the first of these addresses that takes it.
    ///
    /// # Errors
    /// The system's.
    pub async fn connect(addrs: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let mut failure = io::ErrorKind::NotFound.into();
        for addr in addrs.to_socket_addrs().await? {
            match Async::<net::TcpStream>::connect(addr).await {
                Ok(stream) => return Ok(TcpStream(stream)),
                Err(e) => failure = e,
            }
        }
        Err(failure)
    }

    /// Whether there may be something to read. If not, the task is woken when
    /// there is, without another attempt to read, which would find nothing.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }
}

impl Deref for TcpStream {
    type Target = net::TcpStream;

    fn deref(&self) -> &Self::Target {
        self.0.get_ref()
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shutdown(Shutdown::Write) {
            // The other end was faster.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

/// Settles how many threads run tasks; 0 is one fewer than there are processors,
/// and at least one: what the system does for the sockets needs room too. To be
/// called before anything is spawned; later it changes nothing.
///
/// A task is woken through a queue that all threads share, so that the one that
/// wakes and the one that is woken are often on two threads, of which one has to
/// be roused for it. With two threads on two processors a message from one to one
/// cost 175 ns, with one thread 116 ns.
pub fn use_threads(count: usize) {
    let count = match count {
        0 => std::thread::available_parallelism().map_or(1, |all| all.get().max(2) - 1),
        count => count,
    };
    let config = async_global_executor::GlobalExecutorConfig::default();
    let config = config.with_min_threads(count).with_max_threads(count);
    async_global_executor::init_with_config(config.with_thread_name_fn(|| "broker".to_owned()));
}

/// Runs a future to its end on this thread; what it spawns runs on the
/// executor's own threads, of which the runtime's own `block_on` would make this
/// thread one more.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

/// A task. Dropping this leaves the task running.
#[derive(Debug)]
pub struct JoinHandle<T>(Option<async_global_executor::Task<T>>);

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
            // Only a handle that is gone has no task.
            None => Poll::Pending,
        }
    }
}

/// Starts a task, on the executor that is async-std's, too. Its own `spawn` gives
/// each task a name, a number and a place for variables of its own: 40 bytes that
/// nobody looks at.
///
/// A panic ends only that task, and silently: whoever spawns something that the
/// process cannot do without must await the handle.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    JoinHandle(Some(async_global_executor::spawn(future)))
}

/// Ends a task where it waits, and waits until it has ended.
pub async fn cancel<T>(mut task: JoinHandle<T>) {
    if let Some(task) = task.0.take() {
        task.cancel().await;
    }
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
