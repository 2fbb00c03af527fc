//! How a connection begins: its first bytes say what it speaks.

use super::{Connection, numseq, resp};
use crate::broker::{Broker, SILENT};
use crate::farewell::say_and_close;
use crate::http::{self, Http, Upgraded};
use crate::request::Format;
use crate::runtime::{self, TcpStream};
use crate::session::Session;
use crate::wire::sniff::Dialect;
use futures::AsyncReadExt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The most bytes that are read until the dialect is known: enough for what a
/// client says first, so that it is answered at once, and in one write.
const FIRST_BYTES: usize = 512;
/// How long a connection may stay silent before its dialect is known.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for one that will be refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Finds out what a connection speaks. One that speaks HTTP is served here, to
/// its end unless it goes on as a WebSocket.
pub(super) async fn begin(
    broker: Arc<Broker>,
    http: Arc<Http>,
    mut stream: TcpStream,
    addr: SocketAddr,
) -> Option<Box<Connection>> {
    let silence = broker.await_first_bytes();
    let sniffed = sniff(&mut stream, FIRST_BYTES_TIMEOUT).await;
    drop(silence);
    let Some((dialect, first)) = sniffed else {
        broker.stats.closed.add(SILENT, 1);
        log::info!("event=closed addr={addr} reason={SILENT}");
        return None;
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
    if dialect == Dialect::Numseq {
        if let Some(reason) = broker.farewell() {
            say_and_close(stream, numseq::farewell(reason).as_bytes()).await;
            return None;
        }
        broker.stats.opened.add(dialect.as_str(), 1);
        Box::pin(numseq::serve(broker, stream, first, addr)).await;
        return None;
    }
    let Some(format) = dialect.format() else {
        broker.stats.opened.add(dialect.as_str(), 1);
        log::info!("event=refused addr={addr} dialect={} reason=unserved", dialect.as_str());
        say_and_close(stream, &dialect.refusal()).await;
        return None;
    };
    let session = if format.is_plain() {
        resp::begin(broker.clone(), &stream, addr, format)
    } else {
        Session::new(broker.clone(), broker.enter(addr, format.as_str()))
    };
    Some(Box::new(Connection::new(session, stream, format, first)))
}

/// Refuses a connection, because the broker is full, in its own dialect.
pub async fn refuse(mut stream: TcpStream) {
    let dialect = sniff(&mut stream, REFUSAL_TIMEOUT).await.map_or(Dialect::Text, |(d, _)| d);
    say_and_close(stream, &dialect.refusal()).await;
}

/// Reads until the dialect is known. `None` if the client closes first, or is
/// silent for too long.
async fn sniff(stream: &mut TcpStream, timeout: Duration) -> Option<(Dialect, Vec<u8>)> {
    // Not an array: the future would hold room for each place that it moves to.
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
    // Whoever has only pressed Enter so far is no program that speaks HTTP.
    let dialect = known.unwrap_or((first == b"\r\n").then_some(Dialect::Text))?;
    Some((dialect, first))
}
