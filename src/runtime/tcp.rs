//! Connections, and where they come from.

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

/// A closed connection is an error, and no signal that ends the program.
#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
/// There it is an option of the socket, which whoever makes it sets.
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

/// How many bytes that have yet to be sent a socket takes. Without this it takes
/// up to 4 MB, and says that there is room again when a third of that is out: with
/// somebody who reads 3 MB in a second, steadily, that is after 0.4 s, in which it
/// looks as if it did not read at all.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_MAX: u32 = 256 * 1024;

/// A socket that connections come to.
#[derive(Debug)]
pub struct TcpListener(Watched<mio::net::TcpListener>);

/// A connection. Closing it ends its output and leaves its input open, which is
/// what whoever speaks HTTP or TLS over it counts on; the runtime's own only
/// flushes, and the other end would wait.
#[derive(Debug)]
pub struct TcpStream(Watched<net::TcpStream>);

impl TcpListener {
    /// Of a socket that listens already and does not block.
    ///
    /// # Errors
    /// The system's.
    pub fn new(socket: net::TcpListener) -> io::Result<Self> {
        // What is written is whole: to wait for more would only make it late. The
        // connections inherit that.
        set_tcp_nodelay(&socket, true)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_MAX)?;
        start()?;
        Watched::new(mio::net::TcpListener::from_std(socket)).map(TcpListener)
    }

    /// The next connection, and where it comes from.
    ///
    /// # Errors
    /// The system's.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accept = |listener: &mio::net::TcpListener| listener.accept();
        let ((socket, addr), _) = poll_fn(|cx| self.0.poll_with(To::Read, cx, accept)).await?;
        Ok((TcpStream(Watched::new(socket.into())?), addr))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket().local_addr()
    }
}

impl TcpStream {
    /// Connects to the first address of this host that takes it.
    ///
    /// # Errors
    /// The system's; and `NotFound` if no address is known of that host.
    pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
        let host = host.to_owned();
        let mut failure = io::ErrorKind::NotFound.into();
        let found = unblock(move || (host, port).to_socket_addrs()).await;
        // The standard library has no kind for it that can be told from others.
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
        // It is when there is room to write; so it is, too, when that has failed.
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

    /// Whether there may be something to read. If not, the task is woken when
    /// there is, without another attempt to read, which would find nothing.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(To::Read, cx).map(|_| ())
    }

    /// Whether the other end sends no more, or is gone, also where what it has sent
    /// is not read. If not, the task is woken when there is more to know.
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
        // Not the standard library's, which goes through a point of libc's where a
        // thread may be cancelled.
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
            // The other end was faster.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}
