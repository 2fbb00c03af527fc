//! One socket: a task writes what the outbox holds, the owner of the
//! [`Connection`] takes the lines that come.

use super::line::{Asked, Reply, Splitter};
use super::outbox::Outbox;
use super::reconnect::CONNECT_LONGEST;
use crate::runtime::{self, TcpStream};
use crate::tls::{Connector, Stream};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf};
use socket2::{SockRef, TcpKeepalive};
use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::net::{self, Shutdown};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Bytes read at once: large enough that a stream of short messages costs few
/// system calls.
const READ_BYTES: usize = 64 * 1024;

/// TCP keepalive: the idle time before the kernel probes the broker's machine, the
/// interval, and how many unanswered probes end the connection. Without it, a client
/// that only listens would wait for ever for a broker that lost its power.
const LOOK_AFTER: Duration = Duration::from_secs(15);
const LOOK_EACH: Duration = Duration::from_secs(5);
const LOOKS: u32 = 3;
/// How long sent data may stay unacknowledged before the connection ends: otherwise the
/// kernel retransmits for a quarter of an hour, less and less often.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNHEARD_LONGEST: Duration = Duration::from_secs(30);

/// A line that came, and what it is.
#[derive(Debug)]
pub struct Received<'a, T> {
    /// The line as it came, without its end.
    pub line: &'a [u8],
    /// The same as text.
    pub text: Cow<'a, str>,
    /// Its number among the lines of this connection, from 1; a `ping` does not count.
    pub number: u64,
    /// The line read as a reply, and the request that it answers; `None` for a row or a
    /// frame.
    pub reply: Option<(Reply, Option<Asked<T>>)>,
}

/// A connection to a broker, as its reader sees it.
#[derive(Debug)]
pub struct Connection<T> {
    outbox: Arc<Outbox<T>>,
    stream: ReadHalf<Stream>,
    /// The same socket, to shut it down.
    socket: net::TcpStream,
    splitter: Splitter,
    chunk: Box<[u8]>,
    lines: u64,
}

/// Has the kernel end the connection when the peer's machine disappears silently.
fn notice_silence(socket: &SockRef<'_>) -> io::Result<()> {
    let looks = TcpKeepalive::new().with_time(LOOK_AFTER).with_interval(LOOK_EACH);
    socket.set_tcp_keepalive(&looks.with_retries(LOOKS))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(UNHEARD_LONGEST))?;
    Ok(())
}

/// Connects to a broker; encrypted, if there is something to encrypt with.
///
/// # Errors
/// Those of connecting.
pub(super) async fn dial(host: &str, port: u16, tls: Option<&Connector>) -> io::Result<Stream> {
    let stream = TcpStream::connect(host, port).await?;
    // A request is sent the moment it is made: whoever writes gathers them.
    stream.set_nodelay(true)?;
    notice_silence(&SockRef::from(&*stream))?;
    match tls {
        Some(tls) => tls.connect(host, stream).await,
        None => Ok(Stream::Plain(stream)),
    }
}

impl<T: Default + Send + 'static> Connection<T> {
    /// Connects, and starts the task that writes what the outbox gets.
    ///
    /// # Errors
    /// Those of connecting.
    pub async fn open(
        host: &str,
        port: u16,
        tls: Option<&Connector>,
        outbox: Arc<Outbox<T>>,
    ) -> io::Result<Self>
    where
        T: Sync,
    {
        let stream = dial(host, port, tls).await?;
        let socket = stream.socket().try_clone()?;
        let (stream, mut sink) = stream.split();
        let (writer, generation) = (outbox.clone(), outbox.begin());
        runtime::spawn(async move {
            if let Err(e) = writer.drain(generation, &mut sink).await {
                log::debug!("cannot write any more: {e}");
            }
            // So that the reader sees the end, too, after what is still to be read.
            let _ = sink.close().await;
        });
        let chunk = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Connection { outbox, stream, socket, splitter: Splitter::default(), chunk, lines: 0 })
    }

    /// Connects again after a connection was lost, with a time limit.
    ///
    /// # Errors
    /// Those of connecting; and `TimedOut` when nobody answers for a while.
    pub async fn open_again(
        host: &str,
        port: u16,
        tls: Option<&Connector>,
        outbox: Arc<Outbox<T>>,
    ) -> io::Result<Self>
    where
        T: Sync,
    {
        let opened = runtime::timeout(CONNECT_LONGEST, Connection::open(host, port, tls, outbox));
        opened.await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Returns the next line that has already come. Answers `ping` by itself.
    pub fn buffered(&mut self) -> Option<Received<'_, T>> {
        let line = loop {
            let line = self.splitter.advance()?;
            match self.splitter.get(line.clone()).strip_prefix(b"ping ") {
                Some(number) => {
                    let number = String::from_utf8_lossy(number);
                    self.outbox.say(&format!("pong {number}"), T::default());
                }
                None => break line,
            }
        };
        self.lines += 1;
        let line = self.splitter.get(line);
        let text = String::from_utf8_lossy(line);
        let reply = Reply::parse(&text).map(|reply| {
            let asked = self.outbox.waiting(|waiting| waiting.answer(&reply));
            (reply, asked)
        });
        Some(Received { line, text, number: self.lines, reply })
    }

    /// Waits for more lines; false at the end of the connection.
    ///
    /// # Errors
    /// Those of the socket; and `InvalidData` when a line has no end.
    ///
    /// # Cancel-safety
    /// What was read is kept in the same step, so nothing is lost if this is
    /// dropped.
    pub async fn fill(&mut self) -> io::Result<bool> {
        let (stream, chunk) = (&mut self.stream, &mut self.chunk);
        let count = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, chunk)).await?;
        self.splitter.push(&self.chunk[..count]);
        if self.splitter.is_too_long() {
            let text = "a line without an end came; is that a broker?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(count > 0)
    }
}

impl<T> Drop for Connection<T> {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_has_gone_without_a_word_is_noticed() {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let outbox = Arc::new(Outbox::<()>::default());
        let connection =
            runtime::block_on(Connection::open("127.0.0.1", port, None, outbox)).unwrap();
        let socket = SockRef::from(&connection.socket);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), LOOK_AFTER);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNHEARD_LONGEST));
    }
}
