//! How a connection begins: its first bytes say what it speaks.

use super::{Connection, numseq, resp};
use crate::broker::{Broker, HANDSHAKE, SILENT};
use crate::farewell::say_and_close;
use crate::http::{self, Http, Upgraded};
use crate::request::Format;
use crate::runtime::{self, TcpStream};
use crate::session::Session;
use crate::tls::{Acceptor, Stream};
use crate::wire::sniff::{Dialect, Refusal};
use futures::{AsyncRead, AsyncReadExt};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The most bytes that are read until the dialect is known: enough for what a
/// client says first, so that it is answered at once, and in one write.
const FIRST_BYTES: usize = 512;
/// How long a connection may stay silent before its dialect is known.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one that will be refused may stay silent.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection, its dialect, and the bytes that were read to tell it.
type Opened = (Stream, Dialect, Vec<u8>);

/// Why a connection is not served.
enum Unserved {
    /// The client has closed, or was silent for too long, before its dialect was known.
    Silent,
    /// The TLS handshake has failed.
    Handshake(io::Error),
    /// The client is refused, and told why.
    Refused(Stream, Dialect, Refusal),
}

/// Finds out what a connection speaks. HTTP and number sequences are served here, to
/// the connection's end unless it goes on as a WebSocket; any other connection is
/// returned.
pub(super) async fn begin(
    broker: Arc<Broker>,
    http: Arc<Http>,
    tls: Option<Arc<Acceptor>>,
    stream: TcpStream,
    addr: SocketAddr,
) -> Option<Box<Connection>> {
    let silence = broker.await_first_bytes();
    let opened = open(stream, tls.as_deref(), addr).await;
    drop(silence);
    let (stream, dialect, first) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            turn_away(&broker, why, addr).await;
            return None;
        }
    };
    broker.stats.traffic.read.add(first.len() as u64);
    if dialect == Dialect::Http {
        let upgraded = Box::pin(http::serve(http, stream, first, addr)).await;
        let Upgraded { stream, session, first } = upgraded?;
        broker.stats.opened.add(Format::WebSocket.as_str(), 1);
        broker.watch(session.client(), Format::WebSocket.as_str());
        let connection = Connection::new(session, stream, Format::WebSocket, first);
        return Some(Box::new(connection));
    }
    let Some(format) = dialect.format() else {
        if let Some(reason) = broker.farewell() {
            say_and_close(stream, numseq::farewell(reason).as_bytes()).await;
            return None;
        }
        broker.stats.opened.add(dialect.as_str(), 1);
        Box::pin(numseq::serve(broker, stream, first, addr)).await;
        return None;
    };
    let session = if format.is_plain() {
        resp::begin(broker.clone(), stream.socket(), addr, format)
    } else {
        Session::new(broker.clone(), broker.enter(addr, format.as_str()))
    };
    Some(Box::new(Connection::new(session, stream, format, first)))
}

/// Reads the first bytes of a connection; if they begin a TLS handshake, completes
/// it and reads those inside.
async fn open(
    mut stream: TcpStream,
    tls: Option<&Acceptor>,
    addr: SocketAddr,
) -> Result<Opened, Unserved> {
    let silent = || Unserved::Silent;
    let (dialect, first) = sniff(&mut stream, FIRST_BYTES_TIMEOUT).await.ok_or_else(silent)?;
    match tls {
        Some(tls) if dialect == Dialect::Tls => {
            let accepting = Box::pin(tls.accept(stream, &first));
            let mut stream = accepting.await.map_err(Unserved::Handshake)?;
            let sniffing = Box::pin(sniff(&mut stream, FIRST_BYTES_TIMEOUT));
            match sniffing.await.ok_or_else(silent)? {
                (Dialect::Tls, _) => {
                    Err(Unserved::Refused(stream, Dialect::Tls, Refusal::Encrypted))
                }
                (dialect, first) => Ok((stream, dialect, first)),
            }
        }
        Some(tls) if !tls.admits_plain(addr.ip()) => {
            Err(Unserved::Refused(Stream::Plain(stream), dialect, Refusal::Plain))
        }
        None if dialect == Dialect::Tls => {
            Err(Unserved::Refused(Stream::Plain(stream), dialect, Refusal::Encrypted))
        }
        _ => Ok((Stream::Plain(stream), dialect, first)),
    }
}

/// Counts and logs a connection that is not served, and tells the client why if it
/// can be told.
async fn turn_away(broker: &Broker, why: Unserved, addr: SocketAddr) {
    match why {
        Unserved::Silent => {
            broker.stats.closed.add(SILENT, 1);
            log::info!("event=closed addr={addr} reason={SILENT}");
        }
        Unserved::Handshake(error) => {
            broker.stats.closed.add(HANDSHAKE, 1);
            let error = error.to_string();
            log::info!("event=closed addr={addr} reason={HANDSHAKE} error={error:?}");
        }
        Unserved::Refused(stream, dialect, why) => {
            broker.stats.opened.add(dialect.as_str(), 1);
            let (speaks, reason) = (dialect.as_str(), why.as_str());
            log::info!("event=refused addr={addr} dialect={speaks} reason={reason}");
            say_and_close(stream, &dialect.refusal(why)).await;
        }
    }
}

/// Refuses a connection, because the broker is full, in its own dialect.
pub async fn refuse(mut stream: TcpStream) {
    let dialect = sniff(&mut stream, REFUSAL_TIMEOUT).await.map_or(Dialect::Text, |(d, _)| d);
    say_and_close(stream, &dialect.refusal(Refusal::Full)).await;
}

/// Reads until the dialect is known. `None` if the client closes first, or is
/// silent for too long.
async fn sniff(
    stream: &mut (impl AsyncRead + Unpin),
    timeout: Duration,
) -> Option<(Dialect, Vec<u8>)> {
    // Not an array: the future would hold room for each place that it moves it to.
    let (mut first, mut len) = (vec![0; FIRST_BYTES], 0);
    let sniffing = async {
        while len < first.len() {
            match stream.read(&mut first[len..]).await {
                Ok(read @ 1..) => len += read,
                _ => return None,
            }
            let dialect = Dialect::sniff(&first[..len]);
            if dialect.is_some() {
                return dialect;
            }
        }
        None
    };
    let known = Box::pin(runtime::timeout(timeout, sniffing)).await;
    first.truncate(len);
    // A client that has sent nothing but an empty line by now is a person at a
    // terminal, not a program that speaks HTTP.
    let dialect = known.unwrap_or((first == b"\r\n").then_some(Dialect::Text))?;
    Some((dialect, first))
}
