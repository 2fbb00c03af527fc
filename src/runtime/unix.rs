//! One end of a socket pair within this process.

use super::executor::start;
use super::watched::Watched;
use futures::AsyncRead;
use std::io;
use std::os::unix::net;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The end that is read from, in the same way as connections.
#[derive(Debug)]
pub struct UnixStream(Watched<net::UnixStream>);

impl UnixStream {
    /// A stream for this socket.
    ///
    /// # Errors
    /// The system's.
    pub fn new(socket: net::UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        start()?;
        Watched::new(socket).map(UnixStream)
    }
}

impl AsyncRead for UnixStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }
}
