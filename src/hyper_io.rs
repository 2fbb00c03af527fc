//! Adapters for hyper: a stream of `futures`, and the runtime's clock.

use crate::figures::Traffic;
use crate::runtime;
use futures::{AsyncRead, AsyncWrite};
use hyper::rt::{ReadBufCursor, Sleep, Timer};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// How many bytes are read at once. They are on the stack of the reading thread,
/// and then copied into hyper's buffer, which may only be written to as a whole.
const READ_BYTES: usize = 16 * 1024;

/// A stream, of which the first bytes may have been read already.
#[derive(Debug)]
pub struct Stream<S> {
    inner: S,
    first: Vec<u8>,
    /// How many of those bytes have been read.
    given: usize,
    /// Counts the bytes that pass.
    counts: Option<Arc<Traffic>>,
}

impl<S> Stream<S> {
    /// A stream that begins with bytes that were read from it before.
    pub fn new(stream: S, first: Vec<u8>) -> Self {
        Stream { inner: stream, first, given: 0, counts: None }
    }

    /// Counts its bytes in `traffic`.
    #[must_use]
    pub fn counted(self, traffic: Arc<Traffic>) -> Self {
        Stream { counts: Some(traffic), ..self }
    }

    fn count_written(&self, written: &Poll<io::Result<usize>>) {
        if let (Some(traffic), Poll::Ready(Ok(bytes))) = (&self.counts, written) {
            traffic.written.add(*bytes as u64);
        }
    }

    /// The stream, and those first bytes that are still unread: for a connection
    /// that goes on in another protocol.
    pub fn into_parts(mut self) -> (S, Vec<u8>) {
        self.first.drain(..self.given);
        (self.inner, self.first)
    }
}

impl<S: AsyncRead + Unpin> hyper::rt::Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let first = this.first.get(this.given..).unwrap_or_default();
        if !first.is_empty() {
            let first = &first[..first.len().min(buffer.remaining())];
            buffer.put_slice(first);
            this.given += first.len();
            if this.given == this.first.len() {
                (this.first, this.given) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; READ_BYTES];
        let room = buffer.remaining().min(READ_BYTES);
        let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut bytes[..room]))?;
        buffer.put_slice(&bytes[..read]);
        if let Some(traffic) = &this.counts {
            traffic.read.add(read as u64);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.count_written(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.count_written(&written);
        written
    }
}

/// The runtime's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

/// A timer. It is in a lock that is never taken, because hyper requires timers that
/// threads can share, and the runtime's cannot be shared.
struct Wait(Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let wait = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        wait.as_mut().poll(cx)
    }
}

impl Sleep for Wait {}

impl Timer for Clock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait(Mutex::new(Box::pin(runtime::sleep(duration)))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use hyper::rt::{Read, ReadBuf};
    use std::future::poll_fn;

    /// Reads until the end, `room` bytes at a time.
    fn read(stream: &mut Stream<Cursor<&[u8]>>, room: usize, most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < most {
            let mut bytes = vec![0; room];
            let mut buffer = ReadBuf::new(&mut bytes);
            let reading = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buffer.unfilled()));
            runtime::block_on(reading).unwrap();
            if buffer.filled().is_empty() {
                break;
            }
            all.extend_from_slice(buffer.filled());
        }
        all
    }

    #[test]
    fn the_first_bytes_come_first_in_pieces_of_any_size() {
        for room in 1..12 {
            let mut stream = Stream::new(Cursor::new(&b" / HTTP/1.1"[..]), b"GET".to_vec());
            assert_eq!(read(&mut stream, room, usize::MAX), b"GET / HTTP/1.1");
        }
    }

    #[test]
    fn taken_apart_it_gives_back_what_nobody_has_read() {
        let mut stream = Stream::new(Cursor::new(&b"rest"[..]), b"first".to_vec());
        assert_eq!(read(&mut stream, 2, 2), b"fi");
        let (rest, first) = stream.into_parts();
        assert_eq!((first, rest.position()), (b"rst".to_vec(), 0));
    }
}
