//! Arbitrary requests through everything that serves HTTP: hyper, routes, headers,
//! bodies, and what they ask of a broker. Whatever comes in, each answer is complete,
//! none is an internal error, and a problem is reported in the protocol's words.
//!
//! An input whose first byte is even is sent as it is. Otherwise the second byte
//! chooses the method and the third the content type; then come a path and a query up
//! to a line's end, headers up to an empty line, and the body: most arbitrary bytes
//! would not get past the parser.
#![no_main]

use futures::{AsyncRead, AsyncWrite};
use libfuzzer_sys::fuzz_target;
use ranked_broker::broker::Broker;
use ranked_broker::config::Config;
use ranked_broker::http::{self, Http};
use ranked_broker::runtime;
use ranked_broker::wire::text::TextEncoder;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const METHODS: [&str; 6] = ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT"];
const KINDS: [&str; 4] =
    ["application/json", "text/plain", "application/x-ndjson", "application/octet-stream"];
/// How long a client waits before it gives up on an answer that does not end: a stream,
/// or a command that waits for its results.
const PATIENCE: Duration = Duration::from_millis(5);

/// One broker for all inputs, so that they find state to work on; with low limits, so
/// that the state stays small.
static HTTP: LazyLock<Arc<Http>> = LazyLock::new(|| {
    let config = Config {
        max_channels: 8,
        max_residents: 8,
        log_bytes: 64 * 1024,
        max_line: 1024,
        max_body: 2048,
        ..Config::default()
    };
    let broker = Broker::open(config, Box::new(TextEncoder)).expect("without a directory");
    Http::new(broker)
});

/// The other end of a connection.
#[derive(Default)]
struct Client {
    unsent: Vec<u8>,
    heard: Vec<u8>,
    has_gone: bool,
    reader: Option<Waker>,
}

#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Client>>);

impl Wire {
    fn client(&self) -> MutexGuard<'_, Client> {
        self.0.lock().expect("nobody panics with it")
    }

    /// Ends the client's input.
    fn hang_up(&self) {
        let mut client = self.client();
        client.has_gone = true;
        client.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut client = self.client();
        let count = client.unsent.len().min(to.len());
        // A client that waits for its answer keeps the connection.
        if count == 0 && !client.has_gone {
            client.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        to[..count].copy_from_slice(&client.unsent[..count]);
        client.unsent.drain(..count);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut client = self.client();
        client.heard.extend_from_slice(from);
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let request = match bytes {
        [way, rest @ ..] if way % 2 == 0 => rest.to_vec(),
        [_, method, kind, rest @ ..] => composed(*method, *kind, rest),
        _ => return,
    };
    let wire = Wire::default();
    wire.client().unsent = request;
    let serving = http::serve(HTTP.clone(), wire.clone(), Vec::new(), ([127, 0, 0, 1], 1).into());
    runtime::block_on(async {
        let impatient = wire.clone();
        let patience = async move {
            runtime::sleep(PATIENCE).await;
            impatient.hang_up();
            // With more of the client's bytes to read, hyper does not look for
            // the end before it has something to write.
            runtime::sleep(PATIENCE).await;
        };
        futures::future::select(Box::pin(serving), Box::pin(patience)).await;
    });
    let client = wire.client();
    check(&client.heard, client.has_gone);
});

/// A request with this method, this kind of body, and these path, headers and body.
fn composed(method: u8, kind: u8, parts: &[u8]) -> Vec<u8> {
    let end = parts.iter().position(|byte| *byte == b'\n').unwrap_or(parts.len());
    let (path, rest) = (&parts[..end], parts.get(end + 1..).unwrap_or_default());
    let (headers, body) = match rest.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&rest[..=end], &rest[end + 2..]),
        None => (&b""[..], rest),
    };
    let method = METHODS[usize::from(method) % METHODS.len()];
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let mut request = format!("{method} /v1/").into_bytes();
    request.extend_from_slice(path);
    let length = body.len();
    let head = format!(
        " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
    );
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(headers);
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    request
}

/// Checks the answers up to the first that has no length: a stream, a WebSocket, or the
/// answer to HEAD. The last body may be cut short if the client has gone.
fn check(mut heard: &[u8], has_gone: bool) {
    while !heard.is_empty() {
        let end = heard.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&heard[..end]).expect("a head is text");
        heard = &heard[end + 4..];
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.strip_prefix("HTTP/1.").expect("it is HTTP").get(2..5);
        let status: u16 = status.and_then(|status| status.parse().ok()).expect("a status");
        assert!((100..600).contains(&status) && status != 500, "{head}");
        let header = |name: &str| {
            let lines = headers.lines().filter_map(|line| line.split_once(": "));
            let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value)
        };
        let Some(length) = header("content-length") else { return };
        let length: usize = length.parse().expect("a length");
        if heard.len() < length {
            assert!(heard.is_empty() || has_gone, "half a body: {head}");
            return;
        }
        let (body, rest) = heard.split_at(length);
        // What looks like a body may be the next answer: then this one was to HEAD.
        if body.starts_with(b"HTTP/1.") {
            return;
        }
        if header("content-type") == Some("application/problem+json") {
            let problem: serde_json::Value = serde_json::from_slice(body).expect("it is JSON");
            assert_eq!(problem["status"], status);
            assert!(problem["code"].is_string() && problem["detail"].is_string(), "{problem}");
        }
        heard = rest;
    }
}
