//! TCP connections, and the listeners that accept them.

use super::executor::start;
use super::unblock;
use super::watched::{To, Watched};
use futures::{AsyncRead, AsyncWrite};
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{SendFlags, send};
use std::future::poll_fn;
use std::io::{self, IoSlice, Write};
use std::net::{self, Shutdown, SocketAddr, ToSocketAddrs};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Writing to a closed connection must be an error, not a signal that ends the
/// program.
#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
/// On Apple it is an option of the socket, set by whoever creates it.
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

/// How many unsent bytes a socket takes. Without this it takes up to 4 MB, and
/// reports room again when a third of that is sent: for a client that reads 3 MB a
/// second, steadily, that is after 0.4 s, in which it looks as if it did not read
/// at all.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_MAX: u32 = 256 * 1024;

/// A listening socket.
#[derive(Debug)]
pub struct TcpListener(Watched<mio::net::TcpListener>);

/// A connection. Closing it ends its output and leaves its input open, as HTTP and
/// TLS need it; the stream of async-std only flushes on close, and the other end
/// would wait.
#[derive(Debug)]
pub struct TcpStream(Watched<net::TcpStream>);

impl TcpListener {
    /// A listener for a socket that listens already and does not block.
    ///
    /// # Errors
    /// The system's.
    pub fn new(socket: net::TcpListener) -> io::Result<Self> {
        // Writes are complete: to hold them back for more would only make them
        // late. The accepted connections inherit the option.
        set_tcp_nodelay(&socket, true)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_MAX)?;
        start()?;
        Watched::new(mio::net::TcpListener::from_std(socket)).map(TcpListener)
    }

    /// Accepts the next connection; returns it with its peer's address.
    ///
    /// # Errors
    /// The system's.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accept = |listener: &mio::net::TcpListener| listener.accept();
        let ((socket, addr), _) = poll_fn(|cx| self.0.poll_with(To::Read, cx, accept)).await?;
        Ok((TcpStream(Watched::new(socket.into())?), addr))
    }

    /// The address on which it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket().local_addr()
    }
}

impl TcpStream {
    /// Connects to the first address of this host that accepts.
    ///
    /// # Errors
    /// The system's; and `NotFound` if the host has no known address.
    pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
        let host = host.to_owned();
        let mut failure = io::ErrorKind::NotFound.into();
        let found = unblock(move || (host, port).to_socket_addrs()).await;
        // The standard library has no error kind of its own for a failed look-up.
        for addr in found.map_err(|e| io::Error::new(io::ErrorKind::NotFound, e))? {
            match TcpStream::connect_to(addr).await {
                Ok(stream) => return Ok(stream),
                Err(e) => failure = e,
            }
        }
        Err(failure)
    }

    /// Connects to this address.
    ///
    /// # Errors
    /// The system's.
    pub async fn connect_to(addr: SocketAddr) -> io::Result<TcpStream> {
        start()?;
        let stream = Watched::new(mio::net::TcpStream::connect(addr)?.into())?;
        // A socket is writable once it is connected, and also once connecting has
        // failed.
        let is_connected = |socket: &net::TcpStream| match socket.take_error()? {
            Some(e) => Err(e),
            None => match socket.peer_addr() {
                Err(e) if e.kind() == io::ErrorKind::NotConnected => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                peer => peer,
            },
        };
        poll_fn(|cx| stream.poll_with(To::Write, cx, is_connected)).await?;
        Ok(TcpStream(stream))
    }

    /// Ready if there may be something to read. Otherwise the task is woken when
    /// there is, without another attempt to read, which would find nothing.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(To::Read, cx).map(|_| ())
    }

    /// Ready if the other end sends no more, or is gone, even if what it has sent
    /// is not read. Otherwise the task is woken when more is known.
    pub fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        self.0.poll_end(cx)
    }
}

impl Deref for TcpStream {
    type Target = net::TcpStream;

    fn deref(&self) -> &Self::Target {
        self.0.socket()
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Not the standard library's `write`, which passes a cancellation point of
        // libc.
        let write = |socket: &net::TcpStream| Ok(send(socket, bytes, SEND)?);
        self.0.poll_with(To::Write, cx, write).map_ok(|(written, _)| written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = |mut socket: &net::TcpStream| socket.write_vectored(slices);
        self.0.poll_with(To::Write, cx, write).map_ok(|(written, _)| written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shutdown(Shutdown::Write) {
            // The other end has closed already.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}
