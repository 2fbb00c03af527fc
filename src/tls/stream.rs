//! A connection, encrypted or not.

use crate::runtime::TcpStream;
use futures::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection, encrypted or not. What is written to an encrypted one may stay in
/// its buffer until it is flushed; an unencrypted one has no buffer.
#[derive(Debug)]
pub enum Stream {
    /// What is written is what goes over the wire.
    Plain(TcpStream),
    /// Boxed because it is large and most connections are unencrypted.
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Wraps an encrypted connection whose handshake is complete.
    pub fn encrypted(stream: TlsStream<TcpStream>) -> Stream {
        Stream::Encrypted(Box::new(stream))
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Encrypted(stream) => stream.get_ref().0,
        }
    }

    /// Ready if there may be something to read that nobody has seen yet; otherwise the
    /// task is woken when there is. To be asked only when the last read found nothing:
    /// what was decrypted already does not count.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket().poll_readable(cx)
    }

    /// Ready if the other end sends no more, or is gone, even if some of what it has
    /// sent is still unread; otherwise the task is woken when there is more to know.
    pub fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        self.socket().poll_end(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Encrypted(stream) => match Pin::new(stream).poll_read(cx, buffer) {
                // A peer that closes the socket without `close_notify` sends no more,
                // either.
                Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(0))
                }
                read => read,
            },
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Encrypted(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_close(cx),
            Stream::Encrypted(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}
